//! Chat completions: `types/chat/chat_completion.py`, `chat_completion_chunk.py` and `completion_usage.py`.

use tollgate_dialect::openai_chat;

use crate::sandbox::{
    api::{Operation, Request},
    ask::{self, Ask, Dialect},
    performance::{Performer, Signs},
    reply::{CREATED_UNIX_S, Events, Reply, digits, hex, put},
};

pub struct Chat;

impl Operation for Chat {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        const PATHS: [&str; 12] = [
            "model",
            "messages",
            "stream",
            "stream_options.include_usage",
            "max_tokens",
            "max_completion_tokens",
            "tools",
            "functions",
            "response_format",
            "reasoning_effort",
            "stop",
            "n",
        ];
        let body = request.body;
        let found = ask::find(body, &PATHS)?;
        Ok(Ask {
            prompt: ask::prompt(body, &[Some(ask::filled(found[1], PATHS[1])?)]),
            stream: ask::flag(found[2], PATHS[2])?,
            include_usage: ask::flag(found[3], PATHS[3])?,
            max_tokens: ask::positive(body, found[5], PATHS[5])?.or(ask::positive(body, found[4], PATHS[4])?),
            wants_more: ask::says_any(&found[6..]),
            ..Ask::named(body, found[0])?
        })
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        buffered(out, reply);
    }

    fn stream(&self, events: Events, _request: &Request, ask: &Ask, reply: &Reply) {
        stream(events, reply, ask.include_usage);
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        Some(Performer::new(&openai_chat::OpenAiChat, Signs::Thoughts))
    }

    fn remembered_as(&self) -> Option<Dialect> {
        Some(Dialect::OpenAi)
    }
}

/// Appends the body of a buffered answer.
fn buffered(out: &mut Vec<u8>, reply: &Reply) {
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
fn stream(mut events: Events, reply: &Reply, include_usage: bool) {
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

#[cfg(test)]
mod tests {
    use crate::sandbox::api::tests::{read, refused};

    #[test]
    fn a_request_is_read() {
        let body = br#"{"model":"sandbox-small","messages":[{"role":"user","content":"Say \"hi\", twice."},
            {"role":"user","content":[{"type":"text","text":"please"}]}],"max_tokens":7,
            "stream":true,"stream_options":{"include_usage":true}}"#;
        read("/v1/chat/completions", body, |ask| {
            assert_eq!(
                (&*ask.model, &*ask.model_json),
                ("sandbox-small", &b"\"sandbox-small\""[..])
            );
            assert_eq!((ask.stream, ask.include_usage, ask.max_tokens), (true, true, Some(7)));
            // Say " hi " , twice . please
            assert_eq!(ask.prompt.tokens, 8);
        });
    }

    #[test]
    fn a_missing_field_is_named() {
        for (body, name) in [
            (r#"{"messages":[{}]}"#, "model"),
            (r#"{"model":"m"}"#, "messages"),
            (r#"{"model":"m","messages":[]}"#, "messages"),
            (r#"{"model":"m","messages":[{}],"stream":1}"#, "stream"),
            (r#"{"model":"m","messages":[{}]"#, "JSON"),
        ] {
            refused("/v1/chat/completions", body.as_bytes(), name);
        }
    }
}
