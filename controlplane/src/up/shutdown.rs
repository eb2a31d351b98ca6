//! The end of a data plane that we started or adopted.

use std::{sync::Arc, time::Duration};

use rustix::process::Signal;

use super::dataplane::Running;
use crate::{drain, plane::Plane};

/// Beyond delay and grace, for closing what is left.
const MARGIN: Duration = Duration::from_secs(5);
/// For writing what caches keep: as long as the data plane takes at most.
const SNAPSHOTS: Duration = Duration::from_secs(10);

/// Drains it and waits for its end.
pub async fn drain(plane: &Arc<Plane>, running: &mut Running) {
    plane.events.tell("draining", "the gateway ends");
    let document = &plane.current().document;
    let grace = Duration::from_millis(document.shutdown_grace_ms);
    let snapshots = match document.caches.iter().any(|(_, cache)| cache.snapshot.is_some()) {
        true => SNAPSHOTS,
        false => Duration::ZERO,
    };
    let patience = drain::delay(plane) + grace + snapshots + MARGIN;
    if drain::begin(plane).await.is_err() && !running.link.is_closed() {
        // It drains on SIGTERM as well, which reaches it when the link does not.
        running.process.signal(Signal::TERM);
    }
    end(running, patience).await;
}

/// A start that failed: one that we started has served nobody, one that was adopted goes on.
pub async fn abandon(mut running: Box<Running>) {
    if running.process.is_child() {
        running.process.signal(Signal::TERM);
        end(&mut running, MARGIN).await;
    }
}

async fn end(running: &mut Running, patience: Duration) {
    if tokio::time::timeout(patience, running.process.ended()).await.is_err() {
        tracing::warn!(
            pid = running.process.pid(),
            "the data plane did not end in time; ending it"
        );
        running.process.signal(Signal::KILL);
        running.process.ended().await;
    }
}
