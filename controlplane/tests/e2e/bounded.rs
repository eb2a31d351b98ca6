//! `hard: true` from the client to the provider: what does not fit is refused, what goes up is capped at what is left, and what
//! the provider hides beyond its cap is debt that the next call meets.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::{
    budgets::balance,
    harness::{
        Gateway, Sandbox, Setup,
        gateway::{chat, provider_with},
        http::asked,
        until,
    },
    spent::{DIALECTS, HELLO, ask, post, setup},
};

/// Beside its bytes, for a template.
const TEMPLATE: u64 = 64;
const LIMIT: u64 = 1_000;

/// The cap that a body has, in any dialect's words.
fn cap_of(body: &str) -> Option<u64> {
    let at = [
        "max_tokens\":",
        "max_completion_tokens\":",
        "max_output_tokens\":",
        "maxOutputTokens\":",
        "maxTokens\":",
    ];
    let rest = at.iter().find_map(|name| Some(body.split_once(name)?.1))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Each dialect's call without a cap (Anthropic's has a larger one), with its own provider and with the next one's.
#[test]
fn what_is_left_is_the_cap_that_arrives_and_a_prompt_that_cannot_fit_arrives_nowhere() {
    let sandbox = Sandbox::start();
    let limits = format!("{{ tokens: {LIMIT}, per: year, hard: true }}");
    let mut setup = setup(&sandbox, &DIALECTS, &limits);
    setup.models = setup.models.replace("sandbox-tokens-1000", "sandbox-tokens-30");
    let gateway = setup.start();
    for (at, client) in DIALECTS.into_iter().enumerate() {
        let large = ask(client, &format!("long-{client}"), false, &"x".repeat(LIMIT as usize));
        let refused = post(&gateway, client, &large, &[]).expect(429);
        assert_eq!(refused.header("x-should-retry"), Some("false"), "{client}");
        assert_eq!(sandbox.report()["requests"], 2 * at, "{client}: it went nowhere");
        assert_eq!(
            balance(&gateway, "key", client, "tokens"),
            [LIMIT, 0, LIMIT, 0],
            "{client}"
        );

        for (before, target) in [client, DIALECTS[(at + 1) % DIALECTS.len()]].into_iter().enumerate() {
            let [_, used, left, _] = balance(&gateway, "key", client, "tokens");
            let stream = before == 1;
            let call = ask(client, &format!("long-{target}"), stream, HELLO);
            post(&gateway, client, &call, &[]).expect(200);
            let arrived = sandbox.last_arrival();
            let body = arrived["body"].as_str().expect("a body");
            let cap = cap_of(body).unwrap_or_else(|| panic!("{client} at {target}: no cap in {body}"));
            assert_eq!(
                cap,
                left - TEMPLATE - call.1.len() as u64,
                "{client} at {target}: {body}"
            );
            let [_, now, _, debt] = balance(&gateway, "key", client, "tokens");
            assert!(
                (used + 30..used + 100).contains(&now) && debt == 0,
                "{client} at {target}: {used}, {now}"
            );
        }
    }
}

/// A provider of OpenAI's dialect whose answers take so many thoughts that nobody asked for; counts the calls that came.
fn thinks(thoughts: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let counted = Arc::clone(&counted);
            thread::spawn(move || while answer(&stream, thoughts, &counted).is_some() {});
        }
    });
    (address, calls)
}

fn answer(mut stream: &TcpStream, thoughts: u64, calls: &AtomicU64) -> Option<()> {
    let (_, body) = asked(&mut stream)?;
    calls.fetch_add(1, Ordering::Relaxed);
    let usage = format!(
        r#""usage":{{"prompt_tokens":5,"completion_tokens":{},"total_tokens":{},"completion_tokens_details":{{"reasoning_tokens":{thoughts}}}}}"#,
        thoughts + 2,
        thoughts + 7,
    );
    let first = r#""id":"c1","created":1,"model":"thinker""#;
    let (kind, answer) = if body.contains("\"stream\":true") {
        let event = |rest: &str| format!("data: {{{first},\"object\":\"chat.completion.chunk\",{rest}}}\n\n");
        let events = [
            event(r#""choices":[{"index":0,"delta":{"role":"assistant","content":"Yes."},"finish_reason":null}]"#),
            event(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#),
            event(&format!(r#""choices":[],{usage}"#)),
        ];
        ("text/event-stream", events.concat() + "data: [DONE]\n\n")
    } else {
        let choice = r#"{"index":0,"message":{"role":"assistant","content":"Yes."},"finish_reason":"stop"}"#;
        let whole = format!(r#"{{{first},"object":"chat.completion","choices":[{choice}],{usage}}}"#);
        ("application/json", whole)
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    stream.write_all((head + &answer).as_bytes()).ok()
}

fn told_of_debt(gateway: &Gateway) -> String {
    until("the debt to be told", 10, || {
        let said = gateway.process.output();
        said.lines().find(|line| line.contains("limit_debt")).map(str::to_owned)
    })
}

#[test]
fn thoughts_beyond_the_cap_are_debt_that_refuses_the_next_call() {
    const THOUGHTS: u64 = 5_000;
    for (unit, limit, streamed) in [
        ("tokens", format!("tokens: {LIMIT}"), ""),
        ("tokens", format!("tokens: {LIMIT}"), r#","stream":true"#),
        ("budget", "budget: \"0.01 USD\"".to_owned(), r#","stream":true"#),
    ] {
        let (address, calls) = thinks(THOUGHTS);
        let mut setup = Setup::to(address);
        let prices = ", prices: { models: { thinker: { input: \"2.00\", output: \"10.00\" } } }";
        setup.providers = provider_with("openai", "openai", address, prices);
        setup.models =
            "  thinker: { targets: [ { provider: openai, model: thinker } ], retry: { attempts: 1 } }\n".to_owned();
        setup.keys = format!(
            "  tester: {{ secret: env:TOLLGATE_TEST_KEY, limits: [ {{ {limit}, per: year, hard: true }} ] }}\n"
        );
        let gateway = setup.start();
        let body = chat("thinker", &format!(r#","max_tokens":100{streamed}"#));
        gateway.post("/v1/chat/completions", &[], &body).expect(200);
        // Five tokens in, two said, and those nobody saw.
        let expected = match unit {
            "tokens" => 5 + 2 + THOUGHTS,
            _ => 5 * 2_000 + (2 + THOUGHTS) * 10_000,
        };
        let [limit, used, remaining, debt] = balance(&gateway, "key", "tester", unit);
        assert_eq!((used, remaining), (expected, 0), "{unit}{streamed}");
        assert_eq!(debt, expected - limit, "{unit}{streamed}: told as what it is");
        let told = told_of_debt(&gateway);
        assert!(told.contains("tester"), "{told}");
        let metric = gateway.metric("tollgate_limit_debt", &["scope=\"key\"", "name=\"tester\""]);
        assert!(metric > 0.0, "{metric}");
        for _ in 0..2 {
            let refused = gateway.post("/v1/chat/completions", &[], &body).expect(429);
            assert_eq!(refused.error_code(), "insufficient_quota", "{unit}{streamed}");
            assert_eq!(refused.header("x-should-retry"), Some("false"));
        }
        assert_eq!(
            calls.load(Ordering::Relaxed),
            1,
            "{unit}{streamed}: nothing more went up"
        );
        let row = until("the call to be in the ledger", 20, || {
            let told = gateway.control("GET", "/v1/usage?from=1h", &[], b"").expect(200).json();
            told["rows"]
                .as_array()?
                .first()
                .filter(|row| row["requests"] == 1)
                .cloned()
        });
        assert_eq!(row["reasoning_tokens"], THOUGHTS, "{row}");
        assert_eq!(row["estimated"].as_u64().unwrap_or(0), 0, "{row}");
    }
}
