//! OpenAI chat completions: where an answer and its stream say what they used.
//!
//! Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object". Cached and
//! audio tokens are counted inside `prompt_tokens`; reasoning and audio tokens inside `completion_tokens`.

use tollgate_wire::json::{
    cursor::{self, Kind, Value},
    watch::Watch,
};

use crate::usage::{Usage, without};

/// The usage of a whole answer; `None` when it reports none or is no JSON object.
pub fn usage_of_answer(body: &[u8]) -> Option<Usage> {
    const USAGE: Watch<'static, 1> = Watch::new(&["usage"]);
    let [usage] = cursor::find_watched(body, &USAGE).ok()?;
    usage_object(body, usage?)
}

/// What one chunk of a stream says about usage, and what of it a client that did not ask must not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub usage: Option<Usage>,
    /// The top-level `usage` value, whatever it is.
    pub usage_value: Option<Value>,
    /// `choices` is an empty list and `usage` an object: the event that exists only because usage was asked for.
    pub only_usage: bool,
}

/// Reads one event's data. Call it only for events that contain `"usage"`: the others have nothing to say.
pub fn read_chunk(data: &[u8]) -> Option<Chunk> {
    const CHUNK: Watch<'static, 2> = Watch::new(&["usage", "choices"]);
    let [usage, choices] = cursor::find_watched(data, &CHUNK).ok()?;
    let read = usage.and_then(|value| usage_object(data, value));
    let no_choices = choices.is_some_and(|c| c.kind == Kind::Array && is_empty_list(c.span.of(data)));
    Some(Chunk {
        usage: read,
        usage_value: usage,
        only_usage: no_choices && read.is_some(),
    })
}

fn is_empty_list(list: &[u8]) -> bool {
    list.len() >= 2 && list[1..list.len() - 1].iter().all(u8::is_ascii_whitespace)
}

const FIELDS: Watch<'static, 7> = Watch::new(&[
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details.cached_tokens",
    "prompt_tokens_details.audio_tokens",
    "prompt_tokens_details.image_tokens",
    "completion_tokens_details.reasoning_tokens",
    "completion_tokens_details.audio_tokens",
]);

/// Reads a `usage` object that was found in `document`.
pub fn usage_object(document: &[u8], value: Value) -> Option<Usage> {
    if value.kind != Kind::Object {
        return None;
    }
    let found = cursor::find_in(document, value, &FIELDS).ok()?;
    let number = |i: usize| found[i].and_then(|v| cursor::unsigned(document, v));
    let (cached, audio_in, image_in) = (number(2), number(3), number(4));
    let (reasoning, audio_out) = (number(5), number(6));
    let usage = Usage {
        input: number(0).map(|all| without(all, &[cached, audio_in, image_in])),
        cache_read: cached,
        output: number(1).map(|all| without(all, &[reasoning, audio_out])),
        reasoning,
        input_audio: audio_in,
        output_audio: audio_out,
        input_image: image_in,
        ..Usage::default()
    };
    (usage != Usage::default()).then_some(usage)
}
