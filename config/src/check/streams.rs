//! `timeouts` of tokens, `keep_alive`, `resume` and `on_client_gone`: what is said of streams.

use serde_json::Value;

use super::{
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Retry, Streams, TokenTimeouts},
    keys,
};

/// `first_token` and `between_tokens`, of a provider or of a model.
pub fn token_timeouts(fields: &Fields) -> TokenTimeouts {
    TokenTimeouts {
        first_token_ms: fields.read("first_token", values::timeout_ms),
        between_tokens_ms: fields.read("between_tokens", values::timeout_ms),
    }
}

/// What a model says of its streams.
pub fn streams(fields: &Fields, retry: &Retry) -> Streams {
    let default = Streams::default();
    let resume = |node: &Node| match (values::boolean(node)?, retry.attempts) {
        (true, 1) => {
            let wrong = "`retry.attempts: 1` leaves no try to go on with";
            node.fault(wrong, "`attempts` of 2 or more, or remove `resume`");
            None
        }
        (resume, _) => Some(resume),
    };
    let timeouts = |node: &Node| Some(token_timeouts(&Fields::open(node, &keys::MODEL_TIMEOUTS)?));
    Streams {
        timeouts: fields.read("timeouts", timeouts).unwrap_or_default(),
        keep_alive_ms: fields.read("keep_alive", keep_alive).unwrap_or(default.keep_alive_ms),
        resume: fields.read("resume", resume).unwrap_or(default.resume),
        drain_ms: fields.read("on_client_gone", drain_ms).unwrap_or(default.drain_ms),
    }
}

/// `Some(None)`: `cancel`.
fn drain_ms(node: &Node) -> Option<Option<u64>> {
    match node.value {
        Value::String(word) if word == "cancel" => Some(None),
        Value::Object(_) => {
            let fields = Fields::open(node, &keys::ON_CLIENT_GONE)?;
            fields.required("drain", "drain: 5s", values::timeout_ms).map(Some)
        }
        _ => node.expected("cancel or a map", "cancel, or { drain: 5s }"),
    }
}

/// `Some(None)`: off.
fn keep_alive(node: &Node) -> Option<Option<u64>> {
    match node.value {
        Value::String(word) if word == "off" => Some(None),
        Value::String(_) => values::timeout_ms(node).map(Some),
        _ => node.expected("a duration or off", "a time without a word, such as 15s; or off"),
    }
}
