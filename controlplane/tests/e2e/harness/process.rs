//! Child processes: started from the build's own folder, their output kept, ended by their id.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use super::until;

/// The program `name` of this build, which lies beside `tollgate`.
pub fn program(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_tollgate")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing: run 'cargo build --workspace --bins' first",
        path.display()
    );
    path
}

/// Lines a child wrote so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().expect("lines").clone()
    }

    pub fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.0.lock().expect("lines").iter().find(|line| wanted(line)).cloned()
    }

    fn follow(&self, output: impl Read + Send + 'static) {
        let lines = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.0.lock().expect("lines").push(text);
                line.clear();
            }
        });
    }
}

/// A child in a process group of its own; killed with its group when dropped.
pub struct Process {
    child: Child,
    pub stdout: Lines,
    pub stderr: Lines,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command
            .spawn()
            .unwrap_or_else(|bad| panic!("cannot start {command:?}: {bad}"));
        let (stdout, stderr) = (Lines::default(), Lines::default());
        stdout.follow(child.stdout.take().expect("piped"));
        stderr.follow(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr }
    }

    /// The same with standard error given away, for instance to a pipe that nobody reads.
    pub fn with_stderr(command: &mut Command, stderr: Stdio) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0);
        let mut child = command
            .spawn()
            .unwrap_or_else(|bad| panic!("cannot start {command:?}: {bad}"));
        let stdout = Lines::default();
        stdout.follow(child.stdout.take().expect("piped"));
        // The parent's copy of the descriptor lies in the command; without this its reader would never see the end.
        command.stderr(Stdio::null());
        Self {
            child,
            stdout,
            stderr: Lines::default(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The line of its standard output that begins with `ready`.
    #[track_caller]
    pub fn ready_line(&mut self) -> String {
        until("a line beginning with 'ready'", 30, || {
            if let Some(line) = self.stdout.find(|line| line.starts_with("ready")) {
                return Some(line);
            }
            if let Some(status) = self.exited() {
                panic!("ended with {status} before it was ready:\n{}", self.output());
            }
            None
        })
    }

    /// The exit code, once it has ended; a signal's number plus 128 where one ended it.
    pub fn exited(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.try_wait().expect("wait")?;
        Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    #[track_caller]
    pub fn wait(&mut self, seconds: u64) -> i32 {
        until("the process to end", seconds, || self.exited())
    }

    pub fn output(&self) -> String {
        [self.stdout.all(), self.stderr.all()].concat().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exited().is_none() {
            signal_group(self.pid(), rustix::process::Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

pub use rustix::process::Signal;

/// Sends a signal to one process. A process that is gone already is no fault.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Processes whose command line or environment names `marker`: how a data plane that outlived its parent is found.
pub fn naming(marker: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| {
        let names = |file: &str| {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
        };
        pid != std::process::id() && (names("cmdline") || names("environ"))
    })
    .collect()
}

/// Whether any thread of the process runs; one that has ended and waits for its parent does not. The first thread may
/// have ended while others are still at it.
pub fn is_running(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().any(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| state != 'Z' && state != 'X')
    })
}
