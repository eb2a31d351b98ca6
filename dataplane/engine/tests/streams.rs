//! Streams: whole events pass in the turn they come, usage is read beside them, a break is told in the dialect.

mod rig;

use rig::{Did, Rig, body_of, document, reply, sent};
use tollgate_engine::{Tick, exchange::UpstreamFault, outputs::ReplyFraming, record::Outcome};

const HEAD: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream; charset=utf-8\ntransfer-encoding: chunked\n";

/// A stream for a client that asked for usage, and what is left of it for one that did not.
const ASKED: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n\
: ping\n\n\
data: {\"usage\":null,\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\r\n\r\n\
data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n\
data: [DONE]\n\n";
const STRIPPED: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
: ping\n\n\
data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\r\n\r\n\
data: [DONE]\n\n";

fn streaming(body: &str) -> Rig {
    let mut rig = Rig::new(document());
    rig.chat(body);
    rig.connected(1);
    let did = rig.answer(1, HEAD);
    assert!(matches!(
        did[..],
        [Did::Head {
            status: 200,
            framing: ReplyFraming::Stream,
            ..
        }]
    ));
    rig
}

fn pass(rig: &mut Rig, text: &str, cut_every: usize) -> String {
    let mut all = String::new();
    for part in text.as_bytes().chunks(cut_every) {
        all += &body_of(&rig.body(1, std::str::from_utf8(part).expect("ASCII")));
    }
    all += &body_of(&rig.end(1));
    all
}

#[test]
fn what_asking_for_usage_adds_is_taken_out_however_the_stream_is_cut() {
    for cut_every in [1, 2, 3, 7, 50, 4096] {
        let mut rig = streaming(r#"{"model":"same","stream":true}"#);
        assert_eq!(pass(&mut rig, ASKED, cut_every), STRIPPED, "cut every {cut_every}");
        let record = rig.exchange.record();
        let usage = record.usage.expect("usage");
        assert_eq!((usage.input, usage.output, record.streamed), (Some(9), Some(2), true));
        assert_eq!(record.response_body_bytes, STRIPPED.len() as u64);
    }
}

#[test]
fn a_client_that_asked_gets_every_byte() {
    for cut_every in [1, 13, 4096] {
        let mut rig = streaming(r#"{"model":"same","stream":true,"stream_options":{"include_usage":true}}"#);
        assert_eq!(pass(&mut rig, ASKED, cut_every), ASKED);
        assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(2));
    }
}

#[test]
fn usage_is_asked_for_wherever_the_client_left_it_open() {
    for (asked, sent_up) in [
        (
            r#"{"stream": true ,"model":"same"}"#,
            r#"{"stream": true,"stream_options":{"include_usage":true} ,"model":"same"}"#,
        ),
        (
            r#"{"stream":true,"model":"gpt","stream_options":{ }}"#,
            r#"{"stream":true,"model":"gpt-real","stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"x":1},"model":"gpt"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"x":1},"model":"gpt-real"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":false},"model":"same"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true},"model":"same"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":null,"model":"same"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true},"model":"same"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":7,"model":"same"}"#,
            r#"{"stream":true,"stream_options":7,"model":"same"}"#,
        ),
        (
            r#"{"stream":false,"model":"same"}"#,
            r#"{"stream":false,"model":"same"}"#,
        ),
    ] {
        let mut rig = Rig::new(document());
        rig.chat(asked);
        let (head, body) = sent(&rig.connected(1));
        assert_eq!(body, sent_up);
        assert_eq!(rig::header(&head, "content-length"), Some(&*body.len().to_string()));
    }
}

#[test]
fn a_provider_that_may_not_be_asked_is_not() {
    let mut document = document();
    document.providers[0].1.may_ask_stream_usage = false;
    let mut rig = Rig::new(document);
    rig.chat(r#"{"stream":true,"model":"same"}"#);
    assert_eq!(sent(&rig.connected(1)).1, r#"{"stream":true,"model":"same"}"#);
    rig.answer(1, HEAD);
    assert_eq!(body_of(&rig.body(1, ASKED)), ASKED);
}

#[test]
fn a_broken_stream_ends_with_an_error_event_and_no_half_event() {
    let mut rig = streaming(r#"{"model":"same","stream":true}"#);
    assert_eq!(
        body_of(&rig.body(1, "data: {\"a\":1}\n\ndata: {\"b\"")),
        "data: {\"a\":1}\n\n"
    );
    let did = rig.failed(1, UpstreamFault::Cut);
    assert_eq!(did[1..], [Did::Settle, Did::End]);
    let event = body_of(&did);
    assert!(
        event.starts_with("data: {\"error\":{\"message\":\"The provider 'one' failed"),
        "{event}"
    );
    assert!(event.ends_with("}\n\n"));
    assert_eq!(rig.exchange.record().outcome, Outcome::Cut);
}

#[test]
fn an_anthropic_stream_breaks_in_its_own_words() {
    let mut rig = Rig::new(document());
    rig.messages(r#"{"model":"sonnet","stream":true}"#);
    rig.connected(1);
    rig.answer(1, HEAD);
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\
                 \"cache_read_input_tokens\":2,\"output_tokens\":1}}}\n\n";
    let delta = "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":8}}\n\n";
    rig.now = Tick(rig.now.0 + 5_000);
    assert_eq!(body_of(&rig.body(1, start)), start);
    assert_eq!(body_of(&rig.body(1, delta)), delta);
    // Half of its time it is told that it is not forgotten.
    assert_eq!(
        rig.expire(),
        [Did::Body("event: ping\ndata: {\"type\": \"ping\"}\n\n".into())]
    );
    let did = rig.expire();
    let abandoned = did.iter().position(|did| *did == Did::Abandon { attempt: 1 });
    let event = body_of(&did[abandoned.expect("it is given up")..]);
    assert!(
        event.starts_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\""),
        "{event}"
    );
    let record = rig.exchange.record();
    let usage = record.usage.expect("usage");
    assert_eq!(
        (usage.input, usage.cache_read, usage.output),
        (Some(5), Some(2), Some(8))
    );
    assert_eq!(record.first_token_ns, Some(5_000));
}

#[test]
fn a_stream_of_known_length_that_breaks_is_cut() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"same","stream":true,"stream_options":{"include_usage":true}}"#);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ncontent-length: 100\n",
    );
    assert_eq!(rig.failed(1, UpstreamFault::Cut), [Did::Settle, Did::Cut]);
}

#[test]
fn an_error_answer_to_a_streaming_call_passes_as_it_is() {
    let mut rig = Rig::new(document());
    rig.chat(r#"{"model":"gpt","stream":true}"#);
    rig.connected(1);
    let did = rig.answer(
        1,
        "HTTP/1.1 400 Bad\ncontent-type: application/json\ncontent-length: 4\n",
    );
    assert_eq!(reply(&did).0, 400);
    assert_eq!(body_of(&rig.body(1, "nope")), "nope");
    assert_eq!(rig.end(1), [Did::Settle, Did::End]);
}

#[test]
fn an_untouched_stream_is_one_piece_of_the_input() {
    let mut rig = streaming(r#"{"model":"same","stream":true,"stream_options":{"include_usage":true}}"#);
    rig.body(1, ASKED);
    assert_eq!(rig.out.pieces, [tollgate_engine::Piece::Input(0..ASKED.len() as u32)]);
    assert!(rig.out.arena.is_empty());
}
