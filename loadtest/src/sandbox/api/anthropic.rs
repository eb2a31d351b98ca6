//! Anthropic's API: messages, their token counts, models. Shapes are those of the Python SDK's types, `anthropic`
//! 2.13.0 (`types/message.py`, `raw_message_*_event.py`, `message_tokens_count.py`, `model_info.py`, `shared/error_*.py`);
//! rate-limit headers those of <https://docs.anthropic.com/en/api/rate-limits>.

mod objects;

use tollgate_dialect::{
    anthropic,
    canonical::request::{Amount, Content, Request as Asked, Role, ToolChoice, Turn},
};
use tollgate_wire::{
    head::{Known, Method, RequestView},
    http1::write,
    json::edit,
};

use super::{Api, Failure, Operation, Request, by_suffix, is_get};
use crate::{
    calendar,
    sandbox::{
        ask::{self, Ask, Dialect},
        limits::{Exceeded, Meter, Standing},
        performance::{Performer, Signs},
        reply::{CREATED_RFC_3339, Events, Reply, digits, hex, put},
        text::PromptCount,
    },
};

pub struct Anthropic;

impl Api for Anthropic {
    fn find(&self, view: RequestView) -> Option<&'static dyn Operation> {
        const POSTS: [(&str, &dyn Operation); 2] = [("/messages", &Messages), ("/messages/count_tokens", &CountTokens)];
        if let Some(operation) = by_suffix(view, Method::Post, &POSTS) {
            return Some(operation);
        }
        if let Some(operation) = objects::find(view) {
            return Some(operation);
        }
        let path = view.path();
        match memchr::memmem::rfind(path, b"/models/") {
            _ if !is_get(view) || view.get(Known::AnthropicVersion).is_none() => None,
            Some(_) => Some(&Model),
            None if path.ends_with(b"/models") => Some(&Models),
            None => None,
        }
    }

    fn request_id_header(&self) -> &'static str {
        "request-id"
    }

    fn refusal(&self, view: RequestView) -> Option<&'static str> {
        let missing = view.get(Known::AnthropicVersion).is_none();
        missing.then_some("anthropic-version: header is required")
    }

    fn error(&self, out: &mut Vec<u8>, failure: &Failure) {
        let kind: &[u8] = match failure.status {
            401 => b"authentication_error",
            402 => b"billing_error",
            403 => b"permission_error",
            404 => b"not_found_error",
            409 => b"conflict_error",
            413 => b"request_too_large",
            429 => b"rate_limit_error",
            504 => b"timeout_error",
            529 => b"overloaded_error",
            400..=499 => b"invalid_request_error",
            _ => b"api_error",
        };
        put(
            out,
            &[b"{\"type\":\"error\",\"error\":{\"type\":\"", kind, b"\",\"message\":"],
        );
        edit::write_string(out, failure.message);
        put(out, &[b"},\"request_id\":\"", failure.request_id, b"\"}"]);
    }

    fn error_head(&self, out: &mut Vec<u8>, failure: &Failure) {
        if let Some(seconds) = failure.retry_after_s() {
            write::header_u64(out, b"retry-after", seconds);
        }
    }

    fn limit_head(&self, out: &mut Vec<u8>, standing: &Standing) {
        for state in &standing.meters {
            let name = meter_name(state.meter);
            write::header_u64(out, format!("anthropic-ratelimit-{name}-limit").as_bytes(), state.limit);
            write::header_u64(
                out,
                format!("anthropic-ratelimit-{name}-remaining").as_bytes(),
                state.remaining,
            );
            let reset = calendar::rfc_3339(standing.at_unix_s + state.reset_ns.div_ceil(1_000_000_000));
            write::header(
                out,
                format!("anthropic-ratelimit-{name}-reset").as_bytes(),
                reset.as_bytes(),
            );
        }
    }

    fn limit_message(&self, exceeded: &Exceeded, _model: &str) -> String {
        let (limit, unit) = (exceeded.limit, meter_name(exceeded.meter).replace('-', " "));
        format!(
            "This request would exceed the rate limit for your organization of {limit} {unit} per minute. For details, \
             refer to: https://docs.anthropic.com/en/api/rate-limits. You can see the response headers for current usage."
        )
    }
}

fn meter_name(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "requests",
        Meter::Tokens => "tokens",
        Meter::InputTokens => "input-tokens",
        Meter::OutputTokens => "output-tokens",
    }
}

struct Messages;

impl Operation for Messages {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        const PATHS: [&str; 10] = [
            "model",
            "messages",
            "stream",
            "max_tokens",
            "system",
            "tools",
            "output_config",
            "output_format",
            "thinking",
            "stop_sequences",
        ];
        let body = request.body;
        let found = ask::find(body, &PATHS)?;
        let messages = ask::filled(found[1], PATHS[1])?;
        let max_tokens = ask::positive(body, found[3], PATHS[3])?.ok_or("max_tokens: Field required")?;
        Ok(Ask {
            prompt: ask::prompt(body, &[Some(messages), found[4]]),
            stream: ask::flag(found[2], PATHS[2])?,
            max_tokens: Some(max_tokens),
            wants_more: ask::says_any(&found[5..]),
            ..Ask::named(body, found[0])?
        })
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        buffered(out, reply);
    }

    fn stream(&self, events: Events, _request: &Request, _ask: &Ask, reply: &Reply) {
        stream(events, reply, Framing::ServerSent);
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        let performer = Performer::new(&anthropic::Anthropic, Signs::Thoughts);
        Some(Performer { rules, ..performer })
    }

    fn remembered_as(&self) -> Option<Dialect> {
        Some(Dialect::Anthropic)
    }
}

/// What the API refuses beside wrong shapes: thinking has conditions.
pub(super) fn rules(asked: &Asked<'_>) -> Result<(), String> {
    let Some(thinking) = asked.thinking.filter(|thinking| thinking.amount != Amount::Off) else {
        return Ok(());
    };
    if let Amount::BudgetTokens(budget) = thinking.amount {
        if budget < 1024 {
            return Err("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024".to_owned());
        }
        if asked.sampling.max_tokens.is_some_and(|most| most <= budget) {
            return Err("`max_tokens` must be greater than `thinking.budget_tokens`".to_owned());
        }
    }
    if !is_thought_through(&asked.turns) {
        return Err(
            "messages: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, \
                    a final `assistant` message must start with a thinking block."
                .to_owned(),
        );
    }
    if matches!(asked.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
        return Err("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    let temperature = asked.sampling.temperature.map(|number| number.value());
    if temperature.is_some_and(|temperature| temperature != 1.0) || asked.sampling.top_k.is_some() {
        return Err("`temperature` may only be set to 1 and `top_k` not at all when thinking is enabled.".to_owned());
    }
    Ok(())
}

/// Calls whose results come last were made after thoughts, which come back with them.
fn is_thought_through(turns: &[Turn<'_>]) -> bool {
    let Some(last) = turns.iter().rposition(|turn| turn.role == Role::Assistant) else {
        return true;
    };
    let parts = &turns[last].parts;
    let calls = parts
        .iter()
        .any(|part| matches!(part.content, Content::ToolCall { .. }));
    let begins = parts.first().map(|part| &part.content);
    !calls || matches!(begins, Some(Content::Thinking(_) | Content::Sealed { .. }))
}

struct CountTokens;

impl Operation for CountTokens {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let found = ask::find(request.body, &["model", "messages", "system"])?;
        let messages = ask::filled(found[1], "messages")?;
        let prompt = ask::prompt(request.body, &[Some(messages), found[2]]);
        Ok(Ask::named(request.body, found[0])?.without_text(prompt))
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        put(out, &[b"{\"input_tokens\":", &digits(reply.prompt_tokens), b"}"]);
    }
}

struct Models;

impl Operation for Models {
    fn read<'a>(&self, _request: &Request<'a>) -> Result<Ask<'a>, String> {
        Ok(Ask::default().without_text(PromptCount::default()))
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, _reply: &Reply) {
        put(out, &[b"{\"data\":["]);
        model(out, "sandbox-small");
        put(out, &[b","]);
        model(out, "sandbox-large");
        put(
            out,
            &[b"],\"has_more\":false,\"first_id\":\"sandbox-small\",\"last_id\":\"sandbox-large\"}"],
        );
    }
}

struct Model;

impl Operation for Model {
    fn read<'a>(&self, _request: &Request<'a>) -> Result<Ask<'a>, String> {
        Ok(Ask::default().without_text(PromptCount::default()))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        model(out, &request.named_in_path(b"/models/", b"?"));
    }
}

fn model(out: &mut Vec<u8>, id: &str) {
    put(out, &[b"{\"type\":\"model\",\"id\":"]);
    edit::write_string(out, id);
    put(out, &[b",\"display_name\":"]);
    edit::write_string(out, id);
    put(
        out,
        &[
            b",\"created_at\":\"",
            CREATED_RFC_3339.as_bytes(),
            b"\",\"lifecycle\":\"active\",\"deprecated_at\":null",
        ],
    );
    put(
        out,
        &[b",\"retires_at\":null,\"max_input_tokens\":200000,\"max_tokens\":64000}"],
    );
}

/// Appends the body of a buffered answer.
pub(super) fn buffered(out: &mut Vec<u8>, reply: &Reply) {
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
pub(super) fn stream(mut events: Events, reply: &Reply, framing: Framing) {
    framing.event(&mut events, |out| {
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
    framing.event(&mut events, |out| {
        put(out, &[b"event: content_block_start\n", block_start])
    });
    framing.event(&mut events, |out| {
        put(out, &[b"event: ping\ndata: {\"type\":\"ping\"}\n\n"])
    });
    events.pace();
    reply.each_piece(|space, word| {
        let head =
            b"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"";
        let (space, word) = (space.as_bytes(), word.as_bytes());
        framing.event(&mut events, |out| {
            put(out, &[b"event: content_block_delta\n", head, space, word, b"\"}}\n\n"])
        });
        events.pace();
    });
    framing.event(&mut events, |out| {
        put(
            out,
            &[b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"],
        )
    });
    framing.event(&mut events, |out| {
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
    framing.event(&mut events, |out| {
        put(out, &[b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"])
    });
    events.end();
}

/// How the events of a stream are told apart.
#[derive(Clone, Copy)]
pub(super) enum Framing {
    ServerSent,
    /// Bedrock's.
    Aws,
}

impl Framing {
    fn event(self, events: &mut Events, write: impl FnOnce(&mut Vec<u8>)) {
        events.event(|out| match self {
            Self::ServerSent => write(out),
            Self::Aws => {
                let mut plain = Vec::new();
                write(&mut plain);
                anthropic::frame(&plain, out);
            }
        });
    }
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

#[cfg(test)]
mod tests {
    use crate::sandbox::api::tests::{read, refused};

    #[test]
    fn a_request_is_read_with_its_system_prompt() {
        let body =
            br#"{"model":"m","max_tokens":9,"system":"Be brief.","messages":[{"role":"user","content":"Hello"}]}"#;
        read("/v1/messages", body, |ask| {
            assert_eq!((ask.prompt.tokens, ask.max_tokens, ask.stream), (4, Some(9), false));
        });
    }

    #[test]
    fn a_limit_is_required() {
        refused("/v1/messages", br#"{"model":"m","messages":[{}]}"#, "max_tokens");
        refused(
            "/v1/messages",
            br#"{"model":"m","messages":[{}],"max_tokens":0}"#,
            "max_tokens",
        );
    }
}
