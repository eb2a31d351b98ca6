//! Mixes from their text to their requests: every request is HTTP and JSON, and says what its mix wanted.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use proptest::prelude::*;
use serde_json::Value;
use tollgate_wire::{
    head::{Framing, RequestHead},
    http1::read,
};

use super::*;

fn target() -> ComposeFor {
    ComposeFor {
        host: "127.0.0.1:8080".to_owned(),
        key: Some("tg-quickstart".to_owned()),
        ..ComposeFor::default()
    }
}

fn mix(text: &str) -> Result<Mix, String> {
    let file: file::MixFile = yaml::parse("m.yaml", text)?;
    check::mix(file, "m.yaml", Path::new(""))
}

fn composer(text: &str) -> Composer {
    Composer::new(Arc::new(mix(text).unwrap()), &target(), 1, 0, 1)
}

/// A request taken apart by the gateway's own reader.
#[derive(Debug, PartialEq)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Value,
    body_bytes: usize,
}

fn take_apart(bytes: &[u8]) -> Request {
    let limits = read::Limits {
        max_head_bytes: 1 << 20,
        ..read::Limits::default()
    };
    let mut head = RequestHead::default();
    assert_eq!(read::request(bytes, &limits, &mut head), Ok(read::Progress::Complete));
    let body = &bytes[head.len..];
    match head.framing {
        Framing::Length(length) => assert_eq!(length, body.len() as u64),
        Framing::None => assert!(body.is_empty()),
        other => panic!("{other:?}"),
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let lines = text(&bytes[..head.len - 4]);
    let headers = lines.split("\r\n").skip(1).map(|line| line.split_once(": ").unwrap());
    Request {
        method: lines.split(' ').next().unwrap().to_owned(),
        target: lines.split(' ').nth(1).unwrap().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body_bytes: body.len(),
        body: match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(body).unwrap_or_else(|bad| panic!("{bad}: {}", text(body))),
        },
    }
}

fn next(composer: &mut Composer) -> (Composed, Request) {
    let mut out = Vec::new();
    let composed = composer.compose(&mut out);
    (composed, take_apart(&out))
}

#[test]
fn every_built_in_mix_composes_requests_that_are_http_and_json() {
    for (name, _) in BUILT_IN {
        let mix = Arc::new(Mix::built_in(name).unwrap().unwrap());
        assert_eq!(mix.name, name);
        let mut composer = Composer::new(mix.clone(), &target(), mix.seed.unwrap(), 0, 1);
        let mut sent = vec![0; mix.classes.len()];
        for _ in 0..600 {
            let (composed, request) = next(&mut composer);
            let class = &mix.classes[composed.class];
            sent[composed.class] += 1;
            assert_eq!(composed.dialect, class.dialect);
            assert_eq!(request.headers["host"], "127.0.0.1:8080");
            assert_eq!(request.body["stream"].as_bool().unwrap_or(false), composed.stream);
            let model = request.body["model"].as_str().unwrap();
            assert!(
                ["sandbox-small", "sandbox-large", "no-such-model"].contains(&model),
                "{name}: {model}"
            );
            assert!(request.body_bytes < 5 * 1024 * 1024, "{name}: {}", request.body_bytes);
        }
        let weights: f64 = mix.classes.iter().map(|class| class.weight).sum();
        for (class, sent) in mix.classes.iter().zip(sent) {
            let share = class.weight / weights;
            let spread = 4.0 * (share * (1.0 - share) * 600.0).sqrt();
            assert!(
                (f64::from(sent) - share * 600.0).abs() < spread + 1.0,
                "{name} {}: {sent}",
                class.name
            );
        }
    }
}

#[test]
fn long_context_is_as_long_as_it_says() {
    let mix = Arc::new(Mix::named("long-context").unwrap());
    let mut composer = Composer::new(mix, &target(), 1, 0, 1);
    let sizes: Vec<usize> = (0..300).map(|_| next(&mut composer).1.body_bytes).collect();
    assert!(
        sizes
            .iter()
            .filter(|size| (32 * 1024..=133 * 1024).contains(*size))
            .count()
            > 270
    );
    assert!(sizes.iter().all(|size| *size <= 140 * 1024));
}

/// Where a request and a stream of each dialect go, and how it shows its key and asks for its stream.
#[test]
fn each_dialect_is_asked_in_its_own_way() {
    let cases = [
        (
            "openai",
            "/v1/chat/completions",
            "/v1/chat/completions",
            "authorization",
            "Bearer tg-quickstart",
        ),
        (
            "openai-responses",
            "/v1/responses",
            "/v1/responses",
            "authorization",
            "Bearer tg-quickstart",
        ),
        (
            "anthropic",
            "/v1/messages",
            "/v1/messages",
            "x-api-key",
            "tg-quickstart",
        ),
        (
            "gemini",
            "/v1beta/models/a%3Ab:generateContent",
            "/v1beta/models/a%3Ab:streamGenerateContent?alt=sse",
            "x-goog-api-key",
            "tg-quickstart",
        ),
        (
            "cohere",
            "/v2/chat",
            "/v2/chat",
            "authorization",
            "Bearer tg-quickstart",
        ),
        (
            "bedrock",
            "/model/a%3Ab/converse",
            "/model/a%3Ab/converse-stream",
            "authorization",
            "Bearer tg-quickstart",
        ),
    ];
    for (dialect, whole, stream, header, key) in cases {
        let mut composer = composer(&format!(
            "classes: {{ c: {{ weight: 1, dialect: {dialect}, model: 'a:b', stream: 0.5, system: {{ bytes: 30 }}, \
             prompt: {{ bytes: 77 }}, max_tokens: 9 }} }}"
        ));
        let mut streams = 0;
        for _ in 0..100 {
            let (composed, request) = next(&mut composer);
            streams += u32::from(composed.stream);
            assert_eq!(request.target, if composed.stream { stream } else { whole });
            assert_eq!(request.headers[header], key);
            assert_eq!(
                request.headers.contains_key("anthropic-version"),
                dialect == "anthropic"
            );
            let in_body = bodies::streams_by_body(composed.dialect);
            assert_eq!(request.body["stream"] == true, composed.stream && in_body);
            assert_eq!(request.body["model"] == "a:b", in_body);
            let text = request.body.to_string();
            assert!(text.contains(":9"), "the limit stands in {text}");
            let longest = text.split('"').map(str::len).max();
            assert_eq!(longest, Some(77), "{text}");
        }
        assert!((30..70).contains(&streams), "{dialect}: {streams}");
    }
}

#[test]
fn conversations_grow_by_turns_and_keep_what_was_said() {
    for dialect in Dialect::ALL {
        for tools in [false, true] {
            let mut composer = composer(&format!(
                "classes: {{ c: {{ weight: 1, dialect: {}, turns: {{ length: 6, tools: {tools}, at_once: 1 }} }} }}",
                dialect.name()
            ));
            let said = |request: &Request| {
                let lists = ["messages", "input", "contents"];
                lists
                    .iter()
                    .find_map(|list| request.body[list].as_array().cloned())
                    .unwrap()
            };
            let mut last = said(&next(&mut composer).1);
            let mut grown = 0;
            for _ in 0..12 {
                let now = said(&next(&mut composer).1);
                match now.len() {
                    1 => assert_eq!(last.len(), 11, "a conversation has six requests"),
                    length => {
                        assert_eq!(length, last.len() + 2);
                        assert_eq!(now[..last.len()], last[..], "what was said stands");
                        grown += 1;
                    }
                }
                last = now;
            }
            assert!(grown >= 8);
        }
    }
}

#[test]
fn repeats_repeat_the_whole_body_on_every_thread() {
    let text = "classes: { c: { weight: 1, repeat: { share: 1, of: 5 }, body: '{\"a\":\"${random} ${prompt}\"}' } }";
    let mix = Arc::new(mix(text).unwrap());
    let mut bodies = HashSet::new();
    for thread in 0..3 {
        let mut composer = Composer::new(mix.clone(), &target(), 8, thread, 3);
        (0..100).for_each(|_| {
            bodies.insert(next(&mut composer).1.body.to_string());
        });
    }
    assert_eq!(bodies.len(), 5);
}

#[test]
fn threads_count_together_and_draw_apart() {
    let text = "classes: { c: { weight: 1, headers: { x-n: '${counter}', x-r: '${random:8}' } } }";
    let mix = Arc::new(mix(text).unwrap());
    let (mut numbers, mut randoms) = (Vec::new(), HashSet::new());
    for thread in 0..4 {
        let mut composer = Composer::new(mix.clone(), &target(), 8, thread, 4);
        for _ in 0..50 {
            let (_, request) = next(&mut composer);
            numbers.push(request.headers["x-n"].parse::<u64>().unwrap());
            randoms.insert(request.headers["x-r"].clone());
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    assert_eq!(randoms.len(), 200);
}

#[test]
fn keys_come_from_the_class_then_the_command_line_then_the_mix() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.txt"), "k-one\n\nk-two\nk-three\n").unwrap();
    std::fs::write(
        folder.path().join("m.yaml"),
        "keys: { secrets: ['file:keys.txt', 'k-four'], zipf: 2 }\n\
         classes: { a: { weight: 1 }, b: { weight: 1, keys: { secrets: ['own'] } } }",
    )
    .unwrap();
    let mix = Arc::new(Mix::read(&folder.path().join("m.yaml")).unwrap());
    let seen = |target: &ComposeFor| {
        let mut composer = Composer::new(mix.clone(), target, 3, 0, 1);
        let mut seen = [BTreeMap::new(), BTreeMap::new()];
        for _ in 0..2000 {
            let (composed, request) = next(&mut composer);
            *seen[composed.class]
                .entry(request.headers["authorization"].clone())
                .or_insert(0) += 1;
        }
        seen
    };
    let keyless = ComposeFor { key: None, ..target() };
    let [shared, own] = seen(&keyless);
    // 1, 1/4, 1/9, 1/16 of their sum, 1.42.
    let right = [("one", 702i32), ("two", 176), ("three", 78), ("four", 44)];
    for (name, count) in right {
        assert!((shared[&format!("Bearer k-{name}")] - count).abs() < 60, "{shared:?}");
    }
    assert_eq!(own.into_keys().collect::<Vec<_>>(), ["Bearer own"]);
    let [shared, own] = seen(&target());
    assert_eq!(shared.into_keys().collect::<Vec<_>>(), ["Bearer tg-quickstart"]);
    assert_eq!(own.into_keys().collect::<Vec<_>>(), ["Bearer own"]);
    let without = Arc::new(self::mix("classes: { a: { weight: 1 } }").unwrap());
    let (_, request) = next(&mut Composer::new(without, &keyless, 1, 0, 1));
    assert!(!request.headers.contains_key("authorization"));
}

#[test]
fn bodies_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("b.jsonl"),
        "{\"n\":1,\"stream\":true}\n{\"n\":2,\"id\":\"${uuid}\"}\n",
    )
    .unwrap();
    let path = folder.path().join("m.yaml");
    std::fs::write(&path, "classes: { a: { weight: 1, bodies: b.jsonl } }").unwrap();
    let mix = Arc::new(Mix::read(&path).unwrap());
    let mut composer = Composer::new(mix, &target(), 3, 0, 1);
    let mut ids = HashSet::new();
    for _ in 0..50 {
        let (composed, request) = next(&mut composer);
        assert_eq!(composed.stream, request.body["n"] == 1);
        assert_eq!(request.headers["accept"] == "text/event-stream", composed.stream);
        ids.extend(request.body["id"].as_str().map(str::to_owned));
    }
    assert!(ids.len() > 10);
}

#[test]
fn other_requests_are_the_mixs_own() {
    let mut composer = composer(
        "classes: { a: { weight: 1, kind: other, method: PUT, path: '/v1/things/${random:1-9}?x=1', \
         headers: { Content-Type: text/plain, x-p: '${pad:20}' }, body: '[1,\"${prompt}\"]', prompt: { bytes: 5 } } }",
    );
    let (_, request) = next(&mut composer);
    assert_eq!(request.method, "PUT");
    assert!(request.target.starts_with("/v1/things/") && request.target.ends_with("?x=1"));
    assert_eq!(
        (&*request.headers["content-type"], &*request.headers["x-p"]),
        ("text/plain", &*"x".repeat(20))
    );
    assert_eq!(request.body[1].as_str().map(str::len), Some(5));
    let mut models = self::composer("classes: { a: { weight: 1, kind: models, dialect: anthropic } }");
    let (_, request) = next(&mut models);
    assert_eq!(
        (&*request.method, &*request.target, request.body),
        ("GET", "/v1/models", Value::Null)
    );
}

#[test]
fn manners_think_time_and_leaving_are_told() {
    let mix = Arc::new(
        mix(
            "classes: { a: { weight: 1, stream: 1, think: { min: 10ms, max: 20ms }, expect: [401, 403], manners: \
             { read_bytes_per_second: 4KiB, leave: { share: 0.5, after_bytes: 100 }, send_byte_at_a_time: true } } }",
        )
        .unwrap(),
    );
    let leave = Some(Leave {
        share: 0.5,
        after_bytes: 100,
    });
    let right = Manners {
        read_bytes_per_second: Some(4096),
        leave,
        send_byte_at_a_time: true,
    };
    assert_eq!(
        (mix.classes[0].manners, &mix.classes[0].expect_status[..]),
        (right, &[401, 403][..])
    );
    let mut composer = Composer::new(mix, &target(), 3, 0, 1);
    let composed: Vec<Composed> = (0..400).map(|_| next(&mut composer).0).collect();
    assert!(
        composed
            .iter()
            .all(|one| (10_000_000..20_000_000).contains(&one.think_ns))
    );
    let left = composed.iter().filter(|one| one.leave_after_bytes == Some(100)).count();
    assert!((150..250).contains(&left), "{left}");
}

#[test]
fn without_a_mix_all_requests_are_one_chat_of_the_size_asked_for() {
    for dialect in Dialect::ALL {
        let mix = Mix::single(Single {
            dialect,
            max_tokens: Some(5),
            ..Single::default()
        })
        .unwrap();
        let mut composer = Composer::new(Arc::new(mix), &target(), 1, 0, 1);
        for _ in 0..20 {
            assert_eq!(next(&mut composer).1.body_bytes, 1200);
        }
    }
    let (single, base) = Single::of_url_path("/anthropic/v1/messages");
    assert_eq!((single.dialect, &*base), (Dialect::Anthropic, "/anthropic"));
    let (single, base) = Single::of_url_path("/");
    assert_eq!((single.dialect, &*base), (Dialect::OpenAi, ""));
}

#[test]
fn the_same_seed_sends_the_same_and_another_something_else() {
    let mix = Arc::new(Mix::named("chat").unwrap());
    let sent = |seed| {
        let (mut composer, mut out) = (Composer::new(mix.clone(), &target(), seed, 1, 2), Vec::new());
        for _ in 0..50 {
            composer.compose(&mut out);
        }
        out
    };
    assert!(sent(4) == sent(4));
    assert!(sent(4) != sent(5));
}

/// Every fault an operator can write, with the line it is on and the remedy.
#[test]
fn faults_name_file_line_and_remedy() {
    let class = |fields: &str| format!("classes:\n  c:\n    weight: 1\n{fields}");
    let cases = [
        ("classes: {}", "m.yaml:1:", "at least one class"),
        ("classes:\n  c: { weight: 0 }\n", "m.yaml:2:", "sum to zero"),
        ("classes:\n  c: { weight: -1 }\n", "m.yaml:2:", "not negative"),
        ("nmae: x\nclasses: {}", "m.yaml:1:", "nmae"),
        (&class("    promt: { bytes: 1 }\n"), "m.yaml:4:", "promt"),
        (&class("    kind: chatter\n"), "m.yaml:4:", "one of chat, embeddings"),
        (
            &class("    dialect: openia\n"),
            "m.yaml:4:",
            "one of openai, openai-responses",
        ),
        (&class("    stream: 1.5\n"), "m.yaml:4:", "from 0 to 1"),
        (&class("    prompt: { words: 5 }\n"), "m.yaml:4:", "words"),
        (
            &class("    prompt: { tokens: 1, bytes: 1 }\n"),
            "m.yaml:4:",
            "either tokens or bytes",
        ),
        (&class("    prompt: { bytes: 4KB }\n"), "m.yaml:4:", "4KiB"),
        (&class("    think: 5\n"), "m.yaml:4:", "250ms"),
        (&class("    max_tokens: { min: 1 }\n"), "m.yaml:4:", "{ min, max }"),
        (
            &class("    bodies: none.jsonl\n"),
            "m.yaml:4:",
            "none.jsonl: No such file",
        ),
        (
            &class("    bodies: a\n    body: b\n"),
            "m.yaml:",
            "either body or bodies",
        ),
        (&class("    body: '${x}'\n"), "m.yaml:4:", "no placeholder"),
        (
            &class("    repeat: { share: 2, of: 1 }\n"),
            "m.yaml:4:",
            "{ share: 0.3, of: 100 }",
        ),
        (&class("    expect: 1000\n"), "m.yaml:4:", "200 to 599"),
        (
            &class("    manners: { leave: { share: 2, after_bytes: 1 } }\n"),
            "m.yaml:4:",
            "from 0 to 1",
        ),
        (
            &class("    manners: { read_bytes_per_second: 0 }\n"),
            "m.yaml:4:",
            "over 0",
        ),
        (&class("    headers: { host: x }\n"), "m.yaml:", "generator's own"),
        (&class("    headers: { 'a b': x }\n"), "m.yaml:", "no header's name"),
        (
            &class("    headers: { a: \"x\\r\\ny: z\" }\n"),
            "m.yaml:",
            "not plain ASCII",
        ),
        (&class("    path: v1/chat\n"), "m.yaml:", "begins with /"),
        (&class("    path: \"/a b\"\n"), "m.yaml:", "percent-encode"),
        (&class("    kind: other\n"), "m.yaml:", "needs a path"),
        (&class("    kind: rerank\n"), "m.yaml:", "openai has no rerank"),
        (
            &class("    kind: embeddings\n    stream: 1\n"),
            "m.yaml:",
            "only kind: chat streams",
        ),
        (
            &class("    keys: { secrets: [] }\n"),
            "m.yaml:4:",
            "leave classes.c.keys out",
        ),
        (
            &class("    keys: { secrets: [ 'env:TOLLGATE_TEST_UNSET' ] }\n"),
            "m.yaml:4:",
            "set it",
        ),
        (
            &class("    keys: { secrets: [ 'file:none' ] }\n"),
            "m.yaml:4:",
            "No such file",
        ),
        (
            &class("    keys: { secrets: [ 'a b' ] }\n"),
            "m.yaml:4:",
            "visible ASCII",
        ),
        (&class("    turns: { length: 9000 }\n"), "m.yaml:4:", "over the bound"),
        (
            "schedule: soon\nclasses: { c: { weight: 1 } }",
            "m.yaml:1:",
            "ramp:0-5000/30s",
        ),
    ];
    for (text, place, remedy) in cases {
        let said = mix(text).unwrap_err();
        assert!(said.starts_with(place) && said.contains(remedy), "{text}\n  {said}");
    }
    let said = Mix::named("caht").unwrap_err();
    assert!(said.contains("caht") && said.contains("long-context"), "{said}");
}

proptest! {
    #[test]
    fn any_sizes_compose_to_requests_that_are_whole(
        dialect in prop::sample::select(Dialect::ALL.to_vec()),
        (low, more) in (1u32..3000, 0u32..3000),
        tools: bool,
        length in 1u32..20,
        stream in 0.0..=1.0f64,
        seed: u64,
    ) {
        let high = low + more;
        let text = format!(
            "classes: {{ c: {{ weight: 1, dialect: {}, stream: {stream}, prompt: {{ bytes: {{ min: {low}, max: {high} }} }}, \
             turns: {{ length: {{ min: 1, max: {length} }}, tools: {tools} }} }} }}",
            dialect.name()
        );
        let mut composer = Composer::new(Arc::new(mix(&text).unwrap()), &target(), seed, 0, 1);
        for _ in 0..10 {
            let (_, request) = next(&mut composer);
            prop_assert!(request.body_bytes >= low as usize);
        }
    }
}
