//! `x-tollgate-explain`: why a real call went where it went, for a client whose key may ask. JSON on one line, bounded.

use tollgate_wire::json::edit;

use super::{Candidate, Explained, chosen, refused_by_route};
use crate::{
    exchange::{Exchange, Io},
    names::header,
    stage::Verdict,
    visible,
};

/// Of the header's value. Intermediaries take heads of 8 KiB and more.
const MAX_BYTES: usize = 4096;
/// Kept free for what failed before somebody answered.
const FOR_ATTEMPTS_BYTES: usize = 512;
const WANTED: &[u8] = b"1";

/// Does the client ask, and may it? Looks for the header only where the key may.
pub(crate) fn is_asked_for(exchange: &Exchange, io: &Io<'_>) -> bool {
    let key = exchange.pinned().zip(exchange.facts.key);
    key.is_some_and(|(pinned, key)| pinned.keys.entry(key).explain) && io.request.named(header::EXPLAIN) == Some(WANTED)
}

/// Keeps what `route` decided, and why, as it is known now.
pub(crate) fn note(exchange: &mut Exchange, io: &Io<'_>, verdict: &Verdict) {
    let explained = match verdict {
        Verdict::Refuse(failure) => refused_by_route(exchange, io, failure),
        Verdict::Next | Verdict::Pause | Verdict::Taken => chosen(exchange, io),
    };
    let beside = match verdict {
        Verdict::Next => super::beside::told(exchange, io),
        Verdict::Refuse(_) | Verdict::Pause | Verdict::Taken => Vec::new(),
    };
    let written = |keep: &dyn Fn(&Candidate) -> bool| written(exchange, (&explained, &beside), keep);
    let mut json = written(&|_| true);
    if json.len() > MAX_BYTES - FOR_ATTEMPTS_BYTES {
        json = written(&|candidate| candidate.chosen);
    }
    if json.len() > MAX_BYTES - FOR_ATTEMPTS_BYTES {
        json = format!(r#"{{"left_out":{}"#, explained.candidates.len()).into_bytes();
    }
    exchange.call.told = Some(String::from_utf8_lossy(&json).into());
}

/// Those of the candidates that are to be kept, and how many others there are. Its end is left open.
fn written(
    exchange: &Exchange,
    (told, beside): (&Explained, &[Explained]),
    keep: &dyn Fn(&Candidate) -> bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_BYTES);
    let member = |out: &mut Vec<u8>, before: &str, value: &str| {
        out.extend_from_slice(before.as_bytes());
        edit::write_string(out, value);
    };
    member(&mut out, "{\"model\":", &exchange.facts.model_asked);
    member(&mut out, ",\"decision\":", &told.decision);
    member(&mut out, ",\"why\":", &told.why);
    for beside in beside {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(beside.stage.as_bytes());
        member(&mut out, "\":{\"decision\":", &beside.decision);
        member(&mut out, ",\"why\":", &beside.why);
        out.push(b'}');
    }
    out.extend_from_slice(b",\"candidates\":[");
    let mut left_out = 0;
    for candidate in &told.candidates {
        if !keep(candidate) {
            left_out += 1;
            continue;
        }
        let before = if out.ends_with(b"[") {
            "{\"provider\":"
        } else {
            ",{\"provider\":"
        };
        member(&mut out, before, &candidate.provider);
        member(&mut out, ",\"model\":", &candidate.model);
        out.extend_from_slice(if candidate.chosen {
            b",\"chosen\":true"
        } else {
            b",\"chosen\":false"
        });
        member(&mut out, ",\"why\":", &candidate.why);
        if let Some(cost) = candidate.expected_cost {
            member(&mut out, ",\"expected_cost_usd\":", &cost.to_nanos().to_string());
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]");
    if left_out > 0 {
        out.extend_from_slice(format!(",\"left_out\":{left_out}").as_bytes());
    }
    out
}

/// Appends the header line, where it was asked for; who failed meanwhile stands at its end.
pub(crate) fn write_line(out: &mut Vec<u8>, exchange: &Exchange) {
    let Some(told) = &exchange.call.told else { return };
    let mut json = told.as_bytes().to_vec();
    json.extend_from_slice(b",\"failed_before\":[");
    let pinned = exchange.pin();
    for (provider, outcome) in exchange.attempts() {
        let name = &pinned.snapshot.endpoints[provider].provider;
        let mut one = Vec::new();
        one.extend_from_slice(if json.ends_with(b"[") { b"[" } else { b",[" });
        edit::write_string(&mut one, name);
        one.push(b',');
        edit::write_string(&mut one, outcome.name());
        one.push(b']');
        if json.len() + one.len() + 2 > MAX_BYTES {
            break;
        }
        json.extend_from_slice(&one);
    }
    json.extend_from_slice(b"]}");
    visible::header(out, header::EXPLAIN, &json);
}
