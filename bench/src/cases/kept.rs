//! Calls of a model whose answers are kept: the one that is answered from there, byte for byte as it
//! came before or not, and the one that is not. Beside
//! `exchange/1.2 KB chat, answered whole` they are what a cache costs and saves.

use std::hint::black_box;

use crate::{Call, Case, Gateway, Shard, Unit, gateway::KNOWN_KEYS};

pub const CASES: [Case; 3] = [
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered from the exact cache",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || {
            let mut shard = Shard::new(&Gateway::of_keys(KNOWN_KEYS));
            shard.run(&Call::kept(0));
            let call = Call::kept(0).without_answer();
            Box::new(move || shard.run(black_box(&call)))
        },
    },
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered from the exact cache, written as never before",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || {
            let mut shard = Shard::new(&Gateway::of_keys(KNOWN_KEYS));
            shard.run(&Call::kept_with_room(0));
            let mut call = Call::kept_with_room(0).without_answer();
            let mut number = 0;
            Box::new(move || {
                number += 1;
                call.write_otherwise(number);
                shard.run(black_box(&call));
            })
        },
    },
    Case {
        group: "exchange",
        name: "1.2 KB chat, answered whole and kept",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || {
            let mut shard = Shard::new(&Gateway::of_keys(KNOWN_KEYS));
            let call = Call::kept(0).kept_anew(0);
            Box::new(move || shard.run(black_box(&call)))
        },
    },
];
