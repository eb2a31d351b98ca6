//! The one clock of the load tester: nanoseconds since boot, monotonic.

/// A point in time, in nanoseconds of CLOCK_MONOTONIC: the same for every process of the machine.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
