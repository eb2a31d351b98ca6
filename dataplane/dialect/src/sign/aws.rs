//! AWS Signature Version 4, in the header. Source: "Create a signed AWS API request" in the IAM user guide.
//!
//! A signer belongs to one shard: it keeps the key of the day, so that a request costs two hashes and one HMAC.

use memchr::memmem;
use ring::{
    digest::{self, SHA256},
    hmac,
};

use super::{
    AwsKeys, form,
    time::{self, Stamp},
};

/// Headers signed in one request: `host`, those of AWS, and what the caller adds.
pub const MAX_SIGNED_HEADERS: usize = 16;

const ALGORITHM: &[u8] = b"AWS4-HMAC-SHA256";
const TERMINATOR: &[u8] = b"aws4_request";

/// Signs for one account, region and service.
#[derive(Debug)]
pub struct Signer {
    keys: AwsKeys,
    region: Box<str>,
    service: Box<str>,
    day: Option<DayKey>,
    /// The canonical request and the string to sign, one after the other.
    scratch: Vec<u8>,
}

/// The key that signs for a whole day.
#[derive(Debug)]
struct DayKey {
    day: [u8; 8],
    key: hmac::Key,
}

/// What is signed of a request, as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    pub method: &'r str,
    /// Percent-encoded, as it is sent. It is encoded once more here, as every service but S3 wants it.
    pub path: &'r [u8],
    /// Without its `?`.
    pub query: &'r [u8],
    pub host: &'r [u8],
    /// Further headers, names in lower case. Every `x-amz-…` header that is sent must be here.
    pub headers: &'r [(&'r str, &'r [u8])],
    pub payload: Payload,
}

/// What the signature says of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    Hash([u8; 32]),
    /// The service believes TLS (S3 does, Bedrock does not).
    Unsigned,
}

/// The hash of a body that comes in pieces.
#[derive(Clone)]
pub struct PayloadHash(digest::Context);

impl Default for PayloadHash {
    fn default() -> Self {
        Self(digest::Context::new(&SHA256))
    }
}

impl PayloadHash {
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub fn finish(self) -> Payload {
        Payload::Hash(bytes_of(&self.0.finish()))
    }
}

impl Payload {
    pub fn of(body: &[u8]) -> Self {
        Self::Hash(bytes_of(&digest::digest(&SHA256, body)))
    }
}

fn bytes_of(digest: &digest::Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Name and value.
type Field<'h> = (&'h [u8], &'h [u8]);

impl Signer {
    pub fn new(keys: AwsKeys, region: &str, service: &str) -> Self {
        Self {
            keys,
            region: region.into(),
            service: service.into(),
            day: None,
            scratch: Vec::new(),
        }
    }

    /// Appends the header lines that prove the request: `x-amz-date`, `x-amz-security-token` and
    /// `x-amz-content-sha256` where they are due, `authorization`.
    pub fn sign(&mut self, request: &Request<'_>, now_unix_s: u64, out: &mut Vec<u8>) {
        let stamp = time::stamp(now_unix_s);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        self.renew_day_key(&stamp);
        let day = self.day.as_ref().expect("it was just renewed");
        let mut headers = [(&b""[..], &b""[..]); MAX_SIGNED_HEADERS];
        let headers = self.signed_headers(request, &stamp, &mut headers);
        write_canonical(request, headers, &mut scratch);
        let canonical_hash = digest::digest(&SHA256, &scratch);
        let to_sign = scratch.len();
        self.write_string_to_sign(&stamp, canonical_hash.as_ref(), &mut scratch);
        let signature = hmac::sign(&day.key, &scratch[to_sign..]);
        self.write_lines(request, headers, &stamp, signature.as_ref(), out);
        self.scratch = scratch;
    }

    /// Sorted by name; those of one name stay in their order.
    fn signed_headers<'h>(
        &'h self,
        request: &Request<'h>,
        stamp: &'h Stamp,
        all: &'h mut [Field<'h>; MAX_SIGNED_HEADERS],
    ) -> &'h [Field<'h>] {
        let own: [Option<Field<'h>>; 4] = [
            Some((b"host", request.host)),
            Some((b"x-amz-date", stamp)),
            self.keys
                .session
                .as_deref()
                .map(|token| (&b"x-amz-security-token"[..], token.as_bytes())),
            (request.payload == Payload::Unsigned).then_some((b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")),
        ];
        let further = request.headers.iter().map(|(name, value)| (name.as_bytes(), *value));
        let fields = own.into_iter().flatten().chain(further);
        let count = fields.clone().count();
        assert!(count <= MAX_SIGNED_HEADERS, "more headers than are ever signed");
        for (place, field) in all.iter_mut().zip(fields) {
            *place = field;
        }
        let signed = &mut all[..count];
        signed.sort_by_key(|(name, _)| *name);
        signed
    }

    fn write_string_to_sign(&self, stamp: &Stamp, canonical_hash: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(ALGORITHM);
        out.push(b'\n');
        out.extend_from_slice(stamp);
        out.push(b'\n');
        self.write_scope(stamp, out);
        out.push(b'\n');
        write_hex(canonical_hash, out);
    }

    fn write_scope(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        for part in [&stamp[..8], self.region.as_bytes(), self.service.as_bytes()] {
            out.extend_from_slice(part);
            out.push(b'/');
        }
        out.extend_from_slice(TERMINATOR);
    }

    fn renew_day_key(&mut self, stamp: &Stamp) {
        let day: [u8; 8] = stamp[..8].try_into().expect("eight digits");
        if self.day.as_ref().is_some_and(|known| known.day == day) {
            return;
        }
        let secret = [b"AWS4", self.keys.secret.as_bytes()].concat();
        let steps = [&day[..], self.region.as_bytes(), self.service.as_bytes(), TERMINATOR];
        let key = steps
            .into_iter()
            .fold(hmac::Key::new(hmac::HMAC_SHA256, &secret), |key, step| {
                hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step).as_ref())
            });
        self.day = Some(DayKey { day, key });
    }

    fn write_lines(
        &self,
        request: &Request<'_>,
        headers: &[Field<'_>],
        stamp: &Stamp,
        signature: &[u8],
        out: &mut Vec<u8>,
    ) {
        let mut line = |name: &[u8], value: &[u8]| {
            for part in [name, b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        };
        line(b"x-amz-date", stamp);
        if let Some(token) = &self.keys.session {
            line(b"x-amz-security-token", token.as_bytes());
        }
        if request.payload == Payload::Unsigned {
            line(b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD");
        }
        out.extend_from_slice(b"authorization: ");
        out.extend_from_slice(ALGORITHM);
        out.extend_from_slice(b" Credential=");
        out.extend_from_slice(self.keys.access.as_bytes());
        out.push(b'/');
        self.write_scope(stamp, out);
        out.extend_from_slice(b", SignedHeaders=");
        write_names(headers, out);
        out.extend_from_slice(b", Signature=");
        write_hex(signature, out);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_canonical(request: &Request<'_>, headers: &[Field<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    write_path(request.path, out);
    out.push(b'\n');
    write_query(request.query, out);
    out.push(b'\n');
    let mut before: &[u8] = b"";
    for (name, value) in headers {
        if *name == before {
            // Values of one name share its line.
            *out.last_mut().expect("a line was written") = b',';
        } else {
            out.extend_from_slice(name);
            out.push(b':');
        }
        write_value(value, out);
        out.push(b'\n');
        before = name;
    }
    out.push(b'\n');
    write_names(headers, out);
    out.push(b'\n');
    match request.payload {
        Payload::Hash(hash) => write_hex(&hash, out),
        Payload::Unsigned => out.extend_from_slice(b"UNSIGNED-PAYLOAD"),
    }
}

fn write_names(headers: &[Field<'_>], out: &mut Vec<u8>) {
    let mut before: &[u8] = b"";
    for (name, _) in headers {
        if *name == before {
            continue;
        }
        if !before.is_empty() {
            out.push(b';');
        }
        out.extend_from_slice(name);
        before = name;
    }
}

/// Without spaces at its ends, and with single ones inside.
fn write_value(value: &[u8], out: &mut Vec<u8>) {
    if !value.contains(&b'\t') && memmem::find(value, b"  ").is_none() {
        return out.extend_from_slice(value.trim_ascii());
    }
    let mut words = value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    out.extend_from_slice(words.next().unwrap_or_default());
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

/// Dot segments resolved and empty ones left out (RFC 3986, section 6), then encoded once more.
fn write_path(path: &[u8], out: &mut Vec<u8>) {
    let has = |what: &[u8]| memmem::find(path, what).is_some();
    if path.starts_with(b"/") && !has(b"//") && !has(b"/.") {
        return form::encode(path, |byte| byte == b'/' || form::is_unreserved(byte), out);
    }
    // No path of ours comes here.
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    for segment in &segments {
        out.push(b'/');
        form::encode(segment, form::is_unreserved, out);
    }
    let folder = [&b"/"[..], b"/.", b"/.."].iter().any(|end| path.ends_with(end));
    if segments.is_empty() || folder {
        out.push(b'/');
    }
}

/// Pairs sorted by name and then value, each encoded exactly once.
fn write_query(query: &[u8], out: &mut Vec<u8>) {
    if query.is_empty() {
        return;
    }
    let once = |text: &[u8]| {
        let mut encoded = Vec::with_capacity(text.len());
        form::encode(&decode(text), form::is_unreserved, &mut encoded);
        encoded
    };
    // Calls of models have no query at AWS: this is not the hot path.
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (once(&pair[..at]), once(pair.get(at + 1..).unwrap_or_default()))
        })
        .collect();
    pairs.sort();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// Percent signs that begin no `%XX` stand for themselves.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    for (pair, byte) in out[start..].chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
