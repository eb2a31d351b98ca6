//! A small world where proptest chooses what comes next, and makes what fails smaller.

use proptest::prelude::*;

use super::{BUCKET, CALLS, MONEY, REQUESTS, Store, World};

/// A step of a small world, where proptest chooses: a node's call, time, a message lost, a crash, a store that
/// forgets, is copied, or has its last copy take its place.
#[derive(Clone, Copy, Debug)]
enum Does {
    Calls(usize, u64),
    Ends(usize),
    Waits(u64),
    Cut(usize, u64),
    Crashes(usize),
    Forgets,
    Copies,
    FailsOver,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        6 => (0..2usize, 1..30u64).prop_map(|(node, amount)| Does::Calls(node, amount)),
        3 => (0..2usize).prop_map(Does::Ends),
        4 => prop_oneof![Just(1u64), Just(20), Just(300)].prop_map(Does::Waits),
        1 => (0..2usize, 1..900u64).prop_map(|(node, ms)| Does::Cut(node, ms)),
        1 => (0..2usize).prop_map(Does::Crashes),
        1 => prop_oneof![Just(Does::Forgets), Just(Does::Copies), Just(Does::FailsOver)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever two nodes do and suffer: the oracle, one count under one hand, is never above the limit (`World::call`), and in
    /// the end one of them gets all that it leaves.
    #[test]
    fn two_nodes_are_as_one_count(all in prop::collection::vec(does(), 1..120)) {
        let mut world = World::new(7, 2, 1, [50, 40, 3, 400]);
        world.quiet(2_500);
        for one in all {
            match one {
                Does::Calls(at, amount) => {
                    world.call(at, REQUESTS, 1);
                    world.call(at, BUCKET, 1);
                    world.call(at, CALLS, 1);
                    world.call(at, MONEY, amount);
                }
                Does::Ends(at) => world.end(at, 0),
                Does::Waits(ms) => world.step(ms, false),
                Does::Cut(at, ms) => world.nodes[at].cut_until_ms = world.now_ms + ms,
                Does::Crashes(at) => world.crash(at, 0),
                Does::Forgets => world.store = Store::by(world.store.server),
                Does::Copies => world.replica = world.store.clone(),
                Does::FailsOver => world.fail_over(),
            }
        }
        while world.nodes.iter().any(|node| !node.open[0].is_empty()) {
            (0..2).for_each(|at| world.end(at, 0));
        }
        world.quiet(4_000);
        for (id, amount) in [(REQUESTS, 50), (CALLS, 3)] {
            let left = amount - world.used.get(&id).copied().unwrap_or(0);
            let got = world.drain(1, id, left);
            prop_assert_eq!(got, left, "{}", world.told(id));
        }
    }
}
