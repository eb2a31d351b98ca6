//! What `strategy: semantic` and `complexity` go by: `threshold`, `hard_share`, and a target's `examples`, `default` and
//! `tier`.

use serde_json::Value;

use super::{
    node::{Fields, Node},
    routing::percent,
    values,
};
use crate::document::{Difficulty, Judging, MAX_EXAMPLE_BYTES, MAX_EXAMPLES, Purpose, Strategy, Target, Tier};

const PER_WHOLE: f64 = 1_000.0;
const EXAMPLES: &str = "[ \"a prompt it is for\", \"another\" ]";

/// Of a model or one of its tiers; what its strategy does not go by is a fault.
pub fn judging(fields: &Fields, strategy: Strategy) -> Judging {
    let default = Judging::default();
    let of = |node: &Node, needed: Strategy| {
        if strategy != needed {
            node.fault(
                format!("`strategy: {}` does not go by `{}`", strategy.name(), node.name()),
                format!("`strategy: {}`, or remove it", needed.name()),
            );
        }
    };
    Judging {
        threshold_thousandths: fields
            .read("threshold", |node| {
                of(node, Strategy::Semantic);
                thousandths(node)
            })
            .unwrap_or(default.threshold_thousandths),
        hard_percent: fields
            .read("hard_share", |node| {
                of(node, Strategy::Complexity);
                percent(node, 0)
            })
            .unwrap_or(default.hard_percent),
    }
}

pub fn thousandths(node: &Node) -> Option<u16> {
    match node.value.as_f64().filter(|value| (0.0..=1.0).contains(value)) {
        Some(value) => Some((value * PER_WHOLE).round() as u16),
        None => node.expected("a similarity", "a number from 0 to 1, such as 0.35"),
    }
}

pub fn purpose(fields: &Fields) -> Purpose {
    Purpose {
        examples: fields.read("examples", examples).unwrap_or_default(),
        is_default: fields.read("default", values::boolean).unwrap_or_default(),
        difficulty: fields.read("tier", difficulty),
    }
}

pub fn examples(node: &Node) -> Option<Vec<String>> {
    if let Value::Array(items) = node.value
        && !(1..=MAX_EXAMPLES).contains(&items.len())
    {
        let right = format!("1 to {MAX_EXAMPLES} examples");
        node.fault(format!("there are {} examples", items.len()), right);
        return None;
    }
    node.list("a list of prompts", EXAMPLES, |item| {
        let text = values::text(item)?;
        if text.trim().is_empty() || text.len() > MAX_EXAMPLE_BYTES {
            let right = format!("some words, at most {MAX_EXAMPLE_BYTES} bytes of them");
            return item.expected("an example of a prompt", right);
        }
        Some(text)
    })
}

fn difficulty(node: &Node) -> Option<Difficulty> {
    match node.value.as_str() {
        Some("simple") => Some(Difficulty::Simple),
        Some("hard") => Some(Difficulty::Hard),
        _ => node.expected("what a target is for", "simple or hard"),
    }
}

/// Do a tier's targets say what its strategy goes by, and nothing that it does not?
pub fn purposes(node: &Node, tier: &Tier, targets: &[Target]) {
    // Where one is at fault by itself, they are not told apart by their numbers.
    let items = node.value.get("targets").and_then(Value::as_array);
    if items.is_none_or(|items| items.len() != targets.len()) {
        return;
    }
    node.at("targets", |list| {
        each(list, targets, |item, target| {
            of_target(item, tier.strategy, &target.purpose)
        });
        match tier.strategy {
            Strategy::Semantic => semantic(list, targets),
            Strategy::Complexity => complexity(list, targets),
            _ => {}
        }
    });
}

fn each(list: &Node, targets: &[Target], mut look: impl FnMut(&Node, &Target)) {
    let mut left = targets.iter();
    list.list("", "", |item| left.next().map(|target| look(item, target)));
}

fn of_target(item: &Node, strategy: Strategy, purpose: &Purpose) {
    let said = [
        ("examples", !purpose.examples.is_empty(), Strategy::Semantic),
        ("default", purpose.is_default, Strategy::Semantic),
        ("tier", purpose.difficulty.is_some(), Strategy::Complexity),
    ];
    for (key, is_said, needed) in said {
        if is_said && strategy != needed {
            item.at(key, |node| {
                node.fault(
                    format!("`strategy: {}` does not go by `{key}`", strategy.name()),
                    format!("`strategy: {}`, or remove it", needed.name()),
                );
            });
        }
    }
}

fn semantic(list: &Node, targets: &[Target]) {
    let mut defaults = 0;
    each(list, targets, |item, target| {
        defaults += u32::from(target.purpose.is_default);
        if target.purpose.examples.is_empty() && !target.purpose.is_default {
            item.fault(
                "the target has no examples",
                format!("examples: {EXAMPLES}, or default: true"),
            );
        }
        if target.purpose.is_default && defaults > 1 {
            item.at("default", |node| node.fault("there is another default", "one default"));
        }
    });
    if targets.iter().all(|target| target.purpose.examples.is_empty()) {
        list.fault(
            "no target has examples: there is nothing to resemble",
            format!("examples: {EXAMPLES}"),
        );
    }
}

fn complexity(list: &Node, targets: &[Target]) {
    each(list, targets, |item, target| {
        if target.purpose.difficulty.is_none() {
            item.fault("`tier` is missing", "tier: simple or hard");
        }
    });
    for difficulty in [Difficulty::Simple, Difficulty::Hard] {
        let has = |target: &Target| target.purpose.difficulty == Some(difficulty);
        if targets.iter().all(|target| target.purpose.difficulty.is_some()) && !targets.iter().any(has) {
            let name = difficulty.name();
            list.fault(
                format!("no target is for `{name}` prompts"),
                format!("tier: {name} for one of them"),
            );
        }
    }
}
