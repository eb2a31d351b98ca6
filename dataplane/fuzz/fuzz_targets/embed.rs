//! Embeddings: a request that is read is written for any provider as JSON, and whatever a provider answers to it is
//! refused or written for the client as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tollgate_dialect::{
    embed::{self, CallFacts, Shape},
    quirks::Quirks,
    speak::TargetFacts,
};

const CLIENTS: [Shape; 4] = [Shape::OpenAi, Shape::GeminiOne, Shape::GeminiMany, Shape::Cohere];
const TARGETS: [Shape; 6] = [
    Shape::OpenAi,
    Shape::GeminiMany,
    Shape::Cohere,
    Shape::Titan,
    Shape::TitanText,
    Shape::CohereOnBedrock { has_dimensions: true },
];

// The request ends with the first zero byte, the provider's answer follows.
fuzz_target!(|input: &[u8]| {
    let Some((&[client, target], bodies)) = input.split_first_chunk::<2>() else {
        return;
    };
    let pair = (
        CLIENTS[usize::from(client) % CLIENTS.len()],
        TARGETS[usize::from(target) % TARGETS.len()],
    );
    let mut bodies = bodies.splitn(2, |&byte| byte == 0);
    let (request, answer) = (bodies.next().unwrap_or_default(), bodies.next().unwrap_or_default());
    let quirks = Quirks::default();
    let to = TargetFacts {
        model: "m",
        quirks: &quirks,
    };
    let mut out = Vec::new();
    if embed::write_request(pair, request, &to, 0, &mut out).is_err() {
        return;
    }
    assert!(is_json(&out), "{}", out.escape_ascii());
    let call = CallFacts {
        request_id: "1",
        model: "m",
        target_model: "m",
        head_tokens: None,
    };
    out.clear();
    if embed::write_answer(pair, request, &[answer.to_vec()], &call, &mut out).is_ok() {
        assert!(is_json(&out), "{}", out.escape_ascii());
    }
    let _ = embed::usage_of_answer(pair.1, answer);
});

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}
