//! Where the ledger is: in SQLite beside the spool, or in PostgreSQL with those of other control planes. What is written
//! and asked is one text for both wherever both take it.

use std::{ops::ControlFlow, path::PathBuf};

use rusqlite::{Connection, TransactionBehavior, params_from_iter};
use tollgate_config::{document::Postgres, usage_event::UsageEvent};

use super::{
    hours::Sums,
    ledger::{self, Mark},
    names::{NameAt, Names},
    pg::{self, Shared, Writer, index},
    schema, sinks,
};
use crate::{
    postgres::Cell,
    store::{StoreError, database},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Sqlite(PathBuf),
    Postgres {
        settings: Box<Postgres>,
        /// Whose marks and open calls are this control plane's own.
        node: i64,
    },
}

/// By boot and shard.
pub type Marks = Vec<((u64, u16), Mark)>;

/// One connection to the ledger, made when it is wanted and again when it was lost.
pub struct Database {
    pub place: Place,
    open: Option<Open>,
    names: Names,
}

enum Open {
    Sqlite(Connection),
    Postgres(Box<Shared>),
}

impl Database {
    pub fn of(place: Place) -> Self {
        Self {
            place,
            open: None,
            names: Names::default(),
        }
    }

    /// Another place from the next use on.
    pub fn turn_to(&mut self, place: &Place) {
        if self.place != *place {
            *self = Self::of(place.clone());
        }
    }

    pub fn is_shared(&self) -> bool {
        matches!(self.place, Place::Postgres { .. })
    }

    /// Whose marks and calls are this control plane's own.
    pub fn node(&self) -> i64 {
        match self.place {
            Place::Sqlite(_) => sinks::OWN,
            Place::Postgres { node, .. } => node,
        }
    }

    pub fn has_table(&mut self, name: &str) -> Result<bool, StoreError> {
        let schema = match &self.place {
            Place::Sqlite(_) => String::new(),
            Place::Postgres { settings, .. } => settings.schema.clone(),
        };
        match self.opened()? {
            Open::Sqlite(connection) => {
                let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
                Ok(connection.prepare_cached(sql)?.exists([name])?)
            }
            Open::Postgres(shared) => shared.session.has_table(&schema, name),
        }
    }

    /// Does what takes its time: statements may run for so long as `postgres::PATIENCE` says.
    pub fn patiently<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Open::Postgres(shared) = self.opened()? {
            shared.session.be_patient()?;
        }
        let done = work(self);
        if let Some(Open::Postgres(shared)) = &mut self.open
            && shared.session.is_usable()
        {
            shared.session.be_usual()?;
        }
        done
    }

    /// What calls of one node are read by, beside whoever writes; SQLite's calls are all of one. `None`: another control plane
    /// is at it.
    pub fn index_by_node(&mut self) -> Result<Option<index::Built>, StoreError> {
        self.patiently(|ledger| match ledger.opened()? {
            Open::Sqlite(_) => Ok(Some(index::Built::default())),
            Open::Postgres(shared) => index::build(&mut shared.session),
        })
    }

    /// Opens it where it is not: its tables are made, or made into those of this version.
    pub fn open(&mut self) -> Result<(), StoreError> {
        self.opened().map(drop)
    }

    fn opened(&mut self) -> Result<&mut Open, StoreError> {
        self.both().map(|(open, _)| open)
    }

    fn both(&mut self) -> Result<(&mut Open, &mut Names), StoreError> {
        let is_lost = matches!(&self.open, Some(Open::Postgres(shared)) if !shared.session.is_usable());
        if is_lost {
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => match &self.place {
                Place::Sqlite(path) => Open::Sqlite(database::open_with(path, schema::VERSION, schema::migrate)?),
                Place::Postgres { settings, node } => Open::Postgres(Box::new(Shared::open(settings, *node)?)),
            },
        };
        Ok((self.open.insert(open), &mut self.names))
    }

    /// Each row of an answer, until `each` has enough.
    pub fn each(
        &mut self,
        sql: &str,
        values: &[i64],
        mut each: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        match self.opened()? {
            Open::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    if each(&Row::Sqlite(row))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Open::Postgres(shared) => shared.session.each(sql, values, &mut |row| each(&Row::Postgres(row))),
        }
    }

    /// How many rows a statement touched.
    pub fn execute(&mut self, sql: &str, values: &[i64]) -> Result<usize, StoreError> {
        match self.opened()? {
            Open::Sqlite(connection) => Ok(connection.execute(sql, params_from_iter(values))?),
            Open::Postgres(shared) => {
                let cells: Vec<Cell<'_>> = values.iter().map(|value| Cell::Whole(*value)).collect();
                pg::execute(&mut shared.session, sql, &cells)
            }
        }
    }

    /// One that writes calls of this control plane's own.
    pub fn begin(&mut self) -> Result<(Transaction<'_>, &mut Names), StoreError> {
        let (open, names) = self.both()?;
        names.begin();
        let transaction = match open {
            Open::Sqlite(connection) => Transaction::Sqlite(connection.transaction()?),
            Open::Postgres(shared) => Transaction::Postgres(shared.begin_own()?),
        };
        Ok((transaction, names))
    }

    /// One that writes what it has read before.
    pub fn begin_to_write(&mut self) -> Result<Transaction<'_>, StoreError> {
        match self.opened()? {
            Open::Sqlite(connection) => Ok(Transaction::Sqlite(
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?,
            )),
            Open::Postgres(shared) => {
                let mut writer = shared.begin()?;
                writer.alone()?;
                Ok(Transaction::Postgres(writer))
            }
        }
    }

    /// Finds out whether the server is still there, where nothing was asked of it for a while.
    pub fn probe(&mut self) {
        if let Some(Open::Postgres(shared)) = &mut self.open
            && shared.session.run("").is_err()
        {
            self.open = None;
        }
    }

    /// What tells this ledger from others, whatever address it has; none of SQLite's.
    pub fn identity(&mut self) -> Result<Option<String>, StoreError> {
        let mut identity = None;
        if self.is_shared() {
            self.each("SELECT identity FROM ledger_version", &[], |row| {
                identity = Some(row.get(0)?);
                Ok(ControlFlow::Break(()))
            })?;
        }
        Ok(identity)
    }

    /// How far each boot and shard of this control plane's was read.
    pub fn marks(&mut self) -> Result<Marks, StoreError> {
        let node = match self.place {
            Place::Sqlite(_) => None,
            Place::Postgres { node, .. } => Some(node),
        };
        const MARKS: &str = "SELECT boot, shard, segment, at, next_sequence, last_ms FROM marks";
        let (sql, values) = match node {
            None => (MARKS.to_owned(), Vec::new()),
            Some(node) => (format!("{MARKS} WHERE node = ?1"), vec![node]),
        };
        let mut marks = Vec::new();
        self.each(&sql, &values, |row| {
            let mark = Mark {
                segment: u32::try_from(row.get::<i64>(2)?).unwrap_or(0),
                at: row.get(3)?,
                next_sequence: row.get::<i64>(4)?.cast_unsigned(),
                last_ms: row.get::<i64>(5)?.cast_unsigned(),
            };
            let shard = u16::try_from(row.get::<i64>(1)?).unwrap_or(0);
            marks.push(((row.get::<i64>(0)?.cast_unsigned(), shard), mark));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(marks)
    }

    /// A boot of which no file is left needs none.
    pub fn forget_boot(&mut self, boot: u64) -> Result<(), StoreError> {
        match self.place {
            Place::Sqlite(_) => self.execute("DELETE FROM marks WHERE boot = ?1", &[boot.cast_signed()])?,
            Place::Postgres { node, .. } => {
                let of = [node, boot.cast_signed()];
                self.execute("DELETE FROM marks WHERE node = ?1 AND boot = ?2", &of)?
            }
        };
        Ok(())
    }

    /// Forgets single calls that ended before then.
    pub fn forget_calls(&mut self, before_ms: u64, now_ms: u64) -> Result<(), StoreError> {
        match self.opened()? {
            Open::Sqlite(connection) => {
                while ledger::forget_calls(connection, before_ms)? {}
                Ok(())
            }
            Open::Postgres(shared) => shared.keep_days(before_ms, now_ms),
        }
    }

    /// Forgets sums of before then.
    pub fn forget_hours(&mut self, before_ms: i64) -> Result<(), StoreError> {
        let table = if self.is_shared() { "hours" } else { "hour_rows" };
        self.execute(&format!("DELETE FROM {table} WHERE hour_ms < ?1"), &[before_ms])
            .map(drop)
    }

    /// Forgets what only calls and sums had in common that are forgotten.
    pub fn forget_names(&mut self) -> Result<(), StoreError> {
        let (open, names) = self.both()?;
        names.forget();
        match open {
            Open::Sqlite(connection) => ledger::forget_names(connection),
            // Its rows have their texts.
            Open::Postgres(_) => Ok(()),
        }
    }
}

/// A row of an answer.
pub enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    pub fn get<T: Column>(&self, at: usize) -> Result<T, StoreError> {
        T::read(self, at)
    }
}

/// What a column holds.
pub trait Column: Sized {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, StoreError>;
}

impl Column for i64 {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, StoreError> {
        match row {
            Row::Sqlite(row) => Ok(row.get(at)?),
            // Numbers written in a statement are of 32 bits.
            Row::Postgres(row) => row
                .try_get(at)
                .or_else(|_| row.try_get::<_, i32>(at).map(Self::from))
                .map_err(|error| StoreError::Content(error.to_string())),
        }
    }
}

impl Column for usize {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, StoreError> {
        let number: i64 = row.get(at)?;
        Self::try_from(number).map_err(|error| StoreError::Content(error.to_string()))
    }
}

impl Column for Option<i64> {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, StoreError> {
        match row {
            Row::Sqlite(row) => Ok(row.get(at)?),
            Row::Postgres(row) => row.try_get(at).map_err(|error| StoreError::Content(error.to_string())),
        }
    }
}

impl Column for Option<Vec<u8>> {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, StoreError> {
        match row {
            Row::Sqlite(row) => Ok(row.get(at)?),
            Row::Postgres(row) => row.try_get(at).map_err(|error| StoreError::Content(error.to_string())),
        }
    }
}

impl Column for String {
    fn read(row: &Row<'_>, at: usize) -> Result<Self, StoreError> {
        match row {
            Row::Sqlite(row) => Ok(row.get(at)?),
            Row::Postgres(row) => row.try_get(at).map_err(|error| StoreError::Content(error.to_string())),
        }
    }
}

/// What is in the ledger together or not at all.
pub enum Transaction<'c> {
    Sqlite(rusqlite::Transaction<'c>),
    Postgres(Writer<'c>),
}

impl Transaction<'_> {
    pub fn execute(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<usize, StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.prepare_cached(sql)?.execute(params_from_iter(cells))?),
            Self::Postgres(writer) => pg::execute(writer.session(), sql, cells),
        }
    }

    pub fn exists(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.prepare_cached(sql)?.exists(params_from_iter(cells))?),
            Self::Postgres(writer) => pg::exists(writer.session(), sql, cells),
        }
    }

    pub fn forget_mark(&mut self, boot: u64, shard: u16) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => {
                let of = (boot.cast_signed(), shard);
                transaction.execute("DELETE FROM marks WHERE boot = ?1 AND shard = ?2", of)?;
                Ok(())
            }
            Self::Postgres(writer) => writer.forget_mark(boot, shard),
        }
    }

    /// Nobody else writes what is there once, until this ends.
    pub fn alone(&mut self) -> Result<(), StoreError> {
        match self {
            // SQLite has one writer.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(writer) => writer.alone(),
        }
    }

    /// `place`: of its texts.
    pub fn insert_call(&mut self, names: &mut Names, place: NameAt, event: &UsageEvent<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => ledger::insert_call(transaction, names, place, event),
            Self::Postgres(writer) => writer.insert_call(event),
        }
    }

    /// Takes a call out of those that are open, and answers its opening record.
    pub fn take_open(&mut self, boot: u64, shard: u16, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Sqlite(transaction) => ledger::take_open(transaction, boot, shard, sequence),
            Self::Postgres(writer) => writer.take_open(boot, shard, sequence),
        }
    }

    /// The same where nobody asks for the record.
    pub fn close_open(&mut self, boot: u64, shard: u16, sequence: u64) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => ledger::take_open(transaction, boot, shard, sequence).map(drop),
            Self::Postgres(writer) => {
                writer.close_open(boot, shard, sequence);
                Ok(())
            }
        }
    }

    /// Opening records of a shard of a boot, a few at a time.
    pub fn some_open(&mut self, boot: u64, shard: u16) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        match self {
            Self::Sqlite(transaction) => ledger::some_open(transaction, boot, shard),
            Self::Postgres(writer) => writer.some_open(boot, shard),
        }
    }

    pub fn insert_open<'f>(
        &mut self,
        boot: u64,
        shard: u16,
        frames: impl Iterator<Item = (u64, &'f [u8])>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => {
                for (sequence, frame) in frames {
                    ledger::insert_open(transaction, boot, shard, sequence, frame)?;
                }
                Ok(())
            }
            Self::Postgres(writer) => writer.insert_open(boot, shard, frames),
        }
    }

    pub fn add_hours(&mut self, names: &mut Names, sums: &Sums) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => super::hours::write(transaction, names, sums),
            Self::Postgres(writer) => writer.add_hours(names, sums),
        }
    }

    /// The mark moves on from `before`, or nothing of this transaction is.
    pub fn move_mark(&mut self, boot: u64, shard: u16, before: Mark, after: Mark) -> Result<(), StoreError> {
        match self {
            // The state directory's lock keeps everybody else away.
            Self::Sqlite(transaction) => ledger::set_mark(transaction, boot, shard, after),
            Self::Postgres(writer) => writer.move_mark(boot, shard, before, after),
        }
    }

    pub fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.commit()?),
            Self::Postgres(writer) => writer.commit(),
        }
    }
}
