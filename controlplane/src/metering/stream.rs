//! The records of one shard of one data plane, segment by segment: what is whole is taken in, what is damaged is passed
//! over and named, and sequences that do not follow each other are told.

use std::io;

use tollgate_config::usage_event::{HEADER_BYTES, Next, SegmentName, UsageEvent, VERSION, next, resume};

use super::{
    batch::Batch,
    ingest::{IngestError, News},
    ledger::Mark,
    segment::SegmentFile,
};

/// Looks that must find the same damage in what is still being written, before it is believed: a record may be read while
/// it is written.
const LOOKS: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing more can be read now.
    Waits,
    /// There may be more.
    Goes,
    /// What follows is for a newer control plane than this.
    Newer,
}

#[derive(Clone, Debug)]
pub struct Stream {
    pub boot: u64,
    pub shard: u16,
    pub mark: Mark,
    /// As it is in the ledger; the other is ahead of it where a segment was passed over.
    pub committed: Mark,
    /// Where something looked damaged, and how often.
    suspect: (usize, u32),
    /// In which segment records were found that are newer than this program: told once.
    newer_in: Option<u32>,
}

/// Why reading a segment halted.
enum Halt {
    Full,
    Nothing,
    End,
    Damaged,
    Newer(u8),
}

impl Stream {
    pub fn at(boot: u64, shard: u16, mark: Mark) -> Self {
        Self {
            boot,
            shard,
            mark,
            committed: mark,
            suspect: (0, 0),
            newer_in: None,
        }
    }

    pub fn name(&self) -> SegmentName {
        SegmentName {
            boot: self.boot,
            shard: self.shard,
            number: self.mark.segment,
        }
    }

    pub fn next_name(&self) -> SegmentName {
        SegmentName {
            number: self.mark.segment.saturating_add(1),
            ..self.name()
        }
    }

    /// Segments that are not there are passed over; their sequences will be missing.
    pub fn skip_missing(&mut self, numbers: &[u32]) {
        if numbers.contains(&self.mark.segment) {
            return;
        }
        if let Some(next) = numbers.iter().find(|number| **number > self.mark.segment) {
            self.begin_segment(*next);
        }
    }

    fn begin_segment(&mut self, number: u32) {
        self.mark.segment = number;
        self.mark.at = HEADER_BYTES;
        self.suspect = (0, 0);
    }

    /// Reads on in the segment whose turn it is. `over`: nobody writes to it any more, as was known before it was read.
    pub fn read(&mut self, file: &SegmentFile, over: bool, batch: &mut Batch<'_>) -> Result<Stop, IngestError> {
        if self.mark.at == HEADER_BYTES && file.has_more(HEADER_BYTES)? && !file.is_named(self.name())? {
            self.damaged(batch, "its header is not that of its name".to_owned());
        }
        loop {
            match self.read_records(file, batch)? {
                Halt::Full => return Ok(Stop::Goes),
                Halt::Newer(version) => {
                    self.note_newer(version, batch);
                    return Ok(Stop::Newer);
                }
                Halt::Nothing if !over => return Ok(Stop::Waits),
                Halt::Damaged if !over && !self.is_believed() => return Ok(Stop::Waits),
                halt => match self.pass_damage(file, &halt, over, batch)? {
                    Some(stop @ (Stop::Waits | Stop::Newer)) => return Ok(stop),
                    Some(Stop::Goes) => {
                        self.begin_segment(self.mark.segment.saturating_add(1));
                        return Ok(Stop::Goes);
                    }
                    None => {}
                },
            }
        }
    }

    fn read_records(&mut self, file: &SegmentFile, batch: &mut Batch<'_>) -> Result<Halt, IngestError> {
        let mut bytes = std::mem::take(&mut batch.bytes);
        let read = self.read_records_by(&mut bytes, file, batch);
        batch.bytes = bytes;
        read
    }

    fn read_records_by(
        &mut self,
        bytes: &mut Vec<u8>,
        file: &SegmentFile,
        batch: &mut Batch<'_>,
    ) -> Result<Halt, IngestError> {
        loop {
            let has_end = file.read(self.mark.at, bytes)?;
            let mut at = 0;
            let halt = loop {
                let rest = &bytes[at..];
                match next(rest) {
                    _ if batch.is_full() => break Some(Halt::Full),
                    Next::Record(event, length) if event.boot == self.boot && event.shard == self.shard => {
                        self.take(&event, &rest[..length], batch)?;
                        at += length;
                    }
                    Next::Record(..) | Next::Damaged => break Some(Halt::Damaged),
                    Next::Newer(version, _) => break Some(Halt::Newer(version)),
                    Next::Nothing => break Some(Halt::Nothing),
                    Next::End => break Some(Halt::End),
                    Next::Short if !has_end && at > 0 => break None,
                    Next::Short if rest.is_empty() => break Some(Halt::End),
                    Next::Short => break Some(Halt::Damaged),
                }
            };
            self.mark.at += at;
            if let Some(halt) = halt {
                return Ok(halt);
            }
        }
    }

    fn take(&mut self, event: &UsageEvent<'_>, frame: &[u8], batch: &mut Batch<'_>) -> Result<(), IngestError> {
        let expected = self.mark.next_sequence;
        if event.sequence < expected {
            return Ok(());
        }
        if event.sequence > expected {
            let missing = event.sequence - expected;
            batch.done.missing += missing;
            let text = format!(
                "usage records {expected} to {} of boot {:016x}, shard {}, are missing",
                event.sequence - 1,
                self.boot,
                self.shard
            );
            batch.done.news.push(News {
                kind: "usage_records_missing",
                text,
            });
        }
        self.mark.next_sequence = event.sequence.saturating_add(1);
        self.mark.last_ms = self.mark.last_ms.max(event.ended_unix_ms).max(event.started_unix_ms);
        batch.put(event, frame)?;
        Ok(())
    }

    /// Has the damage at this place been seen often enough?
    fn is_believed(&mut self) -> bool {
        let (at, looks) = self.suspect;
        self.suspect = (
            self.mark.at,
            if at == self.mark.at { looks.saturating_add(1) } else { 1 },
        );
        self.suspect.1 >= LOOKS
    }

    /// Goes on behind what is no record, if any record follows. `Goes`: the segment has been read to its end.
    fn pass_damage(
        &mut self,
        file: &SegmentFile,
        halt: &Halt,
        over: bool,
        batch: &mut Batch<'_>,
    ) -> io::Result<Option<Stop>> {
        let rest = file.read_rest(self.mark.at)?;
        let found = resume(&rest, self.boot, self.shard, self.mark.next_sequence);
        let is_damaged = matches!(halt, Halt::Damaged) || found.is_some();
        // What is told once is not told again at each look.
        let is_news = self.suspect.1 <= LOOKS;
        if is_damaged && is_news {
            let bytes = found.unwrap_or(rest.len());
            self.damaged(batch, format!("{bytes} bytes from {} on are no records", self.mark.at));
        }
        match found {
            Some(bytes) => {
                self.mark.at += bytes;
                self.suspect = (0, 0);
                Ok(None)
            }
            None if over || matches!(halt, Halt::End) => Ok(Some(Stop::Goes)),
            None => Ok(Some(Stop::Waits)),
        }
    }

    fn note_newer(&mut self, version: u8, batch: &mut Batch<'_>) {
        if self.newer_in.replace(self.mark.segment) == Some(self.mark.segment) {
            return;
        }
        batch.done.news.push(News {
            kind: "usage_records_newer",
            text: format!(
                "segment {} has records of version {version}, from {} on, and this control plane ({}) knows none beyond {}: it \
                 and what its data plane wrote after it stay in the spool until a newer control plane reads them. Upgrade the \
                 control plane first",
                self.name(),
                self.mark.at,
                env!("CARGO_PKG_VERSION"),
                VERSION
            ),
        });
    }

    fn damaged(&self, batch: &mut Batch<'_>, what: String) {
        batch.done.damaged += 1;
        batch.done.news.push(News {
            kind: "usage_spool_damaged",
            text: format!("segment {}: {what}", self.name()),
        });
    }
}
