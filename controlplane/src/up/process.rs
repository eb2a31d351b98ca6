//! A process we started, or found running: waiting for its end and signalling it, without ever hitting another one
//! that was given its number since (pidfd).

use std::{ffi::OsStr, io, os::fd::OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::{
    process::{Child, ChildStdout, Command},
    sync::watch,
};

pub struct Process {
    pid: u32,
    handle: OwnedFd,
    watched: Watched,
}

/// How its end is learned.
enum Watched {
    /// Ours to reap.
    Child(Child),
    /// True once it has ended.
    Adopted(watch::Receiver<bool>),
}

impl Process {
    /// Starts it in a process group of its own: what ends us (a terminal's Ctrl-C, its closing) does not reach it.
    pub fn start(command: &mut Command) -> io::Result<(Process, Option<ChildStdout>)> {
        let mut child = command.process_group(0).kill_on_drop(false).spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended at once"))?;
        let stdout = child.stdout.take();
        let handle = open(pid)?;
        Ok((
            Process {
                pid,
                handle,
                watched: Watched::Child(child),
            },
            stdout,
        ))
    }

    /// One that an earlier control plane started.
    pub fn adopt(pid: u32) -> io::Result<Process> {
        let handle = open(pid)?;
        let ended = watch_in_thread(handle.try_clone()?)?;
        Ok(Process {
            pid,
            handle,
            watched: Watched::Adopted(ended),
        })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether this process started it.
    pub fn is_child(&self) -> bool {
        matches!(self.watched, Watched::Child(_))
    }

    /// Waits for its end and says how it ended, as far as that can be known. May be called again after it was dropped
    /// unfinished.
    pub async fn ended(&mut self) -> Exit {
        match &mut self.watched {
            Watched::Child(child) => match child.wait().await {
                Ok(status) => Exit {
                    text: status.to_string(),
                    is_success: status.success(),
                },
                Err(error) => Exit {
                    text: error.to_string(),
                    is_success: false,
                },
            },
            Watched::Adopted(ended) => {
                // An error means that the thread is gone, which ends only with the process it watches.
                let _ = ended.wait_for(|ended| *ended).await;
                // Not our child: how it ended is not told.
                Exit {
                    text: "ended".into(),
                    is_success: true,
                }
            }
        }
    }

    /// Nothing happens when it is gone already.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }
}

pub struct Exit {
    pub text: String,
    pub is_success: bool,
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("not a process id"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A thread, because only our own children are reported to the runtime. It ends with the process it watches, or ours.
fn watch_in_thread(handle: OwnedFd) -> io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let wait = move || {
        while let Err(rustix::io::Errno::INTR) = poll(&mut [PollFd::new(&handle, PollFlags::IN)], None) {}
        sender.send_replace(true);
    };
    std::thread::Builder::new().name("watch-process".into()).spawn(wait)?;
    Ok(receiver)
}

/// Whether the process runs a program of that name (its number may have been given away).
pub fn runs(pid: u32, program: &str) -> bool {
    let Ok(exe) = std::fs::read_link(format!("/proc/{pid}/exe")) else {
        return false;
    };
    // The file may have been replaced by a newer build.
    let name = exe.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.trim_end_matches(" (deleted)") == program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_s_end_is_told() {
        let (mut process, _) = Process::start(Command::new("sh").args(["-c", "exit 3"])).unwrap();
        let exit = process.ended().await;
        assert!(!exit.is_success && exit.text.contains('3'), "{}", exit.text);
    }

    #[tokio::test]
    async fn an_adopted_process_is_signalled_and_watched() {
        let (mut process, _) = Process::start(Command::new("sleep").arg("600")).unwrap();
        assert!(runs(process.pid(), "sleep") && !runs(process.pid(), "tollgate-dataplane"));
        let mut adopted = Process::adopt(process.pid()).unwrap();
        adopted.signal(Signal::TERM);
        adopted.ended().await;
        assert!(!process.ended().await.is_success);
    }
}
