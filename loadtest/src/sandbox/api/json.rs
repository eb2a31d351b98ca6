//! What the operations that read lists of texts share: embeddings, rerank, moderations. Builds trees, which chat does not.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::sandbox::text::PromptCount;

/// Reads a body into a type.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|bad| format!("the body is not what is expected: {bad}"))
}

/// The text in a value: a string, or the `text` members anywhere within.
pub fn text_in(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values
            .iter()
            .map(text_in)
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned(),
        Value::Object(members) => {
            let spoken = members
                .iter()
                .filter(|(name, value)| *name == "text" || !value.is_string());
            spoken
                .map(|(_, value)| text_in(value))
                .collect::<Vec<_>>()
                .join(" ")
                .trim()
                .to_owned()
        }
        _ => String::new(),
    }
}

/// All inputs together, for usage.
pub fn total(counts: &[PromptCount]) -> PromptCount {
    PromptCount {
        tokens: counts.iter().map(|count| count.tokens).sum(),
        seed: counts.iter().fold(0, |seed, count| seed.rotate_left(7) ^ count.seed),
        is_beyond_text: false,
        ..PromptCount::default()
    }
}
