//! Where an answer, and the last event of its stream, says what it used.
//!
//! Tokens read from or written to the prompt cache stand beside `inputTokens`, not inside it; `totalTokens` is all of
//! them. `cacheDetails` splits what was written by how long it lives. `outputTokens` includes thinking.

use crate::{
    json::{Node, Out},
    locate,
    usage::Usage,
};

/// The usage of a whole answer, or of a `metadata` event's payload; `None` when it reports none or is no JSON object.
pub fn usage_of_answer(body: &[u8]) -> Option<Usage> {
    usage_of_object(locate::find(body)?.span.of(body))
}

/// Reads the bytes of a `usage` value; `None` when it is no object, or says nothing.
pub fn usage_of_object(object: &[u8]) -> Option<Usage> {
    read(Node::document(object).ok()?)
}

/// Reads a `usage` object; `None` when it says nothing.
pub(super) fn read(object: Node<'_>) -> Option<Usage> {
    let mut usage = Usage::default();
    let (mut written, mut details) = (None, None);
    for (key, value) in object.members() {
        match &*key {
            "inputTokens" => usage.input = value.unsigned(),
            "outputTokens" => usage.output = value.unsigned(),
            "cacheReadInputTokens" => usage.cache_read = value.unsigned(),
            "cacheWriteInputTokens" => written = value.unsigned(),
            "cacheDetails" => details = Some(value),
            _ => {}
        }
    }
    for detail in details.into_iter().flat_map(Node::elements) {
        let Some(ttl) = detail.get("ttl") else { continue };
        let class = match () {
            () if ttl.is("5m") => &mut usage.cache_write_5m,
            () if ttl.is("1h") => &mut usage.cache_write_1h,
            () => continue,
        };
        if let Some(tokens) = detail.get("inputTokens").and_then(Node::unsigned) {
            *class = Some(class.unwrap_or(0).saturating_add(tokens));
        }
    }
    if let (Some(written), None) = (written, usage.cache_write_5m) {
        // What no detail claims lives five minutes, the default.
        let rest = written.saturating_sub(usage.cache_write_1h.unwrap_or(0));
        usage.cache_write_5m = (rest > 0 || usage.cache_write_1h.is_none()).then_some(rest);
    }
    (usage != Usage::default()).then_some(usage)
}

/// Writes a `usage` object. Its first three members must be there, whatever is known.
pub(super) fn write(usage: Option<&Usage>, json: &mut Out<'_>) {
    let usage = usage.copied().unwrap_or_default();
    let [read, five_minutes, one_hour] = [usage.cache_read, usage.cache_write_5m, usage.cache_write_1h];
    let [cached, short, long] = [read, five_minutes, one_hour].map(|class| class.unwrap_or(0));
    let all = usage.all_input();
    let uncached = [cached, short, long].into_iter().fold(all, u64::saturating_sub);
    json.open();
    json.key("inputTokens").unsigned(uncached);
    json.key("outputTokens").unsigned(usage.all_output());
    json.key("totalTokens").unsigned(all.saturating_add(usage.all_output()));
    if let Some(read) = read {
        json.key("cacheReadInputTokens").unsigned(read);
    }
    if five_minutes.is_some() || one_hour.is_some() {
        json.key("cacheWriteInputTokens").unsigned(short.saturating_add(long));
    }
    if let Some(one_hour) = one_hour {
        json.key("cacheDetails").open_list();
        json.open()
            .key("ttl")
            .string("1h")
            .key("inputTokens")
            .unsigned(one_hour)
            .close();
        if let Some(five_minutes) = five_minutes {
            json.open()
                .key("ttl")
                .string("5m")
                .key("inputTokens")
                .unsigned(five_minutes)
                .close();
        }
        json.close_list();
    }
    json.close();
}
