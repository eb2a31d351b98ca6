//! A buffered answer, read from a provider and written to a client.

use super::{citation, stop, usage};
use crate::{
    canonical::{
        answer::{Answer, AnswerPart},
        bad::BadAnswer,
        event::{Began, Event},
    },
    json::{Json, Node, Out, Text},
    speak::{CallFacts, Sink},
};

pub(super) fn read(body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    let root = Node::document(body)?;
    let message = root.at(&["output", "message"]).filter(|message| message.is_object());
    let message = message.ok_or(BadAnswer::new("it has no output.message"))?;
    let word = root.get("stopReason").and_then(Node::text);
    let word = word.ok_or(BadAnswer::new("it has no stopReason"))?;
    sink(&Event::Started {
        id: None,
        model: None,
        created_unix_s: None,
    });
    let mut part = 0;
    for block in message.get("content").into_iter().flat_map(Node::elements) {
        let Some((name, value)) = block.members().find(|(_, value)| !value.is_null()) else {
            continue;
        };
        // Blocks that are no part of the answer to a client of any dialect are passed over.
        part += u32::from(read_block(&name, value, part, sink)?);
    }
    let reason = stop::read(word, root.get("additionalModelResponseFields"));
    sink(&Event::Stopped { choice: 0, reason });
    if let Some(usage) = root.get("usage").and_then(usage::read) {
        sink(&Event::Usage(usage));
    }
    sink(&Event::Ended);
    Ok(())
}

/// Says whether the block is a part.
fn read_block(name: &str, value: Node<'_>, part: u32, sink: &mut Sink<'_>) -> Result<bool, BadAnswer> {
    match name {
        "text" => {
            let text = value.text().ok_or(BadAnswer::new("a text block is no string"))?;
            whole(part, Began::Text, text, None, sink);
        }
        "toolUse" => {
            if value.get("type").is_some_and(|kind| kind.is("server_tool_use")) {
                // Called and answered at the provider.
                return Ok(false);
            }
            let text = |name: &str| value.get(name).and_then(Node::text);
            let name = text("name").ok_or(BadAnswer::new("a toolUse block has no name"))?;
            let began = Began::ToolCall {
                id: text("toolUseId"),
                name,
            };
            whole(part, began, arguments(value.get("input")), None, sink);
        }
        "reasoningContent" => {
            if let Some(thought) = value.get("reasoningText") {
                let text = thought.get("text").and_then(Node::text).unwrap_or(Text::EMPTY);
                let signature = thought.get("signature").and_then(Node::text);
                whole(part, Began::Thinking, text, signature, sink);
            } else if let Some(data) = value.get("redactedContent").and_then(Node::text) {
                whole(part, Began::Sealed { id: None }, data, None, sink);
            } else {
                return Ok(false);
            }
        }
        "citationsContent" => read_cited(value, part, sink),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The text of a tool call's arguments; a string is the text that was no JSON (see `write_arguments`).
fn arguments(input: Option<Node<'_>>) -> Text<'_> {
    match input {
        None => Text::from("{}"),
        Some(input) => input
            .text()
            .or_else(|| str::from_utf8(input.raw()).ok().map(Text::from))
            .unwrap_or(Text::EMPTY),
    }
}

/// A part that comes at once.
fn whole(part: u32, what: Began<'_>, text: Text<'_>, signature: Option<Text<'_>>, sink: &mut Sink<'_>) {
    let choice = 0;
    sink(&Event::Began { choice, part, what });
    if !text.is_empty() {
        sink(&Event::Piece { choice, part, text });
    }
    if let Some(text) = signature {
        sink(&Event::Signature { choice, part, text });
    }
    sink(&Event::Closed { choice, part });
}

fn read_cited(value: Node<'_>, part: u32, sink: &mut Sink<'_>) {
    let choice = 0;
    let what = Began::Text;
    sink(&Event::Began { choice, part, what });
    for element in value.get("content").into_iter().flat_map(Node::elements) {
        if let Some(text) = element.get("text").and_then(Node::text) {
            sink(&Event::Piece { choice, part, text });
        }
    }
    for cited in value.get("citations").into_iter().flat_map(Node::elements) {
        let citation = citation::read(cited);
        sink(&Event::Citation { choice, part, citation });
    }
    sink(&Event::Closed { choice, part });
}

/// Writes the first choice: the dialect knows no second, and its clients ask for none.
pub(super) fn write(answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
    let choice = answer.choices.first();
    let reason = choice.and_then(|choice| choice.reason.as_ref());
    let mut json = Out::new(out);
    json.open().key("output").open().key("message").open();
    json.key("role").string("assistant").key("content").open_list();
    for (index, part) in choice.iter().flat_map(|choice| &choice.parts).enumerate() {
        write_part(part, call, index as u32, &mut json);
    }
    json.close_list().close().close();
    json.key("stopReason");
    match reason {
        Some(reason) => json.text(&stop::word(reason)),
        None => json.string("end_turn"),
    };
    if let Some(sequence) = stop::sequence(reason) {
        write_stop_sequence(sequence, &mut json);
    }
    json.key("usage");
    usage::write(answer.usage.as_ref(), &mut json);
    write_metrics(&mut json);
    json.close();
}

pub(super) fn write_stop_sequence(sequence: &Text<'_>, json: &mut Out<'_>) {
    json.key("additionalModelResponseFields").open();
    json.key("stop_sequence").text(sequence).close();
}

/// They must be there; what the provider took is not known here.
pub(super) fn write_metrics(json: &mut Out<'_>) {
    json.key("metrics").open().key("latencyMs").unsigned(0).close();
}

fn write_part(part: &AnswerPart, call: &CallFacts, index: u32, json: &mut Out<'_>) {
    match &part.what {
        Began::Text | Began::Refusal if !part.citations.is_empty() => {
            json.open().key("citationsContent").open().key("content").open_list();
            json.open().key("text").text(&part.text()).close().close_list();
            json.key("citations").open_list();
            for cited in &part.citations {
                citation::write(cited, json);
            }
            json.close_list().close().close();
        }
        // A text that says nothing would be refused when the client sends it back.
        Began::Text | Began::Refusal if part.text().is_empty() => {}
        Began::Text | Began::Refusal => {
            json.open().key("text").text(&part.text()).close();
        }
        Began::Thinking => {
            json.open().key("reasoningContent").open().key("reasoningText").open();
            json.key("text").text(&part.text());
            if let Some(signature) = &part.signature {
                json.key("signature").text(signature);
            }
            json.close().close().close();
        }
        Began::Sealed { .. } => {
            json.open().key("reasoningContent").open();
            json.key("redactedContent").text(&part.text()).close().close();
        }
        Began::ToolCall { id, name } => {
            json.open().key("toolUse").open().key("toolUseId");
            match id {
                Some(id) => json.text(id),
                None => json.string(&call.call_id(0, index)),
            };
            json.key("name").text(name).key("input");
            write_arguments(&part.text(), json);
            json.close().close();
        }
    }
}

/// Arguments that are no JSON object (a model cut short) are said as they are, in a string: the member holds any JSON.
fn write_arguments(text: &Text<'_>, json: &mut Out<'_>) {
    match Json::Quoted(text.clone()).object() {
        Ok(object) => json.raw(&object),
        Err(_) => json.text(text),
    };
}
