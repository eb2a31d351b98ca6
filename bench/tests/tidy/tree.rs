//! The working tree as the rules see it: source files, their code without comments and tests, manifests. Knows no rule.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder that holds the workspace's Cargo.toml.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench/ lies in the workspace")
        .to_path_buf()
}

/// One text file of the tree; `path` is relative to the root, with `/`.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// Tests and benches may do what the code they test may not.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.contains("/tests/")
            || self.path.contains("/benches/")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }

    /// Lines of code with their numbers from 1, without whole-line comments and what follows `#[cfg(test)]` on an inline
    /// module (ours stand last in a file).
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = lines
            .windows(2)
            .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_end().ends_with('{'))
            .unwrap_or(lines.len());
        let numbered = lines
            .into_iter()
            .take(end)
            .enumerate()
            .map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// All files under `folder` (relative to the root) whose names end in one of `endings`; build outputs left out.
pub fn sources(folder: &str, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join(folder), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree can be listed") {
        let path = entry.expect("an entry of the tree can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let generated =
            ["target", "node_modules", "__pycache__", "corpus", "artifacts", "book"].contains(&name.as_str());
        if name.starts_with('.') || generated {
            continue;
        }
        if path.is_dir() {
            walk(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let text =
                String::from_utf8(fs::read(&path).expect("a source file can be read")).expect("sources are UTF-8");
            let path = path
                .strip_prefix(root())
                .expect("walked from the root")
                .to_string_lossy()
                .replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

/// Whole text of one file that must exist.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names in the `[dependencies]` table of a crate's manifest (not of its tests).
pub fn dependencies(folder: &str) -> Vec<String> {
    let manifest = read(&format!("{folder}/Cargo.toml"));
    let lines = manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1);
    lines
        .take_while(|line| !line.trim_start().starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next().map(str::trim))
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}
