//! The tap by table, against the cursor, and over any split.

use proptest::prelude::*;

use super::*;
use crate::json::cursor;

/// What the tap on `usage` shows, as text, after `document` fed in the pieces that `cuts` makes.
fn tap(document: &[u8], cuts: &[usize], limit: usize) -> String {
    let mut tap = Tap::new("usage", limit);
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (document.len() + 1)).collect();
    bounds.extend([0, document.len()]);
    bounds.sort_unstable();
    for pair in bounds.windows(2) {
        tap.feed(&document[pair[0]..pair[1]]);
        assert!(tap.value.len() <= limit && tap.cut_key.len() <= 32);
    }
    match tap.outcome() {
        Tapped::Value(value) => format!("= {}", value.escape_ascii()),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_member_is_kept_as_it_came() {
    let table = [
        (
            r#"{"usage":{"a":[1,{"b":"}\""}]}}"#,
            r#"= {\"a\":[1,{\"b\":\"}\\\"\"}]}"#,
        ),
        (r#" { "id" : "x\\" , "usage" : null , "z":1}"#, "= null"),
        (r#"{"usage":12}"#, "= 12"),
        (r#"{"usage":-1.5e3 }"#, "= -1.5e3"),
        (r#"{"usage":"a\"b","x":{}}"#, r#"= \"a\\\"b\""#),
        (r#"{"\u0075sage":true,"x":[]}"#, "= true"),
        (r#"{"choices":[{"usage":1}],"x":{"usage":2}}"#, "Absent"),
        (r#"{"usage2":1,"usag":2,"":3}"#, "Absent"),
        ("{}", "Absent"),
        ("", "Absent"),
        (r#"{"usage":{"a":1"#, "Unfinished"),
        (r#"{"usage":1"#, "Unfinished"),
        (r#"{"usage""#, "Unfinished"),
        (
            r#"{"usage":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]}"#,
            "TooLong",
        ),
        (r#"{"usage":1,"usage":2}"#, "Twice"),
        (r#"{"usage":1,"us\u0061ge":2}"#, "Twice"),
        ("[]", "Malformed"),
        ("{1", "Malformed"),
        (r#"{"a" 1}"#, "Malformed"),
        (r#"{"a":1,}"#, "Malformed"),
        (r#"{"usage":1}x"#, "Malformed"),
        (r#"{"usage":}"#, "Malformed"),
    ];
    for (document, expected) in table {
        assert_eq!(tap(document.as_bytes(), &[], 64), expected, "{document}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(MAX_DEPTH + 1));
    assert_eq!(tap(deep.as_bytes(), &[], 64), "Malformed");
}

#[test]
fn it_serves_one_document_after_another() {
    let mut tap = Tap::new("usage", 64);
    for (document, expected) in [
        ("{\"usage\":1", Tapped::Unfinished),
        ("{\"usage\":2}", Tapped::Value(b"2")),
        ("{", Tapped::Absent),
    ] {
        tap.reset();
        tap.feed(document.as_bytes());
        assert_eq!(tap.outcome(), expected);
    }
}

#[test]
fn long_vectors_are_passed() {
    let numbers: Vec<String> = (0..500).map(|n| format!("-0.{n:06}")).collect();
    let document = format!("{{\"data\":[[{}],[1]],\"usage\":{{\"n\":1}}}}", numbers.join(","));
    assert_eq!(tap(document.as_bytes(), &[], 64), r#"= {\"n\":1}"#);
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
        "\"usage\"",
        "\"us\\u0061ge\":",
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
        let expected = match cursor::find(&document, &["usage"]) {
            Ok([Some(value)]) => format!("= {}", value.span.of(&document).escape_ascii()),
            Ok([None]) => "Absent".to_owned(),
            Err(_) => return Ok(()),
        };
        prop_assert_eq!(tap(&document, &[], 4096), expected);
    }

    #[test]
    fn random_bytes_never_panic(document in prop::collection::vec(any::<u8>(), 0..256), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        tap(&document, &cuts, 16);
    }
}
