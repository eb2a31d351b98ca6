//! YAML (and so JSON) files that people write: mixes and demands. Errors name the file, the line, and what would be right.

use std::path::Path;

use serde::de::DeserializeOwned;

/// Reads a file into a type; the error is `FILE:LINE:COL: what is wrong`, with the type's own words after it.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|bad| format!("{name}: {bad}"))?;
    parse(&name.to_string(), &text)
}

/// The same from a text that was read already; `name` is what errors call it.
pub fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|bad| match bad.location() {
        Some(at) => format!("{name}:{}:{}: {}", at.line(), at.column(), bad.without_snippet()),
        None => format!("{name}: {}", bad.without_snippet()),
    })
}
