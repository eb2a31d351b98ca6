//! The control plane's store: revisions, identities, audit, a few settings, and what the data plane remembers of objects at
//! providers, in `STATE_DIR/tollgate.db`.
//! It keeps what it is told; what a change means, and when it is in force, is decided in `rollout` and `identity`.

mod apart;
pub mod database;
mod keys;
mod marks;
mod revisions;
pub mod settings;
pub mod shared;
mod shared_change;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;

pub use keys::KeyRow;
pub use revisions::{NewRevision, Revision};
pub use shared_change::Made;

/// Written to `PRAGMA user_version`; a store of a later version is refused rather than misread.
const SCHEMA_VERSION: i64 = 3;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS revisions (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    uid INTEGER,
    why TEXT,
    document TEXT NOT NULL,
    changes TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'applied'))
);
CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    previous_sha256 TEXT,
    previous_until_unix_s INTEGER,
    team TEXT,
    user TEXT,
    models TEXT NOT NULL,
    expires_unix_s INTEGER,
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS key_settings (name TEXT PRIMARY KEY, settings TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marks (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    tag INTEGER NOT NULL
);
";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store's disk is full: {0}")]
    Full(String),
    #[error("the store failed: {0}")]
    Sqlite(String),
    #[error("the store was written by a later version of tollgate (schema {found}, this one reads {known})")]
    Later { found: i64, known: i64 },
    #[error("the store holds something this version cannot read: {0}")]
    Content(String),
    #[error("{0}")]
    Exists(String),
    /// It is not what whoever wants to change it has seen.
    #[error("{0}")]
    Elsewhere(String),
    /// Nobody knows whether the last thing asked was done.
    #[error("{0}")]
    Away(String),
    #[error("PostgreSQL refused: {0}")]
    Postgres(String),
    #[error("another control plane was there first; done again from where that ended")]
    Overtaken,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DiskFull, ReadOnly, SystemIoFailure};
        match error.sqlite_error_code() {
            Some(DiskFull | SystemIoFailure | ReadOnly) => StoreError::Full(error.to_string()),
            _ => StoreError::Sqlite(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        StoreError::Content(error.to_string())
    }
}

/// A handle to the one connection. Cheap to clone; every call runs on a blocking thread.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    sharing: shared::Sharing,
}

impl Store {
    /// Opens or creates the database.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let connection = database::open(path, SCHEMA_VERSION, &[SCHEMA])?;
        Ok(Store {
            connection: Arc::new(Mutex::new(connection)),
            sharing: shared::Sharing::default(),
        })
    }

    /// Runs `work` on a blocking thread with the connection to itself.
    async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let connection = self.connection.clone();
        let ran = tokio::task::spawn_blocking(move || {
            // A panic while holding the lock leaves SQLite itself consistent: its transaction is rolled back.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        });
        ran.await
            .unwrap_or_else(|e| Err(StoreError::Sqlite(format!("a store call ended early: {e}"))))
    }

    /// Notes an action that changes no revision (keys, drain, …).
    pub async fn audit(
        &self,
        at_ms: u64,
        who: String,
        action: &'static str,
        subject: String,
    ) -> Result<(), StoreError> {
        self.call(move |c| {
            c.execute(
                "INSERT INTO audit (at_ms, who, action, subject) VALUES (?1, ?2, ?3, ?4)",
                (at_ms as i64, who, action, subject),
            )?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests;
