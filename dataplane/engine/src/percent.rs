//! Percent-encoding (RFC 3986 §2.1) in paths and queries.

use std::borrow::Cow;

/// Decodes; what is no valid escape stays as it is.
pub(crate) fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        match (first, escape(tail)) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

fn escape(tail: &[u8]) -> Option<u8> {
    let digit = |i: usize| (*tail.get(i)? as char).to_digit(16);
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

/// The value of a query's parameter, still encoded.
pub(crate) fn query_value<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    parameters(query)
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
        .filter(|value| !value.is_empty())
}

/// Appends the query without the parameter `name`, led by `?` if anything is left.
pub(crate) fn write_query_without(out: &mut Vec<u8>, query: &[u8], name: &[u8]) {
    let mut lead = b'?';
    for pair in parameters(query) {
        if pair
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'=')
        {
            continue;
        }
        out.push(lead);
        out.extend_from_slice(pair);
        lead = b'&';
    }
}

/// The parameters of a query, as they stand.
pub(crate) fn parameters(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_encoded_and_leaves_the_rest() {
        for (coded, plain) in [
            ("a%2Fb", "a/b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%25", "%"),
            ("", ""),
        ] {
            assert_eq!(&*decode(coded.as_bytes()), plain.as_bytes(), "{coded}");
        }
    }

    #[test]
    fn the_key_leaves_the_query_and_nothing_else_does() {
        for (query, value, left) in [
            ("key=s&beta=true", Some("s"), "?beta=true"),
            ("beta=true&key=s&x", Some("s"), "?beta=true&x"),
            ("monkey=1", None, "?monkey=1"),
            ("key=", None, ""),
            ("", None, ""),
        ] {
            assert_eq!(
                query_value(query.as_bytes(), b"key"),
                value.map(str::as_bytes),
                "{query}"
            );
            let mut out = Vec::new();
            write_query_without(&mut out, query.as_bytes(), b"key");
            assert_eq!(out, left.as_bytes(), "{query}");
        }
    }
}
