//! Single calls in PostgreSQL lie in a partition for each day (UTC), which is dropped whole when it is too old. What a
//! clock says of no day near today lies in a partition of its own, and goes row by row.

use super::{super::sinks, Shared};
use crate::{
    postgres::{Alone, Session},
    store::StoreError,
    time,
};

const DAY_MS: u64 = 86_400_000;
/// Made ahead: the ingest may stand still for so long, and each call still has its day.
const DAYS_AHEAD: u64 = 2;
/// A change of tables waits no longer for those who read them, since whoever comes next waits behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";
const FORGOTTEN_AT_ONCE: i64 = 5_000;

impl Shared {
    /// Makes the days to come, and forgets those that ended before `before_ms`. What cannot be done now is for the next
    /// time: calls have a place, and are kept, all the same.
    pub fn keep_days(&mut self, before_ms: u64, now_ms: u64) -> Result<(), StoreError> {
        let today = now_ms / DAY_MS;
        for day in today..=today + DAYS_AHEAD {
            later(self.change(|session| make(session, day)))?;
        }
        let kept_from = before_ms / DAY_MS;
        let old = self.session.rows(
            "SELECT day FROM days WHERE day < ?1 ORDER BY day",
            &[&(kept_from as i64)],
        )?;
        for row in old {
            let day: i64 = row.try_get(0).map_err(|error| StoreError::Content(error.to_string()))?;
            later(self.change(|session| forget(session, day.unsigned_abs(), before_ms)))?;
        }
        self.forget_rest(i64::try_from(before_ms).unwrap_or(i64::MAX))
    }

    /// An attempt goes when its call has gone.
    fn forget_rest(&mut self, before_ms: i64) -> Result<(), StoreError> {
        const ORPHAN: &str = "c.ended_ms < ?1 AND NOT EXISTS (SELECT 1 FROM calls_rest r WHERE r.id = c.call)";
        let free = sinks::let_go_of_rest(&mut self.session, before_ms)?;
        for (table, free) in [("calls_rest", free), ("attempts_rest", ORPHAN)] {
            let sql = format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM {table} c WHERE {free} LIMIT ?2))"
            );
            while self.session.execute(&sql, &[&before_ms, &FORGOTTEN_AT_ONCE])? == FORGOTTEN_AT_ONCE as u64 {}
        }
        Ok(())
    }

    fn change(&mut self, change: impl FnOnce(&mut Session) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let session = &mut self.session;
        session.run("BEGIN")?;
        let changed = session
            .run(LOCK_TIMEOUT)
            .and_then(|()| session.lock(Alone::Tables))
            .and_then(|()| change(session));
        match changed {
            Ok(()) => session.run("COMMIT"),
            Err(error) => {
                session.rollback();
                Err(error)
            }
        }
    }
}

/// A reader holds the table, or calls of that day came before it was made: neither is a fault.
fn later(changed: Result<(), StoreError>) -> Result<(), StoreError> {
    match changed {
        Err(error @ (StoreError::Postgres(_) | StoreError::Overtaken)) => {
            tracing::info!(%error, "a day of the ledger is made or dropped later");
            Ok(())
        }
        changed => changed,
    }
}

fn make(session: &mut Session, day: u64) -> Result<(), StoreError> {
    let made = session.execute("INSERT INTO days VALUES (?1) ON CONFLICT DO NOTHING", &[&(day as i64)])?;
    if made == 0 {
        return Ok(());
    }
    let (from_ms, to_ms) = (day * DAY_MS, (day + 1) * DAY_MS);
    for table in ["calls", "attempts"] {
        session.run(&format!(
            "CREATE TABLE {} PARTITION OF {table} FOR VALUES FROM ({from_ms}) TO ({to_ms})",
            name(table, day)
        ))?;
    }
    Ok(())
}

fn forget(session: &mut Session, day: u64, before_ms: u64) -> Result<(), StoreError> {
    let whole = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let times = (whole(before_ms), whole((day + 1) * DAY_MS));
    if sinks::is_used(session)? && !sinks::let_go(session, &name("calls", day), times)? {
        // Not everything of it was sent yet.
        return Ok(());
    }
    let gone = session.execute("DELETE FROM days WHERE day = ?1", &[&(day as i64)])?;
    if gone == 0 {
        // Another control plane did it.
        return Ok(());
    }
    session.run(&format!(
        "DROP TABLE {}; DROP TABLE {}",
        name("attempts", day),
        name("calls", day)
    ))
}

/// `calls_2026_11_26`
fn name(table: &str, day: u64) -> String {
    let date = time::rfc3339(day * (DAY_MS / 1_000));
    format!("{table}_{}", date.get(..10).unwrap_or_default().replace('-', "_"))
}
