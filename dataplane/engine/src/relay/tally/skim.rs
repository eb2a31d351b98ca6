//! A few members of a JSON document that passes in slices, whatever its length: the rest is passed over. It follows brackets
//! and strings and is no validator; what it kept is read with the cursor, which is one.

use tollgate_dialect::listen::MAX_USAGE_BYTES;

/// What is kept of one document. Names, states and counts are far shorter; a document with more of them tells nothing.
const MAX_KEPT_BYTES: usize = MAX_USAGE_BYTES;
/// Longer keys are none that is looked for.
const MAX_KEY_BYTES: usize = 32;

/// Keeps the `wanted` members of the object to which the members of `path` lead.
#[derive(Debug)]
pub(super) struct Skim {
    path: &'static [&'static str],
    wanted: &'static [&'static str],
    /// Containers that are open, and how many of the outermost lead along the path.
    depth: usize,
    on_path: usize,
    text: Text,
    /// Of the object that is looked at: a key comes next.
    wants_key: bool,
    key: Vec<u8>,
    copies: bool,
    /// `{` and members, each with a comma behind it.
    kept: Vec<u8>,
    is_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    No,
    Key { escaped: bool },
    Value { escaped: bool },
}

impl Skim {
    pub fn new(path: &'static [&'static str], wanted: &'static [&'static str]) -> Skim {
        Skim {
            path,
            wanted,
            depth: 0,
            on_path: 0,
            text: Text::No,
            wants_key: false,
            key: Vec::new(),
            copies: false,
            kept: Vec::new(),
            is_lost: false,
        }
    }

    pub fn held_bytes(&self) -> usize {
        self.kept.len() + self.key.len()
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() && !self.is_lost {
            at = match self.text {
                Text::No => self.between(bytes, at),
                Text::Key { escaped } | Text::Value { escaped } => self.in_text(bytes, at, escaped),
            };
        }
    }

    /// The document is over: what was kept of it, as one. Another begins.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        let mut whole = std::mem::take(&mut self.kept);
        let is_whole = self.depth == 0 && !self.is_lost && !whole.is_empty();
        let (path, wanted) = (self.path, self.wanted);
        *self = Skim {
            key: std::mem::take(&mut self.key),
            ..Skim::new(path, wanted)
        };
        self.key.clear();
        if whole.last() == Some(&b',') {
            whole.pop();
        }
        whole.push(b'}');
        is_whole.then_some(whole)
    }

    /// Is the innermost container one that is looked at?
    fn is_looked_at(&self) -> bool {
        self.depth > 0 && self.depth == self.on_path
    }

    fn between(&mut self, bytes: &[u8], at: usize) -> usize {
        let byte = bytes[at];
        match byte {
            b'"' if self.is_looked_at() && self.wants_key => {
                self.key.clear();
                self.text = Text::Key { escaped: false };
                return at + 1;
            }
            b'"' => self.text = Text::Value { escaped: false },
            b'{' | b'[' => self.opens(byte),
            b'}' | b']' => {
                if self.is_looked_at() {
                    self.member_ends();
                    self.on_path -= 1;
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b',' if self.is_looked_at() => {
                self.member_ends();
                self.wants_key = true;
                return at + 1;
            }
            _ => {}
        }
        if self.copies {
            self.keep(&bytes[at..=at]);
        }
        at + 1
    }

    fn opens(&mut self, byte: u8) {
        let leads = match self.on_path {
            0 => true,
            _ if !self.is_looked_at() || self.copies => false,
            named => self.path.get(named - 1).is_some_and(|name| name.as_bytes() == self.key),
        };
        if leads && byte == b'{' {
            self.on_path += 1;
            self.wants_key = true;
        } else if self.on_path == 0 {
            // A list, or no document at all.
            self.is_lost = true;
        }
        self.depth += 1;
    }

    fn in_text(&mut self, bytes: &[u8], mut at: usize, escaped: bool) -> usize {
        let start = at;
        at += usize::from(escaped);
        let mut ends = false;
        while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            at += next;
            if bytes.get(at) == Some(&b'"') {
                ends = true;
                at += 1;
                break;
            }
            at += 2;
        }
        let is_escaped = !ends && at > bytes.len();
        let end = if ends { at } else { bytes.len() };
        let part = bytes.get(start..end).unwrap_or_default();
        match self.text {
            Text::Key { .. } => {
                let part = if ends { &part[..part.len() - 1] } else { part };
                let room = (MAX_KEY_BYTES + 1).saturating_sub(self.key.len());
                self.key.extend_from_slice(&part[..part.len().min(room)]);
                if ends {
                    self.key_ends();
                }
            }
            _ if self.copies => self.keep(part),
            _ => {}
        }
        self.text = match (ends, self.text) {
            (true, _) => Text::No,
            (false, Text::Key { .. }) => Text::Key { escaped: is_escaped },
            (false, _) => Text::Value { escaped: is_escaped },
        };
        end
    }

    fn key_ends(&mut self) {
        self.wants_key = false;
        let is_target = self.on_path == self.path.len() + 1;
        if is_target && self.wanted.iter().any(|name| name.as_bytes() == self.key) {
            let key = std::mem::take(&mut self.key);
            self.keep(if self.kept.is_empty() { b"{\"" } else { b"\"" });
            self.keep(&key);
            self.keep(b"\"");
            self.key = key;
            self.copies = true;
        }
    }

    fn member_ends(&mut self) {
        if std::mem::take(&mut self.copies) {
            self.keep(b",");
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.is_lost |= self.kept.len() + bytes.len() > MAX_KEPT_BYTES;
        if self.is_lost {
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const PATH: &[&str] = &["result", "message"];
    const WANTED: &[&str] = &["usage", "model", "done"];

    fn skimmed(text: &str, piece: usize) -> Option<Value> {
        let mut skim = Skim::new(PATH, WANTED);
        for piece in text.as_bytes().chunks(piece) {
            skim.feed(piece);
        }
        let kept = skim.finish()?;
        Some(serde_json::from_slice(&kept).unwrap_or_else(|bad| panic!("{bad}: {}", String::from_utf8_lossy(&kept))))
    }

    #[test]
    fn what_is_wanted_is_kept_wherever_the_document_is_cut() {
        let text = r#" {"usage":1,"a":["usage",{"message":{"model":"no"}}],"result":{"x":"{\"","message":
            {"content":[{"usage":{"no":[1,2]}}],"usage": {"in":{"model":[1,"}"]}} ,"model":"a\"b","other":null,
            "done" : true},"message2":{"model":"no"}},"model":"no"} "#;
        for piece in 1..text.len() {
            let kept = skimmed(text, piece);
            assert_eq!(
                kept,
                Some(json!({"usage": {"in": {"model": [1, "}"]}}, "model": "a\"b", "done": true})),
                "{piece}"
            );
        }
    }

    #[test]
    fn what_is_not_there_or_too_much_or_cut_off_is_nothing() {
        let long = format!(
            r#"{{"result":{{"message":{{"model":"{}"}}}}}}"#,
            "x".repeat(MAX_KEPT_BYTES)
        );
        for text in [
            "",
            "[]",
            "{}",
            "\"result\"",
            r#"{"result":{"message":{}}}"#,
            r#"{"result":{"message":{"model":"a"}}"#,
            r#"[{"result":{"message":{"model":"a"}}}]"#,
            &long,
        ] {
            assert_eq!(skimmed(text, 7), None, "{text:.40}");
        }
    }

    #[test]
    fn its_memory_does_not_grow_with_what_passes() {
        let mut skim = Skim::new(&[], &["status"]);
        skim.feed(b"{\"output\":[{\"text\":\"");
        for _ in 0..1000 {
            skim.feed(&[b'x'; 10_000]);
        }
        skim.feed(b"\"}],\"");
        skim.feed(&[b'k'; 100_000]);
        assert!(skim.held_bytes() < 100);
        skim.feed(b"\":1,\"status\":\"completed\"}");
        assert_eq!(skim.finish().as_deref(), Some(&br#"{"status":"completed"}"#[..]));
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(Value::from),
            "[a-z\"\\\\{}:,]{0,8}".prop_map(Value::from)
        ];
        let name = prop_oneof![
            Just("result".to_owned()),
            Just("message".to_owned()),
            Just("usage".to_owned()),
            "[a-z\"{]{0,4}"
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_parser_finds(tree in document(), piece in 1..20usize) {
            let found = skimmed(&tree.to_string(), piece);
            let target = tree.get("result").and_then(|at| at.get("message"));
            let wanted = |name: &&str| Some((name.to_string(), target?.get(name)?.clone()));
            let expected: serde_json::Map<String, Value> = WANTED.iter().filter_map(wanted).collect();
            prop_assert_eq!(found, (!expected.is_empty()).then_some(Value::Object(expected)));
        }
    }
}
