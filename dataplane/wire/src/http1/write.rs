//! Writes heads. Values come from parsed heads or from ourselves; `header` asserts that none carries CR or LF.

use memchr::memchr2;

use crate::head::Field;

/// Appends `HTTP/1.1 <status> <reason>\r\n`.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `<method> <target> HTTP/1.1\r\n`.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    assert_no_line_end(method);
    assert_no_line_end(target);
    out.reserve(method.len() + target.len() + 12);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends `name: value\r\n`.
pub fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    assert_no_line_end(value);
    line(out, name, value);
}

/// Of a value that has no line end.
#[inline(always)]
fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    assert_no_line_end(name);
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends `name: <decimal>\r\n`. A name that is a constant is looked at when this is compiled.
#[inline(always)]
pub fn header_u64(out: &mut Vec<u8>, name: &[u8], value: u64) {
    line(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the lines of a parsed head for which `keep` holds, as they came, from the buffer they were parsed in.
/// Neighbours are copied together; the parser has vouched for their bytes. Give `keep` hop-by-hop fields no chance:
/// they are left out before it is asked.
pub fn forward(out: &mut Vec<u8>, buf: &[u8], lines: &[Field], mut keep: impl FnMut(&Field) -> bool) {
    let mut run = 0..0;
    for field in lines {
        if field.hop || !keep(field) {
            continue;
        }
        let start = field.name.start as usize;
        if run.end != start {
            out.extend_from_slice(&buf[run.clone()]);
            run.start = start;
        }
        run.end = line_end(buf, field);
    }
    out.extend_from_slice(&buf[run]);
}

/// Behind the CRLF of a parsed line: white space may stand between the value and it.
fn line_end(buf: &[u8], field: &Field) -> usize {
    let mut at = field.value.end as usize;
    while buf[at] != b'\n' {
        at += 1;
    }
    at + 1
}

/// A CR or LF here would let whoever chose the value write headers of their own: our mistake, so it panics.
#[inline(always)]
fn assert_no_line_end(bytes: &[u8]) {
    assert!(!has_line_end(bytes), "a line end inside a header line");
}

/// Eight bytes at a time: most names and values are too short to call a searcher for.
#[inline(always)]
fn has_line_end(bytes: &[u8]) -> bool {
    const LONG_BYTES: usize = 64;
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // Not zero where one of the bytes is.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let line_ends = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        zeros(word ^ (ONES * u64::from(b'\r'))) | zeros(word ^ (ONES * u64::from(b'\n')))
    };
    if bytes.len() > LONG_BYTES {
        return memchr2(b'\r', b'\n', bytes).is_some();
    }
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    };
    let (words, _) = bytes.as_chunks::<8>();
    words
        .iter()
        .fold(line_ends(last), |found, word| found | line_ends(word))
        != 0
}

/// The reason phrase of RFC 9110 §15 (and 529), empty when unknown.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        529 => "Site is overloaded",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Known, RequestHead};
    use crate::http1::read;

    #[test]
    fn lines_are_written_whole() {
        let mut out = Vec::new();
        status_line(&mut out, 200);
        status_line(&mut out, 599);
        request_line(&mut out, b"POST", b"/v1/x?y");
        header(&mut out, b"a", b"b c");
        header_u64(&mut out, b"content-length", u64::MAX);
        let expected = "HTTP/1.1 200 OK\r\nHTTP/1.1 599 \r\nPOST /v1/x?y HTTP/1.1\r\na: b c\r\ncontent-length: 18446744073709551615\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    #[should_panic(expected = "line end")]
    fn a_line_end_in_a_value_is_our_mistake() {
        header(&mut Vec::new(), b"a", b"b\r\nc: d");
    }

    #[test]
    fn line_ends_are_seen_wherever_they_stand() {
        for length in (0..40).chain(60..70) {
            let plain: Vec<u8> = (0..length).map(|at| b"\x0b\x0e\x8d\x8a\x00a"[at % 6]).collect();
            assert!(!has_line_end(&plain), "{length}");
            for at in 0..length {
                for end in *b"\r\n" {
                    let mut text = plain.clone();
                    text[at] = end;
                    assert!(has_line_end(&text), "{at} of {length}");
                }
            }
        }
    }

    #[test]
    fn forwarded_lines_keep_their_bytes_and_lose_hop_by_hop() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\nX-One:1 \t\r\nx-two:   2\r\nConnection: x-four\r\nx-four: 4\r\nx-five: 5\r\nx-six:\r\n\r\n";
        let mut head = RequestHead::default();
        assert_eq!(
            read::request(text, &read::Limits::default(), &mut head),
            Ok(read::Progress::Complete)
        );
        let mut out = Vec::new();
        forward(&mut out, text, &head.fields.lines, |field| field.known != Known::Host);
        assert_eq!(out.as_slice(), b"X-One:1 \t\r\nx-two:   2\r\nx-five: 5\r\nx-six:\r\n");
    }
}
