//! Pictures, sounds and documents → parts of a user's message.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    canonical::{
        feature::Feature,
        request::{Content, Media, MediaKind, Part, Source},
    },
    json::{Out, Text},
};

/// A file must have a name.
const FILE_NAME: &str = "document.pdf";

/// What a part says where it is text, or a document that is.
pub(super) fn text_of<'p>(part: &'p Part<'_>) -> Option<Text<'p>> {
    match &part.content {
        Content::Text(text) => Some(lent(text)),
        Content::Json(raw) => Some(Text::Plain(String::from_utf8_lossy(raw))),
        Content::Media(media) if media.kind == MediaKind::Document => document_text(media),
        _ => None,
    }
}

fn lent<'t>(text: &'t Text<'_>) -> Text<'t> {
    match text {
        Text::Escaped(raw) => Text::Escaped(raw),
        Text::Plain(text) => Text::from(&**text),
    }
}

/// Files are PDFs here; what is text goes as text, its name before it.
fn document_text<'m>(media: &'m Media<'_>) -> Option<Text<'m>> {
    let text = match &media.source {
        Source::Text(text) => lent(text),
        Source::Base64(data) if is_type(media, "text/") => {
            let bytes = STANDARD.decode(data.plain()?.as_bytes()).ok()?;
            Text::from(String::from_utf8(bytes).ok()?)
        }
        _ => return None,
    };
    match &media.name {
        Some(name) => Some(Text::from(format!("{}\n\n{}", name.plain()?, text.plain()?))),
        None => Some(text),
    }
}

fn is_type(media: &Media<'_>, begins: &str) -> bool {
    let said = media.media_type.as_ref().and_then(Text::plain);
    said.is_some_and(|said| said.starts_with(begins))
}

/// Appends the part, or says what is lost with it.
pub(super) fn write(media: &Media<'_>, json: &mut Out<'_>) -> Result<(), Feature> {
    match (media.kind, &media.source) {
        (_, Source::File(_)) => Err(Feature::Owned),
        (MediaKind::Image, Source::Base64(data)) => {
            let picture = |json: &mut Out<'_>| write_data(json, media.media_type.as_ref(), "image/png", data);
            write_image(media, json, picture);
            Ok(())
        }
        (MediaKind::Image, Source::Url(url)) if is_web(url) => {
            write_image(media, json, |json| {
                json.text(url);
            });
            Ok(())
        }
        (MediaKind::Image, Source::Url(_)) => Err(Feature::ImageUrl),
        (MediaKind::Document, Source::Base64(data)) => {
            write_file(media, data, json);
            Ok(())
        }
        (MediaKind::Document, Source::Url(_)) => Err(Feature::DocumentUrl),
        (MediaKind::Audio, Source::Base64(data)) => {
            let format = audio_format(media).ok_or(Feature::Audio)?;
            json.open().key("type").string("input_audio");
            json.key("input_audio").open();
            json.key("data").text(data).key("format").string(format);
            json.close().close();
            Ok(())
        }
        (MediaKind::Image, Source::Text(_)) => Err(Feature::Image),
        (MediaKind::Document, Source::Text(_)) => Err(Feature::Document),
        (MediaKind::Audio, _) => Err(Feature::Audio),
        (MediaKind::Video, _) => Err(Feature::Video),
    }
}

/// `gs:` and `s3:` are other clouds' matter.
fn is_web(url: &Text<'_>) -> bool {
    let url = url.plain().unwrap_or_default();
    ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme))
}

fn write_image(media: &Media<'_>, json: &mut Out<'_>, url: impl FnOnce(&mut Out<'_>)) {
    json.open().key("type").string("image_url");
    json.key("image_url").open().key("url");
    url(json);
    if let Some(detail) = &media.detail {
        json.key("detail").text(detail);
    }
    json.close().close();
}

fn write_file(media: &Media<'_>, data: &Text<'_>, json: &mut Out<'_>) {
    json.open().key("type").string("file");
    json.key("file").open().key("filename");
    json.text(media.name.as_ref().unwrap_or(&Text::from(FILE_NAME)));
    json.key("file_data");
    write_data(json, media.media_type.as_ref(), "application/pdf", data);
    json.close().close();
}

/// A `data:` URL. Base64 is copied as it came, never built anew: it may be megabytes.
fn write_data(json: &mut Out<'_>, media_type: Option<&Text<'_>>, or: &'static str, data: &Text<'_>) {
    json.raw(b"\"data:");
    media_type.unwrap_or(&Text::from(or)).write_escaped(json.bytes);
    json.bytes.extend_from_slice(b";base64,");
    data.write_escaped(json.bytes);
    json.bytes.push(b'"');
}

/// OpenAI hears these two.
fn audio_format(media: &Media<'_>) -> Option<&'static str> {
    match media.media_type.as_ref()?.plain().as_deref()? {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => Some("wav"),
        "audio/mpeg" | "audio/mp3" | "audio/mpeg3" => Some("mp3"),
        _ => None,
    }
}
