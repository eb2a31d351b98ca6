//! Where in a caller's request something stands, and what is said of it: built only when it must be said.

use std::{borrow::Cow, fmt};

use crate::{
    canonical::bad::BadRequest,
    json::{Node, Number, Text},
};

/// A path such as `messages[3].content[0].text`, linked on the stack.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Path<'_> {
    pub fn wrong(&self, wrong: impl Into<Cow<'static, str>>, at: Node<'_>) -> BadRequest {
        BadRequest::field(self.to_string(), wrong, at)
    }

    pub fn missing(&self, key: &str, wrong: &'static str) -> BadRequest {
        BadRequest::missing(Path::Key(self, key).to_string(), wrong)
    }

    /// The object's members of these names, each at most once; null stands for absent. The others go into `unread`.
    pub fn members<'a, const N: usize>(
        &self,
        object: Node<'a>,
        names: &[&str; N],
        unread: &mut Unread,
    ) -> Result<[Option<Node<'a>>; N], BadRequest> {
        if !object.is_object() {
            return Err(self.wrong("must be an object", object));
        }
        let mut found = [None; N];
        for (key, value) in object.members() {
            match names.iter().position(|name| *name == key) {
                Some(at) if found[at].is_none() => found[at] = Some(value),
                Some(_) => return Err(Path::Key(self, &key).wrong("stands twice", value)),
                None if value.is_null() => {}
                None => unread.note(&Path::Key(self, &key)),
            }
        }
        Ok(found.map(|value| value.filter(|node| !node.is_null())))
    }

    pub fn text<'a>(&self, node: Node<'a>) -> Result<Text<'a>, BadRequest> {
        node.text().ok_or_else(|| self.wrong("must be a string", node))
    }

    pub fn boolean(&self, node: Node<'_>) -> Result<bool, BadRequest> {
        node.boolean().ok_or_else(|| self.wrong("must be true or false", node))
    }

    pub fn number<'a>(&self, node: Node<'a>) -> Result<Number<'a>, BadRequest> {
        node.number().ok_or_else(|| self.wrong("must be a number", node))
    }

    pub fn unsigned(&self, node: Node<'_>) -> Result<u64, BadRequest> {
        node.unsigned()
            .ok_or_else(|| self.wrong("must be a whole number, zero or more", node))
    }

    /// Raw bytes of an object.
    pub fn object<'a>(&self, node: Node<'a>) -> Result<&'a [u8], BadRequest> {
        match node.is_object() {
            true => Ok(node.raw()),
            false => Err(self.wrong("must be an object", node)),
        }
    }

    pub fn array(&self, node: Node<'_>) -> Result<(), BadRequest> {
        match node.is_array() {
            true => Ok(()),
            false => Err(self.wrong("must be a list", node)),
        }
    }
}

/// What the caller said and the canonical request does not hold.
#[derive(Default)]
pub(super) struct Unread(Vec<Cow<'static, str>>);

/// More than anybody reads: `feature::names` shows 32.
const MAX_UNREAD: usize = 256;

impl Unread {
    pub fn note(&mut self, path: &Path<'_>) {
        if self.0.len() < MAX_UNREAD {
            self.0.push(path.to_string().into());
        }
    }

    pub fn note_if(&mut self, path: &Path<'_>, lost: bool) {
        if lost {
            self.note(path);
        }
    }

    pub fn into_paths(self) -> Vec<Cow<'static, str>> {
        self.0
    }
}
