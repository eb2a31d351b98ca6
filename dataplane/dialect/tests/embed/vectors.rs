//! Floats and base64 are the same numbers, to the bit; and no bytes make a reader panic.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use tollgate_dialect::embed::Shape;

use super::{CLIENTS, TARGETS, asks, down, down_raw, up, vectors_of};

fn base64(floats: &[f32]) -> String {
    let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// Every float there is, subnormals included, but for what is no number.
fn float() -> impl Strategy<Value = f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_filter("finite", |float| float.is_finite())
}

fn bits_of(list: &Value) -> Vec<u32> {
    let list = list.as_array().expect("a list");
    // As a client reads it: from the text.
    let bits = |number: &Value| number.to_string().parse::<f32>().expect("a number").to_bits();
    list.iter().map(bits).collect()
}

proptest! {
    #[test]
    fn base64_becomes_numbers_that_are_the_same_floats(floats in vec(float(), 0..64)) {
        let came = json!({"data": [{"embedding": base64(&floats)}]});
        let body = asks(Shape::GeminiOne, &["a"]);
        let raw = came.to_string().into_bytes();
        let (answer, _) = down_raw((Shape::GeminiOne, Shape::OpenAi), &body, &[raw], None).expect("it can be read");
        let right: Vec<u32> = floats.iter().map(|float| float.to_bits()).collect();
        prop_assert_eq!(bits_of(&vectors_of(Shape::GeminiOne, &answer)[0]), right);
    }

    #[test]
    fn numbers_become_base64_of_the_nearest_floats(numbers in vec(-1e30f64..1e30, 0..64)) {
        let came = json!({"embeddings": [{"values": numbers}]});
        let body = json!({"model": "m", "input": "a", "encoding_format": "base64"});
        let (answer, _) = down((Shape::OpenAi, Shape::GeminiMany), &body, &[came]).expect("it can be read");
        let floats: Vec<f32> = numbers.iter().map(|number| number.to_string().parse().expect("a number")).collect();
        prop_assert_eq!(&vectors_of(Shape::OpenAi, &answer)[0], &json!(base64(&floats)));
    }

    #[test]
    fn base64_stays_what_it_is(floats in vec(float(), 0..64)) {
        let came = json!({"data": [{"embedding": base64(&floats)}]});
        let body = json!({"texts": ["a"], "embedding_types": ["base64"]});
        let (answer, _) = down((Shape::Cohere, Shape::OpenAi), &body, &[came]).expect("it can be read");
        prop_assert_eq!(&answer["embeddings"]["base64"][0], &json!(base64(&floats)));
    }

    #[test]
    fn texts_survive_every_pair(text in ".{1,40}") {
        for client in CLIENTS {
            for target in TARGETS {
                let (asked, _) = up((client, target), &asks(client, &[&text]), 0).expect("it can be said");
                let found = match target {
                    Shape::OpenAi => &asked["input"][0],
                    Shape::GeminiMany => &asked["requests"][0]["content"]["parts"][0]["text"],
                    Shape::Titan | Shape::TitanText => &asked["inputText"],
                    _ => &asked["texts"][0],
                };
                prop_assert_eq!(found, &json!(text));
            }
        }
    }

    #[test]
    fn no_request_makes_a_reader_panic(text in r#"\{("(input|content|parts|requests|texts|inputs|text|type)":|[\[\]{},"0-9ae.-]){0,30}\}"#) {
        if let Ok(body) = serde_json::from_str::<Value>(&text) {
            for client in CLIENTS {
                for target in TARGETS {
                    let _ = up((client, target), &body, 0);
                }
            }
        }
    }

    #[test]
    fn no_answer_makes_a_reader_panic(bytes in vec(any::<u8>(), 0..200)) {
        for target in TARGETS {
            let refused = down_raw((Shape::Cohere, target), &asks(Shape::Cohere, &["a"]), std::slice::from_ref(&bytes), None);
            prop_assert!(refused.is_err());
        }
    }
}
