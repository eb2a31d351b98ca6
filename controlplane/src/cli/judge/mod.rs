//! `tollgate cache judge` and `tollgate route judge`: what would be decided for a file of the operator's own prompts, run
//! through exactly what the data plane runs. Nothing is sent, nothing is changed.

pub mod cache;
pub mod curve;
pub mod graded;
pub mod page;
mod plot;
pub mod route;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use tollgate_config::document::{Embedding, Reference};
use tollgate_engine::routing::meaning::Gauge;

use super::{CliError, Output, check};
use crate::truth;

/// Lines of a file that is judged.
const MAX_LINES: usize = 1_000_000;

#[derive(Subcommand)]
pub enum RouteCommand {
    /// What the complexity router would make of graded prompts: quality by the share that goes to the strong model
    Judge(route::RouteArguments),
}

/// What meaning is judged with, as `embedding` of the document has it.
#[derive(Args)]
pub struct With {
    /// A directory in the format of model2vec [default: the shipped model]
    #[arg(long, value_name = "DIRECTORY")]
    embedding: Option<PathBuf>,
    /// Weights that `tollgate tune` wrote [default: the shipped ones]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

impl With {
    /// Are there weights for the embedding model? Shipped ones are for the shipped model alone.
    pub fn judges(&self) -> bool {
        self.embedding.is_none() || self.weights.is_some()
    }

    /// Loads them as the data plane does.
    pub fn gauge(&self, judges_complexity: bool) -> Result<Gauge, CliError> {
        let file = |path: &PathBuf| Reference::File(path.to_string_lossy().trim_end_matches('/').to_owned());
        let embedding = Embedding {
            remote: None,
            model: self.embedding.as_ref().map(file),
            complexity: self.weights.as_ref().map(file),
        };
        let (files, unread) = truth::read_models(&embedding);
        let fault = |wrong: String| CliError::bad_input(wrong);
        if let Some(problem) = unread.first() {
            return Err(fault(format!("{}; {}", problem.wrong, problem.right)));
        }
        Gauge::load(&embedding, judges_complexity, &files).map_err(|problems| {
            let said = problems
                .iter()
                .map(|problem| format!("{}; {}", problem.wrong, problem.right));
            fault(said.collect::<Vec<_>>().join("\n"))
        })
    }
}

pub fn route(command: RouteCommand, output: Output) -> Result<(), CliError> {
    let RouteCommand::Judge(arguments) = command;
    route::run(&arguments, output)
}

/// A value for each line of a file; the first fault names its line.
fn lines<T: DeserializeOwned>(file: &Path, what: &str) -> Result<Vec<T>, CliError> {
    let text = check::read(file)?;
    let said = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut read = Vec::new();
    for (number, line) in said {
        if read.len() == MAX_LINES {
            return Err(CliError::bad_input(format!(
                "{}: more than {MAX_LINES} lines",
                file.display()
            )));
        }
        let one = serde_json::from_str(line)
            .map_err(|bad| CliError::bad_input(format!("{}:{}: {bad}; {what}", file.display(), number + 1)))?;
        read.push(one);
    }
    if read.is_empty() {
        return Err(CliError::bad_input(format!(
            "{}: no line in it; {what}",
            file.display()
        )));
    }
    Ok(read)
}

/// Writes a page beside what is printed.
pub fn write_page(file: Option<&PathBuf>, page: impl FnOnce() -> String) -> Result<(), CliError> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, page())
        .map_err(|error| CliError::failed(format!("{}: cannot be written: {error}", file.display())))
}

/// In percent, with one decimal.
pub fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}
