//! A provider's error as a client may hear it: without what it says of the gateway's credential, and with ids as the
//! client knows them.

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
    for (raw, sealed) in ids(exchange, io) {
        fault.message = fault.message.replace(&raw, &sealed);
        fault.param = fault.param.map(|param| param.replace(&raw, &sealed));
    }
    fault
}

/// The ids that were opened for this call: the provider's own, and what the client sent for it.
fn ids(exchange: &Exchange, io: &Io<'_>) -> Vec<(String, String)> {
    let body = exchange.admitted.body(io.body);
    let in_body = |Opened { at, json }: &Opened| Some((text(json)?, text(body.get(at.clone())?)?));
    let in_path = || {
        exchange.call.object.as_ref()?;
        let sealed = percent::decode(exchange.facts.surface.model_in_path(io.request.path())?);
        let sealed = String::from_utf8(sealed.into_owned()).ok()?;
        Some((sealing::open(exchange, &sealed)?.raw, sealed))
    };
    let opened = exchange.admitted.opened.iter().filter_map(in_body);
    opened.chain(in_path()).filter(|(raw, _)| !raw.is_empty()).collect()
}

fn text(quoted: &[u8]) -> Option<String> {
    let whole = Value {
        span: tollgate_wire::Span::new(0, quoted.len()),
        kind: Kind::String,
    };
    cursor::string(quoted, whole).map(|text| text.into_owned())
}
