//! A data plane that has just come, or come back, is given all that it should hold.

use std::{net::SocketAddr, sync::Arc};

use tollgate_config::{Document, Problem};

use super::{
    Refusal,
    change::{PushError, prepare_and_commit},
    wanted_listeners,
};
use crate::{
    link::Link,
    plane::{Current, Plane},
    truth,
};

/// Gives the data plane of `link` the document in force, the keys and the sockets, unless a change did so already.
pub async fn sync(plane: &Arc<Plane>, link: &Arc<Link>) -> Result<(), Refusal> {
    let mut rollout = plane.rollout.lock().await;
    rollout.turn_to(link);
    let current = plane.current();
    if rollout.is_synced || current.revision == 0 {
        return Ok(());
    }
    let keys = plane.store.keys().await?.into_iter().map(|row| row.key).collect();
    match prepare_and_commit(link, current.revision, &current.tree, keys).await {
        Ok(Ok(_)) => {}
        Ok(Err(problems)) => {
            // It runs its last good document: with its sockets that serves better than nothing.
            rollout.hand_over(plane, link).await?;
            return Err(Refusal::Faults(problems));
        }
        Err(PushError::BeforeCommit(error) | PushError::DuringCommit(error)) => return Err(error.into()),
    }
    rollout.hand_over(plane, link).await?;
    rollout.is_synced = true;
    Ok(())
}

/// Opens every socket that `document` wants, before a data plane is started for it: a port in use is then said
/// clearly, and early connections wait in the queue.
pub async fn bind(plane: &Arc<Plane>, document: &Document) -> Result<(), Vec<Problem>> {
    let mut rollout = plane.rollout.lock().await;
    let wanted = wanted_listeners(document);
    let opening = rollout.listeners.open(&wanted)?;
    let admin = plane
        .admin
        .open(admin_address(document))
        .map_err(|problem| vec![problem])?;
    for name in rollout.listeners.put_in_force(opening, &wanted) {
        rollout.handed_over.remove(&name);
    }
    plane.admin.put_in_force(plane, admin);
    Ok(())
}

/// Makes a recovered document the one in force here, with the admin token it refers to.
pub async fn resume(plane: &Arc<Plane>, mut current: Current) {
    let _rollout = plane.rollout.lock().await;
    // The document was compiled before; here only the token is wanted, and without it /admin stays closed.
    match truth::admin_token(&current.document) {
        Ok(token) => current.truth.admin_token_sha256 = token,
        Err(problem) => tracing::warn!(pointer = problem.pointer, "{}", problem.wrong),
    }
    plane.set_current(current);
}

fn admin_address(document: &Document) -> Option<SocketAddr> {
    document.admin.as_ref().map(|admin| admin.address)
}
