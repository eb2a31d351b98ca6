//! Whatever happened to the spool's bytes, and to the clock.

use std::{fs::File, os::unix::fs::FileExt};

use proptest::{collection::vec, prelude::*};
use tollgate_config::usage_event::{HEADER_BYTES, UsageEvent};

use super::{World, ask, calls, close, frame, on_postgres::cases, open, total};

pub const ALL: [fn(); 2] = [
    what_is_whole_before_the_damage_is_in_the_ledger,
    a_clock_that_is_set_loses_nothing,
];

#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
}

fn any_damage(bytes: usize) -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0..bytes, 1u8..=255).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        (0..bytes).prop_map(Damage::Cut),
    ]
}

const CALLS: u64 = 6;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(96)))]

    /// Every record that is whole before the damage is in the ledger, and the damage is counted and named.
    #[test]
    fn what_is_whole_before_the_damage_is_in_the_ledger(
        damage in (1usize..4).prop_flat_map(|count| vec(any_damage(calls(1, CALLS).len()), count)),
    ) {
        let frames = calls(1, CALLS);
        let (opening, pair) = (frame(&open(1)).len(), frames.len() / CALLS as usize);
        let mut world = World::new();
        world.write(0, 1, &frames);
        let file = File::options().read(true).write(true).open(world.path(0, 1)).unwrap();
        let mut hit = usize::MAX;
        let mut flipped = std::collections::BTreeMap::<usize, u8>::new();
        let mut length = usize::MAX;
        for one in &damage {
            match *one {
                Damage::Flip(at, mask) => *flipped.entry(at).or_default() ^= mask,
                Damage::Cut(at) => length = length.min(at),
            }
        }
        for (at, mask) in flipped.into_iter().filter(|(at, mask)| *mask != 0 && *at < length) {
            file.write_all_at(&[frames[at] ^ mask], (HEADER_BYTES + at) as u64).unwrap();
            hit = hit.min(at);
        }
        if length != usize::MAX {
            file.set_len((HEADER_BYTES + length) as u64).unwrap();
        }
        world.alive = None;
        let (metering, mut ingest) = world.open();
        ingest.pass().unwrap();
        let whole = hit.min(length);
        let answered = whole / pair;
        let opened = answered + usize::from(whole % pair >= opening);
        let (requests, crashed) = (total(&metering, "requests"), total(&metering, "crashed"));
        prop_assert!(requests >= answered as i64, "{} of {}", requests, answered);
        prop_assert!(requests + crashed >= opened as i64);
        prop_assert!(requests + crashed <= CALLS as i64, "nothing is there twice");
        let is_torn = length != usize::MAX && length % pair != 0 && length % pair != opening;
        if hit != usize::MAX || is_torn {
            let told = ingest.news.iter().find(|news| news.kind == "usage_spool_damaged");
            let name = super::name(0, 1).to_string();
            prop_assert!(told.is_some_and(|told| told.text.contains(&name)), "{:?}", ingest.news);
        }
    }
}

/// A clock that was set back an hour, and then forward a day: nothing is lost, nothing comes twice, and each call is in
/// the hour that its clock told.
#[test]
fn a_clock_that_is_set_loses_nothing() {
    const HOUR_MS: u64 = 3_600_000;
    let mut world = World::new();
    let noon_ms = 277_780 * HOUR_MS;
    let ends = [
        noon_ms,
        noon_ms + 1,
        noon_ms - HOUR_MS,
        noon_ms - HOUR_MS + 5,
        noon_ms + 23 * HOUR_MS,
    ];
    let frames = ends.iter().enumerate().flat_map(|(call, end)| {
        let sequence = 2 * call as u64 + 1;
        let ended = UsageEvent {
            // It began before the clock was set.
            started_unix_ms: noon_ms,
            ended_unix_ms: *end,
            ..close(sequence + 1, sequence)
        };
        [frame(&open(sequence)), frame(&ended)]
    });
    let mut frames: Vec<u8> = frames.flatten().collect();
    frames.extend(frame(&open(2 * ends.len() as u64 + 1)));
    world.write(0, 1, &frames);
    world.alive = None;
    let (metering, mut ingest) = world.open();
    for _ in 0..2 {
        ingest.pass().unwrap();
    }
    let rows = ask(&metering, "hour");
    let counts: Vec<(i64, i64)> = rows
        .iter()
        .map(|row| (row["requests"].as_i64().unwrap(), row["crashed"].as_i64().unwrap()))
        .collect();
    assert_eq!(counts, [(2, 0), (2, 0), (1, 1)]);
    assert!(ingest.news.is_empty(), "{:?}", ingest.news);
}
