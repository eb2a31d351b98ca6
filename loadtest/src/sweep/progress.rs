//! What who waits for a sweep sees: a line for each window, and on a terminal the one that is being measured. Nothing
//! in a pipe.

use std::io::{self, IsTerminal, Write};

use super::Told;
use crate::report::format::number;

pub struct Progress {
    terminal: bool,
    window: String,
}

impl Progress {
    pub fn new() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            window: String::new(),
        }
    }

    pub fn tell(&mut self, told: &Told) {
        if let Told::Window {
            number: count,
            streams,
            load,
        } = told
        {
            let what = if *streams { "streams" } else { "requests/s" };
            self.window = format!("window {}: {} {what}", count + 1, number(*load));
        }
        if self.terminal {
            // A display that cannot be written to is no reason to end a sweep.
            let _ = io::stderr().lock().write_all(line(&self.window, told).as_bytes());
        }
    }
}

/// Goes back to the line's beginning and writes it anew; a window that is over keeps its line.
fn line(window: &str, told: &Told) -> String {
    match told {
        Told::Window { .. } => format!("\r\x1b[2K{window} …"),
        Told::Second(second) => format!(
            "\r\x1b[2K{window} … {}/s, p99 {} ms",
            second.answered,
            number(second.p99_ms)
        ),
        Told::Tried(tried) => {
            let end = match (tried.valid, tried.failed) {
                (false, _) => ", generator limited".to_owned(),
                (true, 0) => String::new(),
                (true, failed) => format!(", {failed} failed"),
            };
            format!("\r\x1b[2K{window}: p99 {} ms{end}\n", number(tried.p99_ms))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::frontier::Tried;

    #[test]
    fn a_windows_end_is_told_with_what_broke_it() {
        let ended = |failed, valid| {
            let tried = Tried {
                load: 400.0,
                p99_ms: 3.0,
                failed,
                valid,
                streams: false,
            };
            line("window 2: 400 requests/s", &Told::Tried(&tried))
        };
        assert!(
            ended(0, true).ends_with("window 2: 400 requests/s: p99 3.00 ms\n"),
            "{}",
            ended(0, true)
        );
        assert!(ended(7, true).ends_with("7 failed\n"));
        assert!(ended(7, false).ends_with("generator limited\n"));
    }
}
