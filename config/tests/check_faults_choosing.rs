//! How affinity, regions, what providers grant and tiers are written wrong: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use tollgate_config::{check::check, document::Granted, parse::parse};

fn faults(text: &str) -> String {
    let problems = faults::problems(text);
    let line = |problem: &tollgate_config::Problem| {
        let line = problem.line("");
        line.split_once(": ").map_or(line.clone(), |(_, said)| said.to_owned())
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn with_model(rest: &str) -> String {
    format!(
        "version: 1\nproviders: {{ p: {{ kind: openai, credential: env:A }}, q: {{ kind: openai, credential: env:B }} }}\n\
         models: {{ m: {{ {rest} }} }}\n"
    )
}

#[test]
fn models() {
    let one = "targets: [ { provider: p, model: x } ]";
    for (rest, expected) in [
        (
            format!("strategy: weighted, affinity: prompt, {one}"),
            "/models/m/affinity: `prompt` is not what draws calls to a target; prefix",
        ),
        (
            format!("affinity: prefix, {one}"),
            "/models/m/affinity: `strategy: priority` asks the same target first as it is; another strategy, or remove `affinity`",
        ),
        (
            format!("strategy: weighted, sticky: key, affinity: prefix, {one}"),
            "/models/m/affinity: `affinity` beside `sticky`: a call can hold on to one thing; one of them",
        ),
        (
            "targets: [ { provider: p, model: x, when: { margin: 20% } } ]".to_owned(),
            "/models/m: a target has a `margin`, and the model says not what callers are charged; charge: { input: \"3.00\", \
             output: \"12.00\" } beside `targets`, USD for a million tokens",
        ),
        (
            format!("charge: {{ input: '3', output: '12' }}, {one}"),
            "/models/m/charge: `charge` without a `margin` says nothing; when: { margin: 20% } of a target, or remove `charge`",
        ),
        (
            "charge: { input: 3 }, targets: [ { provider: p, model: x, when: { margin: 20% } } ]".to_owned(),
            "/models/m/charge: `output` is missing; output: \"2.50\", USD for a million tokens\n\
             /models/m/charge/input: `3` is not text; \"3\", in quotes: USD for a million tokens, as text: \"2.50\"",
        ),
        (
            "charge: { input: '3', output: '12', read: '1' }, targets: [ { provider: p, model: x, when: { margin: 20% } } ]".to_owned(),
            "/models/m/charge/read: unknown key `read`; one of input, output, cache_read, cache_write_5m, cache_write_1h, reasoning, \
             input_audio, output_audio, input_image, request, batch, flex, priority, above, reprices",
        ),
        (
            format!("affinity: prefix, tiers: [ {{ {one} }} ]"),
            "/models/m/affinity: `affinity` beside `tiers`; `affinity` in each of the tiers",
        ),
        (
            "targets: [ { provider: p, model: x, region: 'e u' } ]".to_owned(),
            "/models/m/targets/0/region: `e u` is not the label of a region; letters, digits, `-`, `.` and `_`, such as eu",
        ),
        (
            format!("tiers: [ {{ {one} }}, {{ {one} }} ]"),
            "/models/m/tiers/1: the tier is never reached: its targets are all in those before it; a target that is in none of them",
        ),
        (
            "tiers: [ { targets: [ { provider: p, model: x }, { provider: q, model: x } ] }, { targets: [ { provider: q, model: x, \
             when: { keys: [ a ] } } ] } ]"
                .to_owned(),
            "/models/m/tiers/1: the tier is never reached: its targets are all in those before it; a target that is in none of them",
        ),
        (
            "tiers: [ { targets: [ { provider: p, model: x, when: { keys: [ a ] } } ] }, { targets: [ { provider: p, model: x } ] } ]"
                .to_owned(),
            "",
        ),
    ] {
        assert_eq!(faults(&with_model(&rest)), expected, "{rest}");
    }
}

#[test]
fn what_providers_grant() {
    let with = |limits: &str| {
        format!("version: 1\nproviders: {{ p: {{ kind: openai, credential: env:A, limits: {limits} }} }}\n")
    };
    for (limits, expected) in [
        (
            "{ requests: 1, per: 1m }",
            ": a map is not a list of limits; [ { requests: 10000, per: 1m }, { tokens: 2000000, per: 1m } ]",
        ),
        (
            "[ { per: 1m } ]",
            "/0: a limit is of requests or of tokens; { requests: 10000, per: 1m }, or { tokens: 2000000, per: 1m }",
        ),
        (
            "[ { requests: 1, tokens: 1, per: 1m } ]",
            "/0: a limit is of requests or of tokens; { requests: 10000, per: 1m }, or { tokens: 2000000, per: 1m }",
        ),
        (
            "[ { requests: 0, per: 1m } ]",
            "/0/requests: `0` is not a number of them; a whole number, at least 1",
        ),
        (
            "[ { requests: 1 } ]",
            "/0: `per` is missing; per: a period such as 1s, 1m, 1h or 1d",
        ),
        (
            "[ { requests: 1, per: 32d } ]",
            "/0/per: `32d` is not a period of at most 31 days; 1s, 1m, 1h or 1d",
        ),
        (
            "[ { requests: 1, per: 1m, bursts: 2 } ]",
            "/0/bursts: unknown key `bursts`; did you mean `burst`?",
        ),
        (
            "[ { tokens: 1, per: 1m }, { tokens: 2, per: 60s } ]",
            ": the same is limited twice in the same period; one limit for each of them and period",
        ),
    ] {
        let expected = format!("/providers/p/limits{expected}");
        assert_eq!(faults(&with(limits)), expected, "{limits}");
    }
    let document = check(&parse(&with("[ { requests: 60, per: 1m }, { tokens: 9, per: 1d } ]")).expect("YAML"));
    let grants = document.expect("it is right").providers[0].1.grants.clone();
    let read: Vec<(Granted, u64, u64)> = grants
        .iter()
        .map(|grant| (grant.of, grant.most, grant.per_ms))
        .collect();
    assert_eq!(
        read,
        [(Granted::Requests, 60, 60_000), (Granted::Tokens, 9, 86_400_000)]
    );
}

#[test]
fn regions_that_nobody_is_in() {
    let text = |rest: &str| {
        format!(
            "version: 1\nproviders: {{ p: {{ kind: openai, credential: env:A, residency: eu }} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p, model: x }} ] }}, \
             n: {{ tiers: [ {{ targets: [ {{ provider: p, model: x, region: us-east }} ] }} ] }} }}\n{rest}\n"
        )
    };
    let key = |residency: &str| format!("keys: {{ k: {{ secret: env:K, residency: {residency} }} }}");
    for (rest, expected) in [
        (key("eu"), ""),
        (key("[ eu, us-east ]"), ""),
        (
            key("us-aest"),
            "/keys/k/residency: no target is in the region `us-aest`; did you mean `us-east`?",
        ),
        (
            key("[ eu, mars ]"),
            "/keys/k/residency/1: no target is in the region `mars`; the `region` of a target",
        ),
        (
            key("[]"),
            "/keys/k/residency: a list is not a list of regions; at least one, such as [ eu ]",
        ),
        (
            "teams: { t: { residency: us } }".to_owned(),
            "/teams/t/residency: no target is in the region `us`; the `region` of a target",
        ),
    ] {
        assert_eq!(faults(&text(&rest)), expected, "{rest}");
    }
}
