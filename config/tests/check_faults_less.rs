//! Every way to write guards and `compress` wrong, and right: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::said;
use tollgate_config::{
    check::check,
    document::{CompressMode, Guard, GuardMode, GuardSides, Steps},
    parse::parse,
};

const AROUND: &str = "version: 1\nproviders: { p: { dialect: openai, base_url: 'http://a' } }\n";

fn guard(text: &str) -> String {
    said(&format!(
        "{AROUND}models: {{ m: {{ guards: [ g ], targets: [ {{ provider: p, model: x }} ] }} }}\nguards: {{ g: {text} }}\n"
    ))
}

fn model(keys: &str) -> String {
    said(&format!(
        "{AROUND}guards: {{ hush: {{ kind: topics, deny: {{ a: [ b ] }} }} }}\n\
         models: {{ m: {{ {keys}, targets: [ {{ provider: p, model: x }} ] }}, n: {{ targets: [ {{ provider: p, model: y }} ] }} }}\n"
    ))
}

#[test]
fn guards() {
    for (text, expected) in [
        ("{ kind: topics, deny: { a: [ b, c ] } }", ""),
        (
            "{ kind: topics, deny: { a: [ b ] }, allow: { c: [ d ] }, action: block, mode: shadow, on: [ request, response ], threshold: 0.4 }",
            "",
        ),
        ("{ kind: topics, allow: { c: [ d ] }, on: [ request ] }", ""),
        ("{ deny: { a: [ b ] } }", "/guards/g: `kind` is missing; kind: topics"),
        (
            "{ kind: pii, entities: [ email ], action: mask, restore: true }",
            "/guards/g/kind: `kind: pii` is not supported yet; kind: topics",
        ),
        (
            "{ kind: secrets }",
            "/guards/g/kind: `kind: secrets` is not supported yet; kind: topics",
        ),
        (
            "{ kind: topic, deny: { a: [ b ] } }",
            "/guards/g/kind: `topic` is not a kind of guard; topics",
        ),
        (
            "{ kind: topics }",
            "/guards/g: the guard has no topics; deny: { TOPIC: [ \"an example\", \"another\" ] }, or allow: { TOPIC: [ \"an example\", \"another\" ] }",
        ),
        (
            "{ kind: topics, deny: {} }",
            "/guards/g/deny: there are 0 topics; 1 to 64 topics: { TOPIC: [ \"an example\", \"another\" ] }",
        ),
        (
            "{ kind: topics, deny: { a: [] } }",
            "/guards/g/deny/a: there are 0 examples; 1 to 256 examples",
        ),
        (
            "{ kind: topics, deny: { a: [ b ] }, action: mask }",
            "/guards/g/action: `mask` is not what a guard on topics can do: a topic has no place to mask; block",
        ),
        (
            "{ kind: topics, deny: { a: [ b ] }, mode: on }",
            "/guards/g/mode: `on` is not a guard's mode; enforce or shadow",
        ),
        (
            "{ kind: topics, deny: { a: [ b ] }, on: [ answer ] }",
            "/guards/g/on/0: `answer` is not what a guard can read; [ request, response ], or one of them",
        ),
        (
            "{ kind: topics, allow: { a: [ b ] }, on: [ response ] }",
            "/guards/g/on: a list is not what a guard with `allow` alone can judge: few sentences of an answer are near a topic by themselves; on: [ request ], or topics under `deny`",
        ),
        (
            "{ kind: topics, deny: { a: [ b ] }, threshold: 2 }",
            "/guards/g/threshold: `2` is not a similarity; a number from 0 to 1, such as 0.35",
        ),
        (
            "{ kind: topics, deny: { a: [ b ] }, entities: [ email ] }",
            "/guards/g/entities: `entities` is not supported yet; remove `entities`",
        ),
    ] {
        let told = guard(text);
        let mut told: Vec<&str> = told.lines().collect();
        let mut expected: Vec<&str> = expected.lines().collect();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "{text}");
    }
}

#[test]
fn what_is_right_is_read() {
    let text = format!(
        "{AROUND}guards: {{ strict: {{ kind: topics, deny: {{ a: [ b, c ] }}, mode: shadow, threshold: 0.425 }}, \
         only: {{ kind: topics, allow: {{ a: [ b ] }} }} }}\n\
         models: {{ m: {{ guards: [ strict, only ], compress: {{ mode: shadow, json: true, extract: {{ ratio: 0.6 }} }}, \
         targets: [ {{ provider: p, model: x }} ] }} }}\n"
    );
    let document = check(&parse(&text).expect("YAML")).expect("nothing is wrong");
    let [(_, strict), (_, only)] = &document.guards[..] else {
        panic!("two guards")
    };
    assert_eq!(strict.deny, [("a".to_owned(), vec!["b".to_owned(), "c".to_owned()])]);
    assert_eq!((strict.mode, strict.threshold_thousandths), (GuardMode::Shadow, 425));
    let both = |response| GuardSides {
        request: true,
        response,
    };
    assert_eq!((strict.on, only.on), (both(true), both(false)));
    assert_eq!(only.threshold_thousandths, Guard::THRESHOLD_THOUSANDTHS);
    let model = &document.models[0].1;
    assert_eq!(model.guards, ["strict", "only"]);
    let compress = model.compress.clone().expect("it is there");
    let steps = Steps {
        json: true,
        extract_percent: Some(60),
        ..Steps::default()
    };
    assert_eq!((compress.mode, compress.steps), (CompressMode::Shadow, steps));
    assert_eq!(steps.names().collect::<Vec<_>>(), ["json", "extract"]);
}

#[test]
fn a_model_names_guards_that_are_there() {
    assert_eq!(model("guards: [ hush ]"), "");
    assert_eq!(
        model("guards: [ hus ]"),
        "/models/m/guards/0: there is no guard `hus`; did you mean `hush`?"
    );
    assert_eq!(
        model("guards: [ hush, hush ]"),
        "/models/m/guards/1: `hush` is not another guard; each guard once"
    );
    assert_eq!(
        model("guards: hush"),
        "/models/m/guards: `hush` is not a list of guards; [ NAME ], of `guards`"
    );
}

#[test]
fn compress() {
    for (text, expected) in [
        ("{ whitespace: true }", ""),
        (
            "{ mode: on, whitespace: true, duplicates: true, json: true, tables: true, comments: true, extract: { ratio: 0.6 } }",
            "",
        ),
        (
            "{}",
            "/models/m/compress: nothing would be made shorter; one of whitespace, duplicates, json, tables, comments as true, or extract: { ratio: 0.6 }, or summarize: { model: NAME }",
        ),
        (
            "{ whitespace: false }",
            "/models/m/compress: nothing would be made shorter; one of whitespace, duplicates, json, tables, comments as true, or extract: { ratio: 0.6 }, or summarize: { model: NAME }",
        ),
        (
            "{ mode: off, json: true }",
            "/models/m/compress/mode: `off` is not how prompts are made shorter; on or shadow",
        ),
        (
            "{ extract: {} }",
            "/models/m/compress/extract: `ratio` is missing; ratio: 0.6",
        ),
        (
            "{ extract: { ratio: 1 } }",
            "/models/m/compress/extract/ratio: `1` is not how much stays of what may be left out; a number from 0.1 to 0.95, such as 0.6",
        ),
        ("{ summarize: { model: n } }", ""),
        (
            "{ mode: shadow, compare: 5%, summarize: { model: n, after: 1KiB, keep_turns: 1, max_tokens: 64, timeout: 60s, wait: false } }",
            "",
        ),
        (
            "{ summarize: {} }",
            "/models/m/compress/summarize: `model` is missing; model: the name of another model, a cheap one",
        ),
        (
            "{ summarize: { model: m } }",
            "/models/m/compress/summarize/model: `m` is not another model; the name of another model, without a star",
        ),
        (
            "{ summarize: { model: n, after: 1B } }",
            "/models/m/compress/summarize/after: `1B` is not how much of older turns is left as it is; a size from 1KiB to 256KiB, such as 16KiB",
        ),
        (
            "{ summarize: { model: n, keep_turns: 0 } }",
            "/models/m/compress/summarize/keep_turns: `0` is not a number that fits here; a whole number from 1 to 100",
        ),
        (
            "{ summarize: { model: n, timeout: 2m } }",
            "/models/m/compress/summarize/timeout: `2m` is not how long a summary may take; at most 60s, such as 5s",
        ),
        (
            "{ json: true, compare: 5% }",
            "/models/m/compress/compare: `5%` is not what `mode: on` has: its answers are those to the shorter prompt, and there are no others; mode: shadow, or no `compare`",
        ),
        (
            "{ mode: shadow, json: true, compare: 0% }",
            "/models/m/compress/compare: `0%` is not a share; 1% to 100%",
        ),
        (
            "{ json: 1 }",
            "/models/m/compress/json: `1` is not true or false; true or false",
        ),
    ] {
        assert_eq!(model(&format!("compress: {text}")), expected, "{text}");
    }
}
