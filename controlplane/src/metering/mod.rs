//! Metering: usage records on their way from the data plane's spool into the ledger, and what is asked of it. The spool is
//! read where it lies, so records of a data plane that was killed come in like all others.

pub mod adjust;
mod agreed;
mod batch;
pub mod focus;
pub mod forecast;
mod hours;
mod ingest;
mod ledger;
pub mod money;
mod question;
pub mod reconcile;
pub mod rerate;
pub mod row;
mod schema;
mod segment;
mod stream;
#[cfg(test)]
mod tests;
pub mod zone;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tollgate_config::{document::Retention, usage_event::SPOOL_FOLDER};

use crate::{plane::Plane, store::StoreError, time};

use ingest::Ingest;
pub use question::{Answer, Dimension, MAX_ROWS, Question, cost};

const LEDGER_FILE: &str = "usage.db";
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
    /// Beside the ingest's own connection.
    reader: Arc<Mutex<Connection>>,
    pub counts: Arc<Counts>,
}

impl Metering {
    /// Opens or creates the ledger of a state directory.
    pub fn open(state_dir: &Path) -> Result<(Self, Ingest), StoreError> {
        let path = state_dir.join(LEDGER_FILE);
        let writer = ledger::open(&path)?;
        let counts = Arc::<Counts>::default();
        let ingest = Ingest::new(state_dir.join(SPOOL_FOLDER), writer, Arc::clone(&counts))?;
        let reader = Arc::new(Mutex::new(ledger::open(&path)?));
        Ok((Self { reader, counts }, ingest))
    }

    pub async fn ask(&self, question: Question) -> Result<Answer, StoreError> {
        self.with(move |ledger| question.ask(ledger)).await
    }

    /// Does something with the ledger, on a thread that may wait.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = Arc::clone(&self.reader);
        let asked = tokio::task::spawn_blocking(move || {
            // A panic while holding it leaves SQLite itself consistent.
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut reader)
        });
        asked
            .await
            .unwrap_or_else(|e| Err(StoreError::Sqlite(format!("a question ended early: {e}"))))
    }
}

/// Calls that ended before this are forgotten, or soon will be.
pub fn kept_from_ms(retention: &Retention, now_ms: u64) -> u64 {
    now_ms.saturating_sub(retention.calls_ms)
}

/// Reads the spool as long as the process lives, on a thread of its own.
pub fn follow(mut ingest: Ingest, plane: Arc<Plane>) -> std::io::Result<()> {
    let run = move || {
        let (mut failed, mut forget_at) = (false, Instant::now());
        loop {
            let mut passed = ingest.pass();
            if passed.is_ok() && forget_at <= Instant::now() {
                forget_at = Instant::now() + FORGET_INTERVAL;
                let retention = plane.current().document.usage.retention;
                passed = ingest.forget(&retention, time::unix_ms());
            }
            for news in ingest.news.drain(..) {
                plane.events.tell(news.kind, news.text);
            }
            match &passed {
                Ok(()) => failed = false,
                Err(error) if !failed => {
                    failed = true;
                    let text = format!("usage records stay in the spool for now: {error}");
                    plane.events.tell("usage_ingest_failed", text);
                }
                Err(_) => {}
            }
            std::thread::sleep(if failed { INTERVAL_AFTER_FAILURE } else { INTERVAL });
        }
    };
    std::thread::Builder::new()
        .name("usage".to_owned())
        .spawn(run)
        .map(drop)
}
