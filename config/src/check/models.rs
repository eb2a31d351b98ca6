//! `models`: the names clients ask for, and the targets that answer.

use serde_json::Value;

use super::{
    names::{self, Names},
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Model, OnUnsupported, Retry, Target},
    keys,
};

const STRATEGIES_NOT_YET: &[&str] = &[
    "weighted",
    "least_latency",
    "lowest_cost",
    "least_busy",
    "semantic",
    "complexity",
];
const MAX_TARGETS: usize = 64;
const MAX_ATTEMPTS: u64 = 10;

pub fn model(node: &Node, names: &Names) -> Option<Model> {
    let fields = Fields::open(node, &keys::MODEL)?;
    fields.read("strategy", strategy);
    let wildcard = node.name().ends_with('*');
    let right = "[ { provider: NAME, model: NAME } ]";
    let targets = fields.required("targets", right, |node| targets(node, names, wildcard));
    let retry = fields.read("retry", retry).unwrap_or_default();
    let on_unsupported = fields.read("on_unsupported", on_unsupported).unwrap_or_default();
    Some(Model {
        targets: targets?,
        retry,
        on_unsupported,
    })
}

fn on_unsupported(node: &Node) -> Option<OnUnsupported> {
    match node.value.as_str() {
        Some("drop") => Some(OnUnsupported::Drop),
        Some("error") => Some(OnUnsupported::Error),
        _ => node.expected("what to do with what a target cannot express", "drop or error"),
    }
}

fn strategy(node: &Node) -> Option<()> {
    match node.value {
        Value::String(word) if word == "priority" => Some(()),
        Value::String(word) if STRATEGIES_NOT_YET.contains(&word.as_str()) => node.not_yet(word, "priority"),
        _ => node.expected("a strategy", "priority"),
    }
}

fn targets(node: &Node, names: &Names, wildcard: bool) -> Option<Vec<Target>> {
    if let Value::Array(items) = node.value
        && !(1..=MAX_TARGETS).contains(&items.len())
    {
        node.fault(
            format!("the model has {} targets", items.len()),
            format!("1 to {MAX_TARGETS} targets"),
        );
        return None;
    }
    node.list("a list of targets", "[ { provider: NAME, model: NAME } ]", |item| {
        target(item, names, wildcard)
    })
}

fn target(node: &Node, names: &Names, wildcard: bool) -> Option<Target> {
    let fields = Fields::open(node, &keys::TARGET)?;
    let provider = fields.required("provider", "a name from `providers`", |node| {
        names::reference(node, "provider", "providers", &names.providers)
    });
    let model = fields.required("model", "the provider's name of the model", |node| {
        target_model(node, wildcard)
    });
    let like = fields.read("like", |node| target_model(node, false));
    Some(Target {
        provider: provider?,
        model: model?,
        like,
    })
}

fn target_model(node: &Node, wildcard: bool) -> Option<String> {
    let name = values::text(node)?;
    if name == "*" {
        if wildcard {
            return Some(name);
        }
        return node.expected(
            "a model's name here",
            "the provider's name of the model; `*` is for wildcard models",
        );
    }
    if names::is_visible(&name) && !name.contains('*') {
        return Some(name);
    }
    node.expected("a model's name", "1 to 256 ASCII characters without spaces or `*`")
}

fn retry(node: &Node) -> Option<Retry> {
    let fields = Fields::open(node, &keys::RETRY)?;
    let default = Retry::default();
    let attempts = fields
        .read("attempts", |node| values::count(node, 1, MAX_ATTEMPTS))
        .unwrap_or(default.attempts);
    let Some(on) = fields.get("on") else {
        return Some(Retry { attempts, ..default });
    };
    let mut retry = Retry {
        attempts,
        on_connect: false,
        on_disconnect: false,
        on_timeout: false,
        on_status: Vec::new(),
    };
    let items = on.list(
        "a list",
        "[connect, disconnect, timeout, 429, 500, 502, 503, 504, 529]",
        |item| retry_on(item, &mut retry),
    );
    items.map(|_| retry)
}

fn retry_on(node: &Node, retry: &mut Retry) -> Option<()> {
    const RIGHT: &str = "connect, disconnect, timeout, or a status from 400 to 599";
    match node.value {
        Value::String(word) => match word.as_str() {
            "connect" => retry.on_connect = true,
            "disconnect" => retry.on_disconnect = true,
            "timeout" => retry.on_timeout = true,
            _ => {
                let near = names::nearest(word, ["connect", "disconnect", "timeout"].into_iter());
                let right = near.map_or_else(|| RIGHT.to_string(), |near| format!("did you mean `{near}`?"));
                return node.expected("a failure to retry", right);
            }
        },
        _ => {
            let status = node.value.as_u64().and_then(|status| u16::try_from(status).ok());
            let Some(status) = status.filter(|status| (400..=599).contains(status)) else {
                return node.expected("a failure to retry", RIGHT);
            };
            if !retry.on_status.contains(&status) {
                retry.on_status.push(status);
            }
        }
    }
    Some(())
}
