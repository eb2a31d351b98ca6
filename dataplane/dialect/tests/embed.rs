//! Embeddings in every shape a client has, for every shape a provider has: what is asked, what is answered, what is lost,
//! and what cannot be.

#[path = "embed/answers.rs"]
mod answers;
#[path = "embed/requests.rs"]
mod requests;
#[path = "embed/vectors.rs"]
mod vectors;

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::bad::{BadAnswer, BadRequest},
    embed::{self, CallFacts, Sent, Shape, Used},
    quirks::Quirks,
    speak::TargetFacts,
};

pub const CLIENTS: [Shape; 4] = [Shape::OpenAi, Shape::GeminiOne, Shape::GeminiMany, Shape::Cohere];
pub const TARGETS: [Shape; 6] = [
    Shape::OpenAi,
    Shape::GeminiMany,
    Shape::Cohere,
    Shape::Titan,
    Shape::TitanText,
    Shape::CohereOnBedrock { has_dimensions: true },
];

pub fn tree(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|bad| panic!("{bad}: {}", String::from_utf8_lossy(bytes)))
}

/// The body that goes up for the inputs from `begin` on.
pub fn up(pair: (Shape, Shape), body: &Value, begin: usize) -> Result<(Value, Sent), BadRequest> {
    let quirks = Quirks::default();
    let to = TargetFacts {
        model: "the-model",
        quirks: &quirks,
    };
    let mut out = b"before".to_vec();
    let sent = embed::write_request(pair, body.to_string().as_bytes(), &to, begin, &mut out)?;
    Ok((tree(&out[6..]), sent))
}

pub fn down(pair: (Shape, Shape), body: &Value, answers: &[Value]) -> Result<(Value, Used), BadAnswer> {
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_string().into_bytes()).collect();
    down_raw(pair, body, &answers, None)
}

pub fn down_raw(
    pair: (Shape, Shape),
    body: &Value,
    answers: &[Vec<u8>],
    head_tokens: Option<u64>,
) -> Result<(Value, Used), BadAnswer> {
    let call = CallFacts {
        request_id: "0123",
        model: "asked",
        target_model: "the-model",
        head_tokens,
    };
    let mut out = b"before".to_vec();
    let used = embed::write_answer(pair, body.to_string().as_bytes(), answers, &call, &mut out)?;
    Ok((tree(&out[6..]), used))
}

/// A client's request for these texts, and nothing else.
pub fn asks(client: Shape, texts: &[&str]) -> Value {
    let content = |text: &&str| json!({"model": "models/m", "content": {"parts": [{"text": text}]}});
    match client {
        Shape::OpenAi => json!({"model": "m", "input": texts, "encoding_format": "float"}),
        Shape::GeminiOne => content(&texts[0]),
        Shape::GeminiMany => json!({"requests": texts.iter().map(content).collect::<Vec<_>>()}),
        _ => json!({"model": "m", "texts": texts, "input_type": "search_document"}),
    }
}

/// A provider's answer of these vectors, of which seven tokens went in.
pub fn answers(target: Shape, vectors: &[&[f64]]) -> Value {
    let one = |(index, vector): (usize, &&[f64])| json!({"object": "embedding", "index": index, "embedding": vector});
    let values = |vector: &&[f64]| json!({"values": vector});
    match target {
        Shape::OpenAi => {
            json!({"object": "list", "model": "its-model", "usage": {"prompt_tokens": 7, "total_tokens": 7},
            "data": vectors.iter().enumerate().map(one).collect::<Vec<_>>()})
        }
        Shape::GeminiOne => json!({"embedding": {"values": vectors[0]}, "usageMetadata": {"promptTokenCount": 7}}),
        Shape::GeminiMany => json!({"embeddings": vectors.iter().map(values).collect::<Vec<_>>(),
            "usageMetadata": {"promptTokenCount": 7}}),
        Shape::Titan | Shape::TitanText => json!({"embedding": vectors[0], "inputTextTokenCount": 7}),
        _ => json!({"id": "e-1", "response_type": "embeddings_by_type", "embeddings": {"float": vectors},
            "meta": {"billed_units": {"input_tokens": 7}}}),
    }
}

/// The vectors of a client's answer.
pub fn vectors_of(client: Shape, answer: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match client {
        Shape::OpenAi => list(&answer["data"])
            .iter()
            .map(|item| item["embedding"].clone())
            .collect(),
        Shape::GeminiOne => vec![answer["embedding"]["values"].clone()],
        Shape::GeminiMany => list(&answer["embeddings"])
            .iter()
            .map(|item| item["values"].clone())
            .collect(),
        _ => list(&answer["embeddings"]["float"]),
    }
}

/// The tokens that a client's answer tells.
pub fn tokens_of(client: Shape, answer: &Value) -> &Value {
    match client {
        Shape::OpenAi => &answer["usage"]["prompt_tokens"],
        Shape::GeminiOne | Shape::GeminiMany => &answer["usageMetadata"]["promptTokenCount"],
        _ => &answer["meta"]["billed_units"]["input_tokens"],
    }
}
