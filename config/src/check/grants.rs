//! `providers.*.limits`: what a provider grants.

use super::{
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Grant, Granted},
    keys,
};

/// A call goes through all of them.
const MAX_GRANTS: usize = 8;
const MAX_AMOUNT: u64 = 1 << 50;
const MAX_PER_MS: u64 = 31 * 86_400_000;
const EXAMPLE: &str = "[ { requests: 10000, per: 1m }, { tokens: 2000000, per: 1m } ]";

pub fn grants(node: &Node) -> Option<Vec<Grant>> {
    let grants = node.list("a list of limits", EXAMPLE, grant)?;
    if grants.len() > MAX_GRANTS {
        node.fault(
            format!("the list has {} limits", grants.len()),
            format!("at most {MAX_GRANTS}"),
        );
        return None;
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
    Some(grants)
}

fn grant(node: &Node) -> Option<Grant> {
    let fields = Fields::open(node, &keys::GRANT)?;
    let said = |of: &Granted| fields.get(of.name()).is_some();
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
    Some(Grant {
        of,
        most: most?,
        per_ms: per_ms?,
    })
}
