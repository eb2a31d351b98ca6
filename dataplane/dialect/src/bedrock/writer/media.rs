//! Pictures, documents, films and sounds as Bedrock takes them.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{super::formats, names::DocumentNames};
use crate::{
    canonical::{
        feature::{Drops, Feature},
        request::{Media, MediaKind, Source},
    },
    json::{Out, Text},
};

/// A medium that can be said, ready to be written.
#[derive(Debug)]
pub(super) struct Ready<'r, 'a> {
    kind: MediaKind,
    format: &'static str,
    /// Only documents have one.
    name: Option<String>,
    bytes: Bytes<'r, 'a>,
    cite: bool,
}

#[derive(Debug)]
enum Bytes<'r, 'a> {
    Base64(&'r Text<'a>),
    /// To be encoded: not every model takes a document as text.
    Text(Cow<'r, str>),
    S3(&'r Text<'a>),
}

impl<'r, 'a> Ready<'r, 'a> {
    /// `None` where Bedrock cannot say it, which is then noted.
    pub fn of(media: &'r Media<'a>, names: &mut DocumentNames, drops: &mut Drops) -> Option<Ready<'r, 'a>> {
        let bytes = bytes_of(media, drops)?;
        let Some(format) = format_of(media) else {
            drops.note(feature(media.kind));
            return None;
        };
        let detail = media.detail.as_ref();
        drops.note_if(Feature::ImageDetail, detail.is_some_and(|detail| !detail.is("auto")));
        let is_document = media.kind == MediaKind::Document;
        Some(Ready {
            kind: media.kind,
            format,
            name: is_document.then(|| names.give(media.name.as_ref())),
            bytes,
            cite: is_document && media.cite,
        })
    }

    pub fn is_document(&self) -> bool {
        self.kind == MediaKind::Document
    }

    pub fn is_sound(&self) -> bool {
        self.kind == MediaKind::Audio
    }

    pub fn write(&self, json: &mut Out<'_>) {
        json.open().key(key(self.kind)).open();
        json.key("format").string(self.format);
        if let Some(name) = &self.name {
            json.key("name").string(name);
        }
        json.key("source").open();
        match &self.bytes {
            Bytes::Base64(bytes) => json.key("bytes").text(bytes),
            Bytes::Text(text) => json.key("bytes").string(&STANDARD.encode(text.as_bytes())),
            Bytes::S3(uri) => json.key("s3Location").open().key("uri").text(uri).close(),
        };
        json.close();
        if self.cite {
            json.key("citations").open().key("enabled").boolean(true).close();
        }
        json.close().close();
    }
}

fn key(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

/// What is lost with a medium of this kind.
pub(super) fn feature(kind: MediaKind) -> Feature {
    match kind {
        MediaKind::Image => Feature::Image,
        MediaKind::Document => Feature::Document,
        MediaKind::Audio => Feature::Audio,
        MediaKind::Video => Feature::Video,
    }
}

fn bytes_of<'r, 'a>(media: &'r Media<'a>, drops: &mut Drops) -> Option<Bytes<'r, 'a>> {
    match &media.source {
        Source::Base64(bytes) if bytes.is_empty() => {
            drops.note(feature(media.kind));
            None
        }
        Source::Base64(bytes) => Some(Bytes::Base64(bytes)),
        Source::Text(text) => match text.plain().filter(|text| !text.is_empty()) {
            Some(text) => Some(Bytes::Text(text)),
            None => {
                drops.note(feature(media.kind));
                None
            }
        },
        Source::Url(url) if starts_with(url, "s3://") => Some(Bytes::S3(url)),
        Source::Url(_) => {
            drops.note(match media.kind {
                MediaKind::Image => Feature::ImageUrl,
                MediaKind::Document => Feature::DocumentUrl,
                kind => feature(kind),
            });
            None
        }
        Source::File(_) => {
            drops.note(Feature::Owned);
            None
        }
    }
}

fn starts_with(text: &Text<'_>, start: &str) -> bool {
    text.plain().is_some_and(|text| text.starts_with(start))
}

/// By the media type, or where nobody said one, by the name or the bytes.
fn format_of(media: &Media<'_>) -> Option<&'static str> {
    let kind = media.kind;
    let is_text = kind == MediaKind::Document && matches!(media.source, Source::Text(_));
    let text = is_text.then_some("txt");
    if let Some(media_type) = media.media_type.as_ref().and_then(Text::plain) {
        return formats::word(kind, &media_type).or(text);
    }
    let of_name = |name: &Text<'_>| formats::word_of_name(kind, &name.plain()?);
    match (media.name.as_ref().and_then(of_name), &media.source) {
        (Some(word), _) => Some(word),
        (None, Source::Url(url)) => of_name(url),
        (None, Source::Base64(bytes)) => formats::word_of_bytes(kind, &bytes.plain()?),
        (None, _) => text,
    }
}
