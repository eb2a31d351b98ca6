//! `tollgate check FILE`: every fault at once, without a running gateway. Secrets are not read, so that a file can be
//! checked where they are not; what meaning is judged with is, where it is there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};
use tollgate_config::{
    Document, Problem,
    catalogue::{Operation, path},
    check,
    document::{BaseUrl, Provider, Reference},
    parse::{self, Parsed},
};
use tollgate_engine::snapshot::{self, Secrets, Snapshot};

use super::{CliError, Output, print};
use crate::truth;

#[derive(Args)]
pub struct CheckArguments {
    /// YAML or JSON; `-` reads standard input
    file: PathBuf,
}

pub fn run(arguments: &CheckArguments, output: Output) -> Result<(), CliError> {
    let text = read(&arguments.file)?;
    let name = arguments.file.display().to_string();
    let (parsed, document) = read_document(&name, &text)?;
    judge_models(&name, (&parsed, &document))?;
    let (urls, through) = (urls(&document), pass_through(&document));
    match output {
        Output::Json => {
            let chat = urls
                .iter()
                .filter(|url| url.operation == Operation::Chat && url.target.is_none());
            let providers: Value = chat.map(|url| (url.provider, Value::from(&*url.url))).collect();
            let urls: Vec<Value> = urls.iter().map(Url::json).collect();
            let through: Value = through.into_iter().collect();
            print(
                &json!({
                    "valid": true, "problems": [], "providers": providers, "urls": urls, "pass_through": through,
                })
                .to_string(),
            );
        }
        Output::Text => {
            print(&format!("{name}: ok"));
            for url in urls {
                print(&url.line());
            }
            for (path, url) in through {
                print(&format!("{path}: {url}"));
            }
        }
    }
    Ok(())
}

/// Where calls go.
struct Url<'d> {
    provider: &'d str,
    operation: Operation,
    /// A model of ours and the provider's name of it, where the address depends on that.
    target: Option<(&'d str, &'d str)>,
    url: String,
}

impl Url<'_> {
    fn line(&self) -> String {
        let Url {
            provider,
            operation,
            target,
            url,
        } = self;
        let what = match operation {
            Operation::Chat => String::new(),
            other => format!(" {}", other.name()),
        };
        match target {
            None => format!("provider {provider}{what}: {url}"),
            Some((model, _)) => format!("model {model} at {provider}{what}: {url}"),
        }
    }

    fn json(&self) -> Value {
        let (model, target) = self.target.unzip();
        json!({
            "provider": self.provider,
            "operation": self.operation.name(),
            "model": model,
            "target_model": target,
            "url": self.url,
        })
    }
}

/// Of every provider, and of every target whose name stands in the address.
fn urls(document: &Document) -> Vec<Url<'_>> {
    let mut urls = Vec::new();
    for (name, provider) in &document.providers {
        for operation in operations(provider) {
            urls.extend(provider.url(operation, None).map(|url| Url {
                provider: name,
                operation,
                target: None,
                url,
            }));
        }
    }
    let providers: HashMap<&str, &Provider> = document.providers.iter().map(|(name, p)| (name.as_str(), p)).collect();
    for (model, entry) in &document.models {
        for target in &entry.targets {
            let Some(provider) = providers.get(target.provider.as_str()) else {
                continue;
            };
            let named = provider.paths.chat.around_model().is_some() && !target.model.contains('*');
            for operation in operations(provider).filter(|_| named) {
                urls.extend(provider.url(operation, Some(&target.model)).map(|url| Url {
                    provider: &target.provider,
                    operation,
                    target: Some((model, &target.model)),
                    url,
                }));
            }
        }
    }
    urls
}

/// Where keys with `pass_through: true` reach the providers themselves: behind the host, without `base_url`'s own path. A
/// document without such a key has no such paths.
fn pass_through(document: &Document) -> Vec<(String, String)> {
    let line = |(name, provider): &(String, Provider)| {
        let host = BaseUrl {
            prefix: String::new(),
            ..provider.base_url.clone()
        };
        let mut segment = Vec::new();
        path::write_segment(name, &mut segment);
        let segment = String::from_utf8_lossy(&segment);
        (format!("/providers/{segment}/…"), format!("{host}/…"))
    };
    let any = document.keys.iter().any(|(_, key)| key.pass_through);
    document.providers.iter().filter(|_| any).map(line).collect()
}

/// A chat's, and a stream's where that has a path of its own.
fn operations(provider: &Provider) -> impl Iterator<Item = Operation> {
    let paths = &provider.paths;
    let stream = (paths.stream != paths.chat).then_some(Operation::Stream);
    std::iter::once(Operation::Chat).chain(stream)
}

/// The file's text; `-` is standard input.
pub fn read(file: &Path) -> Result<String, CliError> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| CliError::bad_input(format!("{}: cannot be read: {error}", file.display())))
}

/// Parses, checks and compiles, with stand-ins for secrets.
pub fn read_document(name: &str, text: &str) -> Result<(Parsed, Document), CliError> {
    let parsed = parse::parse(text).map_err(|problems| CliError::faults(name, &problems))?;
    let document = check::check(&parsed).map_err(|problems| CliError::faults(name, &problems))?;
    compile(name, (&parsed, &document), Secrets::new())?;
    Ok((parsed, document))
}

/// A gateway that starts with a model or weights that it cannot use sends every call to a default: that is told before.
fn judge_models(name: &str, read: (&Parsed, &Document)) -> Result<(), CliError> {
    let (models, unread) = truth::read_models(&read.1.embedding);
    if models.is_empty() {
        return Ok(());
    }
    let mut faults = compile(name, read, models)?.meaning_faults;
    faults.retain(|fault| unread.iter().all(|unread| unread.pointer != fault.pointer));
    match faults.is_empty() {
        true => Ok(()),
        false => Err(located(name, read.0, faults)),
    }
}

fn compile(name: &str, (parsed, document): (&Parsed, &Document), models: Secrets) -> Result<Snapshot, CliError> {
    let secrets = snapshot::references(document).into_iter().enumerate();
    let mut secrets: Secrets = secrets
        .map(|(n, (reference, _)): (usize, (Reference, _))| (reference, stand_in(n)))
        .collect();
    secrets.extend(models);
    snapshot::compile(0, document.clone(), &secrets).map_err(|problems| located(name, parsed, problems))
}

fn located(name: &str, parsed: &Parsed, mut problems: Vec<Problem>) -> CliError {
    for problem in &mut problems {
        problem.position = problem.position.or_else(|| parsed.position(&problem.pointer));
    }
    CliError::faults(name, &problems)
}

/// No two alike, since two keys may not share a secret; and as long as those have to be that others are made of.
fn stand_in(number: usize) -> Vec<u8> {
    format!("stand-in:{number:032}").into_bytes()
}
