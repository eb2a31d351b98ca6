//! `models`: the names clients ask for, and the targets that answer.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    beside, less, limits, meaning,
    names::{self, Names},
    node::{Fields, Node},
    overload, routing, spending, streams, values, when,
};
use crate::{
    document::{Model, Named, OnUnsupported, Strategy, Target, Tier},
    keys,
};

const MAX_TARGETS: usize = 64;
const MAX_WEIGHT: u64 = 10_000;

pub fn model(node: &Node, names: &Names) -> Option<Model> {
    let fields = Fields::open(node, &keys::MODEL)?;
    let wildcard = node.name().ends_with('*');
    let (targets, tiers) = match fields.get("tiers") {
        Some(list) => tiered(&fields, (&list, wildcard), names),
        None => listed(&fields, (node, wildcard), names),
    }?;
    let retry = fields.read("retry", routing::retry).unwrap_or_default();
    let other = |key| fields.read(key, |other| other_model(other, node.name(), names));
    let count = targets.len();
    let charge = spending::charge(&fields, node, &targets);
    Some(Model {
        charge,
        targets,
        tiers,
        streams: streams::streams(&fields, &retry),
        retry,
        breaker: fields.read("breaker", routing::breaker).unwrap_or_default(),
        overload: fields.read("overload", overload::overload),
        on_unsupported: fields.read("on_unsupported", on_unsupported).unwrap_or_default(),
        on_context_overflow: other("on_context_overflow"),
        on_refusal: other("on_refusal"),
        limits: fields.read("limits", limits::limits).unwrap_or_default(),
        hedge: fields.read("hedge", |node| beside::hedge(node, count)),
        shadow: fields.read("shadow", |shadow| {
            beside::shadow(shadow, |other| other_model(other, node.name(), names))
        }),
        cache: fields.read("cache", |node| names::reference(node, "cache", "caches", &names.caches)),
        guards: fields
            .read("guards", |node| less::guards(node, names))
            .unwrap_or_default(),
        compress: fields.read("compress", |compress| {
            less::compress(compress, |other| other_model(other, node.name(), names))
        }),
    })
}

const TARGETS: &str = "[ { provider: NAME, model: NAME } ]";

/// `targets`, chosen among as `strategy` says.
fn listed(fields: &Fields, (node, wildcard): (&Node, bool), names: &Names) -> Option<(Vec<Target>, Vec<Tier>)> {
    let targets = fields.required("targets", TARGETS, |list| targets(list, names, wildcard));
    let tier = routing::choosing(fields, targets.as_ref().map_or(0, Vec::len));
    let targets = targets?;
    weights_count(node, &tier, &targets);
    meaning::purposes(node, &tier, &targets);
    Some((targets, vec![tier]))
}

/// `tiers`, each with targets and a strategy of its own.
fn tiered(fields: &Fields, (list, wildcard): (&Node, bool), names: &Names) -> Option<(Vec<Target>, Vec<Tier>)> {
    for key in ["targets", "strategy", "sticky", "affinity", "threshold", "hard_share"] {
        if let Some(beside) = fields.get(key) {
            beside.fault(
                format!("`{key}` beside `tiers`"),
                format!("`{key}` in each of the tiers"),
            );
        }
    }
    let mut all = Vec::new();
    let tiers = list.list(
        "a list of tiers",
        "[ { strategy: priority, targets: [...] } ]",
        |item| {
            let fields = Fields::open(item, &keys::TIER)?;
            let targets = fields.required("targets", TARGETS, |list| targets(list, names, wildcard))?;
            let tier = routing::choosing(&fields, targets.len());
            weights_count(item, &tier, &targets);
            meaning::purposes(item, &tier, &targets);
            all.extend(targets);
            Some(tier)
        },
    )?;
    if tiers.is_empty() {
        list.fault("the list is empty", "at least one tier");
        return None;
    }
    if all.len() > MAX_TARGETS {
        list.fault(
            format!("the tiers have {} targets", all.len()),
            format!("at most {MAX_TARGETS} together"),
        );
        return None;
    }
    Some((all, tiers))
}

/// A weight of zero everywhere leaves nobody to choose.
fn weights_count(node: &Node, tier: &Tier, targets: &[Target]) {
    if tier.strategy == Strategy::Weighted && !targets.is_empty() && targets.iter().all(|target| target.weight == 0) {
        node.fault(
            "every target has the weight 0",
            "a weight of at least 1 for one of them",
        );
    }
}

/// A model that is asked in the place of `own`.
fn other_model(node: &Node, own: &str, names: &Names) -> Option<String> {
    let name = names::reference(node, "model", "models", &names.models)?;
    if name == own || name.ends_with('*') {
        return node.expected("another model", "the name of another model, without a star");
    }
    Some(name)
}

/// A model that takes over for another must not lead back to it: such a call would go round for ever.
pub fn refuse_cycles(models: &Node, read: &Named<Model>) {
    let index: HashMap<&str, usize> = read
        .iter()
        .enumerate()
        .map(|(i, (name, _))| (name.as_str(), i))
        .collect();
    let next = |from: usize| {
        let (_, model) = &read[from];
        let named = [
            ("on_context_overflow", &model.on_context_overflow),
            ("on_refusal", &model.on_refusal),
        ];
        named.map(|(key, name)| (key, name.as_deref().and_then(|name| index.get(name).copied())))
    };
    // Models none of whose chains leads back are `Done`; those on the chain that is being followed are `Open`.
    let mut seen = vec![Seen::No; read.len()];
    for start in 0..read.len() {
        let mut chain = vec![(start, 0)];
        while let Some((at, edge)) = chain.last_mut() {
            let at = *at;
            let Some(&(key, to)) = next(at).get(*edge) else {
                seen[at] = Seen::Done;
                chain.pop();
                continue;
            };
            seen[at] = Seen::Open;
            *edge += 1;
            match to.map(|to| (to, seen[to])) {
                Some((to, Seen::No)) => chain.push((to, 0)),
                Some((to, Seen::Open)) => {
                    let (from, to) = (&read[at].0, &read[to].0);
                    let wrong = format!("`{to}` comes back to `{from}`: a call could go round for ever");
                    models.at(from, |model| {
                        model.at(key, |node| node.fault(wrong, "a model that does not lead back here"))
                    });
                }
                Some((_, Seen::Done)) | None => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    Open,
    Done,
}

fn on_unsupported(node: &Node) -> Option<OnUnsupported> {
    match node.value.as_str() {
        Some("drop") => Some(OnUnsupported::Drop),
        Some("error") => Some(OnUnsupported::Error),
        _ => node.expected("what to do with what a target cannot express", "drop or error"),
    }
}

fn targets(node: &Node, names: &Names, wildcard: bool) -> Option<Vec<Target>> {
    if let Value::Array(items) = node.value
        && !(1..=MAX_TARGETS).contains(&items.len())
    {
        node.fault(
            format!("the model has {} targets", items.len()),
            format!("1 to {MAX_TARGETS} targets"),
        );
        return None;
    }
    node.list("a list of targets", "[ { provider: NAME, model: NAME } ]", |item| {
        target(item, names, wildcard)
    })
}

fn target(node: &Node, names: &Names, wildcard: bool) -> Option<Target> {
    let fields = Fields::open(node, &keys::TARGET)?;
    let provider = fields.required("provider", "a name from `providers`", |node| {
        names::reference(node, "provider", "providers", &names.providers)
    });
    let model = fields.required("model", "the provider's name of the model", |node| {
        target_model(node, wildcard)
    });
    let like = fields.read("like", |node| target_model(node, false));
    let weight = fields.read("weight", |node| values::count(node, 0, MAX_WEIGHT));
    Some(Target {
        provider: provider?,
        model: model?,
        like,
        weight: weight.unwrap_or(1),
        when: fields.read("when", routing::conditions).unwrap_or_default(),
        region: fields.read("region", when::region),
        arm: fields.read("arm", beside::arm),
        purpose: meaning::purpose(&fields),
    })
}

fn target_model(node: &Node, wildcard: bool) -> Option<String> {
    let name = values::text(node)?;
    if name == "*" {
        if wildcard {
            return Some(name);
        }
        return node.expected(
            "a model's name here",
            "the provider's name of the model; `*` is for wildcard models",
        );
    }
    if names::is_visible(&name) && !name.contains('*') {
        return Some(name);
    }
    node.expected("a model's name", "1 to 256 ASCII characters without spaces or `*`")
}
