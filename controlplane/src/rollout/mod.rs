//! A change on its way: edit → check → compile (dry run) → open sockets → store as pending → prepare on every shard →
//! commit → in force. It takes effect on all shards or on none; whatever ends it early leaves the old revision.
//!
//! Crash points: before the commit is answered, the store says `pending` and the data plane's last good file says
//! which side of the line it died on; `recovery` reads both.

mod change;
mod marks;
mod recovery;
mod sync;

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use serde::Serialize;
use tollgate_config::{Document, Problem, diff, link::ShardRevision, parse::Parsed, pointer::PointerError};

use crate::{
    link::{HandedBack, Link, LinkError},
    listeners::Listeners,
    plane::Plane,
    store::StoreError,
};

pub use change::change;
pub use recovery::recover;
pub use sync::{bind, resume, sync};

/// What only the holder of the rollout lock may touch.
#[derive(Default)]
pub struct Rollout {
    pub listeners: Listeners,
    /// The link (`Link::serial`) that the next two speak of.
    link_serial: u64,
    /// The listeners that its data plane holds the sockets of.
    handed_over: HashSet<String>,
    /// What it was given of what the store keeps of objects.
    marks: Marks,
    /// It was given the whole of the document in force and the keys.
    is_synced: bool,
    /// In force, but the store could not be told so; told before the next change.
    unmarked: Vec<u64>,
}

/// How far a data plane is with what the store keeps of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Marks {
    #[default]
    None,
    /// It is tried again and again.
    Awaited,
    Given,
}

impl Rollout {
    pub fn new(listeners: Listeners) -> Rollout {
        Rollout {
            listeners,
            ..Rollout::default()
        }
    }

    /// What was known of an earlier link does not hold for a new one.
    fn turn_to(&mut self, link: &Link) {
        if self.link_serial != link.serial() {
            self.link_serial = link.serial();
            self.handed_over.clear();
            self.is_synced = false;
            self.marks = Marks::default();
        }
    }

    /// Takes the sockets that an adopted data plane handed back.
    pub fn adopt(&mut self, link: &Link, handed_back: HandedBack) {
        self.turn_to(link);
        self.handed_over
            .extend(handed_back.iter().map(|(name, ..)| name.clone()));
        self.listeners.restore(handed_back);
    }

    /// Hands over what the data plane does not hold yet: what is remembered of objects, and then sockets, so that nobody
    /// is served without.
    async fn hand_over(&mut self, plane: &Arc<Plane>, link: &Arc<Link>) -> Result<(), LinkError> {
        self.turn_to(link);
        if self.marks == Marks::None {
            self.marks = match marks::give(plane, link).await {
                Ok(()) => Marks::Given,
                // All but lists is served without.
                Err(error) => {
                    plane.events.tell(
                        "marks_failed",
                        format!(
                            "whose objects at providers are could not be told to the data plane, which answers no lists \
                             until it is: {error}; tried again"
                        ),
                    );
                    tokio::spawn(marks::give_later(plane.clone(), Arc::downgrade(link)));
                    Marks::Awaited
                }
            };
        }
        self.listeners.fit(usize::from(link.hello().shards))?;
        for name in self.listeners.names() {
            let Some(bound) = self.listeners.get(&name).filter(|_| !self.handed_over.contains(&name)) else {
                continue;
            };
            link.hand_over(&name, bound.actual, &bound.sockets).await?;
            self.handed_over.insert(name);
        }
        Ok(())
    }
}

/// The addresses that a document wants listened on.
fn wanted_listeners(document: &Document) -> Vec<(String, SocketAddr)> {
    document
        .listeners
        .iter()
        .map(|(name, listener)| (name.clone(), listener.address))
        .collect()
}

/// What is to be changed.
pub enum Edit {
    /// The whole document.
    Whole(Parsed),
    /// One value of the document.
    Set {
        pointer: String,
        value: serde_json::Value,
    },
    Delete {
        pointer: String,
    },
    /// Back to an earlier revision's document.
    Rollback(u64),
}

/// How a change is to be made.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    pub why: Option<String>,
    /// Refused unless this revision is in force (`If-Match`).
    pub if_revision: Option<u64>,
    pub mode: Mode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Apply,
    DryRun,
}

/// A change that was made, or with `DryRun` could be.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The revision in force; of a dry run, the one it would become.
    pub revision: u64,
    pub changes: Vec<diff::Change>,
    /// What each shard runs; empty for a dry run.
    pub shards: Vec<ShardRevision>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Why a change was not made. Always: the old revision stays in force.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the document has {} fault(s)", .0.len())]
    Faults(Vec<Problem>),
    #[error("revision {current} is in force, not the one the change was made for")]
    Race { current: u64 },
    #[error("{0}")]
    Pointer(#[from] PointerError),
    #[error("there is no revision {0}")]
    NoSuchRevision(u64),
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The data plane fell silent during the commit; which revision it runs is settled when it answers again.
    #[error(
        "the data plane fell silent while it committed revision {revision}; `tollgate status` will show which one runs"
    )]
    Unsettled { revision: u64 },
    #[error("{0}")]
    Broken(String),
}

#[cfg(test)]
mod tests;
