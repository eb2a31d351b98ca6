//! The cursor against tables and against an independent reader.

use proptest::prelude::*;

use super::*;

fn text_of(buf: &str, value: Option<Value>) -> Option<&str> {
    value.map(|value| &buf[value.span.range()])
}

#[test]
fn members_are_found_at_their_depth_only() {
    let body = r#" {"model":"m", "x":{"model":"no","model":"twice"}, "list":[{"model":1}],
        "usage" : {"prompt_tokens": 12 ,"prompt_tokens_details":{"cached_tokens":3,"a":[]}, "e":{}}, "model.x":1 } "#;
    let paths = [
        "model",
        "usage",
        "usage.prompt_tokens",
        "usage.prompt_tokens_details.cached_tokens",
        "list",
        "none",
        "usage.e",
    ];
    let found = find(body.as_bytes(), &paths).expect("valid");
    let texts = found.map(|value| text_of(body, value));
    assert_eq!(texts[0], Some("\"m\""));
    assert!(texts[1].is_some_and(|usage| usage.starts_with("{\"prompt_tokens\"") && usage.ends_with("\"e\":{}}")));
    assert_eq!(
        texts[2..],
        [Some("12"), Some("3"), Some(r#"[{"model":1}]"#), None, Some("{}")]
    );
    assert_eq!(found[4].map(|value| value.kind), Some(Kind::Array));
    let usage = found[1].expect("found");
    const INNER: Watch<'_, 2> = Watch::new(&["prompt_tokens", "prompt_tokens_details.cached_tokens"]);
    let inner = find_in(body.as_bytes(), usage, &INNER).expect("valid");
    assert_eq!(inner, [found[2], found[3]]);
    assert_eq!(unsigned(body.as_bytes(), found[2].expect("found")), Some(12));
}

#[test]
fn escaped_keys_are_the_keys_they_stand_for() {
    let body = r#"{"mod\u0065l":"a","stre\u0061m_options":{"include_\u0075sage":true}}"#;
    let [model, include] = find(body.as_bytes(), &["model", "stream_options.include_usage"]).expect("valid");
    assert_eq!(text_of(body, model), Some("\"a\""));
    assert_eq!(include.map(|value| value.kind), Some(Kind::True));
}

#[test]
fn fields_that_decide_occur_once() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","mod\u0065l":"b"}"#,
        r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
        r#"{"stream_options":{"include_usage":true},"stream_options":{}}"#,
        r#"{"stream_options":null,"stream_options":{"include_usage":true}}"#,
    ] {
        let bad = find(body.as_bytes(), &["model", "stream_options.include_usage"]).expect_err(body);
        assert!(bad.reason.contains("twice"), "{bad}");
    }
    assert!(find(br#"{"other":1,"other":2}"#, &["model"]).is_ok());
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let table: &[(&[u8], usize)] = &[
        (b"", 0),
        (b" ", 1),
        (b"[]", 0),
        (b"1", 0),
        (b"\xef\xbb\xbf{}", 0),
        (b"{", 1),
        (b"{}x", 2),
        (b"{} {}", 3),
        (b"{\"a\"}", 4),
        (b"{\"a\":}", 5),
        (b"{\"a\":1,}", 7),
        (b"{,}", 1),
        (b"{\"a\":1 \"b\":2}", 7),
        (b"{a:1}", 1),
        (b"{\"a\":[1,]}", 8),
        (b"{\"a\":[1}", 7),
        (b"{\"a\":{]}", 6),
        (b"{\"a\":[1 2]}", 8),
        (b"{\"a\":01}", 6),
        (b"{\"a\":+1}", 5),
        (b"{\"a\":-}", 6),
        (b"{\"a\":1.}", 7),
        (b"{\"a\":.5}", 5),
        (b"{\"a\":1e}", 7),
        (b"{\"a\":1e+}", 8),
        (b"{\"a\":tru}", 5),
        (b"{\"a\":nul", 5),
        (b"{\"a\":NaN}", 5),
        (b"{\"a\":\"\n\"}", 6),
        (b"{\"a\":\"\x00\"}", 6),
        (b"{\"a\":\"\\x\"}", 7),
        (b"{\"a\":\"\\u12g4\"}", 10),
        (b"{\"a\":\"\\", 7),
        (b"{\"a\":\"abc", 9),
        (b"{\"a\":\"\xff\"}", 6),
        (b"{\"a\":\"\xed\xa0\x80\"}", 6),
        (b"{\x0b}", 1),
        (b"{\"a\":1}\0", 7),
        (b"{'a':1}", 1),
        (b"{\"a\":1/**/}", 6),
    ];
    for (body, offset) in table {
        let bad = find(body, &["a"]).expect_err(&body.escape_ascii().to_string());
        assert_eq!(bad.offset, *offset, "{}: {bad}", body.escape_ascii());
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(find(nested(MAX_DEPTH).as_bytes(), &["a"]).is_ok());
    let bad = find(nested(MAX_DEPTH + 1).as_bytes(), &["a"]).expect_err("too deep");
    assert_eq!(bad.reason, "nested too deeply");
}

#[test]
fn values_are_read() {
    let body = r#"{"s":"a\n\ud83d\ude00\/","lone":"\ud83d","n":18446744073709551615,"over":18446744073709551616,"neg":-1,"f":1.0,"plain":"é"}"#;
    let found = find(body.as_bytes(), &["s", "lone", "n", "over", "neg", "f", "plain"])
        .expect("valid")
        .map(|value| value.expect("found"));
    let buf = body.as_bytes();
    assert_eq!(string(buf, found[0]).as_deref(), Some("a\n😀/"));
    assert_eq!(string(buf, found[1]), None);
    assert_eq!(string(buf, found[2]), None);
    assert!(matches!(string(buf, found[6]), Some(Cow::Borrowed("é"))));
    assert_eq!(
        found[2..6]
            .iter()
            .map(|value| unsigned(buf, *value))
            .collect::<Vec<_>>(),
        [Some(u64::MAX), None, None, None]
    );
    assert_eq!(unsigned(buf, found[0]), None);
}

/// Text that is nearly JSON.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"model\"",
        "\"usage\"",
        "\"tokens\"",
        "\"\\u006dodel\"",
        "\"x\"",
        "1",
        "-0.5e3",
        "true",
        "null",
        " ",
        "\n",
        "\"a long string without anything special in it\"",
        "\"\\\"\\\\\"",
        "\\",
        "\"",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24)
        .prop_map(|pieces| format!("{{{}", pieces.concat()).into_bytes())
}

proptest! {
    #[test]
    fn agrees_with_serde_on_what_is_json(input in near_json()) {
        let reference = serde_json::from_slice::<serde_json::Value>(&input);
        match (find(&input, &["model", "usage.tokens"]), reference) {
            (Ok([model, tokens]), Ok(tree)) => {
                let parsed = |value: Option<Value>| value.map(|value| serde_json::from_slice::<serde_json::Value>(value.span.of(&input)).expect("a value"));
                prop_assert_eq!(parsed(model), tree.get("model").cloned());
                prop_assert_eq!(parsed(tokens), tree.get("usage").and_then(|usage| usage.get("tokens")).cloned());
            }
            (Err(bad), Ok(_)) => prop_assert!(bad.reason.contains("twice"), "{} in {}", bad, input.escape_ascii()),
            (Ok(_), Err(error)) => prop_assert!(false, "{} in {}", error, input.escape_ascii()),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn random_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = find(&input, &["a", "b.c", "d.e.f"]);
    }
}
