//! Calls that come again under the same `idempotency-key`: the first runs, those that come meanwhile wait for it, those that
//! come later get its answer. A key means something within the key of the gateway that it came with, nowhere else.
//!
//! Two connections of one client may be on different shards, so the table is the node's. It is the only state on the way of
//! a request that is locked; none without the header comes near it, and no lock is held longer than it takes to look.

mod compared;
mod keep;
mod table;

use std::{
    fmt::Debug,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hashbrown::DefaultHashBuilder;
use tollgate_config::{
    document::{IDEMPOTENCY_PARTS, Idempotency},
    fnv::Fnv,
};
use tollgate_wire::{
    head::{self, Method},
    http1::write,
};

use crate::{
    Tick,
    exchange::{Exchange, Io, Phase},
    failure::{Failure, Kind, Waited},
    names::header,
    outputs::{Action, Rest},
    passing,
    record::Outcome,
    reply,
    stage::Verdict,
    visible,
};

use keep::Kept;
pub(crate) use keep::{is_own, keep};
pub use table::Part;
use table::{Answer, Known};

/// As long as others that take such keys allow.
const MAX_KEY_BYTES: usize = 255;
/// Between two looks whether the call that is waited for is answered: doubled from the first to the last of these.
const FIRST_LOOK_MS: u64 = 1;
const LAST_LOOK_MS: u64 = 50;
/// A call whose client left before the answer began goes on for so long: a client that ran out of patience comes back.
const PATIENCE_MS: u64 = 5_000;
/// And on, as long as somebody asked for it within this time.
const WANTED_MS: u64 = 1_000;

/// The parts of a table of the node's, each behind a lock of its own. The locks are the shell's.
pub trait Parts<P = Part>: Debug + Send + Sync {
    /// Does the work on one of them.
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut P));
}

impl<P> dyn Parts<P> {
    /// The same, where something comes of it. `None`: the part is not there.
    pub(crate) fn on<T>(&self, part: usize, work: impl FnOnce(&mut P) -> T) -> Option<T> {
        let (mut work, mut done) = (Some(work), None);
        self.with(part, &mut |part| done = work.take().map(|work| work(part)));
        done
    }
}

/// The node's table, as each shard has it.
#[derive(Clone, Debug)]
pub struct Repeats(Arc<Node>);

#[derive(Debug)]
struct Node {
    parts: Box<dyn Parts>,
    hasher: DefaultHashBuilder,
    /// Of answers on their way, kept to be remembered.
    kept_bytes: AtomicU64,
}

impl Repeats {
    pub fn new(parts: impl Parts + 'static) -> Self {
        Self(Arc::new(Node {
            parts: Box::new(parts),
            hasher: DefaultHashBuilder::default(),
            kept_bytes: AtomicU64::new(0),
        }))
    }

    fn with<T>(&self, key: &[u8], work: impl FnOnce(&mut Part) -> T) -> Option<T> {
        let part = (Fnv::of(key) % IDEMPOTENCY_PARTS) as usize;
        self.0.parts.on(part, work)
    }

    /// Collisions can do no more than give a client an answer of its own to another request; keyed, so that nobody can make
    /// them either.
    fn fingerprint(&self, exchange: &Exchange, io: &Io<'_>) -> u64 {
        let mut hasher = self.0.hasher.build_hasher();
        compared::write(&mut hasher, exchange, io);
        hasher.finish()
    }
}

/// What an exchange has to do with a call that may come again.
#[derive(Debug)]
pub(crate) enum Repeat {
    /// It waits for another to be answered.
    Waits {
        look: Tick,
        after_ms: u64,
        fingerprint: u64,
    },
    /// It runs it.
    Runs(Runs),
}

#[derive(Debug)]
pub(crate) struct Runs {
    claim: Claim,
    kept: Kept,
    /// Its client is gone: when to look whether anybody else wants the answer.
    left: Option<Tick>,
}

/// A call that this exchange runs. Dropped, whatever the reason, it lets somebody else run it.
#[derive(Debug)]
struct Claim {
    repeats: Repeats,
    key: Box<[u8]>,
    number: u64,
    bounds: Idempotency,
    /// Of `kept_bytes`.
    reserved_bytes: u64,
}

impl Claim {
    fn store(&self, now: Tick, answer: Answer) {
        let claim = (&*self.key, self.number);
        self.repeats
            .with(&self.key, |part| part.store(now, claim, answer, &self.bounds));
    }

    /// Room for so many bytes of an answer; false when there is none.
    fn reserve(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.reserved_bytes);
        let all = self.repeats.0.kept_bytes.fetch_add(more, Relaxed) + more;
        self.reserved_bytes += more;
        all <= self.bounds.max_bytes
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.repeats.0.kept_bytes.fetch_sub(self.reserved_bytes, Relaxed);
        self.repeats
            .with(&self.key, |part| part.release(&self.key, self.number));
    }
}

/// Before anything is spent on a call: does it run, wait, or have its answer?
pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    match io.request.get(head::Known::IdempotencyKey) {
        None => Verdict::Next,
        Some(asked) => ask(exchange, io, asked),
    }
}

fn ask(exchange: &mut Exchange, io: &mut Io<'_>, asked: &[u8]) -> Verdict {
    let pinned = exchange.pin();
    let (Some(bounds), Some(repeats)) = (pinned.snapshot.document.idempotency, io.local.repeats.clone()) else {
        return Verdict::Next;
    };
    // To ask, or to delete, twice does no more than to do so once.
    let Some(owner) = exchange.facts.key.filter(|_| io.request.head.method == Method::Post) else {
        return Verdict::Next;
    };
    if !(1..=MAX_KEY_BYTES).contains(&asked.len()) || !asked.iter().all(|&byte| visible::is_visible(byte)) {
        return Verdict::Refuse(Failure::client(Kind::Header {
            name: "idempotency-key",
            wrong: "must be 1 to 255 visible characters",
        }));
    }
    if !compared::is_here(exchange, io) {
        passing::ask_for_more(exchange, io);
        return Verdict::Pause;
    }
    // No name has a zero byte.
    let key = [pinned.keys.entry(owner).name.as_bytes(), &[0], asked].concat();
    let fingerprint = match exchange.repeat.as_deref() {
        // A body is hashed once, however often it is looked whether its answer has come.
        Some(Repeat::Waits { fingerprint, .. }) => *fingerprint,
        _ => repeats.fingerprint(exchange, io),
    };
    let known = repeats.with(&key, |part| part.ask(io.now, &key, fingerprint, &bounds));
    let known = known.unwrap_or(Known::Full);
    if known != Known::Running {
        exchange.facts.wait_ends(io.now);
    }
    match known {
        Known::Full => next(exchange, None),
        Known::Claimed(number) => {
            let claim = Claim {
                repeats,
                key: key.into(),
                number,
                bounds,
                reserved_bytes: 0,
            };
            let runs = Runs {
                claim,
                kept: Kept::default(),
                left: None,
            };
            next(exchange, Some(Box::new(Repeat::Runs(runs))))
        }
        Known::Running => wait(exchange, io, fingerprint),
        Known::Answered(answer) => {
            exchange.repeat = None;
            again(exchange, io, &answer);
            Verdict::Taken
        }
        Known::Differs => Verdict::Refuse(Failure::client(Kind::IdempotencyKeyReused)),
    }
}

fn next(exchange: &mut Exchange, repeat: Option<Box<Repeat>>) -> Verdict {
    exchange.repeat = repeat;
    Verdict::Next
}

/// Looks again in a while.
fn wait(exchange: &mut Exchange, io: &Io<'_>, fingerprint: u64) -> Verdict {
    let until_client = exchange.facts.timeout_ms.map(|ms| exchange.facts.started.plus_ms(ms));
    if until_client.is_some_and(|until| until <= io.now) {
        let kind = Kind::UpstreamTimeout(Waited::Client);
        return Verdict::Refuse(Failure::gateway(kind));
    }
    let after_ms = match exchange.repeat.as_deref() {
        Some(Repeat::Waits { after_ms, .. }) => (after_ms * 2).min(LAST_LOOK_MS),
        _ => {
            exchange.facts.wait_begins(io.now);
            FIRST_LOOK_MS
        }
    };
    let look = io.now.plus_ms(after_ms);
    exchange.repeat = Some(Box::new(Repeat::Waits {
        look,
        after_ms,
        fingerprint,
    }));
    Verdict::Pause
}

/// Sends a remembered answer.
fn again(exchange: &mut Exchange, io: &mut Io<'_>, answer: &Answer) {
    exchange.facts.replayed = true;
    let start = io.out.arena.len();
    io.out.arena.extend_from_slice(&answer.lines);
    write::header(&mut io.out.arena, header::IDEMPOTENT, b"replayed");
    exchange.facts.answer_begins(answer.status, io.now);
    reply::write_common_lines(exchange, io);
    let lines = io.out.written_since(start);
    io.out.actions.push(Action::Head {
        status: answer.status,
        lines,
        framing: answer.framing,
    });
    if !answer.body.is_empty() {
        let start = io.out.arena.len();
        io.out.arena.extend_from_slice(&answer.body);
        let body = io.out.written_since(start);
        io.out.body_from_arena(body);
        exchange.facts.response_body_bytes = answer.body.len() as u64;
    }
    exchange.finish(io, Outcome::Complete, Action::End);
}

/// When to look again.
pub(crate) fn deadline(exchange: &Exchange) -> Option<Tick> {
    match exchange.repeat.as_deref()? {
        Repeat::Waits { look, .. } => Some(*look),
        Repeat::Runs(runs) => runs.left,
    }
}

/// Is it time to ask again?
pub(crate) fn looks_again(exchange: &Exchange, now: Tick) -> bool {
    matches!(exchange.repeat.as_deref(), Some(Repeat::Waits { look, .. }) if *look <= now)
}

/// The client is gone, the answer has not begun: the call goes on for a while, for the client to come back to. True when it
/// does; asked a second time it does not.
pub(crate) fn outlives_client(exchange: &mut Exchange, now: Tick) -> bool {
    let answering = matches!(exchange.phase(), Phase::Calling | Phase::Gathering);
    // What its client has not sent, nobody can.
    let waits = exchange.call.queued.is_some() || exchange.admitted.rest != Rest::Nothing;
    match exchange.repeat.as_deref_mut() {
        Some(Repeat::Runs(runs)) if runs.left.is_none() && answering && !waits => {
            runs.left = Some(now.plus_ms(PATIENCE_MS));
            true
        }
        _ => false,
    }
}

/// The client is gone, and nobody else wants the answer.
pub(crate) fn is_forsaken(exchange: &mut Exchange, now: Tick) -> bool {
    let Some(Repeat::Runs(Runs {
        claim,
        left: Some(left),
        ..
    })) = exchange.repeat.as_deref_mut()
    else {
        return false;
    };
    if *left > now {
        return false;
    }
    let recently = Tick(now.0.saturating_sub(WANTED_MS * 1_000_000));
    let wanted = claim
        .repeats
        .with(&claim.key, |part| part.asked_since(&claim.key, recently));
    *left = now.plus_ms(WANTED_MS);
    !wanted.unwrap_or(false)
}
