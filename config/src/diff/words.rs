//! The words of a diff: how a value is shown, what is hidden, what a change does to running traffic.

use std::fmt;

use serde_json::Value;

#[derive(Clone, Copy)]
pub enum Did {
    Added,
    Removed,
    Changed,
}

impl Did {
    pub fn word(self) -> &'static str {
        match self {
            Did::Added => "added",
            Did::Removed => "removed",
            Did::Changed => "changed",
        }
    }
}

/// One step of the way to a value.
#[derive(Clone, Copy)]
pub enum Token<'v> {
    Key(&'v str),
    Index(usize),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Key(key) => write!(f, "{}", key.escape_debug()),
            Token::Index(index) => write!(f, "{index}"),
        }
    }
}

/// Keys under which nothing is shown, references apart.
const SECRETS: &[&str] = &["secret", "id_secret", "credential", "token"];
/// Keys under which nothing is shown at all: a hash says nothing to people, a header may say too much.
const HIDDEN: &[&str] = &["hash", "headers"];
const HIDDEN_VALUE: &str = "(hidden)";

pub fn is_hidden(path: &[Token]) -> bool {
    path.iter()
        .any(|token| matches!(token, Token::Key(key) if HIDDEN.contains(key)))
}

/// A value in one line.
pub fn shown(path: &[Token], value: &Value) -> String {
    const MAX_SHOWN_CHARS: usize = 120;
    let key = path.iter().rev().find_map(|token| match token {
        Token::Key(key) => Some(*key),
        Token::Index(_) => None,
    });
    if is_hidden(path) {
        return HIDDEN_VALUE.to_string();
    }
    let text = match redacted(key.unwrap_or_default(), value) {
        Value::String(text) => text.escape_debug().to_string(),
        Value::Null => "empty".to_string(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A copy without what is hidden. Where a secret belongs only references stay: what else is there may be the secret.
fn redacted(key: &str, value: &Value) -> Value {
    if HIDDEN.contains(&key) {
        return HIDDEN_VALUE.into();
    }
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), redacted(key, value)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| redacted(key, item)).collect(),
        Value::String(text) if SECRETS.contains(&key) && !is_reference(text) => HIDDEN_VALUE.into(),
        other => other.clone(),
    }
}

fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// What a change does to running traffic.
pub fn effect(path: &[Token], did: Did) -> &'static str {
    let part = |at: usize| match path.get(at) {
        Some(Token::Key(key)) => *key,
        _ => "",
    };
    let whole_entry = path.len() == 2;
    match (part(0), did) {
        ("listeners", Did::Added) if whole_entry => "listener opened",
        ("listeners", Did::Removed) if whole_entry => "listener closed; its open connections finish",
        ("listeners", _) if part(2) == "address" => "listener moved; connections to the old address finish",
        ("listeners", _) => "new connections only",
        ("admin", _) => "control plane HTTP reopened",
        ("client", _) => "new connections only",
        ("shards", _) => "at the next start of the data plane",
        ("shutdown_grace" | "drain_delay", _) => "at the next shutdown",
        ("keys", Did::Removed) if whole_entry => "refused from now on",
        ("keys", Did::Added) if whole_entry => "accepted from now on",
        ("models", Did::Removed) if whole_entry => "new requests for it are answered 404",
        ("caches", Did::Removed) if whole_entry => "what it kept is forgotten",
        ("caches", Did::Removed) if part(2) == "snapshot" => "its snapshot is removed from the disk",
        ("id_secret", _) => "ids of objects handed out before open nothing any more",
        ("cluster", Did::Added) if path.len() == 1 => {
            "limits are those of all nodes together, and begin with nothing used"
        }
        ("cluster", Did::Removed) if path.len() == 1 => {
            "each node grants the whole limit, and begins with nothing used"
        }
        ("cluster", _) => "leases go back and are taken anew",
        ("usage", _) if part(1) == "kafka" => "records that were not sent yet go there",
        ("version", _) => "none",
        _ => "new requests only",
    }
}
