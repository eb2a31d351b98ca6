//! Cross-origin resource sharing (Fetch standard §3.2), per listener where configured.

use tollgate_wire::{
    head::{Known, Method, RequestView},
    http1::write,
};

use crate::{
    exchange::{Exchange, Io},
    names::header,
    reply::{self, Reply},
    snapshot::CorsLines,
};

/// What scripts may read of an answer beside what they always may.
const EXPOSED: &[u8] = b"x-request-id, request-id, retry-after, server-timing, x-tollgate-attempts, x-tollgate-cache, \
x-tollgate-cost-usd, x-tollgate-explain, x-tollgate-model, x-tollgate-provider, x-tollgate-upstream-request-id";

/// Is this a preflight that the listener answers?
pub(crate) fn is_preflight(exchange: &Exchange, request: RequestView<'_>) -> bool {
    request.head.method == Method::Options
        && request.get(Known::Origin).is_some()
        && request.get(Known::AccessControlRequestMethod).is_some()
        && configured(exchange).is_some()
}

/// Answers a preflight: without `access-control-allow-origin` when the origin is not allowed, which the browser refuses.
pub(crate) fn answer_preflight(exchange: &mut Exchange, io: &mut Io<'_>) {
    let request = io.request;
    let pinned = exchange.pin();
    let lines = listener(exchange)
        .and_then(|i| pinned.snapshot.cors.get(i))
        .and_then(Option::as_ref);
    let allowed = lines.filter(|lines| allowed_origin(lines, request).is_some());
    let body = 0..0;
    reply::whole(
        exchange,
        io,
        Reply {
            status: 204,
            content_type: b"",
            body,
        },
        |out, _| {
            let Some(lines) = allowed else { return };
            write::header(out, header::ALLOW_METHODS, b"GET, HEAD, POST, OPTIONS");
            // Named back, not `*`: a star does not cover `authorization`.
            if let Some(asked) = request.get(Known::AccessControlRequestHeaders) {
                write::header(out, header::ALLOW_HEADERS, asked);
            }
            write::header_u64(out, header::MAX_AGE, u64::from(lines.max_age_s));
        },
    );
}

/// Is CORS configured where this request came in? Then a provider's own CORS headers are not passed.
pub(crate) fn configured(exchange: &Exchange) -> Option<&CorsLines> {
    exchange.pinned()?.snapshot.cors.get(listener(exchange)?)?.as_ref()
}

/// Appends the lines that every answer to a known origin carries.
pub(crate) fn write_lines(out: &mut Vec<u8>, exchange: &Exchange, request: RequestView<'_>) {
    let Some(lines) = configured(exchange) else { return };
    if lines.origins.is_some() {
        write::header(out, header::VARY, b"origin");
    }
    if let Some(origin) = allowed_origin(lines, request) {
        write::header(out, header::ALLOW_ORIGIN, origin);
        write::header(out, header::EXPOSE_HEADERS, EXPOSED);
    }
}

fn allowed_origin<'a>(lines: &CorsLines, request: RequestView<'a>) -> Option<&'a [u8]> {
    let origin = request.get(Known::Origin)?;
    match &lines.origins {
        None => Some(b"*"),
        Some(known) => known.iter().any(|known| **known == *origin).then_some(origin),
    }
}

fn listener(exchange: &Exchange) -> Option<usize> {
    // Without a valid head there is no origin to look at.
    exchange
        .facts
        .peer
        .as_ref()
        .filter(|_| exchange.facts.has_head)?
        .listener
}
