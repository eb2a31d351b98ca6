//! `guards`, and a model's `guards` and `compress`.

use serde_json::Value;

use super::{
    meaning::{examples, thousandths},
    names::{self, Names},
    node::{Fields, Node},
    routing::percent,
    values,
};
use crate::{
    document::{Compress, CompressMode, Guard, GuardMode, GuardSides, MAX_GUARDS, MAX_TOPICS, Named, Steps, Summarize},
    keys,
};

/// Less is not worth a call; and no more of a conversation than this is told in one summary.
const MIN_AFTER_BYTES: u64 = 1024;
const MAX_AFTER_BYTES: u64 = 256 * 1024;
const MAX_SUMMARY_MS: u64 = 60_000;

const KIND: &str = "topics";
/// Kinds that have a place in the contract.
const LATER: [&str; 3] = ["pii", "secrets", "webhook"];
const TOPICS: &str = "{ TOPIC: [ \"an example\", \"another\" ] }";

pub fn guard(node: &Node) -> Option<Guard> {
    let kind = node.value.get("kind").and_then(Value::as_str);
    if let Some(later) = kind.filter(|kind| LATER.contains(kind)) {
        // Its other keys are of that kind.
        node.at("kind", |node| {
            node.fault(format!("`kind: {later}` is not supported yet"), "kind: topics");
        });
        return None;
    }
    let fields = Fields::open(node, &keys::GUARD)?;
    let kind = fields.required("kind", KIND, |node| match node.value.as_str() {
        Some(KIND) => Some(()),
        _ => node.expected("a kind of guard", KIND),
    });
    fields.read("action", action);
    let (deny, allow) = (topics(&fields, "deny"), topics(&fields, "allow"));
    if deny.is_empty() && allow.is_empty() {
        if fields.get("deny").is_none() && fields.get("allow").is_none() {
            node.fault("the guard has no topics", format!("deny: {TOPICS}, or allow: {TOPICS}"));
        }
        return None;
    }
    let usual = GuardSides {
        request: true,
        response: !deny.is_empty(),
    };
    let on = fields.read("on", sides).unwrap_or(usual);
    if on.response && deny.is_empty() {
        fields.read("on", |node| -> Option<()> {
            node.expected(
                "what a guard with `allow` alone can judge: few sentences of an answer are near a topic by themselves",
                "on: [ request ], or topics under `deny`",
            )
        });
    }
    Some(Guard {
        threshold_thousandths: fields
            .read("threshold", thousandths)
            .unwrap_or(Guard::THRESHOLD_THOUSANDTHS),
        mode: fields.read("mode", guard_mode).unwrap_or_default(),
        deny,
        allow,
        on,
    })
    .filter(|_| kind.is_some())
}

fn topics(fields: &Fields, key: &'static str) -> Named<Vec<String>> {
    let topics = fields.named(key, names::name, examples);
    if let Some(node) = fields.get(key)
        && let Value::Object(map) = node.value
        && !(1..=MAX_TOPICS).contains(&map.len())
    {
        node.fault(
            format!("there are {} topics", map.len()),
            format!("1 to {MAX_TOPICS} topics: {TOPICS}"),
        );
    }
    topics
}

fn action(node: &Node) -> Option<()> {
    match node.value.as_str() {
        Some("block") => Some(()),
        Some("mask") => node.expected("what a guard on topics can do: a topic has no place to mask", "block"),
        _ => node.expected("what to do with what is found", "block"),
    }
}

fn guard_mode(node: &Node) -> Option<GuardMode> {
    match node.value.as_str() {
        Some("enforce") => Some(GuardMode::Enforce),
        Some("shadow") => Some(GuardMode::Shadow),
        _ => node.expected("a guard's mode", "enforce or shadow"),
    }
}

fn sides(node: &Node) -> Option<GuardSides> {
    const RIGHT: &str = "[ request, response ], or one of them";
    let mut on = GuardSides {
        request: false,
        response: false,
    };
    node.list("a list of what a guard reads", RIGHT, |item| {
        match item.value.as_str() {
            Some("request") => on.request = true,
            Some("response") => on.response = true,
            _ => return item.expected("what a guard can read", RIGHT),
        }
        Some(())
    })?;
    if node.value.as_array().is_some_and(Vec::is_empty) {
        return node.expected("what a guard reads", RIGHT);
    }
    Some(on)
}

/// The guards of a model.
pub fn guards(node: &Node, names: &Names) -> Option<Vec<String>> {
    let mut seen: Vec<String> = Vec::new();
    let guards = node.list("a list of guards", "[ NAME ], of `guards`", |item| {
        let name = names::reference(item, "guard", "guards", &names.guards)?;
        if seen.contains(&name) {
            return item.expected("another guard", "each guard once");
        }
        seen.push(name.clone());
        Some(name)
    })?;
    if guards.len() > MAX_GUARDS {
        node.fault(
            format!("the model has {} guards", guards.len()),
            format!("at most {MAX_GUARDS}"),
        );
    }
    Some(guards)
}

/// `other`: reads the name of another model.
pub fn compress(node: &Node, other: impl FnOnce(&Node) -> Option<String>) -> Option<Compress> {
    let fields = Fields::open(node, &keys::COMPRESS)?;
    let switch = |key| fields.read(key, values::boolean).unwrap_or_default();
    let steps = Steps {
        whitespace: switch("whitespace"),
        duplicates: switch("duplicates"),
        json: switch("json"),
        tables: switch("tables"),
        comments: switch("comments"),
        extract_percent: fields.read("extract", extract),
    };
    let is_right = |key: &&str| fields.get(key).is_none_or(|node| node.value.is_boolean());
    let nothing = !steps.any() && fields.get("extract").is_none() && fields.get("summarize").is_none();
    if nothing && Steps::SWITCHES.iter().all(is_right) {
        node.fault(
            "nothing would be made shorter",
            format!(
                "one of {} as true, or extract: {{ ratio: 0.6 }}, or summarize: {{ model: NAME }}",
                Steps::SWITCHES.join(", ")
            ),
        );
    }
    let mode = fields.read("mode", compress_mode).unwrap_or_default();
    let compare_percent = fields.read("compare", |node| percent(node, 1));
    if mode == CompressMode::On && compare_percent.is_some() {
        fields.read("compare", |node| -> Option<()> {
            node.expected(
                "what `mode: on` has: its answers are those to the shorter prompt, and there are no others",
                "mode: shadow, or no `compare`",
            )
        });
    }
    Some(Compress {
        mode,
        steps,
        summarize: fields.read("summarize", |node| summarize(node, other)),
        compare_percent,
    })
}

fn summarize(node: &Node, other: impl FnOnce(&Node) -> Option<String>) -> Option<Summarize> {
    let fields = Fields::open(node, &keys::SUMMARIZE)?;
    let model = fields.required("model", "the name of another model, a cheap one", other);
    let after_bytes = fields.read("after", |node| match values::size_bytes(node)? {
        bytes @ MIN_AFTER_BYTES..=MAX_AFTER_BYTES => Some(bytes),
        _ => node.expected(
            "how much of older turns is left as it is",
            "a size from 1KiB to 256KiB, such as 16KiB",
        ),
    });
    let count = |key, least, most| fields.read(key, |node| values::count(node, least, most));
    let timeout_ms = fields.read("timeout", |node| match values::timeout_ms(node)? {
        ms if ms <= MAX_SUMMARY_MS => Some(ms),
        _ => node.expected("how long a summary may take", "at most 60s, such as 5s"),
    });
    Some(Summarize {
        after_bytes: after_bytes.unwrap_or(Summarize::AFTER_BYTES),
        keep_turns: count("keep_turns", 1, 100).unwrap_or(Summarize::KEEP_TURNS),
        max_tokens: count("max_tokens", 64, 32_768).unwrap_or(Summarize::MAX_TOKENS),
        timeout_ms: timeout_ms.unwrap_or(Summarize::TIMEOUT_MS),
        waits: fields.read("wait", values::boolean).unwrap_or(true),
        model: model?,
    })
}

fn compress_mode(node: &Node) -> Option<CompressMode> {
    match node.value {
        Value::String(word) if word == "on" => Some(CompressMode::On),
        // `on` was true in YAML 1.1, and is when another program writes the document.
        Value::Bool(true) => Some(CompressMode::On),
        Value::String(word) if word == "shadow" => Some(CompressMode::Shadow),
        _ => node.expected("how prompts are made shorter", "on or shadow"),
    }
}

/// Of sentences that may be left out, how much stays.
fn extract(node: &Node) -> Option<u8> {
    const PERCENT: f64 = 100.0;
    let fields = Fields::open(node, &keys::EXTRACT)?;
    fields.required("ratio", "0.6", |node| {
        match node.value.as_f64().filter(|ratio| (0.1..=0.95).contains(ratio)) {
            Some(ratio) => Some((ratio * PERCENT).round() as u8),
            None => node.expected(
                "how much stays of what may be left out",
                "a number from 0.1 to 0.95, such as 0.6",
            ),
        }
    })
}
