//! What goes up: each shape's words, what they lose on the way, and what is refused.

use serde_json::{Value, json};
use tollgate_dialect::{canonical::bad::BadRequest, embed::Shape};

use super::{CLIENTS, TARGETS, asks, up};

const BEDROCK_V3: Shape = Shape::CohereOnBedrock { has_dimensions: false };

/// The texts that a provider is asked for.
fn texts_of(target: Shape, body: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
    let list = |value: &Value| value.as_array().unwrap_or_else(|| panic!("{body}")).clone();
    match target {
        Shape::OpenAi => list(&body["input"]).iter().map(text).collect(),
        Shape::GeminiMany => list(&body["requests"])
            .iter()
            .map(|request| text(&request["content"]["parts"][0]["text"]))
            .collect(),
        Shape::Titan | Shape::TitanText => vec![text(&body["inputText"])],
        _ => list(&body["texts"]).iter().map(text).collect(),
    }
}

#[test]
fn every_pair_asks_for_the_same_texts_in_order_and_loses_nothing_of_a_plain_request() {
    let texts = ["one \"quoted\"", "zwei\n\u{1F600}", "three"];
    for client in CLIENTS {
        let texts = if client == Shape::GeminiOne {
            &texts[..1]
        } else {
            &texts[..]
        };
        for target in TARGETS {
            let (mut begin, mut asked) = (0, Vec::new());
            loop {
                let (body, sent) = up((client, target), &asks(client, texts), begin).expect("it can be said");
                asked.extend(texts_of(target, &body));
                assert_eq!(sent.inputs, texts.len());
                // Cohere's clients must say what their vectors are for, and not all providers know that.
                let purpose = matches!(target, Shape::OpenAi | Shape::Titan | Shape::TitanText);
                let dropped: &[&str] = if client == Shape::Cohere && purpose {
                    &["input_type"]
                } else {
                    &[]
                };
                assert_eq!(sent.dropped, dropped, "{client:?} {target:?}");
                assert!(sent.end > begin, "it goes on");
                begin = sent.end;
                if begin == sent.inputs {
                    break;
                }
            }
            assert_eq!(asked, texts, "{client:?} {target:?}");
        }
    }
}

#[test]
fn each_provider_is_asked_in_its_own_words() {
    let openai = json!({"model": "m", "input": "hi", "dimensions": 256, "user": "u", "input_type": "query"});
    let gemini = json!({"content": {"parts": [{"text": "hi"}], "role": "user"}, "task_type": "RETRIEVAL_DOCUMENT",
        "title": "T", "outputDimensionality": 256});
    let cohere = json!({"model": "m", "texts": ["hi"], "input_type": "clustering", "output_dimension": 256,
        "truncate": "START", "embedding_types": ["int8", "base64"], "max_tokens": 9});
    for (pair, body, right, dropped) in [
        (
            (Shape::OpenAi, Shape::GeminiMany),
            &openai,
            json!({"requests": [{"model": "models/the-model", "content": {"parts": [{"text": "hi"}]},
                "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256}]}),
            &["user"][..],
        ),
        (
            (Shape::OpenAi, Shape::Cohere),
            &openai,
            json!({"model": "the-model", "texts": ["hi"], "input_type": "search_query", "embedding_types": ["float"],
                "output_dimension": 256}),
            &["user"],
        ),
        (
            (Shape::OpenAi, BEDROCK_V3),
            &openai,
            json!({"texts": ["hi"], "input_type": "search_query", "embedding_types": ["float"]}),
            &["user", "dimensions"],
        ),
        (
            (Shape::OpenAi, Shape::Titan),
            &openai,
            json!({"inputText": "hi", "dimensions": 256}),
            &["input_type", "user"],
        ),
        (
            (Shape::OpenAi, Shape::TitanText),
            &openai,
            json!({"inputText": "hi"}),
            &["dimensions", "input_type", "user"],
        ),
        (
            (Shape::GeminiOne, Shape::OpenAi),
            &gemini,
            json!({"model": "the-model", "input": ["hi"], "encoding_format": "base64", "dimensions": 256}),
            &["taskType", "title"],
        ),
        (
            (Shape::GeminiOne, Shape::Cohere),
            &gemini,
            json!({"model": "the-model", "texts": ["hi"], "input_type": "search_document",
                "embedding_types": ["float"], "output_dimension": 256}),
            &["title"],
        ),
        (
            (Shape::Cohere, Shape::OpenAi),
            &cohere,
            json!({"model": "the-model", "input": ["hi"], "encoding_format": "base64", "dimensions": 256}),
            &["input_type", "max_tokens", "truncate", "embedding_types"],
        ),
        (
            (Shape::Cohere, Shape::GeminiMany),
            &cohere,
            json!({"requests": [{"model": "models/the-model", "content": {"parts": [{"text": "hi"}]},
                "taskType": "CLUSTERING", "outputDimensionality": 256}]}),
            &["max_tokens", "truncate", "embedding_types"],
        ),
        (
            (Shape::Cohere, Shape::CohereOnBedrock { has_dimensions: true }),
            &cohere,
            json!({"texts": ["hi"], "input_type": "clustering", "embedding_types": ["float", "int8"],
                "output_dimension": 256, "max_tokens": 9, "truncate": "START"}),
            &[],
        ),
    ] {
        let (asked, sent) = up(pair, body, 0).expect("it can be said");
        assert_eq!(asked, right, "{pair:?}");
        assert_eq!(sent.dropped, dropped, "{pair:?}");
    }
}

#[test]
fn purposes_without_a_word_get_the_nearest_and_are_listed() {
    for (task, word, dropped) in [
        ("RETRIEVAL_QUERY", "search_query", &[][..]),
        ("CLASSIFICATION", "classification", &[]),
        ("TASK_TYPE_UNSPECIFIED", "search_document", &[]),
        ("SEMANTIC_SIMILARITY", "clustering", &["taskType"]),
        ("QUESTION_ANSWERING", "search_query", &["taskType"]),
        ("CODE_RETRIEVAL_QUERY", "search_query", &["taskType"]),
    ] {
        let body = json!({"content": {"parts": [{"text": "hi"}]}, "taskType": task});
        let (asked, sent) = up((Shape::GeminiOne, Shape::Cohere), &body, 0).expect("it can be said");
        assert_eq!(asked["input_type"], word, "{task}");
        assert_eq!(sent.dropped, dropped, "{task}");
    }
}

#[test]
fn pictures_reach_those_who_take_them() {
    let picture = "data:image/png;base64,AAAA";
    let mixed =
        json!({"content": [{"type": "text", "text": "a cat"}, {"type": "image_url", "image_url": {"url": picture}}]});
    let body = json!({"model": "m", "input_type": "image", "inputs": [mixed]});
    let (asked, sent) = up((Shape::Cohere, Shape::GeminiMany), &body, 0).expect("it can be said");
    assert_eq!(
        asked["requests"][0]["content"]["parts"],
        json!([{"text": "a cat"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}])
    );
    assert_eq!(sent.dropped, ["input_type"]);
    let images = json!({"model": "m", "input_type": "image", "images": [picture]});
    let pair = (Shape::Cohere, Shape::CohereOnBedrock { has_dimensions: true });
    let (asked, _) = up(pair, &images, 0).expect("it can be said");
    assert_eq!(
        asked["inputs"],
        json!([{"content": [{"type": "image_url", "image_url": {"url": picture}}]}])
    );
    let gemini =
        json!({"content": {"parts": [{"text": "a cat"}, {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}});
    let (asked, _) = up((Shape::GeminiOne, Shape::Cohere), &gemini, 0).expect("it can be said");
    assert_eq!(asked["inputs"], json!([mixed]));
}

#[test]
fn what_cannot_be_asked_is_refused_in_the_callers_words() {
    let many = |count: usize| json!({"model": "m", "input": vec!["a"; count]});
    let one = |settings: Value| {
        let mut request = json!({"content": {"parts": [{"text": "a"}]}});
        request
            .as_object_mut()
            .expect("an object")
            .extend(settings.as_object().cloned().expect("an object"));
        request
    };
    let differing = json!({"requests": [one(json!({"taskType": "CLUSTERING"})), one(json!({}))]});
    let tokens = json!({"model": "m", "input": [[1, 2], [3]]});
    for (pair, body, field, says) in [
        (
            (Shape::OpenAi, Shape::Cohere),
            json!({"model": "m"}),
            "input",
            "nothing to embed",
        ),
        (
            (Shape::OpenAi, Shape::Cohere),
            json!({"input": []}),
            "input",
            "nothing to embed",
        ),
        (
            (Shape::OpenAi, Shape::Cohere),
            json!({"input": [{}]}),
            "input",
            "must be a string",
        ),
        (
            (Shape::OpenAi, Shape::Cohere),
            json!({"input": ["a", [1.5]]}),
            "input",
            "must be a string",
        ),
        ((Shape::OpenAi, Shape::Cohere), tokens.clone(), "input", "token ids"),
        (
            (Shape::OpenAi, Shape::GeminiMany),
            json!({"input": [1, 2]}),
            "input",
            "token ids",
        ),
        ((Shape::OpenAi, Shape::Titan), tokens, "input", "token ids"),
        (
            (Shape::OpenAi, Shape::Titan),
            many(101),
            "input",
            "100 are passed on at most",
        ),
        ((Shape::OpenAi, Shape::Cohere), many(2_049), "input", "more than 2048"),
        (
            (Shape::OpenAi, Shape::Cohere),
            json!({"input": "a", "dimensions": 0}),
            "dimensions",
            "above zero",
        ),
        (
            (Shape::OpenAi, Shape::Cohere),
            json!({"input": "a", "encoding_format": "int8"}),
            "encoding_format",
            "'float' or 'base64'",
        ),
        (
            (Shape::GeminiOne, Shape::OpenAi),
            json!({}),
            "content",
            "nothing to embed",
        ),
        (
            (Shape::GeminiOne, Shape::OpenAi),
            one(json!({"taskType": "X"})),
            "taskType",
            "must be one of",
        ),
        (
            (Shape::GeminiMany, Shape::OpenAi),
            differing,
            "requests",
            "other settings in its entry 1",
        ),
        (
            (Shape::GeminiMany, Shape::OpenAi),
            json!({"requests": [{}]}),
            "requests",
            "no content in its entry 0",
        ),
        (
            (Shape::GeminiOne, Shape::OpenAi),
            json!({"content": {"parts": [{"text": "a"}, {"text": "b"}]}}),
            "content",
            "takes one text",
        ),
        (
            (Shape::Cohere, Shape::OpenAi),
            json!({"texts": ["a"], "embedding_types": ["int8"]}),
            "embedding_types",
            "add 'float'",
        ),
        (
            (Shape::Cohere, Shape::OpenAi),
            json!({"texts": ["a"], "images": []}),
            "texts",
            "one of the three",
        ),
        (
            (Shape::Cohere, Shape::OpenAi),
            json!({"images": ["http://x/y.png"]}),
            "images",
            "data URLs",
        ),
        (
            (Shape::Cohere, Shape::OpenAi),
            json!({"texts": ["a"], "input_type": "x"}),
            "input_type",
            "must be",
        ),
    ] {
        let BadRequest::Field { field: at, wrong, .. } = up(pair, &body, 0).expect_err("it is refused") else {
            panic!("{pair:?} {body}")
        };
        assert_eq!(at, field, "{pair:?} {body}");
        assert!(wrong.contains(says), "{pair:?} {body}: {wrong}");
    }
}

#[test]
fn unknown_members_are_listed_wherever_they_stand() {
    let body = json!({"texts": ["a"], "priority": 3, "x": null});
    let (_, sent) = up((Shape::Cohere, Shape::Titan), &body, 0).expect("it can be said");
    assert_eq!(sent.dropped, ["priority"]);
    let content = json!({"parts": [{"text": "a", "thought": true}]});
    let body = json!({"requests": [{"content": content}, {"content": content, "x": 1}], "y": 1});
    let (_, sent) = up((Shape::GeminiMany, Shape::OpenAi), &body, 0).expect("it can be said");
    assert_eq!(sent.dropped, ["y", "content.parts.thought", "x"]);
}

#[test]
fn bedrocks_models_are_known_by_their_names() {
    for (model, shape) in [
        ("amazon.titan-embed-text-v2:0", Some(Shape::Titan)),
        ("amazon.titan-embed-text-v1", Some(Shape::TitanText)),
        ("amazon.titan-embed-g1-text-02", Some(Shape::TitanText)),
        ("cohere.embed-multilingual-v3", Some(BEDROCK_V3)),
        ("cohere.embed-english-v3", Some(BEDROCK_V3)),
        (
            "eu.cohere.embed-v4:0",
            Some(Shape::CohereOnBedrock { has_dimensions: true }),
        ),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",
            Some(Shape::Titan),
        ),
        ("amazon.titan-embed-image-v1", None),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", None),
    ] {
        assert_eq!(Shape::on_bedrock(model), shape, "{model}");
    }
}
