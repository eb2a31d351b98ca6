//! Three times as many calls as a provider can answer, on a virtual clock and under many seeds: it goes on answering what it
//! can, calls of high priority do not notice, and all is as before when the load falls.

mod rig;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use rig::{Did, Rig, document, key};
use tollgate_config::{
    Document,
    document::{Overload, Priority, Retry},
};
use tollgate_engine::{Input, Local, Tick};

const SEEDS: u64 = 8;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]}"#;

/// A provider that answers so many calls at once, each after about `SERVICE_MS`.
const CAPACITY: usize = 40;
const SERVICE_MS: u64 = 100;
const PEAK_PER_SECOND: u64 = CAPACITY as u64 * 1_000 / SERVICE_MS;

/// What it does with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Lets them wait, however many they are.
    Waits,
    /// Has room for a few, and answers the others with this status.
    Refused(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrives,
    Connected(u16),
    /// The provider has its answer ready.
    Served(u16),
    Refused(u16),
    Turn,
    Timer,
}

/// When, in which order, whose, of which use of that place, what.
type Event = (u64, u64, usize, u64, What);

struct Call {
    rig: Rig,
    generation: u64,
    began: u64,
    class: Priority,
}

/// A call that is over.
#[derive(Clone, Copy, Debug)]
struct Done {
    began: u64,
    ended: u64,
    class: Priority,
    status: u16,
}

struct World {
    rest: Rest,
    local: Local,
    calls: Vec<Call>,
    free: Vec<usize>,
    events: BinaryHeap<Reverse<Event>>,
    sequence: u64,
    luck: u64,
    serving: usize,
    waiting: VecDeque<(usize, u64, u16)>,
    done: Vec<Done>,
}

fn gateway() -> Document {
    let mut document = document();
    document.providers[0].1.timeouts.first_byte_ms = 2_000;
    let model = &mut document.models[0].1;
    model.targets.truncate(1);
    model.tiers.clear();
    model.retry = Retry::default();
    model.overload = Some(Overload::default());
    document.keys = Priority::ALL
        .into_iter()
        .map(|priority| {
            let (name, mut key) = key(priority.name(), &[]);
            key.priority = priority;
            (name, key)
        })
        .collect();
    document
}

impl World {
    fn new(seed: u64, rest: Rest) -> World {
        let call = |rig| Call {
            rig,
            generation: 0,
            began: 0,
            class: Priority::Normal,
        };
        World {
            rest,
            local: Local {
                seed,
                ..Local::default()
            },
            calls: vec![call(Rig::new(gateway()))],
            free: vec![0],
            events: BinaryHeap::new(),
            sequence: 0,
            luck: seed ^ 0x9e37_79b9_7f4a_7c15,
            serving: 0,
            waiting: VecDeque::new(),
            done: Vec::new(),
        }
    }

    fn luck(&mut self, below: u64) -> u64 {
        self.luck ^= self.luck << 13;
        self.luck ^= self.luck >> 7;
        self.luck ^= self.luck << 17;
        self.luck % below
    }

    fn later(&mut self, at: u64, call: usize, generation: u64, what: What) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, call, generation, what)));
    }

    /// Loads one after the other: calls a second, and for how many seconds.
    fn run(mut self, loads: &[(u64, u64)]) -> Vec<Done> {
        let mut at = SECOND;
        for &(per_second, seconds) in loads {
            let until = at + seconds * SECOND;
            while at < until {
                at += self.luck(2 * SECOND / per_second);
                self.later(at, 0, 0, What::Arrives);
            }
        }
        while let Some(Reverse((at, _, call, generation, what))) = self.events.pop() {
            match what {
                What::Arrives => self.arrive(at),
                // The provider is done with it, whoever still waits for that.
                What::Served(attempt) => self.served(at, call, generation, attempt),
                _ if self.calls[call].generation != generation => {}
                What::Connected(attempt) => {
                    self.with(at, call, |rig| rig.connected(attempt));
                }
                What::Refused(attempt) => self.answer(at, call, attempt, self.status_of_refusal()),
                What::Turn => self.with(at, call, |rig| rig.feed(Input::Turn)),
                What::Timer => self.with(at, call, |rig| rig.feed(Input::Timer)),
            }
        }
        self.done
    }

    fn status_of_refusal(&self) -> u16 {
        match self.rest {
            Rest::Refused(status) => status,
            Rest::Waits => 503,
        }
    }

    fn arrive(&mut self, at: u64) {
        let place = self.free.pop().unwrap_or_else(|| {
            let pinned = self.calls[0].rig.pinned.clone();
            self.calls.push(Call {
                rig: Rig::sharing(pinned),
                generation: 0,
                began: 0,
                class: Priority::Normal,
            });
            self.calls.len() - 1
        });
        // One of ten is of high priority, six are of low.
        let class = match self.luck(10) {
            0 => Priority::High,
            1..=3 => Priority::Normal,
            _ => Priority::Low,
        };
        let call = &mut self.calls[place];
        (call.began, call.class) = (at, class);
        call.rig.exchange.set_name(place as u64);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-{}\n",
            class.name()
        );
        self.with(at, place, |rig| rig.request(&head, CHAT.as_bytes()));
    }

    fn answer(&mut self, at: u64, place: usize, attempt: u16, status: u16) {
        self.with(at, place, |rig| {
            let mut did = rig.answer(attempt, &format!("HTTP/1.1 {status} X\ncontent-length: 2\n"));
            if did.iter().any(|did| matches!(did, Did::Head { .. })) {
                did.extend(rig.body(attempt, "{}"));
                did.extend(rig.end(attempt));
            }
            did
        });
    }

    fn served(&mut self, at: u64, place: usize, generation: u64, attempt: u16) {
        self.serving -= 1;
        if let Some((place, generation, attempt)) = self.waiting.pop_front() {
            self.serve(at, place, generation, attempt);
        }
        if self.calls[place].generation == generation {
            self.answer(at, place, attempt, 200);
        }
    }

    fn serve(&mut self, at: u64, place: usize, generation: u64, attempt: u16) {
        self.serving += 1;
        let takes = SERVICE_MS * MS * (80 + self.luck(41)) / 100;
        self.later(at + takes, place, generation, What::Served(attempt));
    }

    /// Feeds a call with the shard's state, and plans what follows.
    fn with(&mut self, at: u64, place: usize, feed: impl FnOnce(&mut Rig) -> Vec<Did>) {
        let call = &mut self.calls[place];
        let generation = call.generation;
        std::mem::swap(&mut call.rig.local, &mut self.local);
        call.rig.now = Tick(at);
        let did = feed(&mut call.rig);
        std::mem::swap(&mut call.rig.local, &mut self.local);
        let deadline = call.rig.exchange.deadline();
        let mut over = false;
        for done in did {
            match done {
                Did::Dial { attempt, .. } => {
                    self.later(at, place, generation, What::Connected(attempt));
                    self.asked(at, place, generation, attempt);
                }
                Did::Abandon { attempt } => {
                    self.waiting.retain(|&(other, _, its)| (other, its) != (place, attempt));
                }
                Did::Turn(of) => {
                    let of = of as usize;
                    self.later(at, of, self.calls[of].generation, What::Turn);
                }
                Did::Settle => over = true,
                _ => {}
            }
        }
        if over {
            let call = &mut self.calls[place];
            self.done.push(Done {
                began: call.began,
                ended: at,
                class: call.class,
                status: call.rig.exchange.record().status,
            });
            call.generation += 1;
            self.free.push(place);
        } else if let Some(deadline) = deadline {
            self.later(deadline.0.max(at), place, generation, What::Timer);
        }
    }

    fn asked(&mut self, at: u64, place: usize, generation: u64, attempt: u16) {
        if self.serving < CAPACITY {
            return self.serve(at, place, generation, attempt);
        }
        match self.rest {
            Rest::Refused(_) if self.waiting.len() >= CAPACITY / 4 => {
                self.later(at + 2 * MS, place, generation, What::Refused(attempt));
            }
            Rest::Waits | Rest::Refused(_) => self.waiting.push_back((place, generation, attempt)),
        }
    }
}

/// Those that began between two moments, in seconds.
fn between(done: &[Done], from: u64, to: u64) -> impl Iterator<Item = &Done> {
    let range = from * SECOND..to * SECOND;
    done.iter().filter(move |call| range.contains(&call.began))
}

fn p99_ms<'a>(calls: impl Iterator<Item = &'a Done>) -> u64 {
    let mut took: Vec<u64> = calls.map(|call| (call.ended - call.began) / MS).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

fn share_answered<'a>(calls: impl Iterator<Item = &'a Done>) -> u64 {
    let (mut all, mut answered) = (0, 0);
    for call in calls {
        all += 1;
        answered += u64::from(call.status == 200);
    }
    answered * 100 / all
}

fn each_world(check: impl Fn(u64, Rest)) {
    for seed in 1..=SEEDS {
        let rest = [Rest::Waits, Rest::Refused(529), Rest::Refused(429), Rest::Refused(503)][(seed % 4) as usize];
        check(seed, rest);
    }
}

#[test]
fn under_three_times_the_load_all_is_answered_that_can_be_and_high_priority_notices_nothing() {
    each_world(|seed, rest| {
        let unloaded = World::new(seed, rest).run(&[(PEAK_PER_SECOND / 2, 4)]);
        assert_eq!(
            share_answered(unloaded.iter()),
            100,
            "seed {seed}, {rest:?}: half the peak"
        );
        let done = World::new(seed, rest).run(&[(PEAK_PER_SECOND / 2, 3), (PEAK_PER_SECOND * 3, 9)]);
        // From the third second of overload on; before, the limit is being learned.
        let answered = done.iter().filter(|call| call.status == 200);
        let goodput = answered
            .filter(|call| (7 * SECOND..12 * SECOND).contains(&call.ended))
            .count() as u64;
        assert!(
            goodput >= PEAK_PER_SECOND * 5 * 90 / 100,
            "seed {seed}, {rest:?}: {} a second of {PEAK_PER_SECOND}",
            goodput / 5
        );
        let of = |class: Priority| between(&done, 4, 13).filter(move |call| call.class == class);
        let failed = of(Priority::High).filter(|call| call.status != 200).count();
        assert_eq!(failed, 0, "seed {seed}, {rest:?}: no call of high priority fails");
        let (quiet, loaded) = (p99_ms(unloaded.iter()), p99_ms(of(Priority::High)));
        assert!(
            loaded <= quiet * 2,
            "seed {seed}, {rest:?}: p99 {quiet} ms, under overload {loaded} ms"
        );
        let low = share_answered(of(Priority::Low));
        assert!(
            low < 15,
            "seed {seed}, {rest:?}: {low} % of those of low priority, and normal ones wait"
        );
        // Most of them never reach the provider; one that did, and was refused, waits anew.
        let mut waited: Vec<u64> = of(Priority::Low)
            .filter(|call| call.status == 503)
            .map(|call| (call.ended - call.began) / MS)
            .collect();
        waited.sort_unstable();
        assert!(
            waited[waited.len() / 2] <= 250,
            "seed {seed}, {rest:?}: half of them are told within {waited:?}"
        );
    });
}

#[test]
fn when_the_load_falls_nobody_is_refused_any_more() {
    each_world(|seed, rest| {
        let loads = [
            (PEAK_PER_SECOND / 2, 3),
            (PEAK_PER_SECOND * 3, 6),
            (PEAK_PER_SECOND * 7 / 10, 8),
        ];
        let done = World::new(seed, rest).run(&loads);
        let refused = between(&done, 12, 20).filter(|call| call.status != 200).count();
        assert_eq!(refused, 0, "seed {seed}, {rest:?}: from two seconds after on");
        assert!(
            p99_ms(between(&done, 12, 20)) <= 3 * SERVICE_MS,
            "seed {seed}, {rest:?}"
        );
    });
}

#[test]
fn a_gateway_that_starts_into_an_overload_finds_out_what_its_provider_bears() {
    // Nothing is known of it, and from its first call on it has more than it can do.
    each_world(|seed, rest| {
        let done = World::new(seed, rest).run(&[(PEAK_PER_SECOND * 3, 12)]);
        let answered = done.iter().filter(|call| call.status == 200);
        let goodput = answered
            .filter(|call| (6 * SECOND..13 * SECOND).contains(&call.ended))
            .count() as u64;
        assert!(
            goodput >= PEAK_PER_SECOND * 7 * 90 / 100,
            "seed {seed}, {rest:?}: {} a second of {PEAK_PER_SECOND}",
            goodput / 7
        );
    });
}
