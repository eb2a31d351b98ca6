//! Citations as annotations of a text. One without a URL cites a file, by its number among the request's documents.

use crate::{
    canonical::event::Citation,
    json::{Node, Out, Text},
};

/// `None` for what names no source (`file_path`) or is none of the dialect's.
pub(super) fn read(annotation: Node<'_>) -> Option<Citation<'_>> {
    let text = |name| annotation.get(name).and_then(Node::text);
    let count = |name| annotation.get(name).and_then(Node::unsigned);
    let citation = Citation {
        url: text("url"),
        title: text("title")
            .or_else(|| text("filename"))
            .filter(|title| !title.is_empty()),
        start: count("start_index"),
        end: count("end_index"),
        ..Citation::default()
    };
    match &*annotation.get("type")?.string()? {
        "url_citation" => Some(citation),
        "file_citation" => Some(Citation {
            document: count("index"),
            ..citation
        }),
        "container_file_citation" => Some(citation),
        _ => None,
    }
}

/// `chars`: of the text it belongs to, which it supports as a whole where it does not say which words.
pub(super) fn write(citation: &Citation<'_>, chars: u64, out: &mut Out<'_>) {
    let title = citation.title.as_ref().unwrap_or(&Text::EMPTY);
    out.open().key("type");
    match &citation.url {
        Some(url) => {
            out.string("url_citation").key("url").text(url).key("title").text(title);
            out.key("start_index").unsigned(citation.start.unwrap_or(0));
            out.key("end_index").unsigned(citation.end.unwrap_or(chars));
        }
        None => {
            out.string("file_citation").key("file_id").string("");
            out.key("filename").text(title);
            out.key("index").unsigned(citation.document.unwrap_or(0));
        }
    }
    out.close();
}

/// How many characters an escaped text has.
pub(super) fn chars(text: &Text<'_>) -> u64 {
    let raw = match text {
        Text::Plain(text) => return text.chars().count() as u64,
        Text::Escaped(raw) => *raw,
    };
    let (mut count, mut at) = (0, 0);
    while let Some(&byte) = raw.get(at) {
        let (len, counts) = match (byte, raw.get(at + 1)) {
            (b'\\', Some(b'u')) => (6, !is_low_surrogate(raw.get(at + 2..at + 6))),
            (b'\\', _) => (2, true),
            // The later bytes of a character of UTF-8.
            (0x80..=0xbf, _) => (1, false),
            _ => (1, true),
        };
        at += len;
        count += u64::from(counts);
    }
    count
}

/// The second half of a pair that is one character.
fn is_low_surrogate(hex: Option<&[u8]>) -> bool {
    hex.is_some_and(|hex| matches!(hex, [b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_through_escapes() {
        for (raw, expected) in [
            ("", 0),
            ("abc", 3),
            (r#"a\"b\n"#, 4),
            (r"\u00e9", 1),
            (r"\ud83d\ude00!", 2),
            ("é😀", 2),
            (r"\", 1),
        ] {
            assert_eq!(chars(&Text::Escaped(raw.as_bytes())), expected, "{raw}");
        }
    }
}
