//! Turns as items of `input`.

use super::Writer;
use crate::{
    canonical::{
        bad::BadRequest,
        feature::Feature,
        request::{CacheMark, Content, Media, MediaKind, Part, Request, Role, Source, Turn},
    },
    json::{Json, Text},
    openai_responses::SIGNATURE_MARK,
};

/// What a part becomes: parts of one kind in a row may share an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
    Call,
    Result,
}

impl Kind {
    fn of(part: &Part<'_>) -> Kind {
        match part.content {
            Content::ToolCall { .. } => Kind::Call,
            Content::ToolResult { .. } => Kind::Result,
            Content::Thinking(_) | Content::Sealed { .. } => Kind::Reasoning,
            Content::Text(_) | Content::Media(_) | Content::Json(_) | Content::Refusal(_) => Kind::Message,
        }
    }
}

impl Writer<'_> {
    pub(super) fn input(&mut self, request: &Request<'_>) -> Result<(), BadRequest> {
        let mut turns = request.turns.as_slice();
        if let Some((instructions, later)) = instructions(turns)
            && !self.never_sent("instructions")
        {
            self.out.key("instructions").text(instructions);
            turns = later;
        }
        if !self.quirks.prefill {
            let last = request.turns.last();
            self.drops
                .note_if(Feature::Prefill, last.is_some_and(|turn| turn.role == Role::Assistant));
        }
        if turns.is_empty() && !request.owned.is_empty() {
            return Ok(());
        }
        self.out.key("input").open_list();
        let empty = self.out.bytes.len();
        for turn in turns {
            self.turn(turn)?;
        }
        if self.out.bytes.len() == empty {
            return Err(BadRequest::missing(
                "input",
                "has nothing that this provider could be sent",
            ));
        }
        self.out.close_list();
        Ok(())
    }

    fn turn(&mut self, turn: &Turn<'_>) -> Result<(), BadRequest> {
        self.drops.note_if(Feature::ParticipantName, turn.name.is_some());
        for run in turn.parts.chunk_by(|one, two| Kind::of(one) == Kind::of(two)) {
            match Kind::of(&run[0]) {
                Kind::Message => self.message(turn.role, run),
                Kind::Reasoning => self.reasoning(run),
                Kind::Call => run.iter().try_for_each(|part| self.call(part))?,
                Kind::Result => run.iter().try_for_each(|part| self.result(part))?,
            }
        }
        Ok(())
    }

    fn message(&mut self, role: Role, parts: &[Part<'_>]) {
        let kept = self.kept(parts, role);
        // As strings, messages of the assistant need no ids; only its own parts would have any.
        let at_once = match role {
            Role::Assistant => 1,
            _ => kept.len().max(1),
        };
        for parts in kept.chunks(at_once) {
            self.message_item(role, parts);
        }
    }

    fn message_item(&mut self, role: Role, parts: &[&Part<'_>]) {
        let word = match role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        self.out.open().key("type").string("message").key("role").string(word);
        self.out.key("content");
        self.content(parts, role);
        self.out.close();
    }

    /// Those that can be said; what is lost is noted.
    fn kept<'p, 'a>(&mut self, parts: &'p [Part<'a>], role: Role) -> Vec<&'p Part<'a>> {
        let mut kept = Vec::with_capacity(parts.len());
        // There is no place for a mark on what the model said.
        let marked = role == Role::Assistant && parts.iter().any(|part| part.cache.is_some());
        self.drops.note_if(Feature::Cache, marked);
        for part in parts {
            match unsayable(part, role) {
                Some(feature) => self.drops.note(feature),
                None => kept.push(part),
            }
        }
        kept
    }

    /// One plain text is a string, anything else a list of parts.
    fn content(&mut self, parts: &[&Part<'_>], role: Role) {
        match parts {
            [part] if part.signature.is_none() && (part.cache.is_none() || role == Role::Assistant) => {
                match &part.content {
                    Content::Text(text) => {
                        self.out.text(text);
                        return;
                    }
                    Content::Json(value) => {
                        self.out.quoted(&Json::Value(value));
                        return;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        self.out.open_list();
        for part in parts {
            self.part(part, role);
        }
        self.out.close_list();
    }

    fn part(&mut self, part: &Part<'_>, role: Role) {
        let text_type = match role {
            Role::Assistant => "output_text",
            _ => "input_text",
        };
        self.out.open().key("type");
        match &part.content {
            Content::Text(text) => {
                self.out.string(text_type).key("text").text(text);
            }
            Content::Json(value) => {
                self.out.string(text_type).key("text").quoted(&Json::Value(value));
            }
            Content::Refusal(text) => {
                self.out.string("refusal").key("refusal").text(text);
            }
            Content::Media(media) => self.media(media),
            // Never kept: `unsayable`.
            _ => {
                self.out.string(text_type).key("text").string("");
            }
        }
        if let Some(signature) = &part.signature {
            self.signature(signature);
        }
        if let Some(mark) = part.cache.filter(|_| role != Role::Assistant) {
            self.cache(mark);
        }
        self.out.close();
    }

    fn signature(&mut self, signature: &Text<'_>) {
        self.out.key("extra_content").open().key("google").open();
        self.out.key("thought_signature").text(signature).close().close();
    }

    fn cache(&mut self, mark: CacheMark) {
        // Older models do not know it; it is not at the top level, but dropped by its name all the same.
        if self.never_sent("prompt_cache_breakpoint") {
            self.drops.note(Feature::Cache);
            return;
        }
        self.out.key("prompt_cache_breakpoint").open();
        self.out.key("mode").string("explicit");
        if mark == CacheMark::OneHour {
            // The least of the lifetimes that lasts an hour.
            self.out.key("ttl").string("12h");
        }
        self.out.close();
    }

    fn media(&mut self, media: &Media<'_>) {
        self.drops.note_if(Feature::Cite, media.cite);
        match (media.kind, &media.source) {
            (_, Source::Text(text)) => self.text_document(media.name.as_ref(), text),
            (MediaKind::Image, source) => {
                self.out.string("input_image").key("detail");
                match &media.detail {
                    Some(detail) => self.out.text(detail),
                    None => self.out.string("auto"),
                };
                match source {
                    Source::File(id) => self.out.key("file_id").text(id),
                    Source::Url(url) => self.out.key("image_url").text(url),
                    Source::Base64(data) | Source::Text(data) => {
                        self.out.key("image_url");
                        self.data_url(media.media_type.as_ref(), "image/png", data);
                        &mut self.out
                    }
                };
            }
            (MediaKind::Audio, Source::Base64(data)) => {
                let format = audio_format(media).unwrap_or("wav");
                self.out.string("input_audio").key("input_audio").open();
                self.out.key("data").text(data).key("format").string(format).close();
            }
            (_, source) => self.file(media, source),
        }
    }

    fn file(&mut self, media: &Media<'_>, source: &Source<'_>) {
        self.out.string("input_file");
        match (&media.name, source) {
            (Some(name), _) => {
                self.out.key("filename").text(name);
            }
            // Data without a name are refused.
            (None, Source::Base64(_)) => {
                self.out.key("filename").string("document.pdf");
            }
            _ => {}
        }
        if let Some(detail) = &media.detail {
            self.out.key("detail").text(detail);
        }
        match source {
            Source::File(id) => self.out.key("file_id").text(id),
            Source::Url(url) => self.out.key("file_url").text(url),
            Source::Base64(data) | Source::Text(data) => {
                self.out.key("file_data");
                self.data_url(media.media_type.as_ref(), "application/pdf", data);
                &mut self.out
            }
        };
    }

    /// A document that is text goes as text, its name before it.
    fn text_document(&mut self, name: Option<&Text<'_>>, text: &Text<'_>) {
        let mut whole = Vec::new();
        if let Some(name) = name {
            name.write_escaped(&mut whole);
            whole.extend_from_slice(b"\\n\\n");
        }
        text.write_escaped(&mut whole);
        self.out.string("input_text").key("text").text(&Text::Escaped(&whole));
    }

    fn data_url(&mut self, media_type: Option<&Text<'_>>, default: &str, data: &Text<'_>) {
        let bytes = &mut *self.out.bytes;
        bytes.extend_from_slice(b"\"data:");
        match media_type {
            Some(media_type) => media_type.write_escaped(bytes),
            None => bytes.extend_from_slice(default.as_bytes()),
        }
        bytes.extend_from_slice(b";base64,");
        data.write_escaped(bytes);
        bytes.push(b'"');
    }

    /// Thoughts up to the one that is sealed or signed are one item.
    fn reasoning(&mut self, parts: &[Part<'_>]) {
        let mut rest = parts;
        while !rest.is_empty() {
            let end = rest.iter().position(ends_item).map_or(rest.len(), |at| at + 1);
            let (item, later) = rest.split_at(end);
            self.reasoning_item(item);
            rest = later;
        }
    }

    fn reasoning_item(&mut self, parts: &[Part<'_>]) {
        self.out.open().key("type").string("reasoning");
        let last = parts.last();
        if let Some(Content::Sealed { id: Some(id), .. }) = last.map(|part| &part.content) {
            self.out.key("id").text(id);
        }
        self.out.key("summary").open_list();
        for part in parts {
            if let Content::Thinking(text) = &part.content {
                self.out.open().key("type").string("summary_text");
                self.out.key("text").text(text).close();
            }
        }
        self.out.close_list();
        match last {
            Some(Part {
                content: Content::Sealed { data, .. },
                ..
            }) => {
                self.out.key("encrypted_content").text(data);
            }
            Some(Part {
                signature: Some(signature),
                ..
            }) => {
                self.out.key("encrypted_content");
                let bytes = &mut *self.out.bytes;
                bytes.push(b'"');
                bytes.extend_from_slice(SIGNATURE_MARK.as_bytes());
                signature.write_escaped(bytes);
                bytes.push(b'"');
            }
            _ => {}
        }
        self.out.close();
        let marked = parts.iter().any(|part| part.cache.is_some());
        self.drops.note_if(Feature::Cache, marked);
    }

    fn call(&mut self, part: &Part<'_>) -> Result<(), BadRequest> {
        let Content::ToolCall { id, name, arguments } = &part.content else {
            return Ok(());
        };
        let id = id
            .as_ref()
            .ok_or_else(|| BadRequest::missing("input[].call_id", "is missing: a call without an id has no result"))?;
        self.calls.insert(id.plain().unwrap_or_default().into_owned());
        self.out.open().key("type").string("function_call");
        self.out.key("call_id").text(id);
        self.out.key("name").text(name).key("arguments");
        match arguments {
            // Models call tools without parameters that way; the API wants JSON.
            Json::Quoted(text) if text.is_empty() => self.out.string("{}"),
            arguments => self.out.quoted(arguments),
        };
        if let Some(signature) = &part.signature {
            self.signature(signature);
        }
        self.out.close();
        self.drops.note_if(Feature::Cache, part.cache.is_some());
        Ok(())
    }

    /// Where the provider keeps a conversation, the call may be there.
    fn has_made(&self, call_id: &Text<'_>) -> bool {
        self.is_continued || call_id.plain().is_some_and(|id| self.calls.contains(&*id))
    }

    fn result(&mut self, part: &Part<'_>) -> Result<(), BadRequest> {
        let Content::ToolResult {
            call_id,
            parts,
            is_error,
            ..
        } = &part.content
        else {
            return Ok(());
        };
        let id = call_id
            .as_ref()
            .ok_or_else(|| BadRequest::missing("input[].call_id", "is missing: a result needs the id of its call"))?;
        if !self.has_made(id) {
            let wrong = "is of a call that is not in the request: the result of a call must follow it";
            return Err(BadRequest::missing("input[].call_id", wrong));
        }
        self.out.open().key("type").string("function_call_output");
        self.out.key("call_id").text(id).key("output");
        let kept = self.kept(parts, Role::User);
        match kept.is_empty() {
            true => {
                self.out.string("");
            }
            false => self.content(&kept, Role::User),
        }
        self.out.close();
        self.drops.note_if(Feature::ToolResultError, *is_error);
        self.drops.note_if(Feature::Cache, part.cache.is_some());
        Ok(())
    }
}

/// The first turn's text, where it is system text alone and something follows it.
fn instructions<'t, 'a>(turns: &'t [Turn<'a>]) -> Option<(&'t Text<'a>, &'t [Turn<'a>])> {
    let (first, later) = turns.split_first()?;
    if later.is_empty() || first.role != Role::System || first.name.is_some() {
        return None;
    }
    match first.parts.as_slice() {
        [
            Part {
                content: Content::Text(text),
                cache: None,
                signature: None,
            },
        ] => Some((text, later)),
        _ => None,
    }
}

fn ends_item(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Sealed { .. }) || part.signature.is_some()
}

/// What is lost with a part that has no place in a message of this role.
fn unsayable(part: &Part<'_>, role: Role) -> Option<Feature> {
    match &part.content {
        Content::Text(_) | Content::Json(_) => None,
        Content::Refusal(_) => (role != Role::Assistant).then_some(Feature::Refusal),
        Content::Media(media) => unsayable_media(media, role),
        Content::Thinking(_) | Content::Sealed { .. } => Some(Feature::Signature),
        Content::ToolCall { .. } | Content::ToolResult { .. } => Some(Feature::Tools),
    }
}

fn unsayable_media(media: &Media<'_>, role: Role) -> Option<Feature> {
    let fetched = |url: &Text<'_>| {
        url.plain()
            .is_some_and(|url| url.starts_with("https://") || url.starts_with("http://"))
    };
    let user = role == Role::User;
    match (media.kind, &media.source) {
        (MediaKind::Image | MediaKind::Document, Source::Text(_)) => None,
        (MediaKind::Image, Source::Url(url)) => (!user || !fetched(url)).then_some(Feature::ImageUrl),
        (MediaKind::Image, _) => (!user).then_some(Feature::Image),
        (MediaKind::Document, Source::Url(url)) => (!user || !fetched(url)).then_some(Feature::DocumentUrl),
        (MediaKind::Document, _) => (!user).then_some(Feature::Document),
        (MediaKind::Audio, Source::Base64(_)) if user && audio_format(media).is_some() => None,
        (MediaKind::Audio, _) => Some(Feature::Audio),
        (MediaKind::Video, _) => Some(Feature::Video),
    }
}

fn audio_format(media: &Media<'_>) -> Option<&'static str> {
    let media_type = media.media_type.as_ref()?.plain()?;
    match &*media_type {
        "audio/wav" | "audio/x-wav" | "audio/wave" => Some("wav"),
        "audio/mpeg" | "audio/mp3" => Some("mp3"),
        _ => None,
    }
}
