//! Limits that two nodes share through a store: exactly what they say over both, whatever becomes of the store and the nodes.

use std::thread;

use crate::{
    budgets::{KINDS, balance, every_kind, size, storm},
    harness::{
        Gateway, Sandbox, Setup,
        gateway::chat,
        process::{self, Signal},
        until,
        valkey::Valkey,
    },
};

fn shared(store: &Valkey, on_partition: &str) -> String {
    format!(
        "cluster: {{ valkey: {{ urls: [ \"{}\" ], timeout: 200ms }}, on_partition: {on_partition} }}\n",
        store.url()
    )
}

/// Two nodes with the same document, each of which knows of the other.
fn two(setup: impl Fn() -> Setup) -> [Gateway; 2] {
    let nodes = [setup().start(), setup().start()];
    until("both nodes to know of each other", 20, || {
        let know = |node: &Gateway| node.metric("tollgate_cluster_nodes", &[]) == 2.0;
        nodes.iter().all(know).then_some(())
    });
    nodes
}

fn limited(store: &Valkey, provider: &Sandbox, on_partition: &str, limits: &str) -> [Gateway; 2] {
    two(|| {
        let mut setup = Setup::to(provider.address);
        setup.top += &shared(store, on_partition);
        setup.keys = format!("  tester: {{ secret: env:TOLLGATE_TEST_KEY, limits: [ {limits} ] }}\n");
        setup
    })
}

/// One call; true where it was admitted.
fn passes(gateway: &Gateway) -> bool {
    let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
    match answer.status {
        200 => true,
        429 => false,
        other => panic!("{other}: {}", answer.text()),
    }
}

/// So many calls to each node by turns; how many were admitted.
fn some(nodes: &[Gateway; 2], each: u64) -> u64 {
    (0..each)
        .map(|_| nodes.iter().map(|node| u64::from(passes(node))).sum::<u64>())
        .sum()
}

#[test]
fn limits_of_every_kind_hold_to_the_unit_over_two_nodes() {
    let calls = size("TOLLGATE_TEST_LIMIT_CALLS", 2_000);
    let connections = size("TOLLGATE_TEST_LIMIT_CONNECTIONS", 32);
    let (store, provider) = (Valkey::start(), Sandbox::start());
    let nodes = two(|| {
        let mut setup = every_kind(provider.address, calls);
        setup.top += &shared(&store, "refuse");
        setup
    });
    let cap = r#","max_tokens":40"#;
    let mut got = std::collections::BTreeMap::new();
    let mut add = |calls: u64, connections: u64| {
        let both = thread::scope(|scope| {
            let each = nodes
                .iter()
                .map(|node| scope.spawn(move || storm(node, calls / 2, connections / 2, cap)));
            let each: Vec<_> = each.collect();
            each.into_iter()
                .map(|one| one.join().expect("no storm fails"))
                .collect::<Vec<_>>()
        });
        for (kind, more) in both.into_iter().flatten() {
            let sum: &mut crate::budgets::Got = got.entry(kind).or_default();
            sum.add(&more);
        }
        got.clone()
    };
    let each = calls / KINDS.len() as u64 / 2;
    add(calls, connections);
    // What a node held that the other lacked comes back: in the end nothing is left.
    let got = until("every request to have been admitted", 60, || {
        let got = add(96, 8);
        (got["requests"].admitted >= each).then_some(got)
    });
    assert_eq!(got["requests"].admitted, each, "{got:?}");
    let agreed = |scope: &str, name: &str, unit: &str, used: u64| {
        until(
            &format!("both nodes to say {used} {unit} of {scope} '{name}'"),
            20,
            || {
                let said = nodes.each_ref().map(|node| balance(node, scope, name, unit));
                said.iter().all(|said| said[1] == used).then_some(said[0])
            },
        )
    };
    agreed("key", "requests", "requests", each);
    for (kind, unit, count) in [
        ("hard-tokens", "tokens", got["hard-tokens"].tokens),
        ("hard-money", "budget", got["hard-money"].nanos),
    ] {
        let [limit, used, _, debt] = agreed("key", kind, unit, count);
        assert!(used <= limit && debt == 0, "{kind}: {used} of {limit}, {debt}");
        assert!(got[kind].refused > 0, "{kind}: {got:?}");
    }
    for (kind, unit, count) in [
        ("soft-tokens", "tokens", got["soft-tokens"].tokens),
        ("soft-money", "budget", got["soft-money"].nanos),
    ] {
        let [limit, used, _, debt] = agreed("key", kind, unit, count);
        assert_eq!(used.saturating_sub(limit), debt, "{kind}: no more beyond than is told");
    }
    agreed("key", "concurrent", "concurrent", 0);
    assert!(got["concurrent"].admitted <= each, "the tag's limit: {got:?}");
    let admitted: u64 = got.values().map(|got| got.admitted).sum();
    agreed("organization", "", "requests", admitted);
    let sum = |of: fn(&crate::budgets::Got) -> u64| got.values().map(of).sum::<u64>();
    let (tokens, output) = (sum(|got| got.tokens), sum(|got| got.output_tokens));
    agreed("organization", "", "tokens", tokens);
    agreed("organization", "", "output_tokens", output);
    agreed("organization", "", "input_tokens", tokens - output);
    agreed("user", "somebody", "requests", admitted);
    agreed("user", "somebody", "concurrent", 0);
    agreed("team", "all", "budget", sum(|got| got.nanos));
    agreed("model", "openai%2F%2A", "requests", admitted);
    agreed("provider", "openai", "requests", admitted);
    agreed("tag", "project=x", "requests", got["concurrent"].admitted);
    assert_eq!(provider.report()["requests"], admitted, "what was refused went nowhere");
}

#[test]
fn a_count_is_exact_whatever_becomes_of_the_store_and_of_a_node() {
    const CALLS: u64 = 400;
    let (mut store, provider) = (Valkey::start(), Sandbox::start());
    let nodes = limited(
        &store,
        &provider,
        "refuse",
        &format!("{{ requests: {CALLS}, per: year }}"),
    );
    let mut passed = some(&nodes, 20);
    assert_eq!(passed, 40, "both have leases before the first call");

    // Frozen: nodes go on with what they hold, and nobody waits.
    store.freeze();
    until("the first node to miss the store", 20, || {
        (nodes[0].metric("tollgate_cluster_store_up", &[]) == 0.0).then_some(())
    });
    passed += some(&nodes, 10);
    store.thaw();
    let back = |what: &str| {
        until(&format!("both to hear the store again after it was {what}"), 20, || {
            let up = |node: &Gateway| node.metric("tollgate_cluster_store_up", &[]) == 1.0;
            nodes.iter().all(up).then_some(())
        })
    };
    back("frozen");
    passed += some(&nodes, 20);

    store.flush();
    passed += some(&nodes, 20);
    // Lost twice, before all have told the first again.
    store.replace();
    back("replaced");
    passed += some(&nodes, 20);

    nodes[0].kill_dataplane();
    nodes[0].await_ready();
    passed += some(&nodes, 20);

    until("all that is left to be admitted", 60, || {
        passed += some(&nodes, 5);
        (passed >= CALLS).then_some(())
    });
    for _ in 0..3 {
        passed += some(&nodes, 5);
    }
    assert_eq!(passed, CALLS);
    assert_eq!(provider.report()["requests"], CALLS);
    let told = |node: &Gateway| balance(node, "key", "tester", "requests");
    until("both to say that all is used", 20, || {
        nodes
            .iter()
            .all(|node| told(node) == [CALLS, CALLS, 0, 0])
            .then_some(())
    });
}

#[test]
fn other_settings_of_the_cluster_are_no_second_process_of_this_node() {
    let (store, provider) = (Valkey::start(), Sandbox::start());
    let nodes = limited(&store, &provider, "refuse", "{ requests: 40, per: year }");
    let mut passed = some(&nodes, 5);
    assert_eq!(passed, 10);
    for on_partition in ["local_share", "allow", "refuse"] {
        let told = format!("\"{on_partition}\"");
        nodes[0]
            .control("PUT", "/v1/config/cluster/on_partition", &[], told.as_bytes())
            .expect(200);
        until("both nodes to be admitted", 20, || {
            let more = some(&nodes, 1);
            passed += more;
            (more == 2).then_some(())
        });
    }
    until("the last to be admitted", 30, || {
        passed += some(&nodes, 5);
        (passed >= 40).then_some(())
    });
    assert_eq!((passed, some(&nodes, 5)), (40, 0));
    let said = nodes[0].process.output();
    assert!(!said.contains("cluster_node_twice"), "{said}");
}

#[test]
fn one_busy_node_gets_what_an_idle_one_holds_and_one_that_ends_gives_back() {
    let (store, provider) = (Valkey::start(), Sandbox::start());
    let mut nodes = limited(
        &store,
        &provider,
        "refuse",
        "{ requests: 60, per: 24h }, { concurrent: 2 }",
    );
    let mut passed = 0;
    until("one node to be admitted nearly all", 30, || {
        passed += u64::from(passes(&nodes[0]));
        (passed >= 50).then_some(())
    });
    until("the last call's place to be free", 20, || {
        (balance(&nodes[0], "key", "tester", "concurrent")[1] == 0).then_some(())
    });
    process::signal(nodes[1].process.pid(), Signal::TERM);
    nodes[1].process.wait(20);
    until("the last to be admitted", 30, || {
        passed += u64::from(passes(&nodes[0]));
        (passed >= 60).then_some(())
    });
    assert!(
        (0..20).all(|_| !passes(&nodes[0])),
        "60 are all, but for what flows off in a few seconds"
    );
    assert_eq!(provider.report()["requests"], 60);
}

#[test]
fn without_the_store_a_node_does_as_it_is_told() {
    // Of 100 calls: what both together may be granted at least, and at most.
    for (on_partition, least, most) in [("refuse", 2, 100), ("local_share", 90, 150), ("allow", 190, 200)] {
        let (store, provider) = (Valkey::start(), Sandbox::start());
        let nodes = limited(&store, &provider, on_partition, "{ requests: 100, per: year }");
        store.freeze();
        for node in &nodes {
            until("the node to miss the store", 20, || {
                (node.metric("tollgate_cluster_store_up", &[]) == 0.0).then_some(())
            });
        }
        let passed = some(&nodes, 130);
        assert!((least..=most).contains(&passed), "{on_partition}: {passed}");
        store.thaw();
        // Whoever comes back first may be granted what the store has not heard of yet that the other used: no more than that.
        let mut more = 0;
        until("nothing to be left", 30, || {
            let passed = some(&nodes, 5);
            more += passed;
            let spent = |node: &Gateway| balance(node, "key", "tester", "requests")[2] == 0;
            (passed == 0 && nodes.iter().all(spent)).then_some(())
        });
        assert!(
            (100..=most).contains(&(passed + more)),
            "{on_partition}: {passed} and {more}"
        );
        let debt = passed + more - 100;
        until("what was beyond to be known as debt", 20, || {
            let known = |node: &Gateway| balance(node, "key", "tester", "requests") == [100, 100 + debt, 0, debt];
            nodes.iter().all(known).then_some(())
        });
    }
}
