//! A shard's own end of the spool. It calls nothing that could wait, and promises room before it takes a call: what was
//! opened can always be closed.

use std::collections::VecDeque;

use tollgate_config::usage_event::{
    ALIGN, END_BYTES, END_MARK, Ending, HEADER_BYTES, Kind, MAX_FRAME_BYTES, MAX_GROWTH_BYTES, SEGMENT_BYTES,
    UsageEvent,
};
use tollgate_dialect::usage::Usage;
use tollgate_engine::{
    Tick,
    record::{LateWork, Outcome, Record},
};

use super::{Handle, Segment, maker::Ask};
use crate::sys::segment::Writer;

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
    /// That could not be written. The room promised to each call keeps this at zero.
    pub lost: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.dropped += other.dropped;
        self.lost += other.lost;
    }

    /// As the metric's label names them.
    pub fn by_state(&self) -> [(&'static str, u64); 4] {
        [
            ("opened", self.opened),
            ("closed", self.closed),
            ("dropped", self.dropped),
            ("lost", self.lost),
        ]
    }
}

#[derive(Debug)]
pub struct Spool {
    boot: u64,
    shard: u16,
    maker: Handle,
    current: Option<Writer>,
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
    pub counts: Counts,
}

impl Spool {
    /// `first`: made before the shard was, so that it can take calls at once. Empty when the disk refuses.
    pub fn new(maker: Handle, shard: u16, first: Vec<Segment>) -> Self {
        let mut spool = Self {
            boot: maker.boot(),
            shard,
            maker,
            current: None,
            at: 0,
            warm_at: usize::MAX,
            ready: first.into(),
            asked: 0,
            ahead: 1,
            began: Tick(0),
            reserved_bytes: 0,
            sequence: 0,
            frame: Box::new([0; MAX_FRAME_BYTES]),
            counts: Counts::default(),
        };
        spool.next_segment(Tick(0));
        spool.ask();
        spool
    }

    /// A segment that was asked for.
    pub fn take(&mut self, segment: Segment, now: Tick) {
        self.asked = self.asked.saturating_sub(1);
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

    /// A call is about to go to a provider. `None`: there is no room for its records.
    pub fn open(&mut self, record: &Record<'_>, unix_ms: u64, now: Tick) -> Option<Opened> {
        if self.is_full() {
            return None;
        }
        let event = UsageEvent {
            kind: Kind::Open,
            ended_unix_ms: 0,
            ..event(record, unix_ms)
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

    /// It has ended.
    pub fn close(&mut self, opened: Opened, record: &Record<'_>, unix_ms: u64, now: Tick) {
        self.reserved_bytes = self.reserved_bytes.saturating_sub(opened.reserved_bytes);
        // Few have any.
        let late = record.late.map(late_text);
        let event = UsageEvent {
            kind: Kind::Close,
            batch: late.as_deref().unwrap_or_default(),
            ..event(record, unix_ms)
        };
        self.append(event, Some(opened), now);
        self.counts.closed += 1;
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
        let Some(Segment { writer, pages }) = self.ready.pop_front() else {
            return;
        };
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
            self.maker.ask(Ask::Unmap(full));
        }
        self.at = HEADER_BYTES;
        self.warm_at = SEGMENT_BYTES / 2;
        self.began = now;
        self.ask();
    }
}

/// All that the engine knows, but for the record's identity.
fn event<'r>(record: &Record<'r>, unix_ms: u64) -> UsageEvent<'r> {
    let text = |text: Option<&'r str>| text.unwrap_or_default();
    UsageEvent {
        started_unix_ms: unix_ms.saturating_sub(record.total_ns / 1_000_000),
        ended_unix_ms: unix_ms,
        total_ns: record.total_ns,
        gateway_ns: record.gateway_ns,
        first_token_ns: record.first_token_ns,
        request_bytes: record.request_body_bytes,
        response_bytes: record.response_body_bytes,
        tokens: record.usage.map_or([None; _], |usage| classes(&usage)),
        cost: record.cost.map(|cost| (cost.usd, cost.prices)),
        status: record.status,
        ending: match record.outcome {
            Outcome::Complete => Ending::Complete,
            Outcome::ClientGone => Ending::ClientGone,
            Outcome::Cut => Ending::Cut,
            Outcome::Crashed => Ending::Crashed,
        },
        attempts: record.attempts,
        streamed: record.streamed,
        estimated: record.estimated,
        request_id: record.request_id,
        key: text(record.key),
        user: text(record.user),
        team: text(record.team),
        tags: text(record.tags),
        model_asked: text(record.model_asked),
        model: text(record.model.map(|(_, name)| name)),
        provider: text(record.provider.map(|(_, name)| name)),
        upstream_model: text(record.upstream_model),
        surface: record.surface,
        dialect: record.dialect,
        rejected: text(record.rejected),
        ..UsageEvent::default()
    }
}

/// What it is known by, and behind that a batch's id as its client has it.
fn late_text(late: LateWork<'_>) -> String {
    let LateWork { id, batch } = late;
    match batch {
        Some(batch) => format!("{id:032x} {batch}"),
        None => format!("{id:032x}"),
    }
}

/// By `TOKEN_CLASSES` of the record.
fn classes(usage: &Usage) -> [Option<u64>; 9] {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.input_audio,
        usage.output_audio,
        usage.input_image,
    ]
}
