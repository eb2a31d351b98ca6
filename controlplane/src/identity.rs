//! Keys made through the API: created, rotated with an overlap, revoked. A change is stored, then pushed, and done
//! only when every shard has acknowledged it. Secrets leave this file once, in the answer to who made them.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tollgate_config::{
    Problem,
    document::Priority,
    link::{AnswerBody, AskBody, StoredKey},
};

use crate::{
    identity_shared,
    link::{ANSWER_TIMEOUT, LinkError},
    plane::{Actor, Plane},
    store::{KeyRow, StoreError},
    time::{unix_ms, unix_s},
};

/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;
const SECRET_PREFIX: &str = "tg-";
const MAX_NAME_BYTES: usize = 128;
/// How long a key change waits for a data plane that is being restarted.
const LINK_PATIENCE: Duration = Duration::from_secs(10);
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, thiserror::Error)]
pub enum KeyRefusal {
    #[error("{}; {}", .0.wrong, .0.right)]
    Fault(Problem),
    #[error("{0}")]
    Exists(String),
    #[error("there is no key named {0}")]
    NoSuchKey(String),
    #[error("the key {0} stands in the configuration; change it there")]
    InDocument(String),
    #[error("{0}")]
    Store(StoreError),
    #[error("nothing changed: {0}")]
    Link(#[from] LinkError),
    #[error("the key is revoked in the store, and on the shards as soon as the data plane is back: {0}")]
    RevokedLater(LinkError),
    #[error("{0}")]
    Broken(String),
}

impl From<StoreError> for KeyRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Exists(text) => KeyRefusal::Exists(text),
            other => KeyRefusal::Store(other),
        }
    }
}

pub struct NewKey {
    pub name: String,
    pub team: Option<String>,
    pub user: Option<String>,
    pub models: Vec<String>,
    pub expires_unix_s: Option<u64>,
    pub priority: Option<Priority>,
    /// As the document has them; null: none.
    pub limits: Value,
}

/// The only place where a secret is seen.
#[derive(Debug, Serialize)]
pub struct Issued {
    pub name: String,
    pub secret: String,
    pub sha256: String,
    pub team: Option<String>,
    pub user: Option<String>,
    pub models: Vec<String>,
    pub expires_unix_s: Option<u64>,
    pub priority: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub limits: Value,
    /// Until when a rotated key's former secret is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_until_unix_s: Option<u64>,
}

/// Makes a key; its secret works on every shard when this returns.
pub async fn create(plane: &Arc<Plane>, new: NewKey, actor: Actor) -> Result<Issued, KeyRefusal> {
    to_its_end(plane, move |plane| async move {
        let plane = &*plane;
        check_new(plane, &new)?;
        let (secret, sha256) = new_secret()?;
        let NewKey {
            name,
            team,
            user,
            models,
            expires_unix_s,
            priority,
            limits,
        } = new;
        let key = StoredKey {
            name: name.clone(),
            sha256,
            previous: None,
            team,
            user,
            models,
            expires_unix_s,
            priority: priority.map(|priority| priority.name().to_owned()),
            limits: limits.into(),
        };
        let row = KeyRow {
            key: key.clone(),
            created_ms: unix_ms(),
            created_by: actor.name.clone(),
        };
        let made = plane.store.insert_key(row).await?;
        if let Err(error) = push(plane, vec![key.clone()], Vec::new()).await {
            plane.store.take_back(made).await?;
            undo_push(plane, Vec::new(), vec![name]).await;
            return Err(error.into());
        }
        note(plane, &actor, "key_created", &name).await;
        Ok(issued(key, secret))
    })
    .await
}

/// Gives a key a new secret; the former one stays good for `overlap`.
pub async fn rotate(plane: &Arc<Plane>, name: String, overlap: Duration, actor: Actor) -> Result<Issued, KeyRefusal> {
    to_its_end(plane, move |plane| async move {
        let plane = &*plane;
        let former = existing(plane, &name).await?;
        let (secret, sha256) = new_secret()?;
        let mut row = former.clone();
        let until = unix_s().saturating_add(overlap.as_secs());
        row.key.previous = (!overlap.is_zero()).then(|| (former.key.sha256.clone(), until));
        row.key.sha256 = sha256;
        replace(plane, former, row.clone()).await?;
        note(plane, &actor, "key_rotated", &name).await;
        Ok(issued(row.key, secret))
    })
    .await
}

/// In the store and on every shard, or nowhere.
async fn replace(plane: &Plane, former: KeyRow, row: KeyRow) -> Result<(), KeyRefusal> {
    let (key, before) = (row.key.clone(), former.key.clone());
    let name = key.name.clone();
    let made = match plane.store.replace_key(former, row).await {
        Err(error @ StoreError::Elsewhere(_)) => {
            identity_shared::follow_one(plane, &name).await;
            return Err(error.into());
        }
        made => made?,
    };
    if let Err(error) = push(plane, vec![key], Vec::new()).await {
        plane.store.take_back(made).await?;
        undo_push(plane, vec![before], Vec::new()).await;
        return Err(error.into());
    }
    Ok(())
}

/// Gives a key other limits, in force on every shard when this returns; what was used of those that stay is kept.
pub async fn limit(plane: &Arc<Plane>, name: String, limits: Value, actor: Actor) -> Result<Value, KeyRefusal> {
    to_its_end(plane, move |plane| async move {
        let plane = &*plane;
        check_limits(plane, &limits)?;
        let former = existing(plane, &name).await?;
        let mut row = former.clone();
        row.key.limits = limits.clone().into();
        replace(plane, former, row).await?;
        note(plane, &actor, "key_limited", &name).await;
        Ok(limits)
    })
    .await
}

/// The first fault of a list of limits.
fn check_limits(plane: &Plane, limits: &Value) -> Result<(), KeyRefusal> {
    let is_clustered = plane.current().document.cluster.is_some();
    let problems = match tollgate_config::check::limits(limits) {
        Ok(limits) if is_clustered => tollgate_config::check::too_large_for_cluster(&limits),
        checked => checked.err().unwrap_or_default(),
    };
    match problems.into_iter().next() {
        None => Ok(()),
        Some(problem) => {
            let pointer = format!("/limits{}", problem.pointer);
            Err(KeyRefusal::Fault(Problem::new(pointer, problem.wrong, problem.right)))
        }
    }
}

/// Takes a key away; no shard lets it in when this returns.
pub async fn revoke(plane: &Arc<Plane>, name: String, actor: Actor) -> Result<(), KeyRefusal> {
    to_its_end(plane, move |plane| async move {
        let plane = &*plane;
        existing(plane, &name).await?;
        plane.store.remove_key(name.clone()).await?;
        note(plane, &actor, "key_revoked", &name).await;
        // Not undone when the push fails: a revocation must not be lost.
        push(plane, Vec::new(), vec![name])
            .await
            .map_err(KeyRefusal::RevokedLater)
    })
    .await
}

/// One change of identities or of the document at a time, and to its end even if the caller goes away.
async fn to_its_end<T, F, W>(plane: &Arc<Plane>, work: W) -> Result<T, KeyRefusal>
where
    T: Send + 'static,
    F: Future<Output = Result<T, KeyRefusal>> + Send + 'static,
    W: FnOnce(Arc<Plane>) -> F + Send + 'static,
{
    let plane = plane.clone();
    let task = tokio::spawn(async move {
        let _rollout = plane.rollout.lock().await;
        identity_shared::prepare(&plane).await?;
        work(plane.clone()).await
    });
    task.await
        .unwrap_or_else(|e| Err(KeyRefusal::Broken(format!("the change ended early: {e}"))))
}

async fn existing(plane: &Plane, name: &str) -> Result<KeyRow, KeyRefusal> {
    match plane.store.key(name.to_owned()).await? {
        Some(row) => Ok(row),
        None if stands_in_document(plane, name) => Err(KeyRefusal::InDocument(name.to_owned())),
        None => Err(KeyRefusal::NoSuchKey(name.to_owned())),
    }
}

fn stands_in_document(plane: &Plane, name: &str) -> bool {
    plane.current().document.keys.iter().any(|(key, _)| key == name)
}

fn check_new(plane: &Plane, new: &NewKey) -> Result<(), KeyRefusal> {
    let fault = |pointer: &str, wrong: String, right: &str| KeyRefusal::Fault(Problem::new(pointer, wrong, right));
    let sound = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
    if new.name.is_empty() || new.name.len() > MAX_NAME_BYTES || !new.name.chars().all(sound) {
        let wrong = format!("{:?} cannot be a key's name", new.name);
        return Err(fault("/name", wrong, "use 1 to 128 letters, digits and - _ . @ :"));
    }
    if stands_in_document(plane, &new.name) {
        return Err(KeyRefusal::Exists(format!(
            "a key named {} stands in the configuration",
            new.name
        )));
    }
    let current = plane.current();
    if let Some(team) = &new.team
        && !current.document.teams.iter().any(|(name, _)| name == team)
    {
        return Err(fault(
            "/team",
            format!("there is no team {team}"),
            "name one of the configuration's teams",
        ));
    }
    check_limits(plane, &new.limits)
}

/// A secret and the hex of its SHA-256.
fn new_secret() -> Result<(String, String), KeyRefusal> {
    let mut bytes = [0u8; SECRET_BYTES];
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    if filled != Ok(SECRET_BYTES) {
        return Err(KeyRefusal::Broken("the kernel gave no random bytes".into()));
    }
    let secret = format!("{SECRET_PREFIX}{}", hex(&bytes));
    let sha256 = sha256_hex(secret.as_bytes());
    Ok((secret, sha256))
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

async fn push(plane: &Plane, upsert: Vec<StoredKey>, remove: Vec<String>) -> Result<(), LinkError> {
    let link = plane.link.within(LINK_PATIENCE).await?;
    match link.ask(AskBody::Keys { upsert, remove }, ANSWER_TIMEOUT).await? {
        AnswerBody::Done => Ok(()),
        AnswerBody::Refused { problems } => Err(LinkError::Failed(
            problems.iter().map(|p| p.wrong.as_str()).collect::<Vec<_>>().join("; "),
        )),
        _ => Err(LinkError::Unexpected),
    }
}

/// A push that was not answered may have taken effect all the same.
async fn undo_push(plane: &Plane, upsert: Vec<StoredKey>, remove: Vec<String>) {
    if let Ok(link) = plane.link.now() {
        // Without an answer the link is down, and the whole identity store is pushed when it is back.
        let _ = link.ask(AskBody::Keys { upsert, remove }, ANSWER_TIMEOUT).await;
    }
}

async fn note(plane: &Plane, actor: &Actor, action: &'static str, name: &str) {
    plane.events.tell(action, format!("{name} by {}", actor.name));
    if let Err(error) = plane
        .store
        .audit(unix_ms(), actor.name.clone(), action, name.to_owned())
        .await
    {
        tracing::warn!(%error, action, name, "the audit line could not be written");
    }
}

fn issued(key: StoredKey, secret: String) -> Issued {
    let StoredKey {
        name,
        sha256,
        previous,
        team,
        user,
        models,
        expires_unix_s,
        priority,
        limits,
    } = key;
    let previous_until_unix_s = previous.map(|(_, until)| until);
    Issued {
        name,
        secret,
        sha256,
        team,
        user,
        models,
        expires_unix_s,
        priority,
        limits: limits.value(),
        previous_until_unix_s,
    }
}
