//! Where a call's words may go: the regions that its key, its team and its own tags leave.

use crate::{exchange::Exchange, snapshot::Target};

/// The tag of `x-tollgate-tags` by which a call narrows where it may go.
const TAG: &str = "residency";

/// May the call go to a target? What is not known to be in a region is in none.
pub(crate) fn admits(exchange: &Exchange, target: &Target) -> bool {
    is_within(exchange, target.region.as_deref())
}

/// May it go to a provider that is called for no model's sake?
pub(crate) fn admits_provider(exchange: &Exchange, provider: usize) -> bool {
    let pinned = exchange.pin();
    let residency = pinned.snapshot.document.providers[provider].1.residency.as_deref();
    is_within(exchange, residency)
}

fn is_within(exchange: &Exchange, region: Option<&str>) -> bool {
    let kept = exchange.pinned().zip(exchange.facts.key);
    let kept = kept.map_or(&[][..], |(pinned, key)| &*pinned.keys.entry(key).residency);
    let has = |labels: &[Box<str>]| region.is_some_and(|region| labels.iter().any(|label| **label == *region));
    kept.iter().all(|labels| has(labels)) && tag(exchange).is_none_or(|label| region == Some(label))
}

fn tag(exchange: &Exchange) -> Option<&str> {
    let mut tags = exchange.facts.tags.split(',').filter_map(|tag| tag.split_once('='));
    tags.find(|(name, _)| name.trim() == TAG).map(|(_, label)| label.trim())
}

/// The regions, for people.
pub(crate) fn words(exchange: &Exchange) -> String {
    let kept = exchange.pinned().zip(exchange.facts.key);
    let kept = kept.map_or(&[][..], |(pinned, key)| &*pinned.keys.entry(key).residency);
    let mut said: Vec<String> = kept.iter().map(|labels| labels.join(" or ")).collect();
    said.extend(tag(exchange).map(str::to_owned));
    said.join(", and ")
}
