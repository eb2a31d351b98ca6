//! How far a demand goes beyond what was measured. A fit is worth little far from its runs, so a plan says so.

use serde::Serialize;

use super::{
    demand::Demand,
    load::{ClassLoad, Load},
    measured::{Idle, Measurements, Run},
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

/// What goes beyond `MOST_TIMES`: work in a call of each class, calls and connections a shard, shards a node. What no
/// document measured has a default, which says so itself: there is nothing to go beyond.
pub fn beyond(demand: &Demand, load: &Load, nodes: f64, measured: &Measurements) -> Vec<Beyond> {
    let shards = f64::from(demand.shards_per_node());
    let mut asked = Vec::new();
    if !measured.runs.is_empty() {
        asked.extend(work(load, measured));
    }
    if !measured.runs.is_empty() || !measured.scale.is_empty() {
        let rate = load.rate / nodes / shards;
        asked.push(("calls a second on a shard".to_owned(), rate, most_rate(measured)));
        asked.push(("shards on a node".to_owned(), shards, most_shards(measured)));
    }
    if !measured.runs.is_empty() || !measured.idle.is_empty() {
        asked.push((
            "client connections on a shard".to_owned(),
            load.client_connections / nodes / shards,
            most_connections(measured),
        ));
    }
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

/// What is asked, how much of it, and the most that was measured and where.
type Asked = (String, f64, (f64, String));

fn work(load: &Load, measured: &Measurements) -> Vec<Asked> {
    let events = most(measured, |run| run.work.events());
    let kb_in = most(measured, |run| run.work.kb_in());
    let kb_out = most(measured, |run| run.work.kb_out());
    let of_class = |class: &ClassLoad| {
        let of = |what: &str| format!("{what} a call (class {})", class.name);
        [
            (of("stream events"), class.work.events(), events.clone()),
            (of("KB in"), class.work.kb_in(), kb_in.clone()),
            (of("KB out"), class.work.kb_out(), kb_out.clone()),
        ]
    };
    load.classes.iter().flat_map(of_class).collect()
}

fn most_rate(measured: &Measurements) -> (f64, String) {
    let runs = most(measured, |run| run.rate / f64::from(run.shards));
    let swept = measured
        .scale
        .iter()
        .map(|point| (point.rate / f64::from(point.shards), &point.label));
    larger(runs, swept)
}

fn most_shards(measured: &Measurements) -> (f64, String) {
    let runs = most(measured, |run| f64::from(run.shards));
    let swept = measured.scale.iter().map(|point| (point.shards.into(), &point.label));
    larger(runs, swept)
}

fn most_connections(measured: &Measurements) -> (f64, String) {
    let runs = most(measured, |run| run.connections / f64::from(run.shards));
    let each = |idle: &Idle| idle.idle_connections as f64 / f64::from(idle.shards.max(1));
    larger(runs, measured.idle.iter().map(|(label, idle)| (each(idle), label)))
}

fn larger<'a>(first: (f64, String), others: impl Iterator<Item = (f64, &'a String)>) -> (f64, String) {
    others.fold(
        first,
        |most, (value, label)| {
            if value > most.0 { (value, label.clone()) } else { most }
        },
    )
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
