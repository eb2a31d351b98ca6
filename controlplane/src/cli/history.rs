//! `tollgate history` and `tollgate rollback`.

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::{ChangeFlags, CliError, Output, apply, print, table};
use crate::{
    client::{Call, Client},
    time::rfc3339,
};

#[derive(Args)]
pub struct HistoryArguments {
    /// One revision's changes; without it all revisions, newest first
    revision: Option<u64>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

#[derive(Args)]
pub struct RollbackArguments {
    /// The revision whose document is put in force again, as a new revision
    revision: u64,
    #[command(flatten)]
    flags: ChangeFlags,
}

pub async fn history(client: &Client, arguments: &HistoryArguments, output: Output) -> Result<(), CliError> {
    let path = match arguments.revision {
        Some(revision) => format!("/v1/revisions/{revision}/diff"),
        None => format!("/v1/revisions?limit={}", arguments.limit),
    };
    let answer: Value = client.json(Call::get(path)).await?;
    match output {
        Output::Json => print(&answer.to_string()),
        Output::Text if arguments.revision.is_some() => apply::print_changes(&apply::read_changes(&answer)),
        Output::Text => print(&table(&rows(&answer))),
    }
    Ok(())
}

pub async fn rollback(client: &Client, arguments: RollbackArguments, output: Output) -> Result<(), CliError> {
    let path = format!("/v1/revisions/{}/rollback", arguments.revision);
    let outcome: Value = client
        .json(apply::change_call(Method::POST, &path, arguments.flags))
        .await?;
    apply::print_outcome(&outcome, output);
    Ok(())
}

fn rows(answer: &Value) -> Vec<Vec<String>> {
    let mut rows = vec![["REVISION", "WHEN", "WHO", "WHY", "WHAT"].map(str::to_owned).to_vec()];
    for revision in answer["revisions"].as_array().into_iter().flatten() {
        let changes = apply::read_changes(revision);
        let what = match changes.as_slice() {
            [] => "-".to_owned(),
            [only] => only.summary.clone(),
            [first, more @ ..] => format!("{}, and {} more", first.summary, more.len()),
        };
        let text = |field: &str| revision[field].as_str().unwrap_or("-").to_owned();
        let when = rfc3339(revision["at_ms"].as_u64().unwrap_or(0) / 1000);
        rows.push(vec![
            revision["revision"].to_string(),
            when,
            text("who"),
            text("why"),
            what,
        ]);
    }
    rows
}
