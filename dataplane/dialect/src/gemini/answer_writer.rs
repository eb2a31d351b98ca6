//! A buffered answer to a client, and what a streamed one has in common with it.

use super::{
    citations::{self, Places},
    finish, logprobs,
    loose::one_line,
    usage,
};
use crate::{
    canonical::{
        answer::{Answer, Choice},
        event::{Began, Reason},
    },
    json::{Json, Out, Text},
    speak::CallFacts,
};

pub(super) fn write(answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
    let mut json = Out::new(out);
    json.open().key("candidates").open_list();
    for (index, choice) in (0..).zip(&answer.choices) {
        write_candidate(index, choice, &mut json);
    }
    json.close_list();
    if let Some(said) = &answer.usage {
        usage::write(said, json.key("usageMetadata"));
    }
    write_origin(answer.model.as_ref(), answer.id.as_ref(), call, &mut json);
    json.close();
}

/// Who answered, and which answer it is.
pub(super) fn write_origin(model: Option<&Text<'_>>, id: Option<&Text<'_>>, call: &CallFacts, json: &mut Out<'_>) {
    json.key("modelVersion");
    match model {
        Some(model) => json.text(model),
        None => json.string(&call.model),
    };
    json.key("responseId");
    match id {
        Some(id) => json.text(id),
        None => json.string(&call.request_id),
    };
}

fn write_candidate(index: u64, choice: &Choice, json: &mut Out<'_>) {
    let mut list = Vec::new();
    let mut parts = Out::new(&mut list);
    let (mut written, mut is_malformed) = (0, false);
    let (mut cited, mut tokens) = (Vec::new(), Vec::new());
    parts.open_list();
    for part in &choice.parts {
        let text = part.text();
        if !part.citations.is_empty() {
            let places = Places::of(&text);
            cited.extend(
                part.citations
                    .iter()
                    .map(|citation| places.place(written, citation.clone())),
            );
        }
        if !part.logprobs.is_empty() {
            let comma: &[u8] = if tokens.is_empty() { b"" } else { b"," };
            tokens.extend_from_slice(comma);
            tokens.extend_from_slice(&part.logprobs);
        }
        match write_part(&part.what, &text, part.signature.as_ref(), &mut parts) {
            Written::Part => written += 1,
            Written::Nothing => {}
            Written::Malformed => is_malformed = true,
        }
    }
    let reason = choice.reason.as_ref();
    let is_filtered = matches!(reason, Some(Reason::Filtered | Reason::Refused));
    json.open();
    if written > 0 || !is_filtered {
        if written == 0 {
            // The SDK's chats take a content without parts for no answer.
            parts.raw(br#"{"text":""}"#);
        }
        parts.close_list();
        json.key("content")
            .open()
            .key("parts")
            .raw(&list)
            .key("role")
            .string("model")
            .close();
    }
    let word = if is_malformed {
        finish::MALFORMED_CALL
    } else {
        finish::word(reason)
    };
    json.key("finishReason").string(word).key("index").unsigned(index);
    citations::write(&cited, json);
    logprobs::write(&tokens, json);
    json.close();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Part,
    /// The part says nothing.
    Nothing,
    /// The model's arguments are no JSON object, which is all that the dialect can carry.
    Malformed,
}

/// Appends a whole part.
pub(super) fn write_part(
    what: &Began<'_>,
    text: &Text<'_>,
    signature: Option<&Text<'_>>,
    json: &mut Out<'_>,
) -> Written {
    match what {
        Began::Text | Began::Refusal | Began::Thinking if text.is_empty() && signature.is_none() => {
            return Written::Nothing;
        }
        Began::Text | Began::Refusal => {
            json.open().key("text").text(text);
        }
        Began::Thinking => {
            json.open().key("text").text(text).key("thought").boolean(true);
        }
        // A part has one signature, which here is the matter itself.
        Began::Sealed { .. } => {
            json.open()
                .key("thought")
                .boolean(true)
                .key("thoughtSignature")
                .text(text)
                .close();
            return Written::Part;
        }
        Began::ToolCall { id, name } => {
            let quoted = Json::Quoted(text.clone());
            let Ok(arguments) = quoted.object() else {
                return Written::Malformed;
            };
            json.open().key("functionCall").open();
            if let Some(id) = id {
                json.key("id").text(id);
            }
            json.key("name")
                .text(name)
                .key("args")
                .raw(&one_line(&arguments))
                .close();
        }
    }
    if let Some(signature) = signature {
        json.key("thoughtSignature").text(signature);
    }
    json.close();
    Written::Part
}
