//! Summaries that are remembered, and those that are on their way: the node's, in parts. All of one conversation is in one part.
//! What was used longest ago is forgotten first.

use std::sync::Arc;

use hashbrown::HashMap;

use super::old::Beginning;
use crate::{Tick, exact::Seed, lru::Lru, repeats::Parts};

pub const PARTS: usize = 16;
/// Of a part.
const MAX_BYTES: usize = 4 << 20;
/// What one takes beside its text.
const ENTRY_BYTES: usize = 256;
/// Of a conversation's beginnings, so many are looked up, the longest first.
const MAX_LOOKS: usize = 1024;
/// After a failure no summary of a conversation is asked for so soon, and after each further one twice as long.
const FAILED_MS: u64 = 60_000;
const MOST_FAILED_MS: u64 = 3_600_000;
/// A model that failed so often in a row is asked for nothing for a while, and then by one call.
const MAX_FAILURES: u32 = 5;
const RESTING_MS: u64 = 60_000;
/// Of a part. Names are an operator's: beyond that all are forgotten.
const MAX_FAILING_MODELS: usize = 64;

#[derive(Debug)]
enum State {
    Made(Arc<str>),
    /// It is on its way, or was not to be had: nobody asks for it until then. `failures`: so many of its conversation.
    Not {
        until: Tick,
        failures: u32,
    },
}

/// A model that sums up, and fails.
#[derive(Debug, Default)]
struct Failing {
    in_a_row: u32,
    rests_until: Tick,
}

#[derive(Debug, Default)]
pub struct Part {
    states: Lru<State, MAX_BYTES>,
    failing: HashMap<Arc<str>, Failing>,
}

impl Part {
    /// The longest of these that has a summary.
    fn longest(&mut self, beginnings: &[Beginning]) -> Option<(Beginning, Arc<str>)> {
        let looked = beginnings.iter().rev().take(MAX_LOOKS);
        let found = looked
            .copied()
            .find_map(|beginning| match self.states.look(beginning.name)? {
                State::Made(text) => Some((beginning, Arc::clone(text))),
                State::Not { .. } => None,
            })?;
        // It is used.
        self.states.get(found.0.name);
        Some(found)
    }

    /// How often one of the conversation failed. None where this one is there, or any of them is on its way or failed lately:
    /// as a conversation grows its longest beginning is another with each call.
    fn claim(&mut self, beginnings: &[Beginning], name: u128, (now, until): (Tick, Tick)) -> Option<u32> {
        let names = beginnings.iter().rev().take(MAX_LOOKS).map(|one| one.name);
        let mut failures = 0;
        for known in names.chain([name]) {
            match self.states.look(known) {
                Some(State::Not { until, .. }) if *until > now => return None,
                Some(State::Not { failures: so_far, .. }) => failures = failures.max(*so_far),
                Some(State::Made(_)) if known == name => return None,
                Some(State::Made(_)) | None => {}
            }
        }
        self.set(name, State::Not { until, failures });
        Some(failures)
    }

    fn rests(&self, model: &str, now: Tick) -> bool {
        self.failing.get(model).is_some_and(|failing| failing.rests_until > now)
    }

    /// It is asked; where it rested, others wait for what becomes of that.
    fn asks(&mut self, model: &str, until: Tick) {
        if let Some(failing) = self.failing.get_mut(model)
            && failing.in_a_row >= MAX_FAILURES
        {
            failing.rests_until = until;
        }
    }

    fn fails(&mut self, model: &Arc<str>, now: Tick) {
        if self.failing.len() >= MAX_FAILING_MODELS && !self.failing.contains_key(model) {
            self.failing.clear();
        }
        let failing = self.failing.entry(Arc::clone(model)).or_default();
        failing.in_a_row = failing.in_a_row.saturating_add(1);
        if failing.in_a_row >= MAX_FAILURES {
            failing.rests_until = now.plus_ms(RESTING_MS);
        }
    }

    fn set(&mut self, name: u128, state: State) {
        let text_bytes = match &state {
            State::Made(text) => text.len(),
            State::Not { .. } => 0,
        };
        self.states.put(name, state, ENTRY_BYTES + text_bytes);
    }

    /// It did not come.
    fn free(&mut self, name: u128) {
        if let Some(State::Not { .. }) = self.states.look(name) {
            self.states.remove(name);
        }
    }
}

fn failed_ms(failures: u32) -> u64 {
    (FAILED_MS << failures.min(16)).min(MOST_FAILED_MS)
}

/// The node's table, as each shard has it.
#[derive(Clone, Debug)]
pub struct Summaries(Arc<Node>);

#[derive(Debug)]
struct Node {
    parts: Box<dyn Parts<Part>>,
    seed: Seed,
}

impl Summaries {
    /// Of `PARTS` parts.
    pub fn new(parts: impl Parts<Part> + 'static, seed: Seed) -> Self {
        Self(Arc::new(Node {
            parts: Box::new(parts),
            seed,
        }))
    }

    pub(super) fn seed(&self) -> Seed {
        self.0.seed
    }

    fn with<T>(&self, part: usize, work: impl FnOnce(&mut Part) -> T) -> Option<T> {
        self.0.parts.on(part, work)
    }

    pub(super) fn longest(&self, beginnings: &[Beginning]) -> Option<(Beginning, Arc<str>)> {
        self.with(part(beginnings), |part| part.longest(beginnings)).flatten()
    }

    /// Whoever has it makes it by this model, until then at most.
    pub(super) fn claim(
        &self,
        model: &Arc<str>,
        (beginnings, name): (&[Beginning], u128),
        (now, until): (Tick, Tick),
    ) -> Option<Claim> {
        let of_model = self.part_of(model);
        if self.with(of_model, |part| part.rests(model, now))? {
            return None;
        }
        let part = part(beginnings);
        let claimed = self.with(part, |part| part.claim(beginnings, name, (now, until)));
        let failures = claimed.flatten()?;
        self.with(of_model, |part| part.asks(model, until));
        Some(Claim {
            summaries: self.clone(),
            model: Arc::clone(model),
            part,
            name,
            failures,
            is_over: false,
        })
    }

    /// Where it is noted how a model does.
    fn part_of(&self, model: &str) -> usize {
        use std::hash::Hasher as _;
        let mut hasher = self.seed().hasher();
        hasher.write(model.as_bytes());
        hasher.finish() as usize % PARTS
    }
}

/// That of the conversation, which its shortest beginning is known by.
fn part(beginnings: &[Beginning]) -> usize {
    beginnings.first().map_or(0, |first| first.name as usize % PARTS)
}

/// A summary that is to be made. Dropped, whatever the reason, it lets somebody else make it.
#[derive(Debug)]
pub(super) struct Claim {
    summaries: Summaries,
    model: Arc<str>,
    part: usize,
    name: u128,
    /// Of its conversation, before this.
    failures: u32,
    is_over: bool,
}

/// Why there is no summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The model does not answer: others need not try.
    OfModel,
    /// It is this conversation's, or its caller's.
    OfCall,
}

impl Claim {
    /// It is there.
    pub fn keep(mut self, text: &str) {
        self.is_over = true;
        self.summaries
            .with(self.part, |part| part.set(self.name, State::Made(text.into())));
        let of_model = self.summaries.part_of(&self.model);
        self.summaries.with(of_model, |part| part.failing.remove(&self.model));
    }

    /// It was not to be had.
    pub fn fail(mut self, fault: Fault, now: Tick) {
        self.is_over = true;
        let state = State::Not {
            until: now.plus_ms(failed_ms(self.failures)),
            failures: self.failures.saturating_add(1),
        };
        self.summaries.with(self.part, |part| part.set(self.name, state));
        if fault == Fault::OfModel {
            let of_model = self.summaries.part_of(&self.model);
            self.summaries.with(of_model, |part| part.fails(&self.model, now));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_over {
            self.summaries.with(self.part, |part| part.free(self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(name: u128) -> Beginning {
        Beginning { end: 0, name, bytes: 0 }
    }

    #[test]
    fn the_longest_beginning_is_found_and_the_oldest_forgotten() {
        let mut part = Part::default();
        let all: Vec<Beginning> = (1..=4).map(beginning).collect();
        assert!(part.longest(&all).is_none());
        part.set(1, State::Made("one".into()));
        part.set(3, State::Made("three".into()));
        let until = Tick(9);
        part.set(4, State::Not { until, failures: 0 });
        let found = |part: &mut Part| part.longest(&all).map(|(of, text)| (of.name, text.to_string()));
        assert_eq!(found(&mut part), Some((3, "three".into())));
        // Longer texts than a part has room for: what was looked at last is the last to go.
        let long: Arc<str> = "x".repeat(MAX_BYTES / 2 - ENTRY_BYTES).into();
        part.set(7, State::Made(Arc::clone(&long)));
        assert_eq!(found(&mut part), Some((3, "three".into())));
        part.set(8, State::Made(long));
        assert_eq!(found(&mut part), Some((3, "three".into())));
        assert!(part.states.look(1).is_none() && part.states.look(7).is_none());
    }

    #[test]
    fn one_at_a_time_makes_it() {
        let mut part = Part::default();
        let all = [beginning(1)];
        let claim = |part: &mut Part, now, until| part.claim(&all, 1, (Tick(now), Tick(until)));
        assert_eq!(claim(&mut part, 0, 5), Some(0));
        assert_eq!(claim(&mut part, 4, 9), None);
        assert_eq!(
            claim(&mut part, 5, 9),
            Some(0),
            "whoever made it is not heard of any more"
        );
        part.free(1);
        assert_eq!(claim(&mut part, 6, 9), Some(0));
        part.set(1, State::Made("it".into()));
        part.free(1);
        assert_eq!(claim(&mut part, 100, 200), None);
        // Of a longer conversation, while a part of it is on its way.
        let more = [beginning(1), beginning(2), beginning(3)];
        assert_eq!(part.claim(&more[..2], 2, (Tick(100), Tick(200))), Some(0));
        assert_eq!(part.claim(&more, 3, (Tick(199), Tick(300))), None);
        assert_eq!(part.claim(&more, 3, (Tick(200), Tick(300))), Some(0));
        assert_eq!([0, 1, 2, 60].map(failed_ms), [60_000, 120_000, 240_000, 3_600_000]);
    }
}
