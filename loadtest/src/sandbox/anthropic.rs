//! Anthropic's messages, as <https://docs.anthropic.com/en/api/messages> and its page on streaming give their shapes.

use super::reply::{Events, Reply, digits, hex, put};

/// Appends the body of a buffered answer.
pub fn buffered(out: &mut Vec<u8>, reply: &Reply) {
    put(
        out,
        &[
            b"{\"id\":\"msg_",
            &hex(reply.seed),
            b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
            reply.model_json,
        ],
    );
    put(out, &[b",\"content\":[{\"type\":\"text\",\"text\":\""]);
    reply.write_text(out);
    put(
        out,
        &[
            b"\"}],\"stop_reason\":\"",
            finish(reply),
            b"\",\"stop_sequence\":null,\"usage\":",
        ],
    );
    usage(out, reply, reply.answer_tokens);
    put(out, &[b"}"]);
}

/// Adds the events of a stream. `message_delta`'s usage is cumulative, as the API's is.
pub fn stream(mut events: Events, reply: &Reply) {
    events.event(|out| {
        put(
            out,
            &[
                b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_",
                &hex(reply.seed),
            ],
        );
        put(
            out,
            &[
                b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
                reply.model_json,
            ],
        );
        put(
            out,
            &[b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"],
        );
        usage(out, reply, 1);
        put(out, &[b"}}\n\n"]);
    });
    let block_start =
        b"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    events.event(|out| put(out, &[b"event: content_block_start\n", block_start]));
    events.event(|out| put(out, &[b"event: ping\ndata: {\"type\":\"ping\"}\n\n"]));
    events.pace();
    reply.each_piece(|space, word| {
        let head =
            b"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"";
        let (space, word) = (space.as_bytes(), word.as_bytes());
        events.event(|out| put(out, &[b"event: content_block_delta\n", head, space, word, b"\"}}\n\n"]));
        events.pace();
    });
    events.event(|out| {
        put(
            out,
            &[b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"],
        )
    });
    events.event(|out| {
        put(
            out,
            &[
                b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"",
                finish(reply),
            ],
        );
        put(
            out,
            &[
                b"\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":",
                &digits(reply.answer_tokens),
                b"}}\n\n",
            ],
        );
    });
    events.event(|out| put(out, &[b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"]));
    events.end();
}

/// Appends an error's body.
pub fn error(out: &mut Vec<u8>, status: u16, message_json: &[u8]) {
    let kind: &[u8] = match status {
        401 => b"authentication_error",
        403 => b"permission_error",
        404 => b"not_found_error",
        413 => b"request_too_large",
        429 => b"rate_limit_error",
        529 => b"overloaded_error",
        400..=499 => b"invalid_request_error",
        _ => b"api_error",
    };
    put(
        out,
        &[
            b"{\"type\":\"error\",\"error\":{\"type\":\"",
            kind,
            b"\",\"message\":",
            message_json,
            b"}}",
        ],
    );
}

fn finish(reply: &Reply) -> &'static [u8] {
    if reply.cut_by_limit { b"max_tokens" } else { b"end_turn" }
}

fn usage(out: &mut Vec<u8>, reply: &Reply, output_tokens: u64) {
    put(out, &[b"{\"input_tokens\":", &digits(reply.prompt_tokens)]);
    put(
        out,
        &[
            b",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":",
            &digits(output_tokens),
            b"}",
        ],
    );
}
