//! Looks at providers that no call asks for: one shard sends them, and what they find counts for all.

use std::rc::Rc;

use tollgate_config::document::ActiveCheck;
use tollgate_engine::{Snapshot, Tick, snapshot::Found};
use tollgate_wire::http1::read::{self, Limits, Progress};

use super::{Shard, Timer, detached::Purpose};
use crate::downstream::Active;

/// The shard that looks.
const LOOKING_SHARD: u16 = 0;
/// A provider that was found ill is left alone until it was not looked at for so many times as long as it should be.
const STALE_AFTER: u64 = 3;
/// Answers from here on are failures, as they are of calls.
const FAILED_FROM_STATUS: u16 = 500;

#[derive(Default)]
pub struct Checks {
    /// Of the list: timers of former ones mean nothing.
    generation: u32,
    looked_at: Vec<LookedAt>,
}

/// A provider, and what was found lately.
struct LookedAt {
    /// Index into `document.providers`.
    provider: usize,
    name: String,
    check: ActiveCheck,
    well_in_a_row: u32,
    ill_in_a_row: u32,
    is_ill: bool,
}

impl Shard {
    /// A revision is in force: its providers are looked at, spread over the time between two looks. What was found of those
    /// that were looked at before stays.
    pub fn plan_checks(&mut self, snapshot: &Snapshot) {
        if self.id != LOOKING_SHARD {
            return;
        }
        let now = self.clock.now();
        let mut former = std::mem::take(&mut self.checks.looked_at);
        let generation = self.checks.generation.wrapping_add(1);
        let checked = snapshot.document.providers.iter().enumerate();
        let checked = checked.filter_map(|(index, (name, provider))| Some((index, name, provider.check.as_ref()?)));
        let looked_at: Vec<LookedAt> = checked
            .map(|(provider, name, check)| {
                let at = former.iter().position(|known| known.name == *name);
                let known = at.map(|at| former.swap_remove(at));
                let (well_in_a_row, ill_in_a_row, is_ill) = known.map_or((0, 0, false), |known| {
                    (known.well_in_a_row, known.ill_in_a_row, known.is_ill)
                });
                LookedAt {
                    provider,
                    name: name.clone(),
                    check: check.clone(),
                    well_in_a_row,
                    ill_in_a_row,
                    is_ill,
                }
            })
            .collect();
        let count = looked_at.len() as u64;
        for (place, looked) in looked_at.iter().enumerate() {
            let first = now.plus_ms(looked.check.every_ms * place as u64 / count.max(1));
            self.wheel.arm(first, Timer::Check { generation, place });
        }
        self.checks = Checks { generation, looked_at };
    }

    /// It is time to look at a provider.
    pub fn check_due(&mut self, generation: u32, place: usize, now: Tick) {
        if generation != self.checks.generation {
            return;
        }
        let (Some(looked), Some(running)) = (self.checks.looked_at.get(place), self.running.clone()) else {
            return;
        };
        let (provider, timeout_ms) = (looked.provider, looked.check.timeout_ms);
        // What stands before the path is what the path of a call to a provider has there.
        let request = format!("GET /providers/-{} HTTP/1.1\r\nhost: check\r\n\r\n", looked.check.path);
        self.wheel
            .arm(now.plus_ms(looked.check.every_ms), Timer::Check { generation, place });
        let mut active = self.spare_actives.pop().unwrap_or_default();
        active.input = Rc::new(request.into_bytes());
        let head = read::request(&active.input, &Limits::default(), &mut active.head);
        let begun = active
            .exchange
            .begin_check(running.pin(), provider, timeout_ms, self.clock.now());
        if head != Ok(Progress::Complete) || !begun {
            return self.deactivate(active);
        }
        (active.request_len, active.body_whole) = (active.head.len, true);
        self.begin_look(active, Purpose::Check { generation, place });
    }

    /// A look has ended.
    pub fn looked(&mut self, active: &Active, generation: u32, place: usize) {
        let record = active.exchange.record();
        let (Some(looked), Some(pinned)) = (self.checks.looked_at.get_mut(place), active.exchange.pinned()) else {
            return;
        };
        // Where no attempt was made (a credential is wanted, say) nothing was seen.
        if generation != self.checks.generation || record.attempts == 0 {
            return;
        }
        let well = record.status < FAILED_FROM_STATUS;
        self.metrics.checked(&looked.name, well);
        let now = self.clock.now();
        let stale_at = now.plus_ms(looked.check.every_ms.saturating_mul(STALE_AFTER));
        if let Some(found) = looked.note(well, stale_at) {
            let changes = pinned.snapshot.checked(looked.provider, found, now);
            self.tell_changes(pinned, &changes);
        }
    }
}

impl LookedAt {
    fn note(&mut self, well: bool, stale_at: Tick) -> Option<Found> {
        if well {
            self.ill_in_a_row = 0;
            self.well_in_a_row = self.well_in_a_row.saturating_add(1);
            // What calls alone found ill, calls find well again.
            let is_again = self.is_ill && self.well_in_a_row >= self.check.healthy;
            self.is_ill &= !is_again;
            return is_again.then_some(Found::WellAgain);
        }
        self.well_in_a_row = 0;
        self.ill_in_a_row = self.ill_in_a_row.saturating_add(1);
        self.is_ill |= self.ill_in_a_row >= self.check.unhealthy;
        self.is_ill.then_some(Found::Ill { until: stale_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_counts_in_a_row() {
        let check = ActiveCheck {
            path: "/".into(),
            every_ms: 1_000,
            timeout_ms: 1_000,
            healthy: 2,
            unhealthy: 3,
        };
        let mut looked = LookedAt {
            provider: 0,
            name: String::new(),
            check,
            well_in_a_row: 0,
            ill_in_a_row: 0,
            is_ill: false,
        };
        let until = Tick(9);
        let ill = Some(Found::Ill { until });
        let steps = [
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, ill),
            // It is left alone as long as it is ill.
            (false, ill),
            (true, None),
            (false, ill),
            (true, None),
            (true, Some(Found::WellAgain)),
            (true, None),
        ];
        for (step, (well, found)) in steps.into_iter().enumerate() {
            assert_eq!(looked.note(well, until), found, "step {step}");
        }
    }
}
