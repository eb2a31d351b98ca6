//! YAML or JSON text → a JSON tree and the position of each of its values.

mod json;
mod positions;
mod scalar;
mod yaml;

use crate::{
    pointer,
    problem::{Position, Problem},
};

pub use positions::Positions;

/// A text over this is refused.
pub const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;
/// Lists and maps inside each other, the document itself being the first.
pub const MAX_DEPTH: usize = 64;
/// What anchors and aliases may copy in all, so that a few lines cannot unfold into gigabytes.
pub const MAX_ALIAS_BYTES: usize = 16 * 1024 * 1024;

/// A parsed text: the tree, and where each value (by JSON pointer) began. A list or map that is the value of a key
/// is said to begin at its key, because that is the line an operator looks for.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub tree: serde_json::Value,
    pub positions: Positions,
}

impl Parsed {
    /// A tree that did not come as text: faults in it have no position.
    pub fn from_tree(tree: serde_json::Value) -> Self {
        Self {
            tree,
            positions: Positions::default(),
        }
    }

    /// Where the value at `pointer` began, or else the nearest value around it that has a position.
    pub fn position(&self, pointer: &str) -> Option<Position> {
        let mut pointer = pointer;
        loop {
            if let Some(position) = self.positions.get(pointer) {
                return Some(position);
            }
            pointer = pointer::parent(pointer)?;
        }
    }
}

/// Parses YAML 1.2 (of which JSON is a subset). Faults: bad syntax, duplicate keys, aliases that expand beyond
/// bounds, non-string keys, nesting over 64, text over 64 MiB.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    if text.len() > MAX_TEXT_BYTES {
        let wrong = format!("the text has {} bytes", text.len());
        return Err(vec![Problem::new("", wrong, format!("at most {MAX_TEXT_BYTES} bytes"))]);
    }
    // What is JSON is read as JSON: several times faster, and JSON's surrogate escapes are not YAML's.
    match json::parse(text) {
        Some(result) => result,
        None => yaml::parse(text),
    }
}

/// The fault of a key written twice in one map.
fn duplicate(pointer: &str, key: &str, first: Option<Position>, second: Position) -> Problem {
    let right = match first {
        Some(first) => format!("keep one of the two; the first is on line {}", first.line),
        None => "keep one of the two".to_string(),
    };
    Problem::new(
        pointer,
        format!("the key `{}` is written twice", key.escape_debug()),
        right,
    )
    .at(second)
}

fn too_deep(pointer: &str, position: Position) -> Problem {
    let wrong = format!("lists and maps are nested more than {MAX_DEPTH} deep");
    Problem::new(pointer, wrong, "a flatter document").at(position)
}
