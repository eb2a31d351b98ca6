//! Cohere's API, version 2: chat, embed, rerank. Shapes are those of the Python SDK's types, `cohere` 7.3.1
//! (`v2/types/v2chat_response.py`, `v2chat_stream_response.py`, `types/embed_by_type_response.py`,
//! `v2/types/v2rerank_response.py`, `types/usage.py`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use tollgate_dialect::cohere;
use tollgate_wire::{
    head::{Method, RequestView},
    http1::write,
    json::edit,
};

use super::{Api, Failure, Operation, Request, by_suffix, json, vector};
use crate::sandbox::{
    ask::{self, Ask, Dialect},
    limits::{Exceeded, Meter, Standing},
    performance::{Performer, Signs},
    reply::{Events, Reply, digits, put, uuid},
    text::PromptCount,
};

/// Of `embed-v4.0`, unless the request says otherwise.
const DIMENSIONS: usize = 1536;

pub struct Cohere;

impl Api for Cohere {
    fn find(&self, view: RequestView) -> Option<&'static dyn Operation> {
        const POSTS: [(&str, &dyn Operation); 3] =
            [("/v2/chat", &Chat), ("/v2/embed", &Embed), ("/v2/rerank", &Rerank)];
        by_suffix(view, Method::Post, &POSTS)
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn error(&self, out: &mut Vec<u8>, failure: &Failure) {
        let seed = failure
            .request_id
            .iter()
            .fold(1, |seed: u64, byte| seed.rotate_left(5) ^ u64::from(*byte));
        put(out, &[b"{\"id\":\"", &uuid(seed), b"\",\"message\":"]);
        edit::write_string(out, failure.message);
        put(out, &[b"}"]);
    }

    fn error_head(&self, out: &mut Vec<u8>, failure: &Failure) {
        // Its own limits tell no wait.
        if let (Some(seconds), None) = (failure.retry_after_s(), failure.exceeded) {
            write::header_u64(out, b"retry-after", seconds);
        }
    }

    fn limit_head(&self, out: &mut Vec<u8>, standing: &Standing) {
        if let Some(state) = standing.meters.iter().find(|state| state.meter == Meter::Requests) {
            write::header_u64(out, b"x-trial-endpoint-call-limit", state.limit);
            write::header_u64(out, b"x-trial-endpoint-call-remaining", state.remaining);
        }
    }

    fn limit_message(&self, exceeded: &Exceeded, _model: &str) -> String {
        let unit = if exceeded.meter == Meter::Requests {
            "API calls"
        } else {
            "tokens"
        };
        format!(
            "You are using a Trial key, which is limited to {} {unit} / minute. You can continue to use the Trial key for \
             free or upgrade to a Production key with higher rate limits at \
             'https://dashboard.cohere.com/api-keys'. Contact us on 'https://discord.gg/XW44jPfYJu' or email us at \
             support@cohere.com with any questions",
            exceeded.limit
        )
    }
}

struct Chat;

impl Operation for Chat {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        const PATHS: [&str; 9] = [
            "model",
            "messages",
            "stream",
            "max_tokens",
            "tools",
            "response_format",
            "thinking",
            "stop_sequences",
            "documents",
        ];
        let body = request.body;
        let found = ask::find(body, &PATHS)?;
        Ok(Ask {
            prompt: ask::prompt(body, &[Some(ask::filled(found[1], PATHS[1])?)]),
            stream: ask::flag(found[2], PATHS[2])?,
            max_tokens: ask::positive(body, found[3], PATHS[3])?,
            wants_more: ask::says_any(&found[4..]),
            ..Ask::named(body, found[0])?
        })
    }

    fn write(&self, out: &mut Vec<u8>, _request: &Request, reply: &Reply) {
        put(
            out,
            &[
                b"{\"id\":\"",
                &uuid(reply.seed),
                b"\",\"finish_reason\":\"",
                finish(reply),
            ],
        );
        put(
            out,
            &[b"\",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\""],
        );
        reply.write_text(out);
        put(out, &[b"\"}]},\"usage\":"]);
        usage(out, reply);
        put(out, &[b"}"]);
    }

    fn stream(&self, mut events: Events, _request: &Request, _ask: &Ask, reply: &Reply) {
        events.event(|out| {
            put(
                out,
                &[
                    b"event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"",
                    &uuid(reply.seed),
                ],
            );
            put(
                out,
                &[br#"","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","#],
            );
            put(out, &[br#""tool_calls":[],"citations":[]}}}"#, b"\n\n"]);
        });
        events.event(|out| {
            put(
                out,
                &[b"event: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":"],
            );
            put(
                out,
                &[br#"{"message":{"content":{"type":"text","text":""}}}}"#, b"\n\n"],
            );
        });
        events.pace();
        reply.each_piece(|space, word| {
            events.event(|out| {
                put(
                    out,
                    &[b"event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":"],
                );
                put(
                    out,
                    &[
                        br#"{"message":{"content":{"text":""#,
                        space.as_bytes(),
                        word.as_bytes(),
                        b"\"}}}}\n\n",
                    ],
                );
            });
            events.pace();
        });
        events.event(|out| {
            put(
                out,
                &[b"event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n"],
            )
        });
        events.event(|out| {
            put(
                out,
                &[b"event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\""],
            );
            put(out, &[finish(reply), b"\",\"usage\":"]);
            usage(out, reply);
            put(out, &[b"}}\n\n"]);
        });
        events.event(|out| put(out, &[b"data: [DONE]\n\n"]));
        events.end();
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn performer(&self, _model: &str) -> Option<Performer> {
        Some(Performer::new(&cohere::Cohere, Signs::Nothing))
    }

    fn remembered_as(&self) -> Option<Dialect> {
        Some(Dialect::Cohere)
    }
}

fn finish(reply: &Reply) -> &'static [u8] {
    if reply.cut_by_limit { b"MAX_TOKENS" } else { b"COMPLETE" }
}

fn usage(out: &mut Vec<u8>, reply: &Reply) {
    let (input, output) = (digits(reply.prompt_tokens), digits(reply.answer_tokens));
    put(
        out,
        &[
            b"{\"billed_units\":{\"input_tokens\":",
            &input,
            b",\"output_tokens\":",
            &output,
        ],
    );
    put(
        out,
        &[
            b"},\"tokens\":{\"input_tokens\":",
            &input,
            b",\"output_tokens\":",
            &output,
            b"},\"cached_tokens\":0}",
        ],
    );
}

struct Embed;

/// Also of Bedrock's InvokeModel.
#[derive(Deserialize)]
pub(super) struct EmbedBody {
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    inputs: Vec<Value>,
    #[serde(default)]
    embedding_types: Vec<String>,
    output_dimension: Option<usize>,
}

/// Inputs of one call, as the API has it.
const MAX_INPUTS: usize = 96;
const EMBEDDING_TYPES: [&str; 6] = ["float", "int8", "uint8", "binary", "ubinary", "base64"];

impl EmbedBody {
    /// What is wrong with it, in the provider's words.
    pub(super) fn check(&self) -> Result<Vec<PromptCount>, String> {
        if let Some(other) = self
            .embedding_types
            .iter()
            .find(|kind| !EMBEDDING_TYPES.contains(&kind.as_str()))
        {
            return Err(format!(
                "embedding_types: '{other}' is none of {}",
                EMBEDDING_TYPES.join(", ")
            ));
        }
        if self
            .output_dimension
            .is_some_and(|wanted| wanted == 0 || wanted > vector::MAX_DIMENSIONS)
        {
            return Err(format!(
                "output_dimension: between 1 and {} is required",
                vector::MAX_DIMENSIONS
            ));
        }
        let counts = self.counts();
        match counts.len() {
            0 => Err("texts: a list with at least one text is required".to_owned()),
            count if count > MAX_INPUTS => Err(format!("texts: at most {MAX_INPUTS} are taken")),
            _ => Ok(counts),
        }
    }

    /// Appends the vectors by form.
    pub(super) fn write_vectors(&self, out: &mut Vec<u8>) {
        let dimensions = self.output_dimension.unwrap_or(DIMENSIONS);
        let vectors: Vec<_> = self.all_texts().map(|text| vector::of(&text, dimensions)).collect();
        let asked: Vec<&str> = match self.embedding_types.is_empty() {
            true => vec!["float"],
            false => self.embedding_types.iter().map(String::as_str).collect(),
        };
        put(out, &[b"{"]);
        for (index, kind) in asked.iter().enumerate() {
            put(
                out,
                &[if index > 0 { b"," } else { b"" }, b"\"", kind.as_bytes(), b"\":["],
            );
            for (index, vector) in vectors.iter().enumerate() {
                put(out, &[if index > 0 { b"," } else { b"" }]);
                write_as(out, kind, vector);
            }
            put(out, &[b"]"]);
        }
        put(out, &[b"}"]);
    }

    fn counts(&self) -> Vec<PromptCount> {
        self.all_texts().map(|text| PromptCount::of(&text)).collect()
    }

    fn all_texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let inputs = self
            .inputs
            .iter()
            .map(|input| Cow::Owned(json::text_in(&input["content"])));
        self.texts.iter().map(|text| Cow::Borrowed(text.as_str())).chain(inputs)
    }
}

impl Operation for Embed {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let found = ask::find(request.body, &["model"])?;
        let body: EmbedBody = json::read(request.body)?;
        let counts = body.check()?;
        Ok(Ask::named(request.body, found[0])?.without_text(json::total(&counts)))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        let Ok(body) = json::read::<EmbedBody>(request.body) else {
            return;
        };
        put(out, &[b"{\"id\":\"", &uuid(reply.seed), b"\",\"embeddings\":"]);
        body.write_vectors(out);
        let texts = Value::from(body.texts).to_string();
        put(
            out,
            &[
                b",\"texts\":",
                texts.as_bytes(),
                b",\"meta\":{\"api_version\":{\"version\":\"2\"},",
            ],
        );
        put(
            out,
            &[b"\"billed_units\":{\"input_tokens\":", &digits(reply.prompt_tokens)],
        );
        put(out, &[b"}},\"response_type\":\"embeddings_by_type\"}"]);
    }
}

fn write_as(out: &mut Vec<u8>, kind: &str, vector: &[f64]) {
    match kind {
        "int8" => vector::write_integers(out, vector::int8(vector)),
        "uint8" => vector::write_integers(out, vector::int8(vector).map(|part| part + 128)),
        "binary" => vector::write_integers(out, vector::bits(vector).map(|byte| byte - 128)),
        "ubinary" => vector::write_integers(out, vector::bits(vector)),
        "base64" => vector::write_base64(out, vector),
        _ => vector::write_floats(out, vector),
    }
}

struct Rerank;

/// Also of Bedrock's InvokeModel.
#[derive(Deserialize)]
pub(super) struct RerankBody {
    query: String,
    documents: Vec<Value>,
    top_n: Option<usize>,
}

/// Documents that one search unit pays for.
const DOCUMENTS_PER_SEARCH: usize = 100;

impl Operation for Rerank {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let found = ask::find(request.body, &["model"])?;
        let body: RerankBody = json::read(request.body)?;
        let counts = body.check()?;
        Ok(Ask::named(request.body, found[0])?.without_text(json::total(&counts)))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        let Ok(body) = json::read::<RerankBody>(request.body) else {
            return;
        };
        put(out, &[b"{\"id\":\"", &uuid(reply.seed), b"\",\"results\":["]);
        body.write_results(out);
        let units = body.documents.len().div_ceil(DOCUMENTS_PER_SEARCH) as u64;
        put(
            out,
            &[
                b"],\"meta\":{\"api_version\":{\"version\":\"2\"},\"billed_units\":{\"search_units\":",
                &digits(units),
                b"}}}",
            ],
        );
    }
}

impl RerankBody {
    pub(super) fn check(&self) -> Result<Vec<PromptCount>, String> {
        if self.documents.is_empty() {
            return Err("documents: a list with at least one document is required".to_owned());
        }
        if self.top_n == Some(0) {
            return Err("top_n: a positive integer is required".to_owned());
        }
        let texts = self.documents.iter().map(json::text_in).chain([self.query.clone()]);
        Ok(texts.map(|text| PromptCount::of(&text)).collect())
    }

    /// Appends the elements of `results`.
    pub(super) fn write_results(&self, out: &mut Vec<u8>) {
        let mut scored: Vec<(usize, u64)> = self
            .documents
            .iter()
            .enumerate()
            .map(|(index, document)| (index, score(&self.query, &json::text_in(document))))
            .collect();
        scored.sort_by_key(|(index, score)| (std::cmp::Reverse(*score), *index));
        scored.truncate(self.top_n.unwrap_or(usize::MAX));
        for (place, (index, score)) in scored.iter().enumerate() {
            put(
                out,
                &[
                    if place > 0 { b"," } else { b"" },
                    b"{\"index\":",
                    &digits(*index as u64),
                ],
            );
            put(out, &[format!(",\"relevance_score\":0.{score:06}}}").as_bytes()]);
        }
    }
}

/// Millionths below one: the more of the query's words a document has, the more; then by chance.
fn score(query: &str, document: &str) -> u64 {
    let words: Vec<&str> = query.split_whitespace().collect();
    let shared = words.iter().filter(|word| document.contains(**word)).count() as u64;
    let chance = (PromptCount::of(document).seed ^ PromptCount::of(query).seed.rotate_left(17)) % 100_000;
    shared * 899_999 / words.len().max(1) as u64 + chance
}

#[cfg(test)]
mod tests {
    use super::score;
    use crate::sandbox::api::tests::{read, refused};

    #[test]
    fn requests_are_read() {
        let body =
            br#"{"model":"command-a","messages":[{"role":"user","content":"Hello."}],"max_tokens":3,"stream":true}"#;
        read("/cohere/v2/chat", body, |ask| {
            assert_eq!((ask.prompt.tokens, ask.max_tokens, ask.stream), (2, Some(3), true));
        });
        refused("/v2/chat", br#"{"model":"m","messages":[]}"#, "messages");
        refused(
            "/v2/embed",
            br#"{"model":"m","texts":["a"],"embedding_types":["int4"]}"#,
            "int4",
        );
        refused(
            "/v2/rerank",
            br#"{"model":"m","query":"a","documents":[]}"#,
            "documents",
        );
    }

    #[test]
    fn a_document_with_the_querys_words_stands_first() {
        let query = "quiet rain";
        assert!(
            score(query, "a quiet rain fell") > score(query, "a quiet day")
                && score(query, "a quiet day") > score(query, "noise")
        );
        assert!(score(query, query) < 1_000_000);
    }
}
