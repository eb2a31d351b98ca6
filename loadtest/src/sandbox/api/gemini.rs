//! Gemini's API: generateContent and its two streams, countTokens, embeddings, models. Shapes are those the Python SDK
//! `google-genai` 3.6.1 reads (`models.py`, `types.py`); errors are `google.rpc.Status` as JSON, with the details that
//! the service sends with a 429.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::request::{Content, Part, Request as Asked, Role, Turn},
    gemini,
};
use tollgate_wire::{
    head::{Known, Method, RequestView},
    http1::write,
    json::edit,
};

use super::{Api, Failure, Operation, Request, is_get, json, vector};
use crate::sandbox::{
    ask::{self, Ask},
    limits::{Exceeded, Meter},
    performance::{Performer, Signs},
    reply::{Events, Reply, digits, hex, put},
    text::PromptCount,
};

/// Of `gemini-embedding-001`, unless the request says otherwise.
const DIMENSIONS: usize = 3072;

pub struct Gemini;

impl Api for Gemini {
    fn find(&self, view: RequestView) -> Option<&'static dyn Operation> {
        let path = view.path();
        if view.head.method == Method::Post {
            let verb = memchr::memrchr(b':', path).map(|colon| &path[colon + 1..])?;
            return match verb {
                b"generateContent" => Some(&Generate),
                b"streamGenerateContent" if wants_events(view) => Some(&StreamEvents),
                b"streamGenerateContent" => Some(&StreamArray),
                b"countTokens" => Some(&CountTokens),
                b"embedContent" => Some(&Embed),
                b"batchEmbedContents" => Some(&BatchEmbed),
                _ => None,
            };
        }
        let is_ours = view.get(Known::XGoogApiKey).is_some() || memchr::memmem::find(path, b"/v1beta/").is_some();
        match memchr::memmem::rfind(path, b"/models/") {
            _ if !is_ours || !is_get(view) => None,
            Some(_) => Some(&Model),
            None if path.ends_with(b"/models") => Some(&Models),
            None => None,
        }
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn error(&self, out: &mut Vec<u8>, failure: &Failure) {
        let status = match failure.status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            402..=498 => "FAILED_PRECONDITION",
            _ => "INTERNAL",
        };
        let mut error = json!({ "code": failure.status, "message": failure.message, "status": status });
        let details = details(failure);
        if !details.is_empty() {
            error["details"] = Value::Array(details);
        }
        let error = json!({ "error": error });
        let whole = if failure.in_array { json!([error]) } else { error };
        put(out, &[whole.to_string().as_bytes()]);
    }

    fn error_head(&self, out: &mut Vec<u8>, failure: &Failure) {
        // Its own limits tell the wait in the body alone.
        if let (Some(seconds), None) = (failure.retry_after_s(), failure.exceeded) {
            write::header_u64(out, b"retry-after", seconds);
        }
    }

    fn limit_message(&self, exceeded: &Exceeded, model: &str) -> String {
        format!(
            "You exceeded your current quota, please check your plan and billing details. For more information on this \
             error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: {}, limit: \
             {}, model: {model}\nPlease retry in {}s.",
            metric(exceeded.meter),
            exceeded.limit,
            exceeded.wait_ns as f64 / 1e9
        )
    }
}

fn metric(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "generativelanguage.googleapis.com/generate_requests_per_model",
        _ => "generativelanguage.googleapis.com/generate_content_paid_tier_input_token_count",
    }
}

fn details(failure: &Failure) -> Vec<Value> {
    let mut details = Vec::new();
    if let Some(exceeded) = &failure.exceeded {
        let quota = match exceeded.meter {
            Meter::Requests => "GenerateRequestsPerMinutePerProjectPerModel",
            _ => "GenerateContentInputTokensPerModelPerMinute",
        };
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{
                "quotaMetric": metric(exceeded.meter),
                "quotaId": quota,
                "quotaDimensions": { "location": "global", "model": failure.model },
                "quotaValue": exceeded.limit.to_string(),
            }],
        }));
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{
                "description": "Learn more about Gemini API quotas",
                "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
            }],
        }));
    }
    if let Some(seconds) = failure.retry_after_s() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{seconds}s"),
        }));
    }
    details
}

fn wants_events(view: RequestView) -> bool {
    view.query().split(|&byte| byte == b'&').any(|pair| pair == b"alt=sse")
}

/// The model between `models/` and the verb.
fn model_of<'a>(request: &Request<'a>) -> Result<Ask<'a>, String> {
    Ask::of_model(&request.named_in_path(b"/models/", b":"))
}

fn read<'a>(request: &Request<'a>, stream: bool) -> Result<Ask<'a>, String> {
    const PATHS: [&str; 11] = [
        "contents",
        "systemInstruction",
        "system_instruction",
        "generationConfig.maxOutputTokens",
        "generation_config.max_output_tokens",
        "tools",
        "generationConfig.responseMimeType",
        "generationConfig.thinkingConfig",
        "generationConfig.stopSequences",
        "generationConfig.candidateCount",
        "generation_config",
    ];
    let body = request.body;
    let found = ask::find(body, &PATHS)?;
    let contents = ask::filled(found[0], PATHS[0])?;
    Ok(Ask {
        prompt: ask::prompt(body, &[Some(contents), found[1].or(found[2])]),
        stream,
        max_tokens: ask::positive(body, found[3].or(found[4]), PATHS[3])?,
        wants_more: ask::says_any(&found[5..]),
        ..model_of(request)?
    })
}

fn performer(model: &str) -> Performer {
    Performer {
        rules,
        always_signs: demands_signatures(model),
        ..Performer::new(&gemini::Gemini, Signs::WhatFollows)
    }
}

/// Since Gemini 3 the first call of each step of a turn comes back signed.
fn rules(asked: &Asked<'_>) -> Result<(), String> {
    if !demands_signatures(&asked.model) {
        return Ok(());
    }
    let says = |turn: &Turn<'_>| turn.parts.iter().any(|part| matches!(part.content, Content::Text(_)));
    let asking = asked
        .turns
        .iter()
        .rposition(|turn| turn.role == Role::User && says(turn));
    let step = &asked.turns[asking.map_or(0, |at| at + 1)..];
    for turn in step.iter().filter(|turn| turn.role == Role::Assistant) {
        let is_call = |part: &&Part<'_>| matches!(part.content, Content::ToolCall { .. });
        if turn
            .parts
            .iter()
            .find(is_call)
            .is_some_and(|call| call.signature.is_none())
        {
            return Err(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools \
                        to work correctly."
                    .to_owned(),
            );
        }
    }
    Ok(())
}

/// Models that think always, and sign.
fn demands_signatures(model: &str) -> bool {
    model.starts_with("gemini-3")
}

struct Generate;

impl Operation for Generate {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request, false)
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        open(out);
        reply.write_text(out);
        close(out, reply, reply.answer_tokens, Finish::Said);
    }

    fn performer(&self, model: &str) -> Option<Performer> {
        Some(performer(model))
    }
}

struct StreamEvents;

impl Operation for StreamEvents {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request, true)
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        Generate.write(out, request, reply);
    }

    fn stream(&self, events: Events, _request: &Request, _ask: &Ask, reply: &Reply) {
        stream(events, reply, |_| &b"data: "[..], b"\r\n\r\n", b"");
    }

    fn performer(&self, model: &str) -> Option<Performer> {
        Some(performer(model))
    }
}

/// Without `alt=sse`: one JSON array, an element at a time.
struct StreamArray;

impl Operation for StreamArray {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        read(request, true)
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        Generate.write(out, request, reply);
    }

    fn stream(&self, events: Events, _request: &Request, _ask: &Ask, reply: &Reply) {
        stream(
            events,
            reply,
            |index| if index == 0 { b"[" } else { b",\r\n" },
            b"\n",
            b"]",
        );
    }

    fn stream_type(&self) -> &'static str {
        "application/json; charset=UTF-8"
    }

    fn performer(&self, model: &str) -> Option<Performer> {
        Some(Performer {
            as_array: true,
            ..performer(model)
        })
    }
}

/// A chunk per token, each with the usage so far, and one more that says why it ends.
fn stream(mut events: Events, reply: &Reply, before: impl Fn(u64) -> &'static [u8], after: &[u8], last: &[u8]) {
    let mut sent = 0;
    let mut tokens = 0;
    reply.each_piece(|space, text| {
        // Of a bulk answer a piece is many tokens, which the last chunk tells.
        tokens = (tokens + 1).min(reply.answer_tokens);
        events.event(|out| {
            put(out, &[before(sent)]);
            open(out);
            put(out, &[space.as_bytes(), text.as_bytes()]);
            close(out, reply, tokens, Finish::Unsaid);
            put(out, &[after]);
        });
        sent += 1;
        events.pace();
    });
    events.event(|out| {
        put(out, &[before(sent)]);
        open(out);
        close(out, reply, reply.answer_tokens, Finish::Said);
        put(out, &[after, last]);
    });
    events.end();
}

#[derive(PartialEq, Eq)]
enum Finish {
    Said,
    Unsaid,
}

/// A response up to its text.
fn open(out: &mut Vec<u8>) {
    put(out, &[b"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\""]);
}

/// The rest of it.
fn close(out: &mut Vec<u8>, reply: &Reply, tokens: u64, finish: Finish) {
    put(out, &[b"\"}],\"role\":\"model\"}"]);
    if finish == Finish::Said {
        let reason: &[u8] = if reply.cut_by_limit { b"MAX_TOKENS" } else { b"STOP" };
        put(out, &[b",\"finishReason\":\"", reason, b"\""]);
    }
    let prompt = digits(reply.prompt_tokens);
    put(
        out,
        &[
            b",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":",
            &prompt,
            b",\"candidatesTokenCount\":",
        ],
    );
    put(
        out,
        &[
            &digits(tokens),
            b",\"totalTokenCount\":",
            &digits(reply.prompt_tokens + tokens),
        ],
    );
    put(
        out,
        &[
            b",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":",
            &prompt,
            b"}]},\"modelVersion\":",
        ],
    );
    put(
        out,
        &[reply.model_json, b",\"responseId\":\"", &hex(reply.seed), b"\"}"],
    );
}

struct CountTokens;

impl Operation for CountTokens {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        const PATHS: [&str; 3] = [
            "contents",
            "generateContentRequest.contents",
            "generateContentRequest.systemInstruction",
        ];
        let found = ask::find(request.body, &PATHS)?;
        let contents = ask::filled(found[0].or(found[1]), PATHS[0])?;
        let prompt = ask::prompt(request.body, &[Some(contents), found[2]]);
        Ok(model_of(request)?.without_text(prompt))
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        let tokens = digits(reply.prompt_tokens);
        put(
            out,
            &[
                b"{\"totalTokens\":",
                &tokens,
                b",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":",
            ],
        );
        put(out, &[&tokens, b"}]}"]);
    }
}

struct Embed;

impl Operation for Embed {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let input = input(&json::read(request.body)?)?;
        Ok(model_of(request)?.without_text(input.count))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        let Ok(input) = json::read(request.body).and_then(|body| input(&body)) else {
            return;
        };
        put(out, &[b"{\"embedding\":"]);
        input.write(out);
        put(out, &[b"}"]);
    }
}

struct BatchEmbed;

impl BatchEmbed {
    fn inputs(request: &Request) -> Result<Vec<Input>, String> {
        let body: Value = json::read(request.body)?;
        match body["requests"].as_array() {
            Some(requests) if !requests.is_empty() => requests.iter().map(input).collect(),
            _ => Err("requests: a list with at least one element is required".to_owned()),
        }
    }
}

impl Operation for BatchEmbed {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let counts: Vec<_> = Self::inputs(request)?.iter().map(|input| input.count).collect();
        Ok(model_of(request)?.without_text(json::total(&counts)))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, _reply: &Reply) {
        put(out, &[b"{\"embeddings\":["]);
        for (index, input) in Self::inputs(request).unwrap_or_default().iter().enumerate() {
            put(out, &[if index > 0 { b"," } else { b"" }]);
            input.write(out);
        }
        put(out, &[b"]}"]);
    }
}

/// One content to embed.
struct Input {
    count: PromptCount,
    text: String,
    dimensions: usize,
}

fn input(request: &Value) -> Result<Input, String> {
    let text = json::text_in(&request["content"]);
    if text.is_empty() {
        return Err("content: parts with text are required".to_owned());
    }
    let asked = [
        &request["outputDimensionality"],
        &request["embedContentConfig"]["outputDimensionality"],
    ];
    let dimensions = match asked.iter().find(|value| !value.is_null()) {
        None => DIMENSIONS,
        Some(value) => match value.as_u64() {
            Some(wanted) if (1..=vector::MAX_DIMENSIONS as u64).contains(&wanted) => wanted as usize,
            _ => {
                return Err(format!(
                    "outputDimensionality: between 1 and {} is required",
                    vector::MAX_DIMENSIONS
                ));
            }
        },
    };
    Ok(Input {
        count: PromptCount::of(&text),
        text,
        dimensions,
    })
}

impl Input {
    fn write(&self, out: &mut Vec<u8>) {
        put(out, &[b"{\"values\":"]);
        vector::write_floats(out, &vector::of(&self.text, self.dimensions));
        put(out, &[b"}"]);
    }
}

struct Models;

impl Operation for Models {
    fn read<'a>(&self, _request: &Request<'a>) -> Result<Ask<'a>, String> {
        Ok(Ask::default().without_text(PromptCount::default()))
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, _reply: &Reply) {
        put(out, &[b"{\"models\":["]);
        model(out, "sandbox-small");
        put(out, &[b","]);
        model(out, "sandbox-large");
        put(out, &[b"]}"]);
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

fn model(out: &mut Vec<u8>, name: &str) {
    put(out, &[b"{\"name\":"]);
    edit::write_string(out, &format!("models/{name}"));
    put(out, &[b",\"version\":\"001\",\"displayName\":"]);
    edit::write_string(out, name);
    put(
        out,
        &[
            br#","description":"Deterministic","inputTokenLimit":1048576,"outputTokenLimit":65536,"#,
            br#""supportedGenerationMethods":["generateContent","countTokens","embedContent"],"#,
            br#""temperature":1,"topP":0.95,"topK":64,"maxTemperature":2}"#,
        ],
    );
}

#[cfg(test)]
mod tests {
    use crate::sandbox::api::tests::{read, refused};

    #[test]
    fn a_request_is_read_with_the_model_of_its_path() {
        let body = br#"{"contents":[{"role":"user","parts":[{"text":"Hello there."}]}],
            "systemInstruction":{"parts":[{"text":"Be brief."}]},"generationConfig":{"maxOutputTokens":8}}"#;
        read(
            "/gemini/v1beta/models/sandbox%2Dsmall:streamGenerateContent?alt=sse",
            body,
            |ask| {
                assert_eq!(
                    (&*ask.model, &*ask.model_json),
                    ("sandbox-small", &b"\"sandbox-small\""[..])
                );
                assert_eq!((ask.stream, ask.max_tokens, ask.prompt.tokens), (true, Some(8), 6));
            },
        );
        read("/v1/models/m:generateContent", body, |ask| assert!(!ask.stream));
        refused("/v1beta/models/m:generateContent", b"{}", "contents");
        refused("/v1beta/models/m:embedContent", b"{}", "content");
    }
}
