//! How limits are shared with other nodes.

use tollgate_engine::limits::cluster::Standing;

use super::{names, text::Page};

impl Page {
    pub(super) fn cluster(&mut self, standing: Option<Standing>) {
        let all: Vec<Standing> = standing.into_iter().collect();
        self.head(names::CLUSTER_STORE_UP);
        for one in &all {
            self.sample(names::CLUSTER_STORE_UP.name, &[], u8::from(one.groups_away == 0));
        }
        self.head(names::CLUSTER_NODES);
        for one in &all {
            self.sample(names::CLUSTER_NODES.name, &[], one.nodes);
        }
        self.head(names::CLUSTER_LEASES);
        for one in &all {
            self.sample(names::CLUSTER_LEASES.name, &[], one.leases);
        }
        self.head(names::CLUSTER_ASKS);
        for one in &all {
            let answered = one.asked.saturating_sub(one.failed);
            self.sample(names::CLUSTER_ASKS.name, &[("outcome", "answered")], answered);
            self.sample(names::CLUSTER_ASKS.name, &[("outcome", "failed")], one.failed);
        }
        self.head(names::CLUSTER_SHORT);
        for one in &all {
            self.sample(names::CLUSTER_SHORT.name, &[("kind", "early")], one.refused_early);
            self.sample(names::CLUSTER_SHORT.name, &[("kind", "starved")], one.starved);
        }
    }
}
