//! What became of second targets, told to the control thread a while after it happened: a sum, not a line for each call.

use super::{Shard, Timer};
use crate::control::Command;

const TELL_AFTER_MS: u64 = 1_000;

impl Shard {
    pub(super) fn tell_hedges_soon(&mut self) {
        if !self.telling_hedges {
            self.telling_hedges = true;
            self.wheel.arm(self.clock.now().plus_ms(TELL_AFTER_MS), Timer::Hedges);
        }
    }

    pub(super) fn tell_hedges(&mut self) {
        self.telling_hedges = false;
        for (model, counts) in self.metrics.hedges_to_tell() {
            // Never waits: a control thread that is behind misses a sum.
            let _ = self.setup.control.try_send(Command::Hedged { model, counts });
        }
        for (model, counts) in self.metrics.failovers_to_tell() {
            let _ = self.setup.control.try_send(Command::FailedOver { model, counts });
        }
    }
}
