//! What runs, after something ended in the middle of a change. The data plane's word counts: what it runs, or else
//! what its last good file says it will run.

use std::{path::Path, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use tollgate_config::{
    check,
    link::{AnswerBody, AskBody, ShardRevision},
    parse::Parsed,
};

use super::Refusal;
use crate::{
    link::{ANSWER_TIMEOUT, Link},
    plane::{Current, Plane},
    store::{NewRevision, Store},
    time::unix_ms,
    truth::Truth,
};

/// How long a data plane that died during a commit may take to come back before its last good file is believed.
const SETTLE_PATIENCE: Duration = Duration::from_secs(15);
/// The data plane's last good document, in the state directory.
const LAST_GOOD: &str = "last-good.json";

#[derive(Deserialize)]
struct LastGood {
    revision: u64,
    document: Value,
}

/// The link failed between the commit's ask and its answer: finds out on which side of it the data plane is.
pub async fn settle(plane: &Plane, cut: &Arc<Link>, revision: u64) -> Result<Vec<ShardRevision>, Refusal> {
    let refused = Refusal::Broken(format!(
        "the data plane ended before it committed revision {revision}; nothing changed"
    ));
    let Ok(link) = plane.link.within(SETTLE_PATIENCE).await else {
        // No data plane: the next one loads its last good document.
        let will_run = read_last_good(&plane.state_dir).map(|last_good| last_good.revision);
        return if will_run == Some(revision) {
            Ok(Vec::new())
        } else {
            Err(refused)
        };
    };
    if link.serial() != cut.serial() && link.hello().revision != revision {
        return Err(refused);
    }
    match link.ask(AskBody::Status, ANSWER_TIMEOUT).await {
        Ok(AnswerBody::Status(status)) if status.revision == revision => Ok(status
            .shards
            .iter()
            .map(|s| ShardRevision {
                id: s.id,
                revision: s.revision,
            })
            .collect()),
        Ok(AnswerBody::Status(_)) => Err(refused),
        _ => Err(Refusal::Unsettled { revision }),
    }
}

/// At start: settles what an earlier control plane left pending and returns the document in force, if there is one.
/// `running` is the revision of a data plane that is already there.
pub async fn recover(store: &Store, state_dir: &Path, running: Option<u64>) -> Result<Option<Current>, Refusal> {
    let last_good = read_last_good(state_dir);
    let in_force = running.filter(|r| *r > 0).or(last_good.as_ref().map(|l| l.revision));
    for pending in store.pending().await? {
        if Some(pending) == in_force {
            tracing::info!(
                revision = pending,
                "was committed by the data plane before the control plane could say so"
            );
            store.mark_applied(pending).await?;
        } else {
            store.remove_pending(pending).await?;
        }
    }
    let latest = store.latest().await?;
    let stored = latest.as_ref().map_or(0, |latest| latest.head.revision);
    let (revision, tree) = match (last_good, latest) {
        // The store was lost or is an old copy: the data plane knows better.
        (Some(last_good), _) if last_good.revision > stored => {
            store.insert_applied(recovered(&last_good)).await?;
            (last_good.revision, last_good.document)
        }
        (_, Some(latest)) => (latest.head.revision, latest.document),
        (_, None) => return Ok(None),
    };
    let parsed = Parsed::from_tree(tree);
    let document = check::check(&parsed).map_err(Refusal::Faults)?;
    Ok(Some(Current {
        revision,
        tree: parsed.tree,
        document,
        truth: Truth::default(),
    }))
}

fn recovered(last_good: &LastGood) -> NewRevision {
    NewRevision {
        number: last_good.revision,
        at_ms: unix_ms(),
        who: "recovered".into(),
        uid: None,
        why: Some("found in the data plane's last good file".into()),
        document: last_good.document.clone(),
        changes: Vec::new(),
    }
}

fn read_last_good(state_dir: &Path) -> Option<LastGood> {
    let text = std::fs::read(state_dir.join(LAST_GOOD)).ok()?;
    match serde_json::from_slice(&text) {
        Ok(last_good) => Some(last_good),
        Err(error) => {
            tracing::warn!(%error, file = LAST_GOOD, "cannot be read; ignored");
            None
        }
    }
}
