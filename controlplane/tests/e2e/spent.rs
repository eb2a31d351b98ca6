//! Money from the balance to the bill: streams end where it ends, in each dialect's own words, and what balances say is what
//! records, sums and exports say.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    budgets::balance,
    harness::{Client, Gateway, Response, Sandbox, Setup, gateway::provider_with, http::request, until},
};

pub const DIALECTS: [&str; 6] = ["openai", "openai-responses", "anthropic", "gemini", "cohere", "bedrock"];
/// An output token costs 37,500 pico-dollars: no whole number of nano-dollars.
const PRICES: &str = ", prices: { models: { \"sandbox-*\": { input: \"0.0115\", output: \"0.0375\" } } }";
const OUTPUT_PICOS: u64 = 37_500;
/// No event of the sandbox's has more.
const EVENT_TOKENS: u64 = 4;

pub fn secret(key: &str) -> String {
    format!("tg-{key}-0123456789abcdef")
}

/// A key for each name, with these limits, and a model of each dialect.
pub fn setup(sandbox: &Sandbox, keys: &[&str], limits: &str) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    setup.providers = DIALECTS
        .map(|dialect| provider_with(dialect, dialect, sandbox.address, PRICES))
        .concat();
    setup.models = DIALECTS
        .map(|dialect| {
            format!("  long-{dialect}: {{ targets: [ {{ provider: {dialect}, model: sandbox-tokens-1000 }} ], retry: {{ attempts: 1 }} }}\n")
        })
        .concat();
    setup.keys = String::new();
    for key in keys {
        let variable = format!("TEST_{}", key.to_uppercase().replace('-', "_"));
        setup.keys += &format!("  {key}: {{ secret: env:{variable}, limits: [ {limits} ] }}\n");
        setup.environment.push((variable, secret(key)));
    }
    setup
}

pub const HELLO: &str = "Hello there, gate.";

/// The path and body of a chat in a dialect.
pub fn ask(dialect: &str, model: &str, stream: bool, said: &str) -> (String, String) {
    let turns = format!(r#""messages":[{{"role":"user","content":"{said}"}}]"#);
    match dialect {
        "openai" => (
            "/v1/chat/completions".to_owned(),
            format!(r#"{{"model":"{model}","stream":{stream},{turns}}}"#),
        ),
        "openai-responses" => (
            "/v1/responses".to_owned(),
            format!(r#"{{"model":"{model}","stream":{stream},"input":"{said}"}}"#),
        ),
        "anthropic" => (
            "/v1/messages".to_owned(),
            format!(r#"{{"model":"{model}","stream":{stream},"max_tokens":4000,{turns}}}"#),
        ),
        "gemini" => (
            match stream {
                true => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
                false => format!("/v1beta/models/{model}:generateContent"),
            },
            format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"{said}"}}]}}]}}"#),
        ),
        "cohere" => (
            "/v2/chat".to_owned(),
            format!(r#"{{"model":"{model}","stream":{stream},{turns}}}"#),
        ),
        _ => (
            format!("/model/{model}/{}", if stream { "converse-stream" } else { "converse" }),
            format!(r#"{{"messages":[{{"role":"user","content":[{{"text":"{said}"}}]}}]}}"#),
        ),
    }
}

pub fn post(gateway: &Gateway, key: &str, call: &(String, String), headers: &[(&str, &str)]) -> Response {
    let answer = begin(gateway, key, call, headers).read_answer("POST");
    answer.unwrap_or_else(|| panic!("{call:?}: closed without an answer"))
}

/// Sends it: what is answered nobody has read yet.
pub fn begin(gateway: &Gateway, key: &str, (path, body): &(String, String), headers: &[(&str, &str)]) -> Client {
    let bearer = format!("Bearer {}", secret(key));
    let mut all = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
    ];
    all.extend_from_slice(headers);
    let mut client = Client::connect(gateway.address);
    client.send(&request("POST", path, &all, body.as_bytes()));
    client
}

/// Of each key: calls, what its records cost in pico-dollars, the same of each call in whole nano-dollars, tokens, and calls
/// that were counted here.
fn recorded(gateway: &Gateway, calls: u64) -> BTreeMap<String, [u64; 5]> {
    let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("the ledger");
    until(&format!("{calls} calls in the ledger"), 10, || {
        let count: i64 = ledger
            .query_row("SELECT COUNT(*) FROM calls", [], |row| row.get(0))
            .ok()?;
        (count.cast_unsigned() == calls).then_some(())
    });
    let tokens = "IFNULL(input, 0) + IFNULL(cache_read, 0) + IFNULL(output, 0) + IFNULL(reasoning, 0)";
    let sql = format!("SELECT key, IFNULL(cost_units, 0), IFNULL(cost_rest, 0), {tokens}, estimated FROM calls");
    let mut statement = ledger.prepare(&sql).expect("a question");
    let rows = statement.query_map([], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let picos = number(1)? * 1_000_000_000 + number(2)?;
        Ok((
            row.get::<_, String>(0)?,
            [1, picos, picos.div_ceil(1_000), number(3)?, number(4)?],
        ))
    });
    let mut all = BTreeMap::<String, [u64; 5]>::new();
    for row in rows.expect("rows") {
        let (key, numbers) = row.expect("a row");
        let sums = all.entry(key).or_default();
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
    }
    all
}

#[test]
fn a_stream_ends_at_the_token_where_the_money_ends_in_every_dialect() {
    ends_with_the_money(HELLO, 2_500);
}

/// A prompt that has more tokens than prompts of its length have as a rule.
#[test]
fn a_prompt_of_many_tokens_leaves_its_answer_what_is_left() {
    ends_with_the_money(&"7 1 9 4 2 8 ".repeat(200), 32_000);
}

/// Streams of a prompt, each under a limit of so many nano-dollars.
fn ends_with_the_money(said: &str, limit_nanos: u64) {
    let sandbox = Sandbox::start();
    let limits = format!("{{ budget: \"0.{limit_nanos:09} USD\", per: year, cut: true }}");
    let gateway = setup(&sandbox, &DIALECTS, &limits).start();
    for (gone, dialect) in DIALECTS.into_iter().enumerate() {
        let stream = ask(dialect, &format!("long-{dialect}"), true, said);
        let answer = post(&gateway, dialect, &stream, &[("x-sandbox-gap", "2ms")]).expect(200);
        let text = answer.text();
        let word = match dialect {
            "openai" => "\"finish_reason\":\"length\"",
            "openai-responses" => "\"reason\":\"max_output_tokens\"",
            "anthropic" => "\"stop_reason\":\"max_tokens\"",
            "bedrock" => "\"stopReason\":\"max_tokens\"",
            _ => "MAX_TOKENS",
        };
        assert!(text.contains(word), "{dialect}: {text}");
        let noted = text.contains(": tollgate-cut");
        assert_eq!(noted, !matches!(dialect, "gemini" | "bedrock"), "{dialect}: {text}");
        sandbox.await_client_gone(gone + 1);
        // Not a token more, and what is left pays for none.
        let [limit, used, left, debt] = balance(&gateway, "key", dialect, "budget");
        assert_eq!(
            (limit, debt, left + used),
            (limit_nanos, 0, limit),
            "{dialect}: {used} are used"
        );
        assert!(
            left * 1_000 < EVENT_TOKENS * OUTPUT_PICOS,
            "{dialect}: {left} nano-dollars are left"
        );
        let refused = post(&gateway, dialect, &stream, &[]).expect(429);
        assert_eq!(refused.header("x-should-retry"), Some("false"), "{dialect}");
    }
    let cut = gateway.metric("tollgate_rejected_requests_total", &["reason=\"cut_by_limit\""]);
    assert_eq!(cut, DIALECTS.len() as f64);
    for (key, [calls, _, nanos, _, estimated]) in recorded(&gateway, DIALECTS.len() as u64) {
        let used = balance(&gateway, "key", &key, "budget")[1];
        assert_eq!(
            (calls, nanos, estimated),
            (1, used, 1),
            "{key}: the record says what was taken"
        );
    }
}

/// Dollars with so many digits behind the point.
fn units(usd: &Value) -> u64 {
    usd.as_str()
        .expect("dollars")
        .replace('.', "")
        .parse()
        .expect("an amount")
}

/// Whole answers and streams of every dialect, in its own and in another's, streams that their clients leave and calls that
/// fail: what balances have lost is to the nano-dollar and the token what records say, and so do sums and the export.
#[test]
fn balances_records_sums_and_exports_are_the_same_money() {
    let sandbox = Sandbox::start();
    let mut setup = setup(
        &sandbox,
        &DIALECTS,
        "{ budget: \"10 USD\", per: year }, { tokens: 1000000, per: year }",
    );
    setup.top += "organization: { limits: [ { budget: \"100 USD\", per: year } ] }\n";
    setup.models = DIALECTS
        .map(|dialect| {
            let model = |name: &str, to: &str| {
                format!("  {name}-{dialect}: {{ targets: [ {{ provider: {dialect}, model: {to} }} ], retry: {{ attempts: 1 }} }}\n")
            };
            let twice = format!(
                "  twice-{dialect}: {{ targets: [ {{ provider: openai, model: sandbox-status-500 }}, {{ provider: {dialect}, model: \
                 sandbox-tokens-9 }} ], retry: {{ attempts: 2, max_wait: 1s }} }}\n"
            );
            [model("few", "sandbox-tokens-7"), model("fail", "sandbox-status-400"), model("long", "sandbox-tokens-1000"), twice].concat()
        })
        .concat();
    let gateway = setup.start();
    sandbox.plays("rules: [ { model: sandbox-tokens-1000, tokens: 1000, gap: 5ms } ]");
    let mut calls = 0;
    for (at, client) in DIALECTS.into_iter().enumerate() {
        // Its own dialect, and the next one's provider.
        for target in [client, DIALECTS[(at + 1) % DIALECTS.len()]] {
            for (model, stream, status) in [
                ("few", false, 200),
                ("few", true, 200),
                ("fail", false, 400),
                ("twice", true, 200),
            ] {
                let answer = post(
                    &gateway,
                    client,
                    &ask(client, &format!("{model}-{target}"), stream, HELLO),
                    &[],
                );
                assert_eq!(answer.status, status, "{client} at {model}-{target}: {}", answer.text());
                calls += 1;
            }
            // Left in the middle of it.
            let call = ask(client, &format!("long-{target}"), true, HELLO);
            let mut leaving = begin(&gateway, client, &call, &[]);
            while leaving.buf.len() < 2_000 {
                let sofar = String::from_utf8_lossy(&leaving.buf).into_owned();
                assert!(
                    sofar.is_empty() || sofar.starts_with("HTTP/1.1 200"),
                    "{client} at {target}: {sofar}"
                );
                assert!(leaving.read_more(), "{client} at {target}: the stream goes on");
            }
            drop(leaving);
            calls += 1;
        }
    }
    let recorded = recorded(&gateway, calls);
    assert_eq!(recorded.len(), DIALECTS.len());
    let (mut picos_of_all, mut nanos_of_all) = (0, 0);
    for (key, [_, picos, nanos, tokens, estimated]) in &recorded {
        assert!(*estimated > 0, "{key}: what was left was counted here");
        assert_eq!(
            balance(&gateway, "key", key, "budget")[1],
            *nanos,
            "{key}: each call is rounded up once"
        );
        assert_eq!(balance(&gateway, "key", key, "tokens")[1], *tokens, "{key}");
        picos_of_all += picos;
        nanos_of_all += nanos;
    }
    assert_eq!(balance(&gateway, "organization", "", "budget")[1], nanos_of_all);
    let rows = |query: &str| {
        let answer = gateway
            .control("GET", &format!("/v1/usage?from=1d&{query}"), &[], b"")
            .expect(200)
            .json();
        answer["rows"].as_array().expect("rows").clone()
    };
    for row in rows("by=key") {
        let [_, picos, ..] = recorded[row["key"].as_str().expect("a key")];
        assert_eq!(units(&row["cost_usd"]), picos.div_ceil(1_000), "{row}");
    }
    let exported: u64 = rows("format=focus").iter().map(|row| units(&row["BilledCost"])).sum();
    assert_eq!(exported, picos_of_all, "the export has every pico-dollar");
}
