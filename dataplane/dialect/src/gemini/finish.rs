//! Why a candidate ended, in Google's words and in ours.

use crate::{canonical::event::Reason, json::Text};

/// `called`: the candidate called a function. Google says `STOP` then too. `None`: it has not ended.
pub(super) fn read(word: &str, called: bool) -> Option<Reason<'static>> {
    Some(match word {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "STOP" if called => Reason::ToolCalls,
        "STOP" => Reason::Stop,
        "MAX_TOKENS" => Reason::Length,
        "CONTINUATION" => Reason::Paused,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "ESCALATION"
        | "MODEL_ARMOR" => Reason::Filtered,
        other => Reason::Other(Text::from(other.to_owned())),
    })
}

pub(super) const MALFORMED_CALL: &str = "MALFORMED_FUNCTION_CALL";

pub(super) fn word(reason: Option<&Reason<'_>>) -> &'static str {
    /// Words that `read` leaves as they are.
    const OTHERS: [&str; 9] = [
        MALFORMED_CALL,
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "PUP_LIMITED_DISABLED",
        "OTHER",
    ];
    match reason {
        None | Some(Reason::Stop | Reason::StopSequence(_) | Reason::ToolCalls) => "STOP",
        Some(Reason::Length) => "MAX_TOKENS",
        Some(Reason::Filtered | Reason::Refused) => "SAFETY",
        Some(Reason::Paused) => "CONTINUATION",
        Some(Reason::Other(word)) => OTHERS.iter().find(|other| word.is(other)).copied().unwrap_or("OTHER"),
    }
}
