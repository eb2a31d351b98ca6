//! Made-up runs: what a report may be given, from nothing at all to more than is good. Always the same.

use std::f64::consts::TAU;

use crate::report::{
    Failed, Generator, Measured, Outcome, Report, Second, Watched,
    frontier::{Frontier, Held, Tried},
    times::{Times, percentiles},
};

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Log-normal around a median.
    fn around(&mut self, median_ms: f64, spread: f64) -> f64 {
        let normal = (-2.0 * self.next().max(1e-12).ln()).sqrt() * (TAU * self.next()).cos();
        median_ms * (normal * spread).exp()
    }
}

fn record(histogram: &mut hdrhistogram::Histogram<u64>, ms: f64) {
    histogram.saturating_record((ms * 1e6).max(1.0) as u64);
}

/// A class of so many requests; one in `stream_every` of them a stream.
fn class(draw: &mut Draw, requests: u64, median_ms: f64, stream_every: u64) -> Times {
    let mut times = Times::new();
    for request in 0..requests {
        let streams = stream_every > 0 && request % stream_every == 0;
        let stalled = draw.next() < 0.0006;
        let first = draw.around(median_ms, 0.35) + if stalled { draw.around(120.0, 0.4) } else { 0.0 };
        record(&mut times.first_byte, first);
        record(&mut times.gateway, draw.around(0.018, 0.5));
        let mut whole = first;
        if streams {
            let token = first + draw.around(1.0, 0.2);
            record(&mut times.first_token, token);
            whole = token;
            for _ in 0..30 {
                let gap = draw.around(20.0, 0.06) + if draw.next() < 0.0004 { 180.0 } else { 0.0 };
                record(&mut times.token_gap, gap);
                whole += gap;
            }
        }
        record(&mut times.latency, whole + draw.around(0.05, 0.2));
    }
    times
}

fn outcome(times: &Times, failed: Failed, seconds: f64) -> Outcome {
    let answered = times.latency.len();
    Outcome {
        sent: answered + failed.all(),
        answered,
        verified: answered - answered / 20,
        streams: times.first_token.len(),
        left: 0,
        failed,
        rate: if seconds > 0.0 { answered as f64 / seconds } else { 0.0 },
        latency_ms: percentiles(&times.latency),
        first_byte_ms: percentiles(&times.first_byte),
        first_token_ms: percentiles(&times.first_token),
        token_gap_ms: percentiles(&times.token_gap),
        gateway_ms: percentiles(&times.gateway),
        stream_events: times.token_gap.len() + times.first_token.len(),
        bytes_sent: answered * 1_380,
        bytes_received: answered * 2_412,
    }
}

fn measured(seconds: f64, classes: Vec<(&str, Times, Failed)>) -> Measured {
    let mut all = Times::new();
    let mut failed = Failed::default();
    for (_, times, failures) in &classes {
        all.add(times);
        failed.status += failures.status;
        failed.connect += failures.connect;
        failed.timeout += failures.timeout;
        failed.cut += failures.cut;
        failed.content += failures.content;
    }
    let report = Report {
        valid: true,
        load_loop: "open".to_owned(),
        url: "http://127.0.0.1:8080".to_owned(),
        mix: "chat".to_owned(),
        began: "2026-11-25T22:45:00Z".to_owned(),
        seconds,
        wanted_rate: Some(1_000.0),
        connections: 64,
        total: outcome(&all, failed, seconds),
        classes: classes
            .iter()
            .map(|(name, times, failures)| ((*name).to_owned(), outcome(times, *failures, seconds)))
            .collect(),
        generator: Generator {
            threads: 2,
            cpu_us_per_request: 8.4,
            busiest_thread: 0.31,
        },
        ..Report::default()
    };
    Measured {
        report,
        total: all,
        classes: classes
            .into_iter()
            .map(|(name, times, _)| (name.to_owned(), times))
            .collect(),
    }
}

/// Ninety seconds of four classes, with an incident in the middle and a watched process.
pub fn busy() -> Measured {
    let mut draw = Draw(1);
    let some = Failed {
        status: 120,
        timeout: 14,
        ..Failed::default()
    };
    let few = Failed {
        cut: 3,
        content: 1,
        ..Failed::default()
    };
    let mut run = measured(
        90.0,
        vec![
            ("chat", class(&mut draw, 60_000, 2.1, 0), some),
            ("chat, streamed", class(&mut draw, 9_000, 2.4, 1), few),
            ("long context", class(&mut draw, 12_000, 9.0, 0), Failed::default()),
            ("embeddings", class(&mut draw, 9_000, 0.8, 0), Failed::default()),
        ],
    );
    run.report.series = (0..90)
        .map(|at_s| {
            let incident = (40..52).contains(&at_s);
            let answered = (draw.around(1_000.0, 0.02) * if incident { 0.87 } else { 1.0 }) as u64;
            Second {
                at_s,
                sent: 1_000,
                answered: if at_s == 46 { 0 } else { answered },
                failed: if incident { (draw.next() * 24.0) as u64 } else { 0 },
                p50_ms: draw.around(2.2, 0.05),
                p99_ms: draw.around(if incident { 140.0 } else { 14.0 }, 0.12),
                max_ms: draw.around(if incident { 900.0 } else { 70.0 }, 0.4),
            }
        })
        .collect();
    let mut late = Times::new();
    (0..90_000).for_each(|_| record(&mut late.latency, draw.around(0.02, 0.6)));
    run.report.late_ms = percentiles(&late.latency);
    run.report.watched = Some(Watched {
        pid: 4711,
        cpu_us_per_request: 38.2,
        cpu_seconds: 3.44,
        rss_mib_before: 12.1,
        rss_mib_peak: 34.6,
        rss_mib_after: 30.2,
    });
    run
}

/// The generator, not the target, was the bottleneck; and it was interrupted.
pub fn late() -> Measured {
    let mut run = busy();
    run.report.valid = false;
    run.report.invalid_because = Some("the generator was late by 212 ms (p99); give it more threads".to_owned());
    run.report.interrupted = true;
    run
}

/// Closed loop, one class, no streams, no failures.
pub fn single_class() -> Measured {
    let mut draw = Draw(2);
    let mut run = measured(
        10.0,
        vec![("chat", class(&mut draw, 20_000, 0.9, 0), Failed::default())],
    );
    run.report.load_loop = "closed".to_owned();
    run.report.wanted_rate = None;
    run.report.series = (0..10)
        .map(|at_s| Second {
            at_s,
            sent: 2_000,
            answered: 2_000,
            failed: 0,
            p50_ms: 0.9,
            p99_ms: draw.around(2.2, 0.1),
            max_ms: draw.around(4.0, 0.2),
        })
        .collect();
    run
}

pub fn one_request() -> Measured {
    let mut draw = Draw(3);
    let mut run = measured(1.0, vec![("chat", class(&mut draw, 1, 3.0, 1), Failed::default())]);
    run.report.series = vec![Second {
        at_s: 0,
        sent: 1,
        answered: 1,
        failed: 0,
        p50_ms: 620.0,
        p99_ms: 620.0,
        max_ms: 620.0,
    }];
    run
}

pub fn nothing() -> Measured {
    measured(0.0, Vec::new())
}

/// Ten minutes and a nanosecond, many classes, names that would break a page, a day of seconds.
pub fn extreme() -> Measured {
    let mut draw = Draw(4);
    let names: Vec<String> = (0..12)
        .map(|place| format!("<b>class \"{place}\" & 'co'\u{1}</b>"))
        .collect();
    let mut run = measured(
        86_400.0,
        names
            .iter()
            .map(|name| {
                let mut times = class(&mut draw, 200, 5.0, 7);
                record(&mut times.latency, 0.000_001);
                record(&mut times.latency, 600_000.0);
                record(&mut times.token_gap, 600_000.0);
                record(&mut times.token_gap, 0.000_001);
                let failed = Failed {
                    connect: u64::from(u32::MAX),
                    ..Failed::default()
                };
                (name.as_str(), times, failed)
            })
            .collect(),
    );
    run.report.url = "https://user:secret@example.test/v1?key=sk-secret&\"><script>alert(1)</script>".to_owned();
    run.report.mix = "<script src=\"http://example.test/x.js\"></script>".to_owned();
    run.report.series = (0..86_400)
        .map(|at_s| Second {
            at_s,
            sent: u64::from(u32::MAX),
            answered: if at_s % 1_000 == 0 { 0 } else { at_s * 1_000_000 },
            failed: at_s,
            p50_ms: 0.000_001,
            p99_ms: 1.0,
            max_ms: 600_000.0,
        })
        .collect();
    run
}

pub fn frontier() -> Frontier {
    let mut draw = Draw(5);
    let mut held = |bound_ms: f64, load: f64, limited_by: &str| Held {
        bound_ms,
        windows: (0..3)
            .map(|_| (draw.around(load, 0.03) / 50.0).round() * 50.0)
            .collect(),
        limited_by: limited_by.to_owned(),
    };
    let requests = vec![
        held(1.0, 31_000.0, "p99"),
        held(5.0, 44_000.0, "p99"),
        held(10.0, 47_500.0, "p99"),
        held(50.0, 51_000.0, "failures"),
        held(100.0, 51_500.0, "generator"),
    ];
    let mut streams = vec![held(25.0, 3_100.0, "p99"), held(50.0, 7_900.0, "p99")];
    streams.insert(
        0,
        Held {
            bound_ms: 10.0,
            windows: Vec::new(),
            limited_by: "p99".to_owned(),
        },
    );
    let mut tried = Vec::new();
    for step in 1..40_u32 {
        let load = f64::from(step) * 1_400.0;
        tried.push(Tried {
            streams: false,
            load,
            p99_ms: draw.around(0.25 / (1.02 - load / 55_000.0).max(0.002), 0.1),
            failed: u64::from(load > 51_500.0),
            valid: load < 53_000.0,
        });
        tried.push(Tried {
            streams: true,
            load: load / 6.0,
            p99_ms: draw.around(18.0 + load / 1_400.0, 0.05),
            failed: 0,
            valid: true,
        });
    }
    Frontier {
        url: "http://127.0.0.1:8080".to_owned(),
        mix: "chat".to_owned(),
        began: "2026-11-25T22:45:00Z".to_owned(),
        window_seconds: 10.0,
        requests,
        streams,
        tried,
        interrupted: false,
    }
}
