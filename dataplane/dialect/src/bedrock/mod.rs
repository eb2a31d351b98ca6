//! Bedrock Converse and ConverseStream.
//!
//! Shapes are those of the service model of `botocore` 1.44.8 (`bedrock-runtime`, 2023-09-30). Model and operation
//! stand in the path. What a vendor's models have beyond Converse's common part goes into
//! `additionalModelRequestFields` (see `extras`). Streams are AWS event streams of JSON events.

mod answer;
mod citation;
mod extras;
mod fault;
mod formats;
mod path;
mod reader;
mod stop;
mod stream;
mod stream_writer;
mod usage;
mod vendor;
mod writer;

pub use fault::error_type;
pub(crate) use stream::{broken, fault_of};
pub(crate) use stream_writer::write_failed;

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
pub struct Bedrock;

pub static SPEAKS: Bedrock = Bedrock;

const SAYS: &[Said] = &[
    Said {
        path: &["output", "message", "content"],
        carried: Carried::Members(&["text", "toolUse", "reasoningContent", "citationsContent"]),
    },
    Said {
        path: &["start"],
        carried: Carried::Members(&["toolUse"]),
    },
    Said {
        path: &["delta"],
        carried: Carried::Members(&["text", "toolUse", "reasoningContent", "citation"]),
    },
    // Not those of the provider's own.
    Said {
        path: &["output", "message", "content", "toolUse"],
        carried: Carried::Types(&["tool_use"]),
    },
    Said {
        path: &["start", "toolUse"],
        carried: Carried::Types(&["tool_use"]),
    },
    Said {
        path: &["additionalModelResponseFields"],
        carried: Carried::Members(&["stop_sequence"]),
    },
    Said {
        path: &["trace"],
        carried: Carried::Nothing,
    },
];

impl Speaks for Bedrock {
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
        answer::write(answer, call, out);
    }

    fn stream_reader(&self) -> Box<dyn ReadStream> {
        Box::new(stream::Reader::default())
    }

    fn stream_writer(&self, call: &CallFacts) -> Box<dyn WriteStream> {
        Box::new(stream_writer::Writer::new(call.clone()))
    }

    fn usage_places(&self) -> &'static [Place] {
        &[&["usage"]]
    }

    fn hear_usage(&self, object: &[u8], total: &mut Usage) -> bool {
        take(Node::document(object).ok().and_then(usage::read), total)
    }

    fn read_fault(&self, status: u16, body: &[u8]) -> Fault {
        fault::read(status, body)
    }

    fn write_fault(&self, fault: &Fault, _call: &CallFacts, out: &mut Vec<u8>) -> u16 {
        fault::write(fault, out)
    }

    fn fault_header(&self, fault: &Fault) -> Option<(&'static str, &'static str)> {
        Some(("x-amzn-errortype", fault::error_type(fault)))
    }

    fn field(&self, feature: Feature) -> &'static str {
        field(feature)
    }
}

/// Features that Converse has no word for are named by the member that vendors' own parameters go into.
fn field(feature: Feature) -> &'static str {
    match feature {
        Feature::MaxTokens => "inferenceConfig.maxTokens",
        Feature::Temperature => "inferenceConfig.temperature",
        Feature::TopP => "inferenceConfig.topP",
        Feature::Stop => "inferenceConfig.stopSequences",
        Feature::TopK => "additionalModelRequestFields.top_k",
        Feature::Thinking => "additionalModelRequestFields.thinking",
        Feature::FrequencyPenalty
        | Feature::PresencePenalty
        | Feature::Seed
        | Feature::N
        | Feature::Logprobs
        | Feature::TopLogprobs
        | Feature::LogitBias
        | Feature::ParallelTools
        | Feature::User => "additionalModelRequestFields",
        Feature::Tools => "toolConfig.tools",
        Feature::ToolChoice => "toolConfig.toolChoice",
        Feature::ToolStrict => "toolConfig.tools.toolSpec.strict",
        Feature::ToolResultError => "messages.content.toolResult.status",
        Feature::ToolResultMedia => "messages.content.toolResult.content",
        Feature::Format => "outputConfig.textFormat",
        Feature::Signature => "messages.content.reasoningContent",
        Feature::Image | Feature::ImageDetail => "messages.content.image",
        Feature::ImageUrl => "messages.content.image.source.s3Location",
        Feature::Document => "messages.content.document",
        Feature::DocumentUrl => "messages.content.document.source.s3Location",
        Feature::Audio => "messages.content.audio",
        Feature::Video => "messages.content.video",
        Feature::Cache => "messages.content.cachePoint",
        Feature::Cite => "messages.content.document.citations",
        Feature::Refusal => "messages.content.text",
        Feature::ParticipantName => "messages.role",
        Feature::Prefill => "messages",
        Feature::Metadata => "requestMetadata",
        Feature::ServiceTier => "serviceTier",
        Feature::Owned => "messages.content",
    }
}
