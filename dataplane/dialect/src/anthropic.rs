//! Anthropic messages: where an answer and its stream say what they used.
//!
//! Source: Anthropic API reference, "Messages" and "Streaming messages". Tokens read from or written to the prompt
//! cache stand beside `input_tokens`, not inside it. `message_delta` repeats totals: they replace, they do not add.
//! `output_tokens` includes thinking, which is not reported apart.

use tollgate_wire::json::{
    cursor::{self, Kind, Value},
    watch::Watch,
};

use crate::usage::Usage;

/// The usage of a whole answer; `None` when it reports none or is no JSON object.
pub fn usage_of_answer(body: &[u8]) -> Option<Usage> {
    const USAGE: Watch<'static, 1> = Watch::new(&["usage"]);
    let [usage] = cursor::find_watched(body, &USAGE).ok()?;
    let mut total = Usage::default();
    merge_object(body, usage?, &mut total).then_some(total)
}

/// Takes what one event of a stream (`message_start`, `message_delta`) says into `total`; true when it said something.
/// Call it only for events that contain `"usage"`.
pub fn read_event(data: &[u8], total: &mut Usage) -> bool {
    const EVENT: Watch<'static, 2> = Watch::new(&["message.usage", "usage"]);
    let Ok([started, later]) = cursor::find_watched(data, &EVENT) else {
        return false;
    };
    match started.or(later) {
        Some(value) => merge_object(data, value, total),
        None => false,
    }
}

const FIELDS: Watch<'static, 6> = Watch::new(&[
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
]);

fn merge_object(document: &[u8], value: Value, total: &mut Usage) -> bool {
    if value.kind != Kind::Object {
        return false;
    }
    let Ok(found) = cursor::find_in(document, value, &FIELDS) else {
        return false;
    };
    let number = |i: usize| found[i].and_then(|v| cursor::unsigned(document, v));
    let before = *total;
    let replace = |class: &mut Option<u64>, said: Option<u64>| *class = said.or(*class);
    replace(&mut total.input, number(0));
    replace(&mut total.output, number(1));
    replace(&mut total.cache_read, number(2));
    match (number(4), number(5)) {
        (None, None) => merge_written(total, number(3)),
        (five_minutes, one_hour) => {
            replace(&mut total.cache_write_5m, five_minutes);
            replace(&mut total.cache_write_1h, one_hour);
        }
    }
    *total != before || number(0).is_some() || number(1).is_some()
}

/// Only the sum of what was written: what was said of one hour before stays, the rest lives five minutes (the default).
fn merge_written(total: &mut Usage, written: Option<u64>) {
    if let Some(written) = written {
        total.cache_write_5m = Some(written.saturating_sub(total.cache_write_1h.unwrap_or(0)));
    }
}
