//! `extra_content`, where Google's compatible endpoints keep what signs a thought: on tool calls and on messages.

use crate::json::{Node, Out, Text};

/// Google's own endpoint has it under `google`, Vertex under `vertex`.
pub(super) fn signature(extra: Option<Node<'_>>) -> Option<Text<'_>> {
    let extra = extra?;
    let of = |who| extra.at(&[who, "thought_signature"])?.text();
    of("google")
        .or_else(|| of("vertex"))
        .filter(|signature| !signature.is_empty())
}

/// Writes the member into an open object.
pub(super) fn write_signature(json: &mut Out<'_>, signature: &Text<'_>) {
    json.key("extra_content").open().key("google").open();
    json.key("thought_signature").text(signature);
    json.close().close();
}
