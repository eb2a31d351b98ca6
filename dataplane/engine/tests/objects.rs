//! Uploads, conversation items, batches and files of both APIs: nobody meets another's; a batch is counted once.

mod rig;

use rig::{Did, Rig, body_of, dialled, env, header, key, model, price_list, provider, reply, sent};
use serde_json::{Value, json};
use tollgate_config::{
    Document,
    document::Dialect,
    money::PicoUsd,
    prices::{Class, PriceList, ServiceTier},
};
use tollgate_engine::{Input, outputs::Rest};

/// Twice as much as for a batch, unless it is one.
fn prices() -> PriceList {
    let mut prices = Vec::new();
    for (tier, factor) in [(ServiceTier::Standard, 2), (ServiceTier::Batch, 1)] {
        for (class, tenths) in [(Class::Input, 10), (Class::CacheRead, 1), (Class::Output, 40)] {
            prices.push((tier, class, factor * tenths * 100_000));
        }
    }
    price_list(&prices)
}

fn rig() -> Rig {
    let mut gpts = provider("gpts", Dialect::OpenAiResponses);
    gpts.1.prices = prices();
    let own = |name: &str, team: &str| {
        let mut own = key(name, &[]);
        own.1.team = Some(team.into());
        own.1.batches = true;
        own
    };
    Rig::new(Document {
        max_body_bytes: 1024 * 1024,
        id_secret: Some(env("ID_SECRET_OF_THIRTY_TWO_CHARACTERS")),
        providers: vec![provider("claude", Dialect::Anthropic), gpts],
        models: vec![
            model("gpt", &[("gpts", "gpt-real")]),
            model("sonnet", &[("claude", "claude-sonnet")]),
        ],
        keys: vec![own("mine", "research"), own("rival", "sales"), key("narrow", &[])],
        ..Document::default()
    })
}

fn head(line: &str, key: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\nhost: g\nauthorization: Bearer secret-{key}\n{more}")
}

const ANTHROPIC: &str = "anthropic-version: 2023-06-01\n";

/// A call with this key, answered with this document: the request that went up, and what came down.
fn call(rig: &mut Rig, (line, key, more): (&str, &str, &str), body: &str, answer: &str) -> (String, String, String) {
    let did = rig.request(&head(line, key, more), body.as_bytes());
    assert_eq!(dialled(&did).len(), 1, "{line}: {did:?}");
    let (up, sent) = sent(&rig.connected(1));
    rig.answer(
        1,
        &format!(
            "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
            answer.len()
        ),
    );
    let mut down = String::new();
    for piece in answer.as_bytes().chunks(11) {
        down += &body_of(&rig.body(1, std::str::from_utf8(piece).expect("ASCII")));
    }
    let did = rig.end(1);
    assert_eq!(did.last(), Some(&Did::End));
    (up, sent, down + &body_of(&did))
}

fn status(rig: &mut Rig, (line, key, more): (&str, &str, &str), body: &str) -> u16 {
    reply(&rig.request(&head(line, key, more), body.as_bytes())).0
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

fn text(tree: &Value) -> String {
    tree.as_str().expect("a text").to_owned()
}

#[test]
fn a_file_is_sent_in_parts() {
    let mut rig = rig();
    let raw = json!({"id": "upload_9", "object": "upload", "status": "pending"}).to_string();
    let (up, _, down) = call(&mut rig, ("POST /v1/uploads", "mine", ""), "{\"bytes\":4}", &raw);
    assert!(up.starts_with("POST /v1/uploads HTTP/1.1\r\n"), "{up}");
    let upload = text(&tree(&down)["id"]);
    assert!(upload.starts_with("upload_tgt1"), "{upload}");

    // A part passes as it comes, and is nobody's to read.
    let line = format!("POST /v1/uploads/{upload}/parts");
    let form = "content-type: multipart/form-data; boundary=b\n";
    rig.begin(
        &head(&line, "mine", &format!("{form}content-length: 5000000\n")),
        b"--b\r\n\"part_ids\":[",
    );
    assert_eq!(rig.feed(Input::Head), [Did::ReadPart]);
    assert_eq!(dialled(&rig.feed(Input::BodyPart)), [("gpts".to_owned(), true)]);
    let did = rig.connected(1);
    let [Did::SendUp { head: up, rest, .. }] = &did[..] else {
        panic!("{did:?}")
    };
    assert!(up.starts_with("POST /v1/uploads/upload_9/parts HTTP/1.1\r\n"), "{up}");
    assert_eq!((header(up, "content-length"), *rest), (Some("5000000"), Rest::Follows));
    rig.feed(Input::BodyPassing(b"rest"));
    rig.feed(Input::BodyPassed);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 44\n",
    );
    let down = body_of(&rig.body(1, r#"{"id":"part_7","upload_id":"upload_9","a":1}"#)) + &body_of(&rig.end(1));
    let part = text(&tree(&down)["id"]);
    assert!(part.starts_with("part_tgt1"), "{part}");
    assert_eq!(tree(&down)["upload_id"], upload.as_str());

    let whole =
        json!({"id": "upload_9", "status": "completed", "file": {"id": "file-3", "object": "file"}}).to_string();
    let line = format!("POST /v1/uploads/{upload}/complete");
    let order = json!({"part_ids": [part, part], "md5": "x"}).to_string();
    let (up, sent, down) = call(&mut rig, (&line, "mine", ""), &order, &whole);
    assert!(
        up.starts_with("POST /v1/uploads/upload_9/complete HTTP/1.1\r\n"),
        "{up}"
    );
    assert_eq!(sent, order.replace(&part, "part_7"));
    let file = text(&tree(&down)["file"]["id"]);
    assert!(file.starts_with("file-tgt1"), "{file}");
    let (up, ..) = call(&mut rig, (&format!("GET /v1/files/{file}"), "mine", ""), "", "{}");
    assert!(up.starts_with("GET /v1/files/file-3 HTTP/1.1\r\n"), "{up}");

    for (line, key, body) in [
        (format!("POST /v1/uploads/{upload}/cancel"), "rival", String::new()),
        (line.clone(), "rival", order.clone()),
        ("POST /v1/uploads/upload_9/cancel".to_owned(), "mine", String::new()),
        (line.clone(), "mine", order.replacen(&part, "part_7", 1)),
    ] {
        assert_eq!(status(&mut rig, (&line, key, ""), &body), 404, "{line} {key} {body}");
    }
}

#[test]
fn an_item_is_found_in_its_conversation() {
    let mut rig = rig();
    let raw = r#"{"id":"conv_5","object":"conversation"}"#;
    let (_, _, down) = call(&mut rig, ("POST /v1/conversations", "mine", ""), "", raw);
    let conversation = text(&tree(&down)["id"]);
    let item = r#"{"id":"msg_2","content":[{"type":"input_file","file_id":"file-3"}]}"#;
    let line = format!("GET /openai/v1/conversations/{conversation}/items/msg_2?include=a");
    let (up, _, down) = call(&mut rig, (&line, "mine", ""), "", item);
    assert!(
        up.starts_with("GET /v1/conversations/conv_5/items/msg_2?include=a HTTP/1.1\r\n"),
        "{up}"
    );
    assert_eq!(tree(&down)["id"], "msg_2");
    assert!(text(&tree(&down)["content"][0]["file_id"]).starts_with("file-tgt1"));
    // Deleting an item answers with its conversation.
    let line = format!("DELETE /v1/conversations/{conversation}/items/msg_2");
    let (up, _, down) = call(&mut rig, (&line, "mine", ""), "", raw);
    assert!(
        up.starts_with("DELETE /v1/conversations/conv_5/items/msg_2 HTTP/1.1\r\n"),
        "{up}"
    );
    assert_eq!(text(&tree(&down)["id"]), conversation);
    for item in ["..", "%2e%2e", "%2e", "a/b", ""] {
        let line = format!("GET /v1/conversations/{conversation}/items/{item}");
        let got = status(&mut rig, (&line, "mine", ""), "");
        assert!(matches!(got, 404 | 501), "{line}: {got}");
    }
    let line = format!("GET /v1/conversations/{conversation}/items/msg_2");
    assert_eq!(status(&mut rig, (&line, "rival", ""), ""), 404);
    // What is a slash to the provider alone is none of its path.
    let line = format!("GET /v1/conversations/{conversation}/items/a%2Fb");
    let (up, ..) = call(&mut rig, (&line, "mine", ""), "", item);
    assert!(
        up.starts_with("GET /v1/conversations/conv_5/items/a%2Fb HTTP/1.1\r\n"),
        "{up}"
    );
}

#[test]
fn anthropics_files_are_their_owners() {
    let mut rig = rig();
    let form =
        format!("{ANTHROPIC}anthropic-beta: files-api-2025-04-14\ncontent-type: multipart/form-data; boundary=b\n");
    let raw = r#"{"id":"file_011","type":"file"}"#;
    let (up, _, down) = call(&mut rig, ("POST /v1/files", "mine", &form), "--b--", raw);
    assert!(up.starts_with("POST /v1/files HTTP/1.1\r\n"), "{up}");
    assert_eq!(header(&up, "anthropic-beta"), Some("files-api-2025-04-14"));
    let file = text(&tree(&down)["id"]);
    assert!(file.starts_with("file_tgt1"), "{file}");

    let ask = |id: &str| {
        json!({"model": "sonnet", "max_tokens": 9, "messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": id}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"file_id": "x"}}]},
        ], "tools": [{"name": "f", "input_schema": {"properties": {"file_id": {"default": "y"}}, "file_id": "z"}}]})
        .to_string()
    };
    let (_, sent, _) = call(&mut rig, ("POST /v1/messages", "mine", ANTHROPIC), &ask(&file), "{}");
    assert_eq!(sent, ask("file_011").replace("\"sonnet\"", "\"claude-sonnet\""));
    let count = "POST /v1/messages/count_tokens";
    let (_, counted, _) = call(&mut rig, (count, "mine", ANTHROPIC), &ask(&file), "{}");
    assert_eq!(counted, sent);
    for (key, id) in [("rival", &*file), ("mine", "file_011")] {
        assert_eq!(status(&mut rig, ("POST /v1/messages", key, ANTHROPIC), &ask(id)), 404);
    }
    for (line, key, expected) in [
        (format!("GET /v1/files/{file}"), "rival", 404),
        (format!("DELETE /anthropic/v1/files/{file}"), "rival", 404),
    ] {
        assert_eq!(status(&mut rig, (&line, key, ANTHROPIC), ""), expected, "{line}");
    }
    let (up, _, down) = call(
        &mut rig,
        (&format!("GET /v1/files/{file}/content"), "mine", ANTHROPIC),
        "",
        raw,
    );
    assert!(
        up.starts_with("GET /v1/files/file_011/content HTTP/1.1\r\n") && down == raw,
        "{up} {down}"
    );
}

const RESULTS: &str = concat!(
    r#"{"custom_id":"a","result":{"type":"succeeded","message":{"model":"claude-sonnet","content":[{"text":"\"usage\""}],"usage":{"input_tokens":20,"cache_read_input_tokens":4,"output_tokens":7}}}}"#,
    "\n",
    r#"{"custom_id":"b","result":{"type":"errored","error":{"type":"api_error"}}}"#,
    "\n",
    r#"{"custom_id":"c","result":{"type":"succeeded","message":{"model":"claude-sonnet","usage":{"input_tokens":1,"output_tokens":2}}}}"#,
);

#[test]
fn a_message_batch_is_its_owners_and_counted_once() {
    let mut rig = rig();
    let made = r#"{"id":"msgbatch_7","type":"message_batch","results_url":null}"#;
    let (up, sent, down) = call(
        &mut rig,
        ("POST /v1/messages/batches", "mine", ANTHROPIC),
        r#"{"requests":[]}"#,
        made,
    );
    assert!(up.starts_with("POST /v1/messages/batches HTTP/1.1\r\n"), "{up}");
    assert_eq!(sent, r#"{"requests":[]}"#);
    let batch = text(&tree(&down)["id"]);
    assert!(batch.starts_with("msgbatch_tgt1"), "{batch}");
    assert_eq!(down, made.replace("msgbatch_7", &batch));

    let line = format!("GET /v1/messages/batches/{batch}");
    let url = "https://api.anthropic.com/v1/messages/batches/msgbatch_7/results";
    let ended = format!(r#"{{"id":"msgbatch_7","results_url":"{url}"}}"#);
    let (_, _, down) = call(&mut rig, (&line, "mine", ANTHROPIC), "", &ended);
    let results = text(&tree(&down)["results_url"]);
    assert_eq!(
        results,
        format!("/v1/messages/batches/{batch}/results"),
        "where the SDKs look for them"
    );

    for counts in [true, false] {
        let (up, _, down) = call(&mut rig, (&format!("GET {results}"), "mine", ANTHROPIC), "", RESULTS);
        assert!(
            up.starts_with("GET /v1/messages/batches/msgbatch_7/results HTTP/1.1\r\n"),
            "{up}"
        );
        assert_eq!(down, RESULTS);
        let record = rig.exchange.record();
        let used = record.usage.map(|usage| (usage.input, usage.cache_read, usage.output));
        assert_eq!(used, counts.then_some((Some(21), Some(4), Some(9))));
        assert_eq!(record.late.and_then(|late| late.batch), counts.then_some(&*batch));
        assert_eq!(record.upstream_model, counts.then_some("claude-sonnet"));
    }
    for (line, key) in [
        (format!("GET {results}"), "rival"),
        (format!("POST /v1/messages/batches/{batch}/cancel"), "rival"),
        (format!("DELETE /v1/messages/batches/{batch}"), "rival"),
        ("GET /v1/messages/batches/msgbatch_7".to_owned(), "mine"),
    ] {
        assert_eq!(status(&mut rig, (&line, key, ANTHROPIC), ""), 404, "{line} {key}");
    }
    let batches = "POST /v1/messages/batches";
    assert_eq!(status(&mut rig, (batches, "narrow", ANTHROPIC), "{}"), 403);
    let list = "GET /v1/messages/batches";
    assert_eq!(status(&mut rig, (list, "narrow", ANTHROPIC), ""), 403);
}

#[test]
fn a_batch_counts_when_it_is_over_and_of_several_models_without_a_name() {
    let mut rig = rig();
    let (_, _, down) = call(
        &mut rig,
        ("POST /v1/uploads", "mine", ""),
        "{}",
        r#"{"id":"upload_1","file":{"id":"file-1"}}"#,
    );
    let file = text(&tree(&down)["file"]["id"]);
    let order = json!({"input_file_id": file, "endpoint": "/v1/chat/completions"}).to_string();
    let (_, _, down) = call(
        &mut rig,
        ("POST /v1/batches", "mine", ""),
        &order,
        r#"{"id":"batch_1","status":"validating"}"#,
    );
    let batch = text(&tree(&down)["id"]);
    let line = format!("GET /v1/batches/{batch}");
    let used = r#","model":"gpt-real","usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":10},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":2}}}"#;
    for (status, counts) in [("in_progress", false), ("expired", true), ("expired", false)] {
        let answer = format!(r#"{{"id":"batch_1","status":"{status}"{used}"#);
        call(&mut rig, (&line, "mine", ""), "", &answer);
        let record = rig.exchange.record();
        assert_eq!(
            record.late.and_then(|late| late.batch),
            counts.then_some(&*batch),
            "{status}"
        );
        let used = record
            .usage
            .map(|usage| (usage.input, usage.cache_read, usage.output, usage.reasoning));
        assert_eq!(used, counts.then_some((Some(20), Some(10), Some(10), Some(2))));
        assert_eq!(record.upstream_model, counts.then_some("gpt-real"));
        // At a batch's price: one dollar for a million tokens of input, a tenth of it cached, and four of output.
        let micro_usd = 20 + 1 + 4 * (10 + 2);
        let cost = record.cost.map(|cost| cost.usd);
        assert_eq!(cost, counts.then_some(PicoUsd(micro_usd * 1_000_000)), "{status}");
    }

    let made = r#"{"id":"msgbatch_8","type":"message_batch"}"#;
    let (_, _, down) = call(&mut rig, ("POST /v1/messages/batches", "mine", ANTHROPIC), "{}", made);
    let line = format!("GET /v1/messages/batches/{}/results", text(&tree(&down)["id"]));
    call(
        &mut rig,
        (&line, "mine", ANTHROPIC),
        "",
        &RESULTS.replacen("claude-sonnet", "claude-opus", 1),
    );
    let record = rig.exchange.record();
    assert_eq!(record.usage.and_then(|usage| usage.output), Some(9));
    assert_eq!(record.upstream_model, None);
}
