//! `tollgate reconcile`: a provider's own report of usage beside the ledger.

mod mapping;
mod table;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};
use tollgate_config::parse;

use self::{mapping::Mapping, table::MAX_FILE_BYTES};
use super::{CliError, Output, check, print, table as shown};
use crate::{
    client::{Call, Client},
    metering::{money::Picos, reconcile::Line},
};

#[derive(Args)]
pub struct ReconcileArguments {
    /// A provider of the configuration; several that share an account, with commas between
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// What the provider exports: JSON or CSV; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    file: Vec<PathBuf>,
    /// Whose report it is: openai, anthropic, bedrock, vertex [default: the provider's name]
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// What columns mean, and what models and keys are called here; YAML or JSON
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Write corrections to the ledger, as records of their own
    #[arg(long)]
    post: bool,
}

pub async fn run(client: &Client, arguments: &ReconcileArguments, output: Output) -> Result<(), CliError> {
    let providers: Vec<&str> = arguments.provider.split(',').map(str::trim).collect();
    let mapping = mapping(arguments, providers[0])?;
    let mut lines = Vec::new();
    for file in &arguments.file {
        let at = |error: String| CliError::bad_input(format!("{}: {error}", file.display()));
        let rows = table::rows(&read(file)?).map_err(at)?;
        lines.extend(mapping.lines(&rows).map_err(at)?);
    }
    let asked = json!({"providers": providers, "lines": summed(lines)?, "post": arguments.post});
    let answer: Value = client.json(Call::post("/v1/usage/reconcile").json(&asked)).await?;
    match output {
        Output::Json => print(&answer.to_string()),
        Output::Text => tell(&answer, arguments.post),
    }
    Ok(())
}

fn mapping(arguments: &ReconcileArguments, provider: &str) -> Result<Mapping, CliError> {
    let own = match &arguments.mapping {
        None => None,
        Some(file) => {
            let name = file.display().to_string();
            let parsed = parse::parse(&read(file)?).map_err(|faults| CliError::faults(&name, &faults))?;
            let mapping =
                Mapping::read(parsed.tree).map_err(|error| CliError::bad_input(format!("{name}: {error}")))?;
            Some(mapping)
        }
    };
    let format = arguments.format.as_deref().unwrap_or(provider);
    match (own, Mapping::built_in(format)) {
        (Some(own), Ok(base)) => Ok(own.over(base)),
        (Some(own), Err(_)) if arguments.format.is_none() => Ok(own),
        (None, Ok(base)) => Ok(base),
        (_, Err(error)) => Err(CliError::bad_input(format!("--format: {error}"))),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    let too_long = std::fs::metadata(path).is_ok_and(|about| about.len() > MAX_FILE_BYTES);
    if too_long {
        let text = format!(
            "{}: it is longer than {MAX_FILE_BYTES} bytes; a shorter time",
            path.display()
        );
        return Err(CliError::bad_input(text));
    }
    check::read(path)
}

/// Reports of many rows a day are sent as what they add up to.
fn summed(lines: Vec<Line>) -> Result<Vec<Line>, CliError> {
    let mut all = BTreeMap::<(String, String, String), Line>::new();
    for line in lines {
        let key = (line.day.clone(), line.model.clone(), line.credential.clone());
        let Some(sum) = all.get_mut(&key) else {
            all.insert(key, line);
            continue;
        };
        for (name, count) in line.counts {
            let total = sum.counts.entry(name).or_default();
            *total = total.saturating_add(count);
        }
        for (total, more) in [(&mut sum.cost, line.cost), (&mut sum.rounded_by, line.rounded_by)] {
            *total = added(total.take(), more)?;
        }
    }
    Ok(all.into_values().collect())
}

fn added(one: Option<String>, other: Option<String>) -> Result<Option<String>, CliError> {
    let (Some(one), Some(other)) = (&one, &other) else {
        return Ok(one.or(other));
    };
    let sum = Picos::parse(one, 0)
        .zip(Picos::parse(other, 0))
        .map(|(one, other)| Picos(one.0 + other.0));
    sum.map(|sum| Some(sum.to_string()))
        .ok_or_else(|| CliError::failed(format!("{one} and {other} have no sum")))
}

fn tell(answer: &Value, post: bool) {
    let differences = answer["differences"].as_array().map_or(&[][..], Vec::as_slice);
    if !differences.is_empty() {
        let head = ["DAY", "MODEL", "CREDENTIAL", "THEIRS LESS OURS", "WHY"];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        lines.extend(differences.iter().map(line));
        print(&shown(&lines));
    }
    let ours = answer["ours_cost_usd"].as_str().unwrap_or_default();
    let costs = match answer["theirs_cost_usd"].as_str() {
        Some(theirs) => format!("the provider tells {theirs} USD, the ledger {ours} USD"),
        None => format!("the provider tells no costs, the ledger {ours} USD"),
    };
    print(&format!(
        "{} agree, {} differ; {costs}",
        answer["agree"],
        differences.len()
    ));
    if post {
        print(&format!("corrections posted: {}", answer["posted"]));
    }
}

fn line(difference: &Value) -> Vec<String> {
    let text = |name: &str| match difference[name].as_str().unwrap_or_default() {
        "" => "-".to_owned(),
        text => text.to_owned(),
    };
    let counts = difference["counts"].as_object();
    let mut off: Vec<String> = counts
        .into_iter()
        .flatten()
        .map(|(name, count)| format!("{name} {:+}", count.as_i64().unwrap_or(0)))
        .collect();
    if let Some(cost) = difference["cost_usd"].as_str() {
        let sign = if cost.starts_with('-') { "" } else { "+" };
        off.push(format!("{sign}{cost} USD"));
    }
    let causes = difference["causes"].as_array().map_or(&[][..], Vec::as_slice);
    let why: Vec<&str> = causes.iter().filter_map(|cause| cause["why"].as_str()).collect();
    vec![
        text("day"),
        text("model"),
        text("credential"),
        off.join(", "),
        why.join("; "),
    ]
}
