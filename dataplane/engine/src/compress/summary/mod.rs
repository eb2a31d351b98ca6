//! The older turns of a conversation, summed up by a cheap model: an exchange looks for a summary of as long a beginning as
//! there is, and where too much is left over asks for one more, which an exchange of its own makes (`Detached::Summary`).
//! Whatever becomes of that, the call goes on.

mod ask;
mod old;
mod table;
mod turns;

use std::sync::Arc;

use tollgate_config::document::{CacheScope, CompressMode, Summarize};
use tollgate_dialect::quirks::MaxTokensField;

use self::{
    old::Old,
    table::{Claim, Fault},
};
use super::heard::{Heard, MAX_HEARD_BYTES};
use crate::{
    Tick,
    exact::Tenant,
    exchange::{Exchange, Io},
    outputs::Action,
    record::Outcome,
    routing::residency::Regions,
    snapshot::{ModelId, ModelNames},
};

pub use table::{PARTS, Part, Summaries};

/// What an exchange holds at most: the request for a summary, every byte of which may need two, or its answer.
pub(crate) const MAX_HELD_BYTES: usize = 2 * (old::MAX_RECORD_BYTES + MAX_HEARD_BYTES) + MAX_HEARD_BYTES;

/// What a model's `summarize` says, compiled.
#[derive(Debug)]
pub(crate) struct Rules {
    model: ModelId,
    name: Arc<str>,
    after_bytes: usize,
    keep_turns: usize,
    max_tokens: u32,
    timeout_ms: u64,
    waits: bool,
}

impl Rules {
    pub fn new(configured: &Summarize, models: &ModelNames) -> Option<Self> {
        Some(Self {
            model: models.find(&configured.model)?.model,
            name: configured.model.as_str().into(),
            after_bytes: usize::try_from(configured.after_bytes).unwrap_or(usize::MAX),
            keep_turns: configured.keep_turns as usize,
            max_tokens: configured.max_tokens,
            timeout_ms: configured.timeout_ms,
            waits: configured.waits,
        })
    }

    /// For people.
    pub fn model(&self) -> &str {
        &self.name
    }
}

/// What an exchange has to do with a summary.
#[derive(Debug)]
pub(crate) enum Summing {
    /// It wants one, and waits for it until then.
    Wants {
        ask: Option<Box<Ask>>,
        until: Option<Tick>,
    },
    Makes(Makes),
}

/// A summary that somebody is to make.
#[derive(Debug)]
pub(crate) struct Ask {
    claim: Claim,
    pub body: Vec<u8>,
    pub model: ModelId,
    pub name: Arc<str>,
    pub timeout_ms: u64,
    /// Who is to be told.
    waiter: Option<u64>,
    /// What it stands for: a summary is shorter.
    instead_of_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Makes {
    claim: Option<Claim>,
    waiter: Option<u64>,
    instead_of_bytes: usize,
    heard: Heard,
}

/// What became of a summary, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The prompt has one in it, or would have.
    Used,
    /// There was none: it was asked for, and the call went on without it.
    Missed,
    /// This call made one.
    Made,
    /// It was to make one and did not.
    Failed,
}

impl Summary {
    pub const ALL: [Self; 4] = [Self::Used, Self::Missed, Self::Made, Self::Failed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Missed => "missed",
            Self::Made => "made",
            Self::Failed => "failed",
        }
    }
}

/// A request with a summary in it.
#[derive(Debug)]
pub(super) struct Summed {
    pub body: Vec<u8>,
    /// What was said in its place.
    pub record: String,
    pub summary: Arc<str>,
}

pub(super) enum Looked {
    /// The stage is to be entered again.
    Waits,
    Nothing,
    Found(Summed),
}

pub(super) fn look(exchange: &mut Exchange, io: &mut Io<'_>, (rules, mode): (&Rules, CompressMode)) -> Looked {
    let was_waiting = waited(exchange, io.now);
    let (Some(summaries), Some(dialect)) = (io.local.summaries.clone(), exchange.facts.surface.dialect) else {
        return Looked::Nothing;
    };
    let Some(old) = old(exchange, io, rules, &summaries) else {
        return Looked::Nothing;
    };
    let found = summaries.longest(&old.beginnings);
    let has = found.as_ref().map_or(0, |(beginning, _)| beginning.bytes);
    let has_enough = old.all_bytes() - has <= rules.after_bytes;
    if !has_enough && !was_waiting && !exchange.facts.is_detached() {
        let before = found.as_ref().map(|(beginning, text)| (beginning.bytes, &**text));
        let waits = rules.waits && mode == CompressMode::On;
        if wants(exchange, io, (rules, &summaries, waits), &old, before) {
            return Looked::Waits;
        }
    }
    let Some((beginning, summary)) = found else {
        if exchange.summing.is_some() {
            exchange.facts.summary = Some(Summary::Missed);
        }
        return Looked::Nothing;
    };
    let body = exchange.admitted.body(io.body);
    let Some(replaced) = old.replaced(body, beginning, (dialect, &summary)) else {
        return Looked::Nothing;
    };
    let record = old.record(0, beginning.bytes).to_owned();
    exchange.facts.summary = Some(Summary::Used);
    Looked::Found(Summed {
        body: replaced,
        record,
        summary,
    })
}

/// Has it waited for a summary, until now?
fn waited(exchange: &mut Exchange, now: Tick) -> bool {
    let Some(Summing::Wants { until, ask }) = exchange.summing.as_deref_mut() else {
        return false;
    };
    // Nobody took it, where it is still here.
    *ask = None;
    if until.take().is_some() {
        exchange.facts.wait_ends(now);
    }
    true
}

/// Who may have the summary is part of what it is known by, and so is all that it depends on.
fn old(exchange: &Exchange, io: &Io<'_>, rules: &Rules, summaries: &Summaries) -> Option<Old> {
    use std::hash::Hasher as _;
    let pinned = exchange.pinned()?;
    let owner = pinned.keys.entry(exchange.facts.key?);
    let mut known_by = summaries.seed().hasher();
    Tenant::of(CacheScope::Key, owner).write(&mut known_by);
    Regions::of(exchange).write(&mut known_by);
    known_by.write(rules.name.as_bytes());
    known_by.write_u32(rules.max_tokens);
    Old::of(exchange.admitted.body(io.body), rules.keep_turns, known_by)
}

/// Asks for a summary of what has none. True where the call waits for it.
fn wants(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    (rules, summaries, waits): (&Rules, &Summaries, bool),
    old: &Old,
    before: Option<(usize, &str)>,
) -> bool {
    let (from, text) = before.map_or((0, None), |(from, text)| (from, Some(text)));
    let Some(next) = old.next(from) else { return false };
    let until = io.now.plus_ms(rules.timeout_ms);
    let Some(claim) = summaries.claim(&rules.name, (&old.beginnings, next.name), (io.now, until)) else {
        return false;
    };
    let max_tokens = (rules.max_tokens, max_tokens_field(exchange, rules.model));
    // A client in a hurry does not.
    let waits = waits && exchange.facts.timeout_ms.is_none();
    let ask = Ask {
        claim,
        body: ask::request(&rules.name, max_tokens, text, old.record(from, next.bytes)),
        model: rules.model,
        name: Arc::clone(&rules.name),
        timeout_ms: rules.timeout_ms,
        waiter: waits.then(|| exchange.name()),
        instead_of_bytes: next.bytes,
    };
    exchange.summing = Some(Box::new(Summing::Wants {
        ask: Some(Box::new(ask)),
        until: waits.then_some(until),
    }));
    io.out.actions.push(Action::Summarize);
    if waits {
        exchange.facts.wait_begins(io.now);
    }
    waits
}

fn max_tokens_field(exchange: &Exchange, model: ModelId) -> MaxTokensField {
    let pinned = exchange.pinned();
    let route = pinned.and_then(|pinned| pinned.snapshot.routes.get(model.0 as usize));
    let first = route.and_then(|route| route.targets.first());
    first.map_or_else(MaxTokensField::default, |target| target.quirks.max_tokens_field)
}

/// When the call goes on without it.
pub(crate) fn deadline(exchange: &Exchange) -> Option<Tick> {
    match exchange.summing.as_deref()? {
        Summing::Wants { until, .. } => *until,
        Summing::Makes(_) => None,
    }
}

/// Is it time to go on?
pub(crate) fn is_due(exchange: &Exchange, now: Tick) -> bool {
    deadline(exchange).is_some_and(|until| until <= now)
}

pub(crate) fn held_bytes(exchange: &Exchange) -> usize {
    match exchange.summing.as_deref() {
        None => 0,
        Some(Summing::Wants { ask, .. }) => ask.as_ref().map_or(0, |ask| ask.body.len()),
        Some(Summing::Makes(makes)) => makes.heard.answer.len(),
    }
}

/// What the call wants made, once.
pub(crate) fn take_ask(exchange: &mut Exchange) -> Option<Box<Ask>> {
    match exchange.summing.as_deref_mut()? {
        Summing::Wants { ask, .. } => ask.take(),
        Summing::Makes(_) => None,
    }
}

impl Ask {
    /// What is sent, and what becomes of the answer.
    pub fn into_parts(self) -> (Vec<u8>, Makes) {
        let makes = Makes {
            claim: Some(self.claim),
            waiter: self.waiter,
            instead_of_bytes: self.instead_of_bytes,
            heard: Heard::default(),
        };
        (self.body, makes)
    }
}

impl Makes {
    /// The answer is there, or will not come.
    fn conclude(&mut self, (outcome, fault): (Outcome, Fault), now: Tick) -> Summary {
        let Some(claim) = self.claim.take() else {
            return Summary::Failed;
        };
        let is_whole = outcome == Outcome::Complete && self.heard.is_well();
        let summary = is_whole.then(|| ask::summary(&self.heard.answer)).flatten();
        match summary.filter(|text| text.len() < self.instead_of_bytes) {
            Some(text) => {
                claim.keep(&text);
                Summary::Made
            }
            None => {
                claim.fail(fault, now);
                Summary::Failed
            }
        }
    }
}

/// After each feed of an exchange that makes a summary: notes what would go out. `input`: the bytes that were fed.
pub(crate) fn keep(exchange: &mut Exchange, io: &mut Io<'_>, input: &[u8]) {
    let Some(Summing::Makes(makes)) = exchange.summing.as_deref_mut() else {
        return;
    };
    makes.heard.note(io, input);
    if io.out.actions.contains(&Action::Settle) {
        let (facts, was_asked) = (&exchange.facts, exchange.call.tried > 0);
        let is_down = facts.outcome != Outcome::Complete || facts.status == 429 || facts.status >= 500;
        let fault = if was_asked && is_down {
            Fault::OfModel
        } else {
            Fault::OfCall
        };
        exchange.facts.summary = Some(makes.conclude((facts.outcome, fault), io.now));
        // Behind the end, so that the summary is there for whoever waits.
        io.out.actions.extend(makes.waiter.take().map(|of| Action::Turn { of }));
    }
}
