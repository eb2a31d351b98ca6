//! Work that ends behind the call that asked for it: counted once, by whichever way its end is read first, at its price and
//! against the limits of whoever reads it, which only its owner can.

mod rig;

use rig::{Did, Rig, body_of, env, key, model, price_list, provider, sent};
use serde_json::{Value, json};
use tollgate_config::{
    Document,
    document::{Dialect, Limit, LimitMode, Unit, Window},
    money::PicoUsd,
    prices::{Class, PriceList, ServiceTier},
};
use tollgate_engine::{Input, exchange::UpstreamFault, limits};

/// Whatever the model: two dollars for a million tokens of input, eight of output; half of that in a batch.
fn prices() -> PriceList {
    let mut prices = Vec::new();
    for (tier, factor) in [(ServiceTier::Standard, 2), (ServiceTier::Batch, 1)] {
        for (class, dollars) in [(Class::Input, 1), (Class::Output, 4)] {
            prices.push((tier, class, factor * dollars * 1_000_000));
        }
    }
    price_list(&prices)
}

fn document() -> Document {
    let mut gpts = provider("gpts", Dialect::OpenAiResponses);
    gpts.1.prices = prices();
    gpts.1.credentials.push(env("KEY_second"));
    let budget = |unit| Limit {
        unit,
        amount: 1_000_000_000,
        window: Window::Refill {
            per_ms: 60_000,
            burst: 1_000_000_000,
        },
        mode: LimitMode::Enforce,
        hard: false,
        cut: false,
        thresholds: Default::default(),
    };
    let own = |name: &str, team: &str| {
        let mut own = key(name, &[]);
        own.1.team = Some(team.into());
        own.1.batches = true;
        own.1.pass_through = true;
        own.1.limits = vec![budget(Unit::Budget), budget(Unit::Tokens)];
        own
    };
    let mut claude = provider("claude", Dialect::Anthropic);
    claude.1.prices = prices();
    Document {
        max_body_bytes: 1024 * 1024,
        id_secret: Some(env("ID_SECRET_OF_THIRTY_TWO_CHARACTERS")),
        providers: vec![claude, gpts],
        models: vec![
            model("gpt", &[("gpts", "gpt-real")]),
            model("sonnet", &[("claude", "claude-sonnet")]),
        ],
        keys: vec![own("mine", "research"), own("rival", "sales")],
        ..Document::default()
    }
}

/// The calls of one node.
struct Node(Rig);

impl Node {
    fn new() -> Node {
        Node(Rig::new(document()))
    }

    /// A call with this key, answered like this: what came down, which is what went up but for its ids.
    fn call(&mut self, (line, key): (&str, &str), body: &str, (head, answer): (&str, &str)) -> String {
        let rig = &mut self.0;
        let head_up =
            format!("{line} HTTP/1.1\nhost: g\nauthorization: Bearer secret-{key}\ncontent-type: application/json\n");
        rig.request(&head_up, body.as_bytes());
        sent(&rig.connected(1));
        rig.answer(1, head);
        let mut down = String::new();
        for piece in answer.as_bytes().chunks(19) {
            down += &body_of(&rig.body(1, std::str::from_utf8(piece).expect("ASCII")));
        }
        let did = rig.end(1);
        assert_eq!(did.last(), Some(&Did::End), "{line}");
        down + &body_of(&did)
    }

    fn json(&mut self, line: &str, answer: &str) -> Value {
        let down = self.call((line, "mine"), "", (&json_head(answer.len()), answer));
        serde_json::from_str(&down).unwrap_or_else(|bad| panic!("{bad}: {down}"))
    }

    /// What the last call was charged with: input, output, micro-dollars, and whose work it was.
    fn charged(&self) -> Option<(u64, u64, u64)> {
        let record = self.0.exchange.record();
        let usage = record.late.and(record.usage)?;
        Some((
            usage.all_input(),
            usage.all_output(),
            micros(record.cost.map(|cost| cost.usd)),
        ))
    }

    /// Of a limit of the key: how much is used.
    fn used(&mut self, key: &str, unit: Unit) -> u64 {
        let snapshot = self.0.pinned.snapshot.clone();
        let keys = self.0.pinned.keys.clone();
        let balances = &self.0.local.limits.balances;
        let is_keys = |scope: limits::Scope, name: &str| scope.name() == "key" && name == key;
        let all = limits::report((&snapshot, &keys), balances, rig::NOW_UNIX_MS, is_keys);
        let found = all.iter().find(|report| report.limit.unit == unit);
        found.map_or(0, |report| report.level.used)
    }

    /// The caller's batches: what each of the two credentials sees of the account that both belong to.
    fn list(&mut self, page: &str) {
        let rig = &mut self.0;
        rig.get("/v1/batches", "authorization: Bearer secret-mine\n");
        for attempt in 1..=2 {
            rig.connected(attempt);
            rig.answer(attempt, &json_head(page.len()));
            rig.body(attempt, page);
            rig.end(attempt);
        }
    }

    /// A file that was sent, and a batch of it, by their sealed ids.
    fn batch(&mut self, raw: &str) -> String {
        let upload = self.json("POST /v1/uploads", r#"{"id":"upload_1","file":{"id":"file-1"}}"#);
        let order = json!({"input_file_id": upload["file"]["id"], "endpoint": "/v1/responses"}).to_string();
        let made = json!({"id": raw, "status": "validating"}).to_string();
        let down = self.call(("POST /v1/batches", "mine"), &order, (&json_head(made.len()), &made));
        assert_eq!(self.charged(), None);
        let made: Value = serde_json::from_str(&down).expect("JSON");
        made["id"].as_str().expect("an id").to_owned()
    }
}

fn micros(usd: Option<PicoUsd>) -> u64 {
    usd.map_or(0, |usd| (usd.0 / 1_000_000) as u64)
}

fn json_head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {length}\n")
}

const LINES: &str = "HTTP/1.1 200 OK\ncontent-type: application/octet-stream\ntransfer-encoding: chunked\n";
const EVENTS: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";

/// A batch of OpenAI's at its end: thirty tokens in, twelve out.
fn over(raw: &str, output: Option<&str>, tells: bool) -> Value {
    let mut batch = json!({"id": raw, "object": "batch", "status": "completed", "output_file_id": output});
    if tells {
        batch["model"] = "gpt-real".into();
        batch["usage"] = json!({"input_tokens": 30, "output_tokens": 12});
    }
    batch
}

/// The same work as lines of its output, longer than anything is held.
fn output() -> String {
    let line = |input: u64, output: u64, text: &str| {
        json!({"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "body": {
            "id": "c", "model": "gpt-real", "choices": [{"message": {"content": text}}],
            "usage": {"prompt_tokens": input, "completion_tokens": output}}}, "error": null})
        .to_string()
            + "\n"
    };
    let failed = "{\"custom_id\":\"b\",\"response\":null,\"error\":{\"message\":\"no\"}}\n";
    let whole = [&line(20, 2, "short"), failed, &line(10, 10, &"long ".repeat(300_000))].concat();
    // The last line has no end.
    whole.trim_end().to_owned()
}

const CHARGED: Option<(u64, u64, u64)> = Some((30, 12, 30 + 4 * 12));

#[test]
fn a_batch_is_counted_by_its_object_its_output_or_a_list_and_by_one_of_them() {
    type Read = fn(&mut Node, &str, &str);
    let by_object: Read = |node, batch, _| {
        let line = format!("GET /v1/batches/{batch}");
        node.json(&line, &over("batch_1", Some("file-out"), true).to_string());
    };
    let by_cancelling: Read = |node, batch, _| {
        let line = format!("POST /v1/batches/{batch}/cancel");
        node.json(&line, &over("batch_1", Some("file-out"), true).to_string());
    };
    let by_output: Read = |node, _, file| {
        let line = format!("GET /v1/files/{file}/content");
        let lines = output();
        assert_eq!(node.call((&line, "mine"), "", (LINES, &lines)), lines);
    };
    let through: Read = |node, _, _| {
        let answer = over("batch_1", Some("file-out"), true).to_string();
        let line = "GET /providers/gpts/v1/batches/batch_1";
        node.call((line, "mine"), "", (&json_head(answer.len()), &answer));
    };
    let reads = [by_object, by_cancelling, by_output, through];
    for first in 0..reads.len() {
        let mut node = Node::new();
        let batch = node.batch("batch_1");
        // It does not tell what it used, and names its output.
        let line = format!("GET /v1/batches/{batch}");
        let read = node.json(&line, &over("batch_1", Some("file-out"), false).to_string());
        let file = read["output_file_id"].as_str().expect("a file").to_owned();
        assert_eq!(node.charged(), None);
        let before = (node.used("mine", Unit::Budget), node.used("mine", Unit::Tokens));
        reads[first](&mut node, &batch, &file);
        assert_eq!(node.charged(), CHARGED, "way {first}");
        // In nano-dollars; and the limits of nobody else.
        let used = (node.used("mine", Unit::Budget), node.used("mine", Unit::Tokens));
        assert_eq!(used, (before.0 + 78_000, before.1 + 42), "way {first}");
        assert_eq!(node.used("rival", Unit::Budget), 0);
        for (way, again) in reads.iter().enumerate() {
            again(&mut node, &batch, &file);
            assert_eq!(node.charged(), None, "way {way} behind way {first}");
            assert_eq!(node.used("mine", Unit::Budget), before.0 + 78_000);
        }
        let list = json!({"data": [over("batch_1", Some("file-out"), true)], "has_more": false}).to_string();
        node.list(&list);
        assert_eq!(node.0.exchange.listed().count(), 0);
    }
}

#[test]
fn a_list_counts_each_of_its_batches_at_the_model_it_was_for() {
    let mut node = Node::new();
    for raw in ["batch_1", "batch_2", "batch_3"] {
        node.batch(raw);
    }
    let before = node.used("mine", Unit::Budget);
    let mut other = over("batch_2", None, true);
    other["model"] = "gpt-other".into();
    let begun = json!({"id": "batch_3", "status": "in_progress", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let somebody = over("batch_of_somebody", None, true);
    let page = json!({"data": [over("batch_1", None, true), other, begun, somebody], "has_more": false}).to_string();
    let shown = |node: &mut Node| {
        node.list(&page);
        let records = node.0.exchange.listed();
        records
            .map(|record| {
                let late = record.late.expect("a batch");
                assert!(late.batch.is_some_and(|id| id.starts_with("batch_tgt1")), "{late:?}");
                assert_eq!(
                    (record.key, record.team, record.attempts),
                    (Some("mine"), Some("research"), 0)
                );
                let model = record.upstream_model.unwrap_or_default().to_owned();
                (model, micros(record.cost.map(|cost| cost.usd)))
            })
            .collect::<Vec<_>>()
    };
    let mut counted = shown(&mut node);
    counted.sort();
    assert_eq!(counted, [("gpt-other".to_owned(), 78), ("gpt-real".to_owned(), 78)]);
    assert_eq!(node.used("mine", Unit::Budget), before + 2 * 78_000);
    assert_eq!(shown(&mut node), []);
    assert_eq!(node.used("mine", Unit::Budget), before + 2 * 78_000);
}

#[test]
fn part_of_an_answer_counts_nothing_and_what_breaks_off_is_counted_when_it_is_whole() {
    let mut node = Node::new();
    let made = r#"{"id":"msgbatch_7","type":"message_batch"}"#;
    let anthropic =
        |line: &str| format!("{line} HTTP/1.1\nhost: g\nauthorization: Bearer secret-mine\nanthropic-version: 1\n");
    let rig = &mut node.0;
    rig.request(&anthropic("POST /v1/messages/batches"), b"{}");
    rig.connected(1);
    rig.answer(1, &json_head(made.len()));
    let down = body_of(&rig.body(1, made)) + &body_of(&rig.end(1));
    let id = serde_json::from_str::<Value>(&down).expect("JSON")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let results = anthropic(&format!("GET /v1/messages/batches/{id}/results"));
    let line = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"model":"claude-sonnet","usage":{"input_tokens":20,"output_tokens":7}}}}"#;
    let mut read = |head: &str, ends: bool| {
        node.0.request(&results, b"");
        node.0.connected(1);
        node.0.answer(1, head);
        node.0.body(1, line);
        match ends {
            true => node.0.end(1),
            false => node.0.failed(1, UpstreamFault::Cut),
        };
        node.charged()
    };
    let length = line.len();
    let part = format!(
        "HTTP/1.1 206 Partial Content\ncontent-type: text/plain\ncontent-range: bytes 0-9/99\ncontent-length: {length}\n"
    );
    assert_eq!(read(&part, true), None);
    assert_eq!(read(LINES, false), None);
    assert_eq!(read(LINES, true), Some((20, 7, 20 + 4 * 7)));
    assert_eq!(read(LINES, true), None);
}

/// A response in the background: forty tokens in, nine out.
fn response(status: &str, background: bool) -> Value {
    let ended = !matches!(status, "queued" | "in_progress");
    json!({"id": "resp_1", "object": "response", "status": status, "background": background, "model": "gpt-real-2026-01-01",
           "output": [{"type": "message", "content": [{"type": "output_text", "text": "x".repeat(100_000)}]}],
           "usage": if ended { json!({"input_tokens": 40, "output_tokens": 9}) } else { Value::Null }})
}

fn stream_of(status: &str) -> String {
    let event = |kind: &str, status: &str| {
        let data = json!({"type": kind, "response": response(status, true)});
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let delta =
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n";
    [
        &event("response.created", "queued"),
        delta,
        &event("response.completed", status),
    ]
    .concat()
}

const IN_BACKGROUND: &str = r#"{"model":"gpt","input":"hi","background":true}"#;
/// Its edition has no price of its own in the document, and every model has this one.
const RESPONSE: Option<(u64, u64, u64)> = Some((40, 9, 2 * (40 + 4 * 9)));

fn made_in_background(node: &mut Node) -> String {
    let queued = response("queued", true).to_string();
    let down = node.call(
        ("POST /v1/responses", "mine"),
        IN_BACKGROUND,
        (&json_head(queued.len()), &queued),
    );
    let record = node.0.exchange.record();
    assert_eq!(
        (record.usage, record.estimated),
        (None, false),
        "nothing is known of it yet"
    );
    serde_json::from_str::<Value>(&down).expect("JSON")["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[test]
fn a_response_in_the_background_is_counted_when_its_end_is_read() {
    for (status, streamed) in [
        ("completed", false),
        ("failed", false),
        ("incomplete", true),
        ("cancelled", false),
    ] {
        let mut node = Node::new();
        let id = made_in_background(&mut node);
        let line = format!("GET /v1/responses/{id}");
        node.json(&line, &response("in_progress", true).to_string());
        assert_eq!(node.charged(), None);
        let before = (node.used("mine", Unit::Budget), node.used("mine", Unit::Tokens));
        let stream = stream_of(status);
        let whole = response(status, true).to_string();
        let read = |node: &mut Node, streamed: bool| match streamed {
            true => drop(node.call((&format!("{line}?stream=true"), "mine"), "", (EVENTS, &stream))),
            false => drop(node.json(&line, &whole)),
        };
        read(&mut node, streamed);
        assert_eq!(node.charged(), RESPONSE, "{status}");
        assert_eq!(node.0.exchange.record().upstream_model, Some("gpt-real-2026-01-01"));
        let used = (node.used("mine", Unit::Budget), node.used("mine", Unit::Tokens));
        assert_eq!(used, (before.0 + 152_000, before.1 + 49));
        for streamed in [true, false] {
            read(&mut node, streamed);
            assert_eq!(node.charged(), None);
        }
        assert_eq!(node.used("mine", Unit::Budget), before.0 + 152_000);
    }
}

#[test]
fn what_a_call_was_charged_with_already_is_not_counted_when_it_is_read() {
    // One that nobody waited for, whose stream was heard to its end.
    let mut node = Node::new();
    let stream = stream_of("completed");
    let body = r#"{"model":"gpt","input":"hi","background":true,"stream":true}"#;
    let down = node.call(("POST /v1/responses", "mine"), body, (EVENTS, &stream));
    let usage = node.0.exchange.record().usage;
    assert_eq!(
        usage.map(|usage| (usage.all_input(), usage.all_output())),
        Some((40, 9))
    );
    let id = down
        .split("\"id\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("an id");
    let line = format!("GET /v1/responses/{id}");
    node.json(&line, &response("completed", true).to_string());
    assert_eq!(node.charged(), None);
    // One that was waited for.
    let mut node = Node::new();
    let id = made_in_background(&mut node);
    node.json(
        &format!("GET /v1/responses/{id}"),
        &response("completed", false).to_string(),
    );
    assert_eq!(node.charged(), None);
}

#[test]
fn a_stream_in_the_background_that_its_client_leaves_is_counted_by_who_reads_its_end() {
    let mut node = Node::new();
    let rig = &mut node.0;
    let head =
        "POST /v1/responses HTTP/1.1\nhost: g\nauthorization: Bearer secret-mine\ncontent-type: application/json\n";
    rig.request(head, br#"{"model":"gpt","input":"hi","background":true,"stream":true}"#);
    rig.connected(1);
    rig.answer(1, EVENTS);
    let stream = stream_of("completed");
    let (begin, _) = stream.split_once("event: response.completed").expect("an end");
    let down = body_of(&rig.body(1, begin));
    rig.feed(Input::ClientGone);
    let record = node.0.exchange.record();
    assert_eq!((record.usage, record.estimated), (None, false));
    let id = down
        .split("\"id\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("an id")
        .to_owned();
    let line = format!("GET /v1/responses/{id}?stream=true&starting_after=1");
    node.call((&line, "mine"), "", (EVENTS, &stream));
    assert_eq!(node.charged(), RESPONSE);
}
