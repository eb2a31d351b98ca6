//! Feeds an exchange and does what it asks. The only place where the engine's actions become I/O.

use std::panic::AssertUnwindSafe;

use tollgate_engine::{
    Action, Exchange, Input, Io, Outputs, Tick,
    exchange::{Pinned, UpstreamFault},
    limits::Crossed,
    outputs::{AttemptId, ShedChange, TargetChange},
    pressure::Shed,
};
use tollgate_wire::head::{Framing, RequestView};

use super::{Shard, detached::Copied, slab::Id};
use crate::{
    control::Command,
    downstream::{Active, read::BodyRead},
    upstream::Whose,
};

/// An input that an action caused at once; fed after all actions of the feed that caused it are done.
#[derive(Clone, Copy, Debug)]
pub enum Followup {
    Body,
    Part,
    Passed,
    ClientFault(tollgate_engine::exchange::ClientFault),
    Connected(AttemptId),
    Failed(AttemptId, UpstreamFault),
    /// There is no room for the record of the call.
    NoRecord,
}

impl Followup {
    pub(super) fn input(self) -> Input<'static> {
        match self {
            Followup::Body => Input::Body,
            Followup::Part => Input::BodyPart,
            Followup::Passed => Input::BodyPassed,
            Followup::ClientFault(fault) => Input::ClientFault(fault),
            Followup::Connected(attempt) => Input::Connected(attempt),
            Followup::Failed(attempt, fault) => Input::UpstreamFailed(attempt, fault),
            Followup::NoRecord => Input::UsageFull,
        }
    }
}

/// Whether an exchange goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Goes,
    Ended,
    Cut,
}

impl Shard {
    /// Feeds `input` to the connection's exchange and does what it asks; puts `active` back or ends the request.
    pub fn drive(&mut self, id: Id, mut active: Box<Active>, input: Input<'_>) {
        let mut life = self.step(id, &mut active, input);
        while life == Life::Goes {
            let Some(followup) = self.followups.pop_front() else {
                break;
            };
            life = self.step(id, &mut active, followup.input());
        }
        self.followups.clear();
        match life {
            Life::Goes => {
                let Some(down) = self.downs.get_mut(id) else { return };
                let uploads = active.upload.is_some();
                down.active = Some(active);
                if uploads {
                    self.steer_upload(id);
                }
                self.arm_down(id);
            }
            Life::Ended => self.request_ended(id, active),
            Life::Cut => {
                active.reply.close = true;
                self.request_cut(id, active);
            }
        }
    }

    /// Feeds those whose turn has come. Each may give a turn to another.
    pub fn take_turns(&mut self) {
        while let Some(id) = self.turns.pop_front() {
            let active = self.downs.get_mut(id).and_then(|down| down.active.take());
            if let Some(active) = active {
                self.drive(id, active, Input::Turn);
            }
        }
    }

    fn step(&mut self, id: Id, active: &mut Active, input: Input<'_>) -> Life {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let data = match &input {
            Input::UpstreamBody(_, data) | Input::BodyPassing(data) => *data,
            _ => &[],
        };
        let life = match self.feed(active, input, &mut out) {
            Ok(()) => {
                if let (Some(pinned), false) = (active.exchange.pinned(), out.changes.is_empty()) {
                    self.tell_changes(pinned, &out.changes);
                }
                for news in &out.marks {
                    // Never waits either.
                    let _ = self.setup.marked.try_send(*news);
                }
                if !out.sheds.is_empty() {
                    self.tell_sheds(active, &out.sheds);
                }
                self.tell_crossed(&mut out.crossed);
                // Unwinding any further would take the exchange with it, and all that it holds.
                let perform = AssertUnwindSafe(|| self.perform(id, active, &out, data));
                std::panic::catch_unwind(perform).map_err(drop)
            }
            Err(()) => Err(()),
        };
        let life = life.unwrap_or_else(|()| self.panicked(id, active, &mut out));
        self.out = out;
        life
    }

    /// Feeds the exchange; a panic inside it is this request's end only.
    pub(super) fn feed(&mut self, active: &mut Active, input: Input<'_>, out: &mut Outputs) -> Result<(), ()> {
        self.with_exchange(active, out, |exchange, io| exchange.feed(input, io))
    }

    /// After a panic: the exchange gives back what it holds. True where it has a record to settle.
    pub(super) fn forsake(&mut self, active: &mut Active, out: &mut Outputs) -> bool {
        out.clear();
        self.followups.clear();
        if self.with_exchange(active, out, Exchange::abandon).is_err() {
            return false;
        }
        self.note_turns(&out.actions);
        out.actions.contains(&Action::Settle)
    }

    fn with_exchange(
        &mut self,
        active: &mut Active,
        out: &mut Outputs,
        work: impl FnOnce(&mut Exchange, &mut Io<'_>),
    ) -> Result<(), ()> {
        let held = match active.head.framing {
            Framing::Chunked => &active.decoded,
            _ => &active.input,
        };
        let body = &held[active.lead()];
        let mut io = Io {
            now: self.clock.now(),
            unix_ms: self.clock.unix_ms(),
            ready: self.ready,
            request: RequestView {
                head: &active.head,
                buf: &active.input,
            },
            body,
            local: &mut self.local,
            out,
        };
        let exchange = &mut active.exchange;
        std::panic::catch_unwind(AssertUnwindSafe(|| work(exchange, &mut io))).map_err(drop)
    }

    fn panicked(&mut self, id: Id, active: &mut Active, out: &mut Outputs) -> Life {
        self.metrics.panicked();
        if self.forsake(active, out) {
            self.settle(active);
            self.hold_until_synced(id, active);
        }
        for (_, up) in std::mem::take(&mut active.attempts) {
            self.drop_up(up);
        }
        active.reply.close = true;
        if active.reply.begun {
            return Life::Cut;
        }
        self.write_plain_error(id, active);
        Life::Ended
    }

    /// Targets that turned out to be ill, or well again: for the control thread to tell.
    pub(super) fn tell_changes(&self, pinned: &Pinned, changes: &[TargetChange]) {
        for told in changes {
            if let Some(name) = pinned.snapshot.embedder_at(told.model) {
                let (name, change) = (name.to_owned(), told.change);
                let _ = self.setup.control.try_send(Command::Embedder { name, change });
                continue;
            }
            // Behind the models stand providers that are called by their own paths; those are not left alone.
            let Some((name, model)) = pinned.snapshot.document.models.get(told.model) else {
                continue;
            };
            let Some(target) = model.targets.get(told.target) else {
                continue;
            };
            let command = Command::Target {
                model: name.clone(),
                target: format!("{}/{}", target.provider, target.model),
                change: told.change,
            };
            // Never waits: a control thread that is behind misses a line.
            let _ = self.setup.control.try_send(command);
        }
    }

    /// Limits that were used up so far: for the control thread to tell.
    pub(super) fn tell_crossed(&self, crossed: &mut Vec<Crossed>) {
        for told in crossed.drain(..) {
            // Never waits: a control thread that is behind misses a line.
            let _ = self.setup.control.try_send(Command::Crossed(Box::new(told)));
        }
    }

    /// Models that begin to refuse calls for want of room, or have ceased to: for the control thread to tell.
    pub(super) fn tell_sheds(&self, active: &Active, sheds: &[ShedChange]) {
        let Some(pinned) = active.exchange.pinned() else { return };
        for told in sheds {
            if let Some((name, _)) = pinned.snapshot.document.models.get(told.model) {
                let command = Command::Shed {
                    model: name.clone(),
                    ended: told.ended,
                };
                let _ = self.setup.control.try_send(command);
            }
        }
    }

    /// A turn has ended; where the shard begins or ceases to refuse calls, the control thread is told.
    pub fn tell_pressure(&mut self, now: Tick, woke: Tick) {
        let ended = match self.local.pressure.turned(now, now.ns_since(woke)) {
            None => return,
            Some(Shed::Begins) => None,
            Some(Shed::Ended(refused)) => Some(refused),
        };
        let _ = self.setup.control.try_send(Command::Saturated { ended });
    }

    fn perform(&mut self, id: Id, active: &mut Active, out: &Outputs, data: &[u8]) -> Life {
        for (at, action) in out.actions.iter().enumerate() {
            match action {
                Action::ReadBody { max_bytes } => match self.want_body(id, active, *max_bytes) {
                    BodyRead::Whole => self.followups.push_back(Followup::Body),
                    BodyRead::More => {}
                    BodyRead::Fault(fault) => {
                        active.reply.close = true;
                        self.followups.push_back(Followup::ClientFault(fault));
                    }
                },
                Action::ReadPart { max_bytes } => self.want_part(id, active, *max_bytes),
                Action::Dial {
                    attempt,
                    endpoint,
                    fresh,
                } => match self.open_usage(active) {
                    true => self.dial(Whose::Client(id), active, *attempt, endpoint.0, *fresh),
                    false => self.followups.push_back(Followup::NoRecord),
                },
                Action::SendUp {
                    attempt,
                    lines,
                    pieces,
                    rest,
                } => {
                    let lines = &out.arena[lines.start as usize..lines.end as usize];
                    let pieces = &out.pieces[pieces.start as usize..pieces.end as usize];
                    self.send_up(active, (*attempt, *rest), lines, pieces, &out.arena);
                }
                Action::PassUp { attempt, pieces } => {
                    let pieces = &out.pieces[pieces.start as usize..pieces.end as usize];
                    self.pass_up(active, *attempt, pieces, &out.arena, data);
                }
                Action::EndUp { attempt } => self.end_up(active, *attempt),
                Action::Abandon { attempt } => self.abandon(active, *attempt),
                Action::Shadow { model } => self.copy_call(active, Copied::Shadow { model: *model }),
                Action::Compare => self.copy_call(active, Copied::Again),
                // It goes on as it came.
                Action::Summarize if self.sum_up(active) => {}
                Action::Summarize => self.turns.push_back(id),
                Action::RenewToken { id } => self.setup.tokens.refused(*id),
                Action::Leave { attempt } => self.leave(active, *attempt),
                Action::Turn { of } => self.turns.push_back(Id::numbered(*of)),
                Action::Head { status, lines, framing } => {
                    let lines = &out.arena[lines.start as usize..lines.end as usize];
                    self.write_head(id, active, *status, lines, *framing);
                }
                Action::Body { pieces } => {
                    let pieces = &out.pieces[pieces.start as usize..pieces.end as usize];
                    self.write_body(id, active, pieces, &out.arena, data);
                }
                Action::Settle => {
                    self.settle(active);
                    self.hold_until_synced(id, active);
                }
                Action::End | Action::Cut => {
                    self.note_turns(&out.actions[at..]);
                    return if *action == Action::End { Life::Ended } else { Life::Cut };
                }
            }
        }
        Life::Goes
    }

    /// An exchange that ends as its turn comes makes room for others behind its end.
    pub(super) fn note_turns(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Turn { of } = action {
                self.turns.push_back(Id::numbered(*of));
            }
        }
    }

    pub(super) fn leave(&mut self, active: &mut Active, attempt: AttemptId) {
        if let Some(at) = active.attempts.iter().position(|(known, _)| *known == attempt) {
            let (_, up) = active.attempts.swap_remove(at);
            self.trail_up(up);
        }
    }

    pub(super) fn abandon(&mut self, active: &mut Active, attempt: AttemptId) {
        if let Some(at) = active.attempts.iter().position(|(known, _)| *known == attempt) {
            let (_, up) = active.attempts.swap_remove(at);
            self.drop_up(up);
        }
        self.followups
            .retain(|followup| !matches!(followup, Followup::Connected(a) | Followup::Failed(a, _) if *a == attempt));
    }

    /// Metrics and the access line of an exchange that has ended.
    pub(super) fn settle(&mut self, active: &mut Active) {
        let record = active.exchange.record();
        self.metrics.observe(&record, active.exchange.attempts());
        if record.hedge.is_some() || record.attempts > 1 {
            self.tell_hedges_soon();
        }
        if let (Some(client), Some(running)) = (active.client, &self.running) {
            let access_log = &running.pin().snapshot.document.access_log;
            self.log.write(access_log, self.clock.unix_ms(), client, &record);
        }
        let is_kept = record.is_kept();
        match active.opened.take() {
            Some(opened) => {
                self.close_usage(active, opened);
                self.settle_listed(active);
                self.local.usage_full = self.spool.is_full();
            }
            // Nobody was called, and it is a request all the same.
            None if is_kept => self.note_usage(active),
            None => {}
        }
    }

    /// What a list has shown the end of leaves records of its own.
    fn settle_listed(&mut self, active: &mut Active) {
        for record in active.exchange.listed() {
            self.metrics.observe_listed(&record);
            let (unix_ms, now) = (self.clock.unix_ms(), self.clock.now());
            if let (Some(client), Some(running)) = (active.client, &self.running) {
                let access_log = &running.pin().snapshot.document.access_log;
                self.log.write(access_log, unix_ms, client, &record);
            }
            let billed = active.exchange.billed_late();
            let Some(opened) = self.spool.open((&record, &billed), unix_ms, now) else {
                self.spool.counts.lost += 1;
                continue;
            };
            let durable_at = self.spool.close(opened, (&record, &billed, false), unix_ms, now);
            active.durable_at = durable_at.or(active.durable_at);
        }
    }

    /// Before a call's first byte goes up: from now on it leaves a record, whatever happens.
    /// False where there is no room for one.
    pub fn open_usage(&mut self, active: &mut Active) -> bool {
        if active.opened.is_none() {
            let (record, billed) = (active.exchange.record(), active.exchange.billed());
            active.opened = self
                .spool
                .open((&record, &billed), self.clock.unix_ms(), self.clock.now());
            self.local.usage_full = self.spool.is_full();
        }
        active.opened.is_some()
    }

    /// An exchange that ended without settling, as only a panic makes one, still leaves its record.
    pub fn drop_usage(&mut self, active: &mut Active) {
        if let Some(opened) = active.opened.take() {
            self.spool.drop_call(opened, self.clock.unix_ms(), self.clock.now());
            self.local.usage_full = self.spool.is_full();
        }
    }
}
