//! The members of an object, each once, and where they stand in the caller's request.

use std::{borrow::Cow, fmt};

use crate::{
    canonical::bad::BadRequest,
    json::{Node, Number, Text},
};

/// Paths noted at most: who sends more unknown members learns of these.
const MAX_UNREAD: usize = 64;
/// Characters of a caller's own name in a path.
const MAX_NAME_CHARACTERS: usize = 64;

/// A path into the request; its text is made only when something is wrong there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    above: Option<&'p Place<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Root,
    Member(&'p str),
    Element(usize),
}

impl<'p> Place<'p> {
    pub const ROOT: Place<'static> = Place {
        above: None,
        step: Step::Root,
    };

    pub fn member<'q>(&'q self, name: &'q str) -> Place<'q> {
        Place {
            above: Some(self),
            step: Step::Member(name),
        }
    }

    pub fn element(&self, index: usize) -> Place<'_> {
        Place {
            above: Some(self),
            step: Step::Element(index),
        }
    }

    pub fn wrong(&self, wrong: impl Into<Cow<'static, str>>, at: Node<'_>) -> BadRequest {
        BadRequest::field(self.to_string(), wrong, at)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Element(index) => write!(f, "[{index}]"),
            Step::Member(name) => {
                let at_root = self.above.is_none_or(|above| matches!(above.step, Step::Root));
                if !at_root {
                    f.write_str(".")?;
                }
                // It goes into messages and headers.
                name.chars()
                    .take(MAX_NAME_CHARACTERS)
                    .map(|c| if c.is_ascii_graphic() { c } else { '?' })
                    .try_for_each(|c| fmt::Write::write_char(f, c))
            }
        }
    }
}

/// What is not carried, as paths.
#[derive(Debug, Default)]
pub(super) struct Unread<'a>(Vec<Cow<'a, str>>);

impl<'a> Unread<'a> {
    pub fn note(&mut self, place: &Place<'_>) {
        if self.0.len() < MAX_UNREAD {
            self.0.push(Cow::Owned(place.to_string()));
        }
    }

    pub fn into_paths(self) -> Vec<Cow<'a, str>> {
        self.0
    }
}

/// The members of one object that have the names asked for; `null` counts as absent.
#[derive(Debug)]
pub(super) struct Found<'a, 'p, const N: usize> {
    names: &'static [&'static str; N],
    nodes: [Option<Node<'a>>; N],
    pub object: Node<'a>,
    pub place: &'p Place<'p>,
}

/// Picks the members in one walk. Others are noted as unread, unless they are null.
pub(super) fn pick<'a, 'p, const N: usize>(
    object: Node<'a>,
    place: &'p Place<'p>,
    names: &'static [&'static str; N],
    unread: &mut Unread<'_>,
) -> Result<Found<'a, 'p, N>, BadRequest> {
    if !object.is_object() {
        return Err(place.wrong("must be an object", object));
    }
    let mut nodes = [None; N];
    for (name, node) in object.members() {
        match names.iter().position(|known| *known == name) {
            Some(at) if nodes[at].replace(node).is_some() => {
                return Err(place.member(&name).wrong("stands twice", node));
            }
            Some(_) => {}
            None if node.is_null() => {}
            None => unread.note(&place.member(&name)),
        }
    }
    let nodes = nodes.map(|node: Option<Node<'a>>| node.filter(|node| !node.is_null()));
    Ok(Found {
        names,
        nodes,
        object,
        place,
    })
}

impl<'a, const N: usize> Found<'a, '_, N> {
    pub fn get(&self, name: &str) -> Option<Node<'a>> {
        let at = self.names.iter().position(|known| *known == name);
        assert!(at.is_some(), "{name} was not asked for");
        self.nodes[at?]
    }

    pub fn text(&self, name: &str) -> Result<Option<Text<'a>>, BadRequest> {
        self.read(name, Node::text, "must be a string")
    }

    /// A text that is compared or goes elsewhere than into JSON: no half surrogate pairs.
    pub fn string(&self, name: &str) -> Result<Option<Cow<'a, str>>, BadRequest> {
        self.read(name, Node::string, "must be a string of whole characters")
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, BadRequest> {
        self.read(name, Node::boolean, "must be true or false")
    }

    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, BadRequest> {
        self.read(name, Node::unsigned, "must be a whole number, not negative")
    }

    pub fn number(&self, name: &str) -> Result<Option<Number<'a>>, BadRequest> {
        self.read(name, Node::number, "must be a number")
    }

    /// Its bytes, where it is an object.
    pub fn object(&self, name: &str) -> Result<Option<&'a [u8]>, BadRequest> {
        self.read(name, |node| node.is_object().then(|| node.raw()), "must be an object")
    }

    pub fn list(&self, name: &str) -> Result<Option<Node<'a>>, BadRequest> {
        self.read(name, |node| node.is_array().then_some(node), "must be an array")
    }

    pub fn need<T>(&self, name: &str, value: Option<T>) -> Result<T, BadRequest> {
        value.ok_or_else(|| self.place.member(name).wrong("is missing", self.object))
    }

    fn read<T>(
        &self,
        name: &str,
        take: impl FnOnce(Node<'a>) -> Option<T>,
        wrong: &'static str,
    ) -> Result<Option<T>, BadRequest> {
        let Some(node) = self.get(name) else { return Ok(None) };
        match take(node) {
            Some(value) => Ok(Some(value)),
            None => Err(self.place.member(name).wrong(wrong, node)),
        }
    }
}
