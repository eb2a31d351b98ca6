//! The content of a message → parts.

use crate::{
    canonical::{
        bad::BadRequest,
        request::{CacheMark, Content, Media, MediaKind, Owned, Part, Source},
    },
    json::{Node, Text},
};

use super::{
    super::extra,
    pick::{Found, Place, Unread, pick},
};

/// Parts of one message.
const MAX_PARTS: usize = 10_000;

const PART: [&str; 10] = [
    "type",
    "text",
    "refusal",
    "image_url",
    "input_audio",
    "file",
    "video_url",
    "cache_control",
    "prompt_cache_breakpoint",
    "extra_content",
];

type PartMembers<'a, 'p> = Found<'a, 'p, { PART.len() }>;

/// A string, or an array of parts.
pub(super) fn read<'a>(
    content: Node<'a>,
    place: &Place<'_>,
    parts: &mut Vec<Part<'a>>,
    owned: &mut Vec<Owned<'a>>,
    unread: &mut Unread<'_>,
) -> Result<(), BadRequest> {
    if let Some(text) = content.text() {
        parts.push(Part::text(text));
        return Ok(());
    }
    if !content.is_array() {
        return Err(place.wrong("must be a string or an array of parts", content));
    }
    if content.elements().next().is_none() {
        return Err(place.wrong("must have at least one part", content));
    }
    for (index, node) in content.elements().enumerate() {
        if index == MAX_PARTS {
            return Err(place.wrong(format!("has more than {MAX_PARTS} parts"), node));
        }
        parts.extend(part(node, &place.element(index), owned, unread)?);
    }
    Ok(())
}

/// `None`: a kind that is not carried.
fn part<'a>(
    node: Node<'a>,
    place: &Place<'_>,
    owned: &mut Vec<Owned<'a>>,
    unread: &mut Unread<'_>,
) -> Result<Option<Part<'a>>, BadRequest> {
    if !node.is_object() {
        return Err(place.wrong("must be an object", node));
    }
    let kind = node.get("type").and_then(Node::string);
    let Some(kind) = kind else {
        return Err(place.member("type").wrong("must be a string", node));
    };
    if !PART[1..7].contains(&&*kind) {
        unread.note(place);
        return Ok(None);
    }
    let found: PartMembers<'a, '_> = pick(node, place, &PART, unread)?;
    let content = match &*kind {
        "text" => Content::Text(found.need("text", found.text("text")?)?),
        "refusal" => Content::Refusal(found.need("refusal", found.text("refusal")?)?),
        "image_url" => Content::Media(by_url(&found, "image_url", MediaKind::Image, unread)?),
        "video_url" => Content::Media(by_url(&found, "video_url", MediaKind::Video, unread)?),
        "input_audio" => Content::Media(audio(&found, unread)?),
        _ => Content::Media(file(&found, owned, unread)?),
    };
    Ok(Some(Part {
        content,
        cache: marks(&found, unread)?,
        signature: extra::signature(found.get("extra_content")),
    }))
}

fn marks(found: &PartMembers<'_, '_>, unread: &mut Unread<'_>) -> Result<Option<CacheMark>, BadRequest> {
    const BREAKPOINT: [&str; 2] = ["mode", "ttl"];
    let mark = cache_mark(found.get("cache_control"), &found.place.member("cache_control"), unread)?;
    let Some(node) = found.get("prompt_cache_breakpoint") else {
        return Ok(mark);
    };
    let place = found.place.member("prompt_cache_breakpoint");
    let breakpoint = pick(node, &place, &BREAKPOINT, unread)?;
    let long = breakpoint.string("ttl")?.is_some_and(|ttl| ttl == "12h");
    Ok(mark.or(Some(if long { CacheMark::OneHour } else { CacheMark::Short })))
}

/// What Anthropic-like servers take: `{"type":"ephemeral","ttl":"1h"}`.
pub(super) fn cache_mark(
    node: Option<Node<'_>>,
    place: &Place<'_>,
    unread: &mut Unread<'_>,
) -> Result<Option<CacheMark>, BadRequest> {
    const CONTROL: [&str; 2] = ["type", "ttl"];
    let Some(node) = node else { return Ok(None) };
    let found = pick(node, place, &CONTROL, unread)?;
    if found.string("type")?.is_none_or(|kind| kind != "ephemeral") {
        unread.note(place);
        return Ok(None);
    }
    match found.string("ttl")?.as_deref() {
        None | Some("5m") => Ok(Some(CacheMark::Short)),
        Some("1h") => Ok(Some(CacheMark::OneHour)),
        Some(_) => Err(place.member("ttl").wrong("must be 5m or 1h", node)),
    }
}

fn by_url<'a>(
    found: &PartMembers<'a, '_>,
    name: &'static str,
    kind: MediaKind,
    unread: &mut Unread<'_>,
) -> Result<Media<'a>, BadRequest> {
    // LiteLLM has the media type as `format`.
    const URL: [&str; 3] = ["url", "detail", "format"];
    let node = found.need(name, found.get(name))?;
    let place = found.place.member(name);
    // Some servers take the bare URL.
    let (url, detail, format) = match node.text() {
        Some(url) => (url, None, None),
        None => {
            let inner = pick(node, &place, &URL, unread)?;
            let url = inner.need("url", inner.text("url")?)?;
            (url, inner.text("detail")?, inner.text("format")?)
        }
    };
    let (source, media_type) = source(url).map_err(|wrong| place.member("url").wrong(wrong, node))?;
    Ok(Media {
        kind,
        source,
        media_type: media_type.or(format),
        name: None,
        detail: detail.filter(|detail| !detail.is("auto")),
        cite: false,
    })
}

fn audio<'a>(found: &PartMembers<'a, '_>, unread: &mut Unread<'_>) -> Result<Media<'a>, BadRequest> {
    const AUDIO: [&str; 2] = ["data", "format"];
    let node = found.need("input_audio", found.get("input_audio"))?;
    let place = found.place.member("input_audio");
    let inner = pick(node, &place, &AUDIO, unread)?;
    let data = inner.need("data", inner.text("data")?)?;
    let format = inner.need("format", inner.string("format")?)?;
    let media_type = match &*format {
        "wav" => Text::from("audio/wav"),
        "mp3" => Text::from("audio/mpeg"),
        // Servers that take more than OpenAI does name it as the media type does.
        _ if format.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Text::from(format!("audio/{format}")),
        _ => {
            return Err(place
                .member("format")
                .wrong("must be a format's name, such as wav or mp3", node));
        }
    };
    Ok(Media {
        kind: MediaKind::Audio,
        source: Source::Base64(data),
        media_type: Some(media_type),
        name: None,
        detail: None,
        cite: false,
    })
}

fn file<'a>(
    found: &PartMembers<'a, '_>,
    owned: &mut Vec<Owned<'a>>,
    unread: &mut Unread<'_>,
) -> Result<Media<'a>, BadRequest> {
    const FILE: [&str; 4] = ["file_data", "file_id", "filename", "format"];
    let node = found.need("file", found.get("file"))?;
    let place = found.place.member("file");
    let inner = pick(node, &place, &FILE, unread)?;
    let name = inner.text("filename")?;
    let (source, media_type) = match (inner.text("file_data")?, inner.text("file_id")?) {
        (Some(data), _) => {
            let bare = !has_scheme(&data);
            let (source, media_type) = match bare {
                true => (Source::Base64(data), None),
                false => source(data).map_err(|wrong| place.member("file_data").wrong(wrong, node))?,
            };
            let said = inner.text("format")?.or(media_type);
            (source, said.or_else(|| bare.then(|| Text::from("application/pdf"))))
        }
        (None, Some(id)) => {
            owned.push(Owned {
                field: "messages.content.file.file_id",
                id: id.clone(),
            });
            (Source::File(id), inner.text("format")?)
        }
        (None, None) => return Err(place.wrong("must have file_data or file_id", node)),
    };
    let plain = media_type.as_ref().and_then(Text::plain);
    let begins = |kind: &str| plain.as_ref().is_some_and(|media_type| media_type.starts_with(kind));
    let kind = match () {
        () if begins("image/") => MediaKind::Image,
        () if begins("audio/") => MediaKind::Audio,
        () if begins("video/") => MediaKind::Video,
        () => MediaKind::Document,
    };
    Ok(Media {
        kind,
        source,
        media_type,
        name,
        detail: None,
        cite: false,
    })
}

fn has_scheme(text: &Text<'_>) -> bool {
    starts_with(text, b"data:") || raw(text).windows(2).take(16).any(|two| two == b":/" || two == b":\\")
}

/// A `data:` URL's content, or the URL. Schemes, types and base64 hold no character that needs an escape but `/`, which
/// may have one: the pieces stay as they were written.
fn source<'a>(url: Text<'a>) -> Result<(Source<'a>, Option<Text<'a>>), &'static str> {
    if !starts_with(&url, b"data:") {
        return Ok((Source::Url(url), None));
    }
    let Text::Escaped(bytes) = url else {
        return Err("must be a string");
    };
    let comma = memchr::memchr(b',', bytes).ok_or("must have a comma before its data")?;
    let (head, data) = (&bytes[b"data:".len()..comma], &bytes[comma + 1..]);
    let head = head
        .strip_suffix(b";base64")
        .ok_or("must have its data in base64: data:TYPE;base64,DATA")?;
    let end = memchr::memchr(b';', head).unwrap_or(head.len());
    let media_type = (end > 0).then(|| Text::Escaped(&head[..end]));
    Ok((Source::Base64(Text::Escaped(data)), media_type))
}

fn raw<'t>(text: &'t Text<'_>) -> &'t [u8] {
    match text {
        Text::Escaped(raw) => raw,
        Text::Plain(text) => text.as_bytes(),
    }
}

fn starts_with(text: &Text<'_>, prefix: &[u8]) -> bool {
    let bytes = raw(text);
    bytes
        .get(..prefix.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
}
