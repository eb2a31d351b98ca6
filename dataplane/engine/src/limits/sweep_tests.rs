//! The table of balances: limits find theirs again, what is worth nothing makes room, and nobody notices that it does.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tollgate_config::document::{Period, Unit};

use super::{
    super::{
        bucket::{self, Level},
        calendar::Today,
    },
    *,
};

const START_UNIX_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 24 * 3_600_000;

fn at(unix_ms: u64) -> Moment {
    Moment {
        unix_ms,
        today: Today::at(&TimeZone::UTC, unix_ms),
    }
}

fn limits() -> [Limit; 4] {
    [
        Limit::new(
            Unit::Requests,
            10,
            Window::Refill {
                per_ms: 60_000,
                burst: 10,
            },
        ),
        // What a call uses of it flows off in two days.
        Limit::new(
            Unit::Tokens,
            10,
            Window::Refill {
                per_ms: DAY_MS,
                burst: 20,
            },
        ),
        Limit::new(Unit::Budget, 10, Window::Calendar(Period::Day)),
        Limit::new(Unit::Concurrent, 3, Window::None),
    ]
}

/// All of one sweep, with nobody about anything.
fn sweep(balances: &Balances, unix_ms: u64) -> u64 {
    let marked = balances.mark_worthless(unix_ms);
    balances.free_marked(&marked, unix_ms)
}

#[test]
fn limits_find_their_cells_again_and_a_full_table_says_so() {
    let balances = Balances::in_memory(4);
    assert!(balances.find(7).is_none());
    // Two numbers that begin at the same place.
    for id in [7, 11] {
        balances.cell(id).expect("room").lane(0).add(id);
    }
    for id in [7, 11] {
        let found = balances.find(id).expect("it is there");
        assert_eq!(found.lane(0).used(), id);
        assert!(std::ptr::eq(found, balances.cell(id).expect("there")));
    }
    assert!(balances.cell(2).is_some() && balances.cell(5).is_some());
    assert!(balances.cell(3).is_none(), "four cells, four limits");
    assert!(balances.find(3).is_none());
}

#[test]
fn what_is_worth_nothing_makes_room_and_what_lies_behind_it_is_found() {
    let balances = Balances::in_memory(4);
    let [minute, ..] = limits();
    let daily = limits()[2];
    let now = at(START_UNIX_MS);
    // The second begins where the first lies, and the third where the second does.
    bucket::take(&balances, (6, &minute), &now, 3).expect("room");
    bucket::take(&balances, (10, &daily), &now, 4).expect("room");
    let later = START_UNIX_MS + 27 * 3_600_000;
    bucket::take(&balances, (14, &minute), &at(later), 5).expect("room");
    assert_eq!(
        sweep(&balances, later),
        1,
        "the first alone has flowed off, long enough ago"
    );
    let used = |id: u64, limit: &Limit, at: &Moment| bucket::level(&balances, (id, limit), at).used;
    assert_eq!([used(6, &minute, &at(later)), used(14, &minute, &at(later))], [0, 5]);
    assert_eq!(
        used(10, &daily, &now),
        4,
        "its day may not be over for a call that began in it"
    );
    // As many different ones as there are, though the table has four cells.
    for id in 100..1_000 {
        let now = later + id * 2 * DAY_MS;
        bucket::take(&balances, (id, &minute), &at(now), 10).expect("room");
        sweep(&balances, now + 27 * 3_600_000);
    }
    assert!(balances.fill().taken <= 4, "{:?}", balances.fill());
}

#[test]
fn a_balance_that_is_wanted_during_a_sweep_stays() {
    let balances = Balances::in_memory(8);
    let [minute, _, _, concurrent] = limits();
    let now = at(START_UNIX_MS);
    for id in [2, 3] {
        bucket::take(&balances, (id, &minute), &now, 10).expect("room");
    }
    // A call that is under way as long as it likes.
    let call = bucket::take(&balances, (4, &concurrent), &now, 3).expect("room");
    let later = START_UNIX_MS + 30 * DAY_MS;
    let marked = balances.mark_worthless(later);
    // Between the steps the first is used again, and who looks at it sees it.
    bucket::take(&balances, (2, &minute), &at(later), 10).expect("all has flowed off");
    assert_eq!(balances.free_marked(&marked, later), 1);
    assert!(
        bucket::take(&balances, (2, &minute), &at(later), 1).is_err(),
        "its balance is what it was"
    );
    assert!(bucket::take(&balances, (4, &concurrent), &at(later), 1).is_err());
    bucket::settle(&balances, (4, &concurrent), &at(later), call, 0);
    assert_eq!(sweep(&balances, later + 2 * DAY_MS), 2);
}

fn memory(limits: usize) -> &'static [Cell] {
    Box::leak(
        (0..Balances::cells_for(limits))
            .map(|_| Cell::default())
            .collect::<Box<[_]>>(),
    )
}

#[test]
fn marks_of_a_process_that_died_are_taken_off_and_nothing_is_freed_that_an_older_program_used() {
    let cells = memory(8);
    let daily = limits()[2];
    let now = at(START_UNIX_MS);
    let first = Balances::lent(cells).expect("new");
    bucket::take(&first, (5, &daily), &now, 4).expect("room");
    // Long enough after it: it dies between the steps.
    let later = START_UNIX_MS + 4 * DAY_MS;
    assert!(!first.mark_worthless(later).is_empty());
    let second = Balances::lent(cells).expect("known");
    assert_eq!(bucket::level(&second, (5, &daily), &now).used, 4);
    // A program that keeps no word of that has used it in between.
    let head = &cells[0];
    head.lane(0).tag.fetch_add(1, Ordering::Relaxed);
    let third = Balances::lent(cells).expect("known");
    assert_eq!(sweep(&third, later), 0);
    // Used again it is known again, and is freed in its time.
    bucket::take(&third, (5, &daily), &at(later), 1).expect("a new day");
    assert_eq!(sweep(&third, later + 4 * DAY_MS), 1);
}

#[test]
fn a_larger_memory_goes_on_with_all_that_the_smaller_one_held() {
    let (small, large) = (memory(8), memory(64));
    let [minute, _, daily, _] = limits();
    let now = at(START_UNIX_MS);
    let first = Balances::lent(small).expect("new");
    for id in 2..8 {
        bucket::take(&first, (id << 8 | id, &minute), &now, id).expect("room");
    }
    bucket::take(&first, (99, &daily), &now, 9).expect("room");
    let grown = Balances::lent_after(large, small).expect("room");
    for id in 2..8 {
        assert_eq!(bucket::level(&grown, (id << 8 | id, &minute), &now).used, id);
    }
    assert_eq!(bucket::level(&grown, (99, &daily), &now).used, 9);
    assert_eq!(grown.fill(), Fill { taken: 7, cells: 64 });
    assert_eq!(
        sweep(&grown, START_UNIX_MS + 30 * DAY_MS),
        7,
        "and it is known until when each is worth something"
    );
}

proptest! {
    /// Whatever limits are used and whenever a sweep begins and ends: a small table that is swept says of each call what a
    /// large one says that keeps everything.
    #[test]
    fn a_swept_table_grants_and_tells_what_one_does_that_forgets_nothing(
        steps in prop::collection::vec((0u64..5, 0u64..24, 0usize..4, 1u64..8, 0u64..12), 1..200),
    ) {
        let (swept, whole) = (Balances::in_memory(64), Balances::in_memory(1024));
        let (mut now, mut marked) = (START_UNIX_MS, Marked::default());
        let mut open = Vec::new();
        for (what, id, kind, amount, hours) in steps {
            let limit = &limits()[kind];
            let id = 2 + id * 4 + kind as u64;
            let moment = at(now);
            match what {
                0 => now += hours * 3_600_000,
                1 => marked = swept.mark_worthless(now),
                2 => _ = swept.free_marked(&std::mem::take(&mut marked), now),
                3 if !open.is_empty() => {
                    let (id, limit, mine, theirs): (u64, Limit, _, _) = open.swap_remove(amount as usize % open.len());
                    bucket::settle(&swept, (id, &limit), &moment, mine, amount);
                    bucket::settle(&whole, (id, &limit), &moment, theirs, amount);
                }
                _ => {
                    let (mine, theirs) = (
                        bucket::take(&swept, (id, limit), &moment, amount),
                        bucket::take(&whole, (id, limit), &moment, amount),
                    );
                    prop_assert_eq!(&mine, &theirs);
                    if let (Ok(mine), Ok(theirs)) = (mine, theirs) {
                        open.push((id, *limit, mine, theirs));
                    }
                }
            }
            // Calls end within a day.
            if what == 0 && hours > 0 {
                for (id, limit, mine, theirs) in open.drain(..) {
                    bucket::settle(&swept, (id, &limit), &at(now), mine, 1);
                    bucket::settle(&whole, (id, &limit), &at(now), theirs, 1);
                }
            }
            let moment = at(now);
            let level = |balances: &Balances, id, limit| -> Level { bucket::level(balances, (id, limit), &moment) };
            prop_assert_eq!(level(&swept, id, limit), level(&whole, id, limit));
        }
    }
}
