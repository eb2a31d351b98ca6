//! The arithmetic of limits against what they promise, alone and with many threads at once.

use std::thread;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tollgate_config::document::{LimitMode, Period, Unit};

use super::*;

const START_UNIX_MS: u64 = 1_800_000_000_000;

fn at(unix_ms: u64) -> Moment {
    Moment {
        unix_ms,
        today: Today::at(&TimeZone::UTC, unix_ms),
    }
}

fn limit(unit: Unit, amount: u64, window: Window) -> Limit {
    Limit::new(unit, amount, window)
}

fn refilled(amount: u64, per_ms: u64, burst: u64) -> Limit {
    limit(Unit::Requests, amount, Window::Refill { per_ms, burst })
}

fn monthly(amount: u64) -> Limit {
    limit(Unit::Tokens, amount, Window::Calendar(Period::Month))
}

/// Of a call: the month it counts in, what counts of it, and what it holds while it is under way.
type OfList = (u64, u64, Option<(Taken, Taken)>);

proptest! {
    /// Whatever is asked when, by shards whose clocks are a little behind, and settled whenever: in no span of time is more
    /// granted than the burst and what flows off in it, and who waits as long as he is told gets it, and not sooner.
    #[test]
    fn a_bucket_never_grants_more_than_it_says(
        amount in 1u64..5_000,
        per_ms in prop::sample::select(vec![1u64, 7, 1_000, 60_000, 3_600_000]),
        burst in 1u64..10_000,
        asks in prop::collection::vec(((0u64..5_000, 0u64..4), 1u64..200, 0u64..200, 0usize..5), 1..120),
    ) {
        let limit = refilled(amount, per_ms, burst);
        let balances = Balances::in_memory(4);
        let mut now = START_UNIX_MS;
        let mut granted: Vec<(u64, u64)> = Vec::new();
        let mut open: Vec<(usize, Taken, u64)> = Vec::new();
        for (step, ((pause, behind), ask, used, held)) in asks.into_iter().enumerate() {
            now += pause;
            for (_, taken, used) in open.extract_if(.., |(until, ..)| *until <= step) {
                settle(&balances, (9, &limit), &at(now), taken, used);
            }
            let own = now - behind;
            let taken = match take(&balances, (9, &limit), &at(own), ask) {
                Ok(taken) => taken,
                Err(Lacking { wait_ms: None, .. }) => {
                    prop_assert!(ask > burst);
                    continue;
                }
                Err(Lacking { wait_ms: Some(wait_ms), .. }) => {
                    let sooner = take(&balances, (9, &limit), &at(own + wait_ms - 1), ask);
                    prop_assert!(sooner.is_err(), "it was told to wait too long");
                    now = own + wait_ms;
                    take(&balances, (9, &limit), &at(now), ask).expect("it was told to wait so long")
                }
            };
            let used = used.min(ask);
            granted.push((taken.at_unix_ms, used));
            open.push((step + held, taken, used));
        }
        for from in 0..granted.len() {
            let mut sum = 0;
            for &(until, units) in &granted[from..] {
                sum += units;
                let flowed = u128::from(until - granted[from].0) * u128::from(amount) / u128::from(per_ms);
                prop_assert!(u128::from(sum) <= u128::from(burst) + flowed, "{sum} in {} ms", until - granted[from].0);
            }
        }
    }

    /// Whatever calls come and end when, under a limit of each kind: what is granted and how it stands is what a reckoning
    /// says that keeps every call by itself and looks through all of them each time.
    #[test]
    fn a_balance_is_what_a_list_of_all_calls_says(
        amount in 1u64..500,
        steps in prop::collection::vec((0u64..3, 1u64..120, 0u64..150, 0u64..40_000_000), 1..150),
    ) {
        let (month, calls) = (monthly(amount), limit(Unit::Concurrent, 3, Window::None));
        let balances = Balances::in_memory(8);
        let mut now = START_UNIX_MS;
        let mut list: Vec<OfList> = Vec::new();
        for (step, ask, used, pause) in steps {
            now += pause;
            let moment = at(now);
            let number = moment.today.period(Period::Month).number;
            let spent = |list: &[OfList]| -> u64 {
                list.iter().filter(|(month, ..)| *month == number).map(|(_, counts, _)| counts).sum()
            };
            let under_way = list.iter().filter(|(.., held)| held.is_some()).count() as u64;
            if step == 0 {
                let oldest = list.iter_mut().find(|(.., held)| held.is_some());
                if let Some((month_of, counts, held)) = oldest {
                    let (tokens, call) = held.take().expect("it is under way");
                    settle(&balances, (1, &month), &moment, tokens, used);
                    settle(&balances, (2, &calls), &moment, call, 0);
                    if number >= *month_of + 2 {
                        // Nobody remembers its month: what went beyond counts now.
                        (*month_of, *counts) = (number, used.saturating_sub(*counts));
                    } else {
                        *counts = used;
                    }
                }
            } else {
                let (free, fits) = (under_way < 3, spent(&list) + ask <= amount);
                let call = take(&balances, (2, &calls), &moment, 1);
                prop_assert_eq!(call.is_ok(), free);
                if let Ok(call) = call {
                    let tokens = take(&balances, (1, &month), &moment, ask);
                    prop_assert_eq!(tokens.is_ok(), fits);
                    match tokens {
                        Ok(tokens) => list.push((number, ask, Some((tokens, call)))),
                        Err(_) => settle(&balances, (2, &calls), &moment, call, 0),
                    }
                }
            }
            let under_way = list.iter().filter(|(.., held)| held.is_some()).count() as u64;
            prop_assert_eq!(level(&balances, (2, &calls), &moment).used, under_way);
            prop_assert_eq!(level(&balances, (1, &month), &moment).used, spent(&list));
        }
    }

    /// What is left once everything is settled is the amount less what was used: nothing is stranded.
    #[test]
    fn what_is_settled_is_what_was_used(calls in prop::collection::vec((1u64..1_000, 0u64..1_500), 0..100)) {
        let limit = monthly(30_000);
        let balances = Balances::in_memory(4);
        let now = at(START_UNIX_MS);
        let mut taken = Vec::new();
        let (mut reserved, mut total) = (0, 0);
        for (ask, used) in calls {
            match take(&balances, (9, &limit), &now, ask) {
                Ok(held) => {
                    reserved += ask;
                    prop_assert!(reserved <= 30_000);
                    taken.push((held, used));
                    total += used;
                }
                Err(lacking) => {
                    prop_assert!(reserved + ask > 30_000);
                    prop_assert_eq!(lacking.wait_ms, Some(now.today.period(Period::Month).ends_unix_ms - START_UNIX_MS));
                }
            }
        }
        for (held, used) in taken {
            settle(&balances, (9, &limit), &now, held, used);
        }
        prop_assert_eq!(level(&balances, (9, &limit), &now).used, total);
    }
}

#[test]
fn many_threads_are_granted_exactly_the_limit() {
    for limit in [refilled(1, 3_600_000, 20_000), monthly(20_000)] {
        let balances = Balances::in_memory(16);
        let granted: u64 = thread::scope(|scope| {
            let ask = || {
                let now = at(START_UNIX_MS);
                (0..10_000)
                    .filter(|_| take(&balances, (3, &limit), &now, 1).is_ok())
                    .count() as u64
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
        });
        assert_eq!(granted, 20_000);
        assert_eq!(level(&balances, (3, &limit), &at(START_UNIX_MS)).remaining(), 0);
    }
}

#[test]
fn many_threads_leave_what_they_used_and_calls_under_way_come_back() {
    let (tokens, calls) = (monthly(1_000_000), limit(Unit::Concurrent, 3, Window::None));
    let balances = Balances::in_memory(16);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let now = at(START_UNIX_MS);
                let mut done = 0;
                while done < 2_000 {
                    let Ok(call) = take(&balances, (2, &calls), &now, 1) else {
                        thread::yield_now();
                        continue;
                    };
                    assert!(level(&balances, (2, &calls), &now).used <= 3);
                    let held = take(&balances, (1, &tokens), &now, 100).expect("there is enough");
                    settle(&balances, (1, &tokens), &now, held, 7);
                    settle(&balances, (2, &calls), &now, call, 0);
                    done += 1;
                }
            });
        }
    });
    assert_eq!(level(&balances, (1, &tokens), &at(START_UNIX_MS)).used, 4 * 2_000 * 7);
    assert_eq!(level(&balances, (2, &calls), &at(START_UNIX_MS)).used, 0);
}

#[test]
fn a_period_begins_with_nothing_used_and_the_one_before_settles_where_it_was() {
    let limit = monthly(100);
    let balances = Balances::in_memory(4);
    let now = at(START_UNIX_MS);
    let next = at(now.today.period(Period::Month).ends_unix_ms);
    let (kept, more) = (
        take(&balances, (1, &limit), &now, 40).expect("there is enough"),
        take(&balances, (1, &limit), &now, 60).expect("there is enough"),
    );
    assert!(take(&balances, (1, &limit), &now, 1).is_err());
    assert_eq!(level(&balances, (1, &limit), &next).used, 0);
    let all = take(&balances, (1, &limit), &next, 100).expect("a new month");
    settle(&balances, (1, &limit), &next, kept, 0);
    assert_eq!(
        level(&balances, (1, &limit), &next).used,
        100,
        "what comes back is last month's"
    );
    settle(&balances, (1, &limit), &next, all, 10);
    settle(&balances, (1, &limit), &next, more, 65);
    assert_eq!(level(&balances, (1, &limit), &next).used, 10, "last month had it");
    assert_eq!(
        level(&balances, (1, &limit), &now).used,
        65,
        "a clock that is set back finds last month"
    );
    let third = at(next.today.period(Period::Month).ends_unix_ms);
    assert_eq!(level(&balances, (1, &limit), &third).used, 0);
    settle(&balances, (1, &limit), &third, Taken { amount: 5, ..more }, 8);
    assert_eq!(
        level(&balances, (1, &limit), &third).used,
        3,
        "of a month that is gone: what went beyond counts now"
    );
}

#[test]
fn a_clock_that_was_ahead_once_leaves_no_limit_behind() {
    let limit = monthly(100);
    let balances = Balances::in_memory(4);
    let now = at(START_UNIX_MS);
    let mut ahead = now;
    // The same lane, years from now.
    for _ in 0..24 {
        ahead = at(ahead.today.period(Period::Month).ends_unix_ms);
    }
    take(&balances, (1, &limit), &ahead, 100).expect("there is enough");
    let held = take(&balances, (1, &limit), &now, 100).expect("this month is another");
    settle(&balances, (1, &limit), &now, held, 30);
    assert_eq!(level(&balances, (1, &limit), &now).used, 30);
}

#[test]
fn what_comes_back_does_not_come_back_twice() {
    let limit = refilled(60, 60_000, 60);
    let balances = Balances::in_memory(4);
    let held = take(&balances, (1, &limit), &at(START_UNIX_MS), 60).expect("there is enough");
    // A minute later all of it has flowed off, and is taken by another call.
    let later = at(START_UNIX_MS + 60_000);
    take(&balances, (1, &limit), &later, 60).expect("there is enough again");
    settle(&balances, (1, &limit), &later, held, 1);
    assert!(take(&balances, (1, &limit), &later, 1).is_err(), "a burst is one burst");
    // Half of it has flowed off: the other half comes back.
    let balances = Balances::in_memory(4);
    let held = take(&balances, (1, &limit), &at(START_UNIX_MS), 60).expect("there is enough");
    settle(&balances, (1, &limit), &at(START_UNIX_MS + 30_000), held, 0);
    assert_eq!(level(&balances, (1, &limit), &at(START_UNIX_MS + 30_000)).used, 0);
}

/// Wherever on the clock it begins: the second of a bucket of one passes six seconds after the first, and not before.
#[test]
fn one_in_six_seconds_is_one_in_any_six_seconds() {
    let limit = refilled(1, 6_000, 1);
    for begins in (0..6_000).step_by(7) {
        let balances = Balances::in_memory(4);
        let first = START_UNIX_MS + begins;
        let failed = take(&balances, (1, &limit), &at(first - 3), 1).expect("there is enough");
        settle(&balances, (1, &limit), &at(first - 2), failed, 0);
        let mut now = first;
        for _ in 0..3 {
            assert!(take(&balances, (1, &limit), &at(now), 1).is_ok());
            for pause in [0, 1, 40, 5_999] {
                let refused = take(&balances, (1, &limit), &at(now + pause), 1).expect_err("one was taken");
                assert_eq!(refused.wait_ms, Some(6_000 - pause), "begun at {begins}");
            }
            now += 6_000;
        }
    }
}

/// Also where the bucket is empty again within the millisecond in which it was looked at last, or a shard's clock is behind that.
#[test]
fn who_takes_what_came_back_in_the_same_millisecond_is_followed_a_period_later() {
    let limit = refilled(1, 6_000, 1);
    for behind in [0, 3] {
        let balances = Balances::in_memory(4);
        let failed = take(&balances, (1, &limit), &at(START_UNIX_MS), 1).expect("there is enough");
        let late = START_UNIX_MS + 5_999;
        settle(&balances, (1, &limit), &at(late), failed, 0);
        assert!(
            take(&balances, (1, &limit), &at(late - behind), 1).is_ok(),
            "it came back"
        );
        let refused = take(&balances, (1, &limit), &at(late + 1), 1).expect_err("one was taken a millisecond ago");
        assert_eq!(refused.wait_ms, Some(5_999));
        assert!(take(&balances, (1, &limit), &at(late + 6_000), 1).is_ok());
    }
}

/// What a shard takes whose clock is behind comes back whole where its call fails, although another had begun the grid later.
#[test]
fn what_fails_comes_back_to_a_bucket_whichever_shards_clock_is_behind() {
    let limit = refilled(1, 3_600_000, 2);
    let balances = Balances::in_memory(4);
    let behind = at(START_UNIX_MS - 3);
    take(&balances, (1, &limit), &at(START_UNIX_MS), 1).expect("there is enough");
    let held = take(&balances, (1, &limit), &behind, 1).expect("there is enough");
    settle(&balances, (1, &limit), &behind, held, 0);
    assert_eq!(level(&balances, (1, &limit), &at(START_UNIX_MS)).used, 1);
}

#[test]
fn a_bound_of_any_size_does_not_wipe_what_a_shadow_counts() {
    let limit = Limit {
        mode: LimitMode::Shadow,
        ..monthly(100)
    };
    let balances = Balances::in_memory(4);
    let now = at(START_UNIX_MS);
    let first = note(&balances, (1, &limit), &now, 10).expect("room");
    let huge = note(&balances, (1, &limit), &now, u64::MAX).expect("room");
    settle(&balances, (1, &limit), &now, huge, 5);
    settle(&balances, (1, &limit), &now, first, 10);
    assert_eq!(level(&balances, (1, &limit), &now).used, 15);
}

#[test]
fn debt_refuses_until_it_has_flowed_off() {
    let limit = refilled(10, 1_000, 100);
    let balances = Balances::in_memory(4);
    let held = take(&balances, (1, &limit), &at(START_UNIX_MS), 50).expect("there is enough");
    settle(&balances, (1, &limit), &at(START_UNIX_MS), held, 300);
    let refused = take(&balances, (1, &limit), &at(START_UNIX_MS), 1).expect_err("200 too many were used");
    assert_eq!(refused.wait_ms, Some(20_100));
    assert!(take(&balances, (1, &limit), &at(START_UNIX_MS + 20_100), 1).is_ok());
}

#[test]
fn a_change_of_the_amount_keeps_what_was_used() {
    let balances = Balances::in_memory(4);
    let now = at(START_UNIX_MS);
    take(&balances, (1, &monthly(100)), &now, 80).expect("there is enough");
    assert_eq!(level(&balances, (1, &monthly(200)), &now).remaining(), 120);
    assert!(take(&balances, (1, &monthly(50)), &now, 1).is_err());
    take(&balances, (2, &refilled(10, 1_000, 10)), &now, 10).expect("there is enough");
    assert_eq!(level(&balances, (2, &refilled(10, 1_000, 30)), &now).remaining(), 20);
}

#[test]
fn a_clock_that_is_set_back_grants_nothing_twice() {
    let limit = refilled(10, 1_000, 10);
    let balances = Balances::in_memory(4);
    take(&balances, (1, &limit), &at(START_UNIX_MS), 10).expect("there is enough");
    for back in [1, 500, 86_400_000] {
        assert!(
            take(&balances, (1, &limit), &at(START_UNIX_MS - back), 1).is_err(),
            "{back} ms"
        );
    }
    assert!(
        take(&balances, (1, &limit), &at(START_UNIX_MS - 86_400_000 + 1_000), 10).is_ok(),
        "and flows on from there"
    );
}

#[test]
fn what_was_used_outlives_the_process_and_what_was_under_way_does_not() {
    let cells: &'static [Cell] = Vec::leak((0..9).map(|_| Cell::default()).collect());
    let (tokens, calls) = (monthly(100), limit(Unit::Concurrent, 2, Window::None));
    let now = at(START_UNIX_MS);
    let first = Balances::lent(cells).expect("new memory");
    take(&first, (1, &tokens), &now, 30).expect("there is enough");
    take(&first, (2, &calls), &now, 2).expect("there is enough");
    assert!(take(&first, (2, &calls), &now, 1).is_err());
    let second = Balances::lent(cells).expect("the same memory");
    assert_eq!(level(&second, (1, &tokens), &now).used, 30);
    assert!(take(&second, (2, &calls), &now, 2).is_ok());
    let strange: &'static [Cell] = Vec::leak(vec![Cell::default(), Cell::default()]);
    Balances::lent(strange).expect("new memory");
    assert!(Balances::lent(&[]).is_err());
}
