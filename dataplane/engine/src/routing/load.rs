//! What a shard's queues and limits are now, for whoever measures.

use super::Routing;
use crate::snapshot::Snapshot;

/// Of a model that has `overload`, by the names of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelLoad {
    pub model: String,
    /// Calls that wait.
    pub waiting: u64,
    pub targets: Vec<TargetLoad>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetLoad {
    pub provider: String,
    pub target: String,
    /// Calls it may have under way.
    pub limit: u64,
}

/// Of every model of the snapshot that has `overload`.
pub fn loads(snapshot: &Snapshot, routing: &Routing) -> Vec<ModelLoad> {
    let models = snapshot.document.models.iter().zip(&snapshot.routes);
    let loads = models.filter_map(|((name, model), route)| {
        let bounds = route.overload.as_ref()?;
        let targets = model.targets.iter().zip(&route.targets);
        let targets = targets.map(|(listed, target)| TargetLoad {
            provider: listed.provider.clone(),
            target: listed.model.clone(),
            limit: u64::from(routing.limit(target, bounds)),
        });
        let queue = routing.look_at_model(route.slot).and_then(|model| model.queue.as_ref());
        Some(ModelLoad {
            model: name.clone(),
            waiting: queue.map_or(0, |queue| queue.len() as u64),
            targets: targets.collect(),
        })
    });
    loads.collect()
}
