//! `tollgate up`: takes the state directory, adopts or starts a data plane, brings a document into force, and keeps
//! both planes running until it is told to end. `tollgate controlplane` is the same without starting anything.

mod dataplane;
mod lock;
mod process;
mod ready;
mod sandbox;
mod shutdown;
mod source;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tollgate_config::link::{AskBody, Event};

use crate::{
    api,
    cli::{CliError, Output},
    identity_shared,
    link::ANSWER_TIMEOUT,
    listeners::Listeners,
    log,
    metering::{self, Metering},
    paths,
    plane::{Actor, Plane},
    rollout::{self, Edit, Refusal, Rollout, Terms},
    store::{Store, settings},
    truth, webhooks,
};

use dataplane::{Ended, Supervisor};
use lock::StateLock;
use sandbox::Sandbox;
use source::Source;

/// Events of the data plane on their way to those who watch.
const EVENT_QUEUE: usize = 1024;
const STORE_FILE: &str = "tollgate.db";
const STATE_MODE: u32 = 0o700;
const BIND_TRIES_AFTER_KILL: u32 = 40;
const BIND_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Args, Clone)]
pub struct UpArguments {
    /// YAML or JSON; applied when it differs from what was last applied from it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where revisions, keys and the last good document live
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Shards of the data plane: a number, or auto
    #[arg(long, value_name = "N|auto")]
    shards: Option<String>,
    #[arg(skip = Start::Dataplane)]
    start: Start,
}

#[derive(Args)]
pub struct ControlplaneArguments {
    /// YAML or JSON; applied when it differs from what was last applied from it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory shared with the data plane
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl From<ControlplaneArguments> for UpArguments {
    fn from(arguments: ControlplaneArguments) -> Self {
        let ControlplaneArguments { config, state_dir } = arguments;
        UpArguments {
            config,
            state_dir,
            shards: None,
            start: Start::Nothing,
        }
    }
}

/// What this process starts and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    #[default]
    Dataplane,
    /// The data plane is somebody else's.
    Nothing,
}

pub fn run(arguments: UpArguments, socket: PathBuf, output: Output) -> Result<(), CliError> {
    // Before any thread exists: this reads and clears the environment.
    let inherited = inherited_listeners();
    log::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| CliError::failed(format!("cannot start: {e}")))?;
    runtime.block_on(up(arguments, socket, output, inherited))
}

/// Sockets handed over by whoever started us (`LISTEN_FDS`, sd_listen_fds(3)).
fn inherited_listeners() -> Vec<std::net::TcpListener> {
    let mut handed = listenfd::ListenFd::from_env();
    (0..handed.len())
        .filter_map(|index| handed.take_tcp_listener(index).ok().flatten())
        .collect()
}

async fn up(
    arguments: UpArguments,
    socket: PathBuf,
    output: Output,
    inherited: Vec<std::net::TcpListener>,
) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(|e| CliError::failed(format!("cannot take signals: {e}")))?;
    let state_dir = absolute(&paths::state_dir(arguments.state_dir.as_deref()));
    paths::make_folder(&state_dir, STATE_MODE)
        .map_err(|e| CliError::failed(format!("cannot make the state directory {}: {e}", state_dir.display())))?;
    let _lock = StateLock::take(&state_dir)?;
    let file = arguments.config.as_deref().map(source::read).transpose()?;
    let store = Store::open(&state_dir.join(STORE_FILE)).map_err(|e| CliError::failed(e.to_string()))?;
    let (metering, ingest) = Metering::open(&state_dir).map_err(|e| CliError::failed(e.to_string()))?;
    let control = lock::bind_control_socket(&socket)?;
    let plane = Plane::new(
        state_dir,
        absolute(&socket),
        (store, metering),
        Rollout::new(Listeners::new(inherited)),
    );
    metering::follow(ingest, plane.clone())
        .map_err(|e| CliError::failed(format!("cannot start the ledger's thread: {e}")))?;
    webhooks::follow(&plane);
    metering::kafka::follow(&plane);
    identity_shared::follow(&plane);
    let serving = tokio::spawn(api::serve_socket(plane.clone(), control));
    let ended = serve(&plane, &arguments, file, output, &mut signals).await;
    serving.abort();
    // Gone already, or replaced: either way not ours to keep.
    let _ = std::fs::remove_file(&socket);
    ended
}

/// From adoption to the end, with the sandbox provider if there is one.
async fn serve(
    plane: &Arc<Plane>,
    arguments: &UpArguments,
    file: Option<source::ConfigFile>,
    output: Output,
    signals: &mut Signals,
) -> Result<(), CliError> {
    let mut sandbox = Sandbox::new(plane.clone());
    let outcome = serve_beside(&mut sandbox, plane, arguments, file, output, signals).await;
    match &outcome {
        Ok(()) => sandbox.stop().await,
        Err(_) => sandbox.abandon().await,
    }
    outcome
}

async fn serve_beside(
    sandbox: &mut Sandbox,
    plane: &Arc<Plane>,
    arguments: &UpArguments,
    file: Option<source::ConfigFile>,
    output: Output,
    signals: &mut Signals,
) -> Result<(), CliError> {
    let supervisor = Supervisor::new(plane.clone(), arguments.start, arguments.shards.clone(), forward(plane))?;
    let adopted = supervisor.adopt().await?;
    let revision = adopted.as_ref().map(|running| running.link.hello().revision);
    let recovered = rollout::recover(&plane.store, &plane.state_dir, revision).await;
    if let Some(current) = recovered.map_err(|refusal| refused("the stored revision", refusal))? {
        rollout::resume(plane, current).await;
    }
    let source = source::decide(plane, file, sandbox).await?;
    rehearse(plane, &source).await?;
    bind(plane, &source, supervisor.was_killed()).await?;
    let running = match adopted {
        Some(running) => running,
        None => tokio::select! {
            started = supervisor.start(source.document(plane).shards) => started.map_err(CliError::failed)?,
            // Asked to end before it ever served: nothing is in flight.
            () = signals.end() => return Ok(()),
        },
    };
    plane.link.put(running.link.clone());
    let link = running.link.clone();
    let (stopping, stop) = watch::channel(false);
    let supervision = tokio::spawn(supervisor.supervise(running, stop));
    if let Err(error) = begin(plane, &source, &link).await {
        stopping.send_replace(true);
        if let Ok(Ended::Stopped(Some(running))) = supervision.await {
            shutdown::abandon(running).await;
        }
        return Err(error);
    }
    ready::announce(plane, output).await;
    live(plane, arguments, signals, supervision, stopping).await
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Passes the data plane's events on to those who watch.
fn forward(plane: &Arc<Plane>) -> mpsc::Sender<Event> {
    let (sender, mut receiver) = mpsc::channel(EVENT_QUEUE);
    let plane = plane.clone();
    tokio::spawn(async move {
        while let Some(event) = receiver.recv().await {
            plane.events.pass_on(event);
        }
    });
    sender
}

/// A new document's dry run, so that a secret that cannot be read is said before anything is started.
async fn rehearse(plane: &Arc<Plane>, source: &Source) -> Result<(), CliError> {
    let Source::New(new) = source else { return Ok(()) };
    let keys = plane.store.keys().await.map_err(|e| CliError::failed(e.to_string()))?;
    let keys: Vec<_> = keys.into_iter().map(|row| row.key).collect();
    truth::dry_run(0, &new.document, &keys)
        .map(drop)
        .map_err(|mut problems| {
            for problem in &mut problems {
                problem.position = problem.position.or_else(|| new.parsed.position(&problem.pointer));
            }
            CliError::faults(&new.name, &problems)
        })
}

/// Opens the sockets of what is about to run, so that a port in use is said before anything is started.
/// After a kill that includes what the killed data plane's ring still holds: the kernel takes a moment to close it.
async fn bind(plane: &Arc<Plane>, source: &Source, was_killed: bool) -> Result<(), CliError> {
    let document = source.document(plane);
    let mut tries = if was_killed { BIND_TRIES_AFTER_KILL } else { 1 };
    let bound = loop {
        let bound = rollout::bind(plane, &document).await;
        tries -= 1;
        if bound.is_ok() || tries == 0 {
            break bound;
        }
        tokio::time::sleep(BIND_INTERVAL).await;
    };
    bound.map_err(|problems| {
        let lines: Vec<String> = problems
            .iter()
            .map(|p| format!("{}: {}; {}", p.pointer, p.wrong, p.right))
            .collect();
        CliError::failed(lines.join("\n"))
    })
}

/// Brings the document into force on the data plane that was found or started.
async fn begin(plane: &Arc<Plane>, source: &Source, link: &Arc<crate::link::Link>) -> Result<(), CliError> {
    match source {
        Source::Stored => match rollout::sync(plane, link).await {
            // It serves its last good document: a control plane that is there helps more than one that is not.
            Err(Refusal::Faults(problems)) if link.hello().revision > 0 => {
                let lines: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.pointer, p.wrong)).collect();
                plane.events.tell("sync_failed", lines.join("; "));
                Ok(())
            }
            synced => synced.map_err(|refusal| refused("the stored revision", refusal)),
        },
        Source::New(new) => {
            let terms = Terms {
                why: new.why.clone(),
                ..Terms::default()
            };
            let change = rollout::change(plane, Edit::Whole(new.parsed.clone()), Actor::named(new.who), terms).await;
            let outcome = change.map_err(|refusal| refused(&new.name, refusal))?;
            // An unchanged document is not pushed by a change.
            rollout::sync(plane, link)
                .await
                .map_err(|refusal| refused(&new.name, refusal))?;
            tracing::info!(
                revision = outcome.revision,
                changes = outcome.changes.len(),
                "{} is in force",
                new.name
            );
            new.remember(plane).await;
            Ok(())
        }
    }
}

/// A refusal of what was given on the command line, with the file's name in front of each fault.
fn refused(name: &str, refusal: Refusal) -> CliError {
    match refusal {
        Refusal::Faults(problems) => CliError::faults(name, &problems),
        other => CliError::failed(format!("{name}: {other}")),
    }
}

/// Serves until a signal or a drain ends it.
async fn live(
    plane: &Arc<Plane>,
    arguments: &UpArguments,
    signals: &mut Signals,
    mut supervision: JoinHandle<Ended>,
    stopping: watch::Sender<bool>,
) -> Result<(), CliError> {
    loop {
        tokio::select! {
            ended = &mut supervision => {
                // Drained through the API.
                return ended.map(drop).map_err(|e| CliError::failed(format!("supervision ended: {e}")));
            }
            wish = signals.next() => match wish {
                Wish::End => break,
                Wish::Reload => reload(plane, arguments.config.as_deref()).await,
            },
        }
    }
    stopping.send_replace(true);
    let Ok(Ended::Stopped(Some(mut running))) = supervision.await else {
        return Ok(());
    };
    if arguments.start == Start::Nothing {
        return Ok(());
    }
    let drained = tokio::select! {
        () = shutdown::drain(plane, &mut running) => true,
        () = signals.end() => false,
    };
    if !drained {
        running.process.signal(rustix::process::Signal::KILL);
        return Err(CliError::failed(
            "ended by a second signal, before everything in flight was done",
        ));
    }
    Ok(())
}

/// SIGHUP: the file again if it differs, and the certificates and key files it names in any case.
async fn reload(plane: &Arc<Plane>, config: Option<&Path>) {
    if let Some(path) = config {
        match source::read_if_changed(plane, path).await {
            Ok(Some(new)) => {
                let terms = Terms {
                    why: new.why.clone(),
                    ..Terms::default()
                };
                match rollout::change(plane, Edit::Whole(new.parsed.clone()), Actor::named(new.who), terms).await {
                    Ok(_) => return new.remember(plane).await,
                    Err(refusal) => plane
                        .events
                        .tell("reload_refused", error_text(refused(&new.name, refusal))),
                }
            }
            Ok(None) => {}
            Err(error) => plane.events.tell("reload_refused", error_text(error)),
        }
    }
    let asked = match plane.link.now() {
        Ok(link) => link.ask(AskBody::ReloadFiles, ANSWER_TIMEOUT).await.map(drop),
        Err(down) => Err(down),
    };
    match asked {
        Ok(()) => plane
            .events
            .tell("files_reloaded", "certificates and key files were read again"),
        Err(error) => plane.events.tell("reload_refused", error.to_string()),
    }
}

fn error_text(error: CliError) -> String {
    match error {
        CliError::Failed { text, .. } | CliError::BadInput { text, .. } | CliError::Unreachable(text) => text,
    }
}

enum Wish {
    End,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        let take = |kind| signal(kind);
        Ok(Signals {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns once a stop was asked for, or nobody is left who could ask.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn remember(plane: &Plane, name: &'static str, value: Option<String>) {
    if let Err(error) = plane.store.set_setting(name, value).await {
        tracing::warn!(%error, name, "could not be remembered; the file will be applied again at the next start");
    }
}

async fn forget_sandbox(plane: &Plane) {
    remember(plane, settings::SANDBOX, None).await;
}
