//! A client's `messages`.

use super::{
    documents,
    path::{Path, Unread},
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Content, Media, MediaKind, Part, Role, Source, Turn},
    },
    json::{Json, Node, Text},
};

/// Messages of one request.
const MAX_MESSAGES: usize = 100_000;

pub(super) fn read<'a>(list: Node<'a>, unread: &mut Unread) -> Result<Vec<Turn<'a>>, BadRequest> {
    let path = Path::Key(&Path::Root, "messages");
    path.array(list)?;
    let mut turns: Vec<Turn<'a>> = Vec::new();
    // The last turn holds results of one round, and another may join them.
    let mut answering = false;
    for (index, message) in list.elements().enumerate() {
        if index == MAX_MESSAGES {
            return Err(path.wrong(format!("has more than {MAX_MESSAGES} elements"), message));
        }
        let path = Path::Index(&path, index);
        if !message.is_object() {
            return Err(path.wrong("must be an object", message));
        }
        let role = message.get("role");
        let (role, parts) = match role.and_then(Node::string).as_deref() {
            Some("system") => (Role::System, read_said(message, &path, &["text"], unread)?),
            Some("user") => (Role::User, read_said(message, &path, &["text", "image_url"], unread)?),
            Some("assistant") => (Role::Assistant, read_assistant(message, &path, unread)?),
            Some("tool") => {
                let result = read_result(message, &path, unread)?;
                match turns.last_mut().filter(|_| answering) {
                    Some(turn) => turn.parts.push(result),
                    None => turns.push(turn(Role::User, vec![result])),
                }
                answering = true;
                continue;
            }
            _ => {
                let wrong = "must be 'system', 'user', 'assistant' or 'tool'";
                return Err(Path::Key(&path, "role").wrong(wrong, role.unwrap_or(message)));
            }
        };
        answering = false;
        turns.push(turn(role, parts));
    }
    match turns.is_empty() {
        true => Err(path.wrong("must hold at least one message", list)),
        false => Ok(turns),
    }
}

fn turn(role: Role, parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn {
        role,
        name: None,
        parts,
    }
}

/// A system or user message.
fn read_said<'a>(
    message: Node<'a>,
    path: &Path<'_>,
    kinds: &[&str],
    unread: &mut Unread,
) -> Result<Vec<Part<'a>>, BadRequest> {
    let [_, content] = path.members(message, &["role", "content"], unread)?;
    let content = content.ok_or_else(|| path.missing("content", "is missing: a string or a list of parts"))?;
    read_content(content, &Path::Key(path, "content"), kinds, unread)
}

/// A string, or a list of parts of these types.
fn read_content<'a>(
    content: Node<'a>,
    path: &Path<'_>,
    kinds: &[&str],
    unread: &mut Unread,
) -> Result<Vec<Part<'a>>, BadRequest> {
    if let Some(text) = content.text() {
        return Ok(vec![Part::text(text)]);
    }
    if !content.is_array() {
        return Err(path.wrong("must be a string or a list of parts", content));
    }
    content
        .elements()
        .enumerate()
        .map(|(index, part)| read_part(part, &Path::Index(path, index), kinds, unread))
        .collect()
}

fn read_part<'a>(part: Node<'a>, path: &Path<'_>, kinds: &[&str], unread: &mut Unread) -> Result<Part<'a>, BadRequest> {
    if !part.is_object() {
        return Err(path.wrong("must be an object", part));
    }
    let kind = part.get("type").and_then(Node::string);
    let Some(kind) = kinds.iter().find(|known| Some(**known) == kind.as_deref()) else {
        let wrong = format!("must be one of: {}", kinds.join(", "));
        return Err(Path::Key(path, "type").wrong(wrong, part.get("type").unwrap_or(part)));
    };
    let [_, value] = path.members(part, &["type", *kind], unread)?;
    let value = value.ok_or_else(|| path.missing(kind, "is missing: the part's content"))?;
    let path = Path::Key(path, kind);
    let content = match *kind {
        "text" => Content::Text(path.text(value)?),
        "thinking" => Content::Thinking(path.text(value)?),
        "image_url" => Content::Media(read_image(value, &path, unread)?),
        _ => {
            let data = documents::data(value, &path, None, unread)?;
            data.text().map_or(Content::Json(data.raw()), Content::Text)
        }
    };
    Ok(Part::new(content))
}

fn read_image<'a>(image: Node<'a>, path: &Path<'_>, unread: &mut Unread) -> Result<Media<'a>, BadRequest> {
    let [url, detail] = path.members(image, &["url", "detail"], unread)?;
    let url = url.ok_or_else(|| path.missing("url", "is missing: an https or data URL"))?;
    let detail = detail.map(|node| Path::Key(path, "detail").text(node)).transpose()?;
    let path = Path::Key(path, "url");
    let (source, media_type) = match data_url(path.text(url)?) {
        Ok(Some((media_type, base64))) => (Source::Base64(base64), Some(media_type)),
        Ok(None) => (Source::Url(path.text(url)?), None),
        Err(wrong) => return Err(path.wrong(wrong, url)),
    };
    Ok(Media {
        kind: MediaKind::Image,
        source,
        media_type,
        name: None,
        detail,
        cite: false,
    })
}

/// Media type and base64 of a `data:` URL; `None` for any other.
fn data_url<'a>(url: Text<'a>) -> Result<Option<(Text<'a>, Text<'a>)>, &'static str> {
    const WRONG: &str = "must be a data URL of the form data:TYPE;base64,DATA";
    match url {
        Text::Escaped(raw) if memchr::memchr(b'\\', raw).is_none() => {
            let Some(rest) = raw.strip_prefix(b"data:") else {
                return Ok(None);
            };
            let comma = memchr::memchr(b',', rest).ok_or(WRONG)?;
            let media_type = rest[..comma].strip_suffix(b";base64").ok_or(WRONG)?;
            Ok(Some((Text::Escaped(media_type), Text::Escaped(&rest[comma + 1..]))))
        }
        // `data:image\/png`, as some encoders have it: the copy is rare.
        url => {
            let plain = url.plain().ok_or(WRONG)?;
            let Some(rest) = plain.strip_prefix("data:") else {
                return Ok(None);
            };
            let (head, base64) = rest.split_once(',').ok_or(WRONG)?;
            let media_type = head.strip_suffix(";base64").ok_or(WRONG)?;
            Ok(Some((Text::from(media_type.to_owned()), Text::from(base64.to_owned()))))
        }
    }
}

/// Content, then the plan, then the calls: the plan is the text right before the first call.
fn read_assistant<'a>(message: Node<'a>, path: &Path<'_>, unread: &mut Unread) -> Result<Vec<Part<'a>>, BadRequest> {
    const NAMES: [&str; 5] = ["role", "content", "tool_plan", "tool_calls", "citations"];
    let [_, content, plan, calls, citations] = path.members(message, &NAMES, unread)?;
    let mut parts = match content {
        Some(content) => read_content(content, &Path::Key(path, "content"), &["text", "thinking"], unread)?,
        None => Vec::new(),
    };
    if let Some(plan) = plan {
        let plan = Path::Key(path, "tool_plan").text(plan)?;
        if !plan.is_empty() {
            parts.push(Part::text(plan));
        }
    }
    if let Some(calls) = calls {
        let path = Path::Key(path, "tool_calls");
        path.array(calls)?;
        for (index, call) in calls.elements().enumerate() {
            parts.push(read_call(call, &Path::Index(&path, index), unread)?);
        }
    }
    let cited = citations.is_some_and(|list| list.elements().next().is_some());
    unread.note_if(&Path::Key(path, "citations"), cited);
    Ok(parts)
}

fn read_call<'a>(call: Node<'a>, path: &Path<'_>, unread: &mut Unread) -> Result<Part<'a>, BadRequest> {
    let [id, kind, function] = path.members(call, &["id", "type", "function"], unread)?;
    if let Some(kind) = kind.filter(|kind| !kind.is("function")) {
        return Err(Path::Key(path, "type").wrong("must be 'function'", kind));
    }
    let id = id.ok_or_else(|| path.missing("id", "is missing: the call's id, a string"))?;
    let id = Path::Key(path, "id").text(id)?;
    let function = function.ok_or_else(|| path.missing("function", "is missing: what was called"))?;
    let path = Path::Key(path, "function");
    let [name, arguments] = path.members(function, &["name", "arguments"], unread)?;
    let name = name.ok_or_else(|| path.missing("name", "is missing: the function's name"))?;
    Ok(Part::new(Content::ToolCall {
        id: Some(id),
        name: Path::Key(&path, "name").text(name)?,
        arguments: match arguments {
            Some(node) => Json::Quoted(Path::Key(&path, "arguments").text(node)?),
            None => Json::EMPTY_OBJECT,
        },
    }))
}

fn read_result<'a>(message: Node<'a>, path: &Path<'_>, unread: &mut Unread) -> Result<Part<'a>, BadRequest> {
    let [_, id, content] = path.members(message, &["role", "tool_call_id", "content"], unread)?;
    let id = id.ok_or_else(|| path.missing("tool_call_id", "is missing: the id of the call that this answers"))?;
    let content = content.ok_or_else(|| path.missing("content", "is missing: a string or a list of parts"))?;
    Ok(Part::new(Content::ToolResult {
        call_id: Some(Path::Key(path, "tool_call_id").text(id)?),
        name: None,
        parts: read_content(content, &Path::Key(path, "content"), &["text", "document"], unread)?,
        is_error: false,
    }))
}
