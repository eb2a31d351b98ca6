//! A signature on a text or a tool call (Gemini's) has no place in this dialect. It goes to the client in a
//! `redacted_thinking` block right behind its part, which clients hand back unchanged, and is put in its place again
//! when it comes back.

use crate::{
    canonical::request::{Content, Part},
    json::{Out, Text},
};

/// What the block's data begins with; Anthropic's own are base64, which has no colon.
const MARK: &[u8] = b"tollgate-signature:";

/// Writes the block.
pub(super) fn write_block(json: &mut Out<'_>, signature: &Text<'_>) {
    json.open().key("type");
    write_members(json, signature);
    json.close();
}

/// Writes the block's type and what follows it.
pub(super) fn write_members(json: &mut Out<'_>, signature: &Text<'_>) {
    json.string("redacted_thinking").key("data");
    json.raw(b"\"").bytes.extend_from_slice(MARK);
    signature.write_escaped(json.bytes);
    json.bytes.push(b'"');
}

/// The signature in a block's data, where it is one.
pub(super) fn signature_in<'a>(data: &Text<'a>) -> Option<Text<'a>> {
    match data {
        Text::Escaped(raw) => raw.strip_prefix(MARK).map(Text::Escaped),
        Text::Plain(_) => None,
    }
}

/// Gives the signature in `data` to the last of `parts`, where that may have one.
pub(super) fn put_back<'a>(data: &Text<'a>, parts: &mut [Part<'a>]) -> bool {
    match (signature_in(data), parts.last_mut()) {
        (Some(signature), Some(part))
            if part.signature.is_none() && matches!(part.content, Content::Text(_) | Content::ToolCall { .. }) =>
        {
            part.signature = Some(signature);
            true
        }
        _ => false,
    }
}
