//! A stream that guards read: cut into events, each of which goes out once the sentences that it is part of were looked at.
//! Knows no exchange.

use std::{collections::VecDeque, sync::Arc};

use tollgate_dialect::{
    speak::{CallFacts, ReadStream, Speaks},
    translate::Ending,
    usage::Usage,
};

use super::{
    Entity, Finding, Guards, Side, add,
    channels::{Channels, Mark},
    units::Units,
};
use crate::exchange::Io;

/// What waits to be looked at; more is looked at as it is.
const MAX_WAITING_BYTES: usize = 256 << 10;
/// One event.
const MAX_UNIT_BYTES: usize = 1 << 20;
/// Of a stream at most: as it came, and its text.
pub(super) const MAX_STREAM_BYTES: usize = 2 * (MAX_WAITING_BYTES + MAX_UNIT_BYTES);

#[derive(Debug)]
pub(super) struct Stream {
    units: Units,
    reader: Box<dyn ReadStream>,
    channels: Channels,
    /// What guards found, once each.
    found: Vec<Finding>,
    /// It cannot be read.
    is_unread: bool,
    /// Where a guard may end it.
    ending: Option<Ending>,
    /// What has not gone out. Of that so much is read; and so much behind that was searched for the end of an event.
    waiting: Vec<u8>,
    read_bytes: usize,
    searched_bytes: usize,
    /// Events that were read and wait: how long each is, and for what.
    marks: VecDeque<(usize, Mark)>,
    /// What went out just now.
    released: Vec<u8>,
}

impl Stream {
    pub fn new(guards: &Guards, units: Units, (speaks, call): (&dyn Speaks, &CallFacts), is_plain: bool) -> Self {
        Self {
            units,
            reader: speaks.stream_reader(),
            channels: Channels::default(),
            found: Vec::new(),
            is_unread: !is_plain,
            ending: guards.holds_answers().map(|_| Ending::new(speaks, call)),
            waiting: Vec::new(),
            read_bytes: 0,
            searched_bytes: 0,
            marks: VecDeque::new(),
            released: Vec::new(),
        }
    }

    /// Does a guard enforce?
    pub fn holds_back(&self) -> bool {
        self.ending.is_some()
    }

    pub fn held_bytes(&self) -> usize {
        self.waiting.len() + self.channels.held_bytes() + self.released.len()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Reads the next event, where all of it has come. True where there is something to look at.
    pub fn read(&mut self) -> bool {
        let unread = self.waiting.get(self.read_bytes..).unwrap_or_default();
        if unread.is_empty() {
            return false;
        }
        if self.is_unread {
            self.read_bytes = self.waiting.len();
            return true;
        }
        let Some(length) = self.units.first(unread, self.searched_bytes) else {
            self.searched_bytes = unread.len();
            self.is_unread = unread.len() > MAX_UNIT_BYTES;
            return self.is_unread;
        };
        let unit = unread.get(..length).unwrap_or_default();
        let channels = &mut self.channels;
        self.is_unread = self.reader.feed(unit, &mut |event| channels.take(event)).is_err();
        self.read_bytes += length;
        self.searched_bytes = 0;
        self.marks.push_back((length, self.channels.mark()));
        true
    }

    /// Nothing follows: what is left is no whole event.
    pub fn end(&mut self) {
        let unread = self.waiting.get(self.read_bytes..).unwrap_or_default();
        let channels = &mut self.channels;
        self.is_unread |= self.reader.feed(unread, &mut |event| channels.take(event)).is_err();
        self.channels.end();
    }

    /// Looks at what is whole; gives what is new of what was found.
    pub fn look(&mut self, guards: &Guards, io: &mut Io<'_>) -> Vec<Finding> {
        let (mut new, found) = (Vec::new(), &mut self.found);
        let mut take = |finding: Finding| {
            if add(found, finding.clone()) {
                new.push(finding);
            }
        };
        let hurry = self.waiting.len() > MAX_WAITING_BYTES;
        self.channels.look(hurry, |text| {
            let findings = guards.findings(Side::Response, text, &mut io.local.guard);
            findings.into_iter().for_each(&mut take);
        });
        if let Some(guard) = guards.holds_answers().filter(|_| self.is_unread) {
            take(Finding {
                guard: Arc::clone(guard),
                what: Entity::Unread,
            });
        }
        new
    }

    pub fn blocks(&self) -> bool {
        self.blocked_by().is_some()
    }

    /// What the client is told of.
    pub fn blocked_by(&self) -> Option<&Finding> {
        self.found.iter().find(|finding| finding.guard.enforces)
    }

    /// What may go out now.
    pub fn release(&mut self) -> &[u8] {
        let mut bytes = 0;
        while let Some((length, _)) = self.marks.front().filter(|(_, mark)| self.channels.is_looked_at(mark)) {
            bytes += length;
            self.marks.pop_front();
        }
        self.take(bytes)
    }

    /// All that waits; where nothing is held back, all that was read.
    pub fn release_all(&mut self) -> &[u8] {
        self.marks.clear();
        let bytes = match self.holds_back() {
            true => self.waiting.len(),
            false => self.read_bytes,
        };
        self.take(bytes)
    }

    fn take(&mut self, bytes: usize) -> &[u8] {
        self.released.clear();
        self.released
            .extend(self.waiting.drain(..bytes.min(self.waiting.len())));
        self.read_bytes = self.read_bytes.saturating_sub(bytes);
        if let Some(ending) = &mut self.ending {
            // That it can be read was seen when it was read before.
            let followed = ending.follow(&self.released);
            debug_assert!(followed.is_ok() || self.is_unread, "{followed:?}");
        }
        &self.released
    }

    /// Appends what ends the stream behind what went out. What waits goes nowhere.
    pub fn stop(&mut self, used: Usage, out: &mut Vec<u8>) {
        self.waiting = Vec::new();
        self.marks.clear();
        if let Some(ending) = &mut self.ending {
            ending.stop(used, out);
        }
    }
}
