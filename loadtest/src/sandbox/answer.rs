//! Composes a whole answer as bytes with a plan of how to send them. Knows no socket.

use std::io::Write as _;

use tollgate_wire::{
    head::{Known, RequestView},
    http1::{chunked, write},
    json::edit,
};

use super::{
    anthropic,
    ask::{self, Ask, Dialect},
    fault::{Framing, Stop, Wishes},
    openai,
    reply::{Events, Reply},
};

/// Bytes to send and how. Reused from request to request.
#[derive(Debug, Default)]
pub struct Answer {
    pub bytes: Vec<u8>,
    /// Empty: all at once. What comes after the last piece goes with it.
    pub pieces: Vec<Piece>,
    /// Before the first byte.
    pub delay_ns: u64,
    pub stop: Option<(u64, Stop)>,
    pub close: bool,
    /// Where in `bytes` the request's id stands.
    pub id_at: usize,
    body: Vec<u8>,
}

/// A part of an answer that is sent by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the answer's bytes it ends.
    pub end: usize,
    /// Due so long after the piece before it was due; the first counts from when the first byte was.
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
        (self.delay_ns, self.stop, self.close) = (0, None, false);
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
    pub dialect: Dialect,
    pub view: RequestView<'a>,
    pub wishes: &'a Wishes,
    /// Goes into the dialect's request-id header.
    pub request_id: &'a [u8],
}

impl Answer {
    /// Answers a chat request that `ask` read, or refuses it with what is missing.
    pub fn chat(&mut self, call: &Call, ask: Result<Ask, String>) {
        self.delay_ns = call.wishes.latency_ms.saturating_mul(1_000_000);
        self.stop = call.wishes.stop;
        if call.wishes.garbage {
            self.close = true;
            return self
                .bytes
                .extend_from_slice(b"\x15\x03\x01 this is not HTTP\r\n\0\xff\xfe garbage\n\n");
        }
        let ask = match (call.wishes.status, ask) {
            (Some(status), _) if status >= 300 => return self.error(call, status, "the sandbox was asked to fail"),
            (_, Err(reason)) => return self.error(call, 400, &reason),
            (_, Ok(ask)) => ask,
        };
        if call.dialect == Dialect::Anthropic && call.view.get(Known::AnthropicVersion).is_none() {
            return self.error(call, 400, "anthropic-version: header is required");
        }
        let reply = Reply::new(&ask, call.wishes);
        if let Some(framing) = call.wishes.framing {
            write_buffered(&mut self.body, call.dialect, &reply);
            return self.framed_badly(framing);
        }
        match ask.stream {
            true => self.stream(call, &ask, &reply),
            false => self.buffered(call, &reply),
        }
    }

    fn buffered(&mut self, call: &Call, reply: &Reply) {
        write_buffered(&mut self.body, call.dialect, reply);
        if let Some(rate) = call.wishes.tokens_per_second.filter(|&rate| rate > 0) {
            // Nothing is sent before the last token is there.
            self.delay_ns = self
                .delay_ns
                .saturating_add(reply.answer_tokens.saturating_mul(1_000_000_000) / rate);
        }
        self.head(call, call.wishes.status.unwrap_or(200), b"application/json");
        self.whole_body(call.wishes.gzip);
    }

    fn stream(&mut self, call: &Call, ask: &Ask, reply: &Reply) {
        self.head(call, 200, b"text/event-stream; charset=utf-8");
        write::header(&mut self.bytes, b"cache-control", b"no-cache");
        let is_chunked = !call.view.head.http_1_0;
        if call.wishes.gzip {
            write_events(
                Events::new(&mut self.body, &mut self.pieces, false),
                call.dialect,
                ask,
                reply,
            );
            self.pieces.clear();
            return self.whole_body(true);
        }
        if is_chunked {
            write::header(&mut self.bytes, b"transfer-encoding", b"chunked");
        } else {
            self.close = true;
        }
        self.end_head();
        write_events(
            Events::new(&mut self.bytes, &mut self.pieces, is_chunked),
            call.dialect,
            ask,
            reply,
        );
        match call.wishes.tokens_per_second.filter(|&rate| rate > 0) {
            Some(rate) => self
                .pieces
                .iter_mut()
                .skip(1)
                .for_each(|piece| piece.wait_ns = 1_000_000_000 / rate),
            None => self.pieces.clear(),
        }
    }

    /// Refuses in the dialect's shape.
    pub fn error(&mut self, call: &Call, status: u16, message: &str) {
        let mut message_json = Vec::new();
        edit::write_string(&mut message_json, message);
        match call.dialect {
            Dialect::OpenAi => openai::error(&mut self.body, status, &message_json),
            Dialect::Anthropic => anthropic::error(&mut self.body, status, &message_json),
        }
        self.head(call, status, b"application/json");
        if let Some(seconds) = call.wishes.retry_after_s {
            write::header_u64(&mut self.bytes, b"retry-after", seconds);
        }
        self.whole_body(call.wishes.gzip);
    }

    /// The head up to the headers that frame the body.
    fn head(&mut self, call: &Call, status: u16, content_type: &[u8]) {
        write::status_line(&mut self.bytes, status);
        write::header(&mut self.bytes, b"content-type", content_type);
        let name: &[u8] = match call.dialect {
            Dialect::OpenAi => b"x-request-id",
            Dialect::Anthropic => b"request-id",
        };
        self.id_at = self.bytes.len() + name.len() + b": ".len();
        write::header(&mut self.bytes, name, call.request_id);
        if call.wishes.provider_headers {
            for (name, value) in PROVIDER_HEADERS {
                write::header(&mut self.bytes, name.as_bytes(), value.as_bytes());
            }
        }
    }

    fn whole_body(&mut self, gzip: bool) {
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

fn write_buffered(out: &mut Vec<u8>, dialect: Dialect, reply: &Reply) {
    match dialect {
        Dialect::OpenAi => openai::buffered(out, reply),
        Dialect::Anthropic => anthropic::buffered(out, reply),
    }
}

fn write_events(events: Events, dialect: Dialect, ask: &Ask, reply: &Reply) {
    match dialect {
        Dialect::OpenAi => openai::stream(events, reply, ask.include_usage),
        Dialect::Anthropic => anthropic::stream(events, reply),
    }
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

const PREFIX: &[u8] = b"x-sandbox-";

/// Which dialect a path speaks; any base prefix is accepted.
pub fn dialect_of(path: &[u8]) -> Option<ask::Dialect> {
    match path {
        _ if path.ends_with(b"/chat/completions") => Some(Dialect::OpenAi),
        _ if path.ends_with(b"/messages") => Some(Dialect::Anthropic),
        _ => None,
    }
}
