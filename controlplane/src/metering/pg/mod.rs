//! The ledger in PostgreSQL, shared by control planes: each reads the spool of its own node, and whatever they write at
//! once is right. A connection that was lost may have committed or not: marks say which.

mod days;
pub mod index;
mod schema;
mod write;

use std::ops::Range;

use tollgate_config::document::Postgres;

use crate::{
    postgres::{Cell, Session},
    store::StoreError,
};

pub use write::Writer;

/// Ids of calls are given out in blocks, so that rows can be sent without asking for each: `INCREMENT BY` of their sequence.
const IDS_AT_ONCE: i64 = 65_536;
/// A transaction has no more calls.
const MAX_CALLS: i64 = super::ingest::BATCH_RECORDS as i64 + 1_000;
/// A session with the ledger.
pub struct Shared {
    pub session: Session,
    node: i64,
    ids: Range<i64>,
}

impl Shared {
    pub fn open(settings: &Postgres, node: i64) -> Result<Self, StoreError> {
        let mut session = Session::connect(settings)?;
        schema::open(&mut session, &settings.schema)?;
        Ok(Self {
            session,
            node,
            ids: 0..0,
        })
    }

    /// Alone among those that write calls of this node: one whose connection was lost may still be about to commit, and ids
    /// rise in the order in which calls are there.
    pub fn begin_own(&mut self) -> Result<Writer<'_>, StoreError> {
        let mut writer = self.begin()?;
        writer.alone_on_node()?;
        Ok(writer)
    }

    pub fn begin(&mut self) -> Result<Writer<'_>, StoreError> {
        if self.ids.end - self.ids.start < MAX_CALLS {
            let row = self.session.first("SELECT nextval('call_ids')", &[])?;
            let first: i64 = match row {
                Some(row) => row.try_get(0).map_err(|error| StoreError::Content(error.to_string()))?,
                None => return Err(StoreError::Content("no ids of calls are given out".to_owned())),
            };
            self.ids = first..first.saturating_add(IDS_AT_ONCE);
        }
        Writer::begin(self)
    }
}

pub fn execute(session: &mut Session, sql: &str, cells: &[Cell<'_>]) -> Result<usize, StoreError> {
    let touched = session.execute(sql, &write::values(cells))?;
    Ok(usize::try_from(touched).unwrap_or(usize::MAX))
}

pub fn exists(session: &mut Session, sql: &str, cells: &[Cell<'_>]) -> Result<bool, StoreError> {
    Ok(session.first(sql, &write::values(cells))?.is_some())
}
