//! What an answer says beyond what events carry (pictures, what a provider's own tools did): it passes as it came, and cannot
//! be said anew in another form. A dialect lists where its answers say things, and what of those is carried.

use crate::json::Node;

/// A place in an answer, or in what one event of a stream says. Lists on the way are looked at element by element.
#[derive(Debug)]
pub(crate) struct Said {
    pub path: &'static [&'static str],
    pub carried: Carried,
}

/// What of it events carry.
#[derive(Debug)]
pub(crate) enum Carried {
    /// Whatever names one of these as its `type`, or none.
    Types(&'static [&'static str]),
    /// Members of these names.
    Members(&'static [&'static str]),
    Nothing,
}

/// Does it say anything at these places that is not carried?
pub(crate) fn goes_beyond(places: &[Said], answer: Node<'_>) -> bool {
    places.iter().any(|place| is_beyond(answer, place.path, &place.carried))
}

fn is_beyond(node: Node<'_>, path: &[&str], carried: &Carried) -> bool {
    if node.is_array() {
        return node.elements().any(|element| is_beyond(element, path, carried));
    }
    if let Some((name, rest)) = path.split_first() {
        return node.get(name).is_some_and(|member| is_beyond(member, rest, carried));
    }
    match carried {
        Carried::Types(known) => {
            let kind = node.get("type").filter(|kind| !kind.is_null());
            kind.is_some_and(|kind| !known.iter().any(|known| kind.is(known)))
        }
        Carried::Members(known) => node
            .members()
            .any(|(name, value)| !known.contains(&&*name) && says_something(value)),
        Carried::Nothing => says_something(node),
    }
}

fn says_something(node: Node<'_>) -> bool {
    !matches!(node.raw(), b"null" | b"false" | b"\"\"" | b"[]" | b"{}")
}
