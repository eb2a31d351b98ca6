//! Failures as each dialect words them. Off the hot path: text is built with `format!`.

use std::borrow::Cow;

use tollgate_config::document::Dialect;
use tollgate_dialect::canonical::{
    event::Event,
    fault::{Fault, FaultKind},
};
use tollgate_wire::json::edit;

use super::{Culprit, Failure, Kind, Waited};
use crate::{
    exchange::{ClientFault, Exchange, UpstreamFault},
    names::code,
    passing, relay,
    routing::residency,
    speaks,
    stages::authorize,
    surface::Operation,
};

/// Appends the body of an error answer.
pub(crate) fn write_body(out: &mut Vec<u8>, exchange: &Exchange, failure: &Failure) {
    let message = message(exchange, failure);
    let code = failure.kind.code();
    let status = failure.kind.status();
    match exchange.facts.surface.dialect {
        Some(Dialect::Anthropic) => {
            out.extend_from_slice(b"{\"type\":\"error\",\"error\":{\"type\":");
            edit::write_string(out, anthropic_type(status, code));
            out.extend_from_slice(b",\"code\":");
            edit::write_string(out, code);
            out.extend_from_slice(b",\"message\":");
            edit::write_string(out, &message);
            out.extend_from_slice(b"},\"request_id\":");
            edit::write_string(out, &exchange.facts.request_id);
            out.push(b'}');
        }
        Some(dialect @ (Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock)) => {
            let facts = relay::call_facts(exchange, false, 0);
            speaks::of(dialect).write_fault(&fault(exchange, failure), &facts, out);
        }
        Some(Dialect::OpenAi | Dialect::OpenAiResponses) | None => {
            out.extend_from_slice(b"{\"error\":{\"message\":");
            edit::write_string(out, &message);
            out.extend_from_slice(b",\"type\":");
            edit::write_string(out, openai_type(status));
            out.extend_from_slice(b",\"param\":");
            match failure.kind.param() {
                Some(param) => edit::write_string(out, param),
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(b",\"code\":");
            edit::write_string(out, code);
            out.extend_from_slice(b"}}");
        }
    }
}

/// Appends the event that ends a stream with an error.
pub(crate) fn write_event(out: &mut Vec<u8>, exchange: &Exchange, failure: &Failure) {
    match exchange.facts.surface.dialect {
        Some(Dialect::Anthropic) => out.extend_from_slice(b"event: error\n"),
        Some(Dialect::OpenAi) | None => {}
        Some(dialect) => {
            let facts = relay::call_facts(exchange, false, 0);
            let mut writer = speaks::of(dialect).stream_writer(&facts);
            return writer.write(&Event::Failed(fault(exchange, failure)), out);
        }
    }
    out.extend_from_slice(b"data: ");
    write_body(out, exchange, failure);
    out.extend_from_slice(b"\n\n");
}

/// A failure as the writers of the dialects take it.
pub(crate) fn fault(exchange: &Exchange, failure: &Failure) -> Fault {
    let status = failure.kind.status();
    let quota = matches!(&failure.kind, Kind::Limited(limited) if limited.is_quota());
    Fault {
        kind: if quota {
            FaultKind::Quota
        } else {
            FaultKind::of_status(status)
        },
        status,
        code: Some(failure.kind.code().to_owned()),
        message: message(exchange, failure).into_owned(),
        param: failure.kind.param().map(str::to_owned),
        retry_after_ms: failure.kind.retry_after_ms(),
    }
}

/// Source: OpenAI's guide to error codes.
fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// Source: Anthropic API reference, "Errors".
fn anthropic_type(status: u16, code: &str) -> &'static str {
    match status {
        _ if code == code::OVERLOADED => "overloaded_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

pub(crate) fn message(exchange: &Exchange, failure: &Failure) -> Cow<'static, str> {
    match failure.culprit {
        Culprit::Client => client_message(exchange, &failure.kind),
        Culprit::Upstream => upstream_message(exchange, &failure.kind).into(),
        Culprit::Gateway => match &failure.kind {
            Kind::Internal(reason) => format!("The gateway could not serve this request: {reason}.").into(),
            kind => client_message(exchange, kind),
        },
    }
}

fn client_message(exchange: &Exchange, kind: &Kind) -> Cow<'static, str> {
    let asked = &exchange.facts.model_asked;
    match kind {
        Kind::BadHead(bad) => format!("The request is not valid HTTP: {} (byte {}).", bad.reason, bad.offset).into(),
        Kind::ClientFault(ClientFault::BadFraming(reason)) => {
            format!("The request body is not framed as HTTP demands: {reason}.").into()
        }
        Kind::ClientFault(ClientFault::Timeout) => "The request body did not arrive in time.".into(),
        Kind::ClientFault(ClientFault::TooLarge) => match exchange.pinned() {
            Some(pinned) => too_large(passing::max_bytes(exchange, &pinned.snapshot.document)).into(),
            None => "The request body is too large.".into(),
        },
        Kind::TooLarge { max_bytes } => too_large(*max_bytes).into(),
        Kind::BadJson(bad) => format!(
            "The request body is not valid JSON: {} (byte {}).",
            bad.reason, bad.offset
        )
        .into(),
        Kind::BadForm(bad) => format!("The form in the request body cannot be read: {bad}.").into(),
        Kind::Field { name, wrong, offset } => format!("'{name}' {wrong} (byte {offset} of the body).").into(),
        Kind::Header { name, wrong } => format!("The header '{name}' {wrong}.").into(),
        Kind::UnknownEncoding => "This content-encoding is not understood; send the body as it is, or as gzip, br or \
                                  zstd."
            .into(),
        Kind::BadEncoding(reason) => format!("The request body does not decode: {reason}.").into(),
        Kind::NoKey => "No API key was sent; send one as 'Authorization: Bearer KEY'.".into(),
        Kind::UnknownKey => "This API key is not known here; it may have been revoked.".into(),
        Kind::ExpiredKey => "This API key has expired; ask for a new one.".into(),
        Kind::RemoteKey => "This API key works only from the machine the gateway runs on.".into(),
        Kind::ModelNotAllowed => format!("This API key may not use the model '{asked}'.").into(),
        Kind::PassThroughNotAllowed => {
            "This API key may not call providers directly; ask for one with pass_through: true.".into()
        }
        Kind::BatchesNotAllowed => "This API key may not make batches; ask for one with batches: true.".into(),
        Kind::NoSuchObject { name: "" } => "There is no object of the id in this path that this API key may see.".into(),
        Kind::NoSuchObject { name } => {
            format!("There is no object of the id in '{name}' that this API key may see.").into()
        }
        Kind::ListNotReady => "Whose the objects are is not known yet: the control plane keeps it, and has not told this \
                               data plane since it started. Try again."
            .into(),
        Kind::NoIdSecret { provider } => format!(
            "Objects at the provider '{provider}' cannot be told apart by owner: the gateway's configuration needs an \
             id_secret."
        )
        .into(),
        Kind::NoSuchProvider => "There is no provider of the name that stands behind /providers/ in this path.".into(),
        Kind::ModelNotFound => model_not_found(exchange).into(),
        Kind::NoSuchPath => "There is nothing at this path; see GET /v1/models, POST /v1/chat/completions and POST \
                             /v1/messages."
            .into(),
        Kind::NotServedYet { path, instead: "" } => format!("The path '{path}' is not supported yet.").into(),
        Kind::NotServedYet { path, instead } => format!("The path '{path}' is not supported: {instead}.").into(),
        Kind::Websocket => "WebSockets are not supported yet.".into(),
        Kind::WrongMethod => format!("This path takes {} only.", exchange.facts.surface.allow).into(),
        Kind::Untranslatable { field, wrong, offset: 0 } => format!("'{field}' {wrong}.").into(),
        Kind::Untranslatable { field, wrong, offset } => {
            format!("'{field}' {wrong} (byte {offset} of the body).").into()
        }
        Kind::Unsupported(fields) => format!(
            "The model '{asked}' is served in another dialect, which has no words for: {fields}. Leave that out, or call \
             a model that takes it."
        )
        .into(),
        Kind::TranslatedTooLarge => "The request body is too large in the dialect of the provider.".into(),
        Kind::CacheMiss => "The answer is not in the cache, and 'x-tollgate-cache: only' forbids to ask for it.".into(),
        Kind::BlockedByGuard { guard, entity } => format!(
            "The guard '{guard}' of the model '{asked}' does not let this pass: {entity}."
        )
        .into(),
        Kind::GuardUnavailable { guard } => format!(
            "The guard '{guard}' of the model '{asked}' has no embedding model that it could judge by, and lets nothing \
             pass until it has one."
        )
        .into(),
        Kind::IdempotencyKeyReused => "Another request came under this idempotency-key before: send a new key with each \
                                       new request, and the same only with the same path and body."
            .into(),
        Kind::NotOffered if asked.is_empty() => "No provider that this API key's models go to serves this path.".into(),
        Kind::NotForThisCall => {
            format!("Every target of the model '{asked}' has a `when` that does not hold for this call.").into()
        }
        Kind::Limited(limited) => limited.words().into(),
        Kind::Unbounded(words) => String::from(&**words).into(),
        Kind::Overloaded {
            priority,
            retry_after_s,
        } => format!(
            "The model '{asked}' is overloaded: its targets have as many calls as they bear, and no room came free for \
             one of {} priority. Try again in {retry_after_s} s.",
            priority.name()
        )
        .into(),
        Kind::Saturated {
            priority,
            retry_after_s,
        } => format!(
            "The gateway has more calls than it bears, and takes none of {} priority just now. Try again in \
             {retry_after_s} s.",
            priority.name()
        )
        .into(),
        Kind::OutsideRegion => outside_region(exchange).into(),
        Kind::ProviderLimit {
            provider,
            grant,
            wait_ms,
        } => format!(
            "The provider '{provider}' grants this gateway {} {} in {} s, and nothing of that is left for this call; try \
             again in {} s.",
            grant.most,
            grant.of.name(),
            grant.per_ms.div_ceil(1_000),
            wait_ms.div_ceil(1_000)
        )
        .into(),
        Kind::NotOffered => {
            let instead = match exchange.facts.surface.operation {
                Operation::Other(b"/completions") => {
                    "They are chat models: call POST /v1/chat/completions with 'messages' in place of 'prompt'."
                }
                _ => "GET /v1/models lists the models this API key may use.",
            };
            let path = String::from_utf8_lossy(exchange.facts.surface.operation.path());
            format!(
                "No target of the model '{asked}' serves this path: their providers have no such call ({path}). {instead}"
            )
            .into()
        }
        Kind::NoTarget => format!("The model '{asked}' has no target that could be tried.").into(),
        Kind::NoCredential { provider, why } => {
            format!("The provider '{provider}' cannot be called: {}.", why.words()).into()
        }
        Kind::UsageSpoolFull => "The gateway's disk has no room to record what calls use, and it takes none unrecorded. \
                                 Try again later."
            .into(),
        Kind::Upstream(_)
        | Kind::BadStatus(_)
        | Kind::Unreadable(_)
        | Kind::UpstreamTimeout(_)
        | Kind::Internal(_) => {
            upstream_message(exchange, kind).into()
        }
    }
}

fn outside_region(exchange: &Exchange) -> String {
    let regions = residency::words(exchange);
    let what = match exchange.facts.direct {
        Some(_) => "The provider of this call".to_owned(),
        None => format!("No target of the model '{}'", exchange.facts.model_asked),
    };
    format!("{what} is in a region that this call may go to: {regions}.")
}

fn too_large(max_bytes: u64) -> String {
    format!("The request body is larger than the {max_bytes} bytes that are allowed.")
}

fn model_not_found(exchange: &Exchange) -> String {
    let nearest = authorize::nearest_models(exchange);
    let asked = &exchange.facts.model_asked;
    match nearest.is_empty() {
        true => format!("There is no model '{asked}'; GET /v1/models lists those this API key may use."),
        false => format!("There is no model '{asked}'; did you mean '{}'?", nearest.join("', '")),
    }
}

fn upstream_message(exchange: &Exchange, kind: &Kind) -> String {
    let provider = exchange.record().provider.map_or("?", |(_, name)| name);
    let what = match kind {
        Kind::Upstream(fault) => match fault {
            UpstreamFault::Resolve => "its host name does not resolve".into(),
            UpstreamFault::Connect => "no connection could be made to it".into(),
            UpstreamFault::Tls(reason) => format!("TLS failed: {reason}"),
            UpstreamFault::Proxy(0) => "the HTTP proxy gave no sensible answer".into(),
            UpstreamFault::Proxy(status) => format!("the HTTP proxy refused to connect with status {status}"),
            UpstreamFault::Closed { .. } => "it closed the connection before it answered".into(),
            UpstreamFault::Cut => "it closed the connection in the middle of its answer".into(),
            UpstreamFault::BadAnswer(reason) => format!("its answer is not valid HTTP: {reason}"),
        },
        Kind::Unreadable(reason) => format!("its answer cannot be read: {reason}"),
        Kind::BadStatus(status) => format!("it answered with the status {status}, which no answer can have"),
        Kind::UpstreamTimeout(waited) => match waited {
            Waited::Connection => "no connection could be made in time".into(),
            Waited::FirstByte => "it did not begin to answer in time".into(),
            Waited::FirstToken => "it did not say anything in time".into(),
            Waited::NextByte | Waited::NextToken => "its answer stalled".into(),
            Waited::WholeAnswer => "its answer took too long".into(),
            Waited::Backoff | Waited::Turn => "it was not tried again in time".into(),
            Waited::Client => "the time that x-tollgate-timeout allows is over".into(),
        },
        other => other.code().into(),
    };
    let attempts = exchange.call.tried;
    let times = if attempts == 1 { "attempt" } else { "attempts" };
    format!("The provider '{provider}' failed: {what} ({attempts} {times} in all).")
}
