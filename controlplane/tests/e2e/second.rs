//! Answers that nodes share through a store: given by every node to those who may have them, forgotten by all when they are
//! purged, and whatever becomes of the store a call is answered.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::{
    cached::tenants,
    harness::{
        Gateway, Sandbox, Setup,
        gateway::chat,
        http::{Response, call},
        process::{self, Signal},
        until,
        valkey::{Late, Valkey},
    },
};

const PATH: &str = "/v1/chat/completions";
const MODEL: &str = "kept/sandbox-small-tokens-8";
const SECRET: &str = "a-secret-that-every-node-has-0123456789";
/// Of the store's keys that are answers.
const ANSWERS: &str = "*:a:*";

fn setup(store: &Valkey, sandbox: &Sandbox, cache: &str, tier: &str) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!(
        "caches:\n  answers:\n    {cache}\n    exact: {{ ttl: 1h, second: {{ valkey: {{ urls: [ \"{}\" ], timeout: 1s }}, \
         secret: env:TOLLGATE_TEST_TIER, timeout: 1s{tier} }} }}\n",
        store.url()
    );
    setup.models += "  \"kept/*\": { cache: answers, targets: [ { provider: openai, model: \"*\" } ], retry: { attempts: 1 } }\n  \
                     claude: { cache: answers, targets: [ { provider: anthropic, model: sandbox-small-tokens-8 } ] }\n";
    setup
        .environment
        .push(("TOLLGATE_TEST_TIER".to_owned(), SECRET.to_owned()));
    setup
}

/// Two nodes with one document, both of which hear the store.
fn two(setup: impl Fn() -> Setup) -> [Gateway; 2] {
    let nodes = [setup().start(), setup().start()];
    nodes.iter().for_each(await_up);
    nodes
}

fn usual(store: &Valkey, sandbox: &Sandbox) -> [Gateway; 2] {
    two(|| setup(store, sandbox, "scope: team", ""))
}

fn is_up(gateway: &Gateway) -> bool {
    gateway.metric("tollgate_cache_second_up", &[]) == 1.0
}

fn await_up(gateway: &Gateway) {
    until("the store to answer", 30, || is_up(gateway).then_some(()));
}

fn looked_up(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric(
        "tollgate_cache_second_lookups_total",
        &[&format!("result=\"{result}\"")],
    )
}

fn stored(gateway: &Gateway) -> f64 {
    gateway.metric("tollgate_cache_second_stores_total", &["result=\"stored\""])
}

fn await_stored(gateway: &Gateway, count: f64) {
    until("the answer to lie in the store", 20, || {
        (stored(gateway) == count).then_some(())
    });
}

fn ask_with(gateway: &Gateway, headers: &[(&str, &str)], which: u64, more: &str) -> Response {
    gateway
        .post(PATH, headers, &chat(MODEL, &format!(r#","seed":{which}{more}"#)))
        .expect(200)
}

fn ask(gateway: &Gateway, which: u64) -> Response {
    ask_with(gateway, &[], which, "")
}

fn mark(answer: &Response) -> &str {
    answer.header("x-tollgate-cache").unwrap_or_default()
}

fn is_of(gateway: &Gateway, which: u64) -> String {
    mark(&ask(gateway, which)).to_owned()
}

/// It has it, or fetches it from the store.
fn gives(gateway: &Gateway, which: u64) -> bool {
    let body = chat(MODEL, &format!(r#","seed":{which}"#));
    gateway.post(PATH, &[("x-tollgate-cache", "only")], &body).status == 200
}

/// Answers that were offered to the store, and it is known what came of that.
fn settled(gateway: &Gateway) -> f64 {
    gateway.metric("tollgate_cache_second_stores_total", &["result="])
}

/// It is kept anew, and the store has taken it or not.
fn misses(gateway: &Gateway, which: u64) {
    let before = settled(gateway);
    assert_eq!(is_of(gateway, which), "miss");
    until("what came of it at the store to be known", 20, || {
        (settled(gateway) > before).then_some(())
    });
}

fn purge(gateway: &Gateway, filter: &str) -> Response {
    gateway.control("POST", "/v1/cache/purge", &[], filter.as_bytes())
}

#[test]
fn what_one_node_keeps_every_node_gives_in_every_form() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [one, other] = usual(&store, &sandbox);
    let first = ask(&one, 1);
    assert_eq!(mark(&first), "miss");
    await_stored(&one, 1.0);
    let again = ask(&other, 1);
    assert_eq!((mark(&again), again.text()), ("hit", first.text()));
    assert!(
        again
            .header("age")
            .is_some_and(|age| age.parse::<u64>().is_ok_and(|age| age < 3_600))
    );
    // From its own memory now, and as a stream.
    assert_eq!(mark(&ask(&other, 1)), "hit");
    let streamed = ask_with(&other, &[], 1, r#","stream":true"#);
    assert_eq!(mark(&streamed), "hit");
    assert_eq!(looked_up(&other, "hit"), 1.0);

    let stream = ask_with(&other, &[], 2, r#","stream":true"#);
    assert_eq!(mark(&stream), "miss");
    await_stored(&other, 1.0);
    let stream_again = ask_with(&one, &[], 2, r#","stream":true"#);
    assert_eq!((mark(&stream_again), stream_again.text()), ("hit", stream.text()));

    let claude = |gateway: &Gateway, more: &str| {
        let body =
            format!(r#"{{"model":"claude","max_tokens":64,"messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
        gateway.post("/v1/messages", &[], &body).expect(200)
    };
    assert_eq!(mark(&claude(&one, "")), "miss");
    await_stored(&one, 2.0);
    let said = claude(&other, r#","stream":true"#);
    assert_eq!(mark(&said), "hit");
    assert!(said.text().contains("event: message_stop"), "{}", said.text());
    assert_eq!(sandbox.arrivals().len(), 3);
    let lookups = |gateway: &Gateway, result: &str| {
        gateway.metric("tollgate_cache_lookups_total", &[&format!("result=\"{result}\"")])
    };
    assert_eq!((lookups(&other, "hit"), lookups(&other, "miss")), (4.0, 1.0));
}

#[test]
fn nothing_in_the_store_tells_a_prompt_or_an_answer_and_another_secret_opens_nothing() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let one = setup(&store, &sandbox, "scope: team", "").start();
    await_up(&one);
    let prompt = "a prompt that nobody else may read";
    let body = format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    let answer = one.post(PATH, &[], &body).expect(200);
    await_stored(&one, 1.0);
    let answers = store.keys(ANSWERS);
    assert_eq!(answers.len(), 1);
    let value = store.command(&["GET", &answers[0]]);
    let said = answer.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(said.len() > 5, "{said}");
    for text in [prompt, &said, "tester", "sandbox", "role", MODEL, SECRET] {
        let is_in = value.windows(text.len()).any(|some| some == text.as_bytes());
        assert!(!is_in, "{text}");
    }
    let ttl = String::from_utf8_lossy(&store.command(&["PTTL", &answers[0]]))
        .trim()
        .parse::<u64>();
    assert!(ttl.is_ok_and(|ttl| (1..=3_600_000).contains(&ttl)));
    let mut foreign = setup(&store, &sandbox, "scope: team", "");
    foreign.environment.retain(|(name, _)| name != "TOLLGATE_TEST_TIER");
    foreign
        .environment
        .push(("TOLLGATE_TEST_TIER".to_owned(), SECRET.replace('a', "b")));
    let foreign = foreign.start();
    await_up(&foreign);
    assert_eq!(mark(&foreign.post(PATH, &[], &body).expect(200)), "miss");
    // An answer under another's name does not open.
    assert_eq!(is_of(&one, 7), "miss");
    await_stored(&one, 2.0);
    let moved = store.keys(ANSWERS).into_iter().filter(|key| *key != answers[0]);
    for key in moved {
        store.command(&["COPY", &answers[0], &key, "REPLACE"]);
    }
    let other = setup(&store, &sandbox, "scope: team", "").start();
    await_up(&other);
    assert_eq!(is_of(&other, 7), "miss");
    assert_eq!(
        other.metric("tollgate_cache_second_unreadable_total", &["reason=\"seal\""]),
        1.0
    );
}

#[test]
fn no_node_gives_an_answer_to_another_tenant() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let nodes = two(|| {
        let mut setup = setup(&store, &sandbox, "scope: team", "");
        tenants(&mut setup);
        setup
    });
    let as_key = |node: &Gateway, key: &str| {
        let bearer = format!("Bearer tg-secret-of-{key}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let answer = call(node.address, "POST", PATH, &headers, chat(MODEL, "").as_bytes()).expect(200);
        mark(&answer).to_owned()
    };
    let [one, other] = &nodes;
    assert_eq!(as_key(one, "red-1"), "miss");
    await_stored(one, 1.0);
    assert_eq!(as_key(other, "blue-1"), "miss");
    assert_eq!(as_key(other, "lone"), "miss");
    assert_eq!(as_key(other, "red-2"), "hit");
    await_stored(other, 2.0);
    assert_eq!(as_key(one, "blue-1"), "hit");
    assert_eq!(as_key(one, "lone"), "hit");
    assert_eq!(sandbox.arrivals().len(), 3);
}

#[test]
fn what_a_request_asks_of_the_cache_is_done_in_the_store_as_well() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [one, other] = usual(&store, &sandbox);
    let with = |node: &Gateway, wish: &str| {
        let answer = node.post(PATH, &[("x-tollgate-cache", wish)], &chat(MODEL, ""));
        (answer.status, mark(&answer).to_owned(), answer.text())
    };
    let is = |(status, mark, _): (u16, String, String)| (status, mark);
    assert_eq!(with(&other, "only").0, 504);
    assert_eq!(is(with(&one, "bypass")), (200, "bypass".to_owned()));
    assert_eq!(with(&other, "only").0, 504, "what was passed by lies nowhere");
    assert_eq!(is(with(&one, "refresh")), (200, "miss".to_owned()));
    await_stored(&one, 1.0);
    assert_eq!(is(with(&other, "only")), (200, "hit".to_owned()));
    // Replaced in both: a third node gets the later one.
    let (_, _, later) = with(&other, "refresh");
    await_stored(&other, 1.0);
    let third = setup(&store, &sandbox, "scope: team", "").start();
    await_up(&third);
    let (_, was, text) = with(&third, "only");
    assert_eq!((was.as_str(), text), ("hit", later));
    assert_eq!(sandbox.arrivals().len(), 3);
}

#[test]
fn a_purge_through_one_node_is_one_of_all_whatever_it_is_of() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [one, other] = usual(&store, &sandbox);
    let filters = [
        "{}",
        r#"{"cache":"answers"}"#,
        r#"{"key":"tester"}"#,
        r#"{"prefix":"h"}"#,
    ];
    for (round, filter) in filters.iter().enumerate() {
        let round = round as u64 * 10;
        assert_eq!([is_of(&one, round), is_of(&one, round + 1)], ["miss", "miss"]);
        await_stored(&one, (round / 10 + 1) as f64 * 2.0);
        assert_eq!(is_of(&other, round), "hit");
        purge(&one, filter).expect(200);
        // What it had not fetched is gone at once, and what it had soon.
        assert_eq!(is_of(&other, round + 1), "miss", "{filter}");
        until("the other to forget", 20, || {
            (is_of(&other, round) == "miss").then_some(())
        });
        assert_eq!(is_of(&other, round + 2), "miss");
        until("what was kept since to be given", 20, || {
            gives(&one, round + 2).then_some(())
        });
        assert_eq!(is_of(&one, round + 2), "hit", "kept since");
        purge(&other, "{}").expect(200);
        until("the first to forget", 20, || {
            (one.metric("tollgate_cache_entries", &[]) == 0.0).then_some(())
        });
    }
}

#[test]
fn a_purge_while_the_store_is_away_holds_when_it_is_back_over_a_restart_as_well() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [mut one, other] = usual(&store, &sandbox);
    assert_eq!(is_of(&one, 1), "miss");
    await_stored(&one, 1.0);
    store.freeze();
    let refused = purge(&one, "{}");
    assert!(refused.status >= 500, "{}: {}", refused.status, refused.text());
    let told = refused.text();
    assert!(
        told.contains("other nodes may have them still") && told.contains("answers"),
        "{told}"
    );
    process::signal(one.controlplane_pid(), Signal::TERM);
    one.process.wait(30);
    store.thaw();
    one.start_again();
    await_up(&one);
    assert_eq!(
        is_of(&one, 1),
        "miss",
        "it is forgotten, though the store was never told before"
    );
    await_stored(&one, 1.0);
    // Not asked of the provider meanwhile: then it would be its own.
    until("the other to take the later one", 20, || gives(&other, 1).then_some(()));
    assert_eq!(sandbox.arrivals().len(), 2);
}

/// Another node's purge is heard of, and all that this one kept of before is gone.
fn await_forgotten(gateway: &Gateway) {
    until("what was kept to be forgotten", 20, || {
        (gateway.metric("tollgate_cache_entries", &[]) == 0.0).then_some(())
    });
}

#[test]
fn a_purge_of_another_node_is_one_here_where_nothing_can_be_written_down() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [one, mut other] = usual(&store, &sandbox);
    assert_eq!(is_of(&one, 1), "miss");
    await_stored(&one, 1.0);
    assert_eq!(is_of(&other, 1), "hit");
    let (folder, away) = (other.state_dir.join("second"), other.state_dir.join("away"));
    std::fs::rename(&folder, &away).expect("moved");
    std::fs::write(&folder, "no folder").expect("written");
    purge(&one, "{}").expect(200);
    await_forgotten(&other);
    assert_eq!(is_of(&other, 1), "miss");
    assert!(!is_up(&other), "it shares nothing until it is written down");
    let refused = purge(&other, "{}");
    assert!(refused.status >= 500 && refused.text().contains("cannot be written"));
    // Written as of before, it finds at its next start what it missed.
    std::fs::remove_file(&folder).expect("removed");
    std::fs::rename(&away, &folder).expect("moved");
    await_up(&other);
    process::signal(other.controlplane_pid(), Signal::TERM);
    other.start_again();
    await_up(&other);
    assert_eq!([is_of(&one, 1), is_of(&other, 2)], ["miss", "miss"]);
}

#[test]
fn a_purge_that_the_store_was_not_told_of_is_later_than_those_it_was_over_a_restart_and_another_setup() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [mut one, other] = usual(&store, &sandbox);
    store.freeze();
    assert!(purge(&one, "{}").status >= 500);
    one.rewrite(|setup| setup.top = setup.top.replace("timeout: 1s }, secret", "timeout: 900ms }, secret"));
    let revision = one.revision();
    process::signal(one.controlplane_pid(), Signal::HUP);
    until("the other setup", 20, || (one.revision() > revision).then_some(()));
    process::signal(one.controlplane_pid(), Signal::TERM);
    one.process.wait(30);
    store.thaw();
    await_up(&other);
    for _ in 0..2 {
        purge(&other, "{}").expect(200);
    }
    let before = stored(&other);
    assert_eq!(is_of(&other, 1), "miss");
    await_stored(&other, before + 1.0);
    one.start_again();
    await_up(&one);
    assert_eq!(
        is_of(&one, 1),
        "miss",
        "it may be older than the purge through this node"
    );
    await_forgotten(&other);
}

#[test]
fn who_writes_to_the_store_and_has_not_the_secret_makes_no_generation() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [one, other] = usual(&store, &sandbox);
    assert_eq!(is_of(&one, 1), "miss");
    await_stored(&one, 1.0);
    let key = store.keys("*:generation").pop().expect("it was told");
    let was = store.command(&["GET", &key]);
    // The last that there could be.
    store.command(&["SET", &key, &format!("0{}", "f".repeat(63))]);
    until("it to be set right", 20, || {
        (store.command(&["GET", &key]) == was).then_some(())
    });
    let forged = |node| {
        Gateway::metric(
            node,
            "tollgate_cache_second_unreadable_total",
            &["reason=\"generation\""],
        )
    };
    assert!(forged(&one) + forged(&other) >= 1.0);
    [&one, &other].into_iter().for_each(await_up);
    assert_eq!(is_of(&other, 1), "hit", "what lay there is good");
    store.command(&["SET", &key, &format!("0{}", "f".repeat(63))]);
    purge(&one, "{}").expect(200);
    await_forgotten(&other);
    [&one, &other].into_iter().for_each(await_up);
    assert_eq!([is_of(&one, 1), is_of(&other, 2)], ["miss", "miss"]);
}

#[test]
fn a_store_that_is_always_late_is_left_alone_until_it_is_not() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let late = Late::before(&store);
    let mut setup = setup(&store, &sandbox, "scope: team", "");
    setup.top = setup.top.replace(&store.port.to_string(), &late.port.to_string());
    setup.top = setup.top.replace("timeout: 1s }, secret", "timeout: 10s }, secret");
    setup.top = setup.top.replace("TIER, timeout: 1s", "TIER, timeout: 200ms");
    let gateway = setup.start();
    await_up(&gateway);
    late.delay_ms.store(600, Ordering::SeqCst);
    let mut which = 0;
    until("it to be left alone", 60, || {
        which += 1;
        assert_eq!(is_of(&gateway, which), "miss");
        (!is_up(&gateway)).then_some(())
    });
    // It answers looks, and they are late as well.
    let before = late.replies.load(Ordering::SeqCst);
    until("more looks", 30, || {
        assert!(!is_up(&gateway), "a look that is late says nothing good");
        (late.replies.load(Ordering::SeqCst) > before + 3).then_some(())
    });
    let timeouts = looked_up(&gateway, "timeout");
    assert_eq!(is_of(&gateway, 1_000), "miss");
    assert_eq!(looked_up(&gateway, "timeout"), timeouts, "nobody waits for it");
    late.delay_ms.store(0, Ordering::SeqCst);
    await_up(&gateway);
    until("all that was kept before to be settled", 30, || {
        (settled(&gateway) == (which + 1) as f64).then_some(())
    });
    let kept = stored(&gateway);
    assert_eq!(is_of(&gateway, 1_001), "miss");
    await_stored(&gateway, kept + 1.0);
}

#[test]
fn a_store_that_lost_what_it_had_is_no_purge() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let [one, mut other] = usual(&store, &sandbox);
    assert_eq!(is_of(&one, 1), "miss");
    // Another generation, of a node that never heard of the first.
    process::signal(other.controlplane_pid(), Signal::TERM);
    other.process.wait(30);
    std::fs::remove_dir_all(other.state_dir.join("second")).expect("removed");
    store.freeze();
    until("the store to be missed", 20, || (!is_up(&one)).then_some(()));
    store.thaw();
    store.flush();
    other.start_again();
    [&one, &other].into_iter().for_each(await_up);
    let before = stored(&one);
    assert_eq!(is_of(&one, 2), "miss");
    await_stored(&one, before + 1.0);
    assert_eq!(is_of(&other, 2), "hit");
    assert_eq!(is_of(&one, 1), "hit", "nobody purged");
}

#[test]
fn whatever_becomes_of_the_store_calls_are_answered() {
    let (mut store, sandbox) = (Valkey::start(), Sandbox::start());
    let [one, other] = usual(&store, &sandbox);
    assert_eq!(is_of(&one, 1), "miss");
    await_stored(&one, 1.0);

    store.freeze();
    assert_eq!(is_of(&other, 1), "miss");
    until("the store to be missed", 20, || (!is_up(&other)).then_some(()));
    assert_eq!(is_of(&other, 2), "miss");
    assert!(looked_up(&other, "skipped") >= 1.0);
    store.thaw();
    [&one, &other].into_iter().for_each(await_up);

    // Killed, and begun again with nothing: what is kept here stays, and goes there when it is kept anew.
    store.kill();
    assert_eq!(is_of(&other, 3), "miss");
    store.restart();
    [&one, &other].into_iter().for_each(await_up);
    assert_eq!(is_of(&other, 3), "hit");
    let before = stored(&one);
    assert_eq!(is_of(&one, 4), "miss");
    await_stored(&one, before + 1.0);
    assert_eq!(is_of(&other, 4), "hit");

    store.flush();
    misses(&one, 5);
    assert_eq!([is_of(&one, 5), is_of(&other, 4)], ["hit", "hit"]);
    until("the store to know the generation again", 20, || {
        (!store.keys("*:generation").is_empty()).then_some(())
    });

    let before = stored(&one);
    assert_eq!(is_of(&one, 6), "miss");
    await_stored(&one, before + 1.0);
    for key in store.keys(ANSWERS) {
        store.command(&["SET", &key, "\u{1}nonsense"]);
    }
    assert_eq!(is_of(&other, 6), "miss");
    assert!(looked_up(&other, "unreadable") >= 1.0);

    // Where it takes no more, and where what it says is no generation.
    store.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(is_of(&one, 7), "miss");
    until("an answer to be refused", 20, || {
        let lost = ["failed", "dropped"]
            .map(|result| one.metric("tollgate_cache_second_stores_total", &[&format!("result=\"{result}\"")]));
        (lost.iter().sum::<f64>() >= 1.0).then_some(())
    });
    assert_eq!(is_of(&one, 7), "hit");
    store.command(&["CONFIG", "SET", "maxmemory", "0"]);
    for key in store.keys("*:generation") {
        store.command(&["SET", &key, "no generation"]);
    }
    misses(&one, 8);
    until("the store to be told again", 20, || {
        let key = store.keys("*:generation").pop()?;
        (store.command(&["STRLEN", &key]) == b"64\n").then_some(())
    });
    [&one, &other].into_iter().for_each(await_up);
    let before = stored(&one);
    assert_eq!(is_of(&one, 9), "miss");
    await_stored(&one, before + 1.0);
    assert_eq!(is_of(&other, 9), "hit");
}

#[test]
fn a_call_does_not_wait_for_a_store_that_hangs() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let mut setup = setup(&store, &sandbox, "scope: team", "");
    setup.top = setup.top.replace("timeout: 1s }, secret", "timeout: 10s }, secret");
    setup.top = setup.top.replace("TIER, timeout: 1s", "TIER, timeout: 20ms");
    let gateway = setup.start();
    await_up(&gateway);
    store.freeze();
    assert_eq!(is_of(&gateway, 1), "miss");
    // The thread that asked the store still waits for it.
    assert_eq!(
        (looked_up(&gateway, "timeout"), looked_up(&gateway, "error")),
        (1.0, 0.0)
    );
    for which in 2..40 {
        assert_eq!(is_of(&gateway, which), "miss");
    }
    assert!(looked_up(&gateway, "skipped") >= 1.0, "it is left alone after some");
    assert_eq!(sandbox.arrivals().len(), 39);
}

#[test]
fn a_document_that_cannot_be_is_refused_and_explain_tells_of_the_store() {
    let (store, sandbox) = (Valkey::start(), Sandbox::start());
    let gateway = setup(&store, &sandbox, "scope: team", "").start();
    let body = serde_json::json!({"key": "tester", "model": MODEL, "body": {"messages": []}});
    let told = gateway
        .control("POST", "/v1/explain", &[], body.to_string().as_bytes())
        .expect(200);
    let told: Value = told.json();
    assert!(told.to_string().contains("second tier"), "{told}");
}
