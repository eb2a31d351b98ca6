//! Calls of a model whose answers are kept: the one that is answered from there, byte for byte as it came before or not, or
//! by meaning, and the one that is not. Beside `exchange/1.2 KB chat, answered whole` they are what a cache costs and saves.

use std::hint::black_box;

use crate::{Call, Case, Gateway, Shard, Unit, gateway::KNOWN_KEYS, kept::found_by_meaning};

pub const CASES: [Case; 7] = [
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
        name: "1.2 KB chat, answered from the semantic cache",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || {
            let mut shard = by_meaning([Call::alike(0)]);
            // What is found by meaning is not kept once more: it is looked for by meaning each time.
            let call = Call::alike(0).in_other_words().without_answer();
            Box::new(move || shard.run(black_box(&call)))
        },
    },
    Case {
        group: "exchange",
        name: "one question of 1.2 KB, answered from the semantic cache",
        per: Unit::one("call", 0),
        counted_runs: 100,
        prepare: || {
            let mut shard = by_meaning([Call::alike_but_for(0, 9)]);
            let call = Call::alike_but_for(0, 9).in_other_words().without_answer();
            Box::new(move || shard.run(black_box(&call)))
        },
    },
    Case {
        group: "exchange",
        name: "one question of 1.2 KB, compared with eight that differ in a number, and not found",
        per: Unit::one("call", 0),
        counted_runs: 100,
        prepare: || {
            let mut shard = by_meaning((2..10).map(|number| Call::alike_but_for(0, number)));
            let call = Call::alike_but_for(0, 30).not_found(0);
            Box::new(move || shard.run(black_box(&call)))
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
    Case {
        group: "exchange",
        name: "1.2 KB chat, looked up, not found, answered whole and kept",
        per: Unit::one("call", 0),
        counted_runs: 200,
        prepare: || {
            let mut shard = Shard::new(&Gateway::of_keys(KNOWN_KEYS));
            let (mut call, mut number) = (Call::kept(0), 0);
            Box::new(move || {
                number += 1;
                call.ask_otherwise(number);
                shard.run(black_box(&call));
            })
        },
    },
];

/// A shard at which these were asked before.
fn by_meaning(asked: impl IntoIterator<Item = Call>) -> Shard {
    let target = r#"{ "provider": "priced", "model": "gpt-5.4-mini" }"#;
    let model = format!(r#""alike": {{ "targets": [ {target} ], "cache": "alike" }}"#);
    let (answers, mut writer) = found_by_meaning();
    let mut shard = Shard::keeping(&Gateway::of_models(&model), answers);
    for call in asked {
        shard.run(&call);
    }
    writer.turn();
    shard
}

#[cfg(test)]
mod tests {
    /// A case panics where its call does not end as it should: one that is to be found and is not is sent up, and never ends.
    #[test]
    fn each_is_answered_time_after_time() {
        for case in super::CASES {
            let mut run = (case.prepare)();
            for _ in 0..3 {
                run();
            }
        }
    }
}
