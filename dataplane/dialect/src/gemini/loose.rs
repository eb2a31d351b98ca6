//! How loosely Google reads JSON: either spelling of a name, one value where a list belongs, integers as strings,
//! either alphabet of base64. And where in a request something stands, for messages.

use std::{borrow::Cow, fmt};

use crate::{
    canonical::bad::BadRequest,
    json::{Node, Number, Text},
    numbers::string_end,
};

/// What is unread beyond this many is not listed: a header has room for fewer.
const MAX_UNREAD: usize = 64;

/// A place in the caller's words, put together only when something is to be said of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    Top,
    Member(&'p Path<'p>, &'p str),
    Element(&'p Path<'p>, usize),
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

    /// Notes that what stands here is not carried.
    pub fn is_unread(&self, unread: &mut Vec<Cow<'_, str>>) {
        if unread.len() < MAX_UNREAD {
            unread.push(Cow::Owned(self.to_string()));
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Top => Ok(()),
            Path::Member(Path::Top, name) => f.write_str(name),
            Path::Member(path, name) => write!(f, "{path}.{name}"),
            Path::Element(path, index) => write!(f, "{path}[{index}]"),
        }
    }
}

/// A name as the reference spells it.
pub(super) fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut camel = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if !camel.is_empty() => {
                camel.push(first.to_ascii_uppercase());
                camel.push_str(letters.as_str());
            }
            _ => camel.push_str(word),
        }
    }
    Cow::Owned(camel)
}

/// The members of an object; null says nothing, as if it were not there.
pub(super) fn fields<'a>(
    node: Node<'a>,
    path: &Path<'_>,
) -> Result<impl Iterator<Item = (Cow<'a, str>, Node<'a>)> + use<'a>, BadRequest> {
    if !node.is_object() {
        return Err(path.wrong("must be an object", node));
    }
    Ok(node.members().filter(|(_, value)| !value.is_null()))
}

/// The elements of a list, or the one value that stands for a list.
pub(super) fn each<'a>(node: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let one = (!node.is_array()).then_some(node);
    node.elements().chain(one)
}

pub(super) fn once<T>(slot: &mut Option<T>, value: T, path: &Path<'_>, at: Node<'_>) -> Result<(), BadRequest> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(path.wrong("stands twice", at)),
    }
}

pub(super) fn text<'a>(node: Node<'a>, path: &Path<'_>) -> Result<Text<'a>, BadRequest> {
    node.text().ok_or_else(|| path.wrong("must be a string", node))
}

/// The value of an enumeration, in capitals.
pub(super) fn word(node: Node<'_>, path: &Path<'_>) -> Result<String, BadRequest> {
    let word = node.string().ok_or_else(|| path.wrong("must be a string", node))?;
    Ok(word.to_ascii_uppercase())
}

pub(super) fn flag(node: Node<'_>, path: &Path<'_>) -> Result<bool, BadRequest> {
    node.boolean().ok_or_else(|| path.wrong("must be true or false", node))
}

pub(super) fn number<'a>(node: Node<'a>, path: &Path<'_>) -> Result<Number<'a>, BadRequest> {
    node.number().ok_or_else(|| path.wrong("must be a number", node))
}

pub(super) fn unsigned(node: Node<'_>, path: &Path<'_>) -> Result<u64, BadRequest> {
    let quoted = || node.string()?.parse().ok();
    let value = node.unsigned().or_else(quoted);
    value.ok_or_else(|| path.wrong("must be a whole number that is not negative", node))
}

/// Base64 in the standard alphabet: the SDK writes the URL-safe one, which other providers refuse.
pub(super) fn base64(text: Text<'_>) -> Text<'_> {
    let url_safe = match &text {
        Text::Escaped(raw) => memchr::memchr2(b'-', b'_', raw).is_some(),
        Text::Plain(plain) => memchr::memchr2(b'-', b'_', plain.as_bytes()).is_some(),
    };
    match text.plain() {
        Some(plain) if url_safe => Text::from(plain.replace('-', "+").replace('_', "/")),
        _ => text,
    }
}

/// A JSON value without white space, where it was written over several lines: Google writes buffered answers so, and an
/// event of a stream has but one line.
pub(super) fn one_line(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut line = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        let end = string_end(rest, quote + 1).saturating_add(1).min(rest.len());
        line.extend(rest[..quote].iter().filter(|byte| !byte.is_ascii_whitespace()));
        line.extend_from_slice(&rest[quote..end]);
        rest = &rest[end..];
    }
    line.extend(rest.iter().filter(|byte| !byte.is_ascii_whitespace()));
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_either_spelling() {
        for (name, read) in [
            ("text", "text"),
            ("systemInstruction", "systemInstruction"),
            ("system_instruction", "systemInstruction"),
            ("_responseJsonSchema", "responseJsonSchema"),
            ("any_of", "anyOf"),
            ("_", ""),
        ] {
            assert_eq!(camel(name), read, "{name}");
        }
    }

    #[test]
    fn values_are_brought_on_one_line() {
        for (value, line) in [
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("{\n \"a b\" : [ 1,\r\n \"\\\" c\" ] }", "{\"a b\":[1,\"\\\" c\"]}"),
            ("\n\"", "\""),
        ] {
            assert_eq!(*one_line(value.as_bytes()), *line.as_bytes(), "{value}");
        }
    }

    #[test]
    fn base64_is_of_the_standard_alphabet() {
        for (given, read) in [("a-b_", "a+b/"), ("a+b/", "a+b/"), ("", "")] {
            assert!(base64(Text::from(given)).is(read), "{given}");
        }
        assert!(base64(Text::Escaped(br"a-\u003d")).is("a+="));
    }
}
