//! Gemini `generateContent` and `streamGenerateContent`, of the Gemini API and of Vertex, whose bodies are the same.
//!
//! Shapes are those of the Python SDK `google-genai` 3.6.1 (`types.py`, `models.py`) and of the API reference it cites.
//! Model and stream flag stand in the path. Google's JSON parser takes `snake_case` beside `camelCase`, one value where
//! a list belongs and integers as strings: so do we in requests; what is written is `camelCase`.
//!
//! Two shapes are ours, where the dialect has none:
//! - Sealed thinking is a thought without `text`: `{"thought":true,"thoughtSignature":"…"}`.
//! - A streamed thought or text is signed by an empty part of its kind behind its pieces, as Gemini itself does.

mod answer;
mod answer_writer;
mod citations;
mod config;
mod config_writer;
mod elements;
mod fault;
mod finish;
mod logprobs;
mod loose;
mod parts;
mod reader;
mod responses;
mod schema;
mod stream;
mod stream_writer;
mod tools;
mod turns;
mod usage;
mod writer;

pub(crate) use usage::usage_of_object;

use tollgate_wire::json::tap::Place;

use crate::{
    beyond::{self, Carried, Said},
    canonical::{
        answer::Answer,
        bad::{BadAnswer, BadRequest},
        fault::Fault,
        feature::{Drops, Feature},
        request::Request,
    },
    json::Node,
    speak::{CallFacts, PathFacts, ReadStream, Sink, Speaks, TargetFacts, WriteStream},
    usage::{Usage, take},
};

#[derive(Debug)]
pub struct Gemini;

pub static SPEAKS: Gemini = Gemini;

/// What stands for the signature of a call that another model made, or whose signature was lost on its way.
/// Source: Gemini API, "Thought signatures", on conversations taken over from other models.
const UNSIGNED: &str = "skip_thought_signature_validator";

const SAYS: &[Said] = &[
    Said {
        path: &["candidates", "content", "parts"],
        carried: Carried::Members(&["text", "thought", "thoughtSignature", "functionCall"]),
    },
    // What was searched for, and how that is to be shown; of it events carry the sources.
    Said {
        path: &["candidates", "groundingMetadata"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["candidates", "urlContextMetadata"],
        carried: Carried::Nothing,
    },
];

impl Speaks for Gemini {
    fn read_request<'a>(&self, body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
        reader::read(body, path)
    }

    fn write_request(
        &self,
        request: &Request<'_>,
        to: &TargetFacts<'_>,
        drops: &mut Drops,
        out: &mut Vec<u8>,
    ) -> Result<(), BadRequest> {
        writer::write(request, to, drops, out)
    }

    fn read_answer(&self, body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        answer::read(body, sink)
    }

    fn goes_beyond(&self, said: Node<'_>) -> bool {
        beyond::goes_beyond(SAYS, said)
    }

    fn write_answer(&self, answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
        answer_writer::write(answer, call, out);
    }

    fn stream_reader(&self) -> Box<dyn ReadStream> {
        Box::<stream::Reader>::default()
    }

    fn stream_writer(&self, call: &CallFacts) -> Box<dyn WriteStream> {
        Box::new(stream_writer::Writer::new(call))
    }

    fn usage_places(&self) -> &'static [Place] {
        &[&["usageMetadata"], &["error"]]
    }

    fn hear_usage(&self, object: &[u8], total: &mut Usage) -> bool {
        take(Node::document(object).ok().and_then(usage::read), total)
    }

    fn hear_failure(&self, object: &[u8]) -> Option<Fault> {
        let object = Node::document(object).ok()?;
        // What says how much was used says neither.
        let is_failure = object.get("code").or_else(|| object.get("status")).is_some();
        is_failure.then(|| fault::read_error(object, None))
    }

    fn read_fault(&self, status: u16, body: &[u8]) -> Fault {
        fault::read(status, body)
    }

    fn write_fault(&self, fault: &Fault, call: &CallFacts, out: &mut Vec<u8>) -> u16 {
        fault::write(fault, call, out)
    }

    fn field(&self, feature: Feature) -> &'static str {
        field(feature)
    }
}

fn field(feature: Feature) -> &'static str {
    match feature {
        Feature::MaxTokens => "generationConfig.maxOutputTokens",
        Feature::Temperature => "generationConfig.temperature",
        Feature::TopP => "generationConfig.topP",
        Feature::TopK => "generationConfig.topK",
        Feature::FrequencyPenalty => "generationConfig.frequencyPenalty",
        Feature::PresencePenalty => "generationConfig.presencePenalty",
        Feature::Seed => "generationConfig.seed",
        Feature::Stop => "generationConfig.stopSequences",
        Feature::N => "generationConfig.candidateCount",
        Feature::Logprobs => "generationConfig.responseLogprobs",
        Feature::TopLogprobs => "generationConfig.logprobs",
        Feature::Format => "generationConfig.responseJsonSchema",
        Feature::Thinking => "generationConfig.thinkingConfig",
        Feature::ParallelTools | Feature::ToolChoice => "toolConfig.functionCallingConfig",
        Feature::ToolStrict => "toolConfig.functionCallingConfig.mode",
        Feature::Tools => "tools",
        Feature::ToolResultError => "contents.parts.functionResponse.response.error",
        Feature::ToolResultMedia => "contents.parts.functionResponse.parts",
        Feature::Signature => "contents.parts.thoughtSignature",
        Feature::Image | Feature::Document | Feature::Audio | Feature::Video => "contents.parts.inlineData",
        Feature::ImageUrl | Feature::DocumentUrl => "contents.parts.fileData",
        Feature::ImageDetail => "contents.parts.mediaResolution",
        Feature::Owned => "cachedContent",
        Feature::ServiceTier => "serviceTier",
        Feature::Metadata | Feature::User => "labels",
        // The dialect has none of these: no request of it loses them.
        Feature::LogitBias
        | Feature::Cache
        | Feature::Cite
        | Feature::Refusal
        | Feature::ParticipantName
        | Feature::Prefill => "contents",
    }
}
