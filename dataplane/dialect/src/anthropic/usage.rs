//! Anthropic messages: where an answer and its stream say what they used.
//!
//! Source: Anthropic API reference, "Messages" and "Streaming messages". Tokens read from or written to the prompt
//! cache stand beside `input_tokens`, not inside it. `message_delta` repeats totals: they replace, they do not add.
//! `output_tokens` includes thinking; newer models say how much of it was (`output_tokens_details`).

use tollgate_wire::json::{cursor, watch::Watch};

use crate::{
    json::Out,
    locate, numbers,
    usage::{Usage, without},
};

/// The usage of a whole answer; `None` when it reports none or is no JSON object.
pub fn usage_of_answer(body: &[u8]) -> Option<Usage> {
    usage_of_object(locate::find(body)?.span.of(body))
}

/// Reads the bytes of a `usage` value; `None` when it is no object, or says nothing.
fn usage_of_object(object: &[u8]) -> Option<Usage> {
    let mut total = Usage::default();
    merge_object(object, &mut total).then_some(total)
}

/// Takes what one event of a stream (`message_start`, `message_delta`) says into `total`; true when it said something.
/// Call it only for events that contain `"usage"`.
pub fn read_event(data: &[u8], total: &mut Usage) -> bool {
    const EVENT: Watch<'static, 2> = Watch::new(&["message.usage", "usage"]);
    let Ok([started, later]) = cursor::find_watched(data, &EVENT) else {
        return false;
    };
    match started.or(later) {
        Some(value) => merge_object(value.span.of(data), total),
        None => false,
    }
}

/// Takes what a `usage` object says into `total`; true when it said something.
pub(super) fn merge_object(object: &[u8], total: &mut Usage) -> bool {
    if object.first() != Some(&b'{') {
        return false;
    }
    let (mut said, mut written) = (false, None);
    let (mut five_minutes, mut one_hour) = (None, None);
    let (mut all_output, mut thinking) = (None, None);
    numbers::each(object, |outer, key, count| {
        let class = match (outer, key) {
            (b"", b"input_tokens") => &mut total.input,
            (b"", b"output_tokens") => &mut all_output,
            (b"output_tokens_details", b"thinking_tokens") => &mut thinking,
            (b"", b"cache_read_input_tokens") => &mut total.cache_read,
            (b"", b"cache_creation_input_tokens") => &mut written,
            (b"cache_creation", b"ephemeral_5m_input_tokens") => &mut five_minutes,
            (b"cache_creation", b"ephemeral_1h_input_tokens") => &mut one_hour,
            _ => return,
        };
        *class = Some(count);
        said = true;
    });
    if five_minutes.is_none() && one_hour.is_none() {
        merge_written(total, written);
    }
    merge_output(total, all_output, thinking);
    total.cache_write_5m = five_minutes.or(total.cache_write_5m);
    total.cache_write_1h = one_hour.or(total.cache_write_1h);
    said
}

/// Only the sum of what was written: what was said of one hour before stays, the rest lives five minutes (the default).
fn merge_written(total: &mut Usage, written: Option<u64>) {
    if let Some(written) = written {
        total.cache_write_5m = Some(written.saturating_sub(total.cache_write_1h.unwrap_or(0)));
    }
}

/// Thinking is counted inside `output_tokens`; what was said of it before stays, as all these totals do.
fn merge_output(total: &mut Usage, all: Option<u64>, thinking: Option<u64>) {
    let before = total
        .output
        .map(|output| output.saturating_add(total.reasoning.unwrap_or(0)));
    total.reasoning = thinking.or(total.reasoning);
    total.output = all.or(before).map(|all| without(all, &[total.reasoning]));
}

/// Appends a `usage` object. `input_tokens` and `output_tokens` must be there: zero where nobody said.
pub(super) fn write(usage: &Usage, json: &mut Out<'_>) {
    let beside = |classes: &[Option<u64>]| {
        classes
            .iter()
            .flatten()
            .fold(0u64, |sum, &class| sum.saturating_add(class))
    };
    let input = beside(&[usage.input, usage.input_audio, usage.input_image]);
    json.open().key("input_tokens").unsigned(input);
    let written = [usage.cache_write_5m, usage.cache_write_1h];
    if written.iter().any(Option::is_some) {
        json.key("cache_creation_input_tokens").unsigned(beside(&written));
    }
    if let Some(read) = usage.cache_read {
        json.key("cache_read_input_tokens").unsigned(read);
    }
    if let Some(one_hour) = usage.cache_write_1h {
        json.key("cache_creation").open();
        json.key("ephemeral_5m_input_tokens")
            .unsigned(usage.cache_write_5m.unwrap_or(0));
        json.key("ephemeral_1h_input_tokens").unsigned(one_hour).close();
    }
    json.key("output_tokens").unsigned(usage.all_output());
    if let Some(reasoning) = usage.reasoning {
        json.key("output_tokens_details").open();
        json.key("thinking_tokens").unsigned(reasoning).close();
    }
    json.close();
}
