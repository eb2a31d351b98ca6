//! The word for why an answer ended.

use crate::{
    canonical::{
        event::Reason,
        fault::{Fault, FaultKind},
    },
    json::Node,
};

/// What else of a choice tells why it ended: servers say `stop` of calls and refusals too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub calls: bool,
    pub refusal: bool,
}

/// `word` is `finish_reason`, where there is one.
pub(super) fn read<'a>(word: Option<Node<'a>>, seen: Seen) -> Reason<'a> {
    let Some(text) = word.and_then(Node::text) else {
        return stopped(seen);
    };
    match text.plain().as_deref() {
        // `eos` and `eos_token`: text-generation servers.
        Some("stop" | "eos" | "eos_token") => stopped(seen),
        Some("length" | "max_tokens" | "model_length") => Reason::Length,
        Some("tool_calls" | "function_call") => Reason::ToolCalls,
        Some("content_filter") => Reason::Filtered,
        Some("stop_sequence") => Reason::StopSequence(None),
        _ => Reason::Other(text.clone()),
    }
}

/// Words that say that the answer is not whole, and the provider at fault.
pub(super) fn broken_off(word: Node<'_>) -> Option<Fault> {
    let kind = match word.string().as_deref() {
        Some("error") => FaultKind::Internal,
        // DeepSeek.
        Some("insufficient_system_resource") => FaultKind::Overloaded,
        _ => return None,
    };
    Some(Fault::in_stream(kind, "the provider broke its answer off"))
}

fn stopped(seen: Seen) -> Reason<'static> {
    match seen {
        Seen { calls: true, .. } => Reason::ToolCalls,
        Seen { refusal: true, .. } => Reason::Refused,
        _ => Reason::Stop,
    }
}

/// Typed clients take these words and no other.
pub(super) fn word(reason: &Reason<'_>, seen: Seen) -> &'static str {
    match reason {
        Reason::Stop | Reason::StopSequence(_) | Reason::Other(_) => "stop",
        // The client asks again to go on in both cases.
        Reason::Length | Reason::Paused => "length",
        Reason::ToolCalls => "tool_calls",
        Reason::Filtered => "content_filter",
        // A refusal that is told in words of its own ends as any answer does.
        Reason::Refused if seen.refusal => "stop",
        Reason::Refused => "content_filter",
    }
}
