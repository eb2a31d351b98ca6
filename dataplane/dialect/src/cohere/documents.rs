//! Documents: of the whole request (`documents`), and within tool results.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::path::{Path, Unread};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Content, Media, MediaKind, Part, Request, Role, Source, Turn},
    },
    json::{Node, Out, Text},
};

/// Documents of one request.
const MAX_DOCUMENTS: usize = 10_000;
/// Members of a document's data that hold nothing but its text.
const TEXT_KEYS: [&str; 4] = ["text", "snippet", "content", "body"];

/// Reads `documents`.
pub(super) fn read<'a>(list: Node<'a>, cite: bool, unread: &mut Unread) -> Result<Vec<Part<'a>>, BadRequest> {
    let path = Path::Key(&Path::Root, "documents");
    path.array(list)?;
    let mut parts = Vec::new();
    for (index, document) in list.elements().enumerate() {
        if index == MAX_DOCUMENTS {
            return Err(path.wrong(format!("has more than {MAX_DOCUMENTS} elements"), document));
        }
        let path = Path::Index(&path, index);
        let (name, text) = match document.text() {
            Some(text) => (None, text),
            None => {
                let data = data(document, &path, Some(index), unread)?;
                data.text().map_or_else(|| titled(data), |text| (None, text))
            }
        };
        parts.push(Part::new(Content::Media(Media {
            kind: MediaKind::Document,
            source: Source::Text(text),
            media_type: None,
            name,
            detail: None,
            cite,
        })));
    }
    Ok(parts)
}

/// The data of a document object: an object or, as Cohere's own examples have it, a string.
pub(super) fn data<'a>(
    document: Node<'a>,
    path: &Path<'_>,
    place: Option<usize>,
    unread: &mut Unread,
) -> Result<Node<'a>, BadRequest> {
    let [id, data] = path.members(document, &["id", "data"], unread)?;
    if let Some(id) = id {
        // The id that the document would be given anyway says nothing.
        let given = place.is_some_and(|index| id.is(&name_of(index)));
        unread.note_if(&Path::Key(path, "id"), !given);
    }
    let data = data.ok_or_else(|| path.missing("data", "is missing: the document's content, an object"))?;
    match data.is_object() || data.text().is_some() {
        true => Ok(data),
        false => Err(Path::Key(path, "data").wrong("must be an object", data)),
    }
}

/// A title and a text are taken apart; any other data is given to the model as the JSON text it is.
fn titled<'a>(data: Node<'a>) -> (Option<Text<'a>>, Text<'a>) {
    let (mut title, mut text) = (None, None);
    let mut plain = true;
    for (key, value) in data.members() {
        let slot = match key.as_ref() {
            "title" => &mut title,
            key if TEXT_KEYS.contains(&key) => &mut text,
            _ => {
                plain = false;
                break;
            }
        };
        plain &= slot.is_none() && value.text().is_some();
        *slot = value.text();
    }
    match text {
        Some(text) if plain => (title, text),
        // Bytes of a document that was proved to be UTF-8.
        _ => (None, Text::Plain(String::from_utf8_lossy(data.raw()))),
    }
}

/// Puts them at the head of the last user turn that says something of the user's own.
pub(super) fn place<'a>(documents: Vec<Part<'a>>, turns: &mut Vec<Turn<'a>>) {
    if documents.is_empty() {
        return;
    }
    let result = |part: &Part<'_>| matches!(part.content, Content::ToolResult { .. });
    let asked = turns
        .iter_mut()
        .rev()
        .find(|turn| turn.role == Role::User && !turn.parts.iter().all(result));
    match asked {
        Some(turn) => {
            turn.parts.splice(0..0, documents);
        }
        None => turns.push(Turn {
            role: Role::User,
            name: None,
            parts: documents,
        }),
    }
}

/// Cohere's own name of the document at a place.
pub(super) fn name_of(index: usize) -> String {
    format!("doc:{index}")
}

/// The place that an id of Cohere's names.
pub(super) fn place_of(id: &str) -> Option<u64> {
    id.strip_prefix("doc:")?.parse().ok()
}

/// The text of a document, where it is one.
pub(super) fn text<'m>(media: &'m Media<'_>) -> Option<Text<'m>> {
    match &media.source {
        Source::Text(Text::Escaped(raw)) => Some(Text::Escaped(raw)),
        Source::Text(Text::Plain(text)) => Some(Text::Plain(Cow::Borrowed(text))),
        Source::Base64(base64) if is_textual(media) => {
            let bytes = STANDARD.decode(base64.plain()?.as_bytes()).ok()?;
            String::from_utf8(bytes).ok().map(Text::from)
        }
        _ => None,
    }
}

fn is_textual(media: &Media<'_>) -> bool {
    let media_type = media.media_type.as_ref().and_then(Text::plain);
    media_type.is_some_and(|name| {
        name.starts_with("text/") || matches!(name.as_ref(), "application/json" | "application/xml")
    })
}

/// Notes a document that is no text: Cohere reads no files.
pub(super) fn note_lost(media: &Media<'_>, drops: &mut Drops) {
    drops.note(match media.source {
        Source::Url(_) => Feature::DocumentUrl,
        Source::File(_) => Feature::Owned,
        Source::Base64(_) | Source::Text(_) => Feature::Document,
    });
}

/// Writes the documents of all user turns as `documents`. The place of one that cannot be carried stays empty: the
/// others keep their numbers.
pub(super) fn write(request: &Request<'_>, json: &mut Out<'_>) {
    let documents = request
        .turns
        .iter()
        .filter(|turn| turn.role == Role::User)
        .flat_map(|turn| &turn.parts)
        .filter_map(|part| match &part.content {
            Content::Media(media) if media.kind == MediaKind::Document => Some(media),
            _ => None,
        });
    let (mut opened, mut cited) = (false, false);
    for (index, media) in documents.enumerate() {
        let Some(text) = text(media) else { continue };
        if !opened {
            json.key("documents").open_list();
            opened = true;
        }
        cited |= media.cite;
        json.open().key("id").string(&name_of(index));
        json.key("data");
        write_data(media, &text, json);
        json.close();
    }
    if opened {
        json.close_list();
        if !cited {
            json.key("citation_options").open().key("mode").string("OFF").close();
        }
    }
}

pub(super) fn write_data(media: &Media<'_>, text: &Text<'_>, json: &mut Out<'_>) {
    json.open();
    if let Some(name) = &media.name {
        json.key("title").text(name);
    }
    json.key("text").text(text).close();
}

/// A document as plain text, for a place where Cohere takes no documents.
pub(super) fn write_inline(media: &Media<'_>, text: &Text<'_>, json: &mut Out<'_>) {
    let mut whole = Vec::new();
    if let Some(name) = &media.name {
        name.write_escaped(&mut whole);
        whole.extend_from_slice(b"\\n\\n");
    }
    text.write_escaped(&mut whole);
    json.text(&Text::Escaped(&whole));
}
