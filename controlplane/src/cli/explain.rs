//! `tollgate explain`: what would become of a call, stage by stage; nothing is sent.

use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::{CliError, Output, check, print, table};
use crate::client::{Call, Client};

#[derive(Args)]
pub struct ExplainArguments {
    /// The model asked for, in place of the body's own
    #[arg(long)]
    model: Option<String>,
    /// The name of the key that the call would come with
    #[arg(long, value_name = "NAME")]
    key: String,
    /// The call's body in JSON, `-` for standard input; without, an empty chat
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The path that the client would call [default: /v1/chat/completions]
    #[arg(long)]
    path: Option<String>,
    /// A header of the call, as 'NAME: VALUE'; may be given several times
    #[arg(long = "header", value_name = "LINE")]
    headers: Vec<String>,
}

pub async fn run(client: &Client, arguments: ExplainArguments, output: Output) -> Result<(), CliError> {
    let body = match &arguments.file {
        None => json!({ "messages": [] }),
        Some(file) => {
            let text = check::read(file)?;
            serde_json::from_str(&text).map_err(|bad| CliError::bad_input(format!("{}: {bad}", file.display())))?
        }
    };
    let mut headers = Map::new();
    for line in &arguments.headers {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| CliError::bad_input(format!("'{line}' is no header; 'NAME: VALUE'")))?;
        headers.insert(name.trim().to_owned(), Value::String(value.trim().to_owned()));
    }
    let question = json!({
        "model": arguments.model, "key": arguments.key, "body": body, "path": arguments.path, "headers": headers,
    });
    let told: Value = client
        .json(Call::new(Method::POST, "/v1/explain").json(&question))
        .await?;
    match output {
        Output::Json => print(&told.to_string()),
        Output::Text => print(&text(&told)),
    }
    Ok(())
}

fn text(told: &Value) -> String {
    let stages = told["stages"].as_array().map_or(&[][..], Vec::as_slice);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows = vec![["STAGE", "DECISION", "WHY"].map(str::to_owned).to_vec()];
    rows.extend(
        stages
            .iter()
            .map(|stage| ["stage", "decision", "why"].map(|field| word(&stage[field])).to_vec()),
    );
    let mut lines = vec![table(&rows)];
    let candidates = stages
        .iter()
        .filter_map(|stage| stage["candidates"].as_array())
        .flatten();
    let mut rows = vec![
        ["", "PROVIDER", "MODEL", "EXPECTED USD", "WHY"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(candidates.map(|one| {
        let mark = if one["chosen"] == true { "*" } else { "" };
        let cost = one["expected_cost_usd"].as_str().unwrap_or("-");
        vec![
            mark.to_owned(),
            word(&one["provider"]),
            word(&one["model"]),
            cost.to_owned(),
            word(&one["why"]),
        ]
    }));
    if rows.len() > 1 {
        lines.extend([String::new(), table(&rows)]);
    }
    lines.join("\n")
}
