//! What happens, as it happens: a bounded memory of events and a feed for those who watch.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use tokio::sync::broadcast;
use tollgate_config::link::Event;

use crate::time::unix_ms;

/// Events kept for those who ask again with `Last-Event-ID`.
const REMEMBERED_EVENTS: usize = 1024;
/// How far a watcher may fall behind before it loses events.
const FEED_EVENTS: usize = 256;

/// An event with its place in this control plane's life (from 1).
#[derive(Clone, Debug, Serialize)]
pub struct Numbered {
    pub id: u64,
    #[serde(flatten)]
    pub event: Event,
}

struct Memory {
    recent: VecDeque<Arc<Numbered>>,
    next_id: u64,
}

pub struct Events {
    memory: Mutex<Memory>,
    feed: broadcast::Sender<Arc<Numbered>>,
}

impl Default for Events {
    fn default() -> Self {
        let memory = Memory {
            recent: VecDeque::with_capacity(REMEMBERED_EVENTS),
            next_id: 1,
        };
        Events {
            memory: Mutex::new(memory),
            feed: broadcast::channel(FEED_EVENTS).0,
        }
    }
}

impl Events {
    /// Something happened here, now; also a line of the log.
    pub fn tell(&self, kind: &str, text: impl Into<String>) {
        let text = text.into();
        tracing::info!(event = kind, "{text}");
        self.pass_on(Event {
            unix_ms: unix_ms(),
            kind: kind.to_owned(),
            text,
            facts: None,
        });
    }

    /// Something happened elsewhere.
    pub fn pass_on(&self, event: Event) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = Arc::new(Numbered {
            id: memory.next_id,
            event,
        });
        memory.next_id += 1;
        if memory.recent.len() == REMEMBERED_EVENTS {
            memory.recent.pop_front();
        }
        memory.recent.push_back(numbered.clone());
        // Sent under the lock, so that a watcher who subscribes sees each event once. No watcher is no error.
        let _ = self.feed.send(numbered);
    }

    /// The remembered events after `after`, and the feed of all that follow them.
    pub fn watch(&self, after: Option<u64>) -> (Vec<Arc<Numbered>>, broadcast::Receiver<Arc<Numbered>>) {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = match after {
            Some(after) => memory.recent.iter().filter(|e| e.id > after).cloned().collect(),
            None => Vec::new(),
        };
        (missed, self.feed.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, REMEMBERED_EVENTS};

    #[tokio::test]
    async fn a_watcher_sees_each_event_once() {
        let events = Events::default();
        events.tell("a", "one");
        events.tell("a", "two");
        let (missed, mut feed) = events.watch(Some(1));
        events.tell("a", "three");
        assert_eq!(
            missed.iter().map(|e| e.event.text.as_str()).collect::<Vec<_>>(),
            ["two"]
        );
        assert_eq!(feed.recv().await.unwrap().event.text, "three");
        assert!(events.watch(None).0.is_empty());
    }

    #[test]
    fn the_memory_is_bounded() {
        let events = Events::default();
        for n in 0..REMEMBERED_EVENTS + 10 {
            events.tell("a", n.to_string());
        }
        let (all, _feed) = events.watch(Some(0));
        assert_eq!((all.len(), all[0].id), (REMEMBERED_EVENTS, 11));
    }
}
