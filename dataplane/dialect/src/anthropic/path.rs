//! Where something stands in a caller's request, and objects taken apart into the members that are known. A path is
//! spelled out only when a message needs it.

use std::{borrow::Cow, fmt};

use crate::{
    canonical::bad::BadRequest,
    json::{Node, Text},
};

/// Names of members that nobody reads, per request: more would say nothing more.
const MAX_UNREAD: usize = 1_024;
/// A caller's own key is cut there: it may end up in a header.
const MAX_KEY_CHARS: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Top,
    Member(&'p str),
    Element(usize),
}

impl<'p> Path<'p> {
    pub(super) const TOP: Path<'static> = Path {
        above: None,
        step: Step::Top,
    };

    pub(super) fn member(&'p self, name: &'p str) -> Path<'p> {
        Path {
            above: Some(self),
            step: Step::Member(name),
        }
    }

    pub(super) fn element(&'p self, position: usize) -> Path<'p> {
        Path {
            above: Some(self),
            step: Step::Element(position),
        }
    }

    pub(super) fn wrong(&self, wrong: impl Into<Cow<'static, str>>, at: Node<'_>) -> BadRequest {
        BadRequest::field(self.to_string(), wrong, at)
    }

    /// The member that must be there.
    pub(super) fn required<'a>(&self, name: &str, value: Option<Node<'a>>) -> Result<Node<'a>, BadRequest> {
        value.ok_or_else(|| BadRequest::missing(self.member(name).to_string(), "is required"))
    }

    pub(super) fn text<'a>(&self, node: Node<'a>) -> Result<Text<'a>, BadRequest> {
        node.text().ok_or_else(|| self.wrong("must be a string", node))
    }

    /// For names and ids, which are compared: half a surrogate pair is no name.
    pub(super) fn name<'a>(&self, node: Node<'a>) -> Result<Text<'a>, BadRequest> {
        let text = self.text(node)?;
        match text.plain() {
            Some(plain) if !plain.is_empty() => Ok(text),
            Some(_) => Err(self.wrong("must not be empty", node)),
            None => Err(self.wrong("has an escape that stands for no character", node)),
        }
    }

    pub(super) fn word<'a>(&self, node: Node<'a>) -> Result<Cow<'a, str>, BadRequest> {
        node.string().ok_or_else(|| self.wrong("must be a string", node))
    }

    pub(super) fn boolean(&self, node: Node<'_>) -> Result<bool, BadRequest> {
        node.boolean().ok_or_else(|| self.wrong("must be true or false", node))
    }

    pub(super) fn unsigned(&self, node: Node<'_>) -> Result<u64, BadRequest> {
        node.unsigned()
            .ok_or_else(|| self.wrong("must be a whole number, zero or more", node))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        above.fmt(f)?;
        match self.step {
            Step::Top => Ok(()),
            Step::Element(position) => write!(f, "[{position}]"),
            Step::Member(name) => {
                if above.above.is_some() {
                    f.write_str(".")?;
                }
                for letter in name.chars().take(MAX_KEY_CHARS) {
                    let letter = if letter.is_ascii_graphic() { letter } else { '?' };
                    write!(f, "{letter}")?;
                }
                Ok(())
            }
        }
    }
}

/// What of a request is not carried.
#[derive(Debug, Default)]
pub(super) struct Unread {
    pub(super) names: Vec<Cow<'static, str>>,
}

impl Unread {
    pub(super) fn note(&mut self, path: &Path<'_>) {
        if self.names.len() < MAX_UNREAD {
            self.names.push(path.to_string().into());
        }
    }

    pub(super) fn note_if(&mut self, path: &Path<'_>, lost: bool) {
        if lost {
            self.note(path);
        }
    }

    /// The values of the members `known`, `None` for null; all others are noted, unless they say nothing.
    pub(super) fn members<'a, const N: usize>(
        &mut self,
        object: Node<'a>,
        path: &Path<'_>,
        known: [&'static str; N],
    ) -> Result<[Option<Node<'a>>; N], BadRequest> {
        if !object.is_object() {
            return Err(path.wrong("must be an object", object));
        }
        let mut values = [None; N];
        let mut met = [false; N];
        for (key, value) in object.members() {
            match known.iter().position(|name| *name == key) {
                Some(at) if met[at] => return Err(path.member(known[at]).wrong("stands twice", value)),
                Some(at) => {
                    met[at] = true;
                    values[at] = (!value.is_null()).then_some(value);
                }
                None => self.note_if(&path.member(&key), !says_nothing(value)),
            }
        }
        Ok(values)
    }
}

/// Null, and lists and objects that are empty.
pub(super) fn says_nothing(value: Node<'_>) -> bool {
    let empty_list = value.is_array() && value.elements().next().is_none();
    let empty_object = value.is_object() && value.members().next().is_none();
    value.is_null() || empty_list || empty_object
}
