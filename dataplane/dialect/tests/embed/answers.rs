//! What comes down: the same vectors in every shape, their tokens, and answers that are none.

use serde_json::{Value, json};
use tollgate_dialect::{
    embed::{self, Shape},
    usage::Usage,
};

use super::{CLIENTS, TARGETS, answers, asks, down, down_raw, tokens_of, vectors_of};

#[test]
fn every_pair_gives_the_vectors_and_the_tokens_that_the_provider_gave() {
    let vectors: [&[f64]; 2] = [&[0.25, -1.5e-7, 3.0], &[0.0, 1.0, -0.125]];
    for client in CLIENTS {
        let (texts, vectors) = match client {
            Shape::GeminiOne => (&["a"][..], &vectors[..1]),
            _ => (&["a", "b"][..], &vectors[..]),
        };
        for target in TARGETS {
            let in_parts = matches!(target, Shape::Titan | Shape::TitanText);
            let came: Vec<Value> = match in_parts {
                true => vectors.iter().map(|vector| answers(target, &[vector])).collect(),
                false => vec![answers(target, vectors)],
            };
            let (answer, used) = down((client, target), &asks(client, texts), &came).expect("it can be read");
            let right: Vec<Value> = vectors.iter().map(|vector| json!(vector)).collect();
            assert_eq!(vectors_of(client, &answer), right, "{client:?} {target:?}");
            // Each part used seven.
            let tokens = 7 * came.len() as u64;
            assert_eq!(tokens_of(client, &answer), tokens, "{client:?} {target:?}");
            assert_eq!((used.usage.input, used.estimated), (Some(tokens), false));
        }
    }
}

#[test]
fn answers_are_whole_in_the_clients_shape() {
    let came = answers(Shape::GeminiMany, &[&[0.5]]);
    let (openai, _) = down(
        (Shape::OpenAi, Shape::GeminiMany),
        &asks(Shape::OpenAi, &["a"]),
        std::slice::from_ref(&came),
    )
    .expect("read");
    assert_eq!(
        openai,
        json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "asked",
            "usage": {"prompt_tokens": 7, "total_tokens": 7}})
    );
    let (cohere, _) = down(
        (Shape::Cohere, Shape::GeminiMany),
        &asks(Shape::Cohere, &["a"]),
        &[came],
    )
    .expect("read");
    assert_eq!(
        cohere,
        json!({"id": "0123", "embeddings": {"float": [[0.5]]}, "texts": ["a"], "response_type": "embeddings_by_type",
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}})
    );
    let came = answers(Shape::OpenAi, &[&[0.5]]);
    let (gemini, _) = down(
        (Shape::GeminiOne, Shape::OpenAi),
        &asks(Shape::GeminiOne, &["a"]),
        &[came],
    )
    .expect("read");
    assert_eq!(
        gemini,
        json!({"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}})
    );
}

#[test]
fn coheres_forms_pass_as_they_come_and_base64_is_made() {
    let target = Shape::CohereOnBedrock { has_dimensions: true };
    let body = json!({"texts": ["a", "b"], "embedding_types": ["int8", "base64", "ubinary"]});
    let came =
        json!({"embeddings": {"float": [[1.0, 0.5], [0.0, -2.0]], "int8": [[1, -2], [3, 4]], "ubinary": [[255], [0]]}});
    let (answer, _) = down((Shape::Cohere, target), &body, &[came]).expect("it can be read");
    assert_eq!(
        answer["embeddings"],
        json!({"int8": [[1, -2], [3, 4]], "base64": ["AACAPwAAAD8=", "AAAAAAAAAMA="], "ubinary": [[255], [0]]})
    );
    // As it comes where only the float was asked for.
    let plain = json!({"embeddings": [[1.0], [2.0]], "response_type": "embeddings_floats"});
    let (answer, _) = down((Shape::Cohere, target), &json!({"texts": ["a", "b"]}), &[plain]).expect("it can be read");
    assert_eq!(answer["embeddings"], json!({"float": [[1.0], [2.0]]}));
    let only = json!({"embeddings": {"int8": [[1], [2]]}});
    let body = json!({"texts": ["a", "b"], "embedding_types": ["int8"]});
    let (answer, _) = down((Shape::Cohere, target), &body, &[only]).expect("it can be read");
    assert_eq!(answer["embeddings"], json!({"int8": [[1], [2]]}));
}

#[test]
fn openais_embeddings_stand_by_their_index() {
    let came = json!({"data": [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]});
    let (answer, used) = down(
        (Shape::GeminiMany, Shape::OpenAi),
        &asks(Shape::GeminiMany, &["a", "b"]),
        &[came],
    )
    .expect("it can be read");
    assert_eq!(vectors_of(Shape::GeminiMany, &answer), [json!([0]), json!([1])]);
    assert!(used.estimated, "nothing was said of tokens");
}

#[test]
fn tokens_are_taken_from_the_head_else_counted_here() {
    let target = Shape::CohereOnBedrock { has_dimensions: true };
    let body = json!({"model": "m", "input": "hello, world", "encoding_format": "float"});
    let came = br#"{"embeddings":{"float":[[1]]}}"#.to_vec();
    let (answer, used) = down_raw((Shape::OpenAi, target), &body, std::slice::from_ref(&came), Some(11)).expect("read");
    assert_eq!((tokens_of(Shape::OpenAi, &answer), used.estimated), (&json!(11), false));
    let (answer, used) = down_raw((Shape::OpenAi, target), &body, &[came], None).expect("read");
    let counted = tokens_of(Shape::OpenAi, &answer).as_u64().expect("a number");
    assert!((2..=6).contains(&counted), "{counted}");
    assert!(used.estimated);
}

#[test]
fn answers_that_are_none_are_told_from_those_that_are() {
    let two = |target: Shape| (Shape::Cohere, target);
    for (pair, came, says) in [
        (two(Shape::OpenAi), "[]", "JSON"),
        (two(Shape::OpenAi), "{", "JSON"),
        (two(Shape::OpenAi), "{}", "no list 'data'"),
        (two(Shape::OpenAi), r#"{"data":[{"embedding":[1]}]}"#, "another number"),
        (
            two(Shape::OpenAi),
            r#"{"data":[{"embedding":[1]},{"index":0,"embedding":[2]}]}"#,
            "stands twice",
        ),
        (
            two(Shape::OpenAi),
            r#"{"data":[{"index":2,"embedding":[1]}]}"#,
            "none of the inputs'",
        ),
        (
            two(Shape::OpenAi),
            r#"{"data":[{"index":-1,"embedding":[1]}]}"#,
            "none of the inputs'",
        ),
        (
            two(Shape::OpenAi),
            r#"{"data":[{"embedding":[1,"2"]},{"embedding":[1]}]}"#,
            "no list of numbers",
        ),
        (
            two(Shape::OpenAi),
            r#"{"data":[{"embedding":{}},{"embedding":[1]}]}"#,
            "no list of numbers",
        ),
        (
            two(Shape::OpenAi),
            r#"{"data":[{"embedding":"AAA="},{"embedding":"AAAAAA=="}]}"#,
            "no base64",
        ),
        (
            two(Shape::OpenAi),
            r#"{"data":[{"embedding":"!"},{"embedding":"!"}]}"#,
            "no base64",
        ),
        // An infinity and a NaN, which JSON has no word for.
        (
            two(Shape::OpenAi),
            r#"{"data":[{"embedding":"AACAfw=="},{"embedding":"AADAfw=="}]}"#,
            "no 32-bit float",
        ),
        (two(Shape::GeminiMany), r#"{"predictions":[]}"#, "no embeddings"),
        (
            two(Shape::GeminiMany),
            r#"{"embeddings":[{"values":[1]}]}"#,
            "another number",
        ),
        (
            two(Shape::GeminiMany),
            r#"{"embeddings":[{"values":"AAAA"}]}"#,
            "no embeddings",
        ),
        (two(Shape::Titan), r#"{"embedding":"AAAA"}"#, "no list 'embedding'"),
        (
            two(Shape::CohereOnBedrock { has_dimensions: true }),
            r#"{"id":"x"}"#,
            "no 'embeddings'",
        ),
        (
            two(Shape::CohereOnBedrock { has_dimensions: true }),
            r#"{"embeddings":{"float":[[1],[2]],"int8":[[1]]}}"#,
            "another number",
        ),
    ] {
        let body = asks(Shape::Cohere, &["a", "b"]);
        let bad = down_raw(pair, &body, &[came.as_bytes().to_vec()], None).expect_err("it is no answer");
        assert!(bad.reason.contains(says), "{came}: {}", bad.reason);
    }
    // No float of 32 bits holds it: as a number it passes, in base64 it cannot.
    let huge = json!({"data": [{"embedding": [1e300]}]});
    let body = json!({"texts": ["a"], "embedding_types": ["base64"]});
    let bad = down((Shape::Cohere, Shape::OpenAi), &body, &[huge]).expect_err("it is no float");
    assert!(bad.reason.contains("no 32-bit float"), "{}", bad.reason);
}

#[test]
fn usage_of_answers_that_pass_is_read_whole_or_by_its_member() {
    for (shape, body, input) in [
        (Shape::OpenAi, r#"{"data":[],"usage":{"prompt_tokens":5}}"#, Some(5)),
        (
            Shape::GeminiMany,
            r#"{"embeddings":[],"usageMetadata":{"promptTokenCount":5}}"#,
            Some(5),
        ),
        (Shape::GeminiOne, r#"{"embedding":{}}"#, None),
        (
            Shape::Cohere,
            r#"{"meta":{"billed_units":{"input_tokens":5.0}}}"#,
            Some(5),
        ),
        (Shape::Titan, r#"{"embedding":[],"inputTextTokenCount":5}"#, Some(5)),
    ] {
        let said = embed::usage_of_answer(shape, body.as_bytes());
        assert_eq!(said.and_then(|usage| usage.input), input, "{body}");
    }
    let meta = br#"{"billed_units":{"input_tokens":5,"image_tokens":9}}"#;
    let pictures = Usage {
        input: Some(5),
        input_image: Some(9),
        ..Usage::default()
    };
    assert_eq!(embed::usage_of_member(Shape::Cohere, meta), Some(pictures));
}
