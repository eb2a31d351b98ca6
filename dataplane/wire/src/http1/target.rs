//! The request target (RFC 9112 §3.2) and its agreement with `Host`.

use memchr::memchr;

use crate::Span;
use crate::http1::read::BadHead;

/// A request target taken apart.
pub(super) struct Target {
    pub path: Span,
    pub query: Span,
    /// Of an absolute-form target, with the port its scheme implies.
    authority: Option<(Span, &'static [u8])>,
}

/// Origin-form, absolute-form, and `*` for OPTIONS. CONNECT is not implemented (501): the gateway is no tunnel.
pub(super) fn parse(buf: &[u8], raw: Span, method: &[u8]) -> Result<Target, BadHead> {
    let at = raw.start as usize;
    let bytes = raw.of(buf);
    // A fold without an early exit, so that it is done in wide steps.
    if bytes
        .iter()
        .fold(false, |bad, byte| bad | !byte.is_ascii() | (*byte == b'#'))
    {
        return Err(BadHead::new(
            400,
            "non-ASCII byte or fragment in the request target",
            at,
        ));
    }
    match bytes.first() {
        Some(b'/') => {}
        Some(b'*') if bytes == b"*" && method == b"OPTIONS" => {}
        _ if method == b"CONNECT" => return Err(BadHead::new(501, "CONNECT is not supported", 0)),
        _ => return absolute(buf, raw),
    }
    let (path, query) = split_query(buf, raw);
    Ok(Target {
        path,
        query,
        authority: None,
    })
}

fn absolute(buf: &[u8], raw: Span) -> Result<Target, BadHead> {
    let bytes = raw.of(buf);
    let start = raw.start as usize;
    let (scheme_len, port): (usize, &'static [u8]) = match bytes {
        _ if starts_ignoring_case(bytes, b"http://") => (7, b":80"),
        _ if starts_ignoring_case(bytes, b"https://") => (8, b":443"),
        _ => {
            return Err(BadHead::new(
                400,
                "request target is neither a path nor an http URI",
                start,
            ));
        }
    };
    let rest = &bytes[scheme_len..];
    let authority_len = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let authority = Span::new(start + scheme_len, start + scheme_len + authority_len);
    let (mut path, query) = split_query(
        buf,
        Span {
            start: authority.end,
            end: raw.end,
        },
    );
    if path.is_empty() {
        // An empty path means "/" (RFC 9110 §4.2.3); the slash before the authority serves.
        path = Span {
            start: authority.start - 1,
            end: authority.start,
        };
    }
    Ok(Target {
        path,
        query,
        authority: Some((authority, port)),
    })
}

fn split_query(buf: &[u8], target: Span) -> (Span, Span) {
    let Some(mark) = memchr(b'?', target.of(buf)) else {
        return (
            target,
            Span {
                start: target.end,
                end: target.end,
            },
        );
    };
    let mark = target.start + mark as u32;
    (
        Span {
            start: target.start,
            end: mark,
        },
        Span {
            start: mark + 1,
            end: target.end,
        },
    )
}

/// Exactly one well-formed `Host` in HTTP/1.1, at most one in HTTP/1.0, and the same as an absolute-form's authority.
pub(super) fn check_host(buf: &[u8], host: Option<Span>, target: &Target, http_1_0: bool) -> Result<(), BadHead> {
    if let Some((authority, _)) = target.authority
        && !is_authority(authority.of(buf))
    {
        return Err(BadHead::new(
            400,
            "bad authority in the request target",
            authority.start as usize,
        ));
    }
    let Some(host) = host else {
        return if http_1_0 {
            Ok(())
        } else {
            Err(BadHead::new(400, "no host", 0))
        };
    };
    let at = host.start as usize;
    if !is_authority(host.of(buf)) {
        return Err(BadHead::new(400, "bad host", at));
    }
    match target.authority {
        Some((authority, port)) if !same_authority(authority.of(buf), host.of(buf), port) => {
            Err(BadHead::new(400, "request target and host differ", at))
        }
        _ => Ok(()),
    }
}

/// Bytes of a registered name or an IPv4 address (RFC 3986 §3.2.2), less `,` which would make a list.
const HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+;=";
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

/// `host [":" port]`, the host not empty; no user information.
fn is_authority(bytes: &[u8]) -> bool {
    let host_len = match bytes.first() {
        Some(b'[') => match memchr(b']', bytes) {
            Some(end)
                if end > 1
                    && bytes[1..end]
                        .iter()
                        .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')) =>
            {
                end + 1
            }
            _ => return false,
        },
        _ => bytes
            .iter()
            .position(|byte| !HOST_BYTES[*byte as usize])
            .unwrap_or(bytes.len()),
    };
    match &bytes[host_len..] {
        [] => host_len > 0,
        [b':', port @ ..] => host_len > 0 && port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn same_authority(a: &[u8], b: &[u8], default_port: &[u8]) -> bool {
    let bare = |authority: &[u8]| -> usize {
        let suffix = if authority.ends_with(b":") {
            1
        } else if authority.ends_with(default_port) {
            default_port.len()
        } else {
            0
        };
        authority.len() - suffix
    };
    a[..bare(a)].eq_ignore_ascii_case(&b[..bare(b)])
}

fn starts_ignoring_case(bytes: &[u8], lower: &[u8]) -> bool {
    bytes.len() >= lower.len() && bytes[..lower.len()].eq_ignore_ascii_case(lower)
}
