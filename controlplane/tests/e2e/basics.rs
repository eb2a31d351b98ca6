//! The two dialects through the gateway: answers, streams, lists, health, refusals.

use crate::harness::{
    Client, Gateway, Sandbox, Setup,
    gateway::{KEY, UPSTREAM_SECRET, chat, messages, with_key},
    http::{call, request},
    sandbox::header,
    until,
};

fn pair() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    (sandbox, gateway)
}

#[test]
fn a_chat_is_answered_as_the_provider_answers_it() {
    let (sandbox, gateway) = pair();
    let direct = call(
        sandbox.address,
        "POST",
        "/v1/chat/completions",
        &[],
        chat("sandbox-small", "").as_bytes(),
    );
    let through = gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    assert_eq!(through.text(), direct.text());
    assert_eq!(through.header("content-type"), Some("application/json"));
    assert_eq!(through.header("x-tollgate-provider"), Some("openai"));
    assert!(through.header("x-request-id").is_some_and(|id| !id.is_empty()));
    assert_eq!(through.header("x-tollgate-attempts"), Some("1"));
    assert!(
        through
            .header("server-timing")
            .is_some_and(|timing| timing.starts_with("gw;dur=")),
        "{:?}",
        through.headers
    );
}

#[test]
fn a_message_is_answered_as_the_provider_answers_it() {
    let (sandbox, gateway) = pair();
    let version = [("anthropic-version", "2023-06-01")];
    let direct = call(
        sandbox.address,
        "POST",
        "/v1/messages",
        &version,
        messages("sandbox-small", "").as_bytes(),
    );
    for path in ["/v1/messages", "/anthropic/v1/messages"] {
        let through = gateway
            .post(path, &[], &messages("anthropic/sandbox-small", ""))
            .expect(200);
        assert_eq!(through.text(), direct.text());
        assert!(through.header("request-id").is_some(), "Anthropic's own header for it");
        assert!(through.header("x-request-id").is_some());
    }
}

#[test]
fn a_stream_arrives_as_the_provider_sends_it() {
    let (sandbox, gateway) = pair();
    let asks_usage = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let direct = call(
        sandbox.address,
        "POST",
        "/v1/chat/completions",
        &[],
        chat("sandbox-small", asks_usage).as_bytes(),
    );
    let through = gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", asks_usage))
        .expect(200);
    assert_eq!(through.text(), direct.text());
    assert!(
        through
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );

    let version = [("anthropic-version", "2023-06-01")];
    let direct = call(
        sandbox.address,
        "POST",
        "/v1/messages",
        &version,
        messages("sandbox-small", r#","stream":true"#).as_bytes(),
    );
    let through = gateway
        .post(
            "/v1/messages",
            &[],
            &messages("anthropic/sandbox-small", r#","stream":true"#),
        )
        .expect(200);
    assert_eq!(through.text(), direct.text());
}

#[test]
fn usage_asked_for_by_the_gateway_is_taken_out_of_the_stream_again() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    // The catalogue's row says that usage may be asked for.
    setup.providers = format!(
        "  openai: {{ kind: openai, base_url: \"http://{}\", credential: env:TOLLGATE_TEST_UPSTREAM }}\n",
        sandbox.address
    );
    setup.models = crate::harness::gateway::model_line("openai/*", &["openai"]);
    let gateway = setup.start();
    let direct = call(
        sandbox.address,
        "POST",
        "/v1/chat/completions",
        &[],
        chat("sandbox-small", r#","stream":true"#).as_bytes(),
    );
    let through = gateway
        .post(
            "/v1/chat/completions",
            &[],
            &chat("openai/sandbox-small", r#","stream":true"#),
        )
        .expect(200);
    assert_eq!(
        through.text(),
        direct.text(),
        "the client sees no usage it did not ask for"
    );
    let arrived = sandbox.last_arrival()["body"].as_str().expect("text").to_owned();
    let arrived: serde_json::Value = serde_json::from_str(&arrived).expect("JSON");
    assert_eq!(
        arrived["stream_options"]["include_usage"], true,
        "the provider was asked for it"
    );
    until("the tokens to be counted", 20, || {
        (gateway.metric("tollgate_tokens_total", &["direction=\"output\""]) > 0.0).then_some(())
    });
}

#[test]
fn tokens_of_every_kind_of_answer_are_counted() {
    let (_sandbox, gateway) = pair();
    let cases = [
        ("/v1/chat/completions", chat("openai/sandbox-tokens-11", "")),
        (
            "/v1/chat/completions",
            chat(
                "openai/sandbox-tokens-13",
                r#","stream":true,"stream_options":{"include_usage":true}"#,
            ),
        ),
        ("/v1/messages", messages("anthropic/sandbox-tokens-17", "")),
        (
            "/v1/messages",
            messages("anthropic/sandbox-tokens-19", r#","stream":true"#),
        ),
    ];
    let mut expected = 0.0;
    for (path, body) in cases {
        gateway.post(path, &[], &body).expect(200);
        expected += body
            .split("tokens-")
            .nth(1)
            .and_then(|rest| rest[..2].parse::<f64>().ok())
            .expect("a number");
        until("the output tokens to be counted", 20, || {
            (gateway.metric("tollgate_tokens_total", &["direction=\"output\""]) == expected).then_some(())
        });
    }
    // "Hello there, gate." has five tokens.
    assert_eq!(gateway.metric("tollgate_tokens_total", &["direction=\"input\""]), 20.0);
    assert_eq!(gateway.metric("tollgate_requests_total", &["status=\"200\""]), 4.0);
}

#[test]
fn models_are_listed_as_far_as_the_key_may_use_them() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.models += "  plain: { targets: [ { provider: openai, model: sandbox-small } ] }\n";
    setup.models += "  hidden: { targets: [ { provider: openai, model: sandbox-small } ] }\n";
    setup.keys += "  narrow: { secret: env:NARROW_KEY, models: [ plain ] }\n";
    setup
        .environment
        .push(("NARROW_KEY".to_owned(), "tg-narrow".to_owned()));
    let gateway = setup.start();
    let narrow = [("authorization", "Bearer tg-narrow")];
    let list = call(gateway.address, "GET", "/v1/models", &narrow, b"")
        .expect(200)
        .json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .expect("data")
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    assert_eq!(ids, ["plain"]);
    assert_eq!(
        call(gateway.address, "GET", "/v1/models/plain", &narrow, b"")
            .expect(200)
            .json()["id"],
        "plain"
    );
    assert_eq!(
        call(gateway.address, "GET", "/v1/models/hidden", &narrow, b"").status,
        404
    );
    let both = gateway.get("/v1/models").expect(200).text();
    assert!(both.contains("plain") && both.contains("hidden"), "{both}");
    let refused = call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &narrow,
        chat("hidden", "").as_bytes(),
    );
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (403, "model_not_allowed")
    );
    assert!(refused.text().contains("hidden"), "{}", refused.text());
}

#[test]
fn refusals_have_the_dialects_shape_and_say_what_to_do() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.models += "  summaries: { targets: [ { provider: openai, model: sandbox-small } ] }\n";
    let gateway = setup.start();
    let unknown = call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &[("authorization", "Bearer wrong")],
        chat("m", "").as_bytes(),
    );
    assert_eq!(
        (unknown.status, unknown.error_code().as_str()),
        (401, "invalid_api_key")
    );
    let unknown = call(
        gateway.address,
        "POST",
        "/v1/messages",
        &[("x-api-key", "wrong")],
        messages("m", "").as_bytes(),
    )
    .expect(401);
    assert_eq!(unknown.json()["type"], "error");
    assert_eq!(unknown.json()["error"]["type"], "authentication_error");

    let nearest = gateway
        .post("/v1/chat/completions", &[], &chat("sumaries", ""))
        .expect(404);
    assert_eq!(nearest.error_code(), "model_not_found");
    assert!(
        nearest.text().contains("'summaries'"),
        "the nearest name: {}",
        nearest.text()
    );

    let broken = gateway
        .post("/v1/chat/completions", &[], r#"{"model":"openai/x","messages":[}"#)
        .expect(400);
    assert_eq!(broken.error_code(), "invalid_request");
    assert!(broken.text().contains("32"), "the byte offset: {}", broken.text());
    let missing = gateway
        .post("/v1/chat/completions", &[], r#"{"messages":[]}"#)
        .expect(400);
    assert!(missing.text().contains("model"), "{}", missing.text());
    let twice = gateway
        .post(
            "/v1/chat/completions",
            &[],
            r#"{"model":"openai/a","model":"openai/b","messages":[]}"#,
        )
        .expect(400);
    assert_eq!(twice.error_code(), "invalid_request");

    assert_eq!(gateway.get("/v1/nothing-here").status, 404);
    assert_eq!(gateway.get("/v1/chat/completions").status, 405);
    assert_eq!(sandbox.arrivals().len(), 0, "nothing of this reached the provider");
}

#[test]
fn a_key_comes_in_any_of_its_headers() {
    let (sandbox, gateway) = pair();
    let bearer = format!("Bearer {KEY}");
    for (name, value) in [
        ("authorization", bearer.as_str()),
        ("x-api-key", KEY),
        ("x-goog-api-key", KEY),
        ("api-key", KEY),
    ] {
        let answer = call(
            gateway.address,
            "POST",
            "/v1/chat/completions",
            &[(name, value)],
            chat("openai/sandbox-small", "").as_bytes(),
        );
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let by_query = format!("/v1/chat/completions?key={KEY}");
    call(
        gateway.address,
        "POST",
        &by_query,
        &[],
        chat("openai/sandbox-small", "").as_bytes(),
    )
    .expect(200);
    let wins = [("x-api-key", KEY), ("authorization", "Bearer wrong")];
    let refused = call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &wins,
        chat("openai/sandbox-small", "").as_bytes(),
    );
    assert_eq!(refused.status, 401, "Authorization wins");
    for arrival in sandbox.arrivals() {
        assert!(
            !arrival.to_string().contains(KEY),
            "the key left the gateway: {arrival}"
        );
        assert_eq!(
            header(&arrival, "authorization").as_deref(),
            Some(&*format!("Bearer {UPSTREAM_SECRET}"))
        );
    }
}

#[test]
fn health_and_readiness_need_no_key() {
    let (_sandbox, gateway) = pair();
    call(gateway.address, "GET", "/healthz", &[], b"").expect(200);
    call(gateway.address, "GET", "/readyz", &[], b"").expect(200);
    call(gateway.address, "HEAD", "/healthz", &[], b"").expect(200);
    let metrics = call(gateway.admin, "GET", "/metrics", &[], b"").expect(200).text();
    assert!(metrics.contains("tollgate_config_revision{shard="), "{metrics}");
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let (_sandbox, gateway) = pair();
    let mut client = Client::connect(gateway.address);
    let bodies = [
        chat("openai/sandbox-tokens-3", ""),
        chat("openai/sandbox-tokens-5", r#","stream":true"#),
        chat("openai/sandbox-latency-30-tokens-7", ""),
    ];
    let pipelined: Vec<u8> = bodies
        .iter()
        .flat_map(|body| request("POST", "/v1/chat/completions", &with_key(&[]), body.as_bytes()))
        .collect();
    client.send(&pipelined).send(&request("GET", "/healthz", &[], b""));
    for (index, body) in bodies.iter().enumerate() {
        let answer = client.read().expect("an answer").expect(200);
        let model = body
            .split("openai/")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a model");
        assert!(
            answer.text().contains(model),
            "answer {index} is for {model}: {}",
            answer.text()
        );
    }
    assert_eq!(client.read_answer("GET").expect("an answer").status, 200);
}

#[test]
fn a_request_id_is_kept_and_the_providers_own_is_told_apart() {
    let (_sandbox, gateway) = pair();
    let answer = gateway
        .post(
            "/v1/chat/completions",
            &[("x-request-id", "mine-42")],
            &chat("openai/sandbox-small", ""),
        )
        .expect(200);
    assert_eq!(answer.header("x-request-id"), Some("mine-42"));
    assert!(
        answer.header("x-tollgate-upstream-request-id").is_some(),
        "{:?}",
        answer.headers
    );
    let long = "x".repeat(129);
    let answer = gateway
        .post(
            "/v1/chat/completions",
            &[("x-request-id", &long)],
            &chat("openai/sandbox-small", ""),
        )
        .expect(200);
    assert_ne!(answer.header("x-request-id"), Some(&*long));
}

#[test]
fn a_clients_own_timeout_is_kept() {
    let (sandbox, gateway) = pair();
    let body = chat("openai/sandbox-latency-30000", "");
    let answer = gateway.post("/v1/chat/completions", &[("x-tollgate-timeout", "300ms")], &body);
    assert_eq!((answer.status, answer.error_code().as_str()), (504, "upstream_timeout"));
    sandbox.await_client_gone(1);
}
