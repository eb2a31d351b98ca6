//! What a thread counts: nothing shared, nothing locked. Once a second it gives away what happened in it.

use hdrhistogram::Histogram;

use super::answer;
use crate::report::{
    Failed,
    times::{self, Times},
};

/// Counts and times of a class of requests.
pub struct Class {
    pub sent: u64,
    pub answered: u64,
    /// Of those, in the time that the rate is taken over.
    pub answered_in_time: u64,
    pub verified: u64,
    pub streams: u64,
    /// Clients that left on purpose.
    pub left: u64,
    pub failed: Failed,
    pub stream_events: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub times: Times,
}

impl Class {
    pub fn new() -> Self {
        Self {
            sent: 0,
            answered: 0,
            answered_in_time: 0,
            verified: 0,
            streams: 0,
            left: 0,
            failed: Failed::default(),
            stream_events: 0,
            bytes_sent: 0,
            bytes_received: 0,
            times: Times::new(),
        }
    }

    pub fn add(&mut self, other: &Class) {
        let pairs = [
            (&mut self.sent, other.sent),
            (&mut self.answered, other.answered),
            (&mut self.answered_in_time, other.answered_in_time),
            (&mut self.verified, other.verified),
            (&mut self.streams, other.streams),
            (&mut self.left, other.left),
            (&mut self.failed.status, other.failed.status),
            (&mut self.failed.connect, other.failed.connect),
            (&mut self.failed.timeout, other.failed.timeout),
            (&mut self.failed.cut, other.failed.cut),
            (&mut self.failed.content, other.failed.content),
            (&mut self.stream_events, other.stream_events),
            (&mut self.bytes_sent, other.bytes_sent),
            (&mut self.bytes_received, other.bytes_received),
        ];
        for (mine, theirs) in pairs {
            *mine += theirs;
        }
        self.times.add(&other.times);
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Answer(answer::Outcome),
    /// No connection, or no TLS on it.
    Connect,
    Timeout,
    /// The client left on purpose.
    Left,
}

/// What happened in one second.
pub struct Second {
    pub sent: u64,
    pub answered: u64,
    pub failed: u64,
    pub latency: Histogram<u32>,
}

/// Longest latency told apart within a second's figures; longer ones count as this.
const SECOND_LATENCY_MOST_NS: u64 = 600_000_000_000;

impl Second {
    pub fn new() -> Self {
        // Two digits: these figures are drawn, and each thread gives a histogram away every second.
        let latency = Histogram::new_with_bounds(1000, SECOND_LATENCY_MOST_NS, 2)
            .unwrap_or_else(|_| unreachable!("constant bounds"));
        Self {
            sent: 0,
            answered: 0,
            failed: 0,
            latency,
        }
    }

    pub fn add(&mut self, other: &Second) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.failed += other.failed;
        // Same bounds on both sides: adding cannot fail.
        let _ = self.latency.add(&other.latency);
    }

    pub fn report(&self, at_s: u64) -> crate::report::Second {
        let at = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e6;
        crate::report::Second {
            at_s,
            sent: self.sent,
            answered: self.answered,
            failed: self.failed,
            p50_ms: at(0.50),
            p99_ms: at(0.99),
            max_ms: self.latency.max() as f64 / 1e6,
        }
    }
}

/// All that a thread counts.
pub struct Tally {
    pub classes: Vec<Class>,
    /// From when a request was due to when the thread saw to it.
    pub late_send: Histogram<u64>,
    /// From when an answer may have been read to when it was.
    pub late_read: Histogram<u64>,
    pub second: Second,
}

impl Tally {
    pub fn new(classes: usize) -> Self {
        Self {
            classes: (0..classes).map(|_| Class::new()).collect(),
            late_send: times::empty(),
            late_read: times::empty(),
            second: Second::new(),
        }
    }

    pub fn add(&mut self, other: &Tally) {
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            mine.add(theirs);
        }
        // Same bounds on both sides: adding cannot fail.
        let _ = self.late_send.add(&other.late_send);
        let _ = self.late_read.add(&other.late_read);
    }

    /// A request of a class is over.
    pub fn ended(&mut self, class: usize, end: End, latency_ns: u64, in_time: bool) {
        let class = &mut self.classes[class];
        let reason = match end {
            End::Answer(answer::Outcome::Answered { verified }) => {
                class.answered += 1;
                class.answered_in_time += u64::from(in_time);
                class.verified += u64::from(verified);
                class.times.latency.saturating_record(latency_ns);
                self.second.answered += 1;
                self.second.latency.saturating_record(latency_ns);
                return;
            }
            End::Left => {
                class.left += 1;
                return;
            }
            End::Answer(answer::Outcome::Status) => &mut class.failed.status,
            End::Answer(answer::Outcome::Cut) => &mut class.failed.cut,
            End::Answer(answer::Outcome::Foreign | answer::Outcome::Content) => &mut class.failed.content,
            End::Connect => &mut class.failed.connect,
            End::Timeout => &mut class.failed.timeout,
        };
        *reason += 1;
        self.second.failed += 1;
    }
}
