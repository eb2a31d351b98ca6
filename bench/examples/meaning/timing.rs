//! Time on the processor of the thread that measures: what its neighbours on a shared machine take does not count.

use rustix::time::{ClockId, clock_gettime};

const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds that this thread has run.
pub fn ran_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * NS_PER_S + now.tv_nsec as u64
}

/// How long the thread ran for it.
pub fn timed(run: impl FnOnce()) -> u64 {
    let began_ns = ran_ns();
    run();
    ran_ns() - began_ns
}

/// The value that so many of a thousand are below, in microseconds.
pub fn quantile_us(times_ns: &mut [u64], per_mille: usize) -> f64 {
    times_ns.sort_unstable();
    let at = times_ns.len().saturating_sub(1) * per_mille / 1_000;
    times_ns.get(at).map_or(0.0, |ns| *ns as f64 / 1_000.0)
}
