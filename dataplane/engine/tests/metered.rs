//! Usage of answers that pass untouched, however long they are and however they come: every byte passes, and what was
//! used is known.

mod rig;

use std::io::Write as _;

use rig::{Did, Rig, body_of, six};
use tollgate_config::document::Dialect;
use tollgate_engine::{Exchange, exchange::UpstreamFault, record::Outcome};

const PIECE_BYTES: usize = 16 * 1024;
/// More than is held of anything.
const LONG: usize = 3 * 1024 * 1024;

fn path_of(dialect: Dialect, stream: bool) -> &'static str {
    match (dialect, stream) {
        (Dialect::OpenAi, _) => "/v1/chat/completions",
        (Dialect::OpenAiResponses, _) => "/v1/responses",
        (Dialect::Anthropic, _) => "/v1/messages",
        (Dialect::Gemini, false) => "/v1beta/models/gemini:generateContent",
        (Dialect::Gemini, true) => "/v1beta/models/gemini:streamGenerateContent",
        (Dialect::Cohere, _) => "/v2/chat",
        (Dialect::Bedrock, false) => "/model/bedrock/converse",
        (Dialect::Bedrock, true) => "/model/bedrock/converse-stream",
    }
}

/// A call whose answer begins.
fn called(dialect: Dialect, stream: bool, answer_head: &str) -> Rig {
    let mut rig = Rig::new(six());
    let head = format!(
        "POST {} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n",
        path_of(dialect, stream)
    );
    let body = format!(r#"{{"model":"{}","stream":{stream}}}"#, dialect.name());
    rig.request(&head, body.as_bytes());
    rig.connected(1);
    rig.answer(1, &format!("HTTP/1.1 200 OK\n{answer_head}"));
    rig
}

fn pass(rig: &mut Rig, bytes: &[u8]) -> String {
    let mut passed = String::new();
    for piece in bytes.chunks(PIECE_BYTES) {
        let did = rig.feed(tollgate_engine::Input::UpstreamBody(
            tollgate_engine::outputs::AttemptId(1),
            piece,
        ));
        passed += &body_of(&did);
        assert!(rig.exchange.held_bytes() <= Exchange::max_held_bytes(1024, 0, PIECE_BYTES));
    }
    passed + &body_of(&rig.end(1))
}

fn used(rig: &Rig) -> (Option<u64>, Option<u64>) {
    let usage = rig.exchange.record().usage.unwrap_or_default();
    (usage.input, usage.output)
}

const JSON: &str = "content-type: application/json\ntransfer-encoding: chunked\n";
const EVENTS: &str = "content-type: text/event-stream\ntransfer-encoding: chunked\n";

/// A whole answer in each dialect with this text in it, nine tokens in and two out.
fn answer(dialect: Dialect, text: &str) -> String {
    match dialect {
        Dialect::OpenAi => format!(
            r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],"usage":{{"prompt_tokens":9,"completion_tokens":2}}}}"#
        ),
        Dialect::OpenAiResponses => format!(
            r#"{{"output":[{{"content":[{{"text":"{text}"}}]}}],"usage":{{"input_tokens":9,"output_tokens":2}},"x":[]}}"#
        ),
        Dialect::Anthropic => {
            format!(r#"{{"content":[{{"text":"{text}"}}],"usage":{{"input_tokens":9,"output_tokens":2}}}}"#)
        }
        Dialect::Gemini => format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}}}],"usageMetadata":{{"promptTokenCount":9,"candidatesTokenCount":2}}}}"#
        ),
        Dialect::Cohere => format!(
            r#"{{"message":{{"content":[{{"text":"{text}"}}]}},"usage":{{"tokens":{{"input_tokens":9,"output_tokens":2}}}}}}"#
        ),
        Dialect::Bedrock => format!(
            r#"{{"output":{{"message":{{"content":[{{"text":"{text}"}}]}}}},"usage":{{"inputTokens":9,"outputTokens":2}}}}"#
        ),
    }
}

#[test]
fn whole_answers_of_any_length_are_metered_in_every_dialect() {
    for dialect in Dialect::ALL {
        for length in [10, 100_000, LONG] {
            let answer = answer(dialect, &"a".repeat(length));
            let mut rig = called(dialect, false, JSON);
            assert!(pass(&mut rig, answer.as_bytes()) == answer, "{dialect:?} of {length}");
            assert_eq!(used(&rig), (Some(9), Some(2)), "{dialect:?} of {length}");
        }
    }
}

#[test]
fn a_stream_that_is_one_array_is_metered() {
    let parts: Vec<String> = (0..3000).map(|n| answer(Dialect::Gemini, &format!("]{n}"))).collect();
    for stream in [
        format!("[{}]", parts.join(",\r\n")),
        format!("[{}]", answer(Dialect::Gemini, &"b".repeat(LONG))),
    ] {
        let mut rig = called(Dialect::Gemini, true, JSON);
        assert!(pass(&mut rig, stream.as_bytes()) == stream);
        assert_eq!(used(&rig), (Some(9), Some(2)));
    }
    let mut rig = called(
        Dialect::Gemini,
        true,
        "content-type: application/json\ncontent-length: 120\n",
    );
    assert_eq!(parts[0].len() + 2, 120);
    pass(&mut rig, format!("[{}]", parts[0]).as_bytes());
    assert_eq!(used(&rig), (Some(9), Some(2)));
}

#[test]
fn the_event_that_repeats_the_whole_answer_is_metered_however_long_it_is() {
    let response = answer(Dialect::OpenAiResponses, &"c".repeat(LONG));
    let stream = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"usage\":null}}}}\n\n\
         event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n"
    );
    let mut rig = called(Dialect::OpenAiResponses, true, EVENTS);
    let passed = pass(&mut rig, stream.as_bytes());
    assert_eq!(used(&rig), (Some(9), Some(2)));
    // Sealed or not, all else is as it came.
    let id = passed.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next());
    assert!(passed.replace(id.expect("an id"), "resp_1") == stream);
    assert_eq!(rig.exchange.record().outcome, Outcome::Complete);
}

#[test]
fn events_behind_one_that_was_too_long_are_read_as_ever() {
    let long = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "d".repeat(LONG)
    );
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n";
    let mut rig = called(Dialect::OpenAi, true, EVENTS);
    // What the gateway asked for is taken out of the stream.
    let expected = format!("{long}data: [DONE]\n\n");
    assert!(pass(&mut rig, format!("{long}{usage}data: [DONE]\n\n").as_bytes()) == expected);
    assert_eq!(used(&rig), (Some(9), Some(2)));
}

#[test]
fn a_stream_that_breaks_in_an_event_of_which_half_is_out_is_cut() {
    let mut rig = called(Dialect::OpenAi, true, EVENTS);
    for piece in "e".repeat(LONG).as_bytes().chunks(PIECE_BYTES) {
        rig.body(1, std::str::from_utf8(piece).expect("ASCII"));
    }
    assert_eq!(rig.failed(1, UpstreamFault::Cut), [Did::Settle, Did::Cut]);
}

fn gzip(bytes: &[u8], flush_every: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for part in bytes.chunks(flush_every) {
        encoder
            .write_all(part)
            .and_then(|()| encoder.flush())
            .expect("in memory");
    }
    encoder.finish().expect("in memory")
}

#[test]
fn what_comes_compressed_passes_as_it_is_and_is_metered() {
    let text: String = (0..60_000u32)
        .map(|n| char::from(b'a' + (n.wrapping_mul(n) >> 7) as u8 % 26))
        .collect();
    let whole = answer(Dialect::Anthropic, &text.repeat(30));
    let mut rig = called(Dialect::Anthropic, false, &format!("{JSON}content-encoding: gzip\n"));
    pass(&mut rig, &gzip(whole.as_bytes(), usize::MAX));
    assert_eq!(used(&rig), (Some(9), Some(2)));

    let event = format!("data: {}\n\n", answer(Dialect::OpenAi, &text));
    let mut rig = called(Dialect::OpenAi, true, &format!("{EVENTS}content-encoding: gzip\n"));
    pass(&mut rig, &gzip(event.as_bytes(), 50));
    assert_eq!(used(&rig), (Some(9), Some(2)));

    let brotli = b"\x0b\x09\x80data: {\"a\":\"one\"}\n\n\x70\x01\x08data: {\"a\":\"two\",\"usage\":{\"prompt_tokens\":9}}\n\n\x03";
    let mut rig = called(Dialect::OpenAi, true, &format!("{EVENTS}content-encoding: br\n"));
    pass(&mut rig, brotli);
    assert_eq!(used(&rig), (Some(9), None));
}

#[test]
fn of_a_compressed_stream_nothing_is_held_to_be_read_again() {
    let mut rig = called(Dialect::OpenAi, true, &format!("{EVENTS}content-encoding: gzip\n"));
    let endless = gzip(&[b"data: ".as_slice(), &[b'x'; 4 * LONG]].concat(), 100_000);
    let mut passed = 0;
    for piece in endless.chunks(7) {
        let did = rig.feed(tollgate_engine::Input::UpstreamBody(
            tollgate_engine::outputs::AttemptId(1),
            piece,
        ));
        passed += did.len();
        assert_eq!(rig.exchange.held_bytes(), 0);
    }
    assert!(passed > 1000);
}
