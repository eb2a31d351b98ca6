//! `tollgate cache …`: answers that are kept.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_config::link::Purge;

use super::{CliError, Output, judge, print};
use crate::client::{Call, Client};

#[derive(Subcommand)]
pub enum CacheCommand {
    /// Forget answers: those that all of this is true of, on every shard at once
    Purge(PurgeArguments),
    /// What a semantic cache would serve of pairs of prompts, and how often wrongly
    Judge(judge::cache::CacheArguments),
}

#[derive(Args)]
pub struct PurgeArguments {
    /// Of this cache
    #[arg(long, value_name = "NAME")]
    cache: Option<String>,
    /// Of the key whose call made the answer
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Of that key's team
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Of the model, as it was asked for
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Of calls that said this with x-tollgate-tags
    #[arg(long, value_name = "NAME=VALUE")]
    tag: Option<String>,
    /// Of requests whose first text begins so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Everything
    #[arg(long, conflicts_with_all = ["cache", "key", "team", "model", "tag", "prefix"])]
    all: bool,
}

pub async fn run(client: &Client, command: CacheCommand, output: Output) -> Result<(), CliError> {
    match command {
        CacheCommand::Purge(arguments) => purge(client, arguments, output).await,
        CacheCommand::Judge(arguments) => judge::cache::run(&arguments, output),
    }
}

async fn purge(client: &Client, arguments: PurgeArguments, output: Output) -> Result<(), CliError> {
    let PurgeArguments {
        cache,
        key,
        team,
        model,
        tag,
        prefix,
        all,
    } = arguments;
    let filter = Purge {
        cache,
        key,
        team,
        model,
        tag,
        prefix,
    };
    if filter == Purge::default() && !all {
        return Err(CliError::bad_input(
            "which answers: --cache, --key, --team, --model, --tag or --prefix, several of them together, or --all",
        ));
    }
    let call = Call::post("/v1/cache/purge").json(&json!(filter));
    let answer: Value = client.json(call).await?;
    match output {
        Output::Json => print(&answer.to_string()),
        Output::Text => print(&format!(
            "{} answers forgotten, {} bytes",
            answer["answers"], answer["bytes"]
        )),
    }
    Ok(())
}
