//! Streams whose provider dies, stalls or fails: before their first word nobody notices, and after it they go on elsewhere.

use serde_json::Value;

use crate::harness::{
    Client, Gateway, Sandbox, Setup,
    gateway::{chat, messages, provider_with, with_key},
    http::{self, request},
    process::{Signal, signal},
    until,
};
use crate::sdk;

/// Long enough to be broken in its middle, and the same wherever it is asked for.
const RULES: &str = r#""tokens":60,"continue":1"#;

/// The official SDKs read it as though nothing had happened.
#[test]
fn the_sdks_read_one_answer() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let (gateway, _log) = gateway(&first, &second);
    first.plays(&format!("{{\"rules\":[{{{RULES},\"cut-after\":\"4000 rst\"}}]}}"));
    sdk::run_script("resumed_sdk.py", &first, &gateway, &[]);
}

/// Providers of two dialects, the first preferred: `both` goes on where a stream breaks, `plain` does not, `whole` is the
/// second's alone.
fn gateway(first: &Sandbox, second: &Sandbox) -> (Gateway, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut setup = Setup::to(second.address);
    setup.top = setup.top.replace(
        "access_log: off",
        &format!("access_log: \"file:{}\"", log.path().display()),
    );
    setup.providers = [
        provider_with("first", "openai", first.address, ", timeouts: { first_token: 1s }"),
        provider_with("second", "anthropic", second.address, ""),
    ]
    .concat();
    let target = |provider: &str| format!("{{ provider: {provider}, model: sandbox-small }}");
    let (one, two) = (target("first"), target("second"));
    // However often the first fails, it is asked again.
    let breaker = "breaker: { failures: 0, min_calls: 1000 }";
    setup.models = format!(
        "  both: {{ targets: [ {one}, {two} ], resume: true, {breaker} }}\n  \
         plain: {{ targets: [ {one}, {two} ], {breaker} }}\n  \
         whole: {{ targets: [ {two} ] }}\n"
    );
    second.plays(&format!("{{\"rules\":[{{{RULES}}}]}}"));
    (setup.start(), log)
}

/// How a client of OpenAI's or of Anthropic's dialect asks, and what it reads.
#[derive(Clone, Copy, Debug)]
enum Speaks {
    OpenAi,
    Anthropic,
}

impl Speaks {
    const BOTH: [Speaks; 2] = [Speaks::OpenAi, Speaks::Anthropic];

    fn ask(self, model: &str, more: &str) -> (&'static str, String) {
        match self {
            Speaks::OpenAi => ("/v1/chat/completions", chat(model, more)),
            Speaks::Anthropic => ("/v1/messages", messages(model, more)),
        }
    }

    fn whole(self, gateway: &Gateway) -> String {
        let (path, body) = self.ask("whole", "");
        let answer = gateway.post(path, &[], &body).expect(200).json();
        let text = match self {
            Speaks::OpenAi => &answer["choices"][0]["message"]["content"],
            Speaks::Anthropic => &answer["content"][0]["text"],
        };
        text.as_str().expect("a text").to_owned()
    }

    /// What the events of a stream say, and whether it ended as it should.
    fn read(self, stream: &str) -> (String, bool) {
        let events: Vec<Value> = stream
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect();
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        let word = |event: &Value| match self {
            Speaks::OpenAi => event["choices"][0]["delta"]["content"].as_str().map(str::to_owned),
            Speaks::Anthropic => event["delta"]["text"].as_str().map(str::to_owned),
        };
        let ended = match self {
            Speaks::OpenAi => stream.ends_with("data: [DONE]\n\n"),
            Speaks::Anthropic => count("message_start") == 1 && count("message_stop") == 1,
        };
        (events.iter().filter_map(word).collect(), ended)
    }

    fn stream(self, gateway: &Gateway, model: &str) -> http::Response {
        let (path, body) = self.ask(model, r#","stream":true"#);
        gateway.post(path, &[], &body).expect(200)
    }
}

/// The access line of that call of the model, counted from 0.
fn line(log: &tempfile::NamedTempFile, model: &str, call: usize) -> Value {
    until("the call's access line", 10, || {
        let lines = std::fs::read_to_string(log.path()).expect("the access log");
        let of_model = format!("\"model\":\"{model}\"");
        let line = lines.lines().filter(|line| line.contains(&of_model)).nth(call)?;
        serde_json::from_str(line).ok()
    })
}

#[test]
fn a_stream_whose_provider_is_killed_goes_on_elsewhere() {
    for speaks in Speaks::BOTH {
        let (first, second) = (Sandbox::start(), Sandbox::start());
        let (gateway, log) = gateway(&first, &second);
        first.plays(&format!("{{\"rules\":[{{{RULES},\"gap\":\"50ms\"}}]}}"));
        let whole = speaks.whole(&gateway);
        let (path, body) = speaks.ask("both", r#","stream":true"#);
        let mut client = Client::connect(gateway.address);
        client.send(&request("POST", path, &with_key(&[]), body.as_bytes()));
        let mut begun = client.read_until(b"\r\n\r\n").expect("a head");
        for _ in 0..6 {
            begun.extend(client.read_until(b"data: ").expect("a word"));
        }
        signal(first.pid(), Signal::KILL);
        // Back in front of what was read, so that the whole answer is read at once.
        begun.append(&mut client.buf);
        client.buf = begun;
        let answer = client.read().expect("an answer").expect(200);
        assert_eq!(answer.header("x-tollgate-provider"), Some("first"));
        let text = answer.text();
        assert_eq!(speaks.read(&text), (whole, true), "{speaks:?}: {text}");
        assert_eq!(text.matches(": tollgate-resumed\n\n").count(), 1, "{text}");
        let line = line(&log, "both", 0);
        assert_eq!(
            (
                &line["resumed"],
                &line["attempts"],
                &line["outcome"],
                &line["provider"],
                &line["estimated"]
            ),
            (&1.into(), &2.into(), &"complete".into(), &"second".into(), &true.into()),
            "{line}"
        );
    }
}

#[test]
fn before_its_first_word_a_stream_may_die_or_stall_and_nobody_notices() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let (gateway, log) = gateway(&first, &second);
    let mut calls = 0..;
    for speaks in Speaks::BOTH {
        let whole = speaks.whole(&gateway);
        // The sandbox's head takes some 150 bytes, its first event some 200 more.
        for wish in [
            r#""cut-after":"170 rst""#,
            r#""cut-after":"300""#,
            r#""stall-after":"300""#,
        ] {
            first.plays(&format!("{{\"rules\":[{{{RULES},{wish}}}]}}"));
            let answer = speaks.stream(&gateway, "plain");
            assert_eq!(answer.header("x-tollgate-provider"), Some("second"), "{wish}");
            assert_eq!(speaks.read(&answer.text()), (whole.clone(), true), "{wish}");
            let line = line(&log, "plain", calls.next().expect("a number"));
            assert_eq!(
                (&line["attempts"], &line["resumed"]),
                (&2.into(), &Value::Null),
                "{line}"
            );
        }
    }
}

#[test]
fn what_is_not_gone_on_with_ends_with_an_error_and_says_what_was_used() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let (gateway, log) = gateway(&first, &second);
    first.plays(&format!("{{\"rules\":[{{{RULES},\"cut-after\":\"3000 rst\"}}]}}"));
    for (call, speaks) in Speaks::BOTH.into_iter().enumerate() {
        let whole = speaks.whole(&gateway);
        let text = speaks.stream(&gateway, "plain").text();
        let (said, ended) = speaks.read(&text);
        assert!(!ended && !said.is_empty() && whole.starts_with(&said), "{text}");
        assert!(
            text.contains("closed the connection in the middle of its answer"),
            "{text}"
        );
        let line = line(&log, "plain", call);
        assert_eq!(
            (&line["outcome"], &line["estimated"]),
            (&"cut".into(), &true.into()),
            "{line}"
        );
        assert!(line["tokens"]["output"].as_u64() > Some(3), "{line}");
    }
}

#[test]
fn a_client_that_leaves_while_nothing_was_said_leaves_the_provider_too() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let (gateway, log) = gateway(&first, &second);
    let body = chat("plain", r#","stream":true"#);
    // The whole time the provider has to say something would be longer than the test waits.
    gateway
        .control(
            "PUT",
            "/v1/config/providers/first/timeouts",
            &[],
            br#"{"first_token":"10m"}"#,
        )
        .expect(200);
    first.plays(r#"{"rules":[{"stall-after":"300"}]}"#);
    let mut client = Client::connect(gateway.address);
    client.send(&request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        body.as_bytes(),
    ));
    until("the provider to have the call", 10, || {
        (!first.arrivals().is_empty()).then_some(())
    });
    drop(client);
    first.await_client_gone(1);
    let line = line(&log, "plain", 0);
    assert_eq!(
        (&line["outcome"], &line["status"], &line["attempts"]),
        (&"client_gone".into(), &499.into(), &1.into())
    );
    assert_eq!(second.arrivals().len(), 0, "nobody else was asked");
}

#[test]
fn a_provider_whose_streams_break_in_the_middle_is_left_alone() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let mut setup = Setup::to(second.address);
    setup.providers = [
        provider_with("first", "openai", first.address, ""),
        provider_with("second", "openai", second.address, ""),
    ]
    .concat();
    setup.models = "  plain: { targets: [ { provider: first, model: sandbox-small }, { provider: second, model: sandbox-small } ] }\n"
        .to_owned();
    let gateway = setup.start();
    first.plays(&format!("{{\"rules\":[{{{RULES},\"cut-after\":\"3000 rst\"}}]}}"));
    let by = |number: u32| {
        let answer = Speaks::OpenAi.stream(&gateway, "plain");
        answer
            .header("x-tollgate-provider")
            .map(str::to_owned)
            .unwrap_or_else(|| panic!("{number}: nobody"))
    };
    for number in 0..5 {
        assert_eq!(by(number), "first", "{number}");
    }
    assert_eq!(by(5), "second", "each of five began well and broke");
    let ejected = gateway.metric("tollgate_target_ejected", &["provider=\"first\""]);
    assert_eq!(ejected, 1.0);
}
