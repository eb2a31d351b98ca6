//! `tollgate cache …`: answers that are kept.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tollgate_config::link::Purge;

use super::{CliError, Output, judge, print, table};
use crate::client::{Call, Client};

#[derive(Subcommand)]
pub enum CacheCommand {
    /// Forget answers: those that all of this is true of, on every shard at once
    Purge(PurgeArguments),
    /// What each cache did and saved since the data plane started
    Stats,
    /// Say whether an answer that was served by meaning was right
    Feedback(FeedbackArguments),
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

#[derive(Args)]
pub struct FeedbackArguments {
    /// The `x-request-id` of the answer
    #[arg(value_name = "REQUEST_ID")]
    request_id: String,
    /// A wrong one is not served again, and around it more is asked for
    #[arg(value_parser = ["right", "wrong"])]
    verdict: String,
}

pub async fn run(client: &Client, command: CacheCommand, output: Output) -> Result<(), CliError> {
    match command {
        CacheCommand::Purge(arguments) => purge(client, arguments, output).await,
        CacheCommand::Stats => stats(client, output).await,
        CacheCommand::Feedback(arguments) => feedback(client, &arguments, output).await,
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

async fn feedback(client: &Client, arguments: &FeedbackArguments, output: Output) -> Result<(), CliError> {
    let FeedbackArguments { request_id, verdict } = arguments;
    let call = Call::post("/v1/feedback").json(&json!({ "request_id": request_id, "verdict": verdict }));
    let answer: Value = client.json(call).await?;
    match output {
        Output::Json => print(&answer.to_string()),
        Output::Text => print(&format!("noted: {verdict}, of cache {}", answer["cache"])),
    }
    Ok(())
}

async fn stats(client: &Client, output: Output) -> Result<(), CliError> {
    let answer: Value = client.json(Call::get("/v1/cache")).await?;
    if let Output::Json = output {
        print(&answer.to_string());
        return Ok(());
    }
    const COLUMNS: [&str; 12] = [
        "cache",
        "hits",
        "semantic_hits",
        "joined",
        "misses",
        "saved_tokens",
        "saved_nano_usd",
        "saved_ms",
        "entries",
        "semantic_entries",
        "shadow_hits",
        "judged_wrong",
    ];
    let told = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let head = COLUMNS.map(|column| column.replace('_', " ").to_uppercase()).to_vec();
    let caches = answer["caches"].as_array().into_iter().flatten();
    let rows = caches.map(|cache| COLUMNS.map(|column| told(&cache[column])).to_vec());
    print(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
    Ok(())
}
