//! A bounded record of what arrived, for tests to read: the exact bytes, and how each call ended.
//!
//! One ring per thread, so that recording a request takes a lock nobody else holds.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use serde_json::{Value, json};

/// Requests kept per thread.
const KEPT_REQUESTS: usize = 2048;
/// Bytes of each body kept; the full length is always told.
const KEPT_BODY_BYTES: usize = 64 * 1024;

/// How a call ended, seen from the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    InFlight,
    Answered,
    /// A fault that was asked for ended it.
    Faulted,
    /// The peer went away before the whole answer was sent.
    ClientGone,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Ending::InFlight => "in_flight",
            Ending::Answered => "answered",
            Ending::Faulted => "faulted",
            Ending::ClientGone => "client_gone",
        }
    }
}

struct Arrival {
    sequence: u64,
    connection: u64,
    head: Vec<u8>,
    body: Vec<u8>,
    body_bytes: usize,
    at_us: u64,
    ended_us: u64,
    ending: Ending,
}

#[derive(Default)]
struct Ring {
    slots: Vec<Arrival>,
    requests: u64,
}

/// Everything the sandbox remembers, shared by its threads.
pub struct Arrivals {
    rings: Vec<Mutex<Ring>>,
    sequence: AtomicU64,
    accepted: AtomicU64,
    open: AtomicU64,
    start: Instant,
}

/// Where a request was recorded, to write its end there.
#[derive(Clone, Copy)]
pub struct Ticket {
    thread: usize,
    slot: usize,
    sequence: u64,
}

impl Arrivals {
    pub fn new(threads: usize) -> Self {
        Self {
            rings: (0..threads).map(|_| Mutex::default()).collect(),
            sequence: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            start: Instant::now(),
        }
    }

    /// Counts a connection and numbers it.
    pub fn connection_opened(&self) -> u64 {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.accepted.fetch_add(1, Ordering::Relaxed)
    }

    pub fn connection_closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn record(&self, thread: usize, connection: u64, head: &[u8], body: &[u8]) -> Ticket {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut ring = lock(&self.rings[thread]);
        let slot = (ring.requests % KEPT_REQUESTS as u64) as usize;
        ring.requests += 1;
        if ring.slots.len() <= slot {
            ring.slots.push(Arrival {
                sequence,
                connection,
                head: Vec::new(),
                body: Vec::new(),
                body_bytes: 0,
                at_us: 0,
                ended_us: 0,
                ending: Ending::InFlight,
            });
        }
        let arrival = &mut ring.slots[slot];
        (arrival.sequence, arrival.connection, arrival.body_bytes) = (sequence, connection, body.len());
        (arrival.at_us, arrival.ended_us, arrival.ending) = (self.now_us(), 0, Ending::InFlight);
        arrival.head.clear();
        arrival.head.extend_from_slice(head);
        arrival.body.clear();
        arrival.body.extend_from_slice(&body[..body.len().min(KEPT_BODY_BYTES)]);
        Ticket { thread, slot, sequence }
    }

    pub fn ended(&self, ticket: Ticket, ending: Ending) {
        let now_us = self.now_us();
        let mut ring = lock(&self.rings[ticket.thread]);
        if let Some(arrival) = ring
            .slots
            .get_mut(ticket.slot)
            .filter(|arrival| arrival.sequence == ticket.sequence)
        {
            (arrival.ending, arrival.ended_us) = (ending, now_us);
        }
    }

    /// Forgets the requests; the connections' counts stay, as the connections do.
    pub fn reset(&self) {
        for ring in &self.rings {
            *lock(ring) = Ring::default();
        }
    }

    /// `{"requests","connections":{"open","accepted"},"arrivals":[…]}`, oldest first.
    pub fn report(&self) -> Value {
        let mut requests = 0;
        let mut arrivals = Vec::new();
        for ring in &self.rings {
            let ring = lock(ring);
            requests += ring.requests;
            arrivals.extend(ring.slots.iter().map(|arrival| (arrival.sequence, describe(arrival))));
        }
        arrivals.sort_by_key(|(sequence, _)| *sequence);
        let open = self.open.load(Ordering::Relaxed);
        json!({
            "requests": requests,
            "connections": { "open": open, "accepted": self.accepted.load(Ordering::Relaxed) },
            "arrivals": arrivals.into_iter().map(|(_, described)| described).collect::<Vec<_>>(),
        })
    }

    fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

fn describe(arrival: &Arrival) -> Value {
    let head = String::from_utf8_lossy(&arrival.head);
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap_or_default().split(' ');
    let headers: Vec<Value> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| json!([name.to_ascii_lowercase(), value.trim()]))
        .collect();
    json!({
        "sequence": arrival.sequence,
        "connection": arrival.connection,
        "method": request_line.next(),
        "target": request_line.next(),
        "headers": headers,
        "body": String::from_utf8_lossy(&arrival.body),
        "body_bytes": arrival.body_bytes,
        "at_us": arrival.at_us,
        "ended_us": arrival.ended_us,
        "ending": arrival.ending.name(),
    })
}

/// A poisoned lock still holds a usable record.
fn lock(ring: &Mutex<Ring>) -> std::sync::MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_bounded_and_tells_how_calls_ended() {
        let arrivals = Arrivals::new(1);
        let first = arrivals.record(0, 7, b"POST /v1/messages HTTP/1.1\r\nX-Api-Key: k\r\n\r\n", b"{}");
        arrivals.ended(first, Ending::ClientGone);
        let report = arrivals.report();
        assert_eq!(report["arrivals"][0]["headers"][0], json!(["x-api-key", "k"]));
        assert_eq!(report["arrivals"][0]["ending"], "client_gone");
        for _ in 0..KEPT_REQUESTS {
            arrivals.record(0, 7, b"GET / HTTP/1.1\r\n\r\n", b"");
        }
        arrivals.ended(first, Ending::Answered);
        let report = arrivals.report();
        assert_eq!(report["arrivals"].as_array().map(Vec::len), Some(KEPT_REQUESTS));
        assert_eq!(report["requests"], KEPT_REQUESTS as u64 + 1);
        assert!(
            report["arrivals"]
                .as_array()
                .unwrap()
                .iter()
                .all(|arrival| arrival["ending"] == "in_flight")
        );
    }
}
