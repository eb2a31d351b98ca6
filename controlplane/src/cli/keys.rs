//! `tollgate keys …`: a secret is printed once, when it is made.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::{CliError, Output, print, table};
use crate::{
    client::{Call, Client, pointer_path},
    time::rfc3339,
};

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Make a key; its secret is printed this once and works at once on every shard
    Create(CreateArguments),
    /// Keys without their secrets
    List,
    /// Give a key a new secret; the former one stays good for the overlap
    Rotate {
        name: String,
        /// How long the former secret stays good; 0s ends it at once
        #[arg(long, default_value = "24h")]
        overlap: String,
    },
    /// Give a key other limits, at once on every shard; what was used stays used
    Limit {
        name: String,
        /// As in the configuration: '[ { budget: "300 USD", per: month } ]'; '[]' takes them away
        limits: String,
    },
    /// Take a key away, at once on every shard
    Revoke { name: String },
}

#[derive(Args)]
pub struct CreateArguments {
    name: String,
    #[arg(long)]
    team: Option<String>,
    #[arg(long)]
    user: Option<String>,
    /// Names or patterns such as gpt-*; without it every model
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// As in the configuration: '[ { budget: "300 USD", per: month } ]'
    #[arg(long, value_name = "LIST")]
    limits: Option<String>,
    /// 2027-01-01T00:00:00Z, or a duration from now such as 30d
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// high, normal or low: whose turn it is when there is not enough for all
    #[arg(long, value_name = "CLASS")]
    priority: Option<String>,
}

pub async fn run(client: &Client, command: KeysCommand, output: Output) -> Result<(), CliError> {
    match command {
        KeysCommand::Create(CreateArguments {
            name,
            team,
            user,
            models,
            limits,
            expires,
            priority,
        }) => {
            let limits = limits.as_deref().map(tree).transpose()?;
            let body = json!({
                "name": name, "team": team, "user": user, "models": models, "expires": expires, "priority": priority,
                "limits": limits,
            });
            let issued: Value = client.json(Call::new(Method::POST, "/v1/keys").json(&body)).await?;
            print_secret(&issued, output);
        }
        KeysCommand::Rotate { name, overlap } => {
            let path = format!("{}/rotate", key_path(&name));
            let call = Call::new(Method::POST, path).json(&json!({ "overlap": overlap }));
            let issued: Value = client.json(call).await?;
            print_secret(&issued, output);
        }
        KeysCommand::Limit { name, limits } => {
            let path = format!("{}/limits", key_path(&name));
            let call = Call::new(Method::PUT, path).json(&tree(&limits)?);
            let answer: Value = client.json(call).await?;
            match output {
                Output::Json => print(&answer.to_string()),
                Output::Text => print(&format!("{name}: in force on every shard")),
            }
        }
        KeysCommand::Revoke { name } => {
            let answer: Value = client.json(Call::new(Method::DELETE, key_path(&name))).await?;
            match output {
                Output::Json => print(&answer.to_string()),
                Output::Text => print(&format!("{name}: revoked on every shard")),
            }
        }
        KeysCommand::List => {
            let answer: Value = client.json(Call::get("/v1/keys")).await?;
            match output {
                Output::Json => print(&answer.to_string()),
                Output::Text => print(&table(&rows(&answer))),
            }
        }
    }
    Ok(())
}

/// What the configuration's own syntax says.
fn tree(text: &str) -> Result<Value, CliError> {
    let parsed = tollgate_config::parse::parse(text);
    parsed
        .map(|parsed| parsed.tree)
        .map_err(|problems| CliError::faults("--limits", &problems))
}

fn key_path(name: &str) -> String {
    format!("/v1/keys/{}", pointer_path(name).replace('/', "%2F"))
}

/// The secret alone on stdout, so that it can be piped; what it is goes to stderr.
fn print_secret(issued: &Value, output: Output) {
    if output == Output::Json {
        return print(&issued.to_string());
    }
    print(issued["secret"].as_str().unwrap_or_default());
    eprintln!(
        "this secret is shown once; the key is {}",
        issued["name"].as_str().unwrap_or_default()
    );
    if let Some(until) = issued["previous_until_unix_s"].as_u64() {
        eprintln!("the former secret stays good until {}", rfc3339(until));
    }
}

fn rows(answer: &Value) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["NAME", "SOURCE", "TEAM", "USER", "MODELS", "EXPIRES", "PRIORITY"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for key in answer["keys"].as_array().into_iter().flatten() {
        let text = |field: &str| key[field].as_str().unwrap_or("-").to_owned();
        let models: Vec<&str> = key["models"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let models = if models.is_empty() {
            "all".to_owned()
        } else {
            models.join(",")
        };
        let expires = key["expires_unix_s"]
            .as_u64()
            .map_or_else(|| "never".to_owned(), rfc3339);
        rows.push(vec![
            text("name"),
            text("source"),
            text("team"),
            text("user"),
            models,
            expires,
            text("priority"),
        ]);
    }
    rows
}
