//! What of two requests under one `idempotency-key` must be the same. Of a body that is held that is all of it; of one that
//! passes, its length and how it begins: the rest is gone when the next one comes.

use std::hash::Hasher;

use memchr::memmem;
use tollgate_wire::{
    head::{Framing, Known},
    multipart,
};

use crate::{
    exchange::{Exchange, Io},
    outputs::Rest,
    passing,
};

/// Of a body that passes.
const COMPARED_BYTES: usize = 16 * 1024;

/// Is so much of the request here that it can be compared?
pub(super) fn is_here(exchange: &Exchange, io: &Io<'_>) -> bool {
    exchange.admitted.rest == Rest::Nothing || io.body.len() >= COMPARED_BYTES
}

/// Goes into the hash of a request.
pub(super) fn write(hasher: &mut impl Hasher, exchange: &Exchange, io: &Io<'_>) {
    part(hasher, io.request.path());
    part(hasher, io.request.query());
    // By how it is sent, not by how much of it has come: that may be all of it the next time.
    let passes = passing::may_pass(exchange, io.request.head.framing);
    let body = match passes {
        false => io.body,
        true => {
            let length = match io.request.head.framing {
                Framing::Length(length) => length,
                _ => 0,
            };
            hasher.write_u64(length);
            io.body.get(..COMPARED_BYTES).unwrap_or(io.body)
        }
    };
    // Libraries draw a form's boundary anew each time they send it.
    let content_type = io
        .request
        .get(Known::ContentType)
        .filter(|kind| multipart::is_form(kind));
    match content_type.and_then(|kind| multipart::boundary(kind).ok()) {
        None => part(hasher, body),
        Some(boundary) => form(hasher, body, boundary),
    }
}

fn part(hasher: &mut impl Hasher, bytes: &[u8]) {
    hasher.write(bytes);
    hasher.write_usize(bytes.len());
}

/// What stands between its boundaries. One that is cut off at the end is left out.
fn form(hasher: &mut impl Hasher, body: &[u8], boundary: &[u8]) {
    let mut from = 0;
    for at in memmem::find_iter(body, boundary) {
        part(hasher, body.get(from..at).unwrap_or_default());
        from = at + boundary.len();
    }
    let rest = body.get(from..).unwrap_or_default();
    let cut = (1..boundary.len())
        .rev()
        .find(|&length| rest.ends_with(&boundary[..length]));
    part(hasher, &rest[..rest.len() - cut.unwrap_or(0)]);
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    fn hashed(body: &str, boundary: &str) -> Vec<u8> {
        let mut bytes = Collected(Vec::new());
        form(&mut bytes, body.as_bytes(), boundary.as_bytes());
        bytes.0
    }

    struct Collected(Vec<u8>);

    impl Hasher for Collected {
        fn finish(&self) -> u64 {
            0
        }

        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }

    #[test]
    fn a_form_is_the_same_whatever_its_boundary() {
        let of = |boundary: &str, file: &str| format!("--{boundary}\r\n\r\n{file}\r\n--{boundary}--\r\n");
        let same = hashed(&of("abc", "file"), "abc");
        assert_eq!(hashed(&of("xyz", "file"), "xyz"), same);
        assert_ne!(hashed(&of("xyz", "other"), "xyz"), same);
        // Cut within the last one.
        let cut = |boundary: &str, left: usize| hashed(&of(boundary, "file")[..left], boundary);
        for left in 1..of("abc", "file").len() {
            assert_eq!(cut("abc", left), cut("xyz", left), "{left}");
        }
    }
}
