//! The generator held to servers whose latencies are known: in open loop every percentile is what the due times say,
//! stalls included; in closed loop a stall hides, as theory says it does.

use std::{
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::server::{Server, chat, put, report, signed, whole};

const RATE: u64 = 100;
const STALL_MS: f64 = 2000.0;

/// When a server that stalls from these moments on lets something go that would be ready at `at_ms`.
fn released_ms(at_ms: f64, stalls_ms: &[f64]) -> f64 {
    let hit = stalls_ms
        .iter()
        .find(|from| (**from..**from + STALL_MS).contains(&at_ms));
    hit.map_or(at_ms, |from| from + STALL_MS)
}

/// Smooth, from 100 to 500 ms, long-tailed, and in no order.
fn delay_ms(index: u64) -> f64 {
    let shuffled = (index * 389) % 1000;
    100.0 + 400.0 * ((shuffled as f64 + 0.5) / 1000.0).powi(4)
}

/// Answers each request after its delay, unless it stalls then. Its clock begins with the first request.
fn server(delay_ms: fn(u64) -> f64, stalls_ms: &'static [f64]) -> Server {
    let began: Arc<OnceLock<Instant>> = Arc::default();
    let answer = whole(200, &chat(&signed("early mist, quiet rain.")));
    Server::start(move |asked, socket| {
        let began = *began.get_or_init(Instant::now);
        let at_ms = began.elapsed().as_secs_f64() * 1e3 + delay_ms(asked.index);
        let until = began + Duration::from_secs_f64(released_ms(at_ms, stalls_ms) / 1e3);
        thread::sleep(until.saturating_duration_since(Instant::now()));
        put(socket, &answer)
    })
}

/// The smallest value that the share `quantile` of all does not exceed.
fn percentile(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn measured_ms(report: &Value, name: &str) -> f64 {
    report["latency_ms"][name].as_f64().expect(name)
}

#[track_caller]
fn assert_near(what: &str, measured: f64, right: f64) {
    let off = (measured - right).abs() / right;
    assert!(off <= 0.02, "{what}: {measured:.2} ms, and it is {right:.2} ms");
}

fn open_loop_is_exact(seconds: u64, delay_ms: fn(u64) -> f64, stalls_ms: &'static [f64]) -> Value {
    let server = server(delay_ms, stalls_ms);
    let (rate, duration) = (RATE.to_string(), format!("{seconds}s"));
    let report = report(&["--url", &server.url(), "--rate", &rate, "--duration", &duration]);
    let count = RATE * seconds;
    assert_eq!(
        (&report["sent"], &report["answered"], &report["verified"]),
        (&count.into(), &count.into(), &count.into())
    );
    assert_eq!(report["loop"], "open");
    let mut right: Vec<f64> = (0..count)
        .map(|index| {
            let due_ms = index as f64 * 1000.0 / RATE as f64;
            released_ms(due_ms + delay_ms(index), stalls_ms) - due_ms
        })
        .collect();
    right.sort_by(f64::total_cmp);
    for (name, quantile) in [
        ("p50", 0.5),
        ("p90", 0.9),
        ("p99", 0.99),
        ("p999", 0.999),
        ("p9999", 0.9999),
        ("max", 1.0),
    ] {
        assert_near(name, measured_ms(&report, name), percentile(&right, quantile));
    }
    assert_near(
        "mean",
        measured_ms(&report, "mean"),
        right.iter().sum::<f64>() / count as f64,
    );
    report
}

#[test]
fn open_loop_measures_a_known_distribution() {
    let report = open_loop_is_exact(10, delay_ms, &[]);
    assert_eq!(report["gateway_ms"]["count"], 1000);
    assert_eq!(
        report["gateway_ms"]["p50"].as_f64().map(|ms| (ms * 1000.0).round()),
        Some(125.0)
    );
    let seconds = report["series"].as_array().expect("a series");
    let sum = |name: &str| seconds.iter().filter_map(|second| second[name].as_u64()).sum::<u64>();
    assert_eq!((sum("sent"), sum("answered"), sum("failed")), (1000, 1000, 0));
    assert!((10..=11).contains(&seconds.len()), "{}", seconds.len());
}

#[test]
fn open_loop_does_not_hide_stalls() {
    open_loop_is_exact(12, delay_ms, &[2000.0, 7000.0]);
}

/// The same server and stall in both loops: in open loop a sixth of all requests is hit by it, in closed loop only
/// those that were under way, one a connection. Coordinated omission, shown.
#[test]
fn closed_loop_hides_a_stall_as_theory_says() {
    const CONNECTIONS: u64 = 10;
    const EVEN_MS: f64 = 200.0;
    fn even(_: u64) -> f64 {
        EVEN_MS
    }
    let open = open_loop_is_exact(12, even, &[5000.0]);
    let server = server(even, &[5000.0]);
    let connections = CONNECTIONS.to_string();
    let closed = report(&[
        "--url",
        &server.url(),
        "--connections",
        &connections,
        "--duration",
        "12s",
    ]);
    assert_eq!(closed["loop"], "closed");
    // Each connection: five requests a second, but for the two seconds in which it waits, and the last one's end.
    let answered = closed["answered"].as_f64().expect("a count");
    let (mut at_ms, mut right) = (0.0, 0);
    while at_ms < 12_000.0 {
        at_ms = released_ms(at_ms + EVEN_MS, &[5000.0]);
        right += CONNECTIONS;
    }
    assert!(
        (answered / right as f64 - 1.0).abs() < 0.04,
        "{answered}, and it is {right}"
    );
    for name in ["p50", "p90"] {
        assert_near(name, measured_ms(&closed, name), EVEN_MS);
    }
    let max = measured_ms(&closed, "max");
    assert!((STALL_MS..STALL_MS + EVEN_MS + 5.0).contains(&max), "{max}");
    let open_p90 = measured_ms(&open, "p90");
    assert!(
        open_p90 > 4.5 * measured_ms(&closed, "p90"),
        "open loop shows what closed loop hides: {open_p90}"
    );
}
