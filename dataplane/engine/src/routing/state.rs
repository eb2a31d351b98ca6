//! What a shard remembers of targets and models: plain memory, by the places that snapshots name.

use hashbrown::HashMap;
use tollgate_config::document::{Breaker, Overload};

use super::{
    budget::Budget,
    concurrency::{self, Limit},
    health::{Change, TargetHealth},
    hedging::HedgeBudget,
    latency::{Class, Latency},
    limits::Headroom,
    prefixes::Seen,
    queue::Queue,
    reckoning::Lengths,
    window::{Went, Window},
};
use crate::{
    Tick,
    snapshot::{Snapshot, Target},
};

#[derive(Debug, Default)]
pub struct Routing {
    targets: Vec<TargetState>,
    providers: HashMap<u32, ProviderState>,
    models: Vec<ModelState>,
}

/// Of one provider, in this shard.
#[derive(Debug, Default)]
pub(crate) struct ProviderState {
    /// Until when each of its credentials rests; missing: it does not.
    pub resting: Vec<Tick>,
}

/// Of one target, in this shard.
#[derive(Debug, Default)]
pub(crate) struct TargetState {
    /// Calls under way.
    pub busy: u32,
    pub window: Window,
    /// Kept where a strategy asks for it.
    pub latency: Option<Box<Latency>>,
    /// Times of answers alone, without what failed; kept where a model is hedged by them.
    pub answers: Option<Box<Latency>>,
    pub headroom: Headroom,
    /// The beginnings of prompts it was asked; kept where a strategy asks for it.
    pub seen: Option<Box<Seen>>,
    /// What it bears at once; kept where the model has `overload`.
    pub limit: Option<Box<Limit>>,
    /// Calls that room is kept for.
    pub promised: u32,
}

impl TargetState {
    pub fn limit(&self, bounds: &Overload) -> u32 {
        let first = || concurrency::first_limit(bounds);
        self.limit.as_ref().map_or_else(first, |limit| limit.calls(bounds))
    }

    pub fn has_room(&self, bounds: &Overload) -> bool {
        self.busy.saturating_add(self.promised) < self.limit(bounds)
    }
}

/// Of one model, in this shard.
#[derive(Debug, Default)]
pub(crate) struct ModelState {
    pub budget: Budget,
    /// Kept where it is of use to know how long answers are.
    pub lengths: Option<Box<Lengths>>,
    pub hedging: HedgeBudget,
    /// Calls that wait for a target; kept from the first that waited.
    pub queue: Option<Box<Queue>>,
}

/// A call to a target has begun well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    /// So many failures in a row were over by that. Where it was this call that found an ill target well: any number.
    forgave: u32,
}

impl Began {
    /// `failures` in a row there were before.
    pub fn new(failures: u32, change: Option<Change>) -> Self {
        let forgave = match change {
            Some(Change::Closed) => u32::MAX,
            Some(Change::Opened) | None => failures,
        };
        Self { forgave }
    }
}

impl Routing {
    /// A target's state; `None` as long as nothing happened there.
    pub(crate) fn look(&self, target: &Target) -> Option<&TargetState> {
        self.targets.get(target.slot as usize)
    }

    pub(crate) fn target(&mut self, target: &Target) -> &mut TargetState {
        at(&mut self.targets, target.slot)
    }

    /// The state at the place of a target.
    pub(crate) fn target_at(&mut self, slot: u32) -> &mut TargetState {
        at(&mut self.targets, slot)
    }

    /// How many calls a target may have.
    pub(crate) fn limit(&self, target: &Target, bounds: &Overload) -> u32 {
        let first = || concurrency::first_limit(bounds);
        self.look(target).map_or_else(first, |state| state.limit(bounds))
    }

    /// Kept under the place of the route that has the provider as its only target.
    pub(crate) fn provider(&mut self, snapshot: &Snapshot, provider: usize) -> &mut ProviderState {
        let route = &snapshot.routes[snapshot.direct_route(provider)];
        self.providers.entry(route.slot).or_default()
    }

    /// The same; `None` as long as nothing happened there.
    pub(crate) fn look_at_provider(&self, snapshot: &Snapshot, provider: usize) -> Option<&ProviderState> {
        let route = &snapshot.routes[snapshot.direct_route(provider)];
        self.providers.get(&route.slot)
    }

    pub(crate) fn model(&mut self, slot: u32) -> &mut ModelState {
        at(&mut self.models, slot)
    }

    /// A model's state; `None` as long as nothing happened there.
    pub(crate) fn look_at_model(&self, slot: u32) -> Option<&ModelState> {
        self.models.get(slot as usize)
    }

    /// A call to the target went well enough to say that it is well.
    pub(crate) fn went_well(&mut self, now: Tick, target: &Target, breaker: &Breaker, took_ns: u64) -> Option<Change> {
        let slow = breaker
            .slow_ms
            .is_some_and(|slow_ms| took_ns >= slow_ms.saturating_mul(1_000_000));
        let went = if slow { Went::Slowly } else { Went::Well };
        let closed = target.health.succeeded(now);
        let state = self.target(target);
        if closed.is_some() {
            state.window.forget();
        }
        let too_slow = state.window.note(now, went, breaker);
        opened(too_slow, &target.health, now, breaker).or(closed)
    }

    pub(crate) fn went_wrong(&mut self, now: Tick, target: &Target, breaker: &Breaker) -> Option<Change> {
        let too_many = self.target(target).window.note(now, Went::Wrong, breaker);
        let in_a_row = target.health.failed(now, breaker);
        in_a_row.or_else(|| opened(too_many, &target.health, now, breaker))
    }

    /// A call that had gone well broke after all: what was said of it is taken back.
    pub(crate) fn broke(&mut self, now: Tick, target: &Target, breaker: &Breaker, began: Began) -> Option<Change> {
        let too_many = self.target(target).window.note(now, Went::Broke, breaker);
        let in_a_row = target.health.failed_after(now, breaker, began.forgave);
        in_a_row.or_else(|| opened(too_many, &target.health, now, breaker))
    }

    pub(crate) fn note_latency(&mut self, now: Tick, target: &Target, class: Class, took_ns: u64) {
        let latency = self.target(target).latency.get_or_insert_default();
        latency.note(now, class, took_ns);
    }
}

fn opened(too_many: bool, health: &TargetHealth, now: Tick, breaker: &Breaker) -> Option<Change> {
    too_many.then(|| health.open(now, breaker)).flatten()
}

fn at<T: Default>(all: &mut Vec<T>, slot: u32) -> &mut T {
    let slot = slot as usize;
    if all.len() <= slot {
        all.resize_with(slot + 1, T::default);
    }
    &mut all[slot]
}
