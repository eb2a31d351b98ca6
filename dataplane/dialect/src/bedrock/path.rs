//! Where a value stands in the caller's request, and what must be true of it there.

use std::{borrow::Cow, fmt};

use crate::{
    canonical::bad::BadRequest,
    json::{Elements, Node, Number, Text},
};

/// A path in the caller's words; only said when something is wrong, or not read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    Root,
    Member(&'p Path<'p>, &'p str),
    Element(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Member(Path::Root, name) => write!(out, "{name}"),
            Path::Member(of, name) => write!(out, "{of}.{name}"),
            Path::Element(of, index) => write!(out, "{of}[{index}]"),
        }
    }
}

impl<'p> Path<'p> {
    pub fn member(&'p self, name: &'p str) -> Path<'p> {
        Path::Member(self, name)
    }

    pub fn element(&'p self, index: usize) -> Path<'p> {
        Path::Element(self, index)
    }

    pub fn wrong(&self, wrong: impl Into<Cow<'static, str>>, at: Node<'_>) -> BadRequest {
        BadRequest::field(self.to_string(), wrong, at)
    }

    /// The member that an object must have.
    pub fn required<'a>(&self, name: &str, found: Option<Node<'a>>, of: Node<'_>) -> Result<Node<'a>, BadRequest> {
        found.ok_or_else(|| self.member(name).wrong("is missing", of))
    }

    pub fn text<'a>(&self, node: Node<'a>) -> Result<Text<'a>, BadRequest> {
        node.text().ok_or_else(|| self.wrong("must be a string", node))
    }

    /// A string whose characters matter here.
    pub fn string<'a>(&self, node: Node<'a>) -> Result<Cow<'a, str>, BadRequest> {
        node.string()
            .ok_or_else(|| self.wrong("must be a string of whole characters", node))
    }

    pub fn number<'a>(&self, node: Node<'a>) -> Result<Number<'a>, BadRequest> {
        node.number().ok_or_else(|| self.wrong("must be a number", node))
    }

    pub fn positive(&self, node: Node<'_>) -> Result<u64, BadRequest> {
        node.unsigned()
            .filter(|number| *number > 0)
            .ok_or_else(|| self.wrong("must be a whole number above 0", node))
    }

    pub fn boolean(&self, node: Node<'_>) -> Result<bool, BadRequest> {
        node.boolean().ok_or_else(|| self.wrong("must be true or false", node))
    }

    pub fn object<'a>(&self, node: Node<'a>) -> Result<Node<'a>, BadRequest> {
        match node.is_object() {
            true => Ok(node),
            false => Err(self.wrong("must be an object", node)),
        }
    }

    pub fn list<'a>(&self, node: Node<'a>) -> Result<Elements<'a>, BadRequest> {
        match node.is_array() {
            true => Ok(node.elements()),
            false => Err(self.wrong("must be a list", node)),
        }
    }
}

/// What of a request nothing of ours carries.
#[derive(Debug, Default)]
pub(super) struct Unread<'a>(pub Vec<Cow<'a, str>>);

/// More are not told apart: a list is read by a person, or only asked whether it is empty.
const MAX_UNREAD: usize = 1_000;

impl<'a> Unread<'a> {
    pub fn note(&mut self, path: &Path<'_>) {
        if self.0.len() < MAX_UNREAD {
            self.0.push(Cow::Owned(path.to_string()));
        }
    }

    /// The members of an object by `names`, each at most once; nulls say nothing. Every other member is unread.
    pub fn members<const N: usize>(
        &mut self,
        object: Node<'a>,
        at: &Path<'_>,
        names: [&str; N],
    ) -> Result<[Option<Node<'a>>; N], BadRequest> {
        let mut found = [None; N];
        for (key, value) in at.object(object)?.members() {
            match names.iter().position(|name| *name == key) {
                // Who reads a duplicate's first and who reads its last must not see different requests.
                Some(index) if found[index].replace(value).is_some() => {
                    return Err(at.member(&key).wrong("stands twice", value));
                }
                Some(_) => {}
                None if value.is_null() => {}
                None => self.note(&at.member(&key)),
            }
        }
        Ok(found.map(|value: Option<Node<'a>>| value.filter(|value| !value.is_null())))
    }

    /// The one member of a union; `None` when all it has is unread.
    pub fn union<const N: usize>(
        &mut self,
        object: Node<'a>,
        at: &Path<'_>,
        names: [&'static str; N],
    ) -> Result<Option<(&'static str, Node<'a>)>, BadRequest> {
        let unread = self.0.len();
        let found = self.members(object, at, names)?;
        let mut met = names
            .into_iter()
            .zip(found)
            .filter_map(|(name, node)| Some((name, node?)));
        let (first, second) = (met.next(), met.next());
        let none = first.is_none() && self.0.len() == unread && unread < MAX_UNREAD;
        if none || second.is_some() {
            let wrong = format!("must have exactly one of {}", names.join(", "));
            return Err(at.wrong(wrong, object));
        }
        Ok(first)
    }
}
