//! Providers that never stop saying something: whatever it is, nobody holds more of it than the bound that the error names.

use tollgate_dialect::{
    ALL,
    canonical::bad::BadAnswer,
    speak::{CallFacts, Speaks},
    translate::{Answering, Delivery},
};

fn named(name: &str) -> &'static dyn Speaks {
    ALL.into_iter().find(|(known, _)| *known == name).expect("a dialect").1
}

fn answering(provider: &'static dyn Speaks, client: &'static dyn Speaks, delivery: Delivery) -> Answering {
    let call = CallFacts {
        request_id: "1".into(),
        model: "m".into(),
        now_unix_s: 1,
        stream_usage: true,
        as_array: false,
    };
    Answering::new((provider, "p", None), (client, call), "m", true, delivery, true)
}

/// Feeds a beginning, and then one thing again and again (its number in place of `#`) until it is too much.
fn endless(answering: &mut Answering, begin: &str, again: &str) -> BadAnswer {
    const MAX_FED_BYTES: usize = 400 << 20;
    let mut out = Vec::new();
    answering.feed(begin.as_bytes(), &mut out).expect("so far all is well");
    let mut fed = 0;
    for number in 0.. {
        let text = again.replace('#', &format!("{number}"));
        fed += text.len();
        assert!(fed < MAX_FED_BYTES, "{again:.200} had no end");
        out.clear();
        if let Err(bad) = answering.feed(text.as_bytes(), &mut out) {
            return bad;
        }
    }
    unreachable!("numbers have no end")
}

struct Hostile {
    provider: &'static str,
    begin: String,
    again: String,
}

const MESSAGE: &str = "data: {\"type\":\"message_start\",\"message\":{}}\n\n";

fn block(index: &str, block: &str) -> String {
    format!("data: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}\n\n")
}

fn delta(delta: &str) -> String {
    format!("data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n")
}

fn chat(delta: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n")
}

fn hostile() -> Vec<(&'static str, Hostile)> {
    let long = "x".repeat(200_000);
    let anthropic = |begin: String, again: String| Hostile {
        provider: "anthropic",
        begin: format!("{MESSAGE}{begin}"),
        again,
    };
    let openai = |again: String| Hostile {
        provider: "openai",
        begin: String::new(),
        again,
    };
    let tool = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
    let citation =
        r#"{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"u","cited_text":"c"}}"#;
    let tiny = block("#", r#"{"type":"text","text":"a"}"#) + "data: {\"type\":\"content_block_stop\",\"index\":#}\n\n";
    vec![
        ("tiny parts", anthropic(String::new(), tiny)),
        (
            "arguments",
            anthropic(
                block("0", tool),
                delta(&format!(r#"{{"type":"input_json_delta","partial_json":"{long}"}}"#)),
            ),
        ),
        (
            "citations",
            anthropic(block("0", r#"{"type":"text","text":"a"}"#), delta(citation)),
        ),
        (
            "names",
            openai(chat(&format!(
                r##"{{"tool_calls":[{{"index":#,"id":"#","function":{{"name":"{long}","arguments":"{{}}"}}}}]}}"##
            ))),
        ),
        (
            "ids",
            openai(chat(&format!(
                r#"{{"tool_calls":[{{"index":#,"id":"{long}#","function":{{"name":"f"}}}}]}}"#
            ))),
        ),
        (
            "nameless arguments",
            openai(chat(
                r#"{"tool_calls":[{"index":#,"function":{"arguments":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}]}"#,
            )),
        ),
        (
            "probabilities",
            openai(format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"a\"}},\"logprobs\":{{\"content\":[{}]}}}}]}}\n\n",
                [r#"{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}"#; 200].join(",")
            )),
        ),
        (
            "sources",
            Hostile {
                provider: "gemini",
                begin: String::new(),
                again: format!(
                    "data: {{\"candidates\":[{{\"index\":#,\"content\":{{\"parts\":[{{\"text\":\"a\"}}]}},\"groundingMetadata\":{{\"x\":\"{long}{long}\"}}}}]}}\n\n"
                ),
            },
        ),
    ]
}

/// What is tried on an answer that is gathered whole; the rest on streams.
const GATHERED: [&str; 2] = ["names", "ids"];

/// The clients take turns: what bounds an answer knows none of them.
#[test]
fn what_never_ends_is_too_long_for_every_client() {
    let streamed = hostile().into_iter().filter(|(what, _)| !GATHERED.contains(what));
    for ((what, hostile), (client, speaks)) in streamed.zip(ALL.into_iter().cycle()) {
        let mut answering = answering(named(hostile.provider), speaks, Delivery::Streamed);
        let bad = endless(&mut answering, &hostile.begin, &hostile.again);
        let bounds = ["MiB", "KiB", "than a gateway holds", "than any provider gives"];
        assert!(
            bounds.iter().any(|bound| bad.reason.contains(bound)),
            "{what} for {client}: {bad}"
        );
    }
}

#[test]
fn what_never_ends_is_too_long_to_be_gathered() {
    for (what, hostile) in hostile() {
        if !GATHERED.contains(&what) {
            continue;
        }
        let mut answering = answering(named(hostile.provider), named("openai"), Delivery::Buffered);
        let bad = endless(&mut answering, &hostile.begin, &hostile.again);
        assert!(
            bad.reason.contains("32 MiB") || bad.reason.contains("256 KiB"),
            "{what}: {bad}"
        );
        assert!(
            answering.held_bytes() <= 33 << 20,
            "{what} held {}",
            answering.held_bytes()
        );
    }
}

#[test]
fn an_honest_long_answer_is_none_of_these() {
    let word = chat(r#"{"content":" word"}"#);
    for (client, speaks) in ALL {
        for delivery in [Delivery::Streamed, Delivery::Buffered] {
            let mut answering = answering(named("openai"), speaks, delivery);
            let mut out = Vec::new();
            for _ in 0..20 {
                answering
                    .feed(word.repeat(1000).as_bytes(), &mut out)
                    .unwrap_or_else(|bad| panic!("{client}: {bad}"));
            }
            let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
            answering
                .feed(end.as_bytes(), &mut out)
                .unwrap_or_else(|bad| panic!("{client}: {bad}"));
            assert!(answering.has_ended() && answering.end(&mut out) == Ok(None), "{client}");
        }
    }
}
