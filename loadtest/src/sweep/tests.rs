//! The sweep's options, and what decides a window.

use super::*;

fn options() -> Options {
    Options {
        sweep: true,
        sweep_streams: true,
        sweep_p99: ["5ms", "1ms", "5ms"].map(str::to_owned).to_vec(),
        gap: vec!["50ms".to_owned()],
        sweep_windows: 3,
        sweep_precision: 0.05,
    }
}

#[test]
fn bounds_are_sorted_and_each_is_searched_once() {
    let wanted = options().read(500, None).unwrap();
    let (rates, streams) = (wanted.rates.unwrap(), wanted.streams.unwrap());
    assert_eq!((&rates.bounds_ms[..], rates.whole), (&[1.0, 5.0][..], false));
    assert_eq!(
        (&streams.bounds_ms[..], streams.most, streams.whole),
        (&[50.0][..], 500.0, true)
    );
    let few = options().read(4, None).unwrap().streams.unwrap();
    assert_eq!((few.start, few.most), (4.0, 4.0));
    let one = Options {
        sweep_streams: false,
        ..options()
    }
    .read(4, None)
    .unwrap();
    assert!(one.rates.is_some() && one.streams.is_none());
}

#[test]
fn wrong_options_are_refused_with_a_remedy() {
    let cases = [
        (
            Options {
                sweep_p99: vec!["1".to_owned()],
                ..options()
            },
            "250ms",
        ),
        (
            Options {
                gap: vec!["0ms".to_owned()],
                ..options()
            },
            "over 0",
        ),
        (
            Options {
                sweep_precision: 0.0,
                ..options()
            },
            "0.001 to 1",
        ),
        (
            Options {
                sweep_windows: 0,
                ..options()
            },
            "1 or more",
        ),
    ];
    for (options, remedy) in cases {
        let said = options.read(10, None).unwrap_err();
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn a_second_that_puts_the_p99_over_the_bound_ends_its_window() {
    let second = Second {
        answered: 100,
        p50_ms: 101.0,
        ..Second::default()
    };
    assert!(is_decided(&second, 100.0, 10_000_000_000));
    assert!(!is_decided(&second, 102.0, 10_000_000_000));
    // One of a hundred seconds is not enough.
    assert!(!is_decided(&second, 100.0, 100_000_000_000));
    assert!(!is_decided(&Second { answered: 0, ..second }, 100.0, 10_000_000_000));
}

#[test]
fn a_window_without_an_answer_keeps_no_bound() {
    let report = Report {
        valid: true,
        ..Report::default()
    };
    assert_eq!(judged(&report, 5.0, false).p99_ms, f64::INFINITY);
    let mut answered = report;
    answered.total.latency_ms.count = 3;
    answered.total.latency_ms.p99 = 2.0;
    answered.total.token_gap_ms.count = 3;
    answered.total.token_gap_ms.p99 = 7.0;
    answered.total.failed.cut = 2;
    let right = Trial {
        load: 5.0,
        p99_ms: 2.0,
        failed: 2,
        valid: true,
    };
    assert_eq!(judged(&answered, 5.0, false), right);
    assert_eq!(judged(&answered, 5.0, true).p99_ms, 7.0);
}

#[test]
fn a_wrong_answer_is_the_targets_and_a_late_one_the_generators() {
    let mut report = Report::default();
    report.total.failed.timeout = 5;
    assert!(!judged(&report, 5.0, false).valid);
    report.total.failed.status = 1;
    assert!(judged(&report, 5.0, false).valid);
}

#[test]
fn a_target_that_answers_nothing_right_is_not_searched() {
    let mut report = Report::default();
    report.total.sent = 10;
    report.total.failed.content = 10;
    let said = something_is_answered(&report).unwrap_err();
    assert!(said.contains("--no-verify"), "{said}");
    report.total.failed = crate::report::Failed {
        status: 10,
        ..Default::default()
    };
    assert!(something_is_answered(&report).unwrap_err().contains("the key"));
    report.total.failed.status = 9;
    assert_eq!(something_is_answered(&report), Ok(()));
}
