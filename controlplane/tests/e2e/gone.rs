//! Clients that leave in the midst of a call: what the provider saw, what the record says and what the balance lost agree, call
//! by call.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    budgets::balance,
    harness::{Client, Gateway, Sandbox, Setup, gateway::provider_with, until},
    spent::{self, DIALECTS, ask, setup},
};

const INPUT_PICOS: u64 = 11_500;
const OUTPUT_PICOS: u64 = 37_500;
/// `Ending::ClientGone`, as the ledger has it.
const CLIENT_GONE: u64 = 1;

/// Of each call, by its tag: how it ended, whether its usage was counted here, tokens in and out, and pico-dollars.
fn recorded(gateway: &Gateway, calls: usize) -> BTreeMap<String, [u64; 5]> {
    let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("the ledger");
    let sql = "SELECT tags, ending, estimated, IFNULL(input, 0), IFNULL(output, 0), \
               IFNULL(cost_units, 0) * 1000000000 + IFNULL(cost_rest, 0) FROM calls";
    until(&format!("{calls} calls in the ledger"), 10, || {
        let mut statement = ledger.prepare(sql).ok()?;
        let mut found = BTreeMap::new();
        let mut rows = statement.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let numbers = [number(1), number(2), number(3), number(4), number(5)];
            let numbers = numbers.map(|number| number.expect("a number"));
            let twice = found.insert(row.get(0).ok()?, numbers);
            assert!(twice.is_none(), "one record of a call: {found:?}");
        }
        (found.len() == calls).then_some(found)
    })
}

/// Sends a call that says its name in its prompt and to the ledger.
fn begin(gateway: &Gateway, client: &str, target: &str, stream: bool, name: &str) -> Client {
    let call = ask(client, &format!("long-{target}"), stream, &format!("Call {name}."));
    spent::begin(gateway, client, &call, &[("x-tollgate-tags", &format!("call={name}"))])
}

fn says(arrival: &Value, name: &str) -> bool {
    let body = arrival["body"].as_str();
    body.is_some_and(|body| body.contains(&format!("Call {name}.")))
}

/// How the one arrival of that call ended, once it did.
fn arrival(sandbox: &Sandbox, name: &str) -> String {
    until(&format!("{name} to have ended at the provider"), 10, || {
        let arrivals = sandbox.arrivals();
        let own: Vec<_> = arrivals.iter().filter(|arrival| says(arrival, name)).collect();
        assert!(own.len() <= 1, "{name} arrived once: {own:?}");
        let ending = own.first()?["ending"].as_str()?;
        (ending != "in_flight").then(|| ending.to_owned())
    })
}

/// In every dialect, at its own provider and at another's: a stream that is left in its midst, and a call that is left before
/// anything of its answer came.
#[test]
fn who_leaves_a_call_ends_it_at_the_provider_and_pays_what_was_made_by_then() {
    let sandbox = Sandbox::start();
    let limits = "{ budget: \"10 USD\", per: year }, { tokens: 1000000, per: year }, { concurrent: 9 }";
    let mut setup = setup(&sandbox, &DIALECTS, limits);
    let prices = ", prices: { models: { \"sandbox-*\": { input: \"0.0115\", output: \"0.0375\" } } }";
    setup.providers += &provider_with("slow", "openai", sandbox.address, prices);
    setup.models += "  long-slow: { targets: [ { provider: slow, model: sandbox-large } ], retry: { attempts: 1 } }\n";
    let gateway = setup.start();
    sandbox.plays(
        "rules: [ { model: sandbox-tokens-1000, tokens: 1000, gap: 5ms }, { model: sandbox-large, latency: 60s } ]",
    );
    let mut names = Vec::new();
    for (at, client) in DIALECTS.into_iter().enumerate() {
        for target in [client, DIALECTS[(at + 1) % DIALECTS.len()]] {
            let name = format!("{client}-at-{target}");
            let mut leaving = begin(&gateway, client, target, true, &name);
            while leaving.buf.len() < 6_000 {
                assert!(leaving.read_more(), "{name}: the stream goes on");
            }
            drop(leaving);
            assert_eq!(arrival(&sandbox, &name), "client_gone", "{name}");
            names.push((client, name, true));
        }
        let name = format!("{client}-waits");
        let leaving = begin(&gateway, client, "slow", false, &name);
        until("the call to be at the provider", 10, || {
            let arrivals = sandbox.arrivals();
            arrivals.iter().any(|arrival| says(arrival, &name)).then_some(())
        });
        drop(leaving);
        assert_eq!(arrival(&sandbox, &name), "client_gone", "{name}");
        names.push((client, name, false));
    }
    assert_eq!(sandbox.report()["requests"], names.len());
    let records = recorded(&gateway, names.len());
    let mut lost = BTreeMap::<&str, [u64; 2]>::new();
    for (client, name, begun) in &names {
        let [ending, estimated, input, output, picos] = records[&format!("call={name}")];
        assert_eq!(ending, CLIENT_GONE, "{name}");
        // Gemini tells with each event what was used so far.
        let is_told = *begun && name.ends_with("-at-gemini");
        assert!(estimated == 1 || is_told, "{name}: {input}, {output}");
        assert!(input > 0, "{name}: the provider read it");
        // What came by then, and no more: a thousand would have taken five seconds.
        assert_eq!(output > 0, *begun, "{name}: {output}");
        assert!(output < 1_000, "{name}: {output}");
        assert_eq!(picos, input * INPUT_PICOS + output * OUTPUT_PICOS, "{name}");
        let [nanos, tokens] = lost.entry(client).or_default();
        (*nanos, *tokens) = (*nanos + picos.div_ceil(1_000), *tokens + input + output);
    }
    for (key, [nanos, tokens]) in lost {
        assert_eq!(balance(&gateway, "key", key, "budget")[1], nanos, "{key}");
        assert_eq!(balance(&gateway, "key", key, "tokens")[1], tokens, "{key}");
        assert_eq!(balance(&gateway, "key", key, "concurrent")[1], 0, "{key}");
    }
}

/// Models whose answers have so many tokens, and are read on for so long when their client is gone.
fn draining(sandbox: &Sandbox, tokens: u64, drain: &str) -> Setup {
    let limits = "{ budget: \"10 USD\", per: year }, { concurrent: 9 }";
    let mut setup = setup(sandbox, &DIALECTS, limits);
    setup.models = setup.models.replace(
        "sandbox-tokens-1000 } ],",
        &format!("sandbox-tokens-{tokens} }} ], on_client_gone: {{ drain: {drain} }},"),
    );
    setup
}

/// `on_client_gone: { drain }`: whole answers and streams, in their own dialect and translated.
#[test]
fn who_leaves_a_call_that_is_drained_pays_what_the_provider_says() {
    const TOKENS: u64 = 90;
    let sandbox = Sandbox::start();
    let mut setup = draining(&sandbox, 90, "60s");
    // Of OpenAI itself it is known that usage may be asked for in streams.
    setup.providers = setup
        .providers
        .replace("openai: { dialect: openai,", "openai: { kind: openai,");
    let gateway = setup.start();
    sandbox.plays("rules: [ { model: sandbox-tokens-90, tokens: 90, gap: 30ms } ]");
    let mut names = Vec::new();
    for (at, client) in DIALECTS.into_iter().enumerate() {
        for target in [client, DIALECTS[(at + 1) % DIALECTS.len()]] {
            for stream in [true, false] {
                let name = format!("{client}-at-{target}-{stream}");
                let mut leaving = begin(&gateway, client, target, stream, &name);
                if stream {
                    assert!(leaving.read_until(b"\r\n\r\n").is_some(), "{name}: it begins");
                }
                until(&format!("{name} to be at the provider"), 10, || {
                    sandbox
                        .arrivals()
                        .iter()
                        .any(|arrival| says(arrival, &name))
                        .then_some(())
                });
                drop(leaving);
                names.push((client, name));
            }
        }
    }
    let records = recorded(&gateway, names.len());
    let mut lost = BTreeMap::<&str, u64>::new();
    for (client, name) in &names {
        assert_eq!(arrival(&sandbox, name), "answered", "{name}: to its end");
        let [ending, estimated, input, output, picos] = records[&format!("call={name}")];
        assert_eq!((ending, estimated, output), (CLIENT_GONE, 0, TOKENS), "{name}");
        assert_eq!(picos, input * INPUT_PICOS + output * OUTPUT_PICOS, "{name}");
        *lost.entry(client).or_default() += picos.div_ceil(1_000);
    }
    for (key, nanos) in lost {
        assert_eq!(balance(&gateway, "key", key, "budget")[1], nanos, "{key}");
        assert_eq!(balance(&gateway, "key", key, "concurrent")[1], 0, "{key}");
    }
    until("the connections to be gone", 10, || {
        (gateway.connections() == 0).then_some(())
    });
}

#[test]
fn a_call_that_is_drained_ends_when_its_time_is_over() {
    let sandbox = Sandbox::start();
    let setup = draining(&sandbox, 1000, "300ms");
    let gateway = setup.start();
    sandbox.plays("rules: [ { model: sandbox-tokens-1000, tokens: 1000, gap: 60s } ]");
    let mut leaving = begin(&gateway, "openai", "openai", true, "long");
    assert!(leaving.read_until(b"\r\n\r\n").is_some(), "it begins");
    drop(leaving);
    assert_eq!(arrival(&sandbox, "long"), "client_gone");
    let [ending, estimated, ..] = recorded(&gateway, 1)["call=long"];
    assert_eq!((ending, estimated), (CLIENT_GONE, 1));
    assert_eq!(balance(&gateway, "key", "openai", "concurrent")[1], 0);
}
