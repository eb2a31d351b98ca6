//! A change of a key that several control planes share: made as one, and only on what it was thought to change. What was told
//! as failed and may have been made all the same is in doubt: it is taken back as soon as PostgreSQL answers, before anything
//! else is changed from here.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde::{Deserialize, Serialize};
use tokio_postgres::{Row, types::ToSql};
use tollgate_config::link::StoredKey;

use super::{KeyRow, StoreError};
use crate::postgres::Session;

const STATEMENT_TIMEOUT_MS: u64 = 4_000;
/// A key that is gone leaves its name for so many changes. Who has not heard of it by then reads all keys again.
const REMEMBERED_CHANGES: i64 = 10_000;

#[derive(Clone, Debug)]
pub enum Wanted {
    /// Where the name is free.
    Made(KeyRow),
    /// Where it is still what it was.
    Changed {
        former: Box<KeyRow>,
        row: KeyRow,
    },
    Removed(String),
}

impl Wanted {
    pub fn name(&self) -> &str {
        match self {
            Self::Made(row) | Self::Changed { row, .. } => &row.key.name,
            Self::Removed(name) => name,
        }
    }

    fn row(&self) -> Option<&KeyRow> {
        match self {
            Self::Made(row) | Self::Changed { row, .. } => Some(row),
            Self::Removed(_) => None,
        }
    }

    pub fn former(&self) -> Option<&KeyRow> {
        match self {
            Self::Changed { former, .. } => Some(former),
            Self::Made(_) | Self::Removed(_) => None,
        }
    }
}

/// What was made, for whoever has to take it back.
#[derive(Clone, Debug)]
pub struct Made {
    pub wanted: Wanted,
    /// Of the change, where keys are shared.
    pub number: Option<i64>,
}

/// What is to be taken back if it was made. Few: nothing else is changed before.
#[derive(Clone, Default)]
pub struct Doubts(Arc<Mutex<Lists>>);

#[derive(Default)]
struct Lists {
    open: VecDeque<(Wanted, i64)>,
    /// Names of keys of which a change was taken back, until somebody tells it.
    taken_back: Vec<String>,
}

impl Doubts {
    fn lists(&self) -> std::sync::MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A revocation is never taken back: it must not be lost.
    pub fn add(&self, wanted: Wanted, number: i64) {
        if !matches!(wanted, Wanted::Removed(_)) {
            self.lists().open.push_back((wanted, number));
        }
    }

    pub fn are_open(&self) -> bool {
        !self.lists().open.is_empty()
    }

    pub fn taken_back(&self) -> Vec<String> {
        std::mem::take(&mut self.lists().taken_back)
    }

    /// One after the other, by whoever has the one session.
    pub fn settle(&self, session: &mut Session) -> Result<(), StoreError> {
        loop {
            let Some((wanted, number)) = self.lists().open.front().cloned() else {
                return Ok(());
            };
            let is_back = take_back(session, &wanted, number)?;
            let mut lists = self.lists();
            lists.open.pop_front();
            if is_back {
                lists.taken_back.push(wanted.name().to_owned());
            }
        }
    }
}

/// Makes it, and answers its number. `is_told`: what became of it was told already, or is from here on.
pub fn make(
    session: &mut Session,
    doubts: &Doubts,
    wanted: Wanted,
    (until, is_told): (Instant, &AtomicBool),
) -> Result<i64, StoreError> {
    doubts.settle(session)?;
    session.run("BEGIN")?;
    let written = write(session, &wanted).and_then(|number| match Instant::now() < until {
        true => Ok(number),
        false => Err(late()),
    });
    let number = written.inspect_err(|_| session.rollback())?;
    let committed = session.run("COMMIT");
    let is_late = is_told.swap(true, Ordering::AcqRel);
    match committed {
        Ok(()) if !is_late => return Ok(number),
        Ok(()) | Err(StoreError::Away(_)) => {}
        Err(error) => {
            session.rollback();
            return Err(error);
        }
    }
    doubts.add(wanted, number);
    // Else by whoever asks next.
    let _ = doubts.settle(session);
    committed.and(Err(late()))
}

pub fn late() -> StoreError {
    StoreError::Away("the change waited for too long and was given up".to_owned())
}

/// All of it but that it counts.
fn write(session: &mut Session, wanted: &Wanted) -> Result<i64, StoreError> {
    let name = wanted.name();
    let number = next(session)?;
    let there = session.first("SELECT content FROM keys WHERE name = ?1", &[&name])?;
    let there = there.as_ref().map(|row| read(row, 0)).transpose()?.flatten();
    let elsewhere = |what: &str| {
        StoreError::Elsewhere(format!(
            "in PostgreSQL the key {name} is {what}, and nothing was changed; look at it again"
        ))
    };
    match (wanted, there) {
        (Wanted::Made(_), Some(_)) => return Err(StoreError::Exists(format!("a key named {name} exists already"))),
        (Wanted::Changed { .. }, None) => return Err(elsewhere("gone")),
        (Wanted::Changed { former, .. }, Some(there)) if **former != there => {
            return Err(elsewhere("not what it was known as here"));
        }
        _ => {}
    }
    put(session, (name, number), wanted.row())?;
    Ok(number)
}

/// The number of a change, under a lock on the one row that has it: whoever is about another change is waited for.
fn next(session: &mut Session) -> Result<i64, StoreError> {
    session.run(&format!("SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"))?;
    match session.first("UPDATE key_changes SET last = last + 1 RETURNING last", &[])? {
        Some(row) => row.try_get(0).map_err(content),
        None => Err(StoreError::Content("key_changes has no row".to_owned())),
    }
}

fn put(session: &mut Session, (name, number): (&str, i64), row: Option<&KeyRow>) -> Result<(), StoreError> {
    const PUT: &str = "INSERT INTO keys (name, changed, content) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET \
         changed = excluded.changed, content = excluded.content";
    let text = row.map(text).transpose()?;
    let values: [&(dyn ToSql + Sync); 3] = [&name, &number, &text];
    session.execute(PUT, &values)?;
    match row {
        Some(_) => Ok(()),
        None => forget(session, number.saturating_sub(REMEMBERED_CHANGES)),
    }
}

/// Names of keys that were gone by then.
fn forget(session: &mut Session, up_to: i64) -> Result<(), StoreError> {
    if session.execute("DELETE FROM keys WHERE content IS NULL AND changed <= ?1", &[&up_to])? > 0 {
        session.execute("UPDATE key_changes SET forgotten = ?1 WHERE forgotten < ?1", &[&up_to])?;
    }
    Ok(())
}

/// False: it was not made, or the key was changed again since.
fn take_back(session: &mut Session, wanted: &Wanted, number: i64) -> Result<bool, StoreError> {
    session.run("BEGIN")?;
    let put_back = put_back(session, wanted, number);
    match put_back {
        Ok(true) => session.run("COMMIT")?,
        Ok(false) | Err(_) => session.rollback(),
    }
    put_back
}

fn put_back(session: &mut Session, wanted: &Wanted, number: i64) -> Result<bool, StoreError> {
    let name = wanted.name();
    let now = next(session)?;
    let ours = "SELECT content FROM keys WHERE name = ?1 AND changed = ?2";
    let there = session.first(ours, &[&name, &number])?;
    let there = there.as_ref().map(|row| read(row, 0)).transpose()?.flatten();
    let is_made = there.is_some() && there.as_ref() == wanted.row();
    if is_made {
        put(session, (name, now), wanted.former())?;
    }
    Ok(is_made)
}

/// As it lies in the table.
#[derive(Serialize, Deserialize)]
struct Content {
    key: StoredKey,
    created_ms: u64,
    created_by: String,
}

impl Content {
    fn of(row: &KeyRow) -> Self {
        let KeyRow {
            key,
            created_ms,
            created_by,
        } = row.clone();
        Self {
            key,
            created_ms,
            created_by,
        }
    }
}

/// A key in this column; `None`: it is gone.
pub fn read(row: &Row, column: usize) -> Result<Option<KeyRow>, StoreError> {
    let text: Option<String> = row.try_get(column).map_err(content)?;
    text.as_deref().map(parse).transpose()
}

pub fn text(row: &KeyRow) -> Result<String, StoreError> {
    Ok(serde_json::to_string(&Content::of(row))?)
}

pub fn parse(text: &str) -> Result<KeyRow, StoreError> {
    let Content {
        key,
        created_ms,
        created_by,
    } = serde_json::from_str(text)?;
    Ok(KeyRow {
        key,
        created_ms,
        created_by,
    })
}

pub fn content(error: tokio_postgres::Error) -> StoreError {
    StoreError::Content(error.to_string())
}
