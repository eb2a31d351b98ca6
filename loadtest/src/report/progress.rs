//! What who waits sees: two lines that are redrawn each second on a terminal, nothing in a pipe. Drawing is a pure
//! function of the seconds so far.

use std::{
    collections::VecDeque,
    env,
    io::{self, IsTerminal, Write},
};

use super::{
    Second,
    format::{clock, count, duration, number},
};

/// Seconds that the sparkline shows, and cells of the bar.
const SPARKS: usize = 20;
const CELLS: usize = 20;

/// The state of the display.
pub struct Progress {
    state: State,
    /// Only a terminal is drawn on.
    terminal: bool,
    colour: bool,
    drawn: bool,
}

/// What the lines are made of.
#[derive(Default)]
pub struct State {
    total_seconds: Option<f64>,
    elapsed_s: u64,
    failed: u64,
    last: Second,
    rates: VecDeque<u64>,
}

impl Progress {
    /// `total_seconds`: how long it will take, where that is known.
    pub fn new(total_seconds: Option<f64>) -> Self {
        let terminal = io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            state: State::new(total_seconds),
            terminal,
            colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            drawn: false,
        }
    }

    pub fn tick(&mut self, second: &Second) {
        self.state.add(second);
        if !self.terminal {
            return;
        }
        let [above, below] = self.state.lines(self.colour);
        let back = if self.drawn { "\r\x1b[1A" } else { "" };
        // Without wrapping (?7) a narrow terminal cuts the lines, and going up by one always finds the first.
        self.put(&format!("\x1b[?7l{back}\x1b[2K{above}\n\x1b[2K{below}\x1b[?7h"));
        self.drawn = true;
    }

    /// Takes the lines away: the result comes in their place.
    pub fn finish(&mut self) {
        if self.drawn {
            self.put("\r\x1b[2K\x1b[1A\x1b[2K");
            self.drawn = false;
        }
    }

    /// A display that cannot be written to is no reason to end a run.
    fn put(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes());
        let _ = stderr.flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl State {
    pub fn new(total_seconds: Option<f64>) -> Self {
        Self {
            total_seconds: total_seconds.filter(|total| total.is_finite() && *total > 0.0),
            ..Self::default()
        }
    }

    pub fn add(&mut self, second: &Second) {
        self.elapsed_s = self.elapsed_s.max(second.at_s + 1);
        self.failed += second.failed;
        self.last = *second;
        if self.rates.len() == SPARKS {
            self.rates.pop_front();
        }
        self.rates.push_back(second.answered);
    }

    /// How far it is; and how it goes.
    pub fn lines(&self, colour: bool) -> [String; 2] {
        [self.time_line(), self.state_line(colour)]
    }

    fn time_line(&self) -> String {
        let elapsed = clock(self.elapsed_s as f64);
        let Some(total) = self.total_seconds else {
            return format!("{} {elapsed} so far", sparkline(&self.rates));
        };
        let share = (self.elapsed_s as f64 / total).min(1.0);
        let full = (share * CELLS as f64).round() as usize;
        let bar = format!("{}{}", "━".repeat(full), "╌".repeat(CELLS - full));
        let left = total - self.elapsed_s as f64;
        match left <= -1.0 {
            true => format!("{bar} {elapsed}, waiting for the last answers"),
            false => format!("{bar} {elapsed} of {}, {} left", clock(total), clock(left)),
        }
    }

    fn state_line(&self, colour: bool) -> String {
        let sparks = match self.total_seconds {
            Some(_) => format!("{} ", sparkline(&self.rates)),
            None => String::new(),
        };
        let failed = match (self.failed, colour) {
            (0, _) => "failed 0".to_owned(),
            (failed, true) => format!("\x1b[1;31mfailed {}\x1b[0m", count(failed)),
            (failed, false) => format!("failed {}", count(failed)),
        };
        let times = match self.last.answered {
            0 => "no answer".to_owned(),
            _ => format!("p50 {}, p99 {}", duration(self.last.p50_ms), duration(self.last.p99_ms)),
        };
        format!("{sparks}{}/s, {failed}, {times}", number(self.last.answered as f64))
    }
}

/// One column a second, from nothing to the highest of them.
pub fn sparkline<'a>(rates: impl IntoIterator<Item = &'a u64> + Clone) -> String {
    const SPARK: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = rates.clone().into_iter().copied().max().unwrap_or(0).max(1);
    rates
        .into_iter()
        .map(|rate| match rate {
            0 => ' ',
            rate => SPARK[((u128::from(*rate) * 8).div_ceil(u128::from(highest)) as usize).clamp(1, 8) - 1],
        })
        .collect()
}
