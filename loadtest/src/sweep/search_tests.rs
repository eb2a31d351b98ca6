//! The search against targets whose limits are known.

use std::{cell::Cell, convert::Infallible};

use proptest::prelude::*;

use super::*;
use crate::mix::dice::Dice;

const BOUNDS_MS: [f64; 5] = [1.0, 5.0, 10.0, 50.0, 100.0];

fn settings() -> Settings {
    Settings {
        bounds_ms: BOUNDS_MS.to_vec(),
        start: 100.0,
        least: 1.0,
        most: 1e6,
        most_is: Limit::Generator,
        precision: 0.05,
        whole: false,
        windows: 3,
    }
}

/// A single server of this capacity, whose p99 is that of its queue (M/M/1: `ln 100 / (capacity - load)`).
fn queue(capacity: f64) -> impl FnMut(f64) -> Result<Trial, Infallible> {
    move |load| {
        let p99_ms = match load < capacity {
            true => 1000.0 * 100f64.ln() / (capacity - load),
            false => 1e4,
        };
        Ok(Trial {
            load,
            p99_ms,
            failed: 0,
            valid: true,
        })
    }
}

fn capacity_under(bound_ms: f64, capacity: f64) -> f64 {
    capacity - 1000.0 * 100f64.ln() / bound_ms
}

fn all_found(settings: &Settings, mut trial: impl FnMut(f64) -> Result<Trial, Infallible>) -> (Vec<Found>, usize) {
    let count = Cell::new(0);
    let (found, ended) = search(settings, &mut |load| {
        count.set(count.get() + 1);
        assert!(count.get() < 2000, "the search does not end");
        trial(load)
    });
    assert!(ended.is_none());
    (found, count.get())
}

#[test]
fn a_known_capacity_is_found_for_every_bound() {
    let (found, trials) = all_found(&settings(), queue(20_000.0));
    for found in &found {
        let right = capacity_under(found.bound_ms, 20_000.0);
        assert_eq!((found.loads().len(), found.limited_by()), (3, Some(Limit::P99)));
        for load in &found.loads() {
            assert!(*load < right && *load > right / 1.051, "{load} for {right}");
        }
    }
    // Fifteen searches, of some ten trials each if they shared none.
    assert!(trials < 110, "{trials}");
}

#[test]
fn a_cliff_is_one_limit_for_all_bounds_and_its_failures_are_named() {
    let cliff = |load| {
        let failed = if load > 7777.0 { 3 } else { 0 };
        Ok(Trial {
            load,
            p99_ms: 0.3,
            failed,
            valid: true,
        })
    };
    let (found, _) = all_found(&settings(), cliff);
    for found in &found {
        assert_eq!(found.limited_by(), Some(Limit::Failures));
        assert!(
            found
                .loads()
                .iter()
                .all(|load| (7777.0 / 1.051..=7777.0).contains(load)),
            "{found:?}"
        );
    }
}

#[test]
fn the_generators_limit_is_never_the_targets() {
    let mut target = queue(1e6);
    let (found, _) = all_found(&settings(), |load| {
        let trial = target(load)?;
        Ok(Trial {
            valid: load < 30_000.0,
            ..trial
        })
    });
    for found in &found {
        assert_eq!(found.limited_by(), Some(Limit::Generator));
        assert!(
            found.loads().iter().all(|load| *load < 30_000.0 && *load > 28_000.0),
            "{found:?}"
        );
    }
    // Where the target gives out first, it is the target's again.
    let mut target = queue(20_000.0);
    let (found, _) = all_found(&settings(), |load| {
        let trial = target(load)?;
        Ok(Trial {
            valid: load < 30_000.0,
            ..trial
        })
    });
    assert!(found.iter().all(|found| found.limited_by() == Some(Limit::P99)));
}

#[test]
fn the_highest_load_allowed_is_the_generators_limit_too() {
    let (found, _) = all_found(
        &Settings {
            most: 5000.0,
            ..settings()
        },
        queue(1e6),
    );
    assert!(
        found
            .iter()
            .all(|found| found.loads() == [5000.0; 3] && found.limited_by() == Some(Limit::Generator))
    );
}

#[test]
fn a_bound_that_nothing_keeps_has_no_load() {
    let slow = |load| {
        Ok(Trial {
            load,
            p99_ms: if load < 4.0 { 20.0 } else { 70.0 },
            failed: 0,
            valid: true,
        })
    };
    let (found, _) = all_found(&settings(), slow);
    let loads: Vec<usize> = found.iter().map(|found| found.loads().len()).collect();
    assert_eq!(loads, [0, 0, 0, 3, 3]);
    assert_eq!(found[0].limited_by(), Some(Limit::P99));
    // The load under 50 ms is far below where the search begins.
    assert!(
        found[3].loads().iter().all(|load| (3.8..4.0).contains(load)),
        "{found:?}"
    );
}

#[test]
fn a_hiccup_on_the_way_up_does_not_end_it() {
    let mut target = queue(20_000.0);
    let hiccup = Cell::new(true);
    let (found, _) = all_found(&settings(), |load| {
        let trial = target(load)?;
        let now = load > 700.0 && hiccup.replace(false);
        Ok(Trial {
            failed: u64::from(now),
            ..trial
        })
    });
    assert!(!hiccup.get());
    assert!(found[4].loads().iter().all(|load| *load > 18_000.0), "{found:?}");
}

#[test]
fn one_bad_window_in_ten_does_not_mislead() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut target = queue(20_000.0);
        let (found, _) = all_found(&settings(), |load| {
            let trial = target(load)?;
            let stall_ms = if dice.chance(0.1) { 300.0 } else { 0.0 };
            Ok(Trial {
                p99_ms: trial.p99_ms + stall_ms,
                ..trial
            })
        });
        for found in &found {
            let right = capacity_under(found.bound_ms, 20_000.0);
            let mut loads = found.loads();
            loads.sort_by(f64::total_cmp);
            assert!(
                loads[1] <= right && loads[1] > right * 0.85,
                "seed {seed}: {loads:?} for {right}"
            );
        }
    }
}

#[test]
fn the_medians_window_says_what_limits() {
    use Limit::{Failures, Generator, P99};
    let limited = |held: &[(f64, Limit)], never| {
        let held = held.to_vec();
        Found {
            bound_ms: 1.0,
            held,
            never,
        }
        .limited_by()
    };
    assert_eq!(
        limited(&[(5.0, P99), (1.0, Generator), (9.0, Generator)], None),
        Some(P99)
    );
    assert_eq!(
        limited(&[(5.0, Generator), (1.0, P99), (9.0, P99)], None),
        Some(Generator)
    );
    assert_eq!(limited(&[(5.0, P99), (1.0, Generator)], None), Some(Generator));
    assert_eq!(limited(&[], Some(Failures)), Some(Failures));
}

#[test]
fn noise_shows_as_spread_around_the_capacity() {
    let mut dice = Dice::new(3);
    let mut target = queue(20_000.0);
    let (found, trials) = all_found(&settings(), |load| {
        let trial = target(load)?;
        Ok(Trial {
            p99_ms: trial.p99_ms * (0.2 * dice.normal()).exp(),
            ..trial
        })
    });
    for found in &found {
        let right = capacity_under(found.bound_ms, 20_000.0);
        for load in &found.loads() {
            assert!((load / right - 1.0).abs() < 0.15, "{load} for {right}");
        }
    }
    assert!(trials < 160, "{trials}");
}

#[test]
fn counts_are_whole_and_small_ones_exact() {
    for limit in [1.0, 2.0, 3.0, 7.0, 61.0] {
        let counted = |load: f64| {
            assert_eq!(load, load.trunc());
            Ok(Trial {
                load,
                p99_ms: if load <= limit { 9.0 } else { 60.0 },
                failed: 0,
                valid: true,
            })
        };
        let bounds_ms = vec![50.0];
        let (found, _) = all_found(
            &Settings {
                bounds_ms,
                start: 8.0,
                whole: true,
                ..settings()
            },
            counted,
        );
        let close = found[0]
            .loads()
            .iter()
            .all(|load| *load <= limit && limit / load <= 1.05);
        assert!(close && found[0].loads().len() == 3, "{limit}: {found:?}");
    }
}

#[test]
fn an_end_keeps_the_windows_that_were_whole() {
    let mut target = queue(20_000.0);
    let mut left = 30;
    let (found, ended) = search(&settings(), &mut |load| {
        left -= 1;
        match left {
            0 => Err("stopped"),
            _ => Ok(target(load).unwrap_or_else(|never| match never {})),
        }
    });
    assert_eq!(ended, Some("stopped"));
    let windows = found[0].loads().len();
    assert!(
        (1..3).contains(&windows) && found.iter().all(|found| found.loads().len() == windows),
        "{found:?}"
    );
}

proptest! {
    #[test]
    fn any_capacity_is_found(capacity in 5000.0..900_000.0f64, start in 2.0..200_000.0f64) {
        let (found, _) = all_found(&Settings { start, ..settings() }, queue(capacity));
        for found in &found {
            let right = capacity_under(found.bound_ms, capacity);
            for load in &found.loads() {
                prop_assert!(*load < right && *load >= right / 1.051 - 1.0, "{} for {}", load, right);
            }
        }
        // A looser bound holds no less, but for what the precision hides.
        for pair in found.windows(2) {
            prop_assert!(pair[1].held[0].0 >= pair[0].held[0].0);
        }
    }
}

#[test]
fn who_set_the_highest_load_is_named_for_what_is_held_there() {
    let capped = Settings {
        most: 2.0,
        most_is: Limit::Connections,
        start: 2.0,
        whole: true,
        ..settings()
    };
    let (found, _) = all_found(&capped, queue(1e6));
    assert!(
        found
            .iter()
            .all(|found| found.loads() == [2.0; 3] && found.limited_by() == Some(Limit::Connections)),
        "{found:?}"
    );
}
