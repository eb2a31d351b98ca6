//! Nodes that do not hear the store, by `on_partition`, for limits of every kind; and nodes that share one where some are busy.
//! The bounds are those of docs/src/limits.md.

use tollgate_config::document::{Limit, Period, Unit, Window};

use super::{OnPartition, change_tests::Node, store_model::Store};
use crate::limits::bucket::{self, Taken};

const ID: u64 = 31;
const MOST: u64 = 1_200;
const AWAY_MS: u64 = 20_000;
const PER_MS: u64 = 600_000;

fn nodes(count: u64, policy: OnPartition, store: &mut Store, limit: &Limit) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=count).map(|number| Node::with(number << 40, 64, policy)).collect();
    for node in &mut nodes {
        node.know(&[(ID, *limit)]);
        node.balances.sharing().begin(&node.agent);
    }
    run(&mut nodes, Some(store), 12_000);
    nodes
}

fn run(nodes: &mut [Node], mut store: Option<&mut Store>, ms: u64) {
    for _ in 0..ms / 10 {
        for node in &mut *nodes {
            node.now_ms += 10;
            node.turn_with(store.as_deref_mut());
        }
    }
}

fn take(node: &Node, limit: &Limit, amount: u64) -> Option<Taken> {
    bucket::take(&node.balances, (ID, limit), &node.moment(), amount).ok()
}

/// All that they can get in that time, in calls of ten units.
fn all(nodes: &mut [Node], mut store: Option<&mut Store>, limit: &Limit, ms: u64) -> (u64, Vec<(usize, Taken)>) {
    let (mut got, mut taken) = (0, Vec::new());
    for _ in 0..ms / 100 {
        for (at, node) in nodes.iter().enumerate() {
            while let Some(one) = take(node, limit, 10) {
                got += one.amount;
                taken.push((at, one));
            }
        }
        run(nodes, store.as_deref_mut(), 100);
    }
    (got, taken)
}

fn of_every_kind() -> [Limit; 3] {
    let mut money = Limit::new(Unit::Budget, MOST, Window::Calendar(Period::Year));
    money.hard = true;
    let bucket = Window::Refill {
        per_ms: PER_MS,
        burst: MOST,
    };
    [
        money,
        Limit::new(Unit::Tokens, MOST, bucket),
        Limit::new(Unit::Concurrent, MOST, Window::None),
    ]
}

/// Of a bucket, what flows back into it in that time.
fn flows(limit: &Limit, ms: u64) -> u64 {
    match limit.window {
        Window::Refill { per_ms, .. } => limit.amount * ms / per_ms + 1,
        Window::Calendar(_) | Window::None => 0,
    }
}

#[test]
fn without_the_store_nodes_grant_what_the_page_says_of_every_kind() {
    const NODES: u64 = 3;
    for limit in of_every_kind() {
        for policy in [OnPartition::Refuse, OnPartition::LocalShare, OnPartition::Allow] {
            let mut store = Store::by(1);
            let mut nodes = nodes(NODES, policy, &mut store, &limit);
            let held: u64 = nodes.iter().map(|node| node.at_hand(ID, &limit)).sum();
            run(&mut nodes, None, 2_000);
            let (got, taken) = all(&mut nodes, None, &limit, AWAY_MS);
            let more = flows(&limit, AWAY_MS + 2_000);
            // Calls of ten leave less than ten to each node, and as much may have gone back.
            let (least, most) = match policy {
                OnPartition::Refuse => (held - 20 * NODES, held),
                OnPartition::LocalShare => (MOST - 20 * NODES, MOST + more),
                OnPartition::Allow => (NODES * (MOST - held) - 20 * NODES, NODES * (MOST + more)),
            };
            assert!(
                (least..=most).contains(&got),
                "{limit:?}, {policy:?}: {got} of {least} to {most}"
            );
            // It is back, and hears of all: what was beyond is debt.
            run(&mut nodes, Some(&mut store), 3_000);
            let (again, later) = all(&mut nodes, Some(&mut store), &limit, 2_000);
            let spent = got + again;
            let bound = most.max(MOST) + flows(&limit, AWAY_MS + 10_000);
            assert!(spent <= bound, "{limit:?}, {policy:?}: {got} and {again}");
            for (at, one) in taken.into_iter().chain(later) {
                let node = &nodes[at];
                bucket::settle(&node.balances, (ID, &limit), &node.moment(), one, one.amount / 2);
            }
            run(&mut nodes, Some(&mut store), 12_000);
            let used: Vec<u64> = nodes.iter().map(|node| node.used(ID, &limit)).collect();
            match limit.window {
                Window::Calendar(_) => assert_eq!(used, vec![spent / 2; NODES as usize], "{policy:?}"),
                // The half that is given back has flowed off in part.
                Window::Refill { .. } => assert!(used.iter().all(|used| *used <= spent), "{policy:?}: {used:?}"),
                Window::None => (),
            }
        }
    }
}

#[test]
fn idle_nodes_hold_a_quarter_of_what_is_left_and_a_busy_one_gets_all_of_it() {
    const NODES: u64 = 16;
    let limit = Limit::new(Unit::Requests, MOST, Window::Calendar(Period::Year));
    let mut store = Store::by(1);
    let mut nodes = nodes(NODES, OnPartition::Refuse, &mut store, &limit);
    let at_hand: Vec<u64> = nodes.iter().map(|node| node.at_hand(ID, &limit)).collect();
    let idle: u64 = at_hand.iter().sum();
    assert!(
        at_hand.iter().all(|held| *held > 0),
        "the first call of each passes: {at_hand:?}"
    );
    assert!(idle <= MOST / 4 + NODES, "{at_hand:?}");
    let (mut got, mut refused) = (0, 0);
    while got < MOST && refused < 200 {
        match take(&nodes[0], &limit, 1) {
            Some(_) => got += 1,
            None => {
                refused += 1;
                run(&mut nodes, Some(&mut store), 50);
            }
        }
    }
    assert_eq!(got, MOST, "after {refused} refusals of 50 ms");
}

#[test]
fn of_nodes_that_are_as_busy_as_each_other_none_is_left_without() {
    const NODES: u64 = 4;
    let limit = Limit::new(Unit::Requests, MOST, Window::Calendar(Period::Year));
    let mut store = Store::by(1);
    let mut nodes = nodes(NODES, OnPartition::Refuse, &mut store, &limit);
    let mut got = vec![0; nodes.len()];
    for _ in 0..2_000 {
        for (got, node) in got.iter_mut().zip(&nodes) {
            *got += take(node, &limit, 1).map_or(0, |one| one.amount);
        }
        run(&mut nodes, Some(&mut store), 10);
    }
    assert_eq!(got.iter().sum::<u64>(), MOST);
    assert!(
        got.iter().all(|got| *got >= MOST / NODES / 2),
        "half of its share at least: {got:?}"
    );
}
