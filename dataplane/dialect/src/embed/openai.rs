//! `POST /v1/embeddings`. Source: the `openai` Python SDK 3.57.0, `types/embedding_create_params.py` and
//! `types/create_embedding_response.py`.
//!
//! `input_type`, which OpenAI has not, is read as well: servers of the same API take it (NVIDIA NIM), and without it no
//! caller could say what its vectors are for.

use super::{
    CallFacts,
    canonical::{Answer, Feature, Form, Input, Lost, ONLY_TEXT, Part, Purpose, Refused, Request, Truncate},
    cohere,
    vector::Vector,
};
use crate::{
    canonical::bad::{BadAnswer, BadRequest, once},
    json::{Node, Out},
    openai_chat,
    speak::TargetFacts,
    usage::Usage,
};

pub(super) fn field(feature: Feature) -> &'static str {
    match feature {
        Feature::Inputs => "input",
        Feature::Purpose => "input_type",
        Feature::Title => "title",
        Feature::Dimensions => "dimensions",
        Feature::Truncate => "truncate",
        Feature::MaxTokens => "max_tokens",
        Feature::Forms => "encoding_format",
        Feature::User => "user",
    }
}

pub(super) fn read_request(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    let mut request = Request::default();
    let mut input = None;
    for (key, value) in Node::document(body)?.members() {
        match &*key {
            "model" => {}
            "input" => once(&mut input, value, "input", value)?,
            "dimensions" if !value.is_null() => {
                once(
                    &mut request.dimensions,
                    unsigned(value, "dimensions")?,
                    "dimensions",
                    value,
                )?;
            }
            "encoding_format" if !value.is_null() => request.forms = vec![form(value)?],
            "input_type" if !value.is_null() => request.purpose = Some(purpose(value)?),
            "user" if !value.is_null() => {
                let user = value
                    .text()
                    .ok_or_else(|| BadRequest::field("user", "must be a string", value))?;
                once(&mut request.user, user, "user", value)?;
            }
            _ => request.leave_unread(key, value),
        }
    }
    if let Some(input) = input {
        read_input(input, &mut request)?;
    }
    request.checked("input")
}

/// A text, tokens, or a list of either.
fn read_input<'a>(input: Node<'a>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    const WRONG: &str = "must be a string, a list of strings, a list of token ids, or a list of such lists";
    if let Some(text) = input.text() {
        return request.push(Input::Text(text), "input", input);
    }
    if !input.is_array() {
        return Err(BadRequest::field("input", WRONG, input));
    }
    if input.elements().next().is_some_and(|first| first.number().is_some()) {
        check_tokens(input, input, WRONG)?;
        return request.push(Input::Tokens(input), "input", input);
    }
    for element in input.elements() {
        let one = match element.text() {
            Some(text) => Input::Text(text),
            None if element.is_array() => {
                check_tokens(element, element, WRONG)?;
                Input::Tokens(element)
            }
            None => return Err(BadRequest::field("input", WRONG, element)),
        };
        request.push(one, "input", element)?;
    }
    Ok(())
}

fn check_tokens(list: Node<'_>, at: Node<'_>, wrong: &'static str) -> Result<(), BadRequest> {
    match list.elements().all(|id| id.unsigned().is_some()) {
        true => Ok(()),
        false => Err(BadRequest::field("input", wrong, at)),
    }
}

fn unsigned(value: Node<'_>, name: &'static str) -> Result<u64, BadRequest> {
    let number = value.unsigned().filter(|&number| number > 0);
    number.ok_or_else(|| BadRequest::field(name, "must be a whole number above zero", value))
}

fn form(value: Node<'_>) -> Result<Form, BadRequest> {
    let form = value.string().and_then(|name| Form::of_name(&name));
    form.filter(|form| matches!(form, Form::Float | Form::Base64))
        .ok_or_else(|| BadRequest::field("encoding_format", "must be 'float' or 'base64'", value))
}

/// Cohere's words, and the two that NVIDIA has.
fn purpose(value: Node<'_>) -> Result<Purpose, BadRequest> {
    let name = value.string().unwrap_or_default();
    match &*name {
        "query" => Ok(Purpose::Query),
        "passage" | "document" => Ok(Purpose::Document),
        name => cohere::purpose(name).ok_or_else(|| {
            let wrong = "must be 'search_query', 'search_document', 'classification' or 'clustering'";
            BadRequest::field("input_type", wrong, value)
        }),
    }
}

pub(super) fn write_request(
    request: &Request<'_>,
    part: &[Input<'_>],
    to: &TargetFacts<'_>,
    lost: &mut Lost,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    lost.note_if(Feature::Purpose, request.purpose.is_some());
    lost.note_if(Feature::Title, request.title.is_some());
    lost.note_if(Feature::MaxTokens, request.max_tokens.is_some());
    // What is too long is refused here.
    let truncates = matches!(request.truncate, Some(Truncate::Start | Truncate::End));
    lost.note_if(Feature::Truncate, truncates);
    request.note_forms(lost)?;
    let mut json = Out::new(out);
    json.open().key("model").string(to.model);
    json.key("input").open_list();
    for input in part {
        match input {
            Input::Text(text) => json.text(text),
            Input::Tokens(list) => json.raw(list.raw()),
            Input::Mixed(parts) => match parts.as_slice() {
                [Part::Text(text)] => json.text(text),
                _ => return Err(ONLY_TEXT),
            },
        };
    }
    json.close_list();
    // A third of the bytes that numbers take, and exact.
    json.key("encoding_format").string("base64");
    if let Some(dimensions) = request.dimensions {
        json.key("dimensions").unsigned(dimensions);
    }
    if let Some(user) = &request.user {
        json.key("user").text(user);
    }
    json.close();
    Ok(())
}

pub(super) fn read_answer<'a>(body: &'a [u8], expected: usize, answer: &mut Answer<'a>) -> Result<(), BadAnswer> {
    const NO_VECTORS: BadAnswer = BadAnswer::new("it has no list 'data' of embeddings");
    const BAD_INDEX: BadAnswer = BadAnswer::new("an embedding's index is none of the inputs', or stands twice");
    let document = Node::document(body)?;
    let data = document.get("data").filter(|data| data.is_array()).ok_or(NO_VECTORS)?;
    let mut places: Vec<Option<Vector<'a>>> = Vec::new();
    places.resize_with(expected, || None);
    for (position, item) in data.elements().enumerate() {
        let (mut index, mut vector) = (position, None);
        for (key, value) in item.members() {
            match &*key {
                "index" => {
                    index = value
                        .unsigned()
                        .and_then(|index| usize::try_from(index).ok())
                        .ok_or(BAD_INDEX)?
                }
                "embedding" => vector = Some(Vector::of(value)?),
                _ => {}
            }
        }
        let place = places.get_mut(index).filter(|place| place.is_none()).ok_or(BAD_INDEX)?;
        *place = Some(vector.ok_or(NO_VECTORS)?);
    }
    answer.floats.extend(places.into_iter().flatten());
    answer.model = answer.model.take().or_else(|| document.get("model")?.text());
    answer.add_usage(openai_chat::usage_of_answer(body));
    Ok(())
}

pub(super) fn write_answer(
    request: &Request<'_>,
    answer: &Answer<'_>,
    (call, usage): (&CallFacts<'_>, &Usage),
    out: &mut Vec<u8>,
) -> Result<(), BadAnswer> {
    let as_base64 = request.forms.contains(&Form::Base64);
    let mut json = Out::new(out);
    json.open().key("object").string("list");
    json.key("data").open_list();
    for (index, vector) in answer.floats.iter().enumerate() {
        json.open().key("object").string("embedding");
        json.key("index").unsigned(index as u64);
        json.key("embedding");
        match as_base64 {
            true => vector.write_base64(&mut json)?,
            false => vector.write_numbers(&mut json)?,
        }
        json.close();
    }
    json.close_list().key("model");
    match &answer.model {
        Some(model) => json.text(model),
        None => json.string(call.model),
    };
    let tokens = usage.all_input();
    json.key("usage").open();
    json.key("prompt_tokens").unsigned(tokens);
    json.key("total_tokens").unsigned(tokens).close();
    json.close();
    Ok(())
}
