//! What an answer says, one thing after the other. A buffered answer is the same events at once.
//!
//! Order, which every reader keeps and every writer may rely on: `Started` first, once. Within a choice, a part's
//! number counts from 0 without gaps; `Began` comes before anything else of the part, `Closed` last; all parts are
//! closed before `Stopped`. Parts of a choice may overlap (parallel tool calls). `Usage` may come at any time after
//! `Started`, several times: a later one replaces what it says anew. `Ended` is last, once, unless `Failed` was.

use crate::{
    canonical::fault::Fault,
    json::{Number, Text},
    usage::Usage,
};

#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    Started {
        /// The provider's id of the answer.
        id: Option<Text<'a>>,
        model: Option<Text<'a>>,
        created_unix_s: Option<u64>,
    },
    Began {
        choice: u32,
        part: u32,
        what: Began<'a>,
    },
    /// More of an open part: of a text, a thought, a refusal, of a tool call's arguments (JSON text), of sealed
    /// thinking's data.
    Piece {
        choice: u32,
        part: u32,
        text: Text<'a>,
    },
    /// What the part is signed with; before its `Closed`, once, whole.
    Signature {
        choice: u32,
        part: u32,
        text: Text<'a>,
    },
    Citation {
        choice: u32,
        part: u32,
        citation: Citation<'a>,
    },
    /// Of the tokens of the open text part, in order.
    Logprobs {
        choice: u32,
        part: u32,
        tokens: Vec<TokenLogprob<'a>>,
    },
    Closed {
        choice: u32,
        part: u32,
    },
    Stopped {
        choice: u32,
        reason: Reason<'a>,
    },
    Usage(Usage),
    Failed(Fault),
    Ended,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Began<'a> {
    Text,
    Thinking,
    /// See `request::Content::Sealed`.
    Sealed {
        id: Option<Text<'a>>,
    },
    Refusal,
    ToolCall {
        /// `None` where the dialect has no ids: the writer makes one (`CallFacts::call_id`).
        id: Option<Text<'a>>,
        name: Text<'a>,
    },
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason<'a> {
    /// The model was done.
    Stop,
    /// One of the caller's stop sequences came; which, where the dialect says.
    StopSequence(Option<Text<'a>>),
    /// `max_tokens`, or the model's own limit.
    Length,
    ToolCalls,
    /// A filter of the provider's stopped it.
    Filtered,
    /// The model declined.
    Refused,
    /// The provider wants to be asked again to go on (Anthropic's `pause_turn`).
    Paused,
    /// Anything else, in the provider's word.
    Other(Text<'a>),
}

/// Where part of a text comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Citation<'a> {
    pub url: Option<Text<'a>>,
    pub title: Option<Text<'a>>,
    /// The words cited, of the source.
    pub quoted: Option<Text<'a>>,
    /// Characters of the answer's text that it supports, `start..end`, where the dialect says.
    pub start: Option<u64>,
    pub end: Option<u64>,
    /// Which document of the request, from 0.
    pub document: Option<u64>,
    /// Characters (or pages, from 1, where `pages`) of that document.
    pub document_start: Option<u64>,
    pub document_end: Option<u64>,
    pub pages: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob<'a> {
    pub token: Text<'a>,
    pub logprob: Number<'a>,
    /// Raw array of the token's bytes, where given.
    pub bytes: Option<&'a [u8]>,
    /// The likeliest at this place.
    pub top: Vec<TokenLogprob<'a>>,
}

/// What a part, a choice, a citation and a token cost to be held, beside their texts: the structs that any reader, writer
/// or gathered answer has for one.
const PART_BYTES: usize = 512;
const CITATION_BYTES: usize = 256;
const TOKEN_BYTES: usize = 128;

impl Event<'_> {
    /// Does it carry part of the answer?
    pub fn is_content(&self) -> bool {
        match self {
            Event::Piece { text, .. } => !text.is_empty(),
            Event::Began { what, .. } => matches!(what, Began::ToolCall { .. }),
            _ => false,
        }
    }

    /// What it may cost to be held, whoever holds it: the sum over the events of an answer is a bound on what is kept of
    /// it anywhere.
    pub fn weight_bytes(&self) -> usize {
        let of = |text: &Option<Text<'_>>| text.as_ref().map_or(0, Text::held_bytes);
        match self {
            Event::Started { id, model, .. } => of(id) + of(model),
            Event::Began { what, .. } => {
                PART_BYTES
                    + match what {
                        Began::Text | Began::Thinking | Began::Refusal => 0,
                        Began::Sealed { id } => of(id),
                        Began::ToolCall { id, name } => of(id) + name.held_bytes(),
                    }
            }
            Event::Piece { text, .. } | Event::Signature { text, .. } => text.held_bytes(),
            Event::Citation { citation, .. } => {
                CITATION_BYTES + of(&citation.url) + of(&citation.title) + of(&citation.quoted)
            }
            Event::Logprobs { tokens, .. } => tokens.iter().map(TokenLogprob::weight_bytes).sum(),
            Event::Stopped { reason, .. } => {
                PART_BYTES
                    + match reason {
                        Reason::StopSequence(text) => of(text),
                        Reason::Other(text) => text.held_bytes(),
                        _ => 0,
                    }
            }
            Event::Failed(fault) => fault.message.len(),
            Event::Closed { .. } | Event::Usage(_) | Event::Ended => 0,
        }
    }
}

impl TokenLogprob<'_> {
    fn weight_bytes(&self) -> usize {
        let own = self.token.held_bytes() + self.logprob.raw().len() + self.bytes.map_or(0, <[u8]>::len);
        TOKEN_BYTES + own + self.top.iter().map(TokenLogprob::weight_bytes).sum::<usize>()
    }
}
