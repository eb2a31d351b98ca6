//! `tollgate prices …`: what models cost. Needs no running gateway: the table is part of the program, a provider's own
//! prices come from a file of the configuration.

mod told;

use std::{collections::BTreeMap, path::PathBuf};

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tollgate_config::{
    catalogue::{self, Mode, ModelFacts},
    money::Discount,
    prices::{Prices, litellm, litellm::Imported},
};

use super::{CliError, Output, check, print, table};
use crate::time::rfc3339;

#[derive(Subcommand)]
pub enum PricesCommand {
    /// The sections of the built-in table, or the models of one
    List {
        section: Option<String>,
        /// Only names that contain this
        #[arg(long, value_name = "TEXT")]
        model: Option<String>,
    },
    /// All prices of a model: of the built-in table, or of a configuration's provider
    Show {
        /// A section, a kind of provider, or with --config a provider of that file
        provider: String,
        model: String,
        /// The prices that this configuration makes of it, by date
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// What LiteLLM's table of prices says otherwise than the built-in one
    Diff {
        /// model_prices_and_context_window.json; `-` reads standard input
        file: PathBuf,
        /// Only this section
        #[arg(long)]
        section: Option<String>,
    },
    /// LiteLLM's table of prices as `models:` of a provider's `prices`
    Import {
        /// model_prices_and_context_window.json; `-` reads standard input
        file: PathBuf,
        /// Which provider's models, by the name of our section
        #[arg(long)]
        section: String,
        /// Only names that contain this
        #[arg(long, value_name = "TEXT")]
        model: Option<String>,
    },
}

pub fn run(command: PricesCommand, output: Output) -> Result<(), CliError> {
    match command {
        PricesCommand::List { section: None, .. } => sections(output),
        PricesCommand::List {
            section: Some(section),
            model,
        } => list(known_section(&section)?, model.as_deref(), output),
        PricesCommand::Show {
            provider,
            model,
            config: None,
        } => show(known_section(&provider)?, &model, output),
        PricesCommand::Show {
            provider,
            model,
            config: Some(file),
        } => show_configured(&file, &provider, &model, output),
        PricesCommand::Diff { file, section } => diff(&file, section.as_deref(), output),
        PricesCommand::Import { file, section, model } => import(&file, &section, model.as_deref(), output),
    }
}

/// A section by its own name, or by that of a kind.
fn known_section(name: &str) -> Result<&'static str, CliError> {
    let of_kind = || catalogue::row(name)?.prices.as_deref();
    let found = catalogue::sections().find(|section| *section == name).or_else(of_kind);
    found.ok_or_else(|| {
        let all: Vec<&str> = catalogue::sections().collect();
        CliError::bad_input(format!("there are no prices `{name}`; one of {}", all.join(", ")))
    })
}

fn sections(output: Output) -> Result<(), CliError> {
    let (about, date) = catalogue::table_source();
    let count = |section, mode: fn(Mode) -> bool| {
        let models = catalogue::models(section).filter(|(_, facts)| facts.prices().is_some());
        models.filter(|(_, facts)| mode(facts.mode)).count()
    };
    let is_chat = |mode| !matches!(mode, Mode::Embedding | Mode::Rerank);
    let counts = catalogue::sections().map(|section| {
        let embedding = count(section, |mode| mode == Mode::Embedding);
        let rerank = count(section, |mode| mode == Mode::Rerank);
        (section, count(section, is_chat), embedding, rerank)
    });
    match output {
        Output::Json => {
            let sections: Map<String, Value> = counts
                .map(|(section, chat, embedding, rerank)| {
                    (
                        section.to_owned(),
                        json!({"chat": chat, "embedding": embedding, "rerank": rerank}),
                    )
                })
                .collect();
            print(&json!({"about": about, "date": date, "sections": sections}).to_string());
        }
        Output::Text => {
            let mut rows = vec![["SECTION", "CHAT", "EMBEDDING", "RERANK"].map(str::to_owned).to_vec()];
            rows.extend(counts.map(|(section, chat, embedding, rerank)| {
                vec![
                    section.to_owned(),
                    chat.to_string(),
                    embedding.to_string(),
                    rerank.to_string(),
                ]
            }));
            print(&table(&rows));
            print(&format!("of {date}; {about}"));
        }
    }
    Ok(())
}

fn list(section: &'static str, containing: Option<&str>, output: Output) -> Result<(), CliError> {
    let models = catalogue::models(section).filter(|(name, _)| containing.is_none_or(|text| name.contains(text)));
    match output {
        Output::Json => {
            let (_, date) = catalogue::table_source();
            let models: Vec<Value> = models.map(|(name, facts)| told::model(section, name, facts)).collect();
            print(&json!({"date": date, "models": models}).to_string());
        }
        Output::Text => {
            let head = ["MODEL", "INPUT", "CACHED", "OUTPUT", "WINDOW", "MOST OUT", "FEATURES"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            rows.extend(models.map(|(name, facts)| told::row(name, facts)));
            print(&table(&rows));
            print("USD for a million tokens; `tollgate prices show` tells the rest");
        }
    }
    Ok(())
}

fn show(section: &'static str, model: &str, output: Output) -> Result<(), CliError> {
    let Some(facts) = catalogue::facts(section, model) else {
        return Err(CliError::failed(format!(
            "`{section}` has no model `{model}`; see `tollgate prices list {section}`"
        )));
    };
    match output {
        Output::Json => print(&told::model(section, model, facts).to_string()),
        Output::Text => print(&told::sheet(section, model, facts)),
    }
    Ok(())
}

fn show_configured(file: &std::path::Path, provider: &str, model: &str, output: Output) -> Result<(), CliError> {
    let name = file.display().to_string();
    let (_, document) = check::read_document(&name, &check::read(file)?)?;
    let found = document.providers.iter().find(|(known, _)| known == provider);
    let Some((_, found)) = found else {
        return Err(CliError::bad_input(format!(
            "{name}: there is no provider `{provider}`"
        )));
    };
    let priced = found.prices.of(model, model);
    let mut versions = Vec::new();
    let mut text = Vec::new();
    for (from_unix_s, price) in priced.versions() {
        let from = (from_unix_s > 0).then(|| rfc3339(from_unix_s));
        let prices = price.map(|price| told::prices(price.prices));
        let discount = price
            .map(|price| price.discount)
            .filter(|discount| *discount != Discount::NONE);
        let version = price.map(|price| price.version().to_string());
        let since = from.as_deref().unwrap_or("always");
        text.push(match price {
            None => format!("from {since}: no price is known"),
            Some(price) => {
                let less = discount.map_or_else(String::new, |discount| format!(", less {discount}"));
                let version = price.version();
                format!("from {since}{less} (prices {version}):\n{}", told::grid(price.prices))
            }
        });
        versions.push(json!({
            "from": from, "discount": discount.map(|discount| discount.to_string()), "prices": prices, "version": version,
        }));
    }
    if versions.is_empty() {
        text.push("no price is known: the provider's kind has none, and `prices` says none".to_owned());
    }
    match output {
        Output::Json => print(&json!({"provider": provider, "model": model, "versions": versions}).to_string()),
        Output::Text => print(&text.join("\n")),
    }
    Ok(())
}

fn imported(file: &std::path::Path) -> Result<Vec<Imported>, CliError> {
    let fault = |wrong| CliError::bad_input(format!("{}: {wrong}", file.display()));
    litellm::read(&check::read(file)?).map_err(fault)
}

fn diff(file: &std::path::Path, only: Option<&str>, output: Output) -> Result<(), CliError> {
    let only = only.map(known_section).transpose()?;
    let mut theirs: BTreeMap<(String, String), Prices> = BTreeMap::new();
    for model in imported(file)?.into_iter().filter(|model| model.inexact.is_empty()) {
        if let Some(prices) = model.prices() {
            theirs.entry((model.section, model.model)).or_insert(prices);
        }
    }
    let sections = catalogue::sections().filter(|section| only.is_none_or(|only| only == *section));
    let mut changes = Vec::new();
    for section in sections {
        let ours: BTreeMap<&str, &ModelFacts> = catalogue::models(section).collect();
        let names = theirs
            .keys()
            .filter(|(of, _)| of == section)
            .map(|(_, model)| model.as_str());
        let names = names
            .chain(ours.keys().copied())
            .collect::<std::collections::BTreeSet<&str>>();
        for model in names {
            let their = theirs.get(&(section.to_owned(), model.to_owned()));
            let our = ours.get(model).and_then(|facts| facts.prices());
            changes.extend(
                told::changes(our, their)
                    .into_iter()
                    .map(|change| (section, model, change)),
            );
        }
    }
    match output {
        Output::Json => {
            let change = |(section, model, change): &(&str, &str, told::Change)| json!({"section": section, "model": model, "what": change.what, "old": change.old, "new": change.new});
            let changes: Vec<Value> = changes.iter().map(change).collect();
            print(&json!({ "changes": changes }).to_string());
        }
        Output::Text if changes.is_empty() => print("the same prices"),
        Output::Text => {
            for (section, model, change) in changes {
                print(&format!("{section}/{model}: {}", change.line()));
            }
        }
    }
    Ok(())
}

fn import(file: &std::path::Path, section: &str, containing: Option<&str>, output: Output) -> Result<(), CliError> {
    let section = known_section(section).unwrap_or(section);
    let (mut models, mut left_out) = (Map::new(), Map::new());
    for model in imported(file)? {
        if model.section != section || containing.is_some_and(|text| !model.model.contains(text)) {
            continue;
        }
        if !model.inexact.is_empty() {
            left_out.insert(model.model, model.inexact.into());
        } else if model.prices().is_some() {
            let configured = model.configured();
            // Where their table has a model twice, as in another region, the first counts.
            models.entry(model.model).or_insert(configured);
        }
    }
    if models.is_empty() {
        let file = file.display();
        return Err(CliError::failed(format!(
            "{file}: it has no price for a model of `{section}`"
        )));
    }
    match output {
        Output::Json => print(&json!({"models": models, "left_out": left_out}).to_string()),
        Output::Text => {
            for (model, why) in &left_out {
                print(&format!("# left out: {model}: no whole number of pico-dollars: {why}"));
            }
            print("models:");
            for (model, prices) in models {
                print(&format!("  {}: {prices}", json!(model)));
            }
        }
    }
    Ok(())
}
