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

/// Standard output whose reader has gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// Standard output on a disk that is full.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_costs_no_page_and_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.html");
    for as_json in [false, true] {
        let output = Output::open(as_json, Some(&path)).unwrap();
        assert_eq!(output.write(&Frontier::default(), &mut Gone), Ok(()));
        assert!(std::fs::read_to_string(&path).unwrap().contains("</html>"));
    }
    let output = Output::open(false, Some(&path)).unwrap();
    assert!(output.write(&Frontier::default(), &mut Full).is_err());
    assert!(std::fs::read_to_string(&path).unwrap().contains("</html>"));
}

#[test]
fn a_page_that_cannot_be_written_is_known_before_the_sweep() {
    let said = Output::open(false, Some(Path::new("/nosuch/x.html"))).err().unwrap();
    assert!(
        said.contains("--html /nosuch/x.html") && said.contains("name a file"),
        "{said}"
    );
}

#[test]
fn options_of_a_run_are_refused_with_their_reason() {
    assert_eq!(refuse_options_of_a_run(false, false), Ok(()));
    let said = refuse_options_of_a_run(true, false).unwrap_err();
    assert!(said.starts_with("--hgrm: ") && said.contains("--rate"), "{said}");
    let said = refuse_options_of_a_run(false, true).unwrap_err();
    assert!(
        said.starts_with("--fail-on-errors: ") && said.contains("--rate"),
        "{said}"
    );
}

#[test]
fn fewer_connections_than_a_process_holds_are_the_users_limit() {
    let most_is = |most| {
        let wanted = options().read(most, None).unwrap();
        (wanted.rates.unwrap().most_is, wanted.streams.unwrap().most_is)
    };
    assert_eq!(most_is(2), (Limit::Generator, Limit::Connections));
    assert_eq!(most_is(MOST_STREAMS), (Limit::Generator, Limit::Generator));
}

#[test]
fn only_what_the_generator_limits_is_of_no_use() {
    let limited_by = |limits: &[&str]| Frontier {
        streams: limits
            .iter()
            .map(|limit| Held {
                limited_by: (*limit).to_owned(),
                ..Held::default()
            })
            .collect(),
        ..Frontier::default()
    };
    assert!(is_of_use(&limited_by(&["--connections"])));
    assert!(is_of_use(&limited_by(&["generator", "p99"])));
    assert!(!is_of_use(&limited_by(&["generator"])));
}
