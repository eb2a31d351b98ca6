//! OpenAI's chat completions, as <https://platform.openai.com/docs/api-reference/chat> gives their shapes.

use tollgate_wire::json::edit;

use super::reply::{CREATED_UNIX_S, Events, Reply, digits, hex, put};

/// Appends the body of a buffered answer.
pub fn buffered(out: &mut Vec<u8>, reply: &Reply) {
    put(
        out,
        &[
            b"{\"id\":\"chatcmpl-",
            &hex(reply.seed),
            b"\",\"object\":\"chat.completion\",\"created\":",
        ],
    );
    put(out, &[&digits(CREATED_UNIX_S), b",\"model\":", reply.model_json]);
    put(
        out,
        &[b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""],
    );
    reply.write_text(out);
    put(
        out,
        &[
            b"\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"",
            finish(reply),
            b"\"}],\"usage\":",
        ],
    );
    usage(out, reply);
    put(
        out,
        &[b",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sandbox\"}"],
    );
}

/// Adds the events of a stream; with usage asked for, each chunk says `"usage":null` and one more carries it.
pub fn stream(mut events: Events, reply: &Reply, include_usage: bool) {
    let mut opening = Vec::with_capacity(256);
    put(
        &mut opening,
        &[
            b"data: {\"id\":\"chatcmpl-",
            &hex(reply.seed),
            b"\",\"object\":\"chat.completion.chunk\",\"created\":",
        ],
    );
    put(
        &mut opening,
        &[&digits(CREATED_UNIX_S), b",\"model\":", reply.model_json],
    );
    put(
        &mut opening,
        &[b",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_sandbox\",\"choices\":["],
    );
    let closing: &[u8] = if include_usage {
        b"],\"usage\":null}\n\n"
    } else {
        b"]}\n\n"
    };

    let role = b"{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}";
    events.event(|out| put(out, &[&opening, role, closing]));
    events.pace();
    reply.each_piece(|space, word| {
        let tail = b"\"},\"logprobs\":null,\"finish_reason\":null}";
        let (space, word) = (space.as_bytes(), word.as_bytes());
        events.event(|out| {
            put(
                out,
                &[
                    &opening,
                    b"{\"index\":0,\"delta\":{\"content\":\"",
                    space,
                    word,
                    tail,
                    closing,
                ],
            )
        });
        events.pace();
    });
    let head = b"{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"";
    events.event(|out| put(out, &[&opening, head, finish(reply), b"\"}", closing]));
    if include_usage {
        events.event(|out| {
            put(out, &[&opening, b"],\"usage\":"]);
            usage(out, reply);
            put(out, &[b"}\n\n"]);
        });
    }
    events.event(|out| put(out, &[b"data: [DONE]\n\n"]));
    events.end();
}

/// Appends an error's body.
pub fn error(out: &mut Vec<u8>, status: u16, message_json: &[u8]) {
    let (kind, code): (&[u8], &[u8]) = match status {
        401 => (b"invalid_request_error", b"\"invalid_api_key\""),
        403 => (b"permission_error", b"null"),
        404 => (b"invalid_request_error", b"\"not_found\""),
        429 => (b"requests", b"\"rate_limit_exceeded\""),
        400..=499 => (b"invalid_request_error", b"null"),
        _ => (b"server_error", b"null"),
    };
    put(
        out,
        &[
            b"{\"error\":{\"message\":",
            message_json,
            b",\"type\":\"",
            kind,
            b"\",\"param\":null,\"code\":",
            code,
            b"}}",
        ],
    );
}

/// The body of a refusal outside the dialects: the paths are OpenAI's where there is nothing else to go by.
pub fn refusal(status: u16, message: &str) -> Vec<u8> {
    let (mut message_json, mut body) = (Vec::new(), Vec::new());
    edit::write_string(&mut message_json, message);
    error(&mut body, status, &message_json);
    body
}

/// Appends one model's object.
pub fn model(out: &mut Vec<u8>, id_json: &[u8]) {
    put(
        out,
        &[
            b"{\"id\":",
            id_json,
            b",\"object\":\"model\",\"created\":",
            &digits(CREATED_UNIX_S),
            b",\"owned_by\":\"sandbox\"}",
        ],
    );
}

/// Appends the list of models.
pub fn models(out: &mut Vec<u8>) {
    put(out, &[b"{\"object\":\"list\",\"data\":["]);
    model(out, b"\"sandbox-small\"");
    put(out, &[b","]);
    model(out, b"\"sandbox-large\"");
    put(out, &[b"]}"]);
}

fn finish(reply: &Reply) -> &'static [u8] {
    if reply.cut_by_limit { b"length" } else { b"stop" }
}

fn usage(out: &mut Vec<u8>, reply: &Reply) {
    let (prompt, answer) = (reply.prompt_tokens, reply.answer_tokens);
    put(
        out,
        &[
            b"{\"prompt_tokens\":",
            &digits(prompt),
            b",\"completion_tokens\":",
            &digits(answer),
        ],
    );
    put(out, &[b",\"total_tokens\":", &digits(prompt + answer)]);
    put(
        out,
        &[b",\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0}"],
    );
    put(
        out,
        &[b",\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}"],
    );
}
