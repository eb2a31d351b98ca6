//! OpenAI Responses: `POST /v1/responses`, buffered and streamed.
//!
//! Shapes are those of the types in OpenAI's Python SDK 3.57.0 (`types/responses`). What they have no place for:
//! a signature on thinking stands in a reasoning item's `encrypted_content` behind `SIGNATURE_MARK`; one on a tool call
//! or a text stands in `extra_content.google.thought_signature`, Google's own place for it in OpenAI's shapes.
//!
//! An answer's parts are grouped into items: texts and refusals in a row are one message, thoughts in a row and what
//! seals them one reasoning item, each call its own.

mod annotations;
mod answer;
mod content;
mod fault;
mod layout;
mod logprobs;
mod progress;
mod reader;
mod stream;
mod stream_writer;
mod usage;
mod writer;

pub(crate) use content::data_url;
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

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiResponses;

/// Begins an `encrypted_content` that is the signature of the item's last thought. No base64 has a colon.
const SIGNATURE_MARK: &str = "sig:";
/// Begins the id of a reasoning item that this gateway named: no provider knows it, so it is read as none.
const OUR_REASONING_ID: &str = "rs_tg_";
/// Where Google puts a thought's signature in OpenAI's shapes.
const SIGNATURE_PATH: [&str; 3] = ["extra_content", "google", "thought_signature"];

const ITEMS: Carried = Carried::Types(&["message", "reasoning", "function_call"]);
/// Of others the file is not carried.
const SOURCES: Carried = Carried::Types(&["url_citation"]);
const SAYS: &[Said] = &[
    Said {
        path: &["output"],
        carried: ITEMS,
    },
    Said {
        path: &["item"],
        carried: ITEMS,
    },
    Said {
        path: &["output", "content", "annotations"],
        carried: SOURCES,
    },
    Said {
        path: &["item", "content", "annotations"],
        carried: SOURCES,
    },
    Said {
        path: &["annotation"],
        carried: SOURCES,
    },
];

impl Speaks for OpenAiResponses {
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
        &[&["usage"], &["response", "usage"]]
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

    /// OpenAI's models begin a new message.
    fn goes_on_with_turns(&self) -> bool {
        false
    }

    fn field(&self, feature: Feature) -> &'static str {
        match feature {
            Feature::MaxTokens => "max_output_tokens",
            Feature::Temperature => "temperature",
            Feature::TopP => "top_p",
            Feature::TopK => "top_k",
            Feature::FrequencyPenalty => "frequency_penalty",
            Feature::PresencePenalty => "presence_penalty",
            Feature::Seed => "seed",
            Feature::Stop => "stop",
            Feature::N => "n",
            Feature::Logprobs => "include",
            Feature::TopLogprobs => "top_logprobs",
            Feature::LogitBias => "logit_bias",
            Feature::ParallelTools => "parallel_tool_calls",
            Feature::ToolChoice => "tool_choice",
            Feature::ToolStrict => "tools[].strict",
            Feature::ToolResultError | Feature::ToolResultMedia => "input[].output",
            Feature::Tools => "tools",
            Feature::Format => "text.format",
            Feature::Thinking => "reasoning",
            Feature::Signature => "input[].encrypted_content",
            Feature::Image | Feature::ImageUrl => "input[].content[].image_url",
            Feature::ImageDetail => "input[].content[].detail",
            Feature::Document => "input[].content[].file_data",
            Feature::DocumentUrl => "input[].content[].file_url",
            Feature::Audio => "input[].content[].input_audio",
            Feature::Video => "input[].content[]",
            Feature::Cache => "input[].content[].prompt_cache_breakpoint",
            Feature::Cite => "include",
            Feature::Refusal => "input[].content[].refusal",
            Feature::ParticipantName => "input[].name",
            Feature::Prefill => "input",
            Feature::User => "safety_identifier",
            Feature::Metadata => "metadata",
            Feature::ServiceTier => "service_tier",
            Feature::Owned => "previous_response_id",
        }
    }
}
