//! The cap on a request's answer, written into it in the client's own dialect: lowered in place where there is one, set where
//! there is none. No other byte is touched.

use std::{borrow::Cow, ops::Range};

use tollgate_config::document::Dialect;
use tollgate_dialect::quirks::{MaxTokensField, Quirks};
use tollgate_wire::json::cursor::{self, Kind as Json, Value};

use crate::exchange::Exchange;

/// Something else instead of a range of the body; an empty range inserts.
pub(crate) struct CapEdit {
    pub instead_of: Range<usize>,
    pub text: String,
}

/// Where the cap may stand, and where it is put: the members themselves, or the object that has them.
struct Places {
    members: [&'static str; 2],
    outer: [&'static str; 2],
    /// Within `outer`, or at the top where there is no outer.
    name: &'static str,
}

const fn at_top(members: [&'static str; 2], name: &'static str) -> Places {
    Places {
        members,
        outer: ["", ""],
        name,
    }
}

/// A path that no body has: of dialects with one name for it.
const NO_OTHER: &str = "\u{0}";

fn places(dialect: Dialect, field: MaxTokensField) -> Places {
    match dialect {
        Dialect::OpenAi => at_top(
            ["max_completion_tokens", "max_tokens"],
            match field {
                MaxTokensField::MaxTokens => "max_tokens",
                MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
            },
        ),
        Dialect::OpenAiResponses => at_top(["max_output_tokens", NO_OTHER], "max_output_tokens"),
        Dialect::Anthropic | Dialect::Cohere => at_top(["max_tokens", NO_OTHER], "max_tokens"),
        // Google's APIs take both spellings.
        Dialect::Gemini => Places {
            members: [
                "generationConfig.maxOutputTokens",
                "generation_config.max_output_tokens",
            ],
            outer: ["generationConfig", "generation_config"],
            name: "maxOutputTokens",
        },
        Dialect::Bedrock => Places {
            members: ["inferenceConfig.maxTokens", NO_OTHER],
            outer: ["inferenceConfig", NO_OTHER],
            name: "maxTokens",
        },
    }
}

/// The edits that the call's limits make necessary; none for nearly all calls. `quirks` say the target's word for it where the
/// request passes as it is, and the most that it takes.
pub(crate) fn edits(exchange: &Exchange, body: &[u8], quirks: &Quirks) -> Vec<CapEdit> {
    match (exchange.held.cap(), exchange.facts.surface.dialect) {
        (Some(cap), Some(dialect)) => {
            let places = places(dialect, quirks.max_tokens_field);
            in_body(body, &places, cap, quirks.most_max_tokens)
        }
        _ => Vec::new(),
    }
}

/// The body with its cap.
pub(crate) fn capped<'b>(exchange: &Exchange, body: Cow<'b, [u8]>, quirks: &Quirks) -> Cow<'b, [u8]> {
    let mut edits = edits(exchange, &body, quirks);
    if edits.is_empty() {
        return body;
    }
    edits.sort_by_key(|edit| edit.instead_of.start);
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(body.get(at..edit.instead_of.start).unwrap_or_default());
        out.extend_from_slice(edit.text.as_bytes());
        at = edit.instead_of.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

fn in_body(body: &[u8], places: &Places, cap: u64, most: Option<u64>) -> Vec<CapEdit> {
    let [first, second] = places.members;
    // It was found readable, and each path once, when its bound was proved.
    let found = cursor::find(body, &[first, second]).unwrap_or([None; 2]);
    let too_large = |value: &Value| cursor::unsigned(body, *value).is_none_or(|said| said > cap);
    let said: Vec<Value> = found.into_iter().flatten().collect();
    if said.iter().any(|value| value.kind != Json::Null) {
        let lowered = said
            .into_iter()
            .filter(|value| value.kind != Json::Null && too_large(value));
        return lowered
            .map(|value| instead(value.span.range(), cap.to_string()))
            .collect();
    }
    // What the call does not ask for must be no more than the target takes.
    let cap = cap.min(most.unwrap_or(u64::MAX));
    if let Some(null) = said.first() {
        return vec![instead(null.span.range(), cap.to_string())];
    }
    let member = format!("\"{}\":{cap}", places.name);
    let outer = match places.outer {
        ["", _] => return into_object(body, 0, member).into_iter().collect(),
        [first, second] => cursor::find(body, &[first, second]).unwrap_or([None; 2]),
    };
    let edit = match outer.into_iter().flatten().next() {
        Some(object) if object.kind == Json::Object => into_object(body, object.span.range().start, member),
        Some(other) => Some(instead(other.span.range(), format!("{{{member}}}"))),
        None => into_object(body, 0, format!("\"{}\":{{{member}}}", places.outer[0])),
    };
    edit.into_iter().collect()
}

fn instead(instead_of: Range<usize>, text: String) -> CapEdit {
    CapEdit { instead_of, text }
}

/// As the first member of the object that begins there.
fn into_object(body: &[u8], from: usize, member: String) -> Option<CapEdit> {
    let rest = body.get(from..)?;
    let inside = from + rest.iter().position(|&byte| byte == b'{')? + 1;
    let is_empty = body.get(inside..)?.trim_ascii_start().first() == Some(&b'}');
    let comma = if is_empty { "" } else { "," };
    Some(instead(inside..inside, format!("{member}{comma}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capped(dialect: Dialect, body: &str, cap: u64) -> String {
        let places = places(dialect, MaxTokensField::MaxCompletionTokens);
        let mut out = body.to_owned();
        let mut edits = in_body(body.as_bytes(), &places, cap, Some(4_096));
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.instead_of.start));
        for edit in edits {
            out.replace_range(edit.instead_of, &edit.text);
        }
        out
    }

    #[test]
    fn caps_are_set_lowered_and_left_alone_in_every_dialect() {
        for (dialect, before, after) in [
            (
                Dialect::OpenAi,
                r#"{"model":"m"}"#,
                r#"{"max_completion_tokens":9,"model":"m"}"#,
            ),
            (
                Dialect::OpenAi,
                r#"{"max_tokens": 500 ,"model":"m"}"#,
                r#"{"max_tokens": 9 ,"model":"m"}"#,
            ),
            (Dialect::OpenAi, r#"{"max_tokens":null}"#, r#"{"max_tokens":9}"#),
            (
                Dialect::OpenAi,
                r#"{"max_completion_tokens":8,"max_tokens":90}"#,
                r#"{"max_completion_tokens":8,"max_tokens":9}"#,
            ),
            (Dialect::OpenAi, r#"{"max_tokens":9}"#, r#"{"max_tokens":9}"#),
            (Dialect::OpenAi, "{ }", r#"{"max_completion_tokens":9 }"#),
            (
                Dialect::OpenAiResponses,
                r#"{"max_output_tokens":1e3}"#,
                r#"{"max_output_tokens":9}"#,
            ),
            (Dialect::Anthropic, r#"{"max_tokens":64}"#, r#"{"max_tokens":9}"#),
            (
                Dialect::Cohere,
                r#"{"k":{"max_tokens":99}}"#,
                r#"{"max_tokens":9,"k":{"max_tokens":99}}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"contents":[]}"#,
                r#"{"generationConfig":{"maxOutputTokens":9},"contents":[]}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"generationConfig":{"topK":1}}"#,
                r#"{"generationConfig":{"maxOutputTokens":9,"topK":1}}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"generation_config":{}}"#,
                r#"{"generation_config":{"maxOutputTokens":9}}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"generation_config":{"max_output_tokens":10}}"#,
                r#"{"generation_config":{"max_output_tokens":9}}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"generationConfig":null}"#,
                r#"{"generationConfig":{"maxOutputTokens":9}}"#,
            ),
            (
                Dialect::Bedrock,
                r#"{"messages":[]}"#,
                r#"{"inferenceConfig":{"maxTokens":9},"messages":[]}"#,
            ),
            (
                Dialect::Bedrock,
                r#"{"inferenceConfig":{"maxTokens":9000}}"#,
                r#"{"inferenceConfig":{"maxTokens":9}}"#,
            ),
        ] {
            assert_eq!(capped(dialect, before, 9), after, "{dialect:?} {before}");
        }
        let most = capped(Dialect::Anthropic, "{}", 1_000_000);
        assert_eq!(most, r#"{"max_tokens":4096}"#, "no more than its target takes");
    }
}
