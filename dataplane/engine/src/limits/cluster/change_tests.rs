//! What changes under a lease: keys, revisions, `cluster` itself, the table that it lies in, and who says that it is this node.

use jiff::tz::TimeZone;
use tollgate_config::document::{Limit, Period, Unit, Window};

use super::{Agent, Entry, Notice, OnPartition, Reply, Settings, store_model::Store};
use crate::limits::{
    balances::{Balances, Cell},
    bucket::{self, Moment},
    calendar::Today,
};

pub(super) const START_UNIX_MS: u64 = 1_800_000_000_000;
pub(super) const DAY_MS: u64 = 86_400_000;
const KNOWN: u64 = 11;
const OF_TAG: u64 = 12;

fn cells(limits: usize) -> &'static [Cell] {
    Box::leak((0..Balances::cells_for(limits)).map(|_| Cell::default()).collect())
}

pub(super) fn yearly(amount: u64) -> Limit {
    Limit::new(Unit::Requests, amount, Window::Calendar(Period::Year))
}

fn at(now_ms: u64) -> Moment {
    let unix_ms = START_UNIX_MS + now_ms;
    Moment {
        unix_ms,
        today: Today::at(&TimeZone::UTC, unix_ms),
    }
}

pub(super) struct Node {
    cells: &'static [Cell],
    settings: Settings,
    number: u64,
    pub balances: Balances,
    pub agent: Agent,
    pub now_ms: u64,
    /// Answers that another process was ahead.
    stale: u64,
}

impl Node {
    /// Not sharing yet.
    pub fn new(number: u64, limits: usize) -> Self {
        Self::with(number, limits, OnPartition::Refuse)
    }

    pub fn with(number: u64, limits: usize, on_partition: OnPartition) -> Self {
        let settings = Settings {
            groups: 1,
            on_partition,
            away_after_ms: 1_000,
            reclaim_after_ms: 60_000,
        };
        let cells = cells(limits);
        let balances = Balances::lent(cells).expect("our own layout");
        let agent = Agent::new(settings, number, balances.process(), 1);
        Self {
            cells,
            settings,
            number,
            balances,
            agent,
            now_ms: 1,
            stale: 0,
        }
    }

    /// Another process, under the same state directory.
    pub fn restart(&mut self) {
        self.balances = Balances::lent(self.cells).expect("our own layout");
        let process = self.balances.process();
        self.agent = Agent::new(self.settings, self.number, process, self.now_ms);
        self.balances.sharing().begin(&self.agent);
    }

    pub fn know(&mut self, known: &[(u64, Limit)]) {
        let (known, unix_ms) = (known.iter().copied(), START_UNIX_MS + self.now_ms);
        self.agent
            .know(&self.balances, known, (&TimeZone::UTC, unix_ms), self.now_ms);
    }

    pub fn share(&mut self, store: &mut Store, known: &[(u64, Limit)]) {
        self.know(known);
        self.balances.sharing().begin(&self.agent);
        self.run(store, 3_000);
    }

    /// So long, with a store that answers within the step.
    pub fn run(&mut self, store: &mut Store, ms: u64) {
        for _ in 0..ms / 10 {
            self.now_ms += 10;
            self.turn(store);
        }
    }

    pub fn turn(&mut self, store: &mut Store) {
        self.turn_with(Some(store));
    }

    /// `None`: it does not answer.
    pub fn turn_with(&mut self, store: Option<&mut Store>) {
        let (now_ms, unix_ms) = (self.now_ms, START_UNIX_MS + self.now_ms);
        self.agent.called(&self.balances, now_ms);
        self.agent.turn(&self.balances, (&TimeZone::UTC, unix_ms), now_ms);
        if let Some(request) = self.agent.request(&self.balances, now_ms) {
            let Some(store) = store else {
                return self.agent.failed(request.group, now_ms);
            };
            let reply = store.call(unix_ms, &request);
            self.stale += u64::from(matches!(reply, Reply::Stale(_)));
            self.agent
                .answered(&self.balances, request.group, reply, (unix_ms, now_ms));
        }
    }

    pub fn moment(&self) -> Moment {
        at(self.now_ms)
    }

    pub fn take(&self, id: u64, limit: &Limit, amount: u64) -> bool {
        bucket::take(&self.balances, (id, limit), &at(self.now_ms), amount).is_ok()
    }

    pub fn used(&self, id: u64, limit: &Limit) -> u64 {
        bucket::level(&self.balances, (id, limit), &at(self.now_ms)).used
    }

    pub fn at_hand(&self, id: u64, limit: &Limit) -> u64 {
        bucket::at_hand(&self.balances, (id, limit), &at(self.now_ms))
    }
}

#[test]
fn a_sweep_frees_no_lease_though_it_lies_where_something_was_freed() {
    let (mut node, mut store) = (Node::new(1 << 40, 8), Store::default());
    let minute = Limit::new(
        Unit::Requests,
        10,
        Window::Refill {
            per_ms: 60_000,
            burst: 10,
        },
    );
    // The whole table.
    for id in 2..10 {
        assert!(node.take(id, &minute, 1));
    }
    let sweep = |balances: &Balances, days: u64| {
        let unix_ms = START_UNIX_MS + days * DAY_MS;
        let marked = balances.mark_worthless(unix_ms);
        balances.free_marked(&marked, unix_ms)
    };
    assert_eq!(sweep(&node.balances, 3), 8);
    let limit = yearly(100);
    node.share(&mut store, &[(KNOWN, limit)]);
    for _ in 0..30 {
        assert!(
            node.take(KNOWN, &limit, 1) || {
                node.run(&mut store, 100);
                node.take(KNOWN, &limit, 1)
            }
        );
    }
    node.run(&mut store, 500);
    assert_eq!(
        sweep(&node.balances, 60),
        0,
        "a lease is worth something as long as it is there"
    );
    node.run(&mut store, 2_000);
    assert_eq!(node.used(KNOWN, &limit), 30);
}

#[test]
fn a_lease_that_the_table_lost_takes_back_nothing_of_what_was_used() {
    let (mut node, mut other, mut store) = (Node::new(1 << 40, 64), Node::new(2 << 40, 64), Store::default());
    let limit = yearly(100);
    node.share(&mut store, &[(KNOWN, limit)]);
    assert!((0..20).all(|_| node.take(KNOWN, &limit, 1)));
    node.run(&mut store, 500);
    // As an earlier program's sweep did.
    node.balances.all().iter().for_each(Cell::wipe);
    node.run(&mut store, 8_000);
    assert_eq!(node.used(KNOWN, &limit), 20);
    other.now_ms = node.now_ms;
    other.share(&mut store, &[(KNOWN, limit)]);
    assert_eq!(other.used(KNOWN, &limit), 20);
    assert!(node.take(KNOWN, &limit, 1), "and it is leased anew");
}

#[test]
fn what_is_known_anew_takes_no_lease_away_that_is_in_use() {
    let (mut node, mut store) = (Node::new(1 << 40, 64), Store::default());
    let (known, of_tag) = (yearly(1_000), yearly(1_000));
    node.share(&mut store, &[(KNOWN, known)]);
    // A tag's first call makes its lease.
    assert!(!node.take(OF_TAG, &of_tag, 1));
    node.run(&mut store, 100);
    assert!(node.take(OF_TAG, &of_tag, 1));
    node.run(&mut store, 100);
    let before = [node.at_hand(KNOWN, &known), node.at_hand(OF_TAG, &of_tag)];
    assert!(before.iter().all(|at_hand| *at_hand > 0), "{before:?}");
    // A key is made elsewhere.
    node.know(&[(KNOWN, known), (99, yearly(5))]);
    node.run(&mut store, 50);
    assert_eq!(before, [node.at_hand(KNOWN, &known), node.at_hand(OF_TAG, &of_tag)]);
    // What is not limited any more goes back, and what nobody used for long.
    node.know(&[(99, yearly(5))]);
    node.run(&mut store, 3_000);
    assert_eq!(node.at_hand(KNOWN, &known), 0);
    assert!(node.at_hand(OF_TAG, &of_tag) > 0);
    node.run(&mut store, 3_601_000);
    node.know(&[(99, yearly(5))]);
    node.run(&mut store, 3_000);
    assert_eq!((node.at_hand(OF_TAG, &of_tag), node.agent.standing().leases), (0, 1));
}

#[test]
fn a_call_that_began_before_cluster_was_turned_on_or_off_settles_where_it_began_and_counts_where_it_ends() {
    let (mut node, mut store) = (Node::new(1 << 40, 64), Store::default());
    let calls = Limit::new(Unit::Concurrent, 100, Window::None);
    let bucket = Limit::new(
        Unit::Tokens,
        100,
        Window::Refill {
            per_ms: DAY_MS,
            burst: 100,
        },
    );
    let all = [(2, yearly(100)), (3, calls), (4, bucket)];
    let take = |node: &Node, amount: u64| {
        all.map(|(id, limit)| bucket::take(&node.balances, (id, &limit), &at(node.now_ms), amount).expect("room"))
    };
    let settle = |node: &Node, taken: [bucket::Taken; 3], used: u64| {
        for ((id, limit), taken) in all.iter().zip(taken) {
            bucket::settle(&node.balances, (*id, limit), &at(node.now_ms), taken, used);
        }
    };
    let used = |node: &Node| all.map(|(id, limit)| node.used(id, &limit));
    let own = take(&node, 10);
    node.share(&mut store, &all);
    let shared = take(&node, 20);
    assert_eq!(used(&node), [20; 3]);
    settle(&node, own, 0);
    assert_eq!(used(&node), [20; 3], "others' use is not taken back");
    node.run(&mut store, 500);
    node.balances.sharing().turn_off();
    assert_eq!(used(&node), [0; 3], "what was taken of the node's own came back there");
    let own = take(&node, 5);
    settle(&node, shared, 1);
    assert_eq!(
        used(&node),
        [6, 5, 6],
        "what ends here counts here, but for being under way"
    );
    settle(&node, own, 5);
    node.balances.sharing().begin(&node.agent);
    node.run(&mut store, 500);
    assert_eq!(used(&node), [1; 3], "and what was taken of the shared there");
}

#[test]
fn two_processes_of_one_number_are_told_of_once_and_let_the_store_be() {
    let (mut one, mut two, mut store) = (Node::new(1 << 40, 64), Node::new(1 << 40, 64), Store::default());
    let limit = yearly(1_000);
    one.share(&mut store, &[(KNOWN, limit)]);
    two.share(&mut store, &[(KNOWN, limit)]);
    let mut told = 0;
    for _ in 0..3_000 {
        for node in [&mut one, &mut two] {
            node.take(KNOWN, &limit, 1);
            node.run(&mut store, 10);
            told += node
                .agent
                .notices()
                .filter(|notice| *notice == Notice::Overtaken)
                .count();
        }
    }
    assert!((1..=2).contains(&told), "each tells it once in 30 s: {told}");
    // Four in a second, of each.
    let stale = one.stale + two.stale;
    assert!((1..=2 * 4 * 34).contains(&stale), "{stale} in vain");
}

/// What a node tells of its limits in so long.
fn told(node: &mut Node, store: &mut Store, ms: u64, mut each: impl FnMut(&Node)) -> Vec<Entry> {
    let mut entries = Vec::new();
    for _ in 0..ms / 10 {
        node.now_ms += 10;
        each(node);
        let (unix_ms, now_ms) = (START_UNIX_MS + node.now_ms, node.now_ms);
        node.agent.called(&node.balances, now_ms);
        if let Some(request) = node.agent.request(&node.balances, now_ms) {
            let reply = store.call(unix_ms, &request);
            node.agent
                .answered(&node.balances, request.group, reply, (unix_ms, now_ms));
            entries.extend(request.entries);
        }
    }
    entries
}

#[test]
fn the_store_keeps_a_limit_until_its_period_is_over_and_a_week_more() {
    let all = [
        (Period::Day, 1),
        (Period::Week, 7),
        (Period::Month, 31),
        (Period::Quarter, 92),
        (Period::Year, 366),
    ];
    for (period, days) in all {
        let (mut node, mut store) = (Node::new(1 << 40, 8), Store::default());
        node.know(&[(KNOWN, Limit::new(Unit::Requests, 10, Window::Calendar(period)))]);
        let entries = told(&mut node, &mut store, 1_000, |_| {});
        let ttl_ms = entries.first().expect("it is told").ttl_ms;
        assert_eq!(ttl_ms, (days + 7) * DAY_MS + 3_600_000, "{period:?}");
    }
}

#[test]
fn who_used_what_of_a_busy_limit_is_asked_for_every_two_seconds() {
    let (mut node, mut store) = (Node::new(1 << 40, 8), Store::default());
    let limit = yearly(100_000);
    node.share(&mut store, &[(KNOWN, limit)]);
    let uses = |node: &Node| _ = node.take(KNOWN, &limit, 1);
    let entries = told(&mut node, &mut store, 10_000, uses);
    let asks = entries.iter().filter(|entry| entry.asks).count();
    assert!(
        entries.len() > 60 && (4..=6).contains(&asks),
        "{asks} of {}",
        entries.len()
    );
    // In another epoch, of which the first answer tells, until it is said.
    store = Store::default();
    let entries = told(&mut node, &mut store, 3_000, uses);
    let asks: Vec<bool> = entries.iter().skip(1).map(|entry| entry.asks).collect();
    let until_said = asks.iter().take_while(|asks| **asks).count();
    assert!(until_said > 0 && until_said < asks.len(), "{asks:?}");
}
