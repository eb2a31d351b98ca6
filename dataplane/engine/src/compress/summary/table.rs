//! Summaries that are remembered, and those that are on their way: the node's, in parts. All of one conversation is in one part.
//! What was used longest ago is forgotten first.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;

use super::old::Beginning;
use crate::{Tick, exact::Seed, repeats::Parts};

pub const PARTS: usize = 16;
/// Of a part.
const MAX_BYTES: usize = 4 << 20;
/// What an entry takes beside its text.
const ENTRY_BYTES: usize = 256;
/// Of a conversation's beginnings, so many are looked up, the longest first.
const MAX_LOOKS: usize = 1024;
/// One that failed is not asked for again so soon.
const FAILED_MS: u64 = 60_000;

#[derive(Debug)]
enum State {
    Made(Arc<str>),
    /// It is on its way, or was not to be had: nobody asks for it until then.
    Not(Tick),
}

#[derive(Debug)]
struct Entry {
    state: State,
    used: u64,
}

#[derive(Debug, Default)]
pub struct Part {
    entries: HashMap<u128, Entry>,
    /// By when they were used.
    order: BTreeMap<u64, u128>,
    uses: u64,
    bytes: usize,
}

impl Part {
    /// The longest of these that has a summary.
    fn longest(&mut self, beginnings: &[Beginning]) -> Option<(Beginning, Arc<str>)> {
        let looked = beginnings.iter().rev().take(MAX_LOOKS);
        let found = looked
            .copied()
            .find_map(|beginning| match &self.entries.get(&beginning.name)?.state {
                State::Made(text) => Some((beginning, Arc::clone(text))),
                State::Not(_) => None,
            })?;
        self.touch(found.0.name);
        Some(found)
    }

    /// False where it is there, on its way, or failed lately.
    fn claim(&mut self, name: u128, now: Tick, until: Tick) -> bool {
        let is_free = match self.entries.get(&name).map(|entry| &entry.state) {
            None => true,
            Some(State::Made(_)) => false,
            Some(State::Not(until)) => *until <= now,
        };
        if is_free {
            self.set(name, State::Not(until));
        }
        is_free
    }

    fn set(&mut self, name: u128, state: State) {
        self.remove(name);
        self.bytes += bytes(&state);
        self.uses += 1;
        self.order.insert(self.uses, name);
        let used = self.uses;
        self.entries.insert(name, Entry { state, used });
        while self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.order.first_key_value() else {
                break;
            };
            self.remove(*oldest);
        }
    }

    fn touch(&mut self, name: u128) {
        if let Some(entry) = self.entries.get_mut(&name) {
            self.order.remove(&entry.used);
            self.uses += 1;
            entry.used = self.uses;
            self.order.insert(self.uses, name);
        }
    }

    fn remove(&mut self, name: u128) {
        if let Some(entry) = self.entries.remove(&name) {
            self.order.remove(&entry.used);
            self.bytes -= bytes(&entry.state);
        }
    }

    /// It did not come.
    fn free(&mut self, name: u128) {
        if let Some(Entry {
            state: State::Not(_), ..
        }) = self.entries.get(&name)
        {
            self.remove(name);
        }
    }
}

fn bytes(state: &State) -> usize {
    ENTRY_BYTES
        + match state {
            State::Made(text) => text.len(),
            State::Not(_) => 0,
        }
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
        let (mut work, mut done) = (Some(work), None);
        self.0
            .parts
            .with(part, &mut |part| done = work.take().map(|work| work(part)));
        done
    }

    pub(super) fn longest(&self, beginnings: &[Beginning]) -> Option<(Beginning, Arc<str>)> {
        self.with(part(beginnings), |part| part.longest(beginnings)).flatten()
    }

    /// Whoever has it makes it, until then at most.
    pub(super) fn claim(&self, beginnings: &[Beginning], name: u128, (now, until): (Tick, Tick)) -> Option<Claim> {
        let part = part(beginnings);
        let is_claimed = self.with(part, |part| part.claim(name, now, until));
        (is_claimed == Some(true)).then(|| Claim {
            summaries: self.clone(),
            part,
            name,
            is_over: false,
        })
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
    part: usize,
    name: u128,
    is_over: bool,
}

impl Claim {
    /// It is there.
    pub fn keep(mut self, text: &str) {
        self.is_over = true;
        self.summaries
            .with(self.part, |part| part.set(self.name, State::Made(text.into())));
    }

    /// It was not to be had.
    pub fn fail(mut self, now: Tick) {
        self.is_over = true;
        self.summaries.with(self.part, |part| {
            part.set(self.name, State::Not(now.plus_ms(FAILED_MS)));
        });
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
        part.set(4, State::Not(Tick(9)));
        let found = |part: &mut Part| part.longest(&all).map(|(of, text)| (of.name, text.to_string()));
        assert_eq!(found(&mut part), Some((3, "three".into())));
        // Longer texts than a part has room for: what was looked at last is the last to go.
        let long: Arc<str> = "x".repeat(MAX_BYTES / 2 - ENTRY_BYTES).into();
        part.set(7, State::Made(Arc::clone(&long)));
        assert_eq!(found(&mut part), Some((3, "three".into())));
        part.set(8, State::Made(long));
        assert_eq!(found(&mut part), Some((3, "three".into())));
        assert!(!part.entries.contains_key(&1) && !part.entries.contains_key(&7));
        let held: usize = part.entries.values().map(|entry| bytes(&entry.state)).sum();
        assert_eq!(part.bytes, held);
        assert_eq!(part.order.len(), part.entries.len());
    }

    #[test]
    fn one_at_a_time_makes_it() {
        let mut part = Part::default();
        assert!(part.claim(1, Tick(0), Tick(5)));
        assert!(!part.claim(1, Tick(4), Tick(9)));
        assert!(
            part.claim(1, Tick(5), Tick(9)),
            "whoever made it is not heard of any more"
        );
        part.free(1);
        assert!(part.claim(1, Tick(6), Tick(9)));
        part.set(1, State::Made("it".into()));
        part.free(1);
        assert!(!part.claim(1, Tick(100), Tick(200)));
    }
}
