//! The control plane's end of the link to a data plane: asks, awaits answers, receives events. It knows the protocol
//! of `tollgate_config::link` and nothing of revisions or processes.

pub mod frames;
mod slot;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UnixStream,
    sync::{Notify, mpsc, oneshot, watch},
    task::AbortHandle,
};
use tollgate_config::link::{AnswerBody, Ask, AskBody, Event, PROTOCOL, Say};

pub use slot::LinkSlot;

use frames::Inbound;

/// How long a data plane may take over an ordinary answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Compiling a large document and preparing it on every shard.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the data plane is not connected")]
    Down,
    #[error("the data plane closed the link before it answered")]
    Cut,
    #[error("the data plane did not answer within {0:?}")]
    Silent(Duration),
    #[error("the link to the data plane failed: {0}")]
    Io(#[from] io::Error),
    #[error("the data plane failed: {0}")]
    Failed(String),
    #[error("the data plane answered something else than was asked")]
    Unexpected,
    /// It is older than that. The link stands.
    #[error("the data plane is of version {version}, which cannot do that: start it again to have the installed one")]
    Unknown { version: String },
}

/// What a data plane said of itself when the link was made.
#[derive(Clone, Debug)]
pub struct Hello {
    pub pid: u32,
    pub version: String,
    pub shards: u16,
    pub revision: u64,
    protocol: u32,
}

impl Hello {
    /// What an operator should know of a data plane that is not of this program's version.
    pub fn difference(&self) -> Option<String> {
        let own = env!("CARGO_PKG_VERSION");
        (self.version != own || self.protocol != PROTOCOL).then(|| {
            format!(
                "pid {} is of version {} (protocol {}), this control plane of {own} ({PROTOCOL}): what either does not \
                 know of the other is left out until the data plane is started again",
                self.pid, self.version, self.protocol
            )
        })
    }
}

/// Listening sockets handed back by a data plane: the listener's name, the address they are bound to, one per shard.
pub type HandedBack = Vec<(String, SocketAddr, Vec<OwnedFd>)>;

struct Reply {
    body: AnswerBody,
    sockets: HandedBack,
}

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Reply>>>;

pub struct Link {
    /// Differs from link to link of this process.
    serial: u64,
    stream: Arc<UnixStream>,
    /// Held while a frame and its descriptors are written.
    writing: Arc<tokio::sync::Mutex<()>>,
    waiting: Arc<Waiting>,
    next_id: AtomicU64,
    closed: watch::Receiver<bool>,
    listening: AbortHandle,
    marks_noted: Arc<Notify>,
    hello: Hello,
}

impl Link {
    /// Connects and says hello. Events the data plane sends go to `events`; when nobody empties it they are dropped.
    pub async fn connect(socket: &Path, events: mpsc::Sender<Event>) -> Result<Link, LinkError> {
        let stream = Arc::new(UnixStream::connect(socket).await?);
        let waiting: Arc<Waiting> = Arc::default();
        let (closing, closed) = watch::channel(false);
        let heard = Heard {
            waiting: waiting.clone(),
            events,
            marks_noted: Arc::default(),
        };
        let marks_noted = heard.marks_noted.clone();
        let listening = tokio::spawn(listen(stream.clone(), heard, closing)).abort_handle();
        let hello = Hello {
            pid: 0,
            version: String::new(),
            shards: 0,
            revision: 0,
            protocol: 0,
        };
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let writing = Arc::default();
        let mut link = Link {
            serial,
            stream,
            writing,
            waiting,
            next_id: 1.into(),
            closed,
            listening,
            marks_noted,
            hello,
        };
        match link.ask(AskBody::Hello, ANSWER_TIMEOUT).await? {
            AnswerBody::Hello {
                pid,
                version,
                shards,
                revision,
                protocol,
                ..
            } => {
                link.hello = Hello {
                    pid,
                    version,
                    shards,
                    revision,
                    protocol,
                };
                Ok(link)
            }
            _ => Err(LinkError::Unexpected),
        }
    }

    pub fn serial(&self) -> u64 {
        self.serial
    }

    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Returns once the data plane has closed the link or it broke.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error means that the listening task is gone, which is the same news.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Told whenever the data plane has marks to take, and when the link is dropped.
    pub fn marks_noted(&self) -> Arc<Notify> {
        self.marks_noted.clone()
    }

    /// Asks and awaits the answer. `Failed` answers become errors; `Refused` is for the caller to read.
    pub async fn ask(&self, body: AskBody, timeout: Duration) -> Result<AnswerBody, LinkError> {
        Ok(self.exchange(body, &[], timeout).await?.body)
    }

    /// Hands listening sockets over for one listener.
    pub async fn hand_over(&self, name: &str, address: SocketAddr, sockets: &[OwnedFd]) -> Result<(), LinkError> {
        let count = u16::try_from(sockets.len()).map_err(|_| LinkError::Unexpected)?;
        let body = AskBody::Listeners {
            name: name.to_owned(),
            address,
            count,
        };
        match self.exchange(body, sockets, ANSWER_TIMEOUT).await?.body {
            AnswerBody::Done => Ok(()),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// Asks for the listening sockets the data plane holds.
    pub async fn take_listeners(&self) -> Result<HandedBack, LinkError> {
        let reply = self.exchange(AskBody::TakeListeners, &[], ANSWER_TIMEOUT).await?;
        match reply.body {
            AnswerBody::Sockets { .. } => Ok(reply.sockets),
            _ => Err(LinkError::Unexpected),
        }
    }

    async fn exchange(&self, body: AskBody, sockets: &[OwnedFd], timeout: Duration) -> Result<Reply, LinkError> {
        if !body.may_be_asked(self.hello.protocol) {
            let version = self.hello.version.clone();
            return Err(LinkError::Unknown { version });
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, answer);
        let reply = tokio::time::timeout(timeout, async {
            self.write(Ask { id, body }, sockets).await?;
            if self.is_closed() {
                return Err(LinkError::Cut);
            }
            answered.await.map_err(|_| LinkError::Cut)
        })
        .await;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let reply = reply.map_err(|_| LinkError::Silent(timeout))??;
        match reply.body {
            AnswerBody::Failed { reason } => Err(LinkError::Failed(reason)),
            AnswerBody::Unknown { version, .. } => Err(LinkError::Unknown { version }),
            _ => Ok(reply),
        }
    }

    async fn write(&self, ask: Ask, sockets: &[OwnedFd]) -> Result<(), LinkError> {
        let json = serde_json::to_vec(&ask).map_err(io::Error::other)?;
        let writing = self.writing.clone().lock_owned().await;
        // In a task of its own, which keeps the lock: a caller that gives up must not leave half a frame behind.
        let stream = self.stream.clone();
        let sockets = sockets
            .iter()
            .map(|s| s.as_fd().try_clone_to_owned())
            .collect::<io::Result<Vec<_>>>()?;
        let task = tokio::spawn(async move {
            frames::write_frame(&stream, &json).await?;
            let written = frames::write_descriptors(&stream, &sockets).await;
            drop(writing);
            written
        });
        Ok(task.await.map_err(|_| LinkError::Cut)??)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The task holds the stream: without this the connection would outlive the link.
        self.listening.abort();
        self.marks_noted.notify_one();
    }
}

/// Where what the data plane says goes.
struct Heard {
    waiting: Arc<Waiting>,
    events: mpsc::Sender<Event>,
    marks_noted: Arc<Notify>,
}

/// Reads what the data plane says until the link ends, then lets everyone who waits know.
async fn listen(stream: Arc<UnixStream>, heard: Heard, closing: watch::Sender<bool>) {
    if let Err(error) = hear(&stream, &heard).await {
        tracing::warn!(error = %error, "the link to the data plane broke");
    }
    closing.send_replace(true);
    // Dropping the senders wakes those who wait with `Cut`.
    heard.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

async fn hear(stream: &UnixStream, heard: &Heard) -> io::Result<()> {
    let Heard {
        waiting,
        events,
        marks_noted,
    } = heard;
    let mut inbound = Inbound::default();
    let mut is_puzzled = false;
    while let Some(frame) = inbound.frame(stream).await? {
        let said = match serde_json::from_slice(&frame) {
            Ok(said) => said,
            Err(error) => {
                let Some(id) = unread(&frame) else {
                    return Err(error.into());
                };
                if !std::mem::replace(&mut is_puzzled, true) {
                    tracing::warn!(%error, "the data plane says what this version does not know: it is passed over");
                }
                if let Some(id) = id {
                    let waiter = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    let reason = "it answered what this version of the control plane does not know".to_owned();
                    let body = AnswerBody::Failed { reason };
                    let sockets = Vec::new();
                    let _ = waiter.map(|waiter| waiter.send(Reply { body, sockets }));
                }
                continue;
            }
        };
        match said {
            Say::Event(event) => {
                // A full queue means that nobody looks; the link itself must not wait for them.
                let _ = events.try_send(event);
            }
            Say::MarksNoted => marks_noted.notify_one(),
            Say::Answer { id, body } => {
                let sockets = match &body {
                    AnswerBody::Sockets { listeners } => receive_sockets(stream, &mut inbound, listeners).await?,
                    _ => Vec::new(),
                };
                if let Some(waiter) = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
                    let _ = waiter.send(Reply { body, sockets });
                }
            }
        }
    }
    Ok(())
}

/// Something that a newer data plane says: nothing, or the number of an ask that it answers so. `None`: it is no saying
/// at all, or one behind which descriptors may come.
fn unread(frame: &[u8]) -> Option<Option<u64>> {
    let said: serde_json::Value = serde_json::from_slice(frame).ok()?;
    match &said {
        serde_json::Value::String(_) => Some(None),
        serde_json::Value::Object(members) => match members.get("answer") {
            None => Some(None),
            Some(answer) if answer["body"].get("sockets").is_some() => None,
            Some(answer) => answer["id"].as_u64().map(Some),
        },
        _ => None,
    }
}

async fn receive_sockets(
    stream: &UnixStream,
    inbound: &mut Inbound,
    listeners: &[(String, SocketAddr, u16)],
) -> io::Result<HandedBack> {
    let mut handed_back = Vec::with_capacity(listeners.len());
    for (name, address, count) in listeners {
        let sockets = inbound.descriptors(stream, usize::from(*count)).await?;
        handed_back.push((name.clone(), *address, sockets));
    }
    Ok(handed_back)
}

#[cfg(test)]
mod tests;
