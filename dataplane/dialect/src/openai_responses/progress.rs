//! What of a response was already told in events. A stream says most things twice and may leave out either time: in
//! pieces, and whole when a part, an item or the response is done. What is said first is told, the rest is not.
//!
//! A buffered response is one that was said only when it was done.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{OUR_REASONING_ID, SIGNATURE_MARK, SIGNATURE_PATH, annotations, answer, fault, logprobs, usage};
use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Began, Event},
    },
    json::{Node, Text},
    speak::Sink,
};

/// Parts of one answer, and items.
const MAX_PARTS: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Progress {
    items: BTreeMap<u64, Item>,
    /// Of ids of items that are done: a whole response may number its items anew.
    ids: BTreeSet<u64>,
    parts: u32,
    started: bool,
    over: bool,
    called: bool,
    refused: bool,
}

#[derive(Debug, Default)]
struct Item {
    parts: BTreeMap<Slot, Part>,
    /// The last thought, which stays open: what signs it comes with the whole item.
    thought: Option<Slot>,
    done: bool,
}

/// A part's place in its item. Thoughts come as summaries or as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Summary(u64),
    Thought(u64),
    Content(u64),
    Call,
    Sealed,
}

impl Slot {
    fn is_thinking(self) -> bool {
        matches!(self, Slot::Summary(_) | Slot::Thought(_))
    }
}

#[derive(Debug)]
struct Part {
    number: u32,
    open: bool,
    /// A piece of it, its logprobs, and so many of its annotations were told.
    pieces: bool,
    logprobs: bool,
    annotations: usize,
}

impl Part {
    fn piece(&mut self, text: Text<'_>, sink: &mut Sink<'_>) {
        if self.open && !text.is_empty() {
            self.pieces = true;
            sink(&Event::Piece {
                choice: 0,
                part: self.number,
                text,
            });
        }
    }

    /// The whole text, where nothing of it was told.
    fn whole(&mut self, text: Option<Text<'_>>, sink: &mut Sink<'_>) {
        if let Some(text) = text
            && !self.pieces
        {
            self.piece(text, sink);
        }
    }

    fn logprobs(&mut self, list: Option<Node<'_>>, sink: &mut Sink<'_>) {
        let tokens = list.map(logprobs::read).unwrap_or_default();
        if self.open && !tokens.is_empty() {
            self.logprobs = true;
            sink(&Event::Logprobs {
                choice: 0,
                part: self.number,
                tokens,
            });
        }
    }

    fn annotation(&mut self, node: Node<'_>, sink: &mut Sink<'_>) {
        self.annotations += 1;
        if let Some(citation) = annotations::read(node)
            && self.open
        {
            sink(&Event::Citation {
                choice: 0,
                part: self.number,
                citation,
            });
        }
    }

    fn sign(&mut self, text: Text<'_>, sink: &mut Sink<'_>) {
        if self.open {
            sink(&Event::Signature {
                choice: 0,
                part: self.number,
                text,
            });
        }
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        if std::mem::take(&mut self.open) {
            sink(&Event::Closed {
                choice: 0,
                part: self.number,
            });
        }
    }
}

impl Progress {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Once; a stream that leaves out its beginning is started by whatever comes first.
    pub(super) fn start(&mut self, response: Option<Node<'_>>, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let text = |name| response.and_then(|response| response.get(name)).and_then(Node::text);
        let created = response.and_then(|response| response.get("created_at"));
        let created = created.and_then(Node::number).map(|number| number.value());
        sink(&Event::Started {
            id: text("id"),
            model: text("model"),
            // The SDK's type is a float.
            created_unix_s: created.filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64),
        });
    }

    fn item(&mut self, number: u64) -> Result<&mut Item, BadAnswer> {
        match self.items.len() < MAX_PARTS {
            true => Ok(self.items.entry(number).or_default()),
            false => Err(BadAnswer::new("it has too many items")),
        }
    }

    /// The part at a place, begun where it was not.
    fn part(&mut self, item: u64, slot: Slot, what: Began<'_>, sink: &mut Sink<'_>) -> Result<&mut Part, BadAnswer> {
        self.start(None, sink);
        if self.parts as usize >= MAX_PARTS {
            return Err(BadAnswer::new("it has too many parts"));
        }
        self.item(item)?;
        let Progress {
            items,
            parts,
            called,
            refused,
            ..
        } = self;
        let item = items.entry(item).or_default();
        let follows_thought = slot.is_thinking() || slot == Slot::Sealed;
        if follows_thought && !item.parts.contains_key(&slot) {
            let thought = item.thought.take().and_then(|thought| item.parts.get_mut(&thought));
            thought.into_iter().for_each(|thought| thought.close(sink));
            item.thought = Some(slot).filter(|slot| slot.is_thinking());
        }
        Ok(item.parts.entry(slot).or_insert_with(|| {
            *called |= matches!(what, Began::ToolCall { .. });
            *refused |= what == Began::Refusal;
            let number = *parts;
            *parts += 1;
            sink(&Event::Began {
                choice: 0,
                part: number,
                what,
            });
            Part {
                number,
                open: true,
                pieces: false,
                logprobs: false,
                annotations: 0,
            }
        }))
    }

    fn is_done(&self, item: u64) -> bool {
        self.items.get(&item).is_some_and(|item| item.done)
    }

    pub(super) fn delta(
        &mut self,
        item: u64,
        slot: Slot,
        what: Began<'_>,
        delta: Option<Text<'_>>,
        logprobs: Option<Node<'_>>,
        sink: &mut Sink<'_>,
    ) -> Result<(), BadAnswer> {
        if self.is_done(item) {
            return Ok(());
        }
        let part = self.part(item, slot, what, sink)?;
        part.piece(delta.unwrap_or(Text::EMPTY), sink);
        part.logprobs(logprobs, sink);
        Ok(())
    }

    /// More of a call's arguments; its item says whose they are, and without it they wait until it is done.
    pub(super) fn arguments(&mut self, item: u64, delta: Option<Text<'_>>, sink: &mut Sink<'_>) {
        let call = self
            .items
            .get_mut(&item)
            .and_then(|item| item.parts.get_mut(&Slot::Call));
        if let (Some(call), Some(delta)) = (call, delta) {
            call.piece(delta, sink);
        }
    }

    pub(super) fn annotation(
        &mut self,
        item: u64,
        index: u64,
        node: Node<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), BadAnswer> {
        if self.is_done(item) {
            return Ok(());
        }
        self.part(item, Slot::Content(index), Began::Text, sink)?
            .annotation(node, sink);
        Ok(())
    }

    /// A part of a message, begun or done.
    pub(super) fn content(
        &mut self,
        item: u64,
        index: u64,
        content: Node<'_>,
        done: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), BadAnswer> {
        let kind = content.get("type").and_then(Node::string).unwrap_or_default();
        let (slot, what, text) = match &*kind {
            "output_text" => (Slot::Content(index), Began::Text, "text"),
            "refusal" => (Slot::Content(index), Began::Refusal, "refusal"),
            "reasoning_text" => (Slot::Thought(index), Began::Thinking, "text"),
            _ => return Ok(()),
        };
        if self.is_done(item) {
            return Ok(());
        }
        let part = self.part(item, slot, what, sink)?;
        part.whole(content.get(text).and_then(Node::text), sink);
        if !done {
            return Ok(());
        }
        if !part.logprobs {
            part.logprobs(content.get("logprobs"), sink);
        }
        let told = part.annotations;
        let annotations = content.get("annotations").into_iter().flat_map(Node::elements);
        annotations.skip(told).for_each(|node| part.annotation(node, sink));
        if let Some(signature) = content.at(&SIGNATURE_PATH).and_then(Node::text) {
            part.sign(signature, sink);
        }
        // A thought's signature comes with its item.
        if !slot.is_thinking() {
            part.close(sink);
        }
        Ok(())
    }

    /// The text of a part, at its end.
    pub(super) fn text_done(&mut self, item: u64, slot: Slot, text: Option<Text<'_>>, sink: &mut Sink<'_>) {
        if let Some(part) = self.items.get_mut(&item).and_then(|item| item.parts.get_mut(&slot)) {
            part.whole(text, sink);
        }
    }

    pub(super) fn item_added(&mut self, number: u64, item: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        self.start(None, sink);
        if item.get("type").is_some_and(|kind| kind.is("function_call")) && !self.is_done(number) {
            self.call(number, item, sink)?;
        } else {
            self.item(number)?;
        }
        Ok(())
    }

    fn call(&mut self, number: u64, item: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Some(name) = item.get("name").and_then(Node::text) else {
            return Ok(());
        };
        let id = item.get("call_id").and_then(Node::text).filter(|id| !id.is_empty());
        let call = self.part(number, Slot::Call, Began::ToolCall { id, name }, sink)?;
        call.whole(item.get("arguments").and_then(Node::text), sink);
        Ok(())
    }

    /// A whole item: what of it was not told is told now.
    pub(super) fn item_done(&mut self, number: u64, item: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.is_done(number) {
            return Ok(());
        }
        let kind = item.get("type").and_then(Node::string).unwrap_or_default();
        match &*kind {
            "message" => self.contents(number, item, sink)?,
            "function_call" => {
                self.call(number, item, sink)?;
                let call = self
                    .items
                    .get_mut(&number)
                    .and_then(|item| item.parts.get_mut(&Slot::Call));
                if let (Some(call), Some(signature)) = (call, item.at(&SIGNATURE_PATH).and_then(Node::text)) {
                    call.sign(signature, sink);
                }
            }
            "reasoning" => self.reasoning(number, item, sink)?,
            _ => {}
        }
        let known = self.item(number)?;
        known.parts.values_mut().for_each(|part| part.close(sink));
        known.parts.clear();
        known.done = true;
        self.ids.extend(identities(item));
        Ok(())
    }

    fn contents(&mut self, number: u64, item: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let contents = item.get("content").into_iter().flat_map(Node::elements);
        for (index, content) in contents.enumerate() {
            self.content(number, index as u64, content, true, sink)?;
        }
        Ok(())
    }

    fn reasoning(&mut self, number: u64, item: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let summaries = item.get("summary").into_iter().flat_map(Node::elements);
        for (index, summary) in summaries.enumerate() {
            let part = self.part(number, Slot::Summary(index as u64), Began::Thinking, sink)?;
            part.whole(summary.get("text").and_then(Node::text), sink);
        }
        self.contents(number, item, sink)?;
        let data = item.get("encrypted_content").and_then(Node::text);
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            return Ok(());
        };
        if let Text::Escaped(raw) = data
            && let Some(signature) = raw.strip_prefix(SIGNATURE_MARK.as_bytes())
        {
            return self.sign_thought(number, Text::Escaped(signature), sink);
        }
        let id = item.get("id").and_then(Node::text);
        let id = id.filter(|id| !id.plain().is_some_and(|id| id.starts_with(OUR_REASONING_ID)));
        self.part(number, Slot::Sealed, Began::Sealed { id }, sink)?
            .piece(data, sink);
        Ok(())
    }

    fn sign_thought(&mut self, number: u64, signature: Text<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let item = self.items.get_mut(&number);
        let last = item.and_then(|item| item.parts.get_mut(&item.thought?));
        match last {
            Some(thought) => thought.sign(signature, sink),
            // Thinking that is signed but not shown.
            None => self
                .part(number, Slot::Summary(0), Began::Thinking, sink)?
                .sign(signature, sink),
        }
        Ok(())
    }

    /// The whole response: tells what was not told, and ends.
    pub(super) fn complete(&mut self, response: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        self.start(Some(response), sink);
        let output = response.get("output").into_iter().flat_map(Node::elements);
        for (number, item) in output.enumerate() {
            let number = number as u64;
            let is_known = || identities(item).any(|id| self.ids.contains(&id));
            if !self.items.contains_key(&number) && is_known() {
                continue;
            }
            self.item_done(number, item, sink)?;
        }
        for item in self.items.values_mut() {
            item.parts.values_mut().for_each(|part| part.close(sink));
        }
        sink(&answer::reason(response, self.called, self.refused));
        if let Some(usage) = response.get("usage").and_then(usage::read) {
            sink(&Event::Usage(usage));
        }
        sink(&Event::Ended);
        self.over = true;
        Ok(())
    }

    /// `error`, or a response that failed. One that failed at once never started.
    pub(super) fn fail(&mut self, error_or_response: Node<'_>, sink: &mut Sink<'_>) {
        if self.started
            && let Some(usage) = error_or_response.get("usage").and_then(usage::read)
        {
            sink(&Event::Usage(usage));
        }
        sink(&Event::Failed(fault::in_stream(error_or_response)));
        self.over = true;
    }
}

/// What an item may be known by, hashed: ids are as long as a provider likes.
fn identities(item: Node<'_>) -> impl Iterator<Item = u64> + '_ {
    let hash = |text: Text<'_>| {
        let mut hasher = DefaultHasher::new();
        text.plain().unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    };
    ["id", "call_id"]
        .into_iter()
        .filter_map(move |name| item.get(name).and_then(Node::text))
        .filter(|text| !text.is_empty())
        .map(hash)
}
