//! Metering: usage records on their way from the data plane's spool into the ledger, and what is asked of it. The spool is
//! read where it lies, so records of a data plane that was killed come in like all others.

pub mod adjust;
mod agreed;
mod batch;
pub mod database;
pub mod focus;
pub mod forecast;
mod hours;
mod ingest;
pub mod kafka;
mod ledger;
pub mod money;
mod moving;
mod names;
mod pg;
mod place;
mod question;
pub mod reconcile;
pub mod rerate;
pub mod row;
mod schema;
mod segment;
mod sinks;
mod stream;
#[cfg(test)]
mod tests;
pub mod zone;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tollgate_config::{document::Retention, usage_event::SPOOL_FOLDER};

use crate::{plane::Plane, postgres, store::StoreError, time};

use database::{Database, Place};
use ingest::{Ingest, IngestError};
pub use question::{Answer, Dimension, MAX_ROWS, Question, began_ms, cost};

/// Of PostgreSQL's connections one writes, and one follows the keys.
const OTHER_CONNECTIONS: usize = 2;
/// No document allows more of them.
const MAX_READERS: usize = 64 - OTHER_CONNECTIONS;
/// Between two looks at the spool: a call is in the ledger well within two seconds of its end.
const INTERVAL: Duration = Duration::from_millis(200);
/// After a look that failed: a full disk stays full for a while.
const INTERVAL_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Between two looks at whether calls are too old.
const FORGET_INTERVAL: Duration = Duration::from_secs(3600);

/// What became of records, since this control plane started.
#[derive(Debug, Default)]
pub struct Counts {
    pub ingested: AtomicU64,
    /// Calls that were open when their data plane ended.
    pub crashed: AtomicU64,
    /// Places of segments that cannot be read.
    pub damaged: AtomicU64,
    /// Sequences that never came.
    pub missing: AtomicU64,
    /// Shards of data planes whose records wait for a newer control plane, now.
    pub newer: AtomicU64,
}

impl Counts {
    /// As the metric's label names them.
    pub fn by_state(&self) -> [(&'static str, u64); 4] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("ingested", count(&self.ingested)),
            ("crashed", count(&self.crashed)),
            ("damaged", count(&self.damaged)),
            ("missing", count(&self.missing)),
        ]
    }
}

/// The ledger, for those who ask.
pub struct Metering {
    state_dir: PathBuf,
    place: Mutex<Place>,
    /// Beside the ingest's own connection; a connection is made when it is wanted.
    readers: Arc<Vec<Mutex<Database>>>,
    turn: AtomicUsize,
    pub counts: Arc<Counts>,
    /// Why no record comes in, and since when (Unix milliseconds).
    failing: Mutex<Option<(u64, String)>>,
}

impl Metering {
    /// Opens the ledger of a state directory where it last was; one in SQLite is made where it is missing.
    pub fn open(state_dir: &Path) -> Result<(Self, Ingest), StoreError> {
        let place = place::last(state_dir)?;
        let mut writer = Database::of(place.clone());
        if !writer.is_shared() {
            writer.open()?;
        }
        let counts = Arc::<Counts>::default();
        let ingest = Ingest::new(state_dir.join(SPOOL_FOLDER), writer, Arc::clone(&counts));
        let reader = || Mutex::new(Database::of(place.clone()));
        let metering = Self {
            state_dir: state_dir.to_owned(),
            readers: Arc::new((0..MAX_READERS).map(|_| reader()).collect()),
            place: Mutex::new(place),
            turn: AtomicUsize::new(0),
            counts,
            failing: Mutex::default(),
        };
        Ok((metering, ingest))
    }

    fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub async fn ask(&self, question: Question) -> Result<Answer, StoreError> {
        self.with(move |ledger| question.ask(ledger)).await
    }

    /// Does something with the ledger, on a thread that may wait.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (place, readers) = (self.place(), Arc::clone(&self.readers));
        let usable = match &place {
            Place::Sqlite(_) => 1,
            Place::Postgres { settings, .. } => usize::from(settings.connections).saturating_sub(OTHER_CONNECTIONS),
        };
        let usable = usable.clamp(1, MAX_READERS);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % usable;
        let asked = tokio::task::spawn_blocking(move || {
            let free = readers.iter().take(usable).find_map(|reader| reader.try_lock().ok());
            // A panic while holding one leaves the database itself consistent.
            let waited = || readers[turn].lock().unwrap_or_else(PoisonError::into_inner);
            let mut reader = free.unwrap_or_else(waited);
            reader.turn_to(&place);
            reader.probe();
            work(&mut reader)
        });
        asked
            .await
            .unwrap_or_else(|e| Err(StoreError::Sqlite(format!("a question ended early: {e}"))))
    }

    /// Where the ledger is, and whether records come in.
    pub fn status(&self) -> Value {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (since_ms, error) = failing.unzip();
        let (kind, at) = match self.place() {
            Place::Sqlite(path) => ("sqlite", path.display().to_string()),
            Place::Postgres { settings, .. } => ("postgres", postgres::named(&settings)),
        };
        json!({"kind": kind, "at": at, "up": error.is_none(), "error": error, "failing_since_ms": since_ms})
    }

    pub fn is_up(&self) -> bool {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Keeps why no record comes in; true where that is news.
    fn note(&self, error: Option<&IngestError>) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = failing.is_some() != error.is_some();
        *failing = error.map(|error| {
            let since_ms = failing.as_ref().map_or_else(time::unix_ms, |(since_ms, _)| *since_ms);
            (since_ms, error.to_string())
        });
        is_news
    }

    /// The ledger is where the document in force says, from now on. `turned`: the revision that was looked at.
    fn turn_to(&self, ingest: &mut Ingest, plane: &Plane, turned: &mut u64) -> Result<(), StoreError> {
        let current = plane.current();
        if current.revision == *turned {
            return Ok(());
        }
        let place = place::of(&self.state_dir, &current.document)?;
        if *ingest.place() == place {
            *turned = current.revision;
            return Ok(());
        }
        ingest.turn_to(&place)?;
        place::remember(&self.state_dir, current.tree.get("database"))
            .map_err(|error| StoreError::Full(format!("where the ledger is cannot be remembered: {error}")))?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        let status = self.status();
        let text = format!("the ledger is in {} at {}", status["kind"], status["at"]);
        plane.events.tell("usage_ledger_moved", text.replace('"', ""));
        *turned = current.revision;
        Ok(())
    }
}

/// Calls that ended before this are forgotten, or soon will be.
pub fn kept_from_ms(retention: &Retention, now_ms: u64) -> u64 {
    now_ms.saturating_sub(retention.calls_ms)
}

/// Reads the spool as long as the process lives, on a thread of its own.
pub fn follow(mut ingest: Ingest, plane: Arc<Plane>) -> std::io::Result<()> {
    let run = move || {
        let metering = &plane.metering;
        // Of no document yet: the ledger is where it was.
        let (mut forget_at, mut turned) = (Instant::now(), 0);
        loop {
            let before = turned;
            let mut passed = metering
                .turn_to(&mut ingest, &plane, &mut turned)
                .map_err(IngestError::from);
            if turned != before {
                forget_at = Instant::now();
            }
            // Before a document is in force nobody knows how long calls are kept. Days are made before their calls come.
            let mut kept = Ok(());
            if passed.is_ok() && turned > 0 && forget_at <= Instant::now() {
                let retention = plane.current().document.usage.retention;
                kept = ingest.forget(&retention, time::unix_ms());
                if kept.is_ok() {
                    forget_at = Instant::now() + FORGET_INTERVAL;
                }
            }
            passed = passed.and_then(|()| ingest.pass()).and(kept);
            for news in ingest.news.drain(..) {
                plane.events.tell(news.kind, news.text);
            }
            let error = passed.as_ref().err();
            match (metering.note(error), error) {
                (true, Some(error)) => {
                    let text = format!("usage records stay in the spool for now: {error}");
                    plane.events.tell("usage_ingest_failed", text);
                }
                (true, None) => plane.events.tell("usage_ingest_resumed", "usage records come in again"),
                (false, _) => {}
            }
            std::thread::sleep(if error.is_some() {
                INTERVAL_AFTER_FAILURE
            } else {
                INTERVAL
            });
        }
    };
    std::thread::Builder::new()
        .name("usage".to_owned())
        .spawn(run)
        .map(drop)
}
