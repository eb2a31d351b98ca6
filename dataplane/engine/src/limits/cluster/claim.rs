//! What a node tells of a limit where the store has lost what it knew: what it had heard when something was last granted. What
//! it hears before all have told again is of a part of them, and would hide the others' use where the store is lost again.

use super::wire::{Answer, Heard};

#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The epoch that it was heard in; zero: not known.
    pub epoch: u64,
    /// What all had used, what of it this node had told, and when that was.
    pub used: u64,
    pub told: u64,
    pub at_ms: u64,
    /// Who else had used what; an earlier process told this one nothing of that.
    pub heard: Option<Heard>,
}

impl Claim {
    /// In place of an older one. `asked`: the answer says who used what; else what was heard of that before is as old as that.
    pub fn after(self, (epoch, asked): (u64, bool), answer: Answer, told: u64, at_ms: u64) -> Self {
        if !asked {
            return Self {
                epoch,
                used: answer.used,
                told,
                at_ms,
                heard: self.heard,
            };
        }
        let by_name = answer
            .named
            .iter()
            .fold(0, |sum: u64, (_, used)| sum.saturating_add(*used));
        Self {
            epoch,
            used: answer.used,
            told,
            at_ms,
            heard: Some(Heard {
                epoch,
                number: answer.number,
                apart: answer.used.saturating_sub(by_name.saturating_add(told)),
                named: answer.named,
            }),
        }
    }

    /// Of what an earlier process heard.
    pub fn of_before(epoch: u64, (used, told): (u64, u64), at_ms: u64) -> Self {
        Self {
            epoch,
            used,
            told,
            at_ms,
            heard: None,
        }
    }

    /// Nobody has said in this epoch who used what.
    pub fn is_unnamed(&self, epoch: u64) -> bool {
        self.heard.as_ref().is_none_or(|heard| heard.epoch != epoch)
    }

    /// The store still knows it.
    pub fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }
}
