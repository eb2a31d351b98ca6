//! A provider's error as a client may hear it: without what it says of the gateway's credential, and with ids as the
//! client knows them.

use std::ops::Range;

use tollgate_dialect::canonical::fault::Fault;
use tollgate_wire::json::cursor::{self, Kind, Value};

use crate::{
    exchange::{Exchange, Io},
    percent,
    sealing::{self, request::Opened},
};

pub(super) fn told(exchange: &mut Exchange, io: &Io<'_>, mut fault: Fault) -> Fault {
    if fault.is_of_credential() {
        exchange.facts.note_refusal(&fault.message);
        return fault.without_credential(exchange.record().provider.map_or("?", |(_, name)| name));
    }
    for (raw, sealed) in ids_of_request(exchange, io) {
        fault.message = renamed(&fault.message, &raw, &sealed);
        fault.param = fault.param.map(|param| renamed(&param, &raw, &sealed));
    }
    fault
}

/// Where an id stands for itself in a text; not where it is the beginning of a longer one.
pub(crate) fn places_of<'a>(text: &'a [u8], id: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let of_id = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
    memchr::memmem::find_iter(text, id.as_bytes())
        .map(|start| start..start + id.len())
        .filter(move |at| {
            let before = at.start.checked_sub(1).and_then(|before| text.get(before));
            !of_id(before) && !of_id(text.get(at.end))
        })
}

fn renamed(text: &str, raw: &str, sealed: &str) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for at in places_of(text.as_bytes(), raw) {
        out.push_str(text.get(from..at.start).unwrap_or_default());
        out.push_str(sealed);
        from = at.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// The ids that were opened for this call: the provider's own, and what the client sent for it.
pub(crate) fn ids_of_request(exchange: &Exchange, io: &Io<'_>) -> Vec<(String, String)> {
    let body = exchange.admitted.body(io.body);
    let in_body = |Opened { at, json }: &Opened| Some((text(json)?, text(body.get(at.clone())?)?));
    let in_path = || {
        exchange.call.object.as_ref()?;
        let sealed = percent::decode(exchange.facts.surface.model_in_path(io.request.path())?);
        let sealed = String::from_utf8(sealed.into_owned()).ok()?;
        Some((sealing::open(exchange, &sealed)?.raw, sealed))
    };
    // Behind it a page begins, and it may be another's.
    let in_list = || {
        let raw = exchange.call.listing.as_ref()?.from.clone()?;
        let place = sealing::seal_place(exchange, exchange.call.credential, &raw)?;
        Some((raw, place))
    };
    let opened = exchange.admitted.opened.iter().filter_map(in_body);
    opened
        .chain(in_path())
        .chain(in_list())
        .filter(|(raw, _)| !raw.is_empty())
        .collect()
}

fn text(quoted: &[u8]) -> Option<String> {
    let whole = Value {
        span: tollgate_wire::Span::new(0, quoted.len()),
        kind: Kind::String,
    };
    cursor::string(quoted, whole).map(|text| text.into_owned())
}
