//! Cohere chat, version 2 (`POST /v2/chat`).
//!
//! Shapes are those of the Python SDK's types, `cohere` 7.3.1 (`types/chat_message_v2.py`, `types/tool_v2.py`,
//! `types/response_format_v2.py`, `types/thinking.py`, `types/citation.py`, `types/usage.py`,
//! `v2/types/v2chat_response.py`, `v2/types/v2chat_stream_response.py`); ranges and error bodies are those of Cohere's
//! API reference ("Chat", "Errors").
//!
//! What differs from its neighbours:
//! - `tool_plan` is read as a text part that stands right before the first tool call, and such a text is written as
//!   `tool_plan`: other dialects put a model's words before its calls there too, so the plan survives every client and
//!   comes back. A stream's writer cannot know that a call will follow, and writes such a text as content.
//! - `documents` belong to the whole request. They are read as documents at the head of the last user turn that says
//!   something, and documents of any turn are written there; a document's number (`doc:0`, `doc:1`, … in citations) is
//!   its place.
//! - Only what Cohere bills counts as usage (`usage`).

mod answer;
mod answer_writer;
mod citation;
mod documents;
mod fault;
mod finish;
mod logprobs;
mod path;
mod reader;
mod stream;
mod stream_writer;
mod tools;
mod turns;
mod turns_writer;
mod usage;
mod writer;

use tollgate_wire::json::tap::Place;
pub(crate) use usage::usage_of_meta;

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

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Cohere;

pub static SPEAKS: Cohere = Cohere;

/// An event of a stream, at most.
const MAX_EVENT_BYTES: usize = 1 << 20;

const BLOCKS: Carried = Carried::Types(&["text", "thinking"]);
const SAYS: &[Said] = &[
    Said {
        path: &["message", "content"],
        carried: BLOCKS,
    },
    Said {
        path: &["delta", "message", "content"],
        carried: BLOCKS,
    },
];

impl Speaks for Cohere {
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
        Box::new(stream::Reader::new())
    }

    fn stream_writer(&self, call: &CallFacts) -> Box<dyn WriteStream> {
        Box::new(stream_writer::Writer::new(call))
    }

    fn usage_places(&self) -> &'static [Place] {
        &[&["usage"], &["delta", "usage"]]
    }

    fn hear_usage(&self, object: &[u8], total: &mut Usage) -> bool {
        take(Node::document(object).ok().and_then(usage::read), total)
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
            Feature::TopP => "p",
            Feature::TopK => "k",
            Feature::FrequencyPenalty => "frequency_penalty",
            Feature::PresencePenalty => "presence_penalty",
            Feature::Seed => "seed",
            Feature::Stop => "stop_sequences",
            Feature::N => "n",
            Feature::Logprobs => "logprobs",
            Feature::TopLogprobs => "top_logprobs",
            Feature::LogitBias => "logit_bias",
            Feature::ParallelTools => "parallel_tool_calls",
            Feature::ToolChoice => "tool_choice",
            Feature::ToolStrict => "strict_tools",
            Feature::ToolResultError | Feature::ToolResultMedia => "messages[].content",
            Feature::Tools => "tools",
            Feature::Format => "response_format",
            Feature::Thinking => "thinking",
            Feature::Signature => "messages[].content[].thinking",
            Feature::Image => "messages[].content[].image_url",
            Feature::ImageUrl => "messages[].content[].image_url.url",
            Feature::ImageDetail => "messages[].content[].image_url.detail",
            Feature::Document | Feature::DocumentUrl => "documents",
            Feature::Audio | Feature::Video | Feature::Refusal => "messages[].content[]",
            Feature::Cache => "cache",
            Feature::Cite => "citation_options",
            Feature::ParticipantName => "messages[].name",
            Feature::Prefill | Feature::Owned => "messages",
            Feature::User => "user",
            Feature::Metadata => "metadata",
            Feature::ServiceTier => "priority",
        }
    }
}
