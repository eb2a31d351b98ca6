//! What an answer used.
//!
//! `billed_units` are what the invoice counts, and prices are per billed token; `tokens` also count the instructions
//! that Cohere puts around a prompt, several times the prompt itself when tools are given. So the billed counts are
//! read, and `tokens` only where there are none. `cached_tokens` and `tokens.reasoning_tokens` are inside the totals.

use tollgate_wire::json::{cursor, watch::Watch};

use crate::{
    json::{Node, Out},
    locate,
    usage::{Usage, without},
};

/// The usage of a whole answer; `None` when it reports none or is no JSON object.
pub fn usage_of_answer(body: &[u8]) -> Option<Usage> {
    usage_of_object(locate::find(body)?.span.of(body))
}

/// Takes what one event of a stream (`message-end`) says into `total`; true when it said something. Call it only for
/// events that contain `"usage"`.
pub fn read_event(data: &[u8], total: &mut Usage) -> bool {
    const USAGE: Watch<'static, 1> = Watch::new(&["delta.usage"]);
    let Ok([Some(value)]) = cursor::find_watched(data, &USAGE) else {
        return false;
    };
    let said = Node::document(value.span.of(data)).ok().and_then(read);
    said.inspect(|usage| total.merge(usage)).is_some()
}

/// Reads the bytes of a `usage` value; `None` when it is no object, or says nothing.
pub fn usage_of_object(object: &[u8]) -> Option<Usage> {
    read(Node::document(object).ok()?)
}

/// `meta` of embeddings, which counts pictures by themselves.
pub(crate) fn usage_of_meta(meta: Node<'_>) -> Option<Usage> {
    let image = meta.at(&["billed_units", "image_tokens"]).and_then(Node::unsigned);
    let usage = read(meta);
    match (usage, image) {
        (usage, None) => usage,
        (usage, input_image) => Some(Usage {
            input_image,
            ..usage.unwrap_or_default()
        }),
    }
}

/// A `usage` object; `None` where it says nothing.
pub(super) fn read(usage: Node<'_>) -> Option<Usage> {
    // The SDK types counts as floats, and `37.0` is a count.
    let count = |path: &[&str]| usage.at(path).and_then(Node::unsigned);
    let input = count(&["billed_units", "input_tokens"]).or_else(|| count(&["tokens", "input_tokens"]));
    let output = count(&["billed_units", "output_tokens"]).or_else(|| count(&["tokens", "output_tokens"]));
    // Of what is billed: more cannot be cached than was counted.
    let inside = |part: Option<u64>, all: Option<u64>| part.map(|part| all.map_or(part, |all| part.min(all)));
    let cache_read = inside(count(&["cached_tokens"]), input);
    let reasoning = inside(count(&["tokens", "reasoning_tokens"]), output);
    let said = Usage {
        input: input.map(|all| without(all, &[cache_read])),
        output: output.map(|all| without(all, &[reasoning])),
        cache_read,
        reasoning,
        ..Usage::default()
    };
    (said != Usage::default()).then_some(said)
}

pub(super) fn write(usage: &Usage, json: &mut Out<'_>) {
    let (input, output) = (usage.all_input(), usage.all_output());
    json.key("usage").open();
    json.key("billed_units").open();
    json.key("input_tokens").unsigned(input);
    json.key("output_tokens").unsigned(output).close();
    json.key("tokens").open();
    json.key("input_tokens").unsigned(input);
    json.key("output_tokens").unsigned(output);
    if let Some(reasoning) = usage.reasoning {
        json.key("reasoning_tokens").unsigned(reasoning);
    }
    json.close();
    if let Some(cached) = usage.cache_read {
        json.key("cached_tokens").unsigned(cached);
    }
    json.close();
}
