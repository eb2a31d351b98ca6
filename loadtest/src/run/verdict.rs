//! Whether a run's results are the target's: what the generator measured of itself, judged. Pure.

/// What the generator says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    pub open_loop: bool,
    pub late_send_p99_ms: f64,
    pub late_read_p99_ms: f64,
    /// The busiest thread's share of a core.
    pub busiest_thread: f64,
    /// The smallest of the classes': a slow class does not excuse what a quick one suffers.
    pub latency_p99_ms: f64,
}

/// Lateness below this is no matter, whatever the latencies: a busy machine keeps any thread from its core that long now
/// and then, and what it adds to the latencies is never in the target's favour.
const LATE_MS: f64 = 5.0;
/// Lateness above this share of the latency it is part of falsifies it.
const LATE_SHARE: f64 = 0.1;
/// Closed loop: a thread that is busier than this keeps the target waiting, and the rate is its own.
const BUSY_SHARE: f64 = 0.98;

const REMEDY: &str = "give it more threads (--threads) on cores of their own, or ask for less";

/// Why the results are not valid, if they are not.
pub fn invalid_because(own: &Own) -> Option<String> {
    let matters = |late_ms: f64| late_ms > LATE_MS && late_ms > LATE_SHARE * own.latency_p99_ms;
    let late = [
        (own.late_send_p99_ms, "to send what was due", own.open_loop),
        (own.late_read_p99_ms, "to read what had arrived", true),
    ];
    let worst = late
        .into_iter()
        .find(|(late_ms, _, counts)| *counts && matters(*late_ms));
    if let Some((late_ms, what, _)) = worst {
        return Some(format!(
            "the generator was late by {late_ms:.1} ms (p99) {what}, beside a p99 latency of {:.1} ms; {REMEDY}",
            own.latency_p99_ms
        ));
    }
    if !own.open_loop && own.busiest_thread > BUSY_SHARE {
        return Some(format!(
            "the generator was late by {:.3} ms (p99) to read what had arrived, and its busiest thread used {:.0} % of \
             a core: the rate is the generator's, not the target's; {REMEDY}",
            own.late_read_p99_ms,
            own.busiest_thread * 100.0
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: Own = Own {
        open_loop: true,
        late_send_p99_ms: 0.9,
        late_read_p99_ms: 0.9,
        busiest_thread: 0.99,
        latency_p99_ms: 1.0,
    };

    #[test]
    fn little_lateness_is_no_matter() {
        assert_eq!(invalid_because(&SOUND), None);
        let slow_target = Own {
            late_send_p99_ms: 9.0,
            latency_p99_ms: 100.0,
            ..SOUND
        };
        assert_eq!(invalid_because(&slow_target), None);
    }

    #[test]
    fn lateness_that_shows_in_the_latencies_is_told() {
        let late = Own {
            late_send_p99_ms: 11.0,
            latency_p99_ms: 100.0,
            ..SOUND
        };
        let why = invalid_because(&late).expect("not valid");
        assert!(why.starts_with("the generator was late by 11.0 ms"), "{why}");
        let closed = Own {
            open_loop: false,
            busiest_thread: 0.5,
            ..late
        };
        assert_eq!(invalid_because(&closed), None, "nothing is due in closed loop");
        let late_reader = Own {
            late_read_p99_ms: 11.0,
            ..closed
        };
        assert!(invalid_because(&late_reader).is_some());
    }

    #[test]
    fn a_full_core_is_a_bottleneck_in_closed_loop_only() {
        let closed = Own {
            open_loop: false,
            ..SOUND
        };
        let why = invalid_because(&closed).expect("not valid");
        assert!(why.contains("99 % of a core"), "{why}");
        assert_eq!(
            invalid_because(&Own {
                busiest_thread: 0.9,
                ..closed
            }),
            None
        );
    }
}
