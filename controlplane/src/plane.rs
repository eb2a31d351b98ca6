//! What all parts of a running control plane share: where it lives, its store, the link, the document in force.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Instant,
};

use serde_json::Value;
use tokio::{
    sync::{Mutex, watch},
    task::AbortHandle,
};
use tollgate_config::Document;

use crate::{
    admin::AdminServer,
    events::Events,
    link::LinkSlot,
    metering::{Metering, kafka},
    rollout::Rollout,
    store::Store,
    truth::Truth,
    webhooks,
};

/// Who does something: shown in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// A user's name, `file`, `quick start`, `admin token`, …
    pub name: String,
    pub uid: Option<u32>,
}

impl Actor {
    pub fn named(name: &str) -> Actor {
        Actor {
            name: name.to_owned(),
            uid: None,
        }
    }
}

/// The document in force. Revision 0 is the empty beginning.
#[derive(Debug, Default)]
pub struct Current {
    pub revision: u64,
    pub tree: Value,
    pub document: Document,
    pub truth: Truth,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub dataplane_restarts: AtomicU64,
    pub changes_applied: AtomicU64,
    pub changes_refused: AtomicU64,
}

pub struct Plane {
    pub state_dir: PathBuf,
    pub control_socket: PathBuf,
    pub store: Store,
    pub metering: Metering,
    pub link: LinkSlot,
    pub events: Events,
    pub counters: Counters,
    pub webhooks: webhooks::Counts,
    pub kafka: kafka::Standing,
    pub started: Instant,
    /// Asked to drain through the API: the data plane's end is then wanted.
    pub draining: AtomicBool,
    /// The task that closes the listening sockets when a drain stops accepting.
    pub closing: std::sync::Mutex<Option<AbortHandle>>,
    /// Held through every change, so that changes happen one after the other.
    pub rollout: Mutex<Rollout>,
    /// Held while marks are on their way between the store and a data plane.
    pub keeping: Mutex<()>,
    pub admin: AdminServer,
    /// Keys of other control planes cannot be followed.
    pub keys_failing: AtomicBool,
    current: watch::Sender<Arc<Current>>,
}

impl Plane {
    pub fn new(
        state_dir: PathBuf,
        control_socket: PathBuf,
        (store, metering): (Store, Metering),
        rollout: Rollout,
    ) -> Arc<Plane> {
        Arc::new(Plane {
            state_dir,
            control_socket,
            store,
            metering,
            link: LinkSlot::empty(),
            events: Events::default(),
            counters: Counters::default(),
            webhooks: webhooks::Counts::default(),
            kafka: kafka::Standing::default(),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            closing: Default::default(),
            rollout: Mutex::new(rollout),
            keeping: Mutex::default(),
            admin: AdminServer::default(),
            keys_failing: AtomicBool::new(false),
            current: watch::channel(Arc::default()).0,
        })
    }

    pub fn current(&self) -> Arc<Current> {
        self.current.borrow().clone()
    }

    /// Only `rollout` calls this, holding its lock.
    pub fn set_current(&self, current: Current) {
        self.store.share(current.document.database.as_ref());
        self.current.send_replace(Arc::new(current));
    }
}
