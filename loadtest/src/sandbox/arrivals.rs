//! A bounded record of what arrived, for tests to read: the exact bytes, and how each call ended.
//!
//! One ring per thread, so that recording a request takes a lock nobody else holds.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use crate::net::clock;

/// Requests kept per thread, and bytes of them: the oldest are forgotten first.
const KEPT_REQUESTS: usize = 2048;
const KEPT_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of each body kept; the full length is always told.
const KEPT_BODY_BYTES: usize = 64 * 1024;
/// Room that a forgotten request leaves to the one recorded in its place.
const REUSED_BYTES: usize = 8 * 1024;

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
    at_ns: u64,
    ended_ns: Option<u64>,
    ending: Ending,
}

impl Arrival {
    /// Of memory, as far as it grows with the request.
    fn bytes(&self) -> usize {
        self.head.capacity() + self.body.capacity()
    }
}

#[derive(Default)]
struct Ring {
    kept: VecDeque<Arrival>,
    bytes: usize,
    /// Requests recorded and forgotten since.
    forgotten: u64,
}

impl Ring {
    fn forget_oldest(&mut self) -> Option<Arrival> {
        let oldest = self.kept.pop_front()?;
        self.bytes -= oldest.bytes();
        self.forgotten += 1;
        Some(oldest)
    }

    /// Buffers for the next request: the oldest one's, where it has to go.
    fn buffers(&mut self) -> (Vec<u8>, Vec<u8>) {
        if self.kept.len() < KEPT_REQUESTS {
            return Default::default();
        }
        match self.forget_oldest().filter(|oldest| oldest.bytes() <= REUSED_BYTES) {
            Some(Arrival { mut head, mut body, .. }) => {
                head.clear();
                body.clear();
                (head, body)
            }
            None => Default::default(),
        }
    }
}

/// Everything the sandbox remembers, shared by its threads.
pub struct Arrivals {
    rings: Vec<Mutex<Ring>>,
    sequence: AtomicU64,
    accepted: AtomicU64,
    open: AtomicU64,
    start_ns: u64,
}

/// What is recorded of a request.
pub struct Request<'a> {
    pub connection: u64,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

/// Where a request was recorded, to write its end there.
#[derive(Clone, Copy)]
pub struct Ticket {
    thread: usize,
    /// Among all that the thread recorded.
    index: u64,
    sequence: u64,
}

impl Arrivals {
    pub fn new(threads: usize) -> Self {
        Self {
            rings: (0..threads).map(|_| Mutex::default()).collect(),
            sequence: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            start_ns: clock::now_ns(),
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

    pub fn record(&self, thread: usize, request: &Request, ending: Ending, now_ns: u64) -> Ticket {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut ring = lock(&self.rings[thread]);
        let (mut head, mut body) = ring.buffers();
        head.extend_from_slice(request.head);
        body.extend_from_slice(&request.body[..request.body.len().min(KEPT_BODY_BYTES)]);
        let arrival = Arrival {
            sequence,
            connection: request.connection,
            head,
            body,
            body_bytes: request.body.len(),
            at_ns: now_ns,
            ended_ns: (ending != Ending::InFlight).then_some(now_ns),
            ending,
        };
        ring.bytes += arrival.bytes();
        ring.kept.push_back(arrival);
        while ring.bytes > KEPT_BYTES {
            ring.forget_oldest();
        }
        let index = ring.forgotten + ring.kept.len() as u64 - 1;
        Ticket {
            thread,
            index,
            sequence,
        }
    }

    /// Says of a recorded request how it ended, or that it has not.
    pub fn ended(&self, ticket: Ticket, ending: Ending, now_ns: u64) {
        let mut ring = lock(&self.rings[ticket.thread]);
        let Some(index) = ticket.index.checked_sub(ring.forgotten) else {
            return;
        };
        // After a reset the indices begin again.
        if let Some(arrival) = ring
            .kept
            .get_mut(index as usize)
            .filter(|arrival| arrival.sequence == ticket.sequence)
        {
            arrival.ending = ending;
            arrival.ended_ns = (ending != Ending::InFlight).then_some(now_ns);
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
            requests += ring.forgotten + ring.kept.len() as u64;
            let described = ring
                .kept
                .iter()
                .map(|arrival| (arrival.sequence, self.describe(arrival)));
            arrivals.extend(described);
        }
        arrivals.sort_by_key(|(sequence, _)| *sequence);
        let open = self.open.load(Ordering::Relaxed);
        json!({
            "requests": requests,
            "connections": { "open": open, "accepted": self.accepted.load(Ordering::Relaxed) },
            "arrivals": arrivals.into_iter().map(|(_, described)| described).collect::<Vec<_>>(),
        })
    }

    fn describe(&self, arrival: &Arrival) -> Value {
        let since_start_us = |at_ns: u64| at_ns.saturating_sub(self.start_ns) / 1000;
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
            "at_us": since_start_us(arrival.at_ns),
            "ended_us": arrival.ended_ns.map_or(0, since_start_us),
            "ending": arrival.ending.name(),
        })
    }
}

/// A poisoned lock still holds a usable record.
fn lock(ring: &Mutex<Ring>) -> std::sync::MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(head: &'a [u8], body: &'a [u8]) -> Request<'a> {
        Request {
            connection: 7,
            head,
            body,
        }
    }

    fn kept(arrivals: &Arrivals) -> Vec<Value> {
        arrivals.report()["arrivals"].as_array().cloned().unwrap_or_default()
    }

    #[test]
    fn the_record_is_bounded_and_tells_how_calls_ended() {
        let arrivals = Arrivals::new(1);
        let now_ns = arrivals.start_ns + 5000;
        let post = request(b"POST /v1/messages HTTP/1.1\r\nX-Api-Key: k\r\n\r\n", b"{}");
        let first = arrivals.record(0, &post, Ending::InFlight, now_ns);
        assert_eq!(
            (&kept(&arrivals)[0]["at_us"], &kept(&arrivals)[0]["ended_us"]),
            (&json!(5), &json!(0))
        );
        arrivals.ended(first, Ending::ClientGone, now_ns + 2000);
        let recorded = &kept(&arrivals)[0];
        assert_eq!(recorded["headers"][0], json!(["x-api-key", "k"]));
        assert_eq!(
            (&recorded["ending"], &recorded["ended_us"]),
            (&json!("client_gone"), &json!(7))
        );
        for _ in 0..KEPT_REQUESTS {
            arrivals.record(0, &request(b"GET / HTTP/1.1\r\n\r\n", b""), Ending::InFlight, now_ns);
        }
        arrivals.ended(first, Ending::Answered, now_ns);
        assert_eq!(kept(&arrivals).len(), KEPT_REQUESTS);
        assert_eq!(arrivals.report()["requests"], KEPT_REQUESTS as u64 + 1);
        assert!(kept(&arrivals).iter().all(|arrival| arrival["ending"] == "in_flight"));
    }

    #[test]
    fn long_requests_are_kept_in_part_and_fewer_of_them() {
        let arrivals = Arrivals::new(1);
        let body = vec![b'a'; 2 * KEPT_BODY_BYTES];
        for _ in 0..KEPT_REQUESTS {
            arrivals.record(0, &request(b"", &body), Ending::Answered, 0);
        }
        let kept = kept(&arrivals);
        assert_eq!(kept.len(), KEPT_BYTES / KEPT_BODY_BYTES);
        let last = kept
            .last()
            .map(|arrival| (&arrival["sequence"], &arrival["body_bytes"]));
        assert_eq!(last, Some((&json!(KEPT_REQUESTS - 1), &json!(2 * KEPT_BODY_BYTES))));
        assert_eq!(arrivals.report()["requests"], KEPT_REQUESTS);
    }

    #[test]
    fn an_end_from_before_a_reset_is_nobodys() {
        let arrivals = Arrivals::new(1);
        let before = arrivals.record(0, &request(b"", b""), Ending::InFlight, 0);
        arrivals.reset();
        arrivals.record(0, &request(b"", b""), Ending::InFlight, 0);
        arrivals.ended(before, Ending::Answered, 0);
        assert_eq!(kept(&arrivals)[0]["ending"], "in_flight");
    }
}
