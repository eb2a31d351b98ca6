//! The conversation, written as `messages`.
//!
//! Cohere's error list has "system turn must be the first in the list", so all system text goes first. A tool's results
//! are messages of their own, right behind the calls, before whatever else the user said in that turn. They take no
//! pictures: those follow as the user's.

use super::documents;
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Content, Media, MediaKind, Part, Request, Role, Source, Turn},
    },
    json::{Json, Node, Out, Text},
};

pub(super) struct Turns<'t, 'o> {
    /// Documents are text of the turn where they stand.
    pub inline_documents: bool,
    /// An assistant's turn may come last.
    pub prefill: bool,
    pub json: &'t mut Out<'o>,
    pub drops: &'t mut Drops,
}

impl Turns<'_, '_> {
    pub fn write(&mut self, request: &Request<'_>) -> Result<(), BadRequest> {
        let mut turns = request.turns.as_slice();
        while let Some((last, rest)) = turns.split_last()
            && last.role == Role::Assistant
            && !self.prefill
        {
            self.drops.note(Feature::Prefill);
            turns = rest;
        }
        self.json.key("messages").open_list();
        let empty = self.json.bytes.len();
        let is_system = |turn: &&Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
        for turn in turns.iter().filter(is_system) {
            self.say("system", turn.parts.iter().collect());
        }
        for turn in turns.iter().filter(|turn| !is_system(turn)) {
            self.drops.note_if(Feature::ParticipantName, turn.name.is_some());
            match turn.role {
                Role::Assistant => self.assistant(turn),
                _ => self.user(turn)?,
            }
        }
        if self.json.bytes.len() == empty {
            return Err(BadRequest::missing(
                "messages",
                "hold nothing that Cohere could be given",
            ));
        }
        self.json.close_list();
        Ok(())
    }

    fn user(&mut self, turn: &Turn<'_>) -> Result<(), BadRequest> {
        let mut shown: Vec<(Part<'static>, &[Part<'_>])> = Vec::new();
        for part in &turn.parts {
            if let Content::ToolResult {
                call_id,
                parts,
                is_error,
                ..
            } = &part.content
            {
                let wrong = "hold a tool result that names no call";
                let id = call_id.as_ref().ok_or_else(|| BadRequest::missing("messages", wrong))?;
                self.note_marks(part);
                self.drops.note_if(Feature::ToolResultError, *is_error);
                self.result(id, parts);
                if parts.iter().any(is_picture) {
                    shown.push((caption(id), parts));
                }
            }
        }
        let mut said: Vec<&Part<'_>> = Vec::new();
        for (caption, parts) in &shown {
            said.push(caption);
            said.extend(parts.iter().filter(|part| is_picture(part)));
        }
        let own = |part: &&Part<'_>| !matches!(part.content, Content::ToolResult { .. });
        said.extend(turn.parts.iter().filter(own));
        self.say("user", said);
        Ok(())
    }

    /// A message of texts and pictures; none where nothing is left of it.
    fn say(&mut self, role: &str, parts: Vec<&Part<'_>>) {
        for part in &parts {
            self.note_marks(part);
        }
        let carried: Vec<&Part<'_>> = parts.into_iter().filter(|part| self.carries(role, part)).collect();
        if carried.is_empty() {
            return;
        }
        self.json.open().key("role").string(role).key("content");
        self.write_parts(&carried);
        self.json.close();
    }

    /// One text alone is a string.
    fn write_parts(&mut self, parts: &[&Part<'_>]) {
        if let [part] = parts
            && let Content::Text(text) | Content::Refusal(text) = &part.content
        {
            self.json.text(text);
            return;
        }
        self.json.open_list();
        for part in parts {
            self.write_part(part);
        }
        self.json.close_list();
    }

    /// Can the part stand in the content of a message of this role? What cannot, and stands nowhere else, is noted.
    fn carries(&mut self, role: &str, part: &Part<'_>) -> bool {
        match &part.content {
            Content::Text(_) | Content::Refusal(_) | Content::Json(_) => true,
            Content::Thinking(_) if role == "assistant" => true,
            Content::Thinking(_) | Content::Sealed { .. } => {
                self.drops.note(Feature::Signature);
                false
            }
            Content::Media(media) => self.carries_media(role, media),
            Content::ToolCall { .. } | Content::ToolResult { .. } => {
                self.drops.note(Feature::Tools);
                false
            }
        }
    }

    fn carries_media(&mut self, role: &str, media: &Media<'_>) -> bool {
        let lost = match (media.kind, &media.source) {
            (MediaKind::Document, _) => {
                let lost = documents::text(media).is_none();
                if lost {
                    documents::note_lost(media, self.drops);
                }
                // Else it is one of `documents`, which gathers them from user turns.
                let inline = self.inline_documents || role != "user";
                self.drops.note_if(Feature::Cite, inline && media.cite && !lost);
                return inline && !lost;
            }
            (MediaKind::Image, Source::File(_)) => Feature::Owned,
            (MediaKind::Image, _) if role == "user" && is_showable(media) => return true,
            (MediaKind::Image, Source::Url(_)) if role == "user" => Feature::ImageUrl,
            (MediaKind::Image, _) => Feature::Image,
            (MediaKind::Audio, _) => Feature::Audio,
            (MediaKind::Video, _) => Feature::Video,
        };
        self.drops.note(lost);
        false
    }

    /// A part that `carries` lets through.
    fn write_part(&mut self, part: &Part<'_>) {
        let json = &mut *self.json;
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => {
                json.open().key("type").string("text").key("text").text(text).close();
            }
            Content::Json(raw) => {
                json.open().key("type").string("text").key("text");
                json.quoted(&Json::Value(raw)).close();
            }
            Content::Thinking(text) => {
                json.open().key("type").string("thinking");
                json.key("thinking").text(text).close();
            }
            Content::Media(media) if media.kind == MediaKind::Image => self.write_image(media),
            Content::Media(media) => {
                let Some(text) = documents::text(media) else { return };
                json.open().key("type").string("text").key("text");
                documents::write_inline(media, &text, json);
                json.close();
            }
            Content::ToolCall { .. } | Content::ToolResult { .. } | Content::Sealed { .. } => {}
        }
    }

    fn write_image(&mut self, media: &Media<'_>) {
        let json = &mut *self.json;
        json.open().key("type").string("image_url").key("image_url").open();
        match &media.source {
            Source::Base64(base64) => {
                let mut url = b"data:".to_vec();
                if let Some(media_type) = &media.media_type {
                    media_type.write_escaped(&mut url);
                }
                url.extend_from_slice(b";base64,");
                base64.write_escaped(&mut url);
                json.key("url").text(&Text::Escaped(&url));
            }
            Source::Url(url) | Source::Text(url) | Source::File(url) => {
                json.key("url").text(url);
            }
        }
        if let Some(detail) = &media.detail {
            match detail.plain().as_deref() {
                Some("auto" | "low" | "high") => {
                    json.key("detail").text(detail);
                }
                _ => self.drops.note(Feature::ImageDetail),
            }
        }
        self.json.close().close();
    }

    fn assistant(&mut self, turn: &Turn<'_>) {
        let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
        let first_call = turn.parts.iter().position(is_call);
        let plan = first_call.and_then(|at| plan(&turn.parts[..at]));
        let plan_at = plan.and(first_call).map(|at| at - 1);
        for part in &turn.parts {
            self.note_marks(part);
        }
        let content: Vec<&Part<'_>> = turn
            .parts
            .iter()
            .enumerate()
            .filter(|(at, part)| Some(*at) != plan_at && !is_call(part) && self.carries("assistant", part))
            .map(|(_, part)| part)
            .collect();
        if content.is_empty() && first_call.is_none() {
            return;
        }
        self.json.open().key("role").string("assistant");
        if !content.is_empty() {
            self.json.key("content");
            self.write_parts(&content);
        }
        if let Some(plan) = plan {
            self.json.key("tool_plan").text(plan);
        }
        if first_call.is_some() {
            self.json.key("tool_calls").open_list();
            turn.parts.iter().for_each(|part| write_call(part, self.json));
            self.json.close_list();
        }
        self.json.close();
    }

    fn result(&mut self, id: &Text<'_>, parts: &[Part<'_>]) {
        self.json.open().key("role").string("tool");
        self.json.key("tool_call_id").text(id).key("content");
        match parts {
            [] => {
                self.json.string("");
            }
            [only] if matches!(only.content, Content::Text(_)) => self.result_part(only, true),
            parts => {
                self.json.open_list();
                for part in parts {
                    self.result_part(part, false);
                }
                self.json.close_list();
            }
        }
        self.json.close();
    }

    /// A part of a result: a text, an object as a document's data, a document that is text.
    fn result_part(&mut self, part: &Part<'_>, alone: bool) {
        self.note_marks(part);
        let json = &mut *self.json;
        match &part.content {
            Content::Text(text) if alone => {
                json.text(text);
            }
            Content::Text(text) => {
                json.open().key("type").string("text").key("text").text(text).close();
            }
            Content::Json(raw) if Node::document(raw).is_ok() => {
                json.open().key("type").string("document");
                json.key("document").open().key("data").raw(raw).close().close();
            }
            Content::Json(_) => self.write_part(part),
            Content::Media(media) if media.kind == MediaKind::Document => match documents::text(media) {
                Some(text) => {
                    json.open().key("type").string("document");
                    json.key("document").open().key("data");
                    documents::write_data(media, &text, json);
                    json.close().close();
                }
                None => self.drops.note(Feature::ToolResultMedia),
            },
            // It follows in a message of the user's.
            _ if is_picture(part) => {}
            _ => self.drops.note(Feature::ToolResultMedia),
        }
    }

    fn note_marks(&mut self, part: &Part<'_>) {
        self.drops.note_if(Feature::Cache, part.cache.is_some());
        self.drops.note_if(Feature::Signature, part.signature.is_some());
    }
}

/// A picture of the bytes or the web address that Cohere takes.
fn is_showable(media: &Media<'_>) -> bool {
    match &media.source {
        Source::Base64(_) => media.media_type.is_some(),
        Source::Url(url) => url.plain().is_some_and(|url| url.starts_with("http")),
        Source::Text(_) | Source::File(_) => false,
    }
}

fn is_picture(part: &Part<'_>) -> bool {
    matches!(&part.content, Content::Media(media) if media.kind == MediaKind::Image && is_showable(media))
}

/// Says whose result the pictures behind it are.
fn caption(call_id: &Text<'_>) -> Part<'static> {
    let id = call_id.plain().unwrap_or_default();
    Part::text(format!("Pictures in the result of the tool call {id}:"))
}

/// What the model said right before its first call.
fn plan<'p, 'a>(before: &'p [Part<'a>]) -> Option<&'p Text<'a>> {
    match &before.last()?.content {
        Content::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn write_call(part: &Part<'_>, json: &mut Out<'_>) {
    let Content::ToolCall { id, name, arguments } = &part.content else {
        return;
    };
    json.open();
    if let Some(id) = id {
        json.key("id").text(id);
    }
    json.key("type").string("function");
    json.key("function").open().key("name").text(name).key("arguments");
    match arguments {
        Json::Quoted(text) if text.is_empty() => json.string("{}"),
        arguments => json.quoted(arguments),
    };
    json.close().close();
}
