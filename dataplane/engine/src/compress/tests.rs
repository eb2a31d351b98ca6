//! Each step by what it leaves and what it takes, and what holds of any text.

use proptest::prelude::*;
use tollgate_vector::Embedder;

use super::{extract::Question, *};

const ALL: Steps = Steps {
    whitespace: true,
    duplicates: true,
    json: true,
    tables: true,
    comments: true,
    extract_percent: None,
};

fn by(step: impl FnOnce(&mut Steps)) -> Steps {
    let mut steps = Steps::default();
    step(&mut steps);
    steps
}

#[track_caller]
fn each(steps: Steps, cases: &[(&str, &str)]) {
    for (before, after) in cases {
        let shorter = shorten_text(before, steps);
        assert_eq!(shorter.as_deref().unwrap_or(before), *after, "{before:?}");
    }
}

#[test]
fn blanks_go_and_what_is_quoted_or_code_or_indented_stays() {
    each(
        by(|steps| steps.whitespace = true),
        &[
            ("a  b   c", "a b c"),
            ("a   \n\n\n\nb \n", "a\n\nb\n"),
            ("    indented   more\n", "    indented more\n"),
            ("say \"two  blanks\"  now", "say \"two  blanks\" now"),
            ("run `a  b`  now", "run `a  b` now"),
            ("an \" alone  here\nc  d", "an \" alone  here\nc  d"),
            ("\"x  y\nz  z\" is quoted.\n\na  b", "\"x  y\nz  z\" is quoted.\n\na b"),
            ("grep 'a    b'", "grep 'a    b'"),
            ("“c    d”", "“c    d”"),
            ("I don't  know", "I don't know"),
            ("1\tA\t\t\n\t\t\t\n\t\t\t\n", "1\tA\t\t\n\t\t\t\n\t\t\t\n"),
            ("a  b \r\n\r\n\r\nc", "a b\r\n\r\nc"),
            ("a  b\r \r \nc", "a b\r \r \nc"),
            (
                "NAME   AGE  CITY\nBob         Rome\n",
                "NAME   AGE  CITY\nBob         Rome\n",
            ),
            ("It is so.  And so.\nOr not.  So.", "It is so. And so.\nOr not. So."),
            (
                "- x\n\n    ```\n    x = a    b\n    ```\n",
                "- x\n\n    ```\n    x = a    b\n    ```\n",
            ),
            ("a  b\n> ```\n> c    d\n", "a b\n> ```\n> c    d\n"),
            ("```\na  b\n\n\n\nc\n```\n", "```\na  b\n\n\n\nc\n```\n"),
            ("~~~ text\na   b", "~~~ text\na   b"),
            ("x  \t y\t\tz", "x  \t y\t\tz"),
            ("----------\n", "---\n"),
            ("=======\n", "=======\n"),
            ("12  345  6.7", "12 345 6.7"),
        ],
    );
}

#[test]
fn json_loses_the_blanks_between_its_tokens_where_it_parses() {
    each(
        by(|steps| steps.json = true),
        &[
            (
                "Look:\n{ \"a\" : [ 1, 2.50e+3 ],\n  \"b c\": \"d  \\\" e\" }\nDone",
                "Look:\n{\"a\":[1,2.50e+3],\"b c\":\"d  \\\" e\"}\nDone",
            ),
            (
                "{ \"a\": 1, \"a trailing comma\": 2, }",
                "{ \"a\": 1, \"a trailing comma\": 2, }",
            ),
            (
                "{ \"a\": 01, \"more\": \"of it here\" }",
                "{ \"a\": 01, \"more\": \"of it here\" }",
            ),
            ("[ ] a box to tick, and some words", "[ ] a box to tick, and some words"),
            ("[ ]", "[ ]"),
            (
                "```json\n{\n  \"a\": true,\n  \"b\": null\n}\n```",
                "```json\n{\"a\":true,\"b\":null}\n```",
            ),
            (
                "```\n{ \"a\":  true, \"bcdef\":  null }\n```",
                "```\n{ \"a\":  true, \"bcdef\":  null }\n```",
            ),
            ("[ [ [ [ [ [ [ [", "[ [ [ [ [ [ [ ["),
        ],
    );
    // Not once for each bracket.
    let brackets = "[\n".repeat(200_000);
    assert_eq!(shorten_text(&brackets, by(|steps| steps.json = true)), None);
}

#[test]
fn tables_lose_their_padding() {
    each(
        by(|steps| steps.tables = true),
        &[
            (
                "| name   | n  |\n|--------|:--:|\n| a \\| b |  1 |\n",
                "|name|n|\n|-|:-:|\n|a \\| b|1|\n",
            ),
            (
                "| no ruler | here |\n| is | none |\n",
                "| no ruler | here |\n| is | none |\n",
            ),
            ("a,    1,  x\nb,    2,  y\nc,    3,  z\n", "a,1,x\nb,2,y\nc,3,z\n"),
            ("a, b, c\nd, e, f\ng, h, i\n", "a, b, c\nd, e, f\ng, h, i\n"),
            (
                "\"a,  b\",  c,  d\ne,  f,  g\nh,  i,  j\n",
                "\"a,  b\",  c,  d\ne,  f,  g\nh,  i,  j\n",
            ),
        ],
    );
}

#[test]
fn lines_that_are_no_table_are_counted_once() {
    // Of each a megabyte: where each line counted those behind it, this took hours.
    for line in ["2026-11-26,alpha,42,north\n", "|a|\n", "| a  | b |\n"] {
        let text = line.repeat((1 << 20) / line.len());
        assert_eq!(shorten_text(&text, by(|steps| steps.tables = true)), None);
    }
    each(
        by(|steps| steps.tables = true),
        &[(
            "| x |\n| a  | b |\n|---|---|\n| c | d |\n",
            "| x |\n|a|b|\n|-|-|\n|c|d|\n",
        )],
    );
}

#[test]
fn comments_go_and_strings_that_look_like_them_stay() {
    let fenced = |language: &str, code: &str| format!("```{language}\n{code}```\n");
    for (language, code, after) in [
        (
            "c",
            "int a; // one\nchar *s = \"// no\"; /* two\n */ int b;\n",
            "int a;\nchar *s = \"// no\"; int b;\n",
        ),
        ("c", "int n = 1'000; // sum\n", "int n = 1'000;\n"),
        ("c", "// goes on \\\nint a;\n", "// goes on \\\nint a;\n"),
        ("c", "char c = '\"'; // quote\n", "char c = '\"';\n"),
        (
            "go",
            "s := `// raw\n` // end\n//go:embed x\nvar y string\n",
            "s := `// raw\n`\n//go:embed x\nvar y string\n",
        ),
        (
            "go",
            "/*\n#include <x.h>\n*/\nimport \"C\"\n",
            "/*\n#include <x.h>\n*/\nimport \"C\"\n",
        ),
        (
            "rust",
            "fn f<'a>(x: &'a str) -> char { '/' } // done\nlet r = r#\"// \" no\"#; /* a /* b */ c */\n",
            "fn f<'a>(x: &'a str) -> char { '/' }\nlet r = r#\"// \" no\"#;\n",
        ),
        (
            "java",
            "String s = \"\"\"\n  // no\n  \"\"\"; // yes\n",
            "String s = \"\"\"\n  // no\n  \"\"\";\n",
        ),
        (
            "python",
            "#!/usr/bin/env python\nx = '# no'  # yes\n\"\"\"# doc\n\"\"\"\n# gone\n    # gone too\ny = 1\n",
            "#!/usr/bin/env python\nx = '# no'\n\"\"\"# doc\n\"\"\"\ny = 1\n",
        ),
        // Python 3.12 lets the same quotes stand inside: where that is so, nothing is touched.
        ("python", "f\"{x[\"# a\"]}\" # b\n", "f\"{x[\"# a\"]}\" # b\n"),
        ("python", "f\"{x}\" # b\n", "f\"{x}\"\n"),
        ("js", "a = 1 // one\n", "a = 1 // one\n"),
        ("c", "\"not closed // \n", "\"not closed // \n"),
        ("c", "a /**/ b/**/c\n", "a b c\n"),
    ] {
        let before = fenced(language, code);
        let shorter = shorten_text(&before, by(|steps| steps.comments = true));
        assert_eq!(shorter.unwrap_or(before), fenced(language, after), "{language}: {code}");
    }
}

#[test]
fn a_fence_ends_where_commonmark_ends_it() {
    for (text, is_same) in [
        ("````\n```\na  b\n````\n", true),
        ("```\na  b\n~~~\nc  d\n```\n", true),
        ("``` a`b  c", false),
        ("    ```\na  b\n", true),
        ("```\na  b", true),
    ] {
        let shorter = shorten_text(text, by(|steps| steps.whitespace = true));
        assert_eq!(shorter.is_none(), is_same, "{text:?}");
    }
}

#[test]
fn what_was_said_before_is_told_to_be() {
    let mut passages = duplicates::Passages::default();
    let long = "The quick brown fox jumps over the lazy dog, again and again. ".repeat(4);
    let first = format!("{long}\n\nShort.\n\nShort.\n");
    assert_eq!(passages.without_repeated(&first), None);
    assert_eq!(
        passages.without_repeated(&format!("See:\n\n{long}\n\nNow?")).as_deref(),
        Some("See:\n\n[Repeated from above: The quick brown fox jumps over the lazy …] \n\nNow?")
    );
    let code = format!("```\n{long}\n```\n");
    assert_eq!(passages.without_repeated(&code), None);
    // Which of two would be meant?
    let other = format!("{long} And another end.");
    assert_eq!(passages.without_repeated(&other), None);
    assert_eq!(passages.without_repeated(&long), None);
}

#[test]
fn sentences_that_have_least_to_do_with_the_question_go() {
    let embedder = Embedder::builtin().expect("the shipped model loads");
    let mut question = Question::new(&embedder, "How does the pump fill the water tank?").expect("words");
    let text = "We met in the garden behind the old house. The pump fills the water tank through a long hose. \
        Somebody had brought a cake with cherries on it. The sun was low and the shadows were long. \
        The tank holds 240 liters. Never run the pump dry. Birds were singing in the trees all the time. \
        The hose leads from the pump to the tank and must be tight. She said \"bring the hose\" twice. \
        A neighbour told a story of his youth in the mountains. Nobody knew why the door was painted green.";
    let shorter = question.extract(text, 60).expect("shorter");
    for kept in [
        "The pump fills the water tank through a long hose.",
        "The tank holds 240 liters.",
        "Never run the pump dry.",
        "must be tight.",
        "\"bring the hose\"",
        "[…]",
    ] {
        assert!(shorter.contains(kept), "{kept}: {shorter}");
    }
    assert!(
        !shorter.contains("cake") && shorter.len() * 100 >= text.len() * 60,
        "{shorter}"
    );
    assert_eq!(question.extract(&shorter, 60), None, "once is enough");
    assert_eq!(question.extract("Short. And so on.", 60), None);
    let code = format!("```\n{text}\n```\n");
    assert_eq!(question.extract(&code, 60), None);
}

/// Texts made of what the steps look for, in any order and cut anywhere.
fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "```",
        "```json\n",
        "```c\n",
        "```python\n",
        "~~~~\n",
        "\n",
        "\n\n\n",
        "  ",
        " ",
        "\t",
        "\r\n",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "\\",
        ",",
        ":",
        "|",
        "| a  |\n",
        "|---|\n",
        "-",
        "----------",
        "# x\n",
        "// y\n",
        "/* z */",
        "r#\"",
        "1",
        "2.5e3",
        "word",
        "ä ",
        "a,  b,  c\n",
        "{ \"a\" : 1 }\n",
        "`",
        "; ",
        ". ",
        "f\"{",
        "null",
        "…",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

/// All that is no white space, in order.
fn solid(text: &str) -> String {
    text.chars().filter(|mark| !mark.is_whitespace()).collect()
}

fn short_rulers(mut text: String) -> String {
    while text.contains("----") {
        text = text.replace("----", "---");
    }
    text
}

/// The content of fenced blocks.
fn fenced(text: &str) -> Vec<&str> {
    let of = |part| match part {
        Part::Code { whole, .. } => text.get(whole),
        Part::Prose(_) => None,
    };
    fences::parts(text).into_iter().filter_map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn shorter_is_shorter_and_short_enough(text in texts()) {
        if let Some(once) = shorten_text(&text, ALL) {
            prop_assert!(once.len() < text.len());
            prop_assert_eq!(shorten_text(&once, ALL), None, "{:?}", once);
        }
    }

    #[test]
    fn nothing_but_blanks_and_rulers_goes_and_code_stays(text in texts()) {
        let steps = by(|steps| steps.whitespace = true);
        let shorter = shorten_text(&text, steps).unwrap_or_else(|| text.clone());
        prop_assert_eq!(fenced(&shorter), fenced(&text));
        prop_assert_eq!(short_rulers(solid(&shorter)), short_rulers(solid(&text)));
    }

    #[test]
    fn a_document_is_equal_without_its_blanks(value in values(4), indented in any::<bool>()) {
        let document = match indented {
            true => serde_json::to_string_pretty(&value),
            false => serde_json::to_string(&value),
        }.expect("JSON");
        let text = format!("Before.\n{document}\nBehind.");
        let shorter = shorten_text(&text, by(|steps| steps.json = true)).unwrap_or(text);
        let inside = shorter.strip_prefix("Before.\n").and_then(|rest| rest.strip_suffix("\nBehind.")).expect("both");
        let read: serde_json::Value = serde_json::from_str(inside).expect("JSON");
        prop_assert_eq!(read, value);
    }

    #[test]
    fn a_request_stays_one_and_equal_but_for_its_texts(texts in prop::collection::vec(texts(), 1..5)) {
        let turns: Vec<_> = texts.iter().map(|text| serde_json::json!({"role": "user", "content": [
            {"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": text}}]})).collect();
        let request = serde_json::json!({"model": "m", "n": 1, "messages": turns, "tools": [{"description": texts}]});
        let body = serde_json::to_vec(&request).expect("JSON");
        let shortened = shorten_body(&body, ALL, None).expect("a request");
        let Some(shorter) = shortened.body else { return Ok(()) };
        prop_assert!(shorter.len() < body.len());
        let mut read: serde_json::Value = serde_json::from_slice(&shorter).expect("JSON");
        let mut was = request;
        for (now, before) in read["messages"].as_array_mut().expect("turns").iter_mut().zip(was["messages"].as_array_mut().expect("turns")) {
            prop_assert!(now["content"][0]["text"].as_str().is_some());
            now["content"][0]["text"] = serde_json::Value::Null;
            before["content"][0]["text"] = serde_json::Value::Null;
        }
        prop_assert_eq!(read, was);
    }
}

fn values(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[ a-z\\\\\"\n{}:,]{0,12}".prop_map(Into::into),
    ];
    let inner = leaf.prop_recursive(depth, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map("[a-z ]{0,6}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    // As it stands in a text: an object.
    inner.prop_map(|value| serde_json::json!({ "value": value, "beside": [1, 2, 3] }))
}
