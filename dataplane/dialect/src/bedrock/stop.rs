//! Why an answer ended, in Bedrock's words.

use crate::{
    canonical::event::Reason,
    json::{Node, Text},
};

/// Reads `stopReason`, and which sequence it was from what the model said beside it.
pub(super) fn read<'a>(word: Text<'a>, model_fields: Option<Node<'a>>) -> Reason<'a> {
    match word.plain().as_deref() {
        Some("end_turn") => Reason::Stop,
        Some("tool_use") => Reason::ToolCalls,
        Some("max_tokens" | "model_context_window_exceeded") => Reason::Length,
        Some("stop_sequence") => {
            let sequence = model_fields.and_then(|fields| fields.get("stop_sequence"));
            Reason::StopSequence(sequence.and_then(Node::text))
        }
        Some("guardrail_intervened" | "content_filtered") => Reason::Filtered,
        Some("refusal") => Reason::Refused,
        _ => Reason::Other(word),
    }
}

/// The word for `reason`. Words of other dialects go through as they are: clients take words they do not know.
pub(super) fn word<'r>(reason: &'r Reason<'_>) -> Text<'r> {
    Text::from(match reason {
        // A pause has no word here; the answer so far stands by itself.
        Reason::Stop | Reason::Paused => "end_turn",
        Reason::StopSequence(_) => "stop_sequence",
        Reason::Length => "max_tokens",
        Reason::ToolCalls => "tool_use",
        Reason::Filtered | Reason::Refused => "content_filtered",
        Reason::Other(word) => return word.clone(),
    })
}

/// The sequence, to be written as the model's own field.
pub(super) fn sequence<'r>(reason: Option<&'r Reason<'_>>) -> Option<&'r Text<'r>> {
    match reason {
        Some(Reason::StopSequence(sequence)) => sequence.as_ref(),
        _ => None,
    }
}
