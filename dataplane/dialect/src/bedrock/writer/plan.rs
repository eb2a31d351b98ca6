//! What becomes of the turns: which blocks there will be, in which order, and in whose message.
//!
//! Converse wants messages that alternate and begin with the user's, no blank text, results of tools first in the
//! message behind their calls, a text beside each document, and no two documents of one name.

use std::borrow::Cow;

use super::{
    super::{extras::Standing, vendor::Vendor},
    media::{self, Ready},
    names::{DocumentNames, call_id},
};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{CacheMark, Content, Part, Request, Role},
    },
    json::Text,
    speak::TargetFacts,
};

#[derive(Debug, Default)]
pub(super) struct Plan<'r, 'a> {
    pub system: Vec<Placed<'r, 'a>>,
    pub messages: Vec<Message<'r, 'a>>,
}

#[derive(Debug)]
pub(super) struct Message<'r, 'a> {
    pub is_user: bool,
    pub blocks: Vec<Placed<'r, 'a>>,
}

/// A block, and the cache point behind it.
#[derive(Debug)]
pub(super) struct Placed<'r, 'a> {
    pub block: Block<'r, 'a>,
    pub cache: Option<CacheMark>,
}

#[derive(Debug)]
pub(super) enum Block<'r, 'a> {
    Text(&'r Text<'a>),
    /// A text of ours, where the service demands one.
    Ours(&'static str),
    Media(Ready<'r, 'a>),
    Json(&'r [u8]),
    Call {
        id: Cow<'r, str>,
        name: &'r Text<'a>,
        input: Cow<'r, [u8]>,
    },
    Result {
        id: Cow<'r, str>,
        blocks: Vec<Block<'r, 'a>>,
        is_error: bool,
    },
    Thinking {
        text: &'r Text<'a>,
        signature: Option<&'r Text<'a>>,
    },
    Sealed(&'r Text<'a>),
}

/// Opens a conversation whose first turn was the assistant's.
const OPENING: &str = "(The conversation begins.)";
const BESIDE_DOCUMENT: &str = "(See the attached document.)";
/// The result of a tool that gave none.
pub(super) const NO_RESULT: &str = "(no output)";

impl<'r, 'a> Plan<'r, 'a> {
    pub fn of(
        request: &'r Request<'a>,
        to: &TargetFacts<'_>,
        vendor: Vendor,
        drops: &mut Drops,
    ) -> Result<Plan<'r, 'a>, BadRequest> {
        let mut plan = Plan::default();
        let mut reads = Reads {
            vendor,
            names: DocumentNames::default(),
            drops,
        };
        for turn in &request.turns {
            reads.drops.note_if(Feature::ParticipantName, turn.name.is_some());
            for part in &turn.parts {
                let is_user = turn.role == Role::User;
                let cache = reads.mark(part);
                let block = match turn.role {
                    Role::System | Role::Developer => reads.system_block(part),
                    Role::User => reads.user_block(part),
                    Role::Assistant => reads.assistant_block(part)?,
                };
                match turn.role {
                    Role::System | Role::Developer => place(&mut plan.system, block, cache),
                    _ => plan.place(is_user, block, cache),
                }
            }
        }
        plan.finish(to, drops)?;
        Ok(plan)
    }

    fn place(&mut self, is_user: bool, block: Option<Block<'r, 'a>>, cache: Option<CacheMark>) {
        let goes_on = self.messages.last().is_some_and(|last| last.is_user == is_user);
        if block.is_some() && !goes_on {
            let blocks = Vec::new();
            self.messages.push(Message { is_user, blocks });
        }
        // A mark whose part is gone stays where that stood: behind what came before, whosever it was.
        if let Some(last) = self.messages.last_mut() {
            place(&mut last.blocks, block, cache);
        }
    }

    /// Once all blocks are there: what the service demands of messages.
    fn finish(&mut self, to: &TargetFacts<'_>, drops: &mut Drops) -> Result<(), BadRequest> {
        let is_prefill = |last: &Message<'_, '_>| !last.is_user && last.calls().next().is_none();
        if !to.quirks.prefill && self.messages.last().is_some_and(is_prefill) {
            drops.note(Feature::Prefill);
            self.messages.pop();
        }
        match self.messages.first() {
            None => {
                return Err(BadRequest::missing(
                    "messages",
                    "has no turn that this provider could be asked with",
                ));
            }
            Some(first) if first.is_user => {}
            Some(_) => self.messages.insert(0, Message::ours(OPENING)),
        }
        for message in &mut self.messages {
            message.order_results();
            message.text_beside_documents();
        }
        let mut calls: Vec<&str> = Vec::new();
        for message in &self.messages {
            for id in message.results() {
                if calls.binary_search(&id).is_err() {
                    let wrong = format!("has a tool result for '{id}', which the turn before it did not call");
                    return Err(BadRequest::missing("messages", wrong));
                }
            }
            calls = message.calls().map(|(id, _)| id).collect();
            calls.sort_unstable();
        }
        Ok(())
    }

    /// What the end of the messages means for a model that is to think.
    pub fn standing(&self) -> Standing {
        if self.messages.last().is_some_and(|last| !last.is_user) {
            return Standing::Prefilled;
        }
        let spoke = |message: &Message<'_, '_>| message.is_user && message.results().next().is_none();
        let since = self.messages.iter().rposition(spoke).map_or(0, |at| at + 1);
        let answer = self.messages[since..].iter().find(|message| !message.is_user);
        match answer.and_then(|answer| answer.blocks.first()) {
            None => Standing::Asked,
            Some(first) => match first.block {
                Block::Thinking { .. } | Block::Sealed(_) => Standing::Thoughtful,
                _ => Standing::Thoughtless,
            },
        }
    }

    /// The names of the tools called, in order.
    pub fn called(&self) -> impl Iterator<Item = &'r Text<'a>> {
        self.messages
            .iter()
            .flat_map(|message| message.calls())
            .map(|(_, name)| name)
    }
}

impl<'r, 'a> Message<'r, 'a> {
    fn ours(text: &'static str) -> Message<'r, 'a> {
        let block = Block::Ours(text);
        Message {
            is_user: true,
            blocks: vec![Placed { block, cache: None }],
        }
    }

    fn calls(&self) -> impl Iterator<Item = (&str, &'r Text<'a>)> {
        self.blocks.iter().filter_map(|placed| match &placed.block {
            Block::Call { id, name, .. } => Some((&**id, *name)),
            _ => None,
        })
    }

    fn results(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter_map(|placed| match &placed.block {
            Block::Result { id, .. } => Some(&**id),
            _ => None,
        })
    }

    fn order_results(&mut self) {
        // Stable: apart from that, blocks stay in their order.
        self.blocks
            .sort_by_key(|placed| !matches!(placed.block, Block::Result { .. }));
    }

    fn text_beside_documents(&mut self) {
        let is_document = |placed: &Placed<'_, '_>| matches!(&placed.block, Block::Media(media) if media.is_document());
        let is_text = |placed: &Placed<'_, '_>| matches!(&placed.block, Block::Text(_));
        if self.blocks.iter().any(is_document) && !self.blocks.iter().any(is_text) {
            let block = Block::Ours(BESIDE_DOCUMENT);
            self.blocks.push(Placed { block, cache: None });
        }
    }
}

/// Places a block; a mark whose block is gone goes to the one before it.
fn place<'r, 'a>(blocks: &mut Vec<Placed<'r, 'a>>, block: Option<Block<'r, 'a>>, cache: Option<CacheMark>) {
    match (block, cache) {
        (Some(block), cache) => blocks.push(Placed { block, cache }),
        (None, Some(mark)) => {
            if let Some(last) = blocks.last_mut() {
                last.cache.get_or_insert(mark);
            }
        }
        (None, None) => {}
    }
}

/// Turns parts into blocks, noting what cannot be one.
struct Reads<'d> {
    vendor: Vendor,
    names: DocumentNames,
    drops: &'d mut Drops,
}

impl Reads<'_> {
    /// A cache point cannot stand within a tool's result: it stands behind it.
    fn mark(&mut self, part: &Part<'_>) -> Option<CacheMark> {
        let mark = part.cache.or_else(|| match &part.content {
            Content::ToolResult { parts, .. } => parts.iter().rev().find_map(|part| part.cache),
            _ => None,
        });
        let taken = mark.filter(|_| self.vendor.takes_cache_points());
        self.drops.note_if(Feature::Cache, taken != mark);
        taken
    }

    fn system_block<'r, 'a>(&mut self, part: &'r Part<'a>) -> Option<Block<'r, 'a>> {
        match &part.content {
            Content::Text(text) => said(text),
            Content::Media(media) => {
                self.drops.note(media::feature(media.kind));
                None
            }
            _ => None,
        }
    }

    fn user_block<'r, 'a>(&mut self, part: &'r Part<'a>) -> Option<Block<'r, 'a>> {
        match &part.content {
            Content::Text(text) | Content::Refusal(text) => said(text),
            Content::Media(media) => Ready::of(media, &mut self.names, self.drops).map(Block::Media),
            Content::Json(raw) => Some(Block::Json(raw)),
            Content::ToolResult {
                call_id: id,
                parts,
                is_error,
                ..
            } => {
                let says_error = *is_error && self.vendor.takes_result_status();
                self.drops.note_if(Feature::ToolResultError, *is_error && !says_error);
                Some(Block::Result {
                    id: call_id(id.as_ref().unwrap_or(&Text::EMPTY)),
                    blocks: self.result_blocks(parts),
                    is_error: says_error,
                })
            }
            Content::Thinking(_) | Content::Sealed { .. } | Content::ToolCall { .. } => {
                self.drops.note(Feature::Signature);
                None
            }
        }
    }

    fn result_blocks<'r, 'a>(&mut self, parts: &'r [Part<'a>]) -> Vec<Block<'r, 'a>> {
        let mut blocks = Vec::with_capacity(parts.len());
        for part in parts {
            match &part.content {
                Content::Text(text) => blocks.extend(said(text)),
                Content::Json(raw) => blocks.push(Block::Json(raw)),
                Content::Media(media) => match Ready::of(media, &mut self.names, self.drops) {
                    Some(ready) if ready.is_sound() => self.drops.note(Feature::ToolResultMedia),
                    ready => blocks.extend(ready.map(Block::Media)),
                },
                _ => {}
            }
        }
        if blocks.is_empty() {
            blocks.push(Block::Ours(NO_RESULT));
        }
        blocks
    }

    fn assistant_block<'r, 'a>(&mut self, part: &'r Part<'a>) -> Result<Option<Block<'r, 'a>>, BadRequest> {
        let is_thought = matches!(part.content, Content::Thinking(_));
        self.drops
            .note_if(Feature::Signature, part.signature.is_some() && !is_thought);
        Ok(match &part.content {
            Content::Text(text) | Content::Refusal(text) => said(text),
            Content::Media(media) => {
                self.drops.note(media::feature(media.kind));
                None
            }
            Content::ToolCall { id, name, arguments } => Some(Block::Call {
                id: call_id(id.as_ref().unwrap_or(&Text::EMPTY)),
                name,
                input: arguments.object().map_err(|bad| {
                    let wrong = format!("has a tool call whose arguments are no JSON object: {}", bad.reason);
                    BadRequest::missing("messages", wrong)
                })?,
            }),
            Content::Thinking(text) if self.vendor.takes_thought(part.signature.is_some()) => Some(Block::Thinking {
                text,
                signature: part.signature.as_ref(),
            }),
            Content::Sealed { data, .. } if self.vendor.takes_sealed_thoughts() => Some(Block::Sealed(data)),
            Content::Thinking(_) | Content::Sealed { .. } => {
                self.drops.note(Feature::Signature);
                None
            }
            Content::Json(_) | Content::ToolResult { .. } => None,
        })
    }
}

/// A text that says something; the service refuses any other.
fn said<'r, 'a>(text: &'r Text<'a>) -> Option<Block<'r, 'a>> {
    (!is_blank(text)).then_some(Block::Text(text))
}

pub(super) fn is_blank(text: &Text<'_>) -> bool {
    // Most texts are told by their first byte; only escapes need more.
    let plain = match text {
        Text::Plain(text) => return text.trim().is_empty(),
        Text::Escaped(raw) => raw.trim_ascii_start(),
    };
    match plain.first() {
        None => true,
        Some(b'\\' | 0x80..) => text.plain().is_some_and(|text| text.trim().is_empty()),
        Some(_) => false,
    }
}
