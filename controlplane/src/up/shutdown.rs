//! The end of a data plane that we started or adopted.

use std::{sync::Arc, time::Duration};

use rustix::process::Signal;
use tollgate_config::link::AskBody;

use super::dataplane::Running;
use crate::{link::ANSWER_TIMEOUT, plane::Plane};

/// Where the document leaves it to the surroundings: not on a terminal.
const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// Beyond delay and grace, for closing what is left.
const MARGIN: Duration = Duration::from_secs(5);

/// Asks it to drain and waits for its end: readiness first, then no new connections, then what is in flight.
pub async fn drain(plane: &Arc<Plane>, running: &mut Running) {
    plane.events.tell("draining", "the gateway ends");
    let document = &plane.current().document;
    let delay = document.drain_delay_ms.map_or(DRAIN_DELAY, Duration::from_millis);
    let patience = delay + Duration::from_millis(document.shutdown_grace_ms) + MARGIN;
    // It drains on SIGTERM as well, which reaches it when the link does not.
    let asked = running.link.ask(AskBody::Drain, ANSWER_TIMEOUT).await;
    if asked.is_err() && !running.link.is_closed() {
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
