//! OpenAI chat completions: where an answer and its stream say what they used.
//!
//! Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object". Cached and
//! audio tokens are counted inside `prompt_tokens`; reasoning and audio tokens inside `completion_tokens`.

use tollgate_wire::json::{
    cursor::{self, Kind, Value},
    watch::Watch,
};

use crate::{
    locate, numbers,
    usage::{Usage, without},
};

/// The usage of a whole answer; `None` when it reports none or is no JSON object.
pub fn usage_of_answer(body: &[u8]) -> Option<Usage> {
    usage_object(body, locate::find(body)?)
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

/// Reads one event's data. Call it only for events that mention usage: the others have nothing to say.
pub fn read_chunk(data: &[u8]) -> Option<Chunk> {
    const CHOICES: Watch<'static, 1> = Watch::new(&["choices"]);
    let value = locate::find(data)?;
    let usage = usage_object(data, value);
    let only_usage = usage.is_some() && {
        let [choices] = cursor::find_watched(data, &CHOICES).ok()?;
        choices.is_some_and(|c| c.kind == Kind::Array && is_empty_list(c.span.of(data)))
    };
    Some(Chunk {
        usage,
        usage_value: Some(value),
        only_usage,
    })
}

fn is_empty_list(list: &[u8]) -> bool {
    list.len() >= 2 && list[1..list.len() - 1].iter().all(u8::is_ascii_whitespace)
}

/// Reads the `usage` value that was found in `document`.
fn usage_object(document: &[u8], value: Value) -> Option<Usage> {
    usage_of_object(value.span.of(document))
}

/// Reads the bytes of a `usage` value; `None` when it is no object, or says nothing.
pub fn usage_of_object(object: &[u8]) -> Option<Usage> {
    if object.first() != Some(&b'{') {
        return None;
    }
    let (mut prompt, mut completion) = (None, None);
    let mut usage = Usage::default();
    numbers::each(object, |outer, key, count| {
        let class = match (outer, key) {
            (b"", b"prompt_tokens") => &mut prompt,
            (b"", b"completion_tokens") => &mut completion,
            (b"prompt_tokens_details", b"cached_tokens") => &mut usage.cache_read,
            (b"prompt_tokens_details", b"audio_tokens") => &mut usage.input_audio,
            (b"prompt_tokens_details", b"image_tokens") => &mut usage.input_image,
            (b"completion_tokens_details", b"reasoning_tokens") => &mut usage.reasoning,
            (b"completion_tokens_details", b"audio_tokens") => &mut usage.output_audio,
            _ => return,
        };
        *class = Some(count);
    });
    usage.input = prompt.map(|all| without(all, &[usage.cache_read, usage.input_audio, usage.input_image]));
    usage.output = completion.map(|all| without(all, &[usage.reasoning, usage.output_audio]));
    (usage != Usage::default()).then_some(usage)
}
