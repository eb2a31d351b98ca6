//! The limits of tags: for each value that calls say of a tag there is a balance of its own, `project=x`.

use std::sync::Arc;

use super::{Rules, Scope};
use crate::{Snapshot, exchange::Pinned};

/// A call comes under the limits of so many values; those behind them in order are not looked at. Whoever says more than a
/// few says them to fill the table.
const MAX_LIMITED: usize = 32;

/// Those that a call comes under by its tags. Made for the call: nobody knows all values beforehand.
pub(super) fn of(pinned: &Pinned, tags: &str) -> Vec<Arc<Rules>> {
    let limited = &pinned.snapshot.document.tags;
    if limited.is_empty() || tags.is_empty() {
        return Vec::new();
    }
    let mut said: Vec<(&str, &str)> = tags
        .split(',')
        .filter_map(|tag| tag.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    said.sort_unstable();
    said.dedup();
    let named = said.into_iter().filter_map(|(name, value)| {
        let (_, limits) = limited.iter().find(|(limited, _)| limited == name)?;
        Rules::new(Scope::Tag, &format!("{name}={value}"), limits)
    });
    named.take(MAX_LIMITED).collect()
}

/// Those of one value, `project=x`.
pub(super) fn named(snapshot: &Snapshot, tag: &str) -> Option<Arc<Rules>> {
    let (name, value) = tag.split_once('=')?;
    let (_, limits) = snapshot.document.tags.iter().find(|(limited, _)| limited == name)?;
    Rules::new(Scope::Tag, &format!("{name}={value}"), limits)
}
