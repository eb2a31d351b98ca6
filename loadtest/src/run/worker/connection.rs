//! One client's connection as its thread keeps it: what it is doing, and when it wants to be woken for it.

use crate::{
    net::socket::Socket,
    run::{answer::Answer, content::Expect},
};

/// Never.
pub const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No socket, nothing to do.
    Vacant,
    /// A request waits until the connection is made.
    Connecting,
    /// A request is being sent or answered.
    Busy,
    /// Open loop: waits for a request.
    Idle,
    /// Closed loop: the client thinks, or keeps its distance from a target that refused it.
    Pausing { until_ns: u64 },
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub class: usize,
    pub expect: Expect,
    /// Latency counts from here: when it was due, or sent.
    pub start_ns: u64,
    pub deadline_ns: u64,
    /// It went out a second time, on another connection.
    pub sent_again: bool,
    pub first_byte_ns: Option<u64>,
    pub last_text_ns: Option<u64>,
    /// Bytes of the answer.
    pub received: u64,
    pub leave_after_bytes: Option<u64>,
    pub think_ns: u64,
    /// It began after the warm-up.
    pub counted: bool,
    pub read_bytes_per_second: Option<u64>,
    pub byte_at_a_time: bool,
}

pub struct Connection {
    pub socket: Option<Socket>,
    /// Tells events of this socket from those of an earlier one in the same place.
    pub generation: u32,
    pub phase: Phase,
    /// Set while connecting and busy.
    pub request: Option<Request>,
    /// The request, or of a long one what the socket has not taken at once; from `out_at` on it is still to be sent.
    pub out: Vec<u8>,
    pub out_at: usize,
    /// All of the request is in `out`.
    pub whole: bool,
    /// Some request was answered on it: it may have been closed meanwhile, which is nobody's fault.
    pub reused: bool,
    pub answer: Answer,
    /// For slow readers: from when on they may read, and whether there is something.
    pub read_from_ns: u64,
    pub unread: bool,
    /// For those who send byte by byte: when the next one goes out.
    pub next_byte_ns: u64,
    /// When its earliest timer goes off.
    pub timer_ns: u64,
    /// Its place in the list of idle ones.
    pub idle_at: usize,
}

/// Room kept for a request between requests; more is given back.
const KEPT_BYTES: usize = 16 << 10;

impl Connection {
    pub fn vacant() -> Self {
        Self {
            socket: None,
            generation: 0,
            phase: Phase::Vacant,
            request: None,
            out: Vec::new(),
            out_at: 0,
            whole: false,
            reused: false,
            answer: Answer::new(),
            read_from_ns: 0,
            unread: false,
            next_byte_ns: NEVER,
            timer_ns: NEVER,
            idle_at: 0,
        }
    }

    /// How much to read at once: whoever leaves after some bytes takes no more of the answer.
    pub fn room_bytes(&self, most: usize) -> usize {
        let left = self.request.and_then(|request| {
            let after_bytes = request.leave_after_bytes?;
            Some(after_bytes.saturating_sub(request.received))
        });
        left.map_or(most, |left| (left as usize).clamp(1, most))
    }

    pub fn has_out(&self) -> bool {
        self.out_at < self.out.len()
    }

    /// Closes the socket, if there is one. What waits to be sent stays, so that it can go out on another.
    pub fn close(&mut self) {
        self.socket = None;
        self.generation = self.generation.wrapping_add(1);
        self.reused = false;
        self.unread = false;
        self.next_byte_ns = NEVER;
    }

    /// Keeps what was composed: `sent` bytes of it are on their way.
    pub fn keep_out(&mut self, composed: &[u8], sent: usize) {
        // A long request is not copied for the rare case that it must go out again.
        let (kept, out_at) = match composed.len() <= KEPT_BYTES {
            true => (composed, sent),
            false => (&composed[sent..], 0),
        };
        self.out.extend_from_slice(kept);
        self.out_at = out_at;
        self.whole = kept.len() == composed.len();
    }

    pub fn forget_out(&mut self) {
        self.out.clear();
        self.whole = false;
        self.out.shrink_to(KEPT_BYTES);
        self.out_at = 0;
    }

    /// When it next wants to be woken.
    pub fn wants_ns(&self) -> u64 {
        match (self.phase, &self.request) {
            (Phase::Pausing { until_ns }, _) => until_ns,
            (Phase::Connecting, Some(request)) => request.deadline_ns,
            (Phase::Busy, Some(request)) => {
                let read = if self.unread { self.read_from_ns } else { NEVER };
                request.deadline_ns.min(read).min(self.next_byte_ns)
            }
            _ => NEVER,
        }
    }
}
