//! Header lines as they are written, read one by one.

use memchr::memchr;

/// A line: its name, its value without the white space around it, and all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    name: &'a [u8],
    pub value: &'a [u8],
    pub whole: &'a [u8],
}

pub(crate) fn each(mut rest: &[u8]) -> impl Iterator<Item = Line<'_>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (whole, behind) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |at| at + 1));
        rest = behind;
        let colon = memchr(b':', whole).unwrap_or(whole.len());
        Some(Line {
            name: &whole[..colon],
            value: whole.get(colon + 1..).unwrap_or_default().trim_ascii(),
            whole,
        })
    })
}

impl Line<'_> {
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.len() == name.len() && self.name.eq_ignore_ascii_case(name)
    }

    pub fn is_one_of(&self, names: &[&[u8]]) -> bool {
        names.iter().any(|name| self.is(name))
    }

    /// Does its name begin like this?
    pub fn is_of(&self, family: &[u8]) -> bool {
        self.name
            .get(..family.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(family))
    }
}
