//! Usage: what the ledger says of calls, and that it says it of every call that reached a provider, once, whoever is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use serde_json::Value;

use crate::{
    harness::{
        Client, Ended, Gateway, Response, Sandbox, Setup,
        gateway::{chat, messages, provider_with, with_key},
        http::request,
        process::{self, Signal},
        until,
    },
    state::on_a_small_disk,
};

const RED: &str = "tg-red-secret-0123456789abcdef";
const BLUE: &str = "tg-blue-secret-0123456789abcde";

/// A member of the row with these values of `by`; zero where there is no such row.
fn sum(rows: &[Value], by: &[(&str, &str)], member: &str) -> u64 {
    let is_it = |row: &&Value| by.iter().all(|(name, value)| row[name] == *value);
    rows.iter()
        .filter(is_it)
        .map(|row| row[member].as_u64().expect("a number"))
        .sum()
}

/// Dollars with nine digits behind the point, in nano-dollars.
fn nanos(usd: &str) -> u64 {
    usd.replace('.', "").parse().expect("an amount")
}

fn cost(answer: &Response) -> u64 {
    answer.header("x-tollgate-cost-usd").map_or(0, nanos)
}

fn two_teams(sandbox: &Sandbox) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    let prices = |input: &str, output: &str| {
        format!(", prices: {{ models: {{ \"sandbox-*\": {{ input: \"{input}\", output: \"{output}\" }} }} }}")
    };
    setup.providers = [
        provider_with("openai", "openai", sandbox.address, &prices("2.00", "10.00")),
        provider_with("anthropic", "anthropic", sandbox.address, &prices("6.00", "30.00")),
    ]
    .concat();
    setup.top += "teams: { red: {}, blue: {} }\n";
    setup.keys += "  red-key: { team: red, secret: env:TEST_RED }\n  blue-key: { team: blue, secret: env:TEST_BLUE }\n";
    setup.environment = vec![
        ("TEST_RED".to_owned(), RED.to_owned()),
        ("TEST_BLUE".to_owned(), BLUE.to_owned()),
    ];
    setup
}

fn ask(gateway: &Gateway, key: &str, path: &str, body: &str) -> Response {
    let headers = [("authorization", format!("Bearer {key}"))];
    let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.extend([
        ("x-tollgate-tags", "project=apollo,stage=test"),
        ("anthropic-version", "2023-06-01"),
    ]);
    crate::harness::http::call(gateway.address, "POST", path, &headers, body.as_bytes())
}

#[test]
fn sums_agree_with_the_provider_and_with_what_each_answer_said() {
    let sandbox = Sandbox::start();
    let gateway = two_teams(&sandbox).start();
    let chats = "/v1/chat/completions";
    let mut red_openai = 0;
    for _ in 0..5 {
        let answer = ask(&gateway, RED, chats, &chat("openai/sandbox-tokens-11", "")).expect(200);
        red_openai += cost(&answer);
    }
    // A stream says its cost to nobody but the ledger: 5 tokens in, 13 out.
    let told = r#","stream":true,"stream_options":{"include_usage":true}"#;
    ask(&gateway, RED, chats, &chat("openai/sandbox-tokens-13", told)).expect(200);
    red_openai += 5 * 2_000 + 13 * 10_000;
    let mut blue_anthropic = 0;
    for _ in 0..3 {
        let answer = ask(
            &gateway,
            BLUE,
            "/v1/messages",
            &messages("anthropic/sandbox-tokens-17", ""),
        )
        .expect(200);
        blue_anthropic += cost(&answer);
    }
    // In another dialect than the provider's; and two that fail there.
    let translated = ask(&gateway, BLUE, "/v1/messages", &messages("openai/sandbox-tokens-7", "")).expect(200);
    for _ in 0..2 {
        assert_eq!(
            ask(&gateway, BLUE, chats, &chat("openai/sandbox-status-500", "")).status,
            500
        );
    }
    // These go to no provider.
    assert_eq!(ask(&gateway, RED, chats, &chat("nothing/there", "")).status, 404);
    assert_eq!(
        ask(&gateway, "wrong", chats, &chat("openai/sandbox-small", "")).status,
        401
    );

    let by_team = until("all calls to be in the ledger", 20, || {
        let rows = gateway.usage("by=team,model,provider,upstream_model");
        (sum(&rows, &[], "attempts") == 12).then_some(rows)
    });
    assert_eq!(sandbox.report()["requests"], 12);
    let red = [("team", "red"), ("model", "openai/*"), ("provider", "openai")];
    let of = |by: &[(&str, &str)], members: &[&str]| -> Vec<u64> {
        members.iter().map(|member| sum(&by_team, by, member)).collect()
    };
    let tokens = ["requests", "failed", "input_tokens", "output_tokens"];
    assert_eq!(of(&red, &tokens), [6, 0, 30, 5 * 11 + 13]);
    assert_eq!(
        of(&[("team", "blue"), ("provider", "anthropic")], &tokens),
        [3, 0, 15, 3 * 17]
    );
    assert_eq!(of(&[("upstream_model", "sandbox-tokens-7")], &tokens), [1, 0, 5, 7]);
    assert_eq!(of(&[("upstream_model", "sandbox-status-500")], &tokens), [0, 2, 0, 0]);

    let money = |query: &str, name: &str, value: &str| -> u64 {
        let rows = gateway.usage(query);
        let row = rows.iter().find(|row| row[name] == value).expect("a row");
        nanos(row["cost_usd"].as_str().expect("text"))
    };
    assert_eq!(money("by=team", "team", "red"), red_openai);
    assert_eq!(money("by=team", "team", "blue"), blue_anthropic + cost(&translated));
    assert_eq!(money("by=provider", "provider", "anthropic"), blue_anthropic);
    let everything = red_openai + blue_anthropic + cost(&translated);
    assert_eq!(money("by=tag:project", "tag:project", "apollo"), everything);
    let key = gateway.usage("by=key");
    assert_eq!(sum(&key, &[("key", "red-key")], "requests"), 6);
    assert_eq!(
        sum(&gateway.usage("by=tag:nothing"), &[("tag:nothing", "")], "attempts"),
        12
    );
    assert!(
        gateway
            .usage("by=team&from=2000-01-01&to=2000-02-01T00:00:00Z")
            .is_empty()
    );
    assert_eq!(sum(&gateway.usage("from=1h"), &[], "requests"), 10);
    for (query, word) in [
        ("by=teams", "teams"),
        ("from=yesterday", "yesterday"),
        ("from=1h&to=2h", "later"),
    ] {
        let refused = gateway
            .control("GET", &format!("/v1/usage?{query}"), &[], b"")
            .expect(400);
        assert!(refused.text().contains(word), "{}", refused.text());
    }
}

#[test]
fn the_command_line_writes_tables_csv_and_json() {
    let sandbox = Sandbox::start();
    let gateway = two_teams(&sandbox).start();
    ask(
        &gateway,
        RED,
        "/v1/chat/completions",
        &chat("openai/sandbox-tokens-11", ""),
    )
    .expect(200);
    until("the call to be in the ledger", 20, || {
        (!gateway.usage("").is_empty()).then_some(())
    });
    let said = |arguments: &[&str]| {
        let output = gateway.cli(&[&["usage"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let table = said(&[]);
    let mut lines = table.lines();
    assert!(
        lines.next().is_some_and(|head| head.starts_with("TEAM  MODEL")),
        "{table}"
    );
    assert!(
        lines.next().is_some_and(|line| line.ends_with("0.000120000")),
        "{table}"
    );
    let csv = said(&["--by", "tag:project,team", "--format", "csv", "--from", "1h"]);
    assert!(csv.starts_with("tag:project,team,requests,"), "{csv}");
    assert!(csv.contains("\napollo,red,1,0,0,1,5,11,"), "{csv}");
    for json in [said(&["--format", "json"]), said(&["--output", "json"])] {
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["rows"][0]["cost_usd"], "0.000120000");
    }
    assert_eq!(gateway.cli(&["usage", "--by", "nothing"]).status.code(), Some(2));
}

/// Clients that call without pause, each call told apart by a number in its body and in its tags.
struct Numbered {
    stop: Arc<AtomicBool>,
    whole: Arc<Mutex<BTreeSet<u64>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Numbered {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let (stop, whole) = (Arc::<AtomicBool>::default(), Arc::<Mutex<BTreeSet<u64>>>::default());
        let numbers = Arc::new(AtomicU64::new(0));
        let clients = (0..clients).map(|_| {
            let (stop, whole, numbers) = (stop.clone(), whole.clone(), numbers.clone());
            thread::spawn(move || {
                let mut client = None;
                while !stop.load(Ordering::Relaxed) {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    if call(address, &mut client, number) {
                        whole.lock().expect("numbers").insert(number);
                    } else {
                        client = None;
                    }
                }
            })
        });
        Self {
            clients: clients.collect(),
            stop,
            whole,
        }
    }

    #[track_caller]
    fn await_answers(&self, more: usize) {
        let wanted = self.whole.lock().expect("numbers").len() + more;
        until("the load to be answered", 30, || {
            (self.whole.lock().expect("numbers").len() >= wanted).then_some(())
        });
    }

    /// The calls that were answered whole.
    fn stop(self) -> BTreeSet<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client panicked");
        }
        std::mem::take(&mut self.whole.lock().expect("numbers"))
    }
}

/// One call, every third one a stream. True when it was answered whole.
fn call(address: SocketAddr, kept: &mut Option<Client>, number: u64) -> bool {
    let client = match kept {
        Some(client) => client,
        None => match Client::try_connect(address) {
            Ok(client) => kept.insert(client),
            Err(_) => return false,
        },
    };
    let tags = format!("call={number}");
    let stream = if number.is_multiple_of(3) {
        r#","stream":true"#
    } else {
        ""
    };
    let body = format!(
        r#"{{"model":"openai/sandbox-latency-20","messages":[{{"role":"user","content":"call {number}."}}]{stream}}}"#
    );
    let headers = with_key(&[("x-tollgate-tags", tags.as_str())]);
    let ask = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
    if client.socket.write_all(&ask).is_err() {
        return false;
    }
    matches!(client.read_or_cut(), Ok(answer) if answer.status == 200 && answer.ended == Ended::Whole)
}

/// The numbers of the calls that reached the provider.
fn arrived(sandbox: &Sandbox) -> BTreeSet<u64> {
    let report = sandbox.report();
    let arrivals = report["arrivals"].as_array().expect("a list");
    assert_eq!(
        report["requests"].as_u64(),
        Some(arrivals.len() as u64),
        "the sandbox remembers them all"
    );
    let number = |arrival: &Value| {
        let (_, rest) = arrival["body"].as_str()?.split_once("call ")?;
        rest.split_once('.')?.0.parse().ok()
    };
    arrivals.iter().filter_map(number).collect()
}

/// What the ledger says of each call: answered, failed, crashed.
fn recorded(gateway: &Gateway) -> BTreeMap<u64, [u64; 3]> {
    let number = |row: &Value| row["tag:call"].as_str().expect("text").parse().expect("a number");
    let counts = |row: &Value| ["requests", "failed", "crashed"].map(|member| row[member].as_u64().expect("a number"));
    gateway
        .usage("by=tag:call")
        .iter()
        .map(|row| (number(row), counts(row)))
        .collect()
}

/// The ledger and the provider's own record agree call by call.
#[track_caller]
fn assert_nothing_lost(gateway: &Gateway, sandbox: &Sandbox, whole: &BTreeSet<u64>) -> u64 {
    let arrived = arrived(sandbox);
    let recorded = until("every call that arrived to be in the ledger", 10, || {
        let recorded = recorded(gateway);
        arrived
            .iter()
            .all(|number| recorded.contains_key(number))
            .then_some(recorded)
    });
    let mut crashed = 0;
    for (number, [answered, failed, crashes]) in &recorded {
        assert_eq!(answered + failed + crashes, 1, "call {number} is there once");
        assert!(
            *answered == 0 || arrived.contains(number),
            "call {number} was answered and the provider never saw it"
        );
        crashed += crashes;
    }
    for number in whole {
        assert_eq!(
            recorded.get(number),
            Some(&[1, 0, 0]),
            "call {number} was answered whole"
        );
    }
    for state in ["lost", "missing", "damaged"] {
        let label = format!("state=\"{state}\"");
        assert_eq!(
            gateway.metric("tollgate_usage_records_total", &[&label]),
            0.0,
            "{state}"
        );
    }
    crashed
}

#[test]
fn a_data_plane_killed_under_load_loses_no_record_and_doubles_none() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let load = Numbered::start(gateway.address, 8);
    load.await_answers(60);
    for _ in 0..5 {
        gateway.kill_dataplane();
        load.await_answers(60);
    }
    let whole = load.stop();
    let crashed = assert_nothing_lost(&gateway, &sandbox, &whole);
    assert!(
        (1..=5 * 8).contains(&crashed),
        "{crashed}: at most what was in flight at each kill, and there was something"
    );
    until("what the dead left to be removed once it is read", 20, || {
        let entries = std::fs::read_dir(gateway.state_dir.join("spool")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        (names.filter(|name| name.ends_with(".boot")).count() == 1).then_some(())
    });
}

#[test]
fn a_control_plane_killed_under_load_loses_no_record_and_doubles_none() {
    let sandbox = Sandbox::start();
    let mut gateway = Setup::to(sandbox.address).start();
    let load = Numbered::start(gateway.address, 8);
    load.await_answers(60);
    for _ in 0..5 {
        process::signal(gateway.controlplane_pid(), Signal::KILL);
        gateway.process.wait(10);
        load.await_answers(60);
        gateway.start_again();
        load.await_answers(60);
    }
    let whole = load.stop();
    assert_eq!(assert_nothing_lost(&gateway, &sandbox, &whole), 0);
    assert_eq!(arrived(&sandbox), whole, "no call failed");
}

#[test]
fn both_planes_killed_leave_every_record_to_the_next() {
    let sandbox = Sandbox::start();
    let mut gateway = Setup::to(sandbox.address).start();
    let load = Numbered::start(gateway.address, 8);
    load.await_answers(60);
    let dataplane = gateway.dataplane_pid();
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    load.await_answers(60);
    process::signal(dataplane, Signal::KILL);
    gateway.process.wait(10);
    let whole = load.stop();
    gateway.start_again();
    assert_nothing_lost(&gateway, &sandbox, &whole);
}

#[test]
fn without_room_for_records_calls_are_refused_before_they_go_anywhere() {
    let sandbox = Sandbox::start();
    let (gateway, inside, _disk) = on_a_small_disk(&sandbox);
    let filler = inside.join("filler");
    std::fs::write(&filler, vec![0; 16 * 1024 * 1024]).expect_err("the disk is full now");
    // Long records fill what there is sooner.
    let tags = format!("call={}", "x".repeat(1000));
    let headers = with_key(&[("x-tollgate-tags", tags.as_str())]);
    let body = chat("openai/sandbox-small", "");
    let ask = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
    let mut client = Client::connect(gateway.address);
    let mut answered = 0;
    let refused = loop {
        let answer = client.send(&ask).read().expect("an answer");
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 10_000, "no end of room on a full disk");
    };
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (503, "usage_spool_full")
    );
    let arrivals = sandbox.report()["requests"].as_u64().expect("a number");
    for _ in 0..20 {
        assert_eq!(client.send(&ask).read().expect("an answer").status, 503);
    }
    assert_eq!(sandbox.report()["requests"], arrivals);
    let said = gateway.process.output();
    assert!(said.contains("usage_spool_full"), "the event: {said}");

    std::fs::remove_file(&filler).expect("removed");
    until("calls to be taken again", 10, || {
        (client.send(&ask).read().expect("an answer").status == 200).then_some(())
    });
    until("every answered call to be in the ledger", 10, || {
        (sum(&gateway.usage(""), &[], "requests") == answered + 1).then_some(())
    });
    assert_eq!(gateway.metric("tollgate_usage_records_total", &["state=\"lost\""]), 0.0);
}
