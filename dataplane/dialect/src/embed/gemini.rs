//! `:embedContent` and `:batchEmbedContents`. Source: the `google-genai` Python SDK 3.6.1, `types.py` (`EmbedContentConfig`,
//! `EmbedContentResponse`) and `models.py` (`_EmbedContentParametersPrivate_to_mldev`). Members may be written in either
//! case, as everywhere in Google's JSON.

use std::borrow::Cow;

use super::canonical::{Answer, Feature, Input, Lost, NO_TOKENS, Part, Purpose, Refused, Request, Truncate};
use super::vector::Vector;
use crate::{
    canonical::bad::{BadAnswer, BadRequest, once},
    gemini,
    json::{Node, Out, Text},
    speak::TargetFacts,
    usage::Usage,
};

pub(super) fn field(feature: Feature) -> &'static str {
    match feature {
        Feature::Inputs => "content",
        Feature::Purpose => "taskType",
        Feature::Title => "title",
        Feature::Dimensions => "outputDimensionality",
        Feature::Truncate => "autoTruncate",
        Feature::MaxTokens => "maxTokens",
        Feature::Forms => "embeddingTypes",
        Feature::User => "user",
    }
}

const PURPOSES: [(&str, Purpose); 8] = [
    ("RETRIEVAL_QUERY", Purpose::Query),
    ("RETRIEVAL_DOCUMENT", Purpose::Document),
    ("CLASSIFICATION", Purpose::Classification),
    ("CLUSTERING", Purpose::Clustering),
    ("SEMANTIC_SIMILARITY", Purpose::Similarity),
    ("QUESTION_ANSWERING", Purpose::QuestionAnswering),
    ("FACT_VERIFICATION", Purpose::FactVerification),
    ("CODE_RETRIEVAL_QUERY", Purpose::CodeQuery),
];

pub(super) fn read_one(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    let mut request = Request::default();
    let one = read_content(Node::document(body)?, &mut request)?;
    if let Some((input, at)) = one {
        request.push(input, "content", at)?;
    }
    request.checked("content")
}

/// The settings stand in each of the requests, and the other dialects have them once: they must be the same.
pub(super) fn read_many(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    let mut request = Request::default();
    let mut list = None;
    for (key, value) in Node::document(body)?.members() {
        match &*key {
            "requests" => once(&mut list, value, "requests", value)?,
            _ => request.leave_unread(key, value),
        }
    }
    let list = list.filter(|list| list.is_array());
    for (index, element) in list.into_iter().flat_map(Node::elements).enumerate() {
        let mut settings = Request::default();
        let Some((input, at)) = read_content(element, &mut settings)? else {
            let wrong = format!("has no content in its entry {index}");
            return Err(BadRequest::field("requests", wrong, element));
        };
        for name in settings.unread.drain(..) {
            request.note_unread(name);
        }
        if index == 0 {
            settings.unread = std::mem::take(&mut request.unread);
            request = settings;
        } else if !same_settings(&request, &settings) {
            let wrong =
                format!("has other settings in its entry {index} than in the first, which no other dialect can say");
            return Err(BadRequest::field("requests", wrong, element));
        }
        request.push(input, "requests", at)?;
    }
    request.checked("requests")
}

fn same_settings(one: &Request<'_>, other: &Request<'_>) -> bool {
    let settings = |request: &Request<'_>| (request.purpose, request.dimensions, request.truncate);
    settings(one) == settings(other) && one.title == other.title
}

/// What is embedded, and the settings beside it.
fn read_content<'a>(node: Node<'a>, request: &mut Request<'a>) -> Result<Option<(Input<'a>, Node<'a>)>, BadRequest> {
    let mut content = None;
    for (key, value) in node.members() {
        match &*key {
            // The path has it.
            "model" => {}
            "content" => once(&mut content, (read_parts(value, request)?, value), "content", value)?,
            "taskType" | "task_type" if !value.is_null() => {
                if let Some(purpose) = read_purpose(value)? {
                    once(&mut request.purpose, purpose, "taskType", value)?;
                }
            }
            "title" if !value.is_null() => {
                let title = value
                    .text()
                    .ok_or_else(|| BadRequest::field("title", "must be a string", value))?;
                once(&mut request.title, title, "title", value)?;
            }
            "outputDimensionality" | "output_dimensionality" if !value.is_null() => {
                let number = value.unsigned().filter(|&number| number > 0);
                let wrong = "must be a whole number above zero";
                let number = number.ok_or_else(|| BadRequest::field("outputDimensionality", wrong, value))?;
                once(&mut request.dimensions, number, "outputDimensionality", value)?;
            }
            "autoTruncate" | "auto_truncate" if !value.is_null() => {
                request.truncate = match value.boolean() {
                    Some(true) => Some(Truncate::End),
                    Some(false) => Some(Truncate::None),
                    None => return Err(BadRequest::field("autoTruncate", "must be true or false", value)),
                };
            }
            _ => request.leave_unread(key, value),
        }
    }
    Ok(content)
}

fn read_purpose(value: Node<'_>) -> Result<Option<Purpose>, BadRequest> {
    let name = value.string().unwrap_or_default();
    if name == "TASK_TYPE_UNSPECIFIED" {
        return Ok(None);
    }
    let found = PURPOSES.iter().find(|(known, _)| *known == name);
    found.map(|(_, purpose)| Some(*purpose)).ok_or_else(|| {
        let known: Vec<&str> = PURPOSES.iter().map(|(name, _)| *name).collect();
        BadRequest::field("taskType", format!("must be one of {}", known.join(", ")), value)
    })
}

fn read_parts<'a>(content: Node<'a>, request: &mut Request<'a>) -> Result<Input<'a>, BadRequest> {
    let wrong = |at: Node<'_>, what: &'static str| BadRequest::field("content.parts", what, at);
    let parts = content.get("parts").filter(|parts| parts.is_array());
    let parts = parts.ok_or_else(|| wrong(content, "must be a list of parts"))?;
    let mut read = Vec::new();
    for part in parts.elements() {
        let mut one = None;
        for (key, value) in part.members() {
            match &*key {
                "text" => one = value.text().map(Part::Text),
                "inlineData" | "inline_data" => one = read_inline(value),
                _ => request.leave_unread(Cow::Owned(format!("content.parts.{key}")), value),
            }
        }
        read.push(one.ok_or_else(|| wrong(part, "has an entry that is neither text nor inlineData"))?);
    }
    match read.as_slice() {
        [] => Err(wrong(parts, "is empty")),
        [Part::Text(text)] => Ok(Input::Text(text.clone())),
        _ => Ok(Input::Mixed(read)),
    }
}

fn read_inline(value: Node<'_>) -> Option<Part<'_>> {
    let media_type = value.get("mimeType").or_else(|| value.get("mime_type"))?.text()?;
    let data = value.get("data")?.text()?;
    Some(Part::Image { media_type, data })
}

/// Always as a batch: it takes one as well as many.
pub(super) fn write_request(
    request: &Request<'_>,
    part: &[Input<'_>],
    to: &TargetFacts<'_>,
    lost: &mut Lost,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    lost.note_if(Feature::MaxTokens, request.max_tokens.is_some());
    lost.note_if(Feature::User, request.user.is_some());
    lost.note_if(
        Feature::Truncate,
        matches!(request.truncate, Some(Truncate::None | Truncate::Start)),
    );
    lost.note_if(Feature::Purpose, request.purpose == Some(Purpose::Image));
    request.note_forms(lost)?;
    let purpose = PURPOSES.iter().find(|(_, known)| Some(*known) == request.purpose);
    let mut json = Out::new(out);
    json.open().key("requests").open_list();
    for input in part {
        json.open().key("model").string(&format!("models/{}", to.model));
        json.key("content").open().key("parts").open_list();
        match input {
            Input::Text(text) => write_text(text, &mut json),
            Input::Mixed(parts) => parts.iter().for_each(|part| write_part(part, &mut json)),
            Input::Tokens(_) => return Err(NO_TOKENS),
        }
        json.close_list().close();
        if let Some((name, _)) = purpose {
            json.key("taskType").string(name);
        }
        if let Some(title) = &request.title {
            json.key("title").text(title);
        }
        if let Some(dimensions) = request.dimensions {
            json.key("outputDimensionality").unsigned(dimensions);
        }
        json.close();
    }
    json.close_list().close();
    Ok(())
}

fn write_text(text: &Text<'_>, json: &mut Out<'_>) {
    json.open().key("text").text(text).close();
}

fn write_part(part: &Part<'_>, json: &mut Out<'_>) {
    match part {
        Part::Text(text) => write_text(text, json),
        Part::Image { media_type, data } => {
            json.open().key("inlineData").open();
            json.key("mimeType").text(media_type);
            json.key("data").text(data).close().close();
        }
    }
}

pub(super) fn read_answer<'a>(body: &'a [u8], answer: &mut Answer<'a>) -> Result<(), BadAnswer> {
    const NO_VECTORS: BadAnswer = BadAnswer::new("it has no embeddings with a list 'values'");
    let document = Node::document(body)?;
    let list = document.get("embeddings").filter(|list| list.is_array());
    let one = document.get("embedding");
    if list.is_none() && one.is_none() {
        return Err(NO_VECTORS);
    }
    for embedding in list.into_iter().flat_map(Node::elements).chain(one) {
        let values = embedding
            .get("values")
            .filter(|values| values.is_array())
            .ok_or(NO_VECTORS)?;
        answer.floats.push(Vector::of(values)?);
    }
    let usage = document.get("usageMetadata");
    answer.add_usage(usage.and_then(|usage| gemini::usage_of_object(usage.raw())));
    Ok(())
}

pub(super) fn write_answer_one(answer: &Answer<'_>, usage: &Usage, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
    let mut json = Out::new(out);
    json.open();
    for vector in answer.floats.iter().take(1) {
        json.key("embedding");
        write_vector(vector, &mut json)?;
    }
    write_usage(usage, &mut json);
    json.close();
    Ok(())
}

pub(super) fn write_answer_many(answer: &Answer<'_>, usage: &Usage, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
    let mut json = Out::new(out);
    json.open().key("embeddings").open_list();
    for vector in &answer.floats {
        write_vector(vector, &mut json)?;
    }
    json.close_list();
    write_usage(usage, &mut json);
    json.close();
    Ok(())
}

fn write_vector(vector: &Vector<'_>, json: &mut Out<'_>) -> Result<(), BadAnswer> {
    json.open().key("values");
    vector.write_numbers(json)?;
    json.close();
    Ok(())
}

fn write_usage(usage: &Usage, json: &mut Out<'_>) {
    let tokens = usage.all_input();
    json.key("usageMetadata").open();
    json.key("promptTokenCount").unsigned(tokens);
    json.key("totalTokenCount").unsigned(tokens).close();
}
