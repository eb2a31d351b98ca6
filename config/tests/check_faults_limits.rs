//! Every way to write limits wrong: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use tollgate_config::{
    check::check,
    document::{Limit, LimitMode, Period, Unit, Window},
    parse::parse,
};

/// Faults of a team's `limits`, each `POINTER: wrong; right`, the pointer from `limits` on.
fn faults(limits: &str) -> Vec<String> {
    let text = format!("version: 1\nteams: {{ a: {{ limits: {limits} }} }}\n");
    let problems = faults::problems(&text);
    let line = |problem: &tollgate_config::Problem| {
        let at = problem
            .pointer
            .strip_prefix("/teams/a/limits")
            .unwrap_or(&problem.pointer);
        format!("{at}: {}; {}", problem.wrong, problem.right)
    };
    problems.iter().map(line).collect()
}

#[test]
fn faults_of_limits() {
    const PERIOD: &str = "a period such as 1s, 1m or 1h, or day, week, month, quarter or year of the calendar";
    const COUNT: &str = "is not a number of them; a whole number, at least 1";
    const MONEY: &str = "is not an amount of money; \"500.00 USD\": dollars, at most nine digits behind the point";
    let kinds =
        "one of requests, tokens, input_tokens, output_tokens, concurrent, budget, such as { requests: 100, per: 1s }";
    let table: &[(&str, String)] = &[
        ("[ {} ]", format!("/0: the limit is of 0 things; {kinds}")),
        ("[ { requests: 1, tokens: 1, per: 1s } ]", format!("/0: the limit is of 2 things; {kinds}")),
        ("[ { requests: 0, per: 1s } ]", format!("/0/requests: `0` {COUNT}")),
        ("[ { tokens: 1.5, per: 1s } ]", format!("/0/tokens: `1.5` {COUNT}")),
        ("[ { tokens: -3, per: 1s } ]", format!("/0/tokens: `-3` {COUNT}")),
        ("[ { requests: 5 } ]", format!("/0: `per` is missing; per: {PERIOD}")),
        ("[ { requests: 5, per: fortnight } ]", format!("/0/per: `fortnight` is not a period; {PERIOD}")),
        ("[ { requests: 5, per: 0s } ]", "/0/per: `0s` is not a time to wait; more than zero, such as 10s".to_owned()),
        ("[ { requests: 5, per: 400d } ]", "/0/per: `400d` is not a period within a year; ".to_owned() + PERIOD),
        ("[ { budget: 500, per: month } ]", format!("/0/budget: `500` {MONEY}")),
        ("[ { budget: \"500 EUR\", per: month } ]", format!("/0/budget: `500 EUR` {MONEY}")),
        ("[ { budget: \"0.0000000001 USD\", per: month } ]", format!("/0/budget: `0.0000000001 USD` {MONEY}")),
        ("[ { concurrent: 5, per: 1s } ]", "/0/per: `per` beside `concurrent`; without it: what ends makes room at once".to_owned()),
        ("[ { requests: 5, per: day, burst: 9 } ]", "/0/burst: `burst` beside a calendar's period; without it: all of the amount may be used at once".to_owned()),
        ("[ { requests: 5, per: 1s, mode: off } ]", "/0/mode: `off` is not what a limit does; enforce, or shadow to count without refusing".to_owned()),
        ("[ { requests: 5, per: 1s, hard: true } ]", "/0/hard: `hard` of a limit of `requests`; a limit of tokens or money: no other needs it".to_owned()),
        ("[ { input_tokens: 5, per: 1s, cut: true } ]", "/0/cut: `cut` of a limit of `input_tokens`; a limit of tokens of answers, or money: no other needs it".to_owned()),
        ("[ { tokens: 5, per: 1s, hard: true, mode: shadow } ]", "/0/hard: `hard` beside `mode: shadow`; one of them: what only watches changes no call".to_owned()),
        ("[ { tokens: 5, per: 1s, cut: maybe } ]", "/0/cut: `maybe` is not true or false; true or false".to_owned()),
        ("[ { tokens: 5, per: day, thresholds: [ 50 ] } ]", "/0/thresholds/0: `50` is not a whole percentage; 1% to 100%, such as 80%".to_owned()),
        ("[ { tokens: 5, per: day, thresholds: [ 80%, 50% ] } ]", "/0/thresholds: these are no thresholds; at most 4 percentages that rise, such as [ 50%, 80%, 95% ]".to_owned()),
        ("[ { tokens: 5, per: day, thresholds: [ 101% ] } ]", "/0/thresholds: these are no thresholds; at most 4 percentages that rise, such as [ 50%, 80%, 95% ]".to_owned()),
        ("[ { concurrent: 5, thresholds: [ 50% ] } ]", "/0/thresholds: `thresholds` of calls under way; without them: they come and go".to_owned()),
        ("[ { requests: 5, per: 1s }, { requests: 9, per: 1000ms } ]", ": `requests` is limited twice in the same period; one limit for each unit and period".to_owned()),
        ("{}", ": a map is not a list of limits; [ { requests: 100, per: 1s }, { tokens: 1000000, per: day }, { budget: \"300 USD\", per: month } ]".to_owned()),
    ];
    for (limits, expected) in table {
        assert_eq!(faults(limits).join("\n"), *expected, "{limits}");
    }
}

#[test]
fn a_time_zone_is_one_that_is_built_in() {
    let fault = |zone: &str| {
        let problems = check(&parse(&format!("version: 1\ntimezone: {zone}\n")).expect("YAML")).err()?;
        Some(format!(
            "{}: {}; {}",
            problems[0].pointer, problems[0].wrong, problems[0].right
        ))
    };
    assert_eq!(fault("Europe/Berlin"), None);
    assert_eq!(fault("UTC"), None);
    let right = "a name of the IANA database, such as UTC or Europe/Berlin";
    assert_eq!(
        fault("Berlin"),
        Some(format!("/timezone: `Berlin` is not a time zone; {right}"))
    );
    assert_eq!(
        fault("'../../etc/passwd'"),
        Some(format!("/timezone: `../../etc/passwd` is not a time zone; {right}"))
    );
}

#[test]
fn limits_are_read_as_they_are_written() {
    let text = "version: 1\norganization: { limits: [ { budget: \"12.50 USD\", per: quarter }, { requests: 10, per: 1m, burst: 25, mode: shadow }, { concurrent: 3 } ] }\n";
    let document = check(&parse(text).expect("YAML")).expect("right");
    let limit = |unit, amount, window, mode| Limit {
        mode,
        ..Limit::new(unit, amount, window)
    };
    let refill = Window::Refill {
        per_ms: 60_000,
        burst: 25,
    };
    assert_eq!(
        document.organization,
        [
            limit(
                Unit::Budget,
                12_500_000_000,
                Window::Calendar(Period::Quarter),
                LimitMode::Enforce
            ),
            limit(Unit::Requests, 10, refill, LimitMode::Shadow),
            limit(Unit::Concurrent, 3, Window::None, LimitMode::Enforce),
        ]
    );
}

/// What `check` says of a whole document that has this.
fn of_document(text: &str) -> String {
    let problems = check(&parse(&format!("version: 1\n{text}\n")).expect("YAML")).err();
    let lines = problems.unwrap_or_default();
    let lines = lines.iter().map(|p| format!("{}: {}; {}", p.pointer, p.wrong, p.right));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn faults_of_webhooks_and_tags() {
    let events = "of limit_threshold, limit_debt, usage_spool_full, usage_spool_well, target_ejected, target_recovered, shed, shed_ended, revision_applied";
    for (text, expected) in [
        ("webhooks: { w: { url: \"https://x.test/hook\", secret: env:S } }", String::new()),
        ("tags: { project: { limits: [ { budget: \"5 USD\", per: day } ] } }", String::new()),
        ("webhooks: { w: { secret: env:S } }", "/webhooks/w: `url` is missing; url: https://HOST/PATH".to_owned()),
        ("webhooks: { w: { url: \"https://x.test\" } }", "/webhooks/w: `secret` is missing; secret: env:NAME or file:PATH".to_owned()),
        (
            "webhooks: { w: { url: \"https://x.test\", secret: env:S, events: [ rain ] } }",
            format!("/webhooks/w/events/0: `rain` is not an event that can be told; {events}"),
        ),
        ("webhooks: { w: { url: \"https://x.test\", secret: env:S, events: [] } }", format!("/webhooks/w/events: the list is empty; {events}")),
        ("tags: { project: {} }", "/tags/project: `limits` is missing; limits: [ { requests: 100, per: 1s }, { tokens: 1000000, per: day }, { budget: \"300 USD\", per: month } ]".to_owned()),
    ] {
        assert_eq!(of_document(text), expected, "{text}");
    }
}

#[test]
fn what_is_hard_cuts_and_tells_is_read_as_it_is_written() {
    let text = "version: 1\norganization: { limits: [ { budget: \"1 USD\", per: day, hard: true, cut: true, thresholds: [ 10%, 100% ] }, { tokens: 5, per: month }, { tokens: 5, per: 1s } ] }\n";
    let document = check(&parse(text).expect("YAML")).expect("right");
    let [money, month, second] = &document.organization[..] else {
        panic!("three")
    };
    assert!(money.is_hard() && money.cuts() && !month.is_hard() && !month.cuts());
    let percents = |limit: &Limit| limit.thresholds.percents().collect::<Vec<_>>();
    assert_eq!(
        (percents(money), percents(month), percents(second)),
        (vec![10, 100], vec![50, 80, 95], vec![])
    );
}
