//! One transaction of the ledger: records, calls that are still open, and how far the spool was read.

use std::{collections::BTreeMap, ops::Range};

use rusqlite::{Connection, Transaction};
use tollgate_config::usage_event::{Ending, Kind, Next, UsageEvent, next};

use super::{
    hours::Hours,
    ingest::News,
    ledger::{self, Mark},
};
use crate::store::StoreError;

/// What a transaction did.
#[derive(Debug, Default)]
pub struct Done {
    pub ingested: u64,
    pub crashed: u64,
    pub damaged: u64,
    pub missing: u64,
    pub news: Vec<News>,
}

pub struct Batch<'c> {
    transaction: Transaction<'c>,
    /// Records that still fit.
    room: usize,
    /// Opening records without their closing ones, by sequence: most are closed within the transaction, and those never
    /// touch a table.
    open: BTreeMap<u64, Range<usize>>,
    frames: Vec<u8>,
    hours: Hours,
    pub done: Done,
}

impl<'c> Batch<'c> {
    pub fn begin(connection: &'c mut Connection, room: usize) -> Result<Self, StoreError> {
        Ok(Self {
            transaction: connection.transaction()?,
            room,
            open: BTreeMap::new(),
            frames: Vec::new(),
            hours: Hours::default(),
            done: Done::default(),
        })
    }

    pub fn is_full(&self) -> bool {
        self.room == 0
    }

    /// Takes in a record, whose turn it is.
    pub fn put(&mut self, event: &UsageEvent<'_>, frame: &[u8]) -> Result<(), StoreError> {
        self.room = self.room.saturating_sub(1);
        self.done.ingested += 1;
        match event.kind {
            Kind::Open => {
                let start = self.frames.len();
                self.frames.extend_from_slice(frame);
                self.open.insert(event.sequence, start..self.frames.len());
                Ok(())
            }
            Kind::Close => {
                self.take(event)?;
                self.insert(event)
            }
            Kind::Dropped => match self.take(event)? {
                Some(opening) => self.crash(&opening, event.ended_unix_ms),
                // Its opening record was lost: who it was for nobody knows.
                None => self.insert(&crashed(event, event.ended_unix_ms)),
            },
        }
    }

    /// The opening record of a call that has ended.
    fn take(&mut self, event: &UsageEvent<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(range) = self.open.remove(&event.opened) {
            // Only a crash asks for it.
            let wanted = event.kind == Kind::Dropped;
            return Ok(wanted.then(|| self.frames[range].to_vec()));
        }
        ledger::take_open(&self.transaction, event.boot, event.shard, event.opened)
    }

    fn crash(&mut self, opening: &[u8], ended_ms: u64) -> Result<(), StoreError> {
        let Next::Record(event, _) = next(opening) else {
            return Err(StoreError::Content(
                "an opening record of a call that is open".to_owned(),
            ));
        };
        self.done.crashed += 1;
        self.insert(&crashed(&event, ended_ms))
    }

    /// A call that has ended.
    fn insert(&mut self, event: &UsageEvent<'_>) -> Result<(), StoreError> {
        let event = ledger::counted(&self.transaction, event)?;
        self.hours.add(&event);
        ledger::insert_call(&self.transaction, &event)
    }

    /// Closes calls that nobody will; true when there may be more.
    pub fn close_orphans(&mut self, boot: u64, shard: u16, last_ms: u64) -> Result<bool, StoreError> {
        let open = ledger::some_open(&self.transaction, boot, shard)?;
        for (sequence, frame) in &open {
            ledger::take_open(&self.transaction, boot, shard, *sequence)?;
            self.crash(frame, last_ms)?;
        }
        Ok(!open.is_empty())
    }

    pub fn commit(self, boot: u64, shard: u16, mark: Mark) -> Result<Done, StoreError> {
        for (sequence, range) in self.open {
            ledger::insert_open(&self.transaction, boot, shard, sequence, &self.frames[range])?;
        }
        self.hours.write(&self.transaction)?;
        ledger::set_mark(&self.transaction, boot, shard, mark)?;
        self.transaction.commit()?;
        Ok(self.done)
    }
}

/// What is known of a call whose data plane ended: it went to a provider, and nobody saw what it used.
fn crashed<'e>(opening: &UsageEvent<'e>, ended_ms: u64) -> UsageEvent<'e> {
    UsageEvent {
        ended_unix_ms: ended_ms.max(opening.started_unix_ms),
        ending: Ending::Crashed,
        estimated: true,
        ..*opening
    }
}
