//! How far a demand goes beyond what was measured. A fit is worth little far from its runs, so a plan says so.

use serde::Serialize;

use super::{
    demand::Demand,
    load::Load,
    measured::{Measurements, Run},
};

/// Times what was measured, beyond which nothing is planned without `--extrapolate`.
pub const MOST_TIMES: f64 = 8.0;

/// One quantity that goes beyond.
#[derive(Clone, Debug, Serialize)]
pub struct Beyond {
    pub what: String,
    pub asked: f64,
    pub measured: f64,
    pub measured_in: String,
}

impl Beyond {
    pub fn told(&self) -> String {
        let Self {
            what,
            asked,
            measured,
            measured_in,
        } = self;
        let measured_in = if measured_in.is_empty() {
            "no run".to_owned()
        } else {
            measured_in.clone()
        };
        if *measured == 0.0 {
            return format!("{what}: {asked:.1} asked, none measured");
        }
        format!(
            "{what}: {asked:.1} asked, {measured:.1} measured at most ({measured_in}): {:.1} times",
            asked / measured
        )
    }
}

/// What goes beyond `MOST_TIMES`: work in a call of each class, calls and connections a shard, shards a node. Without a
/// run there is nothing to go beyond: every cost is a default then, and says so.
pub fn beyond(demand: &Demand, load: &Load, nodes: f64, measured: &Measurements) -> Vec<Beyond> {
    if measured.runs.is_empty() {
        return Vec::new();
    }
    let mut asked = Vec::new();
    for class in &load.classes {
        let of = |what: &str| format!("{what} a call (class {})", class.name);
        asked.push((
            of("stream events"),
            class.work.events(),
            most(measured, |run| run.work.events()),
        ));
        asked.push((of("KB in"), class.work.kb_in(), most(measured, |run| run.work.kb_in())));
        asked.push((
            of("KB out"),
            class.work.kb_out(),
            most(measured, |run| run.work.kb_out()),
        ));
    }
    let shards = f64::from(demand.shards_per_node());
    let per_shard = |run: &Run| f64::from(run.shards);
    let rate = most(measured, |run| run.rate / per_shard(run));
    asked.push(("calls a second on a shard".to_owned(), load.rate / nodes / shards, rate));
    let mut connections = most(measured, |run| run.connections / per_shard(run));
    for (label, idle) in &measured.idle {
        let each = idle.idle_connections as f64 / f64::from(idle.shards.max(1));
        if each > connections.0 {
            connections = (each, label.clone());
        }
    }
    asked.push((
        "client connections on a shard".to_owned(),
        load.client_connections / nodes / shards,
        connections,
    ));
    let mut counts = most(measured, per_shard);
    for point in &measured.scale {
        if f64::from(point.shards) > counts.0 {
            counts = (point.shards.into(), point.label.clone());
        }
    }
    asked.push(("shards on a node".to_owned(), shards, counts));
    asked
        .into_iter()
        .filter(|(_, asked, (measured, _))| *asked > MOST_TIMES * measured)
        .map(|(what, asked, (measured, measured_in))| Beyond {
            what,
            asked,
            measured,
            measured_in,
        })
        .collect()
}

fn most(measured: &Measurements, of: impl Fn(&Run) -> f64) -> (f64, String) {
    let largest = |left: (f64, String), run: &Run| {
        if of(run) > left.0 {
            (of(run), run.label.clone())
        } else {
            left
        }
    };
    measured.runs.iter().fold((0.0, String::new()), largest)
}
