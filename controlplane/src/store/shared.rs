//! Keys that several control planes share, in PostgreSQL. Each control plane has a copy of them in its own store, which it
//! serves from while the database is away; changes are made there first, in one order, and followed by all.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio_postgres::types::ToSql;
use tollgate_config::{document::Postgres, link::StoredKey};

use super::{KeyRow, Store, StoreError};
use crate::postgres::{Alone, Session};

/// How long a change made elsewhere may take until it is looked for.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Changes taken over at once.
pub const CHANGES_AT_ONCE: usize = 200;
/// A change's number is given out under a lock on the one row of `key_changes`, so that they become visible in order. A key
/// that is gone leaves its name, for those who have not heard of it yet.
const TABLES: &str = "
CREATE TABLE key_changes (last BIGINT NOT NULL, identity TEXT NOT NULL);
INSERT INTO key_changes VALUES (0, gen_random_uuid()::TEXT);
CREATE TABLE keys (name TEXT PRIMARY KEY, changed BIGINT NOT NULL, content TEXT);
CREATE UNIQUE INDEX keys_by_change ON keys (changed);
";

/// As it lies in the table.
#[derive(Serialize, Deserialize)]
struct Content {
    key: StoredKey,
    created_ms: u64,
    created_by: String,
}

/// What became of a key, and which change that was.
#[derive(Debug)]
pub struct Change {
    pub number: i64,
    pub name: String,
    /// `None`: it is gone.
    pub row: Option<KeyRow>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unless {
    Taken,
    Never,
}

/// One connection; it is made when it is wanted.
struct Shared {
    settings: Postgres,
    session: Option<Session>,
}

/// Where keys are shared, if they are.
#[derive(Clone, Default)]
pub struct Sharing(Arc<Mutex<Option<Shared>>>);

impl Store {
    /// Keys are shared there from now on; nothing is asked of it yet.
    pub fn share(&self, settings: Option<&Postgres>) {
        let mut shared = self.sharing.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.as_ref().map(|shared| &shared.settings) != settings {
            *shared = settings.map(|settings| Shared {
                settings: settings.clone(),
                session: None,
            });
        }
    }

    pub fn is_shared(&self) -> bool {
        self.sharing.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What tells the table from others, whatever address it has; `None` where keys are not shared.
    pub async fn shared_identity(&self) -> Result<Option<String>, StoreError> {
        self.there(|session| {
            let row = session.first("SELECT identity FROM key_changes", &[])?;
            row.map_or(Ok(String::new()), |row| row.try_get(0).map_err(content))
        })
        .await
    }

    /// Changes behind `after`, the oldest first.
    pub async fn changes(&self, after: i64) -> Result<Vec<Change>, StoreError> {
        const BEHIND: &str = "SELECT changed, name, content FROM keys WHERE changed > ?1 ORDER BY changed LIMIT ?2";
        let found = self.there(move |session| {
            let rows = session.rows(BEHIND, &[&after, &(CHANGES_AT_ONCE as i64)])?;
            rows.iter().map(change).collect()
        });
        Ok(found.await?.unwrap_or_default())
    }

    /// Keys of this control plane's own go there, unless a name is taken; answers the names that were.
    pub async fn bring(&self, rows: Vec<KeyRow>) -> Result<Vec<String>, StoreError> {
        let brought = self.there(move |session| {
            let mut taken = Vec::new();
            for row in &rows {
                match write(session, &row.key.name, Some(row), Unless::Taken) {
                    Err(StoreError::Exists(_)) => taken.push(row.key.name.clone()),
                    written => written?,
                }
            }
            Ok(taken)
        });
        Ok(brought.await?.unwrap_or_default())
    }

    /// Before it is in the store's own table; a name that is taken anywhere is an error.
    pub(super) async fn insert_shared(&self, row: KeyRow) -> Result<(), StoreError> {
        self.there(move |session| write(session, &row.key.name, Some(&row), Unless::Taken))
            .await
            .map(drop)
    }

    pub(super) async fn replace_shared(&self, row: KeyRow) -> Result<(), StoreError> {
        self.there(move |session| write(session, &row.key.name, Some(&row), Unless::Never))
            .await
            .map(drop)
    }

    pub(super) async fn remove_shared(&self, name: String) -> Result<(), StoreError> {
        self.there(move |session| write(session, &name, None, Unless::Never))
            .await
            .map(drop)
    }

    /// Does something there, on a thread that may wait; `None` where keys are not shared.
    async fn there<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        if !self.is_shared() {
            return Ok(None);
        }
        let sharing = self.sharing.clone();
        let done = tokio::task::spawn_blocking(move || {
            // A panic while holding it leaves a transaction that its session rolls back.
            let mut shared = sharing.0.lock().unwrap_or_else(PoisonError::into_inner);
            match shared.as_mut() {
                Some(shared) => work(shared.session()?).map(Some),
                None => Ok(None),
            }
        });
        done.await
            .unwrap_or_else(|e| Err(StoreError::Away(format!("asking for keys ended early: {e}"))))
    }
}

impl Shared {
    fn session(&mut self) -> Result<&mut Session, StoreError> {
        // One that nobody asked for a while may be gone without a word.
        let held = self.session.take().filter(Session::is_usable);
        let held = held.and_then(|mut session| session.run("").is_ok().then_some(session));
        let session = match held {
            Some(session) => session,
            None => {
                let mut session = Session::connect(&self.settings)?;
                open(&mut session, &self.settings.schema)?;
                session
            }
        };
        Ok(self.session.insert(session))
    }
}

/// Makes the tables where there are none.
fn open(session: &mut Session, schema: &str) -> Result<(), StoreError> {
    const TABLE: &str = "key_changes";
    if session.has_table(schema, TABLE)? {
        return Ok(());
    }
    together(session, |session| {
        session.lock(Alone::Tables)?;
        if session.has_table(schema, TABLE)? {
            return Ok(());
        }
        session.make_schema(schema)?;
        session.run(TABLES)
    })
}

fn write(session: &mut Session, name: &str, row: Option<&KeyRow>, unless: Unless) -> Result<(), StoreError> {
    const WRITE: &str = "INSERT INTO keys (name, changed, content) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET \
         changed = excluded.changed, content = excluded.content";
    let text = row.map(|row| {
        let KeyRow {
            key,
            created_ms,
            created_by,
        } = row.clone();
        serde_json::to_string(&Content {
            key,
            created_ms,
            created_by,
        })
    });
    let text = text.transpose()?;
    together(session, |session| {
        let number = session.first("UPDATE key_changes SET last = last + 1 RETURNING last", &[])?;
        let number: i64 = match number {
            Some(row) => row.try_get(0).map_err(content)?,
            None => return Err(StoreError::Content("key_changes has no row".to_owned())),
        };
        let is_taken = "SELECT 1 FROM keys WHERE name = ?1 AND content IS NOT NULL";
        if unless == Unless::Taken && session.first(is_taken, &[&name])?.is_some() {
            return Err(StoreError::Exists(format!("a key named {name} exists already")));
        }
        let values: [&(dyn ToSql + Sync); 3] = [&name, &number, &text];
        session.execute(WRITE, &values).map(drop)
    })
}

fn together(
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    session.run("BEGIN")?;
    match work(session) {
        Ok(()) => session.run("COMMIT"),
        Err(error) => {
            session.rollback();
            Err(error)
        }
    }
}

fn change(row: &tokio_postgres::Row) -> Result<Change, StoreError> {
    let text: Option<String> = row.try_get(2).map_err(content)?;
    let read = |text: String| -> Result<KeyRow, StoreError> {
        let Content {
            key,
            created_ms,
            created_by,
        } = serde_json::from_str(&text)?;
        Ok(KeyRow {
            key,
            created_ms,
            created_by,
        })
    };
    Ok(Change {
        number: row.try_get(0).map_err(content)?,
        name: row.try_get(1).map_err(content)?,
        row: text.map(read).transpose()?,
    })
}

fn content(error: tokio_postgres::Error) -> StoreError {
    StoreError::Content(error.to_string())
}
