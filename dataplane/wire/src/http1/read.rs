//! Reads request and response heads, strictly about framing (RFC 9112 §6, §11.2).
//!
//! `httparse` tokenises; every rule about what may be forwarded is ours and stands here, in `fields` and in `target`.
//! Nothing is allocated when the head structure has room from an earlier message.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use crate::Span;
use crate::head::{Framing, Known, Method, RequestHead, ResponseHead};
use crate::http1::{diagnose, fields, target};

/// Bounds on a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_head_bytes: usize,
    /// Header lines; at most `MAX_HEADERS` are ever accepted, whatever is said here.
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 64 * 1024,
            max_headers: 128,
        }
    }
}

/// Room on the stack for header lines while a head is tokenised.
pub const MAX_HEADERS: usize = 256;

/// 1xx heads skipped before a final response; a peer that sends more never answers.
pub const MAX_INTERIM_HEADS: usize = 8;

/// Whether the head is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Complete,
    /// More bytes are needed; the structure's contents mean nothing yet.
    Incomplete,
}

/// Why a head was refused. `status` is what a server answers (400, 417, 431, 501, 505; 502 for every bad response);
/// `reason` names the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadHead {
    pub status: u16,
    pub reason: &'static str,
    /// Byte offset of the fault in the head, where known.
    pub offset: u32,
}

impl BadHead {
    pub(super) fn new(status: u16, reason: &'static str, offset: usize) -> Self {
        Self {
            status,
            reason,
            offset: offset as u32,
        }
    }
}

/// Parses the request head at the start of `buf` into `head`, which is cleared first.
/// One empty line before the request line is skipped (RFC 9112 §2.2) and counted in `head.len`.
pub fn request(buf: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Progress, BadHead> {
    head.clear();
    let start = match buf {
        [b'\r', b'\n', b'\r' | b'\n', ..] | [b'\n', ..] => {
            return Err(BadHead::new(400, "empty lines before the request", 0));
        }
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let room = &mut headers[..limits.max_headers.min(MAX_HEADERS)];
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, &buf[start..], room);
    let Some(len) = head_len(buf, start, outcome, limits)? else {
        return Ok(Progress::Incomplete);
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(diagnose::bare_lf(buf, start));
    };
    if !lines_end_in_crlf(buf, len, parsed.headers) {
        return Err(diagnose::bare_lf(buf, start));
    }
    head.len = len;
    head.http_1_0 = version == 0;
    head.method = Method::of(method.as_bytes());
    head.method_token = span_in(buf, method.as_bytes());
    let target = target::parse(buf, span_in(buf, target.as_bytes()), method.as_bytes())?;
    head.path = target.path;
    head.query = target.query;
    let facts = fields::tag(buf, parsed.headers, &mut head.fields, fields::Sender::Client)?;
    target::check_host(buf, facts.host, &target, head.http_1_0)?;
    finish_request(buf, head, &facts)?;
    Ok(Progress::Complete)
}

/// What the header lines decide together.
fn finish_request(buf: &[u8], head: &mut RequestHead, facts: &fields::Facts) -> Result<(), BadHead> {
    head.framing = match (facts.chunked, facts.length) {
        (Some(at), _) if head.http_1_0 => {
            return Err(BadHead::new(400, "transfer-encoding in an HTTP/1.0 message", at));
        }
        (Some(_), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::None,
    };
    head.keep_alive = !facts.close && (!head.http_1_0 || facts.keep_alive);
    head.upgrade = facts.upgrade && !head.http_1_0 && head.fields.get(Known::Upgrade).is_some();
    if let Some(expect) = head.fields.get(Known::Expect) {
        if !expect.value.of(buf).eq_ignore_ascii_case(b"100-continue") {
            return Err(BadHead::new(
                417,
                "an expectation other than 100-continue",
                expect.value.start as usize,
            ));
        }
        // RFC 9110 §10.1.1: an expectation in an HTTP/1.0 request is ignored.
        head.expect_continue = !head.http_1_0;
    }
    Ok(())
}

/// Parses the final response head at the start of `buf`; 1xx heads before it are skipped (and counted in `head.len`).
/// `request_method` decides whether a body follows (HEAD has none).
pub fn response(
    buf: &[u8],
    request_method: Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Progress, BadHead> {
    final_response(buf, request_method, limits, head).map_err(|bad| BadHead { status: 502, ..bad })
}

fn final_response(buf: &[u8], method: Method, limits: &Limits, head: &mut ResponseHead) -> Result<Progress, BadHead> {
    let mut start = 0;
    for _ in 0..=MAX_INTERIM_HEADS {
        head.clear();
        if one_response(buf, start, method, limits, head)? == Progress::Incomplete {
            return Ok(Progress::Incomplete);
        }
        match head.status {
            101 => return Err(BadHead::new(502, "101 to a request that asked for no upgrade", start)),
            100..200 => start = head.len,
            _ => return Ok(Progress::Complete),
        }
    }
    Err(BadHead::new(502, "too many 1xx responses", start))
}

fn one_response(
    buf: &[u8],
    start: usize,
    method: Method,
    limits: &Limits,
    head: &mut ResponseHead,
) -> Result<Progress, BadHead> {
    if buf.get(start).is_some_and(|first| *first != b'H') {
        return Err(BadHead::new(502, "not an HTTP response", start));
    }
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let room = &mut headers[..limits.max_headers.min(MAX_HEADERS)];
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, &buf[start..], room);
    let Some(len) = head_len(buf, start, outcome, limits)? else {
        return Ok(Progress::Incomplete);
    };
    let (Some(status @ 100..=599), Some(version)) = (parsed.code, parsed.version) else {
        return Err(BadHead::new(502, "status code out of range", start));
    };
    if !lines_end_in_crlf(buf, len, parsed.headers) {
        return Err(diagnose::bare_lf(buf, start));
    }
    head.status = status;
    head.len = len;
    let facts = fields::tag(buf, parsed.headers, &mut head.fields, fields::Sender::Provider)?;
    frame_response(head, &facts, version == 0, method)?;
    Ok(Progress::Complete)
}

/// RFC 9112 §6.3, in its order.
fn frame_response(
    head: &mut ResponseHead,
    facts: &fields::Facts,
    http_1_0: bool,
    method: Method,
) -> Result<(), BadHead> {
    if let (Some(at), true) = (facts.chunked, http_1_0) {
        return Err(BadHead::new(502, "transfer-encoding in an HTTP/1.0 message", at));
    }
    let wants_open = !facts.close && (!http_1_0 || facts.keep_alive);
    let bodiless = method == Method::Head || matches!(head.status, 100..200 | 204 | 304);
    head.framing = match (facts.chunked, facts.length) {
        _ if bodiless => Framing::None,
        (Some(_), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::UntilClose,
    };
    // A 204 that announces a body may be followed by one: what comes next on that connection cannot be trusted.
    let contradicts = head.status == 204 && (facts.chunked.is_some() || facts.length.is_some_and(|length| length > 0));
    head.keep_alive = wants_open && head.framing != Framing::UntilClose && !contradicts;
    Ok(())
}

/// The head's length from the start of `buf`, or `None` when more is needed.
fn head_len(
    buf: &[u8],
    start: usize,
    outcome: httparse::Result<usize>,
    limits: &Limits,
) -> Result<Option<usize>, BadHead> {
    match outcome {
        Ok(Status::Complete(len)) if start + len <= limits.max_head_bytes => Ok(Some(start + len)),
        Ok(Status::Partial) if buf.len() < limits.max_head_bytes => Ok(None),
        Ok(_) => Err(BadHead::new(431, "head too large", limits.max_head_bytes)),
        Err(error) => Err(diagnose::refused(buf, start, error)),
    }
}

/// `httparse` takes a bare LF for a line's end. It starts each header right behind the line end before it, so that
/// looking at one byte per line settles the matter without another pass.
fn lines_end_in_crlf(buf: &[u8], len: usize, headers: &[Header<'_>]) -> bool {
    buf[..len].ends_with(b"\r\n\r\n")
        && headers.iter().all(|header| {
            let start = span_in(buf, header.name.as_bytes()).start as usize;
            start >= 2 && buf[start - 2] == b'\r'
        })
}

/// Where `part`, a slice of `buf`, lies in it.
#[inline(always)]
pub(super) fn span_in(buf: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr().addr() - buf.as_ptr().addr();
    Span {
        start: start as u32,
        end: (start + part.len()) as u32,
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
