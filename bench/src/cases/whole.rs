//! Whole calls through the engine: request head parsed, every stage run, request written, answer relayed, usage read,
//! settled, timed. The shard's I/O is not in it.

use std::hint::black_box;

use crate::{
    Call, Case, Gateway, Latency, Shard, Unit,
    gateway::{KNOWN_KEYS, LIMITED_KEY},
};

const DURATIONS: usize = 1000;

pub const CASES: [Case; 9] = [
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered whole",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || repeat(Call::buffered(0)),
    },
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered by 100 events",
        per: Unit::one("call", 0),
        counted_runs: 20,
        prepare: || repeat(Call::streamed(0)),
    },
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered whole and with its cost",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || repeat(Call::priced(0)),
    },
    Case {
        group: "exchange",
        name: "1.2 KB chat by a wildcard's name, answered whole and with its cost",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || repeat(Call::priced_by_name(0)),
    },
    Case {
        group: "exchange",
        name: "1.2 KB Anthropic call, answered whole by an OpenAI target",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || repeat(Call::translated(0)),
    },
    Case {
        group: "exchange",
        name: "1.2 KB Anthropic call, answered by 100 events of an OpenAI target",
        per: Unit::one("call", 0),
        counted_runs: 20,
        prepare: || repeat(Call::translated_stream(0)),
    },
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered whole by Bedrock, signed",
        per: Unit::one("call", 0),
        counted_runs: 100,
        prepare: || repeat(Call::signed(0)),
    },
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered whole and with its cost, under six limits and a budget",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || repeat(Call::priced(LIMITED_KEY)),
    },
    Case {
        group: "histogram",
        name: "a duration recorded",
        per: Unit::many("record", DURATIONS, 0),
        counted_runs: 20,
        prepare: record,
    },
];

fn repeat(call: Call) -> Box<dyn FnMut()> {
    let mut shard = Shard::new(&Gateway::of_keys(KNOWN_KEYS));
    Box::new(move || shard.run(black_box(&call)))
}

/// Durations from a microsecond to minutes.
fn record() -> Box<dyn FnMut()> {
    let durations_ns: Vec<u64> = (1..=DURATIONS as u64).map(|n| n * n * n * n / 10 + 1000).collect();
    let mut latency = Latency::default();
    Box::new(move || {
        for ns in black_box(&durations_ns) {
            latency.record(*ns);
        }
        black_box(&latency);
    })
}
