//! Turns → messages.

use crate::{
    canonical::{
        bad::BadRequest,
        feature::Feature,
        request::{Content, Media, MediaKind, Part, Request, Role, Turn},
    },
    json::Text,
};

use super::{super::extra, Writing, media};

/// What a tool result says that is only pictures: tools answer with text here.
const RESULT_FOLLOWS: &str = "The result follows in the next message.";

impl Writing<'_> {
    pub fn messages(&mut self, request: &Request<'_>) -> Result<(), BadRequest> {
        self.json.key("messages").open_list();
        let begin = self.json.bytes.len();
        for turn in self.turns(request) {
            match turn.role {
                Role::System | Role::Developer => self.system(turn),
                Role::User => self.user(turn)?,
                Role::Assistant => self.assistant(turn)?,
            }
        }
        let none = self.json.bytes.len() == begin;
        self.json.close_list();
        match none {
            false => Ok(()),
            true => Err(BadRequest::missing(
                "messages",
                "has nothing that the target can be sent",
            )),
        }
    }

    /// Without an answer already begun, where the target would not go on with it.
    fn turns<'r, 'a>(&mut self, request: &'r Request<'a>) -> &'r [Turn<'a>] {
        let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
        match request.turns.split_last() {
            Some((last, before))
                if !self.quirks.prefill && last.role == Role::Assistant && !last.parts.iter().any(is_call) =>
            {
                self.drops.note(Feature::Prefill);
                before
            }
            _ => &request.turns,
        }
    }

    fn begin(&mut self, role: &str, turn: &Turn<'_>) {
        self.json.open().key("role").string(role);
        if let Some(name) = &turn.name {
            self.json.key("name").text(name);
        }
    }

    /// Takes back a message that came out empty.
    fn end(&mut self, begin: usize, said: bool) {
        match said {
            true => {
                self.json.close();
            }
            false => self.json.bytes.truncate(begin),
        }
    }

    fn system(&mut self, turn: &Turn<'_>) {
        let role = if self.quirks.developer_role {
            "developer"
        } else {
            "system"
        };
        let begin = self.json.bytes.len();
        self.begin(role, turn);
        self.json.key("content");
        let said = self.texts(&turn.parts);
        self.end(begin, said);
    }

    /// The texts of parts, one as a string and several as an array; what is no text is noted. False: none.
    fn texts(&mut self, parts: &[Part<'_>]) -> bool {
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            self.note_marks(part);
            match media::text_of(part) {
                Some(text) => texts.push(text),
                None => self.note_lost(&part.content),
            }
        }
        match &texts[..] {
            [] => {}
            [text] => {
                self.json.text(text);
            }
            texts => {
                self.json.open_list();
                for text in texts {
                    self.json.open().key("type").string("text");
                    self.json.key("text").text(text).close();
                }
                self.json.close_list();
            }
        }
        !texts.is_empty()
    }

    /// Wishes for a part that have no words here; the part itself goes on.
    fn note_marks(&mut self, part: &Part<'_>) {
        self.drops.note_if(Feature::Cache, part.cache.is_some());
        let cite = matches!(&part.content, Content::Media(media) if media.cite);
        self.drops.note_if(Feature::Cite, cite);
    }

    fn note_lost(&mut self, content: &Content<'_>) {
        self.drops.note(match content {
            Content::Media(Media { kind, .. }) => match kind {
                MediaKind::Image => Feature::Image,
                MediaKind::Document => Feature::Document,
                MediaKind::Audio => Feature::Audio,
                MediaKind::Video => Feature::Video,
            },
            Content::Thinking(_) | Content::Sealed { .. } => Feature::Signature,
            Content::Refusal(_) => Feature::Refusal,
            Content::ToolCall { .. } | Content::ToolResult { .. } => Feature::Tools,
            Content::Text(_) | Content::Json(_) => return,
        });
    }

    /// Results go first, each as a message of its own: nothing may stand between them and their calls.
    fn user(&mut self, turn: &Turn<'_>) -> Result<(), BadRequest> {
        let mut moved: Vec<(&Text<'_>, &Part<'_>)> = Vec::new();
        let is_result = |part: &&Part<'_>| matches!(part.content, Content::ToolResult { .. });
        for part in turn.parts.iter().filter(is_result) {
            self.result(part, &mut moved)?;
        }
        let begin = self.json.bytes.len();
        let mut rest = turn.parts.iter().filter(|part| !is_result(part)).peekable();
        if rest.peek().is_none() && moved.is_empty() {
            return Ok(());
        }
        self.begin("user", turn);
        self.json.key("content");
        let only = rest.next().filter(|_| moved.is_empty() && rest.peek().is_none());
        let said = match only.and_then(media::text_of) {
            Some(text) => {
                only.into_iter().for_each(|part| self.note_marks(part));
                self.json.text(&text);
                true
            }
            None => {
                let rest = turn.parts.iter().filter(|part| !is_result(part));
                self.user_parts(&moved, rest)
            }
        };
        self.end(begin, said);
        Ok(())
    }

    fn user_parts<'p, 'a: 'p>(
        &mut self,
        moved: &[(&Text<'_>, &Part<'_>)],
        rest: impl Iterator<Item = &'p Part<'a>>,
    ) -> bool {
        self.json.open_list();
        let begin = self.json.bytes.len();
        let mut of_call = None;
        for (call_id, part) in moved {
            if of_call != Some(call_id) {
                let text = format!("Result of the tool call {}:", call_id.plain().unwrap_or_default());
                self.text_part(&Text::from(text));
                of_call = Some(call_id);
            }
            self.media_part(part);
        }
        for part in rest {
            self.note_marks(part);
            match media::text_of(part) {
                Some(text) => self.text_part(&text),
                None => self.media_part(part),
            }
        }
        let said = self.json.bytes.len() > begin;
        self.json.close_list();
        said
    }

    fn text_part(&mut self, text: &Text<'_>) {
        self.json.open().key("type").string("text");
        self.json.key("text").text(text).close();
    }

    fn media_part(&mut self, part: &Part<'_>) {
        match &part.content {
            Content::Media(media) => {
                if let Err(feature) = media::write(media, &mut self.json) {
                    self.drops.note(feature);
                }
            }
            lost => self.note_lost(lost),
        }
    }

    fn result<'r>(
        &mut self,
        part: &'r Part<'_>,
        moved: &mut Vec<(&'r Text<'r>, &'r Part<'r>)>,
    ) -> Result<(), BadRequest> {
        let Content::ToolResult {
            call_id,
            parts,
            is_error,
            ..
        } = &part.content
        else {
            return Ok(());
        };
        let missing = || BadRequest::missing("messages", "has a tool result that answers no tool call");
        let call_id = call_id.as_ref().ok_or_else(missing)?;
        self.note_marks(part);
        parts.iter().for_each(|part| self.note_marks(part));
        self.drops.note_if(Feature::ToolResultError, *is_error);
        self.json.open().key("role").string("tool");
        self.json.key("tool_call_id").text(call_id).key("content");
        let (texts, media): (Vec<&Part<'_>>, Vec<&Part<'_>>) =
            parts.iter().partition(|part| media::text_of(part).is_some());
        match (&texts[..], &media[..]) {
            ([], []) => {
                self.json.string("");
            }
            ([], _) => {
                self.json.string(RESULT_FOLLOWS);
            }
            _ => self.result_texts(&texts),
        }
        self.json.close();
        moved.extend(media.iter().map(|part| (call_id, *part)));
        Ok(())
    }

    fn result_texts(&mut self, texts: &[&Part<'_>]) {
        if let [part] = texts
            && let Some(text) = media::text_of(part)
        {
            self.json.text(&text);
            return;
        }
        self.json.open_list();
        for text in texts.iter().filter_map(|part| media::text_of(part)) {
            self.text_part(&text);
        }
        self.json.close_list();
    }

    fn assistant(&mut self, turn: &Turn<'_>) -> Result<(), BadRequest> {
        let begin = self.json.bytes.len();
        self.begin("assistant", turn);
        let spoken = self.spoken(turn);
        let thought = self.thoughts(turn);
        let called = self.calls(turn)?;
        if !spoken {
            self.json.key("content");
            match called {
                true => self.json.null(),
                false => self.json.string(""),
            };
        }
        self.end(begin, spoken || thought || called);
        Ok(())
    }

    /// `content` and `refusal`. False: there is neither.
    fn spoken(&mut self, turn: &Turn<'_>) -> bool {
        let mut parts = Vec::new();
        for part in &turn.parts {
            self.note_marks(part);
            match &part.content {
                Content::Refusal(text) => parts.push(("refusal", text.clone(), None)),
                Content::Thinking(_) | Content::Sealed { .. } | Content::ToolCall { .. } => {}
                other => match media::text_of(part) {
                    Some(text) => parts.push(("text", text, part.signature.as_ref())),
                    None => self.note_lost(other),
                },
            }
        }
        match &parts[..] {
            [] => return false,
            [("refusal", text, _)] => {
                self.json.key("content").null().key("refusal").text(text);
            }
            [(_, text, signature)] => {
                self.json.key("content").text(text);
                if let Some(signature) = signature {
                    extra::write_signature(&mut self.json, signature);
                }
            }
            parts => {
                self.json.key("content").open_list();
                for (kind, text, signature) in parts {
                    self.json.open().key("type").string(kind).key(kind).text(text);
                    if let Some(signature) = signature {
                        extra::write_signature(&mut self.json, signature);
                    }
                    self.json.close();
                }
                self.json.close_list();
            }
        }
        true
    }

    /// The one text of what was thought, and the list where it was signed, sealed, or said in several pieces.
    fn thoughts(&mut self, turn: &Turn<'_>) -> bool {
        let is_thought = |part: &&Part<'_>| matches!(part.content, Content::Thinking(_) | Content::Sealed { .. });
        let thoughts: Vec<&Part<'_>> = turn.parts.iter().filter(is_thought).collect();
        let plain = matches!(&thoughts[..], [part] if part.signature.is_none() && is_thinking(part));
        let spoken = thoughts.iter().any(|part| is_thinking(part));
        if spoken && self.member("reasoning_content", Feature::Signature) {
            self.json.raw(b"\"");
            for part in &thoughts {
                if let Content::Thinking(text) = &part.content {
                    text.write_escaped(self.json.bytes);
                }
            }
            self.json.bytes.push(b'"');
        }
        if !thoughts.is_empty() && !plain && self.member("reasoning_details", Feature::Signature) {
            self.json.open_list();
            for part in &thoughts {
                self.detail(part);
            }
            self.json.close_list();
        }
        !thoughts.is_empty()
    }

    fn detail(&mut self, part: &Part<'_>) {
        self.json.open().key("type");
        match &part.content {
            Content::Sealed { data, id } => {
                self.json.string("reasoning.encrypted").key("data").text(data);
                if let Some(id) = id {
                    self.json.key("id").text(id);
                }
            }
            Content::Thinking(text) => {
                self.json.string("reasoning.text").key("text").text(text);
                if let Some(signature) = &part.signature {
                    self.json.key("signature").text(signature);
                }
            }
            _ => {}
        }
        self.json.close();
    }

    fn calls(&mut self, turn: &Turn<'_>) -> Result<bool, BadRequest> {
        let mut called = false;
        for part in &turn.parts {
            let Content::ToolCall { id, name, arguments } = &part.content else {
                continue;
            };
            let missing = || BadRequest::missing("messages", "has a tool call without an id");
            let id = id.as_ref().ok_or_else(missing)?;
            if !called {
                self.json.key("tool_calls").open_list();
                called = true;
            }
            self.json.open().key("id").text(id);
            self.json.key("type").string("function").key("function").open();
            self.json.key("name").text(name);
            self.json.key("arguments").quoted(arguments).close();
            if let Some(signature) = &part.signature {
                extra::write_signature(&mut self.json, signature);
            }
            self.json.close();
        }
        if called {
            self.json.close_list();
        }
        Ok(called)
    }
}

fn is_thinking(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Thinking(_))
}
