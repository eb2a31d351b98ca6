//! However a document is cut into slices, the same strings are found, and nothing of them passes too early.

use proptest::prelude::*;

use super::*;

fn wants(path: &Path) -> bool {
    matches!(
        path,
        [Name::Id] | [Name::Response, Name::Id] | [.., Name::FileId | Name::FileIds]
    )
}

/// The document with every string that was found and is clean in angle brackets, fed in slices of these lengths.
fn marked(document: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut follow, mut out, mut rest) = (Follow::default(), Vec::new(), document);
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let (slice, behind) = rest.split_at((*lengths.next().expect("a length")).min(rest.len()));
        rest = behind;
        let mut at = 0;
        let held = follow.feed(slice, wants, |_, found| {
            out.extend_from_slice(&slice[at..found.at.start]);
            let (before, after) = if found.clean {
                (&b"<"[..], &b">"[..])
            } else {
                (&b""[..], &b""[..])
            };
            out.extend_from_slice(&[before, found.text, after].concat());
            at = found.at.end;
        });
        out.extend_from_slice(&slice[at..slice.len() - held]);
    }
    out.extend_from_slice(&follow.take_held());
    out
}

#[test]
fn what_is_looked_for_is_found_where_it_stands() {
    for (document, expected) in [
        (
            r#"{"id":"a","x":{"id":"b"},"y":[{"id":"c"}]}"#,
            r#"{"id":"<a>","x":{"id":"b"},"y":[{"id":"c"}]}"#,
        ),
        (
            r#"{"response":{"id":"a"},"id":null}"#,
            r#"{"response":{"id":"<a>"},"id":null}"#,
        ),
        (r#"{"a":[{"b":{"file_id":"f"}}]}"#, r#"{"a":[{"b":{"file_id":"<f>"}}]}"#),
        (
            r#"{"a":{"file_ids":["f","g"]},"b":["file_id"]}"#,
            r#"{"a":{"file_ids":["<f>","<g>"]},"b":["file_id"]}"#,
        ),
        (
            r#"{"x":"\"id\":\"a\"","id":"a\"b"}"#,
            r#"{"x":"\"id\":\"a\"","id":"a\"b"}"#,
        ),
        (r#"{"x\\":"id", "id" : "a" }"#, r#"{"x\\":"id", "id" : "<a>" }"#),
        (r#"["id","a"]"#, r#"["id","a"]"#),
        (r#"{"id":"never ends"#, r#"{"id":"never ends"#),
        (r#"{"id":"a","never ends"#, r#"{"id":"<a>","never ends"#),
        (r#"{"never ends"#, r#"{"never ends"#),
        (
            "event: x\ndata: {\"response\":{\"id\":\"a\"}}\n\n",
            "event: x\ndata: {\"response\":{\"id\":\"<a>\"}}\n\n",
        ),
    ] {
        for length in [1, 2, 3, 7, 1000] {
            let got = marked(document.as_bytes(), &[length]);
            assert_eq!(String::from_utf8_lossy(&got), expected, "in slices of {length}");
        }
    }
}

#[test]
fn what_is_too_long_or_too_deep_passes() {
    let long = format!(r#"{{"id":"{}","file_id":"f"}}"#, "x".repeat(3 * MAX_SEALED_BYTES));
    for length in [1, 100, 10_000] {
        let got = String::from_utf8(marked(long.as_bytes(), &[length])).expect("UTF-8");
        assert_eq!(got, long.replace("\"f\"", "\"<f>\""));
    }
    for cut in ["{\"A", "{\"id\":\"x", "{\"file_i"] {
        assert_eq!(marked(cut.as_bytes(), &[1]), cut.as_bytes());
    }
    let deep = format!("{}\"{}", "[".repeat(MAX_DEPTH + 5), "]".repeat(MAX_DEPTH + 5));
    assert_eq!(marked(deep.as_bytes(), &[13]), deep.as_bytes());
}

proptest! {
    #[test]
    fn slices_do_not_matter(
        document in "([{}\\[\\]:,]|\"(id|response|file_id|file_ids|a\\\\\\\\|\\\\\"b)\"|\\PC){0,60}",
        lengths in proptest::collection::vec(1..20usize, 1..8),
    ) {
        let whole = marked(document.as_bytes(), &[document.len().max(1)]);
        prop_assert_eq!(&marked(document.as_bytes(), &lengths), &whole);
        let left: Vec<u8> = whole.into_iter().filter(|byte| !b"<>".contains(byte)).collect();
        let came: Vec<u8> = document.bytes().filter(|byte| !b"<>".contains(byte)).collect();
        prop_assert_eq!(left, came);
    }
}
