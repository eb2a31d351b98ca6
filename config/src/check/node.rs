//! A value of the tree that knows its way from the root, so that a fault can name its pointer; nothing is written
//! down for values that are right. Knows no key by name.

use std::cell::{Cell, RefCell};

use serde_json::{Map, Value};

use super::names;
use crate::{document::Named, keys::Section, pointer, problem::Problem};

/// The faults found so far.
#[derive(Debug)]
pub struct Faults {
    problems: RefCell<Vec<Problem>>,
    /// Looking for the nearest of ten thousand names is quick once and slow a hundred thousand times.
    searches_left: Cell<u32>,
}

impl Default for Faults {
    fn default() -> Self {
        const MAX_NAME_SEARCHES: u32 = 50;
        Self {
            problems: RefCell::default(),
            searches_left: Cell::new(MAX_NAME_SEARCHES),
        }
    }
}

impl Faults {
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub value: &'a Value,
    step: Step<'a>,
    parent: Option<&'a Node<'a>>,
    faults: &'a Faults,
}

impl<'a> Node<'a> {
    pub fn root(value: &'a Value, faults: &'a Faults) -> Self {
        Self {
            value,
            step: Step::Root,
            parent: None,
            faults,
        }
    }

    /// An RFC 6901 pointer to this value.
    pub fn pointer(&self) -> String {
        let mut pointer = self.parent.map(Node::pointer).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) => pointer::push(&mut pointer, key),
            Step::Index(index) => pointer::push(&mut pointer, &index.to_string()),
        }
        pointer
    }

    /// The name under which this value stands in its map.
    pub fn name(&self) -> &'a str {
        match self.step {
            Step::Key(key) => key,
            Step::Root | Step::Index(_) => "",
        }
    }

    pub fn fault(&self, wrong: impl Into<String>, right: impl Into<String>) {
        self.faults
            .problems
            .borrow_mut()
            .push(Problem::new(self.pointer(), wrong, right));
    }

    /// Notes that the value is not `what`, and gives nothing.
    pub fn expected<T>(&self, what: &str, right: impl Into<String>) -> Option<T> {
        self.fault(format!("{} is not {what}", self.shown()), right);
        None
    }

    /// The same for values that may be secrets put in the wrong place: they are not repeated.
    pub fn expected_unseen<T>(&self, what: &str, right: impl Into<String>) -> Option<T> {
        self.fault(format!("this {} is not {what}", kind(self.value)), right);
        None
    }

    pub fn not_yet<T>(&self, what: &str, right: impl Into<String>) -> Option<T> {
        self.fault(format!("`{what}` is not supported yet"), right);
        None
    }

    /// The value as a fault shows it.
    pub fn shown(&self) -> String {
        const MAX_SHOWN_CHARS: usize = 60;
        match self.value {
            Value::String(text) if text.chars().count() > MAX_SHOWN_CHARS => {
                let begin: String = text.chars().take(MAX_SHOWN_CHARS).collect();
                format!("`{}…`", begin.escape_debug())
            }
            Value::String(text) => format!("`{}`", text.escape_debug()),
            Value::Bool(_) | Value::Number(_) => format!("`{}`", self.value),
            Value::Null => "an empty value".to_string(),
            Value::Array(_) => "a list".to_string(),
            Value::Object(_) => "a map".to_string(),
        }
    }

    /// A fault's better half: the nearest of many names, or else the fallback.
    pub fn nearest_name<'n>(
        &self,
        word: &str,
        names: impl Iterator<Item = &'n str>,
        otherwise: impl FnOnce() -> String,
    ) -> String {
        let left = self.faults.searches_left.get();
        if left == 0 {
            return otherwise();
        }
        self.faults.searches_left.set(left - 1);
        names::nearest(word, names).map_or_else(otherwise, |near| format!("did you mean `{near}`?"))
    }

    pub fn key<'b>(&'b self, key: &'b str, value: &'b Value) -> Node<'b> {
        Node {
            value,
            step: Step::Key(key),
            parent: Some(self),
            faults: self.faults,
        }
    }

    /// Looks at the value of a key, where there is one.
    pub fn at(&self, key: &str, look: impl FnOnce(&Node)) {
        if let Some(value) = self.value.get(key) {
            look(&self.key(key, value));
        }
    }

    /// The items of a list, each read; those at fault are left out.
    pub fn list<T>(&self, what: &str, right: &str, mut read: impl FnMut(&Node) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(items) = self.value else {
            return self.expected(what, right);
        };
        let node = |(index, value)| Node {
            value,
            step: Step::Index(index),
            parent: Some(self),
            faults: self.faults,
        };
        Some(
            items
                .iter()
                .enumerate()
                .map(node)
                .filter_map(|item| read(&item))
                .collect(),
        )
    }
}

/// A map whose keys are known: unknown ones were noted when it was opened.
pub struct Fields<'a> {
    node: &'a Node<'a>,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// An empty value (`teams:` with nothing below) is an empty map.
    pub fn open(node: &'a Node<'a>, section: &Section) -> Option<Self> {
        match node.value {
            Value::Null => Some(Self { node, map: None }),
            Value::Object(map) => {
                for (key, value) in map {
                    refuse_unknown(&node.key(key, value), section);
                }
                Some(Self { node, map: Some(map) })
            }
            _ => node.expected("a map", format!("a map of {}", section.now.join(", "))),
        }
    }

    pub fn get(&self, key: &'a str) -> Option<Node<'a>> {
        let value = self.map?.get(key)?;
        Some(self.node.key(key, value))
    }

    /// Reads a key that may be absent.
    pub fn read<T>(&self, key: &'a str, read: impl FnOnce(&Node) -> Option<T>) -> Option<T> {
        self.get(key).and_then(|node| read(&node))
    }

    /// Reads a key whose absence is a fault.
    pub fn required<T>(&self, key: &'a str, right: &str, read: impl FnOnce(&Node) -> Option<T>) -> Option<T> {
        match self.get(key) {
            Some(node) => read(&node),
            None => {
                self.node
                    .fault(format!("`{key}` is missing"), format!("{key}: {right}"));
                None
            }
        }
    }

    /// Reads a map of entries that the operator named; those at fault are left out.
    pub fn named<T>(
        &self,
        key: &'a str,
        check_name: impl Fn(&Node),
        mut read: impl FnMut(&Node) -> Option<T>,
    ) -> Named<T> {
        let Some(node) = self.get(key) else { return Named::new() };
        let map = match node.value {
            Value::Object(map) => map,
            Value::Null => return Named::new(),
            _ => {
                return node
                    .expected("a map", "a map of names, each with a map of its own")
                    .unwrap_or_default();
            }
        };
        let mut entries = Named::with_capacity(map.len());
        for (name, value) in map {
            let entry = node.key(name, value);
            check_name(&entry);
            if let Some(read) = read(&entry) {
                entries.push((name.clone(), read));
            }
        }
        entries
    }
}

fn refuse_unknown(node: &Node, section: &Section) {
    let key = node.name();
    if section.now.contains(&key) {
        return;
    }
    if section.not_yet.contains(&key) {
        node.fault(format!("`{key}` is not supported yet"), format!("remove `{key}`"));
        return;
    }
    let known = section.now.iter().chain(section.not_yet).copied();
    let right = match names::nearest(key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", section.now.join(", ")),
    };
    node.fault(format!("unknown key `{}`", key.escape_debug()), right);
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty value",
        Value::Bool(_) | Value::Number(_) => "value",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}
