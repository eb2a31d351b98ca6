//! Limits of every kind at once, over shards and many connections: exactly what they say, whatever races. Budgets that end
//! streams, thresholds that are told, and limits of keys that the API made.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{SocketAddr, TcpListener},
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::{
    Client, Gateway, Sandbox, Setup,
    gateway::{chat, provider_with},
    http::{asked, request},
    until,
};

/// The whole proof is `TOLLGATE_TEST_LIMIT_CALLS=50000 TOLLGATE_TEST_LIMIT_CONNECTIONS=256`, in the soak.
pub fn size(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

pub const KINDS: [&str; 6] = [
    "requests",
    "hard-tokens",
    "hard-money",
    "soft-tokens",
    "soft-money",
    "concurrent",
];

fn secret(kind: &str) -> String {
    format!("tg-{kind}-0123456789abcdef")
}

fn variable(kind: &str) -> String {
    format!("TEST_{}", kind.to_uppercase().replace('-', "_"))
}

/// Each kind of limit with a key of its own, and those that all of them share; each suffices for about half of its calls.
pub fn every_kind(provider: SocketAddr, calls: u64) -> Setup {
    let each = calls / KINDS.len() as u64 / 2;
    let (tokens, nanos) = (each * 30, each * 200_000);
    let money = format!("{}.{:09} USD", nanos / 1_000_000_000, nanos % 1_000_000_000);
    let mut setup = Setup::to(provider);
    let prices = ", prices: { models: { \"sandbox-*\": { input: \"2.00\", output: \"10.00\" } } }, \
                  limits: [ { requests: 1000000, per: year } ]";
    setup.providers = provider_with("openai", "openai", provider, prices);
    setup.models =
        "  \"openai/*\": { targets: [ { provider: openai, model: \"*\" } ], retry: { attempts: 1 }, limits: [ { \
                    requests: 1000000, per: year } ] }\n"
            .to_owned();
    setup.top += &format!(
        "organization: {{ limits: [ {{ requests: 1000000, per: year }}, {{ tokens: 100000000, per: year }}, \
         {{ input_tokens: 100000000, per: year }}, {{ output_tokens: 100000000, per: year }} ] }}\n\
         users: {{ somebody: {{ limits: [ {{ requests: 1000000, per: year }}, {{ concurrent: 1000 }} ] }} }}\n\
         teams: {{ all: {{ limits: [ {{ budget: \"1000 USD\", per: year }} ] }} }}\n\
         tags: {{ project: {{ limits: [ {{ requests: {each}, per: year }} ] }} }}\n"
    );
    let limits = [
        format!("{{ requests: {each}, per: year }}"),
        format!("{{ tokens: {tokens}, per: year, hard: true }}"),
        format!("{{ budget: \"{money}\", per: year, hard: true }}"),
        format!("{{ tokens: {tokens}, per: year }}"),
        format!("{{ budget: \"{money}\", per: year }}"),
        "{ concurrent: 3 }".to_owned(),
    ];
    setup.keys = String::new();
    for (kind, limits) in KINDS.iter().zip(limits) {
        setup.keys += &format!(
            "  {kind}: {{ team: all, user: somebody, secret: env:{}, limits: [ {limits} ] }}\n",
            variable(kind)
        );
        setup.environment.push((variable(kind), secret(kind)));
    }
    setup
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Got {
    pub admitted: u64,
    pub refused: u64,
    pub tokens: u64,
    pub output_tokens: u64,
    pub nanos: u64,
}

impl Got {
    pub fn add(&mut self, more: &Self) {
        self.admitted += more.admitted;
        self.refused += more.refused;
        self.tokens += more.tokens;
        self.output_tokens += more.output_tokens;
        self.nanos += more.nanos;
    }
}

/// Calls of all kinds in turn over many connections, each call with the tag of the first kind where `tagged`.
pub fn storm(gateway: &Gateway, calls: u64, connections: u64, cap: &str) -> BTreeMap<&'static str, Got> {
    let all = Mutex::new(BTreeMap::<&str, Got>::new());
    let body = chat("openai/sandbox-small", cap);
    thread::scope(|scope| {
        for connection in 0..connections {
            let (all, body) = (&all, &body);
            scope.spawn(move || {
                let mut client = Client::connect(gateway.address);
                let mut own = BTreeMap::<&str, Got>::new();
                for number in 0..calls / connections {
                    let kind = KINDS[((connection + number) % KINDS.len() as u64) as usize];
                    let bearer = format!("Bearer {}", secret(kind));
                    let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
                    if kind == "concurrent" {
                        headers.push(("x-tollgate-tags", "project=x"));
                    }
                    client.send(&request("POST", "/v1/chat/completions", &headers, body.as_bytes()));
                    let answer = client.read_answer("POST").expect("an answer");
                    let got = own.entry(kind).or_default();
                    match answer.status {
                        200 => {
                            got.admitted += 1;
                            got.tokens += answer.json()["usage"]["total_tokens"].as_u64().expect("usage");
                            let output = &answer.json()["usage"]["completion_tokens"];
                            got.output_tokens += output.as_u64().expect("usage");
                            let cost = answer.header("x-tollgate-cost-usd").expect("a price").replace('.', "");
                            got.nanos += cost.parse::<u64>().expect("an amount");
                        }
                        429 => got.refused += 1,
                        other => panic!("{kind}: {other}: {}", answer.text()),
                    }
                }
                let mut all = all.lock().expect("no thread panicked");
                for (kind, got) in own {
                    all.entry(kind).or_default().add(&got);
                }
            });
        }
    });
    all.into_inner().expect("no thread panicked")
}

/// Limit, used, remaining and debt of a limit; money in nano-dollars.
pub fn balance(gateway: &Gateway, scope: &str, name: &str, unit: &str) -> [u64; 4] {
    let path = match name {
        "" => format!("/v1/limits/{scope}"),
        name => format!("/v1/limits/{scope}/{name}"),
    };
    let told = gateway.control("GET", &path, &[], b"").expect(200).json();
    let limits = told["limits"].as_array().expect("limits");
    let limit = limits.iter().find(|limit| limit["unit"] == unit).expect("of this unit");
    ["limit", "used", "remaining", "debt"].map(|member| match &limit[member] {
        Value::String(usd) => usd.replace('.', "").parse().expect("an amount"),
        count => count.as_u64().expect("a count"),
    })
}

/// Of hard limits not a unit more was used than there is, and of others no more than what they owe says; each balance says what
/// was used.
pub fn tokens_and_money_hold(gateway: &Gateway, got: &BTreeMap<&'static str, Got>) {
    for (kind, unit, count) in [
        ("hard-tokens", "tokens", got["hard-tokens"].tokens),
        ("hard-money", "budget", got["hard-money"].nanos),
    ] {
        let [limit, used, remaining, debt] = balance(gateway, "key", kind, unit);
        assert_eq!(used, count, "{kind}: what was settled is what was used");
        assert!(
            used <= limit && debt == 0 && remaining == limit - used,
            "{kind}: {used} of {limit}, {debt}"
        );
        assert!(got[kind].refused > 0, "{kind}: {got:?}");
    }
    for (kind, unit, count) in [
        ("soft-tokens", "tokens", got["soft-tokens"].tokens),
        ("soft-money", "budget", got["soft-money"].nanos),
    ] {
        let [limit, used, _, debt] = balance(gateway, "key", kind, unit);
        assert_eq!(used, count, "{kind}");
        assert_eq!(used.saturating_sub(limit), debt, "{kind}: no more beyond than is told");
    }
}

#[test]
fn limits_of_every_kind_hold_to_the_unit_under_many_connections() {
    let calls = size("TOLLGATE_TEST_LIMIT_CALLS", 3_000);
    let connections = size("TOLLGATE_TEST_LIMIT_CONNECTIONS", 32);
    let provider = Sandbox::start();
    let gateway = every_kind(provider.address, calls).start();
    let mut got = storm(&gateway, calls, connections, r#","max_tokens":40"#);
    // Those that a reservation stood in the way of for a moment: until nothing more fits.
    for (kind, more) in storm(&gateway, calls / 4, connections.min(16), r#","max_tokens":40"#) {
        let sum = got.get_mut(kind).expect("the same kinds");
        sum.add(&more);
    }
    let each = calls / KINDS.len() as u64 / 2;
    assert_eq!(got["requests"].admitted, each, "{got:?}");
    assert_eq!(balance(&gateway, "key", "requests", "requests"), [each, each, 0, 0]);

    tokens_and_money_hold(&gateway, &got);
    assert_eq!(
        balance(&gateway, "key", "concurrent", "concurrent")[1],
        0,
        "all have ended"
    );
    let tagged = got["concurrent"].admitted;
    assert_eq!(balance(&gateway, "tag", "project=x", "requests")[1], tagged);
    assert!(tagged <= each);

    let sum = |of: fn(&Got) -> u64| got.values().map(of).sum::<u64>();
    let (admitted, tokens, nanos) = (sum(|got| got.admitted), sum(|got| got.tokens), sum(|got| got.nanos));
    assert_eq!(balance(&gateway, "organization", "", "requests")[1], admitted);
    assert_eq!(balance(&gateway, "organization", "", "tokens")[1], tokens);
    let output = sum(|got| got.output_tokens);
    assert_eq!(balance(&gateway, "organization", "", "output_tokens")[1], output);
    assert_eq!(
        balance(&gateway, "organization", "", "input_tokens")[1],
        tokens - output
    );
    assert_eq!(balance(&gateway, "user", "somebody", "requests")[1], admitted);
    assert_eq!(balance(&gateway, "user", "somebody", "concurrent")[1], 0);
    assert_eq!(balance(&gateway, "team", "all", "budget")[1], nanos);
    assert_eq!(balance(&gateway, "model", "openai%2F%2A", "requests")[1], admitted);
    assert_eq!(balance(&gateway, "provider", "openai", "requests")[1], admitted);
    assert_eq!(provider.report()["requests"], admitted, "what was refused went nowhere");
}

#[test]
fn a_stream_ends_where_the_budget_ends_and_the_provider_is_left() {
    let provider = Sandbox::start();
    let mut setup = Setup::to(provider.address);
    setup.keys =
        "  tester: { secret: env:TOLLGATE_TEST_KEY, limits: [ { output_tokens: 60, per: year, cut: true } ] }\n"
            .to_owned();
    let gateway = setup.start();
    let headers = [("x-sandbox-tokens", "400"), ("x-sandbox-gap", "5ms")];
    let answer = gateway.post(
        "/v1/chat/completions",
        &headers,
        &chat("openai/sandbox-small", r#","stream":true"#),
    );
    let text = answer.expect(200).text();
    assert!(
        text.contains("\"finish_reason\":\"length\"") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    assert!(text.contains(": tollgate-cut"), "{text}");
    provider.await_client_gone(1);
    let [_, used, _, debt] = balance(&gateway, "key", "tester", "output_tokens");
    assert!((40..=60).contains(&used) && debt == 0, "{used}");
    let refused = gateway.metric("tollgate_rejected_requests_total", &["reason=\"cut_by_limit\""]);
    assert_eq!(refused, 1.0);
}

#[test]
fn keys_of_the_api_have_limits_that_change_at_once_and_outlive_both_planes() {
    let provider = Sandbox::start();
    let mut gateway = Setup::to(provider.address).start();
    let wrong = br#"{"name":"agent","limits":[{"requests":"few","per":"year"}]}"#;
    let refused = gateway.control("POST", "/v1/keys", &[], wrong);
    assert_eq!(
        (refused.status, &refused.json()["pointer"]),
        (422, &Value::from("/limits/0/requests"))
    );
    let made = br#"{"name":"agent","limits":[{"requests":3,"per":"year"}]}"#;
    let made = gateway.control("POST", "/v1/keys", &[], made).expect(201).json();
    let secret = made["secret"].as_str().expect("a secret");
    let statuses =
        |gateway: &Gateway, calls: usize| -> Vec<u16> { (0..calls).map(|_| gateway.chat_status(secret)).collect() };
    assert_eq!(statuses(&gateway, 4), [200, 200, 200, 429]);
    let more = br#"[{"requests":4,"per":"year"}]"#;
    gateway.control("PUT", "/v1/keys/agent/limits", &[], more).expect(200);
    assert_eq!(statuses(&gateway, 2), [200, 429]);
    assert_eq!(balance(&gateway, "key", "agent", "requests"), [4, 4, 0, 0]);
    gateway.kill_dataplane();
    gateway.await_ready();
    assert_eq!(statuses(&gateway, 1), [429], "what was used outlives the data plane");
    crate::harness::process::signal(gateway.controlplane_pid(), crate::harness::process::Signal::KILL);
    gateway.start_again();
    assert_eq!(statuses(&gateway, 1), [429]);
    assert_eq!(balance(&gateway, "key", "agent", "requests"), [4, 4, 0, 0]);
    let listed = gateway.control("GET", "/v1/keys", &[], b"").expect(200).json();
    let agent = listed["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["name"] == "agent");
    assert_eq!(agent.expect("it is listed")["limits"][0]["requests"], 4);
}

pub const HOOK_SECRET: &str = "hook-secret";

/// HMAC-SHA256 of the moment and the body, as `docs/src/limits.md` has it.
fn expected_signature(timestamp: &str, body: &str) -> String {
    let mut key = [0u8; 64];
    key[..HOOK_SECRET.len()].copy_from_slice(HOOK_SECRET.as_bytes());
    let mut inner = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x36));
    inner.update(format!("{timestamp}.{body}"));
    let mut outer = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    let code = outer.finalize();
    code.iter()
        .fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Takes notices, and answers some of them with an error, by their number and body.
pub fn receiver(
    refuses: impl Fn(usize, &str) -> bool + Send + 'static,
) -> (SocketAddr, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (sender, notices) = mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let Some(whole) = asked(&mut stream) else { return };
            let status = if refuses(number, &whole.1) {
                "503 Not Now"
            } else {
                "204 Taken"
            };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
            if sender.send(whole).is_err() {
                return;
            }
        }
    });
    (address, notices)
}

#[test]
fn thresholds_are_told_to_webhooks_signed_and_again_until_they_are_taken() {
    let provider = Sandbox::start();
    let (hook, notices) = receiver(|number, _| number == 0);
    let mut setup = Setup::to(provider.address);
    setup.top += &format!("webhooks: {{ finance: {{ url: \"http://{hook}/told\", secret: env:TEST_HOOK }} }}\n");
    setup.environment.push(("TEST_HOOK".to_owned(), HOOK_SECRET.to_owned()));
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, limits: [ { requests: 4, per: year, thresholds: [ 50%, 100% ] } ] }\n".to_owned();
    let gateway = setup.start();
    for _ in 0..4 {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        let (head, body) = notices.recv_timeout(Duration::from_secs(20)).expect("a notice");
        let header = |name: &str| {
            let mut lines = head.lines();
            lines
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .unwrap_or_else(|| panic!("{head}"))
        };
        assert!(head.starts_with("POST /told HTTP/1.1"), "{head}");
        assert_eq!(
            header("x-tollgate-signature"),
            expected_signature(header("x-tollgate-timestamp"), &body)
        );
        let notice: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (&notice["kind"], &notice["facts"]["name"]),
            (&Value::from("limit_threshold"), &Value::from("tester"))
        );
        told.push(notice["facts"]["threshold_percent"].as_u64().expect("a share"));
    }
    assert_eq!(told, [50, 50, 100], "the first was refused and told again, in order");
    until("the notices to be counted", 10, || {
        let counted = gateway.metric("tollgate_webhook_notices_total", &["state=\"delivered\""]);
        (counted == 2.0).then_some(())
    });
}
