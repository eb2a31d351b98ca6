//! Each dialect's answers, buffered and streamed, right and wrong.

use super::*;
use crate::signed_text::check_words;

fn signed(text: &str) -> String {
    format!("{text} {}", check_words(crc32fast::hash(text.as_bytes())).join(" "))
}

fn buffered(dialect: Dialect, text: &str) -> String {
    match dialect {
        Dialect::OpenAi => format!(
            r#"{{"id":"a","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}}}},{{"message":{{"content":"other"}}}}]}}"#
        ),
        Dialect::OpenAiResponses => format!(
            r#"{{"output":[{{"type":"reasoning","summary":[{{"text":"no"}}]}},{{"type":"message","content":[{{"type":"output_text","text":"{text}"}}]}}]}}"#
        ),
        Dialect::Anthropic => {
            let (first, second) = text.split_at(9);
            format!(
                r#"{{"content":[{{"type":"text","text":"{first}"}},{{"type":"thinking","thinking":"no"}},{{"type":"text","text":"{second}"}}]}}"#
            )
        }
        Dialect::Gemini => {
            format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}},"finishReason":"STOP"}}]}}"#)
        }
        Dialect::Cohere => format!(r#"{{"message":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#),
        Dialect::Bedrock => format!(r#"{{"output":{{"message":{{"content":[{{"text":"{text}"}}]}}}}}}"#),
    }
}

/// The events of a stream: data, and for Bedrock the event's type.
fn events(dialect: Dialect, pieces: &[&str]) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    match dialect {
        Dialect::OpenAi => all.push((
            "",
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#.to_owned(),
        )),
        Dialect::Cohere => all.push((
            "",
            r#"{"type":"content-start","delta":{"message":{"content":{"text":""}}}}"#.to_owned(),
        )),
        Dialect::Anthropic => all.push((
            "",
            r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#.to_owned(),
        )),
        _ => {}
    }
    for piece in pieces {
        all.push(match dialect {
            Dialect::OpenAi => (
                "",
                format!(r#"{{"choices":[{{"delta":{{"content":"{piece}"}},"finish_reason":null}}]}}"#),
            ),
            Dialect::OpenAiResponses => (
                "",
                format!(r#"{{"type":"response.output_text.delta","delta":"{piece}"}}"#),
            ),
            Dialect::Anthropic => (
                "",
                format!(
                    r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{piece}"}}}}"#
                ),
            ),
            Dialect::Gemini => (
                "",
                format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{piece}"}}]}}}}]}}"#),
            ),
            Dialect::Cohere => (
                "",
                format!(r#"{{"type":"content-delta","delta":{{"message":{{"content":{{"text":"{piece}"}}}}}}}}"#),
            ),
            Dialect::Bedrock => ("contentBlockDelta", format!(r#"{{"delta":{{"text":"{piece}"}}}}"#)),
        });
    }
    all.push(match dialect {
        Dialect::OpenAi => ("", "[DONE]".to_owned()),
        Dialect::OpenAiResponses => (
            "",
            r#"{"type":"response.completed","response":{"output":[{"content":[{"text":"all"}]}]}}"#.to_owned(),
        ),
        Dialect::Anthropic => ("", r#"{"type":"message_stop"}"#.to_owned()),
        Dialect::Gemini => ("", r#"{"candidates":[{"finishReason":"STOP"}]}"#.to_owned()),
        Dialect::Cohere => ("", r#"{"type":"message-end"}"#.to_owned()),
        Dialect::Bedrock => ("messageStop", r#"{"stopReason":"end_turn"}"#.to_owned()),
    });
    all
}

fn body(dialect: Dialect, events: &[(&'static str, String)]) -> Vec<u8> {
    let framed = events.iter().map(|(event, data)| match dialect {
        Dialect::Bedrock => messages::tests::message(event, data),
        _ => format!("data: {data}\n\n").into_bytes(),
    });
    framed.collect::<Vec<_>>().concat()
}

fn read(dialect: Dialect, parts: &[&[u8]]) -> (u64, Judgement) {
    let mut content = Content::new();
    content.begin(Expect::Stream(dialect));
    let texts = parts.iter().map(|part| content.feed(part)).sum();
    (texts, content.end(true))
}

#[test]
fn a_buffered_answer_is_verified_in_every_dialect() {
    let right = signed("quiet rain, early mist.");
    for dialect in Dialect::ALL {
        let mut content = Content::new();
        let mut judged = |body: &str| {
            content.begin(Expect::Buffered(dialect));
            content.whole(body.as_bytes(), true)
        };
        let body = buffered(dialect, &right);
        assert_eq!(judged(&body), Judgement::Verified, "{dialect:?}");
        assert_eq!(judged(&body.replace("mist", "lake")), Judgement::Wrong, "{dialect:?}");
        assert_eq!(judged(&body[..body.len() - 1]), Judgement::Wrong, "{dialect:?}");
        assert_eq!(
            judged(&body.replace("quiet", r"\u0071uiet")),
            Judgement::Verified,
            "{dialect:?}"
        );
        assert_eq!(judged(r#"{"id":"no text"}"#), Judgement::Foreign);
        assert_eq!(judged("hello"), Judgement::Foreign);
    }
}

#[test]
fn a_stream_is_verified_in_every_dialect_however_it_is_cut() {
    let text = signed("quiet rain, early mist.");
    let (first, rest) = text.split_at(6);
    for dialect in Dialect::ALL {
        let body = body(dialect, &events(dialect, &[first, "", rest]));
        assert_eq!(read(dialect, &[&body]), (2, Judgement::Verified), "{dialect:?}");
        for cut in 0..body.len() {
            assert_eq!(
                read(dialect, &[&body[..cut], &body[cut..]]),
                (2, Judgement::Verified),
                "{dialect:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_stream_without_its_end_or_with_another_text_is_wrong() {
    let text = signed("quiet rain, early mist.");
    for dialect in Dialect::ALL {
        let all = events(dialect, &[&text]);
        let endless = body(dialect, &all[..all.len() - 1]);
        assert_eq!(read(dialect, &[&endless]), (1, Judgement::Wrong), "{dialect:?}");
        let other = body(dialect, &events(dialect, &[&text[1..]]));
        assert_eq!(read(dialect, &[&other]), (1, Judgement::Wrong), "{dialect:?}");
        let cut = body(dialect, &all);
        assert_eq!(
            read(dialect, &[&cut[..cut.len() - 4]]).1,
            Judgement::Wrong,
            "{dialect:?}"
        );
        assert_eq!(
            read(dialect, &[b"{\"error\":{}}"]),
            (0, Judgement::Wrong),
            "{dialect:?}"
        );
    }
}

#[test]
fn unverified_streams_still_need_their_end() {
    for dialect in Dialect::ALL {
        let mut content = Content::new();
        let all = events(dialect, &["no text of the sandbox, this, at all"]);
        content.begin(Expect::Stream(dialect));
        content.feed(&body(dialect, &all));
        assert_eq!(content.end(false), Judgement::Unverified);
        content.begin(Expect::Stream(dialect));
        content.feed(&body(dialect, &all[..1]));
        assert_eq!(content.end(false), Judgement::Wrong);
    }
}
