//! Answers that are kept: calls at once that share one, streams that come for several, and every form in every dialect.

mod rig;

use rig::{
    Did, Rig, body_of, document, header,
    kept::{ANSWER, CHAT, OTHER, answer_with, assert_hit, cached, is_miss, node, one},
    reply,
    streams::{ask, down, feed, head, read, saying, speaks, two, whole, written},
};
use tollgate_config::document::Dialect;
use tollgate_dialect::canonical::answer::Answer;
use tollgate_engine::{Input, exchange::UpstreamFault};
use tollgate_wire::eventstream;

#[test]
fn identical_calls_under_way_share_one_and_the_waiting_is_the_providers_time() {
    let mut node = node(cached(document(), |_| {}), 4);
    let [first, others @ ..] = &mut node[..] else { panic!() };
    assert!(is_miss(&first.chat(CHAT)));
    for other in others.iter_mut() {
        assert_eq!(other.chat(CHAT), []);
        for _ in 0..5 {
            assert_eq!(other.expire(), []);
        }
    }
    answer_with(first, 200, ANSWER);
    for other in others.iter_mut() {
        let did = other.expire();
        assert_hit(other, &did, ANSWER);
        assert!(other.exchange.record().gateway_ns < 1_000_000);
    }
}

#[test]
fn a_failure_is_not_shared_the_next_leads_and_none_waits_twice() {
    for status in [429, 500] {
        let mut node = node(cached(document(), |_| {}), 4);
        let [first, second, third, fourth] = &mut node[..] else {
            panic!()
        };
        first.chat(CHAT);
        for other in [&mut *second, &mut *third] {
            assert_eq!(other.chat(CHAT), []);
        }
        answer_with(first, status, "{}");
        assert!(is_miss(&second.expire()), "the next leads");
        assert!(is_miss(&third.expire()), "who has waited once goes by itself");
        assert_eq!(fourth.chat(CHAT), [], "who comes new waits for the one that leads");
        answer_with(second, 200, ANSWER);
        let did = fourth.expire();
        assert_hit(fourth, &did, ANSWER);
        let (code, ..) = reply(&answer_with(third, 200, ANSWER));
        assert_eq!(code, 200);
    }
    // And where nobody answered at all, or the code failed.
    for how in 0..2 {
        let mut node = node(cached(document(), |_| {}), 2);
        let [first, second] = &mut node[..] else { panic!() };
        first.chat(CHAT);
        assert_eq!(second.chat(CHAT), []);
        match how {
            0 => _ = first.failed(1, UpstreamFault::Connect),
            _ => _ = first.panic(),
        }
        assert!(is_miss(&second.expire()));
    }
}

#[test]
fn the_call_goes_on_for_others_when_its_client_has_left() {
    let mut node = node(cached(document(), |_| {}), 2);
    let [first, second] = &mut node[..] else { panic!() };
    first.chat(CHAT);
    assert_eq!(second.chat(CHAT), []);
    assert_eq!(first.feed(Input::ClientGone), []);
    let did = answer_with(first, 200, ANSWER);
    assert!(
        did.iter().all(|did| !matches!(did, Did::Head { .. } | Did::Body(_))),
        "{did:?}"
    );
    let did = second.expire();
    assert_hit(second, &did, ANSWER);
    // Without others it ends.
    first.chat(OTHER);
    let did = first.feed(Input::ClientGone);
    assert_eq!(did, [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
    // And so it does when they have left as well.
    first.chat(OTHER);
    second.chat(OTHER);
    assert_eq!(first.feed(Input::ClientGone), []);
    second.feed(Input::ClientGone);
    first.now = first.now.plus_ms(1_500);
    let did = first.feed(Input::Timer);
    assert_eq!(did, [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
}

const CHUNKS: [&str; 4] = [
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hel\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];

fn streaming(body: &str) -> String {
    body.replace("\"model\"", "\"stream\":true,\"model\"")
}

fn begin_stream(rig: &mut Rig) {
    assert!(is_miss(&rig.chat(&streaming(CHAT))));
    rig.connected(1);
    rig.answer(1, &head(Dialect::OpenAi));
}

#[test]
fn a_stream_is_sent_to_all_who_ask_as_it_comes() {
    let mut node = node(cached(document(), |_| {}), 3);
    let [first, second, third] = &mut node[..] else {
        panic!()
    };
    begin_stream(first);
    first.body(1, CHUNKS[0]);
    let did = second.chat(&streaming(CHAT));
    let (_, lines, said) = reply(&did);
    assert_eq!((header(&lines, "x-tollgate-cache"), &*said), (Some("hit"), CHUNKS[0]));
    assert_eq!(header(&lines, "content-type"), Some("text/event-stream"));
    assert_eq!(second.expire(), []);
    first.body(1, CHUNKS[1]);
    assert_eq!(body_of(&second.expire()), CHUNKS[1]);
    assert_eq!(
        body_of(&third.chat(&streaming(CHAT))),
        format!("{}{}", CHUNKS[0], CHUNKS[1])
    );
    // Its own client leaves: it goes on for them.
    let gone = first.feed(Input::ClientGone);
    assert_eq!(gone, []);
    first.body(1, CHUNKS[2]);
    first.body(1, CHUNKS[3]);
    first.end(1);
    for other in [second, third] {
        let did = other.expire();
        assert!(
            body_of(&did).ends_with(CHUNKS[3]) && did.ends_with(&[Did::Settle, Did::End]),
            "{did:?}"
        );
        assert_eq!(other.exchange.record().cache, Some("hit"));
        // And it is kept.
        let did = other.chat(&streaming(CHAT));
        assert_eq!(body_of(&did), CHUNKS.concat());
    }
}

#[test]
fn a_stream_whose_length_is_told_is_shared_and_kept() {
    let mut node = node(cached(document(), |_| {}), 2);
    let [first, second] = &mut node[..] else { panic!() };
    assert!(is_miss(&first.chat(&streaming(CHAT))));
    answers_with_length(first, "text/event-stream; charset=utf-8", CHUNKS.concat().len());
    first.body(1, CHUNKS[0]);
    assert_eq!(body_of(&second.chat(&streaming(CHAT))), CHUNKS[0], "as it comes");
    first.body(1, &CHUNKS[1..].concat());
    first.end(1);
    assert_eq!(body_of(&second.expire()), CHUNKS[1..].concat());
    // As it came, and said anew in the other form.
    assert_eq!(body_of(&second.chat(&streaming(CHAT))), CHUNKS.concat());
    let did = second.chat(CHAT);
    assert!(!is_miss(&did), "{did:?}");
    assert_eq!(text_of(Dialect::OpenAi, false, body_of(&did).as_bytes()), "hello");
    // Who asked for a stream and got a document has that kept.
    assert!(is_miss(&first.chat(&streaming(OTHER))));
    answers_with_length(first, "application/json", ANSWER.len());
    first.body(1, ANSWER);
    first.end(1);
    let did = second.chat(OTHER);
    assert_hit(second, &did, ANSWER);
}

fn answers_with_length(rig: &mut Rig, kind: &str, length: usize) {
    rig.connected(1);
    rig.answer(
        1,
        &format!("HTTP/1.1 200 OK\ncontent-type: {kind}\ncontent-length: {length}\n"),
    );
}

#[test]
fn a_stream_that_breaks_ends_for_all_with_an_error_and_is_not_kept() {
    let mut node = node(cached(document(), |_| {}), 3);
    let [first, second, third] = &mut node[..] else {
        panic!()
    };
    begin_stream(first);
    first.body(1, CHUNKS[0]);
    second.chat(&streaming(CHAT));
    // Another form waits for the whole of it.
    assert_eq!(third.chat(CHAT), []);
    first.failed(1, UpstreamFault::Cut);
    let did = second.expire();
    let said = body_of(&did);
    assert!(
        said.starts_with("data: {\"error\"") && did.ends_with(&[Did::Settle, Did::End]),
        "{did:?}"
    );
    assert!(is_miss(&third.expire()));
}

#[test]
fn a_follower_that_leaves_costs_nobody_anything() {
    let mut node = node(cached(document(), |_| {}), 2);
    let [first, second] = &mut node[..] else { panic!() };
    begin_stream(first);
    first.body(1, CHUNKS[0]);
    second.chat(&streaming(CHAT));
    assert_eq!(second.feed(Input::ClientGone), [Did::Settle, Did::Cut]);
    assert!(second.exchange.record().usage.is_none());
    for chunk in &CHUNKS[1..] {
        first.body(1, chunk);
    }
    first.end(1);
    assert_eq!(body_of(&second.chat(&streaming(CHAT))), CHUNKS.concat());
}

fn text_of(client: Dialect, stream: bool, bytes: &[u8]) -> String {
    if stream {
        let read = read(client, bytes);
        assert!(
            read.ended && !read.failed,
            "{client:?}: {}",
            String::from_utf8_lossy(bytes)
        );
        return read.text();
    }
    let mut answer = Answer::default();
    speaks(client)
        .read_answer(bytes, &mut |event| answer.take(event))
        .unwrap_or_else(|bad| panic!("{client:?}: {bad:?}: {}", String::from_utf8_lossy(bytes)));
    let parts = answer.choices.iter().flat_map(|choice| &choice.parts);
    parts
        .map(|part| part.text().plain().unwrap_or_default().into_owned())
        .collect()
}

#[test]
fn every_dialect_in_either_form_gets_what_was_kept_in_either() {
    for client in Dialect::ALL {
        for target in [client, Dialect::OpenAi, Dialect::Anthropic] {
            for kept_as in [false, true] {
                let document = cached(two(target, |_| {}), |_| {});
                let mut rig = node(document, 1).remove(0);
                assert!(is_miss(&ask(&mut rig, client, kept_as)), "{client:?}");
                rig.connected(1);
                let body = match kept_as {
                    true => {
                        rig.answer(1, &head(target));
                        written(target, &saying("id-1", &["good", " day"])).concat()
                    }
                    false => {
                        let body = whole(target);
                        rig.answer(
                            1,
                            &format!(
                                "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
                                body.len()
                            ),
                        );
                        body
                    }
                };
                let (did, mut first) = feed(&mut rig, 1, &body);
                if !did.contains(&Did::Settle) {
                    rig.end(1);
                    first.extend(down(&rig, &[]));
                }
                for asked in [kept_as, !kept_as] {
                    let did = ask(&mut rig, client, asked);
                    let case = format!("{client:?} of {target:?}, kept streamed: {kept_as}, asked streamed: {asked}");
                    assert!(!is_miss(&did), "{case}: {did:?}");
                    let bytes = down(&rig, &[]);
                    assert_eq!(text_of(client, asked, &bytes), "good day", "{case}");
                    if asked == kept_as {
                        assert_eq!(bytes, first, "{case}: the same bytes");
                    }
                    let (_, lines, _) = reply(&did);
                    let kind = header(&lines, "content-type").unwrap_or_default();
                    let streams = kind.contains("event-stream") || kind.contains("eventstream");
                    assert_eq!(streams, asked, "{case}: {kind}");
                }
            }
        }
    }
}

/// An answer with more than text in it, whole, and what one event of a stream says of the like.
fn with_more(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::OpenAi => (
            r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"audio":{"id":"a","data":"AA==","transcript":"hi"}},"finish_reason":"stop"}]}"#,
            r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"images":[{"type":"image_url"}]},"finish_reason":null}]}"#,
        ),
        Dialect::OpenAiResponses => (
            r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"web_search_call","id":"w","status":"completed"},{"type":"message","id":"m","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}]}"#,
            r#"{"type":"response.output_item.added","output_index":9,"item":{"type":"web_search_call","id":"w","status":"completed"}}"#,
        ),
        Dialect::Anthropic => (
            r#"{"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#,
            "{\"type\":\"content_block_start\",\"index\":9,\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"s\"}}\n\n\
             data: {\"type\":\"content_block_stop\",\"index\":9}",
        ),
        Dialect::Gemini => (
            r#"{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},"finishReason":"STOP"}]}"#,
            r#"{"candidates":[{"index":0,"content":{"role":"model","parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}]}"#,
        ),
        Dialect::Bedrock => (
            r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"},{"image":{"format":"png","source":{"bytes":"AA=="}}}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}"#,
            r#"{"contentBlockIndex":9,"start":{"image":{"format":"png"}}}"#,
        ),
        Dialect::Cohere => (
            r#"{"id":"1","message":{"role":"assistant","content":[{"type":"text","text":"hi"},{"type":"document","document":{}}]},"finish_reason":"COMPLETE"}"#,
            r#"{"type":"content-start","index":9,"delta":{"message":{"content":{"type":"document"}}}}"#,
        ),
    }
}

#[test]
fn what_events_do_not_carry_is_given_as_it_came_or_asked_for_again() {
    for client in Dialect::ALL {
        let (whole, event) = with_more(client);
        for kept_as in [false, true] {
            let case = format!("{client:?}, kept streamed: {kept_as}");
            let mut rig = node(cached(two(client, |_| {}), |_| {}), 1).remove(0);
            assert!(is_miss(&ask(&mut rig, client, kept_as)), "{case}");
            rig.connected(1);
            let body = match kept_as {
                true => {
                    rig.answer(1, &head(client));
                    let mut events = written(client, &saying("id-1", &["good", " day"]));
                    let mut more = Vec::new();
                    match client {
                        Dialect::Bedrock => eventstream::write_event(&mut more, "contentBlockStart", |out| {
                            out.extend_from_slice(event.as_bytes());
                        }),
                        _ => more.extend_from_slice(format!("data: {event}\n\n").as_bytes()),
                    }
                    // Behind its beginning.
                    events.insert(3, more);
                    events.concat()
                }
                false => {
                    let length = whole.len();
                    let head = format!("HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {length}\n");
                    rig.answer(1, &head);
                    whole.into()
                }
            };
            if !feed(&mut rig, 1, &body).0.contains(&Did::Settle) {
                rig.end(1);
            }
            assert!(!is_miss(&ask(&mut rig, client, kept_as)), "{case}");
            assert_eq!(down(&rig, &[]), body, "{case}: the same bytes");
            assert!(
                is_miss(&ask(&mut rig, client, !kept_as)),
                "{case}: it is not said in the other form"
            );
        }
    }
}

#[test]
fn usage_is_told_in_forms_that_have_it_though_the_stream_that_is_kept_has_none() {
    const USAGE: &str = r#""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7"#;
    let mut rig = one(|_| {});
    begin_stream(&mut rig);
    let [said @ .., done] = CHUNKS;
    for chunk in said {
        rig.body(1, chunk);
    }
    // Asked for by the gateway, and taken out of what its client is sent.
    let chunk = r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"#;
    rig.body(1, &format!("data: {chunk}{USAGE}}}}}\n\n"));
    rig.body(1, done);
    rig.end(1);
    let did = rig.chat(&streaming(CHAT));
    assert!(!is_miss(&did) && !body_of(&did).contains("usage"));
    let with_usage = streaming(CHAT).replace("\"model\"", "\"stream_options\":{\"include_usage\":true},\"model\"");
    for (body, streams) in [(&*with_usage, true), (CHAT, false)] {
        let did = rig.chat(body);
        assert!(!is_miss(&did));
        let told = body_of(&did);
        assert_eq!(text_of(Dialect::OpenAi, streams, told.as_bytes()), "hello");
        assert_eq!(told.matches(USAGE).count(), 1, "{told}");
    }
}
