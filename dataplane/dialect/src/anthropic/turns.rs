//! The turns of a request in the order that Anthropic wants: system text apart, roles that alternate, the results of
//! tools first and in the turn behind their calls; and the blocks they are written as.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{CacheMark, Content, Format, Part, Request, Role, Turn},
    },
    json::{Json, Out, Text},
    speak::TargetFacts,
};

use super::{document, tools::write_id};

/// Anthropic's own bound on `cache_control` in a request.
const MAX_MARKS: usize = 4;
/// The first message must be the user's. Where a conversation begins with the assistant this one stands before it.
const OPENER: &str = "(The conversation begins.)";

#[derive(Debug, Default)]
pub(super) struct Arranged<'r, 'a> {
    pub(super) system: Vec<&'r Part<'a>>,
    messages: Vec<Message<'r, 'a>>,
    /// Documents may be cited.
    cite: bool,
}

#[derive(Debug)]
struct Message<'r, 'a> {
    role: Role,
    parts: Vec<&'r Part<'a>>,
}

pub(super) fn arrange<'r, 'a>(
    request: &'r Request<'a>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
) -> Result<Arranged<'r, 'a>, BadRequest> {
    // A schema for the answer excludes citations and prefilled turns.
    let free = !matches!(request.format, Format::Schema { .. }) || !to.quirks.native_schema;
    let mut arranged = Arranged {
        cite: free,
        ..Arranged::default()
    };
    for turn in &request.turns {
        drops.note_if(Feature::ParticipantName, turn.name.is_some());
        arranged.take(turn, drops);
    }
    if arranged.is_prefilled() && !(free && to.quirks.prefill) {
        drops.note(Feature::Prefill);
        arranged.messages.pop();
    }
    if arranged.messages.is_empty() {
        return Err(BadRequest::missing(
            "messages",
            "leaves no turn of the user: the provider needs at least one",
        ));
    }
    for message in &mut arranged.messages {
        if message.role == Role::User {
            message
                .parts
                .sort_by_key(|part| !matches!(part.content, Content::ToolResult { .. }));
        }
    }
    arranged.check_results()?;
    Ok(arranged)
}

impl<'r, 'a> Arranged<'r, 'a> {
    fn take(&mut self, turn: &'r Turn<'a>, drops: &mut Drops) {
        let role = turn.role;
        let carried = turn.parts.iter().filter(|part| is_carried(part, role, drops));
        if matches!(role, Role::System | Role::Developer) {
            self.system.extend(carried);
            return;
        }
        let mut carried = carried.peekable();
        if carried.peek().is_none() {
            return;
        }
        match self.messages.last_mut() {
            Some(last) if last.role == role => last.parts.extend(carried),
            _ => self.messages.push(Message {
                role,
                parts: carried.collect(),
            }),
        }
    }

    /// Does an assistant's turn stand last?
    pub(super) fn is_prefilled(&self) -> bool {
        self.messages.last().is_some_and(|last| last.role == Role::Assistant)
    }

    fn check_results(&self) -> Result<(), BadRequest> {
        let mut calls: BTreeSet<Cow<'_, str>> = BTreeSet::new();
        for message in &self.messages {
            let user = message.role == Role::User;
            if !user {
                calls.clear();
            }
            for part in &message.parts {
                match &part.content {
                    Content::ToolCall { id: Some(id), .. } => {
                        calls.insert(id.plain().unwrap_or_default());
                    }
                    Content::ToolResult { call_id, .. } => {
                        let id = call_id.as_ref().and_then(Text::plain).unwrap_or_default();
                        if !calls.contains(&id) {
                            let wrong = format!("answer a tool call '{id}' that the turn before did not make");
                            return Err(BadRequest::missing("messages", wrong));
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// `cache_control`s in what will be written.
    pub(super) fn marks(&self) -> usize {
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        let own = |part: &Part<'_>| usize::from(part.cache.is_some() && is_markable(&part.content));
        self.system
            .iter()
            .chain(parts)
            .map(|part| match &part.content {
                Content::ToolResult { parts, .. } => own(part) + parts.iter().map(own).sum::<usize>(),
                _ => own(part),
            })
            .sum()
    }

    pub(super) fn write_system(&self, marks: &mut Marks, json: &mut Out<'_>) {
        match self.system.as_slice() {
            [] => {}
            [part] if part.cache.is_none() => {
                json.key("system");
                write_text(&part.content, json);
            }
            parts => {
                json.key("system").open_list();
                for part in parts {
                    json.open().key("type").string("text").key("text");
                    write_text(&part.content, json);
                    write_cache(marks.take(part.cache), json);
                    json.close();
                }
                json.close_list();
            }
        }
    }

    pub(super) fn write_messages(&self, marks: &mut Marks, drops: &mut Drops, json: &mut Out<'_>) {
        json.key("messages").open_list();
        if self.messages.first().is_some_and(|first| first.role == Role::Assistant) {
            json.open()
                .key("role")
                .string("user")
                .key("content")
                .string(OPENER)
                .close();
        }
        for (position, message) in self.messages.iter().enumerate() {
            let user = message.role == Role::User;
            let last = position + 1 == self.messages.len();
            json.open().key("role").string(if user { "user" } else { "assistant" });
            json.key("content");
            let mut blocks = Blocks {
                cite: self.cite,
                trims: last && !user,
                marks,
                drops,
            };
            blocks.write(&message.parts, json);
            json.close();
        }
        json.close_list();
    }
}

/// Can the part be written in a turn of this role? What is lost is noted.
fn is_carried(part: &Part<'_>, role: Role, drops: &mut Drops) -> bool {
    let signed = part.signature.is_some();
    match (&part.content, role) {
        (Content::Text(text) | Content::Refusal(text), _) => {
            drops.note_if(Feature::Signature, signed);
            !is_blank(text)
        }
        (Content::Json(_), _) => true,
        (Content::Media(media), Role::User) => document::fits(media, drops),
        (Content::Media(media), _) => {
            drops.note(document::feature(media.kind));
            false
        }
        (Content::ToolCall { .. }, Role::Assistant) => {
            drops.note_if(Feature::Signature, signed);
            true
        }
        (Content::ToolResult { .. }, Role::User) => true,
        (Content::Thinking(_), Role::Assistant) if signed => true,
        (Content::Sealed { .. }, Role::Assistant) => true,
        (Content::Thinking(_) | Content::Sealed { .. }, _) => {
            drops.note(Feature::Signature);
            false
        }
        (Content::ToolCall { .. } | Content::ToolResult { .. }, _) => {
            drops.note(Feature::Tools);
            false
        }
    }
}

fn is_markable(content: &Content<'_>) -> bool {
    !matches!(content, Content::Thinking(_) | Content::Sealed { .. })
}

/// Blocks of text must not be empty, nor white space alone.
fn is_blank(text: &Text<'_>) -> bool {
    let begins_blank = match text {
        Text::Escaped(raw) => raw
            .first()
            .is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'\\'),
        Text::Plain(text) => text.starts_with(char::is_whitespace) || text.is_empty(),
    };
    begins_blank && text.plain().is_some_and(|text| text.trim().is_empty())
}

/// What `cache_control`s are left to write: the last four, for each covers what stands before it.
#[derive(Debug)]
pub(super) struct Marks {
    skip: usize,
}

impl Marks {
    pub(super) fn new(asked: usize, drops: &mut Drops) -> Marks {
        let skip = asked.saturating_sub(MAX_MARKS);
        drops.note_if(Feature::Cache, skip > 0);
        Marks { skip }
    }

    pub(super) fn take(&mut self, mark: Option<CacheMark>) -> Option<CacheMark> {
        let mark = mark?;
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some(mark)
    }
}

pub(super) fn write_cache(mark: Option<CacheMark>, json: &mut Out<'_>) {
    let Some(mark) = mark else { return };
    json.key("cache_control").open().key("type").string("ephemeral");
    if mark == CacheMark::OneHour {
        json.key("ttl").string("1h");
    }
    json.close();
}

struct Blocks<'w> {
    cite: bool,
    /// White space may not end the answer that the model is to continue.
    trims: bool,
    marks: &'w mut Marks,
    drops: &'w mut Drops,
}

impl Blocks<'_> {
    fn write(&mut self, parts: &[&Part<'_>], json: &mut Out<'_>) {
        match parts {
            [part] if part.cache.is_none() && !self.trims && is_text(&part.content) => write_text(&part.content, json),
            _ => {
                json.open_list();
                for (position, part) in parts.iter().enumerate() {
                    let ends = position + 1 == parts.len();
                    self.block(part, self.trims && ends, json);
                }
                json.close_list();
            }
        }
    }

    fn block(&mut self, part: &Part<'_>, trims: bool, json: &mut Out<'_>) {
        match &part.content {
            Content::Text(text) | Content::Refusal(text) if trims => {
                json.open().key("type").string("text").key("text");
                json.string(text.plain().unwrap_or_default().trim_end());
            }
            Content::Text(_) | Content::Refusal(_) | Content::Json(_) => {
                json.open().key("type").string("text").key("text");
                write_text(&part.content, json);
            }
            Content::Media(media) => {
                self.drops.note_if(Feature::Cite, media.cite && !self.cite);
                document::write_open(media, media.cite && self.cite, json);
            }
            Content::ToolCall { id, name, arguments } => {
                json.open().key("type").string("tool_use").key("id");
                write_id(id.as_ref().unwrap_or(&Text::EMPTY), json);
                json.key("name").text(name).key("input");
                write_input(arguments, json);
            }
            Content::ToolResult {
                call_id,
                parts,
                is_error,
                ..
            } => {
                json.open().key("type").string("tool_result").key("tool_use_id");
                write_id(call_id.as_ref().unwrap_or(&Text::EMPTY), json);
                self.result(parts, json);
                if *is_error {
                    json.key("is_error").boolean(true);
                }
            }
            Content::Thinking(text) => {
                json.open().key("type").string("thinking").key("thinking").text(text);
                json.key("signature")
                    .text(part.signature.as_ref().unwrap_or(&Text::EMPTY));
            }
            Content::Sealed { data, .. } => {
                json.open()
                    .key("type")
                    .string("redacted_thinking")
                    .key("data")
                    .text(data);
            }
        }
        match is_markable(&part.content) {
            true => write_cache(self.marks.take(part.cache), json),
            false => self.drops.note_if(Feature::Cache, part.cache.is_some()),
        }
        json.close();
    }

    fn result(&mut self, parts: &[Part<'_>], json: &mut Out<'_>) {
        match parts {
            [] => {}
            [part] if part.cache.is_none() && is_text(&part.content) => {
                json.key("content");
                write_text(&part.content, json);
            }
            _ => {
                json.key("content").open_list();
                for part in parts {
                    if is_carried(part, Role::User, self.drops) {
                        self.block(part, false, json);
                    }
                }
                json.close_list();
            }
        }
    }
}

fn is_text(content: &Content<'_>) -> bool {
    matches!(content, Content::Text(_) | Content::Refusal(_) | Content::Json(_))
}

/// The string that a part of text is; nothing for others.
fn write_text(content: &Content<'_>, json: &mut Out<'_>) {
    match content {
        Content::Text(text) | Content::Refusal(text) => json.text(text),
        Content::Json(raw) => json.quoted(&Json::Value(raw)),
        _ => json.string(""),
    };
}

/// A call's arguments as the object they must be. What is no object (a call that was cut off) is wrapped as
/// Anthropic's guide to fine-grained tool streaming says.
pub(super) fn write_input(arguments: &Json<'_>, json: &mut Out<'_>) {
    match arguments.object() {
        Ok(object) => json.raw(object.trim_ascii()),
        Err(_) => json.open().key("INVALID_JSON").quoted(arguments).close(),
    };
}
