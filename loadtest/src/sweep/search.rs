//! The search for the highest load under each of several bounds. Pure: it asks for trials and judges them.
//!
//! It rises by doubling until the loosest bound breaks, then halves the gap (in ratio) between the highest load that
//! kept each bound and the next that did not. Every trial counts for every bound, and a load that breaks one is tried
//! twice before it counts. Then it does so again, from where
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
    /// Of each window in which the bound was kept: the highest load that kept it, and what ended the search above.
    pub held: Vec<(f64, Limit)>,
    /// What broke the lowest load tried, where not even that kept the bound.
    pub never: Option<Limit>,
}

impl Found {
    pub fn loads(&self) -> Vec<f64> {
        self.held.iter().map(|(load, _)| *load).collect()
    }

    /// What ended the search of the window that the median is of; of the two in the middle the generator, if it was
    /// one of them.
    pub fn limited_by(&self) -> Option<Limit> {
        let mut held = self.held.clone();
        held.sort_by(|one, other| one.0.total_cmp(&other.0));
        let middle = match held.len() {
            0 => return self.never,
            count => &held[(count - 1) / 2..=count / 2],
        };
        let generator = middle.iter().find(|(_, limit)| *limit == Limit::Generator);
        generator.or(middle.first()).map(|(_, limit)| *limit)
    }
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
            match load {
                Some(load) => found.held.push((load, limit)),
                None => found.never = Some(limit),
            }
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
        let (start, mut stride) = match before.held.last() {
            Some((load, _)) => (*load, 1.0 + 2.0 * precision),
            None => (self.settings.start, 2.0),
        };
        loop {
            let bracket = self.bracket(bound_ms);
            let next = match (bracket.kept, bracket.broken) {
                // A hiccup of the machine is not to decide: what breaks a bound is tried once more before it counts.
                (_, Some((broken, _))) if self.times_tried(broken) < 2 => broken,
                (None, None) => start,
                (Some(kept), None) if kept >= most => return Ok((Some(kept), most_is)),
                (Some(kept), None) => self.rounded(kept * stride).max(self.above(kept)).min(most),
                (None, Some((broken, limit))) if broken <= least => return Ok((None, limit)),
                (None, Some((broken, _))) => self.rounded(broken / stride).max(least),
                (Some(kept), Some((broken, limit))) if self.is_close(kept, broken) => return Ok((Some(kept), limit)),
                (Some(kept), Some((broken, _))) => self.between(kept, broken),
            };
            let again = bracket.broken.is_some_and(|(broken, _)| broken == next);
            if !again && bracket.kept.is_none() != bracket.broken.is_none() {
                stride = (stride * stride).min(2.0);
            }
            self.trials.push(trial(next)?);
        }
    }

    fn times_tried(&self, load: f64) -> usize {
        self.trials.iter().filter(|trial| trial.load == load).count()
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
