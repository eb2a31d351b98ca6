//! Keys that several control planes share, in PostgreSQL. Each control plane has a copy of them in its own store, which it
//! serves from while the database is away; changes are made there first, in one order, and followed by all.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tollgate_config::document::Postgres;

use super::{
    KeyRow, Store, StoreError,
    shared_change::{self, Doubts, Wanted, content},
};
use crate::postgres::{Alone, Session, named};

/// How long a change made elsewhere may take until it is looked for.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Changes taken over at once.
pub const CHANGES_AT_ONCE: usize = 200;
/// A change of a key that takes longer is given up, and whoever waits behind it goes on. The server gives up before.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// A change's number is given out under a lock on the one row of `key_changes`, so that they become visible in order. A key
/// that is gone leaves its name, for those who have not heard of it yet.
const TABLES: &str = "
CREATE TABLE key_changes (last BIGINT NOT NULL, identity TEXT NOT NULL);
INSERT INTO key_changes VALUES (0, gen_random_uuid()::TEXT);
CREATE TABLE keys (name TEXT PRIMARY KEY, changed BIGINT NOT NULL, content TEXT);
CREATE UNIQUE INDEX keys_by_change ON keys (changed);
";
/// What came later: up to which change names of keys that are gone were forgotten.
const FORGOTTEN: &str = "
ALTER TABLE key_changes ADD COLUMN IF NOT EXISTS forgotten BIGINT NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS keys_gone ON keys (changed) WHERE content IS NULL;
";

/// What became of a key, and which change that was.
#[derive(Debug)]
pub struct Change {
    pub number: i64,
    pub name: String,
    /// `None`: it is gone.
    pub row: Option<KeyRow>,
}

/// Of keys that are shared: which table it is, and the number of its last change.
#[derive(Debug)]
pub struct Table {
    pub identity: String,
    pub last: i64,
    /// Who has followed no further may have missed that keys are gone.
    pub forgotten: i64,
}

/// Where keys are shared, if they are.
#[derive(Clone, Default)]
pub struct Sharing {
    /// Held for a moment only: a database that hangs holds nobody up who asks for these.
    settings: Arc<Mutex<Option<Postgres>>>,
    /// One connection, made when it is wanted, and where it leads. Held as long as an answer takes: only by threads that may wait.
    session: Arc<Mutex<Option<(Postgres, Session)>>>,
    /// Grows with each change that was made from here, or may have been.
    written: Arc<AtomicU64>,
    doubts: Doubts,
}

impl Sharing {
    fn settings(&self) -> Option<Postgres> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store {
    /// Keys are shared there from now on; nothing is asked of it yet.
    pub fn share(&self, settings: Option<&Postgres>) {
        *self.sharing.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings.cloned();
    }

    pub fn is_shared(&self) -> bool {
        self.sharing.settings().is_some()
    }

    /// As long as it stays, what was read is not older than what was written from here.
    pub fn written(&self) -> u64 {
        self.sharing.written.load(Ordering::Acquire)
    }

    /// What tells the table from others, whatever address it has, and how far it is; `None` where keys are not shared.
    pub async fn shared_table(&self) -> Result<Option<Table>, StoreError> {
        self.there(|session| {
            let row = session.first("SELECT identity, last, forgotten FROM key_changes", &[])?;
            let row = row.ok_or_else(|| StoreError::Content("key_changes has no row".to_owned()))?;
            Ok(Table {
                identity: row.try_get(0).map_err(content)?,
                last: row.try_get(1).map_err(content)?,
                forgotten: row.try_get(2).map_err(content)?,
            })
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

    /// What became of this key; `None`: nothing is known of it there, or keys are not shared.
    pub async fn shared_key(&self, name: String) -> Result<Option<Change>, StoreError> {
        const ONE: &str = "SELECT changed, name, content FROM keys WHERE name = ?1";
        let found = self.there(move |session| session.first(ONE, &[&name])?.as_ref().map(change).transpose());
        Ok(found.await?.flatten())
    }

    /// All that are there.
    pub async fn shared_names(&self) -> Result<BTreeSet<String>, StoreError> {
        let found = self.there(|session| {
            let rows = session.rows("SELECT name FROM keys WHERE content IS NOT NULL", &[])?;
            rows.iter().map(|row| row.try_get(0).map_err(content)).collect()
        });
        Ok(found.await?.unwrap_or_default())
    }

    /// Keys of this control plane's own go there, unless a name is taken; answers the names that were.
    pub async fn bring(&self, rows: Vec<KeyRow>) -> Result<Vec<String>, StoreError> {
        let doubts = self.sharing.doubts.clone();
        let brought = self.there(move |session| {
            let mut taken = Vec::new();
            for row in rows {
                let name = row.key.name.clone();
                let in_time = (Instant::now() + CHANGE_TIMEOUT, &AtomicBool::new(false));
                match shared_change::make(session, &doubts, Wanted::Made(row), in_time) {
                    Err(StoreError::Exists(_)) => taken.push(name),
                    made => _ = made?,
                }
            }
            Ok(taken)
        });
        Ok(brought.await?.unwrap_or_default())
    }

    /// Before it is in the store's own table; answers its number, where keys are shared.
    pub(super) async fn change_shared(&self, wanted: Wanted) -> Result<Option<i64>, StoreError> {
        let until = Instant::now() + CHANGE_TIMEOUT;
        let is_told = Arc::new(AtomicBool::new(false));
        let (doubts, told) = (self.sharing.doubts.clone(), is_told.clone());
        let is_removal = matches!(wanted, Wanted::Removed(_));
        let work = move |session: &mut Session| match Instant::now() < until {
            true => shared_change::make(session, &doubts, wanted, (until, &*told)),
            false => Err(shared_change::late()),
        };
        let mut making = std::pin::pin!(self.there(work));
        let done = match tokio::time::timeout(CHANGE_TIMEOUT, &mut making).await {
            Ok(done) => done,
            // It is made in this moment.
            Err(_) if is_told.swap(true, Ordering::AcqRel) => making.await,
            Err(_) => Err(self.unanswered(is_removal)),
        };
        // Also where it failed: it may have taken effect.
        self.sharing.written.fetch_add(1, Ordering::AcqRel);
        done
    }

    fn unanswered(&self, is_removal: bool) -> StoreError {
        let at = self.sharing.settings();
        let at = at.map_or_else(String::new, |settings| format!(" at {}", named(&settings)));
        let then = match is_removal {
            true => "the key may be gone when it does",
            false => "what it may have done of the change is taken back when it does",
        };
        let seconds = CHANGE_TIMEOUT.as_secs();
        StoreError::Away(format!("PostgreSQL{at} gave no answer in {seconds} s: {then}"))
    }

    /// A change that is not to be after all is taken back, now or as soon as the database answers.
    pub(super) async fn take_back_shared(&self, wanted: Wanted, number: i64) {
        self.sharing.doubts.add(wanted, number);
        // Tried again by whoever looks next.
        let _ = self.settle_doubts().await;
        self.sharing.written.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes back what is to be.
    pub async fn settle_doubts(&self) -> Result<(), StoreError> {
        if self.sharing.doubts.are_open() {
            let doubts = self.sharing.doubts.clone();
            self.there(move |session| doubts.settle(session)).await?;
        }
        Ok(())
    }

    /// Names of keys of which a change was taken back, each told once.
    pub fn taken_back(&self) -> Vec<String> {
        self.sharing.doubts.taken_back()
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
            let mut held = sharing.session.lock().unwrap_or_else(PoisonError::into_inner);
            match sharing.settings() {
                Some(settings) => work(session(&mut held, settings)?).map(Some),
                None => Ok(None),
            }
        });
        done.await
            .unwrap_or_else(|e| Err(StoreError::Away(format!("asking for keys ended early: {e}"))))
    }
}

fn session(held: &mut Option<(Postgres, Session)>, settings: Postgres) -> Result<&mut Session, StoreError> {
    let usable = held
        .take()
        .filter(|(to, session)| *to == settings && session.is_usable());
    let usable = usable.and_then(|(_, mut session)| session.answers().then_some(session));
    let session = match usable {
        Some(session) => session,
        None => {
            let mut session = Session::connect(&settings)?;
            open(&mut session, &settings.schema)?;
            session
        }
    };
    Ok(&mut held.insert((settings, session)).1)
}

/// Makes the tables where there are none.
fn open(session: &mut Session, schema: &str) -> Result<(), StoreError> {
    const TABLE: &str = "key_changes";
    if session.has_table(schema, TABLE)? {
        return open_earlier(session);
    }
    together(session, |session| {
        session.lock(Alone::Tables)?;
        if session.has_table(schema, TABLE)? {
            return Ok(());
        }
        session.make_schema(schema)?;
        session.run(TABLES)?;
        session.run(FORGOTTEN)
    })
}

/// Tables that were made by an earlier version.
fn open_earlier(session: &mut Session) -> Result<(), StoreError> {
    const IS_NEW: &str =
        "SELECT 1 FROM pg_attribute WHERE attrelid = 'key_changes'::regclass AND attname = 'forgotten'";
    if session.first(IS_NEW, &[])?.is_some() {
        return Ok(());
    }
    together(session, |session| {
        session.lock(Alone::Tables)?;
        session.run(FORGOTTEN)
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
    Ok(Change {
        number: row.try_get(0).map_err(content)?,
        name: row.try_get(1).map_err(content)?,
        row: shared_change::read(row, 2)?,
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener};

    use super::*;

    /// A database that takes a connection and says nothing.
    #[test]
    fn whoever_asks_whether_keys_are_shared_waits_for_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("tollgate.db")).unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let document = serde_json::json!({"version": 1, "database": {"postgres": {
            "host": "127.0.0.1", "port": silent.local_addr().unwrap().port(), "name": "d", "user": "u",
        }}});
        let document = tollgate_config::check::check(&tollgate_config::parse::Parsed::from_tree(document)).unwrap();
        store.share(document.database.as_ref());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let asked = tokio::spawn({
                let store = store.clone();
                async move { store.shared_table().await }
            });
            tokio::task::yield_now().await;
            // It is asked, and waits.
            let (mut connection, _) = silent.accept().unwrap();
            assert!(connection.read(&mut [0]).unwrap() > 0);
            assert!(store.is_shared());
            store.share(None);
            assert!(!store.is_shared());
            assert!(store.sharing.session.try_lock().is_err(), "it waits still");
            drop((connection, silent));
            asked.await.unwrap().expect_err("it never answered");
        });
    }
}
