//! Which scale over shards a plan counts with: the law, where enough shard counts were measured, else a line with a
//! margin. Chooses points; the arithmetic is `scale`'s.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    defaults,
    demand::Demand,
    figure::Sources,
    measured::Measurements,
    scale::{self, Law, MIN_SHARD_COUNTS, Point},
};

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "model", rename_all = "lowercase")]
pub enum Scale {
    /// The Universal Scalability Law.
    Law {
        #[serde(flatten)]
        law: Law,
        shard_counts: usize,
        /// The largest relative difference between a point and the law.
        error_max: f64,
        sources: Sources,
    },
    /// So much less than linear.
    Line {
        margin: f64,
        shard_counts: usize,
        sources: Sources,
    },
}

impl Scale {
    pub fn of(demand: &Demand, measured: &Measurements) -> Self {
        let (points, sources) = points(measured);
        let shard_counts = scale::different_counts(&points);
        if let Some(law) = scale::fit(&points) {
            let error_max = law.error_max(&points);
            return Self::Law {
                law,
                shard_counts,
                error_max,
                sources,
            };
        }
        match &demand.scale_margin {
            Some(margin) => Self::Line {
                margin: margin.value.0,
                shard_counts,
                sources: Sources::demand("scale_margin"),
            },
            None => {
                let sources = Sources::assumed(defaults::SCALE_MARGIN);
                Self::Line {
                    margin: defaults::SCALE_MARGIN.value,
                    shard_counts,
                    sources,
                }
            }
        }
    }

    /// Shards of a node together do the work of how many that are alone.
    pub fn effective(&self, shards: f64) -> f64 {
        match self {
            Self::Law { law, .. } => law.effective(shards),
            Self::Line { .. } if shards <= 1.0 => shards,
            Self::Line { margin, .. } => (shards * (1.0 - margin)).max(1.0),
        }
    }

    /// How much dearer a call was on so many shards than it is on one.
    pub fn slowdown(&self, shards: f64) -> f64 {
        match self {
            Self::Law { law, .. } => shards / law.effective(shards),
            Self::Line { .. } => 1.0,
        }
    }

    /// Shards of a node beyond which more do less.
    pub fn most_useful(&self, shards: u32) -> u32 {
        match self {
            Self::Law { law, .. } if law.peak() < f64::from(shards) => (law.peak() as u32).max(1),
            _ => shards,
        }
    }

    pub fn sources(&self) -> &Sources {
        match self {
            Self::Law { sources, .. } | Self::Line { sources, .. } => sources,
        }
    }

    pub fn told(&self) -> String {
        match self {
            Self::Law {
                law,
                shard_counts,
                error_max,
                ..
            } => format!(
                "Universal Scalability Law over {shard_counts} shard counts: σ {:.4}, κ {:.6}, largest error {:.1}%",
                law.sigma,
                law.kappa,
                error_max * 100.0
            ),
            Self::Line {
                margin, shard_counts, ..
            } => format!(
                "linear less {:.0}% (shard counts measured: {shard_counts}; the law needs {MIN_SHARD_COUNTS})",
                margin * 100.0
            ),
        }
    }
}

/// What was measured alike at several shard counts.
#[derive(Default)]
struct Alike<'a> {
    points: Vec<Point>,
    labels: Vec<&'a str>,
}

/// Sweeps under one bound, or one run with its cost turned into the rate that full shards would bear: whichever has the
/// most shard counts, sweeps before runs and tight bounds before loose ones.
fn points(measured: &Measurements) -> (Vec<Point>, Sources) {
    let mut swept: BTreeMap<u64, Alike> = BTreeMap::new();
    for point in &measured.scale {
        let bound_us = (point.bound_ms * 1000.0) as u64;
        let alike = swept.entry(bound_us).or_default();
        alike.points.push(Point {
            shards: point.shards.into(),
            rate: point.rate,
        });
        alike.labels.push(&point.label);
    }
    let mut runs: BTreeMap<(&str, &str), Alike> = BTreeMap::new();
    for run in &measured.runs {
        let shards = f64::from(run.shards);
        let alike = runs.entry((&run.name, run.profile.name())).or_default();
        alike.points.push(Point {
            shards,
            rate: shards * 1e6 / run.cpu_us,
        });
        alike.labels.push(&run.label);
    }
    let mut best = Alike::default();
    for alike in swept.into_values().chain(runs.into_values()) {
        if scale::different_counts(&alike.points) > scale::different_counts(&best.points) {
            best = alike;
        }
    }
    (best.points, Sources::measured(best.labels))
}

#[cfg(test)]
mod tests {
    use super::{super::measured::ScalePoint, *};

    fn swept(counts: &[u32]) -> Measurements {
        let law = Law {
            lambda: 40_000.0,
            sigma: 0.05,
            kappa: 0.001,
        };
        let point = |shards: &u32| ScalePoint {
            label: format!("s.json run {shards}"),
            shards: *shards,
            bound_ms: 1.0,
            rate: law.rate(f64::from(*shards)),
        };
        Measurements {
            scale: counts.iter().map(point).collect(),
            ..Measurements::default()
        }
    }

    #[test]
    fn points_under_different_bounds_are_not_mixed() {
        let mut measured = swept(&[1, 2, 4, 8]);
        for point in &mut measured.scale[2..] {
            point.bound_ms = 5.0;
        }
        assert!(matches!(
            Scale::of(&demand(""), &measured),
            Scale::Line { shard_counts: 2, .. }
        ));
    }

    fn demand(margin: &str) -> Demand {
        let yaml = format!(
            "{{calls_per_day: 1e9, peak_factor: 2, redundancy: N, target_utilisation: 60%, {margin} node: {{cores: 8, \
             memory: 8GiB, network_gbit: 10, descriptors: 1e6, disk: 0}}, classes: {{a: {{share: 1, kind: buffered, \
             prompt: 1KB, answer: 1KB, duration: 1s}}}}}}"
        );
        serde_saphyr::from_str(&yaml).expect("a demand")
    }

    #[test]
    fn four_counts_give_the_law_and_three_a_line() {
        let law = Scale::of(&demand(""), &swept(&[1, 2, 4, 8]));
        assert!(
            (law.effective(8.0) - 8.0 / (1.0 + 0.05 * 7.0 + 0.001 * 56.0)).abs() < 1e-6,
            "{law:?}"
        );
        assert!((law.slowdown(8.0) - (1.0 + 0.05 * 7.0 + 0.001 * 56.0)).abs() < 1e-6);
        let line = Scale::of(&demand(""), &swept(&[1, 2, 4]));
        assert!(
            (line.effective(8.0) - 8.0 * 0.9).abs() < 1e-9 && line.told().contains("measured: 3"),
            "{}",
            line.told()
        );
        assert_eq!((line.effective(1.0), line.slowdown(8.0)), (1.0, 1.0));
    }

    #[test]
    fn the_margin_can_be_chosen() {
        let line = Scale::of(&demand("scale_margin: 25%,"), &swept(&[1]));
        assert!((line.effective(8.0) - 6.0).abs() < 1e-9);
        assert_eq!(line.sources(), &Sources::demand("scale_margin"));
    }

    #[test]
    fn shards_past_the_peak_of_the_law_are_not_run() {
        let law = Scale::of(&demand(""), &swept(&[1, 2, 4, 8]));
        assert_eq!(law.most_useful(64), 30);
        assert_eq!(law.most_useful(16), 16);
    }
}
