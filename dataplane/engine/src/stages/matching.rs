//! match: method and path → surface; what holds for every request is read here too (its id).

use tollgate_wire::head::{Known, Method};

use crate::{
    cors,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    stage::Verdict,
    surface::{self, Found, Shared},
    visible,
};

/// A client's id that is longer is not kept.
const MAX_REQUEST_ID_BYTES: usize = 128;

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let request = io.request;
    let facts = &mut exchange.facts;
    facts.has_head = true;
    facts.head_request = request.head.method == Method::Head;
    keep_request_id(&mut facts.request_id, request.get(Known::XRequestId));
    let shared_by = match (request.get(Known::AnthropicVersion), request.get(Known::XGoogApiKey)) {
        (Some(_), _) => Shared::Anthropic,
        (None, Some(_)) => Shared::Gemini,
        (None, None) => Shared::OpenAi,
    };
    let found = surface::find(request.path(), shared_by);
    if let Found::Surface(surface) | Found::Later(surface) = found {
        facts.surface = surface;
    }
    if cors::is_preflight(exchange, request) {
        cors::answer_preflight(exchange, io);
        return Verdict::Taken;
    }
    let kind = match found {
        Found::Nowhere => Kind::NoSuchPath,
        _ if is_websocket(request.head.upgrade, request.get(Known::Upgrade)) => Kind::Websocket,
        Found::Later(surface) => not_served(surface, request.path()),
        Found::Surface(surface) if !surface::allows(surface.allow, request.head.method) => Kind::WrongMethod,
        Found::Surface(_) => return Verdict::Next,
    };
    Verdict::Refuse(Failure::client(kind))
}

/// Bytes of a path that are told back.
const MAX_TOLD_PATH_BYTES: usize = 256;

fn not_served(surface: &surface::Surface, path: &[u8]) -> Kind {
    let told = &path[..path.len().min(MAX_TOLD_PATH_BYTES)];
    Kind::NotServedYet {
        path: String::from_utf8_lossy(told).into(),
        instead: surface::instead_of(surface),
    }
}

fn keep_request_id(id: &mut String, asked: Option<&[u8]>) {
    let Some(asked) = asked.and_then(|asked| std::str::from_utf8(asked).ok()) else {
        return;
    };
    let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&asked.len());
    if fits && asked.bytes().all(visible::is_visible) {
        id.clear();
        id.push_str(asked);
    }
}

fn is_websocket(asked: bool, protocol: Option<&[u8]>) -> bool {
    asked && protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}
