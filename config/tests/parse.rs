//! Text → tree: what YAML and JSON mean, which texts are refused and where.

use serde_json::{Value, json};
use tollgate_config::{
    parse::{Parsed, parse},
    problem::Position,
};

fn tree(text: &str) -> Value {
    match parse(text) {
        Ok(parsed) => parsed.tree,
        Err(problems) => panic!("{text}: {problems:?}"),
    }
}

fn at(parsed: &Parsed, pointer: &str) -> Option<(u32, u32)> {
    parsed.position(pointer).map(|Position { line, column }| (line, column))
}

#[test]
fn scalars_follow_the_core_schema() {
    for (text, expected) in [
        ("", Value::Null),
        ("~", Value::Null),
        ("[null, Null, NULL, ~, ]", json!([null, null, null, null])),
        ("[true, True, FALSE]", json!([true, true, false])),
        ("[yes, no, on, off, y]", json!(["yes", "no", "on", "off", "y"])),
        ("[0, 12, -3, +4, 0o17, 0x1F, 007]", json!([0, 12, -3, 4, 15, 31, 7])),
        ("[1.5, -0.5, 1e3, .5, 1.]", json!([1.5, -0.5, 1000.0, 0.5, 1.0])),
        (
            "[18446744073709551615, -9223372036854775808]",
            json!([u64::MAX, i64::MIN]),
        ),
        ("['1', \"2\", !!str 3]", json!(["1", "2", "3"])),
        ("[!!int 3, !!float 1, !!null ~, !!bool true]", json!([3, 1, null, true])),
        (
            "[1.2.3, 10:30, 2027-01-01T00:00:00Z, 30s, 1e, 0x]",
            json!(["1.2.3", "10:30", "2027-01-01T00:00:00Z", "30s", "1e", "0x"]),
        ),
        (
            "a: |\n  x\n  y\nb: >-\n  x\n  y\n",
            json!({ "a": "x\ny\n", "b": "x y" }),
        ),
        (
            "{\"a\": \"\\ud83d\\ude00\\/\", \"b\": [1e2, -0, 0.25]}",
            json!({ "a": "😀/", "b": [100.0, 0, 0.25] }),
        ),
        ("{a: &x {b: 1}, c: *x}", json!({ "a": { "b": 1 }, "c": { "b": 1 } })),
        ("\u{feff}a: 1", json!({ "a": 1 })),
        ("# only a comment\n", Value::Null),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn positions_are_lines_and_columns_from_one() {
    let yaml = "# comment\nproviders:\n  öpenai:\n    kind: openai\n    list: [ a, {b: c} ]\n";
    let json =
        "\n{\"providers\":\n  {\"öpenai\": {\n    \"kind\": \"openai\",\n    \"list\": [ \"a\", {\"b\": \"c\"} ]}}}\n";
    let parsed = parse(yaml).unwrap();
    for (pointer, expected) in [
        ("", (2, 1)),
        ("/providers", (2, 1)),
        ("/providers/öpenai", (3, 3)),
        ("/providers/öpenai/kind", (4, 11)),
        ("/providers/öpenai/list", (5, 5)),
        ("/providers/öpenai/list/1", (5, 16)),
        ("/providers/öpenai/list/1/b", (5, 20)),
        ("/providers/öpenai/missing/deeper", (3, 3)),
    ] {
        assert_eq!(at(&parsed, pointer), Some(expected), "{pointer}");
    }
    let parsed = parse(json).unwrap();
    for (pointer, expected) in [
        ("", (2, 1)),
        ("/providers/öpenai", (3, 4)),
        ("/providers/öpenai/kind", (4, 13)),
        ("/providers/öpenai/list/1", (5, 20)),
    ] {
        assert_eq!(at(&parsed, pointer), Some(expected), "{pointer}");
    }
}

#[test]
fn bad_texts_say_where_and_what() {
    for (text, line, column, pointer, wrong) in [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "/a", "the key `a` is written twice"),
        (
            "{\"a\": 1, \"b\": {\"c\": 1, \"c\": 2}}",
            1,
            24,
            "/b/c",
            "the key `c` is written twice",
        ),
        ("1: x", 1, 1, "", "the key `1` is not text"),
        ("a:\n  true: x", 2, 3, "/a", "the key `true` is not text"),
        ("? [a]\n: x", 1, 3, "", "a list or map stands where a key belongs"),
        (
            "x: &d {a: 1}\ny:\n  <<: *d\n",
            3,
            3,
            "/y",
            "merge keys (`<<`) are not part of YAML 1.2",
        ),
        ("a: .inf", 1, 4, "/a", "`.inf` is not a finite number"),
        (
            "a: 99999999999999999999",
            1,
            4,
            "/a",
            "`99999999999999999999` is a number out of range",
        ),
        ("a: !env HOME", 1, 4, "/a", "the tag `!env` does not fit this value"),
        ("a: 1\n---\nb: 1", 2, 1, "", "a second document begins here"),
        (
            "a: &x [ *x ]",
            1,
            9,
            "/a/0",
            "this alias refers to a value that contains it",
        ),
    ] {
        let problems = parse(text).unwrap_err();
        let problem = &problems[0];
        assert_eq!(
            (problem.pointer.as_str(), problem.wrong.as_str()),
            (pointer, wrong),
            "{text}"
        );
        assert_eq!(problem.position, Some(Position { line, column }), "{text}");
    }
}

#[test]
fn bad_syntax_has_a_line() {
    for (text, line) in [
        ("a: 1\nb: [1, 2\n", 3),
        ("a: 1\n b: 2\n", 2),
        ("{\"a\": 1,,}", 1),
        ("a: \"x", 1),
        ("a: *nowhere", 1),
        ("a:\n\tb: 1", 2),
    ] {
        let problems = parse(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}");
        assert_eq!(
            problems[0].position.map(|position| position.line),
            Some(line),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn all_duplicates_are_found() {
    let problems = parse("a: 1\na: 2\nb: {c: 1, c: 2}\n2: x\n").unwrap_err();
    let lines: Vec<_> = problems
        .iter()
        .filter_map(|problem| problem.position)
        .map(|at| at.line)
        .collect();
    assert_eq!(lines, [2, 3, 4]);
    assert_eq!(problems[0].right, "keep one of the two; the first is on line 1");
}

#[test]
fn nesting_and_expansion_are_bounded() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(64)).is_ok());
    let problems = parse(&nested(65)).unwrap_err();
    assert!(problems[0].wrong.contains("nested more than 64 deep"), "{problems:?}");

    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_string();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let problems = parse(&laughs).unwrap_err();
    assert!(problems[0].wrong.contains("aliases expand"), "{problems:?}");

    let deep_alias = format!("a: &a {}\nb: {}*a{}\n", nested(40), "[".repeat(40), "]".repeat(40));
    assert!(parse(&deep_alias).unwrap_err()[0].wrong.contains("nested"));
}
