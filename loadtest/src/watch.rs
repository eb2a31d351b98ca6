//! What a process and all that descend from it cost: CPU time and resident memory, read from /proc while a run goes on.
//! Knows nothing of runs. Resident memory counts pages shared between processes once for each of them, as `ps` does.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::report::Watched;

/// How often the tree is looked at for its peak and for children that come and go.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// Ticks a second in /proc: a constant of the kernel's interface on all that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// SIGCHLD in the mask of ignored signals.
const SIGCHLD_BIT: u64 = 1 << 16;

/// A process under watch, until it is dropped.
pub struct Watch {
    tree: Arc<Mutex<Tree>>,
    stop: Option<Sender<()>>,
    sampler: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn start(pid: u32) -> Result<Self, String> {
        let processes = processes();
        let mut tree = Tree::new(running(&processes, pid)?);
        tree.take(&processes, detail);
        tree.begin();
        let tree = Arc::new(Mutex::new(tree));
        let (stop, stopped) = mpsc::channel();
        let sampled = Arc::clone(&tree);
        let sampler = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(SAMPLE_EVERY) == Err(RecvTimeoutError::Timeout) {
                    look(&mut locked(&sampled));
                }
            })
            .map_err(|error| format!("cannot start the thread that watches process {pid}: {error}"))?;
        Ok(Self {
            tree,
            stop: Some(stop),
            sampler: Some(sampler),
        })
    }

    /// Counts from now on: CPU, memory before, peak. A run calls it when its warm-up is over.
    pub fn begin(&self) {
        let mut tree = locked(&self.tree);
        look(&mut tree);
        tree.begin();
    }

    /// User and system time of the tree since it began, that of ended children included.
    #[cfg(test)]
    pub fn cpu_seconds(&self) -> f64 {
        let mut tree = locked(&self.tree);
        look(&mut tree);
        tree.cpu_seconds()
    }

    /// Resident memory of the tree now.
    #[cfg(test)]
    pub fn rss_mib(&self) -> f64 {
        let mut tree = locked(&self.tree);
        look(&mut tree);
        mib(tree.rss_kib)
    }

    /// The most resident memory that was seen since it began.
    #[cfg(test)]
    pub fn rss_mib_peak(&self) -> f64 {
        mib(locked(&self.tree).peak_kib)
    }

    /// All of it, as a report says it.
    pub fn watched(&self, answered: u64) -> Watched {
        let mut tree = locked(&self.tree);
        look(&mut tree);
        let cpu_seconds = tree.cpu_seconds();
        Watched {
            pid: tree.root,
            cpu_us_per_request: match answered {
                0 => 0.0,
                answered => cpu_seconds * 1e6 / answered as f64,
            },
            cpu_seconds,
            rss_mib_before: mib(tree.before_kib),
            rss_mib_peak: mib(tree.peak_kib),
            rss_mib_after: mib(tree.rss_kib),
        }
    }
}

/// Refuses the id of a process that is not there.
pub fn check(pid: u32) -> Result<(), String> {
    running(&processes(), pid).map(drop)
}

fn running(processes: &[Process], pid: u32) -> Result<Process, String> {
    let root = processes.iter().find(|process| process.pid == pid && !process.ended);
    root.copied().ok_or_else(|| {
        format!("no process {pid} is running: give --watch-pid the id of one that is, as `pidof NAME` says it")
    })
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Its end of the channel gone, the sampler wakes and ends.
        self.stop.take();
        if let Some(sampler) = self.sampler.take() {
            let _ = sampler.join();
        }
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A sampler that panicked leaves numbers that were true when it did.
fn locked(tree: &Mutex<Tree>) -> MutexGuard<'_, Tree> {
    tree.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(tree: &mut Tree) {
    tree.take(&processes(), detail);
}

/// A line of /proc/PID/stat.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Process {
    pid: u32,
    parent: u32,
    /// With the id, tells it from a later process of the same id.
    started: u64,
    /// User and system time, its own and of those children of which it was told that they ended.
    ticks: u64,
    /// Ended, and nobody has been told yet.
    ended: bool,
}

/// What is read only of processes of the tree.
#[derive(Clone, Copy, Debug, Default)]
struct Detail {
    rss_kib: u64,
    /// It wants not to be told when children end: then their time is not added to its own.
    deaf: bool,
}

struct Member {
    process: Process,
    deaf: bool,
}

/// The tree as last seen. Pure: it is given what /proc says.
struct Tree {
    root: u32,
    members: HashMap<u32, Member>,
    /// Of processes that ended and whose time no living member's count holds.
    ended_ticks: u64,
    begun_ticks: u64,
    before_kib: u64,
    rss_kib: u64,
    peak_kib: u64,
}

impl Tree {
    fn new(root: Process) -> Self {
        let member = Member {
            process: root,
            deaf: false,
        };
        Self {
            root: root.pid,
            members: HashMap::from([(root.pid, member)]),
            ended_ticks: 0,
            begun_ticks: 0,
            before_kib: 0,
            rss_kib: 0,
            peak_kib: 0,
        }
    }

    fn begin(&mut self) {
        self.begun_ticks = self.ticks();
        self.before_kib = self.rss_kib;
        self.peak_kib = self.rss_kib;
    }

    /// Of the living and of the dead. Every process's time is in exactly one of: its own count, the count of the
    /// parent that was told of its end, `ended_ticks`.
    fn ticks(&self) -> u64 {
        let living: u64 = self.members.values().map(|member| member.process.ticks).sum();
        living + self.ended_ticks
    }

    fn cpu_seconds(&self) -> f64 {
        self.ticks().saturating_sub(self.begun_ticks) as f64 / TICKS_PER_SECOND
    }

    fn take(&mut self, processes: &[Process], detail: impl Fn(u32) -> Detail) {
        let now = self.belonging(processes);
        let before = std::mem::take(&mut self.members);
        self.rss_kib = 0;
        for process in now {
            let detail = detail(process.pid);
            self.rss_kib += detail.rss_kib;
            let member = Member {
                process,
                deaf: detail.deaf,
            };
            self.members.insert(process.pid, member);
        }
        let lives = |process: &Process| is_member(&self.members, process);
        let lost: u64 = before
            .values()
            .filter(|member| !lives(&member.process) && !self.is_counted_above(&member.process, &before))
            .map(|member| member.process.ticks)
            .sum();
        self.ended_ticks += lost;
        self.peak_kib = self.peak_kib.max(self.rss_kib);
    }

    /// Those who were members and still live, and all that descend from them. Who once belonged belongs on
    /// when its parent ends and it is given to another.
    fn belonging(&self, processes: &[Process]) -> Vec<Process> {
        let mut children: HashMap<u32, Vec<&Process>> = HashMap::new();
        for process in processes {
            children.entry(process.parent).or_default().push(process);
        }
        let mut found: HashMap<u32, Process> = HashMap::new();
        let mut waiting: Vec<&Process> = processes
            .iter()
            .filter(|process| is_member(&self.members, process))
            .collect();
        while let Some(process) = waiting.pop() {
            if let Entry::Vacant(place) = found.entry(process.pid) {
                place.insert(*process);
                waiting.extend(children.get(&process.pid).into_iter().flatten());
            }
        }
        found.into_values().collect()
    }

    /// Whether the time of a process that ended is in the count of a living ancestor.
    fn is_counted_above(&self, ended: &Process, before: &HashMap<u32, Member>) -> bool {
        let mut parent = ended.parent;
        loop {
            match (self.members.get(&parent), before.get(&parent)) {
                (Some(living), _) => return !living.deaf,
                // It ended in the same moment, and its own parent was told the sum.
                (None, Some(ended_too)) if ended_too.process.parent != parent => parent = ended_too.process.parent,
                _ => return false,
            }
        }
    }
}

fn is_member(members: &HashMap<u32, Member>, process: &Process) -> bool {
    members
        .get(&process.pid)
        .is_some_and(|member| member.process.started == process.started)
}

/// All processes there are; those that end meanwhile are left out.
fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

fn parse_stat(pid: u32, stat: &str) -> Option<Process> {
    // The name in parentheses may itself hold parentheses and blanks: what follows the last one is fields.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Process {
        pid,
        parent: number(1)? as u32,
        started: number(19)?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        ended: matches!(fields.first(), Some(&"Z" | &"X")),
    })
}

fn detail(pid: u32) -> Detail {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .map(|status| parse_status(&status))
        .unwrap_or_default()
}

fn parse_status(status: &str) -> Detail {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|rest| rest.trim().trim_end_matches(" kB"))
    };
    let ignored = field("SigIgn:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
    Detail {
        rss_kib: field("VmRSS:").and_then(|kib| kib.parse().ok()).unwrap_or(0),
        deaf: ignored.unwrap_or(0) & SIGCHLD_BIT != 0,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Lines, Write},
        process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    };

    use super::*;

    const ROOT: u32 = 10;

    fn process(pid: u32, parent: u32, ticks: u64) -> Process {
        Process {
            pid,
            parent,
            started: u64::from(pid) * 7,
            ticks,
            ended: false,
        }
    }

    /// What a tree under `ROOT` has counted after each look, the first of which begins it.
    fn counted(looks: &[&[Process]], detail: impl Fn(u32) -> Detail + Copy) -> Vec<u64> {
        let mut tree = Tree::new(looks[0][0]);
        tree.take(looks[0], detail);
        tree.begin();
        looks
            .iter()
            .map(|processes| {
                tree.take(processes, detail);
                tree.ticks() - tree.begun_ticks
            })
            .collect()
    }

    fn check(looks: &[&[Process]], expected: &[u64]) {
        assert_eq!(counted(looks, |_| Detail::default()), expected);
    }

    #[test]
    fn counts_children_from_when_they_appear_and_no_strangers() {
        check(
            &[
                &[process(ROOT, 1, 100), process(20, 1, 500)],
                &[
                    process(ROOT, 1, 110),
                    process(11, ROOT, 5),
                    process(12, 11, 2),
                    process(20, 1, 900),
                ],
            ],
            &[0, 17],
        );
    }

    #[test]
    fn time_of_a_reaped_child_is_counted_once() {
        check(
            &[
                &[process(ROOT, 1, 100), process(11, ROOT, 40)],
                // It used 3 more before it ended; its parent was told of all 43.
                &[process(ROOT, 1, 143)],
            ],
            &[0, 3],
        );
    }

    #[test]
    fn time_of_an_orphan_stays_when_another_reaps_it() {
        check(
            &[
                &[process(ROOT, 1, 100), process(11, ROOT, 0), process(12, 11, 30)],
                &[process(ROOT, 1, 100), process(12, 1, 50)],
                &[process(ROOT, 1, 101)],
            ],
            &[0, 20, 21],
        );
    }

    #[test]
    fn time_stays_when_the_root_ends_and_its_id_is_used_again() {
        let mut another = process(ROOT, 1, 7_000);
        another.started += 1;
        check(
            &[
                &[process(ROOT, 1, 100), process(11, ROOT, 30)],
                &[process(ROOT, 1, 120), process(11, ROOT, 30)],
                &[another],
            ],
            &[0, 20, 20],
        );
    }

    #[test]
    fn a_branch_that_ends_at_once_is_in_the_count_of_its_living_ancestor() {
        check(
            &[
                &[process(ROOT, 1, 100), process(11, ROOT, 10), process(12, 11, 30)],
                &[process(ROOT, 1, 142)],
            ],
            &[0, 2],
        );
    }

    #[test]
    fn time_stays_when_the_parent_does_not_want_to_be_told() {
        let deaf = |pid| Detail {
            rss_kib: 1,
            deaf: pid == ROOT,
        };
        let looks: [&[Process]; 2] = [
            &[process(ROOT, 1, 100), process(11, ROOT, 40)],
            &[process(ROOT, 1, 101)],
        ];
        assert_eq!(counted(&looks, deaf), [0, 1]);
    }

    #[test]
    fn the_peak_outlives_who_made_it() {
        let detail = |pid| Detail {
            rss_kib: if pid == ROOT { 10 } else { 90 },
            deaf: false,
        };
        let mut tree = Tree::new(process(ROOT, 1, 0));
        tree.take(&[process(ROOT, 1, 0)], detail);
        tree.begin();
        tree.take(&[process(ROOT, 1, 0), process(11, ROOT, 0)], detail);
        tree.take(&[process(ROOT, 1, 0)], detail);
        assert_eq!((tree.before_kib, tree.peak_kib, tree.rss_kib), (10, 100, 10));
    }

    #[test]
    fn reads_a_name_with_parentheses() {
        let line = "42 (a) R 1 (b)) Z 7 1 1 0 -1 0 0 0 0 0 3 4 5 6 20 0 1 0 999 0 0";
        let expected = Process {
            pid: 42,
            parent: 7,
            started: 999,
            ticks: 18,
            ended: true,
        };
        assert_eq!(parse_stat(42, line), Some(expected));
        assert_eq!(parse_stat(42, "42 (cut) R 7"), None);
    }

    #[test]
    fn reads_memory_and_deafness() {
        let told = parse_status("Name:\tx\nVmRSS:\t    2048 kB\nSigIgn:\t0000000000001000\n");
        assert_eq!((told.rss_kib, told.deaf), (2048, false));
        let deaf = parse_status("SigIgn:\t0000000000011000\n");
        assert_eq!((deaf.rss_kib, deaf.deaf), (0, true));
    }

    #[test]
    fn names_a_process_that_is_not_there() {
        // Over the largest id that a kernel gives.
        let error = Watch::start(4_194_305).err();
        assert!(error.is_some_and(|text| text.contains("no process 4194305 is running")));
    }

    /// A shell that runs a script, told when to go on, a line at a time.
    struct Shell {
        child: Child,
        to: ChildStdin,
        from: Lines<BufReader<ChildStdout>>,
    }

    impl Shell {
        fn start(script: &str) -> Self {
            let burn = "burn() { i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; }";
            let mut child = Command::new("sh")
                .args(["-c", &format!("{burn}\n{script}")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a shell");
            let to = child.stdin.take().expect("piped");
            let from = BufReader::new(child.stdout.take().expect("piped")).lines();
            Self { child, to, from }
        }

        fn go_on(&mut self) {
            writeln!(self.to, "go on").expect("sent");
        }

        fn line(&mut self) -> String {
            self.from.next().expect("a line").expect("readable")
        }

        /// Seconds in two lines of `times`: the shell's own, its children's.
        fn times(&mut self) -> f64 {
            let lines = [self.line(), self.line()];
            let words = lines.iter().flat_map(|line| line.split_whitespace());
            words
                .map(|word| {
                    let (minutes, seconds) = word.trim_end_matches('s').split_once('m').expect("0m0.00s");
                    minutes.parse::<f64>().expect("minutes") * 60.0 + seconds.parse::<f64>().expect("seconds")
                })
                .sum()
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// The shell itself says what it and its children used; a living grandchild's time is there before it ends, and
    /// is not there twice after.
    #[test]
    fn counts_what_a_real_tree_counts() {
        let mut shell = Shell::start("echo up; read x; (burn; (burn; echo burnt; read x)); burn; times; read x");
        shell.line();
        let watch = Watch::start(shell.child.id()).expect("it runs");
        assert!(watch.rss_mib() > 0.1);
        shell.go_on();
        shell.line();
        let alive = watch.cpu_seconds();
        shell.go_on();
        let expected = shell.times();
        let all = watch.cpu_seconds();
        // Each of three processes may be a tick off in each of two counts, and the shell's start is not counted.
        assert!(
            (all - expected).abs() < 0.08,
            "{all} s, and the shell says {expected} s"
        );
        assert!(alive > expected * 0.4 && alive < all, "{alive} s of {all} s");
        assert!(watch.rss_mib_peak() >= watch.rss_mib());
        let watched = watch.watched(1_000);
        assert!((watched.cpu_us_per_request - watched.cpu_seconds * 1e3).abs() < 1e-6);
    }
}
