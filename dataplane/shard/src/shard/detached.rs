//! Exchanges without a client: copies of calls, summaries of what was said in them, looks at providers, and calls for
//! vectors. The shard begins and feeds them itself; what they would say to a client goes nowhere, but for vectors
//! (`embedding`).

use std::{panic::AssertUnwindSafe, rc::Rc};

use tollgate_engine::{Action, Input, Outputs, Piece, Tick};
use tollgate_wire::http1::read::{self, Limits, Progress};

use super::{Shard, Timer, drive::Followup, embedding::Heard, slab::Id};
use crate::{downstream::Active, upstream::Whose};

/// Copies of calls under way, of one shard; what comes beyond that is dropped and counted.
const MAX_SHADOWS: usize = 128;
/// Bytes of requests that copies hold, of one shard.
const MAX_SHADOW_BYTES: usize = 64 * 1024 * 1024;
/// Summaries under way, of one shard; calls that want one beyond that go on without.
const MAX_SUMMARIES: usize = 64;
/// What a summary is asked by: the exchange has the body.
const SUMMARY_HEAD: &[u8] =
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: summary\r\ncontent-type: application/json\r\n\r\n";
/// Looks at providers under way.
const MAX_CHECKS: usize = 64;

pub struct Detached {
    pub active: Option<Box<Active>>,
    pub(super) purpose: Purpose,
    /// Of its request.
    bytes: usize,
    /// When the wheel will look at it next.
    armed_at: Option<Tick>,
    /// Of vectors.
    pub(super) heard: Heard,
}

/// What copy of a call.
#[derive(Clone, Copy, Debug)]
pub enum Copied {
    /// For another model.
    Shadow { model: u32 },
    /// With a shorter prompt.
    Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Shadow,
    Summary,
    /// The place of a provider among those that are looked at, in the list of that generation.
    Check {
        generation: u32,
        place: usize,
    },
    /// A call for vectors, as `Asker` numbers it.
    Vectors {
        number: u64,
    },
}

impl Purpose {
    /// A provider bills it as it does any other call.
    fn is_billed(self) -> bool {
        !matches!(self, Self::Check { .. })
    }
}

impl Shard {
    /// Makes a copy of a call that was sent, or that was answered. It is begun behind all that this turn owes to clients.
    pub fn copy_call(&mut self, of: &mut Active, copy: Copied) {
        let bytes = of.input.len() + of.decoded.len() + of.exchange.copied_bytes();
        let shadows = || self.detached.iter().filter(|one| one.purpose == Purpose::Shadow);
        let held: usize = shadows().map(|one| one.bytes).sum();
        let is_behind = self.local.pressure.is_behind();
        if is_behind || shadows().count() >= MAX_SHADOWS || held + bytes > MAX_SHADOW_BYTES {
            let pinned = of.exchange.pinned();
            let models = pinned.map(|pinned| &pinned.snapshot.document.models);
            let name = match copy {
                Copied::Shadow { model } => models
                    .and_then(|models| models.get(model as usize))
                    .map(|(name, _)| &**name),
                Copied::Again => of.exchange.record().model.map(|(_, name)| name),
            };
            if let Some(name) = name {
                self.metrics.shadow_dropped(name);
            }
            return;
        }
        let now = self.clock.now();
        let mut active = self.spare_actives.pop().unwrap_or_default();
        let begun = match copy {
            Copied::Shadow { model } => active.exchange.begin_shadow(&of.exchange, model, now),
            Copied::Again => active.exchange.begin_again(&mut of.exchange, now),
        };
        if !begun {
            return self.deactivate(active);
        }
        active.head.clone_from(&of.head);
        // The body is not copied: both hold it.
        active.input = Rc::clone(&of.input);
        active.decoded = Rc::clone(&of.decoded);
        (active.request_len, active.body_whole) = (of.request_len, true);
        (active.client, active.started) = (of.client, now);
        let id = self.insert_detached(active, Purpose::Shadow, bytes);
        self.detached_due.push(id);
    }

    /// Begins the summary that a call wants, behind all that this turn owes to clients. False where it cannot be begun.
    pub fn sum_up(&mut self, of: &mut Active) -> bool {
        let summaries = self.detached.iter().filter(|one| one.purpose == Purpose::Summary);
        if self.local.pressure.is_behind() || summaries.count() >= MAX_SUMMARIES {
            return false;
        }
        let now = self.clock.now();
        let mut active = self.spare_actives.pop().unwrap_or_default();
        active.input = Rc::new(SUMMARY_HEAD.to_vec());
        let head = read::request(&active.input, &Limits::default(), &mut active.head);
        if head != Ok(Progress::Complete) || !active.exchange.begin_summary(&mut of.exchange, now) {
            self.deactivate(active);
            return false;
        }
        (active.request_len, active.body_whole) = (active.head.len, true);
        (active.client, active.started) = (of.client, now);
        let id = self.insert_detached(active, Purpose::Summary, 0);
        self.detached_due.push(id);
        true
    }

    /// Begins a look at a provider; `active` has its request and an exchange that was begun for it.
    pub fn begin_look(&mut self, active: Box<Active>, purpose: Purpose) {
        let looks = self.detached.iter().filter(|one| !one.purpose.is_billed());
        if looks.count() >= MAX_CHECKS {
            return self.deactivate(active);
        }
        self.begin_call(active, purpose, 0);
    }

    /// The same of a call whose number is bounded already.
    pub(super) fn begin_call(&mut self, active: Box<Active>, purpose: Purpose, bytes: usize) {
        let id = self.insert_detached(active, purpose, bytes);
        self.drive_detached(id, Input::Body);
    }

    fn insert_detached(&mut self, active: Box<Active>, purpose: Purpose, bytes: usize) -> Id {
        self.detached.insert(Detached {
            active: Some(active),
            purpose,
            bytes,
            armed_at: None,
            heard: Heard::default(),
        })
    }

    /// Begins the copies and the summaries that were made in this turn.
    pub fn begin_copies(&mut self) {
        while let Some(id) = self.detached_due.pop() {
            self.drive_detached(id, Input::Body);
        }
    }

    /// Feeds an exchange and does what it asks.
    pub fn drive_detached(&mut self, id: Id, input: Input<'_>) {
        let Some(mut active) = self.detached.get_mut(id).and_then(|one| one.active.take()) else {
            return;
        };
        let mut goes = self.step_detached(id, &mut active, input);
        while goes {
            let Some(followup) = self.followups.pop_front() else {
                break;
            };
            goes = self.step_detached(id, &mut active, followup.input());
        }
        self.followups.clear();
        if !goes {
            self.drop_attempts(&mut active);
            self.deactivate(active);
            let ended = self.detached.remove(id);
            self.tell_of_vectors(ended);
            return;
        }
        if let Some(one) = self.detached.get_mut(id) {
            one.active = Some(active);
            self.arm_detached(id);
        }
    }

    /// False when the exchange is over.
    fn step_detached(&mut self, id: Id, active: &mut Active, input: Input<'_>) -> bool {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let data = match &input {
            Input::UpstreamBody(_, data) => *data,
            _ => &[],
        };
        let goes = match self.feed(active, input, &mut out) {
            Ok(()) => {
                if let (Some(pinned), false) = (active.exchange.pinned(), out.changes.is_empty()) {
                    self.tell_changes(pinned, &out.changes);
                }
                if !out.sheds.is_empty() {
                    self.tell_sheds(active, &out.sheds);
                }
                let perform = AssertUnwindSafe(|| self.perform_detached(id, active, &out, data));
                std::panic::catch_unwind(perform).map_err(drop)
            }
            Err(()) => Err(()),
        };
        let goes = goes.unwrap_or_else(|()| {
            self.metrics.panicked();
            self.forsake_detached(id, active, &mut out);
            false
        });
        self.out = out;
        goes
    }

    /// A look that our own fault ended says nothing of its provider.
    fn forsake_detached(&mut self, id: Id, active: &mut Active, out: &mut Outputs) {
        let is_billed = self.detached.get(id).is_some_and(|one| one.purpose.is_billed());
        if self.forsake(active, out) && is_billed {
            self.settle(active);
        }
    }

    fn perform_detached(&mut self, id: Id, active: &mut Active, out: &Outputs, data: &[u8]) -> bool {
        for (at, action) in out.actions.iter().enumerate() {
            match action {
                Action::Dial {
                    attempt,
                    endpoint,
                    fresh,
                } => {
                    let is_billed = self.detached.get(id).is_some_and(|one| one.purpose.is_billed());
                    match !is_billed || self.open_usage(active) {
                        true => self.dial(Whose::Detached(id), active, *attempt, endpoint.0, *fresh),
                        false => self.followups.push_back(Followup::NoRecord),
                    }
                }
                Action::SendUp {
                    attempt,
                    lines,
                    pieces,
                    rest,
                } => {
                    let lines = &out.arena[lines.start as usize..lines.end as usize];
                    let pieces: &[Piece] = &out.pieces[pieces.start as usize..pieces.end as usize];
                    self.send_up(active, (*attempt, *rest), lines, pieces, &out.arena);
                }
                Action::Abandon { attempt } => self.abandon(active, *attempt),
                Action::Leave { attempt } => self.leave(active, *attempt),
                Action::Turn { of } => self.turns.push_back(Id::numbered(*of)),
                Action::RenewToken { id } => self.setup.tokens.refused(*id),
                // Its body is whole and here.
                Action::ReadBody { .. } | Action::ReadPart { .. } => self.followups.push_back(Followup::Body),
                Action::Head { .. } | Action::Body { .. } => self.hear(id, action, out, data),
                // What is copied is not copied again; and the rest is of clients' calls alone.
                Action::Shadow { .. } | Action::Summarize | Action::Compare => {}
                // Of bodies that pass, and those are not copied.
                Action::PassUp { .. } | Action::EndUp { .. } => {}
                Action::Settle => self.settle_detached(id, active),
                Action::End | Action::Cut => {
                    self.hear(id, action, out, data);
                    self.note_turns(&out.actions[at..]);
                    return false;
                }
            }
        }
        true
    }

    /// What would go to a client: nobody listens but to vectors.
    fn hear(&mut self, id: Id, action: &Action, out: &Outputs, data: &[u8]) {
        let Some(one) = self.detached.get_mut(id) else { return };
        if !matches!(one.purpose, Purpose::Vectors { .. }) {
            return;
        }
        match action {
            Action::Head { status, framing, .. } => one.heard.head(*status, *framing),
            Action::Body { pieces } => one.heard.body(out.answered(pieces, data)),
            Action::End => one.heard.end(),
            _ => {}
        }
    }

    fn settle_detached(&mut self, id: Id, active: &mut Active) {
        match self.detached.get(id).map(|one| one.purpose) {
            Some(Purpose::Shadow | Purpose::Summary) => self.settle(active),
            Some(Purpose::Vectors { .. }) => {
                self.settle(active);
                if let Some(one) = self.detached.get_mut(id) {
                    one.heard.went(&active.exchange);
                }
            }
            Some(Purpose::Check { generation, place }) => self.looked(active, generation, place),
            None => {}
        }
    }

    /// After a panic: what it was for is lost.
    pub fn drop_detached(&mut self, id: Id) {
        let active = self.detached.get_mut(id).and_then(|one| one.active.take());
        if let Some(mut active) = active {
            let mut out = std::mem::take(&mut self.out);
            self.forsake_detached(id, &mut active, &mut out);
            self.out = out;
            self.drop_attempts(&mut active);
            self.deactivate(active);
        }
        let ended = self.detached.remove(id);
        self.tell_of_vectors(ended);
    }

    fn arm_detached(&mut self, id: Id) {
        let Some(one) = self.detached.get_mut(id) else { return };
        let due = one.active.as_deref().and_then(|active| active.exchange.deadline());
        let Some(due) = due else { return };
        if one.armed_at.is_none_or(|armed| armed > due) {
            one.armed_at = Some(due);
            self.wheel.arm(due, Timer::Detached(id));
        }
    }

    pub fn detached_timer(&mut self, id: Id, now: Tick) {
        let Some(one) = self.detached.get_mut(id) else { return };
        if one.armed_at.is_some_and(|armed| armed > now) {
            return; // a newer entry replaced this one
        }
        one.armed_at = None;
        let due = one.active.as_deref().and_then(|active| active.exchange.deadline());
        match due {
            Some(due) if due <= now => self.drive_detached(id, Input::Timer),
            _ => self.arm_detached(id),
        }
    }
}
