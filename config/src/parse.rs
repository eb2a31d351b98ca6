//! YAML or JSON text → a JSON tree and the position of each of its values.

use std::collections::HashMap;

use crate::problem::{Position, Problem};

/// A parsed text: the tree, and where each value (by JSON pointer) began.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub tree: serde_json::Value,
    pub positions: HashMap<String, Position>,
}

/// Parses YAML 1.2 (of which JSON is a subset). Faults: bad syntax, duplicate keys, aliases that expand beyond
/// bounds, non-string keys, nesting over 64, text over 64 MiB.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    let _ = text;
    todo!()
}
