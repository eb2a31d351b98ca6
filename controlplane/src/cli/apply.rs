//! `tollgate diff` and `tollgate apply`: a file against what runs.

use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};
use tollgate_config::{
    Problem,
    diff::{self, Change},
};

use super::{ChangeFlags, CliError, Output, check, print};
use crate::client::{Call, Client};

#[derive(Args)]
pub struct DiffArguments {
    /// YAML or JSON; `-` reads standard input
    file: PathBuf,
}

#[derive(Args)]
pub struct ApplyArguments {
    /// YAML or JSON; `-` reads standard input
    file: PathBuf,
    #[command(flatten)]
    flags: ChangeFlags,
}

/// Needs only to read: whoever may look may ask what a file would change.
pub async fn diff(client: &Client, arguments: &DiffArguments, output: Output) -> Result<(), CliError> {
    let name = arguments.file.display().to_string();
    let (parsed, _) = check::read_document(&name, &check::read(&arguments.file)?)?;
    let running: Value = client.json(Call::get("/v1/config")).await?;
    let changes = diff::diff(&running, &parsed.tree);
    match output {
        Output::Json => print(&json!({ "changes": changes }).to_string()),
        Output::Text => print_changes(&changes),
    }
    Ok(())
}

pub async fn apply(client: &Client, arguments: ApplyArguments, output: Output) -> Result<(), CliError> {
    let name = arguments.file.display().to_string();
    let text = check::read(&arguments.file)?;
    let mut call = change_call(Method::PUT, "/v1/config", arguments.flags);
    // The text itself, so that faults come back with their line and column.
    call.body = text.into_bytes();
    let outcome: Value = client.json(call).await.map_err(|error| in_file(&name, error))?;
    print_outcome(&outcome, output);
    Ok(())
}

/// A request that makes a change, with its flags as the API has them.
pub fn change_call(method: Method, path: &str, flags: ChangeFlags) -> Call {
    let path = if flags.dry_run {
        format!("{path}?dry_run=1")
    } else {
        path.to_owned()
    };
    Call::new(method, path)
        .header("x-reason", flags.reason)
        .header("if-match", flags.if_revision.map(|revision| format!("\"{revision}\"")))
}

pub fn print_outcome(outcome: &Value, output: Output) {
    if output == Output::Json {
        return print(&outcome.to_string());
    }
    print_changes(&read_changes(outcome));
    let revision = &outcome["revision"];
    if outcome["dry_run"] == true {
        print(&format!("dry run: this would be revision {revision}; nothing changed"));
    } else {
        let shards = outcome["shards"].as_array().map_or(0, Vec::len);
        print(&format!("revision {revision} runs on {shards} shard(s)"));
    }
}

pub fn print_changes(changes: &[Change]) {
    if changes.is_empty() {
        print("no changes");
    }
    for change in changes {
        print(&format!("{} ({})", change.summary, change.effect));
    }
}

pub fn read_changes(answer: &Value) -> Vec<Change> {
    serde_json::from_value(answer["changes"].clone()).unwrap_or_default()
}

/// Names the file in the faults that the control plane found.
fn in_file(name: &str, error: CliError) -> CliError {
    let CliError::BadInput { text, problem } = error else {
        return error;
    };
    let problems: Vec<Problem> = serde_json::from_value(problem["problems"].clone()).unwrap_or_default();
    if problems.is_empty() {
        return CliError::BadInput { text, problem };
    }
    let text = problems.iter().map(|p| p.line(name)).collect::<Vec<_>>().join("\n");
    CliError::BadInput { text, problem }
}
