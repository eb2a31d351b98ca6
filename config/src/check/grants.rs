//! `providers.*.limits`: what a provider grants, and what may be used of it beside that.
//!
//! Requests and tokens in a time that is no calendar's are what it grants: calls are spread so that they fit. All else is a
//! limit like others.

use super::{
    limits,
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Grant, Granted, Limit, Period},
    keys,
};

/// A call goes through all of them.
const MAX_GRANTS: usize = 8;
const MAX_AMOUNT: u64 = 1 << 50;
const MAX_PER_MS: u64 = 31 * 86_400_000;
const EXAMPLE: &str = "[ { requests: 10000, per: 1m }, { tokens: 2000000, per: 1m } ]";

enum Entry {
    Grant(Grant),
    Limit(Limit),
}

pub fn grants(node: &Node) -> Option<(Vec<Grant>, Vec<Limit>)> {
    let entries = node.list("a list of limits", EXAMPLE, entry)?;
    if entries.len() > MAX_GRANTS {
        node.fault(
            format!("the list has {} limits", entries.len()),
            format!("at most {MAX_GRANTS}"),
        );
        return None;
    }
    let (mut grants, mut limited): (Vec<Grant>, Vec<Limit>) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Grant(grant) => grants.push(grant),
            Entry::Limit(limit) => limited.push(limit),
        }
    }
    let twice = |(at, grant): (usize, &Grant)| {
        let mut before = grants.iter().take(at);
        before.any(|other| (other.of, other.per_ms) == (grant.of, grant.per_ms))
    };
    if grants.iter().enumerate().any(twice) {
        node.fault(
            "the same is limited twice in the same period",
            "one limit for each of them and period",
        );
    }
    Some((grants, limits::distinct(node, limited)?))
}

fn entry(node: &Node) -> Option<Entry> {
    let fields = Fields::open(node, &keys::GRANT)?;
    let said = |of: &Granted| fields.get(of.name()).is_some();
    let per = fields.get("per");
    let calendar = per.is_some_and(|per| {
        Period::ALL
            .iter()
            .any(|period| per.value.as_str() == Some(period.name()))
    });
    let others = ["input_tokens", "output_tokens", "concurrent", "budget"];
    let beside = ["burst", "mode", "thresholds"];
    let other = others.into_iter().chain(beside).any(|key| fields.get(key).is_some());
    if other || calendar {
        return limits::of_fields(node, &fields).map(Entry::Limit);
    }
    let mut named = Granted::ALL.into_iter().filter(said);
    let (Some(of), None) = (named.next(), named.next()) else {
        node.fault(
            "a limit is of requests or of tokens",
            "{ requests: 10000, per: 1m }, or { tokens: 2000000, per: 1m }",
        );
        return None;
    };
    let most = fields.read(of.name(), |node| {
        let most = node.value.as_u64().filter(|most| (1..=MAX_AMOUNT).contains(most));
        most.or_else(|| node.expected("a number of them", "a whole number, at least 1"))
    });
    let per_ms = fields.required("per", "a period such as 1s, 1m, 1h or 1d", |node| {
        let per_ms = values::timeout_ms(node)?;
        match per_ms <= MAX_PER_MS {
            true => Some(per_ms),
            false => node.expected("a period of at most 31 days", "1s, 1m, 1h or 1d"),
        }
    });
    Some(Entry::Grant(Grant {
        of,
        most: most?,
        per_ms: per_ms?,
    }))
}
