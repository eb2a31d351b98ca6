//! The tap by table, against the cursor, and over any split.

use proptest::prelude::*;

use super::*;
use crate::json::cursor;

const PLACES: &[Place] = &[&["usage"], &["response", "usage"], &["delta", "use"]];

/// What the tap shows, one object behind the other, after `document` fed in the pieces that `cuts` makes.
fn tap(document: &[u8], cuts: &[usize], limit: usize) -> String {
    let mut tap = Tap::new(PLACES, limit);
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (document.len() + 1)).collect();
    bounds.extend([0, document.len()]);
    bounds.sort_unstable();
    let mut found = Vec::new();
    for pair in bounds.windows(2) {
        tap.feed(&document[pair[0]..pair[1]], |object| {
            found.push(object.escape_ascii().to_string());
        });
        assert!(tap.value.len() <= limit && tap.cut_key.len() <= 8 * 6 + 1);
    }
    found.join(" ")
}

#[test]
fn objects_are_kept_as_they_came() {
    let table = [
        (r#"{"usage":{"a":[1,{"b":"}\""}]}}"#, r#"{\"a\":[1,{\"b\":\"}\\\"\"}]}"#),
        (r#" { "id" : "x\\" , "usage" : { } , "z":1}"#, "{ }"),
        (r#"{"usage":null}"#, ""),
        (r#"{"usage":[{}],"x":-1.5e3 }"#, ""),
        (r#"{"\u0075sage":{},"x":[]}"#, "{}"),
        (r#"{"choices":[{"usage":{}}],"x":{"usage":{}}}"#, ""),
        (r#"{"usage2":{},"usag":{},"":{}}"#, ""),
        (
            r#"{"response":{"a":{"usage":{}},"usage":{"b":1}},"usage":{"c":2}}"#,
            r#"{\"b\":1} {\"c\":2}"#,
        ),
        (r#"{"delta":{"usage":{"a":1},"use":{"b":1}},"use":{}}"#, r#"{\"b\":1}"#),
        (r#"{"response":{},"usage":{"a":1}}"#, r#"{\"a\":1}"#),
        (r#"{"response":7,"usage":{"a":1}}"#, r#"{\"a\":1}"#),
        (
            r#" [ {"usage":{"a":1}} , {}, {"x":"]","usage":{"a":2}}]"#,
            r#"{\"a\":1} {\"a\":2}"#,
        ),
        (r#"[[{"usage":{}}]]"#, ""),
        ("{}", ""),
        ("[]", ""),
        ("", ""),
        (r#"{"usage":{"a":1"#, ""),
        (r#"{"usage""#, ""),
        (
            r#"{"usage":{"a":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23]},"usage":{}}"#,
            "{}",
        ),
        ("{1", ""),
        (r#"{"a" 1,"usage":{}}"#, ""),
        (r#"{"a":1,}"#, ""),
        (r#"{"usage":{}}x"#, "{}"),
        (r#"{"a":},"usage":{}"#, ""),
    ];
    for (document, expected) in table {
        assert_eq!(tap(document.as_bytes(), &[], 64), expected, "{document}");
    }
    // Its memory does not grow with the depth.
    let deep = 100_000;
    let deep = format!("{{\"a\":{}{},\"usage\":{{}}}}", "[".repeat(deep), "]".repeat(deep));
    assert_eq!(tap(deep.as_bytes(), &[], 64), "{}");
}

#[test]
fn it_serves_one_document_after_another() {
    let mut tap = Tap::new(PLACES, 64);
    for (document, expected) in [
        (r#"{"usage":{"a":1"#, ""),
        (r#"{"usage":{"a":2}}"#, r#"{"a":2}"#),
        (r#"[{"response":{"usa"#, ""),
        (r#"{"usage":{"a":3}}"#, r#"{"a":3}"#),
        ("{", ""),
    ] {
        tap.reset();
        let mut found = String::new();
        tap.feed(document.as_bytes(), |object| found += &String::from_utf8_lossy(object));
        assert_eq!(found, expected);
    }
}

#[test]
fn long_vectors_are_passed() {
    let numbers: Vec<String> = (0..500).map(|n| format!("-0.{n:06}")).collect();
    let document = format!("{{\"data\":[[{}],[1]],\"usage\":{{\"n\":1}}}}", numbers.join(","));
    assert_eq!(tap(document.as_bytes(), &[], 64), r#"{\"n\":1}"#);
}

/// Text that is nearly a document with usage in it.
fn near_document() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"usage\":",
        "\"usage\":{",
        "\"us\\u0061ge\":",
        "\"response\":{",
        "\"x\":",
        "{\"a\":[1,\"}\"]}",
        "\"\\\\\"",
        "\"\\\"",
        "12",
        "null",
        " ",
        "\"a\":1,",
        "[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,0.10,0.11,0.12,0.13,0.14]",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..16)
        .prop_map(|pieces| format!("{{{}", pieces.concat()).into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_same(document in near_document(), cuts in prop::collection::vec(any::<usize>(), 0..12), limit in 1usize..80) {
        let whole = tap(&document, &[], limit);
        prop_assert_eq!(&tap(&document, &cuts, limit), &whole);
        let bytewise: Vec<usize> = (0..document.len()).collect();
        prop_assert_eq!(&tap(&document, &bytewise, limit), &whole);
    }

    #[test]
    fn agrees_with_the_cursor_on_what_is_json(document in near_document()) {
        let Ok(found) = cursor::find(&document, &["usage", "response.usage"]) else {
            return Ok(());
        };
        let objects = found.into_iter().flatten().filter(|value| value.kind == cursor::Kind::Object);
        let mut spans: Vec<_> = objects.map(|value| value.span).collect();
        spans.sort_by_key(|span| span.start);
        let expected: Vec<String> = spans.iter().map(|span| span.of(&document).escape_ascii().to_string()).collect();
        prop_assert_eq!(tap(&document, &[], 4096), expected.join(" "));
    }

    #[test]
    fn random_bytes_never_panic(document in prop::collection::vec(any::<u8>(), 0..256), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        tap(&document, &cuts, 16);
    }
}
