//! What the data plane is doing, in numbers.

use tollgate_config::link::{ClusterStatus, Status};

use super::Control;
use crate::{
    host,
    metrics::{
        Granted, Totals,
        text::{self, Ejected, Process},
    },
    shard::clock::Clock,
};

impl Control {
    pub(super) fn status(&self) -> Status {
        let totals = self.totals();
        let (total_us, gateway_us) = totals.quantiles();
        Status {
            pid: std::process::id(),
            uptime_s: self.started.elapsed().as_secs(),
            revision: self.running.as_ref().map_or(0, |running| running.revision),
            draining: self.drain.is_draining(),
            rss_bytes: host::usage().rss_bytes,
            shards: totals.shards(),
            requests: totals.requests(),
            failures: totals.failures(),
            total_us,
            gateway_us,
            models: totals.models(),
            cluster: self.cluster.standing().map(|standing| ClusterStatus {
                store_up: standing.groups_away == 0,
                nodes: standing.nodes,
                epoch: standing.epoch,
                leases: standing.leases,
            }),
        }
    }

    /// The targets in force that were ever left alone: few, however many there are.
    fn ejected(&self) -> Vec<Ejected> {
        let targets = self
            .running
            .iter()
            .flat_map(|running| running.prepared.snapshot.targets());
        let ejected = targets.filter(|(_, _, health)| health.times_opened() > 0);
        ejected
            .map(|(model, target, health)| Ejected {
                model: model.to_owned(),
                provider: target.provider.clone(),
                target: target.model.clone(),
                now: health.is_open(),
                times: health.times_opened(),
            })
            .collect()
    }

    fn granted(&self) -> Vec<Granted> {
        let running = self.running.as_ref();
        running.map_or_else(Vec::new, |running| {
            Granted::all(&running.prepared.snapshot, Clock::start().now())
        })
    }

    pub(super) fn metrics(&self) -> String {
        let usage = host::usage();
        let expiries = self.running.iter().flat_map(|running| &running.prepared.tls.expiries);
        let process = Process {
            rss_bytes: usage.rss_bytes,
            cpu_s: usage.cpu_s,
            open_fds: usage.open_fds,
            start_unix_s: self.started_unix_s,
            access_log_dropped: self.access.dropped_lines(),
            certificates: expiries
                .map(|expiry| (expiry.pointer.clone(), expiry.not_after_unix_s))
                .collect(),
            ejected: self.ejected(),
            limits: self.all_limits(),
            cluster: self.cluster.standing(),
            granted: self.granted(),
            caches: self.answers.stats(),
            snapshots: self.kept.counts(),
            seconds: self.seconds.counts(),
        };
        text::render(&self.totals(), &process)
    }

    fn totals(&self) -> Totals {
        let stats = self.shards.stats();
        Totals::of(stats.iter().map(AsRef::as_ref))
    }
}
