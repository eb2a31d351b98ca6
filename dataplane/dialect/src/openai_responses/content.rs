//! Media as this dialect writes them: data URLs, and files known by their names.

use std::borrow::Cow;

use crate::json::Text;

/// Takes `data:TYPE;base64,DATA` apart; `None` for any other text.
pub(crate) fn data_url(url: Text<'_>) -> Option<(Option<Text<'_>>, Text<'_>)> {
    match url {
        Text::Escaped(raw) if memchr::memchr(b'\\', raw).is_none() => {
            let (media_type, data) = split(raw)?;
            let media_type = (!media_type.is_empty()).then_some(Text::Escaped(media_type));
            Some((media_type, Text::Escaped(data)))
        }
        url => {
            let plain = url.plain()?;
            let (media_type, data) = split(plain.as_bytes())?;
            let owned = |bytes: &[u8]| Some(Text::Plain(Cow::Owned(str::from_utf8(bytes).ok()?.to_owned())));
            Some((owned(media_type).filter(|text| !text.is_empty()), owned(data)?))
        }
    }
}

fn split(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = url.strip_prefix(b"data:")?;
    let comma = memchr::memchr(b',', rest)?;
    let (head, data) = (&rest[..comma], &rest[comma + 1..]);
    let head = head.strip_suffix(b";base64")?;
    // Parameters (`;charset=utf-8`) say nothing that a type does not.
    let media_type = memchr::memchr(b';', head).map_or(head, |end| &head[..end]);
    Some((media_type, data))
}

/// What a file without a type is by the end of its name.
pub(super) fn type_of_name(name: Option<&Text<'_>>) -> Option<Text<'static>> {
    let name = name?.plain()?;
    let (_, extension) = name.rsplit_once('.')?;
    TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(extension))
        .map(|(_, media_type)| Text::from(*media_type))
}

const TYPES: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_url_comes_apart_with_and_without_escapes() {
        for (url, expected) in [
            (
                Text::Escaped(b"data:image/png;base64,aGk="),
                Some((Some("image/png"), "aGk=")),
            ),
            (
                Text::Escaped(b"data:image\\/png;base64,a\\/k="),
                Some((Some("image/png"), "a/k=")),
            ),
            (Text::from("data:;base64,aGk="), Some((None, "aGk="))),
            (
                Text::from("data:text/plain;charset=utf-8;base64,aGk="),
                Some((Some("text/plain"), "aGk=")),
            ),
            (Text::from("data:text/plain,hi"), None),
            (Text::from("https://example.com/a,b"), None),
        ] {
            let found = data_url(url.clone());
            let expected = expected.map(|(media_type, data)| (media_type.map(Text::from), Text::from(data)));
            assert_eq!(found, expected, "{url:?}");
        }
    }
}
