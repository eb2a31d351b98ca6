//! The log of a running control plane: JSON lines on stderr, readable ones on a terminal. `TOLLGATE_LOG` filters. Whoever
//! reads it and stops holds up nobody: what finds no room is dropped.

use std::io::{IsTerminal as _, Result, Write, stderr};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tracing_subscriber::EnvFilter;

/// How long a line waits for whoever reads.
const ROOM_WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// A pipe that takes anything takes so much (`PIPE_BUF`).
const PIECE_BYTES: usize = 4_096;

pub fn start() {
    let filter = EnvFilter::try_from_env("TOLLGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Impatient)
        .with_target(false);
    // An error means that somebody else has started it, which only a test does.
    let _ = if stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

/// Standard error, as long as it is read.
struct Impatient;

impl Write for Impatient {
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        // Held over the question and the write: room that is there is this line's.
        let mut stderr = stderr().lock();
        for piece in line.chunks(PIECE_BYTES) {
            if !has_room() {
                break;
            }
            stderr.write_all(piece)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn has_room() -> bool {
    let stderr = stderr();
    loop {
        match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&ROOM_WAIT)) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
