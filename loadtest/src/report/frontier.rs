//! What a sweep found, as data: for each bound the highest load that kept it, in every window. Knows not how it was
//! searched.

use serde::{Deserialize, Serialize};

/// The result of `tollgate-loadtest run --sweep`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Frontier {
    pub url: String,
    pub mix: String,
    /// When it began, RFC 3339.
    pub began: String,
    pub window_seconds: f64,
    /// Bounds of the p99 latency; loads are requests a second.
    pub requests: Vec<Held>,
    /// Bounds of the p99 gap between tokens; loads are streams at once.
    pub streams: Vec<Held>,
    /// Every window that was run, in order, of both kinds.
    pub tried: Vec<Tried>,
    pub interrupted: bool,
}

/// The highest load that kept a bound with no failure.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    pub bound_ms: f64,
    /// What was reached in each window; empty when not even the lowest load kept the bound.
    pub windows: Vec<f64>,
    /// What stopped the next higher load: `p99`, `failures`, `generator` (then it is a floor, not the limit).
    pub limited_by: String,
}

/// One window of the search.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// Whether the load is of streams at once, or of requests a second.
    pub streams: bool,
    pub load: f64,
    pub p99_ms: f64,
    pub failed: u64,
    /// False when the generator was late: such a window decides nothing.
    pub valid: bool,
}

impl Held {
    /// The figure to quote: the median of the windows.
    pub fn median(&self) -> Option<f64> {
        let mut windows = self.windows.clone();
        windows.sort_by(f64::total_cmp);
        let middle = windows.len() / 2;
        match windows.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(windows[middle]),
            _ => Some((windows[middle - 1] + windows[middle]) / 2.0),
        }
    }

    pub fn lowest(&self) -> Option<f64> {
        self.windows.iter().copied().min_by(f64::total_cmp)
    }

    pub fn highest(&self) -> Option<f64> {
        self.windows.iter().copied().max_by(f64::total_cmp)
    }

    /// How far apart the windows were, as a share of the median.
    pub fn spread(&self) -> Option<f64> {
        let median = self.median().filter(|median| *median > 0.0)?;
        Some((self.highest()? - self.lowest()?) / median)
    }
}
