//! The sandbox provider: six chat dialects, embeddings, rerank and moderations, deterministic, with faults on request.
//!
//! Every thread has its own listening socket (SO_REUSEPORT), its own runtime and its own memory of answers, so that it
//! is not what a benchmark measures. It must never know the gateway: tests and people use it as any provider.

mod answer;
mod api;
mod arrivals;
mod ask;
mod document;
mod event_stream;
mod fault;
mod limits;
mod memo;
mod provider;
mod reply;
mod scenario;
mod serve;
mod spread;
mod stage;
mod text;
mod tls;

use std::{io::Write as _, net::SocketAddr, path::PathBuf, sync::Arc, thread};

use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use scenario::Scenario;
use stage::Stage;

/// Connections that wait to be accepted, per thread.
const BACKLOG: u32 = 4096;

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
    let acceptor = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key, options.tls_client_ca.as_deref())?),
        _ => None,
    };
    if options.never_accept {
        return never_accept(options.address);
    }
    let arrivals = Arc::new(arrivals::Arrivals::new(threads));
    let sockets = bind_all(options.address, threads)?;
    let address = sockets[0].local_addr().map_err(|bad| bad.to_string())?;
    let servers: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(index, socket)| {
            let server = serve::Server::new(index, arrivals.clone(), stage.clone());
            let acceptor = acceptor.clone();
            thread::spawn(move || serve_thread(socket, server, acceptor))
        })
        .collect();
    say_ready(address)?;
    for server in servers {
        server
            .join()
            .map_err(|_| "a thread of the sandbox panicked".to_owned())??;
    }
    Ok(())
}

fn serve_thread(socket: std::net::TcpListener, server: serve::Server, tls: Option<TlsAcceptor>) -> Result<(), String> {
    runtime()?.block_on(async move {
        let listener = TcpListener::from_std(socket).map_err(|bad| bad.to_string())?;
        tokio::task::LocalSet::new()
            .run_until(serve::accept(listener, server, tls))
            .await;
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|bad| bad.to_string())
}

/// Binds a socket per thread to the same port.
fn bind_all(address: SocketAddr, threads: usize) -> Result<Vec<std::net::TcpListener>, String> {
    // A socket needs a runtime to be registered with, for as long as it takes to hand it over.
    let runtime = runtime()?;
    let _inside = runtime.enter();
    let mut address = address;
    let mut sockets = Vec::new();
    for _ in 0..threads {
        let bound = bind(address, BACKLOG).and_then(|listener| {
            address = listener.local_addr()?;
            listener.into_std()
        });
        sockets.push(bound.map_err(|bad| format!("cannot listen on {address}: {bad}"))?);
    }
    Ok(sockets)
}

fn bind(address: SocketAddr, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Listens with the shortest queue there is: after it is full, connecting times out as with a dead host.
fn never_accept(address: SocketAddr) -> Result<(), String> {
    let runtime = runtime()?;
    let _inside = runtime.enter();
    let listener = bind(address, 1).map_err(|bad| format!("cannot listen on {address}: {bad}"))?;
    say_ready(listener.local_addr().map_err(|bad| bad.to_string())?)?;
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
