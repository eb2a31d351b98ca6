//! A fault in a configuration: where it is, what is wrong, what would be right.

use serde::{Deserialize, Serialize};

/// Line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// One fault. `pointer` is an RFC 6901 JSON pointer (`""` for the whole document).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub pointer: String,
    /// Known when the document came as text.
    pub position: Option<Position>,
    pub wrong: String,
    pub right: String,
}

impl Problem {
    pub fn new(pointer: impl Into<String>, wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            position: None,
            wrong: wrong.into(),
            right: right.into(),
        }
    }

    /// The same fault, at a place in the text.
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// `FILE:LINE:COL: /json/pointer: what is wrong; what would be right`
    pub fn line(&self, file: &str) -> String {
        let (line, column) = self.position.map_or((1, 1), |p| (p.line, p.column));
        format!(
            "{file}:{line}:{column}: {}: {}; {}",
            self.pointer, self.wrong, self.right
        )
    }
}
