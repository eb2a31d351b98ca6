//! `tollgate check FILE`: every fault at once, without a running gateway. Secrets are not read, so that a file can be
//! checked where they are not.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tollgate_config::{
    Document, check,
    document::Reference,
    parse::{self, Parsed},
};
use tollgate_engine::snapshot::{self, Secrets};

use super::{CliError, Output, print};

#[derive(Args)]
pub struct CheckArguments {
    /// YAML or JSON; `-` reads standard input
    file: PathBuf,
}

pub fn run(arguments: &CheckArguments, output: Output) -> Result<(), CliError> {
    let text = read(&arguments.file)?;
    let name = arguments.file.display().to_string();
    let (_, document) = read_document(&name, &text)?;
    let urls: Vec<(String, String)> = document
        .providers
        .iter()
        .map(|(n, p)| (n.clone(), url(&p.base_url)))
        .collect();
    match output {
        Output::Json => {
            let providers: Value = urls.into_iter().map(|(name, url)| (name, Value::from(url))).collect();
            print(&json!({"valid": true, "problems": [], "providers": providers}).to_string());
        }
        Output::Text => {
            print(&format!("{name}: ok"));
            for (provider, url) in urls {
                print(&format!("provider {provider}: {url}"));
            }
        }
    }
    Ok(())
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
    let faults = |problems: Vec<_>| CliError::faults(name, &problems);
    let parsed = parse::parse(text).map_err(faults)?;
    let document = check::check(&parsed).map_err(faults)?;
    let secrets = snapshot::references(&document).into_iter().enumerate();
    let secrets: Secrets = secrets
        .map(|(n, (reference, _)): (usize, (Reference, _))| (reference, stand_in(n)))
        .collect();
    snapshot::compile(0, document.clone(), &secrets).map_err(|mut problems| {
        for problem in &mut problems {
            problem.position = problem.position.or_else(|| parsed.position(&problem.pointer));
        }
        faults(problems)
    })?;
    Ok((parsed, document))
}

/// No two alike: two keys may not share a secret.
fn stand_in(number: usize) -> Vec<u8> {
    format!("stand-in:{number}").into_bytes()
}

fn url(base: &tollgate_config::document::BaseUrl) -> String {
    let (scheme, usual) = if base.tls { ("https", 443) } else { ("http", 80) };
    let host = if base.host.contains(':') {
        format!("[{}]", base.host.trim_matches(['[', ']']))
    } else {
        base.host.clone()
    };
    match base.port {
        port if port == usual => format!("{scheme}://{host}{}", base.prefix),
        port => format!("{scheme}://{host}:{port}{}", base.prefix),
    }
}
