//! Anthropic messages: where an answer and its stream say what they used.
//!
//! Source: Anthropic API reference, "Messages" and "Streaming messages". Tokens read from or written to the prompt
//! cache stand beside `input_tokens`, not inside it. `message_delta` repeats totals: they replace, they do not add.
//! `output_tokens` includes thinking, which is not reported apart.

use tollgate_wire::json::{cursor, watch::Watch};

use crate::{locate, numbers, usage::Usage};

/// The usage of a whole answer; `None` when it reports none or is no JSON object.
pub fn usage_of_answer(body: &[u8]) -> Option<Usage> {
    usage_of_object(locate::find(body)?.span.of(body))
}

/// Reads the bytes of a `usage` value; `None` when it is no object, or says nothing.
pub fn usage_of_object(object: &[u8]) -> Option<Usage> {
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

fn merge_object(object: &[u8], total: &mut Usage) -> bool {
    if object.first() != Some(&b'{') {
        return false;
    }
    let (mut said, mut written) = (false, None);
    let (mut five_minutes, mut one_hour) = (None, None);
    numbers::each(object, |outer, key, count| {
        let class = match (outer, key) {
            (b"", b"input_tokens") => &mut total.input,
            (b"", b"output_tokens") => &mut total.output,
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
