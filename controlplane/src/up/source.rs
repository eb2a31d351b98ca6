//! What a start brings into force: the file when it differs from the one last applied, else the stored revision, else
//! the quick start.

use std::path::Path;

use serde_json::Value;
use tollgate_config::{Document, check, parse::Parsed, quickstart};

use super::{remember, sandbox::Sandbox};
use crate::{
    cli::CliError,
    identity::sha256_hex,
    plane::Plane,
    store::settings::{self, CONFIG_FILE_SHA256},
};

/// A `--config` file as read.
pub struct ConfigFile {
    name: String,
    text: String,
    sha256: String,
}

pub enum Source {
    /// What the store has.
    Stored,
    New(Box<NewDocument>),
}

impl Source {
    /// What is to be in force.
    pub fn document(&self, plane: &Plane) -> Document {
        match self {
            Source::Stored => plane.current().document.clone(),
            Source::New(new) => new.document.clone(),
        }
    }
}

/// A document that becomes a revision.
pub struct NewDocument {
    /// For messages: the file's name, or `quick start`.
    pub name: String,
    pub who: &'static str,
    pub why: Option<String>,
    pub parsed: Parsed,
    pub document: Document,
    /// The file it came from, by hash.
    sha256: Option<String>,
}

impl NewDocument {
    /// Once it is in force: the same file is not applied again, and a file ends the quick start.
    pub async fn remember(&self, plane: &Plane) {
        if let Some(sha256) = &self.sha256 {
            remember(plane, CONFIG_FILE_SHA256, Some(sha256.clone())).await;
            super::forget_sandbox(plane).await;
        }
    }
}

pub fn read(path: &Path) -> Result<ConfigFile, CliError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|e| CliError::bad_input(format!("{}: cannot be read: {e}", path.display())))?;
    let sha256 = sha256_hex(text.as_bytes());
    Ok(ConfigFile {
        name: path.display().to_string(),
        text,
        sha256,
    })
}

/// `None` when the file is the one last applied.
pub async fn read_if_changed(plane: &Plane, path: &Path) -> Result<Option<NewDocument>, CliError> {
    let file = read(path)?;
    if is_last_applied(plane, &file).await? {
        return Ok(None);
    }
    Ok(Some(parsed(file)?))
}

/// Decides, and starts the sandbox provider where the quick start needs it.
pub async fn decide(plane: &Plane, file: Option<ConfigFile>, sandbox: &mut Sandbox) -> Result<Source, CliError> {
    let has_stored = plane.current().revision > 0;
    match file {
        Some(file) if has_stored && is_last_applied(plane, &file).await? => Ok(Source::Stored),
        Some(file) => Ok(Source::New(Box::new(parsed(file)?))),
        None if has_stored => stored(plane, sandbox).await,
        None => {
            let address = sandbox.start().await.map_err(CliError::failed)?;
            let tree = quickstart::quickstart(address);
            Ok(Source::New(Box::new(built_in(tree, "the built-in quick start")?)))
        }
    }
}

/// The stored revision; when it is the quick start's, its sandbox too, whose port may have changed.
async fn stored(plane: &Plane, sandbox: &mut Sandbox) -> Result<Source, CliError> {
    let Some(former) = sandbox.remembered().await else {
        return Ok(Source::Stored);
    };
    let mut tree = plane.current().tree.clone();
    let old_url = Value::from(format!("http://{former}"));
    let providers = tree.get("providers").and_then(Value::as_object);
    if !providers.is_some_and(|p| p.values().any(|provider| provider["base_url"] == old_url)) {
        // Somebody configured real providers since.
        super::forget_sandbox(plane).await;
        return Ok(Source::Stored);
    }
    let address = sandbox.start().await.map_err(CliError::failed)?;
    if address == former {
        return Ok(Source::Stored);
    }
    let new_url = Value::from(format!("http://{address}"));
    for provider in tree["providers"]
        .as_object_mut()
        .into_iter()
        .flat_map(|p| p.values_mut())
    {
        if provider["base_url"] == old_url {
            provider["base_url"] = new_url.clone();
        }
    }
    Ok(Source::New(Box::new(built_in(tree, "the sandbox has another port")?)))
}

async fn is_last_applied(plane: &Plane, file: &ConfigFile) -> Result<bool, CliError> {
    let last = plane.store.setting(settings::CONFIG_FILE_SHA256).await;
    let last = last.map_err(|e| CliError::failed(e.to_string()))?;
    Ok(last.as_ref() == Some(&file.sha256))
}

fn parsed(file: ConfigFile) -> Result<NewDocument, CliError> {
    let faults = |problems: Vec<_>| CliError::faults(&file.name, &problems);
    let parsed = tollgate_config::parse::parse(&file.text).map_err(faults)?;
    let document = check::check(&parsed).map_err(faults)?;
    let why = Some(format!("{} changed", file.name));
    Ok(NewDocument {
        name: file.name,
        who: "file",
        why,
        parsed,
        document,
        sha256: Some(file.sha256),
    })
}

fn built_in(tree: Value, why: &str) -> Result<NewDocument, CliError> {
    let parsed = Parsed::from_tree(tree);
    let name = "quick start".to_owned();
    let document = check::check(&parsed).map_err(|problems| CliError::faults(&name, &problems))?;
    Ok(NewDocument {
        name,
        who: "quick start",
        why: Some(why.to_owned()),
        parsed,
        document,
        sha256: None,
    })
}
