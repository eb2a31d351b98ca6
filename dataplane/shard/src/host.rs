//! What this machine lends us: cores within the container's quota, descriptors, an io_uring. Looked at once, at start;
//! what is missing is said with the remedy. Knows nothing of configuration.

#![allow(clippy::disallowed_methods)] // Runs before any shard does.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use io_uring::IoUring;
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity},
};

const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// Descriptors kept back for rings, listeners, files and the control socket; and more for each shard.
const RESERVED_DESCRIPTORS: u64 = 96;
const RESERVED_PER_SHARD: u64 = 32;
/// Fewer connections than these are no gateway.
const MIN_CONNECTIONS: u64 = 16;

/// Cores and how much of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Cores {
    /// Of the affinity mask, rising.
    pub cpus: Vec<usize>,
    /// Cores' worth of CPU time that the cgroups allow.
    pub quota: Option<f64>,
}

impl Cores {
    pub fn look() -> Result<Self, String> {
        let mask = sched_getaffinity(None).map_err(|error| format!("cannot read the CPU affinity mask: {error}"))?;
        let cpus = (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu)).collect();
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Ok(Self {
            cpus,
            quota: quota(&membership, Path::new(CGROUP_ROOT)),
        })
    }

    /// One shard per core, within the quota: more would be throttled together.
    pub fn shards(&self) -> usize {
        let by_quota = self.quota.map_or(usize::MAX, |cores| (cores.floor() as usize).max(1));
        self.cpus.len().min(by_quota).max(1)
    }

    /// The core of each of `count` shards, round robin.
    pub fn place(&self, count: usize) -> Vec<usize> {
        self.cpus.iter().copied().cycle().take(count).collect()
    }
}

/// The smallest quota on the way from our cgroup to the root; version 2, or the `cpu` controller of version 1.
fn quota(membership: &str, root: &Path) -> Option<f64> {
    let mut smallest: Option<f64> = None;
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|controller| controller == "cpu") {
            continue;
        }
        let base = if is_v2 {
            root.to_path_buf()
        } else {
            root.join(controllers)
        };
        // In a container the path may be the host's: then only the root of the hierarchy is there to be read.
        let relative = Path::new(path.trim_start_matches('/'));
        for folder in relative.ancestors() {
            let here = if is_v2 {
                quota_v2(&base.join(folder))
            } else {
                quota_v1(&base.join(folder))
            };
            smallest = [smallest, here].into_iter().flatten().reduce(f64::min);
        }
    }
    smallest
}

/// `cpu.max`: `QUOTA PERIOD` in microseconds, or `max PERIOD`.
fn quota_v2(folder: &Path) -> Option<f64> {
    let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota, period)
}

fn quota_v1(folder: &Path) -> Option<f64> {
    let read = |name| fs::read_to_string(folder.join(name)).ok();
    // No quota is -1 here.
    ratio(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Raises the descriptor limit as far as it goes and answers how many client connections that bears: each may need
/// one to a provider as well.
pub fn max_connections(shards: usize) -> Result<u32, String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let mut limit = current;
    if current != maximum {
        match setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        ) {
            Ok(()) => limit = maximum,
            Err(error) => tracing::warn!(%error, "cannot raise the descriptor limit; going on with the soft one"),
        }
    }
    connections_within(limit, shards)
}

/// `None`: no limit.
fn connections_within(limit: Option<u64>, shards: usize) -> Result<u32, String> {
    let Some(limit) = limit else { return Ok(u32::MAX) };
    let reserved = RESERVED_DESCRIPTORS + RESERVED_PER_SHARD * shards as u64;
    let connections = limit.saturating_sub(reserved) / 2;
    if connections < MIN_CONNECTIONS {
        let needed = reserved + 2 * MIN_CONNECTIONS;
        return Err(format!(
            "{limit} descriptors are too few for {shards} shard(s): raise RLIMIT_NOFILE to {needed} at least \
             (`ulimit -Hn`, LimitNOFILE= of a systemd unit), or start with fewer --shards"
        ));
    }
    Ok(u32::try_from(connections).unwrap_or(u32::MAX))
}

/// Whether shards can have the rings they need. The error says what is missing and what to do.
pub fn check_io_uring() -> Result<(), String> {
    let Err(error) = IoUring::new(2) else {
        return check_ring_flags();
    };
    let sysctl = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    Err(io_uring_missing(&error, sysctl.as_deref().map(str::trim)))
}

/// The flags came with Linux 6.1; whatever else the rings use is older.
fn check_ring_flags() -> Result<(), String> {
    let ring: io::Result<IoUring> = IoUring::builder()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun()
        .build(2);
    ring.map(drop).map_err(|error| {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        format!("io_uring of this kernel ({release}) is too old: {error}; Linux 6.1 or later is needed")
    })
}

fn io_uring_missing(error: &io::Error, sysctl: Option<&str>) -> String {
    let sysctl_text = sysctl.unwrap_or("absent");
    let remedy = match (error.raw_os_error(), sysctl) {
        (Some(libc::EPERM), Some("2")) => "set it to 0: sysctl -w kernel.io_uring_disabled=0".to_owned(),
        (Some(libc::EPERM), Some("1")) => {
            "set it to 0 (sysctl -w kernel.io_uring_disabled=0), or add this user's group \
             to kernel.io_uring_group"
                .to_owned()
        }
        (Some(libc::EPERM), _) => "a seccomp profile refuses it: allow io_uring_setup, io_uring_enter and \
             io_uring_register (containers: --security-opt seccomp=PROFILE; systemd: SystemCallFilter=@io-event)"
            .to_owned(),
        (Some(libc::ENOSYS), _) => "this kernel has none (CONFIG_IO_URING), or a seccomp profile hides it; \
             Linux 6.1 or later is needed"
            .to_owned(),
        (Some(libc::ENOMEM), _) => {
            "raise RLIMIT_MEMLOCK to 8 MiB (`ulimit -l 8192`, LimitMEMLOCK= of a systemd unit)".to_owned()
        }
        _ => "Linux 6.1 or later with io_uring is needed".to_owned(),
    };
    format!("io_uring is disabled: kernel.io_uring_disabled={sysctl_text} ({error}); {remedy}")
}

/// What the process uses now, from `/proc/self`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub rss_bytes: u64,
    pub cpu_s: f64,
    pub open_fds: u64,
}

/// Zero for what cannot be read.
pub fn usage() -> Usage {
    let pages = |text: String| text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let resident_pages = fs::read_to_string("/proc/self/statm").ok().and_then(pages).unwrap_or(0);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let open_fds = fs::read_dir(PathBuf::from("/proc/self/fd")).map_or(0, |entries| entries.count() as u64);
    Usage {
        rss_bytes: resident_pages * rustix::param::page_size() as u64,
        cpu_s: cpu_ticks(&stat).unwrap_or(0) as f64 / rustix::param::clock_ticks_per_second() as f64,
        open_fds,
    }
}

/// User and system time: fields 14 and 15 of proc(5)'s stat, counted from behind the name, which may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    Some(times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_fit_the_mask_and_the_quota() {
        let cases = [
            (vec![0, 1, 2, 3], None, 4),
            (vec![2, 5], Some(8.0), 2),
            (vec![0, 1, 2, 3], Some(2.9), 2),
            (vec![0, 1], Some(0.5), 1),
        ];
        for (cpus, quota, expected) in cases {
            assert_eq!(Cores { cpus, quota }.shards(), expected);
        }
        assert_eq!(
            Cores {
                cpus: vec![2, 5],
                quota: None
            }
            .place(3),
            [2, 5, 2]
        );
    }

    #[test]
    fn the_smallest_quota_on_the_way_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        assert_eq!(quota("0::/a/b\n", root.path()), None);
        write("a/cpu.max", "150000 100000\n");
        write("a/b/cpu.max", "max 100000\n");
        assert_eq!(quota("0::/a/b\n", root.path()), Some(1.5));
        write("cpu.max", "50000 100000\n");
        assert_eq!(quota("0::/elsewhere/on/the/host\n", root.path()), Some(0.5));
        write("cpu,cpuacct/c/cpu.cfs_quota_us", "300000\n");
        write("cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
        write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        write("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        assert_eq!(quota("5:memory:/c\n4:cpu,cpuacct:/c\n", root.path()), Some(3.0));
    }

    #[test]
    fn connections_are_bounded_by_descriptors() {
        assert_eq!(connections_within(None, 2), Ok(u32::MAX));
        assert_eq!(connections_within(Some(1024), 2), Ok(432));
        assert!(
            connections_within(Some(64), 1)
                .expect_err("too few")
                .contains("RLIMIT_NOFILE")
        );
    }

    #[test]
    fn a_refusal_names_the_remedy() {
        let said = |errno, sysctl| io_uring_missing(&io::Error::from_raw_os_error(errno), sysctl);
        let cases = [
            (
                said(libc::EPERM, Some("2")),
                "io_uring is disabled: kernel.io_uring_disabled=2",
            ),
            (said(libc::EPERM, Some("1")), "kernel.io_uring_group"),
            (said(libc::EPERM, Some("0")), "seccomp"),
            (said(libc::ENOSYS, None), "CONFIG_IO_URING"),
            (said(libc::ENOMEM, Some("0")), "RLIMIT_MEMLOCK"),
        ];
        for (said, expected) in cases {
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn cpu_time_is_read_whatever_the_name() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 100 23 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(123));
        assert_eq!(cpu_ticks(""), None);
        let used = usage();
        assert!(used.rss_bytes > 0 && used.open_fds > 2);
    }
}
