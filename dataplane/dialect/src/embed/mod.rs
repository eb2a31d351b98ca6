//! Embeddings across dialects: one canonical request and one canonical answer between a client's shape and a provider's.
//!
//! Knows nothing of targets, retries or sockets. A provider that takes fewer inputs in one call than the client sent is
//! called several times, part by part; the answers become one.

mod bedrock;
pub mod canonical;
mod cohere;
mod gemini;
mod openai;
mod vector;

use std::ops::Range;

use tollgate_wire::json::tap::Place;

use crate::{
    canonical::bad::{BadAnswer, BadRequest},
    cohere as cohere_chat, gemini as gemini_chat,
    json::{Node, Out, Text},
    openai_chat,
    speak::TargetFacts,
    tokens::{Counter, DEFAULT_EXACT_BYTES, Estimate, Memo, Tokenizer},
    translate::fit,
    usage::Usage,
};

use canonical::{Answer, Feature, Input, Lost, Part, Request};
use vector::Vector;

/// Inputs of one call at most: OpenAI's own bound, and the highest of all.
pub const MAX_INPUTS: usize = 2_048;
/// Calls to a provider that one call of a client may become.
pub const MAX_PARTS: usize = 100;
/// Bytes of a provider's answers to one call of a client at most: 2,048 vectors of 3,072 numbers are 32 MiB in base64.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that the client's answer is at most.
pub const MAX_WRITTEN_BYTES: usize = 128 * 1024 * 1024;

/// How embeddings are asked for and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `POST /v1/embeddings`.
    OpenAi,
    /// `:embedContent`.
    GeminiOne,
    /// `:batchEmbedContents`.
    GeminiMany,
    /// `POST /v2/embed`.
    Cohere,
    /// InvokeModel of `amazon.titan-embed-text-v2:0`.
    Titan,
    /// The same of its predecessors, which know nothing but the text.
    TitanText,
    /// InvokeModel of `cohere.embed-*`; those before the fourth give no choice of dimensions.
    CohereOnBedrock { has_dimensions: bool },
}

impl Shape {
    /// The shape that a model has behind Bedrock's InvokeModel; `None` where it is not one of those known.
    pub fn on_bedrock(model: &str) -> Option<Shape> {
        bedrock::shape_of(model)
    }

    /// Inputs that one call to a provider takes.
    fn inputs_at_once(self) -> usize {
        match self {
            Shape::OpenAi => MAX_INPUTS,
            Shape::GeminiMany => 100,
            Shape::Cohere | Shape::CohereOnBedrock { .. } => 96,
            Shape::GeminiOne | Shape::Titan | Shape::TitanText => 1,
        }
    }

    fn read_request(self, body: &[u8]) -> Result<Request<'_>, BadRequest> {
        match self {
            Shape::OpenAi => openai::read_request(body),
            Shape::GeminiOne => gemini::read_one(body),
            Shape::GeminiMany => gemini::read_many(body),
            Shape::Cohere => cohere::read_request(body),
            // Clients reach these at their own path, which is not translated.
            Shape::Titan | Shape::TitanText | Shape::CohereOnBedrock { .. } => Err(BadRequest::missing(
                "model",
                "is called in a shape that is not translated",
            )),
        }
    }

    fn field(self, feature: Feature) -> &'static str {
        match self {
            Shape::OpenAi => openai::field(feature),
            Shape::GeminiOne | Shape::GeminiMany => gemini::field(feature),
            Shape::Cohere | Shape::Titan | Shape::TitanText | Shape::CohereOnBedrock { .. } => cohere::field(feature),
        }
    }
}

/// What one call to a provider carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// What the target cannot say, in the caller's words.
    pub dropped: Vec<String>,
    /// Index behind the last input that was sent.
    pub end: usize,
    /// Inputs in all.
    pub inputs: usize,
}

/// Appends the body of the call that carries the inputs from `begin` on.
pub fn write_request(
    (client, target): (Shape, Shape),
    body: &[u8],
    to: &TargetFacts<'_>,
    begin: usize,
    out: &mut Vec<u8>,
) -> Result<Sent, BadRequest> {
    let request = client.read_request(body)?;
    let inputs = request.inputs.len();
    let at_once = target.inputs_at_once();
    if inputs.div_ceil(at_once) > MAX_PARTS {
        let most = at_once * MAX_PARTS;
        let wrong = format!(
            "has {inputs} entries; the provider's model '{}' takes {at_once} in one call, and {most} are passed on at most",
            to.model
        );
        return Err(BadRequest::missing(client.field(Feature::Inputs), wrong));
    }
    let end = inputs.min(begin + at_once);
    let part = request.inputs.get(begin..end).unwrap_or_default();
    let mut lost = Lost::default();
    let start = out.len();
    let written = match target {
        Shape::OpenAi => openai::write_request(&request, part, to, &mut lost, out),
        Shape::GeminiOne | Shape::GeminiMany => gemini::write_request(&request, part, to, &mut lost, out),
        Shape::Cohere => cohere::write_request(&request, part, cohere::At::Cohere(to.model), &mut lost, out),
        Shape::CohereOnBedrock { has_dimensions } => {
            cohere::write_request(&request, part, cohere::At::Bedrock { has_dimensions }, &mut lost, out)
        }
        Shape::Titan => bedrock::write_titan(&request, part, &mut lost, out),
        Shape::TitanText => bedrock::write_titan_text(&request, part, &mut lost, out),
    };
    written.map_err(|refused| BadRequest::missing(client.field(refused.feature), refused.wrong))?;
    let mut dropped = lost.names(&request.unread, |feature| client.field(feature));
    fit(out, start, to.quirks, &mut dropped);
    Ok(Sent { dropped, end, inputs })
}

/// What is known of a call when its answer is written.
#[derive(Clone, Copy, Debug)]
pub struct CallFacts<'a> {
    pub request_id: &'a str,
    /// As the client named it; written where the provider's answer names no model.
    pub model: &'a str,
    /// The provider's name of it, which tells how its tokens are counted.
    pub target_model: &'a str,
    /// What the heads of the provider's answers said of the input's tokens, where its bodies say nothing.
    pub head_tokens: Option<u64>,
}

/// What an answer used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub usage: Usage,
    /// The provider said nothing: the tokens were counted here.
    pub estimated: bool,
}

/// Appends the client's answer, made of the provider's answers to the parts of the request, in order.
pub fn write_answer(
    (client, target): (Shape, Shape),
    body: &[u8],
    answers: &[Vec<u8>],
    call: &CallFacts<'_>,
    out: &mut Vec<u8>,
) -> Result<Used, BadAnswer> {
    // It was read before it was sent.
    let request = client
        .read_request(body)
        .map_err(|_| BadAnswer::new("its request can no longer be read"))?;
    let mut answer = Answer::default();
    for (part, bytes) in answers.iter().enumerate() {
        let begin = part * target.inputs_at_once();
        let expected = request.inputs.len().saturating_sub(begin).min(target.inputs_at_once());
        let before = answer.clone_counts();
        match target {
            Shape::OpenAi => openai::read_answer(bytes, expected, &mut answer)?,
            Shape::GeminiOne | Shape::GeminiMany => gemini::read_answer(bytes, &mut answer)?,
            Shape::Cohere | Shape::CohereOnBedrock { .. } => cohere::read_answer(bytes, &mut answer)?,
            Shape::Titan | Shape::TitanText => bedrock::read_titan(bytes, &mut answer)?,
        }
        answer.check_grown(&before, expected)?;
    }
    let used = used(&request, &answer, call);
    match client {
        Shape::OpenAi => openai::write_answer(&request, &answer, (call, &used.usage), out)?,
        Shape::GeminiOne => gemini::write_answer_one(&answer, &used.usage, out)?,
        Shape::GeminiMany => gemini::write_answer_many(&answer, &used.usage, out)?,
        Shape::Cohere | Shape::Titan | Shape::TitanText | Shape::CohereOnBedrock { .. } => {
            cohere::write_answer(&request, &answer, (call, &used.usage), out)?;
        }
    }
    Ok(used)
}

/// The vectors of an answer in OpenAI's shape to so many inputs, in the inputs' order, whatever order they came in.
pub fn vectors(body: &[u8], inputs: usize) -> Result<Vec<Vec<f32>>, BadAnswer> {
    let mut answer = Answer::default();
    let before = answer.clone_counts();
    openai::read_answer(body, inputs, &mut answer)?;
    answer.check_grown(&before, inputs)?;
    answer.floats.iter().map(Vector::floats).collect()
}

/// The body of a call that asks for the vectors of these texts, in OpenAI's shape; where its model's name stands in it, quotes
/// included, is told. `dimensions`: as many as are wanted, where the model leaves that open.
pub fn question(model: &str, texts: &[&str], dimensions: Option<u32>, out: &mut Vec<u8>) -> Range<usize> {
    let start = out.len();
    let mut json = Out::new(out);
    json.open().key("model");
    let named = json.bytes.len() - start;
    json.string(model);
    let behind = json.bytes.len() - start;
    json.key("input").open_list();
    for text in texts {
        json.string(text);
    }
    json.close_list().key("encoding_format").string("base64");
    if let Some(dimensions) = dimensions {
        json.key("dimensions").unsigned(u64::from(dimensions));
    }
    json.close();
    named..behind
}

/// The provider's answers, or what would be made of them, are longer than `MAX_ANSWER_BYTES` or `MAX_WRITTEN_BYTES`.
pub const TOO_LONG: BadAnswer = BadAnswer::new("it is longer than the gateway translates");

/// The top-level member of an answer that says what was used.
pub(crate) fn usage_places(shape: Shape) -> &'static [Place] {
    match shape {
        Shape::OpenAi => &[&["usage"]],
        Shape::GeminiOne | Shape::GeminiMany => &[&["usageMetadata"]],
        Shape::Cohere | Shape::CohereOnBedrock { .. } => &[&["meta"]],
        // A number, which is not listened for: these answers are short.
        Shape::Titan | Shape::TitanText => &[&["inputTextTokenCount"]],
    }
}

/// The usage that this member's value tells; `None` where it says none.
pub fn usage_of_member(shape: Shape, value: &[u8]) -> Option<Usage> {
    match shape {
        Shape::OpenAi => openai_chat::usage_of_object(value),
        Shape::GeminiOne | Shape::GeminiMany => gemini_chat::usage_of_object(value),
        Shape::Cohere | Shape::CohereOnBedrock { .. } => cohere_chat::usage_of_meta(Node::document(value).ok()?),
        Shape::Titan | Shape::TitanText => bedrock::usage_of_count(value),
    }
}

/// The usage of a whole answer that passes as it came.
pub fn usage_of_answer(shape: Shape, body: &[u8]) -> Option<Usage> {
    match shape {
        // Found without a walk over the vectors.
        Shape::OpenAi => openai_chat::usage_of_answer(body),
        _ => usage_of_member(
            shape,
            Node::document(body).ok()?.at(usage_places(shape).first()?)?.raw(),
        ),
    }
}

/// What a request will use, counted here.
pub fn estimate(shape: Shape, body: &[u8], target_model: &str) -> Option<Estimate> {
    let request = shape.read_request(body).ok()?;
    Some(estimate_of(&request, target_model))
}

fn used(request: &Request<'_>, answer: &Answer<'_>, call: &CallFacts<'_>) -> Used {
    let of_head = call.head_tokens.map(|tokens| Usage {
        input: Some(tokens),
        ..Usage::default()
    });
    if let Some(usage) = answer.usage.or(of_head) {
        return Used {
            usage,
            estimated: false,
        };
    }
    let usage = Usage {
        input: Some(estimate_of(request, call.target_model).tokens),
        ..Usage::default()
    };
    Used { usage, estimated: true }
}

/// Token ids are counted as they are; pictures are not known here.
fn estimate_of(request: &Request<'_>, target_model: &str) -> Estimate {
    let mut counter = Counter::new(Tokenizer::of_model(target_model), DEFAULT_EXACT_BYTES);
    // 64 KiB, for the few providers that say nothing of usage.
    let mut memo = Memo::default();
    let mut ids = 0u64;
    let mut text = |text: &Text<'_>| {
        if let Some(plain) = text.plain() {
            counter.text(&mut memo, plain.as_bytes());
        }
    };
    for input in &request.inputs {
        match input {
            Input::Text(one) => text(one),
            Input::Tokens(list) => ids += list.elements().count() as u64,
            Input::Mixed(parts) => parts.iter().for_each(|part| {
                if let Part::Text(one) = part {
                    text(one);
                }
            }),
        }
    }
    counter.estimate().plus(Estimate {
        tokens: ids,
        mean_error_basis_points: 0,
    })
}
