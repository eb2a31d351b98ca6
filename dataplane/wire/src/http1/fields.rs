//! Header lines: tagged in one pass, with the rules about those that frame a message or name others.

use httparse::Header;

use crate::Span;
use crate::head::{Field, Fields, Known};
use crate::http1::read::{BadHead, span_in};

/// Names in all `Connection` lines of a head together; each costs a look at every line.
const MAX_CONNECTION_OPTIONS: usize = 32;

/// Who wrote the head: what a client may not make us drop differs from what a provider may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Provider,
}

/// What the lines say about the message as a whole.
#[derive(Default)]
pub(super) struct Facts {
    pub length: Option<u64>,
    /// Offset of the `Transfer-Encoding` value, which is `chunked`.
    pub chunked: Option<usize>,
    pub host: Option<Span>,
    pub close: bool,
    pub keep_alive: bool,
    /// `Connection` names `upgrade`.
    pub upgrade: bool,
}

/// Copies the tokenised lines into `fields`, tagged, and holds them to the framing rules. Faults carry status 400.
pub(super) fn tag(buf: &[u8], headers: &[Header<'_>], fields: &mut Fields, sender: Sender) -> Result<Facts, BadHead> {
    let mut facts = Facts::default();
    for header in headers {
        let known = Known::of(header.name.as_bytes());
        let value = span_in(buf, header.value);
        let at = value.start as usize;
        match known {
            Known::ContentLength if facts.length.is_some() => return Err(bad("more than one content-length", at)),
            Known::ContentLength => facts.length = Some(length_of(header.value).ok_or(bad("bad content-length", at))?),
            Known::TransferEncoding if facts.chunked.is_some() => {
                return Err(bad("more than one transfer-encoding", at));
            }
            Known::TransferEncoding if header.value.eq_ignore_ascii_case(b"chunked") => facts.chunked = Some(at),
            Known::TransferEncoding => return Err(bad("transfer-encoding other than chunked", at)),
            Known::Host if facts.host.is_some() => return Err(bad("more than one host", at)),
            Known::Host => facts.host = Some(value),
            _ => {}
        }
        fields.push(Field {
            name: span_in(buf, header.name.as_bytes()),
            value,
            known,
            hop: known.is_hop(),
        });
    }
    if let (Some(at), Some(_)) = (facts.chunked, facts.length) {
        return Err(bad("both content-length and transfer-encoding", at));
    }
    if fields.get(Known::Connection).is_some() {
        connection_options(buf, fields, sender, &mut facts)?;
    }
    Ok(facts)
}

/// 1 to 19 digits and nothing else (RFC 9110 §8.6): no sign, no list, no overflow of 64 bits.
fn length_of(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// Reads every `Connection` line (RFC 9110 §7.6.1) and marks the lines it names.
fn connection_options(buf: &[u8], fields: &mut Fields, sender: Sender, facts: &mut Facts) -> Result<(), BadHead> {
    let mut count = 0;
    for line in 0..fields.lines.len() {
        let Field {
            known: Known::Connection,
            value,
            ..
        } = fields.lines[line]
        else {
            continue;
        };
        let at = value.start as usize;
        for option in value.of(buf).split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            count += 1;
            if count > MAX_CONNECTION_OPTIONS {
                return Err(bad("too many connection options", at));
            }
            if option.eq_ignore_ascii_case(b"close") {
                facts.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                facts.keep_alive = true;
            } else if !option.is_empty() {
                mark(buf, fields, option, sender, facts).map_err(|reason| bad(reason, at))?;
            }
        }
    }
    Ok(())
}

/// Marks the lines named `option`. Who could make us drop a header that frames, routes or authenticates the message
/// would have the next reader see another message than we did.
fn mark(buf: &[u8], fields: &mut Fields, option: &[u8], sender: Sender, facts: &mut Facts) -> Result<(), &'static str> {
    let known = Known::of(option);
    facts.upgrade |= known == Known::Upgrade;
    let framing = matches!(known, Known::Host | Known::ContentLength | Known::TransferEncoding);
    let acted_on = sender == Sender::Client && known != Known::Other && !known.is_hop();
    if framing || acted_on {
        return Err("connection names a header that is not hop-by-hop");
    }
    for field in fields.lines.iter_mut().filter(|field| field.known == known) {
        field.hop |= field.name.of(buf).eq_ignore_ascii_case(option);
    }
    Ok(())
}

fn bad(reason: &'static str, at: usize) -> BadHead {
    BadHead::new(400, reason, at)
}
