//! A buffered answer, read and written.

use crate::{
    canonical::{
        answer::{Answer, AnswerPart, Choice},
        bad::BadAnswer,
        event::{Began, Reason},
    },
    json::{Node, Out, Text},
    speak::{CallFacts, Sink},
};

use super::{
    annotation, extra,
    finish::{self, Seen},
    telling::Telling,
    usage,
};

pub(super) fn read(body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    let mut telling = Telling::default();
    telling.take(Node::document(body)?, sink)?;
    telling.end(sink)
}

pub(super) fn write(answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
    let mut json = Out::new(out);
    json.open();
    write_head(
        &mut json,
        "chat.completion",
        (answer.id.as_ref(), answer.model.as_ref()),
        answer.created_unix_s,
        call,
    );
    json.key("choices").open_list();
    for (index, choice) in (0..).zip(&answer.choices) {
        write_choice(index, choice, call, &mut json);
    }
    json.close_list();
    if let Some(usage) = &answer.usage {
        json.key("usage");
        usage::write(usage, &mut json);
    }
    json.close();
}

/// The members that an answer and its chunks begin with, into an open object.
pub(super) fn write_head(
    json: &mut Out<'_>,
    object: &str,
    (id, model): (Option<&Text<'_>>, Option<&Text<'_>>),
    created_unix_s: Option<u64>,
    call: &CallFacts,
) {
    json.key("id");
    match id {
        Some(id) => json.text(id),
        None => json.string(&format!("chatcmpl-{}", call.request_id)),
    };
    json.key("object").string(object);
    json.key("created").unsigned(created_unix_s.unwrap_or(call.now_unix_s));
    json.key("model");
    match model {
        Some(model) => json.text(model),
        None => json.string(&call.model),
    };
}

fn write_choice(index: u32, choice: &Choice, call: &CallFacts, json: &mut Out<'_>) {
    let seen = Seen {
        calls: of(choice, is_call).next().is_some(),
        refusal: of(choice, is_refusal).next().is_some(),
    };
    json.open().key("index").unsigned(index.into());
    json.key("message").open().key("role").string("assistant");
    write_content(choice, seen, json);
    write_thoughts(choice, json);
    write_annotations(choice, json);
    write_calls(index, choice, call, json);
    json.close().key("logprobs");
    write_logprobs(choice, json);
    let reason = choice.reason.as_ref().unwrap_or(&Reason::Stop);
    json.key("finish_reason").string(finish::word(reason, seen)).close();
}

/// Is a part of a kind?
type Is = fn(&Began<'_>) -> bool;

fn of(choice: &Choice, is: Is) -> impl Iterator<Item = &AnswerPart> {
    choice.parts.iter().filter(move |part| is(&part.what))
}

fn is_text(what: &Began<'_>) -> bool {
    matches!(what, Began::Text)
}

fn is_refusal(what: &Began<'_>) -> bool {
    matches!(what, Began::Refusal)
}

fn is_call(what: &Began<'_>) -> bool {
    matches!(what, Began::ToolCall { .. })
}

fn is_thought(what: &Began<'_>) -> bool {
    matches!(what, Began::Thinking | Began::Sealed { .. })
}

/// Texts are one here. Without any, the content is null where something else was said, and empty else.
fn write_content(choice: &Choice, seen: Seen, json: &mut Out<'_>) {
    json.key("content");
    match of(choice, is_text).next() {
        None if seen.calls || seen.refusal => {
            json.null();
        }
        _ => write_joined(choice, is_text, json),
    }
    json.key("refusal");
    match seen.refusal {
        true => write_joined(choice, is_refusal, json),
        false => {
            json.null();
        }
    }
    if let Some(signature) = of(choice, is_text).filter_map(|part| part.signature.as_ref()).last() {
        extra::write_signature(json, signature);
    }
}

fn write_joined(choice: &Choice, is: Is, json: &mut Out<'_>) {
    json.raw(b"\"");
    for part in of(choice, is) {
        part.text().write_escaped(json.bytes);
    }
    json.bytes.push(b'"');
}

/// The one text of what was thought, and the list where it was signed, sealed, or said in several pieces.
fn write_thoughts(choice: &Choice, json: &mut Out<'_>) {
    let is_thinking = |what: &Began<'_>| matches!(what, Began::Thinking);
    if of(choice, is_thinking).any(|part| !part.text().is_empty()) {
        json.key("reasoning_content");
        write_joined(choice, is_thinking, json);
    }
    let sealed = of(choice, is_thought).any(|part| part.signature.is_some() || !is_thinking(&part.what));
    if !sealed && of(choice, is_thought).nth(1).is_none() {
        return;
    }
    json.key("reasoning_details").open_list();
    for (index, part) in (0..).zip(of(choice, is_thought)) {
        json.open().key("type");
        match &part.what {
            Began::Sealed { id } => {
                json.string("reasoning.encrypted").key("data").text(&part.text());
                if let Some(id) = id {
                    json.key("id").text(id);
                }
            }
            _ => {
                json.string("reasoning.text").key("text").text(&part.text());
                if let Some(signature) = &part.signature {
                    json.key("signature").text(signature);
                }
            }
        }
        json.key("index").unsigned(index).close();
    }
    json.close_list();
}

fn write_annotations(choice: &Choice, json: &mut Out<'_>) {
    if !of(choice, is_text).any(|part| part.citations.iter().any(annotation::is_told)) {
        return;
    }
    json.key("annotations").open_list();
    let mut begin = 0;
    for part in of(choice, is_text) {
        let end = begin + annotation::characters(&part.text());
        for citation in &part.citations {
            annotation::write(citation, (begin, end), None, json);
        }
        begin = end;
    }
    json.close_list();
}

fn write_calls(index: u32, choice: &Choice, call: &CallFacts, json: &mut Out<'_>) {
    let mut opened = false;
    for (number, part) in (0..).zip(&choice.parts) {
        let Began::ToolCall { id, name } = &part.what else {
            continue;
        };
        if !opened {
            json.key("tool_calls").open_list();
            opened = true;
        }
        json.open().key("id");
        match id {
            Some(id) => json.text(id),
            None => json.string(&call.call_id(index, number)),
        };
        json.key("type").string("function");
        json.key("function").open();
        json.key("name").text(name).key("arguments");
        // Clients parse it: a call without arguments has an empty object.
        match part.text() {
            text if text.is_empty() => json.string("{}"),
            text => json.text(&text),
        };
        json.close();
        if let Some(signature) = &part.signature {
            extra::write_signature(json, signature);
        }
        json.close();
    }
    if opened {
        json.close_list();
    }
}

fn write_logprobs(choice: &Choice, json: &mut Out<'_>) {
    if choice.parts.iter().all(|part| part.logprobs.is_empty()) {
        json.null();
        return;
    }
    json.open();
    for (key, is) in [("content", is_text as Is), ("refusal", is_refusal)] {
        json.key(key);
        if of(choice, is).all(|part| part.logprobs.is_empty()) {
            json.null();
            continue;
        }
        json.open_list();
        for part in of(choice, is).filter(|part| !part.logprobs.is_empty()) {
            json.raw(&part.logprobs);
        }
        json.close_list();
    }
    json.close();
}
