//! Prompts counted here, and answered as each dialect answers.

use serde_json::{Value, json};
use tollgate_dialect::{
    count::{self, Asked},
    speak::PathFacts,
};

const PATH: PathFacts<'static> = PathFacts {
    model: Some("m"),
    stream: false,
};

fn counted(asked: Asked, body: &Value) -> Value {
    let mut out = Vec::new();
    count::write_answer(asked, body.to_string().as_bytes(), PATH, "gpt-4o", &mut out).expect("it can be counted");
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn each_dialect_is_answered_in_its_own_shape_and_the_same_prompt_counts_the_same() {
    let text = "Why is the sky blue at noon and red in the evening?";
    let anthropic = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
    let within = json!({"generateContentRequest": {"model": "models/m", "contents": contents["contents"]}});
    let responses = json!({"model": "m", "input": text});
    let by_anthropic = counted(Asked::Anthropic, &anthropic);
    let tokens = by_anthropic["input_tokens"].as_u64().expect("a number");
    // Counted by tiktoken, the text alone has twelve; what stands around it is estimated.
    assert!((13..=22).contains(&tokens), "{tokens}");
    assert_eq!(by_anthropic, json!({"input_tokens": tokens}));
    assert_eq!(counted(Asked::Gemini, &contents), json!({"totalTokens": tokens}));
    assert_eq!(counted(Asked::Gemini, &within), json!({"totalTokens": tokens}));
    assert_eq!(
        counted(Asked::Responses, &responses),
        json!({"object": "response.input_tokens", "input_tokens": tokens})
    );
}

#[test]
fn tools_and_system_text_count_and_a_cap_changes_nothing() {
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let tokens = |body: &Value| {
        counted(Asked::Anthropic, body)["input_tokens"]
            .as_u64()
            .expect("a number")
    };
    let more = |key: &str, value: Value| {
        let mut body = plain.clone();
        body[key] = value;
        body
    };
    let tool = json!([{"name": "look", "description": "Looks at it", "input_schema": {"type": "object"}}]);
    assert!(tokens(&more("tools", tool)) > tokens(&plain) + 12);
    assert!(tokens(&more("system", json!("Be brief and kind."))) > tokens(&plain) + 4);
    assert_eq!(tokens(&more("max_tokens", json!(9))), tokens(&plain));
}

#[test]
fn what_is_no_prompt_is_refused() {
    for (asked, body) in [
        (Asked::Anthropic, json!({"model": "m"})),
        (Asked::Gemini, json!({"generateContentRequest": {}})),
        (Asked::Gemini, json!({"contents": 1})),
        (
            Asked::Responses,
            json!({"model": "m", "input": "and then?", "previous_response_id": "resp_1"}),
        ),
    ] {
        let refused = count::write_answer(asked, body.to_string().as_bytes(), PATH, "m", &mut Vec::new());
        assert!(refused.is_err(), "{body}");
    }
}
