//! The live display: what its two lines say after each second.

use crate::report::{
    Second,
    progress::{State, sparkline},
};

fn second(at_s: u64, answered: u64, failed: u64) -> Second {
    Second {
        at_s,
        sent: answered + failed,
        answered,
        failed,
        p50_ms: 0.82,
        p99_ms: 3.2,
        max_ms: 12.0,
    }
}

#[test]
fn lines_say_rate_failures_and_time_left() {
    let cases: [(Option<f64>, &[Second], [&str; 2]); 5] = [
        (
            Some(30.0),
            &[second(0, 500, 0), second(1, 1_000, 0)],
            [
                "━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 2 s of 30 s, 28 s left",
                "▄█ 1,000/s, failed 0, p50 820 µs, p99 3.20 ms",
            ],
        ),
        (
            Some(2.0),
            &[second(0, 10, 1), second(1, 0, 1_200), second(2, 5, 0)],
            [
                "━━━━━━━━━━━━━━━━━━━━ 3 s, waiting for the last answers",
                "█ ▄ 5.00/s, failed 1,201, p50 820 µs, p99 3.20 ms",
            ],
        ),
        (
            None,
            &[second(0, 8, 0), second(99, 1, 0)],
            ["█▁ 1 min 40 s so far", "1.00/s, failed 0, p50 820 µs, p99 3.20 ms"],
        ),
        (
            Some(f64::NAN),
            &[second(0, 0, 0)],
            ["  1 s so far", "0/s, failed 0, no answer"],
        ),
        (None, &[], [" 0 s so far", "0/s, failed 0, no answer"]),
    ];
    for (total, seconds, expected) in cases {
        let mut state = State::new(total);
        seconds.iter().for_each(|second| state.add(second));
        assert_eq!(state.lines(false), expected, "{total:?}");
    }
}

#[test]
fn failures_are_red_where_colour_is_wanted() {
    let mut state = State::new(None);
    state.add(&second(0, 10, 0));
    assert!(!state.lines(true)[1].contains('\x1b'));
    state.add(&second(1, 10, 2));
    assert!(state.lines(true)[1].contains("\x1b[1;31mfailed 2\x1b[0m"));
}

#[test]
fn sparkline_shows_the_last_seconds() {
    let mut state = State::new(Some(100.0));
    (0..80).for_each(|at_s| state.add(&second(at_s, 10 + at_s, 0)));
    let sparks = state.lines(false)[1]
        .chars()
        .take_while(|letter| !letter.is_ascii())
        .count();
    assert_eq!(sparks, 20);
    assert_eq!(sparkline(&[0, 1, 50, 100]), " ▁▄█");
    assert_eq!(sparkline(&[u64::MAX]), "█");
    assert_eq!(sparkline(&[]), "");
}
