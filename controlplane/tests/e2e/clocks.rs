//! A wall clock that is set under both planes: periods begin where the calendar says, nothing is granted or told twice, and
//! every call is in the ledger.

use std::{sync::mpsc::Receiver, time::Duration};

use serde_json::{Value, json};

use crate::{
    budgets::{HOOK_SECRET, receiver},
    harness::{Gateway, Sandbox, Setup, clock::Clock, gateway::chat, until},
};

/// In Berlin, in 2026, on whose 25th of October summer time ends: 23:30 on Saturday the 24th, half past midnight on the 25th
/// and on Monday the 26th.
const SATURDAY_S: u64 = 1_792_877_400;
const SUNDAY_S: u64 = SATURDAY_S + 3_600;
const MONDAY_S: u64 = SUNDAY_S + 25 * 3_600;
const CALLS: usize = 20;

fn statuses(gateway: &Gateway, calls: usize) -> Vec<u16> {
    let call = |_| {
        let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
        answer.status
    };
    (0..calls).map(call).collect()
}

/// When this limit's period ends, in seconds; the clock goes on while it is asked.
#[track_caller]
fn assert_ends_in(gateway: &Gateway, per: &str, seconds: u64) {
    let told = gateway
        .control("GET", "/v1/limits/key/tester", &[], b"")
        .expect(200)
        .json();
    let limits = told["limits"].as_array().expect("limits");
    let limit = limits.iter().find(|limit| limit["per"] == per).expect("of this period");
    let reset_s = limit["reset_s"].as_u64().expect("a number");
    assert!(
        (seconds - 60..=seconds).contains(&reset_s),
        "{per}: {reset_s}, not {seconds}"
    );
}

/// All of a day, and not one call more; each threshold of the key's limit and of the one that only watches is told once.
#[track_caller]
fn assert_a_day_is_granted_and_told(gateway: &Gateway, notices: &Receiver<(String, String)>, day: &str) {
    let mut granted = vec![200; CALLS];
    granted.push(429);
    assert_eq!(statuses(gateway, CALLS + 1), granted, "{day}");
    let mut told: Vec<(String, String, u64)> = (0..6)
        .map(|_| {
            let (_, body) = notices.recv_timeout(Duration::from_secs(20)).expect("a notice");
            let notice: Value = serde_json::from_str(&body).expect("JSON");
            let facts = &notice["facts"];
            let text = |name: &str| facts[name].as_str().expect("text").to_owned();
            (
                text("scope"),
                text("mode"),
                facts["threshold_percent"].as_u64().expect("a share"),
            )
        })
        .collect();
    told.sort();
    let expected = [("key", "enforce"), ("organization", "shadow")]
        .into_iter()
        .flat_map(|(scope, mode)| [50, 80, 95].map(|share| (scope.to_owned(), mode.to_owned(), share)));
    assert_eq!(told, expected.collect::<Vec<_>>(), "{day}");
}

#[test]
fn a_clock_set_back_an_hour_and_forward_a_day_grants_and_tells_nothing_twice_and_loses_no_call() {
    let provider = Sandbox::start();
    let (hook, notices) = receiver(|_, _| false);
    let clock = Clock::at(SATURDAY_S);
    let mut setup = Setup::to(provider.address);
    clock.rules(&mut setup);
    setup.environment.push(("TEST_HOOK".to_owned(), HOOK_SECRET.to_owned()));
    setup.top += &format!(
        "timezone: Europe/Berlin\norganization: {{ limits: [ {{ requests: 10, per: day, mode: shadow }} ] }}\n\
         webhooks: {{ finance: {{ url: \"http://{hook}/told\", secret: env:TEST_HOOK }} }}\n"
    );
    setup.keys = format!(
        "  tester: {{ secret: env:TOLLGATE_TEST_KEY, limits: [ {{ requests: {CALLS}, per: day }}, {{ requests: 1000, per: week }}, \
         {{ requests: 1000, per: month }}, {{ requests: 1000, per: year }} ] }}\n"
    );
    let gateway = setup.start();

    assert_ends_in(&gateway, "day", 1_800);
    // A week begins on Monday, and this one has an hour more.
    assert_ends_in(&gateway, "week", 1_800 + 25 * 3_600);
    assert_a_day_is_granted_and_told(&gateway, &notices, "Saturday");
    clock.set(SATURDAY_S - 3_600);
    assert_eq!(statuses(&gateway, 2), [429; 2], "an hour back it is the same day");

    clock.set(SUNDAY_S);
    assert_ends_in(&gateway, "day", 24 * 3_600 + 1_800);
    assert_ends_in(&gateway, "month", 24 * 3_600 + 1_800 + 6 * 86_400);
    assert_a_day_is_granted_and_told(&gateway, &notices, "Sunday");
    clock.set(SATURDAY_S);
    assert_eq!(statuses(&gateway, 2), [429; 2], "nor is yesterday's granted again");

    clock.set(MONDAY_S);
    assert_ends_in(&gateway, "day", 23 * 3_600 + 1_800);
    assert_ends_in(&gateway, "week", 7 * 86_400 - 1_800);
    // The 31st of December, 2026, in winter time.
    assert_ends_in(&gateway, "year", 67 * 86_400 - 1_800);
    assert_a_day_is_granted_and_told(&gateway, &notices, "Monday");
    gateway.kill_dataplane();
    gateway.await_ready();
    assert_eq!(
        statuses(&gateway, 1),
        [429],
        "a process that comes later knows Monday's"
    );

    let arrived = provider.report()["requests"].as_u64().expect("a number");
    assert_eq!(arrived, 3 * CALLS as u64, "what was refused went nowhere");
    let days = until("every call to be in the ledger", 10, || {
        let target = "/v1/usage?by=day&timezone=Europe/Berlin&from=2026-10-01&to=2026-12-01";
        let rows = gateway.control("GET", target, &[], b"").expect(200).json()["rows"].clone();
        let rows = rows.as_array().expect("rows").clone();
        let all: u64 = rows.iter().filter_map(|row| row["requests"].as_u64()).sum();
        (all == arrived).then_some(rows)
    });
    let days: Vec<[&Value; 2]> = days.iter().map(|row| [&row["day"], &row["requests"]]).collect();
    let expected = ["2026-10-24", "2026-10-25", "2026-10-26"].map(|day| [json!(day), json!(CALLS)]);
    assert_eq!(days, expected.each_ref().map(|[day, calls]| [day, calls]));
    for state in ["lost", "missing", "damaged"] {
        assert_eq!(gateway.metric("tollgate_usage_records_total", &[state]), 0.0, "{state}");
    }
    assert!(notices.try_recv().is_err(), "nothing was told twice");
}
