//! The index that calls of one node are read by, made while others write: PostgreSQL makes none of a partitioned table so at
//! once. So the table's own is made without its partitions, which takes a moment; theirs are made one by one beside whoever
//! writes, and attached. Partitions that come meanwhile bring theirs along.

use crate::{
    postgres::{Alone, Session},
    store::StoreError,
};

/// Of the table itself: it is whole once all partitions have theirs.
const WHOLE: &str = "CREATE INDEX IF NOT EXISTS calls_by_node ON ONLY calls (node, id)";
const IS_WHOLE: &str = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('calls_by_node') AND indisvalid";
/// Partitions without one that is attached; and of one that was made for it, whether it is of use.
const LACKING: &str = "SELECT p.relname::TEXT, \
     (SELECT x.indisvalid FROM pg_index x WHERE x.indexrelid = to_regclass(format('%I', p.relname || '_by_node'))) \
     FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid WHERE i.inhparent = 'calls'::regclass AND NOT EXISTS \
     (SELECT 1 FROM pg_index x JOIN pg_inherits h ON h.inhrelid = x.indexrelid \
     WHERE x.indrelid = p.oid AND h.inhparent = 'calls_by_node'::regclass) ORDER BY p.relname";

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Built {
    pub made: usize,
    /// Partitions whose index was broken off once, and was of no use.
    pub remade: Vec<String>,
}

/// `None`: another control plane is at it.
pub fn build(session: &mut Session) -> Result<Option<Built>, StoreError> {
    if session.first(IS_WHOLE, &[])?.is_some() {
        return Ok(Some(Built::default()));
    }
    if !session.try_alone(Alone::Index)? {
        return Ok(None);
    }
    let built = make(session);
    // A session that failed has lost it.
    if session.is_usable() {
        session.run("SET lock_timeout = 0")?;
        session.no_longer_alone(Alone::Index)?;
    }
    built.map(Some)
}

fn make(session: &mut Session) -> Result<Built, StoreError> {
    briefly(session, WHOLE)?;
    let mut built = Built::default();
    for row in session.rows(LACKING, &[])? {
        let content = |error: tokio_postgres::Error| StoreError::Content(error.to_string());
        let (partition, is_of_use): (String, Option<bool>) =
            (row.try_get(0).map_err(content)?, row.try_get(1).map_err(content)?);
        if is_of_use == Some(false) {
            session.run(&format!("DROP INDEX CONCURRENTLY {partition}_by_node"))?;
            built.remade.push(partition.clone());
        }
        if is_of_use != Some(true) {
            session.run(&format!(
                "CREATE INDEX CONCURRENTLY {partition}_by_node ON {partition} (node, id)"
            ))?;
            built.made += 1;
        }
        briefly(
            session,
            &format!("ALTER INDEX calls_by_node ATTACH PARTITION {partition}_by_node"),
        )?;
    }
    Ok(built)
}

/// What wants the table for a moment waits no longer for others, since whoever comes next waits behind it.
fn briefly(session: &mut Session, sql: &str) -> Result<(), StoreError> {
    session.run("SET lock_timeout = '2s'")?;
    session.run(sql)?;
    session.run("SET lock_timeout = 0")
}
