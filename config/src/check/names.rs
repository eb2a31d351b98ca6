//! Names: which are allowed, which exist, which is nearest to a wrong one.

use std::collections::HashSet;

use serde_json::Value;

use super::node::Node;

const MAX_NAME_BYTES: usize = 256;

/// The names the document defines, so that references are looked up and never searched.
pub struct Names<'d> {
    pub providers: HashSet<&'d str>,
    pub teams: HashSet<&'d str>,
    pub users: HashSet<&'d str>,
    pub models: HashSet<&'d str>,
    pub caches: HashSet<&'d str>,
    pub guards: HashSet<&'d str>,
    /// What stands before the star of wildcard models, and how long those are.
    wildcards: HashSet<&'d str>,
    wildcard_lengths: Vec<usize>,
}

impl<'d> Names<'d> {
    pub fn collect(tree: &'d Value) -> Self {
        let names = |section: &str| -> HashSet<&'d str> {
            let entries = tree.get(section).and_then(Value::as_object);
            entries
                .map(|map| map.keys().map(String::as_str).collect())
                .unwrap_or_default()
        };
        let models = names("models");
        let wildcards: HashSet<&str> = models.iter().filter_map(|name| name.strip_suffix('*')).collect();
        let lengths: HashSet<usize> = wildcards.iter().map(|prefix| prefix.len()).collect();
        let wildcard_lengths = lengths.into_iter().collect();
        Self {
            providers: names("providers"),
            teams: names("teams"),
            users: names("users"),
            caches: names("caches"),
            guards: names("guards"),
            models,
            wildcards,
            wildcard_lengths,
        }
    }

    /// A model of this name, or a wildcard that takes it.
    pub fn serves(&self, model: &str) -> bool {
        let by_wildcard = |length: &usize| {
            model
                .get(..*length)
                .is_some_and(|prefix| self.wildcards.contains(prefix))
        };
        self.models.contains(model) || self.wildcard_lengths.iter().any(by_wildcard)
    }
}

/// Reads a name that must be one of `known`; `what` is the word for it.
pub fn reference(node: &Node, what: &str, section: &str, known: &HashSet<&str>) -> Option<String> {
    let Value::String(name) = node.value else {
        return node.expected(&format!("the name of a {what}"), "a name");
    };
    if known.contains(name.as_str()) {
        return Some(name.clone());
    }
    let right = node.nearest_name(name, known.iter().copied(), || format!("a name from `{section}`"));
    node.fault(format!("there is no {what} `{}`", name.escape_debug()), right);
    None
}

/// Names of keys, teams and users: any text that fits on one line of a log.
pub fn name(node: &Node) {
    let name = node.name();
    let clean = !name.chars().any(char::is_control) && name.trim() == name;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !clean {
        node.fault(
            format!("`{}` cannot be a name", name.escape_debug()),
            "1 to 256 bytes without control characters and without spaces at the ends",
        );
    }
}

/// Names that go into headers and paths.
pub fn visible_name(node: &Node) {
    if !is_visible(node.name()) {
        node.fault(
            format!("`{}` cannot be a name", node.name().escape_debug()),
            "1 to 256 ASCII characters without spaces",
        );
    }
}

/// A model's name, or a wildcard: one star, at the end.
pub fn model_name(node: &Node) {
    visible_name(node);
    if !is_pattern(node.name()) {
        node.fault(
            format!("`{}` has a star that is not its end", node.name()),
            "one `*`, at the end: `openai/*`",
        );
    }
}

/// No star, or one at the end.
pub fn is_pattern(name: &str) -> bool {
    name.find('*').is_none_or(|star| star + 1 == name.len())
}

/// 1 to 256 visible ASCII characters: fit for a header.
pub fn is_visible(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The candidate with the fewest edits, when those are few for the word's length.
pub fn nearest<'n>(word: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > MAX_NAME_BYTES {
        return None;
    }
    let bound = (word.chars().count() / 3).max(1);
    let distance = |candidate: &'n str| (strsim::osa_distance(word, candidate), candidate);
    let close = |candidate: &&str| candidate.len().abs_diff(word.len()) <= 4 * bound;
    // Among equals the first in the alphabet, so that the same fault always reads the same.
    candidates
        .filter(close)
        .map(distance)
        .filter(|(edits, _)| *edits <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}
