//! A value of a document that was proved to be JSON, read member by member. Nothing is built: each step skips over the
//! bytes of what is not looked at.

use std::borrow::Cow;

use tollgate_wire::json::cursor::{self, BadJson, Kind};

use super::{Json, Number, Text};
use crate::numbers::{string_end_and_escapes, value_end};

/// A value and where it stands. Copied freely: it is a slice and an offset.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Text already proved to be UTF-8: slices of it need not be proved again.
    raw: &'a str,
    offset: usize,
}

impl<'a> Node<'a> {
    /// Proves that `document` is a JSON object (RFC 8259; depth at most `cursor::MAX_DEPTH`) and gives it.
    pub fn document(document: &'a [u8]) -> Result<Node<'a>, BadJson> {
        let document = cursor::prove(document)?;
        let offset = document.len() - document.trim_ascii_start().len();
        Ok(Node {
            raw: document.trim_ascii(),
            offset,
        })
    }

    /// Its bytes.
    pub fn raw(self) -> &'a [u8] {
        self.raw.as_bytes()
    }

    /// Where it begins in the document, for messages.
    pub fn offset(self) -> usize {
        self.offset
    }

    pub fn kind(self) -> Kind {
        match self.raw.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }

    /// A string's text; `None` for other kinds.
    pub fn text(self) -> Option<Text<'a>> {
        self.quoted().map(|raw| Text::Escaped(raw.as_bytes()))
    }

    /// What stands between a string's quotes.
    fn quoted(self) -> Option<&'a str> {
        self.raw.strip_prefix('"')?.strip_suffix('"')
    }

    /// A string's text without escapes; `None` for other kinds and for half a surrogate pair.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let raw = self.quoted()?;
        match has_escapes(raw) {
            false => Some(Cow::Borrowed(raw)),
            true => Text::Escaped(raw.as_bytes())
                .plain()
                .map(|text| Cow::Owned(text.into_owned())),
        }
    }

    /// Is it this string?
    pub fn is(self, text: &str) -> bool {
        match self.quoted() {
            // Where neither has escapes they are the same bytes.
            Some(raw) if raw == text => !has_escapes(raw),
            Some(raw) => has_escapes(raw) && self.string().is_some_and(|string| string == text),
            None => false,
        }
    }

    pub fn boolean(self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    pub fn number(self) -> Option<Number<'a>> {
        (self.kind() == Kind::Number).then_some(Number(self.raw.as_bytes()))
    }

    pub fn unsigned(self) -> Option<u64> {
        self.number()?.unsigned()
    }

    pub fn json(self) -> Json<'a> {
        Json::Value(self.raw.as_bytes())
    }

    /// The members of an object in order, duplicates included; none for other kinds.
    pub fn members(self) -> Members<'a> {
        Members {
            walk: Walk::into(self, b'{'),
        }
    }

    /// The elements of an array; none for other kinds.
    pub fn elements(self) -> Elements<'a> {
        Elements {
            walk: Walk::into(self, b'['),
        }
    }

    /// The first member of this name. Where many are wanted, one walk over `members` is cheaper.
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        self.members().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// `get` along a path.
    pub fn at(self, path: &[&str]) -> Option<Node<'a>> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }
}

/// A position within a container.
#[derive(Clone, Debug)]
struct Walk<'a> {
    raw: &'a str,
    offset: usize,
    at: usize,
}

impl<'a> Walk<'a> {
    fn into(node: Node<'a>, bracket: u8) -> Walk<'a> {
        let enters = node.raw.as_bytes().first() == Some(&bracket);
        Walk {
            raw: node.raw,
            offset: node.offset,
            at: if enters { 1 } else { node.raw.len() },
        }
    }

    /// The next byte that is neither white space nor a comma.
    fn token(&mut self) -> Option<u8> {
        while let Some(&byte) = self.raw.as_bytes().get(self.at) {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' => self.at += 1,
                byte => return Some(byte),
            }
        }
        None
    }

    fn value(&mut self) -> Option<Node<'a>> {
        match self.token()? {
            b'}' | b']' => {
                self.at = self.raw.len();
                None
            }
            first => {
                let start = self.at;
                self.at = value_end(self.raw.as_bytes(), start).min(self.raw.len());
                let raw = self.raw.get(start..self.at)?;
                let raw = match first {
                    b'"' | b'{' | b'[' => raw,
                    // These end where a comma or a bracket begins.
                    _ => raw.trim_ascii_end(),
                };
                Some(Node {
                    raw,
                    offset: self.offset + start,
                })
            }
        }
    }

    fn key(&mut self) -> Option<Cow<'a, str>> {
        if self.token()? != b'"' {
            self.at = self.raw.len();
            return None;
        }
        let start = self.at + 1;
        let (end, escapes) = string_end_and_escapes(self.raw.as_bytes(), start);
        self.at = end + 1;
        let raw = self.raw.get(start..end)?;
        if !escapes {
            return Some(Cow::Borrowed(raw));
        }
        // A key with half a surrogate pair has no name that anything of ours could have.
        let text = Text::Escaped(raw.as_bytes());
        Some(Cow::Owned(text.plain().unwrap_or_default().into_owned()))
    }
}

/// Most strings of requests and answers that are compared are short: they are not worth a searcher.
fn has_escapes(text: &str) -> bool {
    const SHORT_BYTES: usize = 24;
    match text.len() <= SHORT_BYTES {
        true => text.bytes().any(|byte| byte == b'\\'),
        false => memchr::memchr(b'\\', text.as_bytes()).is_some(),
    }
}

/// See `Node::members`.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    walk: Walk<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.walk.key()?;
        Some((key, self.walk.value()?))
    }
}

/// See `Node::elements`.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    walk: Walk<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.walk.value()
    }
}
