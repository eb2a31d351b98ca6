//! Embeddings: `types/create_embedding_response.py`, `embedding.py` and `embedding_create_params.py`.

use serde::Deserialize;
use serde_json::Value;

use crate::sandbox::{
    api::{Operation, Request, json, vector},
    ask::{self, Ask},
    reply::{Reply, digits, put},
    text::PromptCount,
};

/// Of `text-embedding-3-small`, unless the request says otherwise.
const DIMENSIONS: usize = 1536;
/// Inputs of one call, as the API has it.
const MAX_INPUTS: usize = 2048;

pub struct Embeddings;

#[derive(Deserialize)]
struct Body {
    input: Value,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

impl Operation for Embeddings {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let found = ask::find(request.body, &["model"])?;
        let body: Body = json::read(request.body)?;
        match body.encoding_format.as_deref() {
            None | Some("float" | "base64") => {}
            Some(other) => return Err(format!("encoding_format: '{other}' is neither 'float' nor 'base64'")),
        }
        if body
            .dimensions
            .is_some_and(|wanted| wanted == 0 || wanted > vector::MAX_DIMENSIONS)
        {
            return Err(format!(
                "dimensions: between 1 and {} is required",
                vector::MAX_DIMENSIONS
            ));
        }
        let counts: Vec<PromptCount> = inputs(&body.input)?.into_iter().map(|(count, _)| count).collect();
        Ok(Ask::named(request.body, found[0])?.without_text(json::total(&counts)))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        let Ok(body) = json::read::<Body>(request.body) else {
            return;
        };
        let inputs = inputs(&body.input).unwrap_or_default();
        put(out, &[b"{\"object\":\"list\",\"data\":["]);
        for (index, (_, text)) in inputs.iter().enumerate() {
            put(
                out,
                &[
                    if index > 0 { b"," } else { b"" },
                    b"{\"object\":\"embedding\",\"index\":",
                ],
            );
            put(out, &[&digits(index as u64), b",\"embedding\":"]);
            let vector = vector::of(text, body.dimensions.unwrap_or(DIMENSIONS));
            match body.encoding_format.as_deref() {
                Some("base64") => vector::write_base64(out, &vector),
                _ => vector::write_floats(out, &vector),
            }
            put(out, &[b"}"]);
        }
        let tokens = digits(reply.prompt_tokens);
        put(
            out,
            &[
                b"],\"model\":",
                reply.model_json,
                b",\"usage\":{\"prompt_tokens\":",
                &tokens,
            ],
        );
        put(out, &[b",\"total_tokens\":", &tokens, b"}}"]);
    }
}

/// A text, token ids, or a list of either: each counted, and as a text.
fn inputs(input: &Value) -> Result<Vec<(PromptCount, String)>, String> {
    let one = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Ok((PromptCount::of(text), text.clone())),
        Value::Array(ids) if !ids.is_empty() && ids.iter().all(Value::is_u64) => {
            let text = value.to_string();
            let count = PromptCount {
                tokens: ids.len() as u64,
                ..PromptCount::of(&text)
            };
            Ok((count, text))
        }
        _ => Err("input: a text that is not empty, or a list of token ids, is required".to_owned()),
    };
    match input {
        Value::Array(values) if values.len() > MAX_INPUTS => Err(format!("input: at most {MAX_INPUTS} are taken")),
        Value::Array(values) if !values.is_empty() && !values[0].is_u64() => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}
