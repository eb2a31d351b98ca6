//! Anthropic messages: requests, answers, streams and errors, both ways.
//!
//! Shapes are those of the official Python SDK `anthropic` 2.13.0 (`types/message_create_params.py`,
//! `types/content_block*.py`, `types/raw_message_*_event.py`, `types/shared/error_*.py`). `temperature`, `top_p` and
//! `top_k`, which that version no longer names, are as older models take them. What only Anthropic can run (server
//! tools, MCP servers, containers) is not carried.

mod answer;
mod blocks;
mod carried;
mod citation;
mod document;
mod fault;
mod framed;
mod path;
mod plan;
mod reader;
mod settings;
mod stream;
mod stream_writer;
mod tools;
mod turns;
mod usage;
mod writer;

pub use framed::{FRAMED, Framed, Unwrapper, frame};
pub use usage::{read_event, usage_of_answer, usage_of_object};

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
    usage::Usage,
};

/// `POST /v1/messages`.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

pub static SPEAKS: Anthropic = Anthropic;

const BLOCKS: Carried = Carried::Types(&["text", "thinking", "redacted_thinking", "tool_use"]);
/// Of others it is not carried where in the source it stands.
const SOURCES: Carried = Carried::Types(&["char_location", "page_location"]);
const SAYS: &[Said] = &[
    Said {
        path: &["content"],
        carried: BLOCKS,
    },
    Said {
        path: &["content_block"],
        carried: BLOCKS,
    },
    // Where a provider's own tools ran.
    Said {
        path: &["container"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["message", "container"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["delta", "container"],
        carried: Carried::Nothing,
    },
    // What was cleared of the conversation before it was read.
    Said {
        path: &["context_management", "applied_edits"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["message", "context_management", "applied_edits"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["content", "citations"],
        carried: SOURCES,
    },
    Said {
        path: &["content_block", "citations"],
        carried: SOURCES,
    },
    Said {
        path: &["delta", "citation"],
        carried: SOURCES,
    },
];

impl Speaks for Anthropic {
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
        Box::new(stream::Reader::new())
    }

    fn stream_writer(&self, call: &CallFacts) -> Box<dyn WriteStream> {
        Box::new(stream_writer::Writer::new(call))
    }

    fn usage_places(&self) -> &'static [Place] {
        &[&["usage"], &["message", "usage"]]
    }

    fn hear_usage(&self, object: &[u8], total: &mut Usage) -> bool {
        usage::merge_object(object, total)
    }

    fn read_fault(&self, status: u16, body: &[u8]) -> Fault {
        fault::read(status, body)
    }

    fn write_fault(&self, fault: &Fault, call: &CallFacts, out: &mut Vec<u8>) -> u16 {
        fault::write(fault, call, out)
    }

    fn field(&self, feature: Feature) -> &'static str {
        match feature {
            Feature::MaxTokens => "max_tokens",
            Feature::Temperature => "temperature",
            Feature::TopP => "top_p",
            Feature::TopK => "top_k",
            Feature::FrequencyPenalty => "frequency_penalty",
            Feature::PresencePenalty => "presence_penalty",
            Feature::Seed => "seed",
            Feature::Stop => "stop_sequences",
            Feature::N => "n",
            Feature::Logprobs => "logprobs",
            Feature::TopLogprobs => "top_logprobs",
            Feature::LogitBias => "logit_bias",
            Feature::ParallelTools => "tool_choice.disable_parallel_tool_use",
            Feature::ToolChoice => "tool_choice",
            Feature::ToolStrict => "tools.strict",
            Feature::ToolResultError => "messages.content.is_error",
            Feature::Tools => "tools",
            Feature::Format => "output_config.format",
            Feature::Thinking => "thinking",
            Feature::Signature => "messages.content.signature",
            Feature::Image => "messages.content.image",
            Feature::ImageUrl => "messages.content.source.url",
            Feature::ImageDetail => "messages.content.image.detail",
            Feature::Document => "messages.content.document",
            Feature::DocumentUrl => "messages.content.document.source.url",
            Feature::Audio => "messages.content.audio",
            Feature::Video => "messages.content.video",
            Feature::ToolResultMedia => "messages.content.tool_result.content",
            Feature::Cache => "cache_control",
            Feature::Cite => "messages.content.citations",
            Feature::Refusal => "messages.content.refusal",
            Feature::ParticipantName => "messages.name",
            Feature::Prefill => "messages.role",
            Feature::User => "metadata.user_id",
            Feature::Metadata => "metadata",
            Feature::ServiceTier => "service_tier",
            Feature::Owned => "messages.content.source.file_id",
        }
    }
}
