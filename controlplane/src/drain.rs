//! The end in order: the data plane says not ready, then stops accepting, then finishes what is in flight. The control
//! plane's copies of the listening sockets are closed when accepting stops: kept, they would queue connections that
//! nobody will accept.

use std::{
    io::IsTerminal,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use tollgate_config::link::AskBody;

use crate::{
    link::{ANSWER_TIMEOUT, LinkError},
    plane::Plane,
};

/// Where the document leaves it to the surroundings, and they are no terminal.
const DELAY: Duration = Duration::from_secs(5);

/// From the drain's beginning until accepting stops. The data plane, whose stderr is ours, comes to the same.
pub fn delay(plane: &Plane) -> Duration {
    match plane.current().document.drain_delay_ms {
        Some(ms) => Duration::from_millis(ms),
        None if std::io::stderr().is_terminal() => Duration::ZERO,
        None => DELAY,
    }
}

/// Begins a drain; the data plane ends by itself when it is done.
pub async fn begin(plane: &Arc<Plane>) -> Result<(), LinkError> {
    let link = plane.link.now()?;
    // Before it is asked: it may end before its answer is read, and must not be started again then.
    plane.draining.store(true, Ordering::SeqCst);
    if let Err(error) = link.ask(AskBody::Drain, ANSWER_TIMEOUT).await
        && !link.is_closed()
    {
        plane.draining.store(false, Ordering::SeqCst);
        return Err(error);
    }
    let (delay, closing) = (delay(plane), plane.clone());
    let task = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        closing.rollout.lock().await.listeners.close();
    });
    keep(plane, Some(task.abort_handle()));
    Ok(())
}

/// Takes a drain back, as long as the data plane still accepts.
pub async fn take_back(plane: &Arc<Plane>) -> Result<(), LinkError> {
    let link = plane.link.now()?;
    link.ask(AskBody::Resume, ANSWER_TIMEOUT).await?;
    keep(plane, None);
    plane.draining.store(false, Ordering::SeqCst);
    let mut rollout = plane.rollout.lock().await;
    if rollout.listeners.names().is_empty() {
        // Ours were closed in the same instant; the data plane still has its own.
        let handed_back = link.take_listeners().await?;
        rollout.adopt(&link, handed_back);
    }
    Ok(())
}

/// At most one task waits to close the sockets.
fn keep(plane: &Plane, task: Option<tokio::task::AbortHandle>) {
    let mut closing = plane.closing.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(former) = std::mem::replace(&mut *closing, task) {
        former.abort();
    }
}
