//! Tiers that no call can come to: whoever is in them has been asked before.

use super::node::Node;
use crate::document::{Conditions, Model, Named, Target};

/// A tier is reached when nobody before it can be asked or answers; one whose targets are all there already adds nothing.
pub fn refuse_unreachable(models: &Node, read: &Named<Model>) {
    for (name, model) in read.iter().filter(|(_, model)| model.tiers.len() > 1) {
        models.at(name, |node| node.at("tiers", |list| refuse(list, model)));
    }
}

fn refuse(list: &Node, model: &Model) {
    // Where one is at fault by itself, they are not told apart by their numbers.
    if list
        .value
        .as_array()
        .is_none_or(|items| items.len() != model.tiers.len())
    {
        return;
    }
    let (mut number, mut from) = (0, 0);
    list.list("", "", |item| {
        let tier = model.tiers.get(number)?;
        let before = model.targets.get(..from)?;
        let own = model.targets.get(from..from + tier.targets)?;
        if own
            .iter()
            .all(|target| before.iter().any(|other| takes_all_of(other, target)))
        {
            item.fault(
                "the tier is never reached: its targets are all in those before it",
                "a target that is in none of them",
            );
        }
        (number, from) = (number + 1, from + tier.targets);
        Some(())
    });
}

/// Whatever `target` could be asked, `other` has been asked before.
fn takes_all_of(other: &Target, target: &Target) -> bool {
    (&other.provider, &other.model, &other.region) == (&target.provider, &target.model, &target.region)
        && (other.when == Conditions::default() || other.when == target.when)
}
