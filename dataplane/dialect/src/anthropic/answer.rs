//! A buffered answer, read and written; and what its end has in common with a stream's.

use crate::{
    canonical::{
        answer::{Answer, AnswerPart, Choice},
        bad::BadAnswer,
        event::{Began, Event, Reason},
    },
    json::{Json, Node, Out, Text},
    speak::{CallFacts, Sink},
    usage::Usage,
};

use super::{carried, citation, fault, turns::write_input, usage};

pub(super) fn read(body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    let message = Node::document(body)?;
    let kind = message.get("type").ok_or(BadAnswer::new("it has no type"))?;
    if kind.is("error") {
        sink(&NAMELESS);
        sink(&Event::Failed(fault::in_stream(message)));
        return Ok(());
    }
    if !kind.is("message") {
        return Err(BadAnswer::new("it is no message"));
    }
    let content = message.get("content").filter(|content| content.is_array());
    let content = content.ok_or(BadAnswer::new("its content is no list"))?;
    let stop = Stop::read(message)?.ok_or(BadAnswer::new("it names no reason why it stopped"))?;
    sink(&started(message));
    let mut next_part = 0;
    let mut blocks = content.elements().peekable();
    while let Some(block) = blocks.next() {
        let part = next_part;
        if !read_block(block, part, sink)? {
            continue;
        }
        next_part += 1;
        if let Some(signature) = blocks.peek().and_then(|next| carried_signature(*next)) {
            let (choice, text) = (0, signature);
            sink(&Event::Signature { choice, part, text });
            blocks.next();
        }
        sink(&Event::Closed { choice: 0, part });
    }
    let mut total = Usage::default();
    let said = message
        .get("usage")
        .is_some_and(|usage| usage::merge_object(usage.raw(), &mut total));
    stop.emit(next_part, sink);
    if said {
        sink(&Event::Usage(total));
    }
    sink(&Event::Ended);
    Ok(())
}

pub(super) const NAMELESS: Event<'static> = Event::Started {
    id: None,
    model: None,
    created_unix_s: None,
};

pub(super) fn started(message: Node<'_>) -> Event<'_> {
    Event::Started {
        id: message.get("id").and_then(Node::text),
        model: message.get("model").and_then(Node::text),
        created_unix_s: None,
    }
}

pub(super) fn carried_signature(block: Node<'_>) -> Option<Text<'_>> {
    let redacted = block.get("type")?.is("redacted_thinking");
    carried::signature_in(&block.get("data")?.text()?).filter(|_| redacted)
}

/// What a block begins; `None` for those that are not carried.
pub(super) fn began(block: Node<'_>) -> Result<Option<Began<'_>>, BadAnswer> {
    let kind = block.get("type").and_then(Node::string);
    Ok(match kind.ok_or(BadAnswer::new("a block has no type"))?.as_ref() {
        "text" => Some(Began::Text),
        "thinking" => Some(Began::Thinking),
        "redacted_thinking" => Some(Began::Sealed { id: None }),
        "tool_use" => Some(Began::ToolCall {
            id: block.get("id").and_then(Node::text),
            name: block
                .get("name")
                .and_then(Node::text)
                .ok_or(BadAnswer::new("a tool call has no name"))?,
        }),
        _ => None,
    })
}

/// All of a block but its end; false for one that is not carried.
fn read_block(block: Node<'_>, part: u32, sink: &mut Sink<'_>) -> Result<bool, BadAnswer> {
    let choice = 0;
    let Some(what) = began(block)? else { return Ok(false) };
    let piece = match what {
        Began::Text => block.get("text").and_then(Node::text),
        Began::Thinking => block.get("thinking").and_then(Node::text),
        Began::Sealed { .. } => block.get("data").and_then(Node::text),
        // The document was proved to be UTF-8.
        Began::ToolCall { .. } => block
            .get("input")
            .and_then(|input| str::from_utf8(input.raw()).ok())
            .map(Text::from),
        Began::Refusal => None,
    };
    let text = piece.ok_or(BadAnswer::new("a block lacks its content"))?;
    sink(&Event::Began { choice, part, what });
    if !text.is_empty() {
        sink(&Event::Piece { choice, part, text });
    }
    for citation in block.get("citations").into_iter().flat_map(Node::elements) {
        if let Some(citation) = citation::read(citation) {
            sink(&Event::Citation { choice, part, citation });
        }
    }
    if let Some(text) = block
        .get("signature")
        .and_then(Node::text)
        .filter(|text| !text.is_empty())
    {
        sink(&Event::Signature { choice, part, text });
    }
    Ok(true)
}

/// Why an answer stopped, and what is said of a refusal.
#[derive(Debug)]
pub(super) struct Stop<'a> {
    reason: Reason<'a>,
    explanation: Option<Text<'a>>,
}

impl<'a> Stop<'a> {
    /// From a message, or the delta at the end of a stream; `None` where it names no reason.
    pub(super) fn read(node: Node<'a>) -> Result<Option<Stop<'a>>, BadAnswer> {
        let Some(word) = node.get("stop_reason").filter(|word| !word.is_null()) else {
            return Ok(None);
        };
        let text = word.text().ok_or(BadAnswer::new("its stop_reason is no string"))?;
        let reason = match text.plain().as_deref() {
            Some("end_turn") => Reason::Stop,
            Some("max_tokens" | "model_context_window_exceeded") => Reason::Length,
            Some("stop_sequence") => Reason::StopSequence(node.get("stop_sequence").and_then(Node::text)),
            Some("tool_use") => Reason::ToolCalls,
            Some("pause_turn") => Reason::Paused,
            Some("refusal") => Reason::Refused,
            _ => Reason::Other(text),
        };
        let explanation = node.at(&["stop_details", "explanation"]).and_then(Node::text);
        Ok(Some(Stop {
            explanation: explanation.filter(|text| reason == Reason::Refused && !text.is_empty()),
            reason,
        }))
    }

    pub(super) fn into_owned(self) -> Stop<'static> {
        Stop {
            reason: self.reason.into_owned(),
            explanation: self.explanation.map(Text::into_owned),
        }
    }

    /// The end of the choice; before it, as part `part`, what is said of a refusal.
    pub(super) fn emit(self, part: u32, sink: &mut Sink<'_>) {
        let choice = 0;
        if let Some(text) = self.explanation {
            let what = Began::Refusal;
            sink(&Event::Began { choice, part, what });
            sink(&Event::Piece { choice, part, text });
            sink(&Event::Closed { choice, part });
        }
        let reason = self.reason;
        sink(&Event::Stopped { choice, reason });
    }
}

pub(super) fn write(answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
    let none = Choice::default();
    let choice = answer.choices.first().unwrap_or(&none);
    let mut json = Out::new(out);
    json.open();
    write_head(answer.id.as_ref(), answer.model.as_ref(), call, &mut json);
    json.key("content").open_list();
    for (number, part) in (0..).zip(&choice.parts) {
        write_part(part, number, call, &mut json);
    }
    json.close_list();
    let refusal = choice.parts.iter().find(|part| part.what == Began::Refusal);
    write_stop(choice.reason.as_ref(), refusal.map(AnswerPart::text), &mut json);
    json.key("usage");
    usage::write(&answer.usage.unwrap_or_default(), &mut json);
    json.close();
}

/// The members that a message begins with.
pub(super) fn write_head(id: Option<&Text<'_>>, model: Option<&Text<'_>>, call: &CallFacts, json: &mut Out<'_>) {
    json.key("id");
    match id {
        Some(id) => json.text(id),
        None => json.string(&format!("msg_{}", call.request_id)),
    };
    json.key("type")
        .string("message")
        .key("role")
        .string("assistant")
        .key("model");
    match model {
        Some(model) => json.text(model),
        None => json.string(&call.model),
    };
}

fn write_part(part: &AnswerPart, number: u32, call: &CallFacts, json: &mut Out<'_>) {
    let text = part.text();
    match &part.what {
        // Said of the stop.
        Began::Refusal => return,
        Began::Text => {
            json.open().key("type").string("text").key("text").text(&text);
            if !part.citations.is_empty() {
                json.key("citations").open_list();
                for citation in &part.citations {
                    citation::write(citation, json);
                }
                json.close_list();
            }
        }
        Began::Thinking => {
            json.open().key("type").string("thinking").key("thinking").text(&text);
            json.key("signature")
                .text(part.signature.as_ref().unwrap_or(&Text::EMPTY));
            json.close();
            return;
        }
        Began::Sealed { .. } => {
            json.open()
                .key("type")
                .string("redacted_thinking")
                .key("data")
                .text(&text);
        }
        Began::ToolCall { id, name } => {
            json.open().key("type").string("tool_use");
            write_call_name(id.as_ref(), name, number, call, json);
            json.key("input");
            write_input(&Json::Quoted(text), json);
        }
    }
    json.close();
    if let Some(signature) = &part.signature {
        carried::write_block(json, signature);
    }
}

/// `id` and `name` of a tool call.
pub(super) fn write_call_name(
    id: Option<&Text<'_>>,
    name: &Text<'_>,
    number: u32,
    call: &CallFacts,
    json: &mut Out<'_>,
) {
    json.key("id");
    match id {
        Some(id) => json.text(id),
        None => json.string(&call.call_id(0, number)),
    };
    json.key("name").text(name);
}

/// The members that say why an answer stopped. A model that declined refused, whatever else is said of its end.
pub(super) fn write_stop(reason: Option<&Reason<'_>>, refusal: Option<Text<'_>>, json: &mut Out<'_>) {
    let reason = if refusal.is_some() {
        Some(&Reason::Refused)
    } else {
        reason
    };
    let mut sequence = None;
    let word = match reason {
        None | Some(Reason::Stop | Reason::Other(_)) => "end_turn",
        Some(Reason::StopSequence(text)) => {
            sequence = text.as_ref();
            "stop_sequence"
        }
        Some(Reason::Length) => "max_tokens",
        Some(Reason::ToolCalls) => "tool_use",
        Some(Reason::Filtered | Reason::Refused) => "refusal",
        Some(Reason::Paused) => "pause_turn",
    };
    json.key("stop_reason").string(word).key("stop_sequence");
    match sequence {
        Some(sequence) => json.text(sequence),
        None => json.null(),
    };
    if word == "refusal" {
        json.key("stop_details").open().key("type").string("refusal");
        json.key("category").null().key("explanation");
        match &refusal {
            Some(text) => json.text(text),
            None => json.null(),
        };
        json.close();
    }
}
