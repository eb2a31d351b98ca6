//! Why an answer ended: `finish_reason`.

use crate::{
    canonical::{
        event::Reason,
        fault::{Fault, FaultKind},
    },
    json::{Node, Text},
};

/// How an answer ends: a reason of the model's, or a failure that came with status 200.
pub(super) enum Finish<'a> {
    Stopped(Reason<'a>),
    Failed(Fault),
}

/// `error` is the message that may stand beside the reason in a stream.
pub(super) fn read<'a>(reason: Option<Node<'a>>, error: Option<Node<'_>>, called: bool) -> Finish<'a> {
    let failed = |kind, otherwise: &str| {
        let message = error.and_then(Node::string).filter(|message| !message.is_empty());
        Finish::Failed(Fault::in_stream(
            kind,
            message.map_or_else(|| otherwise.to_owned(), Into::into),
        ))
    };
    let Some(text) = reason.and_then(Node::text) else {
        return match error.is_some_and(|error| !error.is_null()) {
            true => failed(FaultKind::Internal, "the generation failed"),
            false if called => Finish::Stopped(Reason::ToolCalls),
            false => Finish::Stopped(Reason::Stop),
        };
    };
    let stopped = match text.plain().as_deref() {
        Some("COMPLETE") => Reason::Stop,
        Some("STOP_SEQUENCE") => Reason::StopSequence(None),
        // The older word for the model's own limit.
        Some("MAX_TOKENS" | "ERROR_LIMIT") => Reason::Length,
        Some("TOOL_CALL") => Reason::ToolCalls,
        Some("ERROR_TOXIC") => Reason::Filtered,
        Some("ERROR") => return failed(FaultKind::Internal, "the generation failed"),
        Some("TIMEOUT") => return failed(FaultKind::Timeout, "the generation took too long"),
        _ => Reason::Other(text),
    };
    Finish::Stopped(stopped)
}

/// The SDK's type of the reason is open: words that only other providers have are said as they are.
pub(super) fn word(reason: Option<&Reason<'_>>, fault: Option<&Fault>) -> Text<'static> {
    let word = match (reason, fault.map(|fault| fault.kind)) {
        (_, Some(FaultKind::Timeout)) => "TIMEOUT",
        (_, Some(_)) => "ERROR",
        (Some(Reason::StopSequence(_)), _) => "STOP_SEQUENCE",
        (Some(Reason::Length), _) => "MAX_TOKENS",
        (Some(Reason::ToolCalls), _) => "TOOL_CALL",
        (Some(Reason::Filtered), _) => "ERROR_TOXIC",
        (Some(Reason::Paused), _) => "PAUSED",
        (Some(Reason::Other(word)), _) => return word.clone().into_owned(),
        (Some(Reason::Stop | Reason::Refused) | None, None) => "COMPLETE",
    };
    Text::from(word)
}
