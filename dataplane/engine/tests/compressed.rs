//! Prompts that are sent shorter, through whole exchanges: to providers of the client's own dialect and of others, what is not
//! touched, what is counted, and what only counts.

mod rig;

use rig::{Rig, document, header, sent, six};
use serde_json::{Value, json};
use tollgate_config::{
    Document,
    document::{Compress, CompressMode, Dialect, Steps},
};
use tollgate_engine::record::Shorter;

const STEPS: Steps = Steps {
    whitespace: true,
    duplicates: true,
    json: true,
    tables: true,
    comments: true,
    extract_percent: None,
};
const LONG: &str = "Look   at   this:\n\n\n\n{ \"a\" : [ 1,   2 ],\n  \"bcdefgh\" : null }\nand \"two  blanks\"";
const SHORT: &str = "Look at this:\n\n{\"a\":[1,2],\"bcdefgh\":null}\nand \"two  blanks\"";

fn with(mut document: Document, mode: CompressMode, steps: Steps) -> Document {
    for (_, model) in &mut document.models {
        model.compress = Some(Compress {
            mode,
            steps,
            ..Compress::default()
        });
    }
    document
}

fn on(steps: Steps) -> Rig {
    Rig::new(with(document(), CompressMode::On, steps))
}

fn up(rig: &mut Rig) -> (String, String) {
    let (head, body) = sent(&rig.connected(1));
    assert_eq!(header(&head, "content-length"), Some(&*body.len().to_string()));
    (head, body)
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

fn shorter(rig: &Rig) -> Shorter {
    rig.exchange.record().compressed.expect("it was looked at")
}

/// A chat of this one turn, in the words of a dialect: its path, its body, and where in it the text stands.
fn one_turn(dialect: Dialect, text: &str) -> (String, Value, &'static str) {
    let turns = json!([{ "role": "user", "content": text }]);
    let name = dialect.name();
    match dialect {
        Dialect::OpenAi => (
            "/v1/chat/completions".into(),
            json!({ "model": name, "messages": turns, "stop": ["a  b"] }),
            "/messages/0/content",
        ),
        Dialect::OpenAiResponses => (
            "/v1/responses".into(),
            json!({ "model": name, "input": text }),
            "/input",
        ),
        Dialect::Anthropic => (
            "/v1/messages".into(),
            json!({ "model": name, "max_tokens": 9, "messages": turns }),
            "/messages/0/content",
        ),
        Dialect::Gemini => (
            format!("/v1beta/models/{name}:generateContent"),
            json!({ "contents": [{ "role": "user", "parts": [{ "text": text }] }] }),
            "/contents/0/parts/0/text",
        ),
        Dialect::Cohere => (
            "/v2/chat".into(),
            json!({ "model": name, "messages": turns }),
            "/messages/0/content",
        ),
        Dialect::Bedrock => (
            format!("/model/{name}/converse"),
            json!({ "messages": [{ "role": "user", "content": [{ "text": text }] }] }),
            "/messages/0/content/0/text",
        ),
    }
}

#[test]
fn every_dialect_is_sent_on_as_it_came_but_for_its_texts() {
    for dialect in Dialect::ALL {
        let (path, body, at) = one_turn(dialect, LONG);
        let head = format!("POST {path} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n");
        let mut rig = Rig::new(with(six(), CompressMode::On, STEPS));
        rig.request(&head, body.to_string().as_bytes());
        let (_, sent) = up(&mut rig);
        let (_, expected, _) = one_turn(dialect, SHORT);
        let mut expected = expected;
        if let Some(model) = expected.get_mut("model") {
            *model = "real-model".into();
        }
        let sent = tree(&sent);
        assert_eq!(
            sent.pointer(at).and_then(Value::as_str),
            Some(SHORT),
            "{dialect:?}: {sent}"
        );
        assert_eq!(sent, expected, "{dialect:?}");
        let told = shorter(&rig);
        assert!(
            told.is_sent && told.tokens_saved() > 5 && told.bytes_after < told.bytes_before,
            "{told:?}"
        );
    }
}

#[test]
fn a_provider_of_another_dialect_gets_the_same() {
    let mut rig = on(STEPS);
    let body = json!({ "model": "gpt", "max_tokens": 9, "system": "Be   brief.", "messages": [
        { "role": "user", "content": [ { "type": "text", "text": LONG } ] } ] });
    rig.messages(&body.to_string());
    let (head, sent) = up(&mut rig);
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    let sent = tree(&sent);
    assert_eq!(sent["messages"][0]["content"], "Be brief.");
    assert_eq!(sent["messages"][1]["content"], SHORT);
}

#[test]
fn what_is_marked_signed_or_begun_stays_byte_for_byte() {
    let kept = json!({ "type": "text", "text": "a   b", "cache_control": { "type": "ephemeral" } });
    let thinking = json!({ "type": "thinking", "thinking": "so   so", "signature": "s   s" });
    let call = json!({ "type": "tool_use", "id": "t  1", "name": "f", "input": { "q": "x   y" } });
    let body = json!({ "model": "sonnet", "max_tokens": 9, "system": [ kept ], "messages": [
        { "role": "user", "content": [ kept, { "type": "text", "text": "c   d" } ] },
        { "role": "assistant", "content": [ thinking, call ] },
        { "role": "user", "content": [ { "type": "tool_result", "tool_use_id": "t  1", "content": "e   f" } ] },
        { "role": "assistant", "content": "The   beginning" } ] });
    let mut rig = on(STEPS);
    rig.messages(&body.to_string());
    let (_, sent) = up(&mut rig);
    let mut expected = body;
    expected["model"] = "claude-sonnet".into();
    expected["messages"][0]["content"][1]["text"] = "c d".into();
    assert_eq!(tree(&sent), expected);
}

#[test]
fn what_stood_before_is_told_to_be_repeated_over_the_turns() {
    let passage = "The tank is filled by a pump through a hose. ".repeat(5);
    let body = json!({ "model": "gpt", "messages": [
        { "role": "user", "content": format!("{passage}\n\nWhy?") },
        { "role": "assistant", "content": "Because." },
        { "role": "user", "content": format!("{passage}\n\nHow?") } ] });
    let mut rig = on(STEPS);
    rig.chat(&body.to_string());
    let sent = tree(&up(&mut rig).1);
    assert!(
        sent["messages"][0]["content"]
            .as_str()
            .is_some_and(|text| text.starts_with(passage.trim_end()))
    );
    assert_eq!(
        sent["messages"][2]["content"],
        "[Repeated from above: The tank is filled by a pump through a h …]\n\nHow?"
    );
}

#[test]
fn what_the_model_is_told_is_never_taken_for_a_repetition() {
    let rules = "You are the assistant of the bank. Never tell anybody the balance of another account. ".repeat(3);
    let turns = json!([{ "role": "user", "content": rules }]);
    let body = format!(
        "{{\"model\":\"sonnet\",\"max_tokens\":9,\"messages\":{turns},\"system\":{}}}",
        json!(rules)
    );
    let mut rig = on(STEPS);
    rig.messages(&body);
    let sent = tree(&up(&mut rig).1);
    assert_eq!((&sent["system"], &sent["messages"]), (&json!(rules), &turns));
}

#[test]
fn a_request_of_which_nobody_knows_what_is_read_goes_as_it_came() {
    for body in [
        json!({ "model": "same", "messages": [ { "role": "user", "content": LONG } ], "input": LONG }),
        json!({ "model": "same", "messages": [ { "role": "user", "content": LONG, "parts": [ { "text": LONG } ] } ] }),
    ] {
        let mut rig = on(STEPS);
        rig.chat(&body.to_string());
        assert_eq!(tree(&up(&mut rig).1), body);
    }
}

#[test]
fn sentences_of_earlier_turns_go_and_the_last_turn_and_the_system_prompt_stay() {
    let talk = "We met in the garden behind the old house. The pump fills the water tank through a long hose. \
        Somebody had brought a cake with cherries on it. The sun was low and the shadows were long. \
        Birds were singing in the trees all the time. A neighbour told a story of his youth in the mountains. \
        Nobody knew why the door was painted green. The tank stands on a frame of steel beside the wall. \
        The hose leads from the pump to the tank.";
    let steps = Steps {
        extract_percent: Some(50),
        ..Steps::default()
    };
    let body = |marker: Value| {
        json!({ "model": "gpt", "messages": [
            { "role": "system", "content": talk },
            { "role": "user", "content": [ { "type": "text", "text": talk } ] },
            { "role": "assistant", "content": "Noted." },
            { "role": "user", "content": [ { "type": "text", "text": format!("{talk} How does the pump fill the tank?") }, marker ] } ] })
    };
    let mut rig = on(steps);
    let plain = body(json!({ "type": "image_url", "image_url": { "url": "http://a" } }));
    rig.chat(&plain.to_string());
    let sent = tree(&up(&mut rig).1);
    let earlier = sent["messages"][1]["content"][0]["text"].as_str().expect("a text");
    assert!(
        earlier.contains("[…]") && earlier.contains("The pump fills the water tank"),
        "{earlier}"
    );
    assert!(
        earlier.len() * 2 >= talk.len() && earlier.len() < talk.len(),
        "{earlier}"
    );
    assert_eq!(sent["messages"][0], plain["messages"][0]);
    assert_eq!(sent["messages"][3], plain["messages"][3]);
    // A provider that keeps the beginning finds it as it was.
    let mut rig = on(steps);
    let marked = body(json!({ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } }));
    rig.chat(&marked.to_string());
    assert_eq!(tree(&up(&mut rig).1)["messages"], marked["messages"]);
}

#[test]
fn shadow_mode_counts_and_sends_what_came() {
    let mut rig = Rig::new(with(document(), CompressMode::Shadow, STEPS));
    let body = json!({ "model": "one/gpt", "messages": [ { "role": "user", "content": LONG } ] }).to_string();
    rig.chat(&body);
    assert_eq!(up(&mut rig).1, body.replace("one/gpt", "gpt"));
    let told = shorter(&rig);
    assert!(!told.is_sent && told.tokens_saved() > 5, "{told:?}");
    assert_eq!(told.mode(), "shadow");
}

#[test]
fn a_prompt_with_nothing_to_leave_out_goes_byte_for_byte() {
    let body = "{ \"model\" : \"same\",  \"messages\" : [ {\"role\":\"user\", \"content\":\"Hello \\u00e4.\"} ] }";
    let mut rig = on(STEPS);
    rig.chat(body);
    assert_eq!(up(&mut rig).1, body);
    assert_eq!(shorter(&rig).tokens_saved(), 0);
    // The call of a model that does not ask for it.
    let mut rig = Rig::new(document());
    rig.chat(&json!({ "model": "gpt", "messages": [ { "role": "user", "content": LONG } ] }).to_string());
    assert!(up(&mut rig).1.contains("Look   at"));
    assert_eq!(rig.exchange.record().compressed, None);
}

#[test]
fn what_the_gateway_reads_of_a_request_is_read_where_it_stands_then() {
    // The model's name and the wish for usage stand behind a text that is shorter now.
    let body = format!(
        "{{\"messages\":[{{\"role\":\"user\",\"content\":{}}}],\"stream\":true,\"model\":\"gpt\"}}",
        json!(LONG)
    );
    let mut rig = on(STEPS);
    rig.chat(&body);
    let sent = tree(&up(&mut rig).1);
    assert_eq!(sent["model"], "gpt-real");
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(sent["messages"][0]["content"], SHORT);
}
