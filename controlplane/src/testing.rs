//! A data plane that only talks: it speaks the link on `STATE_DIR/dataplane.sock` and keeps last-good.json, and does
//! what a test asks of it. Nothing here serves a request.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tollgate_config::{
    Problem,
    link::{AnswerBody, Ask, AskBody, Event, PROTOCOL, Say, ShardRevision, ShardStatus, Status, StoredKey},
    marks::Mark,
};

use crate::{
    link::{
        Link,
        frames::{Inbound, write_descriptors, write_frame},
    },
    listeners::Listeners,
    plane::Plane,
    rollout::Rollout,
    store::Store,
};

/// When the fake goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mishap {
    #[default]
    None,
    RefusePrepare,
    DieAtPrepare,
    /// Dies on the commit's ask, before anything is written.
    DieBeforeCommit,
    /// Dies after the last good file is written, without an answer.
    DieAfterCommit,
    FailKeys,
    FailMarks,
    /// It is of before planes said what they do not know.
    IsOld,
    KnowsNoMarks,
    /// Says, and answers `Status` with, what nobody knows.
    SaysNews,
}

#[derive(Default)]
pub struct World {
    pub mishap: Mishap,
    pub revision: u64,
    pub prepared: Option<(u64, Value)>,
    pub document: Value,
    pub keys: Vec<StoredKey>,
    pub listeners: Vec<(String, SocketAddr, Vec<OwnedFd>)>,
    pub aborted: Vec<u64>,
    /// What it was given, and whether that was all.
    pub marks: Vec<Mark>,
    pub has_all_marks: bool,
    /// Reports that are not said to be kept, and the number of the last that is.
    pub noted: VecDeque<(Vec<Mark>, Vec<Mark>)>,
    pub kept: u64,
}

pub const SHARDS: u16 = 2;

/// Shared between the test and the fake; outlives a fake that died.
#[derive(Clone, Default)]
pub struct Fake {
    pub world: Arc<Mutex<World>>,
}

impl Fake {
    pub fn mishap(&self, mishap: Mishap) {
        self.world.lock().unwrap().mishap = mishap;
    }

    /// Listens like a data plane that has just started on `state_dir`.
    pub fn start(&self, state_dir: &Path) -> JoinHandle<()> {
        if let Ok(text) = std::fs::read(state_dir.join("last-good.json")) {
            let last_good: Value = serde_json::from_slice(&text).unwrap();
            let mut world = self.world.lock().unwrap();
            world.revision = last_good["revision"].as_u64().unwrap();
            world.document = last_good["document"].clone();
        }
        let socket = state_dir.join("dataplane.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(socket).unwrap();
        let (world, state_dir) = (self.world.clone(), state_dir.to_owned());
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let (world, state_dir) = (world.clone(), state_dir.clone());
                        connections.spawn(async move { talk(&world, &stream, &state_dir).await });
                    }
                    // Its death ends every connection.
                    Some(Ok(None)) = connections.join_next() => return,
                }
            }
        })
    }
}

/// `None` when the fake is to die.
async fn talk(world: &Mutex<World>, stream: &UnixStream, state_dir: &Path) -> Option<()> {
    let mut inbound = Inbound::default();
    while let Ok(Some(frame)) = inbound.frame(stream).await {
        let ask: Ask = serde_json::from_slice(&frame).unwrap();
        if let AskBody::Listeners { name, address, count } = &ask.body {
            let sockets = inbound.descriptors(stream, usize::from(*count)).await.unwrap();
            let mut world = world.lock().unwrap();
            world.listeners.retain(|(held, ..)| held != name);
            world.listeners.push((name.clone(), *address, sockets));
        }
        let takes = matches!(ask.body, AskBody::TakeListeners);
        let body = answer(&mut world.lock().unwrap(), ask.body, state_dir)?;
        let event = Event {
            unix_ms: 1,
            kind: "fake".into(),
            text: "answered".into(),
            facts: None,
        };
        if world.lock().unwrap().mishap == Mishap::SaysNews {
            for news in [r#""moon_rose""#.to_owned(), r#"{"tide":{"cm":7}}"#.to_owned()] {
                write_frame(stream, news.as_bytes()).await.unwrap();
            }
            if matches!(body, AnswerBody::Status(_)) {
                let odd = format!(r#"{{"answer":{{"id":{},"body":{{"stars":{{}}}}}}}}"#, ask.id);
                write_frame(stream, odd.as_bytes()).await.unwrap();
                continue;
            }
        }
        write_frame(stream, &serde_json::to_vec(&Say::Event(event)).unwrap())
            .await
            .unwrap();
        write_frame(stream, &serde_json::to_vec(&Say::Answer { id: ask.id, body }).unwrap())
            .await
            .unwrap();
        if takes {
            let held: Vec<Vec<OwnedFd>> = {
                let world = world.lock().unwrap();
                let copies = |sockets: &Vec<OwnedFd>| sockets.iter().map(|s| s.try_clone().unwrap()).collect();
                world.listeners.iter().map(|(.., sockets)| copies(sockets)).collect()
            };
            for sockets in held {
                write_descriptors(stream, &sockets).await.unwrap();
            }
        }
    }
    Some(())
}

fn answer(world: &mut World, body: AskBody, state_dir: &Path) -> Option<AnswerBody> {
    let shards = |revision| (0..SHARDS).map(|id| ShardRevision { id, revision }).collect();
    Some(match body {
        AskBody::Hello => AnswerBody::Hello {
            pid: std::process::id(),
            version: "fake".into(),
            shards: SHARDS,
            revision: world.revision,
            listeners: Vec::new(),
            protocol: if world.mishap == Mishap::IsOld { 0 } else { PROTOCOL },
        },
        AskBody::Marks { .. } if world.mishap == Mishap::KnowsNoMarks => AnswerBody::Unknown {
            ask: "marks".into(),
            version: "fake".into(),
        },
        AskBody::Purge { .. } => AnswerBody::Purged { answers: 3, bytes: 300 },
        AskBody::Caches => AnswerBody::Caches {
            caches: Vec::new(),
            compared: Vec::new(),
        },
        AskBody::Feedback { request_id, .. } => AnswerBody::Judged {
            cache: (request_id == "served").then(|| "answers".into()),
        },
        AskBody::Unknown { .. } => unreachable!("nobody asks that"),
        AskBody::Prepare { .. } if world.mishap == Mishap::DieAtPrepare => return None,
        AskBody::Prepare { .. } if world.mishap == Mishap::RefusePrepare => AnswerBody::Refused {
            problems: vec![Problem::new("/models", "the shards say no", "ask again")],
        },
        AskBody::Prepare {
            revision,
            document,
            keys,
        } => {
            world.prepared = Some((revision, document));
            world.keys = keys;
            AnswerBody::Prepared { revision }
        }
        AskBody::Commit { .. } if world.mishap == Mishap::DieBeforeCommit => return None,
        AskBody::Commit { revision } => {
            let (prepared, document) = world.prepared.take().unwrap();
            assert_eq!(prepared, revision);
            let last_good = json!({"revision": revision, "document": document});
            std::fs::write(state_dir.join("last-good.json"), last_good.to_string()).unwrap();
            if world.mishap == Mishap::DieAfterCommit {
                return None;
            }
            world.revision = revision;
            world.document = document;
            AnswerBody::Committed {
                revision,
                shards: shards(revision),
            }
        }
        AskBody::Abort { revision } => {
            world.aborted.push(revision);
            AnswerBody::Done
        }
        AskBody::Keys { .. } if world.mishap == Mishap::FailKeys => AnswerBody::Failed { reason: "no".into() },
        AskBody::Keys { upsert, remove } => {
            world
                .keys
                .retain(|k| !remove.contains(&k.name) && !upsert.iter().any(|u| u.name == k.name));
            world.keys.extend(upsert);
            AnswerBody::Done
        }
        AskBody::Marks { .. } if world.mishap == Mishap::FailMarks => AnswerBody::Failed { reason: "no".into() },
        AskBody::Marks { marks, last } => {
            world.marks.extend(marks);
            world.has_all_marks = last;
            AnswerBody::Done
        }
        AskBody::TakeMarks { kept } => report(world, kept),
        AskBody::Status => status(world),
        AskBody::Limits { .. } => AnswerBody::Limits { limits: Vec::new() },
        AskBody::Metrics => AnswerBody::Metrics {
            text: "tollgate_requests_total 7\n".into(),
        },
        AskBody::TakeListeners => {
            let held = |(name, address, sockets): &(String, SocketAddr, Vec<OwnedFd>)| {
                (name.clone(), *address, u16::try_from(sockets.len()).unwrap())
            };
            AnswerBody::Sockets {
                listeners: world.listeners.iter().map(held).collect(),
            }
        }
        AskBody::Listeners { .. } | AskBody::ReloadFiles | AskBody::Drain | AskBody::Resume => AnswerBody::Done,
    })
}

fn report(world: &mut World, kept: u64) -> AnswerBody {
    if kept > world.kept {
        world.noted.pop_front();
        world.kept = kept;
    }
    let (made, gone) = world.noted.front().cloned().unwrap_or_default();
    let report = world.kept + 1;
    AnswerBody::Marks { report, made, gone }
}

fn status(world: &World) -> AnswerBody {
    let shard = |id| ShardStatus {
        id,
        revision: world.revision,
        ..ShardStatus::default()
    };
    AnswerBody::Status(Box::new(Status {
        revision: world.revision,
        shards: (0..SHARDS).map(shard).collect(),
        ..Status::default()
    }))
}

/// A control plane without its process around it, linked to the fake.
pub fn plane(state_dir: &Path) -> Arc<Plane> {
    let store = Store::open(&state_dir.join("tollgate.db")).unwrap();
    let rollout = Rollout::new(Listeners::default());
    let (metering, _) = crate::metering::Metering::open(state_dir).expect("a ledger");
    Plane::new(
        state_dir.to_owned(),
        state_dir.join("control.sock"),
        (store, metering),
        rollout,
    )
}

pub async fn connect(plane: &Arc<Plane>) -> Arc<Link> {
    let (events, _) = mpsc::channel(16);
    let link = Arc::new(
        Link::connect(&plane.state_dir.join("dataplane.sock"), events)
            .await
            .unwrap(),
    );
    plane.link.put(link.clone());
    link
}

/// A document with one listener on a port of the kernel's choice, and `models` models.
pub fn document(models: usize) -> Value {
    let model = |n| {
        (
            format!("model-{n}"),
            json!({"targets": [{"provider": "p", "model": "m"}]}),
        )
    };
    let models: serde_json::Map<String, Value> = (0..models).map(model).collect();
    json!({
        "version": 1,
        "listeners": {"public": {"address": "127.0.0.1:0"}},
        "providers": {"p": {"dialect": "openai", "base_url": "http://127.0.0.1:9"}},
        "models": models,
        "teams": {"research": {}},
    })
}
