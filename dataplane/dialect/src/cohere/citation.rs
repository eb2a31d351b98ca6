//! Citations of an answer. Cohere's have several sources each; the canonical ones have one, so one of several sources
//! is several with the same place. `text` is the answer's own text at that place, made again when writing.

use super::documents;
use crate::{
    canonical::event::Citation,
    json::{Node, Out, Text},
};

/// What of the answer a citation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Text,
    Thinking,
    Plan,
}

impl Where {
    pub fn of(citation: Node<'_>) -> Where {
        match citation.get("type").and_then(Node::string).as_deref() {
            Some("PLAN") => Where::Plan,
            Some("THINKING_CONTENT") => Where::Thinking,
            _ => Where::Text,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Where::Text => "TEXT_CONTENT",
            Where::Thinking => "THINKING_CONTENT",
            Where::Plan => "PLAN",
        }
    }
}

/// Calls `each` for every source of one citation.
pub(super) fn read<'a>(citation: Node<'a>, mut each: impl FnMut(Citation<'a>)) {
    let start = citation.get("start").and_then(Node::unsigned);
    let end = citation.get("end").and_then(Node::unsigned);
    let mut sources = 0;
    for source in citation.get("sources").into_iter().flat_map(Node::elements) {
        sources += 1;
        each(Citation {
            start,
            end,
            ..read_source(source)
        });
    }
    if sources == 0 {
        each(Citation {
            start,
            end,
            ..Citation::default()
        });
    }
}

/// A document of the request (`doc:2`), or whatever else has an id: that is its title, where it has no other.
fn read_source(source: Node<'_>) -> Citation<'_> {
    let inner = |key| {
        let outer = source.get("document").or_else(|| source.get("tool_output"))?;
        outer.get(key)?.text()
    };
    let id = source.get("id").and_then(Node::text);
    let document = id.as_ref().and_then(|id| documents::place_of(&id.plain()?));
    Citation {
        url: inner("url"),
        title: inner("title").or_else(|| id.filter(|_| document.is_none())),
        quoted: inner("snippet").or_else(|| inner("text")),
        document,
        ..Citation::default()
    }
}

/// Where citations with sources in common stand, and the answer's text there.
pub(super) struct Place<'p> {
    pub what: Where,
    pub content_index: Option<u64>,
    pub text: &'p Cited,
}

/// The text of a part, kept to find characters in it without counting from the start each time.
#[derive(Debug, Default)]
pub(super) struct Cited {
    text: String,
    characters: u64,
    /// Where each `STEP`th character begins.
    steps: Vec<usize>,
}

const STEP: u64 = 64;
/// Text kept of one part; citations beyond it say where, but not what.
const MAX_CITED_BYTES: usize = 1 << 20;

impl Cited {
    pub fn push(&mut self, text: &Text<'_>) {
        let Some(text) = text
            .plain()
            .filter(|text| self.text.len() + text.len() <= MAX_CITED_BYTES)
        else {
            return;
        };
        for (at, _) in text.char_indices() {
            if self.characters.is_multiple_of(STEP) {
                self.steps.push(self.text.len() + at);
            }
            self.characters += 1;
        }
        self.text.push_str(&text);
    }

    /// Characters `start..end`, as far as there are any.
    fn slice(&self, start: u64, end: u64) -> &str {
        self.text.get(self.byte(start)..self.byte(end)).unwrap_or_default()
    }

    fn byte(&self, character: u64) -> usize {
        let step = usize::try_from(character / STEP)
            .ok()
            .and_then(|step| self.steps.get(step));
        let Some(&step) = step else { return self.text.len() };
        let within = (character % STEP) as usize;
        let rest = self.text.get(step..).unwrap_or_default();
        rest.char_indices()
            .nth(within)
            .map_or(self.text.len(), |(at, _)| step + at)
    }
}

/// Writes citations of one place as one. None are no citation.
pub(super) fn write(citations: &[Citation<'_>], place: &Place<'_>, json: &mut Out<'_>) {
    let Some(first) = citations.first() else { return };
    let start = first.start.unwrap_or(0);
    let end = first.end.unwrap_or(place.text.characters);
    json.open();
    json.key("start").unsigned(start);
    json.key("end").unsigned(end);
    json.key("text").string(place.text.slice(start, end));
    json.key("sources").open_list();
    let sources = citations.iter().filter(|citation| names_a_source(citation));
    sources.for_each(|citation| write_source(citation, json));
    json.close_list();
    if let Some(index) = place.content_index {
        json.key("content_index").unsigned(index);
    }
    json.key("type").string(place.what.word()).close();
}

/// The citations that go on with this one's place: those that one of Cohere's stands for.
pub(super) fn of_one_place<'c, 'a>(citations: &'c [Citation<'a>]) -> impl Iterator<Item = &'c [Citation<'a>]> {
    citations.chunk_by(|one, other| (one.start, one.end) == (other.start, other.end))
}

fn names_a_source(citation: &Citation<'_>) -> bool {
    citation.document.is_some() || citation.url.is_some() || citation.title.is_some() || citation.quoted.is_some()
}

fn write_source(citation: &Citation<'_>, json: &mut Out<'_>) {
    let id = match (citation.document, &citation.title, &citation.url) {
        (Some(place), _, _) => Text::from(documents::name_of(usize::try_from(place).unwrap_or(usize::MAX))),
        (None, Some(name), _) | (None, None, Some(name)) => name.clone(),
        (None, None, None) => Text::EMPTY,
    };
    json.open().key("type").string("document");
    if !id.is_empty() {
        json.key("id").text(&id);
    }
    json.key("document").open();
    for (key, value) in [
        ("id", Some(&id).filter(|id| !id.is_empty())),
        ("title", citation.title.as_ref()),
        ("url", citation.url.as_ref()),
        ("snippet", citation.quoted.as_ref()),
    ] {
        if let Some(value) = value {
            json.key(key).text(value);
        }
    }
    json.close().close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_characters_and_may_lie_outside() {
        let mut cited = Cited::default();
        let long = "ü".repeat(200);
        for piece in ["24°C ", "in Zürich", &long] {
            cited.push(&Text::from(piece));
        }
        for (start, end, expected) in [
            (0, 3, "24°"),
            (2, 4, "°C"),
            (8, 14, "Zürich"),
            (14 + 130, 14 + 133, "üüü"),
            (14 + 199, 9_999, "ü"),
            (9_999, 99_999, ""),
            (5, 2, ""),
        ] {
            assert_eq!(cited.slice(start, end), expected, "{start}..{end}");
        }
        assert_eq!(cited.slice(0, u64::MAX), format!("24°C in Zürich{long}"));
    }
}
