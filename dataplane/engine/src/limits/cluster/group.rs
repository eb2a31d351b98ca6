//! A part of the store, which answers for itself, as an agent sees it: which epoch is in force, who else is there, and what is
//! due to be told.

use std::collections::BTreeSet;

use super::{
    held::{Key, Said},
    peers::MAX_PEERS,
};

/// The store hears of a node so often, and the node of what others lack.
pub(super) const BEAT_MS: u64 = 250;

#[derive(Debug)]
pub(super) struct Group {
    pub epoch: u64,
    pub seq: u64,
    pub acked: u64,
    /// All that is held has been told in this epoch.
    pub has_told: bool,
    /// When the last request that was answered had been sent.
    pub heard_ms: u64,
    pub is_away: bool,
    pub nodes: u64,
    /// Who was there when something was last granted.
    pub peers: Vec<u64>,
    pub cursor: u64,
    /// Nothing is granted before; `None`: it is now.
    closed_until_ms: Option<u64>,
    pub beat_ms: u64,
    /// Nothing is sent before.
    pub rests_until_ms: u64,
    pub flight: Option<Flight>,
    pub due: BTreeSet<(u64, Key)>,
    /// Up to when buckets were refilled while the store is away.
    pub flowed_ms: u64,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub sent_ms: u64,
    pub said: Vec<Said>,
    /// With it all is told.
    pub is_whole: bool,
}

impl Group {
    pub fn new(seq: u64, now_ms: u64) -> Self {
        Self {
            epoch: 0,
            seq,
            acked: 0,
            has_told: false,
            heard_ms: now_ms,
            is_away: false,
            nodes: 1,
            peers: Vec::new(),
            cursor: 0,
            closed_until_ms: Some(0),
            beat_ms: now_ms,
            rests_until_ms: 0,
            flight: None,
            due: BTreeSet::new(),
            flowed_ms: now_ms,
        }
    }

    pub fn begin_epoch(&mut self, epoch: u64, now_ms: u64) {
        (self.epoch, self.acked, self.cursor) = (epoch, 0, 0);
        (self.has_told, self.beat_ms) = (false, now_ms);
    }

    pub fn begin_flight(&mut self, said: Vec<Said>, is_whole: bool, now_ms: u64) {
        self.seq += 1;
        self.beat_ms = now_ms + BEAT_MS;
        self.flight = Some(Flight {
            sent_ms: now_ms,
            said,
            is_whole,
        });
    }

    /// Until something is granted again, and who is there. True: others than before are to be waited for.
    pub fn hear_of(&mut self, closed_ms: u64, (nodes, mut peers): (u64, Vec<u64>), now_ms: u64) -> bool {
        self.nodes = nodes.max(1);
        self.closed_until_ms = (closed_ms > 0).then_some(now_ms + closed_ms);
        match self.closed_until_ms {
            // Those who have come back by now are not all who were there.
            Some(until_ms) => {
                self.beat_ms = self.beat_ms.min(until_ms + 1);
                false
            }
            None => {
                peers.truncate(MAX_PEERS);
                let changed = self.peers != peers;
                self.peers = peers;
                changed
            }
        }
    }

    /// By the last answer.
    pub fn is_closed(&self) -> bool {
        self.closed_until_ms.is_some()
    }

    pub fn is_due(&self, now_ms: u64) -> bool {
        self.flight.is_none() && self.next_ms() <= now_ms
    }

    pub fn next_ms(&self) -> u64 {
        let due_ms = match self.epoch {
            0 => u64::MAX,
            _ => self.due.first().map_or(u64::MAX, |(due_ms, _)| *due_ms),
        };
        // Where the store is away, one question at a time is enough.
        let next_ms = match self.is_away {
            true => self.beat_ms,
            false => due_ms.min(self.beat_ms),
        };
        next_ms.max(self.rests_until_ms)
    }
}
