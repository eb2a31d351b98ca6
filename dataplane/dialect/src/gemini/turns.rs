//! `systemInstruction` and `contents` of a request to a provider.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{UNSIGNED, parts::media_type_of_uri};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Content, Media, MediaKind, Part, Request, Role, Source, Turn},
    },
    json::{Out, Text},
    speak::TargetFacts,
};

/// System and developer texts, wherever they stood.
pub(super) fn write_system(request: &Request<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    let is_system = |turn: &&Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
    let mut any = false;
    for part in request.turns.iter().filter(is_system).flat_map(|turn| &turn.parts) {
        drops.note_if(Feature::Cache, part.cache.is_some());
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => {
                if !any {
                    json.key("systemInstruction").open().key("parts").open_list();
                    any = true;
                }
                json.open().key("text").text(text).close();
            }
            // It takes text alone.
            Content::Media(media) => drops.note(feature_of(media.kind)),
            _ => {}
        }
    }
    if any {
        json.close_list().close();
    }
}

pub(super) fn write_contents(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
    json: &mut Out<'_>,
) -> Result<(), BadRequest> {
    let is_said = |turn: &&Turn<'_>| matches!(turn.role, Role::User | Role::Assistant) && !turn.parts.is_empty();
    let mut turns: Vec<&Turn<'_>> = request.turns.iter().filter(is_said).collect();
    if !to.quirks.prefill && turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
        turns.pop();
        drops.note(Feature::Prefill);
    }
    if turns.is_empty() {
        return Err(BadRequest::missing(
            "contents",
            "would be empty: the request holds nothing but system text",
        ));
    }
    json.key("contents").open_list();
    let start = json.bytes.len();
    let unsigned = demands_signatures(to.model).then(|| Text::from(UNSIGNED));
    for turn in turns {
        drops.note_if(Feature::ParticipantName, turn.name.is_some());
        write_turn(turn, unsigned.as_ref(), drops, json)?;
    }
    if json.bytes.len() == start {
        return Err(BadRequest::missing(
            "contents",
            "would be empty: nothing of the request can be said to the target",
        ));
    }
    json.close_list();
    Ok(())
}

/// Gemini 3 and later refuse a turn whose first call is not signed.
fn demands_signatures(model: &str) -> bool {
    let Some((_, version)) = model.split_once("gemini-") else {
        return false;
    };
    let digits = version.split(|byte: char| !byte.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .is_some_and(|major: u32| major >= 3)
}

/// Writes nothing where nothing of the turn can be said: roles need not alternate. `unsigned` is the signature of a first
/// call that has none.
fn write_turn(
    turn: &Turn<'_>,
    unsigned: Option<&Text<'_>>,
    drops: &mut Drops,
    json: &mut Out<'_>,
) -> Result<(), BadRequest> {
    let before = json.bytes.len();
    json.open().key("role").string(match turn.role {
        Role::Assistant => "model",
        _ => "user",
    });
    json.key("parts").open_list();
    let empty = json.bytes.len();
    let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
    let first_call = turn.parts.iter().position(is_call);
    for (index, part) in turn.parts.iter().enumerate() {
        let usual = unsigned.filter(|_| first_call == Some(index));
        write_part(part, part.signature.as_ref().or(usual), drops, json)?;
    }
    if json.bytes.len() == empty {
        json.bytes.truncate(before);
        return Ok(());
    }
    json.close_list().close();
    Ok(())
}

fn write_part(
    part: &Part<'_>,
    signature: Option<&Text<'_>>,
    drops: &mut Drops,
    json: &mut Out<'_>,
) -> Result<(), BadRequest> {
    drops.note_if(Feature::Cache, part.cache.is_some());
    match &part.content {
        // Google refuses a text that says nothing, unless it is there for its signature.
        Content::Text(text) | Content::Refusal(text) if text.is_empty() && part.signature.is_none() => return Ok(()),
        Content::Text(text) | Content::Refusal(text) => {
            json.open().key("text").text(text);
        }
        Content::Thinking(text) => {
            json.open().key("text").text(text).key("thought").boolean(true);
        }
        Content::Sealed { data, .. } => {
            json.open()
                .key("thought")
                .boolean(true)
                .key("thoughtSignature")
                .text(data);
        }
        Content::Json(value) => {
            json.open().key("text").string(&String::from_utf8_lossy(value));
        }
        Content::Media(media) => {
            let mut written = Vec::new();
            if !write_media(media, drops, &mut Out::new(&mut written)) {
                return Ok(());
            }
            json.open();
            json.bytes.extend_from_slice(&written);
        }
        Content::ToolCall { id, name, arguments } => {
            let arguments = arguments.object().map_err(|_| {
                let name = name.plain().unwrap_or_default();
                BadRequest::missing(format!("arguments of a call of {name}"), "are no JSON object")
            })?;
            json.open().key("functionCall").open();
            if let Some(id) = id {
                json.key("id").text(id);
            }
            json.key("name").text(name).key("args").raw(&arguments).close();
        }
        Content::ToolResult { .. } => write_result(&part.content, drops, json)?,
    }
    if let Some(signature) = signature {
        json.key("thoughtSignature").text(signature);
    }
    json.close();
    Ok(())
}

/// Writes the member; false where the medium cannot be carried.
fn write_media(media: &Media<'_>, drops: &mut Drops, json: &mut Out<'_>) -> bool {
    drops.note_if(
        Feature::ImageDetail,
        media.detail.as_ref().is_some_and(|detail| !detail.is("auto")),
    );
    drops.note_if(Feature::Cite, media.cite);
    let write_blob = |json: &mut Out<'_>, usual: &str, data: &Text<'_>| {
        json.key("inlineData").open().key("mimeType");
        match &media.media_type {
            Some(media_type) => json.text(media_type),
            None => json.string(usual),
        };
        json.key("data").text(data).close();
    };
    match &media.source {
        Source::Base64(data) => write_blob(json, usual_type(media.kind), data),
        Source::Text(text) => match text.plain() {
            Some(text) => write_blob(json, "text/plain", &Text::from(STANDARD.encode(&*text))),
            None => {
                drops.note(Feature::Document);
                return false;
            }
        },
        Source::Url(uri) | Source::File(uri) => {
            if let Some(lost) = cannot_fetch(media, uri) {
                drops.note(lost);
                return false;
            }
            json.key("fileData").open();
            let ending = uri.plain().and_then(|uri| media_type_of_uri(&uri));
            match (&media.media_type, ending) {
                (Some(media_type), _) => {
                    json.key("mimeType").text(media_type);
                }
                (None, Some(media_type)) if matches!(media.source, Source::Url(_)) => {
                    json.key("mimeType").string(media_type);
                }
                _ => {}
            }
            json.key("fileUri").text(uri).close();
        }
    }
    true
}

/// What is lost where Google cannot read the place.
fn cannot_fetch(media: &Media<'_>, uri: &Text<'_>) -> Option<Feature> {
    let uri = uri.plain().unwrap_or_default();
    let is_file = matches!(media.source, Source::File(_));
    if is_file {
        let is_google = uri.starts_with("files/") || uri.contains("//generativelanguage.googleapis.com/");
        return (!is_google).then_some(Feature::Owned);
    }
    let can = ["https://", "http://", "gs://"]
        .iter()
        .any(|scheme| uri.starts_with(scheme));
    let lost = match media.kind {
        MediaKind::Image => Feature::ImageUrl,
        MediaKind::Document => Feature::DocumentUrl,
        MediaKind::Audio | MediaKind::Video => feature_of(media.kind),
    };
    (!can).then_some(lost)
}

fn feature_of(kind: MediaKind) -> Feature {
    match kind {
        MediaKind::Image => Feature::Image,
        MediaKind::Document => Feature::Document,
        MediaKind::Audio => Feature::Audio,
        MediaKind::Video => Feature::Video,
    }
}

/// Base64 always comes with its type; should it not, the kind's commonest.
fn usual_type(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Document => "application/pdf",
        MediaKind::Audio => "audio/wav",
        MediaKind::Video => "video/mp4",
    }
}

fn write_result(result: &Content<'_>, drops: &mut Drops, json: &mut Out<'_>) -> Result<(), BadRequest> {
    let Content::ToolResult {
        call_id,
        name,
        parts,
        is_error,
    } = result
    else {
        return Ok(());
    };
    let Some(name) = name else {
        let id = call_id.as_ref().and_then(Text::plain).unwrap_or_default();
        let wrong = "answers a call that is not in the conversation";
        return Err(BadRequest::missing(format!("tool result {id}"), wrong));
    };
    json.open().key("functionResponse").open();
    if let Some(id) = call_id {
        json.key("id").text(id);
    }
    json.key("name").text(name).key("response");
    write_response(parts, *is_error, json);
    let mut media = Vec::new();
    let mut list = Out::new(&mut media);
    list.open_list();
    for part in parts {
        drops.note_if(Feature::Cache, part.cache.is_some());
        if let Content::Media(medium) = &part.content {
            let before = list.bytes.len();
            list.open();
            match write_media(medium, drops, &mut list) {
                true => {
                    list.close();
                }
                false => list.bytes.truncate(before),
            }
        }
    }
    list.close_list();
    if media != b"[]" {
        json.key("parts").raw(&media);
    }
    json.close();
    Ok(())
}

/// What is said without media: an object as it is, anything else under the names that Google gives them.
fn write_response(parts: &[Part<'_>], is_error: bool, json: &mut Out<'_>) {
    let is_said = |part: &&Part<'_>| !matches!(part.content, Content::Media(_));
    let said: Vec<&Content<'_>> = parts.iter().filter(is_said).map(|part| &part.content).collect();
    match (&said[..], is_error) {
        ([], false) => {
            json.raw(b"{}");
            return;
        }
        ([Content::Json(value)], false) if value.first() == Some(&b'{') => {
            json.raw(value);
            return;
        }
        _ => {}
    }
    json.open().key(if is_error { "error" } else { "output" });
    match &said[..] {
        [Content::Json(value)] => {
            json.raw(value);
        }
        said if said.iter().any(|content| matches!(content, Content::Json(_))) => {
            json.open_list();
            for content in said {
                match content {
                    Content::Json(value) => {
                        json.raw(value);
                    }
                    content => {
                        json.text(text_of(content));
                    }
                }
            }
            json.close_list();
        }
        texts => {
            let mut joined = Vec::new();
            for (index, content) in texts.iter().enumerate() {
                if index > 0 {
                    joined.extend_from_slice(b"\\n");
                }
                text_of(content).write_escaped(&mut joined);
            }
            json.text(&Text::Escaped(&joined));
        }
    }
    json.close();
}

fn text_of<'c>(content: &'c Content<'_>) -> &'c Text<'c> {
    match content {
        Content::Text(text) | Content::Refusal(text) | Content::Thinking(text) => text,
        _ => &Text::EMPTY,
    }
}
