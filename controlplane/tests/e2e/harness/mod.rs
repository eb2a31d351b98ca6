//! What the tests stand on: processes, HTTP over plain sockets, and probes of `/proc`.

pub mod certificates;
pub mod clock;
pub mod gateway;
pub mod http;
pub mod kafka;
pub mod load;
pub mod ports;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod sandbox;
pub mod valkey;

use std::time::{Duration, Instant};

pub use gateway::{Gateway, Setup};
pub use http::{Client, Ended, Response};
pub use load::Load;
pub use ports::free_port;
pub use sandbox::Sandbox;

/// Polls `probe` until it answers; fails with `what` when it has not within `seconds`.
#[track_caller]
pub fn until<T>(what: &str, seconds: u64, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
