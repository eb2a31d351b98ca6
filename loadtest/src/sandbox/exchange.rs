//! A connection's requests and their answers, as a machine: it is given what came and the time, and says what it wants
//! next. Knows no socket.
//!
//! A connection holds one only while a request or its answer is under way; between requests it is returned and reused.

use tollgate_wire::{
    head::{Framing, RequestHead, RequestView},
    http1::{chunked, read},
};

use super::{
    answer::Answer,
    arrivals::{Ending, Ticket},
    fault::Stop,
    provider::plain_error,
    server::{self, Server},
};

/// A request body over this is refused.
const MAX_BODY_BYTES: u64 = 256 * 1024 * 1024;
/// Room for one read, and the most of it where a longer body is known to come.
const READ_BYTES: usize = 16 * 1024;
const MOST_READ_BYTES: usize = 256 * 1024;
/// A buffer that has grown over this is given back between requests.
const KEPT_BYTES: usize = 256 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What has to happen before the machine can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// More of what the peer sends, into [`Exchange::room`].
    Read,
    /// [`Exchange::unsent`] has to be sent.
    Send,
    /// This point in time. The peer's leaving before it ends the call.
    Wait(u64),
    /// Nothing but the peer's leaving.
    Stall,
    /// The connection's end.
    Close,
    Reset,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Head,
    Body,
    /// An answer's bytes go out as they fall due.
    Answer,
    /// The body was waited for, and goes on when this has been sent.
    Continue,
    Stalled,
}

enum Assembled {
    No,
    /// The client waits to be told that it may send its body.
    ToldToContinue,
    /// The request ends so many bytes after its start.
    Whole(usize),
}

/// Why a request is refused, and with which status.
struct Refusal(u16, &'static str);

#[derive(Default)]
pub struct Exchange {
    phase: Phase,
    /// What came and is not done with: from `start` on.
    input: Vec<u8>,
    start: usize,
    head: RequestHead,
    decoder: chunked::Decoder,
    /// A chunked body, as far as it is decoded.
    body: Vec<u8>,
    answer: Answer,
    sent: usize,
    /// Bytes of the answer that may be sent by now, and those that ever will be.
    released: usize,
    limit: usize,
    is_all_released: bool,
    next_piece: usize,
    due_ns: u64,
    ticket: Option<Ticket>,
    /// As it stands in the record.
    ending: Option<Ending>,
}

impl Exchange {
    /// Goes as far as it can without anything from outside.
    pub fn advance(&mut self, server: &mut Server, connection: u64, now_ns: u64) -> Want {
        loop {
            match self.phase {
                Phase::Head | Phase::Body => match self.assemble() {
                    Ok(Assembled::No) => return Want::Read,
                    Ok(Assembled::ToldToContinue) => self.tell_to_continue(now_ns),
                    Ok(Assembled::Whole(length)) => self.compose(server, connection, length, now_ns),
                    Err(Refusal(status, reason)) => self.refuse(status, reason, now_ns),
                },
                Phase::Answer | Phase::Continue => {
                    if self.sent < self.released {
                        return Want::Send;
                    }
                    if !self.is_all_released {
                        if self.due_ns > now_ns {
                            return Want::Wait(self.due_ns);
                        }
                        self.release(now_ns);
                    } else if self.phase == Phase::Continue {
                        self.phase = Phase::Body;
                    } else if let Some(want) = self.finish(server, now_ns) {
                        return want;
                    }
                }
                Phase::Stalled => return Want::Stall,
            }
        }
    }

    /// Where to append what the peer sends, and how much of it is worth reading at once.
    pub fn room(&mut self) -> (&mut Vec<u8>, usize) {
        if self.start > 0 {
            self.input.drain(..self.start);
            self.start = 0;
        }
        let missing = match self.head.framing {
            Framing::Length(length) if self.phase == Phase::Body => {
                (self.head.len + length as usize).saturating_sub(self.input.len())
            }
            _ => 0,
        };
        (&mut self.input, missing.clamp(READ_BYTES, MOST_READ_BYTES))
    }

    pub fn unsent(&self) -> &[u8] {
        &self.answer.bytes[self.sent..self.released]
    }

    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// Whether nothing is under way, so that the connection can do without it.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Head && self.input.is_empty()
    }

    /// Makes it fit for another connection, and no larger than the common request needs.
    pub fn rest(&mut self) {
        if self.input.capacity() > KEPT_BYTES || self.body.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
    }

    /// While it waits it holds the answer and nothing else.
    pub fn slim_down(&mut self) {
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    /// Writes to the record how the call ends, or that it has not ended yet.
    pub fn note(&mut self, server: &Server, ending: Ending, now_ns: u64) {
        if let Some(ticket) = self.ticket
            && self.ending != Some(ending)
        {
            server.arrivals.ended(ticket, ending, now_ns);
            self.ending = Some(ending);
        }
    }

    fn assemble(&mut self) -> Result<Assembled, Refusal> {
        let arrived = &self.input[self.start..];
        if self.phase == Phase::Head {
            if arrived.is_empty() {
                return Ok(Assembled::No);
            }
            match read::request(arrived, &read::Limits::default(), &mut self.head) {
                Ok(read::Progress::Complete) => {}
                Ok(read::Progress::Incomplete) => return Ok(Assembled::No),
                Err(bad) => return Err(Refusal(bad.status, bad.reason)),
            }
            if matches!(self.head.framing, Framing::Length(length) if length > MAX_BODY_BYTES) {
                return Err(Refusal(413, "the body is too large"));
            }
        }
        let whole = match self.head.framing {
            Framing::None | Framing::UntilClose => Some(self.head.len),
            Framing::Length(length) => {
                let length = self.head.len + length as usize;
                (arrived.len() >= length).then_some(length)
            }
            Framing::Chunked => self.decode()?,
        };
        if let Some(length) = whole {
            return Ok(Assembled::Whole(length));
        }
        let is_waited_for = self.phase == Phase::Head && self.head.expect_continue;
        self.phase = Phase::Body;
        Ok(if is_waited_for && self.input.len() - self.start == self.head.len {
            Assembled::ToldToContinue
        } else {
            Assembled::No
        })
    }

    /// Decodes what came of a chunked body; the request's length when that was its end.
    fn decode(&mut self) -> Result<Option<usize>, Refusal> {
        if self.phase == Phase::Head {
            self.decoder = chunked::Decoder::default();
            self.body.clear();
        }
        let body_start = self.start + self.head.len;
        let mut at = body_start;
        loop {
            match self.decoder.step(&self.input[at..]) {
                Ok(chunked::Step::Data { data, consumed }) => {
                    self.body.extend_from_slice(data.of(&self.input[at..]));
                    at += consumed;
                }
                Ok(chunked::Step::End { consumed }) => return Ok(Some(at + consumed - self.start)),
                Ok(chunked::Step::More) => {
                    // The decoder has it all; held twice, a body sent in small chunks would take many times its size.
                    self.input.truncate(body_start);
                    return Ok(None);
                }
                Err(bad) => return Err(Refusal(400, bad.0)),
            }
            if self.body.len() as u64 > MAX_BODY_BYTES {
                return Err(Refusal(413, "the body is too large"));
            }
        }
    }

    fn compose(&mut self, server: &mut Server, connection: u64, length: usize, now_ns: u64) {
        let request = &self.input[self.start..self.start + length];
        let (head, body) = match self.head.framing {
            Framing::Chunked => (&request[..self.head.len], &self.body[..]),
            _ => request.split_at(self.head.len),
        };
        let view = RequestView {
            head: &self.head,
            buf: request,
        };
        self.answer.clear();
        self.answer.close = !self.head.keep_alive;
        server.compose(view, body, &mut self.answer);
        if !server::is_own(view) {
            // Recorded before it is sent: whoever has read the answer finds its request there, answered.
            let is_quick = self.answer.delay_ns == 0 && self.answer.pieces.is_empty() && self.answer.stop.is_none();
            let ending = if is_quick { Ending::Answered } else { Ending::InFlight };
            self.ticket = Some(server.record(connection, head, body, ending, now_ns));
            self.ending = Some(ending);
        }
        self.start += length;
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
        self.begin(Phase::Answer, now_ns);
    }

    fn tell_to_continue(&mut self, now_ns: u64) {
        self.answer.clear();
        self.answer.bytes.extend_from_slice(CONTINUE);
        self.begin(Phase::Continue, now_ns);
    }

    fn refuse(&mut self, status: u16, reason: &str, now_ns: u64) {
        self.answer.clear();
        self.answer.close = true;
        self.answer.json(status, &plain_error(status, reason));
        self.begin(Phase::Answer, now_ns);
    }

    fn begin(&mut self, phase: Phase, now_ns: u64) {
        let length = self.answer.bytes.len();
        let first_ns = self.answer.pieces.first().map_or(0, |piece| piece.wait_ns);
        self.phase = phase;
        self.limit = self.answer.stop.map_or(length, |(bytes, _)| length.min(bytes as usize));
        self.due_ns = now_ns.saturating_add(self.answer.delay_ns).saturating_add(first_ns);
        (self.sent, self.released, self.next_piece, self.is_all_released) = (0, 0, 0, false);
    }

    /// Lets everything go that is due: pieces that have fallen behind go together.
    fn release(&mut self, now_ns: u64) {
        let pieces = &self.answer.pieces;
        while self.due_ns <= now_ns && !self.is_all_released {
            let end = pieces.get(self.next_piece).map_or(self.limit, |piece| piece.end);
            self.next_piece += 1;
            match pieces.get(self.next_piece) {
                Some(next) if end < self.limit => {
                    self.released = end;
                    self.due_ns = self.due_ns.saturating_add(next.wait_ns);
                }
                _ => {
                    self.released = self.limit;
                    self.is_all_released = true;
                }
            }
        }
    }

    /// All that will ever be sent has been: what now, unless it is the next request's turn.
    fn finish(&mut self, server: &Server, now_ns: u64) -> Option<Want> {
        let length = self.answer.bytes.len();
        // An answer shorter than the fault's offset is whole.
        let stop = self.answer.stop.filter(|&(bytes, _)| bytes as usize <= length);
        let (ending, want) = match stop {
            None if self.answer.close => (Ending::Answered, Some(Want::Close)),
            None => (Ending::Answered, None),
            Some((_, Stop::Close)) => (Ending::Faulted, Some(Want::Close)),
            Some((_, Stop::Reset)) => (Ending::Faulted, Some(Want::Reset)),
            Some((_, Stop::Stall)) => {
                self.phase = Phase::Stalled;
                return Some(Want::Stall);
            }
        };
        self.note(server, ending, now_ns);
        (self.ticket, self.ending) = (None, None);
        self.phase = Phase::Head;
        want
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sandbox::{arrivals::Arrivals, stage::Stage};

    const MS: u64 = 1_000_000;

    /// A connection without a socket, on a clock that jumps to what is waited for.
    struct Peer {
        exchange: Exchange,
        server: Server,
        now_ns: u64,
        /// What was sent, and when.
        got: Vec<(u64, Vec<u8>)>,
    }

    impl Peer {
        fn new() -> Self {
            Self {
                exchange: Exchange::default(),
                server: Server::new(0, Arc::new(Arrivals::new(1)), Arc::new(Stage::default())),
                now_ns: 0,
                got: Vec::new(),
            }
        }

        /// Takes `most` bytes of every send, and waits `late_ns` longer than told; what it wants in the end.
        fn run(&mut self, most: usize, late_ns: u64) -> Want {
            loop {
                match self.exchange.advance(&mut self.server, 0, self.now_ns) {
                    Want::Send => {
                        let unsent = self.exchange.unsent();
                        let sent = unsent[..unsent.len().min(most)].to_vec();
                        self.exchange.sent(sent.len());
                        self.got.push((self.now_ns, sent));
                    }
                    Want::Wait(due_ns) => self.now_ns = due_ns + late_ns,
                    want => return want,
                }
            }
        }

        fn receive(&mut self, bytes: &[u8]) {
            self.exchange.room().0.extend_from_slice(bytes);
        }

        fn text(&self) -> String {
            let all: Vec<u8> = self.got.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            String::from_utf8_lossy(&all).into_owned()
        }

        fn ending(&self) -> String {
            let report = self.server.arrivals.report();
            let last = report["arrivals"].as_array().and_then(|all| all.last().cloned());
            last.map_or_else(String::new, |last| last["ending"].to_string())
        }
    }

    fn answers_to(request: &str, piece_bytes: usize) -> String {
        let mut peer = Peer::new();
        for piece in request.as_bytes().chunks(piece_bytes) {
            peer.receive(piece);
            assert_eq!(peer.run(usize::MAX, 0), Want::Read);
        }
        assert!(peer.exchange.is_idle());
        peer.text()
    }

    fn post(fields: &str, body: &str) -> String {
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}")
    }

    fn chat(fields: &str, stream: bool) -> String {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],"stream":{stream}}}"#);
        post(&format!("{fields}content-length: {}\r\n", body.len()), &body)
    }

    #[test]
    fn requests_are_understood_however_they_are_cut() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
        let (first, second) = body.split_at(9);
        let chunks = format!("9\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
        let chunked = post("transfer-encoding: chunked\r\n", &chunks);
        let requests = format!(
            "{chunked}GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n{}{chunked}",
            chat("", false)
        );
        let whole = answers_to(&requests, usize::MAX);
        assert_eq!(whole.matches("HTTP/1.1 200 ").count(), 4, "{whole}");
        assert_eq!(whole.matches(r#""prompt_tokens":1,"#).count(), 3, "{whole}");
        for piece_bytes in [1, 2, 3, 7, 50, 211] {
            assert_eq!(
                answers_to(&requests, piece_bytes),
                whole,
                "{piece_bytes} bytes at a time"
            );
        }
    }

    #[test]
    fn a_client_that_waits_for_leave_to_send_its_body_gets_it_once() {
        let mut peer = Peer::new();
        let request = chat("expect: 100-continue\r\n", false);
        let (head, body) = request.split_at(request.len() - 20);
        let (head, start) = head.split_at(head.find("\r\n\r\n").unwrap() + 4);
        for (part, leaves, answers) in [(head, 1, 0), (start, 1, 0), (body, 1, 1)] {
            peer.receive(part.as_bytes());
            assert_eq!(peer.run(usize::MAX, 0), Want::Read);
            let text = peer.text();
            assert_eq!(text.matches("HTTP/1.1 100 Continue\r\n\r\n").count(), leaves, "{text}");
            assert_eq!(text.matches("HTTP/1.1 200 ").count(), answers, "{text}");
        }
        assert!(!answers_to(&request, usize::MAX).contains("100 Continue"));
    }

    #[test]
    fn pieces_go_when_they_are_due_and_together_when_they_are_late() {
        let fields = "x-sandbox-latency: 50ms\r\nx-sandbox-tokens: 6\r\nx-sandbox-tokens-per-second: 100\r\n";
        let unpaced = answers_to(&chat("x-sandbox-tokens: 6\r\n", true), usize::MAX);
        for (late_ns, expected_ms) in [
            (0, vec![50, 60, 70, 80, 90, 100, 110, 120]),
            (15 * MS, vec![65, 85, 105, 125]),
        ] {
            let mut peer = Peer::new();
            peer.receive(chat(fields, true).as_bytes());
            assert_eq!(peer.run(usize::MAX, late_ns), Want::Read);
            let sent_ms: Vec<u64> = peer.got.iter().map(|(at_ns, _)| at_ns / MS).collect();
            assert_eq!(sent_ms, expected_ms);
            assert_eq!(peer.text(), unpaced);
            assert_eq!(peer.ending(), "\"answered\"");
        }
    }

    #[test]
    fn faults_end_the_connection_after_their_bytes() {
        let length = answers_to(&chat("", false), usize::MAX).len();
        for (wish, want, ending) in [
            ("cut-after: 100", Want::Close, "\"faulted\""),
            ("cut-after: 100 rst", Want::Reset, "\"faulted\""),
            ("stall-after: 100", Want::Stall, "\"in_flight\""),
            ("cut-after: 0", Want::Close, "\"faulted\""),
            (&format!("cut-after: {length}"), Want::Close, "\"faulted\""),
            (&format!("cut-after: {}", length + 1), Want::Read, "\"answered\""),
        ] {
            let mut peer = Peer::new();
            peer.receive(chat(&format!("x-sandbox-{wish}\r\n"), false).as_bytes());
            // Three bytes at a time: where it stops does not depend on what the socket takes.
            assert_eq!((peer.run(3, 0), peer.ending().as_str()), (want, ending), "{wish}");
            let bytes: usize = wish.split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(peer.text().len(), bytes.min(length), "{wish}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_and_the_connection_ended() {
        for (request, status) in [
            ("GET\r\n\r\n".to_owned(), "400"),
            (post("content-length: 99999999999\r\n", ""), "413"),
            (post("transfer-encoding: chunked\r\n", "zz\r\n"), "400"),
            (format!("GET /{} HTTP/1.1\r\n", "a".repeat(70_000)), "431"),
        ] {
            let mut peer = Peer::new();
            peer.receive(request.as_bytes());
            assert_eq!(peer.run(usize::MAX, 0), Want::Close);
            let text = peer.text();
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        }
    }
}
