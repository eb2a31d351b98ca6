//! Says where and why a head was refused. Runs only when one was, so it walks byte by byte.

use httparse::Error;

use crate::http1::read::BadHead;

/// The fault that made `httparse` refuse the head that begins at `start`, with the status a client would be answered.
#[cold]
pub(super) fn refused(buf: &[u8], start: usize, error: Error) -> BadHead {
    match error {
        Error::TooManyHeaders => BadHead::new(431, "too many headers", start),
        Error::Version => version(buf, start),
        Error::Token => line_fault(buf, start, first_line_end(buf, start), "bad request line"),
        Error::Status => line_fault(buf, start, first_line_end(buf, start), "bad status line"),
        Error::HeaderName => line_fault(buf, start, head_end(buf, start), "bad header name"),
        Error::HeaderValue => line_fault(buf, start, head_end(buf, start), "bad header value"),
        Error::NewLine => line_fault(buf, start, head_end(buf, start), "bad line end"),
    }
}

/// The first line that ends in LF alone.
#[cold]
pub(super) fn bare_lf(buf: &[u8], start: usize) -> BadHead {
    let found = (start..buf.len()).find(|at| buf[*at] == b'\n' && (*at == 0 || buf[at - 1] != b'\r'));
    BadHead::new(400, "line ends in a bare LF", found.unwrap_or(start))
}

/// 505 only for what is HTTP at all; junk in the version's place is a bad request.
fn version(buf: &[u8], start: usize) -> BadHead {
    let line = &buf[start..first_line_end(buf, start)];
    let version = line.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or(line);
    let at = start + line.len() - version.len();
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => BadHead::new(505, "HTTP version is neither 1.0 nor 1.1", at),
        _ => BadHead::new(400, "no HTTP version in the first line", at),
    }
}

fn first_line_end(buf: &[u8], start: usize) -> usize {
    memchr::memchr(b'\n', &buf[start..]).map_or(buf.len(), |len| start + len + 1)
}

fn head_end(buf: &[u8], start: usize) -> usize {
    memchr::memmem::find(&buf[start..], b"\r\n\r\n").map_or(buf.len(), |len| start + len + 4)
}

/// Finds the first line up to `end` that breaks a rule we can name; falls back on what `httparse` said.
fn line_fault(buf: &[u8], start: usize, end: usize, said: &'static str) -> BadHead {
    let mut line_start = start;
    let mut in_value = false;
    for at in start..end {
        let in_first_line = line_start == start;
        let fault = match buf[at] {
            b'\r' if buf.get(at + 1).is_some_and(|next| *next != b'\n') => Some("bare CR"),
            b'\r' => None,
            b'\n' if at == start || buf[at - 1] != b'\r' => Some("line ends in a bare LF"),
            b'\n' => {
                (line_start, in_value) = (at + 1, false);
                None
            }
            b' ' | b'\t' if at == line_start && !in_first_line => Some("obsolete line folding"),
            b' ' | b'\t' if !in_first_line && !in_value => Some("whitespace before a colon"),
            b'\t' if !in_first_line => None,
            b':' => {
                in_value = true;
                None
            }
            0..=0x1f | 0x7f => Some("control byte in the head"),
            _ => None,
        };
        if let Some(reason) = fault {
            return BadHead::new(400, reason, at);
        }
    }
    BadHead::new(400, said, line_start.min(end))
}
