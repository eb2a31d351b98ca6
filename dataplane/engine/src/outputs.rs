//! What an exchange wants done: a list of actions and an arena for the bytes they mention. One `Outputs` per shard is
//! reused for every feed; the shell empties it before each.

use std::ops::Range;

use crate::{limits::Crossed, marks::MarkNews, routing::health::Change, snapshot::EndpointId};

/// Names one upstream attempt of one exchange; never reused within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u16);

/// Bytes to send, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Made by the engine: a range of `Outputs::arena`.
    Arena(Range<u32>),
    /// A range of the request's (decoded) body, `Io::body`.
    RequestBody(Range<u32>),
    /// A range of the slice that this feed's `Input::UpstreamBody` or `Input::BodyPassing` carried.
    Input(Range<u32>),
}

/// What of a request's body is still to come when its head goes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    #[default]
    Nothing,
    /// As its client sends it, in the framing that it came in.
    Follows,
    /// The same in chunks, however it came: its length is not known yet.
    FollowsInChunks,
}

/// How the client learns where the answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFraming {
    /// No body (204, 304, or an answer to HEAD); `content-length` is written for `Some`.
    Empty(Option<u64>),
    Length(u64),
    /// Unknown length: chunked for HTTP/1.1 clients, until close for 1.0.
    Stream,
}

/// Done by the shell in order. Ranges of lines lie in `Outputs::arena`, ranges of pieces in `Outputs::pieces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the body (answer `Expect: 100-continue` first) and feed `Input::Body` once it is complete, decoded and at
    /// most `max_bytes` long; else `Input::ClientFault`. Until then nothing else happens.
    ReadBody { max_bytes: u64 },
    /// Read on in the body and feed `Input::BodyPart` when more of it has come, `Input::Body` when that was all; a body of
    /// more than `max_bytes` is an `Input::ClientFault`. Asked for again by each feed that wants more. Once a `SendUp` says
    /// that the rest follows, that is fed as `Input::BodyPassing`, no faster than the provider takes it.
    ReadPart { max_bytes: u64 },
    /// Obtain a connection to the endpoint: pooled, unless `fresh`. Answered by `Connected` or `UpstreamFailed`.
    Dial {
        attempt: AttemptId,
        endpoint: EndpointId,
        fresh: bool,
    },
    /// Send a request: `lines` is the request line, all header lines and the empty line, complete; `pieces` the body, or
    /// its beginning. Where `lines` say that it is chunked, the shell frames it.
    SendUp {
        attempt: AttemptId,
        lines: Range<u32>,
        pieces: Range<u32>,
        rest: Rest,
    },
    /// Send more of the body of a request whose rest follows.
    PassUp { attempt: AttemptId, pieces: Range<u32> },
    /// That was all of it.
    EndUp { attempt: AttemptId },
    /// Give the attempt up: close its connection (or stop dialling). No input for it follows.
    Abandon { attempt: AttemptId },
    /// The call was sent: a copy of it may go to this model of the pinned document, by index (`Exchange::begin_shadow`).
    /// Nobody waits for what comes of it.
    Shadow { model: u32 },
    /// The call was answered: it is made again with a shorter prompt (`Exchange::begin_again`), and nobody waits for that.
    Compare,
    /// The call's conversation is to be summed up by an exchange of its own (`Exchange::begin_summary`). Where that cannot be
    /// begun, a call that waits for it is fed `Input::Turn`.
    Summarize,
    /// The provider refuses this access token: get another, soon.
    RenewToken { id: u64 },
    /// The attempt's answer has said all it had to: its connection is kept where the rest of the answer's framing comes
    /// soon, and closed otherwise. No input for it follows.
    Leave { attempt: AttemptId },
    /// Begin the answer. `lines` are header lines without the status line, framing headers, `connection` and the empty line.
    Head {
        status: u16,
        lines: Range<u32>,
        framing: ReplyFraming,
    },
    /// Send body bytes of the answer now.
    Body { pieces: Range<u32> },
    /// The answer is complete; the exchange is over. The connection may be kept.
    End,
    /// The answer cannot be completed; the exchange is over. Close the connection so that the client notices
    /// (a chunked body gets no last chunk).
    Cut,
    /// The turn of another exchange has come, which waits: feed it `Input::Turn` when all actions of this feed are done.
    /// `of` is what the shell named it.
    Turn { of: u64 },
    /// The exchange's record is final: read `Exchange::record`. Exactly once, after which only `End` or `Cut` may follow.
    Settle,
}

#[derive(Debug, Default)]
pub struct Outputs {
    pub actions: Vec<Action>,
    pub pieces: Vec<Piece>,
    pub arena: Vec<u8>,
    /// Targets that turned out to be ill, or well again.
    pub changes: Vec<TargetChange>,
    /// What is to outlive the process, in order.
    pub marks: Vec<MarkNews>,
    /// Models that begin to refuse calls for want of room, or have ceased to.
    pub sheds: Vec<ShedChange>,
    /// Limits of which so much is used that somebody should know.
    pub crossed: Vec<Crossed>,
}

/// A target of a model of the pinned snapshot's document, by index, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetChange {
    pub model: usize,
    pub target: usize,
    pub change: Change,
}

/// A model of the pinned snapshot's document, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShedChange {
    pub model: usize,
    /// How many calls were refused, when it is over; `None`: it begins.
    pub ended: Option<u64>,
}

/// An arena that grew over this (a list of 10,000 models, a decoded body) is given back.
const MAX_KEPT_ARENA_BYTES: usize = 256 * 1024;

impl Outputs {
    pub fn clear(&mut self) {
        self.actions.clear();
        self.pieces.clear();
        self.changes.clear();
        self.marks.clear();
        self.sheds.clear();
        self.crossed.clear();
        self.arena.clear();
        self.arena.shrink_to(MAX_KEPT_ARENA_BYTES);
    }

    /// What an answer's `Body` says, in order. `input`: what the exchange was fed.
    pub fn answered<'a>(
        &'a self,
        body: &Range<u32>,
        input: &'a [u8],
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let pieces = self.pieces.get(body.start as usize..body.end as usize);
        pieces.unwrap_or_default().iter().filter_map(move |piece| match piece {
            Piece::Arena(range) => self.arena.get(range.start as usize..range.end as usize),
            Piece::Input(range) => input.get(range.start as usize..range.end as usize),
            // Nothing of a request is in its answer.
            Piece::RequestBody(_) => None,
        })
    }

    /// What was written to the arena since it was `start` long.
    pub(crate) fn written_since(&self, start: usize) -> Range<u32> {
        let range = start..self.arena.len();
        assert!(
            range.end <= u32::MAX as usize,
            "an exchange wrote more than its limits allow"
        );
        range.start as u32..range.end as u32
    }

    /// Pushes what was written to the arena since it was `start` long.
    pub(crate) fn push_written(&mut self, start: usize) {
        let written = self.written_since(start);
        if !written.is_empty() {
            self.pieces.push(Piece::Arena(written));
        }
    }

    /// Pushes a range of the input.
    pub(crate) fn push_input(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.pieces.push(Piece::Input(range.start as u32..range.end as u32));
        }
    }

    /// Sends these bytes of the arena as the whole of one `Body`.
    pub(crate) fn body_from_arena(&mut self, range: Range<u32>) {
        let start = self.pieces.len() as u32;
        self.pieces.push(Piece::Arena(range));
        self.actions.push(Action::Body {
            pieces: start..start + 1,
        });
    }
}
