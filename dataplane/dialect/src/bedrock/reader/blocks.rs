//! The blocks of a message's content, and of a tool's result.

use super::{
    super::path::{Path, Unread},
    media,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{CacheMark, Content, MediaKind, Part},
    },
    json::{Node, Text},
};

/// Reads `content` into `parts`. Gives the mark of a cache point that has no block before it.
pub(super) fn read<'a>(
    content: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<Option<CacheMark>, BadRequest> {
    let mut ahead = None;
    let mut blocks = at.list(content)?.enumerate().peekable();
    if blocks.peek().is_none() {
        return Err(at.wrong("must have a block", content));
    }
    for (index, block) in blocks {
        let at = at.element(index);
        let Some((name, value)) = unread.union(block, &at, BLOCKS)? else {
            continue;
        };
        let at = at.member(name);
        if name == "cachePoint" {
            let mark = cache_mark(value, &at, unread)?;
            match parts.last_mut() {
                Some(part) => part.cache = Some(mark),
                None => ahead = Some(mark),
            }
        } else {
            read_block(name, value, &at, unread, parts)?;
        }
    }
    Ok(ahead)
}

const BLOCKS: [&str; 14] = [
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "reasoningContent",
    "citationsContent",
    "searchResult",
    "guardContent",
    "cachePoint",
    "toolAddition",
    "toolRemoval",
];

fn read_block<'a>(
    name: &str,
    value: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), BadRequest> {
    let content = match name {
        "text" => Content::Text(at.text(value)?),
        "image" => return read_media(MediaKind::Image, value, at, unread, parts),
        "document" => return read_media(MediaKind::Document, value, at, unread, parts),
        "video" => return read_media(MediaKind::Video, value, at, unread, parts),
        "audio" => return read_media(MediaKind::Audio, value, at, unread, parts),
        "searchResult" => media::read_search_result(value, at, unread)?,
        "toolUse" => read_call(value, at, unread)?,
        "toolResult" => read_result(value, at, unread)?,
        "reasoningContent" => return read_reasoning(value, at, unread, parts),
        "citationsContent" => return read_cited(value, at, unread, parts),
        "guardContent" => return guarded(value, at, unread, parts),
        // Changes of the set of tools in mid-conversation.
        _ => {
            unread.note(at);
            return Ok(());
        }
    };
    parts.push(Part::new(content));
    Ok(())
}

fn read_media<'a>(
    kind: MediaKind,
    value: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), BadRequest> {
    let media = media::read(kind, value, at, unread)?;
    parts.extend(media.map(|media| Part::new(Content::Media(media))));
    Ok(())
}

pub(super) fn cache_mark<'a>(point: Node<'a>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<CacheMark, BadRequest> {
    let [kind, ttl] = unread.members(point, at, ["type", "ttl"])?;
    let kind = at.required("type", kind, point)?;
    if !kind.is("default") {
        return Err(at.member("type").wrong("must be default", kind));
    }
    match ttl {
        None => Ok(CacheMark::Short),
        Some(ttl) if ttl.is("5m") => Ok(CacheMark::Short),
        Some(ttl) if ttl.is("1h") => Ok(CacheMark::OneHour),
        Some(ttl) => Err(at.member("ttl").wrong("must be 5m or 1h", ttl)),
    }
}

/// What a guardrail is to look at is prompt all the same: it is read, the mark is not.
pub(super) fn guarded<'a>(
    value: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), BadRequest> {
    unread.note(at);
    let Some((name, value)) = unread.union(value, at, ["text", "image"])? else {
        return Ok(());
    };
    let at = at.member(name);
    match name {
        "text" => {
            let [text, _] = unread.members(value, &at, ["text", "qualifiers"])?;
            let text = at.member("text").text(at.required("text", text, value)?)?;
            parts.push(Part::text(text));
            Ok(())
        }
        _ => read_media(MediaKind::Image, value, &at, unread, parts),
    }
}

fn read_call<'a>(call: Node<'a>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<Content<'a>, BadRequest> {
    let [id, name, input] = unread.members(call, at, ["toolUseId", "name", "input"])?;
    let id = at.required("toolUseId", id, call)?;
    let name = at.required("name", name, call)?;
    let input = at.member("input").object(at.required("input", input, call)?)?;
    Ok(Content::ToolCall {
        id: Some(at.member("toolUseId").text(id)?),
        name: at.member("name").text(name)?,
        arguments: input.json(),
    })
}

fn read_result<'a>(result: Node<'a>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<Content<'a>, BadRequest> {
    let [id, content, status] = unread.members(result, at, ["toolUseId", "content", "status"])?;
    let id = at.required("toolUseId", id, result)?;
    let content = at.required("content", content, result)?;
    let is_error = match status {
        None => false,
        Some(status) if status.is("success") => false,
        Some(status) if status.is("error") => true,
        Some(status) => return Err(at.member("status").wrong("must be success or error", status)),
    };
    Ok(Content::ToolResult {
        call_id: Some(at.member("toolUseId").text(id)?),
        name: None,
        parts: read_result_content(content, &at.member("content"), unread)?,
        is_error,
    })
}

fn read_result_content<'a>(
    content: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<Vec<Part<'a>>, BadRequest> {
    const BLOCKS: [&str; 6] = ["json", "text", "image", "document", "video", "searchResult"];
    let mut parts = Vec::new();
    for (index, block) in at.list(content)?.enumerate() {
        let at = at.element(index);
        let Some((name, value)) = unread.union(block, &at, BLOCKS)? else {
            continue;
        };
        let at = at.member(name);
        match name {
            "json" => parts.push(Part::new(Content::Json(value.raw()))),
            name => read_block(name, value, &at, unread, &mut parts)?,
        }
    }
    Ok(parts)
}

fn read_reasoning<'a>(
    value: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), BadRequest> {
    let Some((name, value)) = unread.union(value, at, ["reasoningText", "redactedContent"])? else {
        return Ok(());
    };
    let at = at.member(name);
    if name == "redactedContent" {
        let data = at.text(value)?;
        parts.push(Part::new(Content::Sealed { data, id: None }));
        return Ok(());
    }
    let [text, signature] = unread.members(value, &at, ["text", "signature"])?;
    let text = at.member("text").text(at.required("text", text, value)?)?;
    let signature = signature.map(|node| at.member("signature").text(node)).transpose()?;
    parts.push(Part {
        signature,
        ..Part::new(Content::Thinking(text))
    });
    Ok(())
}

/// An earlier answer's text; what it cited is not said again to a model.
fn read_cited<'a>(
    value: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), BadRequest> {
    let [content, citations] = unread.members(value, at, ["content", "citations"])?;
    if let Some(content) = content {
        let at = at.member("content");
        for text in texts(content, &at, unread)? {
            parts.push(Part::text(text));
        }
    }
    if citations.is_some_and(|list| list.elements().next().is_some()) {
        unread.note(&at.member("citations"));
    }
    Ok(())
}

/// A list of `{"text": …}`.
pub(super) fn texts<'a>(list: Node<'a>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<Vec<Text<'a>>, BadRequest> {
    let mut texts = Vec::new();
    for (index, element) in at.list(list)?.enumerate() {
        let at = at.element(index);
        let [text] = unread.members(element, &at, ["text"])?;
        if let Some(text) = text {
            texts.push(at.member("text").text(text)?);
        }
    }
    Ok(texts)
}
