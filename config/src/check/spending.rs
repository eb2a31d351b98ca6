//! `when.spent_share`, `when.margin` and the `charge` that it is reckoned from.

use super::{
    limits,
    node::{Fields, Node},
    prices,
    routing::percent,
};
use crate::{
    Document,
    document::{Charge, Limit, LimitOwner, SpentShare, Target, Unit},
    keys,
};

const EXAMPLE: &str = "above: 80%, or below: 80%";

pub fn spent_share(node: &Node) -> Option<SpentShare> {
    let fields = Fields::open(node, &keys::SPENT_SHARE)?;
    let share = |key| fields.read(key, |node| percent(node, 1));
    let (above_percent, below_percent) = (share("above"), share("below"));
    if fields.get("above").is_none() && fields.get("below").is_none() {
        node.fault("it names no share", EXAMPLE);
        return None;
    }
    if let (Some(above), Some(below)) = (above_percent, below_percent)
        && above >= below
    {
        node.fault(
            "`above` is not smaller than `below`: no call fits",
            "above less than below",
        );
    }
    let unit = fields.read("unit", |node| named(node, "a unit", &UNITS, Unit::name));
    Some(SpentShare {
        of: fields.read("of", |node| {
            named(node, "anybody's limit", &LimitOwner::ALL, LimitOwner::name)
        }),
        unit: unit.unwrap_or(Unit::Budget),
        per: fields.read("per", limits::per),
        above_percent,
        below_percent,
    })
}

/// What is spent: calls under way are not.
const UNITS: [Unit; 5] = [
    Unit::Budget,
    Unit::Tokens,
    Unit::InputTokens,
    Unit::OutputTokens,
    Unit::Requests,
];

fn named<T: Copy>(node: &Node, what: &str, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
    let word = node.value.as_str().unwrap_or_default();
    let names = || all.iter().map(|one| name(*one));
    let right = || format!("one of {}", names().collect::<Vec<_>>().join(", "));
    let found = all.iter().find(|one| name(**one) == word);
    found
        .copied()
        .or_else(|| node.expected(what, node.nearest_name(word, names(), right)))
}

/// `charge`, which `margin` needs and nothing else.
pub fn charge(fields: &Fields, model: &Node, targets: &[Target]) -> Option<Charge> {
    let charge = fields.read("charge", prices::model).map(Charge);
    let has_margin = targets.iter().any(|target| target.when.margin_percent.is_some());
    match (fields.get("charge"), has_margin) {
        (None, true) => model.fault(
            "a target has a `margin`, and the model says not what callers are charged",
            "charge: { input: \"3.00\", output: \"12.00\" } beside `targets`, USD for a million tokens",
        ),
        (Some(node), false) => node.fault(
            "`charge` without a `margin` says nothing",
            "when: { margin: 20% } of a target, or remove `charge`",
        ),
        _ => {}
    }
    charge
}

/// A share of a limit that there is not is always nothing. Keys made later may have limits of their own.
pub fn refuse_what_nobody_spends(root: &Fields, document: &Document) {
    let Some(models) = root.get("models") else { return };
    let asks = |target: &Target| target.when.spent_share.is_some();
    for (name, model) in document
        .models
        .iter()
        .filter(|(_, model)| model.targets.iter().any(asks))
    {
        models.at(name, |node| {
            let mut count = 0;
            targets(node, &mut |_| count += 1);
            // Where one is at fault by itself, they are not told apart by their numbers.
            let mut shares = model.targets.iter().map(|target| target.when.spent_share);
            targets(node, &mut |target| {
                let share = shares.next().flatten().filter(|_| count == model.targets.len());
                if let Some(share) = share.filter(|share| !is_limited(document, &model.limits, share)) {
                    target.at("when", |when| when.at("spent_share", |node| refuse(node, &share)));
                }
            });
        });
    }
}

fn targets(model: &Node, look: &mut dyn FnMut(&Node)) {
    model.at("targets", |list| each(list, look));
    model.at("tiers", |tiers| {
        each(tiers, &mut |tier| tier.at("targets", |list| each(list, look)));
    });
}

fn each(list: &Node, look: &mut dyn FnMut(&Node)) {
    if list.value.is_array() {
        list.list("", "", |item| {
            look(item);
            None::<()>
        });
    }
}

fn is_limited(document: &Document, of_model: &[Limit], share: &SpentShare) -> bool {
    let has = |limits: &[Limit]| limits.iter().any(|limit| share.is_of(limit));
    let by = |owner: LimitOwner| match owner {
        LimitOwner::Key => true,
        LimitOwner::Organization => has(&document.organization),
        LimitOwner::Team => document.teams.iter().any(|(_, team)| has(&team.limits)),
        LimitOwner::User => document.users.iter().any(|(_, user)| has(&user.limits)),
        LimitOwner::Model => has(of_model),
    };
    share.of.is_none_or(by)
}

fn refuse(node: &Node, share: &SpentShare) {
    let (owner, unit) = (share.of.map_or("caller", LimitOwner::name), share.unit.name());
    node.fault(
        format!("no limit of a {owner} counts `{unit}` in this period: its share is always 0%"),
        format!("a limit of `{unit}` in the {owner}'s `limits`, or another `of`, `unit` or `per`"),
    );
}
