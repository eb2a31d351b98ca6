//! Rerank: Cohere's `POST /v2/rerank` for Cohere's models behind Bedrock's InvokeModel. Sources: the `cohere` Python SDK
//! 7.3.1, `v2/raw_client.py`; AWS, "Rerank" (`api_version` 2, the model in the path).

use std::borrow::Cow;

use crate::{
    canonical::bad::{BadAnswer, BadRequest, once},
    json::{Node, Out},
};

/// Documents of one call at most: Cohere's own bound.
const MAX_DOCUMENTS: usize = 1_000;
/// Bytes of an answer at most: a place and a score for each document, and maybe its text.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Is this a model whose body is written here?
pub fn is_on_bedrock(model: &str) -> bool {
    model.to_ascii_lowercase().contains("cohere.rerank")
}

/// Appends the body for Bedrock; gives what it cannot say, in the caller's words.
pub fn write_request(body: &[u8], out: &mut Vec<u8>) -> Result<Vec<String>, BadRequest> {
    let (mut query, mut documents, mut top, mut most) = (None, None, None, None);
    let mut dropped: Vec<String> = Vec::new();
    for (key, value) in Node::document(body)?.members() {
        match &*key {
            "query" => once(&mut query, value, "query", value)?,
            "documents" => once(&mut documents, value, "documents", value)?,
            "top_n" if !value.is_null() => once(&mut top, whole(value, "top_n")?, "top_n", value)?,
            "max_tokens_per_doc" if !value.is_null() => {
                once(
                    &mut most,
                    whole(value, "max_tokens_per_doc")?,
                    "max_tokens_per_doc",
                    value,
                )?;
            }
            "model" => {}
            _ if value.is_null() => {}
            _ => note(&mut dropped, key),
        }
    }
    let query = query.ok_or_else(|| BadRequest::missing("query", "is missing"))?;
    let text = query
        .text()
        .ok_or_else(|| BadRequest::field("query", "must be a string", query))?;
    let documents = documents.ok_or_else(|| BadRequest::missing("documents", "is missing"))?;
    check_documents(documents)?;
    let mut json = Out::new(out);
    json.open().key("query").text(&text);
    json.key("documents").raw(documents.raw());
    if let Some(top) = top {
        json.key("top_n").unsigned(top);
    }
    if let Some(most) = most {
        json.key("max_tokens_per_doc").unsigned(most);
    }
    json.key("api_version").unsigned(2).close();
    Ok(dropped)
}

fn note(dropped: &mut Vec<String>, key: Cow<'_, str>) {
    const MAX_NAMES: usize = 32;
    if dropped.len() < MAX_NAMES {
        dropped.push(key.into_owned());
    }
}

fn whole(value: Node<'_>, name: &'static str) -> Result<u64, BadRequest> {
    let number = value.unsigned().filter(|&number| number > 0);
    number.ok_or_else(|| BadRequest::field(name, "must be a whole number above zero", value))
}

fn check_documents(documents: Node<'_>) -> Result<(), BadRequest> {
    let texts = documents.is_array() && documents.elements().all(|document| document.text().is_some());
    if !texts {
        return Err(BadRequest::field("documents", "must be a list of strings", documents));
    }
    match documents.elements().count() {
        0 => Err(BadRequest::field("documents", "is empty", documents)),
        count if count > MAX_DOCUMENTS => {
            let wrong = format!("has {count} entries, of which {MAX_DOCUMENTS} are allowed");
            Err(BadRequest::field("documents", wrong, documents))
        }
        _ => Ok(()),
    }
}

/// Appends the client's answer.
pub fn write_answer(body: &[u8], request_id: &str, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
    const NO_RESULTS: BadAnswer = BadAnswer::new("it has no list 'results' of places and scores");
    let document = Node::document(body)?;
    let results = document
        .get("results")
        .filter(|results| results.is_array())
        .ok_or(NO_RESULTS)?;
    let mut json = Out::new(out);
    json.open().key("id");
    match document.get("id").and_then(Node::text) {
        Some(id) => json.text(&id),
        None => json.string(request_id),
    };
    json.key("results").open_list();
    for result in results.elements() {
        let index = result.get("index").and_then(Node::unsigned).ok_or(NO_RESULTS)?;
        let score = result.get("relevance_score").and_then(Node::number).ok_or(NO_RESULTS)?;
        json.open().key("index").unsigned(index);
        json.key("relevance_score").number(score).close();
    }
    json.close_list().key("meta").open();
    json.key("api_version")
        .open()
        .key("version")
        .string("2")
        .close()
        .close();
    json.close();
    Ok(())
}
