//! The data plane's process: adopted or started, its link made, and started again at once when it dies.

use std::{
    io::ErrorKind,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    process::Command,
    sync::{mpsc, watch},
};
use tollgate_config::{document::Shards, link::Event};

use super::{Start, process::Process, stopped};
use crate::{
    cli::CliError,
    link::{Link, LinkError},
    paths,
    plane::Plane,
    rollout::{self, Refusal},
};

const PROGRAM: &str = "tollgate-dataplane";
const SOCKET: &str = "dataplane.sock";
/// From its start until it answers: it compiles its last good document first.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two tries to reach a data plane that is starting.
const CONNECT_INTERVAL: Duration = Duration::from_millis(20);
/// One that lived shorter is not started again at once.
const SOUND_LIFE: Duration = Duration::from_secs(1);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// A data plane that answers.
pub struct Running {
    pub link: Arc<Link>,
    pub process: Process,
}

/// How supervision came to its end.
pub enum Ended {
    /// It was asked to drain through the API and did.
    Drained,
    /// Supervision was stopped; the data plane is left as it is, if there is one.
    Stopped(Option<Box<Running>>),
}

pub struct Supervisor {
    plane: Arc<Plane>,
    socket: PathBuf,
    /// `None`: somebody else starts it.
    program: Option<PathBuf>,
    shards: Option<String>,
    events: mpsc::Sender<Event>,
}

impl Supervisor {
    pub fn new(
        plane: Arc<Plane>,
        start: Start,
        shards: Option<String>,
        events: mpsc::Sender<Event>,
    ) -> Result<Supervisor, CliError> {
        let missing = || CliError::failed(format!("{PROGRAM} is neither beside this program nor in PATH"));
        let program = match start {
            Start::Dataplane => Some(paths::program(PROGRAM).ok_or_else(missing)?),
            Start::Nothing => None,
        };
        let socket = plane.state_dir.join(SOCKET);
        Ok(Supervisor {
            plane,
            socket,
            program,
            shards,
            events,
        })
    }

    /// Takes over a data plane that runs already on this state directory, with its listening sockets.
    pub async fn adopt(&self) -> Result<Option<Running>, CliError> {
        let link = match Link::connect(&self.socket, self.events.clone()).await {
            Ok(link) => Arc::new(link),
            Err(LinkError::Io(e)) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => {
                let socket = self.socket.display();
                return Err(CliError::failed(format!(
                    "a data plane holds {socket} and does not answer: {error}; end it and start again"
                )));
            }
        };
        let pid = link.hello().pid;
        let process =
            Process::adopt(pid).map_err(|e| CliError::failed(format!("cannot watch data plane {pid}: {e}")))?;
        let handed_back = link
            .take_listeners()
            .await
            .map_err(|e| CliError::failed(e.to_string()))?;
        self.plane.rollout.lock().await.adopt(&link, handed_back);
        self.plane.events.tell(
            "dataplane_adopted",
            format!("pid {pid} at revision {}", link.hello().revision),
        );
        if let Some(difference) = link.hello().difference() {
            self.plane.events.tell("dataplane_version", difference);
        }
        Ok(Some(Running { link, process }))
    }

    /// Whether a data plane left its socket behind, as one that was killed does.
    pub fn was_killed(&self) -> bool {
        self.socket.exists() && std::os::unix::net::UnixStream::connect(&self.socket).is_err()
    }

    /// Starts one (or awaits somebody else's) until it answers, with as many shards as the document that it will run says:
    /// it has that one's predecessor, or none at all.
    pub async fn start(&self, configured: Shards) -> Result<Running, String> {
        let Some(program) = &self.program else {
            return self.await_foreign().await;
        };
        let mut command = Command::new(program);
        command
            .arg("--supervised")
            .arg("--state-dir")
            .arg(&self.plane.state_dir);
        let configured = match configured {
            Shards::Auto => "auto".to_owned(),
            Shards::Count(count) => count.to_string(),
        };
        command.args(["--shards", self.shards.as_ref().unwrap_or(&configured)]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let (mut process, _) =
            Process::start(&mut command).map_err(|e| format!("cannot start {}: {e}", program.display()))?;
        let pid = process.pid();
        let connected = tokio::select! {
            exit = process.ended() => {
                return Err(format!("the data plane ended before it could serve ({}); it says why above", exit.text));
            }
            connected = tokio::time::timeout(START_TIMEOUT, self.connect_to(pid)) => connected,
        };
        match connected {
            Ok(link) => {
                if let Some(difference) = link.hello().difference() {
                    self.plane.events.tell("dataplane_version", difference);
                }
                Ok(Running { link, process })
            }
            Err(_) => {
                process.signal(Signal::KILL);
                process.ended().await;
                Err(format!("the data plane did not answer within {START_TIMEOUT:?}"))
            }
        }
    }

    /// Tries until the data plane of that pid answers.
    async fn connect_to(&self, pid: u32) -> Arc<Link> {
        loop {
            if let Ok(link) = Link::connect(&self.socket, self.events.clone()).await
                && link.hello().pid == pid
            {
                return Arc::new(link);
            }
            tokio::time::sleep(CONNECT_INTERVAL).await;
        }
    }

    async fn await_foreign(&self) -> Result<Running, String> {
        tracing::info!(socket = %self.socket.display(), "waiting for a data plane");
        loop {
            match self.adopt().await {
                Ok(Some(running)) => return Ok(running),
                Ok(None) => {}
                Err(error) => tracing::warn!(?error, "a data plane is there and cannot be adopted"),
            }
            tokio::time::sleep(FIRST_DELAY).await;
        }
    }

    /// Keeps a data plane running until `stop` says otherwise.
    pub async fn supervise(self, running: Running, mut stop: watch::Receiver<bool>) -> Ended {
        let mut running = running;
        let mut delay = Duration::ZERO;
        loop {
            let born = Instant::now();
            let exit = match self.watch(&mut running, &mut stop).await {
                Some(exit) => exit,
                None => return Ended::Stopped(Some(Box::new(running))),
            };
            self.plane.link.clear();
            if self.plane.draining.load(Ordering::SeqCst) && exit.is_success {
                self.plane
                    .events
                    .tell("drained", "the data plane ended after its drain");
                return Ended::Drained;
            }
            self.plane.events.tell(
                "dataplane_ended",
                format!("pid {}: {}", running.process.pid(), exit.text),
            );
            delay = next_delay(delay, born.elapsed());
            running = match self.replace(&mut delay, &mut stop).await {
                Some(running) => running,
                None => return Ended::Stopped(None),
            };
        }
    }

    /// Returns when the process has ended; `None` when supervision is to stop. A link that breaks while the process
    /// lives is made anew.
    async fn watch(&self, running: &mut Running, stop: &mut watch::Receiver<bool>) -> Option<super::process::Exit> {
        loop {
            let link = running.link.clone();
            tokio::select! {
                () = stopped(stop) => return None,
                exit = running.process.ended() => return Some(exit),
                () = link.closed() => {}
            }
            self.plane.link.clear();
            let pid = running.process.pid();
            tokio::select! {
                () = stopped(stop) => return None,
                exit = running.process.ended() => return Some(exit),
                link = self.connect_to(pid) => running.link = link,
            }
            tracing::warn!(pid, "the link to the data plane broke and was made again");
            if let Some(difference) = running.link.hello().difference() {
                self.plane.events.tell("dataplane_version", difference);
            }
            self.plane.link.put(running.link.clone());
            self.synchronise(&running.link);
        }
    }

    /// A new data plane in place of one that died; `None` when supervision is to stop.
    async fn replace(&self, delay: &mut Duration, stop: &mut watch::Receiver<bool>) -> Option<Running> {
        loop {
            tokio::select! {
                () = stopped(stop) => return None,
                () = tokio::time::sleep(*delay) => {}
            }
            let started = tokio::select! {
                () = stopped(stop) => return None,
                started = self.start(self.plane.current().document.shards) => started,
            };
            match started {
                Ok(running) => {
                    self.plane.counters.dataplane_restarts.fetch_add(1, Ordering::Relaxed);
                    self.plane.link.put(running.link.clone());
                    self.plane
                        .events
                        .tell("dataplane_started", format!("pid {}", running.process.pid()));
                    self.synchronise(&running.link);
                    return Some(running);
                }
                Err(error) => {
                    self.plane.events.tell("dataplane_start_failed", error);
                    *delay = next_delay(*delay, Duration::ZERO);
                }
            }
        }
    }

    /// In a task of its own: a change that is being settled holds the lock and waits for the link just put.
    fn synchronise(&self, link: &Arc<Link>) {
        let (plane, link) = (self.plane.clone(), link.clone());
        tokio::spawn(async move {
            match rollout::sync(&plane, &link).await {
                Ok(()) => plane.events.tell(
                    "dataplane_synced",
                    format!("runs revision {}", plane.current().revision),
                ),
                Err(refusal) => plane.events.tell("sync_failed", refusal_text(refusal)),
            }
        });
    }
}

fn refusal_text(refusal: Refusal) -> String {
    match refusal {
        Refusal::Faults(problems) => problems
            .iter()
            .map(|p| format!("{}: {}", p.pointer, p.wrong))
            .collect::<Vec<_>>()
            .join("; "),
        other => other.to_string(),
    }
}

/// At once after a sound life; longer and longer when it dies again and again.
fn next_delay(former: Duration, lived: Duration) -> Duration {
    if lived >= SOUND_LIFE {
        Duration::ZERO
    } else {
        (former * 2).clamp(FIRST_DELAY, MAX_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_dies_young_is_waited_for() {
        assert_eq!(next_delay(MAX_DELAY, SOUND_LIFE), Duration::ZERO);
        assert_eq!(next_delay(Duration::ZERO, Duration::ZERO), FIRST_DELAY);
        assert_eq!(next_delay(FIRST_DELAY, Duration::ZERO), FIRST_DELAY * 2);
        assert_eq!(next_delay(MAX_DELAY, Duration::ZERO), MAX_DELAY);
    }
}
