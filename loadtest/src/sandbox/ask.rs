//! Reads what a chat request asks for, without building a tree. Knows the two dialects' request fields, no socket.

use std::borrow::Cow;

use tollgate_wire::json::cursor::{self, Kind, Value};

use super::text::PromptCount;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    OpenAi,
    Anthropic,
}

/// A valid request, as far as the sandbox acts on it.
#[derive(Debug)]
pub struct Ask<'a> {
    pub model: Cow<'a, str>,
    /// The model's name as the JSON string it came as, quotes included: it is sent back as it is.
    pub model_json: &'a [u8],
    pub stream: bool,
    pub include_usage: bool,
    pub max_tokens: Option<u64>,
    pub prompt: PromptCount,
}

/// Reads `body`; the error is the message for a 400.
pub fn read(dialect: Dialect, body: &[u8]) -> Result<Ask<'_>, String> {
    match dialect {
        Dialect::OpenAi => read_openai(body),
        Dialect::Anthropic => read_anthropic(body),
    }
}

fn read_openai(body: &[u8]) -> Result<Ask<'_>, String> {
    const PATHS: [&str; 6] = [
        "model",
        "messages",
        "stream",
        "stream_options.include_usage",
        "max_tokens",
        "max_completion_tokens",
    ];
    let found = cursor::find(body, &PATHS).map_err(|bad| format!("the body is not valid JSON: {bad}"))?;
    let (model, model_json) = model(body, found[0])?;
    let max_tokens = positive(body, found[5], PATHS[5])?.or(positive(body, found[4], PATHS[4])?);
    Ok(Ask {
        model,
        model_json,
        stream: flag(found[2], PATHS[2])?,
        include_usage: flag(found[3], PATHS[3])?,
        max_tokens,
        prompt: prompt(body, &[messages(found[1])?]),
    })
}

fn read_anthropic(body: &[u8]) -> Result<Ask<'_>, String> {
    const PATHS: [&str; 5] = ["model", "messages", "stream", "max_tokens", "system"];
    let found = cursor::find(body, &PATHS).map_err(|bad| format!("the body is not valid JSON: {bad}"))?;
    let (model, model_json) = model(body, found[0])?;
    let max_tokens = positive(body, found[3], PATHS[3])?.ok_or("max_tokens: Field required")?;
    let mut spoken = vec![messages(found[1])?];
    spoken.extend(found[4]);
    Ok(Ask {
        model,
        model_json,
        stream: flag(found[2], PATHS[2])?,
        include_usage: true,
        max_tokens: Some(max_tokens),
        prompt: prompt(body, &spoken),
    })
}

fn model(body: &[u8], value: Option<Value>) -> Result<(Cow<'_, str>, &[u8]), String> {
    let value = value.ok_or("model: Field required")?;
    let name = cursor::string(body, value).ok_or("model: a string is required")?;
    Ok((name, value.span.of(body)))
}

fn messages(value: Option<Value>) -> Result<Value, String> {
    match value {
        Some(value) if value.kind == Kind::Array && value.span.len() > 2 => Ok(value),
        Some(_) => Err("messages: a list with at least one message is required".to_owned()),
        None => Err("messages: Field required".to_owned()),
    }
}

fn flag(value: Option<Value>, name: &str) -> Result<bool, String> {
    match value.map(|value| value.kind) {
        None | Some(Kind::Null | Kind::False) => Ok(false),
        Some(Kind::True) => Ok(true),
        Some(_) => Err(format!("{name}: true or false is required")),
    }
}

fn positive(body: &[u8], value: Option<Value>, name: &str) -> Result<Option<u64>, String> {
    match value {
        None => Ok(None),
        Some(value) if value.kind == Kind::Null => Ok(None),
        Some(value) => match cursor::unsigned(body, value) {
            Some(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("{name}: a positive integer is required")),
        },
    }
}

/// Counts the text in `values`: a value that is itself a string, and every string under the key `content` or `text`.
/// The cursor has proved the JSON right, so strings can be found by their quotes alone.
fn prompt(body: &[u8], values: &[Value]) -> PromptCount {
    let mut count = PromptCount::default();
    for value in values {
        let span = value.span.of(body);
        match value.kind {
            Kind::String => count.add_json_string(&span[1..span.len() - 1]),
            _ => add_spoken(span, &mut count),
        }
    }
    count
}

fn add_spoken(json: &[u8], count: &mut PromptCount) {
    let mut is_spoken = false;
    let mut at = 0;
    while let Some(open) = find(json, at, b'"') {
        let close = string_end(json, open + 1);
        let content = &json[open + 1..close];
        at = close + 1;
        let is_key = json[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        if is_key {
            is_spoken = matches!(content, b"content" | b"text");
        } else if is_spoken {
            count.add_json_string(content);
        }
    }
}

fn find(json: &[u8], from: usize, byte: u8) -> Option<usize> {
    json[from..].iter().position(|&b| b == byte).map(|offset| from + offset)
}

/// The offset of the quote that ends the string whose content begins at `from`.
fn string_end(json: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < json.len() && json[at] != b'"' {
        at += if json[at] == b'\\' { 2 } else { 1 };
    }
    at.min(json.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openai_request_is_read() {
        let body = br#"{"model":"sandbox-small","messages":[{"role":"user","content":"Say \"hi\", twice."},
            {"role":"user","content":[{"type":"text","text":"please"}]}],"max_tokens":7,
            "stream":true,"stream_options":{"include_usage":true}}"#;
        let ask = read(Dialect::OpenAi, body).unwrap();
        assert_eq!(
            (ask.model.as_ref(), ask.model_json),
            ("sandbox-small", &b"\"sandbox-small\""[..])
        );
        assert_eq!((ask.stream, ask.include_usage, ask.max_tokens), (true, true, Some(7)));
        // Say " hi " , twice . please
        assert_eq!(ask.prompt.tokens, 8);
    }

    #[test]
    fn an_anthropic_request_is_read_with_its_system_prompt() {
        let body =
            br#"{"model":"m","max_tokens":9,"system":"Be brief.","messages":[{"role":"user","content":"Hello"}]}"#;
        let ask = read(Dialect::Anthropic, body).unwrap();
        assert_eq!((ask.prompt.tokens, ask.max_tokens, ask.stream), (4, Some(9), false));
    }

    #[test]
    fn a_missing_field_is_named() {
        let cases = [
            (Dialect::OpenAi, r#"{"messages":[{}]}"#, "model"),
            (Dialect::OpenAi, r#"{"model":"m"}"#, "messages"),
            (Dialect::OpenAi, r#"{"model":"m","messages":[]}"#, "messages"),
            (Dialect::Anthropic, r#"{"model":"m","messages":[{}]}"#, "max_tokens"),
            (
                Dialect::Anthropic,
                r#"{"model":"m","messages":[{}],"max_tokens":0}"#,
                "max_tokens",
            ),
            (Dialect::OpenAi, r#"{"model":"m","messages":[{}]"#, "JSON"),
        ];
        for (dialect, body, name) in cases {
            let reason = read(dialect, body.as_bytes()).unwrap_err();
            assert!(reason.contains(name), "{body}: {reason}");
        }
    }
}
