//! The canonical hash of requests: what is the same has the same, and what is not has another.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tollgate_config::document::Dialect;
use tollgate_engine::exact::{
    Seed,
    canon::{self, Canon},
};

const SEED: Seed = Seed([1, 2]);

#[track_caller]
fn of(dialect: Dialect, body: &str) -> Canon {
    canon::request(SEED, dialect, body.as_bytes()).unwrap_or_else(|| panic!("{body} has none"))
}

fn is_same(dialect: Dialect, one: &str, other: &str) -> bool {
    of(dialect, one).hash == of(dialect, other).hash
}

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

#[test]
fn what_changes_no_answer_is_left_out() {
    use Dialect::{Anthropic, Bedrock, Cohere, Gemini, OpenAi, OpenAiResponses};
    let table: [(Dialect, &str, &[&str]); 6] = [
        (
            OpenAi,
            CHAT,
            &[
                r#"{"messages":[{"content":"hi","role":"user"}],"model":"m"}"#,
                "{ \"model\" : \"m\" ,\n\"messages\": [ { \"role\": \"user\", \"content\": \"hi\" } ] }",
                r#"{"model":"other","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"\u0068i"}]}"#,
                r#"{"messages":[{"role":"user","content":"hi"}],"user":"u","metadata":{"a":"b"},"service_tier":"flex","safety_identifier":"s","prompt_cache_key":"k"}"#,
                r#"{"messages":[{"role":"user","content":"hi"}],"n":1,"top_p":1.0,"presence_penalty":0,"frequency_penalty":0.0,"logprobs":false,"tools":[],"seed":null}"#,
                r#"{"messages":[{"role":"user","content":"hi"}],"temperature":1}"#,
                r#"{"m\u0065ssages":[{"role":"user","content":"hi"}]}"#,
                // As Python's json.dumps writes.
                r#"{"messages": [{"role": "user", "content": "hi"}], "response_format": {"type": "text"}, "logit_bias": { }, "tools": [ ]}"#,
                r#"{"messages":[{"role":"user","content":"hi"}],"response_format":{"\u0074ype":"te\u0078t"},"encoding_format":"flo\u0061t"}"#,
                r#"{"response_format":{"type":"text"},"messages":[{"role":"user","content":"hi"}],"top_p":10e-1,"temperature":1.0}"#,
            ],
        ),
        (
            OpenAiResponses,
            r#"{"model":"m","input":"hi"}"#,
            &[
                r#"{"input":"hi","store":true,"stream":true,"background":false,"truncation":"disabled","metadata":{}}"#,
                r#"{"input":"hi", "truncation": "disabl\u0065d", "metadata": { }, "tools": [
 ]}"#,
            ],
        ),
        (
            Anthropic,
            r#"{"model":"m","max_tokens":9,"messages":[]}"#,
            &[r#"{"max_tokens":9.0,"messages":[],"metadata":{"user_id":"u"},"stream":false,"service_tier":"auto"}"#],
        ),
        (
            Gemini,
            r#"{"contents":[]}"#,
            &[
                r#"{"contents":[],"labels":{"a":"b"}}"#,
                r#"{"contents":[],"generationConfig":{}}"#,
                r#"{"contents":[],"generationConfig":{"candidateCount":1,"seed":null}}"#,
            ],
        ),
        (
            Bedrock,
            r#"{"messages":[]}"#,
            &[r#"{"messages":[],"requestMetadata":{"a":"b"},"inferenceConfig":{}}"#],
        ),
        (
            Cohere,
            r#"{"model":"m","messages":[]}"#,
            &[r#"{"messages":[],"stream":true,"priority":1,"logprobs":false}"#],
        ),
    ];
    for (dialect, first, others) in table {
        for other in others {
            assert!(is_same(dialect, first, other), "{dialect:?}: {first} {other}");
        }
    }
}

#[test]
fn everything_else_counts() {
    let others = [
        r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi "}]}"#,
        r#"{"model":"m","messages":[{"role":"system","content":"hi"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":["hi"]}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi","name":null}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"user","content":"hi"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"n":2}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"what_nobody_knows":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_object"}}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"response_format":{"type":"text","strict":true}}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
    ];
    let mut hashes: Vec<u128> = others.iter().map(|body| of(Dialect::OpenAi, body).hash).collect();
    hashes.push(of(Dialect::OpenAi, CHAT).hash);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), others.len() + 1);
    // What one dialect leaves out may be another's answer.
    let echoed = [
        r#"{"input":"hi"}"#,
        r#"{"input":"hi","user":"u"}"#,
        r#"{"input":"hi","metadata":{"a":"b"}}"#,
    ];
    for pair in echoed.windows(2) {
        assert!(!is_same(Dialect::OpenAiResponses, pair[0], pair[1]));
    }
    // A model's name, or whose it is, counts where it is no parameter.
    let said = |name: &str| {
        format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"x","{name}":"y"}}]}}]}}"#)
    };
    for name in ["model", "user", "stream", "metadata"] {
        assert!(!is_same(Dialect::OpenAi, &said(name), &said("other")), "{name}");
    }
}

#[test]
fn numbers_count_by_what_they_are_worth() {
    let hash = |number: &str| canon::value(SEED, number.as_bytes()).unwrap_or_else(|| panic!("{number}"));
    for (one, other) in [
        ("1", "1.0"),
        ("1", "10e-1"),
        ("1", "0.1E+1"),
        ("0", "-0.0"),
        ("0", "0e5"),
        ("120", "1.2e2"),
        ("0.05", "5e-2"),
        ("1.05", "105e-2"),
    ] {
        assert_eq!(hash(one), hash(other), "{one} {other}");
    }
    let all = [
        "1",
        "-1",
        "10",
        "0.1",
        "1.05",
        "1.5",
        "105",
        "15",
        "0",
        "12345678901234567890",
        "12345678901234567891",
        "1e999",
        "1e-999",
    ];
    let mut hashes: Vec<u128> = all.iter().map(|number| hash(number)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), all.len());
}

#[test]
fn texts_count_by_what_they_say() {
    let hash = |text: &str| canon::value(SEED, text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
    for (one, other) in [
        (r#""a/b""#, r#""a\/b""#),
        (r#""é""#, r#""\u00e9""#),
        (r#""😀""#, r#""\ud83d\ude00""#),
        (r#""a\nb""#, r#""a\u000ab""#),
        (r#"{"a":1,"é":2}"#, r#"{"\u00e9":2,"\u0061":1}"#),
    ] {
        assert_eq!(hash(one), hash(other), "{one} {other}");
    }
    for (one, other) in [
        (r#""\ud83d""#, r#""\ud83e""#),
        (r#""\ud83d""#, r#""""#),
        (r#""1""#, "1"),
        (r#""true""#, "true"),
        (r#"["a","b"]"#, r#"["ab"]"#),
        (r#"["a","b"]"#, r#"["b","a"]"#),
        (r#"[["a"],"b"]"#, r#"["a",["b"]]"#),
        (r#"{"a":"b"}"#, r#"{"b":"a"}"#),
        (r#"{"a":{"b":1}}"#, r#"{"b":{"a":1}}"#),
        (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
        ("{}", "[]"),
        ("null", "{}"),
        (r#"{"}":{}}"#, r#"{"":{"}":1}}"#),
        (r#"[{"}":"}"}]"#, r#"[{},{"}":"}"}]"#),
        (
            r#"{"a":1e99999999999999999999,"5":1}"#,
            r#"{"a":1e999999999999999999995,"":1}"#,
        ),
    ] {
        assert_ne!(hash(one), hash(other), "{one} {other}");
    }
}

#[test]
fn what_two_readers_may_read_differently_has_none() {
    for body in [
        r#"{"messages":[],"temperature":0,"temperature":1}"#,
        r#"{"messages":[],"temperature":0,"t\u0065mperature":1}"#,
        r#"{"messages":[{"role":"user","role":"system"}]}"#,
        "",
        "[]",
        "{",
        r#"{"a":}"#,
        r#"{"a":1}}"#,
        r#"{"a":1,}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
    ] {
        assert_eq!(canon::request(SEED, Dialect::OpenAi, body.as_bytes()), None, "{body}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(canon::request(SEED, Dialect::OpenAi, deep.as_bytes()), None);
    let settings = format!(
        "{}{{}}{}",
        r#"{"generationConfig":"#.repeat(100_000),
        "}".repeat(100_000)
    );
    assert_eq!(canon::request(SEED, Dialect::Gemini, settings.as_bytes()), None);
    for bytes in [&b"{\"a\":\"\xff\"}"[..], b"{\"a\":\"\xed\xa0\xbd\"}", b"{\"\xfe\":1}"] {
        assert_eq!(canon::request(SEED, Dialect::OpenAi, bytes), None, "{bytes:?}");
    }
}

/// What is long is hashed piece by piece: order is nothing there either, and each byte is something.
#[test]
fn long_texts_many_items_and_many_members_count_as_short_ones_do() {
    let hash = |text: &str| canon::value(SEED, text.as_bytes()).unwrap_or_else(|| panic!("{text:.80}"));
    let long = "word ".repeat(1000);
    let one = format!(r#"{{"a":"{long}","b":{{"c":"{long}","d":"{long}x"}}}}"#);
    let turned = format!(r#"{{"b":{{"d":"{long}x","c":"{long}"}},"a":"{long}"}}"#);
    let other = format!(r#"{{"a":"{long}","b":{{"c":"{long}x","d":"{long}"}}}}"#);
    assert_eq!(hash(&one), hash(&turned));
    assert_ne!(hash(&one), hash(&other));
    let list = |items: &[String]| format!("[{}]", items.join(","));
    let items: Vec<String> = (0..1000).map(|number| format!(r#""item {number}""#)).collect();
    for (at, with) in [(0, 1), (10, 900), (998, 999), (0, 999)] {
        let mut others = items.clone();
        others.swap(at, with);
        assert_ne!(hash(&list(&items)), hash(&list(&others)), "{at} {with}");
    }
    for cut in [1, 500, 999] {
        assert_ne!(hash(&list(&items)), hash(&list(&items[..cut])), "{cut}");
        assert_ne!(
            hash(&list(&items)),
            hash(&format!("[{},{}]", list(&items[..cut]), items[cut..].join(",")))
        );
    }
    let members: Vec<String> = (0..1000).map(|number| format!(r#""key {number}":{number}"#)).collect();
    let object = |members: &[String]| format!("{{{}}}", members.join(","));
    let mut others = members.clone();
    others.reverse();
    assert_eq!(hash(&object(&members)), hash(&object(&others)));
    others[7] = r#""key 992":993"#.to_owned();
    assert_ne!(hash(&object(&members)), hash(&object(&others)));
}

#[test]
fn what_else_is_seen_of_a_request() {
    let openai = |more: &str| {
        of(
            Dialect::OpenAi,
            &format!(r#"{{"messages":[{{"role":"user","content":"say \"hi\""}}]{more}}}"#),
        )
    };
    assert!(!openai("").samples && !openai(r#","temperature":0"#).samples && !openai(r#","temperature":null"#).samples);
    assert!(openai(r#","temperature":0.1"#).samples && openai(r#","temperature":1"#).samples);
    assert!(openai(r#","temp\u0065rature":1"#).samples);
    assert!(openai(r#","store":true"#).keeps && !openai(r#","store":false"#).keeps);
    assert!(
        of(
            Dialect::Gemini,
            r#"{"contents":[],"generationConfig":{"temperature":1}}"#
        )
        .samples
    );
    assert!(
        of(
            Dialect::Gemini,
            r#"{"contents":[],"generation_config":{"temperature":1}}"#
        )
        .samples
    );
    assert!(
        of(
            Dialect::Bedrock,
            r#"{"messages":[],"inferenceConfig":{"temperature":0.5}}"#
        )
        .samples
    );
    let bedrock = |fields: &str| {
        of(
            Dialect::Bedrock,
            &format!(r#"{{"messages":[{{"temperature":1}}],"additionalModelRequestFields":{fields}}}"#),
        )
    };
    assert!(bedrock(r#"{"temperature":0.5}"#).samples && bedrock(r#"{"inferenceConfig":{"temperature":1}}"#).samples);
    assert!(!bedrock(r#"{"temperature":0,"top_k":9}"#).samples && !bedrock("null").samples);
    let body = r#"{"messages":[{"role":"user","content":"say \"hi\""}]}"#;
    let begins = of(Dialect::OpenAi, body).begins.expect("it says something");
    assert_eq!(&body[begins], r#"say \"hi\""#);
    let body = r#"{"contents":[{"parts":[{"text":"first"},{"text":"second"}]}]}"#;
    assert_eq!(&body[of(Dialect::Gemini, body).begins.expect("a text")], "first");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000i32..1000).prop_map(|n| json!(f64::from(n) / 8.0)),
        "\\PC{0,12}".prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"é]{0,2}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Members in another order, all of them.
fn turned(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(turned).collect(),
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().map(|(key, value)| (key.clone(), turned(value))).collect();
            members.reverse();
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Every character escaped.
fn escaped(value: &Value) -> String {
    let text = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        Value::String(said) => text(said),
        Value::Array(items) => format!("[ {} ]", items.iter().map(escaped).collect::<Vec<_>>().join(" ,")),
        Value::Object(map) => {
            let members = map
                .iter()
                .map(|(key, value)| format!("{} :{}", text(key), escaped(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(" , "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn how_it_is_written_is_nothing(value in any_json()) {
        let hash = canon::value(SEED, value.to_string().as_bytes());
        prop_assert!(hash.is_some());
        prop_assert_eq!(canon::value(SEED, turned(&value).to_string().as_bytes()), hash);
        prop_assert_eq!(canon::value(SEED, escaped(&value).as_bytes()), hash);
        prop_assert_ne!(canon::value(Seed([3, 4]), value.to_string().as_bytes()), hash);
    }

    #[test]
    fn how_what_is_so_anyhow_is_written_is_nothing(which in prop::sample::subsequence((0..7usize).collect::<Vec<_>>(), 0..7), at in 0usize..8) {
        const USUAL: [(&str, &str); 7] = [
            ("response_format", r#"{"type":"text"}"#),
            ("tools", "[]"),
            ("logit_bias", "{}"),
            ("encoding_format", "\"float\""),
            ("n", "1"),
            ("parallel_tool_calls", "true"),
            ("frequency_penalty", "0"),
        ];
        let mut members: Vec<String> = which
            .iter()
            .map(|&which| {
                let (name, usual) = USUAL[which];
                let usual: Value = serde_json::from_str(usual).expect("JSON");
                format!("\"{name}\" :\t{}", escaped(&usual))
            })
            .collect();
        members.insert(at.min(members.len()), r#""messages":[{"role":"user","content":"hi"}]"#.to_owned());
        let body = format!("{{{}}}", members.join(" ,\n"));
        prop_assert!(is_same(Dialect::OpenAi, CHAT, &body), "{}", body);
    }

    #[test]
    fn what_it_says_is_everything(one in any_json(), other in any_json()) {
        let hash = |value: &Value| canon::value(SEED, value.to_string().as_bytes());
        // Numbers that are worth the same are the same, which the tree does not say.
        let worth = |value: &Value| turned(value).to_string().replace(".0", "").replace("-0", "0");
        let sorted = |value: &Value| {
            let mut members = worth(value).into_bytes();
            members.sort_unstable();
            members
        };
        if sorted(&one) != sorted(&other) {
            prop_assert_ne!(hash(&one), hash(&other));
        }
    }

    #[test]
    fn no_bytes_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\",:\\\\u0-9a-f.eE+ -]{0,80}") {
        for dialect in Dialect::ALL {
            canon::request(SEED, dialect, &bytes);
            canon::request(SEED, dialect, text.as_bytes());
        }
        canon::value(SEED, &bytes);
        canon::value(SEED, text.as_bytes());
    }
}
