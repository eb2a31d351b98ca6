//! The call whose answer will be kept: what goes to its client is noted as it goes, for those who wait for it as well, and
//! where it came to a good end it is kept.

use std::sync::Arc;

use super::{About, Answers, Exact, Form, Head, Part, Policy, Spent, Stored, judge, key, second};
use crate::{
    Tick,
    exchange::{Exchange, Io},
    names::header,
    outputs::{Action, Piece, ReplyFraming},
    record::Outcome,
    repeats,
    semantic::{self, Likeness},
};

/// Header lines that are written anew where the answer is sent again.
const ANEW: [&[u8]; 4] = [header::CONTENT_TYPE, header::CACHE, header::ATTEMPTS, header::EXPLAIN];
/// And those that were true of one call, at one time.
const ONCE: [&[u8]; 4] = [b"retry-after", b"date", b"server", b"openai-organization"];

/// A call that this exchange runs. Dropped, whatever the reason, it lets somebody else run it.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(super) answers: Answers,
    pub(super) key: u128,
    pub(super) number: u64,
    policy: Arc<Policy>,
    about: Arc<About>,
    head: Option<Arc<Head>>,
    /// What its answer will be found by, where the cache looks by meaning.
    likeness: Option<Box<Likeness>>,
    /// Of a call whose answer other nodes may have: how often its cache was forgotten there when it began.
    forgotten: Option<u64>,
    /// It is no answer that anybody else is to have.
    spoiled: bool,
    /// Its client is gone: when to look whether anybody else wants the answer.
    pub(super) left: Option<Tick>,
}

impl Runs {
    pub fn new(answers: &Answers, (key, number): (u128, u64), policy: &Arc<Policy>, about: Arc<About>) -> Self {
        Self {
            answers: answers.clone(),
            key,
            number,
            policy: Arc::clone(policy),
            about,
            head: None,
            likeness: None,
            forgotten: None,
            spoiled: false,
            left: None,
        }
    }

    pub fn found_by(mut self, likeness: Option<Box<Likeness>>) -> Self {
        self.likeness = likeness;
        self
    }

    pub fn shared(mut self, forgotten: Option<u64>) -> Self {
        self.forgotten = forgotten;
        self
    }

    pub(super) fn is_wanted(&self, then: Tick) -> bool {
        let wanted = self
            .answers
            .with(self.key, |part| part.flights.is_wanted(self.number, then));
        wanted.unwrap_or(false)
    }

    /// Who waits for it goes on.
    fn spoil(&mut self) {
        self.spoiled = true;
        self.over(false);
    }

    fn over(&self, well: bool) {
        self.answers.with(self.key, |part| part.flights.over(self.number, well));
    }

    /// The head goes out.
    fn note_head(&mut self, (status, lines, framing): (u16, &[u8], ReplyFraming), asked: Form) {
        let value = |name: &[u8]| {
            let mut all = lines.split(|&byte| byte == b'\n');
            all.find_map(|line| value_of(line, name))
        };
        if status != 200 || value(b"content-encoding").is_some() {
            return self.spoil();
        }
        let form = match framing {
            ReplyFraming::Stream => asked,
            ReplyFraming::Length(_) | ReplyFraming::Empty(_) => Form::Whole,
        };
        let head = Arc::new(Head {
            form,
            content_type: value(header::CONTENT_TYPE).unwrap_or_default().into(),
            lines: kept_lines(lines).into(),
        });
        self.head = Some(Arc::clone(&head));
        self.answers
            .with(self.key, |part| part.flights.set_head(self.number, head));
    }

    fn note_body(&self, exchange: &Exchange, io: &Io<'_>, pieces: &[Piece], input: &[u8]) {
        let bounds = (self.policy.max_answer_bytes, self.policy.room_bytes());
        let bytes = |piece: &Piece| match piece {
            Piece::Arena(range) => io.out.arena.get(range.start as usize..range.end as usize),
            // Nothing of a request is in its answer.
            Piece::RequestBody(_) => None,
            Piece::Input(range) => input.get(range.start as usize..range.end as usize),
        };
        debug_assert!(exchange.facts.status > 0, "a body goes behind a head");
        self.answers.with(self.key, |part| {
            for bytes in pieces.iter().filter_map(bytes) {
                part.flights.push(self.number, bytes, bounds);
            }
        });
    }

    /// The call is over: keeps its answer where it may be.
    fn conclude(&mut self, exchange: &mut Exchange, io: &mut Io<'_>) {
        let facts = &exchange.facts;
        if self.spoiled || facts.outcome != Outcome::Complete || facts.rejected.is_some() {
            return;
        }
        let spent = Spent {
            usage: facts.usage,
            cost: facts.cost,
            took_ns: facts.ended.ns_since(facts.started),
        };
        let taken = self.answers.with(self.key, |part| part.flights.take(self.number));
        let Some(body) = taken.flatten() else {
            return self.over(true);
        };
        let body: Arc<[u8]> = body.into();
        let freeze = |part: &mut Part| part.flights.freeze(self.number, Arc::clone(&body), spent);
        let (Some(true), Some(head)) = (self.answers.with(self.key, freeze), self.head.clone()) else {
            return self.over(true);
        };
        let Some(dialect) = facts.surface.dialect else { return };
        let judged = judge::call(exchange, &self.policy, &body)
            .and_then(|()| judge::answer((dialect, facts.surface.operation), head.form, &body, self.policy.allow));
        if judged.is_err() {
            return self.over(true);
        }
        let stored = Stored {
            head,
            dialect,
            body,
            at: io.now,
            aged_ns: 0,
            spent,
            about: Arc::clone(&self.about),
            asked: self.likeness.as_ref().map(|likeness| Box::new(likeness.asked())),
        };
        let stored = Arc::new(stored);
        let is_kept = self.answers.with(self.key, |part| {
            let is_kept = part.store((self.key, self.number), Arc::clone(&stored), &self.policy);
            part.flights.over(self.number, true);
            is_kept
        });
        if is_kept == Some(true) {
            second::offer(io, &self.policy, self.forgotten, self.key, &stored);
        }
        if let Some(likeness) = self.likeness.take() {
            semantic::kept(
                exchange,
                io,
                &self.answers,
                (&self.policy, self.key as u64),
                &stored,
                *likeness,
            );
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.over(false);
    }
}

/// After each feed: notes what goes out. Where the client is gone nothing goes out. `input`: the bytes that were fed.
pub(crate) fn keep(exchange: &mut Exchange, io: &mut Io<'_>, input: &[u8]) {
    let Some(mut exact) = exchange.exact.take() else { return };
    let settled = io.out.actions.contains(&Action::Settle);
    if let Exact::Runs(runs) = &mut *exact {
        note(runs, exchange, io, input);
        if runs.left.is_some() {
            let goes_out = |action: &Action| matches!(action, Action::Head { .. } | Action::Body { .. });
            io.out.actions.retain(|action| !goes_out(action));
        }
        if settled {
            runs.conclude(exchange, io);
        }
    }
    if !settled {
        exchange.exact = Some(exact);
    }
}

fn note(runs: &mut Runs, exchange: &Exchange, io: &Io<'_>, input: &[u8]) {
    for action in &io.out.actions {
        match action {
            _ if runs.spoiled => return,
            Action::Head { status, lines, framing } => {
                // Where the other model is from, and for whom it is, nobody asked those who wait.
                if exchange.call.taken_over > 0 {
                    return runs.spoil();
                }
                let lines = io.out.arena.get(lines.start as usize..lines.end as usize);
                runs.note_head((*status, lines.unwrap_or_default(), *framing), key::form(exchange, io));
            }
            Action::Body { pieces } => {
                let pieces = io.out.pieces.get(pieces.start as usize..pieces.end as usize);
                runs.note_body(exchange, io, pieces.unwrap_or_default(), input);
            }
            _ => {}
        }
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":").filter(|_| start.eq_ignore_ascii_case(name))?;
    Some(value.trim_ascii())
}

/// Of header lines those that the answer is sent again with.
fn kept_lines(lines: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(lines.len());
    for line in repeats::shared_lines(lines).split_inclusive(|&byte| byte == b'\n') {
        if !ANEW.iter().chain(&ONCE).any(|name| value_of(line, name).is_some()) {
            kept.extend_from_slice(line);
        }
    }
    kept
}
