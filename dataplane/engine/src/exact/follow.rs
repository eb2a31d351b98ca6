//! A stream that comes for one client and is sent to others as well; and the call that goes on for them when its own client
//! has left.

use std::sync::Arc;

use super::{Answers, Exact, Head, Mark, Part, Policy, flight::Progress, replay, too_late};
use crate::{
    Tick, attempt, drain,
    exchange::{Exchange, Io, Phase, UpstreamFault},
    failure::{Failure, Kind, RetryWhere},
    outputs::{Action, ReplyFraming, Rest},
    record::Outcome,
    repeats, reply,
};

/// Between two looks whether more has come: doubled from the first to the last of these while nothing does.
const FIRST_LOOK_MS: u64 = 2;
const LAST_LOOK_MS: u64 = 16;
/// A call whose client is gone goes on as long as somebody asked for it within this time.
const WANTED_MS: u64 = 1_000;

/// It is sent what another's client is sent. Dropped, it is not any more.
#[derive(Debug)]
pub(crate) struct Follows {
    answers: Answers,
    policy: Arc<Policy>,
    key: u128,
    number: u64,
    sent: usize,
    look: Tick,
    after_ms: u64,
}

impl Follows {
    pub fn join(answers: &Answers, policy: &Arc<Policy>, (key, number): (u128, u64)) -> Option<Self> {
        let joined = answers.with(key, |part| part.flights.join(number));
        joined.unwrap_or(false).then(|| Self {
            answers: answers.clone(),
            policy: Arc::clone(policy),
            key,
            number,
            sent: 0,
            look: Tick(0),
            after_ms: FIRST_LOOK_MS,
        })
    }
}

impl Drop for Follows {
    fn drop(&mut self) {
        self.answers.with(self.key, |part| part.flights.part(self.number));
    }
}

/// The head that the other was sent, and what has come behind it so far.
pub(super) fn begin(exchange: &mut Exchange, io: &mut Io<'_>, follows: Follows, head: &Head) {
    exchange.facts.cache = Mark::Hit;
    let start = io.out.arena.len();
    replay::write_lines(&mut io.out.arena, (head, Mark::Hit), head.content_type());
    exchange.facts.answer_begins(200, io.now);
    reply::write_common_lines(exchange, io);
    let lines = io.out.written_since(start);
    io.out.actions.push(Action::Head {
        status: 200,
        lines,
        framing: ReplyFraming::Stream,
    });
    exchange.relay.share();
    exchange.set_phase(Phase::Relaying);
    pump(exchange, io, follows);
}

/// Sends what has come since.
fn pump(exchange: &mut Exchange, io: &mut Io<'_>, mut follows: Follows) {
    if let Some(late) = too_late(exchange, io.now) {
        return exchange.refuse(late, io);
    }
    let start = io.out.arena.len();
    let arena = &mut io.out.arena;
    let progress = follows.answers.with(follows.key, |part| {
        part.flights.follow(follows.number, follows.sent, arena)
    });
    let more = io.out.written_since(start);
    follows.after_ms = match more.is_empty() {
        true => (follows.after_ms * 2).min(LAST_LOOK_MS),
        false => FIRST_LOOK_MS,
    };
    if !more.is_empty() {
        let length = more.len();
        follows.sent += length;
        exchange.facts.response_body_bytes += length as u64;
        exchange.facts.first_token.get_or_insert(io.now);
        io.out.body_from_arena(more);
    }
    match progress.unwrap_or(Progress::Broke) {
        Progress::Goes => {
            follows.look = io.now.plus_ms(follows.after_ms);
            exchange.exact = Some(Box::new(Exact::Follows(follows)));
        }
        Progress::Ended => {
            let joined = |part: &mut Part| part.joined(follows.number, &follows.policy);
            let spent = follows.answers.with(follows.key, joined);
            if let Some(spent) = spent.filter(|_| follows.policy.charge_hits) {
                (exchange.facts.usage, exchange.facts.cost) = (spent.usage, spent.cost);
            }
            exchange.finish(io, Outcome::Complete, Action::End);
        }
        Progress::Broke => {
            let broke = Kind::Upstream(UpstreamFault::Cut);
            exchange.refuse(Failure::upstream(broke, RetryWhere::No), io);
        }
    }
}

/// When to look again.
pub(crate) fn deadline(exchange: &Exchange) -> Option<Tick> {
    match exchange.exact.as_deref()? {
        Exact::Waits(waits) => Some(waits.look),
        Exact::Embeds(embeds) => Some(embeds.until),
        Exact::Follows(follows) => Some(follows.look),
        Exact::Asks(asks) => Some(asks.until),
        Exact::Runs(runs) => runs.left,
    }
}

/// What came due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// The stage is to be entered again.
    Look,
    /// All was done.
    Done,
}

pub(crate) fn due(exchange: &mut Exchange, io: &mut Io<'_>) -> Due {
    match exchange.exact.take().map(|exact| *exact) {
        Some(Exact::Waits(waits)) => {
            let due = waits.look <= io.now;
            exchange.exact = Some(Box::new(Exact::Waits(waits)));
            if due { Due::Look } else { Due::Nothing }
        }
        Some(Exact::Asks(asks)) => {
            let due = asks.is_due(io.now);
            exchange.exact = Some(Box::new(Exact::Asks(asks)));
            if due { Due::Look } else { Due::Nothing }
        }
        Some(Exact::Embeds(embeds)) => {
            let due = embeds.until <= io.now;
            exchange.exact = Some(Box::new(Exact::Embeds(embeds)));
            if due { Due::Look } else { Due::Nothing }
        }
        Some(Exact::Follows(follows)) if follows.look <= io.now => {
            pump(exchange, io, follows);
            Due::Done
        }
        other => {
            exchange.exact = other.map(Box::new);
            match is_forsaken(exchange, io.now) {
                true => {
                    attempt::cancel(exchange, io);
                    exchange.finish(io, Outcome::ClientGone, Action::Cut);
                    Due::Done
                }
                false => Due::Nothing,
            }
        }
    }
}

/// The client is gone, and others wait for the answer: the call goes on for them. Asked a second time it does not.
pub(crate) fn outlives_client(exchange: &mut Exchange, now: Tick) -> bool {
    let answering = matches!(exchange.phase(), Phase::Calling | Phase::Gathering | Phase::Relaying);
    // What its client has not sent, nobody can.
    let waits = exchange.call.queued.is_some() || exchange.admitted.rest != Rest::Nothing;
    let Some(Exact::Runs(runs)) = exchange.exact.as_deref_mut() else {
        return false;
    };
    let outlives = runs.left.is_none() && answering && !waits && runs.is_wanted(recently(now));
    if outlives {
        runs.left = Some(now.plus_ms(WANTED_MS));
    }
    outlives
}

/// The client is gone, and nobody else wants the answer any more.
fn is_forsaken(exchange: &mut Exchange, now: Tick) -> bool {
    // Its client may come back for it (`repeats`), which has its own patience.
    let may_come_back = repeats::deadline(exchange).is_some();
    let drains = drain::runs(exchange, now);
    let Some(Exact::Runs(runs)) = exchange.exact.as_deref_mut() else {
        return false;
    };
    if runs.left.is_none_or(|left| left > now) {
        return false;
    }
    let wanted = runs.is_wanted(recently(now)) || drains;
    runs.left = Some(now.plus_ms(WANTED_MS));
    !wanted && !may_come_back
}

/// Does somebody else wait for the answer?
pub(crate) fn is_wanted(exchange: &Exchange, now: Tick) -> bool {
    matches!(exchange.exact.as_deref(), Some(Exact::Runs(runs)) if runs.is_wanted(recently(now)))
}

fn recently(now: Tick) -> Tick {
    Tick(now.0.saturating_sub(WANTED_MS * 1_000_000))
}
