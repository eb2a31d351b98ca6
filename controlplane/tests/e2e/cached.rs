//! Answers that are kept, as clients and operators meet them: over shards, tenants, connections and reloads.

use std::{
    io::Read,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use serde_json::Value;

use crate::{
    harness::{
        Client, Gateway, Sandbox, Setup,
        gateway::{KEY, chat, provider_line},
        http::{Response, call, request},
        until,
    },
    sdk,
};

const PATH: &str = "/v1/chat/completions";
const MODEL: &str = "kept/sandbox-small-tokens-8";

/// The model `kept/NAME`, whose answers this cache keeps.
fn setup(sandbox: &Sandbox, cache: &str) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!("caches: {{ answers: {{ {cache} }} }}\n");
    setup.models +=
        "  \"kept/*\": { cache: answers, targets: [ { provider: openai, model: \"*\" } ], retry: { attempts: 1 } }\n";
    setup
}

fn ask(gateway: &Gateway, more: &str) -> Response {
    gateway.post(PATH, &[], &chat(MODEL, more))
}

fn mark(answer: &Response) -> Option<&str> {
    answer.header("x-tollgate-cache")
}

fn asked(sandbox: &Sandbox) -> usize {
    sandbox.arrivals().len()
}

#[test]
fn an_answer_is_given_again_by_every_shard_and_no_provider_is_asked() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "exact: { ttl: 1h }").start();
    let first = ask(&gateway, "").expect(200);
    assert_eq!((mark(&first), first.header("age")), (Some("miss"), None));
    // Each on a connection of its own: more than there are shards.
    for _ in 0..12 {
        let again = ask(&gateway, r#","user":"somebody""#).expect(200);
        assert_eq!((mark(&again), again.text()), (Some("hit"), first.text()));
        assert!(again.header("age").is_some_and(|age| age.parse::<u64>().is_ok()));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    }
    assert_eq!(asked(&sandbox), 1);
    let streamed = ask(&gateway, r#","stream":true"#).expect(200);
    assert_eq!(mark(&streamed), Some("hit"));
    assert!(streamed.text().ends_with("data: [DONE]\n\n"), "{}", streamed.text());
    assert_eq!(asked(&sandbox), 1);
    let lookups = |result: &str| {
        let result = format!("result=\"{result}\"");
        gateway.metric("tollgate_cache_lookups_total", &["cache=\"answers\"", &result])
    };
    assert_eq!((lookups("hit"), lookups("miss")), (13.0, 1.0));
    assert_eq!(gateway.metric("tollgate_requests_total", &["cache=\"hit\""]), 13.0);
    assert_eq!(gateway.metric("tollgate_cache_entries", &[]), 1.0);
    assert!(gateway.metric("tollgate_cache_bytes", &[]) > 100.0);
    assert_eq!(gateway.metric("tollgate_cache_saved_tokens_total", &[]), 13.0 * 13.0);
    // A hit is a request in the ledger, and used nothing.
    let usage = until("all calls to be in the ledger", 10, || {
        let usage = gateway
            .control("GET", "/v1/usage?by=model", &[], b"")
            .expect(200)
            .json();
        let rows = usage["rows"].as_array().cloned().unwrap_or_default();
        let row = rows.into_iter().find(|row| row["requests"] == 14)?;
        Some(row)
    });
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&Value::from(5), &Value::from(8)),
        "{usage}"
    );
}

#[test]
fn what_a_request_asks_of_the_cache_is_done() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "exact: {}").start();
    let with = |wish: &str| gateway.post(PATH, &[("x-tollgate-cache", wish)], &chat(MODEL, ""));
    let missed = with("only").expect(504);
    assert_eq!(missed.error_code(), "cache_miss");
    assert_eq!(mark(&with("bypass").expect(200)), Some("bypass"));
    assert_eq!(mark(&with("refresh").expect(200)), Some("miss"));
    assert_eq!(mark(&with("only").expect(200)), Some("hit"));
    assert_eq!(asked(&sandbox), 2);
    let hot = ask(&gateway, r#","temperature":0.5"#).expect(200);
    assert_eq!(mark(&hot), Some("bypass"));
    let body = serde_json::json!({"key": "tester", "model": MODEL, "body": {"messages": [], "temperature": 0.5}});
    let told = gateway
        .control("POST", "/v1/explain", &[], body.to_string().as_bytes())
        .expect(200)
        .text();
    assert!(told.contains("the request has a `temperature` above 0"), "{told}");
}

/// Keys of two teams and one of none.
pub fn tenants(setup: &mut Setup) -> [(&'static str, &'static str); 4] {
    const KEYS: [(&str, &str); 4] = [("red-1", "red"), ("red-2", "red"), ("blue-1", "blue"), ("lone", "")];
    setup.top += "teams: { red: {}, blue: {} }\n";
    for (key, team) in KEYS {
        let team = if team.is_empty() {
            String::new()
        } else {
            format!(", team: {team}")
        };
        let variable = format!("TOLLGATE_TEST_{}", key.replace('-', "_").to_uppercase());
        setup.keys += &format!("  {key}: {{ secret: env:{variable}{team} }}\n");
        setup.environment.push((variable, format!("tg-secret-of-{key}")));
    }
    KEYS
}

#[test]
fn no_answer_is_given_to_another_tenant_and_purging_one_leaves_the_other() {
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox, "scope: team, exact: {}");
    let keys = tenants(&mut setup);
    let gateway = setup.start();
    let as_key = |key: &str, headers: &[(&str, &str)]| {
        let bearer = format!("Bearer tg-secret-of-{key}");
        let mut all = vec![("authorization", &*bearer), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        call(gateway.address, "POST", PATH, &all, chat(MODEL, "").as_bytes()).expect(200)
    };
    let marks = || keys.map(|(key, _)| mark(&as_key(key, &[])).map(str::to_owned));
    let told = |marks: [Option<String>; 4]| marks.map(|mark| mark.unwrap_or_default());
    assert_eq!(told(marks()), ["miss", "hit", "miss", "miss"]);
    assert_eq!(told(marks()), ["hit", "hit", "hit", "hit"]);
    let output = gateway.cli(&["cache", "purge", "--team", "red", "--output", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success() && said["answers"] == 1, "{said}");
    assert_eq!(told(marks()), ["miss", "hit", "hit", "hit"]);
    as_key(
        "lone",
        &[("x-tollgate-cache", "refresh"), ("x-tollgate-tags", "app=a,run=7")],
    );
    for (filter, answers) in [
        (r#"{"tag":"run=8"}"#, 0),
        (r#"{"tag":"run=7"}"#, 1),
        (r#"{"key":"blue-1","model":"kept/other"}"#, 0),
        (r#"{"prefix":"Hello there","key":"blue-1"}"#, 1),
        (r#"{}"#, 1),
    ] {
        let said = gateway
            .control("POST", "/v1/cache/purge", &[], filter.as_bytes())
            .expect(200)
            .json();
        assert_eq!(said["answers"], answers, "{filter}: {said}");
    }
    for (filter, wrong) in [
        (r#"{"cache":"answer"}"#, "there is no cache 'answer'"),
        (r#"{"tag":"run"}"#, "name=value"),
        (r#"{"teem":"red"}"#, "teem"),
        (
            &*format!(r#"{{"prefix":"{}"}}"#, "a".repeat(257)),
            "prefix: has 257 bytes",
        ),
    ] {
        let said = gateway
            .control("POST", "/v1/cache/purge", &[], filter.as_bytes())
            .expect(400)
            .text();
        assert!(said.contains(wrong), "{filter}: {said}");
    }
    assert_eq!(
        gateway.cli(&["cache", "purge"]).status.code(),
        Some(2),
        "all is not meant by nothing"
    );
}

#[test]
fn calls_that_are_the_same_and_under_way_at_once_share_one() {
    for more in ["", r#","stream":true"#] {
        let sandbox = Sandbox::start();
        let gateway = setup(&sandbox, "exact: {}").start();
        let key = format!("Bearer {KEY}");
        let headers = [
            ("authorization", &*key),
            ("content-type", "application/json"),
            ("x-sandbox-latency", "700ms"),
        ];
        let body = chat("kept/sandbox-small-tokens-40", more);
        let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(gateway.address)).collect();
        clients[0].send(&request("POST", PATH, &headers, body.as_bytes()));
        until("the call is under way", 10, || (asked(&sandbox) == 1).then_some(()));
        for client in &mut clients[1..] {
            client.send(&request("POST", PATH, &headers, body.as_bytes()));
        }
        // Whoever came first leaves.
        let in_flight = || gateway.metric("tollgate_cache_lookups_total", &["result=\"miss\""]);
        until("it was looked up", 10, || (in_flight() == 1.0).then_some(()));
        until("all are connected", 10, || (gateway.connections() >= 8).then_some(()));
        drop(clients.remove(0));
        let answers: Vec<Response> = clients
            .iter_mut()
            .map(|client| client.read().expect("an answer").expect(200))
            .collect();
        assert_eq!(asked(&sandbox), 1, "{more}");
        let text = answers[0].text();
        assert!(
            text.len() > 100
                && answers
                    .iter()
                    .all(|answer| answer.text() == text && mark(answer) == Some("hit"))
        );
        if !more.is_empty() {
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        }
    }
}

#[test]
fn a_stream_goes_on_for_those_who_joined_it_when_the_client_it_began_for_leaves_midway() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "exact: {}").start();
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", &*key), ("content-type", "application/json")];
    let body = chat("kept/sandbox-rate-30-tokens-90", r#","stream":true"#);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::connect(gateway.address)).collect();
    for client in &mut clients {
        client.send(&request("POST", PATH, &headers, body.as_bytes()));
        // Each joins what the others read already.
        client.read_until(b"data: ").expect("the stream has begun");
    }
    drop(clients.remove(0));
    // And one of those who joined.
    drop(clients.remove(0));
    let texts: Vec<String> = clients
        .iter_mut()
        .map(|client| String::from_utf8_lossy(&client.read_until(b"data: [DONE]\n\n").expect("its end")).into_owned())
        .collect();
    let words = |text: &str| text.matches("\"content\":\"").count();
    assert!(texts.iter().all(|text| words(text) > 5), "{texts:?}");
    assert_eq!(asked(&sandbox), 1);
    until("those who joined it to be counted", 20, || {
        let joined = gateway.metric("tollgate_cache_lookups_total", &["result=\"joined\""]);
        (joined == 3.0).then_some(())
    });
    drop(clients);
    until("no connection is left", 10, || {
        (gateway.connections() == 0).then_some(())
    });
    let kept = call(gateway.address, "POST", PATH, &headers, body.as_bytes()).expect(200);
    assert_eq!((mark(&kept), words(&kept.text()) >= 90), (Some("hit"), true));
    assert_eq!(asked(&sandbox), 1);
}

/// How many bytes come until the stream is over.
fn read_to_done(client: &mut Client) -> usize {
    const DONE: &[u8] = b"data: [DONE]\n\n";
    let (mut tail, mut length) = (std::mem::take(&mut client.buf), 0);
    let mut chunk = vec![0; 256 * 1024];
    while !tail.windows(DONE.len()).any(|window| window == DONE) {
        let read = client.socket.read(&mut chunk).expect("more comes");
        assert!(read > 0, "it ended after {length} bytes");
        tail.drain(..tail.len().saturating_sub(DONE.len()));
        tail.extend_from_slice(&chunk[..read]);
        length += read;
    }
    length
}

#[test]
fn a_client_that_reads_nothing_holds_nobody_who_is_sent_its_stream_and_may_break_off() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "exact: { max_bytes: 512MiB, max_answer: 16MiB }").start();
    let key = format!("Bearer {KEY}");
    let headers = [
        ("authorization", &*key),
        ("content-type", "application/json"),
        ("x-sandbox-latency", "700ms"),
    ];
    // More than what sockets hold for a client that does not read.
    for (round, tokens) in [40_000, 40_001].into_iter().enumerate() {
        let body = chat(&format!("kept/sandbox-tokens-{tokens}"), r#","stream":true"#);
        let mut clients: Vec<Client> = (0..2).map(|_| Client::connect(gateway.address)).collect();
        clients[0].send(&request("POST", PATH, &headers, body.as_bytes()));
        until("the call is under way", 10, || {
            (asked(&sandbox) == round + 1).then_some(())
        });
        clients[1].send(&request("POST", PATH, &headers, body.as_bytes()));
        clients[1].read_until(b"\ndata: ").expect("the stream has begun");
        if round == 1 {
            // What it has not read makes this a reset: sends fail, and so does the receive.
            drop(clients.remove(0));
        }
        let other = clients.last_mut().expect("it stays");
        let length = read_to_done(other);
        assert!(length > 6 << 20, "{length}");
        assert_eq!(asked(&sandbox), round + 1);
    }
}

#[test]
fn purging_and_reloading_under_load_lose_no_answer_and_the_bound_on_bytes_holds() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "exact: { max_bytes: 1MiB }").start();
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let most = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (over, asked, gateway) = (&over, &asked, &gateway);
            scope.spawn(move || {
                let mut number = worker;
                while !over.load(Ordering::Relaxed) {
                    // Most of them new, some of them again.
                    number += 4;
                    let which = if number % 3 == 0 { number % 60 } else { number };
                    let more = format!(r#","seed":{which}"#);
                    let body = chat("kept/sandbox-small-tokens-1500", &more);
                    let answer = gateway.post(PATH, &[], &body).expect(200);
                    assert!(answer.json()["choices"][0]["message"]["content"].is_string());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let mut purged = 0;
        let evicted = || gateway.metric("tollgate_cache_changes_total", &["change=\"evicted\""]);
        while (purged < 6 || evicted() == 0.0) && std::time::Instant::now() < deadline {
            let before = asked.load(Ordering::Relaxed);
            until("some are asked", 30, || {
                (asked.load(Ordering::Relaxed) > before + 60).then_some(())
            });
            let bytes = gateway.metric("tollgate_cache_bytes", &[]);
            most.fetch_max(bytes as u64, Ordering::Relaxed);
            assert!(bytes <= (1 << 20) as f64, "{bytes}");
            purged += 1;
            match purged % 4 {
                0 => _ = gateway.control("POST", "/v1/cache/purge", &[], b"{}").expect(200),
                2 => {
                    let ttl = format!("\"{purged}h\"");
                    gateway
                        .control("PUT", "/v1/config/caches/answers/exact/ttl", &[], ttl.as_bytes())
                        .expect(200);
                }
                _ => {}
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(
        gateway.metric("tollgate_cache_changes_total", &["change=\"evicted\""]) > 0.0,
        "the bound was reached"
    );
    assert!(most.into_inner() > (1 << 19), "there was something to bound");
    gateway.control("POST", "/v1/cache/purge", &[], b"{}").expect(200);
    assert_eq!(gateway.metric("tollgate_cache_bytes", &[]), 0.0);
}

#[test]
fn the_sdks_get_in_every_dialect_what_was_kept_whole_or_streamed() {
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox, "exact: {}");
    for dialect in ["openai-responses", "gemini", "cohere", "bedrock"] {
        setup.providers += &provider_line(dialect, dialect, sandbox.address);
    }
    for dialect in ["openai", "openai-responses", "anthropic", "gemini", "cohere", "bedrock"] {
        setup.models += &format!(
            "  kept-{dialect}: {{ cache: answers, targets: [ {{ provider: {dialect}, model: sandbox-tokens-12 }} ] }}\n"
        );
    }
    let gateway = sdk::start(setup);
    sdk::run_script("cached_sdk.py", &sandbox, &gateway, &[]);
    // Its SDK wants TLS, which changes nothing here.
    let body = r#"{"messages":[{"role":"user","content":[{"text":"Hello there, gate."}]}]}"#;
    let converse = |path: &str| {
        gateway
            .post(&format!("/model/kept-bedrock/{path}"), &[], body)
            .expect(200)
    };
    let first = converse("converse");
    let again = [converse("converse"), converse("converse-stream")];
    assert_eq!((mark(&first), first.text()), (Some("miss"), again[0].text()));
    assert!(again.iter().all(|answer| mark(answer) == Some("hit")));
    assert_eq!(
        again[1].header("content-type"),
        Some("application/vnd.amazon.eventstream")
    );
}
