//! Limits: what a call may use, reserved before it and settled after it. Exact over all shards of a node.
//!
//! Knows no clock and no file: moments come in, and the memory of balances is lent by the shell.

pub(crate) mod assumed;
mod balances;
mod bound;
mod bucket;
mod calendar;
mod call;
pub(crate) mod cap;
pub mod cluster;
mod crossed;
pub(crate) mod cut;
mod expect;
mod lane;
mod leased_cells;
mod limited;
mod owner;
pub(crate) mod provider;
mod rules;
mod shared;
pub(crate) mod spent;
mod sweep;
mod tags;
mod used;

/// What `lane` and `owner` are made of; their model checkers have others in their place.
mod atomic {
    pub use std::{
        hint::spin_loop as spin,
        sync::atomic::{AtomicBool, AtomicU64, Ordering},
    };
}

pub use balances::{Balances, Cell, UnknownLayout};
pub use bucket::Level;
pub(crate) use calendar::zone;
pub(crate) use call::{Held, admit_model, admit_successor, are_set, hand_over, is_unknown, reserve, settle};
pub use crossed::{Crossed, Notice};
pub use limited::Limited;
pub(crate) use limited::{write_lines, write_refusal};
pub(crate) use rules::Rules;
pub use rules::{Report, Scope, report, report_tag};
pub use sweep::{Fill, Marked};

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

    fn now(&mut self, snapshot: &Snapshot, unix_ms: u64) -> bucket::Moment {
        let now = self.look(snapshot, unix_ms);
        (self.today, self.revision) = (now.today, snapshot.revision);
        now
    }

    /// The same where nothing can be remembered.
    fn look(&self, snapshot: &Snapshot, unix_ms: u64) -> bucket::Moment {
        let unix_ms = self.balances.unix_ms(unix_ms);
        let today = match self.revision == snapshot.revision && self.today.is_now(unix_ms) {
            true => self.today,
            false => Today::at(&snapshot.zone, unix_ms),
        };
        bucket::Moment { unix_ms, today }
    }
}
