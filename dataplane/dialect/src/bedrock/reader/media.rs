//! Pictures, documents, films and sounds.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    super::{
        formats,
        path::{Path, Unread},
    },
    blocks::texts,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Content, Media, MediaKind, Source},
    },
    json::{Node, Text},
};

/// `None` where the source is of a kind that we do not know, and so is unread.
pub(super) fn read<'a>(
    kind: MediaKind,
    value: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<Option<Media<'a>>, BadRequest> {
    let (format, source, name, cite) = if kind == MediaKind::Document {
        let names = ["format", "source", "name", "citations"];
        let [format, source, name, citations] = unread.members(value, at, names)?;
        (
            format,
            source,
            name,
            reads_cite(citations, &at.member("citations"), unread)?,
        )
    } else {
        let [format, source] = unread.members(value, at, ["format", "source"])?;
        (Some(at.required("format", format, value)?), source, None, false)
    };
    let source = at.required("source", source, value)?;
    let format = format.map(|node| media_type(kind, node, &at.member("format")));
    let media_type = format.transpose()?;
    let Some(source) = read_source(kind, media_type, source, &at.member("source"), unread)? else {
        return Ok(None);
    };
    let plain = matches!(source, Source::Text(_)).then_some("text/plain");
    Ok(Some(Media {
        kind,
        source,
        media_type: media_type.or(plain).map(Text::from),
        name: name.map(|node| at.member("name").text(node)).transpose()?,
        detail: None,
        cite,
    }))
}

fn media_type(kind: MediaKind, format: Node<'_>, at: &Path<'_>) -> Result<&'static str, BadRequest> {
    let word = at.string(format)?;
    formats::media_type(kind, &word).ok_or_else(|| at.wrong(format!("must be one of {}", formats::words(kind)), format))
}

fn read_source<'a>(
    kind: MediaKind,
    media_type: Option<&str>,
    source: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<Option<Source<'a>>, BadRequest> {
    let found = match kind {
        MediaKind::Document => unread.union(source, at, ["bytes", "s3Location", "text", "content"])?,
        _ => unread.union(source, at, ["bytes", "s3Location"])?,
    };
    let Some((name, value)) = found else {
        return Ok(None);
    };
    let at = at.member(name);
    Ok(Some(match name {
        "bytes" => {
            let bytes = at.text(value)?;
            let format = media_type.and_then(|media_type| formats::word(kind, media_type));
            match format.is_some_and(formats::is_text).then(|| text_of(&bytes)).flatten() {
                Some(text) => Source::Text(text),
                None => Source::Base64(bytes),
            }
        }
        "s3Location" => {
            let [uri] = unread.members(value, &at, ["uri"])?;
            Source::Url(at.member("uri").text(at.required("uri", uri, value)?)?)
        }
        "text" => Source::Text(at.text(value)?),
        _ => Source::Text(joined(texts(value, &at, unread)?, &at, value)?),
    }))
}

/// The text of a document that is one: SDKs send it as bytes like any other.
fn text_of(base64: &Text<'_>) -> Option<Text<'static>> {
    let bytes = STANDARD.decode(base64.plain()?.as_bytes()).ok()?;
    String::from_utf8(bytes).ok().map(Text::from)
}

/// Chunks as one text: only what cites them tells them apart.
fn joined<'a>(mut texts: Vec<Text<'a>>, at: &Path<'_>, list: Node<'a>) -> Result<Text<'a>, BadRequest> {
    if texts.len() == 1 {
        return Ok(texts.remove(0));
    }
    let mut all = String::new();
    for text in &texts {
        let text = text
            .plain()
            .ok_or_else(|| at.wrong("must be texts of whole characters", list))?;
        if !all.is_empty() {
            all.push('\n');
        }
        all.push_str(&text);
    }
    Ok(Text::from(all))
}

fn reads_cite<'a>(citations: Option<Node<'a>>, at: &Path<'_>, unread: &mut Unread<'a>) -> Result<bool, BadRequest> {
    let Some(citations) = citations else {
        return Ok(false);
    };
    let [enabled] = unread.members(citations, at, ["enabled"])?;
    at.member("enabled")
        .boolean(at.required("enabled", enabled, citations)?)
}

/// What a search found is a document that is text. Where it was found nobody else asks.
pub(super) fn read_search_result<'a>(
    value: Node<'a>,
    at: &Path<'_>,
    unread: &mut Unread<'a>,
) -> Result<Content<'a>, BadRequest> {
    let [title, content, citations] = unread.members(value, at, ["title", "content", "citations"])?;
    let content = at.required("content", content, value)?;
    let text = {
        let at = at.member("content");
        joined(texts(content, &at, unread)?, &at, content)?
    };
    Ok(Content::Media(Media {
        kind: MediaKind::Document,
        source: Source::Text(text),
        media_type: Some(Text::from("text/plain")),
        name: title.map(|node| at.member("title").text(node)).transpose()?,
        detail: None,
        cite: reads_cite(citations, &at.member("citations"), unread)?,
    }))
}
