//! How throughput grows with shards: Gunther's Universal Scalability Law where there are points enough, else a line with
//! a margin. Pure arithmetic; where points come from it never knows.

use serde::Serialize;

use super::least_squares;

/// Shard counts that must have been measured before the law is fitted: it has three parameters, and a fit without a
/// point to spare shows no error.
pub const MIN_SHARD_COUNTS: usize = 4;

/// Throughput at a number of shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub shards: f64,
    pub rate: f64,
}

/// X(N) = λN / (1 + σ(N−1) + κN(N−1)): λ a second from one shard, σ what shards wait for each other, κ what they tell
/// each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Law {
    pub lambda: f64,
    pub sigma: f64,
    pub kappa: f64,
}

impl Law {
    pub fn rate(&self, shards: f64) -> f64 {
        self.lambda * self.effective(shards)
    }

    /// So many shards do the work of how many that are alone.
    pub fn effective(&self, shards: f64) -> f64 {
        shards / (1.0 + self.sigma * (shards - 1.0) + self.kappa * shards * (shards - 1.0))
    }

    /// The count beyond which more shards make it slower; infinite when they never do.
    pub fn peak(&self) -> f64 {
        if self.kappa > 0.0 {
            ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt().max(1.0)
        } else {
            f64::INFINITY
        }
    }

    /// The largest relative difference to a point.
    pub fn error_max(&self, points: &[Point]) -> f64 {
        let off = |point: &Point| (self.rate(point.shards) / point.rate - 1.0).abs();
        points.iter().map(off).fold(0.0, f64::max)
    }
}

/// Fits the law. `None` with fewer than `MIN_SHARD_COUNTS` different counts, or when no rate is above 0.
///
/// N / X(N) = (1 + σ(N−1) + κN(N−1)) / λ is linear in 1/λ, σ/λ and κ/λ, none of which can be negative; each point is
/// divided by its N / X(N), so that relative errors count.
pub fn fit(points: &[Point]) -> Option<Law> {
    let points: Vec<Point> = points
        .iter()
        .copied()
        .filter(|point| point.rate > 0.0 && point.shards >= 1.0)
        .collect();
    if different_counts(&points) < MIN_SHARD_COUNTS {
        return None;
    }
    let row = |point: &Point| {
        let inverse = point.rate / point.shards;
        let others = point.shards - 1.0;
        vec![inverse, inverse * others, inverse * point.shards * others]
    };
    let rows: Vec<Vec<f64>> = points.iter().map(row).collect();
    let found = least_squares::non_negative(&rows, &vec![1.0; rows.len()]);
    (found[0] > 0.0).then(|| Law {
        lambda: 1.0 / found[0],
        sigma: found[1] / found[0],
        kappa: found[2] / found[0],
    })
}

pub fn different_counts(points: &[Point]) -> usize {
    let mut counts: Vec<f64> = points.iter().map(|point| point.shards).collect();
    counts.sort_by(f64::total_cmp);
    counts.dedup();
    counts.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNTS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

    fn points(law: Law, noise: &[f64]) -> Vec<Point> {
        let one = |(shards, noise): (&f64, &f64)| Point {
            shards: *shards,
            rate: law.rate(*shards) * (1.0 + noise),
        };
        COUNTS.iter().zip(noise).map(one).collect()
    }

    #[test]
    fn gunthers_properties_hold() {
        let law = Law {
            lambda: 1000.0,
            sigma: 0.02,
            kappa: 0.0005,
        };
        assert!((law.rate(1.0) - 1000.0).abs() < 1e-9);
        let peak = law.peak();
        assert!((peak - (0.98_f64 / 0.0005).sqrt()).abs() < 1e-9);
        assert!(law.rate(peak) >= law.rate(peak * 0.9) && law.rate(peak) >= law.rate(peak * 1.1));
        let linear = Law {
            lambda: 1000.0,
            sigma: 0.0,
            kappa: 0.0,
        };
        assert!((linear.effective(64.0) - 64.0).abs() < 1e-9 && linear.peak().is_infinite());
    }

    #[test]
    fn three_counts_are_too_few_however_often_they_were_measured() {
        let law = Law {
            lambda: 1000.0,
            sigma: 0.02,
            kappa: 0.0,
        };
        let three: Vec<Point> = points(law, &[0.0; 3]).into_iter().cycle().take(9).collect();
        assert_eq!(fit(&three), None);
        assert!(fit(&points(law, &[0.0; 4])).is_some());
    }

    #[test]
    fn points_that_are_nothing_are_left_out() {
        let nothing = COUNTS.map(|shards| Point { shards, rate: 0.0 });
        assert_eq!(fit(&nothing), None);
    }

    proptest! {
        #[test]
        fn the_law_that_made_the_points_is_found(
            lambda in 100.0..1e6_f64, sigma in 0.0..0.3_f64, kappa in 0.0..0.01_f64,
        ) {
            let truth = Law { lambda, sigma, kappa };
            let found = fit(&points(truth, &[0.0; 6])).expect("six counts");
            prop_assert!((found.lambda / lambda - 1.0).abs() < 1e-6);
            prop_assert!((found.sigma - sigma).abs() < 1e-6);
            prop_assert!((found.kappa - kappa).abs() < 1e-6);
        }

        /// With 2 % of noise the parameters stay near, and what is wanted of them, the throughput, nearer.
        #[test]
        fn noise_moves_it_a_little(
            lambda in 100.0..1e6_f64, sigma in 0.0..0.3_f64, kappa in 0.0..0.005_f64,
            noise in prop::collection::vec(-0.02..0.02_f64, 6),
        ) {
            let truth = Law { lambda, sigma, kappa };
            let found = fit(&points(truth, &noise)).expect("six counts");
            prop_assert!((found.lambda / lambda - 1.0).abs() < 0.08, "λ {found:?}");
            prop_assert!((found.sigma - sigma).abs() < 0.08, "σ {found:?}");
            prop_assert!((found.kappa - kappa).abs() < 0.002 + 0.25 * kappa, "κ {found:?}");
            for shards in COUNTS {
                prop_assert!((found.rate(shards) / truth.rate(shards) - 1.0).abs() < 0.05, "{shards}: {found:?}");
            }
        }

        /// No combination of shards that wait and talk makes two shards more than two.
        #[test]
        fn superlinear_points_give_a_line(noise in prop::collection::vec(0.0..0.05_f64, 6)) {
            let grows = |(at, shards): (usize, &f64)| Point {
                shards: *shards,
                rate: 1000.0 * shards * (1.0 + 0.05 * at as f64 + noise[at]),
            };
            let found = fit(&COUNTS.iter().enumerate().map(grows).collect::<Vec<_>>()).expect("six counts");
            prop_assert!(found.sigma >= 0.0 && found.kappa >= 0.0);
            prop_assert!(found.effective(32.0) <= 32.0 + 1e-9);
        }
    }
}
