//! `idempotency`: how calls are remembered that may come again.

use serde_json::Value;

use super::{
    node::{Fields, Node},
    values,
};
use crate::{
    document::{IDEMPOTENCY_PARTS, Idempotency},
    keys,
};

const MAX_WINDOW_MS: u64 = 24 * 3_600_000;

/// The inner `None`: off.
pub fn idempotency(node: &Node) -> Option<Option<Idempotency>> {
    match node.value {
        // `off` was false in YAML 1.1, and is when another program writes the document.
        Value::Bool(false) => return Some(None),
        Value::String(word) if word == "off" => return Some(None),
        Value::Object(_) => {}
        _ => return node.expected("a map or `off`", "off, or a map of window, max_bytes, max_answer"),
    }
    let fields = Fields::open(node, &keys::IDEMPOTENCY)?;
    let default = Idempotency::default();
    let read = Idempotency {
        window_ms: fields.read("window", window_ms).unwrap_or(default.window_ms),
        max_bytes: fields
            .read("max_bytes", values::size_bytes)
            .unwrap_or(default.max_bytes),
        max_answer_bytes: fields
            .read("max_answer", values::size_bytes)
            .unwrap_or(default.max_answer_bytes),
    };
    if read.max_answer_bytes > read.max_bytes / IDEMPOTENCY_PARTS {
        node.fault(
            format!(
                "`max_answer` is {} bytes and `max_bytes` {}",
                read.max_answer_bytes, read.max_bytes
            ),
            format!("a `max_bytes` of at least {IDEMPOTENCY_PARTS} times `max_answer`"),
        );
    }
    Some(Some(read))
}

fn window_ms(node: &Node) -> Option<u64> {
    let window_ms = values::timeout_ms(node)?;
    if window_ms <= MAX_WINDOW_MS {
        return Some(window_ms);
    }
    node.expected("a time to remember answers", "up to 24h, such as 10m")
}
