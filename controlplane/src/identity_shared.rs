//! Keys that were made, changed or revoked at another control plane come here: into the store, and onto every shard. One
//! second at most while the database can be reached; while it cannot, what was last known is in force.

use std::sync::Arc;

use tollgate_config::link::{AnswerBody, AskBody, StoredKey};

use crate::{
    link::{ANSWER_TIMEOUT, LinkError},
    plane::Plane,
    store::{
        StoreError, settings,
        shared::{self, Change, Table},
    },
};

/// How far the changes were followed, and of which database.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Followed {
    identity: String,
    last: i64,
}

#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the data plane could not be told: {0}")]
    Link(#[from] LinkError),
}

/// Looks for changes as long as the process lives.
pub fn follow(plane: &Arc<Plane>) {
    let plane = plane.clone();
    tokio::spawn(async move {
        let mut is_failing = false;
        loop {
            if plane.store.is_shared() {
                let looked = look(&plane).await;
                match (&looked, is_failing) {
                    (Err(error), false) => {
                        let text = format!("keys stay as they were last known: {error}");
                        plane.events.tell("keys_not_followed", text);
                    }
                    (Ok(()), true) => plane.events.tell("keys_followed", "shared keys are followed again"),
                    _ => {}
                }
                is_failing = looked.is_err();
            }
            plane
                .keys_failing
                .store(is_failing, std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(shared::INTERVAL).await;
        }
    });
}

/// Takes over all changes there are.
async fn look(plane: &Arc<Plane>) -> Result<(), Halt> {
    plane.store.settle_doubts().await?;
    for name in plane.store.taken_back() {
        let text = format!("a change of the key {name} that was answered as failed had been made, and is taken back");
        plane.events.tell("key_change_taken_back", text);
    }
    let Some(Table {
        identity,
        last,
        forgotten,
    }) = plane.store.shared_table().await?
    else {
        return Ok(());
    };
    if !plane.store.apart().await?.is_empty() {
        let _rollout = plane.rollout.lock().await;
        bring_apart(plane).await?;
    }
    let mut followed = match followed(plane).await?.filter(|known| known.identity == identity) {
        // A restored database has lost changes, and gives their numbers to others: all that it holds is looked at.
        Some(known) if known.last > last => {
            let text = format!(
                "changes of keys {} to {} are lost; all keys are read again",
                last + 1,
                known.last
            );
            plane.events.tell("keys_lost", text);
            let followed = Followed { last: 0, ..known };
            remember(plane, &followed).await?;
            followed
        }
        Some(known) if (1..forgotten).contains(&known.last) => {
            take_out_missed(plane).await?;
            known
        }
        Some(known) => known,
        None => join(plane, identity).await?,
    };
    loop {
        // Read before anybody waits for it: a database that hangs holds up no change of the document, and no data plane.
        let written = plane.store.written();
        let changes = plane.store.changes(followed.last).await?;
        if changes.is_empty() {
            return Ok(());
        }
        // No change made here, of keys or of the document, is between what was read and what it does.
        let _rollout = plane.rollout.lock().await;
        if plane.store.written() != written {
            continue;
        }
        let Some(last) = changes.last().map(|change| change.number) else {
            return Ok(());
        };
        take_over(plane, changes).await?;
        followed.last = last;
        remember(plane, &followed).await?;
    }
}

/// What was changed here while keys were not shared is changed where all are, or not at all where it was changed there as well.
/// Whoever calls it holds the rollout.
async fn bring_apart(plane: &Plane) -> Result<(), Halt> {
    let apart = plane.store.apart().await?;
    // What goes to another table than before is brought along by who joins it.
    if apart.is_empty() || !is_joined(plane).await? {
        return Ok(());
    }
    let mut taken = Vec::new();
    for one in apart {
        let name = one.0.clone();
        match plane.store.bring_apart(one).await {
            Err(StoreError::Exists(_) | StoreError::Elsewhere(_)) => {
                take_over_one(plane, &name).await?;
                taken.push(name.clone());
            }
            brought => brought?,
        }
        plane.store.forget_apart(Some(name)).await?;
    }
    tell_of_taken(plane, &taken);
    Ok(())
}

/// Before a key is changed: what was changed here before goes first. Whoever calls it holds the rollout.
pub async fn prepare(plane: &Plane) -> Result<(), StoreError> {
    match bring_apart(plane).await {
        Err(Halt::Store(error)) => Err(error),
        // Who looks next tells the shards.
        Ok(()) | Err(Halt::Link(_)) => Ok(()),
    }
}

/// A change was refused since the key is another one there: whoever looks at it now finds that one. Whoever calls it holds the
/// rollout.
pub async fn follow_one(plane: &Plane, name: &str) {
    let followed = match is_joined(plane).await {
        Ok(true) => take_over_one(plane, name).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = followed {
        tracing::warn!(%error, name, "a key that was changed elsewhere is taken over with the next look");
    }
}

/// What is not known there at all was lost there, and stays as it is here until it is revoked.
async fn take_over_one(plane: &Plane, name: &str) -> Result<(), Halt> {
    match plane.store.shared_key(name.to_owned()).await? {
        Some(change) => take_over(plane, vec![change]).await,
        None => Ok(()),
    }
}

/// Is the table that is there the one that was followed?
async fn is_joined(plane: &Plane) -> Result<bool, StoreError> {
    let table = plane.store.shared_table().await?;
    let known = followed(plane).await?;
    Ok(table
        .zip(known)
        .is_some_and(|(table, known)| table.identity == known.identity))
}

async fn take_over(plane: &Plane, changes: Vec<Change>) -> Result<(), Halt> {
    let (mut upsert, mut remove) = (Vec::<StoredKey>::new(), Vec::<String>::new());
    for change in changes {
        match change.row {
            // Also what is known: the shards may not have been told.
            Some(row) => {
                upsert.push(row.key.clone());
                plane.store.replace_own_key(row).await?;
            }
            None => {
                plane.store.remove_own_key(change.name.clone()).await?;
                remove.push(change.name);
            }
        }
    }
    tell_shards(plane, upsert, remove).await
}

/// Without a data plane there is nobody to tell: the next one is given all keys.
async fn tell_shards(plane: &Plane, upsert: Vec<StoredKey>, remove: Vec<String>) -> Result<(), Halt> {
    if let Ok(link) = plane.link.now()
        && !(upsert.is_empty() && remove.is_empty())
    {
        let told = link.ask(AskBody::Keys { upsert, remove }, ANSWER_TIMEOUT).await;
        if !matches!(told?, AnswerBody::Done) {
            return Err(LinkError::Unexpected.into());
        }
    }
    Ok(())
}

/// Names of keys that went were forgotten before they were heard of here: what is not there any more is gone.
async fn take_out_missed(plane: &Arc<Plane>) -> Result<(), Halt> {
    let written = plane.store.written();
    let there = plane.store.shared_names().await?;
    let _rollout = plane.rollout.lock().await;
    // Whatever was made here meanwhile may be missing in it: the next look has it.
    if plane.store.written() != written {
        return Err(StoreError::Overtaken.into());
    }
    let own = plane.store.keys().await?.into_iter().map(|row| row.key.name);
    let gone: Vec<String> = own.filter(|name| !there.contains(name)).collect();
    for name in &gone {
        plane.store.remove_own_key(name.clone()).await?;
    }
    tell_shards(plane, Vec::new(), gone).await
}

/// Its own keys go where all are; what is there already has the name.
async fn join(plane: &Arc<Plane>, identity: String) -> Result<Followed, Halt> {
    let own = plane.store.keys().await?;
    let taken = plane.store.bring(own).await?;
    plane.store.forget_apart(None).await?;
    tell_of_taken(plane, &taken);
    let followed = Followed { identity, last: 0 };
    remember(plane, &followed).await?;
    Ok(followed)
}

fn tell_of_taken(plane: &Plane, taken: &[String]) {
    if !taken.is_empty() {
        let text = format!("keys of these names were there before, and count: {}", taken.join(", "));
        plane.events.tell("keys_taken", text);
    }
}

async fn followed(plane: &Plane) -> Result<Option<Followed>, StoreError> {
    let known = plane.store.setting(settings::KEYS_FOLLOWED).await?;
    Ok(known.as_deref().and_then(read))
}

async fn remember(plane: &Plane, followed: &Followed) -> Result<(), StoreError> {
    let text = format!("{} {}", followed.last, followed.identity);
    plane.store.set_setting(settings::KEYS_FOLLOWED, Some(text)).await
}

fn read(text: &str) -> Option<Followed> {
    let (last, identity) = text.split_once(' ')?;
    Some(Followed {
        identity: identity.to_owned(),
        last: last.parse().ok()?,
    })
}
