//! The content of a message, and the output of a call: a text, or parts.

use super::{
    Reading,
    members::{Members, Path, string, text},
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{CacheMark, Content, Media, MediaKind, Part, Source},
    },
    json::{Node, Text},
    openai_responses::{
        SIGNATURE_PATH,
        content::{data_url, type_of_name},
    },
};

pub(super) fn read<'a>(
    content: Node<'a>,
    path: &Path<'_>,
    reading: &mut Reading<'a>,
) -> Result<Vec<Part<'a>>, BadRequest> {
    if let Some(text) = content.text() {
        return Ok(vec![Part::text(text)]);
    }
    if !content.is_array() {
        return Err(path.wrong("must be a string or a list of parts", content));
    }
    let mut parts = Vec::new();
    for (index, node) in content.elements().enumerate() {
        parts.extend(part(node, &path.element(index), reading)?);
    }
    Ok(parts)
}

fn part<'a>(node: Node<'a>, path: &Path<'_>, reading: &mut Reading<'a>) -> Result<Option<Part<'a>>, BadRequest> {
    if !node.is_object() {
        return Err(path.wrong("must be an object", node));
    }
    let Some(kind) = node.get("type") else {
        return Err(path.member("type").wrong("is missing", node));
    };
    let part = match &*string(kind, &path.member("type"))? {
        "input_text" | "output_text" | "text" => words(node, path, reading)?,
        "refusal" => {
            let refusal = Members::of(node, &["type", "refusal"], path, &mut reading.unread)?;
            let refusal = text(refusal.need("refusal", path, node)?, &path.member("refusal"))?;
            Part::new(Content::Refusal(refusal))
        }
        "input_image" => image(node, path, reading)?,
        "input_file" => file(node, path, reading)?,
        "input_audio" => audio(node, path, reading)?,
        _ => {
            reading.unread.note(path);
            return Ok(None);
        }
    };
    Ok(Some(part))
}

fn words<'a>(node: Node<'a>, path: &Path<'_>, reading: &mut Reading<'a>) -> Result<Part<'a>, BadRequest> {
    const NAMES: [&str; 6] = [
        "type",
        "text",
        "annotations",
        "logprobs",
        "prompt_cache_breakpoint",
        "extra_content",
    ];
    let words = Members::of(node, &NAMES, path, &mut reading.unread)?;
    // An answer that is sent back: what it cited stays said, but is not carried.
    words.only("annotations", b"[]", path, &mut reading.unread);
    let mut part = Part::text(text(words.need("text", path, node)?, &path.member("text"))?);
    part.cache = cache(words.get("prompt_cache_breakpoint"), path, reading)?;
    part.signature = node.at(&SIGNATURE_PATH).and_then(Node::text);
    Ok(part)
}

fn image<'a>(node: Node<'a>, path: &Path<'_>, reading: &mut Reading<'a>) -> Result<Part<'a>, BadRequest> {
    const NAMES: [&str; 5] = ["type", "detail", "file_id", "image_url", "prompt_cache_breakpoint"];
    let image = Members::of(node, &NAMES, path, &mut reading.unread)?;
    let (source, media_type) = match (image.text("image_url", path)?, image.text("file_id", path)?) {
        (Some(url), None) => at_url(url, &path.member("image_url"), node)?,
        (None, Some(id)) => (of_file(id, reading), None),
        (Some(_), Some(_)) => return Err(path.wrong("must have one of image_url and file_id", node)),
        (None, None) => return Err(path.member("image_url").wrong("is missing", node)),
    };
    let mut part = Part::new(Content::Media(Media {
        kind: MediaKind::Image,
        source,
        media_type,
        name: None,
        // `auto` is what is so anyway.
        detail: image.text("detail", path)?.filter(|detail| !detail.is("auto")),
        cite: false,
    }));
    part.cache = cache(image.get("prompt_cache_breakpoint"), path, reading)?;
    Ok(part)
}

fn file<'a>(node: Node<'a>, path: &Path<'_>, reading: &mut Reading<'a>) -> Result<Part<'a>, BadRequest> {
    const NAMES: [&str; 7] = [
        "type",
        "detail",
        "file_data",
        "file_id",
        "file_url",
        "filename",
        "prompt_cache_breakpoint",
    ];
    let file = Members::of(node, &NAMES, path, &mut reading.unread)?;
    let name = file.text("filename", path)?;
    let sources = [
        file.text("file_data", path)?,
        file.text("file_url", path)?,
        file.text("file_id", path)?,
    ];
    let (source, media_type) = match sources {
        [Some(data), None, None] if !is_data_url(&data) => (Source::Base64(data), type_of_name(name.as_ref())),
        [Some(data), None, None] => at_url(data, &path.member("file_data"), node)?,
        [None, Some(url), None] => at_url(url, &path.member("file_url"), node)?,
        [None, None, Some(id)] => (of_file(id, reading), None),
        _ => return Err(path.wrong("must have one of file_data, file_url and file_id", node)),
    };
    let mut part = Part::new(Content::Media(Media {
        kind: MediaKind::Document,
        source,
        media_type,
        name,
        detail: file.text("detail", path)?.filter(|detail| !detail.is("auto")),
        cite: false,
    }));
    part.cache = cache(file.get("prompt_cache_breakpoint"), path, reading)?;
    Ok(part)
}

fn audio<'a>(node: Node<'a>, path: &Path<'_>, reading: &mut Reading<'a>) -> Result<Part<'a>, BadRequest> {
    let audio = Members::of(node, &["type", "input_audio"], path, &mut reading.unread)?;
    let inner = audio.need("input_audio", path, node)?;
    let path = path.member("input_audio");
    let audio = Members::of(inner, &["data", "format"], &path, &mut reading.unread)?;
    let format = audio.need("format", &path, inner)?;
    let media_type = match &*string(format, &path.member("format"))? {
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        _ => return Err(path.member("format").wrong("must be 'wav' or 'mp3'", format)),
    };
    Ok(Part::new(Content::Media(Media {
        kind: MediaKind::Audio,
        source: Source::Base64(text(audio.need("data", &path, inner)?, &path.member("data"))?),
        media_type: Some(Text::from(media_type)),
        name: None,
        detail: None,
        cite: false,
    })))
}

fn is_data_url(text: &Text<'_>) -> bool {
    match text {
        Text::Escaped(raw) => raw.starts_with(b"data:"),
        Text::Plain(text) => text.starts_with("data:"),
    }
}

fn at_url<'a>(url: Text<'a>, path: &Path<'_>, node: Node<'a>) -> Result<(Source<'a>, Option<Text<'a>>), BadRequest> {
    if !is_data_url(&url) {
        return Ok((Source::Url(url), None));
    }
    let (media_type, data) =
        data_url(url).ok_or_else(|| path.wrong("must be a URL, or data:TYPE;base64,DATA", node))?;
    Ok((Source::Base64(data), media_type))
}

fn of_file<'a>(id: Text<'a>, reading: &mut Reading<'a>) -> Source<'a> {
    reading.own("file_id", id.clone());
    Source::File(id)
}

fn cache<'a>(
    mark: Option<Node<'a>>,
    path: &Path<'_>,
    reading: &mut Reading<'a>,
) -> Result<Option<CacheMark>, BadRequest> {
    let Some(node) = mark else { return Ok(None) };
    let path = path.member("prompt_cache_breakpoint");
    let mark = Members::of(node, &["mode", "ttl"], &path, &mut reading.unread)?;
    match mark.get("ttl") {
        None => Ok(Some(CacheMark::Short)),
        Some(ttl) => match &*string(ttl, &path.member("ttl"))? {
            "30m" => Ok(Some(CacheMark::Short)),
            "12h" => Ok(Some(CacheMark::OneHour)),
            _ => Err(path.member("ttl").wrong("must be '30m' or '12h'", ttl)),
        },
    }
}
