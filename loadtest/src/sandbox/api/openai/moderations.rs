//! Moderations: `types/moderation_create_response.py` and `moderation.py`.
//!
//! A text is flagged for each category without a slash whose name it contains.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::{
    api::{Operation, Request, json},
    ask::Ask,
    reply::{Reply, hex, put},
    text::PromptCount,
};

const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

pub struct Moderations;

#[derive(Deserialize)]
struct Body {
    input: Value,
    #[serde(default = "latest")]
    model: String,
}

fn latest() -> String {
    "omni-moderation-latest".to_owned()
}

impl Operation for Moderations {
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String> {
        let body: Body = json::read(request.body)?;
        let texts = texts(&body.input);
        if texts.is_empty() {
            return Err("input: a text, or a list of texts, is required".to_owned());
        }
        let counts: Vec<_> = texts.iter().map(|text| PromptCount::of(text)).collect();
        Ok(Ask::of_model(&body.model)?.without_text(json::total(&counts)))
    }

    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply) {
        let Ok(body) = json::read::<Body>(request.body) else {
            return;
        };
        let results: Vec<Value> = texts(&body.input).iter().map(|text| result(text)).collect();
        put(
            out,
            &[b"{\"id\":\"modr-", &hex(reply.seed), b"\",\"model\":", reply.model_json],
        );
        put(
            out,
            &[b",\"results\":", Value::Array(results).to_string().as_bytes(), b"}"],
        );
    }
}

/// A list of strings is so many texts; a list of parts is one.
fn texts(input: &Value) -> Vec<String> {
    match input {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) if values.iter().all(Value::is_string) => values.iter().map(json::text_in).collect(),
        Value::Array(_) => vec![json::text_in(input)],
        _ => Vec::new(),
    }
}

fn result(text: &str) -> Value {
    let found = |name: &str| !name.contains('/') && text.contains(name);
    let object = |value: &dyn Fn(&str) -> Value| {
        Value::Object(
            CATEGORIES
                .iter()
                .map(|name| ((*name).to_owned(), value(name)))
                .collect(),
        )
    };
    let seed = PromptCount::of(text).seed;
    json!({
        "flagged": CATEGORIES.iter().any(|name| found(name)),
        "categories": object(&|name| found(name).into()),
        "category_scores": object(&|name| {
            let noise = ((seed >> (name.len() % 48)) & 0xffff) as f64 / 65_536_000.0;
            if found(name) { (0.95 + noise).into() } else { noise.into() }
        }),
        "category_applied_input_types": object(&|_| json!(["text"])),
    })
}
