//! What is known of an exchange when it has ended: the source of metrics, the access line and (later) the usage spool.

pub use tollgate_config::usage_event::AttemptOutcome;
use tollgate_dialect::usage::Usage;

pub use crate::{
    compress::{Shorter, summary::Summary},
    guard::Finding,
    semantic::{Agreed, Agreement},
};

use crate::{cost::Cost, surface};

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was delivered to the shell whole (whatever its status).
    Complete,
    ClientGone,
    /// The answer broke after its first byte.
    Cut,
    /// By a fault of the gateway's own.
    Crashed,
}

/// A view into the exchange; copy what must outlive it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub request_id: &'a str,
    /// HTTP status answered; 499 when the client left before one was sent.
    pub status: u16,
    pub outcome: Outcome,
    pub surface: &'static str,
    /// `openai`, `anthropic`, or empty for paths of no dialect.
    pub dialect: &'static str,
    pub key: Option<&'a str>,
    pub user: Option<&'a str>,
    pub team: Option<&'a str>,
    /// As asked for by the client (bounded in length), for the access log only.
    pub model_asked: Option<&'a str>,
    /// The configured name that matched: safe as a metric label. Index into `document.models`.
    pub model: Option<(usize, &'a str)>,
    /// Provider of the last attempt. Index into `document.providers`.
    pub provider: Option<(usize, &'a str)>,
    /// Model name sent to it.
    pub upstream_model: Option<&'a str>,
    pub tags: Option<&'a str>,
    /// Of a comparison: that of the target that was asked last.
    pub arm: Option<&'a str>,
    /// It is the copy of a call: nobody got its answer, and it is none of the caller's.
    pub shadow: bool,
    /// The gateway itself asked for vectors: it is nobody's call.
    pub embeds: bool,
    /// A second target was asked as well, or would have been.
    pub hedge: Option<Hedged<'a>>,
    pub attempts: u8,
    pub streamed: bool,
    /// So often another target went on with the stream, which had broken.
    pub resumed: u8,
    /// A `Failure` kind (`code` of the contract) when the gateway itself answered with an error.
    pub rejected: Option<&'static str>,
    /// What the provider said when it refused the gateway's credential: it may show a part of that, and is for the access
    /// log alone.
    pub refusal: Option<&'a str>,
    pub usage: Option<Usage>,
    /// Where prices are known.
    pub cost: Option<Cost>,
    /// `usage` is that of work that was done before, which this call alone is charged with. A ledger that sees it again knows
    /// it by this.
    pub late: Option<LateWork<'a>>,
    /// The answer is one that the same call had before: nobody was asked, and it costs nothing.
    pub replayed: bool,
    /// What became of it at its model's cache: `hit`, `semantic-hit`, `miss` or `bypass`, where it has one.
    pub cache: Option<&'static str>,
    /// What guards found in it.
    pub findings: &'a [Finding],
    /// By how much its prompt was made shorter, or would have been.
    pub compressed: Option<Shorter>,
    /// What became of a summary of its conversation.
    pub summary: Option<Summary>,
    /// Of a copy with a shorter prompt: how its answer compares with the call's.
    pub agreed: Option<Agreed>,
    /// The provider did not say what was used, or not to the end: `usage` is the gateway's own count of what was asked and said
    /// (docs/src/tokens.md).
    pub estimated: bool,
    pub request_body_bytes: u64,
    pub response_body_bytes: u64,
    /// From the request's first byte to the record's end.
    pub total_ns: u64,
    /// Of these, spent in the gateway: before the request went up, between attempts, and between the answer's head
    /// coming in and going out; waiting for the upstream is not in it.
    pub gateway_ns: u64,
    /// From the request's first byte to the first body byte of the answer; streams only.
    pub first_token_ns: Option<u64>,
    pub media: Media,
}

impl Record<'_> {
    /// It was answered with what a cache had, and no provider was asked.
    pub fn is_kept(&self) -> bool {
        matches!(self.cache, Some("hit" | "semantic-hit"))
    }

    /// The gateway made the call for another: it is nobody's request, but its caller pays it.
    pub fn is_summary(&self) -> bool {
        self.surface == surface::SUMMARY.name
    }
}

/// What an answer has beside tokens; absent is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Pictures that were answered.
    pub images: Option<u64>,
    /// How long the sound was that was listened to, where the provider tells.
    pub audio_ms: Option<u64>,
}

/// A batch, or a response in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateWork<'a> {
    /// The same wherever and however its end was read.
    pub id: u128,
    /// Of a batch, which is paid at a batch's price: its id as the client has it.
    pub batch: Option<&'a str>,
}

/// What came of asking a second target.
#[derive(Clone, Copy, Debug)]
pub struct Hedged<'a> {
    pub outcome: HedgeOutcome,
    /// The attempt that was given up after its request had gone up.
    pub lost: Option<HedgeLost<'a>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HedgeOutcome {
    /// The target that was asked second answered.
    Won,
    /// The first answered after all.
    Lost,
    /// Neither did.
    #[default]
    Failed,
    /// No second was asked: `max_extra` was used up.
    OverBudget,
}

/// Its provider may bill what it read.
#[derive(Clone, Copy, Debug)]
pub struct HedgeLost<'a> {
    /// Index into `document.providers`.
    pub provider: (usize, &'a str),
    /// Reckoned: what the provider that answered read, or the gateway's own count.
    pub input_tokens: Option<u64>,
    /// Of these, where prices are known.
    pub cost: Option<Cost>,
}
