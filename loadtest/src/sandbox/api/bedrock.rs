//! Bedrock's Converse, ConverseStream and CountTokens (`invoke` has InvokeModel). Shapes are those of the service model of `botocore` 1.44.8
//! (`data/bedrock-runtime/2023-09-30/service-2.json`): names of errors, their statuses, the events of the stream.

mod embeddings;

use tollgate_dialect::bedrock;
use tollgate_wire::{
    eventstream,
    head::{Method, RequestView},
    http1::write,
    json::edit,
};

use super::{
    Api, Failure, Operation, Request, by_suffix,
    invoke::{Invoke, InvokeStream},
};
use crate::sandbox::{
    ask::{self, Ask},
    limits::{Exceeded, Meter},
    performance::{Performer, Signs},
    reply::{Events, Reply, digits, put},
};

pub struct Bedrock;

impl Api for Bedrock {
    fn find(&self, view: RequestView) -> Option<&'static dyn Operation> {
        const POSTS: [(&str, &dyn Operation); 5] = [
            ("/converse", &Converse),
            ("/converse-stream", &ConverseStream),
            ("/count-tokens", &CountTokens),
            ("/invoke", &Invoke),
            ("/invoke-with-response-stream", &InvokeStream),
        ];
        let path = view.path();
        let named = memchr::memmem::find(path, MODEL).map(|at| &path[at + MODEL.len()..])?;
        let embeds = [&b"amazon.titan-embed"[..], b"cohere."]
            .iter()
            .any(|family| named.starts_with(family));
        if embeds && named.ends_with(b"/invoke") && view.head.method == Method::Post {
            return Some(&embeddings::Invoke);
        }
        by_suffix(view, Method::Post, &POSTS).filter(|_| named.contains(&b'/'))
    }

    fn request_id_header(&self) -> &'static str {
        "x-amzn-requestid"
    }

    fn error(&self, out: &mut Vec<u8>, failure: &Failure) {
        put(out, &[b"{\"message\":"]);
        edit::write_string(out, failure.message);
        put(out, &[b"}"]);
    }

    fn error_head(&self, out: &mut Vec<u8>, failure: &Failure) {
        let name = exception(failure.status);
        let kind = format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/");
        write::header(out, b"x-amzn-errortype", kind.as_bytes());
        // Its own limits tell no wait.
        if let (Some(seconds), None) = (failure.retry_after_s(), failure.exceeded) {
            write::header_u64(out, b"retry-after", seconds);
        }
    }

    fn limit_message(&self, exceeded: &Exceeded, _model: &str) -> String {
        let unit = if exceeded.meter == Meter::Requests {
            "requests"
        } else {
            "tokens"
        };
        format!("Too many {unit}, please wait before trying again.")
    }
}

fn exception(status: u16) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

/// What stands before a model's name in a path.
const MODEL: &[u8] = b"/model/";

/// The model's id or ARN between `/model/` and the operation.
pub(super) fn model_of<'a>(request: &Request<'a>) -> Result<Ask<'a>, String> {
    Ask::of_model(&request.named_in_path(MODEL, b"/"))
}

fn read<'a>(request: &Request<'a>, stream: bool) -> Result<Ask<'a>, String> {
    const PATHS: [&str; 7] = [
        "messages",
        "system",
        "inferenceConfig.maxTokens",
        "toolConfig",
        "outputConfig",
        "additionalModelRequestFields",
        "inferenceConfig.stopSequences",
    ];
    let found = ask::find(request.body, &PATHS)?;
    let messages = ask::filled(found[0], PATHS[0])?;
    Ok(Ask {
        prompt: ask::prompt(request.body, &[Some(messages), found[1]]),
        stream,
        max_tokens: ask::positive(request.body, found[2], PATHS[2])?,
        wants_more: ask::says_any(&found[3..]),
        ..model_of(request)?
    })
}

struct Converse;

impl Operation for Converse {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request, false)
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        put(out, &[b"{\"metrics\":{\"latencyMs\":", LATENCY_MS]);
        put(out, &[b"},\"output\":{\"message\":{\"content\":[{\"text\":\""]);
        reply.write_text(out);
        put(
            out,
            &[
                b"\"}],\"role\":\"assistant\"}},\"stopReason\":\"",
                stop_reason(reply),
                b"\",\"usage\":",
            ],
        );
        usage(out, reply);
        put(out, &[b"}"]);
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        Some(performer())
    }
}

fn performer() -> Performer {
    Performer::new(&bedrock::Bedrock, Signs::Thoughts)
}

struct ConverseStream;

impl Operation for ConverseStream {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request, true)
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        Converse.write(out, request, reply);
    }

    fn stream(&self, mut events: Events, _request: &Request, _ask: &Ask, reply: &Reply) {
        let event = |events: &mut Events, kind: &str, parts: &[&[u8]]| {
            events.event(|out| eventstream::write_event(out, kind, |out| put(out, parts)));
        };
        event(
            &mut events,
            "messageStart",
            &[br#"{"p":"abcdefgh","role":"assistant"}"#],
        );
        events.pace();
        reply.each_piece(|space, word| {
            let text = [
                br#"{"contentBlockIndex":0,"delta":{"text":""#,
                space.as_bytes(),
                word.as_bytes(),
                br#""},"p":"abcd"}"#,
            ];
            event(&mut events, "contentBlockDelta", &text);
            events.pace();
        });
        event(
            &mut events,
            "contentBlockStop",
            &[br#"{"contentBlockIndex":0,"p":"abcdefghij"}"#],
        );
        event(
            &mut events,
            "messageStop",
            &[br#"{"p":"abcdef","stopReason":""#, stop_reason(reply), b"\"}"],
        );
        let mut counted = Vec::with_capacity(128);
        usage(&mut counted, reply);
        let metadata = [
            b"{\"metrics\":{\"latencyMs\":",
            LATENCY_MS,
            b"},\"p\":\"abc\",\"usage\":",
            &counted,
            b"}",
        ];
        event(&mut events, "metadata", &metadata);
        events.end();
    }

    fn stream_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        Some(performer())
    }
}

/// A constant, so that the same request gives the same bytes.
const LATENCY_MS: &[u8] = b"100";

fn stop_reason(reply: &Reply) -> &'static [u8] {
    if reply.cut_by_limit { b"max_tokens" } else { b"end_turn" }
}

fn usage(out: &mut Vec<u8>, reply: &Reply) {
    let (input, output) = (reply.prompt_tokens, reply.answer_tokens);
    put(
        out,
        &[
            b"{\"inputTokens\":",
            &digits(input),
            b",\"outputTokens\":",
            &digits(output),
        ],
    );
    put(out, &[b",\"totalTokens\":", &digits(input + output)]);
    put(out, &[b",\"cacheReadInputTokens\":0,\"cacheWriteInputTokens\":0}"]);
}

struct CountTokens;

impl Operation for CountTokens {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        const PATHS: [&str; 2] = ["input.converse.messages", "input.converse.system"];
        let found = ask::find(request.body, &PATHS)?;
        let messages = ask::filled(found[0], PATHS[0])?;
        let prompt = ask::prompt(request.body, &[Some(messages), found[1]]);
        Ok(model_of(request)?.without_text(prompt))
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        put(out, &[b"{\"inputTokens\":", &digits(reply.prompt_tokens), b"}"]);
    }
}

#[cfg(test)]
mod tests {
    use crate::sandbox::api::tests::{read, refused};

    #[test]
    fn a_request_is_read_with_the_model_of_its_path() {
        let body =
            br#"{"messages":[{"role":"user","content":[{"text":"Hello there."}]}],"system":[{"text":"Be brief."}],
            "inferenceConfig":{"maxTokens":8}}"#;
        let path = "/bedrock/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Ainference-profile%2Fm/converse-stream";
        read(path, body, |ask| {
            assert_eq!(ask.model, "arn:aws:bedrock:us-east-1::inference-profile/m");
            assert_eq!((ask.stream, ask.max_tokens, ask.prompt.tokens), (true, Some(8), 6));
        });
        refused("/model/m/converse", b"{}", "messages");
    }
}
