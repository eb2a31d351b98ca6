//! Webhooks: events that are told to addresses of the document, signed, tried again with growing pauses, in order. Beside
//! everything else: no request and no shard waits for one. Each address has a bounded queue; what does not fit is dropped and
//! counted.

mod post;
mod sign;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{
        broadcast::error::RecvError,
        mpsc::{self, error::TrySendError},
    },
    task::JoinHandle,
};
use tollgate_config::document::Webhook;

use crate::{events::Numbered, plane::Plane, time::unix_s};

/// Events that wait for one address.
const QUEUE_EVENTS: usize = 256;
/// After each failure twice the pause before, from the first to the last: some ten hours in all.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(3_600);
const MAX_TRIES: u32 = 20;

/// What became of notices since the start.
#[derive(Debug, Default)]
pub struct Counts {
    pub delivered: AtomicU64,
    pub failed_tries: AtomicU64,
    pub dropped: AtomicU64,
}

/// Tells of events until the runtime ends.
pub fn follow(plane: &Arc<Plane>) {
    let (_, mut feed) = plane.events.watch(None);
    let plane = plane.clone();
    tokio::spawn(async move {
        let mut queues: BTreeMap<String, Queue> = BTreeMap::new();
        loop {
            match feed.recv().await {
                Ok(event) => pass_on(&plane, &mut queues, &event),
                Err(RecvError::Lagged(lost)) => drop_events(&plane, lost, "they came faster than they were read"),
                Err(RecvError::Closed) => return,
            }
        }
    });
}

/// What waits for one address, and the task that delivers it.
struct Queue {
    sender: mpsc::Sender<Arc<Numbered>>,
    task: JoinHandle<()>,
    /// An event has left the queue and is not told yet.
    telling: Arc<AtomicBool>,
}

/// A name that comes again has a queue of its own: what was left of the one before must not come between.
impl Drop for Queue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn pass_on(plane: &Arc<Plane>, queues: &mut BTreeMap<String, Queue>, event: &Arc<Numbered>) {
    let current = plane.current();
    let webhooks = &current.document.webhooks;
    queues.retain(|name, queue| {
        let is_kept = webhooks.iter().any(|(kept, _)| kept == name);
        if !is_kept && !queue.task.is_finished() {
            // Those that wait, and the one that is being told.
            let left = queue.sender.max_capacity() - queue.sender.capacity()
                + usize::from(queue.telling.load(Ordering::Relaxed));
            if left > 0 {
                drop_events(plane, left as u64, &format!("webhook '{name}' is no longer configured"));
            }
        }
        is_kept
    });
    let wants = |webhook: &Webhook| webhook.events.contains(&&*event.event.kind);
    for (name, _) in webhooks.iter().filter(|(_, webhook)| wants(webhook)) {
        let queue = queues.entry(name.clone()).or_insert_with(|| begin(plane, name.clone()));
        match queue.sender.try_send(event.clone()) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => drop_events(plane, 1, &format!("the queue of webhook '{name}' is full")),
            Err(TrySendError::Closed(_)) => drop_events(plane, 1, &format!("webhook '{name}' has ended")),
        }
    }
}

fn drop_events(plane: &Plane, count: u64, why: &str) {
    plane.webhooks.dropped.fetch_add(count, Ordering::Relaxed);
    tracing::warn!(count, why, "notices to webhooks are dropped");
}

/// A task that delivers to one address, one event after the other; it ends when its sender is dropped.
fn begin(plane: &Arc<Plane>, name: String) -> Queue {
    let (sender, mut queue) = mpsc::channel::<Arc<Numbered>>(QUEUE_EVENTS);
    let (plane, telling) = (plane.clone(), Arc::<AtomicBool>::default());
    let is_telling = Arc::clone(&telling);
    let task = tokio::spawn(async move {
        while let Some(event) = queue.recv().await {
            telling.store(true, Ordering::Relaxed);
            deliver(&plane, &name, &event).await;
            telling.store(false, Ordering::Relaxed);
        }
    });
    Queue {
        sender,
        task,
        telling: is_telling,
    }
}

/// Tries until it is taken, refused for good, or no longer wanted.
async fn deliver(plane: &Plane, name: &str, event: &Numbered) {
    let mut pause = FIRST_PAUSE;
    for tried in 1..=MAX_TRIES {
        // Read anew each time: what was wrong may have been set right meanwhile.
        let current = plane.current();
        let Some((_, webhook)) = current.document.webhooks.iter().find(|(known, _)| known == name) else {
            return drop_events(plane, 1, &format!("webhook '{name}' is no longer configured"));
        };
        let why = match post::send(webhook, unix_s(), event).await {
            Ok(()) => {
                plane.webhooks.delivered.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(why) => why,
        };
        plane.webhooks.failed_tries.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            webhook = name,
            event = event.event.kind,
            tried,
            why,
            "a webhook was not told"
        );
        if tried < MAX_TRIES {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
    drop_events(
        plane,
        1,
        &format!("webhook '{name}' has not taken it in {MAX_TRIES} tries"),
    );
}
