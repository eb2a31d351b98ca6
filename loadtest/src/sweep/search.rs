//! The search for the highest load under each of several bounds. Pure: it asks for trials and judges them.
//!
//! It rises by doubling until the loosest bound breaks, then halves the gap (in ratio) between the highest load that
//! kept each bound and the next that did not. Every trial counts for every bound. Then it does so again, from where
//! it ended, for as many windows as are wanted: what they found apart from each other is the spread.

/// What is searched for, and how closely.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The p99 must stay under each of these.
    pub bounds_ms: Vec<f64>,
    /// The first load, the lowest and the highest that are tried.
    pub start: f64,
    pub least: f64,
    pub most: f64,
    /// Whose limit `most` is.
    pub most_is: Limit,
    /// Loads this close to each other (0.05: five hundredths) are not told apart.
    pub precision: f64,
    /// Loads are whole numbers.
    pub whole: bool,
    pub windows: usize,
}

/// A window at one load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    pub load: f64,
    pub p99_ms: f64,
    pub failed: u64,
    /// False when the generator was the bottleneck: such a window says nothing of the target.
    pub valid: bool,
}

/// Why a load was not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    P99,
    Failures,
    Generator,
    /// The `--connections` that was given.
    Connections,
}

impl Limit {
    pub fn name(self) -> &'static str {
        match self {
            Limit::P99 => "p99",
            Limit::Failures => "failures",
            Limit::Generator => "generator",
            Limit::Connections => "--connections",
        }
    }
}

impl Trial {
    /// Whether the bound was kept, or what broke it.
    fn judge(&self, bound_ms: f64) -> Result<(), Limit> {
        match self {
            Trial { valid: false, .. } => Err(Limit::Generator),
            Trial { failed: 1.., .. } => Err(Limit::Failures),
            trial if trial.p99_ms < bound_ms => Ok(()),
            _ => Err(Limit::P99),
        }
    }
}

/// What was found for a bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub bound_ms: f64,
    /// The highest load that kept it, in each window; empty when none did.
    pub loads: Vec<f64>,
    /// What ended the search above; the generator if it did so in any window, else the connections if they did.
    pub limited_by: Option<Limit>,
}

/// Searches until all is found, or a trial cannot be made; answers what was found until then, and why it ended.
pub fn search<E>(settings: &Settings, trial: &mut dyn FnMut(f64) -> Result<Trial, E>) -> (Vec<Found>, Option<E>) {
    let found = |bound_ms: &f64| Found {
        bound_ms: *bound_ms,
        ..Found::default()
    };
    let mut all: Vec<Found> = settings.bounds_ms.iter().map(found).collect();
    for _ in 0..settings.windows {
        let mut window = Window {
            settings,
            trials: Vec::new(),
        };
        let mut ends = Vec::new();
        // From the loosest: its way up is the others' too.
        for found in all.iter().rev() {
            match window.find(found, trial) {
                Ok(end) => ends.push(end),
                Err(reason) => return (all, Some(reason)),
            }
        }
        for (found, (load, limit)) in all.iter_mut().rev().zip(ends) {
            found.loads.extend(load);
            found.limited_by = match (found.limited_by, limit) {
                (Some(floor @ Limit::Generator), _) => Some(floor),
                (Some(floor @ Limit::Connections), limit) if limit != Limit::Generator => Some(floor),
                (_, limit) => Some(limit),
            };
        }
    }
    (all, None)
}

/// One search, for all bounds.
struct Window<'a> {
    settings: &'a Settings,
    trials: Vec<Trial>,
}

/// What is known of a bound: the highest load that kept it, and the lowest above that did not.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bracket {
    kept: Option<f64>,
    broken: Option<(f64, Limit)>,
}

impl Window<'_> {
    fn find<E>(
        &mut self,
        before: &Found,
        trial: &mut dyn FnMut(f64) -> Result<Trial, E>,
    ) -> Result<(Option<f64>, Limit), E> {
        let Settings {
            least,
            most,
            most_is,
            precision,
            ..
        } = *self.settings;
        let bound_ms = before.bound_ms;
        // The first time in strides, later in steps that grow.
        let (start, mut stride) = match before.loads.last() {
            Some(load) => (*load, 1.0 + 2.0 * precision),
            None => (self.settings.start, 2.0),
        };
        loop {
            let bracket = self.bracket(bound_ms);
            let next = match (bracket.kept, bracket.broken) {
                (None, None) => start,
                (Some(kept), None) if kept >= most => return Ok((Some(kept), most_is)),
                (Some(kept), None) => self.rounded(kept * stride).max(self.above(kept)).min(most),
                (None, Some((broken, limit))) if broken <= least => return Ok((None, limit)),
                (None, Some((broken, _))) => self.rounded(broken / stride).max(least),
                (Some(kept), Some((broken, limit))) if self.is_close(kept, broken) => return Ok((Some(kept), limit)),
                (Some(kept), Some((broken, _))) => self.between(kept, broken),
            };
            if bracket.kept.is_none() != bracket.broken.is_none() {
                stride = (stride * stride).min(2.0);
            }
            self.try_load(next, bound_ms, bracket.broken.is_none(), trial)?;
        }
    }

    /// On the way up a load that breaks the bound is tried once more: a hiccup of the machine is not to end it there.
    fn try_load<E>(
        &mut self,
        load: f64,
        bound_ms: f64,
        rising: bool,
        trial: &mut dyn FnMut(f64) -> Result<Trial, E>,
    ) -> Result<(), E> {
        for _ in 0..if rising { 2 } else { 1 } {
            let made = trial(load)?;
            self.trials.push(made);
            if made.judge(bound_ms).is_ok() {
                break;
            }
        }
        Ok(())
    }

    fn bracket(&self, bound_ms: f64) -> Bracket {
        let kept = self
            .trials
            .iter()
            .filter(|trial| trial.judge(bound_ms).is_ok())
            .map(|trial| trial.load);
        let kept = kept.max_by(f64::total_cmp);
        let broken = self
            .trials
            .iter()
            .filter(|trial| kept.is_none_or(|kept| trial.load > kept))
            .filter_map(|trial| Some((trial.load, trial.judge(bound_ms).err()?)));
        Bracket {
            kept,
            broken: broken.min_by(|one, other| one.0.total_cmp(&other.0)),
        }
    }

    fn is_close(&self, kept: f64, broken: f64) -> bool {
        broken <= kept * (1.0 + self.settings.precision) || self.settings.whole && broken - kept <= 1.0
    }

    fn between(&self, kept: f64, broken: f64) -> f64 {
        match self.settings.whole {
            true => (kept * broken).sqrt().round().clamp(kept + 1.0, broken - 1.0),
            false => (kept * broken).sqrt(),
        }
    }

    fn above(&self, kept: f64) -> f64 {
        if self.settings.whole { kept + 1.0 } else { kept }
    }

    fn rounded(&self, load: f64) -> f64 {
        if self.settings.whole { load.floor() } else { load }
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
