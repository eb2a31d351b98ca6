//! What a response used. Cached and written tokens are counted inside `input_tokens`, reasoning tokens inside
//! `output_tokens`; a cache entry lives thirty minutes unless twelve hours were asked for. Tokens of sounds and
//! pictures are no part of the SDK's type, but of the same provider's chat answers: they are read, and written where
//! there are any.

use crate::{
    json::{Node, Out},
    usage::{Usage, without},
};

/// Reads the bytes of a `usage` value; `None` when it is no object, or says nothing.
pub fn usage_of_object(object: &[u8]) -> Option<Usage> {
    read(Node::document(object).ok()?)
}

/// `None` where it says nothing.
pub(super) fn read(usage: Node<'_>) -> Option<Usage> {
    let count = |path: &[&str]| usage.at(path)?.unsigned();
    const INPUT: &str = "input_tokens_details";
    const OUTPUT: &str = "output_tokens_details";
    const WRITTEN: &str = "cache_write_tokens_details";
    let mut read = Usage {
        cache_read: count(&[INPUT, "cached_tokens"]),
        cache_write_5m: count(&[INPUT, WRITTEN, "ttl_30m_tokens"]),
        cache_write_1h: count(&[INPUT, WRITTEN, "ttl_12h_tokens"]),
        reasoning: count(&[OUTPUT, "reasoning_tokens"]),
        input_audio: count(&[INPUT, "audio_tokens"]),
        input_image: count(&[INPUT, "image_tokens"]),
        output_audio: count(&[OUTPUT, "audio_tokens"]),
        ..Usage::default()
    };
    if read.cache_write_5m.is_none() && read.cache_write_1h.is_none() {
        read.cache_write_5m = count(&[INPUT, "cache_write_tokens"]);
    }
    let inside = [
        read.cache_read,
        read.cache_write_5m,
        read.cache_write_1h,
        read.input_audio,
        read.input_image,
    ];
    read.input = count(&["input_tokens"]).map(|all| without(all, &inside));
    read.output = count(&["output_tokens"]).map(|all| without(all, &[read.reasoning, read.output_audio]));
    (read != Usage::default()).then_some(read)
}

pub(super) fn write(usage: &Usage, out: &mut Out<'_>) {
    let some = |out: &mut Out<'_>, name: &str, count: Option<u64>| {
        if let Some(count) = count {
            out.key(name).unsigned(count);
        }
    };
    let (input, output) = (usage.all_input(), usage.all_output());
    let written = [usage.cache_write_5m, usage.cache_write_1h];
    let all_written = written.iter().flatten().fold(0u64, |sum, &one| sum.saturating_add(one));
    out.open().key("input_tokens").unsigned(input);
    out.key("input_tokens_details").open();
    out.key("cached_tokens").unsigned(usage.cache_read.unwrap_or(0));
    out.key("cache_write_tokens").unsigned(all_written);
    if let Some(hour) = usage.cache_write_1h {
        out.key("cache_write_tokens_details").open();
        out.key("ttl_30m_tokens").unsigned(usage.cache_write_5m.unwrap_or(0));
        out.key("ttl_12h_tokens").unsigned(hour).close();
    }
    some(out, "audio_tokens", usage.input_audio);
    some(out, "image_tokens", usage.input_image);
    out.close().key("output_tokens").unsigned(output);
    out.key("output_tokens_details").open();
    out.key("reasoning_tokens").unsigned(usage.reasoning.unwrap_or(0));
    some(out, "audio_tokens", usage.output_audio);
    out.close();
    out.key("total_tokens").unsigned(input.saturating_add(output)).close();
}
