//! The top-level `usage` member of an answer, found without walking what stands before it.
//!
//! In valid JSON a quote inside a string has a backslash before it, so `"usage"` with none before it and a colon
//! behind it is a key; and what follows it up to the end of the document tells how deep it lies. The prompt's echo,
//! the text and the tool calls of an answer need not be walked for that: usage stands near the end.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use tollgate_wire::{
    Span,
    json::{
        cursor::{self, Kind, Value},
        watch::Watch,
    },
};

use crate::numbers::string_end;

static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
const KEY_BYTES: usize = 7;

/// Does `"usage"` occur at all?
pub fn mentions_usage(document: &[u8]) -> bool {
    KEY.find(document).is_some()
}

/// What a quick look found.
enum Located {
    /// The document says nothing of usage.
    Absent,
    Top(Value),
    /// Not where it usually stands, or not alone: a full walk must tell.
    Unclear,
}

/// The top-level `usage` value; `None` when there is none, or the document is no JSON where it had to be walked.
pub(crate) fn find(document: &[u8]) -> Option<Value> {
    const USAGE: Watch<'static, 1> = Watch::new(&["usage"]);
    match usage(document) {
        Located::Absent => None,
        Located::Top(value) => Some(value),
        Located::Unclear => cursor::find_watched(document, &USAGE).ok()?[0],
    }
}

fn usage(document: &[u8]) -> Located {
    let Some(key) = KEY.find(document) else {
        return Located::Absent;
    };
    let behind = key + KEY_BYTES;
    let escaped = key > 0 && document[key - 1] == b'\\';
    if escaped || KEY.find(&document[behind..]).is_some() {
        return Located::Unclear;
    }
    let Some(value_at) = value_behind(document, behind) else {
        return Located::Unclear;
    };
    match walk_to_end(document, value_at) {
        Some(value_end) => Located::Top(value(document, value_at, value_end)),
        None => Located::Unclear,
    }
}

fn value_behind(document: &[u8], at: usize) -> Option<usize> {
    let colon = skip_space(document, at);
    (document.get(colon) == Some(&b':')).then(|| skip_space(document, colon + 1))
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Where the value at `at` ends, if the document closes as one does whose top level holds that value.
fn walk_to_end(document: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 1usize;
    let mut value_end = None;
    while let Some(&byte) = document.get(at) {
        match byte {
            b'"' => at = string_end(document, at + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
        let ends = matches!(byte, b',' | b'}' | b']') && depth <= 1;
        if ends && value_end.is_none() {
            // A comma, and the bracket that closes the document, stand behind the value; its own bracket belongs to it.
            value_end = Some(if byte == b',' || depth == 0 { at - 1 } else { at });
        }
        if depth == 0 {
            let rest_is_space = skip_space(document, at) == document.len();
            return value_end.filter(|_| rest_is_space);
        }
    }
    None
}

fn value(document: &[u8], start: usize, end: usize) -> Value {
    let text = document[start..end].trim_ascii_end();
    let kind = match text.first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't') => Kind::True,
        Some(b'f') => Kind::False,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    };
    Value {
        span: Span::new(start, start + text.len()),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The quick look and the full walk must not differ where the quick look is sure.
    fn agrees(document: &[u8]) {
        let walked = cursor::find(document, &["usage"]).map(|[usage]| usage);
        match (usage(document), walked) {
            (Located::Top(quick), Ok(walked)) => {
                assert_eq!(Some(quick), walked, "{}", String::from_utf8_lossy(document));
            }
            (Located::Absent, Ok(walked)) => assert_eq!(walked, None),
            (Located::Unclear, _) | (_, Err(_)) => {}
        }
    }

    #[test]
    fn usual_answers_are_located() {
        for document in [
            r#"{"usage":{"a":1}}"#,
            r#"{"a":"b","usage":{"a":{"b":[1,2]}},"z":"}"}"#,
            "{\"a\":{\"b\":[]},\"usage\" : null } \n",
            r#"{"a":"\"usage\"","usage":{"a":1},"z":null}"#,
            r#"{"usage":12,"z":1}"#,
        ] {
            agrees(document.as_bytes());
            assert!(matches!(usage(document.as_bytes()), Located::Top(_)), "{document}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_walk() {
        for document in [
            r#"{"a":{"usage":{"a":1}}}"#,
            r#"{"a":[{"usage":1}]}"#,
            r#"{"a\"usage":{"a":1}}"#,
            r#"{"a":"usage"}"#,
            r#"{"usage":1,"usage":2}"#,
            r#"{"usage":1"#,
            r#"{"usage":1}}"#,
        ] {
            agrees(document.as_bytes());
            assert!(matches!(usage(document.as_bytes()), Located::Unclear), "{document}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let text = prop_oneof![
            Just("usage".to_owned()),
            Just("\\\"usage\":{".to_owned()),
            "[a-c\"\\\\{}]{0,6}"
        ];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<u16>().prop_map(Into::into),
            text.clone().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::vec((text.clone(), inner), 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_walk(document in json()) {
            agrees(document.to_string().as_bytes());
            agrees(format!("{document:#}").as_bytes());
        }
    }
}
