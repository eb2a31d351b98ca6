//! Revisions of the document. A change is written `pending` before any shard hears of it and marked `applied` once
//! every shard runs it, so that a crash between the two leaves a trace that `rollout` can settle.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;
use serde_json::Value;
use tollgate_config::diff::Change;

use super::{Store, StoreError};

/// A revision as listed: everything but its document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RevisionHead {
    pub revision: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// A user's name, `file`, `quick start`, `admin token`, …
    pub who: String,
    pub uid: Option<u32>,
    pub why: Option<String>,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Revision {
    #[serde(flatten)]
    pub head: RevisionHead,
    pub document: Value,
}

#[derive(Clone, Debug)]
pub struct NewRevision {
    pub number: u64,
    pub at_ms: u64,
    pub who: String,
    pub uid: Option<u32>,
    pub why: Option<String>,
    pub document: Value,
    pub changes: Vec<Change>,
}

const HEAD_COLUMNS: &str = "number, at_ms, who, uid, why, changes";

impl Store {
    /// Writes a revision that no shard has heard of yet. Fails, changing nothing, when the disk is full.
    pub async fn insert_pending(&self, new: NewRevision) -> Result<(), StoreError> {
        self.call(move |c| insert(c, &new, "pending")).await
    }

    /// Writes a revision that the data plane was found running (recovery).
    pub async fn insert_applied(&self, new: NewRevision) -> Result<(), StoreError> {
        self.call(move |c| insert(c, &new, "applied")).await
    }

    pub async fn mark_applied(&self, number: u64) -> Result<(), StoreError> {
        self.call(move |c| {
            c.execute(
                "UPDATE revisions SET state = 'applied' WHERE number = ?1",
                [number as i64],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets a pending revision that took effect nowhere.
    pub async fn remove_pending(&self, number: u64) -> Result<(), StoreError> {
        self.call(move |c| {
            c.execute(
                "DELETE FROM revisions WHERE number = ?1 AND state = 'pending'",
                [number as i64],
            )?;
            Ok(())
        })
        .await
    }

    pub async fn pending(&self) -> Result<Vec<u64>, StoreError> {
        self.call(|c| {
            let mut statement = c.prepare("SELECT number FROM revisions WHERE state = 'pending' ORDER BY number")?;
            let numbers = statement.query_map([], |row| row.get::<_, i64>(0))?;
            numbers.map(|n| Ok(n? as u64)).collect()
        })
        .await
    }

    /// The applied revision with the highest number.
    pub async fn latest(&self) -> Result<Option<Revision>, StoreError> {
        self.call(|c| one(c, "state = 'applied' ORDER BY number DESC LIMIT 1", 0))
            .await
    }

    pub async fn revision(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        self.call(move |c| one(c, "number = ?1 AND state = 'applied'", number))
            .await
    }

    /// The applied revision before `number`.
    pub async fn revision_before(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        self.call(move |c| {
            one(
                c,
                "number < ?1 AND state = 'applied' ORDER BY number DESC LIMIT 1",
                number,
            )
        })
        .await
    }

    /// Newest first, those below `before`, at most `limit`.
    pub async fn revisions(&self, before: u64, limit: u32) -> Result<Vec<RevisionHead>, StoreError> {
        self.call(move |c| {
            let sql = format!(
                "SELECT {HEAD_COLUMNS} FROM revisions WHERE state = 'applied' AND number < ?1 \
                 ORDER BY number DESC LIMIT ?2"
            );
            let mut statement = c.prepare(&sql)?;
            let mut rows = statement.query((signed(before), limit))?;
            let mut heads = Vec::new();
            while let Some(row) = rows.next()? {
                heads.push(head(row)?);
            }
            Ok(heads)
        })
        .await
    }
}

fn insert(c: &mut Connection, new: &NewRevision, state: &'static str) -> Result<(), StoreError> {
    let transaction = c.transaction()?;
    // A pending revision of this number took effect nowhere and could not be removed then (disk full).
    transaction.execute(
        "DELETE FROM revisions WHERE number = ?1 AND state = 'pending'",
        [signed(new.number)],
    )?;
    transaction.execute(
        "INSERT INTO revisions (number, at_ms, who, uid, why, document, changes, state) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            signed(new.number),
            signed(new.at_ms),
            &new.who,
            new.uid,
            &new.why,
            serde_json::to_string(&new.document)?,
            serde_json::to_string(&new.changes)?,
            state,
        ),
    )?;
    Ok(transaction.commit()?)
}

fn one(c: &mut Connection, condition: &str, number: u64) -> Result<Option<Revision>, StoreError> {
    let sql = format!("SELECT {HEAD_COLUMNS}, document FROM revisions WHERE {condition}");
    let mut statement = c.prepare(&sql)?;
    let arguments = if condition.contains("?1") {
        vec![signed(number)]
    } else {
        Vec::new()
    };
    let read = |row: &Row<'_>| Ok((head(row), row.get::<_, String>(6)));
    let found = statement
        .query_row(rusqlite::params_from_iter(arguments), read)
        .optional()?;
    let Some((head, document)) = found else { return Ok(None) };
    Ok(Some(Revision {
        head: head?,
        document: serde_json::from_str(&document?)?,
    }))
}

fn head(row: &Row<'_>) -> Result<RevisionHead, StoreError> {
    let changes: String = row.get(5)?;
    Ok(RevisionHead {
        revision: row.get::<_, i64>(0)? as u64,
        at_ms: row.get::<_, i64>(1)? as u64,
        who: row.get(2)?,
        uid: row.get(3)?,
        why: row.get(4)?,
        changes: serde_json::from_str(&changes)?,
    })
}

/// SQLite's integers are signed; `u64::MAX` as a bound means "all".
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
