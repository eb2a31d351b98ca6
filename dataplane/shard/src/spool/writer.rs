//! A shard's own end of the spool. It calls nothing that could wait, and promises room before it takes a call: what was
//! opened can always be closed.

use std::collections::VecDeque;

use tollgate_config::{
    document::{Durability, UsageKeeping},
    usage_event::{
        ALIGN, AttemptBuffer, END_BYTES, END_MARK, Ending, HEADER_BYTES, Kind, MAX_FRAME_BYTES, MAX_GROWTH_BYTES,
        SEGMENT_BYTES, UsageEvent,
    },
};
use tollgate_engine::{
    Tick,
    billing::{Attempt, Billed},
    record::Record,
};

use super::{Handle, Segment, lines, maker::Ask, sync};
use crate::sys::segment::{Pages, Writer};

/// What records may fill of a segment, whatever their lengths: up to one frame's worth is left at its end.
const USABLE_BYTES: usize = SEGMENT_BYTES - HEADER_BYTES - END_BYTES - MAX_FRAME_BYTES;
/// Room for the next call: less is full.
const CALL_BYTES: usize = 2 * MAX_FRAME_BYTES + MAX_GROWTH_BYTES;
/// Segments kept ready are enough for about so long.
const AHEAD_NS: u64 = 1_000_000_000;
const MAX_AHEAD: usize = 16;

/// A call that is open: give it back to `Spool::close` or `Spool::drop_call`.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    sequence: u64,
    /// Promised to its closing record.
    reserved_bytes: usize,
}

/// Records written since the shard started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub opened: u64,
    pub closed: u64,
    /// Closed because of a fault of ours.
    pub dropped: u64,
    /// Of segments that were removed unread to make room.
    pub overwritten: u64,
    /// That could not be written. The room promised to each call keeps this at zero, but for answers that many share while the
    /// last room goes.
    pub lost: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.dropped += other.dropped;
        self.lost += other.lost;
        self.overwritten += other.overwritten;
    }

    /// As the metric's label names them.
    pub fn by_state(&self) -> [(&'static str, u64); 5] {
        [
            ("opened", self.opened),
            ("closed", self.closed),
            ("dropped", self.dropped),
            ("lost", self.lost),
            ("overwritten", self.overwritten),
        ]
    }
}

#[derive(Debug)]
pub struct Spool {
    boot: u64,
    shard: u16,
    maker: Handle,
    current: Option<Writer>,
    /// Its number.
    number: u32,
    /// Where the next frame goes.
    at: usize,
    /// From here on the next segment's pages are wanted.
    warm_at: usize,
    ready: VecDeque<Segment>,
    /// Asked for and not here yet.
    asked: usize,
    /// Segments kept ready beside the current one.
    ahead: usize,
    began: Tick,
    reserved_bytes: usize,
    sequence: u64,
    frame: Box<[u8; MAX_FRAME_BYTES]>,
    /// Of the call that ends next.
    attempts: AttemptBuffer,
    syncing: Syncing,
    pub counts: Counts,
}

/// How far records are on the disk.
#[derive(Debug, Default)]
struct Syncing {
    strict: bool,
    /// Up to this one they are.
    done: u64,
    /// Up to here it was asked for; no second time before that is done.
    asked: Option<u64>,
    /// Segments that were left since, with records that are not.
    left: Vec<Pages>,
}

impl Spool {
    /// `first`: made before the shard was, so that it can take calls at once. Empty when the disk refuses.
    pub fn new(maker: Handle, shard: u16, first: Vec<Segment>) -> Self {
        let mut spool = Self {
            boot: maker.boot(),
            shard,
            maker,
            current: None,
            number: 0,
            at: 0,
            warm_at: usize::MAX,
            ready: first.into(),
            asked: 0,
            ahead: 1,
            began: Tick(0),
            reserved_bytes: 0,
            sequence: 0,
            frame: Box::new([0; MAX_FRAME_BYTES]),
            attempts: AttemptBuffer::default(),
            syncing: Syncing::default(),
            counts: Counts::default(),
        };
        spool.next_segment(Tick(0));
        spool.ask();
        spool
    }

    /// A segment that was asked for.
    pub fn take(&mut self, segment: Segment, now: Tick) {
        self.asked = self.asked.saturating_sub(1);
        self.counts.overwritten += segment.overwritten;
        self.ready.push_back(segment);
        if self.current.is_none() {
            self.next_segment(now);
        }
        self.warm_when_near();
        self.ask();
    }

    /// No further call may go to a provider: its records might have no room.
    pub fn is_full(&self) -> bool {
        self.free_bytes() < self.reserved_bytes + CALL_BYTES
    }

    fn free_bytes(&self) -> usize {
        let current = (USABLE_BYTES + HEADER_BYTES).saturating_sub(self.at);
        let current = if self.current.is_some() { current } else { 0 };
        current + self.ready.len() * USABLE_BYTES
    }

    /// Asks for segments where too few are ready.
    fn ask(&mut self) {
        let wanted = USABLE_BYTES * self.ahead + self.reserved_bytes + CALL_BYTES;
        while self.free_bytes() + self.asked * USABLE_BYTES < wanted {
            if !self.maker.ask(Ask::Segment(self.shard)) {
                return;
            }
            self.asked += 1;
        }
    }

    /// As the document says.
    pub fn keep(&mut self, keeping: &UsageKeeping) {
        self.syncing.strict = keeping.durability == Durability::Strict;
        self.maker.keep(keeping);
    }

    /// A call is about to go to a provider. `None`: there is no room for its records.
    pub fn open(&mut self, (record, billed): (&Record<'_>, &Billed<'_>), unix_ms: u64, now: Tick) -> Option<Opened> {
        if self.is_full() {
            return None;
        }
        let event = UsageEvent {
            kind: Kind::Open,
            ended_unix_ms: 0,
            ..lines::event(record, billed, unix_ms)
        };
        let (sequence, bytes) = self.append(event, None, now);
        self.counts.opened += 1;
        let opened = Opened {
            sequence,
            reserved_bytes: bytes + MAX_GROWTH_BYTES,
        };
        self.reserved_bytes += opened.reserved_bytes;
        self.ask();
        Some(opened)
    }

    /// A call is about to end: what was noted of another, whose end failed, is not its.
    pub fn begin_notes(&mut self) {
        self.attempts.clear();
    }

    /// One of the attempts of the call that is about to end, in their order.
    pub fn note(&mut self, attempt: &Attempt<'_>) {
        self.attempts.push(&lines::line(attempt));
    }

    /// It has ended. `more`: there were other attempts than those that were noted. Answers the record which must be on the
    /// disk before the call's last byte goes out, where one must.
    pub fn close(
        &mut self,
        opened: Opened,
        (record, billed, more): (&Record<'_>, &Billed<'_>, bool),
        unix_ms: u64,
        now: Tick,
    ) -> Option<u64> {
        self.reserved_bytes = self.reserved_bytes.saturating_sub(opened.reserved_bytes);
        let attempts = std::mem::take(&mut self.attempts);
        // Few have any.
        let late = record.late.map(lines::late_text);
        let event = UsageEvent {
            kind: Kind::Close,
            batch: late.as_deref().unwrap_or_default(),
            lines: attempts.lines(),
            more_attempts: more || attempts.is_cut,
            ..lines::event(record, billed, unix_ms)
        };
        let (sequence, _) = self.append(event, Some(opened), now);
        self.attempts = attempts;
        self.attempts.clear();
        self.counts.closed += 1;
        self.syncing.strict.then_some(sequence)
    }

    /// Is this record on the disk?
    pub fn is_synced(&self, sequence: u64) -> bool {
        sequence <= self.syncing.done
    }

    /// What was asked for is.
    pub fn synced(&mut self, sequence: u64) {
        self.syncing.done = self.syncing.done.max(sequence);
        self.syncing.asked = None;
        self.sync();
    }

    /// Has what was written since brought to the disk, unless that is under way.
    fn sync(&mut self) {
        if self.syncing.asked.is_some() || self.syncing.done == self.sequence {
            return;
        }
        let mut pages = std::mem::take(&mut self.syncing.left);
        pages.extend(self.current.as_ref().map(Writer::pages));
        let ask = sync::Ask {
            shard: self.shard,
            pages,
            sequence: self.sequence,
            at_once: self.syncing.strict,
        };
        match self.maker.sync(ask) {
            Ok(()) => self.syncing.asked = Some(self.sequence),
            // With the next record, then.
            Err(mut pages) => {
                pages.pop();
                self.syncing.left = pages;
            }
        }
    }

    /// A call has ended that no provider was asked for: what would have opened it closes it as well. Answers as `close`; `None`
    /// where there is no room.
    pub fn close_at_once(
        &mut self,
        (record, billed): (&Record<'_>, &Billed<'_>),
        unix_ms: u64,
        now: Tick,
    ) -> Option<Option<u64>> {
        // Less than a call needs: one that was begun while there was room for a call finds it.
        if self.free_bytes() < self.reserved_bytes + MAX_FRAME_BYTES {
            self.counts.lost += 1;
            return None;
        }
        let event = UsageEvent {
            kind: Kind::Close,
            ..lines::event(record, billed, unix_ms)
        };
        let (sequence, _) = self.append(event, None, now);
        self.counts.closed += 1;
        self.ask();
        Some(self.syncing.strict.then_some(sequence))
    }

    /// It was dropped by a fault of ours, and nothing more is known of it.
    pub fn drop_call(&mut self, opened: Opened, unix_ms: u64, now: Tick) {
        self.reserved_bytes = self.reserved_bytes.saturating_sub(opened.reserved_bytes);
        let event = UsageEvent {
            kind: Kind::Dropped,
            ended_unix_ms: unix_ms,
            ending: Ending::Crashed,
            ..UsageEvent::default()
        };
        self.append(event, Some(opened), now);
        self.counts.dropped += 1;
    }

    /// Writes a record and answers its sequence and how many bytes it took.
    fn append(&mut self, event: UsageEvent<'_>, opened: Option<Opened>, now: Tick) -> (u64, usize) {
        let sequence = self.sequence + 1;
        let event = UsageEvent {
            boot: self.boot,
            shard: self.shard,
            sequence,
            opened: opened.map_or(sequence, |opened| opened.sequence),
            ..event
        };
        let bytes = event.write(&mut self.frame);
        if !self.has_room(bytes) {
            self.next_segment(now);
        }
        let Some(writer) = self
            .current
            .as_mut()
            .filter(|_| self.at + bytes <= SEGMENT_BYTES - END_BYTES)
        else {
            self.counts.lost += 1;
            return (sequence, bytes);
        };
        writer.publish(self.at, &self.frame[..bytes]);
        self.at += bytes;
        self.sequence = sequence;
        if self.syncing.asked.is_none() {
            self.sync();
        }
        self.warm_when_near();
        (sequence, bytes)
    }

    /// Has the next segment's pages made once this one is half full: not sooner, for they are memory.
    fn warm_when_near(&mut self) {
        if self.at < self.warm_at {
            return;
        }
        if let Some(next) = self.ready.front_mut() {
            self.warm_at = usize::MAX;
            if let Some(pages) = next.pages.take() {
                self.maker.ask(Ask::Populate(pages));
            }
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.current.is_some() && self.at + bytes <= SEGMENT_BYTES - END_BYTES
    }

    /// Goes on in the next segment, when there is one.
    #[cold]
    fn next_segment(&mut self, now: Tick) {
        let Some(Segment {
            writer, pages, number, ..
        }) = self.ready.pop_front()
        else {
            return;
        };
        let full_number = std::mem::replace(&mut self.number, number);
        if let Some(pages) = pages {
            self.maker.ask(Ask::Populate(pages));
        }
        if let Some(mut full) = self.current.replace(writer) {
            let mut mark = [0; ALIGN];
            mark[..4].copy_from_slice(&END_MARK.to_le_bytes());
            full.publish(self.at, &mark);
            // Who needs a segment in less than a second needs more than one ahead.
            let lasted_ns = now.ns_since(self.began).max(1);
            self.ahead = usize::try_from(AHEAD_NS.div_ceil(lasted_ns)).map_or(MAX_AHEAD, |ahead| ahead.min(MAX_AHEAD));
            if self.syncing.done < self.sequence {
                self.syncing.left.push(full.pages());
            }
            self.maker.ask(Ask::Unmap(self.shard, full_number, full));
        }
        self.at = HEADER_BYTES;
        self.warm_at = SEGMENT_BYTES / 2;
        self.began = now;
        self.ask();
    }
}
