//! Work that ends behind the call that asked for it is in usage once, at its price, and against its owner's limits, however
//! its end is read and whatever is started again. Calls by a provider's own path are paid from the key's limits.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{
    Gateway, Sandbox, Setup,
    gateway::{KEY, chat, provider_with},
    http::{self, Response},
    process::{self, Signal, is_running},
    until,
};

const ID_SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Dollars for a million tokens in and out, and in batches.
const PRICES: &str = ", prices: { models: { \"sandbox-*\": { input: \"2.00\", output: \"10.00\", \
                      batch: { input: \"1.00\", output: \"5.00\" } } } }";

fn setup(sandbox: &Sandbox, limits: &str) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    setup.top += "id_secret: env:TOLLGATE_TEST_ID_SECRET\nteams: { research: {} }\n";
    setup.providers = provider_with("gpts", "openai-responses", sandbox.address, PRICES);
    setup.models = "  gpt: { targets: [ { provider: gpts, model: sandbox-small } ] }\n".to_owned();
    setup.keys = format!(
        "  tester: {{ secret: env:TOLLGATE_TEST_KEY, team: research, batches: true, pass_through: true, limits: [ {limits} ] }}\n"
    );
    setup.environment = vec![("TOLLGATE_TEST_ID_SECRET".to_owned(), ID_SECRET.to_owned())];
    setup
}

fn call(gateway: &Gateway, method: &str, path: &str, (kind, body): (&str, &str)) -> Response {
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", &*key), ("content-type", kind)];
    http::call(gateway.address, method, path, &headers, body.as_bytes())
}

fn post(gateway: &Gateway, path: &str, body: &Value) -> Value {
    call(gateway, "POST", path, ("application/json", &body.to_string()))
        .expect(200)
        .json()
}

fn get(gateway: &Gateway, path: &str) -> Response {
    call(gateway, "GET", path, ("application/json", "")).expect(200)
}

fn id(object: &Value, name: &str) -> String {
    object[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {object}"))
        .to_owned()
}

/// A batch of a file; one that is `untold` does not say what it used.
fn batch(gateway: &Gateway, name: &str, usage: &str) -> String {
    let form = format!(
        "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--x\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"{name}\"\r\n\r\n{{}}\r\n--x--\r\n"
    );
    let file = call(gateway, "POST", "/v1/files", ("multipart/form-data; boundary=x", &form))
        .expect(200)
        .json();
    let order = json!({"input_file_id": id(&file, "id"), "endpoint": "/v1/responses", "completion_window": "24h",
                       "metadata": {"usage": usage}});
    id(&post(gateway, "/v1/batches", &order), "id")
}

/// What the ledger has of the team: tokens in and out, and nano-dollars.
fn used(gateway: &Gateway) -> (u64, u64, u64) {
    let answer = gateway.control("GET", "/v1/usage?by=team", &[], b"").expect(200).json();
    let rows = answer["rows"].as_array().expect("rows");
    let sum = |member: &str| rows.iter().map(|row| row[member].as_u64().unwrap_or(0)).sum();
    let nanos = |row: &Value| {
        row["cost_usd"]
            .as_str()
            .map_or(0, |usd| usd.replace('.', "").parse().expect("an amount"))
    };
    (sum("input_tokens"), sum("output_tokens"), rows.iter().map(nanos).sum())
}

fn await_used(gateway: &Gateway, expected: (u64, u64, u64), what: &str) {
    let mut last = (0, 0, 0);
    until(&format!("{expected:?} to be in usage, {what}"), 10, || {
        let now = used(gateway);
        if now != last {
            last = now;
            eprintln!("{now:?} is in usage");
        }
        (now == expected).then_some(())
    });
}

/// Of the key's budget, in nano-dollars.
fn spent(gateway: &Gateway) -> u64 {
    let told = gateway
        .control("GET", "/v1/limits/key/tester", &[], b"")
        .expect(200)
        .json();
    let used = told["limits"][0]["used"].as_str().map(|usd| usd.replace('.', ""));
    used.and_then(|nanos| nanos.parse().ok())
        .unwrap_or_else(|| panic!("no budget in {told}"))
}

/// Waits until so much is remembered: what was read last outlives the data plane.
fn await_kept(gateway: &Gateway, marks: u64) {
    let mut last = None;
    until(&format!("{marks} marks to be kept"), 10, || {
        let kept = gateway.status()["controlplane"]["marks_kept"].as_u64();
        if kept != last {
            last = kept;
            eprintln!("{kept:?} marks are kept");
        }
        (kept == Some(marks)).then_some(())
    });
}

fn kill_both(gateway: &mut Gateway, while_down: impl FnOnce(&Path)) {
    let dataplane = gateway.dataplane_pid();
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    process::signal(dataplane, Signal::KILL);
    gateway.process.wait(10);
    until("the data plane to be dead", 10, || {
        (!is_running(dataplane)).then_some(())
    });
    while_down(&gateway.state_dir);
    gateway.start_again();
}

/// The sandbox's batches use 20 tokens, 10 cached ones and 12 out; their output as lines says 30 and 12.
const OF_BATCH: (u64, u64, u64) = (30, 12, 30 * 1_000 + 12 * 5_000);
/// And its responses in the background.
const OF_RESPONSE: (u64, u64, u64) = (40, 9, 40 * 2_000 + 9 * 10_000);

fn sum(parts: &[(u64, u64, u64)]) -> (u64, u64, u64) {
    parts
        .iter()
        .fold((0, 0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1, sum.2 + part.2))
}

#[test]
fn what_ends_behind_its_call_is_in_usage_once_whatever_is_read_and_started_again() {
    let sandbox = Sandbox::start();
    let mut gateway = setup(&sandbox, "{ budget: \"1000 USD\", per: year }").start();
    let (told, listed, untold) = (
        batch(&gateway, "told", "told"),
        batch(&gateway, "listed", "told"),
        batch(&gateway, "untold", "untold"),
    );
    let response = post(
        &gateway,
        "/v1/responses",
        &json!({"model": "gpt", "input": "hi", "background": true}),
    );
    assert_eq!(response["status"], "queued");
    let response = id(&response, "id");
    let read_told = |gateway: &Gateway| drop(get(gateway, &format!("/v1/batches/{told}")));
    let read_output = |gateway: &Gateway| {
        let ended = get(gateway, &format!("/v1/batches/{untold}")).json();
        assert_eq!(ended["usage"], Value::Null);
        get(gateway, &format!("/v1/files/{}/content", id(&ended, "output_file_id")));
    };
    let read_list = |gateway: &Gateway| {
        let page = get(gateway, "/v1/batches").json();
        assert!(page["data"].as_array().is_some_and(|data| data.len() >= 3), "{page}");
        assert!(page.to_string().contains(&listed));
    };
    let read_stream = |gateway: &Gateway| {
        let stream = get(gateway, &format!("/v1/responses/{response}?stream=true")).text();
        assert!(stream.contains("response.completed"), "{stream}");
    };
    let read_response = |gateway: &Gateway| {
        let read = get(gateway, &format!("/v1/responses/{response}")).json();
        assert_eq!(read["status"], "completed");
    };
    let reads: [&dyn Fn(&Gateway); 5] = [&read_told, &read_output, &read_list, &read_stream, &read_response];
    let mut expected = (0, 0, 0);
    // The last reads what was read.
    for (read, of) in reads.iter().zip([OF_BATCH, OF_BATCH, OF_BATCH, OF_RESPONSE, (0, 0, 0)]) {
        read(&gateway);
        expected = sum(&[expected, of]);
        await_used(&gateway, expected, "as it was read");
    }
    assert_eq!(spent(&gateway), expected.2);

    // Three files, their batches and the outputs of these; the counted: two for each batch that told, or whose output is to
    // tell, and one for the response.
    let mut marks = 3 * 3 + 3 * 2 + 1;
    for round in 1..4 {
        await_kept(&gateway, marks);
        match round {
            1 => gateway.kill_dataplane(),
            2 => kill_both(&mut gateway, |_| {}),
            // What is remembered is lost with the store's table; the ledger knows what it has.
            _ => kill_both(&mut gateway, |state| {
                let store = rusqlite::Connection::open(state.join("tollgate.db")).expect("the store");
                store
                    .execute("DELETE FROM marks WHERE id >= x'80'", [])
                    .expect("forgotten");
            }),
        }
        gateway.await_ready();
        for read in &reads {
            read(&gateway);
        }
        // One that was never read is counted behind all that was: when it is there, so would they be.
        let other = batch(&gateway, &format!("another {round}"), "told");
        get(&gateway, &format!("/v1/batches/{other}"));
        expected = sum(&[expected, OF_BATCH]);
        await_used(&gateway, expected, &format!("after start {round}"));
        marks += 3 + 2;
        if round < 3 {
            assert_eq!(spent(&gateway), expected.2, "after start {round}");
        }
    }
}

#[test]
fn what_goes_through_by_a_providers_own_path_is_paid_from_the_keys_limits() {
    let sandbox = Sandbox::start();
    let gateway = setup(
        &sandbox,
        "{ budget: \"0.000050 USD\", per: year }, { tokens: 1000, per: year }",
    )
    .start();
    let path = "/providers/gpts/v1/chat/completions";
    let body = chat("sandbox-tokens-11", "");
    let answer = call(&gateway, "POST", path, ("application/json", &body)).expect(200);
    let usage = &answer.json()["usage"];
    let (input, output) = (
        usage["prompt_tokens"].as_u64().expect("input"),
        usage["completion_tokens"].as_u64().expect("output"),
    );
    let cost = input * 2_000 + output * 10_000;
    assert!(cost > 50_000, "{usage}");
    await_used(&gateway, (input, output, cost), "of a call that went through");
    assert_eq!(spent(&gateway), cost, "what is over is owed");
    let refused = call(&gateway, "POST", path, ("application/json", &body)).expect(429);
    assert_eq!(
        refused.json()["error"]["code"],
        "insufficient_quota",
        "{}",
        refused.text()
    );
    assert_eq!(sandbox.report()["requests"], 1);
}
