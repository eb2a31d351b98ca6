//! An axis of a plot: what it spans, where its ticks are. Knows numbers and their names, no pixels but its length.

use super::super::format;

/// Values beyond are put here: no quantity of ours is so large, and twice as much is still a number.
const MOST: f64 = 1e18;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    Linear,
    Log,
    /// 1/(1-p) on a log scale, named by p: 90 %, 99 %, 99.9 % are equally far apart.
    Percentile,
}

#[derive(Clone, Debug)]
pub struct Axis {
    pub label: String,
    scale: Scale,
    low: f64,
    high: f64,
    /// Counts and seconds have no halves.
    whole: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub name: String,
}

impl Axis {
    /// From zero (or the lowest value below it) to the highest value, and a little more.
    pub fn linear(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = bounds(values, |_| true).unwrap_or((0.0, 1.0));
        let (low, high) = (low.min(0.0), high.max(0.0));
        let high = if high > low {
            high + (high - low) * 0.06
        } else {
            low + 1.0
        };
        Self::new(label, Scale::Linear, low, high)
    }

    /// Exactly from one to the other.
    pub fn between(label: &str, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self::new(label, Scale::Linear, low, high)
    }

    /// From a little below the lowest value above zero to a little above the highest.
    pub fn log(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = bounds(values, |value| value > 1.0 / MOST).unwrap_or((1.0, 10.0));
        let middle = (low * high).sqrt();
        // Less than a third of a decade shows nothing but noise.
        let (low, high) = match high / low < 2.0 {
            true => (middle / 2.0, middle * 2.0),
            false => (low / 1.15, high * 1.15),
        };
        Self::new(label, Scale::Log, low, high)
    }

    /// Linear, or logarithmic where the values above zero span more than a factor of 20.
    pub fn fitting(label: &str, values: &[f64]) -> Self {
        match bounds(values.iter().copied(), |value| value > 0.0) {
            Some((low, high)) if high / low > 20.0 => Self::log(label, values.iter().copied()),
            _ => Self::linear(label, values.iter().copied()),
        }
    }

    /// Percentiles up to the one that leaves out one of so many.
    pub fn percentiles(label: &str, highest_inverse: f64) -> Self {
        let high = if highest_inverse.is_finite() {
            highest_inverse.max(10.0)
        } else {
            10.0
        };
        Self::new(label, Scale::Percentile, 1.0, high)
    }

    fn new(label: &str, scale: Scale, low: f64, high: f64) -> Self {
        let label = label.to_owned();
        Self {
            label,
            scale,
            low,
            high,
            whole: false,
        }
    }

    /// Ticks at whole numbers only.
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    pub fn is_log(&self) -> bool {
        self.scale != Scale::Linear
    }

    /// Where bars stand: zero, or the low end of a log axis.
    pub fn base(&self) -> f64 {
        match self.scale {
            Scale::Linear => 0.0_f64.max(self.low),
            _ => self.low,
        }
    }

    /// The place of a value from 0 (low end) to 1 (high end); what lies beyond an end is put there.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            _ if value <= 0.0 => 0.0,
            _ => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// At most as many ticks as fit on so many pixels, each with so many for its name.
    pub fn ticks(&self, length: f64, per_tick: f64) -> Vec<Tick> {
        let most = (length / per_tick).floor().max(2.0);
        match self.scale {
            Scale::Linear => self.linear_ticks(most),
            Scale::Log => self.log_ticks(most),
            Scale::Percentile => self.percentile_ticks(most),
        }
    }

    fn linear_ticks(&self, most: f64) -> Vec<Tick> {
        let rough = (self.high - self.low) / most;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|times| times * decade)
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(rough);
        let step = if self.whole { step.max(1.0) } else { step };
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        (first..)
            .map(|index| index as f64 * step)
            .take_while(|at| *at <= self.high + step * 1e-9)
            .take(most as usize + 2)
            .map(|at| Tick {
                at,
                name: tick_name(at, decimals),
            })
            .collect()
    }

    fn log_ticks(&self, most: f64) -> Vec<Tick> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let fine: &[f64] = match self.high / self.low < 12.0 {
            true => &[1.0, 2.0, 3.0, 5.0, 7.0],
            false => &[1.0, 2.0, 5.0],
        };
        let choices: [(&[f64], i32); 7] = [
            (fine, 1),
            (&[1.0, 2.0, 5.0], 1),
            (&[1.0, 3.0], 1),
            (&[1.0], 1),
            (&[1.0], 2),
            (&[1.0], 4),
            (&[1.0], 8),
        ];
        let mut ticks = Vec::new();
        for (times, stride) in choices {
            let decades = (first..=last).filter(|decade| decade.rem_euclid(stride) == 0);
            ticks = decades
                .flat_map(|decade| times.iter().map(move |times| times * 10_f64.powi(decade)))
                .filter(|at| (self.low * 0.999..=self.high * 1.001).contains(at))
                .map(|at| Tick { at, name: log_name(at) })
                .collect();
            if ticks.len() as f64 <= most {
                break;
            }
        }
        ticks
    }

    fn percentile_ticks(&self, most: f64) -> Vec<Tick> {
        let mut ticks = vec![Tick {
            at: 1.0,
            name: "0 %".to_owned(),
        }];
        let mut inverse = 10.0;
        for nines in 1..=9_usize {
            if inverse > self.high * 1.001 {
                break;
            }
            let name = match nines {
                1 => "90 %".to_owned(),
                2 => "99 %".to_owned(),
                _ => format!("99.{} %", "9".repeat(nines - 2)),
            };
            ticks.push(Tick { at: inverse, name });
            inverse *= 10.0;
        }
        if (ticks.len() as f64) < most {
            let half = Tick {
                at: 2.0,
                name: "50 %".to_owned(),
            };
            ticks.insert(1, half);
        }
        ticks
    }
}

fn bounds(values: impl IntoIterator<Item = f64>, wanted: impl Fn(f64) -> bool) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|value| value.is_finite() && wanted(*value))
        .map(|value| value.clamp(-MOST, MOST))
        .fold(None, |span, value| match span {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        })
}

fn tick_name(at: f64, decimals: usize) -> String {
    match at.abs() {
        size if size >= 10_000.0 => short(at),
        size if size >= 1_000.0 => format::count(size as u64),
        _ => format!("{at:.decimals$}"),
    }
}

fn log_name(at: f64) -> String {
    match at {
        at if at >= 10_000.0 => short(at),
        at if at >= 1_000.0 => format::count(at.round() as u64),
        at => {
            let decimals = (-(at.log10() + 1e-9).floor()).max(0.0) as usize;
            format!("{at:.decimals$}")
        }
    }
}

/// 58000 as `58k`, 1.2e9 as `1.2G`.
fn short(at: f64) -> String {
    let units = [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)];
    let (name, unit) = units
        .into_iter()
        .find(|(_, unit)| at.abs() >= *unit)
        .unwrap_or(("", 1.0));
    let digits = format!("{:.2}", at / unit);
    format!("{}{name}", digits.trim_end_matches('0').trim_end_matches('.'))
}
