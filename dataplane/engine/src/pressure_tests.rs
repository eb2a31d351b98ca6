//! A shard that is past what it bears, in figures: who is refused, how soon, for how long; and what is still done.

use super::*;
use Priority::{High, Low, Normal};

const MS: u64 = 1_000_000;
const START: Tick = Tick(1_000 * MS);

fn of(max_lag_ms: Option<u64>, max_calls: Option<u32>) -> Pressure {
    let mut pressure = Pressure::default();
    pressure.bound(Some(ShardOverload { max_lag_ms, max_calls }));
    pressure
}

/// Turns of this length, one behind the other, for a while.
fn turns(pressure: &mut Pressure, now: &mut Tick, turn_ms: u64, for_ms: u64) {
    for _ in 0..for_ms / turn_ms {
        *now = now.plus_ms(turn_ms);
        pressure.turned(*now, turn_ms * MS);
    }
}

/// Of a thousand calls of the class, how many are refused.
fn refused(pressure: &mut Pressure, now: Tick, class: Priority) -> usize {
    pressure.least_ns.get_or_insert(0);
    (0..1_000).filter(|_| pressure.refuses(now, class).is_some()).count()
}

#[test]
fn the_share_that_is_refused_follows_what_the_shard_is_behind() {
    // Turns of so many ms with a bound of 50: the least and the most that is refused of normal and of low calls.
    let table = [
        (5, (0, 0), (0, 0)),
        (25, (0, 0), (0, 0)),
        (30, (0, 0), (450, 500)),
        (50, (0, 0), (680, 730)),
        (60, (400, 480), (700, 740)),
        (100, (680, 720), (840, 870)),
        (1_000, (940, 960), (970, 980)),
    ];
    for (turn_ms, normal, low) in table {
        let (mut pressure, mut now) = (of(Some(50), None), START);
        turns(
            &mut pressure,
            &mut now,
            turn_ms,
            if turn_ms == 1_000 { 2_000 } else { 1_000 },
        );
        for (class, (least, most)) in [(Normal, normal), (Low, low), (High, (0, 0))] {
            let refused = refused(&mut pressure, now, class);
            assert!((least..=most).contains(&refused), "{turn_ms} ms, {class:?}: {refused}");
        }
    }
}

#[test]
fn one_long_turn_is_a_hiccup_and_turns_that_do_little_are_rest() {
    let (mut pressure, mut now) = (of(Some(50), None), START);
    turns(&mut pressure, &mut now, 400, 400);
    assert_eq!(refused(&mut pressure, now, Low), 0);
    // A long turn in each look, but also a short one.
    for _ in 0..20 {
        turns(&mut pressure, &mut now, 90, 90);
        turns(&mut pressure, &mut now, 10, 10);
    }
    assert_eq!(refused(&mut pressure, now, Low), 0);
}

#[test]
fn once_it_keeps_up_everybody_is_let_in_soon_and_at_once_where_it_slept() {
    let (mut pressure, mut now) = (of(Some(50), None), START);
    turns(&mut pressure, &mut now, 500, 2_000);
    assert!(refused(&mut pressure, now, Normal) > 800);
    turns(&mut pressure, &mut now, 1, 1_000);
    assert!(refused(&mut pressure, now, Normal) < 300);
    turns(&mut pressure, &mut now, 1, 3_000);
    assert_eq!(refused(&mut pressure, now, Normal), 0);

    turns(&mut pressure, &mut now, 500, 2_000);
    now = now.plus_ms(10_000);
    assert_eq!(pressure.refuses(now, Normal), None);
    assert!(!pressure.is_behind());
}

#[test]
fn calls_under_way_are_bounded_too_for_low_ones_by_half() {
    let mut pressure = of(None, Some(5));
    let admit = |pressure: &mut Pressure, class| {
        let admitted = pressure.refuses(START, class).is_none();
        if admitted {
            pressure.begins();
        }
        admitted
    };
    let taken = (0..10).filter(|_| admit(&mut pressure, Low)).count();
    assert_eq!(taken, 3);
    let taken = (0..10).filter(|_| admit(&mut pressure, Normal)).count();
    assert_eq!(taken, 2);
    let taken = (0..10).filter(|_| admit(&mut pressure, High)).count();
    assert_eq!(taken, 10, "those of high priority never notice");
    for _ in 0..11 {
        pressure.ends();
    }
    assert!(admit(&mut pressure, Normal) && !admit(&mut pressure, Low));
}

#[test]
fn without_bounds_nobody_is_refused_and_what_was_learned_is_forgotten() {
    let (mut pressure, mut now) = (of(Some(50), None), START);
    turns(&mut pressure, &mut now, 500, 2_000);
    pressure.bound(None);
    assert_eq!(refused(&mut pressure, now, Low), 0);
    assert_eq!(pressure.turned(now, 500 * MS), None);
}

#[test]
fn that_it_begins_and_ends_is_told_once() {
    let mut pressure = of(None, Some(1));
    pressure.begins();
    assert_eq!(pressure.turned(START, MS), None);
    assert_eq!(pressure.refuses(START, Normal), Some(1));
    assert_eq!(pressure.turned(START, MS), Some(Shed::Begins));
    assert_eq!(pressure.refuses(START.plus_ms(10), Low), Some(1));
    assert_eq!(pressure.turned(START.plus_ms(5_000), MS), None);
    assert_eq!(pressure.turned(START.plus_ms(5_010), MS), Some(Shed::Ended(2)));
    assert_eq!(pressure.turned(START.plus_ms(9_000), MS), None);
}

/// A loop that takes all that came during its last turn: what it serves in a second, and its longest turn behind the first.
fn served(pressure: &mut Pressure, arrivals_per_s: u64, class: Priority) -> (u64, u64) {
    const SERVE_NS: u64 = 100_000;
    const REFUSE_NS: u64 = 2_000;
    let (mut now, mut turn_ns, mut waits, mut all, mut longest) = (START, MS, 0, 0, 0);
    let warm = START.plus_ms(3_000);
    let end = START.plus_ms(13_000);
    while now < end {
        waits += arrivals_per_s * turn_ns;
        let came = waits / 1_000_000_000;
        waits %= 1_000_000_000;
        turn_ns = 20_000;
        for _ in 0..came {
            match pressure.refuses(now, class) {
                Some(_) => turn_ns += REFUSE_NS,
                None => {
                    turn_ns += SERVE_NS;
                    all += u64::from(now >= warm);
                }
            }
        }
        now = Tick(now.0 + turn_ns);
        pressure.turned(now, turn_ns);
        if now >= warm {
            longest = longest.max(turn_ns);
        }
        if longest > 60_000 * MS {
            break;
        }
    }
    (all / 10, longest / MS)
}

#[test]
fn at_three_times_what_it_bears_it_serves_nine_tenths_of_its_peak_and_nobody_waits_long() {
    let (peak, _) = served(&mut of(Some(50), None), 9_900, High);
    for class in [Normal, Low] {
        let (served, longest_ms) = served(&mut of(Some(50), None), 30_000, class);
        assert!(served * 10 >= peak * 9, "{class:?}: {served} of {peak}");
        assert!(longest_ms <= 250, "{class:?}: {longest_ms} ms");
    }
    // Without: each turn finds three times as many calls as the one before.
    let (_, longest_ms) = served(&mut of(Some(50), None), 30_000, High);
    assert!(longest_ms > 10_000);
}
