//! What changes between two trees, in words an operator reads, and the effect. Works on trees, so that a document
//! that is about to be refused can be described as well; values that may be secrets are not repeated.

mod words;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::pointer;
use words::{Did, Token};

/// One change. `summary` is a sentence such as `models/smart: target openai/gpt-5.4 added`; `effect` says what it
/// does to running traffic (`new requests only`, `listener opened`, …).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub pointer: String,
    pub summary: String,
    pub effect: String,
}

/// Sections whose entries the operator names, and the word for one entry.
const NAMED: &[(&str, &str)] = &[
    ("listeners", "listener"),
    ("providers", "provider"),
    ("models", "model"),
    ("teams", "team"),
    ("users", "user"),
    ("keys", "key"),
    ("tags", "tag"),
    ("webhooks", "webhook"),
    ("caches", "cache"),
    ("guards", "guard"),
];

/// The changes that lead from `old` to `new`, in document order; empty when equal.
pub fn diff(old: &Value, new: &Value) -> Vec<Change> {
    let mut differ = Differ {
        changes: Vec::new(),
        path: Vec::new(),
    };
    differ.value(old, new);
    differ.changes
}

struct Differ<'v> {
    changes: Vec<Change>,
    path: Vec<Token<'v>>,
}

impl<'v> Differ<'v> {
    fn value(&mut self, old: &'v Value, new: &'v Value) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => self.map(Some(old), Some(new)),
            // An empty section and an absent one are the same to `check`, and still two texts.
            (Value::Null, Value::Object(new)) if !new.is_empty() => self.map(None, Some(new)),
            (Value::Object(old), Value::Null) if !old.is_empty() => self.map(Some(old), None),
            (Value::Array(old), Value::Array(new)) => self.list(old, new),
            _ if old != new => self.leaf(old, new),
            _ => {}
        }
    }

    /// What the new document has, in its order, and then what it no longer has.
    fn map(&mut self, old: Option<&'v Map<String, Value>>, new: Option<&'v Map<String, Value>>) {
        for (key, value) in new.into_iter().flatten() {
            self.path.push(Token::Key(key));
            match old.and_then(|old| old.get(key)) {
                Some(before) => self.value(before, value),
                None => self.one_sided(Did::Added, value),
            }
            self.path.pop();
        }
        for (key, value) in old.into_iter().flatten() {
            if new.is_none_or(|new| !new.contains_key(key)) {
                self.path.push(Token::Key(key));
                self.one_sided(Did::Removed, value);
                self.path.pop();
            }
        }
    }

    /// A value on one side only. A whole section is told entry by entry.
    fn one_sided(&mut self, did: Did, value: &'v Value) {
        let section = self.path.len() == 1 && self.entry_word().is_some();
        if let (true, Value::Object(map)) = (section, value)
            && !map.is_empty()
        {
            for (name, value) in map {
                self.path.push(Token::Key(name));
                self.one_sided(did, value);
                self.path.pop();
            }
            return;
        }
        let summary = match self.entry() {
            Some(word) => format!("{word} `{}` {}", self.last(), did.word()),
            None => {
                let (place, name) = self.place();
                format!("{place}{name} {}: {}", did.word(), self.shown(value))
            }
        };
        self.note(did, summary);
    }

    fn leaf(&mut self, old: &Value, new: &Value) {
        let (place, name) = self.place();
        let summary = match words::is_hidden(&self.path) {
            true => format!("{place}{name} changed"),
            false => format!("{place}{name}: {} → {}", self.shown(old), self.shown(new)),
        };
        self.note(Did::Changed, summary);
    }

    /// Items added and removed, each by what it says; moved ones as a new order.
    fn list(&mut self, old: &'v [Value], new: &'v [Value]) {
        if old == new {
            return;
        }
        if old.len() == new.len() && new.iter().all(Value::is_object) && differing(old, new) == 1 {
            return self.one_item(old, new);
        }
        let key = |item: &Value| canonical(item).to_string();
        let (was, is): (Counted, Counted) = (count(old.iter().map(key)), count(new.iter().map(key)));
        let before = self.changes.len();
        self.surplus(Did::Added, new, was, &key);
        self.surplus(Did::Removed, old, is, &key);
        if self.changes.len() == before {
            let (place, name) = self.place();
            let order: Vec<String> = new.iter().map(|item| self.item(item)).collect();
            self.note(
                Did::Changed,
                format!("{place}{name} in another order: {}", order.join(", ")),
            );
        }
    }

    fn one_item(&mut self, old: &'v [Value], new: &'v [Value]) {
        for (index, (old, new)) in old.iter().zip(new).enumerate() {
            self.path.push(Token::Index(index));
            self.value(old, new);
            self.path.pop();
        }
    }

    /// Notes the items that the other side, as counted, does not have.
    fn surplus(&mut self, did: Did, items: &'v [Value], mut other: Counted, key: &impl Fn(&Value) -> String) {
        for (index, item) in items.iter().enumerate() {
            if let Some(left) = other.get_mut(&key(item)).filter(|left| **left > 0) {
                *left -= 1;
                continue;
            }
            let (place, name) = self.place();
            let one = match name.as_str() {
                "targets" => "target",
                "models" => "model",
                other => other,
            };
            let summary = format!("{place}{one} {} {}", self.item(item), did.word());
            self.path.push(Token::Index(index));
            self.note(did, summary);
            self.path.pop();
        }
    }

    /// A list's item in few words: a target as `provider/model`.
    fn item(&self, item: &Value) -> String {
        let text = |key| item.get(key).and_then(Value::as_str);
        match (text("provider"), text("model")) {
            (Some(provider), Some(model)) => format!("{provider}/{model}"),
            _ => self.shown(item),
        }
    }

    fn note(&mut self, did: Did, summary: String) {
        let effect = words::effect(&self.path, did).to_string();
        self.changes.push(Change {
            pointer: self.pointer(),
            summary,
            effect,
        });
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for token in &self.path {
            match token {
                Token::Key(key) => pointer::push(&mut pointer, key),
                Token::Index(index) => pointer::push(&mut pointer, &index.to_string()),
            }
        }
        pointer
    }

    /// Where a change is (`models/smart: `, empty at the top) and the name of what changed there.
    fn place(&self) -> (String, String) {
        let in_entry = self.entry_word().is_some() && self.path.len() > 2;
        let outer = if in_entry { 2 } else { 0 };
        let words = |tokens: &[Token]| tokens.iter().map(Token::to_string).collect::<Vec<_>>();
        let (place, name) = self.path.split_at(outer);
        let place = match place {
            [] => String::new(),
            tokens => format!("{}: ", words(tokens).join("/")),
        };
        let name = match name {
            [] => "the document".to_string(),
            tokens => words(tokens).join("."),
        };
        (place, name)
    }

    /// The word for entries of the section that the path is in.
    fn entry_word(&self) -> Option<&'static str> {
        let Some(Token::Key(section)) = self.path.first() else {
            return None;
        };
        NAMED.iter().find(|(name, _)| name == section).map(|(_, word)| *word)
    }

    /// The same, when the path leads to a whole entry.
    fn entry(&self) -> Option<&'static str> {
        if self.path.len() == 2 { self.entry_word() } else { None }
    }

    fn last(&self) -> String {
        self.path.last().map(Token::to_string).unwrap_or_default()
    }

    fn shown(&self, value: &Value) -> String {
        words::shown(&self.path, value)
    }
}

type Counted = HashMap<String, usize>;

fn count(keys: impl Iterator<Item = String>) -> Counted {
    let mut counted = Counted::new();
    keys.for_each(|key| *counted.entry(key).or_default() += 1);
    counted
}

fn differing(old: &[Value], new: &[Value]) -> usize {
    old.iter().zip(new).filter(|(old, new)| old != new).count()
}

/// Equal values, equal texts: a map's order says nothing.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.into_iter().collect()
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}
