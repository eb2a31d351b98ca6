//! A model at a provider that makes the vectors of semantic caches in place of the shipped one. It only finds candidates: what
//! is served the same verifier decides. A call waits for its vector no longer than `timeout`, and goes on without one.

mod asked;
mod asker;
mod memory;
mod question;

use std::sync::Arc;

use tollgate_config::{
    Document, Problem,
    document::{Breaker, RemoteEmbedding},
    fnv::Fnv,
};

use crate::{
    Tick,
    routing::health::{Standing, TargetHealth},
    semantic::Asked,
    snapshot::{Places, Route, Upstream, own},
    surface, upward,
};
pub(crate) use asked::{Embeds, is_told};
pub(super) use asked::{Heard, ask};
pub use asker::{Asker, Batch, Counts, Ended};
pub(super) use memory::Memory;
pub use question::Why;
pub(crate) use question::{Lack, Question};

/// Calls to the provider that failed in a row, or were late, before it is left alone; and for how long at first.
const MOST_FAILURES: u32 = 3;
const COOLDOWN_MS: u64 = 5_000;

/// Who is asked, compiled.
#[derive(Debug)]
pub struct Remote {
    /// For people: `provider/model`.
    pub(crate) name: Arc<str>,
    pub(crate) model: Box<str>,
    dimensions: Option<u32>,
    timeout_ms: u64,
    /// Another provider, address, model or length has another.
    fingerprint: u64,
    /// Where words go that are sent there.
    region: Option<Box<str>>,
    /// Of calls for vectors; all shards know it.
    health: Arc<TargetHealth>,
    breaker: Breaker,
    /// Its place among the snapshot's routes.
    pub(crate) route: usize,
}

impl Remote {
    /// With a route of its own, behind all others. None where vectors are made here, or what is said cannot be.
    pub(crate) fn new(
        document: &Document,
        (upstreams, routes): (&[Upstream], &mut Vec<Route>),
        places: &mut Places<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let RemoteEmbedding {
            provider: name,
            model,
            dimensions,
            timeout_ms,
        } = document.embedding.remote.as_ref()?;
        let found = document.providers.iter().position(|(known, _)| known == name);
        let Some((index, entry)) = found.and_then(|index| Some((index, document.providers.get(index)?))) else {
            let wrong = format!("there is no provider '{name}'");
            problems.push(Problem::new(POINTER, wrong, "the name of an entry of 'providers'"));
            return None;
        };
        if !upstreams
            .get(index)
            .is_some_and(|upstream| upward::reaches(&surface::EMBEDDINGS, upstream))
        {
            let wrong = format!("the provider '{name}' has no path for embeddings");
            problems.push(Problem::new(POINTER, wrong, "a provider that makes embeddings"));
            return None;
        }
        let route = routes.len();
        routes.push(own((index, entry), model, places));
        let (_, provider) = entry;
        let told = format!("{name}\n{:?}\n{model}\n{dimensions:?}", provider.base_url);
        // Its own beside the target's, which calls of clients may know.
        let (_, health) = places
            .slots
            .target(places.before, format!("\n{name}\n{model}\nvectors"));
        Some(Self {
            name: format!("{name}/{model}").into(),
            model: model.as_str().into(),
            dimensions: *dimensions,
            timeout_ms: *timeout_ms,
            fingerprint: Fnv::of(told.as_bytes()),
            region: provider.residency.as_deref().map(Into::into),
            health,
            breaker: Breaker {
                failures: MOST_FAILURES,
                cooldown_ms: COOLDOWN_MS,
                slow_start_ms: 0,
                ..Breaker::default()
            },
            route,
        })
    }

    /// What tells vectors of this length from others: where the document leaves the length open, the provider may change it.
    fn fingerprint_of(&self, vector: &[f32]) -> u64 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.fingerprint ^ (vector.len() as u64).wrapping_mul(ODD)
    }

    /// The vector that it made for this question before, where that was kept.
    pub(crate) fn vector_again(&self, asked: &Asked) -> Option<Box<[f32]>> {
        let vector: Box<[f32]> = asked.kept_vector.iter().map(|&value| f32::from(value)).collect();
        (!vector.is_empty() && self.fingerprint_of(&vector) == asked.model).then_some(vector)
    }

    /// May it be asked now? Of one that failed, every now and then one call finds out.
    fn takes_questions(&self, now: Tick) -> bool {
        match self.health.standing(now, &self.breaker) {
            Standing::Well | Standing::Recovering { .. } => true,
            Standing::HalfOpen => self.health.take_probe(now),
            Standing::Ejected { .. } => false,
        }
    }
}

const POINTER: &str = "/embedding/provider";
