//! `models.*.{hedge,shadow}`, `targets.*.arm` and `providers.*.check`: what goes on beside a call.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    node::{Fields, Node},
    routing::percent,
    values,
};
use crate::{
    document::{ActiveCheck, Hedge, HedgeAfter, Named, Shadow},
    keys,
};

const MAX_ARM_BYTES: usize = 64;
const MAX_PATH_BYTES: usize = 1024;
const MAX_CHECKS: u64 = 100;
const LEAST_EVERY_MS: u64 = 100;

const DEFAULT_EXTRA_PERCENT: u32 = 5;
const DEFAULT_SHARE_PERCENT: u32 = 1;
const DEFAULT_EVERY_MS: u64 = 10_000;
const DEFAULT_TIMEOUT_MS: u64 = 2_000;
const DEFAULT_HEALTHY: u32 = 2;
const DEFAULT_UNHEALTHY: u32 = 3;

/// `targets`: how many the model has.
pub fn hedge(node: &Node, targets: usize) -> Option<Hedge> {
    let fields = Fields::open(node, &keys::HEDGE)?;
    let after = fields.required("after", "p95, or a duration such as 800ms", hedge_after);
    let max_extra = fields.read("max_extra", |node| percent(node, 1));
    if targets < 2 {
        node.fault(
            "the model has one target, and a second one is what `hedge` asks",
            "a second target, or no `hedge`",
        );
        return None;
    }
    Some(Hedge {
        after: after?,
        max_extra_percent: max_extra.unwrap_or(DEFAULT_EXTRA_PERCENT),
    })
}

fn hedge_after(node: &Node) -> Option<HedgeAfter> {
    let Value::String(word) = node.value else {
        return values::timeout_ms(node).map(|ms| HedgeAfter::Delay { ms });
    };
    let known = HedgeAfter::QUANTILES.iter().find(|(name, _)| name == word);
    if let Some(&(_, percent)) = known {
        return Some(HedgeAfter::Quantile { percent });
    }
    if word.starts_with('p') {
        return node.expected(
            "a time after which to ask",
            "p50, p90, p95, p99, or a duration such as 800ms",
        );
    }
    values::timeout_ms(node).map(|ms| HedgeAfter::Delay { ms })
}

/// `other`: reads the name of another model.
pub fn shadow(node: &Node, other: impl FnOnce(&Node) -> Option<String>) -> Option<Shadow> {
    let fields = Fields::open(node, &keys::SHADOW)?;
    let model = fields.required("model", "the name of another model", other);
    let share = fields.read("share", |node| percent(node, 1));
    Some(Shadow {
        model: model?,
        share_percent: share.unwrap_or(DEFAULT_SHARE_PERCENT),
    })
}

/// Models whose shadows lead back to themselves say something that nobody means: shadows have no shadows.
pub fn refuse_shadow_cycles<M>(models: &Node, read: &Named<M>, shadow_of: impl Fn(&M) -> Option<&str>) {
    let index: HashMap<&str, usize> = read.iter().zip(0..).map(|((name, _), i)| (name.as_str(), i)).collect();
    let next = |at: usize| shadow_of(&read[at].1).and_then(|name| index.get(name).copied());
    // From which start each was come by first.
    let mut seen: Vec<Option<usize>> = vec![None; read.len()];
    for start in 0..read.len() {
        let mut at = Some(start);
        while let Some(here) = at.filter(|&here| seen[here].is_none()) {
            seen[here] = Some(start);
            at = next(here);
        }
        // Come by on this very walk: it goes round.
        let Some(first) = at.filter(|&here| seen[here] == Some(start)) else {
            continue;
        };
        let mut here = first;
        loop {
            let name = &read[here].0;
            let wrong = format!("shadows lead from `{name}` back to it");
            models.at(name, |model| {
                model.at("shadow", |node| {
                    node.at("model", |node| {
                        node.fault(wrong, "a model that does not lead back here")
                    });
                });
            });
            match next(here).filter(|&next| next != first) {
                Some(next) => here = next,
                None => break,
            }
        }
    }
}

/// The name of the arm of a comparison that a target belongs to.
pub fn arm(node: &Node) -> Option<String> {
    let name = values::text(node)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match name.len() <= MAX_ARM_BYTES && name.bytes().all(fits) {
        true => Some(name),
        false => node.expected("a name of an arm", "up to 64 letters, digits, `-`, `_` and `.`"),
    }
}

pub fn active_check(node: &Node) -> Option<ActiveCheck> {
    let fields = Fields::open(node, &keys::CHECK)?;
    let path = fields.required("path", "a path such as /v1/models", path);
    let every_ms = fields.read("every", every_ms).unwrap_or(DEFAULT_EVERY_MS);
    let timeout = fields.read("timeout", values::timeout_ms);
    // A default may not be at fault.
    let timeout_ms = timeout.unwrap_or(DEFAULT_TIMEOUT_MS.min(every_ms));
    if timeout_ms > every_ms {
        node.fault(
            "`timeout` is longer than `every`: a check would begin before the one before it is over",
            "a timeout up to `every`",
        );
    }
    let in_a_row = |key, default| {
        fields
            .read(key, |node| values::count(node, 1, MAX_CHECKS))
            .unwrap_or(default)
    };
    Some(ActiveCheck {
        path: path?,
        every_ms,
        timeout_ms,
        healthy: in_a_row("healthy", DEFAULT_HEALTHY),
        unhealthy: in_a_row("unhealthy", DEFAULT_UNHEALTHY),
    })
}

fn every_ms(node: &Node) -> Option<u64> {
    let ms = values::timeout_ms(node)?;
    match ms >= LEAST_EVERY_MS {
        true => Some(ms),
        false => node.expected("a time between two checks", "at least 100ms"),
    }
}

fn path(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    match text.starts_with('/') && text.len() <= MAX_PATH_BYTES && text.bytes().all(fits) {
        true => Some(text),
        false => node.expected("a path", "a path such as /v1/models, without spaces"),
    }
}
