//! Bytes counted, shares held, time over, purges: one part of the table, and any order of all that.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tollgate_config::{
    document::{Allowed, Dialect},
    link::Purge,
};

use super::*;
use crate::exact::{Form, Head, about::Said};

const MOST_BYTES: u64 = 64 * 1024;
const NS_PER_S: u64 = 1_000_000_000;

fn policy() -> Policy {
    Policy {
        name: "c".into(),
        scope: tollgate_config::document::CacheScope::Team,
        allow: Allowed::default(),
        charge_hits: false,
        ttl_ms: 10_000,
        max_bytes: MOST_BYTES * CACHE_PARTS,
        max_answer_bytes: MOST_BYTES,
        semantic: None,
        keeps_vectors: false,
        second: None,
        version: 1,
    }
}

fn about(tenant: &str) -> Arc<About> {
    of_cache("c", tenant)
}

fn of_cache(cache: &str, tenant: &str) -> Arc<About> {
    let said = Said {
        key: tenant,
        model: "m",
        ..Said::default()
    };
    Arc::new(About::new(cache.into(), [tenant, ""], &said))
}

fn claim(tenant: &str) -> Claim {
    Claim {
        about: about(tenant),
        leads: true,
        asks: false,
    }
}

fn stored(tenant: &str, length: usize, at: Tick) -> Arc<Stored> {
    Arc::new(Stored {
        head: Arc::new(Head::new(Form::Whole, b"application/json", Vec::new())),
        dialect: Dialect::OpenAi,
        body: tenant.bytes().cycle().take(length).collect(),
        at,
        aged_ns: 0,
        spent: Spent {
            took_ns: 7,
            ..Spent::default()
        },
        about: about(tenant),
        asked: None,
    })
}

fn purge(part: &mut Part, filter: &Filter) -> (u64, u64) {
    let mut purging = part.begin_purge(filter);
    while part.purge_some(filter, &mut purging) {}
    (purging.entries, purging.bytes)
}

fn keep(held: &mut Held, tenant: &str, key: u128, length: usize) {
    held.insert((key, 1), stored(tenant, length, Tick(0)), &policy());
    assert_sums(held);
}

/// What is counted is what is there.
fn assert_sums(held: &Held) {
    let mut tenants: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
    for entry in held.entries.values() {
        assert_eq!(entry.bytes, ENTRY_BYTES + entry.stored.bytes());
        let sum = tenants.entry(entry.stored.about.tenant()).or_default();
        *sum = (sum.0 + entry.bytes, sum.1 + 1);
    }
    assert_eq!(held.bytes, tenants.values().map(|(bytes, _)| bytes).sum::<u64>());
    assert!(held.bytes <= MOST_BYTES);
    assert_eq!(held.tenants.len(), tenants.len());
    assert_eq!(held.by_size.len(), tenants.len());
    assert_eq!(held.by_age.len(), held.entries.len());
    for (name, sum) in &tenants {
        let owner = &held.tenants[*name];
        assert_eq!((owner.bytes, owner.entries), *sum);
        assert!(held.by_size.contains(&(owner.bytes, Arc::from(*name))));
    }
}

fn has(held: &mut Held, tenant: &str, key: u128) -> bool {
    let tenant = Tenant::named(tenant);
    held.get(Tick(1), key, tenant, &policy()).is_some()
}

#[test]
fn a_tenant_within_its_share_loses_nothing_to_another() {
    let mut held = Held::default();
    for key in 0..10 {
        keep(&mut held, "tsmall", key, 1_000);
    }
    for key in 100..10_000 {
        keep(&mut held, "tlarge", key, 1_000);
    }
    for key in 0..10 {
        assert!(has(&mut held, "tsmall", key), "{key}");
    }
    // And who comes when it is full has room at once.
    keep(&mut held, "tlate", 20_000, 10_000);
    assert!(has(&mut held, "tlate", 20_000));
}

#[test]
fn an_answer_of_more_than_a_share_drives_nobody_out() {
    let mut held = Held::default();
    for (at, tenant) in ["ta", "tb", "tc", "td"].iter().enumerate() {
        for key in 0..12 {
            keep(&mut held, tenant, (at * 100 + key) as u128, 800);
        }
    }
    let before = held.entries.len();
    keep(&mut held, "te", 1_000, MOST_BYTES as usize / 2);
    assert_eq!(held.entries.len(), before);
    keep(&mut held, "te", 1_001, MOST_BYTES as usize * 2);
    assert_eq!(held.entries.len(), before);
}

#[test]
fn a_part_full_of_what_is_over_keeps_what_comes() {
    let mut held = Held::default();
    // Of tenants that nobody hears of any more.
    for key in 0..40 {
        keep(&mut held, &format!("tgone{key}"), key, 700);
    }
    assert!(held.bytes > MOST_BYTES * 3 / 4);
    let later = Tick(policy().ttl_ms * 1_000_000);
    let large = MOST_BYTES as usize / 2;
    held.insert((1_000, 2), stored("tnew", large, later), &policy());
    assert_sums(&held);
    assert_eq!((held.entries.len(), held.stats.expired, held.stats.evicted), (1, 40, 0));
}

#[test]
fn a_large_answer_takes_what_another_has_above_its_share() {
    let mut held = Held::default();
    // One has nearly all; many have a little.
    for key in 0..10 {
        keep(&mut held, &format!("tsmall{key}"), 100 + key, 100);
    }
    for key in 1_000..1_200 {
        keep(&mut held, "thog", key, 500);
    }
    let large = MOST_BYTES as usize / 4;
    keep(&mut held, "tnew", 9_000, large);
    assert!(
        has(&mut held, "tnew", 9_000),
        "a twelfth is less, and yet there was room"
    );
    for key in 0..10 {
        assert!(has(&mut held, &format!("tsmall{key}"), 100 + key));
    }
}

#[test]
fn what_is_over_goes_though_nobody_asks_for_it() {
    let mut part = Part::default();
    let policy = policy();
    for key in 0..20 {
        let number = part.flights.begin(key, about("ta"), true).expect("room");
        part.store((key, number), stored("ta", 100, Tick(0)), &policy);
        part.flights.over(number, true);
    }
    let entries = |part: &Part| part.caches["c"].entries.len();
    assert!(!part.sweep(Tick(9 * NS_PER_S)));
    assert_eq!(entries(&part), 20);
    // Whoever asks for anything lets some go.
    part.ask(Tick(10 * NS_PER_S), (99, Tenant::named("ta")), &policy, None);
    assert_eq!(entries(&part), 20 - SWEPT_BY_ASKING);
    while part.sweep(Tick(10 * NS_PER_S)) {}
    assert_eq!(entries(&part), 0);
}

#[test]
fn the_older_call_s_answer_does_not_take_the_newer_one_s_place() {
    let mut held = Held::default();
    held.insert((1, 7), stored("ta", 100, Tick(0)), &policy());
    held.insert((1, 6), stored("ta", 200, Tick(0)), &policy());
    assert_eq!(held.entries[&1].stored.body.len(), 100);
    held.insert((1, 8), stored("ta", 300, Tick(0)), &policy());
    assert_eq!(held.entries[&1].stored.body.len(), 300);
    assert_sums(&held);
}

#[test]
fn caches_on_their_way_have_room_apart_and_what_is_lost_has_a_bound() {
    use crate::exact::flight::{Flights, MAX_SHARED_BYTES, Progress, Spent};
    let of = |cache: &str| of_cache(cache, "ta");
    let mut flights = Flights::default();
    let large = flights.begin(1, of("large"), true).expect("room");
    flights.push(large, &[0; 8_000], (10_000, 10_000));
    let small = flights.begin(2, of("small"), true).expect("room");
    flights.push(small, &[0; 900], (1_000, 1_000));
    assert!(!flights.is_lost(small), "another cache's room is none of its own");
    let second = flights.begin(3, of("small"), true).expect("room");
    flights.push(second, &[0; 200], (1_000, 1_000));
    assert!(flights.is_lost(second), "its own cache's is");
    // What is sent on though it is not kept: so many bytes of all.
    let mut shared = Vec::new();
    for key in 10..14 {
        let number = flights.begin(key, of("large"), true).expect("room");
        assert!(flights.join(number));
        flights.push(number, &vec![0; MAX_SHARED_BYTES * 3 / 4], (10_000, 10_000));
        shared.push(number);
    }
    let goes = |flights: &Flights, number: u64| flights.follow(number, 0, &mut Vec::new()) == Progress::Goes;
    let went = shared.iter().filter(|number| goes(&flights, **number)).count();
    assert_eq!(went, 2, "of 12 MiB each, in 32 MiB");
    // All of it is given back.
    flights.purge(|_| true);
    for number in shared.into_iter().chain([large, small, second]) {
        if let Some(body) = flights.take(number) {
            flights.freeze(number, body.into(), Spent::default());
        }
        flights.over(number, true);
        flights.part(number);
    }
    assert!(flights.is_empty());
}

#[test]
fn an_answer_is_forgotten_when_its_time_is_over() {
    let mut part = Part::default();
    let policy = policy();
    let tenant = Tenant::named("ta");
    let Known::Claimed(number, _) = part.ask(Tick(0), (1, tenant), &policy, Some(&|| claim("ta"))) else {
        panic!()
    };
    part.store((1, number), stored("ta", 100, Tick(NS_PER_S)), &policy);
    part.flights.over(number, true);
    assert!(part.flights.is_empty());
    let ask = |part: &mut Part, now: u64| part.ask(Tick(now), (1, tenant), &policy, None);
    assert!(matches!(ask(&mut part, 10_999_999_999), Known::Kept(_)));
    assert!(matches!(ask(&mut part, 11 * NS_PER_S), Known::New));
    let mut all = Vec::new();
    part.stats(|_, stats| all.push(stats));
    let stats = all[0];
    assert_eq!((stats.hits, stats.misses, stats.stored, stats.expired), (1, 1, 1, 1));
    assert_eq!((stats.entries, stats.bytes, stats.saved_ns), (0, 0, 7));
}

#[test]
fn what_is_under_way_when_it_is_purged_is_not_kept() {
    let mut part = Part::default();
    let policy = policy();
    let tenant = Tenant::named("ta");
    let claimed = |part: &mut Part, key| match part.ask(Tick(0), (key, tenant), &policy, Some(&|| claim("ta"))) {
        Known::Claimed(number, _) => number,
        other => panic!("{other:?}"),
    };
    let first = claimed(&mut part, 1);
    let filter = Filter(Purge {
        key: Some("ta".to_owned()),
        ..Purge::default()
    });
    assert_eq!(purge(&mut part, &filter), (0, 0));
    let second = claimed(&mut part, 1);
    part.store((1, first), stored("ta", 100, Tick(0)), &policy);
    part.flights.over(first, true);
    assert!(matches!(
        part.ask(Tick(0), (1, tenant), &policy, None),
        Known::UnderWay(number, None) if number == second
    ));
    part.store((1, second), stored("ta", 100, Tick(0)), &policy);
    part.flights.over(second, true);
    assert!(matches!(part.ask(Tick(0), (1, tenant), &policy, None), Known::Kept(_)));
    let bytes = ENTRY_BYTES + stored("ta", 100, Tick(0)).bytes();
    assert_eq!(purge(&mut part, &filter), (1, bytes));
    assert!(matches!(part.ask(Tick(0), (1, tenant), &policy, None), Known::New));
}

#[test]
fn another_document_forgets_what_is_of_no_cache_and_shrinks_what_has_less_room() {
    let mut part = Part::default();
    let policy = policy();
    for key in 0..100 {
        let number = part.flights.begin(key, about("ta"), true).expect("room");
        part.store((key, number), stored("ta", 500, Tick(0)), &policy);
        part.flights.over(number, true);
    }
    part.keep_only(&[("c", MOST_BYTES * CACHE_PARTS / 4)]);
    let held = &part.caches["c"];
    assert!(
        held.bytes <= MOST_BYTES / 4 && held.bytes > MOST_BYTES / 5,
        "{}",
        held.bytes
    );
    assert_sums(held);
    part.keep_only(&[("d", 1 << 30)]);
    assert!(part.caches.is_empty());
}

proptest! {
    /// Whatever is asked, kept and forgotten: bounds hold, sums are right, nobody sees another's, and a tenant within its
    /// share keeps what it has.
    #[test]
    fn any_order(steps in prop::collection::vec((0u8..5, 0usize..4, 0u128..40, 1usize..9_000), 1..400)) {
        let mut held = Held::default();
        let names = ["ta", "tb", "tc", "td"];
        for (what, tenant, key, length) in steps {
            let name = names[tenant];
            // Keys are hashes with the tenant in them.
            let own = key + 1_000 * tenant as u128;
            match what {
                0..=2 => {
                    let share = MOST_BYTES / names.len() as u64;
                    let within: Vec<(usize, u64)> = (0..names.len())
                        .filter(|other| *other != tenant)
                        .filter_map(|other| {
                            let bytes = held.tenants.get(names[other])?.bytes;
                            (bytes <= share).then_some((other, bytes))
                        })
                        .collect();
                    keep(&mut held, name, own, length);
                    for (other, bytes) in within {
                        prop_assert_eq!(held.tenants[names[other]].bytes, bytes);
                    }
                }
                3 => {
                    for (other, name) in names.iter().enumerate() {
                        let found = has(&mut held, name, own);
                        prop_assert!(!found || other == tenant);
                    }
                }
                _ => {
                    while held.purge_some(|about| about.tenant() == name, None).is_some() {}
                    assert_sums(&held);
                    prop_assert!(!held.tenants.contains_key(name));
                }
            }
        }
    }
}
