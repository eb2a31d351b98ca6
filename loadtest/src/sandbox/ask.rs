//! What a request asks for, and the tools with which an operation reads it without building a tree. Knows no socket
//! and no provider.

use std::borrow::Cow;

use tollgate_wire::json::{
    cursor::{self, Kind, Value},
    edit,
};

use super::text::PromptCount;
pub use crate::dialect::Dialect;

/// A valid request, as far as the sandbox acts on it.
#[derive(Debug, Default)]
pub struct Ask<'a> {
    pub model: Cow<'a, str>,
    /// The model's name as a JSON string, quotes included: the bytes it came as, where the body had it.
    pub model_json: Cow<'a, [u8]>,
    pub stream: bool,
    pub include_usage: bool,
    /// The longest answer allowed, in tokens; zero where the answer is no text.
    pub max_tokens: Option<u64>,
    pub prompt: PromptCount,
    /// Tools, a schema, thoughts, stop sequences: something but a text may be wanted.
    pub wants_more: bool,
}

impl<'a> Ask<'a> {
    /// For a body that names its model.
    pub fn named(body: &'a [u8], model: Option<Value>) -> Result<Self, String> {
        let value = model.ok_or("model: Field required")?;
        let name = cursor::string(body, value).ok_or("model: a string is required")?;
        Ok(Self {
            model: name,
            model_json: Cow::Borrowed(value.span.of(body)),
            ..Self::default()
        })
    }

    /// For a model named outside the cursor's reach: by the path, or by default.
    pub fn of_model(model: &str) -> Result<Self, String> {
        if model.is_empty() {
            return Err("model: a name is required".to_owned());
        }
        let mut model_json = Vec::with_capacity(model.len() + 2);
        edit::write_string(&mut model_json, model);
        Ok(Self {
            model: Cow::Owned(model.to_owned()),
            model_json: Cow::Owned(model_json),
            ..Self::default()
        })
    }

    /// Whether the usual text may be no answer.
    pub fn is_beyond_text(&self) -> bool {
        self.wants_more || self.prompt.is_beyond_text
    }

    /// Says that the answer holds no text, however long the wishes want it.
    pub fn without_text(mut self, prompt: PromptCount) -> Self {
        (self.max_tokens, self.prompt) = (Some(0), prompt);
        self
    }
}

/// Finds `paths` in the body; the error is the message for a 400.
pub fn find<const N: usize>(body: &[u8], paths: &[&str; N]) -> Result<[Option<Value>; N], String> {
    cursor::find(body, paths).map_err(|bad| format!("the body is not valid JSON: {bad}"))
}

/// A list with something in it.
pub fn filled(value: Option<Value>, name: &str) -> Result<Value, String> {
    match value {
        Some(value) if value.kind == Kind::Array && value.span.len() > 2 => Ok(value),
        Some(_) => Err(format!("{name}: a list with at least one element is required")),
        None => Err(format!("{name}: Field required")),
    }
}

pub fn flag(value: Option<Value>, name: &str) -> Result<bool, String> {
    match value.map(|value| value.kind) {
        None | Some(Kind::Null | Kind::False) => Ok(false),
        Some(Kind::True) => Ok(true),
        Some(_) => Err(format!("{name}: true or false is required")),
    }
}

pub fn positive(body: &[u8], value: Option<Value>, name: &str) -> Result<Option<u64>, String> {
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
pub fn prompt(body: &[u8], values: &[Option<Value>]) -> PromptCount {
    let mut count = PromptCount::default();
    for value in values.iter().flatten() {
        let span = value.span.of(body);
        match value.kind {
            Kind::String => count.hear_json_string(&span[1..span.len() - 1], value.span.start as usize + 1),
            _ => add_spoken(span, value.span.start as usize, &mut count),
        }
    }
    count
}

/// Members of messages that hold something but text, of all dialects.
const BEYOND_TEXT: [&[u8]; 30] = [
    b"call_id",
    b"data",
    b"document",
    b"encrypted_content",
    b"file",
    b"file_data",
    b"fileData",
    b"file_url",
    b"functionCall",
    b"function_call",
    b"functionResponse",
    b"function_response",
    b"image",
    b"image_url",
    b"inlineData",
    b"inline_data",
    b"input_audio",
    b"audio",
    b"video",
    b"reasoningContent",
    b"reasoning_content",
    b"reasoning_details",
    b"signature",
    b"source",
    b"thoughtSignature",
    b"thought_signature",
    b"toolResult",
    b"tool_call_id",
    b"tool_calls",
    b"tool_use_id",
];

/// Whether one of them is there and says something.
pub fn says_any(values: &[Option<Value>]) -> bool {
    values
        .iter()
        .flatten()
        .any(|value| !matches!(value.kind, Kind::Null | Kind::False))
}

fn add_spoken(json: &[u8], start: usize, count: &mut PromptCount) {
    let mut is_spoken = false;
    let mut at = 0;
    while let Some(open) = find_byte(json, at, b'"') {
        let close = string_end(json, open + 1);
        let content = &json[open + 1..close];
        at = close + 1;
        let is_key = json[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        if is_key {
            is_spoken = matches!(content, b"content" | b"text");
            count.is_beyond_text |= BEYOND_TEXT.contains(&content);
        } else if is_spoken {
            count.hear_json_string(content, start + open + 1);
        }
    }
}

fn find_byte(json: &[u8], from: usize, byte: u8) -> Option<usize> {
    memchr::memchr(byte, json.get(from..)?).map(|offset| from + offset)
}

/// The offset of the quote that ends the string whose content begins at `from`.
fn string_end(json: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < json.len() && json[at] != b'"' {
        at += if json[at] == b'\\' { 2 } else { 1 };
    }
    at.min(json.len())
}
