//! What the kernel says of a process: memory, descriptors, sockets, processor time.

use std::time::{Duration, Instant};

/// Resident memory, KiB.
pub fn rss_kib(pid: u32) -> u64 {
    of_status(pid, "VmRSS:")
}

/// Makes `peak_rss_kib` begin anew: proc(5), `clear_refs`.
pub fn forget_peak_rss(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of this user");
}

/// The most of it there was.
pub fn peak_rss_kib(pid: u32) -> u64 {
    of_status(pid, "VmHWM:")
}

fn of_status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or(0)
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// What the open descriptors are, for the message of a failed test.
pub fn descriptor_names(pid: u32) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let targets = folder
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.map(|target| target.display().to_string()).collect()
}

/// User and system time, ms.
pub fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .map_or(Vec::new(), |(_, rest)| rest.split(' ').collect());
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10
}

/// A process's descriptors and memory at rest, to be compared with after a test.
pub struct Baseline {
    pid: u32,
    descriptors: usize,
    rss_kib: u64,
}

impl Baseline {
    pub fn of(pid: u32) -> Self {
        Self {
            pid,
            descriptors: descriptors(pid),
            rss_kib: rss_kib(pid),
        }
    }

    /// Waits until descriptors and memory are back; memory may stay `slack_kib` higher, for pools and the allocator.
    #[track_caller]
    pub fn assert_restored(&self, slack_kib: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (open, rss) = (descriptors(self.pid), rss_kib(self.pid));
            if open <= self.descriptors && rss <= self.rss_kib + slack_kib {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "leaked: {open} descriptors (before: {}), {rss} KiB (before: {}, slack {slack_kib})\n{:#?}",
                self.descriptors,
                self.rss_kib,
                descriptor_names(self.pid)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
