//! The control thread: the only one that changes what shards run. It takes asks, signals and its own deadlines one at
//! a time, and may wait for disks and shards; no request ever waits for it.

#![allow(clippy::disallowed_methods)] // This is a thread of its own: it reads clocks and files.

mod asks;
mod build;
mod caches;
mod cluster;
pub mod connection;
mod credentials;
mod drain;
mod frames;
mod hedged;
mod limits;
mod listeners;
mod marks;
mod revision;
mod shards;
mod shedding;
mod status;

use std::{
    collections::BTreeSet,
    io::IsTerminal,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, never};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tollgate_config::link::{Ask, Event, Say};
use tollgate_engine::{
    Answers,
    limits::{Balances, Crossed},
    routing::health::Change,
};

use crate::{
    access_log, files,
    messages::{ShardHandle, ToShard},
    metrics::{FAILOVER_OUTCOMES, FailoverCounts, HEDGE_OUTCOMES, HedgeCounts},
    shard::clock::{Clock, unix_ms},
    spool,
    state_dir::StateDir,
    tls::TlsMaker,
    tokens,
};
use build::Built;
use connection::{Client, ConnectionId};
use drain::{Drain, Step};
pub use listeners::Inherited;
use listeners::Listeners;
pub use marks::{Keeping, MARK_NEWS};
use shards::Shards;
use shedding::Shedding;

/// Between two looks at the files a document refers to.
const WATCH_INTERVAL: Duration = Duration::from_secs(3);
/// Between two looks at when certificates end.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// A second signal this soon is the first one again: a terminal sends it to the whole process group, and a supervisor
/// passes on its own.
const SAME_SIGNAL: Duration = Duration::from_millis(500);
/// `drain_delay` unless the document says otherwise; on a terminal none.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// What the control thread is woken for.
pub enum Command {
    Ask {
        client: Client,
        ask: Ask,
        descriptors: Vec<OwnedFd>,
    },
    /// A connection has ended.
    Gone(ConnectionId),
    Signal(i32),
    /// A target of a model turned out to be ill, or well again.
    Target {
        model: String,
        target: String,
        change: Change,
    },
    /// The provider that makes vectors for semantic caches turned out to be ill, or well again.
    Embedder {
        name: String,
        change: Change,
    },
    /// Calls of a model on a shard that were asked of a second target, since it told last.
    Hedged {
        model: String,
        counts: HedgeCounts,
    },
    /// The same of calls that moved on to another provider.
    FailedOver {
        model: String,
        counts: FailoverCounts,
    },
    /// A shard begins to refuse calls of a model for want of room, or has ceased to: so many were.
    Shed {
        model: String,
        ended: Option<u64>,
    },
    /// The same of the shard itself, which is past what it bears.
    Saturated {
        ended: Option<u64>,
    },
    /// So much of a limit is used that somebody should know.
    Crossed(Box<Crossed>),
    /// A credential was exchanged for an access token, or could not be.
    Token(tokens::Told),
    /// The store through which nodes share their limits.
    Cluster(crate::cluster::Told),
    /// What caches keep was read from the disk, or cannot be written to it.
    Kept(crate::kept::Told),
    /// The store that a cache shares with other nodes.
    Second(crate::second::Told),
    /// Room for usage records is not to be had, or is again.
    Spool(spool::Told),
    /// A shard's thread has ended; an error is why it never started or could not go on.
    ShardEnded {
        id: u16,
        result: Result<(), String>,
    },
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Drained, or told to give up what was left.
    Orderly,
    Failed,
}

/// Answers that are kept, and the ways to what they are found by, to what outlives the process, and to what nodes share.
pub type Answering = (
    Answers,
    crate::semantic::Offers,
    crate::kept::Handle,
    crate::second::Room,
);

pub struct Control {
    shards: Shards,
    state: StateDir,
    maker: TlsMaker,
    access: access_log::Handle,
    tokens: tokens::Handle,
    balances: Arc<Balances>,
    cluster: crate::cluster::Handle,
    keeping: Keeping,
    /// Answers that are kept.
    answers: Answers,
    /// The way to what they are found by.
    offers: crate::semantic::Offers,
    /// What of them outlives the process.
    kept: crate::kept::Handle,
    /// And what nodes share of them.
    seconds: crate::second::Room,
    running: Option<Built>,
    /// Waits for its commit, and who asked for it.
    prepared: Option<(ConnectionId, Built)>,
    listeners: Listeners,
    /// Those who said hello and are told events.
    clients: Vec<Client>,
    watch: files::Watch,
    watch_at: Instant,
    expiry_at: Instant,
    /// The next look at balances that are worth nothing: nobody is woken for it.
    sweep_at: Instant,
    /// It was told that the table of balances is half full.
    told_half_full: bool,
    hedged: hedged::Sums<HEDGE_OUTCOMES>,
    failed_over: hedged::Sums<FAILOVER_OUTCOMES>,
    /// The next look at keys that were lent for a while.
    keys_at: Option<Instant>,
    drain: Drain,
    drained: Receiver<u16>,
    drained_shards: BTreeSet<u16>,
    first_signal: Option<Instant>,
    shedding: Shedding,
    started: Instant,
    started_unix_s: u64,
}

impl Control {
    pub fn new(
        shards: Vec<ShardHandle>,
        state: StateDir,
        access: access_log::Handle,
        tokens: tokens::Handle,
        (balances, cluster): (Arc<Balances>, crate::cluster::Handle),
        (keeping, (answers, offers, kept, seconds)): (Keeping, Answering),
    ) -> Result<Self, String> {
        let now = Instant::now();
        Ok(Self {
            shards: Shards::new(shards),
            state,
            maker: TlsMaker::new()?,
            access,
            tokens,
            balances,
            cluster,
            keeping,
            answers,
            offers,
            kept,
            seconds,
            running: None,
            prepared: None,
            listeners: Listeners::default(),
            clients: Vec::new(),
            watch: files::Watch::default(),
            watch_at: now + WATCH_INTERVAL,
            expiry_at: now + EXPIRY_INTERVAL,
            sweep_at: now + limits::SWEEP_INTERVAL,
            told_half_full: false,
            keys_at: None,
            hedged: hedged::Sums::default(),
            failed_over: hedged::Sums::default(),
            drain: Drain::No,
            drained: never(),
            drained_shards: BTreeSet::new(),
            first_signal: None,
            shedding: Shedding::default(),
            started: now,
            started_unix_s: unix_ms() / 1_000,
        })
    }

    /// Opens the sockets of the document in force: nobody will hand them over.
    pub fn open_listeners(&mut self, mut inherited: Inherited) -> Result<(), String> {
        let Some(running) = &self.running else { return Ok(()) };
        self.listeners
            .open(running.document(), &mut inherited, self.shards.len())?;
        self.accept();
        Ok(())
    }

    /// Serves until the data plane is to end.
    pub fn run(mut self, commands: &Receiver<Command>) -> End {
        self.tell(
            "dataplane_started",
            format!("pid {}, {} shard(s)", std::process::id(), self.shards.len()),
        );
        loop {
            let timeout = self
                .next_deadline()
                .map(|at| at.saturating_duration_since(Instant::now()));
            let after = timeout.map_or_else(never, crossbeam_channel::after);
            let end = crossbeam_channel::select! {
                recv(commands) -> command => match command {
                    Ok(command) => self.take(command),
                    Err(_) => Some(End::Failed),
                },
                recv(self.keeping.news()) -> news => {
                    self.keeping.take(news.ok());
                    None
                }
                recv(self.drained) -> shard => self.shard_drained(shard.ok()),
                recv(after) -> _ => None,
            };
            if let Some(end) = end.or_else(|| self.turn()) {
                if end == End::Orderly {
                    self.kept.leave();
                }
                self.cluster.leave();
                self.shards.tell_all(|| ToShard::Stop);
                return end;
            }
        }
    }

    fn take(&mut self, command: Command) -> Option<End> {
        match command {
            Command::Ask {
                client,
                ask,
                descriptors,
            } => return self.answer(&client, ask, descriptors),
            Command::Gone(id) => self.gone(id),
            Command::Token(told) => self.tell_token(&told),
            Command::Crossed(crossed) => self.tell_crossed(*crossed),
            Command::Cluster(told) => self.tell_cluster(&told),
            Command::Kept(told) => self.tell(told.event, told.text),
            Command::Second(told) => self.tell(told.event, told.text),
            Command::Spool(spool::Told::Full(text)) => self.tell("usage_spool_full", text),
            Command::Spool(spool::Told::Unsynced(text)) => self.tell("usage_sync_failed", text),
            Command::Spool(spool::Told::Synced) => {
                self.tell(
                    "usage_sync_well",
                    "usage records are written to the disk again".to_owned(),
                );
            }
            Command::Spool(spool::Told::Overwritten(records)) => {
                let text =
                    format!("{records} usage records that nobody had read were removed to make room for new ones");
                self.tell("usage_spool_overwritten", text);
            }
            Command::Spool(spool::Told::Well) => self.tell("usage_spool_well", "records have room again".to_owned()),
            Command::Signal(SIGHUP) => self.reload_files(),
            Command::Target { model, target, change } => match change {
                Change::Opened => {
                    let text = format!("model '{model}': {target} fails too often and is left alone for a while");
                    self.tell("target_ejected", text);
                }
                Change::Closed => self.tell("target_recovered", format!("model '{model}': {target} is well again")),
            },
            Command::Embedder { name, change } => self.tell_of_embedder(&name, change),
            Command::Hedged { model, counts } => self.hedged.note(Instant::now(), model, &counts),
            Command::FailedOver { model, counts } => self.failed_over.note(Instant::now(), model, &counts),
            Command::Shed { model, ended } => self.tell_shed(model, ended),
            Command::Saturated { ended } => self.tell_saturated(ended),
            Command::Signal(signal) => return self.signal(signal),
            Command::ShardEnded { id, result } => {
                let reason = result.err().unwrap_or_else(|| "it ended by itself".to_owned());
                // Half a gateway is none: a supervisor starts a whole one.
                tracing::error!(shard = id, reason, "a shard has ended; ending the data plane");
                return Some(End::Failed);
            }
        }
        None
    }

    fn signal(&mut self, signal: i32) -> Option<End> {
        if signal != SIGTERM && signal != SIGINT {
            return None;
        }
        match self.first_signal {
            Some(first) if first.elapsed() >= SAME_SIGNAL => {
                tracing::warn!("told to end a second time: giving up what is in flight");
                return Some(End::Failed);
            }
            Some(_) => {}
            None => {
                self.first_signal = Some(Instant::now());
                self.begin_drain();
            }
        }
        None
    }

    fn begin_drain(&mut self) {
        let drain_delay = match &self.running {
            Some(running) => match running.document().drain_delay_ms {
                Some(configured) => Duration::from_millis(configured),
                None if std::io::stderr().is_terminal() => Duration::ZERO,
                None => DRAIN_DELAY,
            },
            // Nobody was ever served.
            None => Duration::ZERO,
        };
        if self.drain.begin(Instant::now(), drain_delay) {
            self.shards.tell_all(|| ToShard::NotReady);
            self.tell("draining", format!("accepting stops in {} ms", drain_delay.as_millis()));
        }
    }

    /// What has come due.
    fn turn(&mut self) -> Option<End> {
        let now = Instant::now();
        let grace_ms = self
            .running
            .as_ref()
            .map_or(0, |running| running.document().shutdown_grace_ms);
        match self.drain.turn(now, Duration::from_millis(grace_ms)) {
            Step::Nothing => {}
            Step::StopAccepting => {
                self.listeners.close();
                self.drained = self.shards.ask_later(ToShard::Drain);
            }
            Step::End => {
                let left = self.shards.len() - self.drained_shards.len();
                tracing::warn!(
                    shards_still_busy = left,
                    "shutdown_grace is over: giving up what is in flight"
                );
                return Some(End::Orderly);
            }
        }
        for text in self.hedged.due(now, hedged::of_hedges) {
            self.tell("hedged", text);
        }
        for text in self.failed_over.due(now, hedged::of_failovers) {
            self.tell("failover", text);
        }
        if self.watch_at <= now {
            self.watch_at = now + WATCH_INTERVAL;
            if self.watch.changed() {
                self.reload_files();
            }
        }
        if self.expiry_at <= now {
            self.expiry_at = now + EXPIRY_INTERVAL;
            self.tell_expiries();
        }
        if self.sweep_at <= now {
            self.sweep_at = now + limits::SWEEP_INTERVAL;
            self.sweep_balances();
            self.answers.sweep(Clock::start().now());
        }
        if self.keys_at.is_some_and(|at| at <= now) {
            // Whoever lends them may have written new ones in this moment.
            self.keys_at = None;
            self.reload_files();
            self.tell_key_ends();
        }
        None
    }

    /// `None` without files to watch or anything under way: an idle gateway is not woken.
    fn next_deadline(&self) -> Option<Instant> {
        let watch = (!self.watch.is_empty()).then_some(self.watch_at);
        let expires = self
            .running
            .as_ref()
            .is_some_and(|running| !running.prepared.tls.expiries.is_empty());
        [
            watch,
            expires.then_some(self.expiry_at),
            self.keys_at,
            self.hedged.next(),
            self.failed_over.next(),
            self.drain.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn shard_drained(&mut self, shard: Option<u16>) -> Option<End> {
        match shard {
            Some(shard) => _ = self.drained_shards.insert(shard),
            // All have answered, or will never.
            None => self.drained = never(),
        }
        if self.drained_shards.len() < self.shards.len() {
            return None;
        }
        self.tell("drained", "nothing is in flight; ending".to_owned());
        Some(End::Orderly)
    }

    fn gone(&mut self, id: ConnectionId) {
        self.clients.retain(|client| client.id != id);
        self.keeping.left(id);
        if self.prepared.as_ref().is_some_and(|(by, _)| *by == id) {
            tracing::warn!("who prepared a revision left before it was committed; it is dropped");
            self.abort();
        }
    }

    fn tell_of_embedder(&self, name: &str, change: Change) {
        match change {
            Change::Opened => {
                let text = format!(
                    "embeddings by {name} fail or are late too often, and it is left alone for a while: semantic caches find \
                     nothing meanwhile but the same words"
                );
                self.tell("embedder_ejected", text);
            }
            Change::Closed => self.tell("embedder_recovered", format!("embeddings by {name} are made again")),
        }
    }

    /// Something an operator may want to see happen: logged, and told to control planes.
    fn tell(&self, kind: &str, text: String) {
        self.tell_with(kind, text, None);
    }

    fn tell_with(&self, kind: &str, text: String, facts: Option<serde_json::Value>) {
        tracing::info!(event = kind, "{text}");
        let event = Event {
            unix_ms: unix_ms(),
            kind: kind.to_owned(),
            text,
            facts,
        };
        for client in &self.clients {
            client.say(Say::Event(event.clone()), Vec::new());
        }
    }
}
