//! The plain text, the JSON of the contract, the percentile file, and how numbers are written.

use crate::{
    report::{Measured, Report, format, hgrm, json, text, without_secrets},
    sample,
};

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).expect("written");
    String::from_utf8(bytes).expect("text")
}

fn plain(measured: &Measured) -> String {
    written(|to| text::write(measured, to))
}

/// The words of the line that begins with this one.
fn words<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.trim_start().starts_with(first));
    line.unwrap_or_else(|| panic!("a line of {first} in\n{text}"))
        .split_whitespace()
        .collect()
}

#[test]
fn text_says_the_loop_the_counts_and_the_reasons() {
    let text = plain(&sample::busy());
    assert!(text.starts_with("open loop: latency counts from when a request was due\n"));
    assert_eq!(words(&text, "sent"), ["sent", "90,138"]);
    assert_eq!(words(&text, "answered"), ["answered", "90,000", "1,000/s"]);
    let failed = "failed 138 (0.153 %) status 120, timeout 14, cut 3, content 1";
    assert_eq!(words(&text, "failed").join(" "), failed);
    assert_eq!(
        words(&text, "chat, streamed")[..4],
        ["chat,", "streamed", "9,004", "9,000"]
    );
    assert!(text.contains("pid 4711 and its children: 38.2 µs CPU a request"));
    assert!(text.contains("2 threads, 8.40 µs CPU a request, busiest at 31.0 % of a core"));
    assert!(plain(&sample::single_class()).starts_with("closed loop: latency counts from when a request was sent\n"));
}

#[test]
fn text_has_the_percentiles_of_the_report() {
    let run = sample::busy();
    let text = plain(&run);
    let latency = run.report.total.latency_ms;
    let values = [
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p999,
        latency.p9999,
        latency.max,
        latency.mean,
    ];
    let expected: Vec<String> = values.map(format::number).into();
    assert_eq!(words(&text, "latency  ")[1..8], expected[..]);
    for part in ["first byte", "first token", "token gap", "gateway's share"] {
        words(&text, part);
    }
    assert!(
        !plain(&sample::single_class()).contains("token gap"),
        "there were no streams"
    );
}

#[test]
fn text_says_first_that_a_run_is_not_valid() {
    let text = plain(&sample::late());
    let said = "results are not valid: the generator was late by 212 ms (p99); give it more threads";
    assert_eq!(text.lines().nth(1), Some(said));
    assert!(text.contains("interrupted"));
    assert!(!plain(&sample::busy()).contains("not valid"));
}

#[test]
fn text_is_fit_for_a_terminal_whatever_names_hold() {
    for run in [sample::extreme(), sample::nothing(), sample::one_request()] {
        let text = plain(&run);
        assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'));
        assert!(!text.contains("NaN") && !text.contains("inf"));
        assert!(!text.contains("secret"));
    }
}

#[test]
fn frontier_says_median_and_spread() {
    let text = written(|to| text::write_frontier(&sample::frontier(), to));
    let mut windows = sample::frontier().requests[0].windows.clone();
    windows.sort_by(f64::total_cmp);
    let row = words(&text, "1 ms");
    let expected = [windows[1], windows[0], windows[2]].map(format::number);
    assert_eq!(row[2..5], expected);
    assert_eq!(words(&text, "10 ms             none")[2], "none");
    assert!(text.contains("Limited by the generator"));
}

/// Field for field what the contract shows.
#[test]
fn json_is_what_the_contract_says() {
    let run = sample::busy();
    let value: serde_json::Value = serde_json::from_str(&written(|to| json::write(&run, to))).expect("JSON");
    let outcome = |value: &serde_json::Value| {
        for field in ["sent", "answered"] {
            assert!(value[field].is_u64(), "{field}");
        }
        for reason in ["status", "connect", "timeout", "cut", "content"] {
            assert!(value["failed"][reason].is_u64(), "{reason}");
        }
        assert!(value["rate"].is_f64());
        for times in ["latency_ms", "first_byte_ms"] {
            for percentile in ["p50", "p90", "p99", "p999", "max"] {
                assert!(value[times][percentile].is_f64(), "{times} {percentile}");
            }
        }
    };
    assert_eq!(value["valid"], true);
    assert_eq!(value["sent"], 90_138);
    assert_eq!(value["failed"]["status"], 120);
    outcome(&value);
    outcome(&value["classes"]["chat"]);
    outcome(&value["classes"]["chat, streamed"]);
}

#[test]
fn json_is_read_back_as_it_was() {
    for run in [sample::busy(), sample::late(), sample::nothing(), sample::one_request()] {
        let first = written(|to| json::write(&run, to));
        let report: Report = serde_json::from_str(&first).expect("a report");
        let again = written(|to| json::write(&Measured { report, ..run }, to));
        for (line, again) in first.lines().zip(again.lines()) {
            let number = |line: &str| line.trim_end_matches(',').rsplit(' ').next()?.parse::<f64>().ok();
            match (number(line), number(again)) {
                // The reader of numbers may be one bit off.
                (Some(a), Some(b)) => assert!((a - b).abs() <= a.abs() * 1e-15, "{line} became {again}"),
                _ => assert_eq!(line, again),
            }
        }
        assert_eq!(first.lines().count(), again.lines().count());
    }
}

#[test]
fn hgrm_is_read_by_plotters() {
    let run = sample::busy();
    let file = written(|to| hgrm::write(&run, to));
    let mut lines = file.lines();
    let heads: Vec<&str> = lines.next().expect("heads").split_whitespace().collect();
    assert_eq!(heads, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    assert_eq!(lines.next(), Some(""));
    let (rows, footer): (Vec<&str>, Vec<&str>) = lines.partition(|line| !line.starts_with('#'));
    let rows: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            row.split_whitespace()
                .map(|word| word.parse().expect("a number"))
                .collect()
        })
        .collect();
    for pair in rows.windows(2) {
        assert!(pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1] && pair[0][2] <= pair[1][2]);
    }
    let (last, others) = rows.split_last().expect("rows");
    assert!(others.iter().all(|row| row.len() == 4), "plotters skip other lines");
    assert_eq!(last[1..], [1.0, 90_000.0]);
    let latency = run.report.total.latency_ms;
    let median = others.iter().find(|row| row[1] == 0.5).expect("the median");
    assert!((median[0] - latency.p50).abs() < latency.p50 * 0.002, "in milliseconds");
    assert!((median[3] - 2.0).abs() < 1e-9);
    assert!(footer[0].starts_with("#[Mean    =") && footer[0].contains("StdDeviation   ="));
    assert!(footer[1].starts_with("#[Max     =") && footer[1].contains("Total count    =        90000]"));
    assert_eq!(footer[2], "#[Buckets =           30, SubBuckets     =         2048]");
}

#[test]
fn hgrm_of_nothing_has_no_rows() {
    let file = written(|to| hgrm::write(&sample::nothing(), to));
    assert_eq!(file.lines().filter(|line| !line.starts_with('#')).count(), 2);
    assert!(file.contains("Total count    =            0]") && !file.contains("NaN"));
}

#[test]
fn numbers_are_short() {
    let cases = [
        (0.0, "0"),
        (0.000_012, "0.000012"),
        (0.0042, "0.0042"),
        (0.0123, "0.012"),
        (0.9996, "1.00"),
        (1.234, "1.23"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1234.5, "1,235"),
        (-1234.0, "-1,234"),
        (f64::NAN, "–"),
        (f64::INFINITY, "–"),
    ];
    for (number, expected) in cases {
        assert_eq!(format::number(number), expected, "{number}");
    }
    assert_eq!(format::count(0), "0");
    assert_eq!(format::count(999), "999");
    assert_eq!(format::count(u64::MAX), "18,446,744,073,709,551,615");
    assert_eq!(format::duration(0.0857), "85.7 µs");
    assert_eq!(format::duration(12.34), "12.3 ms");
    assert_eq!(format::duration(600_000.0), "600 s");
    assert_eq!(format::bytes(999), "999 B");
    assert_eq!(format::bytes(1_250_000), "1.25 MB");
    assert_eq!(format::share(0.5), "50.0 %");
    assert_eq!(format::share(0.000_001), "< 0.001 %");
    assert_eq!(format::clock(7_800.0), "2 h 10 min");
    assert_eq!(format::clock(185.0), "3 min 05 s");
    assert_eq!(format::span(12.5), "12.5 s");
    assert_eq!(format::span(30.0), "30 s");
}

#[test]
fn urls_are_shown_without_their_secrets() {
    let cases = [
        ("http://h:1/v1", "http://h:1/v1"),
        ("http://h/v1?a=1", "http://h/v1?a=1"),
        ("https://me:pw@h/p@th", "https://h/p@th"),
        ("http://h/v1?key=abc&a=1", "http://h/v1?key=…&a=1"),
        ("http://h?a=1&key=abc", "http://h?a=1&key=…"),
    ];
    for (url, expected) in cases {
        assert_eq!(without_secrets(url), expected);
    }
}
