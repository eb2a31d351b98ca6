//! The call whose answer will be kept: what goes to its client is noted as it goes, for those who wait for it as well, and
//! where it came to a good end it is kept.

use std::{ops::Range, sync::Arc};

use super::{About, Answers, Exact, Form, Head, Part, Policy, Spent, Stored, judge, key, second};
use crate::{
    Tick,
    exchange::{Exchange, Io},
    lines::{self, Line},
    names::header,
    outputs::Action,
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
    /// What has come of an answer that is no stream: as nobody is sent that as it comes, it waits here.
    whole: Vec<u8>,
    /// What its answer will be found by, where the cache looks by meaning.
    likeness: Option<Box<Likeness>>,
    /// Of a call whose answer other nodes may have: how often its cache was forgotten there when it began.
    forgotten: Option<u64>,
    /// It is no answer that anybody else is to have.
    spoiled: bool,
    /// Who waits for it was told that it is over.
    over: bool,
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
            whole: Vec::new(),
            likeness: None,
            forgotten: None,
            spoiled: false,
            over: false,
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

    fn over(&mut self, well: bool) {
        if !std::mem::replace(&mut self.over, true) {
            self.answers.with(self.key, |part| part.flights.over(self.number, well));
        }
    }

    /// The head goes out.
    fn note_head(&mut self, (status, lines): (u16, &[u8]), asked: Form) {
        let Some((content_type, kept)) = kept_lines(lines).filter(|_| status == 200) else {
            return self.spoil();
        };
        let form = form_of(content_type, asked);
        let head = Arc::new(Head::new(form, content_type, kept));
        self.head = Some(Arc::clone(&head));
        if form != Form::Whole {
            self.answers
                .with(self.key, |part| part.flights.set_head(self.number, head));
        }
    }

    fn note_body(&mut self, exchange: &Exchange, io: &Io<'_>, pieces: &Range<u32>, input: &[u8]) {
        let bounds = (self.policy.max_answer_bytes, self.policy.room_bytes());
        debug_assert!(exchange.facts.status > 0, "a body goes behind a head");
        let bytes = io.out.answered(pieces, input);
        let number = self.number;
        if !self.is_whole() {
            self.answers.with(self.key, |part| {
                bytes.for_each(|bytes| part.flights.push(number, bytes, bounds));
            });
            return;
        }
        let more = bytes.clone().map(<[u8]>::len).sum();
        let has_room = |part: &mut Part| part.flights.grow(number, more, bounds);
        match self.answers.with(self.key, has_room) {
            Some(true) => bytes.for_each(|bytes| self.whole.extend_from_slice(bytes)),
            _ => {
                self.whole = Vec::new();
                self.spoil();
            }
        }
    }

    /// Is its answer no stream?
    fn is_whole(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.form == Form::Whole)
    }

    /// All that came. `None`: it may not be kept.
    fn take(&mut self, spent: Spent) -> Option<Arc<[u8]>> {
        if self.is_whole() {
            return Some(std::mem::take(&mut self.whole).into());
        }
        let number = self.number;
        let taken = self.answers.with(self.key, |part| part.flights.take(number));
        let body: Arc<[u8]> = taken.flatten()?.into();
        let freeze = |part: &mut Part| part.flights.freeze(number, Arc::clone(&body), spent);
        let may_be_kept = self.answers.with(self.key, freeze).unwrap_or(false);
        may_be_kept.then_some(body)
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
        let (Some(body), Some(head)) = (self.take(spent), self.head.clone()) else {
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
            asked: self
                .likeness
                .as_ref()
                .map(|likeness| Box::new(likeness.asked(self.policy.keeps_vectors))),
        };
        let stored = Arc::new(stored);
        self.over = true;
        let told = self.answers.with(self.key, |part| {
            let is_lost = part.flights.is_lost(self.number);
            let is_kept = part.store((self.key, self.number), Arc::clone(&stored), &self.policy);
            part.flights.over(self.number, true);
            (is_lost, is_kept)
        });
        if matches!(told, Some((_, true))) {
            second::offer(io, &self.policy, self.forgotten, self.key, &stored);
        }
        if let Some(likeness) = self.likeness.take().filter(|_| matches!(told, Some((false, _)))) {
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
            Action::Head { status, lines, .. } => {
                // Where the other model is from, and for whom it is, nobody asked those who wait.
                if exchange.call.taken_over > 0 {
                    return runs.spoil();
                }
                let lines = io.out.arena.get(lines.start as usize..lines.end as usize);
                runs.note_head((*status, lines.unwrap_or_default()), key::form(exchange, io));
            }
            Action::Body { pieces } => {
                runs.note_body(exchange, io, pieces, input);
            }
            _ => {}
        }
    }
}

/// A provider may send all of a stream with its length, and may answer with one document who asked for a stream.
fn form_of(content_type: &[u8], asked: Form) -> Form {
    const DOCUMENT: &[u8] = b"application/json";
    let kind = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    let is_document = kind.trim_ascii().eq_ignore_ascii_case(DOCUMENT);
    match asked {
        // A list of answers, as Gemini's streams may be.
        Form::Stream { array: true, .. } => asked,
        _ if is_document => Form::Whole,
        _ => asked,
    }
}

/// The content's type, and of header lines those that the answer is sent again with. `None` where its body is encoded.
fn kept_lines(all: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let (mut content_type, mut kept) = (None, Vec::with_capacity(all.len()));
    for line in lines::each(all) {
        if line.is(b"content-encoding") {
            return None;
        }
        if line.is(header::CONTENT_TYPE) {
            content_type.get_or_insert(line.value);
        }
        if !is_of_one_call(&line) {
            kept.extend_from_slice(line.whole);
        }
    }
    Some((content_type.unwrap_or_default(), kept))
}

fn is_of_one_call(line: &Line<'_>) -> bool {
    line.is_one_of(&ANEW) || line.is_one_of(&ONCE) || repeats::is_own(line)
}
