//! Where texts come from: `groundingMetadata` and `citationMetadata`.
//!
//! Google counts bytes of a part's text; what is between the dialects counts characters.

use std::collections::BTreeMap;

use crate::{
    canonical::event::Citation,
    json::{Node, Out, Text},
};

/// Citations that one answer, or one event of a stream, may make, and their bytes: a source may be referred to again
/// and again, and each reference repeats it.
const MAX_CITATIONS: usize = 1_024;
const MAX_CITED_BYTES: usize = 1024 * 1024;

/// Bytes of a text kept to count characters in; citations of a longer one lose their places.
const MAX_SAID_BYTES: usize = 1024 * 1024;

/// A citation as Google places it.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    /// Which part of the content.
    pub part: u64,
    /// Bytes of its text.
    pub bytes: Option<(u64, u64)>,
    pub citation: Citation<'a>,
}

/// Calls `on_citation` for what `groundingMetadata` says: what is placed first, then sources that nothing refers to.
pub(super) fn grounded<'a>(metadata: Node<'a>, mut on_citation: impl FnMut(Placed<'a>)) {
    let chunks = metadata.get("groundingChunks").into_iter().flat_map(Node::elements);
    let sources: Vec<Citation<'a>> = chunks.map(source).collect();
    let mut used = vec![false; sources.len()];
    let (mut left, mut bytes_left) = (MAX_CITATIONS, MAX_CITED_BYTES);
    for support in metadata.get("groundingSupports").into_iter().flat_map(Node::elements) {
        let segment = support.get("segment");
        let count = |name| segment.and_then(|segment| segment.get(name)).and_then(Node::unsigned);
        let bytes = count("endIndex").map(|end| (count("startIndex").unwrap_or(0), end));
        let indices = support
            .get("groundingChunkIndices")
            .into_iter()
            .flat_map(Node::elements);
        for index in indices.filter_map(|index| usize::try_from(index.unsigned()?).ok()) {
            let Some(citation) = sources.get(index) else { continue };
            used[index] = true;
            let size = cited_bytes(citation);
            if left == 0 || size > bytes_left {
                continue;
            }
            (left, bytes_left) = (left - 1, bytes_left - size);
            on_citation(Placed {
                part: count("partIndex").unwrap_or(0),
                bytes,
                citation: citation.clone(),
            });
        }
    }
    let unused = sources.into_iter().zip(used).filter(|(_, used)| !used);
    for (citation, _) in unused {
        on_citation(Placed {
            part: 0,
            bytes: None,
            citation,
        });
    }
}

fn cited_bytes(citation: &Citation<'_>) -> usize {
    let texts = [&citation.url, &citation.title, &citation.quoted];
    texts.into_iter().flatten().map(Text::held_bytes).sum()
}

fn source(chunk: Node<'_>) -> Citation<'_> {
    let said = |name| chunk.get(name).filter(|source| source.is_object());
    let source = said("web")
        .or_else(|| said("retrievedContext"))
        .or_else(|| said("maps"));
    let text = |name| source.and_then(|source| source.get(name)).and_then(Node::text);
    Citation {
        url: text("uri"),
        title: text("title"),
        quoted: text("text"),
        ..Citation::default()
    }
}

/// Calls `on_citation` for what `citationMetadata` says: what the model recited. Vertex and the Gemini API name the
/// list differently.
pub(super) fn recited<'a>(metadata: Node<'a>, mut on_citation: impl FnMut(Placed<'a>)) {
    let list = metadata.get("citationSources").or_else(|| metadata.get("citations"));
    for said in list.into_iter().flat_map(Node::elements) {
        let text = |name| said.get(name).and_then(Node::text);
        let count = |name| said.get(name).and_then(Node::unsigned);
        on_citation(Placed {
            part: 0,
            bytes: count("endIndex").map(|end| (count("startIndex").unwrap_or(0), end)),
            citation: Citation {
                url: text("uri"),
                title: text("title"),
                ..Citation::default()
            },
        });
    }
}

/// The text of a part so far, as it stands between quotes.
#[derive(Debug, Default)]
pub(super) struct Said {
    escaped: Vec<u8>,
    is_cut: bool,
}

impl Said {
    pub fn held_bytes(&self) -> usize {
        self.escaped.len()
    }

    pub fn take(&mut self, text: &Text<'_>) {
        if !self.is_cut {
            text.write_escaped(&mut self.escaped);
            self.is_cut = self.escaped.len() > MAX_SAID_BYTES;
        }
        if self.is_cut {
            self.escaped = Vec::new();
        }
    }

    pub fn places(&self) -> Places {
        match self.is_cut {
            true => Places { ends: Vec::new() },
            false => Places::of(&Text::Escaped(&self.escaped)),
        }
    }
}

/// Where each character of a text begins, and where the last ends.
#[derive(Debug)]
pub(super) struct Places {
    ends: Vec<u32>,
}

impl Places {
    pub fn of(text: &Text<'_>) -> Places {
        let text = text.plain().unwrap_or_default();
        if text.len() > MAX_SAID_BYTES {
            return Places { ends: Vec::new() };
        }
        let starts = text.char_indices().map(|(at, _)| at as u32);
        Places {
            ends: starts.chain([text.len() as u32]).collect(),
        }
    }

    /// Which character begins at or behind the byte; `None` beyond the text.
    pub fn character_at(&self, byte: u64) -> Option<u64> {
        let index = self.ends.partition_point(|end| u64::from(*end) < byte);
        (index < self.ends.len()).then_some(index as u64)
    }

    /// Puts a citation where it belongs, in Google's counting.
    pub fn place(&self, part: u64, citation: Citation<'static>) -> Placed<'static> {
        let byte_at = |character: Option<u64>| self.byte_at(character?);
        Placed {
            part,
            bytes: byte_at(citation.start).zip(byte_at(citation.end)),
            citation,
        }
    }

    pub fn byte_at(&self, character: u64) -> Option<u64> {
        let end = self.ends.get(usize::try_from(character).ok()?)?;
        Some(u64::from(*end))
    }
}

/// Appends `groundingMetadata` and its value, where there are citations.
pub(super) fn write(citations: &[Placed<'_>], json: &mut Out<'_>) {
    if citations.is_empty() {
        return;
    }
    json.key("groundingMetadata").open().key("groundingChunks").open_list();
    let mut numbers: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut supports = Vec::new();
    for placed in citations {
        let mut chunk = Vec::new();
        write_source(&placed.citation, &mut Out::new(&mut chunk));
        let next = numbers.len() as u64;
        let number = *numbers.entry(chunk).or_insert_with_key(|chunk| {
            json.raw(chunk);
            next
        });
        if let Some(bytes) = placed.bytes {
            supports.push((placed.part, bytes, number));
        }
    }
    json.close_list();
    if !supports.is_empty() {
        json.key("groundingSupports").open_list();
        supports.into_iter().for_each(|support| write_support(support, json));
        json.close_list();
    }
    json.close();
}

fn write_support((part, (start, end), number): (u64, (u64, u64), u64), json: &mut Out<'_>) {
    json.open().key("segment").open();
    if part > 0 {
        json.key("partIndex").unsigned(part);
    }
    json.key("startIndex")
        .unsigned(start)
        .key("endIndex")
        .unsigned(end)
        .close();
    json.key("groundingChunkIndices")
        .open_list()
        .unsigned(number)
        .close_list()
        .close();
}

fn write_source(citation: &Citation<'_>, json: &mut Out<'_>) {
    let kind = match (&citation.url, &citation.quoted) {
        (Some(_), None) => "web",
        _ => "retrievedContext",
    };
    json.open().key(kind).open();
    for (name, text) in [
        ("uri", &citation.url),
        ("title", &citation.title),
        ("text", &citation.quoted),
    ] {
        if let Some(text) = text {
            json.key(name).text(text);
        }
    }
    json.close().close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_characters_are_told_apart() {
        let places = Places::of(&Text::from("aé漢b"));
        for (byte, character) in [(0, 0), (1, 1), (3, 2), (6, 3), (7, 4)] {
            assert_eq!(places.character_at(byte), Some(character));
            assert_eq!(places.byte_at(character), Some(byte));
        }
        // Within a character: the next one.
        assert_eq!(places.character_at(4), Some(3));
        assert_eq!((places.character_at(8), places.byte_at(5)), (None, None));
    }

    #[test]
    fn a_text_too_long_to_keep_has_no_places() {
        let mut said = Said::default();
        let piece = Text::from("x".repeat(MAX_SAID_BYTES / 2));
        said.take(&piece);
        assert!(said.places().byte_at(1).is_some());
        said.take(&piece);
        said.take(&Text::from("y"));
        assert_eq!(said.places().byte_at(0), None);
    }
}
