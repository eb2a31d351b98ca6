//! Seeded worlds on a virtual clock: providers that die, flap, crawl, refuse and come back, several shards that call them,
//! and what must hold all the same. Each test runs its world under many seeds.

mod rig;

use std::{cell::RefCell, cmp::Reverse, collections::BinaryHeap};

use rig::{Did, Rig, document, provider};
use tollgate_config::{
    Document,
    document::{Dialect, Hedge, HedgeAfter, Retry, Strategy, Target, Tier},
};
use tollgate_engine::{Local, Tick, exchange::UpstreamFault};

const SEEDS: u64 = 30;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// How a provider behaves at some moment.
#[derive(Clone, Copy, Debug)]
enum Now {
    /// Answers after about so many milliseconds.
    Fine(u64),
    Refuses,
    /// Takes the request and never answers.
    Hangs,
    Status(u16),
    /// This share of calls, in percent, gets a 503; the rest is fine.
    Flaky(u64),
}

type Behaviour = Box<dyn Fn(usize, Tick) -> Now>;

/// When, in which order, at which place, of which use of it, and what.
type Event = (u64, u64, usize, u64, What);

struct World {
    behaviour: Behaviour,
    shards: Vec<Local>,
    calls: Vec<Call>,
    free: Vec<usize>,
    events: BinaryHeap<Reverse<Event>>,
    sequence: u64,
    luck: u64,
    seen: Seen,
}

struct Call {
    rig: Rig,
    shard: usize,
    /// Which use of this place it is: events of earlier ones mean nothing.
    generation: u64,
    began: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrives,
    Refused(u16),
    Connected(u16),
    Answers(u16, u16),
    Timer,
}

/// What came of it.
#[derive(Default)]
struct Seen {
    calls: usize,
    failed: usize,
    attempts: usize,
    /// When each attempt was made, by provider.
    asked: Vec<Vec<u64>>,
    took_ms: Vec<u64>,
}

impl World {
    fn new(seed: u64, document: Document, shards: usize, behaviour: Behaviour) -> World {
        let providers = document.providers.len();
        let first = Rig::new(document);
        let local = |shard| Local {
            seed: seed.wrapping_mul(1_000).wrapping_add(shard as u64),
            ..Local::default()
        };
        World {
            behaviour,
            shards: (0..shards).map(local).collect(),
            calls: vec![Call {
                rig: first,
                shard: 0,
                generation: 0,
                began: Tick(0),
            }],
            free: vec![0],
            events: BinaryHeap::new(),
            sequence: 0,
            luck: seed ^ 0x9e37_79b9_7f4a_7c15,
            seen: Seen {
                asked: vec![Vec::new(); providers],
                ..Seen::default()
            },
        }
    }

    fn luck(&mut self) -> u64 {
        self.luck ^= self.luck << 13;
        self.luck ^= self.luck >> 7;
        self.luck ^= self.luck << 17;
        self.luck
    }

    fn later(&mut self, at: u64, call: usize, generation: u64, what: What) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, call, generation, what)));
    }

    /// `per_second` calls at random moments, for so many seconds.
    fn run(mut self, per_second: u64, seconds: u64) -> Seen {
        let mut at = SECOND;
        while at < (1 + seconds) * SECOND {
            at += self.luck() % (2 * SECOND / per_second);
            self.later(at, 0, 0, What::Arrives);
        }
        while let Some(Reverse((at, _, call, generation, what))) = self.events.pop() {
            match what {
                What::Arrives => self.arrive(at),
                _ if self.calls[call].generation != generation => {}
                _ => self.happen(at, call, what),
            }
        }
        self.seen
    }

    fn arrive(&mut self, at: u64) {
        let place = self.free.pop().unwrap_or_else(|| {
            let pinned = self.calls[0].rig.pinned.clone();
            self.calls.push(Call {
                rig: Rig::sharing(pinned),
                shard: 0,
                generation: 0,
                began: Tick(0),
            });
            self.calls.len() - 1
        });
        let shard = self.seen.calls % self.shards.len();
        self.seen.calls += 1;
        let call = &mut self.calls[place];
        (call.shard, call.began) = (shard, Tick(at));
        self.with(at, place, |rig| rig.chat(CHAT));
    }

    fn happen(&mut self, at: u64, call: usize, what: What) {
        match what {
            What::Refused(attempt) => self.with(at, call, |rig| rig.failed(attempt, UpstreamFault::Connect)),
            What::Connected(attempt) => self.with(at, call, |rig| rig.connected(attempt)),
            What::Answers(attempt, status) => self.with(at, call, |rig| {
                let mut did = rig.answer(attempt, &format!("HTTP/1.1 {status} X\ncontent-length: 2\n"));
                if did.iter().any(|did| matches!(did, Did::Head { .. })) {
                    did.extend(rig.body(attempt, "{}"));
                    did.extend(rig.end(attempt));
                }
                did
            }),
            What::Timer | What::Arrives => self.with(at, call, |rig| rig.feed(tollgate_engine::Input::Timer)),
        }
    }

    /// Feeds a call with its shard's state, and plans what follows.
    fn with(&mut self, at: u64, place: usize, feed: impl FnOnce(&mut Rig) -> Vec<Did>) {
        let call = &mut self.calls[place];
        let (shard, generation) = (call.shard, call.generation);
        std::mem::swap(&mut call.rig.local, &mut self.shards[shard]);
        call.rig.now = Tick(at);
        let did = feed(&mut call.rig);
        std::mem::swap(&mut call.rig.local, &mut self.shards[shard]);
        let deadline = call.rig.exchange.deadline();
        for done in &did {
            match done {
                Did::Dial { attempt, provider, .. } => self.dial(at, place, *attempt, provider),
                Did::Settle => return self.settle(at, place),
                _ => {}
            }
        }
        if let Some(deadline) = deadline {
            self.later(deadline.0, place, generation, What::Timer);
        }
    }

    fn dial(&mut self, at: u64, place: usize, attempt: u16, name: &str) {
        let provider = name[1..].parse::<usize>().expect("providers are p0, p1, …");
        self.seen.attempts += 1;
        self.seen.asked[provider].push(at);
        let generation = self.calls[place].generation;
        let jitter = self.luck() % 40;
        let took = |ms: u64| at + MS + ms * MS * (80 + jitter) / 100;
        let chance = self.luck() % 100;
        match (self.behaviour)(provider, Tick(at)) {
            Now::Refuses => return self.later(at + MS, place, generation, What::Refused(attempt)),
            Now::Hangs => {}
            Now::Fine(ms) => self.later(took(ms), place, generation, What::Answers(attempt, 200)),
            Now::Status(status) => self.later(took(5), place, generation, What::Answers(attempt, status)),
            Now::Flaky(percent) => {
                let status = if chance < percent { 503 } else { 200 };
                self.later(took(20), place, generation, What::Answers(attempt, status));
            }
        }
        self.later(at + MS / 2, place, generation, What::Connected(attempt));
    }

    fn settle(&mut self, at: u64, place: usize) {
        let call = &mut self.calls[place];
        self.seen.failed += usize::from(call.rig.exchange.record().status >= 400);
        self.seen.took_ms.push((at - call.began.0) / MS);
        call.generation += 1;
        self.free.push(place);
    }
}

impl Seen {
    fn p99_ms(&mut self) -> u64 {
        self.took_ms.sort_unstable();
        self.took_ms[self.took_ms.len() * 99 / 100]
    }

    /// Attempts at a provider between two moments, in seconds.
    fn asked_between(&self, provider: usize, from: u64, to: u64) -> usize {
        let asked = self.asked[provider].iter();
        asked.filter(|&&at| (from * SECOND..to * SECOND).contains(&at)).count()
    }
}

/// A model `m` with a target at each of so many providers.
fn model(targets: usize, strategy: Strategy) -> Document {
    let mut document = document();
    document.providers = (0..targets)
        .map(|i| provider(&format!("p{i}"), Dialect::OpenAi))
        .collect();
    for (_, provider) in &mut document.providers {
        provider.timeouts.first_byte_ms = 1_000;
    }
    document.models.truncate(1);
    let (name, model) = &mut document.models[0];
    *name = "m".into();
    model.targets = (0..targets)
        .map(|i| Target {
            provider: format!("p{i}"),
            model: "m".into(),
            ..Target::default()
        })
        .collect();
    model.tiers = vec![Tier {
        strategy,
        targets,
        ..Tier::default()
    }];
    model.retry = Retry::default();
    for (_, key) in &mut document.keys {
        key.models.clear();
    }
    document
}

/// Those that need no prices.
fn strategies(seed: u64) -> Strategy {
    let mut all = Strategy::ALL
        .iter()
        .filter(|&&strategy| strategy != Strategy::LowestCost);
    let number = (seed % (Strategy::ALL.len() as u64 - 1)) as usize;
    *all.nth(number).expect("there are as many")
}

#[test]
fn total_failure_adds_no_more_than_a_tenth() {
    for seed in 1..=SEEDS {
        let targets = 1 + (seed % 4) as usize;
        let how = [Now::Refuses, Now::Status(503), Now::Status(529), Now::Flaky(100)][(seed / 4 % 4) as usize];
        let mut document = model(targets, strategies(seed));
        document.models[0].1.breaker.failures = 3;
        let seen = World::new(seed, document, 2, Box::new(move |_, _| how)).run(120, 20);
        // What is free each second and shard is for quiet models: three of sixty calls here.
        let most = seen.calls * 110 / 100 + 40;
        assert!(
            seen.attempts <= most,
            "seed {seed}: {} attempts for {} calls, {how:?}",
            seen.attempts,
            seen.calls
        );
        assert!(seen.attempts >= seen.calls, "seed {seed}: every call is tried");
    }
}

#[test]
fn a_dead_providers_share_falls_to_probes_within_a_second_and_nobody_notices() {
    for seed in 1..=SEEDS {
        let how = [Now::Refuses, Now::Status(500), Now::Status(529)][(seed % 3) as usize];
        let behaviour = move |provider: usize, at: Tick| match provider == 0 && at.0 >= 5 * SECOND {
            true => how,
            false => Now::Fine(20),
        };
        let seen = World::new(seed, model(3, strategies(seed)), 4, Box::new(behaviour)).run(100, 20);
        assert_eq!(seen.failed, 0, "seed {seed}: {how:?}");
        let after = seen.asked_between(0, 6, 21);
        assert!(
            after <= 15,
            "seed {seed}: asked {after} times after it was known to be dead, {how:?}"
        );
    }
}

#[test]
fn a_frozen_provider_costs_a_few_calls_their_time_and_no_call_its_answer() {
    for seed in 1..=SEEDS {
        let behaviour = |provider: usize, at: Tick| match provider == 0 && at.0 >= 5 * SECOND {
            true => Now::Hangs,
            false => Now::Fine(20),
        };
        let mut seen = World::new(seed, model(3, Strategy::Priority), 4, Box::new(behaviour)).run(50, 30);
        assert_eq!(seen.failed, 0, "seed {seed}");
        assert!(seen.p99_ms() <= 1_500, "seed {seed}: {}", seen.p99_ms());
        assert!(seen.asked_between(0, 8, 31) <= 30, "seed {seed}");
    }
}

#[test]
fn a_provider_that_comes_back_gets_its_share_without_a_stampede_or_swinging() {
    for seed in 1..=SEEDS {
        let behaviour = |provider: usize, at: Tick| match provider == 0 && (5..12).contains(&(at.0 / SECOND)) {
            true => Now::Refuses,
            false => Now::Fine(20),
        };
        let document = model(2, Strategy::Priority);
        let seen = World::new(seed, document, 2, Box::new(behaviour)).run(50, 60);
        assert_eq!(seen.failed, 0, "seed {seed}");
        // Its cooldown ends by 21 s, and the slow start by 31 s; from then on all is as before.
        assert_eq!(
            seen.asked_between(1, 35, 61),
            0,
            "seed {seed}: the spare is not asked any more"
        );
        let (early, late) = (seen.asked_between(0, 21, 23), seen.asked_between(0, 35, 37));
        assert!(early < late, "seed {seed}: {early} at first, {late} later");
    }
}

#[test]
fn a_flapping_provider_is_asked_less_and_less() {
    for seed in 1..=SEEDS {
        let behaviour = |provider: usize, at: Tick| match provider == 0 && at.0 / SECOND % 4 < 3 {
            true => Now::Refuses,
            false => Now::Fine(20),
        };
        let mut document = model(3, Strategy::Weighted);
        document.models[0].1.breaker.cooldown_ms = 2_000;
        let seen = World::new(seed, document, 2, Box::new(behaviour)).run(60, 60);
        assert_eq!(seen.failed, 0, "seed {seed}");
        let share = seen.asked[0].len() * 100 / seen.attempts;
        assert!(share < 20, "seed {seed}: {share} of a hundred attempts went to it");
    }
}

#[test]
fn a_provider_at_its_rate_limit_is_helped_out_and_not_held_to_be_ill() {
    const MOST_A_SECOND: u32 = 20;
    for seed in 1..=SEEDS {
        let answered = RefCell::new((0, 0));
        let behaviour = move |provider: usize, at: Tick| {
            let (second, count) = &mut *answered.borrow_mut();
            if provider == 0 && *second != at.0 / SECOND {
                (*second, *count) = (at.0 / SECOND, 0);
            }
            *count += u32::from(provider == 0);
            match provider == 0 && *count > MOST_A_SECOND {
                true => Now::Status(429),
                false => Now::Fine(20),
            }
        };
        let seen = World::new(seed, model(2, Strategy::Priority), 2, Box::new(behaviour)).run(60, 20);
        assert_eq!(seen.failed, 0, "seed {seed}");
        // One more try each, at most, of those that it refused; and it is not held to be ill for that.
        assert!(
            seen.asked[1].len() <= seen.asked[0].len(),
            "seed {seed}: {} tries at the other",
            seen.asked[1].len()
        );
        assert_eq!(
            seen.asked[0].len(),
            seen.calls,
            "seed {seed}: it is asked first, each time"
        );
    }
}

#[test]
fn the_quicker_target_is_found_whenever_one_is_slower() {
    for seed in 1..=SEEDS {
        let targets = 2 + (seed % 4) as usize;
        let slow = (seed / 4) as usize % targets;
        let (quick_ms, slow_ms) = (20 + seed * 3, (20 + seed * 3) * (2 + seed % 5));
        let behaviour = move |provider: usize, _: Tick| Now::Fine(if provider == slow { slow_ms } else { quick_ms });
        let run = |strategy| World::new(seed, model(targets, strategy), 2, Box::new(behaviour)).run(80, 12);
        let (mut ours, mut by_lot) = (run(Strategy::LeastLatency), run(Strategy::Weighted));
        let (ours, by_lot) = (ours.p99_ms(), by_lot.p99_ms());
        assert!(
            ours < by_lot,
            "seed {seed}: p99 {ours} ms against {by_lot} ms with {targets} targets, {slow_ms} ms slow"
        );
    }
}

#[test]
fn a_second_target_takes_the_tail_away_and_adds_no_more_than_it_may() {
    const MAX_EXTRA_PERCENT: u32 = 10;
    for seed in 1..=SEEDS {
        // Four of a hundred answers of the first target take long.
        let behaviour = |provider: usize, at: Tick| match (provider, at.0 / MS % 25) {
            (0, 0) => Now::Fine(800),
            _ => Now::Fine(20),
        };
        let after = match seed % 2 {
            0 => HedgeAfter::Quantile { percent: 95 },
            _ => HedgeAfter::Delay { ms: 60 },
        };
        let run = |hedge: Option<Hedge>| {
            let mut document = model(2, Strategy::Priority);
            document.models[0].1.hedge = hedge;
            World::new(seed, document, 2, Box::new(behaviour)).run(80, 12)
        };
        let mut plain = run(None);
        let mut hedged = run(Some(Hedge {
            after,
            max_extra_percent: MAX_EXTRA_PERCENT,
        }));
        assert_eq!((plain.failed, hedged.failed), (0, 0), "seed {seed}");
        let added = hedged.attempts - hedged.calls;
        assert!(
            added > 0 && added * 100 <= hedged.calls * MAX_EXTRA_PERCENT as usize,
            "seed {seed}: {added} asks were added to {} calls",
            hedged.calls
        );
        let (plain, hedged) = (plain.p99_ms(), hedged.p99_ms());
        assert!(
            plain >= 600 && hedged <= 200,
            "seed {seed}: p99 {hedged} ms, {plain} ms without"
        );
    }
}

#[test]
fn a_target_that_becomes_slow_as_a_whole_is_not_asked_twice_as_much() {
    const MAX_EXTRA_PERCENT: u32 = 5;
    for seed in 1..=SEEDS {
        let behaviour = |_: usize, at: Tick| Now::Fine(if at.0 > 5 * SECOND { 500 } else { 20 });
        let mut document = model(3, Strategy::Weighted);
        document.models[0].1.hedge = Some(Hedge {
            after: HedgeAfter::Delay { ms: 100 },
            max_extra_percent: MAX_EXTRA_PERCENT,
        });
        let seen = World::new(seed, document, 3, Box::new(behaviour)).run(80, 12);
        let added = seen.attempts - seen.calls;
        assert!(
            added > 0 && added * 100 <= seen.calls * MAX_EXTRA_PERCENT as usize,
            "seed {seed}: {added} asks were added to {} calls",
            seen.calls
        );
    }
}

#[test]
fn a_brown_out_is_not_amplified() {
    for seed in 1..=SEEDS {
        let behaviour = |_: usize, at: Tick| match (10..20).contains(&(at.0 / SECOND)) {
            true => Now::Flaky(40),
            false => Now::Flaky(0),
        };
        let mut document = model(1, Strategy::Priority);
        document.models[0].1.retry.attempts = 5;
        let seen = World::new(seed, document, 2, Box::new(behaviour)).run(100, 30);
        let added = seen.attempts - seen.calls;
        // Three a second and shard are free: sixty in the ten seconds.
        assert!(
            added <= seen.calls / 10 + 70,
            "seed {seed}: {added} tries were added to {} calls",
            seen.calls
        );
        assert!(added >= 50, "seed {seed}: {added} tries");
    }
}
