//! Guards on topics, through whole exchanges: prompts that are refused, answers that are not told, whole and as streams, in all
//! six dialects; what only counts; and what happens when there is nothing to judge with.

mod rig;

use rig::{
    Did, Rig, body_of, document, reply, sent,
    streams::{ask, down, feed, head, read, saying, two, whole, written},
};
use serde_json::{Value, json};
use tollgate_config::{
    Document,
    document::{Dialect, Guard, GuardMode, GuardSides, Reference},
};
use tollgate_engine::{
    Input,
    exchange::UpstreamFault,
    record::{AttemptOutcome, Outcome},
};

const LAYOFFS: [&str; 2] = ["who will be laid off", "severance plans"];
const DENIED: &str = "Our severance plans are generous.";

fn guard(mode: GuardMode) -> Guard {
    Guard {
        deny: vec![("layoffs".to_owned(), LAYOFFS.map(str::to_owned).to_vec())],
        allow: Vec::new(),
        threshold_thousandths: Guard::THRESHOLD_THOUSANDTHS,
        mode,
        on: GuardSides {
            request: true,
            response: true,
        },
    }
}

fn guarded(mut document: Document, guard: Guard) -> Document {
    document.guards = vec![("hush".to_owned(), guard)];
    for (_, model) in &mut document.models {
        model.guards = vec!["hush".to_owned()];
    }
    document
}

fn chat(prompt: &str) -> String {
    json!({ "model": "gpt", "messages": [ { "role": "user", "content": prompt } ] }).to_string()
}

/// What was counted: guard, topic and what became of it.
fn found(rig: &Rig) -> Vec<(String, String, &'static str)> {
    let findings = rig.exchange.record().findings.iter();
    let told = findings.map(|finding| {
        (
            finding.guard().to_owned(),
            finding.entity().to_owned(),
            finding.action(),
        )
    });
    told.collect()
}

fn layoffs(action: &'static str) -> Vec<(String, String, &'static str)> {
    vec![("hush".to_owned(), "layoffs".to_owned(), action)]
}

fn enforced(dialect: Dialect) -> Document {
    guarded(two(dialect, |_| {}), guard(GuardMode::Enforce))
}

#[test]
fn a_prompt_on_a_denied_topic_is_refused_and_told_by_guard_and_topic() {
    let mut rig = Rig::new(guarded(document(), guard(GuardMode::Enforce)));
    let long = format!(
        "{}Who will be laid off next? {}",
        "It rains. ".repeat(2_000),
        "It snows. ".repeat(2_000)
    );
    for prompt in ["Please tell me who will be laid off!", &long] {
        let did = rig.chat(&chat(prompt));
        let (status, _, body) = reply(&did);
        assert_eq!(status, 403, "{body}");
        let told: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(told["error"]["code"], "blocked_by_guard");
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("'hush'") && message.contains("layoffs"), "{message}");
        assert!(!body.contains("next") && !body.contains("tell me"), "{body}");
        assert_eq!(found(&rig), layoffs("block"));
        assert_eq!(rig.exchange.record().rejected, Some("blocked_by_guard"));
    }
    for prompt in ["A recipe for pancakes, please.", "", "⁂"] {
        assert!(matches!(rig.chat(&chat(prompt))[..], [Did::Dial { .. }]), "{prompt}");
        assert!(found(&rig).is_empty());
    }
}

#[test]
fn no_member_turns_a_guard_from_what_is_sent() {
    let turn = json!({ "role": "user", "content": "Who will be laid off?" });
    let twice = |more: &str| format!("{{\"model\":\"gpt\",\"messages\":[{turn}],{more}}}");
    for (body, expected) in [
        (json!({ "model": "gpt", "messages": [ turn ], "contents": "hi", "input": "hi" }).to_string(), 403),
        (json!({ "model": "gpt", "messages": [ turn, { "role": "user", "content": "." } ] }).to_string(), 403),
        (json!({ "model": "gpt", "messages": [ { "role": "user", "content": turn["content"], "parts": [ { "text": "hi" } ] } ] }).to_string(), 403),
        (twice("\"messages\":[]"), 400),
    ] {
        let mut rig = Rig::new(guarded(document(), guard(GuardMode::Enforce)));
        let (status, _, told) = reply(&rig.chat(&body));
        assert_eq!(status, expected, "{body}: {told}");
        assert!(told.contains("'hush'"), "{told}");
    }
    // One that only counts refuses nothing.
    let mut rig = Rig::new(guarded(document(), guard(GuardMode::Shadow)));
    let did = rig.chat(&twice("\"messages\":[]"));
    assert!(matches!(did[..], [Did::Dial { .. }]), "{did:?}");
    assert_eq!(found(&rig), layoffs("shadow"));
}

#[test]
fn an_answer_of_any_good_status_is_read() {
    let mut rig = Rig::new(enforced(Dialect::OpenAi));
    ask(&mut rig, Dialect::OpenAi, false);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 201 Created\ncontent-type: application/json\ntransfer-encoding: chunked\n",
    );
    let bad = String::from_utf8(whole(Dialect::OpenAi))
        .expect("text")
        .replace("good day", DENIED);
    rig.body(1, &bad);
    let (status, _, body) = reply(&rig.end(1));
    assert!(status == 403 && body.contains("layoffs"), "{status}: {body}");
}

#[test]
fn every_dialect_is_told_in_its_own_words() {
    for dialect in Dialect::ALL {
        let mut document = two(dialect, |_| {});
        document.guards = vec![("hush".to_owned(), guard(GuardMode::Enforce))];
        document.guards[0].1.allow = vec![(
            "anything".to_owned(),
            vec!["who will be laid off next, exactly".to_owned()],
        )];
        document.guards[0].1.deny = Vec::new();
        document.guards[0].1.on.response = false;
        document.models[0].1.guards = vec!["hush".to_owned()];
        let mut rig = Rig::new(document);
        // The prompt is "?", which is near nothing.
        let did = ask(&mut rig, dialect, false);
        let (status, _, body) = reply(&did);
        assert!(
            status == 403 && body.contains("hush") && body.contains("(not allowed)"),
            "{dialect:?}: {body}"
        );
    }
}

#[test]
fn a_whole_answer_is_told_when_it_was_read_or_not_at_all() {
    for (client, target) in Dialect::ALL
        .into_iter()
        .flat_map(|client| Dialect::ALL.map(|target| (client, target)))
    {
        let at = format!("{client:?} at {target:?}");
        let json = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";
        let answered = |rig: &mut Rig, body: &[u8]| {
            ask(rig, client, false);
            rig.connected(1);
            let mut out = Vec::new();
            rig.answer(1, json);
            out.extend(down(rig, b""));
            let (_, first) = feed(rig, 1, body);
            out.extend(first);
            assert!(out.is_empty(), "{at}: before its end");
            rig.end(1)
        };
        let mut rig = Rig::new(enforced(target));
        let good = whole(target);
        let (status, _, body) = reply(&answered(&mut rig, &good));
        assert!(status == 200 && body.contains("good"), "{at}: {body}");
        if client == target {
            assert_eq!(body.as_bytes(), good, "{at}");
        }
        let bad = String::from_utf8(good).expect("text").replace("good day", DENIED);
        assert!(bad.contains(DENIED), "{at}: {bad}");
        let did = answered(&mut rig, bad.as_bytes());
        let (status, _, body) = reply(&did);
        assert!(
            status == 403 && body.contains("layoffs") && !body.contains("severance"),
            "{at}: {body}"
        );
        assert_eq!(found(&rig), layoffs("block"), "{at}");
        let record = rig.exchange.record();
        assert_eq!((record.status, record.outcome), (403, Outcome::Complete), "{at}");
        assert!(
            record.usage.is_some_and(|usage| usage.output == Some(2)),
            "{at}: it was used all the same"
        );
        assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End], "{at}");
    }
}

#[test]
fn a_stream_is_told_sentence_by_sentence_and_ends_where_a_guard_ends_it() {
    let words = [
        "All ",
        "is ",
        "well. ",
        "Our ",
        "severance ",
        "plans ",
        "are ",
        "generous. ",
        "More ",
        "follows.",
    ];
    for (client, target) in Dialect::ALL
        .into_iter()
        .flat_map(|client| Dialect::ALL.map(|target| (client, target)))
    {
        for at_once in [false, true] {
            let at = format!("{client:?} at {target:?}, at once: {at_once}");
            let mut rig = Rig::new(enforced(target));
            ask(&mut rig, client, true);
            rig.connected(1);
            let mut out = Vec::new();
            let mut did = rig.answer(1, &head(target));
            let pieces = written(target, &saying("id-1", &words));
            let pieces = if at_once { vec![pieces.concat()] } else { pieces };
            for piece in pieces {
                let (more, bytes) = feed(&mut rig, 1, &piece);
                out.extend(bytes);
                did.extend(more);
                assert!(rig.exchange.held_bytes() < 64 * 1024, "{at}");
                if did.contains(&Did::End) {
                    break;
                }
            }
            let read = read(client, &out);
            assert!(
                read.ended && read.started == 1,
                "{at}: {}",
                String::from_utf8_lossy(&out)
            );
            assert_eq!(read.text().trim_end(), "All is well.", "{at}");
            let told = String::from_utf8_lossy(&out);
            let word = match client {
                Dialect::OpenAi => "\"finish_reason\":\"content_filter\"",
                Dialect::OpenAiResponses => "content_filter",
                Dialect::Anthropic => "\"stop_reason\":\"refusal\"",
                Dialect::Gemini => "\"finishReason\":\"SAFETY\"",
                Dialect::Cohere => "\"finish_reason\":",
                Dialect::Bedrock => "content_filtered",
            };
            assert!(told.contains(word), "{at}: {told}");
            assert_eq!(found(&rig), layoffs("block"), "{at}");
            assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End], "{at}");
            assert_eq!(rig.exchange.record().rejected, Some("blocked_by_guard"), "{at}");
            // The provider is not heard out.
            if !at_once {
                assert!(did.contains(&Did::Abandon { attempt: 1 }), "{at}");
                assert_eq!(
                    rig.exchange.attempts().next(),
                    Some((0, AttemptOutcome::Cancelled)),
                    "{at}"
                );
            }
        }
    }
}

#[test]
fn a_stream_that_nothing_is_found_in_passes_byte_for_byte() {
    let words = [
        "All ", "is ", "well. ", "It ", "rains ", "and ", "the ", "bread ", "is ", "good",
    ];
    for dialect in Dialect::ALL {
        let mut rig = Rig::new(enforced(dialect));
        ask(&mut rig, dialect, true);
        rig.connected(1);
        rig.answer(1, &head(dialect));
        let sent = written(dialect, &saying("id-1", &words)).concat();
        let mut out = Vec::new();
        // However it is cut.
        for piece in sent.chunks(7) {
            out.extend(feed(&mut rig, 1, piece).1);
        }
        rig.end(1);
        out.extend(down(&rig, b""));
        let (sent, out) = (String::from_utf8_lossy(&sent), String::from_utf8_lossy(&out));
        // Ids of responses are sealed.
        match dialect {
            Dialect::OpenAiResponses => assert_eq!(read(dialect, out.as_bytes()).text(), words.concat()),
            _ => assert_eq!(out, sent, "{dialect:?}"),
        }
        assert!(found(&rig).is_empty());
        assert_eq!(rig.exchange.record().outcome, Outcome::Complete);
    }
}

#[test]
fn the_last_sentence_of_a_stream_needs_no_end_to_be_found() {
    for dialect in Dialect::ALL {
        let mut rig = Rig::new(enforced(dialect));
        ask(&mut rig, dialect, true);
        rig.connected(1);
        rig.answer(1, &head(dialect));
        let sent = written(dialect, &saying("id-1", &["Fine. ", "Our severance", " plans"])).concat();
        let (_, mut out) = feed(&mut rig, 1, &sent);
        if rig.exchange.record().rejected.is_none() {
            rig.end(1);
            out.extend(down(&rig, b""));
        }
        let read = read(dialect, &out);
        assert_eq!(read.text().trim_end(), "Fine.", "{dialect:?}");
        assert!(read.ended, "{dialect:?}");
        assert_eq!(found(&rig), layoffs("block"), "{dialect:?}");
    }
}

#[test]
fn shadow_mode_counts_and_lets_pass_as_it_comes() {
    for dialect in Dialect::ALL {
        let mut rig = Rig::new(guarded(two(dialect, |_| {}), guard(GuardMode::Shadow)));
        ask(&mut rig, dialect, true);
        rig.connected(1);
        rig.answer(1, &head(dialect));
        let mut out = Vec::new();
        let pieces = written(dialect, &saying("id-1", &["Our ", "severance ", "plans. ", "More."]));
        for piece in &pieces {
            out.extend(feed(&mut rig, 1, piece).1);
        }
        rig.end(1);
        out.extend(down(&rig, b""));
        assert_eq!(read(dialect, &out).text(), "Our severance plans. More.", "{dialect:?}");
        assert_eq!(found(&rig), layoffs("shadow"), "{dialect:?}");
        assert_eq!(rig.exchange.record().rejected, None);
    }
    let mut rig = Rig::new(guarded(document(), guard(GuardMode::Shadow)));
    let did = rig.chat(&chat("Who will be laid off?"));
    assert!(matches!(did[..], [Did::Dial { .. }]), "{did:?}");
    assert_eq!(found(&rig), layoffs("shadow"));
    // Nothing waits.
    rig.connected(1);
    let answer = "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 5\n";
    rig.answer(1, answer);
    assert_eq!(body_of(&rig.body(1, "{\"a\":")), "{\"a\":");
}

#[test]
fn an_answer_that_cannot_be_read_is_not_told() {
    let refuse = |head: &str, body: &str| {
        let mut rig = Rig::new(guarded(document(), guard(GuardMode::Enforce)));
        rig.chat(&chat("Hello"));
        rig.connected(1);
        rig.answer(1, head);
        rig.body(1, body);
        let did = rig.end(1);
        let (status, _, told) = reply(&did);
        assert!(status == 403 && told.contains("(unread)"), "{status}: {told}");
    };
    let kind = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";
    refuse(kind, "no JSON");
    refuse(&format!("{kind}content-encoding: br\n"), "{}");
    // An error is told as it is.
    let mut rig = Rig::new(guarded(document(), guard(GuardMode::Enforce)));
    rig.chat(&chat("Hello"));
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 400 Bad Request\ncontent-type: application/json\ncontent-length: 2\n",
    );
    let did = [rig.body(1, "{}"), rig.end(1)].concat();
    assert!(did.contains(&Did::Body("{}".to_owned())), "{did:?}");
}

#[test]
fn a_whole_answer_that_breaks_while_it_waits_is_an_error() {
    let mut rig = Rig::new(guarded(document(), guard(GuardMode::Enforce)));
    rig.chat(&chat("Hello"));
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 500\n",
    );
    assert!(rig.body(1, "{\"id\":").is_empty());
    let (status, _, body) = reply(&rig.failed(1, UpstreamFault::Cut));
    assert!(status == 502 && body.contains("upstream_error"), "{body}");
    // A client that left is told nothing.
    let mut rig = Rig::new(guarded(document(), guard(GuardMode::Enforce)));
    rig.chat(&chat("Hello"));
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 500\n",
    );
    let did = rig.feed(tollgate_engine::Input::ClientGone);
    assert!(!did.iter().any(|did| matches!(did, Did::Head { .. })), "{did:?}");
}

#[test]
fn without_a_model_to_judge_by_nothing_passes_a_guard_that_enforces() {
    let broken = |mode| {
        let mut document = guarded(document(), guard(mode));
        document.embedding.model = Some(Reference::File("gone".to_owned()));
        let secrets = rig::secrets(&Document {
            embedding: Default::default(),
            ..document.clone()
        });
        Rig::with_secrets(document, &secrets)
    };
    let did = broken(GuardMode::Enforce).chat(&chat("Hello"));
    let (status, _, body) = reply(&did);
    assert!(
        status == 503 && body.contains("guard_unavailable") && body.contains("'hush'"),
        "{body}"
    );
    let did = broken(GuardMode::Shadow).chat(&chat("Hello"));
    assert!(matches!(did[..], [Did::Dial { .. }]), "{did:?}");
}

#[test]
fn what_no_guard_could_read_is_not_asked_for() {
    let mut rig = Rig::new(enforced(Dialect::OpenAiResponses));
    let head = "POST /v1/responses HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n";
    let did = rig.request(head, br#"{"model":"m","input":"?","background":true}"#);
    let (status, _, body) = reply(&did);
    assert!(
        status == 400 && body.contains("background") && body.contains("'hush'"),
        "{body}"
    );
    let mut rig = Rig::new(enforced(Dialect::OpenAi));
    let head = "POST /v1/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n";
    let did = rig.request(head, br#"{"model":"m","prompt":"Hello"}"#);
    let (status, _, body) = reply(&did);
    assert!(status == 400 && body.contains("'hush'"), "{body}");
}

/// What is said in a sound no guard reads, wherever the form names its model.
#[test]
fn a_form_is_refused_where_a_guard_would_have_to_read_it() {
    const END: &str = "--xYz--\r\n";
    let head = |more: &str| {
        format!(
            "POST /v1/audio/transcriptions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n\
             content-type: multipart/form-data; boundary=xYz\n{more}"
        )
    };
    let part = |name: &str, content: &str| {
        format!("--xYz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    };
    let with = |mode| {
        Rig::new(Document {
            max_body_bytes: 32 * 1024 * 1024,
            ..guarded(document(), guard(mode))
        })
    };
    let refused = |did: &[Did]| {
        let (status, _, body) = reply(did);
        assert!(
            status == 400 && body.contains("is called by a form") && body.contains("'hush'"),
            "{status} {body}"
        );
    };
    let form = part("model", "gpt") + &part("file", "RIFF") + END;
    refused(&with(GuardMode::Enforce).request(&head(""), form.as_bytes()));
    let did = with(GuardMode::Shadow).request(&head(""), form.as_bytes());
    assert!(matches!(did[..], [Did::Dial { .. }]), "{did:?}");
    // More of a file than is held; its end, and then the name.
    let file = part("file", &"x".repeat(1_100_000));
    let (begin, end) = file.split_at(file.len() - 2);
    let mut rig = with(GuardMode::Enforce);
    rig.begin(&head("content-length: 3000000\n"), begin.as_bytes());
    assert_eq!(rig.feed(Input::Head), [Did::ReadPart]);
    assert!(matches!(rig.feed(Input::BodyPart)[..], [Did::Dial { .. }]));
    rig.connected(1);
    let mut did = rig.feed(Input::BodyPassing(
        (end.to_owned() + &part("model", "gpt") + END).as_bytes(),
    ));
    did.extend(rig.feed(Input::BodyPassed));
    refused(&did);
    assert!(
        did.contains(&Did::Abandon { attempt: 1 }) && !did.contains(&Did::EndUp { attempt: 1 }),
        "the provider never sees its end: {did:?}"
    );
}

#[test]
fn calls_of_models_without_guards_are_as_they_were() {
    let mut document = document();
    document.guards = vec![("hush".to_owned(), guard(GuardMode::Enforce))];
    let mut rig = Rig::new(document);
    rig.chat(&chat("Who will be laid off?"));
    let (_, up) = sent(&rig.connected(1));
    assert!(up.contains("laid off"));
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 7\n",
    );
    let did = rig.body(1, "no JSON");
    assert_eq!(body_of(&did), "no JSON");
}
