//! Responses: `types/responses/response.py`, `response_usage.py` and the `response_*_event.py` beside them.

use tollgate_dialect::openai_responses;

use super::background;
use crate::sandbox::{
    api::{Operation, Request},
    ask::{self, Ask, Dialect},
    performance::{Performer, Signs},
    reply::{CREATED_UNIX_S, Events, Reply, digits, hex, put},
};

pub struct Responses;

impl Operation for Responses {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        const PATHS: [&str; 8] = [
            "model",
            "input",
            "instructions",
            "stream",
            "max_output_tokens",
            "tools",
            "text.format",
            "reasoning",
        ];
        let body = request.body;
        let found = ask::find(body, &PATHS)?;
        let input = found[1].ok_or("input: Field required")?;
        Ok(Ask {
            prompt: ask::prompt(body, &[Some(input), found[2]]),
            stream: ask::flag(found[3], PATHS[3])?,
            max_tokens: ask::positive(body, found[4], PATHS[4])?,
            wants_more: ask::says_any(&found[5..]),
            ..Ask::named(body, found[0])?
        })
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        if background::is_wanted(request.body) {
            return background::begin(out, reply);
        }
        response(out, reply, Stage::Ended);
    }

    fn stream(&self, events: Events, _request: &Request, _ask: &Ask, reply: &Reply) {
        let mut numbered = Numbered { events, next: 0 };
        numbered.begin(reply);
        numbered.text(reply);
        numbered.end(reply);
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        Some(Performer::new(&openai_responses::OpenAiResponses, Signs::Sealed))
    }

    fn remembered_as(&self) -> Option<Dialect> {
        Some(Dialect::OpenAiResponses)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begun,
    Ended,
}

/// The response object, which streams repeat in three of their events.
fn response(out: &mut Vec<u8>, reply: &Reply, stage: Stage) {
    let created = digits(CREATED_UNIX_S);
    put(
        out,
        &[
            b"{\"id\":\"resp_",
            &hex(reply.seed),
            b"\",\"object\":\"response\",\"created_at\":",
            &created,
        ],
    );
    put(
        out,
        &[
            b",\"status\":\"",
            status(reply, stage),
            b"\",\"background\":false,\"completed_at\":",
        ],
    );
    put(
        out,
        &[if stage == Stage::Ended && !reply.cut_by_limit {
            &created
        } else {
            b"null"
        }],
    );
    put(out, &[b",\"error\":null,\"incomplete_details\":"]);
    put(
        out,
        &[match stage == Stage::Ended && reply.cut_by_limit {
            true => b"{\"reason\":\"max_output_tokens\"}",
            false => b"null",
        }],
    );
    let limit = reply.max_tokens.map_or(b"null".to_vec(), digits);
    put(out, &[b",\"instructions\":null,\"max_output_tokens\":", &limit]);
    put(out, &[b",\"max_tool_calls\":null,\"model\":"]);
    put(out, &[reply.model_json, b",\"output\":["]);
    if stage == Stage::Ended {
        item(out, reply, Stage::Ended);
    }
    put(
        out,
        &[
            br#"],"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"#,
            br#""reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"default","store":true,"#,
            br#""temperature":1.0,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"#,
            br#""top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":"#,
        ],
    );
    match stage {
        Stage::Begun => put(out, &[b"null"]),
        Stage::Ended => usage(out, reply),
    }
    put(out, &[b",\"user\":null,\"metadata\":{}}"]);
}

fn status(reply: &Reply, stage: Stage) -> &'static [u8] {
    match (stage, reply.cut_by_limit) {
        (Stage::Begun, _) => b"in_progress",
        (Stage::Ended, true) => b"incomplete",
        (Stage::Ended, false) => b"completed",
    }
}

/// The message, the only item of the output.
fn item(out: &mut Vec<u8>, reply: &Reply, stage: Stage) {
    put(
        out,
        &[
            b"{\"id\":\"msg_",
            &hex(reply.seed),
            b"\",\"type\":\"message\",\"status\":\"",
        ],
    );
    put(out, &[status(reply, stage), b"\",\"content\":["]);
    if stage == Stage::Ended {
        part(out, reply, Stage::Ended);
    }
    put(out, &[b"],\"role\":\"assistant\"}"]);
}

fn part(out: &mut Vec<u8>, reply: &Reply, stage: Stage) {
    put(
        out,
        &[b"{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\""],
    );
    if stage == Stage::Ended {
        reply.write_text(out);
    }
    put(out, &[b"\"}"]);
}

fn usage(out: &mut Vec<u8>, reply: &Reply) {
    let (prompt, answer) = (reply.prompt_tokens, reply.answer_tokens);
    put(out, &[b"{\"input_tokens\":", &digits(prompt)]);
    put(
        out,
        &[b",\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},\"output_tokens\":"],
    );
    put(
        out,
        &[
            &digits(answer),
            b",\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":",
        ],
    );
    put(out, &[&digits(prompt + answer), b"}"]);
}

/// Events with their running number.
struct Numbered<'a> {
    events: Events<'a>,
    next: u64,
}

impl Numbered<'_> {
    fn event(&mut self, kind: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let number = digits(self.next);
        self.next += 1;
        self.events.event(|out| {
            put(
                out,
                &[b"event: ", kind.as_bytes(), b"\ndata: {\"type\":\"", kind.as_bytes()],
            );
            put(out, &[b"\",\"sequence_number\":", &number]);
            write(out);
            put(out, &[b"}\n\n"]);
        });
    }

    fn begin(&mut self, reply: &Reply) {
        for kind in ["response.created", "response.in_progress"] {
            self.event(kind, |out| {
                put(out, &[b",\"response\":"]);
                response(out, reply, Stage::Begun);
            });
        }
        self.event("response.output_item.added", |out| {
            put(out, &[b",\"output_index\":0,\"item\":"]);
            item(out, reply, Stage::Begun);
        });
        self.event("response.content_part.added", |out| {
            put_place(out, reply);
            put(out, &[b",\"part\":"]);
            part(out, reply, Stage::Begun);
        });
        self.events.pace();
    }

    fn text(&mut self, reply: &Reply) {
        reply.each_piece(|space, word| {
            self.event("response.output_text.delta", |out| {
                put_place(out, reply);
                put(
                    out,
                    &[
                        b",\"delta\":\"",
                        space.as_bytes(),
                        word.as_bytes(),
                        b"\",\"logprobs\":[]",
                    ],
                );
            });
            self.events.pace();
        });
    }

    fn end(mut self, reply: &Reply) {
        self.event("response.output_text.done", |out| {
            put_place(out, reply);
            put(out, &[b",\"text\":\""]);
            reply.write_text(out);
            put(out, &[b"\",\"logprobs\":[]"]);
        });
        self.event("response.content_part.done", |out| {
            put_place(out, reply);
            put(out, &[b",\"part\":"]);
            part(out, reply, Stage::Ended);
        });
        self.event("response.output_item.done", |out| {
            put(out, &[b",\"output_index\":0,\"item\":"]);
            item(out, reply, Stage::Ended);
        });
        let kind = if reply.cut_by_limit {
            "response.incomplete"
        } else {
            "response.completed"
        };
        self.event(kind, |out| {
            put(out, &[b",\"response\":"]);
            response(out, reply, Stage::Ended);
        });
        self.events.end();
    }
}

/// Which part of which item an event is about.
fn put_place(out: &mut Vec<u8>, reply: &Reply) {
    put(
        out,
        &[
            b",\"item_id\":\"msg_",
            &hex(reply.seed),
            b"\",\"output_index\":0,\"content_index\":0",
        ],
    );
}
