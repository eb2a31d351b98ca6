//! Queues and limits of models that have `overload`, over all shards.

use std::collections::BTreeMap;

use tollgate_engine::routing::load::ModelLoad;

/// By model: calls that wait, and the limits of its targets by provider and name.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads(pub BTreeMap<String, Load>);

#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    pub waiting: u64,
    pub limits: BTreeMap<(String, String), u64>,
}

impl Loads {
    pub fn add(&mut self, shard: &[ModelLoad]) {
        for load in shard {
            let sum = self.0.entry(load.model.clone()).or_default();
            sum.waiting += load.waiting;
            for target in &load.targets {
                let names = (target.provider.clone(), target.target.clone());
                *sum.limits.entry(names).or_default() += target.limit;
            }
        }
    }
}
