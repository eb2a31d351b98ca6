//! Every way to write hedges, shadows, arms and looks at providers wrong: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::said;

const PROVIDERS: &str = "version: 1\nproviders: { p: { dialect: openai, base_url: 'http://a' } }\n";
const TWO: &str = "targets: [ { provider: p, model: x }, { provider: p, model: y } ]";

fn model(text: &str) -> String {
    said(&format!(
        "{PROVIDERS}models:\n  m: {{ {TWO}, {text} }}\n  other: {{ {TWO} }}\n  'many/*': {{ {TWO} }}\n"
    ))
}

#[test]
fn hedges_shadows_and_arms() {
    let cases = [
        ("hedge: { after: p95, max_extra: 5% }", ""),
        ("hedge: { after: 800ms }", ""),
        (
            "hedge: { max_extra: 5% }",
            "/models/m/hedge: `after` is missing; after: p95, or a duration such as 800ms",
        ),
        (
            "hedge: { after: p42 }",
            "/models/m/hedge/after: `p42` is not a time after which to ask; p50, p90, p95, p99, or a duration such as 800ms",
        ),
        (
            "hedge: { after: 0s }",
            "/models/m/hedge/after: `0s` is not a time to wait; more than zero, such as 10s",
        ),
        (
            "hedge: { after: p95, max_extra: 0% }",
            "/models/m/hedge/max_extra: `0%` is not a share; 1% to 100%",
        ),
        (
            "hedge: { after: p95, max_extra: 101% }",
            "/models/m/hedge/max_extra: `101%` is not a share; 1% to 100%",
        ),
        (
            "hedge: { after: p95, extra: 5% }",
            "/models/m/hedge/extra: unknown key `extra`; one of after, max_extra",
        ),
        ("shadow: { model: other, share: 1% }", ""),
        (
            "shadow: { share: 1% }",
            "/models/m/shadow: `model` is missing; model: the name of another model",
        ),
        (
            "shadow: { model: m }",
            "/models/m/shadow/model: `m` is not another model; the name of another model, without a star",
        ),
        (
            "shadow: { model: 'many/*' }",
            "/models/m/shadow/model: `many/*` is not another model; the name of another model, without a star",
        ),
        (
            "shadow: { model: othr }",
            "/models/m/shadow/model: there is no model `othr`; did you mean `other`?",
        ),
        (
            "shadow: { model: other, share: 0% }",
            "/models/m/shadow/share: `0%` is not a share; 1% to 100%",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(model(text), expected, "{text}");
    }
    let one = format!(
        "{PROVIDERS}models: {{ m: {{ targets: [ {{ provider: p, model: x }} ], hedge: {{ after: p95 }} }} }}\n"
    );
    assert_eq!(
        said(&one),
        "/models/m/hedge: the model has one target, and a second one is what `hedge` asks; a second target, or no `hedge`"
    );
    let arm = |arm: &str| {
        said(&format!(
            "{PROVIDERS}models: {{ m: {{ targets: [ {{ provider: p, model: x, arm: {arm} }} ] }} }}\n"
        ))
    };
    assert_eq!(arm("b-2"), "");
    assert_eq!(
        arm("'b 2'"),
        "/models/m/targets/0/arm: `b 2` is not a name of an arm; up to 64 letters, digits, `-`, `_` and `.`"
    );
}

#[test]
fn shadows_that_lead_back() {
    let shadow = |name: &str, of: &str| format!("  {name}: {{ {TWO}, shadow: {{ model: {of} }} }}\n");
    let round = [shadow("a", "b"), shadow("b", "c"), shadow("c", "b"), shadow("d", "a")].concat();
    let back = |name: &str| {
        format!(
            "/models/{name}/shadow/model: shadows lead from `{name}` back to it; a model that does not lead back here"
        )
    };
    assert_eq!(
        said(&format!("{PROVIDERS}models:\n{round}")),
        [back("b"), back("c")].join("\n"),
        "those on the way there are not at fault"
    );
    let chain = [shadow("a", "b"), shadow("b", "c"), format!("  c: {{ {TWO} }}\n")].concat();
    assert_eq!(said(&format!("{PROVIDERS}models:\n{chain}")), "");
}

#[test]
fn looks_at_providers() {
    let cases = [
        ("path: /v1/models", ""),
        ("path: /v1/models, every: 1s", ""),
        ("path: '/a?b=c', every: 5s, timeout: 5s, healthy: 1, unhealthy: 1", ""),
        ("every: 5s", ": `path` is missing; path: a path such as /v1/models"),
        (
            "path: v1",
            "/path: `v1` is not a path; a path such as /v1/models, without spaces",
        ),
        (
            "path: '/a b'",
            "/path: `/a b` is not a path; a path such as /v1/models, without spaces",
        ),
        (
            "path: /, every: 50ms",
            "/every: `50ms` is not a time between two checks; at least 100ms",
        ),
        (
            "path: /, every: 1s, timeout: 2s",
            ": `timeout` is longer than `every`: a check would begin before the one before it is over; a timeout up to `every`",
        ),
        (
            "path: /, healthy: 0",
            "/healthy: `0` is not a number that fits here; a whole number from 1 to 100",
        ),
        (
            "path: /, unhealthy: 101",
            "/unhealthy: `101` is not a number that fits here; a whole number from 1 to 100",
        ),
        ("path: /, evry: 5s", "/evry: unknown key `evry`; did you mean `every`?"),
    ];
    for (check, expected) in cases {
        let said = said(&format!(
            "version: 1\nproviders: {{ p: {{ dialect: openai, base_url: 'http://a', check: {{ {check} }} }} }}\n"
        ));
        let expected = match expected {
            "" => String::new(),
            expected => format!("/providers/p/check{expected}"),
        };
        assert_eq!(said, expected, "{check}");
    }
}
