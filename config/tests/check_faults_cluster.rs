//! What is wrong with `cluster`, each with its pointer.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use tollgate_config::{
    check::check,
    document::{OnPartition, Topology},
    parse,
};

fn faults(text: &str) -> Vec<(String, String)> {
    let text = format!("version: 1\n{text}\n");
    let told = faults::problems(&text).into_iter();
    told.map(|problem| (problem.pointer, format!("{}; {}", problem.wrong, problem.right)))
        .collect()
}

#[test]
fn a_cluster_is_read() {
    let text = "version: 1\ncluster: { valkey: { urls: [ redis://a, \"redis://[::1]:7000/\" ], mode: cluster } }\n";
    let document = check(&parse::parse(text).expect("YAML")).expect("a document");
    let cluster = document.cluster.expect("a cluster");
    let servers: Vec<(&str, u16)> = cluster
        .valkey
        .servers
        .iter()
        .map(|server| (server.host.as_str(), server.port))
        .collect();
    assert_eq!(servers, [("a", 6379), ("::1", 7000)]);
    assert_eq!(
        (cluster.valkey.topology, cluster.on_partition),
        (Topology::Cluster, OnPartition::LocalShare)
    );
    assert_eq!((cluster.reclaim_after_ms, cluster.valkey.timeout_ms), (60_000, 500));
    assert_eq!(cluster.valkey.prefix, "tollgate");
}

#[test]
fn each_fault_is_told_where_it_is() {
    let table = [
        ("{}", "/cluster", "valkey: { urls"),
        ("{ valkey: {} }", "/cluster/valkey", "redis://HOST:PORT"),
        ("{ valkey: { urls: [] } }", "/cluster/valkey/urls", "1 to 32"),
        (
            "{ valkey: { urls: [ \"http://a\" ] } }",
            "/cluster/valkey/urls/0",
            "redis://HOST:PORT",
        ),
        (
            "{ valkey: { urls: [ \"redis://u:p@a\" ] } }",
            "/cluster/valkey/urls/0",
            "beside `urls`",
        ),
        (
            "{ valkey: { urls: [ \"redis://a:0\" ] } }",
            "/cluster/valkey/urls/0",
            "port",
        ),
        (
            "{ valkey: { urls: [ redis://a, rediss://b ], mode: cluster } }",
            "/cluster/valkey/urls",
            "all rediss://",
        ),
        (
            "{ valkey: { urls: [ redis://a ], mode: ring } }",
            "/cluster/valkey/mode",
            "sentinel",
        ),
        (
            "{ valkey: { urls: [ redis://a ], mode: sentinel } }",
            "/cluster/valkey",
            "sentinel: { master",
        ),
        (
            "{ valkey: { urls: [ redis://a ], sentinel: { master: m } } }",
            "/cluster/valkey/sentinel",
            "mode: sentinel",
        ),
        (
            "{ valkey: { urls: [ redis://a ], user: u } }",
            "/cluster/valkey/user",
            "password: env:NAME",
        ),
        (
            "{ valkey: { urls: [ redis://a ], password: secret } }",
            "/cluster/valkey/password",
            "env:NAME",
        ),
        (
            "{ valkey: { urls: [ redis://a ], prefix: \"{a}\" } }",
            "/cluster/valkey/prefix",
            "letters",
        ),
        (
            "{ valkey: { urls: [ redis://a ], timeout: 1m } }",
            "/cluster/valkey/timeout",
            "up to 10s",
        ),
        (
            "{ valkey: { urls: [ redis://a ], tls: { ca: env:CA } } }",
            "/cluster/valkey/tls",
            "rediss://",
        ),
        (
            "{ valkey: { urls: [ rediss://a ], tls: { client_key: env:KEY } } }",
            "/cluster/valkey/tls/client_key",
            "client_certificate: file:PATH",
        ),
        (
            "{ valkey: { urls: [ redis://a ] }, on_partition: wait }",
            "/cluster/on_partition",
            "local_share",
        ),
        (
            "{ valkey: { urls: [ redis://a ] }, reclaim_after: 1s }",
            "/cluster/reclaim_after",
            "10s to 24h",
        ),
        (
            "{ valkey: { urls: [ redis://a, redis://b ] } }",
            "/cluster/valkey/urls",
            "one URL, or `mode: cluster`",
        ),
        (
            "{ valkey: { urls: [ redis://a ], timeout: 5s }, reclaim_after: 16s }",
            "/cluster/reclaim_after",
            "more than 16000 ms",
        ),
        (
            "{ valky: {}, valkey: { urls: [ redis://a ] } }",
            "/cluster/valky",
            "valkey",
        ),
    ];
    for (cluster, pointer, right) in table {
        let found = faults(&format!("cluster: {cluster}"));
        assert_eq!(found.len(), 1, "{cluster}: {found:?}");
        assert!(
            found[0].0 == pointer && found[0].1.contains(right),
            "{cluster}: {found:?}"
        );
    }
}

#[test]
fn limits_that_the_store_cannot_count_exactly_are_refused() {
    let large = "limits: [ { budget: \"9007200 USD\", per: month }, { tokens: 9007199254740991, per: day } ]";
    let document = format!(
        "organization: {{ {large} }}\nteams: {{ a: {{ {large} }} }}\nkeys: {{ k: {{ secret: env:K, limits: [ {{ requests: 1, per: 1s, burst: 9007199254740992 }} ] }} }}"
    );
    assert_eq!(faults(&document), [], "without `cluster` they are right");
    let found = faults(&format!("cluster: {{ valkey: {{ urls: [ redis://a ] }} }}\n{document}"));
    let mut pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/keys/k/limits", "/organization/limits", "/teams/a/limits"]);
    assert!(found[0].1.contains("9007199.254740991 USD"), "{found:?}");
}

#[test]
fn what_a_change_of_it_does_is_told() {
    let tree = |cluster: &str| parse::parse(&format!("version: 1\n{cluster}")).expect("YAML").tree;
    let (none, some) = (tree(""), tree("cluster: { valkey: { urls: [ redis://a ] } }\n"));
    let other = tree("cluster: { valkey: { urls: [ redis://b ] }, on_partition: allow }\n");
    let effects = |old, new| -> Vec<String> {
        let changes = tollgate_config::diff::diff(old, new);
        changes.into_iter().map(|change| change.effect).collect()
    };
    assert!(
        effects(&none, &some)[0].contains("all nodes together"),
        "{:?}",
        effects(&none, &some)
    );
    assert!(
        effects(&some, &none)[0].contains("the whole limit"),
        "{:?}",
        effects(&some, &none)
    );
    let between = effects(&some, &other);
    assert!(
        !between.is_empty() && between.iter().all(|effect| effect.contains("taken anew")),
        "{between:?}"
    );
}
