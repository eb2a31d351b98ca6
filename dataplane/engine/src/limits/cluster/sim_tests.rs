//! Nodes and their shards against one store, with a network that loses, delays and repeats, nodes that are cut off and crash,
//! clocks that step and stores that forget: a count is never exceeded, and nothing is stranded when all is quiet again.

mod small;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use tollgate_config::document::{Limit, Period, Unit, Window};

use super::{Agent, OnPartition, Reply, Request, Settings, store_model::Store};
use crate::limits::{
    balances::{Balances, Cell},
    bucket::{self, Moment, Taken},
    calendar::Today,
    shared::{self, Place},
};

const START_UNIX_MS: u64 = 1_800_000_000_000;
const RECLAIM_MS: u64 = 60_000;
const PATIENCE_MS: u64 = 30_000;
const CELLS: usize = 1 + 256;
const REQUESTS: u64 = 11;
const BUCKET: u64 = 12;
const CALLS: u64 = 13;
const MONEY: u64 = 14;

/// SplitMix64 (Steele, Lea and Flood, 2014): enough to choose by.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

struct Node {
    cells: &'static [Cell],
    balances: Balances,
    agent: Agent,
    settings: Settings,
    number: u64,
    /// Its wall clock is off by so much.
    off_ms: i64,
    cut_until_ms: u64,
    down_until_ms: u64,
    /// Its process has heard of limits when something was granted.
    knows: bool,
    /// Each shard's calls under way: of which limit, what was taken, and what will have been used.
    open: Vec<Vec<(u64, Taken, u64)>>,
}

impl Node {
    fn new(number: u64, settings: Settings, shards: usize) -> Self {
        let cells: &'static [Cell] = Box::leak((0..CELLS).map(|_| Cell::default()).collect());
        let (balances, agent) = begin(cells, settings, number, 0);
        Self {
            cells,
            balances,
            agent,
            settings,
            number,
            off_ms: 0,
            cut_until_ms: 0,
            down_until_ms: 0,
            knows: false,
            open: (0..shards).map(|_| Vec::new()).collect(),
        }
    }

    fn moment(&self, now_ms: u64) -> Moment {
        let unix_ms = self.balances.unix_ms(self.unix_ms(now_ms));
        Moment {
            unix_ms,
            today: Today::at(&TimeZone::UTC, unix_ms),
        }
    }

    fn unix_ms(&self, now_ms: u64) -> u64 {
        (START_UNIX_MS + now_ms).saturating_add_signed(self.off_ms)
    }
}

fn begin(cells: &'static [Cell], settings: Settings, number: u64, now_ms: u64) -> (Balances, Agent) {
    let balances = Balances::lent(cells).expect("our own layout");
    let agent = Agent::new(settings, number, balances.process(), now_ms);
    balances.sharing().begin(&agent);
    (balances, agent)
}

/// On its way to the store, or back.
enum Travel {
    There(usize, u64, Request),
    /// To the process that asked: another one of the node does not hear it.
    Back(usize, u64, usize, Option<Reply>),
}

struct World {
    dice: Dice,
    now_ms: u64,
    store: Store,
    nodes: Vec<Node>,
    limits: BTreeMap<u64, Limit>,
    travels: BTreeMap<(u64, u64), Travel>,
    sent: u64,
    /// Of each calendar limit, what all used; of calls under way, how many are.
    used: BTreeMap<u64, u64>,
    /// The store as a replica has it, some writes behind.
    replica: Store,
    /// The store's clock is off by so much.
    store_off_ms: i64,
    /// The store is lost again then.
    lost_again_ms: u64,
    /// What the bucket holds by an oracle without leases, in units times its period, and up to when.
    bucket: (u128, u64),
    refused: u64,
    seed: u64,
    /// There was a time when every node had crashed since something was granted.
    forgot: bool,
}

impl World {
    fn new(seed: u64, nodes: usize, shards: usize, amounts: [u64; 4]) -> Self {
        let settings = Settings {
            groups: 1,
            on_partition: OnPartition::Refuse,
            away_after_ms: 1_000,
            reclaim_after_ms: RECLAIM_MS,
        };
        let [requests, burst, calls, money] = amounts;
        let day = Window::Calendar(Period::Year);
        let bucket = Window::Refill { per_ms: 60_000, burst };
        let mut hard = Limit::new(Unit::Budget, money, day);
        hard.hard = true;
        let limits = BTreeMap::from([
            (REQUESTS, Limit::new(Unit::Requests, requests, day)),
            (BUCKET, Limit::new(Unit::Requests, burst, bucket)),
            (CALLS, Limit::new(Unit::Concurrent, calls, Window::None)),
            (MONEY, hard),
        ]);
        let mut world = Self {
            dice: Dice(seed),
            now_ms: 0,
            store: Store::by(1),
            replica: Store::default(),
            store_off_ms: 0,
            lost_again_ms: u64::MAX,
            nodes: (0..nodes)
                .map(|at| Node::new((at as u64 + 1) << 40, settings, shards))
                .collect(),
            limits,
            travels: BTreeMap::new(),
            sent: 0,
            used: BTreeMap::new(),
            bucket: (0, 0),
            refused: 0,
            seed,
            forgot: false,
        };
        for at in 0..nodes {
            world.know(at);
        }
        world
    }

    fn know(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let unix_ms = node.unix_ms(self.now_ms);
        let known = self.limits.iter().map(|(id, limit)| (*id, *limit));
        node.agent
            .know(&node.balances, known, (&TimeZone::UTC, unix_ms), self.now_ms);
    }

    /// A shard of a node has a call. True: it was admitted.
    fn call(&mut self, at: usize, id: u64, amount: u64) -> bool {
        let limit = self.limits[&id];
        let node = &mut self.nodes[at];
        let moment = node.moment(self.now_ms);
        let Ok(taken) = bucket::take(&node.balances, (id, &limit), &moment, amount) else {
            self.refused += 1;
            return false;
        };
        let used = match id {
            CALLS => 0,
            MONEY => self.dice.below(amount + 1),
            _ => amount,
        };
        let shard = self.dice.below(node.open.len() as u64) as usize;
        node.open[shard].push((id, taken, used));
        match id {
            BUCKET => self.pour(amount),
            _ => {
                let all = self.used.entry(id).or_default();
                *all += amount;
                let (all, now_ms) = (*all, self.now_ms);
                assert!(
                    all <= limit.amount,
                    "limit {id}: {all} of {} at {now_ms} ms: {}",
                    limit.amount,
                    self.told(id)
                );
            }
        }
        true
    }

    /// Who holds what of a limit, for whoever looks for a fault.
    fn told(&self, id: u64) -> String {
        let limit = &self.limits[&id];
        let nodes = self.nodes.iter().map(|node| {
            let tag = shared::tag(&node.balances, limit, &node.moment(self.now_ms));
            let place = Place::new(&node.balances, id, limit, tag).expect("room");
            format!("{}: {} used, {:?}", node.number, place.lane.used(), place.lease)
        });
        format!("{:#?}\n{:#?}", nodes.collect::<Vec<_>>(), self.store)
    }

    fn pour(&mut self, amount: u64) {
        let limit = self.limits[&BUCKET];
        let Window::Refill { per_ms, burst } = limit.window else {
            return;
        };
        let (level, since) = self.bucket;
        let flowed = u128::from(self.now_ms - since) * u128::from(limit.amount);
        let level = level.saturating_sub(flowed) + u128::from(amount) * u128::from(per_ms);
        let most = u128::from(burst) * u128::from(per_ms);
        assert!(
            level <= most,
            "seed {}: the bucket at {} ms: {level} of {most}",
            self.seed,
            self.now_ms
        );
        self.bucket = (level, self.now_ms);
    }

    /// A call of that shard ends, if there is one.
    fn end(&mut self, at: usize, shard: usize) {
        let node = &mut self.nodes[at];
        let Some((id, taken, used)) = node.open[shard].pop() else {
            return;
        };
        let moment = node.moment(self.now_ms);
        bucket::settle(&node.balances, (id, &self.limits[&id]), &moment, taken, used);
        if id != BUCKET {
            let all = self.used.entry(id).or_default();
            *all = *all + used - taken.amount;
        }
    }

    /// The process is gone, and with it its calls: what they had reserved stays used, but for their being under way.
    fn crash(&mut self, at: usize, down_ms: u64) {
        let node = &mut self.nodes[at];
        for (id, taken, _) in node.open.iter_mut().flat_map(|open| open.drain(..)) {
            if id == CALLS {
                *self.used.entry(id).or_default() -= taken.amount;
            }
        }
        node.down_until_ms = self.now_ms + down_ms;
        node.knows = false;
        (node.balances, node.agent) = begin(node.cells, node.settings, node.number, node.down_until_ms);
        self.know(at);
        self.forgot |= !self.nodes.iter().any(|node| node.knows);
    }

    /// A step of time, with what the network and the agents do in it.
    fn step(&mut self, ms: u64, lossy: bool) {
        self.now_ms += ms;
        let now_ms = self.now_ms;
        while let Some(first) = self.travels.first_entry().filter(|first| first.key().0 <= now_ms) {
            let travel = first.remove();
            self.arrive(travel, lossy);
        }
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            if node.down_until_ms > now_ms {
                continue;
            }
            let unix_ms = node.unix_ms(now_ms);
            node.agent.called(&node.balances, now_ms);
            node.agent.turn(&node.balances, (&TimeZone::UTC, unix_ms), now_ms);
            loop {
                let node = &mut self.nodes[at];
                let Some(request) = node.agent.request(&node.balances, now_ms) else {
                    break;
                };
                let is_cut = self.nodes[at].cut_until_ms > now_ms;
                let (group, process) = (request.group, self.nodes[at].agent.process());
                if is_cut || lossy && self.dice.one_in(20) {
                    let late = 200 + self.dice.below(200);
                    self.send(late, Travel::Back(at, process, group, None));
                    // Some were only held up, and come when nobody waits for them.
                    if self.dice.one_in(2) {
                        let late = self.dice.below(3_000);
                        self.send(late, Travel::There(usize::MAX, process, request));
                    }
                    continue;
                }
                let there = self.dice.below(5);
                self.send(there, Travel::There(at, process, request));
            }
        }
    }

    fn send(&mut self, in_ms: u64, travel: Travel) {
        self.sent += 1;
        self.travels.insert((self.now_ms + in_ms, self.sent), travel);
    }

    fn arrive(&mut self, travel: Travel, lossy: bool) {
        match travel {
            Travel::There(at, process, request) => {
                let store_ms = (START_UNIX_MS + self.now_ms).saturating_add_signed(self.store_off_ms);
                let reply = self.store.call(store_ms, &request);
                if at == usize::MAX {
                    return;
                }
                let lost = lossy && self.dice.one_in(20);
                let late = if lost { 300 } else { self.dice.below(5) };
                self.send(late, Travel::Back(at, process, request.group, (!lost).then_some(reply)));
            }
            Travel::Back(at, process, group, reply) => {
                let now_ms = self.now_ms;
                let node = &mut self.nodes[at];
                let unix_ms = node.unix_ms(now_ms);
                if node.agent.process() != process {
                    return;
                }
                if let Some(Reply::Done {
                    closed_ms: 0, answers, ..
                }) = &reply
                {
                    node.knows |= !answers.is_empty();
                }
                match reply {
                    Some(reply) => node.agent.answered(&node.balances, group, reply, (unix_ms, now_ms)),
                    None => node.agent.failed(group, now_ms),
                }
            }
        }
    }

    /// The store forgets all, or another takes its place that lacks what it was told last; sometimes twice.
    fn lose(&mut self) {
        let server = self.store.server + self.dice.below(2);
        match self.dice.one_in(2) {
            true => self.store = Store::by(server),
            false => self.fail_over(),
        }
        self.lost_again_ms = match self.dice.one_in(2) {
            true => self.now_ms + self.dice.below(4_000),
            false => u64::MAX,
        };
    }

    fn fail_over(&mut self) {
        self.store = self.replica.clone().taken_over_by(self.store.server + 1);
    }

    fn quiet(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.step(10, false);
        }
    }

    /// So much of a limit, taken by one node alone, which waits as it is told.
    fn drain(&mut self, at: usize, id: u64, most: u64) -> u64 {
        let (mut got, until_ms) = (0, self.now_ms + PATIENCE_MS);
        while got < most && self.now_ms < until_ms {
            match self.call(at, id, 1) {
                true => got += 1,
                false => self.step(10, false),
            }
        }
        got
    }
}

/// What may go wrong.
#[derive(Clone, Copy)]
struct Trouble {
    cuts: bool,
    crashes: bool,
    clocks: bool,
    losses: bool,
    /// Of the store's machine.
    store_clock: bool,
}

fn run(seed: u64, (nodes, shards): (usize, usize), steps: usize, trouble: Trouble) {
    let mut world = World::new(seed, nodes, shards, [4_000, 600, 40, 900_000]);
    world.quiet(3_000);
    for step in 0..steps {
        let ms = 1 + world.dice.below(10);
        world.step(ms, true);
        if world.dice.one_in(40) {
            world.replica = world.store.clone();
        }
        for _ in 0..nodes {
            let (at, shard) = (
                world.dice.below(nodes as u64) as usize,
                world.dice.below(shards as u64) as usize,
            );
            if world.nodes[at].down_until_ms > world.now_ms {
                continue;
            }
            match world.dice.below(8) {
                0 | 1 => _ = world.call(at, REQUESTS, 1),
                2 => _ = world.call(at, BUCKET, 1),
                3 => _ = world.call(at, CALLS, 1),
                4 => {
                    let amount = 1 + world.dice.below(500);
                    world.call(at, MONEY, amount);
                }
                _ => world.end(at, shard),
            }
        }
        let at = world.dice.below(nodes as u64) as usize;
        if trouble.cuts && world.dice.one_in(300) {
            world.nodes[at].cut_until_ms = world.now_ms + world.dice.below(8_000);
        }
        if trouble.crashes && world.dice.one_in(400) {
            let down_ms = world.dice.below(3_000);
            world.crash(at, down_ms);
        }
        if trouble.clocks && world.dice.one_in(200) {
            world.nodes[at].off_ms = [-3_600_000, 86_400_000, 250, 0][world.dice.below(4) as usize];
        }
        if trouble.store_clock && world.dice.one_in(150) {
            world.store_off_ms = [-3_600_000, 86_400_000, 900, 0][world.dice.below(4) as usize];
            // A step forward lets buckets flow off: a burst more at most.
            world.bucket = (0, world.now_ms);
        }
        if trouble.losses && (step % 500 == 499 || world.lost_again_ms <= world.now_ms) {
            world.lose();
        }
    }
    for at in 0..nodes {
        world.nodes[at].cut_until_ms = 0;
        for shard in 0..shards {
            while !world.nodes[at].open[shard].is_empty() {
                world.end(at, shard);
            }
        }
    }
    // Nothing is stranded: all know what is used, and one node alone gets all that is left.
    world.quiet(12_000);
    for id in [REQUESTS, MONEY] {
        for node in &world.nodes {
            let level = bucket::level(&node.balances, (id, &world.limits[&id]), &node.moment(world.now_ms));
            // What came back since a node had heard of it stays used where none knows any more who had told.
            let stays = trouble.losses && world.forgot && id == MONEY;
            let used = world.used[&id];
            assert!(
                level.used == used || stays && level.used > used,
                "{} of {used}, seed {seed}, limit {id}: {}",
                level.used,
                world.told(id)
            );
        }
    }
    for (id, amount) in [(REQUESTS, 4_000), (CALLS, 40)] {
        let left = amount - world.used.get(&id).copied().unwrap_or(0);
        assert_eq!(world.drain(0, id, left), left, "seed {seed}: {}", world.told(id));
        assert!(!world.call(0, id, 1), "seed {seed}: all is used");
    }
}

/// In the first all nodes crash, one after the other, while the store is lost again and again and nothing is granted; in the
/// second older copies of it come, of which each was told by others.
const HARD: [u64; 2] = [300, 603];

/// The soak says other ones, when it builds this: the first, and how many.
fn seeds() -> impl Iterator<Item = u64> {
    let said = option_env!("TOLLGATE_TEST_CLUSTER_SEEDS").unwrap_or_default();
    let mut numbers = said.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let (first, count, hard) = match (numbers.next(), numbers.next()) {
        (Some(first), Some(count)) => (first, count, &[][..]),
        _ => (0, 3, &HARD[..]),
    };
    (first..first + count).chain(hard.iter().copied())
}

#[test]
fn lost_and_late_messages_and_nodes_that_come_and_go_exceed_nothing_and_strand_nothing() {
    let trouble = Trouble {
        cuts: true,
        crashes: true,
        clocks: true,
        losses: false,
        store_clock: false,
    };
    for seed in seeds() {
        run(seed, (4, 8), 2_500, trouble);
    }
}

#[test]
fn sixteen_nodes_of_sixty_four_shards() {
    let trouble = Trouble {
        cuts: true,
        crashes: true,
        clocks: true,
        losses: false,
        store_clock: false,
    };
    for seed in seeds() {
        run(1_000 + seed, (16, 64), 500, trouble);
    }
}

#[test]
fn a_store_that_is_lost_once_or_twice_is_told_again_by_all_before_it_grants() {
    let trouble = Trouble {
        cuts: true,
        crashes: true,
        clocks: true,
        losses: true,
        store_clock: false,
    };
    for seed in seeds() {
        run(2_000 + seed, (4, 8), 2_500, trouble);
        run(3_000 + seed, (16, 4), 1_500, trouble);
    }
}

#[test]
fn a_store_whose_clock_steps_grants_no_more_and_forgets_no_node() {
    let trouble = Trouble {
        cuts: true,
        crashes: true,
        clocks: false,
        losses: false,
        store_clock: true,
    };
    for seed in seeds() {
        run(4_000 + seed, (4, 8), 2_500, trouble);
    }
}
