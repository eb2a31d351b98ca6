//! `contents` and `systemInstruction` of a client's request: turns and their parts.

use std::{borrow::Cow, mem};

use super::{
    UNSIGNED,
    loose::{Path, base64, camel, each, fields, flag, once, text},
    tools::named,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Content, Media, MediaKind, Part, Role, Source, Turn},
    },
    json::{Json, Node, Text},
};

const MAX_TURNS: usize = 100_000;
const MAX_PARTS: usize = 100_000;

type Unread<'a> = Vec<Cow<'a, str>>;

/// The text before the conversation, whose role says nothing; a bare string is taken too.
pub(super) fn system<'a>(
    node: Node<'a>,
    path: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<Vec<Part<'a>>, BadRequest> {
    if let Some(text) = node.text() {
        return Ok(vec![Part::text(text)]);
    }
    let mut parts = None;
    for (name, value) in fields(node, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "parts" => once(&mut parts, read_parts(value, at, unread)?, at, value)?,
            "role" => {}
            _ => at.is_unread(unread),
        }
    }
    Ok(parts.unwrap_or_default())
}

pub(super) fn contents<'a>(
    list: Node<'a>,
    path: &Path<'_>,
    turns: &mut Vec<Turn<'a>>,
    unread: &mut Unread<'a>,
) -> Result<(), BadRequest> {
    for (index, content) in each(list).enumerate() {
        if index == MAX_TURNS {
            return Err(path.wrong(format!("has more than {MAX_TURNS} elements"), list));
        }
        let turn = read_content(content, &path.element(index), unread)?;
        if !turn.parts.is_empty() {
            add_turn(turns, turn);
        }
    }
    Ok(())
}

fn read_content<'a>(content: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Turn<'a>, BadRequest> {
    let (mut role, mut parts) = (None, None);
    for (name, value) in fields(content, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "role" => once(&mut role, read_role(value, at)?, at, value)?,
            "parts" => once(&mut parts, read_parts(value, at, unread)?, at, value)?,
            _ => at.is_unread(unread),
        }
    }
    let Some(mut parts) = parts else {
        return Err(path.wrong("needs parts", content));
    };
    let role = role.unwrap_or(Role::User);
    if role == Role::Assistant {
        // The last chunk of a stream has such a one, and comes back with the rest.
        parts.retain(|part| {
            let says_nothing = matches!(&part.content, Content::Text(text) if text.is_empty());
            !says_nothing || part.signature.is_some()
        });
    }
    Ok(Turn {
        role,
        name: None,
        parts,
    })
}

fn read_role(value: Node<'_>, path: &Path<'_>) -> Result<Role, BadRequest> {
    match value.string().as_deref() {
        Some("user" | "function" | "") => Ok(Role::User),
        Some("model") => Ok(Role::Assistant),
        _ => Err(path.wrong("must be 'user' or 'model'", value)),
    }
}

/// A client that streamed hands each chunk of the model's turn back as a content of its own; results of one round may
/// come one by one. Both are one turn.
fn add_turn<'a>(turns: &mut Vec<Turn<'a>>, turn: Turn<'a>) {
    match turns.last_mut() {
        Some(last) if last.role == Role::Assistant && turn.role == Role::Assistant => {
            for part in turn.parts {
                add_part(&mut last.parts, part, Seam::Contents);
            }
        }
        Some(last) if ends_in_results(last) && turn.parts.iter().all(is_result) => last.parts.extend(turn.parts),
        _ => turns.push(turn),
    }
}

fn is_result(part: &Part<'_>) -> bool {
    matches!(part.content, Content::ToolResult { .. })
}

/// Turns of results alone are grown; whether this is one is seen from its ends.
fn ends_in_results(turn: &Turn<'_>) -> bool {
    turn.parts.first().is_some_and(is_result) && turn.parts.last().is_some_and(is_result)
}

fn read_parts<'a>(list: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Vec<Part<'a>>, BadRequest> {
    let mut parts = Vec::new();
    let mut count = 0;
    for part in each(list) {
        if count == MAX_PARTS {
            return Err(path.wrong(format!("has more than {MAX_PARTS} elements"), list));
        }
        if let Some(part) = read_part(part, &path.element(count), unread)? {
            add_part(&mut parts, part, Seam::Parts);
        }
        count += 1;
    }
    match count {
        0 => Err(path.wrong("must hold at least one part", list)),
        _ => Ok(parts),
    }
}

/// What lies between two parts that follow one another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seam {
    Parts,
    /// They are of two contents of the model: chunks of a stream.
    Contents,
}

/// What was streamed comes back in the pieces it was streamed in, its signature with the last: together they are what
/// was signed.
fn add_part<'a>(parts: &mut Vec<Part<'a>>, part: Part<'a>, seam: Seam) {
    let Some(last) = parts.last_mut().filter(|last| last.signature.is_none()) else {
        return parts.push(part);
    };
    match (&mut last.content, &part.content) {
        (Content::Text(text), Content::Text(more)) if seam == Seam::Contents => join(text, more),
        (Content::Thinking(text), Content::Thinking(more)) => join(text, more),
        _ => return parts.push(part),
    }
    last.signature = part.signature;
}

fn join<'a>(text: &mut Text<'a>, more: &Text<'a>) {
    if more.is_empty() {
        return;
    }
    let mut whole = match mem::replace(text, Text::EMPTY).into_owned() {
        Text::Plain(text) => text.into_owned(),
        escaped @ Text::Escaped(_) => escaped.plain().unwrap_or_default().into_owned(),
    };
    whole.push_str(&more.plain().unwrap_or_default());
    *text = Text::from(whole);
}

/// `None` for what no other dialect has.
fn read_part<'a>(node: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Option<Part<'a>>, BadRequest> {
    let (mut data, mut thought, mut signature) = (None, None, None);
    let mut is_foreign = false;
    for (name, value) in fields(node, path)? {
        let at = &path.member(&name);
        let content = match &*camel(&name) {
            "text" => Content::Text(text(value, at)?),
            "inlineData" => Content::Media(read_blob(value, at, unread)?),
            "fileData" => Content::Media(read_file(value, at, unread)?),
            "functionCall" => read_call(value, at, unread)?,
            "functionResponse" => read_result(value, at, unread)?,
            "thought" => {
                once(&mut thought, flag(value, at)?, at, value)?;
                continue;
            }
            "thoughtSignature" => {
                let signed = text(value, at)?;
                // No bytes, though its letters are those of base64.
                let signed = if signed.is(UNSIGNED) { signed } else { base64(signed) };
                once(&mut signature, signed, at, value)?;
                continue;
            }
            other => {
                is_foreign |= matches!(
                    other,
                    "executableCode" | "codeExecutionResult" | "toolCall" | "toolResponse"
                );
                at.is_unread(unread);
                continue;
            }
        };
        if data.replace(content).is_some() {
            return Err(path.wrong(
                "holds more than one of text, inlineData, fileData, functionCall, functionResponse",
                node,
            ));
        }
    }
    let content = match data {
        Some(Content::Text(text)) if thought == Some(true) => Content::Thinking(text),
        Some(content) => content,
        None if is_foreign => return Ok(None),
        None => match (signature.take(), thought) {
            // The shape that sealed thinking has here.
            (Some(data), Some(true)) => Content::Sealed { data, id: None },
            (Some(signed), _) => {
                signature = Some(signed);
                Content::Text(Text::EMPTY)
            }
            (None, _) => {
                let wrong = "holds none of text, inlineData, fileData, functionCall, functionResponse";
                return Err(path.wrong(wrong, node));
            }
        },
    };
    Ok(Some(Part {
        content,
        cache: None,
        signature,
    }))
}

fn read_blob<'a>(node: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Media<'a>, BadRequest> {
    let (mut media_type, mut data, mut title) = (None, None, None);
    for (name, value) in fields(node, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "mimeType" => once(&mut media_type, text(value, at)?, at, value)?,
            "data" => once(&mut data, base64(text(value, at)?), at, value)?,
            "displayName" => once(&mut title, text(value, at)?, at, value)?,
            _ => at.is_unread(unread),
        }
    }
    let (Some(media_type), Some(data)) = (media_type, data) else {
        return Err(path.wrong("needs mimeType and data", node));
    };
    Ok(Media {
        kind: kind_of(&media_type.plain().unwrap_or_default()),
        source: Source::Base64(data),
        media_type: Some(media_type),
        name: title,
        detail: None,
        cite: false,
    })
}

fn read_file<'a>(node: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Media<'a>, BadRequest> {
    let (mut media_type, mut uri, mut title) = (None, None, None);
    for (name, value) in fields(node, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "mimeType" => once(&mut media_type, text(value, at)?, at, value)?,
            "fileUri" => once(&mut uri, text(value, at)?, at, value)?,
            "displayName" => once(&mut title, text(value, at)?, at, value)?,
            _ => at.is_unread(unread),
        }
    }
    let Some(uri) = uri.filter(|uri| !uri.is_empty()) else {
        return Err(path.wrong("needs a fileUri", node));
    };
    let place = uri
        .plain()
        .ok_or_else(|| path.member("fileUri").wrong("must be a URI", node))?;
    let is_stored = !place.contains("://") || place.contains("//generativelanguage.googleapis.com/");
    let kind = match &media_type {
        Some(media_type) => kind_of(&media_type.plain().unwrap_or_default()),
        None => kind_of_uri(&place),
    };
    Ok(Media {
        kind,
        source: if is_stored { Source::File(uri) } else { Source::Url(uri) },
        media_type,
        name: title,
        detail: None,
        cite: false,
    })
}

fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

fn kind_of_uri(uri: &str) -> MediaKind {
    // Films of YouTube are named by the address of their page.
    if uri.contains("youtube.com/") || uri.contains("youtu.be/") {
        return MediaKind::Video;
    }
    media_type_of_uri(uri).map_or(MediaKind::Document, kind_of)
}

/// What a URI's ending says.
pub(super) fn media_type_of_uri(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let (_, ending) = path.rsplit_once('.')?;
    Some(match &*ending.to_ascii_lowercase() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" => "text/html",
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "webm" => "video/webm",
        _ => return None,
    })
}

fn read_call<'a>(node: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Content<'a>, BadRequest> {
    let (mut id, mut called, mut arguments) = (None, None, None);
    for (name, value) in fields(node, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "id" => once(&mut id, text(value, at)?, at, value)?,
            "name" => once(&mut called, text(value, at)?, at, value)?,
            "args" if value.is_object() => once(&mut arguments, value.json(), at, value)?,
            "args" => return Err(at.wrong("must be an object", value)),
            "willContinue" if value.boolean() == Some(false) => {}
            _ => at.is_unread(unread),
        }
    }
    Ok(Content::ToolCall {
        id: id.filter(|id| !id.is_empty()),
        name: named(called, node, path)?,
        arguments: arguments.unwrap_or(Json::EMPTY_OBJECT),
    })
}

fn read_result<'a>(node: Node<'a>, path: &Path<'_>, unread: &mut Unread<'a>) -> Result<Content<'a>, BadRequest> {
    let (mut id, mut called, mut response, mut media) = (None, None, None, None);
    for (name, value) in fields(node, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "id" => once(&mut id, text(value, at)?, at, value)?,
            "name" => once(&mut called, text(value, at)?, at, value)?,
            "response" if value.is_object() => once(&mut response, value, at, value)?,
            "response" => return Err(at.wrong("must be an object", value)),
            "parts" => once(&mut media, read_result_parts(value, at, unread)?, at, value)?,
            "willContinue" if value.boolean() == Some(false) => {}
            _ => at.is_unread(unread),
        }
    }
    let (said, is_error) = match response {
        Some(response) => read_response(response),
        None => (None, false),
    };
    let mut parts: Vec<Part<'a>> = said.into_iter().map(Part::new).collect();
    parts.extend(media.unwrap_or_default());
    Ok(Content::ToolResult {
        call_id: id.filter(|id| !id.is_empty()),
        name: Some(named(called, node, path)?),
        parts,
        is_error,
    })
}

/// What a result says, and whether that is an error. `output` and `error` alone hold the whole of it; the SDK, which
/// calls functions itself, says `result` for `output`.
fn read_response(response: Node<'_>) -> (Option<Content<'_>>, bool) {
    let mut members = response.members();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        let is_empty = response.members().next().is_none();
        return ((!is_empty).then(|| Content::Json(response.raw())), false);
    };
    let whole = match value.text() {
        Some(text) => Content::Text(text),
        None => Content::Json(value.raw()),
    };
    match &*name {
        "error" if !value.is_null() => (Some(whole), true),
        "output" => (Some(whole), false),
        "result" if value.text().is_some() => (Some(whole), false),
        _ => (Some(Content::Json(response.raw())), false),
    }
}

fn read_result_parts<'a>(
    list: Node<'a>,
    path: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<Vec<Part<'a>>, BadRequest> {
    let mut parts = Vec::new();
    for (index, part) in each(list).enumerate() {
        let path = path.element(index);
        if index == MAX_PARTS {
            return Err(path.wrong(format!("has more than {MAX_PARTS} elements"), list));
        }
        for (name, value) in fields(part, &path)? {
            let at = path.member(&name);
            let media = match &*camel(&name) {
                "inlineData" => read_blob(value, &at, unread)?,
                "fileData" => read_file(value, &at, unread)?,
                _ => {
                    at.is_unread(unread);
                    continue;
                }
            };
            parts.push(Part::new(Content::Media(media)));
        }
    }
    Ok(parts)
}
