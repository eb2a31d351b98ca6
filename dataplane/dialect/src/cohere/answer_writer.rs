//! A buffered answer, written for a client.
//!
//! One choice: Cohere has no more. The text right before the first tool call is the plan.

use super::{
    citation::{self, Cited, Place, Where},
    finish, logprobs, usage,
};
use crate::{
    canonical::{
        answer::{Answer, AnswerPart, Choice},
        event::Began,
    },
    json::{Out, Text},
    speak::CallFacts,
};

pub(super) fn write(answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
    let empty = Choice::default();
    let choice = answer.choices.first().unwrap_or(&empty);
    let mut json = Out::new(out);
    json.open().key("id");
    match &answer.id {
        Some(id) => json.text(id),
        None => json.string(&call.request_id),
    };
    let reason = finish::word(choice.reason.as_ref(), answer.fault.as_ref());
    json.key("finish_reason").text(&reason);
    json.key("message").open().key("role").string("assistant");
    let plan = plan_at(&choice.parts);
    write_content(&choice.parts, plan, &mut json);
    if let Some(plan) = plan.and_then(|plan| choice.parts.get(plan)) {
        json.key("tool_plan").text(&plan.text());
    }
    write_calls(&choice.parts, call, &mut json);
    write_citations(&choice.parts, plan, &mut json);
    json.close();
    if let Some(used) = &answer.usage {
        usage::write(used, &mut json);
    }
    if choice.parts.iter().any(|part| !part.logprobs.is_empty()) {
        json.key("logprobs").open_list();
        let spoken = choice.parts.iter().filter(|part| !part.logprobs.is_empty());
        spoken.for_each(|part| logprobs::write_gathered(&part.logprobs, &mut json));
        json.close_list();
    }
    json.close();
}

/// See `turns_writer`: the same rule holds for a request's assistant turns.
fn plan_at(parts: &[AnswerPart]) -> Option<usize> {
    let is_call = |part: &AnswerPart| matches!(part.what, Began::ToolCall { .. });
    let before = parts.iter().position(is_call)?.checked_sub(1)?;
    (parts[before].what == Began::Text && !parts[before].text().is_empty()).then_some(before)
}

/// The name of the member that holds a content part's text; `None` for what is no content.
pub(super) fn content_key(what: &Began<'_>) -> Option<&'static str> {
    match what {
        Began::Text | Began::Refusal => Some("text"),
        Began::Thinking => Some("thinking"),
        Began::Sealed { .. } | Began::ToolCall { .. } => None,
    }
}

/// The parts that are content, by their place in it.
fn content(parts: &[AnswerPart], plan: Option<usize>) -> impl Iterator<Item = (&AnswerPart, &'static str)> {
    parts
        .iter()
        .enumerate()
        .filter(move |(at, _)| Some(*at) != plan)
        .filter_map(|(_, part)| Some((part, content_key(&part.what)?)))
}

fn write_content(parts: &[AnswerPart], plan: Option<usize>, json: &mut Out<'_>) {
    if content(parts, plan).next().is_none() {
        return;
    }
    json.key("content").open_list();
    for (part, key) in content(parts, plan) {
        json.open().key("type").string(key);
        json.key(key).text(&part.text()).close();
    }
    json.close_list();
}

fn write_calls(parts: &[AnswerPart], call: &CallFacts, json: &mut Out<'_>) {
    let calls = (0u32..).zip(parts);
    let mut calls = calls
        .filter_map(|(at, part)| match &part.what {
            Began::ToolCall { id, name } => Some((at, part, id, name)),
            _ => None,
        })
        .peekable();
    if calls.peek().is_none() {
        return;
    }
    json.key("tool_calls").open_list();
    for (at, part, id, name) in calls {
        json.open().key("id");
        match id {
            Some(id) => json.text(id),
            None => json.string(&call.call_id(0, at)),
        };
        json.key("type").string("function");
        json.key("function").open().key("name").text(name);
        // Clients parse it: a call without arguments has an object without members.
        let arguments = match part.text() {
            text if text.is_empty() => Text::from("{}"),
            text => text,
        };
        json.key("arguments").text(&arguments).close().close();
    }
    json.close_list();
}

fn write_citations(parts: &[AnswerPart], plan: Option<usize>, json: &mut Out<'_>) {
    if parts.iter().all(|part| part.citations.is_empty()) {
        return;
    }
    json.key("citations").open_list();
    for (index, (part, key)) in (0u64..).zip(content(parts, plan)) {
        let what = if key == "thinking" {
            Where::Thinking
        } else {
            Where::Text
        };
        write_part_citations(part, what, Some(index), json);
    }
    if let Some(plan) = plan.and_then(|plan| parts.get(plan)) {
        write_part_citations(plan, Where::Plan, None, json);
    }
    json.close_list();
}

fn write_part_citations(part: &AnswerPart, what: Where, content_index: Option<u64>, json: &mut Out<'_>) {
    if part.citations.is_empty() {
        return;
    }
    let mut text = Cited::default();
    text.push(&part.text());
    let place = Place {
        what,
        content_index,
        text: &text,
    };
    citation::of_one_place(&part.citations).for_each(|citations| citation::write(citations, &place, json));
}
