//! Those who connect to the control socket: a reader and a writer thread each, so that one who stops reading holds up
//! nobody. What they ask goes to the control thread's queue.

use std::{
    fs, io,
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use tollgate_config::link::{Ask, AskBody, Say};

use super::{Command, frames};

/// Connections at once; a control plane needs one.
const MAX_CONNECTIONS: usize = 32;
/// Answers and events that wait for a slow reader before it is cut off.
const QUEUED_SAYS: usize = 256;
/// How long a peer may take over reading one.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// After an accept that failed (out of descriptors).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Names a connection for the life of the process.
pub type ConnectionId = u64;

/// The way back to one who asked.
#[derive(Clone)]
pub struct Client {
    pub id: ConnectionId,
    says: Sender<(Say, Vec<OwnedFd>)>,
    stream: Arc<UnixStream>,
}

impl Client {
    /// What is said to it can be read here.
    #[cfg(test)]
    pub fn with_nobody_behind(id: ConnectionId) -> (Client, Receiver<(Say, Vec<OwnedFd>)>) {
        let (says, said) = bounded(QUEUED_SAYS);
        let (stream, _) = UnixStream::pair().expect("a pair");
        let stream = Arc::new(stream);
        (Client { id, says, stream }, said)
    }

    /// Queues an answer or event, with the descriptors that follow it; cuts off who does not read.
    pub fn say(&self, say: Say, descriptors: Vec<OwnedFd>) {
        if self.says.try_send((say, descriptors)).is_err() {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

/// Listens on the control socket, replacing a stale one: the state directory's lock says that nobody uses it.
pub fn listen(path: &Path, commands: Sender<Command>) -> Result<(), String> {
    let fail = |what: &str, error: io::Error| format!("cannot {what} the control socket {}: {error}", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail("replace", error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| fail("make", error))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| fail("protect", error))?;
    thread::Builder::new()
        .name("control-accept".to_owned())
        .spawn(move || accept(&listener, &commands))
        .map_err(|error| fail("serve", error))?;
    Ok(())
}

fn accept(listener: &UnixListener, commands: &Sender<Command>) {
    let open = Arc::new(AtomicUsize::new(0));
    for id in 1.. {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                thread::sleep(ACCEPT_AGAIN);
                continue;
            }
        };
        if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS || !is_ours(&stream) {
            continue;
        }
        let open_now = Arc::clone(&open);
        open_now.fetch_add(1, Ordering::Relaxed);
        let commands = commands.clone();
        let serve = move || {
            if let Err(error) = serve(id, stream, &commands) {
                tracing::warn!(%error, "a control connection broke");
            }
            let _ = commands.send(Command::Gone(id));
            open_now.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(error) = thread::Builder::new().name("control-read".to_owned()).spawn(serve) {
            open.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "no thread for a control connection");
        }
    }
}

/// Root's or our own user's, whatever the socket's permissions became.
fn is_ours(stream: &UnixStream) -> bool {
    let uid = rustix::net::sockopt::socket_peercred(stream).map(|credentials| credentials.uid);
    uid.is_ok_and(|uid| uid.is_root() || uid == rustix::process::geteuid())
}

/// Reads asks until the peer closes.
fn serve(id: ConnectionId, stream: UnixStream, commands: &Sender<Command>) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let stream = Arc::new(stream);
    let (says, to_write) = bounded(QUEUED_SAYS);
    let writing = Arc::clone(&stream);
    thread::Builder::new()
        .name("control-write".to_owned())
        .spawn(move || write(&writing, &to_write))?;
    let client = Client {
        id,
        says,
        stream: Arc::clone(&stream),
    };
    while let Some(frame) = frames::read_frame(&stream)? {
        let ask = Ask::read(&frame)?;
        let count = match &ask.body {
            AskBody::Listeners { count, .. } => usize::from(*count),
            _ => 0,
        };
        let descriptors = frames::read_descriptors(&stream, count)?;
        if commands
            .send(Command::Ask {
                client: client.clone(),
                ask,
                descriptors,
            })
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Writes until every `Client` of the connection is dropped, or the peer stops reading.
fn write(stream: &UnixStream, says: &Receiver<(Say, Vec<OwnedFd>)>) {
    for (say, descriptors) in says {
        let written = serde_json::to_vec(&say)
            .map_err(io::Error::from)
            .and_then(|json| frames::write_frame(stream, &json))
            .and_then(|()| frames::write_descriptors(stream, &descriptors));
        if written.is_err() {
            // Wakes the reader, which ends the connection.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}
