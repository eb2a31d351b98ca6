//! Cells of limits that nodes share go back to the table when nothing holds them, and not before: what was used is not forgotten
//! within its window, and a lease is never found without what was used of it.

use tollgate_config::document::{Limit, Period, Unit, Window};

use super::{
    change_tests::{DAY_MS, Node, START_UNIX_MS},
    store_model::Store,
};
use crate::limits::{bucket, leased_cells};

const HOUR_MS: u64 = 3_600_000;
const NODE: u64 = 1 << 40;
const HOURLY: u64 = 11;
const DAILY: u64 = 13;
const UNDER_WAY: u64 = 15;

fn limits() -> [(u64, Limit); 3] {
    let per_ms = HOUR_MS;
    let hourly = Limit::new(Unit::Requests, 10, Window::Refill { per_ms, burst: 10 });
    let daily = Limit::new(Unit::Requests, 10, Window::Calendar(Period::Day));
    let under_way = Limit::new(Unit::Concurrent, 10, Window::None);
    [(HOURLY, hourly), (DAILY, daily), (UNDER_WAY, under_way)]
}

/// Whose clock goes on without a call, as a node's does that nobody uses.
fn pass(node: &mut Node, store: &mut Store, ms: u64) {
    node.now_ms += ms;
    node.run(store, 3_000);
}

/// Its keys are removed, and the store is told.
fn forget(node: &mut Node, store: &mut Store) {
    node.know(&[]);
    node.run(store, 3_000);
}

/// As the shell does, with nobody about anything.
fn sweep(node: &Node) -> u64 {
    let unix_ms = START_UNIX_MS + node.now_ms;
    let marked = node.balances.mark_worthless(unix_ms);
    node.balances.free_marked(&marked, unix_ms)
}

/// So many units, however small the lease is at first.
fn take(node: &mut Node, store: &mut Store, (id, limit): (u64, Limit), count: u64) {
    for _ in 0..count {
        let passed = (0..20).any(|_| {
            node.take(id, &limit, 1) || {
                node.run(store, 100);
                false
            }
        });
        assert!(passed, "{id} has room");
    }
    node.run(store, 2_000);
}

#[test]
fn what_a_removed_key_used_stays_for_its_window_and_then_its_cells_go_back() {
    let (mut node, mut store) = (Node::new(NODE, 64), Store::default());
    let all = limits();
    node.share(&mut store, &all);
    let [hourly, daily, _] = all;
    take(&mut node, &mut store, hourly, 4);
    take(&mut node, &mut store, daily, 4);
    let before = node.balances.fill().taken;
    forget(&mut node, &mut store);
    pass(&mut node, &mut store, HOUR_MS);
    assert_eq!(node.agent.standing().leases, 0, "nothing is held");
    assert_eq!(sweep(&node), 0);
    // Made again within its day it finds what it had used.
    node.know(&all);
    node.run(&mut store, 3_000);
    assert_eq!(node.used(DAILY, &daily.1), 4);
    take(&mut node, &mut store, daily, 6);
    assert!(!node.take(DAILY, &daily.1, 1), "ten are all");
    forget(&mut node, &mut store);
    // The call that was refused has it looked at once more, for an hour.
    pass(&mut node, &mut store, 2 * HOUR_MS);
    pass(&mut node, &mut store, 3 * DAY_MS);
    let freed = sweep(&node);
    assert_eq!(node.balances.fill().taken, before - freed);
    for (id, _) in all {
        assert!(leased_cells::balance(&node.balances, id).is_none(), "{id} holds a cell");
    }
    assert_eq!(sweep(&node), 0, "all at once");
    // Another day: nothing is used.
    node.know(&all);
    node.run(&mut store, 3_000);
    for (id, limit) in &all {
        assert_eq!(node.used(*id, limit), 0);
    }
    take(&mut node, &mut store, daily, 10);
    assert!(!node.take(DAILY, &daily.1, 1));
}

#[test]
fn what_is_known_is_never_given_back_and_tags_that_nobody_says_are() {
    let (mut node, mut store) = (Node::new(NODE, 64), Store::default());
    let [hourly, daily, _] = limits();
    node.share(&mut store, &[hourly]);
    let of_tag = (17, daily.1);
    // Whoever says it first is refused, and the lease grows.
    take(&mut node, &mut store, of_tag, 3);
    for _ in 0..4 {
        pass(&mut node, &mut store, DAY_MS);
        sweep(&node);
    }
    assert!(leased_cells::balance(&node.balances, of_tag.0).is_none());
    assert!(leased_cells::balance(&node.balances, HOURLY).is_some());
    take(&mut node, &mut store, hourly, 10);
    assert!(!node.take(HOURLY, &hourly.1, 1));
}

#[test]
fn a_call_that_is_under_way_keeps_its_key_s_cells() {
    let (mut node, mut store) = (Node::new(NODE, 64), Store::default());
    let [.., under_way] = limits();
    node.share(&mut store, &[under_way]);
    let call = bucket::take(&node.balances, (UNDER_WAY, &under_way.1), &node.moment(), 1).expect("room");
    node.run(&mut store, 2_000);
    forget(&mut node, &mut store);
    for _ in 0..3 {
        pass(&mut node, &mut store, DAY_MS);
        assert_eq!(sweep(&node), 0);
    }
    bucket::settle(&node.balances, (UNDER_WAY, &under_way.1), &node.moment(), call, 0);
    // Heard of, left an hour later, and worth nothing 25 hours after that.
    for _ in 0..4 {
        pass(&mut node, &mut store, DAY_MS);
        sweep(&node);
    }
    assert!(leased_cells::balance(&node.balances, UNDER_WAY).is_none());
}

#[test]
fn a_limit_that_is_used_between_the_steps_keeps_all_of_its_cells() {
    let (mut node, mut store) = (Node::new(NODE, 64), Store::default());
    let [hourly, ..] = limits();
    node.share(&mut store, &[hourly]);
    take(&mut node, &mut store, hourly, 4);
    forget(&mut node, &mut store);
    pass(&mut node, &mut store, 2 * DAY_MS);
    let unix_ms = START_UNIX_MS + node.now_ms;
    let marked = node.balances.mark_worthless(unix_ms);
    assert!(!marked.is_empty());
    node.know(&[hourly]);
    assert_eq!(node.balances.free_marked(&marked, unix_ms), 0);
    take(&mut node, &mut store, hourly, 10);
    assert!(!node.take(HOURLY, &hourly.1, 1));
}

/// The process died when the balance was free and its lease not yet.
#[test]
fn a_lease_that_is_left_without_its_balance_grants_nothing() {
    let (mut node, mut store) = (Node::new(NODE, 64), Store::default());
    let [hourly, ..] = limits();
    node.share(&mut store, &[hourly]);
    assert!(node.at_hand(HOURLY, &hourly.1) > 0);
    let cell = leased_cells::balance(&node.balances, HOURLY).expect("it is used");
    assert!(cell.owner().mark() && cell.owner().clear());
    cell.wipe();
    cell.owner().free();
    assert_eq!(node.at_hand(HOURLY, &hourly.1), 0);
    node.restart();
    node.know(&[hourly]);
    node.run(&mut store, 3_000);
    take(&mut node, &mut store, hourly, 10);
    assert!(!node.take(HOURLY, &hourly.1, 1));
}
