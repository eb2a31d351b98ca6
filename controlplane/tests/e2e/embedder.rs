//! Semantic caches that go by a provider's vectors: what is found by them, what they cost and who pays, what is sent, and that
//! no call fails or crosses over whatever the provider does.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{
    Client, Gateway, Response, Sandbox, Setup, free_port,
    gateway::{KEY, provider_with},
    http::{self, request},
    process::{self, Signal},
    until,
};

const PATH: &str = "/v1/chat/completions";
const MODEL: &str = "kept/sandbox-small-tokens-8";
const ASKED: &str = "What is the capital of France?";
const REWORDED: &str = "Please tell me, what's the capital of France?";
const OTHER: &str = "What is the capital of Spain?";
const EMBEDDER: &str = "vectors/text-embedding-3-small";
const RED: &str = "tg-red-secret-0123456789abcdef";
const BLUE: &str = "tg-blue-secret-0123456789abcde";

/// Chats go to one provider, and for vectors to another; so much a call waits for them.
fn setup(chats: &Sandbox, vectors: SocketAddr, timeout: &str) -> Setup {
    let mut setup = Setup::to(chats.address);
    setup.providers += &provider_with("vectors", "openai", vectors, ", prices: openai");
    setup.top += &format!(
        "embedding: {{ provider: vectors, model: text-embedding-3-small, dimensions: 256, timeout: {timeout} }}\n\
         caches: {{ answers: {{ scope: team, exact: {{}}, semantic: {{ threshold: 0.6 }} }} }}\n\
         teams: {{ red: {{}}, blue: {{}} }}\n"
    );
    setup.models +=
        "  \"kept/*\": { cache: answers, targets: [ { provider: openai, model: \"*\" } ], retry: { attempts: 1 } }\n";
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, explain: true }\n  \
                  red-key: { team: red, secret: env:TEST_RED }\n  blue-key: { team: blue, secret: env:TEST_BLUE }\n"
        .to_owned();
    setup.environment = vec![
        ("TEST_RED".to_owned(), RED.to_owned()),
        ("TEST_BLUE".to_owned(), BLUE.to_owned()),
    ];
    setup
}

/// Long enough for a sandbox on a machine that is busy.
const PATIENT: &str = "5s";

fn ask_as(gateway: &Gateway, key: &str, headers: &[(&str, &str)], text: &str) -> Response {
    let bearer = format!("Bearer {key}");
    let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    all.extend_from_slice(headers);
    let messages = json!([
        {"role": "system", "content": "You answer for the house of secrets."},
        {"role": "user", "content": text}
    ]);
    let body = json!({"model": MODEL, "messages": messages}).to_string();
    http::call(gateway.address, "POST", PATH, &all, body.as_bytes())
}

fn ask(gateway: &Gateway, text: &str) -> Response {
    ask_as(gateway, KEY, &[], text)
}

fn only(gateway: &Gateway, text: &str) -> Response {
    ask_as(gateway, KEY, &[("x-tollgate-cache", "only")], text)
}

fn mark(answer: &Response) -> &str {
    answer.header("x-tollgate-cache").unwrap_or_default()
}

/// Why nothing was found by meaning.
fn why(answer: &Response) -> String {
    let told: Value = serde_json::from_str(answer.header("x-tollgate-explain").expect("reasons")).expect("JSON");
    told["semantic"]["why"].as_str().unwrap_or_default().to_owned()
}

fn explained(gateway: &Gateway, text: &str) -> String {
    why(&ask_as(gateway, KEY, &[("x-tollgate-explain", "1")], text).expect(200))
}

fn questions(gateway: &Gateway, outcome: &str) -> f64 {
    gateway.metric(
        "tollgate_embedding_questions_total",
        &[&format!("outcome=\"{outcome}\"")],
    )
}

/// The texts of each call that the provider of vectors got.
fn asked_for(vectors: &Sandbox) -> Vec<Vec<String>> {
    let texts = |arrival: &Value| {
        let body: Value = serde_json::from_str(arrival["body"].as_str().expect("a body")).expect("JSON");
        let list = body["input"].as_array().expect("a list").iter();
        list.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    vectors.arrivals().iter().map(texts).collect()
}

fn await_indexed(gateway: &Gateway, entries: f64) {
    until("it is indexed", 10, || {
        (gateway.metric("tollgate_cache_semantic_entries", &[]) == entries).then_some(())
    });
}

#[test]
fn a_rewording_is_found_by_the_provider_s_vectors_and_what_they_cost_is_on_the_books() {
    let (chats, vectors) = (Sandbox::start(), Sandbox::start());
    let gateway = setup(&chats, vectors.address, PATIENT).start();
    let first = ask(&gateway, ASKED).expect(200);
    assert_eq!(mark(&first), "miss");
    await_indexed(&gateway, 1.0);
    for _ in 0..6 {
        let again = only(&gateway, REWORDED).expect(200);
        assert_eq!((mark(&again), again.text()), ("semantic-hit", first.text()));
    }
    assert_eq!(chats.arrivals().len(), 1);
    // Each was asked for once, and nothing but the words themselves went out.
    assert_eq!(asked_for(&vectors), [[ASKED], [REWORDED]]);
    let arrival = vectors.last_arrival();
    assert_eq!(
        serde_json::from_str::<Value>(arrival["body"].as_str().expect("a body")).expect("JSON"),
        json!({"model": "text-embedding-3-small", "input": [REWORDED], "encoding_format": "base64", "dimensions": 256})
    );
    assert_eq!(arrival["target"], "/v1/embeddings");
    assert_eq!(
        (questions(&gateway, "answered"), questions(&gateway, "remembered")),
        (2.0, 5.0)
    );
    let told = explained(&gateway, OTHER);
    assert!(told.starts_with(&format!("embedding by {EMBEDDER}: ")), "{told}");
    assert!(
        told.contains(" ms; candidates: ") && told.contains("differs in name"),
        "{told}"
    );
    // The same place, asked for anew: its vector is known.
    let fresh = [("x-tollgate-explain", "1"), ("x-tollgate-cache", "refresh")];
    ask_as(&gateway, KEY, &fresh, OTHER).expect(200);
    assert_eq!(asked_for(&vectors).len(), 3);

    let used = gateway.metric(
        "tollgate_tokens_total",
        &["model=\"(embedding)\"", "provider=\"vectors\""],
    );
    let cost = gateway.metric(
        "tollgate_cost_usd_total",
        &["model=\"(embedding)\"", "provider=\"vectors\""],
    );
    // 0.02 dollars a million.
    assert!(
        used > 0.0 && (cost - used * 2e-8).abs() < 1e-12,
        "{used} tokens, {cost} dollars"
    );
    assert_eq!(
        gateway.metric("tollgate_requests_total", &["model=\"(embedding)\""]),
        0.0
    );
    let rows = until("the ledger has all three", 10, || {
        let told = gateway
            .control("GET", "/v1/usage?by=model,provider,key", &[], b"")
            .expect(200)
            .json();
        let rows = told["rows"].as_array().expect("rows").clone();
        let row = rows.into_iter().find(|row| row["model"] == "(embedding)")?;
        (row["attempts"] == 3).then_some(row)
    });
    assert_eq!(
        (rows["input_tokens"].as_f64(), &rows["provider"], &rows["key"]),
        (Some(used), &json!("vectors"), &json!("")),
        "{rows}"
    );
}

#[test]
fn the_provider_may_speak_another_dialect() {
    for (dialect, target) in [
        ("gemini", "/v1beta/models/text-embedding-3-small:batchEmbedContents"),
        ("cohere", "/v2/embed"),
    ] {
        let (chats, vectors) = (Sandbox::start(), Sandbox::start());
        let mut setup = setup(&chats, vectors.address, PATIENT);
        let line = |dialect| provider_with("vectors", dialect, vectors.address, "");
        setup.providers = setup.providers.replace(
            &provider_with("vectors", "openai", vectors.address, ", prices: openai"),
            &line(dialect),
        );
        let gateway = setup.start();
        ask(&gateway, ASKED).expect(200);
        await_indexed(&gateway, 1.0);
        assert_eq!(mark(&only(&gateway, REWORDED).expect(200)), "semantic-hit", "{dialect}");
        let asked: Vec<Value> = vectors
            .arrivals()
            .iter()
            .map(|arrival| arrival["target"].clone())
            .collect();
        assert_eq!(asked, [target, target]);
    }
}

#[test]
fn tenants_share_neither_answers_nor_vectors() {
    let (chats, vectors) = (Sandbox::start(), Sandbox::start());
    let gateway = setup(&chats, vectors.address, PATIENT).start();
    ask_as(&gateway, RED, &[], ASKED).expect(200);
    await_indexed(&gateway, 1.0);
    let only = [("x-tollgate-cache", "only")];
    for text in [ASKED, REWORDED] {
        assert_eq!(
            ask_as(&gateway, BLUE, &only, text).expect(504).error_code(),
            "cache_miss"
        );
    }
    assert_eq!(
        mark(&ask_as(&gateway, RED, &only, REWORDED).expect(200)),
        "semantic-hit"
    );
    // What one has asked for is not known to the other: not even sooner.
    assert_eq!(asked_for(&vectors), [[ASKED], [ASKED], [REWORDED], [REWORDED]]);
}

#[test]
fn many_questions_go_up_together_and_each_finds_its_own_answer() {
    const COUNTRIES: [&str; 24] = [
        "Albania", "Belgium", "Chile", "Denmark", "Ecuador", "Finland", "Ghana", "Hungary", "Iceland", "Japan",
        "Kenya", "Latvia", "Mali", "Nepal", "Oman", "Peru", "Qatar", "Romania", "Senegal", "Thailand", "Uganda",
        "Vietnam", "Yemen", "Zambia",
    ];
    let (chats, vectors) = (Sandbox::start(), Sandbox::start());
    let gateway = setup(&chats, vectors.address, PATIENT).start();
    vectors.plays(r#"{"rules":[{"latency":"100ms"}]}"#);
    let asked = |country: &str| format!("What is the capital of {country}?");
    let all: Vec<(String, Response)> = thread::scope(|scope| {
        let asks = COUNTRIES.map(|country| scope.spawn(|| ask(&gateway, &asked(country))));
        let answers = asks.into_iter().map(|ask| ask.join().expect("an answer").expect(200));
        COUNTRIES
            .iter()
            .map(|country| (*country).to_owned())
            .zip(answers)
            .collect()
    });
    let texts: Vec<Vec<String>> = asked_for(&vectors);
    assert!(
        texts.len() < COUNTRIES.len() && texts.iter().any(|texts| texts.len() > 1),
        "{texts:?}"
    );
    let each: BTreeSet<String> = texts.into_iter().flatten().collect();
    assert_eq!(each.len(), COUNTRIES.len(), "each once");
    await_indexed(&gateway, COUNTRIES.len() as f64);
    vectors.plays("{\"rules\":[]}");
    let bodies: BTreeSet<String> = all.iter().map(|(_, answer)| answer.text()).collect();
    assert_eq!(bodies.len(), COUNTRIES.len(), "answers differ, or nothing is shown");
    for (country, answer) in &all {
        let again = only(&gateway, &format!("Please tell me, what's the capital of {country}?")).expect(200);
        assert_eq!(
            (mark(&again), again.text()),
            ("semantic-hit", answer.text()),
            "{country}"
        );
    }
}

#[test]
fn whatever_the_provider_of_vectors_does_calls_are_answered_and_it_is_left_alone() {
    let chats = Sandbox::start();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let gateway = setup(&chats, nowhere, PATIENT).start();
    let told = explained(&gateway, "Is there anybody?");
    assert!(told.contains(&format!("no embedding by {EMBEDDER}: ")), "{told}");
    for (scenario, timeout, says) in [
        (r#"{"rules":[{"status":401}]}"#, PATIENT, "it answered 401"),
        (r#"{"rules":[{"status":429}]}"#, PATIENT, "it answered 429"),
        (r#"{"rules":[{"status":503}]}"#, PATIENT, "it answered 503"),
        (r#"{"rules":[{"garbage":"1"}]}"#, PATIENT, "upstream_error"),
        (r#"{"rules":[{"cut":"300"}]}"#, PATIENT, "upstream_error"),
        (r#"{"rules":[{"latency":"60s"}]}"#, "50ms", "within 50 ms"),
    ] {
        let vectors = Sandbox::start();
        vectors.plays(scenario);
        let gateway = setup(&chats, vectors.address, timeout).start();
        for which in 0..3 {
            let told = explained(&gateway, &format!("How many of {which} does it take?"));
            assert!(told.contains(says), "{scenario}: {told}");
        }
        // Of a call that is late it is known when it is late; the events come from the shards.
        let asked = vectors.report()["requests"].as_u64().expect("a count");
        let told = explained(&gateway, "And now?");
        assert!(told.contains("is left alone for a while"), "{scenario}: {told}");
        assert_eq!(vectors.report()["requests"].as_u64(), Some(asked), "{scenario}");
        assert_eq!(questions(&gateway, "resting"), 1.0, "{scenario}");
    }
}

/// Its client's own time is short: it waits for its vector for a part of that, and is answered. Nobody else pays for it.
#[test]
fn a_client_in_a_hurry_is_answered_and_says_nothing_of_the_provider() {
    let (chats, vectors) = (Sandbox::start(), Sandbox::start());
    let gateway = setup(&chats, vectors.address, PATIENT).start();
    vectors.plays(r#"{"rules":[{"latency":"2s"}]}"#);
    let hurried = [("x-tollgate-timeout", "4s")];
    thread::scope(|scope| {
        for which in 0..4 {
            let (gateway, hurried) = (&gateway, &hurried);
            scope.spawn(move || {
                let answer = ask_as(gateway, BLUE, hurried, &format!("How many of {which} does it take?"));
                assert_eq!(mark(&answer.expect(200)), "miss");
            });
        }
    });
    vectors.plays(r#"{"rules":[]}"#);
    let told = explained(&gateway, ASKED);
    assert!(told.contains(" ms; ") && !told.contains("no embedding"), "{told}");
    assert_eq!(
        (questions(&gateway, "late"), questions(&gateway, "resting")),
        (4.0, 0.0)
    );
}

/// A provider that refuses whatever has `BAD` among its texts, and takes its time.
fn particular() -> SocketAddr {
    const TAKES: Duration = Duration::from_millis(50);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let serve = |socket: TcpStream| -> Option<()> {
        let mut reader = BufReader::new(socket);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
                if line.trim().is_empty() {
                    break;
                }
                let value = line.to_ascii_lowercase();
                if let Some(value) = value.strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let asked: Value = serde_json::from_slice(&body).ok()?;
            let texts = asked["input"].as_array()?;
            let is_bad = texts
                .iter()
                .any(|text| text.as_str().is_some_and(|text| text.contains(BAD)));
            let vector = |index: usize| json!({"index": index, "embedding": vec![1.0; 256]});
            let (status, said) = match is_bad {
                true => ("400 Bad Request", json!({"error": {"message": "not that"}})),
                false => (
                    "200 OK",
                    json!({"data": (0..texts.len()).map(vector).collect::<Vec<_>>()}),
                ),
            };
            let said = said.to_string();
            thread::sleep(TAKES);
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                said.len()
            );
            reader.get_mut().write_all((head + &said).as_bytes()).ok()?;
        }
    };
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || serve(socket));
        }
    });
    address
}

const BAD: &str = "unspeakable";

#[test]
fn a_text_that_the_provider_refuses_costs_others_no_vector() {
    let chats = Sandbox::start();
    let gateway = setup(&chats, particular(), PATIENT).start();
    // As often as would have it left alone, were it the provider's fault.
    for which in 0..4 {
        ask_as(&gateway, BLUE, &[], &format!("Is {which} {BAD}?")).expect(200);
    }
    let told = explained(&gateway, &format!("Is it {BAD}?"));
    assert!(told.contains("it answered 400"), "{told}");
    assert_eq!(
        (questions(&gateway, "answered"), questions(&gateway, "failed")),
        (0.0, 5.0)
    );
    thread::scope(|scope| {
        for which in 0..24 {
            let gateway = &gateway;
            scope.spawn(move || match which % 8 {
                7 => ask_as(gateway, BLUE, &[], &format!("Is {which} {BAD} too?")).expect(200),
                _ => ask_as(gateway, RED, &[], &format!("How many are {which}?")).expect(200),
            });
        }
    });
    assert_eq!(
        (questions(&gateway, "answered"), questions(&gateway, "failed")),
        (21.0, 8.0)
    );
}

#[test]
fn an_operator_is_told_and_it_is_asked_again_when_it_is_well() {
    let (chats, vectors) = (Sandbox::start(), Sandbox::start());
    let gateway = setup(&chats, vectors.address, PATIENT).start();
    let socket = std::os::unix::net::UnixStream::connect(&gateway.socket).expect("the control socket");
    let mut events = Client::over(socket);
    events.send(&request("GET", "/v1/events", &[], b""));
    events.read_until(b"\r\n\r\n").expect("a head");
    vectors.plays(r#"{"rules":[{"status":500}]}"#);
    for which in 0..3 {
        ask(&gateway, &format!("How many of {which} does it take?")).expect(200);
    }
    events.read_until(b"embedder_ejected").expect("an event");
    let told = String::from_utf8_lossy(&events.read_until(b"\n\n").expect("its end")).into_owned();
    assert!(told.contains(EMBEDDER), "{told}");
    vectors.plays("{\"rules\":[]}");
    let mut which = 0;
    until("it is asked again", 20, || {
        which += 1;
        ask(&gateway, &format!("What about {which}?")).expect(200);
        (questions(&gateway, "answered") > 0.0).then_some(())
    });
    events.read_until(b"embedder_recovered").expect("an event");
}

#[test]
fn no_call_fails_when_the_provider_of_vectors_dies_or_hangs_under_load() {
    let chats = Sandbox::start();
    let vectors = Sandbox::start();
    let gateway = setup(&chats, vectors.address, "100ms").start();
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let await_answers = |more: u64| {
        let wanted = answered.load(Ordering::Relaxed) + more;
        until("further answers", 60, || {
            (answered.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    };
    thread::scope(|scope| {
        for client in 0..4 {
            let (stop, answered, gateway) = (&stop, &answered, &gateway);
            scope.spawn(move || {
                for which in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    ask(gateway, &format!("How many of {client} and {which} does it take?")).expect(200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        await_answers(40);
        process::signal(vectors.pid(), Signal::STOP);
        await_answers(40);
        process::signal(vectors.pid(), Signal::CONT);
        await_answers(40);
        process::signal(vectors.pid(), Signal::KILL);
        await_answers(40);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(questions(&gateway, "answered") > 0.0);
    assert!(questions(&gateway, "late") + questions(&gateway, "failed") + questions(&gateway, "resting") > 0.0);
}

#[test]
fn what_a_provider_made_vectors_of_is_found_after_a_kill_without_asking_it_again() {
    let (chats, vectors) = (Sandbox::start(), Sandbox::start());
    let mut setup = setup(&chats, vectors.address, PATIENT);
    setup.top = setup.top.replace("exact: {}", "exact: {}, snapshot: { every: 1s }");
    let mut gateway = setup.start();
    ask(&gateway, ASKED).expect(200);
    until("a snapshot", 20, || {
        (gateway.metric("tollgate_cache_snapshots_total", &["result=\"written\""]) > 0.0).then_some(())
    });
    let killed = |gateway: &Gateway, entries: f64| {
        gateway.kill_dataplane();
        gateway.await_ready();
        until("the snapshot is read", 20, || {
            (gateway.metric("tollgate_cache_changes_total", &["change=\"loaded\""]) == 1.0).then_some(())
        });
        await_indexed(gateway, entries);
    };
    killed(&gateway, 1.0);
    assert_eq!(mark(&only(&gateway, REWORDED).expect(200)), "semantic-hit");
    only(&gateway, OTHER).expect(504);
    assert_eq!(asked_for(&vectors).concat(), [ASKED, REWORDED, OTHER]);

    // Another model's would be among other vectors.
    gateway.rewrite(|setup| setup.top = setup.top.replace("dimensions: 256", "dimensions: 512"));
    let applied = gateway.cli(&["apply", gateway.config.to_str().expect("UTF-8")]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    killed(&gateway, 0.0);
    only(&gateway, REWORDED).expect(504);
    assert_eq!(mark(&only(&gateway, ASKED).expect(200)), "hit");
}

#[test]
fn with_another_embedder_what_was_kept_is_found_by_the_same_words_only() {
    let (chats, vectors) = (Sandbox::start(), Sandbox::start());
    let mut gateway = setup(&chats, vectors.address, PATIENT).start();
    ask(&gateway, ASKED).expect(200);
    await_indexed(&gateway, 1.0);
    assert_eq!(mark(&only(&gateway, REWORDED).expect(200)), "semantic-hit");
    for change in [
        ("dimensions: 256", "dimensions: 512"),
        ("text-embedding-3-small", "text-embedding-3-large"),
    ] {
        gateway.rewrite(|setup| setup.top = setup.top.replace(change.0, change.1));
        let applied = gateway.cli(&["apply", gateway.config.to_str().expect("UTF-8")]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        only(&gateway, REWORDED).expect(504);
        assert_eq!(mark(&only(&gateway, ASKED).expect(200)), "hit");
    }
}
