//! An object's members by name: each once, and none overlooked. And the path that names a value to the caller.

use std::{borrow::Cow, fmt};

use crate::{
    canonical::bad::BadRequest,
    json::{Node, Number, Text},
};

/// Where a value stands, in the caller's words; made into text only where someone must read it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    Top,
    Member(&'p Path<'p>, &'p str),
    Element(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(super) fn member(&'p self, name: &'p str) -> Path<'p> {
        Path::Member(self, name)
    }

    pub(super) fn element(&'p self, index: usize) -> Path<'p> {
        Path::Element(self, index)
    }

    pub(super) fn wrong(&self, what: &'static str, at: Node<'_>) -> BadRequest {
        BadRequest::field(self.to_string(), what, at)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Top => Ok(()),
            Path::Member(Path::Top, name) => f.write_str(name),
            Path::Member(parent, name) => write!(f, "{parent}.{name}"),
            Path::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What was not carried. A header shows the first few; a hostile body must not fill the memory with the rest.
#[derive(Debug, Default)]
pub(super) struct Unread<'a>(pub(super) Vec<Cow<'a, str>>);

const MAX_UNREAD: usize = 256;

impl Unread<'_> {
    pub(super) fn note(&mut self, path: &Path<'_>) {
        if self.0.len() < MAX_UNREAD {
            self.0.push(Cow::Owned(path.to_string()));
        }
    }
}

/// The known members of one object. `null` is as good as absent.
#[derive(Debug)]
pub(super) struct Members<'a, const N: usize> {
    names: &'static [&'static str; N],
    nodes: [Option<Node<'a>>; N],
}

impl<'a, const N: usize> Members<'a, N> {
    /// Members of other names go into `unread`.
    pub(super) fn of(
        object: Node<'a>,
        names: &'static [&'static str; N],
        path: &Path<'_>,
        unread: &mut Unread<'a>,
    ) -> Result<Self, BadRequest> {
        if !object.is_object() {
            return Err(path.wrong("must be an object", object));
        }
        let mut nodes: [Option<Node<'a>>; N] = [None; N];
        for (key, node) in object.members() {
            match names.iter().position(|name| *name == key) {
                Some(known) if nodes[known].is_some() => {
                    return Err(path.member(names[known]).wrong("stands twice", node));
                }
                Some(known) => nodes[known] = Some(node),
                None if node.is_null() => {}
                None => unread.note(&path.member(&key)),
            }
        }
        let nodes = nodes.map(|node| node.filter(|node| !node.is_null()));
        Ok(Members { names, nodes })
    }

    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let known = self.names.iter().position(|known| *known == name)?;
        self.nodes[known]
    }

    pub(super) fn need(&self, name: &'static str, path: &Path<'_>, object: Node<'a>) -> Result<Node<'a>, BadRequest> {
        self.get(name)
            .ok_or_else(|| path.member(name).wrong("is missing", object))
    }

    pub(super) fn text(&self, name: &str, path: &Path<'_>) -> Result<Option<Text<'a>>, BadRequest> {
        self.get(name).map(|node| text(node, &path.member(name))).transpose()
    }

    pub(super) fn boolean(&self, name: &str, path: &Path<'_>) -> Result<Option<bool>, BadRequest> {
        let read = |node: Node<'a>| {
            node.boolean()
                .ok_or_else(|| path.member(name).wrong("must be true or false", node))
        };
        self.get(name).map(read).transpose()
    }

    pub(super) fn unsigned(&self, name: &str, path: &Path<'_>) -> Result<Option<u64>, BadRequest> {
        let read = |node: Node<'a>| {
            node.unsigned()
                .ok_or_else(|| path.member(name).wrong("must be a whole number, not negative", node))
        };
        self.get(name).map(read).transpose()
    }

    pub(super) fn number(&self, name: &str, path: &Path<'_>) -> Result<Option<Number<'a>>, BadRequest> {
        let read = |node: Node<'a>| {
            node.number()
                .filter(|number| number.value().is_finite())
                .ok_or_else(|| path.member(name).wrong("must be a number", node))
        };
        self.get(name).map(read).transpose()
    }

    /// An object's bytes.
    pub(super) fn object(&self, name: &str, path: &Path<'_>) -> Result<Option<&'a [u8]>, BadRequest> {
        let read = |node: Node<'a>| match node.is_object() {
            true => Ok(node.raw()),
            false => Err(path.member(name).wrong("must be an object", node)),
        };
        self.get(name).map(read).transpose()
    }

    /// Notes it as not carried unless it says what is so anyway.
    pub(super) fn only(&self, name: &str, default: &[u8], path: &Path<'_>, unread: &mut Unread<'a>) {
        if self.get(name).is_some_and(|node| node.raw() != default) {
            unread.note(&path.member(name));
        }
    }
}

pub(super) fn text<'a>(node: Node<'a>, path: &Path<'_>) -> Result<Text<'a>, BadRequest> {
    node.text().ok_or_else(|| path.wrong("must be a string", node))
}

pub(super) fn string<'a>(node: Node<'a>, path: &Path<'_>) -> Result<Cow<'a, str>, BadRequest> {
    match node.text() {
        None => Err(path.wrong("must be a string", node)),
        Some(_) => node
            .string()
            .ok_or_else(|| path.wrong("has an escape that stands for no character", node)),
    }
}
