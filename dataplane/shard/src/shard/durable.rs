//! The record of a call that has ended, and with `durability: strict` the answer's last bytes, which wait for it.

use tollgate_config::usage_event::MAX_ATTEMPT_LINES;

use super::{Shard, slab::Id};
use crate::{downstream::Active, spool::Opened};

impl Shard {
    pub(super) fn close_usage(&mut self, active: &mut Active, opened: Opened) {
        let exchange = &active.exchange;
        self.spool.begin_notes();
        for attempt in exchange.tries(MAX_ATTEMPT_LINES) {
            self.spool.note(&attempt);
        }
        let more = exchange.tries_count() > MAX_ATTEMPT_LINES;
        let ended = (&exchange.record(), &exchange.billed(), more);
        active.durable_at = self.spool.close(opened, ended, self.clock.unix_ms(), self.clock.now());
        self.local.usage_full = self.spool.is_full();
    }

    /// The record of a call that was answered without a provider's being asked.
    pub(super) fn note_usage(&mut self, active: &mut Active) {
        let ended = (&active.exchange.record(), &active.exchange.billed());
        let noted = self.spool.close_at_once(ended, self.clock.unix_ms(), self.clock.now());
        active.durable_at = noted.flatten();
        self.local.usage_full = self.spool.is_full();
    }

    /// Nothing more of the connection goes out until the record is on the disk.
    pub(super) fn hold_until_synced(&mut self, id: Id, active: &mut Active) {
        if let (Some(sequence), Some(down)) = (active.durable_at.take(), self.downs.get_mut(id)) {
            down.held_until = Some(sequence);
        }
    }

    /// True where the connection has to wait; it is looked at again when more is on the disk.
    pub fn is_held(&mut self, id: Id) -> bool {
        let Some(down) = self.downs.get_mut(id) else {
            return false;
        };
        let Some(sequence) = down.held_until else { return false };
        if self.spool.is_synced(sequence) {
            down.held_until = None;
            return false;
        }
        self.held.push(id);
        true
    }

    pub(super) fn usage_synced(&mut self, sequence: u64) {
        self.spool.synced(sequence);
        for id in std::mem::take(&mut self.held) {
            self.dirty_down(id);
        }
    }
}
