//! What a revision shares with other nodes, and what operators are told of the store.

use std::time::Duration;

use tollgate_engine::limits::cluster::{Notice, known};

use super::Control;
use crate::cluster::{Plan, Told};

/// How long a revision waits for its first leases; without them calls are refused until they come.
const FIRST_LEASES: Duration = Duration::from_secs(6);

impl Control {
    /// Leases what the revision in force limits, where it has a `cluster`.
    pub(super) fn share(&self) {
        let Some(running) = &self.running else { return };
        let prepared = &running.prepared;
        let plan = Plan {
            shared: running.shared.clone(),
            known: match running.shared {
                Some(_) => known(&prepared.snapshot, &prepared.keys).collect(),
                None => Vec::new(),
            },
            zone: prepared.snapshot.zone().clone(),
        };
        // Ends by itself: nothing is sent.
        let _ = self.cluster.plan(plan).recv_timeout(FIRST_LEASES);
    }

    pub(super) fn tell_cluster(&self, told: &Told) {
        match told.notice {
            Notice::Away => {
                let does = self
                    .running
                    .as_ref()
                    .and_then(|running| running.document().cluster.as_ref());
                let does = does.map_or("", |cluster| cluster.on_partition.name());
                let text = format!(
                    "the store of `cluster` does not answer ({}): on_partition: {does}",
                    told.why
                );
                self.tell("cluster_store_away", text);
            }
            Notice::Back => self.tell("cluster_store_back", "the store of `cluster` answers again".to_owned()),
            Notice::Epoch(epoch) => self.tell(
                "cluster_store_lost",
                format!("the store of `cluster` had lost what it knew: it is told again, as epoch {epoch}"),
            ),
            Notice::Overtaken => self.tell(
                "cluster_node_twice",
                "another process shares limits as this node: its state directory was copied, or restored from a backup"
                    .to_owned(),
            ),
        }
    }
}
