//! The data plane: a proxy of one shard per core, and the thread that tells them what to run. See ARCHITECTURE.md.

mod access_log;
mod cluster;
mod control;
mod downstream;
mod files;
mod host;
mod kept;
mod listener;
mod messages;
mod metrics;
mod proxy_protocol;
mod repeats;
mod resolve;
mod second;
mod semantic;
mod shard;
mod spool;
mod state_dir;
mod sys;
mod timers;
mod tls;
mod tokens;
mod upstream;

use std::{
    io::IsTerminal,
    os::fd::OwnedFd,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicU32},
    thread,
    time::Duration,
};

use clap::Parser;
use crossbeam_channel::{Sender, bounded};
use rustix::event::{EventfdFlags, eventfd};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tollgate_config::{check, document, parse::Parsed};
use tollgate_engine::{Answers, Marks, limits::Balances};
use tracing_subscriber::EnvFilter;

use control::{Command, Control, End, Inherited, Keeping, connection};
use messages::{INBOX_CAPACITY, ShardHandle, ShardSetup};
use state_dir::{LastGood, StateDir, count_limits};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What waits for the control thread.
const COMMANDS: usize = 1024;
/// What is used of limits, where the state directory cannot hold it.
const MAX_LIMITS_IN_MEMORY: usize = 1 << 14;
/// More shards than this are a typing error.
const MAX_SHARDS: u16 = 256;
/// How long the last log lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long a shard may take to have room for a token.
const SHARD_PATIENCE: Duration = Duration::from_secs(5);
/// How long shards may take to end once told to.
const LAST_TURN: Duration = Duration::from_secs(1);

/// The proxy of an AI gateway. Usually started by `tollgate up`; alone it serves the last good configuration.
#[derive(Parser)]
#[command(name = "tollgate-dataplane", version)]
struct Arguments {
    /// Where the last good configuration, the control socket and the lock are.
    #[arg(long, env = "TOLLGATE_STATE_DIR", value_name = "DIR")]
    state_dir: PathBuf,
    /// How many shards: a number, or `auto` for one per core within the quota [default: as the configuration says].
    #[arg(long, value_name = "N|auto", value_parser = shards_argument)]
    shards: Option<document::Shards>,
    /// A control plane hands the listening sockets over; none are opened here.
    #[arg(long)]
    supervised: bool,
}

fn shards_argument(text: &str) -> Result<document::Shards, String> {
    if text == "auto" {
        return Ok(document::Shards::Auto);
    }
    let count = text.parse().ok().filter(|count| (1..=MAX_SHARDS).contains(count));
    count
        .map(document::Shards::Count)
        .ok_or_else(|| format!("a number from 1 to {MAX_SHARDS}, or auto"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The allocator's arenas would be backed by 2 MiB pages from their first byte: 22 MiB resident at rest, not 7.
    // Where the kernel refuses, only memory is lost.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let log = match access_log::start() {
        Ok(log) => log,
        Err(reason) => return refuse(&reason),
    };
    start_tracing(&log);
    let end = serve(&arguments, &log);
    log.flush_within(LAST_LINES);
    match end {
        Ok(End::Orderly) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::FAILURE,
        Err(reason) => refuse(&reason),
    }
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("tollgate-dataplane: {reason}");
    ExitCode::FAILURE
}

/// JSON lines on stderr, pretty on a terminal, through the log's thread: a stopped reader stops nobody. Panics go the
/// same way.
fn start_tracing(log: &access_log::Handle) {
    let filter = EnvFilter::try_from_env("TOLLGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone());
    if std::io::stderr().is_terminal() {
        lines.init();
    } else {
        lines.json().flatten_event(true).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = panic.payload_as_str().unwrap_or_default();
        tracing::error!(place, said, "a panic: please report it");
    }));
}

#[allow(clippy::disallowed_methods)] // The control thread's own: it blocks no shard.
fn serve(arguments: &Arguments, log: &access_log::Handle) -> Result<End, String> {
    let mut state = StateDir::open(&arguments.state_dir)?;
    host::check_io_uring()?;
    let socket = state.socket();
    let last_good = state.load()?;
    let cores = host::Cores::look()?;
    let limits = last_good.as_ref().map_or(0, count_limits);
    let fresh_node = shard::clock::Clock::start().seed(u16::MAX);
    let (balances, node) = match state.balances(limits) {
        Ok(balances) => (balances, state.node(fresh_node)),
        Err(reason) => {
            tracing::error!(
                reason,
                "limits hold while this process lives, and begin anew with the next"
            );
            // What it had leased is nobody's any more: another node begins.
            (Balances::in_memory(MAX_LIMITS_IN_MEMORY), fresh_node)
        }
    };
    let balances = Arc::new(balances);
    let count = match arguments.shards.or_else(|| configured_shards(last_good.as_ref())) {
        Some(document::Shards::Count(count)) => usize::from(count),
        Some(document::Shards::Auto) | None => cores.shards(),
    };
    let (commands, queue) = bounded(COMMANDS);
    let cluster = start_cluster(node, &balances, commands.clone())?;
    let Started {
        handles,
        threads: shards,
        tokens,
        keeping,
        kept,
    } = start_shards(
        &cores.place(count),
        log,
        &commands,
        (&balances, &cluster),
        &arguments.state_dir,
    )?;
    watch_signals(commands.clone())?;
    let mut control = Control::new(
        handles,
        state,
        log.clone(),
        tokens,
        (balances, cluster),
        (keeping, kept),
    )?;
    match last_good {
        Some(last_good) => {
            if let Err(reason) = control.restore(last_good) {
                tracing::error!(reason, "waiting for a control plane");
            }
        }
        None => tracing::info!("no last good document; waiting for a control plane"),
    }
    if !arguments.supervised {
        control.open_listeners(Inherited::from_environment())?;
    }
    connection::listen(&socket, commands)?;
    let end = control.run(&queue);
    // So that nobody waits on a socket that nobody serves.
    let _ = std::fs::remove_file(socket);
    wait_for(&shards);
    Ok(end)
}

/// As many as the last good document says; whether the rest of it is good comes later.
fn configured_shards(last_good: Option<&LastGood>) -> Option<document::Shards> {
    let parsed = Parsed::from_tree(last_good?.document.clone());
    check::check(&parsed).ok().map(|document| document.shards)
}

/// The shards, the thread that gets their access tokens, and what they remember.
struct Started {
    handles: Vec<ShardHandle>,
    threads: Vec<thread::JoinHandle<()>>,
    tokens: tokens::Handle,
    keeping: Keeping,
    /// And what of it outlives the process.
    kept: control::Answering,
}

/// Starts a thread per core. A shard that ends says so to the control thread.
fn start_shards(
    cpus: &[usize],
    log: &access_log::Handle,
    commands: &Sender<Command>,
    (balances, cluster): (&Arc<Balances>, &cluster::Handle),
    state_dir: &std::path::Path,
) -> Result<Started, String> {
    let max_connections = host::max_connections(cpus.len())?;
    let mut handles = Vec::new();
    let mut ends = Vec::new();
    for _ in cpus {
        let (sender, inbox) = bounded(INBOX_CAPACITY);
        let wake = wake().map_err(|error| format!("cannot make an eventfd: {error}"))?;
        let (wake, for_shard) = wake;
        handles.push(ShardHandle::new(sender, Arc::new(wake)));
        ends.push((inbox, for_shard));
    }
    let peers: Arc<[ShardHandle]> = handles.clone().into();
    let load: Arc<[AtomicU32]> = cpus.iter().map(|_| AtomicU32::new(0)).collect();
    let resolver = resolve::start(Arc::clone(&peers))?;
    let marks = Arc::new(Marks::awaiting());
    let (marked, news) = bounded(control::MARK_NEWS);
    let repeats = repeats::table();
    let seed = kept::seed(state_dir).map_or_else(repeats::seed, Ok)?;
    let (answers, offers) = repeats::answers(seed)?;
    let summaries = repeats::summaries(seed);
    let snapshots = start_snapshots(state_dir, seed, commands.clone())?;
    let seconds = second_tiers(state_dir, (&answers, &snapshots), &peers, commands.clone());
    let tokens = start_tokens(Arc::clone(&peers), commands.clone())?;
    let (spool, first_segments) = start_spool(state_dir, Arc::clone(&peers), commands.clone())?;
    tracing::info!(shards = cpus.len(), ?cpus, max_connections, "starting");
    let mut threads = Vec::new();
    let each = ends.into_iter().zip(cpus).zip(first_segments);
    for (index, (((inbox, wake), cpu), segments)) in each.enumerate() {
        let setup = ShardSetup {
            id: index as u16,
            cpu: *cpu,
            inbox,
            wake,
            peers: Arc::clone(&peers),
            load: Arc::clone(&load),
            resolver: resolver.clone(),
            tokens: tokens.clone(),
            access: log.clone(),
            balances: Arc::clone(balances),
            cluster: cluster.clone(),
            marks: Arc::clone(&marks),
            marked: marked.clone(),
            repeats: repeats.clone(),
            answers: answers.clone(),
            summaries: summaries.clone(),
            spool: (spool.clone(), segments),
            max_connections,
            control: commands.clone(),
        };
        threads.push(start_shard(setup, commands.clone())?);
    }
    Ok(Started {
        handles,
        threads,
        tokens,
        keeping: Keeping::new(marks, news),
        kept: (answers, offers, snapshots, seconds),
    })
}

/// The thread that gets access tokens: shards are given each, and the control thread is told the news.
fn start_tokens(shards: Arc<[ShardHandle]>, commands: Sender<Command>) -> Result<tokens::Handle, String> {
    tokens::start(move |told| {
        if let Ok(token) = &told.outcome {
            let token = Arc::new(token.clone());
            for shard in shards.iter() {
                shard.send_within(messages::ToShard::Token(told.id, Arc::clone(&token)), SHARD_PATIENCE);
            }
        }
        if told.news {
            // The control thread may wait for this one: it is told what there is room for.
            let _ = commands.try_send(Command::Token(told));
        }
    })
}

/// The thread that leases limits shared with other nodes.
fn start_cluster(node: u64, balances: &Arc<Balances>, commands: Sender<Command>) -> Result<cluster::Handle, String> {
    cluster::start(node, Arc::clone(balances), move |told| {
        // As above.
        let _ = commands.try_send(Command::Cluster(told));
    })
}

/// The thread that writes what caches keep to the disk, and reads it.
fn start_snapshots(
    state_dir: &std::path::Path,
    seed: tollgate_engine::exact::Seed,
    commands: Sender<Command>,
) -> Result<kept::Handle, String> {
    kept::start(state_dir, seed, move |told| {
        // As above.
        let _ = commands.try_send(Command::Kept(told));
    })
}

/// What caches share with other nodes: no thread until a revision says so.
fn second_tiers(
    state_dir: &std::path::Path,
    (answers, kept): (&Answers, &kept::Handle),
    shards: &Arc<[ShardHandle]>,
    commands: Sender<Command>,
) -> second::Room {
    let here = second::Here {
        answers: answers.clone(),
        kept: kept.clone(),
    };
    second::Room::new(state_dir.to_owned(), here, Arc::clone(shards), move |told| {
        // As above.
        let _ = commands.try_send(Command::Second(told));
    })
}

/// The thread that makes room for usage records.
fn start_spool(
    state_dir: &std::path::Path,
    shards: Arc<[ShardHandle]>,
    commands: Sender<Command>,
) -> Result<(spool::Handle, Vec<Vec<spool::Segment>>), String> {
    let boot = shard::clock::Clock::start().seed(u16::MAX);
    spool::start(state_dir, boot, shards, move |told| {
        // As above: told when there is room for it.
        let _ = commands.try_send(Command::Spool(told));
    })
}

fn start_shard(setup: ShardSetup, commands: Sender<Command>) -> Result<thread::JoinHandle<()>, String> {
    let id = setup.id;
    let run = move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shard::run(setup)));
        let result = result.unwrap_or_else(|_| Err("it panicked outside of any exchange".to_owned()));
        let _ = commands.send(Command::ShardEnded { id, result });
    };
    let thread = thread::Builder::new().name(format!("shard-{id}")).spawn(run);
    thread.map_err(|error| format!("cannot start the thread of shard {id}: {error}"))
}

/// An eventfd, and a second descriptor of it.
fn wake() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let copy = wake.try_clone()?;
    Ok((wake, copy))
}

/// SIGPIPE is ignored by Rust's runtime already.
fn watch_signals(commands: Sender<Command>) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot watch for signals: {error}");
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(fail)?;
    let watch = move || {
        for signal in signals.forever() {
            if commands.send(Command::Signal(signal)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)
        .map(drop)
        .map_err(fail)
}

/// Shards have been told to stop; one that does not is left behind.
#[allow(clippy::disallowed_methods)] // Nobody is served any more.
fn wait_for(shards: &[thread::JoinHandle<()>]) {
    let until = std::time::Instant::now() + LAST_TURN;
    while shards.iter().any(|shard| !shard.is_finished()) && std::time::Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
}
