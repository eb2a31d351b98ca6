//! Pictures and documents: read from a client, written to the provider.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Content, Media, MediaKind, Owned, Part, Source},
    },
    json::{Node, Out, Text},
};

use super::{path::Path, reader::Reader};

/// The member that names a file of the provider's.
pub(super) const FILE_FIELD: &str = "file_id";

impl<'a> Reader<'a> {
    pub(super) fn image(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Part<'a>, BadRequest> {
        let known = ["type", "source", "cache_control", "transformations"];
        let [_, source, cache, transformations] = self.unread.members(node, path, known)?;
        let lost = transformations.is_some_and(|node| node.members().next().is_some());
        self.unread.note_if(&path.member("transformations"), lost);
        let source = path.required("source", source)?;
        let (source, media_type) = self.source(source, &path.member("source"), MediaKind::Image)?;
        let media = Media {
            kind: MediaKind::Image,
            source,
            media_type,
            name: None,
            detail: None,
            cite: false,
        };
        Ok(Part {
            cache: self.cache(cache, path)?,
            ..Part::new(Content::Media(media))
        })
    }

    /// Its `context`, which the model reads and may not cite, becomes a text before it.
    pub(super) fn document(
        &mut self,
        node: Node<'a>,
        path: &Path<'_>,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), BadRequest> {
        let known = ["type", "source", "cache_control", "citations", "title", "context"];
        let [_, source, cache, citations, title, context] = self.unread.members(node, path, known)?;
        if let Some(context) = context {
            parts.push(Part::text(path.member("context").text(context)?));
        }
        let cite = self.cite(citations, path)?;
        let source = path.required("source", source)?;
        let (source, media_type) = match source.get("type") {
            Some(kind) if kind.is("content") => self.content_source(source, &path.member("source"), cite)?,
            _ => self.source(source, &path.member("source"), MediaKind::Document)?,
        };
        let media = Media {
            kind: MediaKind::Document,
            source,
            media_type,
            name: title.map(|node| path.member("title").text(node)).transpose()?,
            detail: None,
            cite,
        };
        parts.push(Part {
            cache: self.cache(cache, path)?,
            ..Part::new(Content::Media(media))
        });
        Ok(())
    }

    /// What a search of the caller's found: a document that is text.
    pub(super) fn search_result(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Part<'a>, BadRequest> {
        let known = ["type", "content", "source", "title", "citations", "cache_control"];
        let [_, content, source, title, citations, cache] = self.unread.members(node, path, known)?;
        let content = path.required("content", content)?;
        self.unread.note_if(&path.member("source"), source.is_some());
        let cite = self.cite(citations, path)?;
        let media = Media {
            kind: MediaKind::Document,
            source: Source::Text(self.joined(content, &path.member("content"), cite)?),
            media_type: Some("text/plain".into()),
            name: title.map(|node| path.member("title").text(node)).transpose()?,
            detail: None,
            cite,
        };
        Ok(Part {
            cache: self.cache(cache, path)?,
            ..Part::new(Content::Media(media))
        })
    }

    fn cite(&mut self, node: Option<Node<'a>>, above: &Path<'_>) -> Result<bool, BadRequest> {
        let Some(node) = node else { return Ok(false) };
        let path = above.member("citations");
        let [enabled] = self.unread.members(node, &path, ["enabled"])?;
        let enabled = enabled.map(|node| path.member("enabled").boolean(node)).transpose()?;
        Ok(enabled == Some(true))
    }

    fn source(
        &mut self,
        node: Node<'a>,
        path: &Path<'_>,
        kind: MediaKind,
    ) -> Result<(Source<'a>, Option<Text<'a>>), BadRequest> {
        let known = ["type", "media_type", "data", "url", "file_id"];
        let [word, media_type, data, url, file] = self.unread.members(node, path, known)?;
        let word_node = path.required("type", word)?;
        let word = path.member("type").word(word_node)?;
        match (word.as_ref(), kind) {
            ("base64", _) | ("text", MediaKind::Document) => {
                let (media_type, data) = (path.required("media_type", media_type)?, path.required("data", data)?);
                let media_type = path.member("media_type").name(media_type)?;
                let data = path.member("data").text(data)?;
                let source = match word.as_ref() {
                    "base64" => Source::Base64(data),
                    _ => Source::Text(data),
                };
                Ok((source, Some(media_type)))
            }
            ("url", _) => {
                let url_node = path.required("url", url)?;
                let url = path.member("url").name(url_node)?;
                match url.plain().is_some_and(|url| url.starts_with("data:")) {
                    true => Err(path
                        .member("url")
                        .wrong("must be an https URL; data goes into a 'base64' source", url_node)),
                    false => Ok((Source::Url(url), None)),
                }
            }
            ("file", _) => {
                let id = path.member("file_id").name(path.required("file_id", file)?)?;
                self.owned.push(Owned {
                    field: FILE_FIELD,
                    id: id.clone(),
                });
                Ok((Source::File(id), None))
            }
            (_, MediaKind::Document) => {
                let wrong = "must be 'base64', 'text', 'url', 'content' or 'file'";
                Err(path.member("type").wrong(wrong, word_node))
            }
            _ => Err(path
                .member("type")
                .wrong("must be 'base64', 'url' or 'file'", word_node)),
        }
    }

    /// A document made of blocks: their texts in a row.
    fn content_source(
        &mut self,
        node: Node<'a>,
        path: &Path<'_>,
        cite: bool,
    ) -> Result<(Source<'a>, Option<Text<'a>>), BadRequest> {
        let [_, content] = self.unread.members(node, path, ["type", "content"])?;
        let content = path.required("content", content)?;
        let text = self.joined(content, &path.member("content"), cite)?;
        Ok((Source::Text(text), Some("text/plain".into())))
    }

    fn joined(&mut self, content: Node<'a>, path: &Path<'_>, cite: bool) -> Result<Text<'a>, BadRequest> {
        if let Some(text) = content.text() {
            return Ok(text);
        }
        if !content.is_array() {
            return Err(path.wrong("must be a string or a list of content blocks", content));
        }
        let mut joined = String::new();
        let mut texts = 0;
        for (position, block) in content.elements().enumerate() {
            let path = path.element(position);
            let known = ["type", "text", "cache_control", "citations"];
            if !block.get("type").is_some_and(|kind| kind.is("text")) {
                self.unread.note(&path);
                continue;
            }
            let [_, text, ..] = self.unread.members(block, &path, known)?;
            let text = path.required("text", text)?;
            if texts > 0 {
                joined.push_str("\n\n");
            }
            joined.push_str(&path.member("text").word(text)?);
            texts += 1;
        }
        // Citations name blocks, and there is one left.
        self.unread.note_if(path, cite && texts > 1);
        Ok(joined.into())
    }
}

/// Can it be written? What is lost is noted.
pub(super) fn fits(media: &Media<'_>, drops: &mut Drops) -> bool {
    let lost = match (media.kind, &media.source) {
        (kind @ (MediaKind::Audio | MediaKind::Video), _) => Some(feature(kind)),
        (_, Source::File(_)) => None,
        (MediaKind::Image, Source::Url(url)) => (!is_web(url)).then_some(Feature::ImageUrl),
        (MediaKind::Document, Source::Url(url)) => (!is_web(url)).then_some(Feature::DocumentUrl),
        (MediaKind::Image, Source::Base64(_)) => image_type(media).is_none().then_some(Feature::Image),
        (MediaKind::Image, Source::Text(_)) => Some(Feature::Image),
        (MediaKind::Document, Source::Text(_)) => None,
        (MediaKind::Document, Source::Base64(data)) => {
            let carried = is_pdf(media) || decoded(media, data).is_some();
            (!carried).then_some(Feature::Document)
        }
    };
    if let Some(feature) = lost {
        drops.note(feature);
        return false;
    }
    let detail = media.detail.as_ref().is_some_and(|detail| !detail.is("auto"));
    drops.note_if(Feature::ImageDetail, detail);
    true
}

/// Appends the members of a block, its bracket left open; `fits` said that it can be written.
pub(super) fn write_open(media: &Media<'_>, cite: bool, json: &mut Out<'_>) {
    let image = media.kind == MediaKind::Image;
    json.open().key("type").string(if image { "image" } else { "document" });
    json.key("source").open().key("type");
    match &media.source {
        Source::Url(url) => json.string("url").key("url").text(url),
        Source::File(id) => json.string("file").key(FILE_FIELD).text(id),
        Source::Text(text) => json
            .string("text")
            .key("media_type")
            .string("text/plain")
            .key("data")
            .text(text),
        Source::Base64(data) => match (image, decoded(media, data)) {
            (false, Some(text)) => json
                .string("text")
                .key("media_type")
                .string("text/plain")
                .key("data")
                .string(&text),
            _ => json
                .string("base64")
                .key("media_type")
                .string(image_type(media).unwrap_or("application/pdf"))
                .key("data")
                .text(data),
        },
    };
    json.close();
    if let (Some(title), false) = (&media.name, image) {
        json.key("title").text(title);
    }
    if cite {
        json.key("citations").open().key("enabled").boolean(true).close();
    }
}

/// What is lost where nothing of this kind can stand.
pub(super) fn feature(kind: MediaKind) -> Feature {
    match kind {
        MediaKind::Image => Feature::Image,
        MediaKind::Document => Feature::Document,
        MediaKind::Audio => Feature::Audio,
        MediaKind::Video => Feature::Video,
    }
}

fn is_web(url: &Text<'_>) -> bool {
    url.plain()
        .is_some_and(|url| url.starts_with("https:") || url.starts_with("http:"))
}

fn is_pdf(media: &Media<'_>) -> bool {
    media.media_type.as_ref().is_some_and(|kind| kind.is("application/pdf"))
}

/// The four that Anthropic takes.
fn image_type(media: &Media<'_>) -> Option<&'static str> {
    if media.kind != MediaKind::Image {
        return None;
    }
    let kind = media.media_type.as_ref()?.plain()?.to_ascii_lowercase();
    match kind.as_str() {
        "image/png" => Some("image/png"),
        "image/jpeg" | "image/jpg" => Some("image/jpeg"),
        "image/gif" => Some("image/gif"),
        "image/webp" => Some("image/webp"),
        _ => None,
    }
}

/// The text of a document that came as base64 and is text (CSV, Markdown, HTML, JSON).
fn decoded(media: &Media<'_>, data: &Text<'_>) -> Option<String> {
    let kind = media.media_type.as_ref()?.plain()?;
    let is_text = kind.starts_with("text/") || matches!(&*kind, "application/json" | "application/xml");
    if !is_text {
        return None;
    }
    let data = data.plain()?;
    let bytes = STANDARD.decode(Cow::as_ref(&data)).ok()?;
    String::from_utf8(bytes).ok()
}
