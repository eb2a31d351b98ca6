//! `models.*.{strategy,tiers,breaker,retry}` and `targets.*.when`: how a model chooses, tries again and turns away.

use serde_json::Value;

use super::{
    meaning, names,
    node::{Fields, Node},
    values, when,
};
use crate::{
    document::{Affinity, Breaker, Conditions, Retry, Sticky, Strategy, Tier},
    keys,
};

const MAX_ATTEMPTS: u64 = 10;
const MAX_FAILURES: u64 = 1_000;
const MAX_CALLS: u64 = 1_000_000;

/// `strategy` and `sticky` of a model or of one of its tiers.
pub fn choosing(fields: &Fields, targets: usize) -> Tier {
    let strategy = fields.read("strategy", strategy).unwrap_or_default();
    let sticky = fields.read("sticky", |node| match strategy {
        Strategy::Weighted => sticky(node),
        _ => {
            node.fault(
                format!("`strategy: {}` does not stick to anything", strategy.name()),
                "`strategy: weighted`, or remove `sticky`",
            );
            None
        }
    });
    let affinity = fields.read("affinity", |node| affinity(node, strategy, sticky.is_some()));
    let judging = meaning::judging(fields, strategy);
    Tier {
        strategy,
        sticky,
        affinity,
        judging,
        targets,
    }
}

fn strategy(node: &Node) -> Option<Strategy> {
    let names = || Strategy::ALL.iter().map(|strategy| strategy.name());
    let right = || format!("one of {}", names().collect::<Vec<_>>().join(", "));
    let Value::String(word) = node.value else {
        return node.expected("a strategy", right());
    };
    if let Some(&strategy) = Strategy::ALL.iter().find(|strategy| strategy.name() == word) {
        return Some(strategy);
    }
    let right = node.nearest_name(word, names(), right);
    node.expected("a strategy", right)
}

fn sticky(node: &Node) -> Option<Sticky> {
    const RIGHT: &str = "key, user or header:NAME";
    let Value::String(word) = node.value else {
        return node.expected("what a call sticks to", RIGHT);
    };
    match (word.as_str(), word.strip_prefix("header:")) {
        ("key", _) => Some(Sticky::Key),
        ("user", _) => Some(Sticky::User),
        (_, Some(name)) if is_header_name(name) => Some(Sticky::Header(name.to_ascii_lowercase())),
        _ => node.expected("what a call sticks to", RIGHT),
    }
}

fn affinity(node: &Node, strategy: Strategy, sticks: bool) -> Option<Affinity> {
    if node.value.as_str() != Some("prefix") {
        return node.expected("what draws calls to a target", "prefix");
    }
    if strategy == Strategy::Priority {
        node.fault(
            "`strategy: priority` asks the same target first as it is",
            "another strategy, or remove `affinity`",
        );
    }
    if sticks {
        node.fault(
            "`affinity` beside `sticky`: a call can hold on to one thing",
            "one of them",
        );
    }
    Some(Affinity::Prefix)
}

pub fn conditions(node: &Node) -> Option<Conditions> {
    let fields = Fields::open(node, &keys::WHEN)?;
    let listed = |key| fields.read(key, patterns).unwrap_or_default();
    let mut when = Conditions {
        keys: listed("keys"),
        teams: listed("teams"),
        users: listed("users"),
        tags: fields.named("tags", names::name, values::text),
        headers: fields.named("headers", header_name, values::text),
        min_body_bytes: fields.read("min_body", values::size_bytes),
        max_body_bytes: fields.read("max_body", values::size_bytes),
        ..Conditions::default()
    };
    when::conditions(&fields, node, &mut when);
    if let (Some(min), Some(max)) = (when.min_body_bytes, when.max_body_bytes)
        && min > max
    {
        node.fault(
            "`min_body` is larger than `max_body`: no call fits",
            "min_body up to max_body",
        );
    }
    let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
    Some(Conditions {
        headers: when.headers.into_iter().map(lower).collect(),
        ..when
    })
}

fn patterns(node: &Node) -> Option<Vec<String>> {
    node.list("a list of names", "[ NAME, \"PREFIX*\" ]", |item| {
        let name = values::text(item)?;
        match names::is_pattern(&name) {
            true => Some(name),
            false => item.expected("a name or a pattern", "a name with at most one `*`, at its end"),
        }
    })
}

fn header_name(node: &Node) {
    if !is_header_name(node.name()) {
        node.fault(
            format!("`{}` is no header's name", node.name().escape_debug()),
            "letters, digits and `-`",
        );
    }
}

fn is_header_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

pub fn breaker(node: &Node) -> Option<Breaker> {
    let fields = Fields::open(node, &keys::BREAKER)?;
    let default = Breaker::default();
    let time = |key, default| fields.read(key, values::timeout_ms).unwrap_or(default);
    let share = |key, default| fields.read(key, |node| percent(node, 1)).unwrap_or(default);
    Some(Breaker {
        failures: fields
            .read("failures", |node| values::count(node, 0, MAX_FAILURES))
            .unwrap_or(default.failures),
        window_ms: time("window", default.window_ms),
        cooldown_ms: time("cooldown", default.cooldown_ms),
        error_percent: share("error_rate", default.error_percent),
        slow_ms: fields.read("slow", values::timeout_ms),
        slow_percent: share("slow_rate", default.slow_percent),
        min_calls: fields
            .read("min_calls", |node| values::count(node, 1, MAX_CALLS))
            .unwrap_or(default.min_calls),
        max_ejected_percent: fields
            .read("max_ejected", |node| percent(node, 0))
            .unwrap_or(default.max_ejected_percent),
        slow_start_ms: fields
            .read("slow_start", values::duration_ms)
            .unwrap_or(default.slow_start_ms),
    })
}

/// `5%`, whole numbers up to 100.
pub(super) fn percent(node: &Node, least: u32) -> Option<u32> {
    let right = || format!("{least}% to 100%");
    let Value::String(text) = node.value else {
        return node.expected("a share", right());
    };
    let number = text.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok());
    match number {
        Some(number) if (least..=100).contains(&number) => Some(number),
        _ => node.expected("a share", right()),
    }
}

pub fn retry(node: &Node) -> Option<Retry> {
    let fields = Fields::open(node, &keys::RETRY)?;
    let default = Retry::default();
    let mut retry = Retry {
        attempts: fields
            .read("attempts", |node| values::count(node, 1, MAX_ATTEMPTS))
            .unwrap_or(default.attempts),
        respect_retry_after: fields
            .read("respect_retry_after", values::boolean)
            .unwrap_or(default.respect_retry_after),
        max_wait_ms: fields
            .read("max_wait", values::duration_ms)
            .unwrap_or(default.max_wait_ms),
        backoff_ms: fields.read("backoff", values::timeout_ms).unwrap_or(default.backoff_ms),
        budget_percent: fields
            .read("budget", |node| percent(node, 0))
            .unwrap_or(default.budget_percent),
        ..default
    };
    let Some(on) = fields.get("on") else { return Some(retry) };
    retry = Retry {
        on_connect: false,
        on_disconnect: false,
        on_timeout: false,
        on_status: Vec::new(),
        ..retry
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
