//! Rerank for Cohere's models on Bedrock.

use serde_json::{Value, json};
use tollgate_dialect::{canonical::bad::BadRequest, rerank};

fn up(body: &Value) -> Result<(Value, Vec<String>), BadRequest> {
    let mut out = Vec::new();
    let dropped = rerank::write_request(body.to_string().as_bytes(), &mut out)?;
    Ok((serde_json::from_slice(&out).expect("JSON"), dropped))
}

#[test]
fn a_request_is_said_in_bedrocks_words() {
    let body = json!({"model": "rerank", "query": "q \"1\"", "documents": ["a", "b\n"], "top_n": 1,
        "max_tokens_per_doc": 99, "priority": 3});
    let (asked, dropped) = up(&body).expect("it can be said");
    assert_eq!(
        asked,
        json!({"query": "q \"1\"", "documents": ["a", "b\n"], "top_n": 1, "max_tokens_per_doc": 99, "api_version": 2})
    );
    assert_eq!(dropped, ["priority"]);
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    for (body, field) in [
        (json!({"documents": ["a"]}), "query"),
        (json!({"query": 1, "documents": ["a"]}), "query"),
        (json!({"query": "q"}), "documents"),
        (json!({"query": "q", "documents": []}), "documents"),
        (json!({"query": "q", "documents": [{"text": "a"}]}), "documents"),
        (json!({"query": "q", "documents": vec!["a"; 1_001]}), "documents"),
        (json!({"query": "q", "documents": ["a"], "top_n": 0}), "top_n"),
    ] {
        let refused = up(&body).expect_err("it is refused");
        assert!(
            matches!(&refused, BadRequest::Field { field: at, .. } if at == field),
            "{refused}"
        );
    }
}

#[test]
fn an_answer_comes_back_in_coheres_words() {
    let mut out = Vec::new();
    let came = br#"{"results":[{"index":1,"relevance_score":0.98},{"index":0,"relevance_score":1e-5}]}"#;
    rerank::write_answer(came, "0123", &mut out).expect("it can be read");
    let answer: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(
        answer,
        json!({"id": "0123", "meta": {"api_version": {"version": "2"}},
            "results": [{"index": 1, "relevance_score": 0.98}, {"index": 0, "relevance_score": 1e-5}]})
    );
    for bad in [
        "{}",
        "[]",
        r#"{"results":[{"index":0}]}"#,
        r#"{"results":[{"relevance_score":1}]}"#,
    ] {
        assert!(
            rerank::write_answer(bad.as_bytes(), "0", &mut Vec::new()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn only_coheres_models_are_known() {
    assert!(rerank::is_on_bedrock("cohere.rerank-v3-5:0") && !rerank::is_on_bedrock("amazon.rerank-v1:0"));
}
