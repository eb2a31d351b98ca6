//! Composes a whole answer as bytes with a plan of how to send them. Knows no socket and no provider's words.

use std::io::Write as _;

use tollgate_wire::{
    head::{Known, RequestView},
    http1::{chunked, write},
};

use super::{
    api::{Api, Failure, Operation, Request},
    ask::Ask,
    fault::{Framing, Stop, Wishes},
    limits::{Cost, Standing},
    performance::Performance,
    reply::{Events, Reply},
    spread::Dice,
};

/// Bytes to send and how. Reused from request to request.
#[derive(Debug, Default)]
pub struct Answer {
    pub bytes: Vec<u8>,
    /// Sent one after the other, each when it is due; empty: all at once.
    pub pieces: Vec<Piece>,
    /// Before the first byte.
    pub delay_ns: u64,
    pub stop: Option<(u64, Stop)>,
    pub close: bool,
    /// Where in `bytes` the request's id stands.
    pub id_at: usize,
    pub is_refusal: bool,
    body: Vec<u8>,
}

/// A part of an answer that is sent by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the answer's bytes.
    pub end: usize,
    /// After the piece before it was due; the first counts from when the first byte was due.
    pub wait_ns: u64,
}

impl Answer {
    pub fn clear(&mut self) {
        // A 10 MB answer's buffers are not kept for the 1 KB answers after it.
        if self.bytes.capacity() > KEPT_BYTES || self.body.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
        self.bytes.clear();
        self.pieces.clear();
        self.body.clear();
        (self.delay_ns, self.stop, self.close, self.is_refusal) = (0, None, false, false);
    }

    /// An answer of our own, outside the dialects.
    pub fn json(&mut self, status: u16, body: &[u8]) {
        write::status_line(&mut self.bytes, status);
        write::header(&mut self.bytes, b"content-type", b"application/json");
        write::header_u64(&mut self.bytes, b"content-length", body.len() as u64);
        self.end_head();
        self.bytes.extend_from_slice(body);
    }

    fn end_head(&mut self) {
        if self.close {
            write::header(&mut self.bytes, b"connection", b"close");
        }
        self.bytes.extend_from_slice(b"\r\n");
    }
}

const KEPT_BYTES: usize = 256 * 1024;

/// What an answer is composed from.
pub struct Call<'a> {
    pub api: &'static dyn Api,
    pub operation: &'static dyn Operation,
    pub request: Request<'a>,
    pub wishes: &'a Wishes,
    /// Goes into the provider's request-id header.
    pub request_id: &'a [u8],
    /// Decides latencies and gaps.
    pub dice: Dice,
}

impl Answer {
    /// Answers what `ask` read, or refuses it with what is missing. `admit` is asked what the limits say, once the call
    /// is known to be right and what it costs.
    pub fn compose(
        &mut self,
        call: &mut Call,
        ask: Result<Ask, String>,
        admit: impl FnOnce(&Ask, Cost) -> Option<Standing>,
    ) {
        self.delay_ns = call
            .wishes
            .latency
            .as_ref()
            .map_or(0, |spread| spread.draw(&mut call.dice));
        self.stop = call.wishes.stop;
        if call.wishes.garbage {
            self.close = true;
            return self
                .bytes
                .extend_from_slice(b"\x15\x03\x01 this is not HTTP\r\n\0\xff\xfe garbage\n\n");
        }
        let ask = match (call.wishes.status, ask) {
            (Some(status), ask) if status >= 300 => {
                let in_array = ask.is_ok_and(|ask| ask.stream && !is_events(call.operation));
                return self.error(
                    call,
                    &Failure {
                        in_array,
                        ..Failure::new(status, "the sandbox was asked to fail")
                    },
                );
            }
            (_, Err(reason)) => return self.error(call, &Failure::new(400, &reason)),
            (_, Ok(ask)) => ask,
        };
        if let Some(reason) = call.api.refusal(call.request.view) {
            return self.error(call, &Failure::new(400, reason));
        }
        let mut reply = Reply::new(&ask, call.wishes);
        if call.wishes.goes_on {
            reply.go_on(&ask, call.wishes, call.request.body);
        }
        let performance = match Performance::of(call.operation, &call.request, &ask, &reply) {
            Ok(performance) => performance,
            Err(reason) => return self.error(call, &Failure::new(400, &reason)),
        };
        let operation: &dyn Operation = match &performance {
            Some(performance) => {
                reply.answer_tokens = performance.output_tokens();
                performance
            }
            None => call.operation,
        };
        if let Some(framing) = call.wishes.framing {
            operation.write(&mut self.body, &call.request, &reply);
            return self.framed_badly(framing);
        }
        let cost = Cost {
            input_tokens: reply.prompt_tokens,
            output_tokens: reply.answer_tokens,
        };
        let standing = admit(&ask, cost);
        let is_streamed = ask.stream && call.wishes.status.is_none_or(has_body);
        match (&standing, is_streamed) {
            (Some(standing), _) if standing.exceeded.is_some() => self.over_limit(call, &ask, standing),
            (standing, true) => self.stream((call, operation), &ask, &reply, standing.as_ref()),
            (standing, false) => self.buffered((call, operation), &reply, standing.as_ref()),
        }
    }

    fn buffered(&mut self, (call, operation): (&mut Call, &dyn Operation), reply: &Reply, standing: Option<&Standing>) {
        operation.write(&mut self.body, &call.request, reply);
        if let Some(gap) = &call.wishes.gap {
            // Nothing is sent before the last token is there.
            let spoken_ns = gap.draw_sum(reply.answer_tokens, &mut call.dice);
            self.delay_ns = self.delay_ns.saturating_add(spoken_ns);
        }
        let status = call.wishes.status.unwrap_or(200);
        self.head(call, status, b"application/json");
        operation.usage_head(&mut self.bytes, reply);
        self.limit_head(call, standing);
        self.whole_body(status, call.wishes.gzip);
    }

    fn stream(
        &mut self,
        (call, operation): (&mut Call, &dyn Operation),
        ask: &Ask,
        reply: &Reply,
        standing: Option<&Standing>,
    ) {
        let status = call.wishes.status.unwrap_or(200);
        self.head(call, status, operation.stream_type().as_bytes());
        write::header(&mut self.bytes, b"cache-control", b"no-cache");
        self.limit_head(call, standing);
        let is_chunked = !call.request.view.head.http_1_0;
        if call.wishes.gzip {
            let events = Events::new(&mut self.body, &mut self.pieces, false);
            operation.stream(events, &call.request, ask, reply);
            self.pieces.clear();
            return self.whole_body(status, true);
        }
        if is_chunked {
            write::header(&mut self.bytes, b"transfer-encoding", b"chunked");
        } else {
            self.close = true;
        }
        self.end_head();
        let events = Events::new(&mut self.bytes, &mut self.pieces, is_chunked);
        operation.stream(events, &call.request, ask, reply);
        match &call.wishes.gap {
            Some(gap) => {
                let waited = self.pieces.iter_mut().skip(1);
                waited.for_each(|piece| piece.wait_ns = gap.draw(&mut call.dice));
            }
            None => self.pieces.clear(),
        }
    }

    fn over_limit(&mut self, call: &Call, ask: &Ask, standing: &Standing) {
        let Some(exceeded) = standing.exceeded else { return };
        let message = call.api.limit_message(&exceeded, &ask.model);
        let failure = Failure {
            model: &ask.model,
            retry_after_ns: Some(exceeded.wait_ns),
            exceeded: Some(exceeded),
            in_array: ask.stream && !is_events(call.operation),
            ..Failure::new(429, &message)
        };
        self.refuse(call, failure, Some(standing));
    }

    /// Refuses in the provider's shape.
    pub fn error(&mut self, call: &Call, failure: &Failure) {
        let retry_after_ns = call
            .wishes
            .retry_after_s
            .map(|seconds| seconds.saturating_mul(1_000_000_000));
        let failure = Failure {
            retry_after_ns,
            ..*failure
        };
        self.refuse(call, failure, None);
    }

    fn refuse(&mut self, call: &Call, failure: Failure, standing: Option<&Standing>) {
        let failure = Failure {
            request_id: call.request_id,
            ..failure
        };
        self.is_refusal = true;
        call.api.error(&mut self.body, &failure);
        self.head(call, failure.status, b"application/json");
        call.api.error_head(&mut self.bytes, &failure);
        self.limit_head(call, standing);
        self.whole_body(failure.status, call.wishes.gzip);
    }

    /// The head up to the headers that frame the body.
    fn head(&mut self, call: &Call, status: u16, content_type: &[u8]) {
        write::status_line(&mut self.bytes, status);
        if has_body(status) {
            write::header(&mut self.bytes, b"content-type", content_type);
        }
        let name = call.api.request_id_header().as_bytes();
        self.id_at = self.bytes.len() + name.len() + b": ".len();
        write::header(&mut self.bytes, name, call.request_id);
        if call.wishes.provider_headers {
            for (name, value) in PROVIDER_HEADERS {
                write::header(&mut self.bytes, name.as_bytes(), value.as_bytes());
            }
        }
    }

    fn limit_head(&mut self, call: &Call, standing: Option<&Standing>) {
        if let Some(standing) = standing {
            call.api.limit_head(&mut self.bytes, standing);
        }
    }

    fn whole_body(&mut self, status: u16, gzip: bool) {
        if !has_body(status) {
            // 204 and 304 end with their head and say no length; 205 has the length zero.
            if status == 205 {
                write::header_u64(&mut self.bytes, b"content-length", 0);
            }
            return self.end_head();
        }
        let mut body = std::mem::take(&mut self.body);
        if gzip {
            body = gzipped(&body);
            write::header(&mut self.bytes, b"content-encoding", b"gzip");
        }
        write::header_u64(&mut self.bytes, b"content-length", body.len() as u64);
        self.end_head();
        self.bytes.extend_from_slice(&body);
        self.body = body;
    }

    fn framed_badly(&mut self, framing: Framing) {
        // The smuggled answer is read as the next one only where the connection is kept.
        self.close |= framing != Framing::ShortLength;
        let length = self.body.len();
        let mut chunk = Vec::new();
        chunked::write_chunk(&mut chunk, &self.body);
        chunk.extend_from_slice(chunked::LAST_CHUNK);
        let plain = std::mem::take(&mut self.body);
        let (fields, body) = match framing {
            Framing::BadLength => (format!("content-length: {length}abc\r\n"), plain),
            Framing::BadChunk => (
                "transfer-encoding: chunked\r\n".to_owned(),
                [b"zz\r\n", &plain[..], b"\r\n0\r\n\r\n"].concat(),
            ),
            Framing::Both => (
                format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", chunk.len()),
                chunk,
            ),
            Framing::TwoLengths => (
                format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 1),
                plain,
            ),
            Framing::LongLength => (format!("content-length: {}\r\n", length + 100), plain),
            Framing::ShortLength => (format!("content-length: {length}\r\n"), [&plain[..], SMUGGLED].concat()),
            Framing::CodingList => ("transfer-encoding: gzip, chunked\r\n".to_owned(), chunk),
            Framing::SpaceColon => (format!("content-length : {length}\r\n"), plain),
            Framing::ObsFold => (format!("x-folded: a\r\n b\r\ncontent-length: {length}\r\n"), plain),
            Framing::BareLf => (format!("x-bare: a\ncontent-length: {length}\r\n"), plain),
            Framing::Nul => (format!("x-nul: a\0b\r\ncontent-length: {length}\r\n"), plain),
            Framing::HugeHead => (format!("x-huge: {}\r\n", "h".repeat(4 * 1024 * 1024)), plain),
        };
        write::status_line(&mut self.bytes, 200);
        write::header(&mut self.bytes, b"content-type", b"application/json");
        self.bytes.extend_from_slice(fields.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes.extend_from_slice(&body);
    }
}

/// An answer to nobody, which a reader that trusts a short length would give to the next client.
const SMUGGLED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\nsmuggled";

/// Headers a provider sends to its own customer, which is the gateway and not the gateway's client.
const PROVIDER_HEADERS: [(&str, &str); 8] = [
    ("set-cookie", "__session=secret; path=/; HttpOnly"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-tokens-remaining", "399000"),
    ("openai-organization", "org-of-the-gateway"),
    ("openai-processing-ms", "12"),
    ("server", "sandbox"),
];

/// RFC 9110 lets these answers have none; what came behind one would be read as the next answer.
fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 205 | 304)
}

/// A stream of events is refused by an error alone, a stream in an array by one within an array.
fn is_events(operation: &dyn Operation) -> bool {
    !operation.stream_type().starts_with("application/json")
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail.
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// Everything asked of this answer: by a scenario (already in `wishes`), by the model's name, by headers.
pub fn wishes(mut wishes: Wishes, view: RequestView, ask: &Result<Ask, String>) -> Result<Wishes, String> {
    if let Ok(ask) = ask {
        wishes.set_from_model(&ask.model)?;
    }
    for field in view
        .head
        .fields
        .lines
        .iter()
        .filter(|field| field.known == Known::Other)
    {
        let name = field.name.of(view.buf);
        if name.len() > PREFIX.len() && name[..PREFIX.len()].eq_ignore_ascii_case(PREFIX) {
            let word = String::from_utf8_lossy(&name[PREFIX.len()..]).to_ascii_lowercase();
            wishes.set(&word, &String::from_utf8_lossy(field.value.of(view.buf)))?;
        }
    }
    Ok(wishes)
}

/// Of the headers that carry wishes.
pub const PREFIX: &[u8] = b"x-sandbox-";
