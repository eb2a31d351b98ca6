//! What would go on beside a call: whether a second target is asked and after how long, and who gets copies. In words; asks
//! nobody and spends nothing.

use tollgate_config::document::HedgeAfter;

use super::{Explained, route_of, step};
use crate::{
    exchange::{Exchange, Io, detached},
    outputs::Rest,
    routing::latency::Class,
    snapshot::{Route, Target},
};

const NS_PER_MS: u64 = 1_000_000;

/// Of a call whose order is known: `hedge` and `shadow`, where its model has them.
pub(super) fn told(exchange: &Exchange, io: &Io<'_>) -> Vec<Explained> {
    let told = route_of(exchange, |route| {
        [hedge(exchange, io, route), shadow(exchange, route), likeness(exchange)]
    });
    told.into_iter().flatten().flatten().collect()
}

/// Why no answer was found by what was asked.
fn likeness(exchange: &Exchange) -> Option<Explained> {
    let why = exchange.call.likeness.as_deref()?;
    Some(step(
        "semantic",
        "no answer is served by meaning".to_owned(),
        why.to_owned(),
    ))
}

fn hedge(exchange: &Exchange, io: &Io<'_>, route: &Route) -> Option<Explained> {
    let hedge = route.hedge.as_ref()?;
    let no = |why: &str| Some(step("hedge", "no second target is asked".to_owned(), why.to_owned()));
    let mut places = exchange.call.order.as_slice().iter();
    let mut next = || route.targets.get(usize::from(*places.next()?));
    let (Some(first), Some(second)) = (next(), next()) else {
        return no("there is no other that this call could go to");
    };
    if exchange.admitted.rest != Rest::Nothing {
        return no("the request is not held, so that it cannot be sent twice");
    }
    let class = Class::of(io.body.len(), exchange.facts.stream);
    let after_ns = io.local.routing.hedge_after_ns(io.now, first, class, hedge.after);
    let (first, second) = (name(exchange, first), name(exchange, second));
    let most = format!("at most {} of 100 calls are asked twice", hedge.max_extra_percent);
    Some(match (hedge.after, after_ns) {
        (HedgeAfter::Quantile { percent }, None) => step(
            "hedge",
            "no second target is asked yet".to_owned(),
            format!(
                "{second} would be, once {first} took longer than {percent} of 100 of its recent answers to such calls; too \
                 few are known here"
            ),
        ),
        (after, after_ns) => {
            let why = match after {
                HedgeAfter::Quantile { percent } => {
                    format!("{percent} of 100 recent answers of {first} to such calls came in that time; {most}")
                }
                HedgeAfter::Delay { .. } => format!("`after` says so; {most}"),
            };
            let after_ms = after_ns.unwrap_or_default().div_ceil(NS_PER_MS);
            let decision =
                format!("{second} is asked as well when {first} has not begun to answer after {after_ms} ms");
            step("hedge", decision, why)
        }
    })
}

fn shadow(exchange: &Exchange, route: &Route) -> Option<Explained> {
    let (model, percent) = route.shadow?;
    let pinned = exchange.pin();
    let (name, _) = pinned.snapshot.document.models.get(model.0 as usize)?;
    Some(match detached::may_be_copied(exchange) {
        true => step(
            "shadow",
            format!("{percent} of 100 such calls are copied to '{name}'"),
            "drawn by lot when the call is sent; nobody sees the copy's answer".to_owned(),
        ),
        false => step(
            "shadow",
            format!("it is not copied to '{name}'"),
            "its request is bound to a provider, or is not held".to_owned(),
        ),
    })
}

fn name(exchange: &Exchange, target: &Target) -> String {
    let mut name = exchange.pin().snapshot.endpoints[target.provider].provider.clone();
    name.push('/');
    target.model.write_name(exchange.facts.star(), &mut name);
    name
}
