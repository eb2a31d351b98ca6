//! Two data planes that count in one file at the same time, as two generations of one node do while the second takes over: no
//! limit is exceeded by a unit, whichever of them a call goes through, and when one is killed and comes again.

use std::{collections::BTreeMap, fs, thread};

use crate::{
    budgets::{Got, KINDS, balance, every_kind, size, storm, tokens_and_money_hold},
    harness::{Gateway, Sandbox},
};

/// The second has the first one's file of balances, and a state of its own else: a state has one data plane.
fn two(provider: &Sandbox, calls: u64) -> (Gateway, Gateway, tempfile::TempDir) {
    let first = every_kind(provider.address, calls).start();
    let state = tempfile::Builder::new()
        .prefix("tollgate-second-")
        .tempdir()
        .expect("a folder");
    fs::hard_link(first.state_dir.join("balances"), state.path().join("balances")).expect("one file");
    let mut setup = every_kind(provider.address, calls);
    setup.state_dir = Some(state.path().to_owned());
    (first, setup.start(), state)
}

fn storm_both(both: [&Gateway; 2], calls: u64, got: &mut BTreeMap<&'static str, Got>) {
    let each = thread::scope(|scope| {
        both.map(|gateway| scope.spawn(move || storm(gateway, calls, 16, r#","max_tokens":40"#)))
            .map(|storm| storm.join().expect("it ended"))
    });
    for (kind, more) in each.into_iter().flatten() {
        got.entry(kind).or_default().add(&more);
    }
}

#[test]
fn two_generations_at_once_exceed_no_limit_by_a_unit() {
    let calls = size("TOLLGATE_TEST_LIMIT_CALLS", 3_000);
    let provider = Sandbox::start();
    let (first, second, _state) = two(&provider, calls);
    let mut got = BTreeMap::new();
    // Not half of what may pass, and then all the rest: what the one has counted stands where it is killed.
    storm_both([&first, &second], calls / 6, &mut got);
    let each = calls / KINDS.len() as u64 / 2;
    assert!(got["requests"].admitted < each, "{got:?}");
    first.kill_dataplane();
    first.await_ready();
    storm_both([&first, &second], calls, &mut got);
    // Those that a reservation stood in the way of for a moment.
    storm_both([&second, &first], calls / 4, &mut got);

    assert_eq!(got["requests"].admitted, each, "{got:?}");
    for gateway in [&first, &second] {
        assert_eq!(balance(gateway, "key", "requests", "requests"), [each, each, 0, 0]);
        tokens_and_money_hold(gateway, &got);
        let sum = |of: fn(&Got) -> u64| got.values().map(of).sum::<u64>();
        assert_eq!(balance(gateway, "organization", "", "tokens")[1], sum(|got| got.tokens));
        assert_eq!(balance(gateway, "team", "all", "budget")[1], sum(|got| got.nanos));
        assert_eq!(
            balance(gateway, "provider", "openai", "requests")[1],
            sum(|got| got.admitted)
        );
    }
    let admitted = got.values().map(|got| got.admitted).sum::<u64>();
    assert_eq!(provider.report()["requests"], admitted, "what was refused went nowhere");
}
