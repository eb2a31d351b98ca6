//! Calls that are made again with a shorter prompt, to compare what is answered.

mod rig;

use rig::{Did, Rig, chat_answer, dialled, document, sent_messages};
use tollgate_config::document::{Compress, CompressMode, Steps};
use tollgate_engine::{Input, record::Agreement};

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n";

/// `gpt` in shadow mode, each call of which is made again.
fn comparing() -> Rig {
    let mut document = document();
    document.models[0].1.compress = Some(Compress {
        mode: CompressMode::Shadow,
        steps: Steps {
            whitespace: true,
            ..Steps::default()
        },
        summarize: None,
        compare_percent: Some(100),
    });
    Rig::new(document)
}

const BLANKS: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"What   is   a   pump?"}]}"#;

fn again(call: &mut Rig) -> Rig {
    let mut again = Rig::sharing(call.pinned.clone());
    again.begin(HEAD, BLANKS.as_bytes());
    assert!(again.exchange.begin_again(&mut call.exchange, again.now));
    again
}

#[test]
fn a_call_is_made_again_with_the_shorter_prompt_and_the_answers_are_compared() {
    for (first, second, agreement) in [
        ("A pump moves water.", "a pump  moves water.", Agreement::Same),
        ("A pump moves water.", "A pump moves the water.", Agreement::Alike),
        (
            "A pump moves water.",
            "I am sorry, but taxes are due in April.",
            Agreement::Other,
        ),
    ] {
        let mut call = comparing();
        let did = call.request(HEAD, BLANKS.as_bytes());
        assert_eq!(dialled(&did).len(), 1);
        assert!(
            sent_messages(&call.connected(1))[0]["content"]
                .as_str()
                .is_some_and(|text| text.contains("   "))
        );
        let did = call.whole_answer(200, &chat_answer(first, "stop"));
        let place = |wanted: &Did| did.iter().position(|did| did == wanted);
        assert!(
            place(&Did::Compare).is_some() && place(&Did::Compare) < place(&Did::Settle),
            "{did:?}"
        );
        let mut again = again(&mut call);
        assert_eq!(dialled(&again.feed(Input::Body)).len(), 1);
        assert_eq!(sent_messages(&again.connected(1))[0]["content"], "What is a pump?");
        let did = again.whole_answer(200, &chat_answer(second, "stop"));
        assert!(!did.contains(&Did::Compare), "{did:?}");
        let record = again.exchange.record();
        assert_eq!(
            record.agreed.map(|agreed| agreed.agreement),
            Some(agreement),
            "{second}"
        );
        assert_eq!((record.shadow, record.key), (true, None));
        assert_eq!(record.usage.and_then(|usage| usage.input), Some(900));
        assert_eq!(call.exchange.record().agreed, None);
    }
}

fn agreement(rig: &Rig) -> Option<Agreement> {
    rig.exchange.record().agreed.map(|agreed| agreed.agreement)
}

#[test]
fn streams_are_compared_and_what_failed_is_not() {
    let streamed = BLANKS.replace("\"model\"", "\"stream\":true,\"model\"");
    let event = r#"data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
    let stream = format!("{event}\n\ndata: [DONE]\n\n");
    let chunked = "transfer-encoding: chunked\n".to_owned();
    let of_length = format!("content-length: {}\n", stream.len());
    // How a stream is framed says nothing of what it is.
    for [first, second] in [[&chunked, &chunked], [&of_length, &of_length], [&chunked, &of_length]] {
        let answer_with = |rig: &mut Rig, framing: &str| {
            rig.answer(
                1,
                &format!("HTTP/1.1 200 OK\ncontent-type: text/event-stream\n{framing}"),
            );
            let mut did = rig.body(1, &stream);
            did.extend(rig.end(1));
            did
        };
        let mut call = comparing();
        call.request(HEAD, streamed.as_bytes());
        call.connected(1);
        assert!(answer_with(&mut call, first).contains(&Did::Compare));
        let mut again = again(&mut call);
        again.feed(Input::Body);
        again.connected(1);
        answer_with(&mut again, second);
        assert_eq!(agreement(&again), Some(Agreement::Same));
    }
    // What cannot be read is counted as that, and so is what failed.
    for (status, body) in [(200, "{}"), (500, "{}")] {
        let mut call = comparing();
        call.request(HEAD, BLANKS.as_bytes());
        call.connected(1);
        call.whole_answer(200, &chat_answer("A pump.", "stop"));
        let mut again = again(&mut call);
        again.feed(Input::Body);
        again.connected(1);
        again.whole_answer(status, body);
        assert_eq!(agreement(&again), Some(Agreement::Unread));
    }

    let mut call = comparing();
    call.request(HEAD, BLANKS.as_bytes());
    call.connected(1);
    let did = call.whole_answer(400, "{}");
    assert!(!did.contains(&Did::Compare), "{did:?}");
    // Nothing to leave out, nothing to compare.
    let mut call = comparing();
    call.request(HEAD, BLANKS.replace("   ", " ").as_bytes());
    call.connected(1);
    let did = call.whole_answer(200, &chat_answer("yes", "stop"));
    assert!(!did.contains(&Did::Compare), "{did:?}");
}
