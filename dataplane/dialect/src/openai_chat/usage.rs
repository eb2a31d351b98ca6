//! Where an answer and its stream say what they used, and the same written.
//!
//! Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object". Cached,
//! cache-written, audio and image tokens are counted inside `prompt_tokens`; reasoning and audio tokens inside
//! `completion_tokens`.

use tollgate_wire::json::{
    cursor::{self, Kind, Value},
    watch::Watch,
};

use crate::{
    json::Out,
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
pub(super) fn usage_of_object(object: &[u8]) -> Option<Usage> {
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
            // One lifetime, half an hour unless asked for otherwise: the class of the provider's default.
            (b"prompt_tokens_details", b"cache_write_tokens") => &mut usage.cache_write_5m,
            (b"prompt_tokens_details", b"audio_tokens") => &mut usage.input_audio,
            (b"prompt_tokens_details", b"image_tokens") => &mut usage.input_image,
            (b"completion_tokens_details", b"reasoning_tokens") => &mut usage.reasoning,
            (b"completion_tokens_details", b"audio_tokens") => &mut usage.output_audio,
            _ => return,
        };
        *class = Some(count);
    });
    let inside = [
        usage.cache_read,
        usage.cache_write_5m,
        usage.input_audio,
        usage.input_image,
    ];
    usage.input = prompt.map(|all| without(all, &inside));
    usage.output = completion.map(|all| without(all, &[usage.reasoning, usage.output_audio]));
    (usage != Usage::default()).then_some(usage)
}

/// Appends a `usage` value. The totals are always there, for clients rely on them; a class that nobody reported is not.
pub(super) fn write(usage: &Usage, json: &mut Out<'_>) {
    let (prompt, completion) = (usage.all_input(), usage.all_output());
    json.open()
        .key("prompt_tokens")
        .unsigned(prompt)
        .key("completion_tokens")
        .unsigned(completion)
        .key("total_tokens")
        .unsigned(prompt.saturating_add(completion));
    let cache_write = match (usage.cache_write_5m, usage.cache_write_1h) {
        (None, None) => None,
        (short, long) => Some(short.unwrap_or(0).saturating_add(long.unwrap_or(0))),
    };
    write_details(
        json,
        "prompt_tokens_details",
        &[
            ("cached_tokens", usage.cache_read),
            ("cache_write_tokens", cache_write),
            ("audio_tokens", usage.input_audio),
            ("image_tokens", usage.input_image),
        ],
    );
    write_details(
        json,
        "completion_tokens_details",
        &[
            ("reasoning_tokens", usage.reasoning),
            ("audio_tokens", usage.output_audio),
        ],
    );
    json.close();
}

fn write_details(json: &mut Out<'_>, key: &str, classes: &[(&str, Option<u64>)]) {
    if classes.iter().all(|(_, count)| count.is_none()) {
        return;
    }
    json.key(key).open();
    for (name, count) in classes {
        if let Some(count) = count {
            json.key(name).unsigned(*count);
        }
    }
    json.close();
}
