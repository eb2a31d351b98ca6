//! What is wrong with `usage`, each with its pointer.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use tollgate_config::{
    check::check,
    document::{Durability, OnFull},
    parse,
};

fn faults(usage: &str) -> Vec<(String, String)> {
    let text = format!("version: 1\nusage: {usage}\n");
    let told = faults::problems(&text).into_iter();
    told.map(|problem| (problem.pointer, problem.right)).collect()
}

#[test]
fn usage_is_read() {
    let text = "version: 1\nusage: { on_full: drop_oldest, block_for: 1m, durability: strict, max_spool: 2GiB, retention: { \
                calls: 400d, hours: 800d } }\norganization: { name: acme }\n";
    let document = check(&parse::parse(text).expect("YAML")).expect("a document");
    let usage = document.usage;
    assert_eq!(
        (usage.on_full, usage.durability),
        (OnFull::DropOldest, Durability::Strict)
    );
    assert_eq!((usage.block_for_ms, usage.max_spool_bytes), (60_000, 2 << 30));
    assert_eq!(usage.retention.calls_ms, 400 * 86_400_000);
    assert_eq!(usage.retention.hours_ms, Some(800 * 86_400_000));
    assert_eq!(document.organization_name.as_deref(), Some("acme"));
    let forever = check(&parse::parse("version: 1\nusage: { retention: { hours: forever } }\n").expect("YAML"));
    assert_eq!(forever.expect("a document").usage.retention.hours_ms, None);
}

#[test]
fn each_fault_is_told_where_it_is() {
    let table = [
        ("{ on_full: drop }", "/usage/on_full", "refuse, block or drop_oldest"),
        ("{ block_for: 1h }", "/usage/block_for", "up to 2m"),
        ("{ block_for: 0s }", "/usage/block_for", "more than zero"),
        ("{ durability: fsync }", "/usage/durability", "group or strict"),
        ("{ max_spool: 1MiB }", "/usage/max_spool", "1GiB to 1024GiB"),
        ("{ retention: { calls: 1h } }", "/usage/retention/calls", "at least 1d"),
        ("{ retention: { hours: never } }", "/usage/retention/hours", "duration"),
        ("{ retention: { hours: 5d } }", "/usage/retention", "at least as long"),
        ("{ retension: {} }", "/usage/retension", "retention"),
    ];
    for (usage, pointer, right) in table {
        let found = faults(usage);
        assert_eq!(found.len(), 1, "{usage}: {found:?}");
        assert!(
            found[0].0 == pointer && found[0].1.contains(right),
            "{usage}: {found:?}"
        );
    }
    let long = format!("version: 1\norganization: {{ name: {} }}\n", "x".repeat(300));
    let problems = check(&parse::parse(&long).expect("YAML")).expect_err("a fault");
    assert_eq!(problems[0].pointer, "/organization/name");
}
