//! What a call does for its vector: it has one, waits for it, or goes on without. Knows no provider's dialect.

use std::{rc::Rc, sync::Arc};

use super::{Lack, Question, Remote};
use crate::{
    Tick,
    exact::{Answers, Exact, Policy, Seed, Tenant, waits_until},
    exchange::{Exchange, Io},
    outputs::TargetChange,
    routing::{health::Change, residency::Regions},
    semantic::{Likeness, Passed, Placed, Rules, placed, tell},
};

/// A call that waits for its vector.
#[derive(Debug)]
pub(crate) struct Embeds {
    /// What its answer is kept under.
    pub key: u128,
    pub until: Tick,
    since: Tick,
    question: Rc<Question>,
    placed: Placed,
}

pub(in crate::semantic) enum Heard {
    Vector(Box<Likeness>),
    Waits(Box<Embeds>),
}

/// `key`: what the call's answer is kept under.
pub(in crate::semantic) fn ask(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    (answers, policy, key): (&Answers, &Policy, u128),
    (rules, remote): (&Rules, &Arc<Remote>),
) -> Result<Heard, Passed> {
    if let Some(embeds) = take_waiting(exchange) {
        return go_on(exchange, io, remote, embeds);
    }
    let placed = placed(exchange, io, (policy, rules))?;
    if !Regions::of(exchange).admit(remote.region.as_deref()) {
        return Err(Passed::NoVector(Lack::Region));
    }
    let neighbours = answers.neighbours().ok_or(Passed::NoModel)?;
    let question = question_key(exchange, policy, remote, (placed.seed, &placed.text)).ok_or(Passed::NotWords)?;
    if let Some(vector) = neighbours.remembered(question) {
        io.local.asker.counts.remembered += 1;
        tell(exchange, io, || format!("embedding by {}: remembered", remote.name));
        let asked = placed.asked(remote.fingerprint_of(&vector));
        let likeness = Likeness::new(asked, vector.as_ref().into());
        return Ok(Heard::Vector(Box::new(likeness)));
    }
    let until = waits_until(exchange, io.now, remote.timeout_ms);
    if until <= io.now {
        io.local.asker.counts.late += 1;
        return Err(Passed::NoVector(Lack::Late { waited_ms: 0 }));
    }
    let name = exchange.name();
    let asked = io
        .local
        .asker
        .ask(io.now, remote, (question, placed.text.clone()), name);
    let question = asked.map_err(Passed::NoVector)?;
    exchange.facts.wait_begins(io.now);
    Ok(Heard::Waits(Box::new(Embeds {
        key,
        until,
        since: io.now,
        question,
        placed,
    })))
}

/// It was told, or has waited long enough.
fn go_on(exchange: &mut Exchange, io: &mut Io<'_>, remote: &Arc<Remote>, embeds: Box<Embeds>) -> Result<Heard, Passed> {
    let question = Rc::clone(&embeds.question);
    let vector = match question.told.get() {
        Some(Ok(vector)) => vector,
        Some(Err(lack)) => {
            exchange.facts.wait_ends(io.now);
            io.local.asker.counts.failed += 1;
            return Err(Passed::NoVector(*lack));
        }
        None if embeds.until > io.now => return Ok(Heard::Waits(embeds)),
        None => {
            exchange.facts.wait_ends(io.now);
            let change = io.local.asker.late(io.now, &question);
            note_change(io, remote, change);
            let waited_ms = embeds.until.ns_since(embeds.since) / 1_000_000;
            return Err(Passed::NoVector(Lack::Late { waited_ms }));
        }
    };
    exchange.facts.wait_ends(io.now);
    io.local.asker.counts.answered += 1;
    let took_ms = io.now.ns_since(question.asked) / 1_000_000;
    tell(exchange, io, || format!("embedding by {}: {took_ms} ms", remote.name));
    let asked = embeds.placed.asked(remote.fingerprint_of(vector));
    let likeness = Likeness::new(asked, vector.as_ref().into());
    Ok(Heard::Vector(Box::new(likeness)))
}

fn take_waiting(exchange: &mut Exchange) -> Option<Box<Embeds>> {
    match exchange.exact.take().map(|exact| *exact) {
        Some(Exact::Embeds(embeds)) => Some(embeds),
        other => {
            exchange.exact = other.map(Box::new);
            None
        }
    }
}

/// Has the call that waits for a vector been told?
pub(crate) fn is_told(exchange: &Exchange) -> bool {
    matches!(exchange.exact.as_deref(), Some(Exact::Embeds(embeds)) if embeds.question.told.get().is_some())
}

fn note_change(io: &mut Io<'_>, remote: &Remote, change: Option<Change>) {
    if let Some(change) = change {
        io.out.changes.push(TargetChange {
            model: remote.route,
            target: 0,
            change,
        });
    }
}

/// Who may not share answers shares no vectors: not even by how soon one is there can a tenant tell what another asked.
fn question_key(exchange: &Exchange, policy: &Policy, remote: &Remote, (seed, text): (Seed, &str)) -> Option<u128> {
    use siphasher::sip128::Hasher128 as _;
    use std::hash::Hasher as _;
    let pinned = exchange.pin();
    let mut hasher = seed.hasher();
    Tenant::of(policy.scope, pinned.keys.entry(exchange.facts.key?)).write(&mut hasher);
    hasher.write_u64(remote.fingerprint);
    hasher.write(text.as_bytes());
    Some(hasher.finish128().as_u128())
}
