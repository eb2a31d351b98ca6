//! A provider's buffered answer, read into events.
//!
//! Order: the content's parts, the plan, the calls. A plan stands before the calls it is the plan of.

use super::{
    citation::{self, Where},
    finish::{self, Finish},
    logprobs, usage,
};
use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Began, Citation, Event},
    },
    json::{Node, Text},
    speak::Sink,
};

/// Parts of one answer, tool calls included.
pub(super) const MAX_PARTS: usize = 4_096;

/// One part, before its events go out.
struct Said<'a> {
    what: Began<'a>,
    text: Text<'a>,
    /// What a citation calls it, and its `content_index`. A call is never cited.
    place: Option<(Where, usize)>,
    citations: Vec<Citation<'a>>,
}

pub(super) fn read(body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    let root = Node::document(body)?;
    let message = root
        .get("message")
        .filter(|node| node.is_object())
        .ok_or(BadAnswer::new("it has no message"))?;
    let mut parts = read_parts(message)?;
    let calls = read_calls(message)?;
    if parts.len() + calls.len() > MAX_PARTS {
        return Err(BadAnswer::new("it has too many parts"));
    }
    read_citations(message, &mut parts);
    let called = !calls.is_empty();
    parts.extend(calls);
    sink(&Event::Started {
        id: root.get("id").and_then(Node::text),
        model: None,
        created_unix_s: None,
    });
    let spoken = parts.iter().position(|part| part.what == Began::Text);
    for (part, said) in (0..).zip(&parts) {
        // Log probabilities are of what was spoken, and the plan's are not given.
        let items = root.get("logprobs").filter(|_| spoken == Some(part as usize));
        give(part, said, items, sink);
    }
    let usage = root.get("usage").and_then(usage::read);
    match finish::read(root.get("finish_reason"), None, called) {
        Finish::Stopped(reason) => {
            sink(&Event::Stopped { choice: 0, reason });
            usage.into_iter().for_each(|usage| sink(&Event::Usage(usage)));
            sink(&Event::Ended);
        }
        Finish::Failed(fault) => {
            usage.into_iter().for_each(|usage| sink(&Event::Usage(usage)));
            sink(&Event::Failed(fault));
        }
    }
    Ok(())
}

fn give(part: u32, said: &Said<'_>, logprobs: Option<Node<'_>>, sink: &mut Sink<'_>) {
    let what = said.what.clone();
    sink(&Event::Began { choice: 0, part, what });
    if !said.text.is_empty() {
        let text = said.text.clone();
        sink(&Event::Piece { choice: 0, part, text });
    }
    for citation in &said.citations {
        sink(&Event::Citation {
            choice: 0,
            part,
            citation: citation.clone(),
        });
    }
    if let Some(items) = logprobs {
        logprobs::read(items, |tokens| {
            sink(&Event::Logprobs {
                choice: 0,
                part,
                tokens,
            })
        });
    }
    sink(&Event::Closed { choice: 0, part });
}

fn read_parts(message: Node<'_>) -> Result<Vec<Said<'_>>, BadAnswer> {
    let said = |what, text, place, index| Said {
        what,
        text,
        place: Some((place, index)),
        citations: Vec::new(),
    };
    let mut parts = Vec::new();
    if let Some(content) = message.get("content") {
        if let Some(text) = content.text() {
            parts.push(said(Began::Text, text, Where::Text, 0));
        }
        for (index, part) in content.elements().enumerate() {
            let (key, what, place) = match part.get("type").and_then(Node::string).as_deref() {
                Some("text") => ("text", Began::Text, Where::Text),
                Some("thinking") => ("thinking", Began::Thinking, Where::Thinking),
                _ => continue,
            };
            let text = part.get(key).and_then(Node::text);
            let text = text.ok_or(BadAnswer::new("a part of its content has no text"))?;
            parts.push(said(what, text, place, index));
        }
    }
    let plan = message.get("tool_plan").and_then(Node::text);
    if let Some(plan) = plan.filter(|plan| !plan.is_empty()) {
        parts.push(said(Began::Text, plan, Where::Plan, 0));
    }
    Ok(parts)
}

fn read_calls(message: Node<'_>) -> Result<Vec<Said<'_>>, BadAnswer> {
    let calls = message.get("tool_calls").into_iter().flat_map(Node::elements);
    calls
        .map(|call| {
            let arguments = call.at(&["function", "arguments"]).and_then(Node::text);
            Ok(Said {
                what: read_call(call)?,
                text: arguments.unwrap_or(Text::EMPTY),
                place: None,
                citations: Vec::new(),
            })
        })
        .collect()
}

/// A tool call's id and name.
pub(super) fn read_call(call: Node<'_>) -> Result<Began<'_>, BadAnswer> {
    let name = call.at(&["function", "name"]).and_then(Node::text);
    Ok(Began::ToolCall {
        id: call.get("id").and_then(Node::text).filter(|id| !id.is_empty()),
        name: name.ok_or(BadAnswer::new("a tool call has no name"))?,
    })
}

/// Gives each citation to its part: the one that `content_index` names, else the first of its kind.
fn read_citations<'a>(message: Node<'a>, parts: &mut [Said<'a>]) {
    for cited in message.get("citations").into_iter().flat_map(Node::elements) {
        let kind = Where::of(cited);
        let index = cited.get("content_index").and_then(Node::unsigned);
        let named = |part: &Said<'_>| {
            part.place
                .is_some_and(|(place, at)| place == kind && Some(at as u64) == index)
        };
        let of_kind = |part: &Said<'_>| part.place.is_some_and(|(place, _)| place == kind);
        // Content is a few parts (`MAX_PARTS` bounds it): the search is short.
        let place = parts.iter().position(named).or_else(|| parts.iter().position(of_kind));
        if let Some(part) = place.and_then(|place| parts.get_mut(place)) {
            citation::read(cited, |citation| part.citations.push(citation));
        }
    }
}
