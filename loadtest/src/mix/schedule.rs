//! When requests are due in open loop. Pure: times are nanoseconds since the run's beginning.
//!
//! A schedule is its rate over time. The count of requests due up to a moment is the integral of the rate, and its
//! inverse says when the n-th is due; everything here is that inverse, of whole numbers for even arrivals, of a Poisson
//! process of rate 1 for random ones.

use super::{dice::Dice, units};

const NS: f64 = 1e9;
/// A rate over this is a slip of the hand, and would break the arithmetic.
const RATE_MOST: f64 = 1e9;

const FORMS: &str = "write 1000, ramp:0-5000/30s, steps:100/10s,200/10s, or poisson: before any of these";

/// A rate of requests over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    arrivals: Arrivals,
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    Even,
    /// Independent of each other, as those of many users are.
    Poisson,
}

/// A stretch of time in which the rate runs straight from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    /// Where it begins: time, and count of requests due before.
    start_s: f64,
    start_count: f64,
    from_rate: f64,
    to_rate: f64,
    /// Infinite for a rate without end.
    seconds: f64,
}

impl Piece {
    fn count_after(&self, seconds: f64) -> f64 {
        let slope = match self.seconds.is_finite() {
            true => (self.to_rate - self.from_rate) / self.seconds,
            false => 0.0,
        };
        seconds * (self.from_rate + slope * seconds / 2.0)
    }

    fn count(&self) -> f64 {
        match self.seconds.is_finite() {
            true => self.seconds * (self.from_rate + self.to_rate) / 2.0,
            false => f64::INFINITY,
        }
    }

    /// When, after its beginning, its `count`-th request is due; `count` is less than its own.
    fn seconds_of(&self, count: f64) -> f64 {
        if self.from_rate == self.to_rate {
            return count / self.from_rate;
        }
        if count == 0.0 {
            return 0.0;
        }
        let slope = (self.to_rate - self.from_rate) / self.seconds;
        // The root of the quadratic in the form that does not lose digits where the slope is small.
        2.0 * count / (self.from_rate + (self.from_rate * self.from_rate + 2.0 * slope * count).max(0.0).sqrt())
    }
}

impl Schedule {
    pub fn constant(rate: f64) -> Self {
        let mut schedule = Self {
            arrivals: Arrivals::Even,
            pieces: Vec::new(),
        };
        schedule.push(rate, rate, f64::INFINITY);
        schedule
    }

    /// `1000`, `ramp:0-5000/30s`, `steps:100/10s,100-200/5s,200`, each also after `poisson:`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("schedule '{text}': {why}; {FORMS}");
        let (arrivals, rest) = match text.trim().strip_prefix("poisson:") {
            Some(rest) => (Arrivals::Poisson, rest),
            None => (Arrivals::Even, text.trim()),
        };
        let mut schedule = Self {
            arrivals,
            pieces: Vec::new(),
        };
        let steps = match rest.split_once(':') {
            None if rest.contains(['/', '-', ',']) => return Err(wrong("a plain rate is one number".to_owned())),
            None => rest,
            Some(("ramp", ramp)) if ramp.contains('-') && !ramp.contains(',') => ramp,
            Some(("ramp", _)) => return Err(wrong("a ramp is FROM-TO/DURATION".to_owned())),
            Some(("steps", steps)) => steps,
            Some((other, _)) => return Err(wrong(format!("'{other}' is no kind of schedule"))),
        };
        for step in steps.split(',') {
            schedule.push_text(step.trim()).map_err(wrong)?;
        }
        schedule.checked().map_err(wrong)
    }

    /// Of rates at the beginning and end of each step, and seconds; only the last may be without end.
    pub fn of_steps(arrivals: Arrivals, steps: &[(f64, f64, Option<f64>)]) -> Result<Self, String> {
        let mut schedule = Self {
            arrivals,
            pieces: Vec::new(),
        };
        for (from_rate, to_rate, seconds) in steps {
            schedule.step(*from_rate, *to_rate, *seconds)?;
        }
        schedule.checked()
    }

    fn push_text(&mut self, step: &str) -> Result<(), String> {
        let (rates, seconds) = match step.split_once('/') {
            Some((rates, duration)) => (rates, Some(units::duration_ns(duration)? as f64 / NS)),
            None => (step, None),
        };
        let rate = |text: &str| {
            text.trim()
                .parse::<f64>()
                .map_err(|_| format!("'{text}' is no rate, which is a number of requests a second"))
        };
        let (from, to) = match rates.split_once('-') {
            Some((from, to)) => (rate(from)?, rate(to)?),
            None => (rate(rates)?, rate(rates)?),
        };
        self.step(from, to, seconds)
    }

    /// Adds a stretch; without seconds it lasts for ever, and nothing may follow.
    fn step(&mut self, from_rate: f64, to_rate: f64, seconds: Option<f64>) -> Result<(), String> {
        if self.pieces.last().is_some_and(|piece| piece.seconds.is_infinite()) {
            return Err("only the last step may be without a duration".to_owned());
        }
        for rate in [from_rate, to_rate] {
            if !(0.0..=RATE_MOST).contains(&rate) {
                return Err(format!("the rate {rate} is not between 0 and {RATE_MOST}"));
            }
        }
        match seconds {
            None if from_rate != to_rate => Err("a ramp needs its duration, as in 0-5000/30s".to_owned()),
            Some(seconds) if seconds <= 0.0 => Err("a step of no duration".to_owned()),
            _ => {
                self.push(from_rate, to_rate, seconds.unwrap_or(f64::INFINITY));
                Ok(())
            }
        }
    }

    fn push(&mut self, from_rate: f64, to_rate: f64, seconds: f64) {
        let (start_s, start_count) = match self.pieces.last() {
            Some(last) => (last.start_s + last.seconds, last.start_count + last.count()),
            None => (0.0, 0.0),
        };
        self.pieces.push(Piece {
            start_s,
            start_count,
            from_rate,
            to_rate,
            seconds,
        });
    }

    fn checked(self) -> Result<Self, String> {
        match self
            .pieces
            .iter()
            .any(|piece| piece.from_rate > 0.0 || piece.to_rate > 0.0)
        {
            true => Ok(self),
            false => Err("no request is ever due".to_owned()),
        }
    }

    /// Until the last request may be due; None for a rate without end.
    pub fn duration_ns(&self) -> Option<u64> {
        let seconds: f64 = self.pieces.iter().map(|piece| piece.seconds).sum();
        seconds.is_finite().then_some((seconds * NS) as u64)
    }

    /// Requests due in the first `until_ns`; their mean for random arrivals.
    pub fn count_until(&self, until_ns: u64) -> f64 {
        let until_s = until_ns as f64 / NS;
        let within = |piece: &Piece| (until_s - piece.start_s).clamp(0.0, piece.seconds);
        self.pieces.iter().map(|piece| piece.count_after(within(piece))).sum()
    }

    /// Requests a second over its whole duration; the last rate of a schedule without end.
    #[cfg(test)]
    pub fn mean_rate(&self) -> f64 {
        match self.duration_ns() {
            Some(duration_ns) => self.count_until(duration_ns) / (duration_ns as f64 / NS),
            None => self.pieces.last().map_or(0.0, |piece| piece.to_rate),
        }
    }

    /// One worker's part. Those of all workers together are the schedule: for even arrivals each takes every
    /// `workers`-th; random ones are the sum of independent processes, whose rates add up.
    pub fn share(&self, worker: usize, workers: usize, seed: u64) -> Due {
        let stride = workers.max(1) as f64;
        let mut due = Due {
            schedule: self.clone(),
            piece: 0,
            count: worker as f64,
            stride,
            dice: Dice::of(seed, worker as u64),
        };
        if self.arrivals == Arrivals::Poisson {
            due.count = due.dice.exponential() * stride;
        }
        due
    }
}

/// The due times of one worker, in nanoseconds since the run's beginning, never falling.
#[derive(Clone, Debug)]
pub struct Due {
    schedule: Schedule,
    piece: usize,
    /// Of the next request: how many are due before it, of all workers.
    count: f64,
    stride: f64,
    dice: Dice,
}

impl Iterator for Due {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let piece = loop {
            let piece = self.schedule.pieces.get(self.piece)?;
            if self.count < piece.start_count + piece.count() {
                break piece;
            }
            self.piece += 1;
        };
        let seconds = piece.start_s + piece.seconds_of(self.count - piece.start_count);
        self.count += match self.schedule.arrivals {
            Arrivals::Even => self.stride,
            Arrivals::Poisson => self.dice.exponential() * self.stride,
        };
        Some((seconds * NS).round() as u64)
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
