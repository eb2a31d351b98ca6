//! Histograms of what was measured, in nanoseconds. What is said of them in milliseconds is [`super::Percentiles`].

use hdrhistogram::Histogram;

use super::Percentiles;

/// Longest time told apart: ten minutes. Longer ones count as this.
pub const MOST_NS: u64 = 600_000_000_000;

/// Times of a class of requests, or of all.
#[derive(Clone)]
pub struct Times {
    pub latency: Histogram<u64>,
    pub first_byte: Histogram<u64>,
    pub first_token: Histogram<u64>,
    pub token_gap: Histogram<u64>,
    pub gateway: Histogram<u64>,
}

impl Times {
    pub fn new() -> Self {
        Self {
            latency: empty(),
            first_byte: empty(),
            first_token: empty(),
            token_gap: empty(),
            gateway: empty(),
        }
    }

    pub fn add(&mut self, other: &Times) {
        let pairs = [
            (&mut self.latency, &other.latency),
            (&mut self.first_byte, &other.first_byte),
            (&mut self.first_token, &other.first_token),
            (&mut self.token_gap, &other.token_gap),
            (&mut self.gateway, &other.gateway),
        ];
        for (mine, theirs) in pairs {
            // Same bounds on both sides: adding cannot fail.
            let _ = mine.add(theirs);
        }
    }
}

/// A histogram of nanoseconds with three significant digits: 0.1 % error at most.
pub fn empty() -> Histogram<u64> {
    // The bounds are constants that the library takes.
    Histogram::new_with_bounds(1, MOST_NS, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

pub fn percentiles(times: &Histogram<u64>) -> Percentiles {
    if times.is_empty() {
        return Percentiles::default();
    }
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e6;
    Percentiles {
        count: times.len(),
        mean: times.mean() / 1e6,
        p50: at(0.50),
        p90: at(0.90),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: times.max() as f64 / 1e6,
    }
}
