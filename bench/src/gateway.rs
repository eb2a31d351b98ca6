//! What all shards share: one compiled configuration and one table of keys.

use std::{fmt::Write as _, sync::Arc};

use tollgate_config::{
    check,
    document::{Document, Reference},
    link::StoredKey,
    parse,
};
use tollgate_engine::{
    Snapshot,
    exchange::Pinned,
    identity::KeyTable,
    snapshot::{Secrets, compile},
};

use crate::call::secret;

/// Keys whose secrets calls know (`call::secret`); the others of a table only make it large.
pub const KNOWN_KEYS: usize = 64;

/// The key that has limits; calls know its secret, too.
pub(crate) const LIMITED_KEY: usize = KNOWN_KEYS;
/// Six limits and a budget, none of which any call of ours reaches: `u32::MAX` tokens, as the calls of a case are few.
const LIMITS: &str = r#"[ { "requests": 4000000000, "per": "month" }, { "requests": 1000000000, "per": "1m" },
    { "tokens": 4000000000000, "per": "1m" }, { "input_tokens": 4000000000000, "per": "day" },
    { "output_tokens": 4000000000000, "per": "day" }, { "concurrent": 1000000 }, { "budget": "1000000 USD", "per": "month" } ]"#;

/// Two pointers, which every shard holds.
#[derive(Clone)]
pub struct Gateway {
    snapshot: Arc<Snapshot>,
    keys: Arc<KeyTable>,
}

impl Gateway {
    /// With this many keys, at least `KNOWN_KEYS` and the one that has limits, each of which may use the model `smart`.
    pub fn of_keys(keys: usize) -> Self {
        let document = document(0);
        let secrets = secrets();
        let stored = stored_keys(keys.saturating_sub(KNOWN_KEYS + 1));
        let keys = KeyTable::build(&document, &secrets, &stored).expect("every key is another");
        let snapshot = compile(1, document, &secrets).expect("the document compiles");
        Self {
            snapshot: Arc::new(snapshot),
            keys: Arc::new(keys),
        }
    }

    /// With these members of `models`, which the known keys may use.
    pub(crate) fn of_models(models: &str) -> Self {
        let mut text = format!(
            r#"{{ "version": 1, "listeners": {{ "public": {{ "address": "127.0.0.1:8080" }} }}, "providers": {{ "priced": {{
                "dialect": "openai", "base_url": "http://127.0.0.1:9", "prices": "openai" }} }},
                "caches": {{ "alike": {{ "exact": {{}}, "semantic": {{}}, "allow": [ "temperature" ] }} }}, "models": {{ {models} }}, "keys": {{ "#
        );
        for number in 0..KNOWN_KEYS {
            let comma = if number == 0 { "" } else { ", " };
            write_to(
                &mut text,
                format_args!(r#"{comma}"known-{number}": {{ "secret": "env:KEY_{number}" }}"#),
            );
        }
        text.push_str(" } }");
        let document =
            check::check(&parse::parse(&text).expect("the document is JSON")).expect("the document is right");
        let secrets = secrets();
        let keys = KeyTable::build(&document, &secrets, &[]).expect("every key is another");
        let snapshot = compile(1, document, &secrets).expect("the document compiles");
        Self {
            snapshot: Arc::new(snapshot),
            keys: Arc::new(keys),
        }
    }

    pub(crate) fn pinned(&self) -> Pinned {
        Pinned {
            snapshot: Arc::clone(&self.snapshot),
            keys: Arc::clone(&self.keys),
        }
    }

    pub(crate) fn keys(&self) -> &KeyTable {
        &self.keys
    }
}

/// Models of twenty targets, by what is said of them.
const OF_TWENTY: [(&str, &str); 6] = [
    ("priority", r#""strategy": "priority""#),
    ("weighted", r#""strategy": "weighted""#),
    ("least_latency", r#""strategy": "least_latency""#),
    ("least_busy", r#""strategy": "least_busy""#),
    ("lowest_cost", r#""strategy": "lowest_cost""#),
    ("drawn", r#""strategy": "weighted", "affinity": "prefix""#),
];

/// The model `smart`, `more_models` others, and the known keys.
pub(crate) fn document(more_models: usize) -> Document {
    let mut text = r#"{
      "version": 1,
      "listeners": { "public": { "address": "127.0.0.1:8080" } },
      "providers": { "mock": { "dialect": "openai", "base_url": "http://127.0.0.1:9" },
        "priced": { "dialect": "openai", "base_url": "http://127.0.0.1:9", "prices": "openai" },
        "bedrock": { "kind": "bedrock", "region": "us-east-1", "base_url": "http://127.0.0.1:9", "credential": "env:AWS" } },
      "caches": { "kept": { "exact": {}, "allow": [ "temperature" ] } },
      "models": { "kept": { "targets": [ { "provider": "mock", "model": "gpt-5.4-mini" } ], "cache": "kept" },
        "smart": { "targets": [ { "provider": "mock", "model": "gpt-5.4-mini" } ] },
        "priced": { "targets": [ { "provider": "priced", "model": "gpt-5.4-mini" } ] },
        "signed": { "targets": [ { "provider": "bedrock", "model": "us.amazon.nova-pro-v1:0" } ] },
        "any/*": { "targets": [ { "provider": "priced", "model": "*" } ] }"#
        .to_owned();
    for (name, choosing) in OF_TWENTY {
        write_to(
            &mut text,
            format_args!(r#", "twenty/{name}": {{ {choosing}, "targets": [ "#),
        );
        for number in 0..20 {
            let comma = if number == 0 { "" } else { ", " };
            let target = r#""provider": "priced", "like": "gpt-5.4-mini""#;
            write_to(
                &mut text,
                format_args!(
                    r#"{comma}{{ {target}, "model": "deployment-{number}", "weight": {} }}"#,
                    number + 1
                ),
            );
        }
        text.push_str(" ] }");
    }
    for number in 0..more_models {
        write_to(
            &mut text,
            format_args!(r#", "model-{number}": {{ "targets": [ {{ "provider": "mock", "model": "m-{number}" }} ] }}"#),
        );
    }
    text.push_str(r#" }, "keys": { "#);
    for number in 0..KNOWN_KEYS {
        let comma = if number == 0 { "" } else { ", " };
        write_to(
            &mut text,
            format_args!(
                r#"{comma}"known-{number}": {{ "secret": "env:KEY_{number}", "models": [ "smart", "priced", "signed", "any/*", "twenty/*", "kept" ] }}"#
            ),
        );
    }
    write_to(
        &mut text,
        format_args!(r#", "limited": {{ "secret": "env:KEY_{LIMITED_KEY}", "limits": {LIMITS} }}"#),
    );
    text.push_str(" } }");
    check::check(&parse::parse(&text).expect("the document is JSON")).expect("the document is right")
}

fn write_to(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes everything");
}

/// The pair of AWS's own examples.
const AWS: &str = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What the references of the known keys resolve to.
pub(crate) fn secrets() -> Secrets {
    let keys = (0..=LIMITED_KEY).map(|number| (Reference::Env(format!("KEY_{number}")), secret(number).into_bytes()));
    let aws = (Reference::Env("AWS".to_owned()), AWS.as_bytes().to_vec());
    keys.chain([aws]).collect()
}

/// Keys that no call uses. Their digests are drawn, not made of secrets: a table cannot tell.
pub(crate) fn stored_keys(count: usize) -> Vec<StoredKey> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state
    };
    (0..count)
        .map(|number| StoredKey {
            name: format!("stored-{number}"),
            sha256: format!("{:016x}{:016x}{:016x}{:016x}", draw(), draw(), draw(), draw()),
            previous: None,
            team: None,
            user: None,
            models: vec!["smart".to_owned()],
            expires_unix_s: None,
            priority: None,
            limits: Default::default(),
        })
        .collect()
}
