//! A histogram of durations: within 1 % from 100 ns to an hour, in 28 KiB, recorded with a few instructions.

use hdrhistogram::Histogram;
use tollgate_config::link::Quantiles;

const LOWEST_NS: u64 = 100;
const HIGHEST_NS: u64 = 3_600 * 1_000_000_000;
/// Two digits: 1 %.
const DIGITS: u8 = 2;

#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    sum_ns: u64,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).expect("constant bounds are good");
        Self { histogram, sum_ns: 0 }
    }
}

impl Latency {
    pub fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
        self.sum_ns = self.sum_ns.wrapping_add(ns);
    }

    pub fn add(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("equal bounds");
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    pub fn sum_s(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// How many were at most as long as each bound (rising); one pass.
    pub fn cumulative<const N: usize>(&self, bounds_ns: &[u64; N]) -> [u64; N] {
        let mut counts = [0; N];
        let mut recorded = self.histogram.iter_recorded().peekable();
        let mut count = 0;
        for (bound, slot) in bounds_ns.iter().zip(&mut counts) {
            // A bucket counts as its lowest value, so that a duration equal to a bound is under it.
            while let Some(step) =
                recorded.next_if(|step| self.histogram.lowest_equivalent(step.value_iterated_to()) <= *bound)
            {
                count += step.count_since_last_iteration();
            }
            *slot = count;
        }
        counts
    }

    /// In microseconds.
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile) / 1_000;
        Quantiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.histogram.max() / 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sums_and_merges() {
        let mut latency = Latency::default();
        for us in [5, 10, 10, 200] {
            latency.record(us * 1_000);
        }
        let mut merged = latency.clone();
        merged.add(&latency);
        merged.record(u64::MAX / 4);
        assert_eq!(merged.count(), 9);
        assert_eq!(
            merged.cumulative(&[1_000, 5_000, 10_000, 100_000, 1_000_000]),
            [0, 2, 6, 6, 8]
        );
        assert!((latency.sum_s() - 0.000_225).abs() < 1e-12);
        assert!(latency.quantiles().p50.abs_diff(10) <= 1);
    }
}
