//! `tollgate events`: a line per event, until interrupted.

use clap::Args;
use http_body_util::BodyExt;
use serde_json::Value;

use super::{CliError, Output, print};
use crate::{
    client::{Call, Client},
    time::rfc3339,
};

/// An event's line may not be longer.
const MAX_LINE_BYTES: usize = 1024 * 1024;

#[derive(Args)]
pub struct EventsArguments {
    /// Begin with the events that are still remembered
    #[arg(long)]
    past: bool,
}

pub async fn run(client: &Client, arguments: &EventsArguments, output: Output) -> Result<(), CliError> {
    let after = arguments.past.then(|| "0".to_owned());
    let mut body = client
        .stream(Call::get("/v1/events").header("last-event-id", after))
        .await?;
    let mut pending: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| CliError::failed("the control plane ended"))?;
        let Ok(bytes) = frame.into_data() else { continue };
        pending.extend_from_slice(&bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if let Some(event) = read(&line) {
                show(&event, output);
            }
        }
        if pending.len() > MAX_LINE_BYTES {
            return Err(CliError::failed("an event is too long to be shown"));
        }
    }
    Err(CliError::failed("the control plane ended"))
}

/// Each event is one `data:` line; the other fields repeat what it says.
fn read(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line.strip_prefix(b"data:")?).ok()
}

fn show(event: &Value, output: Output) {
    if output == Output::Json {
        return print(&event.to_string());
    }
    let when = rfc3339(event["unix_ms"].as_u64().unwrap_or(0) / 1000);
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    print(&format!("{when} {} {}", text("kind"), text("text")));
}
