//! The end of an exchange whose code failed half-way: what it holds of counters, limits and grants goes back, what it used
//! is counted, and its record is closed. Its state may be half made: here things are looked up, and nothing is asserted.

use super::{Exchange, Io, Phase};
use crate::{attempt::forsake, cost, names::code, outputs::Action, record::Outcome, relay, stages::settle};

const INTERNAL_SERVER_ERROR: u16 = 500;

impl Exchange {
    /// After a panic, in `feed` or in what the shell did of it. Yields turns for others and `Settle`, or nothing where the
    /// exchange had settled; it takes no input but `begin` behind this.
    pub fn abandon(&mut self, io: &mut Io<'_>) {
        if self.phase == Phase::Over || self.pinned.is_none() {
            return;
        }
        // First of all: whatever else may fail, it is not done twice.
        self.phase = Phase::Over;
        // Dropped, it lets somebody else run the call.
        self.repeat = None;
        self.exact = None;
        self.guard = None;
        if forsake::attempts(self, io) {
            relay::of_crash(self, io);
        }
        if self.facts.cost.is_none() && self.facts.usage.is_some() {
            self.facts.cost = cost::of(self, io.unix_ms);
        }
        forsake::grants(self, io);
        self.facts.outcome = Outcome::Crashed;
        if self.facts.status == 0 {
            self.facts.rejected = Some(code::INTERNAL_ERROR);
            self.facts.answer_begins(INTERNAL_SERVER_ERROR, io.now);
        }
        self.facts.ended = io.now;
        settle::add_all(self, io);
        io.out.actions.push(Action::Settle);
    }
}
