//! The response object: read as the events it stands for, and written whole or as a stream repeats it.

use super::{fault, layout, layout::Layout, progress::Progress, usage};
use crate::{
    canonical::{
        answer::{Answer, AnswerPart},
        bad::BadAnswer,
        event::{Began, Event, Reason},
        fault::Fault,
    },
    json::{Node, Out, Text},
    speak::{CallFacts, Sink},
};

pub(super) fn read(body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    let response = Node::document(body)?;
    let mut progress = Progress::default();
    let error = response.get("error").filter(|error| error.is_object());
    let output = response.get("output").filter(|output| output.is_array());
    let status = response.get("status").and_then(Node::string);
    match (status.as_deref(), output, error) {
        (Some("completed" | "incomplete") | None, Some(_), None) => progress.complete(response, sink),
        (Some("failed" | "cancelled"), _, _) | (_, _, Some(_)) => {
            progress.fail(response, sink);
            Ok(())
        }
        (Some("in_progress" | "queued"), _, _) => Err(BadAnswer::new("the response is not finished")),
        _ => Err(BadAnswer::new("it is not a response object")),
    }
}

pub(super) fn write(answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
    let parts = parts(answer);
    let layout = Layout::of(parts, call);
    let stage = match &answer.fault {
        Some(fault) => Stage::Failed(fault),
        None => Stage::Over,
    };
    response(answer, &layout, stage, call, &mut Out::new(out));
}

/// How far a response has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage<'s> {
    Begun,
    Over,
    Failed(&'s Fault),
}

/// This dialect has one choice.
pub(super) fn parts(answer: &Answer) -> &[AnswerPart] {
    answer.choices.first().map_or(&[], |choice| choice.parts.as_slice())
}

/// How the answer ended: the status, and why it is incomplete.
pub(super) fn outcome(answer: &Answer) -> (&'static str, Option<Text<'_>>) {
    let refused = || parts(answer).iter().any(|part| part.what == Began::Refusal);
    let why = match answer.choices.first().and_then(|choice| choice.reason.as_ref()) {
        None | Some(Reason::Stop | Reason::StopSequence(_) | Reason::ToolCalls) => None,
        Some(Reason::Refused) if refused() => None,
        Some(Reason::Length) => Some(Text::from("max_output_tokens")),
        Some(Reason::Filtered | Reason::Refused) => Some(Text::from("content_filter")),
        Some(Reason::Paused) => Some(Text::from("paused")),
        Some(Reason::Other(word)) => Some(word.clone()),
    };
    match why {
        None => ("completed", None),
        why => ("incomplete", why),
    }
}

/// The whole object. What the request said is not known here: those members have the values that say nothing.
pub(super) fn response(answer: &Answer, layout: &Layout, stage: Stage<'_>, call: &CallFacts, out: &mut Out<'_>) {
    let created = answer.created_unix_s.unwrap_or(call.now_unix_s);
    let (status, incomplete) = match stage {
        Stage::Begun => ("in_progress", None),
        Stage::Over => outcome(answer),
        Stage::Failed(_) => ("failed", None),
    };
    out.open().key("id");
    match &answer.id {
        Some(id) => out.text(id),
        None => out.string(&format!("resp_{}", call.request_id)),
    };
    out.key("object").string("response").key("created_at").unsigned(created);
    out.key("status").string(status).key("background").boolean(false);
    out.key("completed_at");
    match status {
        "completed" => out.unsigned(created.max(call.now_unix_s)),
        _ => out.null(),
    };
    out.key("error");
    match stage {
        Stage::Failed(fault) => fault::write_response_error(fault, out),
        _ => {
            out.null();
        }
    }
    out.key("incomplete_details");
    match &incomplete {
        Some(reason) => out.open().key("reason").text(reason).close(),
        None => out.null(),
    };
    out.key("instructions")
        .null()
        .key("max_output_tokens")
        .null()
        .key("model");
    match &answer.model {
        Some(model) => out.text(model),
        None => out.string(&call.model),
    };
    out.key("output").open_list();
    for (number, item) in layout.items.iter().enumerate() {
        let last = number + 1 == layout.items.len();
        let cut = last && status == "incomplete";
        let status = item.status.unwrap_or(if cut { "incomplete" } else { "completed" });
        layout::write(item, status, parts(answer), call, out);
    }
    out.close_list();
    write_unknown(out);
    out.key("usage");
    match &answer.usage {
        Some(usage) => usage::write(usage, out),
        None => {
            out.null();
        }
    }
    out.key("user").null().key("metadata").open().close().close();
}

/// The members that repeat the request, as far as types demand them.
fn write_unknown(out: &mut Out<'_>) {
    out.key("parallel_tool_calls").boolean(true);
    out.key("previous_response_id").null();
    out.key("reasoning").raw(br#"{"effort":null,"summary":null}"#);
    out.key("store").boolean(false).key("temperature").null();
    out.key("text").raw(br#"{"format":{"type":"text"}}"#);
    out.key("tool_choice").string("auto").key("tools").raw(b"[]");
    out.key("top_p").null().key("truncation").string("disabled");
}

/// Why a response ended that its status calls complete, or not.
pub(super) fn reason(response: Node<'_>, called: bool, refused: bool) -> Event<'_> {
    let incomplete = response.at(&["incomplete_details", "reason"]).and_then(Node::text);
    let is_incomplete = response.get("status").is_some_and(|status| status.is("incomplete"));
    let reason = match incomplete {
        Some(word) if word.is("max_output_tokens") => Reason::Length,
        Some(word) if word.is("content_filter") => Reason::Filtered,
        Some(word) => Reason::Other(word),
        None if is_incomplete => Reason::Other(Text::from("incomplete")),
        None if called => Reason::ToolCalls,
        None if refused => Reason::Refused,
        None => Reason::Stop,
    };
    Event::Stopped { choice: 0, reason }
}
