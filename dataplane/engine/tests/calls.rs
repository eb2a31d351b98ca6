//! Model calls from request to record: what goes up, what comes down, what is remembered.

mod rig;

use rig::{Did, Rig, dialled, document, header, reply, sent};
use tollgate_engine::{
    exchange::UpstreamFault,
    outputs::ReplyFraming,
    record::{AttemptOutcome, Outcome},
};

const ANSWER: &str = r#"{"id":"x","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}"#;

fn answer_head(length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {length}\nx-request-id: up-1\nset-cookie: a=b\nx-ratelimit-limit-requests: 5\nopenai-version: 1\n"
    )
}

/// `{"usage":{"prompt_tokens":5,"completion_tokens":6}}`
const GZIPPED: [u8; 62] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 45, 78, 76, 79, 85, 178, 170, 86, 42, 40, 202, 207, 45, 40, 137, 47,
    201, 207, 78, 205, 43, 86, 178, 50, 213, 81, 74, 6, 10, 228, 164, 150, 100, 230, 231, 193, 69, 205, 106, 107, 1,
    235, 27, 191, 128, 51, 0, 0, 0,
];

#[test]
fn a_buffered_call_passes_untouched_but_for_model_and_credentials() {
    let mut rig = Rig::new(document());
    let did = rig.chat(r#"{ "messages":[], "model" : "gpt", "odd":  [1,2 ]}"#);
    assert_eq!(
        did,
        [Did::Dial {
            attempt: 1,
            provider: "one".into(),
            fresh: false
        }]
    );
    let (head, body) = sent(&rig.connected(1));
    assert_eq!(body, r#"{ "messages":[], "model" : "gpt-real", "odd":  [1,2 ]}"#);
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\nhost: one.test:8000\r\n"),
        "{head}"
    );
    assert!(head.ends_with("\r\n\r\n"));
    assert_eq!(header(&head, "authorization"), Some("Bearer credential-KEY_one"));
    assert_eq!(header(&head, "content-length"), Some(&*body.len().to_string()));
    assert_eq!(header(&head, "accept-encoding"), Some("identity"));
    assert_eq!(header(&head, "content-type"), Some("application/json"));
    assert!(!head.contains("secret-all"));

    rig.now = rig.now.plus_ms(30);
    let did = rig.answer(1, &answer_head(ANSWER.len()));
    let [
        Did::Head {
            status: 200,
            lines,
            framing,
        },
    ] = &did[..]
    else {
        panic!("{did:?}")
    };
    assert_eq!(*framing, ReplyFraming::Length(ANSWER.len() as u64));
    assert_eq!(header(lines, "x-tollgate-provider"), Some("one"));
    assert_eq!(header(lines, "x-tollgate-model"), Some("gpt-real"));
    assert_eq!(header(lines, "x-tollgate-attempts"), Some("1"));
    assert_eq!(header(lines, "x-tollgate-upstream-request-id"), Some("up-1"));
    assert_eq!(header(lines, "openai-version"), Some("1"));
    assert_eq!(header(lines, "server-timing"), Some("gw;dur=0.000"));
    assert_eq!(header(lines, "x-request-id").map(str::len), Some(32));
    for gone in ["set-cookie", "x-ratelimit-limit-requests", "content-length"] {
        assert_eq!(header(lines, gone), None);
    }
    assert_eq!(rig.body(1, ANSWER), [Did::Body(ANSWER.into())]);
    assert_eq!(rig.end(1), [Did::Settle, Did::End]);
    check_record(&rig);
}

/// Of the buffered call above.
fn check_record(rig: &Rig) {
    let record = rig.exchange.record();
    let usage = record.usage.expect("usage");
    assert_eq!(
        (usage.input, usage.cache_read, usage.output),
        (Some(7), Some(3), Some(4))
    );
    assert_eq!(
        (record.status, record.outcome, record.attempts),
        (200, Outcome::Complete, 1)
    );
    assert_eq!(
        (record.key, record.team, record.dialect),
        (Some("all"), Some("research"), "openai")
    );
    assert_eq!((record.model_asked, record.model), (Some("gpt"), Some((0, "gpt"))));
    assert_eq!(
        (record.provider, record.upstream_model),
        (Some((0, "one")), Some("gpt-real"))
    );
    assert_eq!(
        (record.response_body_bytes, record.total_ns),
        (ANSWER.len() as u64, 30_000_000)
    );
    assert_eq!((record.gateway_ns, record.first_token_ns), (0, None));
    assert_eq!(rig.exchange.attempts().collect::<Vec<_>>(), [(0, AttemptOutcome::Ok)]);
}

#[test]
fn a_body_that_needs_no_edit_goes_up_whole() {
    let mut rig = Rig::new(document());
    let body = r#"{"model":"same","n":1}"#;
    rig.chat(body);
    assert_eq!(sent(&rig.connected(1)).1, body);
    assert_eq!(rig.out.pieces.len(), 1);
}

#[test]
fn a_wildcard_names_the_providers_model() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"one/some-model"}"#);
    assert_eq!(sent(&rig.connected(1)).1, r#"{"model":"some-model"}"#);
    let (_, lines, _) = reply(&rig.answer(1, "HTTP/1.1 200 OK\ncontent-length: 2\n"));
    assert_eq!(header(&lines, "x-tollgate-model"), Some("some-model"));
    assert_eq!(rig.exchange.record().model, Some((2, "one/*")));
}

#[test]
fn usage_of_an_answer_in_parts_is_read_too() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n",
    );
    for byte in ANSWER.as_bytes().chunks(7) {
        let text = std::str::from_utf8(byte).expect("ASCII");
        assert_eq!(rig.body(1, text), [Did::Body(text.into())]);
    }
    assert_eq!(rig.end(1), [Did::Settle, Did::End]);
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(4));
}

#[test]
fn usage_of_a_long_answer_is_read_as_it_passes() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n",
    );
    let text = "a \\\"usage\\\":{} ".repeat(1_000);
    rig.body(1, "{\"choices\":[");
    for _ in 0..100 {
        let piece = format!("\"{text}\",");
        assert_eq!(rig.body(1, &piece), [Did::Body(piece.clone())]);
        assert!(rig.exchange.held_bytes() < 70 * 1024);
    }
    rig.body(1, "1],\"usage\":{\"prompt_tokens\":5,\"completion");
    rig.body(1, "_tokens\":6}}");
    rig.end(1);
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(6));
}

#[test]
fn usage_of_an_answer_that_came_compressed_all_the_same_is_read() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    rig.connected(1);
    let head = format!(
        "HTTP/1.1 200 OK\ncontent-encoding: gzip\ncontent-length: {}\n",
        GZIPPED.len()
    );
    let (_, lines, _) = reply(&rig.answer(1, &head));
    assert_eq!(header(&lines, "content-encoding"), Some("gzip"));
    for piece in GZIPPED.chunks(10) {
        rig.feed(tollgate_engine::Input::UpstreamBody(
            tollgate_engine::outputs::AttemptId(1),
            piece,
        ));
        assert_eq!(rig.out.pieces, [tollgate_engine::Piece::Input(0..piece.len() as u32)]);
    }
    rig.end(1);
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(6));
}

#[test]
fn an_anthropic_call_carries_its_own_headers() {
    let mut rig = Rig::new(document());
    rig.messages(r#"{"model":"sonnet","max_tokens":5}"#);
    let (head, body) = sent(&rig.connected(1));
    assert_eq!(body, r#"{"model":"claude-sonnet","max_tokens":5}"#);
    assert!(head.starts_with("POST /v1/messages HTTP/1.1\r\n"));
    assert_eq!(header(&head, "x-api-key"), Some("credential-KEY_claude"));
    assert_eq!(header(&head, "anthropic-version"), Some("2023-06-01"));
    let did = rig.answer(1, "HTTP/1.1 200 OK\ncontent-length: 2\nrequest-id: req_up\n");
    let (_, lines, _) = reply(&did);
    assert_eq!(header(&lines, "request-id"), header(&lines, "x-request-id"));
    assert_eq!(header(&lines, "x-tollgate-upstream-request-id"), Some("req_up"));
}

#[test]
fn the_next_target_is_tried_until_one_answers() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    assert_eq!(dialled(&rig.failed(1, UpstreamFault::Connect)), [("two".into(), false)]);
    assert_eq!(sent(&rig.connected(2)).1, r#"{"model":"gpt-spare"}"#);
    let (status, lines, _) = reply(&rig.answer(2, "HTTP/1.1 200 OK\ncontent-length: 0\n"));
    assert_eq!((status, header(&lines, "x-tollgate-attempts")), (200, Some("2")));
    rig.end(2);
    let log: Vec<_> = rig.exchange.attempts().collect();
    assert_eq!(log, [(0, AttemptOutcome::Connect), (1, AttemptOutcome::Ok)]);
}

#[test]
fn a_status_moves_on_and_the_last_one_is_passed_through() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    rig.connected(1);
    let did = rig.answer(1, "HTTP/1.1 503 Busy\ncontent-length: 4\n");
    assert_eq!(did[0], Did::Abandon { attempt: 1 });
    assert_eq!(dialled(&did), [("two".into(), false)]);
    rig.connected(2);
    let (status, lines, _) = reply(&rig.answer(2, "HTTP/1.1 429 Slow\ncontent-length: 4\nretry-after: 3\n"));
    assert_eq!((status, header(&lines, "retry-after")), (429, Some("3")));
    assert_eq!(rig.body(2, "oops"), [Did::Body("oops".into())]);
    rig.end(2);
    assert_eq!(rig.exchange.record().rejected, None);
    let log: Vec<_> = rig.exchange.attempts().collect();
    assert_eq!(log, [(0, AttemptOutcome::Status), (1, AttemptOutcome::Status)]);
}

#[test]
fn a_stale_pooled_connection_costs_no_attempt() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"same"}"#);
    rig.connected(1);
    let did = rig.failed(1, UpstreamFault::Closed { reused: true });
    assert_eq!(dialled(&did), [("one".into(), true)]);
    assert_eq!(sent(&rig.connected(2)).1, r#"{"model":"same"}"#);
    let (status, _, body) = reply(&rig.failed(2, UpstreamFault::Closed { reused: false }));
    assert_eq!(status, 502);
    assert!(body.contains("'one'") && body.contains("1 attempt "), "{body}");
}

#[test]
fn when_all_targets_fail_the_answer_says_who_and_how_often() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    rig.failed(1, UpstreamFault::Resolve);
    let (status, lines, body) = reply(&rig.expire());
    assert_eq!(status, 504);
    assert!(
        body.contains(r#""code":"upstream_timeout""#) && body.contains("'two'"),
        "{body}"
    );
    assert!(body.contains("2 attempts"), "{body}");
    assert_eq!(header(&lines, "x-tollgate-attempts"), Some("2"));
    assert_eq!(rig.exchange.record().rejected, Some("upstream_timeout"));
}

#[test]
fn retries_are_bounded_by_configuration() {
    let mut document = document();
    document.models[0].1.retry.attempts = 1;
    let mut rig = Rig::new(document);
    rig.chat(r#"{"model":"gpt"}"#);
    assert_eq!(reply(&rig.failed(1, UpstreamFault::Connect)).0, 502);
}

#[test]
fn the_clients_own_timeout_allows_no_further_attempt() {
    let mut rig = Rig::new(document());
    let head =
        "POST /v1/chat/completions HTTP/1.1\nhost: g\nx-tollgate-timeout: 250ms\nauthorization: Bearer secret-all\n";
    rig.request(head, br#"{"model":"gpt"}"#);
    rig.connected(1);
    assert_eq!(rig.exchange.deadline(), Some(tollgate_engine::Tick(251_000_000)));
    let did = rig.expire();
    assert_eq!(did[0], Did::Abandon { attempt: 1 });
    assert_eq!(reply(&did).0, 504);
}

#[test]
fn first_byte_and_next_byte_have_their_own_limits() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"same"}"#);
    let begun = rig.now;
    assert_eq!(rig.exchange.deadline(), Some(begun.plus_ms(2_000)));
    rig.connected(1);
    assert_eq!(rig.exchange.deadline(), Some(begun.plus_ms(60_000)));
    rig.now = begun.plus_ms(50_000);
    rig.answer(1, "HTTP/1.1 200 OK\ncontent-length: 9\n");
    assert_eq!(rig.exchange.deadline(), Some(begun.plus_ms(80_000)));
    rig.now = begun.plus_ms(70_000);
    rig.body(1, "");
    assert_eq!(rig.exchange.deadline(), Some(begun.plus_ms(100_000)));
    assert_eq!(rig.expire(), [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
    assert_eq!(rig.exchange.record().outcome, Outcome::Cut);
}

#[test]
fn a_client_that_leaves_cancels_its_call() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    rig.connected(1);
    let did = rig.feed(tollgate_engine::Input::ClientGone);
    assert_eq!(did, [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
    let record = rig.exchange.record();
    assert_eq!((record.status, record.outcome), (499, Outcome::ClientGone));
    assert_eq!(
        rig.exchange.attempts().collect::<Vec<_>>(),
        [(0, AttemptOutcome::Cancelled)]
    );
    assert_eq!(rig.feed(tollgate_engine::Input::Timer), []);
}

#[test]
fn a_panic_caught_by_the_shell_becomes_a_500() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt"}"#);
    let did = rig.feed(tollgate_engine::Input::Internal("a bug"));
    assert_eq!(did[0], Did::Abandon { attempt: 1 });
    assert_eq!(reply(&did).0, 500);
}
