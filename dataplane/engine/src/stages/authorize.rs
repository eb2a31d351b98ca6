//! authorize: may this key use this model? Runs behind `admit`, which found the name and the model.

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    stage::Verdict,
};

/// Of more models than this only the first are compared with a name that was not found: that reply must stay cheap.
const MAX_COMPARED: usize = 2_000;
const MAX_SUGGESTED: usize = 3;
const LEAST_SIMILARITY: f64 = 0.75;

pub(crate) fn enter(exchange: &mut Exchange, _: &mut Io<'_>) -> Verdict {
    let pinned = exchange.pin();
    let Some(key) = exchange.facts.key else {
        return Verdict::Refuse(Failure::gateway(Kind::Internal(
            "a model was asked for before the key was known",
        )));
    };
    if exchange.facts.direct.is_some() {
        // The model is not known yet: `passing::late` asks this when it is.
        return Verdict::Next;
    }
    match pinned.keys.entry(key).models.admit(&exchange.facts.model_asked) {
        true => Verdict::Next,
        false => Verdict::Refuse(Failure::client(Kind::ModelNotAllowed)),
    }
}

/// The names most like the one asked for, among those the key may use.
pub(crate) fn nearest_models(exchange: &Exchange) -> Vec<String> {
    let (Some(pinned), Some(key)) = (exchange.pinned(), exchange.facts.key) else {
        return Vec::new();
    };
    let allowed = &pinned.keys.entry(key).models;
    let asked = &*exchange.facts.model_asked;
    let mut near: Vec<(f64, &str)> = Vec::new();
    for (name, _) in pinned.snapshot.document.models.iter().take(MAX_COMPARED) {
        let similarity = strsim::jaro_winkler(asked, name);
        if similarity >= LEAST_SIMILARITY && !name.ends_with('*') && allowed.admit(name) {
            near.push((similarity, name));
        }
    }
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter()
        .take(MAX_SUGGESTED)
        .map(|(_, name)| name.to_owned())
        .collect()
}
