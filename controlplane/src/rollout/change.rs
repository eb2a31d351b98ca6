//! One change, from the edit to its being in force.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tollgate_config::{
    Document, check, diff,
    link::{AnswerBody, AskBody, ShardRevision, StoredKey},
    parse::Parsed,
    pointer,
};

use super::{Edit, Mode, Outcome, Refusal, Rollout, Terms, recovery, wanted_listeners};
use crate::{
    admin::AdminOpening,
    link::{ANSWER_TIMEOUT, Link, LinkError, PREPARE_TIMEOUT},
    listeners::Opening,
    plane::{Actor, Current, Plane},
    store::NewRevision,
    time::unix_ms,
    truth::{self, Truth},
};

/// A data plane that is just being restarted is waited for this long.
const LINK_PATIENCE: Duration = Duration::from_secs(10);

/// Makes the change, or leaves everything as it was and says why. Runs to its end even if the caller goes away.
pub async fn change(plane: &Arc<Plane>, edit: Edit, actor: Actor, terms: Terms) -> Result<Outcome, Refusal> {
    let plane = plane.clone();
    let task = tokio::spawn(async move {
        let mut rollout = plane.rollout.lock().await;
        let mode = terms.mode;
        let made = make(&plane, &mut rollout, edit, actor, terms).await;
        match &made {
            Ok(_) if mode == Mode::DryRun => {}
            Ok(_) => _ = plane.counters.changes_applied.fetch_add(1, Ordering::Relaxed),
            Err(refusal) => {
                plane.counters.changes_refused.fetch_add(1, Ordering::Relaxed);
                tracing::info!(reason = %refusal, "a change was refused");
            }
        }
        made
    });
    task.await
        .unwrap_or_else(|e| Err(Refusal::Broken(format!("the change ended early: {e}"))))
}

/// A document that passed every check here, and what was opened for it.
struct Candidate {
    revision: u64,
    parsed: Parsed,
    document: Document,
    changes: Vec<diff::Change>,
    truth: Truth,
    keys: Vec<StoredKey>,
    listeners: Opening,
    admin: AdminOpening,
}

async fn make(
    plane: &Arc<Plane>,
    rollout: &mut Rollout,
    edit: Edit,
    actor: Actor,
    terms: Terms,
) -> Result<Outcome, Refusal> {
    let current = plane.current();
    if terms.if_revision.is_some_and(|wanted| wanted != current.revision) {
        return Err(Refusal::Race {
            current: current.revision,
        });
    }
    let parsed = edited(plane, &current, edit).await?;
    if current.revision > 0 && parsed.tree == current.tree {
        return Ok(unchanged(plane, current.revision, terms.mode).await);
    }
    let candidate = examine(plane, rollout, &current, parsed).await?;
    if terms.mode == Mode::DryRun {
        let Candidate { revision, changes, .. } = candidate;
        return Ok(Outcome {
            revision,
            changes,
            shards: Vec::new(),
            dry_run: true,
        });
    }
    let link = plane.link.within(LINK_PATIENCE).await?;
    mark_what_is_in_force(plane, rollout).await;
    plane
        .store
        .insert_pending(new_revision(&candidate, &actor, terms.why))
        .await?;
    let shards = match push(plane, &link, &candidate).await {
        Ok(shards) => shards,
        Err(refusal) => {
            let settled = !matches!(refusal, Refusal::Unsettled { .. });
            if settled && let Err(error) = plane.store.remove_pending(candidate.revision).await {
                tracing::warn!(%error, "a refused revision stays in the store as pending; the next change replaces it");
            }
            return Err(refusal);
        }
    };
    Ok(put_in_force(plane, rollout, &link, candidate, actor, shards).await)
}

/// The tree after the edit.
async fn edited(plane: &Plane, current: &Current, edit: Edit) -> Result<Parsed, Refusal> {
    Ok(match edit {
        Edit::Whole(parsed) => parsed,
        Edit::Set { pointer, value } => {
            let mut tree = current.tree.clone();
            pointer::set(&mut tree, &pointer, value)?;
            Parsed::from_tree(tree)
        }
        Edit::Delete { pointer } => {
            let mut tree = current.tree.clone();
            pointer::delete(&mut tree, &pointer)?;
            Parsed::from_tree(tree)
        }
        Edit::Rollback(number) => {
            let revision = plane
                .store
                .revision(number)
                .await?
                .ok_or(Refusal::NoSuchRevision(number))?;
            Parsed::from_tree(revision.document)
        }
    })
}

async fn unchanged(plane: &Plane, revision: u64, mode: Mode) -> Outcome {
    let mut shards = Vec::new();
    if mode == Mode::Apply
        && let Ok(link) = plane.link.now()
        && let Ok(AnswerBody::Status(status)) = link.ask(AskBody::Status, ANSWER_TIMEOUT).await
    {
        shards = status
            .shards
            .iter()
            .map(|s| ShardRevision {
                id: s.id,
                revision: s.revision,
            })
            .collect();
    }
    Outcome {
        revision,
        changes: Vec::new(),
        shards,
        dry_run: mode == Mode::DryRun,
    }
}

/// Everything that can be found out without the data plane.
async fn examine(
    plane: &Plane,
    rollout: &Rollout,
    current: &Arc<Current>,
    parsed: Parsed,
) -> Result<Candidate, Refusal> {
    let revision = current.revision + 1;
    let keys: Vec<StoredKey> = plane.store.keys().await?.into_iter().map(|row| row.key).collect();
    let before = current.clone();
    // Off the runtime's threads: a large document takes a while to compile.
    let worked = tokio::task::spawn_blocking(move || {
        let document = check::check(&parsed).map_err(Refusal::Faults)?;
        let changes = diff::diff(&before.tree, &parsed.tree);
        let located = |problems: Vec<_>| Refusal::Faults(located(problems, &parsed));
        let truth = truth::dry_run(revision, &document, &keys).map_err(located)?;
        Ok::<_, Refusal>((parsed, document, changes, truth, keys))
    });
    let (parsed, document, changes, truth, keys) = worked
        .await
        .map_err(|e| Refusal::Broken(format!("the dry run ended early: {e}")))??;
    let faults = |problems| Refusal::Faults(located(problems, &parsed));
    let listeners = rollout.listeners.open(&wanted_listeners(&document)).map_err(faults)?;
    let admin_address = document.admin.as_ref().map(|admin| admin.address);
    let admin = plane
        .admin
        .open(admin_address)
        .map_err(|problem| faults(vec![problem]))?;
    Ok(Candidate {
        revision,
        parsed,
        document,
        changes,
        truth,
        keys,
        listeners,
        admin,
    })
}

/// Problems found after parsing, with the positions that parsing knows.
fn located(problems: Vec<tollgate_config::Problem>, parsed: &Parsed) -> Vec<tollgate_config::Problem> {
    let locate = |mut problem: tollgate_config::Problem| {
        problem.position = problem.position.or_else(|| parsed.position(&problem.pointer));
        problem
    };
    problems.into_iter().map(locate).collect()
}

fn new_revision(candidate: &Candidate, actor: &Actor, why: Option<String>) -> NewRevision {
    NewRevision {
        number: candidate.revision,
        at_ms: unix_ms(),
        who: actor.name.clone(),
        uid: actor.uid,
        why,
        document: candidate.parsed.tree.clone(),
        changes: candidate.changes.clone(),
    }
}

/// Prepares and commits on the data plane. An error means that the old revision stays in force on every shard.
async fn push(plane: &Plane, link: &Arc<Link>, candidate: &Candidate) -> Result<Vec<ShardRevision>, Refusal> {
    let revision = candidate.revision;
    match prepare_and_commit(link, revision, &candidate.parsed.tree, candidate.keys.clone()).await {
        Ok(Ok(shards)) => Ok(shards),
        Ok(Err(problems)) => Err(Refusal::Faults(located(problems, &candidate.parsed))),
        Err(PushError::BeforeCommit(error)) => {
            // The data plane must not keep a prepared revision that was given up.
            let link = link.clone();
            tokio::spawn(async move { link.ask(AskBody::Abort { revision }, ANSWER_TIMEOUT).await });
            Err(error.into())
        }
        Err(PushError::DuringCommit(LinkError::Failed(reason))) => Err(LinkError::Failed(reason).into()),
        Err(PushError::DuringCommit(error)) => {
            tracing::warn!(%error, revision, "the link failed during a commit; asking which revision runs");
            recovery::settle(plane, link, revision).await
        }
    }
}

/// Where on the way the link failed.
pub enum PushError {
    BeforeCommit(LinkError),
    DuringCommit(LinkError),
}

/// `Err` within `Ok`: the data plane refused, and why.
pub async fn prepare_and_commit(
    link: &Link,
    revision: u64,
    tree: &serde_json::Value,
    keys: Vec<StoredKey>,
) -> Result<Result<Vec<ShardRevision>, Vec<tollgate_config::Problem>>, PushError> {
    let prepare = AskBody::Prepare {
        revision,
        document: tree.clone(),
        keys,
    };
    match link
        .ask(prepare, PREPARE_TIMEOUT)
        .await
        .map_err(PushError::BeforeCommit)?
    {
        AnswerBody::Prepared { .. } => {}
        AnswerBody::Refused { problems } => return Ok(Err(problems)),
        _ => return Err(PushError::BeforeCommit(LinkError::Unexpected)),
    }
    match link
        .ask(AskBody::Commit { revision }, PREPARE_TIMEOUT)
        .await
        .map_err(PushError::DuringCommit)?
    {
        AnswerBody::Committed { shards, .. } if shards.iter().all(|s| s.revision == revision) => Ok(Ok(shards)),
        AnswerBody::Refused { problems } => Ok(Err(problems)),
        _ => Err(PushError::DuringCommit(LinkError::Unexpected)),
    }
}

/// From here on nothing can refuse any more: the shards run it.
async fn put_in_force(
    plane: &Arc<Plane>,
    rollout: &mut Rollout,
    link: &Arc<Link>,
    candidate: Candidate,
    actor: Actor,
    shards: Vec<ShardRevision>,
) -> Outcome {
    let Candidate {
        revision,
        parsed,
        document,
        changes,
        truth,
        listeners,
        admin,
        ..
    } = candidate;
    let wanted = wanted_listeners(&document);
    for name in rollout.listeners.put_in_force(listeners, &wanted) {
        rollout.handed_over.remove(&name);
    }
    rollout
        .handed_over
        .retain(|name| wanted.iter().any(|(wanted, _)| wanted == name));
    plane.set_current(Current {
        revision,
        tree: parsed.tree,
        document,
        truth,
    });
    plane.admin.put_in_force(plane, admin);
    rollout.unmarked.push(revision);
    mark_what_is_in_force(plane, rollout).await;
    // When the link broke meanwhile, `sync` does the rest as soon as there is another.
    match rollout.hand_over(plane, link).await {
        Ok(()) => rollout.is_synced = true,
        Err(error) => plane
            .events
            .tell("listeners_failed", format!("sockets could not be handed over: {error}")),
    }
    let summary = changes.first().map_or("no visible change", |change| &change.summary);
    let more = changes.len().saturating_sub(1);
    let text = match more {
        0 => format!("revision {revision} by {}: {summary}", actor.name),
        _ => format!("revision {revision} by {}: {summary}, and {more} more", actor.name),
    };
    plane.events.tell("revision_applied", text);
    Outcome {
        revision,
        changes,
        shards,
        dry_run: false,
    }
}

/// Tells the store what runs. When it cannot be told (disk full), the data plane's last good file still knows.
async fn mark_what_is_in_force(plane: &Plane, rollout: &mut Rollout) {
    let mut unmarked = Vec::new();
    for revision in std::mem::take(&mut rollout.unmarked) {
        if let Err(error) = plane.store.mark_applied(revision).await {
            tracing::warn!(%error, revision, "in force on every shard, but the store could not be told; tried again later");
            unmarked.push(revision);
        }
    }
    rollout.unmarked = unmarked;
}
