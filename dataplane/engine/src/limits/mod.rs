//! Limits: what a call may use, reserved before it and settled after it. Exact over all shards of a node.
//!
//! Knows no clock and no file: moments come in, and the memory of balances is lent by the shell.

pub(crate) mod assumed;
mod balances;
mod bucket;
mod calendar;
mod call;
mod rules;
pub(crate) mod spent;

pub use balances::{Balances, Cell, UnknownLayout};
pub use bucket::Level;
pub(crate) use calendar::zone;
pub use call::Limited;
pub(crate) use call::{
    Held, admit_model, admit_successor, are_set, hand_over, reserve, settle, write_lines, write_refusal,
};
pub(crate) use rules::Rules;
pub use rules::{Report, Scope, report};

use std::sync::Arc;

use calendar::Today;

use crate::Snapshot;

/// A shard's side of them.
#[derive(Debug, Default)]
pub struct LocalLimits {
    /// The node's: every shard has the same.
    pub balances: Arc<Balances>,
    /// Of this revision's time zone.
    today: Today,
    revision: u64,
}

impl LocalLimits {
    pub fn new(balances: Arc<Balances>) -> Self {
        Self {
            balances,
            ..Self::default()
        }
    }

    /// The same where nothing may be written down: of a stage behind `limit`, which has mostly just looked.
    fn moment(&self, snapshot: &Snapshot, unix_ms: u64) -> bucket::Moment {
        let is_known = self.revision == snapshot.revision && self.today.is_now(unix_ms);
        let today = if is_known {
            self.today
        } else {
            Today::at(&snapshot.zone, unix_ms)
        };
        bucket::Moment { unix_ms, today }
    }

    fn now(&mut self, snapshot: &Snapshot, unix_ms: u64) -> bucket::Moment {
        if self.revision != snapshot.revision || !self.today.is_now(unix_ms) {
            self.today = Today::at(&snapshot.zone, unix_ms);
            self.revision = snapshot.revision;
        }
        bucket::Moment {
            unix_ms,
            today: self.today,
        }
    }
}
