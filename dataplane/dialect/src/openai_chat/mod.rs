//! OpenAI chat completions, and what servers that call themselves compatible make of it.
//!
//! Shapes are those of the Python SDK's types, `openai` 3.57.0. What is not there and is read or written all the same:
//! `reasoning_content` (DeepSeek, vLLM), `reasoning` and `reasoning_details` (OpenRouter), a thought's signature in
//! `extra_content.google.thought_signature` (Google's compatible endpoint), `cache_control` on parts, messages and
//! tools (OpenRouter, LiteLLM), `top_k`.

mod annotation;
mod answer;
mod calls;
mod extra;
mod fault;
mod finish;
mod glance;
mod reader;
mod saying;
mod stream;
mod stream_writer;
mod telling;
mod usage;
mod writer;

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

pub use usage::{Chunk, read_chunk, usage_of_answer, usage_of_object};

#[derive(Clone, Copy, Debug)]
pub struct OpenAiChat;

pub static SPEAKS: OpenAiChat = OpenAiChat;

/// What a choice says that events carry. Search engines say their finds beside the choices.
const MEMBERS: Carried = Carried::Members(&[
    "role",
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "annotations",
    "tool_calls",
    "function_call",
    "extra_content",
]);
const SAYS: &[Said] = &[
    Said {
        path: &["choices", "message"],
        carried: MEMBERS,
    },
    Said {
        path: &["choices", "delta"],
        carried: MEMBERS,
    },
    Said {
        path: &["choices", "message", "content"],
        carried: Carried::Types(&["text", "thinking"]),
    },
    Said {
        path: &["choices", "delta", "content"],
        carried: Carried::Types(&["text", "thinking"]),
    },
    Said {
        path: &["choices", "message", "tool_calls"],
        carried: Carried::Types(&["function"]),
    },
    Said {
        path: &["choices", "message", "annotations"],
        carried: Carried::Types(&["url_citation"]),
    },
    Said {
        path: &["choices", "delta", "tool_calls"],
        carried: Carried::Types(&["function"]),
    },
    Said {
        path: &["choices", "delta", "annotations"],
        carried: Carried::Types(&["url_citation"]),
    },
    Said {
        path: &["citations"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["search_results"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["images"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["videos"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["related_questions"],
        carried: Carried::Nothing,
    },
    // What vLLM gives to who asks for tokens.
    Said {
        path: &["choices", "token_ids"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["prompt_token_ids"],
        carried: Carried::Nothing,
    },
    Said {
        path: &["prompt_logprobs"],
        carried: Carried::Nothing,
    },
];

impl Speaks for OpenAiChat {
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

    fn is_plain(&self, body: &[u8]) -> bool {
        glance::is_plain(body)
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
        &[&["usage"], &["x_groq", "usage"]]
    }

    fn hear_usage(&self, object: &[u8], total: &mut Usage) -> bool {
        take(usage::usage_of_object(object), total)
    }

    fn read_fault(&self, status: u16, body: &[u8]) -> Fault {
        fault::read(status, body)
    }

    fn write_fault(&self, fault: &Fault, _call: &CallFacts, out: &mut Vec<u8>) -> u16 {
        fault::write(fault, out)
    }

    /// OpenAI's models begin a new message, and servers of the dialect want members for it that no two share.
    fn goes_on_with_turns(&self) -> bool {
        false
    }

    fn field(&self, feature: Feature) -> &'static str {
        field(feature)
    }
}

fn field(feature: Feature) -> &'static str {
    match feature {
        Feature::MaxTokens => "max_completion_tokens",
        Feature::Temperature => "temperature",
        Feature::TopP => "top_p",
        Feature::TopK => "top_k",
        Feature::FrequencyPenalty => "frequency_penalty",
        Feature::PresencePenalty => "presence_penalty",
        Feature::Seed => "seed",
        Feature::Stop => "stop",
        Feature::N => "n",
        Feature::Logprobs => "logprobs",
        Feature::TopLogprobs => "top_logprobs",
        Feature::LogitBias => "logit_bias",
        Feature::ParallelTools => "parallel_tool_calls",
        Feature::ToolChoice => "tool_choice",
        Feature::ToolStrict => "tools.function.strict",
        // The dialect has no flag for it: it can only be another's.
        Feature::ToolResultError => "messages.is_error",
        Feature::Tools => "tools",
        Feature::Format => "response_format",
        Feature::Thinking => "reasoning_effort",
        Feature::Signature => "messages.reasoning_details",
        Feature::Image => "messages.content.image_url",
        Feature::ImageUrl => "messages.content.image_url.url",
        Feature::ImageDetail => "messages.content.image_url.detail",
        Feature::Document => "messages.content.file",
        Feature::DocumentUrl => "messages.content.file.file_data",
        Feature::Audio => "messages.content.input_audio",
        Feature::Video => "messages.content.video_url",
        Feature::ToolResultMedia => "messages.content",
        Feature::Cache => "messages.content.cache_control",
        Feature::Cite => "messages.content.citations",
        Feature::Refusal => "messages.refusal",
        Feature::ParticipantName => "messages.name",
        Feature::Prefill => "messages",
        Feature::User => "user",
        Feature::Metadata => "metadata",
        Feature::ServiceTier => "service_tier",
        Feature::Owned => "messages.content.file.file_id",
    }
}
