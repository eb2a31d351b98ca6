//! The responses of one answer, one document or many, to events.
//!
//! A stream does not say where a part ends: texts and thoughts that follow one another are one part, until one is
//! signed. What a candidate ends with is told once all has come: older models say it in every response of a stream.

use super::{
    citations::{self, Placed, Said},
    fault, finish, logprobs,
    loose::one_line,
    usage,
};
use crate::{
    canonical::{
        answer::MAX_CHOICES,
        bad::BadAnswer,
        event::{Began, Event, Reason},
    },
    json::{Node, Text},
    speak::Sink,
    usage::Usage,
};

/// What is kept of a stream until its candidates end: their sources, and the texts these point into.
const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// One document: each part is one.
    Whole,
    #[default]
    Stream,
}

#[derive(Debug, Default)]
pub(super) struct Responses {
    form: Form,
    has_started: bool,
    has_failed: bool,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

/// A candidate so far.
#[derive(Debug, Default)]
struct Choice {
    was_seen: bool,
    /// Parts begun.
    parts: u32,
    open: Option<Open>,
    /// Texts left open because citations or probabilities of their tokens come with the same response.
    held: Vec<u32>,
    /// The part that each part of the content became, of one document.
    became: Vec<Option<u32>>,
    /// The texts that are open.
    said: Vec<(u32, Said)>,
    /// `groundingMetadata` and `citationMetadata`; a later one repeats an earlier one.
    grounding: Vec<u8>,
    recitation: Vec<u8>,
    has_called: bool,
    reason: Option<Reason<'static>>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    part: u32,
    kind: Kind,
    is_signed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

impl Responses {
    pub fn new(form: Form) -> Responses {
        Responses {
            form,
            ..Responses::default()
        }
    }

    /// One response, or an error in its place.
    pub fn take(&mut self, document: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.has_failed {
            return Ok(());
        }
        let response = Node::document(document)?;
        let mut said = Response::default();
        for (name, value) in response.members() {
            match &*name {
                "error" if !value.is_null() => {
                    self.has_failed = true;
                    sink(&Event::Failed(fault::read_error(value, None)));
                    return Ok(());
                }
                "responseId" => said.id = value.text(),
                "modelVersion" => said.model = value.text(),
                "candidates" => said.candidates = Some(value),
                "promptFeedback" => said.feedback = Some(value),
                "usageMetadata" => said.usage = usage::read(value),
                _ => {}
            }
        }
        if !self.has_started {
            self.has_started = true;
            sink(&Event::Started {
                id: said.id,
                model: said.model,
                created_unix_s: None,
            });
        }
        for (position, candidate) in said.candidates.into_iter().flat_map(Node::elements).enumerate() {
            self.candidate(candidate, position, sink)?;
        }
        if self.choices.iter().map(Choice::kept_bytes).sum::<usize>() > MAX_KEPT_BYTES {
            return Err(BadAnswer::new(
                "its sources, and the texts they point into, are longer than 8 MiB",
            ));
        }
        let blocked = said.feedback.and_then(|feedback| feedback.get("blockReason"));
        if blocked
            .and_then(Node::string)
            .is_some_and(|reason| reason != "BLOCKED_REASON_UNSPECIFIED")
        {
            let choice = self.choice(0)?;
            choice.reason = Some(Reason::Filtered);
        }
        if let Some(usage) = said.usage
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            sink(&Event::Usage(usage));
        }
        Ok(())
    }

    /// All has come.
    pub fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.has_failed {
            return Ok(());
        }
        if !self.choices.iter().any(|choice| choice.was_seen) {
            return Err(BadAnswer::new("it has no candidates"));
        }
        let is_cut = |choice: &Choice| choice.was_seen && choice.reason.is_none();
        if self.form == Form::Stream && self.choices.iter().any(is_cut) {
            return Err(BadAnswer::new("it ended before it was complete"));
        }
        for (number, choice) in (0..).zip(&mut self.choices) {
            if choice.was_seen {
                choice.finish(number, sink);
            }
        }
        sink(&Event::Ended);
        Ok(())
    }

    fn choice(&mut self, number: usize) -> Result<&mut Choice, BadAnswer> {
        if number >= MAX_CHOICES {
            return Err(BadAnswer::new("it has more candidates than any provider gives"));
        }
        if self.choices.len() <= number {
            self.choices.resize_with(number + 1, Choice::default);
        }
        let choice = &mut self.choices[number];
        choice.was_seen = true;
        Ok(choice)
    }

    fn candidate(&mut self, candidate: Node<'_>, position: usize, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let form = self.form;
        let mut said = Candidate::default();
        for (name, value) in candidate.members() {
            match &*name {
                "index" => said.index = value.unsigned(),
                "content" => said.parts = value.get("parts"),
                "finishReason" => said.reason = value.string().unwrap_or_default().into_owned(),
                "groundingMetadata" if value.is_object() => said.grounding = Some(value),
                "citationMetadata" if value.is_object() => said.recitation = Some(value),
                "logprobsResult" if value.is_object() => said.logprobs = Some(value),
                _ => {}
            }
        }
        let number = said
            .index
            .map_or(position, |index| usize::try_from(index).unwrap_or(usize::MAX));
        let choice = self.choice(number)?;
        let mut speaking = Speaking {
            // Below the bound on choices.
            number: number as u32,
            choice: &mut *choice,
            form,
            holds_texts: said.grounding.or(said.recitation).or(said.logprobs).is_some(),
            sink: &mut *sink,
        };
        for part in said.parts.into_iter().flat_map(Node::elements) {
            speaking.part(part)?;
        }
        if let Some(result) = said.logprobs {
            speaking.logprobs(result);
        }
        for (kept, metadata) in [
            (&mut choice.grounding, said.grounding),
            (&mut choice.recitation, said.recitation),
        ] {
            if let Some(metadata) = metadata {
                kept.clear();
                kept.extend_from_slice(metadata.raw());
            }
        }
        if let Some(reason) = finish::read(&said.reason, choice.has_called) {
            choice.reason = Some(reason);
        }
        if !choice.held.is_empty() {
            choice.release(number as u32, sink);
        }
        Ok(())
    }
}

/// What one response says at its top level.
#[derive(Default)]
struct Response<'a> {
    id: Option<Text<'a>>,
    model: Option<Text<'a>>,
    candidates: Option<Node<'a>>,
    feedback: Option<Node<'a>>,
    usage: Option<Usage>,
}

/// What one response says of a candidate.
#[derive(Default)]
struct Candidate<'a> {
    index: Option<u64>,
    parts: Option<Node<'a>>,
    reason: String,
    grounding: Option<Node<'a>>,
    recitation: Option<Node<'a>>,
    logprobs: Option<Node<'a>>,
}

/// One response's part of a candidate, on its way out.
struct Speaking<'s, 'k> {
    number: u32,
    choice: &'s mut Choice,
    form: Form,
    holds_texts: bool,
    sink: &'s mut Sink<'k>,
}

impl Speaking<'_, '_> {
    fn part(&mut self, part: Node<'_>) -> Result<(), BadAnswer> {
        let (mut text, mut call, mut signature, mut is_thought, mut is_other) = (None, None, None, false, false);
        for (name, value) in part.members() {
            match &*name {
                "text" => text = value.text(),
                "functionCall" if value.is_object() => call = Some(value),
                "thoughtSignature" => signature = value.text(),
                "thought" => is_thought = value.boolean() == Some(true),
                "inlineData" | "executableCode" | "codeExecutionResult" => is_other = true,
                _ => {}
            }
        }
        let before = self.choice.parts;
        match (call, text, signature) {
            (Some(call), _, signature) => self.call(call, signature)?,
            (None, Some(text), signature) => {
                let kind = if is_thought { Kind::Thinking } else { Kind::Text };
                self.text(kind, &text, signature);
            }
            (None, None, Some(data)) if is_thought && !is_other => {
                let part = self.begin(Began::Sealed { id: None }, None);
                self.piece(part, data);
                self.close(part);
            }
            (None, None, Some(signature)) if !is_other => self.text(Kind::Text, &Text::EMPTY, Some(signature)),
            // Pictures, and code that Google ran, have no place in the answers of other dialects.
            (None, None, _) => {}
        }
        if self.form == Form::Whole {
            self.choice.became.push((self.choice.parts > before).then_some(before));
        }
        Ok(())
    }

    fn text(&mut self, kind: Kind, text: &Text<'_>, signature: Option<Text<'_>>) {
        if text.is_empty() && signature.is_none() {
            return;
        }
        let goes_on = |open: &Open| open.kind == kind && !open.is_signed && self.form == Form::Stream;
        let part = match self.choice.open.filter(goes_on) {
            Some(open) => open.part,
            None => {
                let what = match kind {
                    Kind::Text => Began::Text,
                    Kind::Thinking => Began::Thinking,
                };
                self.begin(what, Some(kind))
            }
        };
        if !text.is_empty() {
            self.piece(part, text.clone());
            if kind == Kind::Text {
                self.choice.keep_said(part, text);
            }
        }
        if let Some(signature) = signature {
            self.sign(part, signature);
            if let Some(open) = &mut self.choice.open {
                open.is_signed = true;
            }
        }
    }

    fn call(&mut self, call: Node<'_>, signature: Option<Text<'_>>) -> Result<(), BadAnswer> {
        let (mut id, mut name, mut arguments) = (None, None, None);
        for (key, value) in call.members() {
            match &*key {
                "id" => id = value.text().filter(|id| !id.is_empty()),
                "name" => name = value.text(),
                "args" if value.is_object() => arguments = Some(value.raw()),
                "willContinue" | "partialArgs" if value.boolean() != Some(false) && !value.is_null() => {
                    return Err(BadAnswer::new(
                        "it streams the arguments of a call, which was not asked for",
                    ));
                }
                _ => {}
            }
        }
        let Some(name) = name else {
            return Err(BadAnswer::new("it calls a function without a name"));
        };
        let arguments = one_line(arguments.unwrap_or(b"{}"));
        let arguments = str::from_utf8(&arguments).unwrap_or("{}");
        let part = self.begin(Began::ToolCall { id, name }, None);
        self.choice.has_called = true;
        self.piece(part, Text::from(arguments));
        if let Some(signature) = signature {
            self.sign(part, signature);
        }
        self.close(part);
        Ok(())
    }

    /// Begins a part and ends the one before it. `kind`: it stays open.
    fn begin(&mut self, what: Began<'_>, kind: Option<Kind>) -> u32 {
        match self.choice.open.take() {
            Some(open) if open.kind == Kind::Text && self.holds_texts => self.choice.held.push(open.part),
            Some(open) => {
                self.close(open.part);
                self.choice.said.retain(|(part, _)| *part != open.part);
            }
            None => {}
        }
        let part = self.choice.parts;
        self.choice.parts += 1;
        self.choice.open = kind.map(|kind| Open {
            part,
            kind,
            is_signed: false,
        });
        let choice = self.number;
        (self.sink)(&Event::Began { choice, part, what });
        part
    }

    fn piece(&mut self, part: u32, text: Text<'_>) {
        let choice = self.number;
        (self.sink)(&Event::Piece { choice, part, text });
    }

    fn sign(&mut self, part: u32, text: Text<'_>) {
        let choice = self.number;
        (self.sink)(&Event::Signature { choice, part, text });
    }

    fn close(&mut self, part: u32) {
        let choice = self.number;
        (self.sink)(&Event::Closed { choice, part });
    }

    /// They are those of the text that is open, or was until a call followed it.
    fn logprobs(&mut self, result: Node<'_>) {
        let tokens = logprobs::read(result);
        if let Some(part) = self.choice.last_text()
            && !tokens.is_empty()
        {
            let choice = self.number;
            (self.sink)(&Event::Logprobs { choice, part, tokens });
        }
    }
}

impl Choice {
    fn kept_bytes(&self) -> usize {
        let said = self.said.iter().map(|(_, said)| said.held_bytes());
        self.grounding.len() + self.recitation.len() + said.sum::<usize>()
    }

    fn keep_said(&mut self, part: u32, text: &Text<'_>) {
        if self.said.last().is_none_or(|(of, _)| *of != part) {
            self.said.push((part, Said::default()));
        }
        if let Some((_, said)) = self.said.last_mut() {
            said.take(text);
        }
    }

    /// The last text that is open.
    fn last_text(&self) -> Option<u32> {
        let open = self.open.filter(|open| open.kind == Kind::Text).map(|open| open.part);
        open.or(self.held.last().copied())
    }

    /// Tells what was known of texts that were held, and closes them.
    fn release(&mut self, number: u32, sink: &mut Sink<'_>) {
        self.cite(number, sink);
        self.grounding.clear();
        self.recitation.clear();
        for part in self.held.drain(..) {
            self.said.retain(|(of, _)| *of != part);
            sink(&Event::Closed { choice: number, part });
        }
    }

    fn finish(&mut self, number: u32, sink: &mut Sink<'_>) {
        self.release(number, sink);
        if let Some(Open { part, .. }) = self.open.take() {
            sink(&Event::Closed { choice: number, part });
        }
        let ended = if self.has_called {
            Reason::ToolCalls
        } else {
            Reason::Stop
        };
        let reason = match self.reason.take() {
            // The call may have come after a response that said so.
            Some(Reason::Stop) | None => ended,
            Some(reason) => reason,
        };
        sink(&Event::Stopped { choice: number, reason });
    }

    /// Tells the citations of texts that are open; there is no other place for them.
    fn cite(&self, choice: u32, sink: &mut Sink<'_>) {
        let Some(last) = self.last_text() else { return };
        let first = self.held.first().copied().unwrap_or(last);
        let places: Vec<_> = self.said.iter().map(|(part, said)| (*part, said.places())).collect();
        let mut tell = |placed: Placed<'_>| {
            let Placed {
                part,
                bytes,
                mut citation,
            } = placed;
            let part = match bytes {
                Some(_) => self.cited_text(part).unwrap_or(first),
                None => last,
            };
            if let (Some((start, end)), Some((_, places))) = (bytes, places.iter().find(|(of, _)| *of == part)) {
                citation.start = places.character_at(start);
                citation.end = places.character_at(end);
            }
            sink(&Event::Citation { choice, part, citation });
        };
        if let Ok(metadata) = Node::document(&self.grounding) {
            citations::grounded(metadata, &mut tell);
        }
        if let Ok(metadata) = Node::document(&self.recitation) {
            citations::recited(metadata, &mut tell);
        }
    }

    /// Which open text a part of the content is.
    fn cited_text(&self, part: u64) -> Option<u32> {
        let part = match self.became.is_empty() {
            true => u32::try_from(part).ok()?,
            false => (*self.became.get(usize::try_from(part).ok()?)?)?,
        };
        let is_open = self.held.contains(&part) || self.last_text() == Some(part);
        is_open.then_some(part)
    }
}
