//! The sandbox provider: six chat dialects, embeddings, rerank and moderations, deterministic, with faults on request.
//!
//! Every thread has its own listening socket (SO_REUSEPORT), its own epoll loop and its own memory of answers, so that it
//! is not what a benchmark measures. It must never know the gateway: tests and people use it as any provider.

mod answer;
mod api;
mod arrivals;
mod ask;
mod document;
mod exchange;
mod fault;
mod limits;
mod memo;
mod performance;
mod provider;
mod reply;
mod scenario;
mod serve;
mod server;
mod spread;
mod stage;
mod text;
mod tls;

use std::{io::Write as _, net::SocketAddr, num::NonZeroU64, path::PathBuf, sync::Arc, thread};

use rustix::process::{Resource, Rlimit};

use crate::net::listener::Listener;

use scenario::Scenario;
use stage::Stage;

/// Connections that wait to be accepted, per thread.
const BACKLOG: i32 = 4096;

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", env = "TOLLGATE_SANDBOX_ADDRESS")]
    address: SocketAddr,
    /// Threads, each with its own socket; default: one per core
    #[arg(long)]
    threads: Option<usize>,
    /// Faults, pace, incidents and limits by model, YAML or JSON: 'rules: [{ model: gpt-*, share: 0.1, status: 529 }]'
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Listen and never accept
    #[arg(long)]
    never_accept: bool,
    /// PEM chain; with --tls-key the sandbox speaks TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// PEM roots; clients must show a certificate signed by one of them
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

/// Listens, prints `ready HOST:PORT`, and serves until the process ends.
pub fn run(options: Options) -> Result<(), String> {
    let threads = options
        .threads
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
        .max(1);
    let stage = Arc::new(Stage::default());
    if let Some(path) = &options.scenario {
        stage.replace(Scenario::read(path)?);
    }
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::config(certificate, key, options.tls_client_ca.as_deref())?),
        _ => None,
    };
    if options.never_accept {
        return never_accept(options.address);
    }
    let arrivals = Arc::new(arrivals::Arrivals::new(threads));
    allow_many_descriptors();
    let listeners = bind_all(options.address, threads)?;
    let address = listeners[0].address().map_err(|bad| bad.to_string())?;
    let mut servers = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let server = server::Server::new(index, arrivals.clone(), stage.clone());
        let tls = tls.clone();
        servers.push(thread::spawn(move || serve_thread(listener, tls, server)));
    }
    say_ready(address)?;
    for server in servers {
        server
            .join()
            .map_err(|_| "a thread of the sandbox panicked".to_owned())??;
    }
    Ok(())
}

fn serve_thread(
    listener: Listener,
    tls: Option<Arc<rustls::ServerConfig>>,
    server: server::Server,
) -> Result<(), String> {
    // By default the kernel wakes a thread up to 50 us late, to wake several at once; failing that, it does so here.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    serve::Loop::new(listener, tls, server)
        .and_then(serve::Loop::run)
        .map_err(|bad| format!("cannot wait for connections: {bad}"))
}

/// A connection is a descriptor, and the soft limit is often a thousand; failing that, accepting pauses sooner.
fn allow_many_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
}

/// Binds a socket per thread to the same port.
fn bind_all(mut address: SocketAddr, threads: usize) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for _ in 0..threads {
        let listener = bind(address, BACKLOG)?;
        address = listener.address().map_err(|bad| bad.to_string())?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, backlog: i32) -> Result<Listener, String> {
    Listener::bind(address, backlog).map_err(|bad| format!("cannot listen on {address}: {bad}"))
}

/// Listens with the shortest queue there is: after it is full, connecting times out as with a dead host.
fn never_accept(address: SocketAddr) -> Result<(), String> {
    let listener = bind(address, 1)?;
    say_ready(listener.address().map_err(|bad| bad.to_string())?)?;
    loop {
        thread::park();
    }
}

fn say_ready(address: SocketAddr) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {address}")
        .and_then(|()| out.flush())
        .map_err(|bad| format!("cannot say that it is ready: {bad}"))
}
