//! Where a call's words may go: the regions that its key, its team and its own tags leave.

use std::hash::Hasher;

use crate::{exchange::Exchange, identity::Labels};

/// The tag of `x-tollgate-tags` by which a call narrows where it may go.
const TAG: &str = "residency";

/// The regions that a call may go to: found once, for they are asked of every target.
#[derive(Clone, Copy)]
pub(crate) struct Regions<'a> {
    /// Those that its key and its team leave; one of each list.
    kept: &'a [Labels],
    /// The one that it wants itself.
    tag: Option<&'a str>,
}

impl<'a> Regions<'a> {
    pub fn of(exchange: &'a Exchange) -> Self {
        let kept = exchange.pinned().zip(exchange.facts.key);
        Self {
            kept: kept.map_or(&[][..], |(pinned, key)| &*pinned.keys.entry(key).residency),
            tag: tag(exchange),
        }
    }

    /// Calls that may go to other regions write something else.
    pub fn write(&self, hasher: &mut impl Hasher) {
        let mut text = |text: &str| {
            hasher.write_usize(text.len());
            hasher.write(text.as_bytes());
        };
        for labels in self.kept {
            labels.iter().for_each(|label| text(label));
            text("");
        }
        text("");
        text(self.tag.unwrap_or_default());
        hasher.write_u8(u8::from(self.tag.is_some()));
    }

    /// What is not known to be in a region is in none.
    #[inline]
    pub fn admit(&self, region: Option<&str>) -> bool {
        let has = |labels: &Labels| region.is_some_and(|region| labels.iter().any(|label| **label == *region));
        self.kept.iter().all(has) && self.tag.is_none_or(|label| region == Some(label))
    }
}

/// May it go to a provider that is called for no model's sake?
pub(crate) fn admits_provider(exchange: &Exchange, provider: usize) -> bool {
    let pinned = exchange.pin();
    let residency = pinned.snapshot.document.providers[provider].1.residency.as_deref();
    Regions::of(exchange).admit(residency)
}

fn tag(exchange: &Exchange) -> Option<&str> {
    if exchange.facts.tags.is_empty() {
        return None;
    }
    let mut tags = exchange.facts.tags.split(',').filter_map(|tag| tag.split_once('='));
    tags.find(|(name, _)| name.trim() == TAG).map(|(_, label)| label.trim())
}

/// The regions, for people.
pub(crate) fn words(exchange: &Exchange) -> String {
    let Regions { kept, tag } = Regions::of(exchange);
    let mut said: Vec<String> = kept.iter().map(|labels| labels.join(" or ")).collect();
    said.extend(tag.map(str::to_owned));
    said.join(", and ")
}
