//! A transaction of the ledger in PostgreSQL. Rows are gathered and sent together at its end; what others may write at the
//! same time is written in one order by all, so that they wait for each other at most.

use tokio_postgres::types::ToSql;
use tollgate_config::usage_event::UsageEvent;

use super::{
    super::{
        hours::Sums,
        ledger::{
            self, ATTEMPT_COLUMNS, CALL_COLUMNS, CALL_TEXTS, Mark, OWN, TRAITS, attempt_cells, call_cells, signed,
            whole,
        },
        names::{Names, digest_of_texts},
        row::{self, NUMBERS, TEXTS},
    },
    Shared,
};
use crate::{
    postgres::{Alone, Cell, CopyRows, Kind, Session, unnest},
    store::StoreError,
};

const OPEN_AT_ONCE: i64 = 1_000;

pub struct Writer<'s> {
    shared: &'s mut Shared,
    calls: CopyRows,
    attempts: CopyRows,
    /// Calls that closed, of a boot and shard, whose opening records are in the table.
    closed: Vec<(u64, u16, i64)>,
    is_alone: bool,
    is_over: bool,
}

impl<'s> Writer<'s> {
    pub fn begin(shared: &'s mut Shared) -> Result<Self, StoreError> {
        shared.session.run("BEGIN")?;
        Ok(Self {
            shared,
            calls: CopyRows::default(),
            attempts: CopyRows::default(),
            closed: Vec::new(),
            is_alone: false,
            is_over: false,
        })
    }

    pub fn session(&mut self) -> &mut Session {
        &mut self.shared.session
    }

    pub fn alone(&mut self) -> Result<(), StoreError> {
        if !self.is_alone {
            self.session().lock(Alone::Once)?;
            self.is_alone = true;
        }
        Ok(())
    }

    pub fn alone_on_node(&mut self) -> Result<(), StoreError> {
        let node = self.shared.node;
        self.session().run(&format!("SELECT pg_advisory_xact_lock({node})"))
    }

    pub fn insert_call(&mut self, event: &UsageEvent<'_>) -> Result<(), StoreError> {
        let id = self.shared.ids.next();
        let id = id.ok_or_else(|| StoreError::Content("a transaction of too many calls".to_owned()))?;
        let head = [Cell::Whole(id), Cell::Whole(self.shared.node)];
        let count = head.len() + OWN.len() + TRAITS.len() + CALL_TEXTS.len();
        self.calls.push(count, head.into_iter().chain(call_cells(event)));
        if event.lines.len() > 1 {
            let moved: Vec<usize> = row::moved(event).map(|(at, _)| at).collect();
            for (at, line) in event.lines.iter().enumerate() {
                let cells = attempt_cells(id, at, &line, moved.contains(&at));
                let ended = Cell::Whole(whole(event.ended_unix_ms));
                self.attempts.push(1 + cells.len(), [ended].into_iter().chain(cells));
            }
        }
        Ok(())
    }

    pub fn take_open(&mut self, boot: u64, shard: u16, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        const TAKE: &str = "DELETE FROM open_calls WHERE node = ?1 AND boot = ?2 AND shard = ?3 AND sequence = ?4 \
             RETURNING frame";
        let of = self.of(boot, shard);
        let cells = [of[0], of[1], of[2], Cell::Whole(whole(sequence))];
        let row = self.session().first(TAKE, &values(&cells))?;
        row.map(|row| row.try_get(0)).transpose().map_err(content)
    }

    pub fn close_open(&mut self, boot: u64, shard: u16, sequence: u64) {
        self.closed.push((boot, shard, whole(sequence)));
    }

    pub fn some_open(&mut self, boot: u64, shard: u16) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        const SOME: &str =
            "SELECT sequence, frame FROM open_calls WHERE node = ?1 AND boot = ?2 AND shard = ?3 LIMIT ?4";
        let of = self.of(boot, shard);
        let cells = [of[0], of[1], of[2], Cell::Whole(OPEN_AT_ONCE)];
        let rows = self.session().rows(SOME, &values(&cells))?;
        rows.iter()
            .map(|row| {
                let sequence: i64 = row.try_get(0).map_err(content)?;
                Ok((sequence.cast_unsigned(), row.try_get(1).map_err(content)?))
            })
            .collect()
    }

    pub fn insert_open<'f>(
        &mut self,
        boot: u64,
        shard: u16,
        frames: impl Iterator<Item = (u64, &'f [u8])>,
    ) -> Result<(), StoreError> {
        const COLUMNS: [(&str, Kind); 5] = [
            ("node", Kind::Whole),
            ("boot", Kind::Whole),
            ("shard", Kind::Whole),
            ("sequence", Kind::Whole),
            ("frame", Kind::Bytes),
        ];
        let [node, boot, shard] = self.of(boot, shard);
        let rows: Vec<Vec<Cell<'_>>> = frames
            .map(|(sequence, frame)| vec![node, boot, shard, Cell::Whole(whole(sequence)), Cell::Bytes(frame)])
            .collect();
        let then = "ON CONFLICT (node, boot, shard, sequence) DO UPDATE SET frame = excluded.frame";
        unnest(self.session(), "open_calls", &COLUMNS, &rows, then).map(drop)
    }

    /// In the order of hours and digests, which is the same whoever writes them.
    pub fn add_hours(&mut self, names: &Names, sums: &Sums) -> Result<(), StoreError> {
        // Before hours are held, which others want too.
        self.send()?;
        let sums = sums.iter().map(|((hour_ms, place), numbers)| {
            let texts = names.texts(*place);
            (*hour_ms, digest_of_texts(&texts), texts, numbers)
        });
        let mut sums: Vec<_> = sums.collect();
        sums.sort_unstable_by_key(|(hour_ms, digest, ..)| (*hour_ms, *digest));
        let rows: Vec<Vec<Cell<'_>>> = sums
            .iter()
            .map(|(hour_ms, digest, texts, numbers)| {
                let head = [Cell::Whole(whole(*hour_ms)), Cell::Bytes(digest)];
                let texts = texts.iter().map(|text| Cell::Text(text));
                let numbers = numbers.iter().map(|number| Cell::Whole(*number));
                head.into_iter().chain(texts).chain(numbers).collect()
            })
            .collect();
        let head = [("hour_ms", Kind::Whole), ("digest", Kind::Bytes)];
        let texts = TEXTS.map(|name| (name, Kind::Text));
        let numbers = NUMBERS.map(|name| (name, Kind::Whole));
        let columns: Vec<(&str, Kind)> = head.into_iter().chain(texts).chain(numbers).collect();
        let adds = NUMBERS
            .map(|name| format!("{name} = hours.{name} + excluded.{name}"))
            .join(", ");
        let then = format!("ON CONFLICT (hour_ms, digest) DO UPDATE SET {adds}");
        unnest(self.session(), "hours", &columns, &rows, &then).map(drop)
    }

    /// From where this transaction began to read: whoever else read from there, or this one before its connection was
    /// lost, has committed.
    pub fn move_mark(&mut self, boot: u64, shard: u16, before: Mark, after: Mark) -> Result<(), StoreError> {
        const MOVE: &str = "UPDATE marks SET segment = ?4, at = ?5, next_sequence = ?6, last_ms = ?7 WHERE node = ?1 AND \
             boot = ?2 AND shard = ?3 AND segment = ?8 AND at = ?9 AND next_sequence = ?10";
        const FIRST: &str = "INSERT INTO marks (node, boot, shard, segment, at, next_sequence, last_ms) VALUES (?1, ?2, \
             ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let of = self.of(boot, shard);
        let [segment, at, next_sequence, last_ms] = place(after);
        let first = [of[0], of[1], of[2], segment, at, next_sequence, last_ms];
        let [from_segment, from_at, from_sequence, _] = place(before);
        let moved: Vec<Cell<'_>> = first
            .into_iter()
            .chain([from_segment, from_at, from_sequence])
            .collect();
        if super::execute(self.session(), MOVE, &moved)? == 1 || super::execute(self.session(), FIRST, &first)? == 1 {
            return Ok(());
        }
        Err(StoreError::Overtaken)
    }

    pub fn forget_mark(&mut self, boot: u64, shard: u16) -> Result<(), StoreError> {
        const FORGET: &str = "DELETE FROM marks WHERE node = ?1 AND boot = ?2 AND shard = ?3";
        let of = self.of(boot, shard);
        super::execute(self.session(), FORGET, &of).map(drop)
    }

    pub fn commit(mut self) -> Result<(), StoreError> {
        self.send()?;
        self.session().run("COMMIT")?;
        self.is_over = true;
        Ok(())
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let (calls, attempts) = (std::mem::take(&mut self.calls), std::mem::take(&mut self.attempts));
        if !calls.is_empty() {
            let sql = format!("COPY calls (id, node, {}) FROM STDIN BINARY", *CALL_COLUMNS);
            self.session().copy(&sql, calls)?;
        }
        if !attempts.is_empty() {
            let sql = format!("COPY attempts (ended_ms, {ATTEMPT_COLUMNS}) FROM STDIN BINARY");
            self.session().copy(&sql, attempts)?;
        }
        const CLOSE: &str =
            "DELETE FROM open_calls WHERE node = ?1 AND boot = ?2 AND shard = ?3 AND sequence = ANY (?4::BIGINT[])";
        let closed = std::mem::take(&mut self.closed);
        if let Some((boot, shard, _)) = closed.first().copied() {
            // A transaction is of one boot and shard.
            let sequences: Vec<i64> = closed.iter().map(|(_, _, sequence)| *sequence).collect();
            let [node, boot, shard] = self.of(boot, shard);
            self.session().execute(CLOSE, &[&node, &boot, &shard, &sequences])?;
        }
        Ok(())
    }

    fn of(&self, boot: u64, shard: u16) -> [Cell<'static>; 3] {
        [
            Cell::Whole(self.shared.node),
            Cell::Whole(signed(boot)),
            Cell::Whole(i64::from(shard)),
        ]
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.session.rollback();
        }
    }
}

pub fn values<'c>(cells: &'c [Cell<'_>]) -> Vec<&'c (dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

fn place(mark: Mark) -> [Cell<'static>; 4] {
    [
        Cell::Whole(i64::from(mark.segment)),
        Cell::Whole(ledger::whole(mark.at as u64)),
        Cell::Whole(whole(mark.next_sequence)),
        Cell::Whole(whole(mark.last_ms)),
    ]
}

fn content(error: tokio_postgres::Error) -> StoreError {
    StoreError::Content(error.to_string())
}
