//! What becomes of limits where the store loses what it knew: who is waited for and how long, what is known again, and what of
//! it was given back. By hand, one loss after the other; `sim_tests` has them in any order.

use tollgate_config::document::{Limit, Period, Unit, Window};

use super::{
    change_tests::{Node, START_UNIX_MS, yearly},
    marks,
    store_model::Store,
};
use crate::limits::bucket;

const ID: u64 = 21;
const RECLAIM_MS: u64 = 60_000;

fn nodes(count: u64, store: &mut Store, limit: &Limit) -> Vec<Node> {
    let mut nodes: Vec<Node> = (1..=count).map(|number| Node::new(number << 40, 64)).collect();
    for node in &mut nodes {
        node.know(&[(ID, *limit)]);
        node.balances.sharing().begin(&node.agent);
    }
    run(&mut nodes, store, 12_000);
    nodes
}

/// So long for all of them, by turns.
fn run(nodes: &mut [Node], store: &mut Store, ms: u64) {
    for _ in 0..ms / 10 {
        for node in &mut *nodes {
            node.now_ms += 10;
            node.turn(store);
        }
    }
}

/// So many calls of one each, at a node that may wait for its lease.
fn calls(nodes: &mut [Node], at: usize, store: &mut Store, limit: &Limit, count: u64) -> u64 {
    (0..count).fold(0, |passed, _| {
        let passes = (0..40).any(|_| {
            nodes[at].take(ID, limit, 1) || {
                run(nodes, store, 50);
                false
            }
        });
        passed + u64::from(passes)
    })
}

fn used(nodes: &[Node], limit: &Limit) -> Vec<u64> {
    nodes.iter().map(|node| node.used(ID, limit)).collect()
}

#[test]
fn a_node_that_was_there_is_waited_for_and_no_longer_than_its_lease_may_last() {
    let (mut store, limit) = (Store::by(1), yearly(1_000));
    let mut nodes = nodes(2, &mut store, &limit);
    assert_eq!(calls(&mut nodes, 0, &mut store, &limit, 10), 10);
    run(&mut nodes, &mut store, 6_000);
    store = Store::by(1);
    let had = nodes[0].at_hand(ID, &limit);
    // The second is cut off: nobody knows what it uses.
    run(&mut nodes[..1], &mut store, 30_000);
    assert!((0..had).all(|_| nodes[0].take(ID, &limit, 1)), "what it holds it has");
    run(&mut nodes[..1], &mut store, 20_000);
    assert!(!nodes[0].take(ID, &limit, 1), "nothing is granted meanwhile");
    // It comes back: at once there is enough.
    nodes[1].now_ms = nodes[0].now_ms;
    run(&mut nodes, &mut store, 1_500);
    assert!(nodes[0].take(ID, &limit, 1));
    // Another time it does not.
    store = Store::by(1);
    run(&mut nodes[..1], &mut store, RECLAIM_MS / 2);
    let had = nodes[0].at_hand(ID, &limit);
    assert!((0..had).all(|_| nodes[0].take(ID, &limit, 1)));
    assert!(!nodes[0].take(ID, &limit, 1));
    run(&mut nodes[..1], &mut store, RECLAIM_MS / 2 + 3_000);
    assert!(
        nodes[0].take(ID, &limit, 1),
        "who does not come in that time has nothing any more"
    );
}

#[test]
fn a_node_that_left_in_order_is_not_waited_for() {
    let (mut store, limit) = (Store::by(1), yearly(1_000));
    let mut nodes = nodes(2, &mut store, &limit);
    let now_ms = nodes[1].now_ms;
    nodes[1].agent.leave(now_ms);
    run(&mut nodes, &mut store, 1_000);
    store = Store::by(1);
    run(&mut nodes[..1], &mut store, 3_000);
    let had = nodes[0].at_hand(ID, &limit);
    assert!((0..had).all(|_| nodes[0].take(ID, &limit, 1)));
    run(&mut nodes[..1], &mut store, 200);
    assert!(nodes[0].take(ID, &limit, 1));
}

#[test]
fn what_was_told_between_two_losses_is_not_forgotten() {
    let (mut store, limit) = (Store::by(1), yearly(100));
    let mut nodes = nodes(2, &mut store, &limit);
    assert_eq!(calls(&mut nodes, 1, &mut store, &limit, 30), 30);
    // The first has not heard of all of it; it tells its own to a store that is lost before the second tells.
    store = Store::by(1);
    while nodes[0].take(ID, &limit, 1) {}
    let own = nodes[0].used(ID, &limit).saturating_sub(30).max(1);
    run(&mut nodes[..1], &mut store, 1_000);
    store = Store::by(1);
    nodes[1].now_ms = nodes[0].now_ms;
    run(&mut nodes, &mut store, 12_000);
    let known = used(&nodes, &limit);
    assert_eq!(known[0], known[1]);
    assert!(known[0] >= 30 + own, "{known:?}, of which {own} and 30");
    let left = 100 - known[0];
    assert_eq!(calls(&mut nodes, 0, &mut store, &limit, left + 5), left);
}

#[test]
fn what_was_given_back_before_a_loss_is_there_again() {
    let (mut store, limit) = (
        Store::by(1),
        Limit::new(Unit::Tokens, 1_000, Window::Calendar(Period::Year)),
    );
    let mut nodes = nodes(2, &mut store, &limit);
    let now = nodes[0].moment();
    let taken = bucket::take(&nodes[0].balances, (ID, &limit), &now, 100).expect("leased");
    // Both hear that a hundred are used, and one of them alone that ninety came back.
    run(&mut nodes, &mut store, 12_000);
    assert_eq!(used(&nodes, &limit), [100, 100]);
    bucket::settle(&nodes[0].balances, (ID, &limit), &nodes[0].moment(), taken, 10);
    run(&mut nodes[..1], &mut store, 300);
    store = Store::by(1);
    nodes[1].now_ms = nodes[0].now_ms;
    run(&mut nodes, &mut store, 12_000);
    assert_eq!(used(&nodes, &limit), [10, 10]);
}

#[test]
fn who_comes_back_after_long_counts_nothing_twice() {
    // Of these what a node that is gone held is given to others.
    let limit = Limit::new(Unit::Tokens, 1_000, Window::Calendar(Period::Year));
    let mut store = Store::by(1);
    let mut nodes = nodes(2, &mut store, &limit);
    for node in &nodes {
        assert!(node.take(ID, &limit, 50));
    }
    run(&mut nodes, &mut store, 12_000);
    assert_eq!(used(&nodes, &limit), [100, 100]);
    run(&mut nodes[..1], &mut store, 3 * RECLAIM_MS);
    nodes[1].now_ms = nodes[0].now_ms;
    nodes[1].restart();
    nodes[1].know(&[(ID, limit)]);
    run(&mut nodes, &mut store, 12_000);
    assert_eq!(used(&nodes, &limit), [100, 100]);
}

#[test]
fn a_replica_that_lacks_a_grant_makes_it_to_nobody_else() {
    let (mut store, limit) = (Store::by(1), yearly(100));
    let mut nodes = nodes(2, &mut store, &limit);
    let replica = store.clone();
    assert_eq!(calls(&mut nodes[..1], 0, &mut store, &limit, 40), 40);
    let had = nodes[0].at_hand(ID, &limit);
    store = replica.taken_over_by(2);
    // The second is the first to call, and the first is away for a while.
    nodes[1].now_ms = nodes[0].now_ms;
    let others = calls(&mut nodes[1..], 0, &mut store, &limit, 20);
    let more = (0..had + 1).filter(|_| nodes[0].take(ID, &limit, 1)).count() as u64;
    assert_eq!(more, had);
    nodes[0].now_ms = nodes[1].now_ms;
    run(&mut nodes, &mut store, 8_000);
    let passed = 40 + others + more;
    let last = calls(&mut nodes, 1, &mut store, &limit, 100);
    assert_eq!(passed + last, 100);
}

#[test]
fn what_a_node_that_is_gone_had_used_counts_once_however_often_the_store_is_lost() {
    let (mut store, limit) = (Store::by(1), yearly(200));
    let mut nodes = nodes(3, &mut store, &limit);
    let mut passed = calls(&mut nodes, 0, &mut store, &limit, 11);
    let copy = store.clone();
    passed += calls(&mut nodes, 2, &mut store, &limit, 30);
    run(&mut nodes, &mut store, 6_000);
    let now_ms = nodes[2].now_ms;
    nodes[2].agent.leave(now_ms);
    run(&mut nodes, &mut store, 1_000);
    nodes.truncate(2);
    for (round, server) in (0..13).zip(2..) {
        // Forgotten, or what one alone had told takes the place of it, or what it was long ago.
        store = match round % 3 {
            0 => Store::by(server),
            1 => store.taken_over_by(server),
            _ => copy.clone().taken_over_by(server),
        };
        // By turns one of them is there first, and it is lost before the other comes, or is not; one of them crashes.
        let first = round / 3 % 2;
        passed += (0..2).filter(|_| nodes[first].take(ID, &limit, 1)).count() as u64;
        run(&mut nodes[first..=first], &mut store, 1_000);
        nodes[1 - first].now_ms = nodes[first].now_ms;
        if round % 4 == 3 {
            run(&mut nodes, &mut store, 6_000);
            nodes[0].restart();
            nodes[0].know(&[(ID, limit)]);
        }
    }
    run(&mut nodes, &mut store, 12_000);
    assert_eq!(used(&nodes, &limit), [passed, passed]);
    assert_eq!(calls(&mut nodes, 1, &mut store, &limit, 200), 200 - passed);
}

#[test]
fn where_all_crashed_the_use_of_one_that_is_gone_is_in_the_sum_that_was_heard() {
    let (mut store, limit) = (Store::by(1), yearly(100));
    let mut nodes = nodes(2, &mut store, &limit);
    assert_eq!(calls(&mut nodes, 1, &mut store, &limit, 30), 30);
    assert_eq!(calls(&mut nodes, 0, &mut store, &limit, 10), 10);
    run(&mut nodes, &mut store, 6_000);
    // The second ends in order; the first and the store fall with the same power.
    let now_ms = nodes[1].now_ms;
    nodes[1].agent.leave(now_ms);
    run(&mut nodes, &mut store, 1_000);
    store = Store::by(1);
    nodes[0].restart();
    nodes[0].know(&[(ID, limit)]);
    run(&mut nodes[..1], &mut store, 12_000);
    assert_eq!(nodes[0].used(ID, &limit), 40);
    // It begins again, and what it used is not counted again.
    nodes[1].now_ms = nodes[0].now_ms;
    nodes[1].restart();
    nodes[1].know(&[(ID, limit)]);
    run(&mut nodes, &mut store, 12_000);
    assert_eq!(used(&nodes, &limit), [40, 40]);
    assert_eq!(calls(&mut nodes, 1, &mut store, &limit, 100), 60);
}

/// Both crash, and the store with them.
fn restart(nodes: &mut [Node], limit: &Limit) {
    let now_ms = nodes.iter().map(|node| node.now_ms).max().unwrap_or(0);
    for node in nodes {
        node.now_ms = now_ms;
        node.restart();
        node.know(&[(ID, *limit)]);
    }
}

#[test]
fn where_the_same_older_copy_comes_twice_and_all_crashed_what_was_used_between_is_told() {
    for limit in [yearly(200), monthly(200)] {
        let mut store = Store::by(1);
        let mut nodes = nodes(2, &mut store, &limit);
        let mut passed = calls(&mut nodes, 0, &mut store, &limit, 20);
        run(&mut nodes, &mut store, 6_000);
        let copy = store.clone();
        store = copy.clone().taken_over_by(2);
        run(&mut nodes, &mut store, 6_000);
        passed += calls(&mut nodes, 1, &mut store, &limit, 80);
        run(&mut nodes, &mut store, 6_000);
        assert_eq!((passed, used(&nodes, &limit)), (100, vec![100, 100]));
        let before = nodes[0].agent.standing().epoch;
        store = copy.taken_over_by(3);
        restart(&mut nodes, &limit);
        run(&mut nodes, &mut store, 12_000);
        assert!(nodes[0].agent.standing().epoch > before, "no number comes again");
        assert_eq!(used(&nodes, &limit), [100, 100]);
        assert_eq!(calls(&mut nodes, 0, &mut store, &limit, 200), 100);
    }
}

/// Of a period that nothing flows off in.
fn monthly(amount: u64) -> Limit {
    let window = Window::Refill {
        per_ms: 100 * 86_400_000 * 1_000,
        burst: amount,
    };
    Limit::new(Unit::Requests, amount, window)
}

#[test]
fn an_epoch_is_not_taken_for_another_whose_mark_is_the_same() {
    for limit in [yearly(200), monthly(200)] {
        let mut store = Store::by(1);
        let mut nodes = nodes(2, &mut store, &limit);
        assert_eq!(calls(&mut nodes, 0, &mut store, &limit, 120), 120);
        run(&mut nodes, &mut store, 6_000);
        let before = nodes[0].agent.standing().epoch;
        // The first call to a new store comes ten milliseconds later, and the number of its epoch is the next.
        while (START_UNIX_MS + nodes[0].now_ms + 11) % 1_023 != before % 1_023 {
            nodes[0].now_ms += 1;
        }
        store = Store::by(1);
        restart(&mut nodes, &limit);
        run(&mut nodes, &mut store, 12_000);
        let epoch = nodes[0].agent.standing().epoch;
        assert!(epoch > before && epoch % 1_023 == before % 1_023, "{before} {epoch}");
        assert_eq!(used(&nodes, &limit), [120, 120]);
        assert_eq!(calls(&mut nodes, 1, &mut store, &limit, 200), 80);
    }
}

#[test]
fn leases_of_an_earlier_version_are_told_whether_the_store_was_lost_or_not() {
    for (limit, is_lost) in [
        (yearly(200), true),
        (yearly(200), false),
        (monthly(200), true),
        (monthly(200), false),
    ] {
        let mut store = Store::by(1);
        let mut nodes = nodes(2, &mut store, &limit);
        assert_eq!(calls(&mut nodes, 0, &mut store, &limit, 120), 120);
        run(&mut nodes, &mut store, 6_000);
        // Which kept no whole number of an epoch.
        for node in &nodes {
            marks::forget(&node.balances, 0);
        }
        restart(&mut nodes, &limit);
        if is_lost {
            store = Store::by(1);
        }
        run(&mut nodes, &mut store, 12_000);
        assert_eq!(used(&nodes, &limit), [120, 120]);
    }
}

#[test]
fn of_an_older_copy_and_the_sum_that_a_crashed_node_had_heard_the_larger_counts() {
    let (mut store, limit) = (Store::by(1), yearly(200));
    let mut nodes = nodes(2, &mut store, &limit);
    let mut passed = calls(&mut nodes, 0, &mut store, &limit, 20);
    run(&mut nodes, &mut store, 6_000);
    let copy = store.clone();
    passed += calls(&mut nodes, 1, &mut store, &limit, 80);
    run(&mut nodes, &mut store, 6_000);
    // All crash, and the second comes back no more.
    store = copy.taken_over_by(2);
    restart(&mut nodes, &limit);
    nodes.truncate(1);
    run(&mut nodes, &mut store, RECLAIM_MS + 12_000);
    assert_eq!((passed, used(&nodes, &limit)), (100, vec![100]));
    let last = calls(&mut nodes, 0, &mut store, &limit, 200);
    assert!(last <= 100, "{last}");
}
