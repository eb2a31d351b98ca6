//! One transaction of the ledger: records, calls that are still open, and how far the spool was read.

use std::collections::BTreeMap;

use tollgate_config::usage_event::{Ending, Kind, Next, UsageEvent, next};

use super::{
    database::{Database, Transaction},
    hours::Hours,
    ingest::News,
    ledger::{self, Mark},
    names::Names,
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
    names: &'c mut Names,
    /// Records that still fit.
    room: usize,
    /// Opening records without their closing ones, by sequence: most are closed within the transaction, and those never
    /// touch a table.
    open: BTreeMap<u64, Box<[u8]>>,
    /// Of a segment, as they are read.
    pub bytes: Vec<u8>,
    hours: Hours,
    pub done: Done,
}

impl<'c> Batch<'c> {
    pub fn begin(ledger: &'c mut Database, room: usize) -> Result<Self, StoreError> {
        let (transaction, names) = ledger.begin()?;
        Ok(Self {
            transaction,
            names,
            room,
            open: BTreeMap::new(),
            bytes: Vec::new(),
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
                self.open.insert(event.sequence, frame.into());
                Ok(())
            }
            Kind::Close => {
                // Most are closed in the transaction that has their opening record; those of answers that were kept have none.
                if event.opened != event.sequence && self.open.remove(&event.opened).is_none() {
                    self.transaction.close_open(event.boot, event.shard, event.opened)?;
                }
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
        if let Some(frame) = self.open.remove(&event.opened) {
            return Ok(Some(frame.into_vec()));
        }
        self.transaction.take_open(event.boot, event.shard, event.opened)
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
        let event = ledger::counted(&mut self.transaction, event)?;
        let place = self.hours.add(self.names, &event);
        self.transaction.insert_call(self.names, place, &event)
    }

    /// Closes calls that nobody will; true when there may be more.
    pub fn close_orphans(&mut self, boot: u64, shard: u16, last_ms: u64) -> Result<bool, StoreError> {
        let open = self.transaction.some_open(boot, shard)?;
        for (sequence, frame) in &open {
            // Whoever takes it tells it.
            if self.transaction.take_open(boot, shard, *sequence)?.is_some() {
                self.crash(frame, last_ms)?;
            }
        }
        Ok(!open.is_empty())
    }

    /// `before`: where reading began.
    pub fn commit(mut self, boot: u64, shard: u16, (before, after): (Mark, Mark)) -> Result<Done, StoreError> {
        let open = self.open.iter().map(|(sequence, frame)| (*sequence, &**frame));
        self.transaction.insert_open(boot, shard, open)?;
        self.transaction.add_hours(self.names, &self.hours.into_sums())?;
        self.transaction.move_mark(boot, shard, before, after)?;
        self.transaction.commit()?;
        self.names.committed();
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
