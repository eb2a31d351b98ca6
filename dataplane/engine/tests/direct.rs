//! `/providers/{name}/…`: what is passed on unchanged, and to whom.

mod rig;

use rig::{Did, Rig, body_of, document, header, key, model, price_list, provider, reply, sent};
use tollgate_config::{
    Document,
    document::{Auth, Dialect, Limit, LimitMode, Unit, Window},
    prices::{Class, ServiceTier},
};
use tollgate_engine::limits;

fn rig() -> Rig {
    let mut document = document();
    let mut through = key("through", &[]);
    through.1.pass_through = true;
    document.keys.push(through);
    Rig::new(document)
}

const HEAD: &str = "host: g\nauthorization: Bearer secret-through\ncontent-type: text/plain\n";
const ANSWER: &str = r#"{"usage":{"input_tokens":5,"output_tokens":6}}"#;

#[test]
fn anything_goes_to_the_named_provider_as_it_came() {
    let mut rig = rig();
    let did = rig.request(
        &format!("PUT /providers/claude/v1/new%20thing?a=1&key=x HTTP/1.1\n{HEAD}"),
        b"any \xff bytes",
    );
    assert_eq!(rig::dialled(&did), [("claude".to_owned(), false)]);
    let (head, body) = sent(&rig.connected(1));
    assert!(
        head.starts_with("PUT /v1/new%20thing?a=1 HTTP/1.1\r\nhost: claude.test:8000\r\n"),
        "{head}"
    );
    assert_eq!(header(&head, "x-api-key"), Some("credential-KEY_claude"));
    assert_eq!(header(&head, "content-type"), Some("text/plain"));
    assert_eq!(header(&head, "content-length"), Some("11"));
    assert!(!head.contains("secret-through"));
    assert_eq!(body, String::from_utf8_lossy(b"any \xff bytes"));

    let answer = format!(
        "HTTP/1.1 201 Made\ncontent-type: application/json\ncontent-length: {}\n",
        ANSWER.len()
    );
    let (status, lines, _) = reply(&rig.answer(1, &answer));
    assert_eq!((status, header(&lines, "x-tollgate-provider")), (201, Some("claude")));
    assert_eq!(rig.body(1, ANSWER), [Did::Body(ANSWER.into())]);
    assert_eq!(rig.end(1), [Did::Settle, Did::End]);
    let record = rig.exchange.record();
    assert_eq!((record.surface, record.provider), ("provider", Some((2, "claude"))));
    assert_eq!((record.model, record.upstream_model), (None, None));
    // Read in the provider's own dialect.
    assert_eq!(record.usage.and_then(|usage| usage.output), Some(6));
}

#[test]
fn a_request_without_a_body_needs_none() {
    let mut rig = rig();
    rig.request(&format!("GET /providers/one/v1/files HTTP/1.1\n{HEAD}"), b"");
    let (head, body) = sent(&rig.connected(1));
    assert!(head.starts_with("GET /v1/files HTTP/1.1\r\n"), "{head}");
    assert_eq!((header(&head, "content-length"), &*body), (None, ""));
}

#[test]
fn what_a_client_says_of_signatures_is_not_passed_where_requests_are_signed() {
    let mut document = document();
    let mut through = key("through", &[]);
    through.1.pass_through = true;
    document.keys.push(through);
    document.providers[0].1.auth = Auth::Aws {
        region: "us-east-1".into(),
        service: "bedrock".into(),
    };
    let mut secrets = rig::secrets(&document);
    secrets.insert(rig::env("KEY_one"), b"AKIDEXAMPLE:secret".to_vec());
    let more = "X-Amz-Date: 20000101T000000Z\nx-amz-content-sha256: 00\nX-Amzn-Bedrock-GuardrailVersion: 1\n";
    let ask = |rig: &mut Rig, provider: &str| {
        rig.request(&format!("POST /providers/{provider}/x HTTP/1.1\n{HEAD}{more}"), b"{}");
        sent(&rig.connected(1)).0
    };
    let mut rig = Rig::with_secrets(document, &secrets);
    let head = ask(&mut rig, "one");
    let amz: Vec<&str> = head
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("x-amz-"))
        .collect();
    assert_eq!(amz, ["x-amz-date: 20270115T080000Z"]);
    assert!(head.contains("SignedHeaders=host;x-amz-date,"), "{head}");
    assert_eq!(header(&head, "X-Amzn-Bedrock-GuardrailVersion"), Some("1"));
    // Nobody signs for the other: it gets what the client said.
    let head = ask(&mut rig, "two");
    assert_eq!(header(&head, "X-Amz-Date"), Some("20000101T000000Z"));
}

#[test]
fn only_keys_that_may_and_providers_that_are() {
    for (line, secret, status, code) in [
        ("POST /providers/one/x", "secret-all", 403, "pass_through_not_allowed"),
        ("POST /providers/none/x", "secret-through", 404, "not_found"),
        ("POST /providers/one", "secret-through", 404, "not_found"),
        ("HEAD /providers/one/x", "secret-through", 405, "method_not_allowed"),
        ("POST /providers/one/x", "wrong", 401, "invalid_api_key"),
    ] {
        let mut rig = rig();
        let (got, _, text) = reply(&rig.request(&format!("{line} HTTP/1.1\nhost: g\nx-api-key: {secret}\n"), b""));
        assert_eq!(got, status, "{line}");
        // An answer to HEAD has no body.
        assert!(text.contains(code) || line.starts_with("HEAD"), "{line}: {text}");
    }
}

/// Money and tokens of the key, and tokens of a model: a minute's.
fn limited(amount: u64) -> Document {
    let mut document = document();
    let limit = |unit| Limit {
        unit,
        amount,
        window: Window::Refill {
            per_ms: 60_000,
            burst: amount,
        },
        mode: LimitMode::Enforce,
        hard: false,
        cut: false,
        thresholds: Default::default(),
    };
    let mut through = key("through", &[]);
    through.1.pass_through = true;
    through.1.limits = vec![limit(Unit::Budget), limit(Unit::Tokens)];
    document.keys.push(through);
    document.providers = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini]
        .map(|dialect| provider(dialect.name(), dialect))
        .into();
    let classes = [(Class::Input, 1_000), (Class::Output, 4_000)];
    for (_, provider) in &mut document.providers {
        provider.prices = price_list(&classes.map(|(class, picos)| (ServiceTier::Standard, class, picos)));
    }
    document.models = vec![
        model("limited", &[("openai", "gpt-real")]),
        model("sonnet", &[("anthropic", "claude")]),
    ];
    document.models[0].1.limits = vec![limit(Unit::Tokens)];
    document
}

fn used(rig: &Rig) -> Vec<(String, u64)> {
    let all = limits::report(
        (&rig.pinned.snapshot, &rig.pinned.keys),
        &rig.local.limits.balances,
        rig::NOW_UNIX_MS,
        |_, _| true,
    );
    let named = |told: limits::Report| {
        (
            format!("{} {}", told.scope.name(), told.limit.unit.name()),
            told.level.used,
        )
    };
    all.into_iter().map(named).collect()
}

const JSON: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";
const EVENTS: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";

fn passed(rig: &mut Rig, line: &str, body: &str, (head, answer): (&str, &str)) {
    rig.request(
        &format!("{line} HTTP/1.1\nhost: g\nauthorization: Bearer secret-through\n"),
        body.as_bytes(),
    );
    assert_eq!(sent(&rig.connected(1)).1, body, "unchanged");
    let did = [rig.answer(1, head), rig.body(1, answer), rig.end(1)].concat();
    assert_eq!(body_of(&did), answer, "unchanged");
}

#[test]
fn what_is_used_through_a_providers_own_path_is_paid_from_the_keys_limits() {
    const CHAT: &str = r#"{"model":"gpt-real","messages":[{"role":"user","content":"hi"}]}"#;
    const MESSAGES: &str = r#"{"max_tokens":5,"messages":[{"role":"user","content":"hi"}],"model":"claude"}"#;
    let openai = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;
    let response = r#"{"id":"r","output":[],"usage":{"input_tokens":9,"output_tokens":2}}"#;
    let responses = format!("data: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n");
    let anthropic = r#"{"content":[],"usage":{"input_tokens":9,"output_tokens":2}}"#;
    let gemini = r#"{"candidates":[],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}"#;
    let by_path = "POST /providers/gemini/v1beta/models/gemini-pro:generateContent";
    for (line, body, answer, model, of_model) in [
        (
            "POST /providers/openai/v1/chat/completions",
            CHAT,
            (JSON, openai),
            "gpt-real",
            11,
        ),
        (
            "POST /providers/openai/v1/responses",
            CHAT,
            (EVENTS, &*responses),
            "gpt-real",
            11,
        ),
        (
            "POST /providers/anthropic/v1/messages",
            MESSAGES,
            (JSON, anthropic),
            "claude",
            0,
        ),
        (by_path, r#"{"contents":[]}"#, (JSON, gemini), "gemini-pro", 0),
    ] {
        let mut rig = Rig::new(limited(1_000_000));
        passed(&mut rig, line, body, answer);
        let record = rig.exchange.record();
        assert_eq!(
            (record.upstream_model, record.estimated),
            (Some(model), false),
            "{line}"
        );
        // Nine, and two at four times the price: nano-dollars.
        let expected = [("key budget", 17), ("key tokens", 11), ("model tokens", of_model)];
        assert_eq!(
            used(&rig),
            expected.map(|(name, used)| (name.to_owned(), used)),
            "{line}"
        );
    }
}

#[test]
fn what_is_over_refuses_the_next_call_before_it_goes_up() {
    let mut rig = Rig::new(limited(10));
    let answer = r#"{"usage":{"prompt_tokens":900,"completion_tokens":2}}"#;
    passed(
        &mut rig,
        "POST /providers/openai/v1/embeddings",
        r#"{"model":"e"}"#,
        (JSON, answer),
    );
    assert_eq!(used(&rig)[1], ("key tokens".to_owned(), 902));
    let head = "POST /providers/openai/v1/embeddings HTTP/1.1\nhost: g\nauthorization: Bearer secret-through\n";
    let (status, _, said) = reply(&rig.request(head, b"{}"));
    assert_eq!(status, 429, "{said}");
    assert!(said.contains("'through'"), "{said}");
    // A model's own limit is one of them, where the call names the model.
    let mut rig = Rig::new(limited(1_000));
    let answer = r#"{"usage":{"prompt_tokens":900,"completion_tokens":200}}"#;
    let body = r#"{"model":"gpt-real","max_tokens":10}"#;
    passed(
        &mut rig,
        "POST /providers/openai/v1/chat/completions",
        body,
        (JSON, answer),
    );
    let mut other = Rig::sharing(rig.pinned.clone());
    other.local.limits = limits::LocalLimits::new(rig.local.limits.balances.clone());
    let head = "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n";
    let (status, _, said) = reply(&other.request(head, br#"{"model":"limited","max_tokens":1}"#));
    assert_eq!(status, 429);
    assert!(said.contains("model 'limited'"), "{said}");
}

#[test]
fn what_nobody_says_is_estimated_or_said_to_be_unknown() {
    let chat = r#"{"model":"gpt-real","stream":true,"messages":[{"role":"user","content":"say hi"}]}"#;
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"hi there\"}}]}\n\n";
    let mut rig = Rig::new(limited(1_000_000));
    let stream = chunk.repeat(3) + "data: [DONE]\n\n";
    passed(
        &mut rig,
        "POST /providers/openai/v1/chat/completions",
        chat,
        (EVENTS, &stream),
    );
    let record = rig.exchange.record();
    let usage = record.usage.expect("an estimate");
    assert!(
        record.estimated && usage.all_output() >= 3 && usage.all_input() > 2,
        "{usage:?}"
    );
    assert_eq!(used(&rig)[1].1, usage.all_input() + usage.all_output());

    passed(
        &mut rig,
        "POST /providers/openai/v1/images/generations",
        r#"{"model":"image-1"}"#,
        (JSON, "{}"),
    );
    let record = rig.exchange.record();
    assert_eq!((record.usage, record.cost, record.estimated), (None, None, true));
    // What asks about something has used nothing, whatever it is told of usage.
    let answer = r#"{"id":"r","usage":{"input_tokens":9,"output_tokens":2}}"#;
    passed(&mut rig, "GET /providers/openai/v1/responses/r", "", (JSON, answer));
    let record = rig.exchange.record();
    assert_eq!((record.usage, record.cost, record.estimated), (None, None, false));
}
