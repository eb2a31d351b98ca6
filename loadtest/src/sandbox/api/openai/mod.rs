//! OpenAI's API. Shapes are those of the Python SDK's types, `openai` 3.57.0; errors and rate-limit headers those of
//! <https://platform.openai.com/docs/guides/error-codes> and `/rate-limits`.

mod background;
mod chat;
mod embeddings;
mod forms;
mod models;
mod moderations;
mod objects;
mod responses;

use tollgate_wire::{
    head::{Known, Method, RequestView},
    http1::write,
    json::edit,
};

use super::{Api, Failure, Operation, by_suffix, is_get};
use crate::sandbox::{
    limits::{Exceeded, Meter, Standing},
    reply::put,
};

pub struct OpenAi;

impl Api for OpenAi {
    fn find(&self, view: RequestView) -> Option<&'static dyn Operation> {
        const POSTS: [(&str, &dyn Operation); 8] = [
            ("/chat/completions", &chat::Chat),
            ("/responses", &responses::Responses),
            ("/embeddings", &embeddings::Embeddings),
            ("/moderations", &moderations::Moderations),
            ("/audio/transcriptions", &forms::Heard),
            ("/audio/translations", &forms::Heard),
            ("/images/edits", &forms::Edited),
            ("/images/variations", &forms::Edited),
        ];
        if view.get(Known::AnthropicVersion).is_some() {
            // The paths of files are both APIs'.
            return by_suffix(view, Method::Post, &POSTS);
        }
        let found = match is_get(view) {
            true => models::find(view).or_else(|| background::find(view)),
            false => by_suffix(view, Method::Post, &POSTS),
        };
        found.or_else(|| objects::find(view))
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn error(&self, out: &mut Vec<u8>, failure: &Failure) {
        let (kind, code) = match (failure.status, &failure.exceeded) {
            (_, Some(exceeded)) => (meter_name(exceeded.meter), "\"rate_limit_exceeded\""),
            (401, _) => ("invalid_request_error", "\"invalid_api_key\""),
            (403, _) => ("permission_error", "null"),
            (404, _) => ("invalid_request_error", "\"not_found\""),
            (429, _) => ("requests", "\"rate_limit_exceeded\""),
            (400..=499, _) => ("invalid_request_error", "null"),
            _ => ("server_error", "null"),
        };
        put(out, &[b"{\"error\":{\"message\":"]);
        edit::write_string(out, failure.message);
        put(out, &[b",\"type\":\"", kind.as_bytes()]);
        put(out, &[b"\",\"param\":null,\"code\":", code.as_bytes(), b"}}"]);
    }

    fn error_head(&self, out: &mut Vec<u8>, failure: &Failure) {
        if let Some(seconds) = failure.retry_after_s() {
            write::header_u64(out, b"retry-after", seconds);
        }
        if let (Some(wait_ns), Some(_)) = (failure.retry_after_ns, failure.exceeded) {
            write::header_u64(out, b"retry-after-ms", wait_ns.div_ceil(1_000_000));
        }
    }

    fn limit_head(&self, out: &mut Vec<u8>, standing: &Standing) {
        for state in &standing.meters {
            let name = meter_name(state.meter);
            if name.is_empty() {
                continue;
            }
            write::header_u64(out, format!("x-ratelimit-limit-{name}").as_bytes(), state.limit);
            write::header_u64(out, format!("x-ratelimit-remaining-{name}").as_bytes(), state.remaining);
            let reset = duration(state.reset_ns);
            write::header(out, format!("x-ratelimit-reset-{name}").as_bytes(), reset.as_bytes());
        }
    }

    fn limit_message(&self, exceeded: &Exceeded, model: &str) -> String {
        let (unit, short) = match exceeded.meter {
            Meter::Requests => ("requests", "RPM"),
            _ => ("tokens", "TPM"),
        };
        let (limit, used, requested) = (exceeded.limit, exceeded.used, exceeded.requested);
        format!(
            "Rate limit reached for {model} in organization org-sandbox on {unit} per min ({short}): Limit {limit}, Used \
             {used}, Requested {requested}. Please try again in {}. Visit \
             https://platform.openai.com/account/rate-limits to learn more.",
            duration(exceeded.wait_ns)
        )
    }
}

/// OpenAI counts requests, and tokens of both directions together.
fn meter_name(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "requests",
        Meter::Tokens => "tokens",
        Meter::InputTokens | Meter::OutputTokens => "",
    }
}

/// `12ms`, `1.5s`, `6m0s`: as the headers have it.
fn duration(ns: u64) -> String {
    let ms = ns.div_ceil(1_000_000);
    let (minutes, rest) = (ms / 60_000, ms % 60_000);
    let seconds = format!("{}", rest as f64 / 1000.0);
    match minutes {
        0 if ms < 1000 => format!("{ms}ms"),
        0 => format!("{seconds}s"),
        _ => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_the_headers_have_them() {
        for (ms, text) in [
            (0, "0ms"),
            (12, "12ms"),
            (1500, "1.5s"),
            (20_000, "20s"),
            (360_000, "6m0s"),
            (61_250, "1m1.25s"),
        ] {
            assert_eq!(duration(ms * 1_000_000), text);
        }
    }
}
