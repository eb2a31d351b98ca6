//! Calls to a model of twenty targets, by each strategy. What such a call takes beyond one to a model of one target
//! (`exchange/1.2 KB chat, answered whole and with its cost`) is what choosing costs, with all that is learned from its answer.

use std::hint::black_box;

use crate::{Call, Case, Gateway, Shard, Unit, gateway::KNOWN_KEYS};

const COUNTED_RUNS: u32 = 200;

pub const CASES: [Case; 6] = [
    of_twenty("in order", || to_model("priority")),
    of_twenty("by weight", || to_model("weighted")),
    of_twenty("by latency", || to_model("least_latency")),
    of_twenty("by load", || to_model("least_busy")),
    of_twenty("by expected cost", || to_model("lowest_cost")),
    of_twenty("by weight, drawn by how prompts begin", || to_model("drawn")),
];

const fn of_twenty(name: &'static str, prepare: fn() -> Box<dyn FnMut()>) -> Case {
    Case {
        group: "route of 20 targets",
        name,
        per: Unit::one("call", 0),
        counted_runs: COUNTED_RUNS,
        prepare,
    }
}

fn to_model(strategy: &str) -> Box<dyn FnMut()> {
    let mut shard = Shard::new(&Gateway::of_keys(KNOWN_KEYS));
    let call = Call::to_one_of_twenty(0, strategy);
    Box::new(move || shard.run(black_box(&call)))
}
