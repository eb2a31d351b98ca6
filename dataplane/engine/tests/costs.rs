//! What calls cost: the header of buffered answers, the record of all; when an answer is held back for it, and when not.

mod rig;

use rig::{Did, NOW_UNIX_MS, Rig, document, env, header, key, model, price_list, provider, reply};
use tollgate_config::{
    Document,
    document::Dialect,
    prices::{Class, PriceList, ServiceTier},
};
use tollgate_engine::{
    exchange::UpstreamFault,
    outputs::ReplyFraming,
    record::{Outcome, Record},
};

/// 7 plain, 3 cached, 4 out.
const ANSWER: &str = r#"{"id":"x","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}"#;
/// At 1, 0.10 and 5 dollars for a million: 7 + 0.3 + 20 millionths.
const COST: &str = "0.000027300";

/// USD for a million tokens, in tenths.
fn prices(input: u64, cached: u64, output: u64) -> PriceList {
    let price = |class, tenths| (ServiceTier::Standard, class, tenths * 100_000);
    price_list(&[
        price(Class::Input, input),
        price(Class::CacheRead, cached),
        price(Class::Output, output),
    ])
}

/// The rig's document, where the provider `one` and the Anthropic one have prices and `two` has none.
fn priced() -> Document {
    let mut document = document();
    document.cost_header_buffer_bytes = 1_000;
    document.providers[0].1.prices = prices(10, 1, 50);
    document.providers[2].1.prices = prices(30, 3, 150);
    document
}

fn json_head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {length}\n")
}

const CHUNKED: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";

fn called(model: &str) -> Rig {
    let mut rig = Rig::new(priced());
    rig.chat(&format!(r#"{{"model":"{model}","messages":[]}}"#));
    rig.connected(1);
    rig
}

fn cost(record: &Record<'_>) -> Option<String> {
    record.cost.map(|cost| cost.usd.to_nanos().to_string())
}

#[test]
fn an_answer_in_one_read_says_its_cost_in_the_turn_it_arrives() {
    for name in ["gpt", "same", "one/any-model"] {
        let mut rig = called(name);
        assert_eq!(rig.answer(1, &json_head(ANSWER.len())), [], "the head waits");
        let did = rig.body(1, ANSWER);
        let (status, lines, body) = reply(&did);
        assert_eq!((status, &*body), (200, ANSWER));
        assert_eq!(header(&lines, "x-tollgate-cost-usd"), Some(COST), "{name}");
        assert_eq!(header(&lines, "content-type"), Some("application/json"));
        assert_eq!(header(&lines, "x-request-id").map(str::len), Some(32));
        assert!(
            matches!(did[0], Did::Head { framing: ReplyFraming::Length(length), .. } if length == ANSWER.len() as u64)
        );
        assert_eq!(rig.end(1), [Did::Settle, Did::End]);
        let record = rig.exchange.record();
        assert_eq!(cost(&record).as_deref(), Some(COST));
        assert_eq!(record.response_body_bytes, ANSWER.len() as u64);
    }
}

#[test]
fn an_answer_in_parts_is_held_to_its_end() {
    for head in [json_head(ANSWER.len()), CHUNKED.into()] {
        let mut rig = called("gpt");
        assert_eq!(rig.answer(1, &head), []);
        rig.now = rig.now.plus_ms(70);
        assert_eq!(rig.body(1, &ANSWER[..50]), []);
        assert_eq!(rig.exchange.held_bytes(), 100, "for the client, and to be read");
        rig.now = rig.now.plus_ms(30);
        assert_eq!(rig.body(1, &ANSWER[50..]), []);
        let did = rig.end(1);
        let (status, lines, body) = reply(&did);
        assert_eq!((status, &*body), (200, ANSWER));
        assert_eq!(header(&lines, "x-tollgate-cost-usd"), Some(COST));
        assert_eq!(did[2..], [Did::Settle, Did::End]);
        let record = rig.exchange.record();
        assert_eq!(
            (record.gateway_ns, record.total_ns),
            (0, 100_000_000),
            "the provider's time is its own"
        );
        assert_eq!(record.response_body_bytes, ANSWER.len() as u64);
        assert_eq!(rig.exchange.held_bytes(), 0);
    }
}

#[test]
fn an_answer_beyond_the_buffer_is_not_held() {
    let mut rig = called("gpt");
    let long = format!("{}{ANSWER}", " ".repeat(1_000));
    let (_, lines, _) = reply(&rig.answer(1, &json_head(long.len())));
    assert_eq!(header(&lines, "x-tollgate-cost-usd"), None);
    assert_eq!(rig.body(1, &long), [Did::Body(long.clone())]);
    rig.end(1);
    assert_eq!(
        cost(&rig.exchange.record()).as_deref(),
        Some(COST),
        "the record knows it all the same"
    );

    // Of unknown length: what was held goes out when it is too long.
    let mut rig = called("gpt");
    assert_eq!(rig.answer(1, CHUNKED), []);
    assert_eq!(rig.body(1, &long[..700]), []);
    let did = rig.body(1, &long[700..1_050]);
    let (_, lines, body) = reply(&did);
    assert_eq!((header(&lines, "x-tollgate-cost-usd"), &*body), (None, &long[..1_050]));
    assert_eq!(rig.body(1, &long[1_050..]), [Did::Body(long[1_050..].into())]);
    rig.end(1);
    let record = rig.exchange.record();
    assert_eq!(cost(&record).as_deref(), Some(COST));
    assert_eq!(record.response_body_bytes, long.len() as u64);
}

#[test]
fn without_a_price_nothing_is_held_and_nothing_costs() {
    let mut document = priced();
    document.models.push(model("unpriced", &[("two", "x")]));
    let mut rig = Rig::new(document);
    rig.chat(r#"{"model":"unpriced","messages":[]}"#);
    rig.connected(1);
    let (_, lines, _) = reply(&rig.answer(1, &json_head(ANSWER.len())));
    assert_eq!(header(&lines, "x-tollgate-cost-usd"), None);
    rig.body(1, ANSWER);
    rig.end(1);
    assert_eq!(rig.exchange.record().cost, None, "unknown is not nothing");
}

#[test]
fn a_buffer_of_nothing_holds_nothing() {
    let mut document = priced();
    document.cost_header_buffer_bytes = 0;
    let mut rig = Rig::new(document);
    rig.chat(r#"{"model":"gpt","messages":[]}"#);
    rig.connected(1);
    assert!(matches!(
        &rig.answer(1, &json_head(ANSWER.len()))[..],
        [Did::Head { .. }]
    ));
    rig.body(1, ANSWER);
    rig.end(1);
    assert_eq!(cost(&rig.exchange.record()).as_deref(), Some(COST));
}

#[test]
fn an_answer_without_usage_has_no_cost_and_comes_at_once() {
    let mut rig = called("gpt");
    rig.answer(1, &json_head(2));
    let (_, lines, body) = reply(&rig.body(1, "{}"));
    assert_eq!((header(&lines, "x-tollgate-cost-usd"), &*body), (None, "{}"));
    rig.end(1);
    assert_eq!(rig.exchange.record().cost, None);
}

#[test]
fn errors_of_the_provider_pass_at_once() {
    let mut rig = called("same");
    let head = "HTTP/1.1 400 Bad Request\ncontent-type: application/json\ncontent-length: 2\n";
    assert!(matches!(&rig.answer(1, head)[..], [Did::Head { status: 400, .. }]));
    assert_eq!(rig.body(1, "{}"), [Did::Body("{}".into())]);
    rig.end(1);
    assert_eq!(rig.exchange.record().cost, None);
}

/// What would have been cut is now answered with an error of its own.
#[test]
fn a_held_answer_that_breaks_is_an_error_and_no_torso() {
    let mut rig = called("same");
    rig.answer(1, &json_head(ANSWER.len()));
    rig.body(1, &ANSWER[..50]);
    let did = rig.failed(1, UpstreamFault::Cut);
    let (status, _, body) = reply(&did);
    assert_eq!(status, 502);
    assert!(body.contains("upstream_error"), "{body}");
    assert_eq!(rig.exchange.record().cost, None);

    let mut rig = called("same");
    rig.answer(1, &json_head(ANSWER.len()));
    assert_eq!(reply(&rig.expire()).0, 504, "no byte in time");
}

#[test]
fn a_client_that_leaves_is_not_kept() {
    let mut rig = called("same");
    rig.answer(1, &json_head(ANSWER.len()));
    rig.body(1, &ANSWER[..50]);
    let did = rig.feed(tollgate_engine::Input::ClientGone);
    assert_eq!(did, [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
    let record = rig.exchange.record();
    assert_eq!((record.status, record.outcome), (499, Outcome::ClientGone));
}

#[test]
fn streams_cost_in_the_record_alone() {
    let mut rig = Rig::new(priced());
    rig.messages(r#"{"model":"sonnet","max_tokens":5,"messages":[],"stream":true}"#);
    rig.connected(1);
    let (_, lines, _) = reply(&rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n",
    ));
    assert_eq!(header(&lines, "x-tollgate-cost-usd"), None);
    rig.body(
        1,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n\
         event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\n",
    );
    rig.end(1);
    // 25 × 3 + 15 × 15 millionths.
    assert_eq!(cost(&rig.exchange.record()).as_deref(), Some("0.000300000"));
}

#[test]
fn a_translated_answer_says_its_cost() {
    let mut rig = Rig::new(priced());
    rig.chat(r#"{"model":"sonnet","messages":[{"role":"user","content":"hi"}]}"#);
    rig.connected(1);
    let answer = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"ho"}],"stop_reason":"end_turn","usage":{"input_tokens":25,"output_tokens":15}}"#;
    rig.answer(1, &json_head(answer.len()));
    let mut did = rig.body(1, answer);
    did.extend(rig.end(1));
    let (status, lines, _) = reply(&did);
    assert_eq!(status, 200);
    assert_eq!(header(&lines, "x-tollgate-cost-usd"), Some("0.000300000"));
    assert_eq!(cost(&rig.exchange.record()).as_deref(), Some("0.000300000"));
}

/// The ids in it are sealed on the way, and it is held all the same.
#[test]
fn a_response_with_sealed_ids_says_its_cost() {
    let answer = r#"{"id":"resp_1","object":"response","output":[],"usage":{"input_tokens":10,"output_tokens":4,"total_tokens":14}}"#;
    let mut responses = provider("responses", Dialect::OpenAiResponses);
    responses.1.prices = prices(10, 1, 50);
    let mut rig = Rig::new(Document {
        // What the rig makes of the name is long enough to be a secret.
        id_secret: Some(env("ID_SECRET_OF_THIRTY_TWO_CHARACTERS")),
        providers: vec![responses],
        models: vec![model("gpt", &[("responses", "gpt-5.4")])],
        keys: vec![key("all", &[])],
        ..Document::default()
    });
    for reads in [&[answer][..], &[&answer[..12], &answer[12..]]] {
        let head = "POST /v1/responses HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\n";
        rig.request(head, br#"{"model":"gpt","input":"hi"}"#);
        rig.connected(1);
        assert_eq!(rig.answer(1, &json_head(answer.len())), []);
        let mut did: Vec<Did> = reads.iter().flat_map(|read| rig.body(1, read)).collect();
        did.extend(rig.end(1));
        let (status, lines, body) = reply(&did);
        assert_eq!(status, 200);
        assert_eq!(header(&lines, "x-tollgate-cost-usd"), Some("0.000030000"));
        assert!(!body.contains("\"resp_1\""), "sealed: {body}");
        assert!(body.ends_with(&answer[14..]), "and nothing else changed: {body}");
    }
}

/// Rerank is paid by the search; counting tokens is not paid.
#[test]
fn a_price_for_the_request_needs_no_tokens() {
    let by_request = price_list(&[(ServiceTier::Standard, Class::Request, 2_000_000_000)]);
    let mut cohere = provider("cohere", Dialect::Cohere);
    let mut claude = provider("claude", Dialect::Anthropic);
    (cohere.1.prices, claude.1.prices) = (by_request.clone(), by_request);
    let mut rig = Rig::new(Document {
        providers: vec![cohere, claude],
        models: vec![
            model("rerank", &[("cohere", "rerank-v3.5")]),
            model("sonnet", &[("claude", "s")]),
        ],
        keys: vec![key("all", &[])],
        ..Document::default()
    });
    let head = "POST /v2/rerank HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\n";
    rig.request(head, br#"{"model":"rerank","query":"q","documents":["a"]}"#);
    rig.connected(1);
    rig.answer(1, &json_head(14));
    let (_, lines, _) = reply(&rig.body(1, r#"{"results":[]}"#));
    assert_eq!(header(&lines, "x-tollgate-cost-usd"), Some("0.002000000"));
    rig.end(1);

    let head =
        "POST /v1/messages/count_tokens HTTP/1.1\nhost: gate\nx-api-key: secret-all\nanthropic-version: 2023-06-01\n";
    rig.request(head, br#"{"model":"sonnet","messages":[]}"#);
    rig.connected(1);
    let (_, lines, _) = reply(&rig.answer(1, &json_head(18)));
    assert_eq!(header(&lines, "x-tollgate-cost-usd"), None);
    rig.body(1, r#"{"input_tokens":5}"#);
    rig.end(1);
    assert_eq!(rig.exchange.record().cost, None);
}

/// What routing decides by: known before any call, or by the name that the call brings.
#[test]
fn targets_know_their_model() {
    let mut document = document();
    document.providers[0].1.prices = PriceList::of_section(Some("openai"));
    document.models = vec![
        model("fixed", &[("one", "gpt-5.4")]),
        model("one/*", &[("one", "*")]),
        model("none", &[("two", "gpt-5.4")]),
    ];
    let rig = Rig::new(document);
    let snapshot = &rig.pinned.snapshot;
    for (index, name) in [(0, ""), (1, "gpt-5.4")] {
        let facts = snapshot.facts(index, 0, name).expect("facts");
        assert_eq!(facts.context_window, Some(1_050_000));
        assert!(facts.abilities.tools && facts.abilities.images);
        let price = snapshot.price(index, 0, name, 0).expect("a price");
        assert_eq!(price.prices.picos(0, ServiceTier::Standard, Class::Output), 15_000_000);
    }
    for (index, name) in [(1, "no-such"), (2, ""), (9, "gpt-5.4")] {
        assert!(snapshot.facts(index, 0, name).is_none() && snapshot.price(index, 0, name, 0).is_none());
    }
}

/// Twice the price with priority; the provider may say that it was served otherwise.
#[test]
fn a_service_tier_has_its_price_and_the_answer_knows_which() {
    let mut document = priced();
    document.providers[0].1.prices = price_list(&[
        (ServiceTier::Standard, Class::Input, 1_000_000),
        (ServiceTier::Standard, Class::Output, 5_000_000),
        (ServiceTier::Flex, Class::Input, 500_000),
        (ServiceTier::Flex, Class::Output, 2_500_000),
        (ServiceTier::Priority, Class::Input, 2_000_000),
        (ServiceTier::Priority, Class::Output, 10_000_000),
    ]);
    let mut rig = Rig::new(document);
    for (asked, answered, expected) in [
        ("", "", "0.000030000"),
        (r#","service_tier":"auto""#, "", "0.000030000"),
        (r#","service_tier":"flex""#, r#","service_tier":"flex""#, "0.000015000"),
        (r#","service_tier":"priority""#, "", "0.000060000"),
        (
            r#","service_tier":"priority""#,
            r#","service_tier":"default""#,
            "0.000030000",
        ),
        (r#","messages2":{"service_tier":"priority"}"#, "", "0.000030000"),
    ] {
        rig.chat(&format!(r#"{{"model":"same","messages":[]{asked}}}"#));
        rig.connected(1);
        let answer = format!(r#"{{"usage":{{"prompt_tokens":10,"completion_tokens":4}}{answered}}}"#);
        rig.answer(1, &json_head(answer.len()));
        let (_, lines, _) = reply(&rig.body(1, &answer));
        assert_eq!(
            header(&lines, "x-tollgate-cost-usd"),
            Some(expected),
            "{asked} {answered}"
        );
        rig.end(1);
    }
}

#[test]
fn prices_hold_from_their_date() {
    let mut document = priced();
    let prices = &mut document.providers[0].1.prices;
    let mut later = prices.entries[0].clone();
    later.from_unix_s = NOW_UNIX_MS / 1000 + 1;
    later.patterns = vec![];
    prices.entries.push(later);
    let mut rig = Rig::new(document);
    rig.chat(r#"{"model":"same","messages":[]}"#);
    rig.connected(1);
    rig.answer(1, &json_head(ANSWER.len()));
    let (_, lines, _) = reply(&rig.body(1, ANSWER));
    assert_eq!(
        header(&lines, "x-tollgate-cost-usd"),
        Some(COST),
        "the later ones have not begun"
    );
    let version = rig.exchange.record().cost.expect("a cost").prices;
    let list = &rig.pinned.snapshot.document.providers[0].1.prices;
    let price = list.at("same", NOW_UNIX_MS / 1000).expect("a price");
    assert_eq!(version, price.version());
    assert_eq!(list.at("same", NOW_UNIX_MS / 1000 + 1), None);
}
