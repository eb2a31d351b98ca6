//! The head of a request to a provider: its line, the headers that all of its requests have, and what proves whose it
//! is.

use std::ops::Range;

use tollgate_dialect::sign::{Payload, PayloadHash, Request};
use tollgate_wire::{
    head::{Framing, RequestView},
    http1::write,
};

use super::{To, header};
use crate::{
    exchange::Io,
    outputs::{Outputs, Piece},
    snapshot::{CallPath, PathCall, Proof, Upstream},
};

/// A request's line as it stands in the arena, and whose turn it is.
pub(super) struct Line {
    start: usize,
    /// Method, path and query.
    line: Range<usize>,
    turn: usize,
}

/// Where a request goes at its provider.
pub(super) enum Goes<'a> {
    To(&'a CallPath, PathCall<'a>),
    /// Method and path as the client sent them.
    Directly {
        method: &'static [u8],
        path: &'a [u8],
        query: &'a [u8],
    },
}

/// Appends the line and the headers of the credential whose turn it is.
pub(super) fn begin(io: &mut Io<'_>, (upstream, turn): To<'_>, goes: Goes<'_>) -> Line {
    let credential = &upstream.credentials[turn];
    let out = &mut io.out.arena;
    let start = out.len();
    match goes {
        Goes::To(path, call) => {
            let credential = credential.query.as_deref();
            path.write(&PathCall { credential, ..call }, out);
        }
        Goes::Directly { method, path, query } => {
            out.extend_from_slice(method);
            out.push(b' ');
            out.extend_from_slice(path);
            let before = out.len();
            crate::percent::write_query_without(out, query, b"key");
            if let Some(pair) = credential.query.as_deref() {
                out.push(if out.len() == before { b'?' } else { b'&' });
                out.extend_from_slice(pair);
            }
        }
    }
    let line = start..out.len();
    out.extend_from_slice(&credential.lines);
    if let Proof::Exchanged { id } = credential.proof {
        out.extend_from_slice(io.local.tokens.show(id));
    }
    Line { start, line, turn }
}

/// Appends the headers of the catalogue's row that neither the operator nor the client's request has.
pub(super) fn usual_headers(out: &mut Vec<u8>, upstream: &Upstream, passed: Option<RequestView<'_>>) {
    for (name, value) in &upstream.usual_headers {
        let has = |request: RequestView<'_>| {
            let mut lines = request.head.fields.lines.iter();
            lines.any(|field| field.name.of(request.buf).eq_ignore_ascii_case(name.as_bytes()))
        };
        if !passed.is_some_and(has) {
            write::header(out, name.as_bytes(), value.as_bytes());
        }
    }
}

/// Appends the signature, where the credential signs, the body's length and the empty line; gives the whole head.
pub(super) fn end(
    io: &mut Io<'_>,
    (upstream, _): To<'_>,
    line: Line,
    pieces: Range<u32>,
    framing: Framing,
) -> Range<u32> {
    let credential = &upstream.credentials[line.turn];
    if let Proof::Signed(signing) = &credential.proof {
        let payload = payload(
            io.out,
            &io.out.pieces[pieces.start as usize..pieces.end as usize],
            io.body,
        );
        let text = io.out.arena[line.line].to_vec();
        let mut words = text.splitn(2, |&byte| byte == b' ');
        let method = words
            .next()
            .and_then(|method| str::from_utf8(method).ok())
            .unwrap_or("POST");
        let target = words.next().unwrap_or_default();
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &b""[..]),
        };
        let request = Request {
            method,
            path,
            query,
            host: &upstream.host,
            headers: &[],
            payload,
        };
        let signer = io.local.signers.get(signing);
        signer.sign(&request, io.unix_ms / 1000, &mut io.out.arena);
    }
    match framing {
        Framing::Length(length) => write::header_u64(&mut io.out.arena, header::CONTENT_LENGTH, length),
        Framing::Chunked => write::header(&mut io.out.arena, b"transfer-encoding", b"chunked"),
        Framing::None | Framing::UntilClose => {}
    }
    io.out.arena.extend_from_slice(b"\r\n");
    io.out.written_since(line.start)
}

fn payload(out: &Outputs, pieces: &[Piece], body: &[u8]) -> Payload {
    let mut hash = PayloadHash::default();
    for piece in pieces {
        match piece {
            Piece::Arena(range) => hash.update(&out.arena[range.start as usize..range.end as usize]),
            Piece::RequestBody(range) => hash.update(&body[range.start as usize..range.end as usize]),
            Piece::Input(_) => unreachable!("a request is not made of an answer"),
        }
    }
    hash.finish()
}
