//! Calls of the ledger in a topic of Kafka: each of them, whatever is killed or away meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{
    Gateway, Sandbox, Setup,
    gateway::{chat, provider_with},
    kafka::Kafka,
    postgres::Postgres,
    process::{Signal, signal},
    until,
};

const TOPIC: &str = "tollgate-usage";

fn setup(sandbox: &Sandbox, kafka: &Kafka) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    let prices = ", prices: { models: { \"sandbox-*\": { input: \"2.00\", output: \"10.00\" } } }";
    setup.providers = provider_with("openai", "openai", sandbox.address, prices);
    setup.models =
        "  \"openai/*\": { targets: [ { provider: openai, model: \"*\" } ], retry: { attempts: 2 } }\n".to_owned();
    setup.top += &format!("usage: {}\n", kafka.settings(TOPIC));
    setup
}

#[track_caller]
fn calls(gateway: &Gateway, model: &str, count: usize) {
    for _ in 0..count {
        gateway.post("/v1/chat/completions", &[], &chat(&format!("openai/{model}"), ""));
    }
}

/// By their ids: what came again is there once.
fn by_id(records: &[Value]) -> BTreeMap<String, Value> {
    let one = |record: &Value| {
        (
            record["key"].as_str().expect("a key").to_owned(),
            record["value"].clone(),
        )
    };
    records.iter().map(one).collect()
}

#[track_caller]
fn await_records(kafkas: &[&Kafka], count: usize) -> BTreeMap<String, Value> {
    until(&format!("{count} calls in the topic"), 60, || {
        let all: Vec<Value> = kafkas.iter().flat_map(|kafka| kafka.records()).collect();
        let found = by_id(&all);
        assert!(found.len() <= count, "{} calls where there were {count}", found.len());
        (found.len() == count).then_some(found)
    })
}

/// Of the ledger's file: `boot-shard-sequence` of each call.
fn ids(gateway: &Gateway) -> BTreeSet<String> {
    let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("the ledger");
    let sql = "SELECT printf('%016x-%d-%d', boot, shard, sequence) FROM calls";
    let mut statement = ledger.prepare(sql).expect("a question");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|id| id.expect("an id")).collect()
}

fn sum(records: &BTreeMap<String, Value>, member: &str) -> u64 {
    records.values().filter_map(|record| record[member].as_u64()).sum()
}

#[test]
fn a_record_says_what_the_ledger_says() {
    let sandbox = Sandbox::start();
    let first = Kafka::start(TOPIC);
    let gateway = setup(&sandbox, &first).start();
    calls(&gateway, "sandbox-tokens-11", 5);
    calls(&gateway, "sandbox-status-500", 1);
    let records = await_records(&[&first], 6);

    // The records say what the ledger says, under the same names.
    let row = gateway.control("GET", "/v1/usage?from=1h", &[], b"").expect(200).json()["rows"][0].clone();
    for member in [
        "requests",
        "failed",
        "attempts",
        "input_tokens",
        "output_tokens",
        "request_bytes",
    ] {
        assert_eq!(row[member], sum(&records, member), "{member}");
    }
    let picos = |usd: &Value| {
        usd.as_str()
            .expect("dollars")
            .replace('.', "")
            .parse::<u64>()
            .expect("digits")
    };
    let all: u64 = records.values().map(|record| picos(&record["cost_usd"])).sum();
    assert_eq!(all, picos(&row["cost_usd"]) * 1_000, "exactly");
    let failed = records
        .values()
        .find(|record| record["failed"] == 1)
        .expect("it failed");
    assert_eq!(failed["attempt_lines"].as_array().map(Vec::len), Some(2), "{failed}");
    assert_eq!(failed["attempt_lines"][0]["outcome"], "status");
    for record in first.records() {
        let (id, value) = (&record["key"], &record["value"]);
        assert!(
            id == &value["id"] && id == &record["headers"]["tollgate-id"],
            "{record}"
        );
        assert_eq!(
            (&record["headers"]["tollgate-version"], &value["version"]),
            (&Value::from("1"), &Value::from(1))
        );
        assert_eq!(
            (&value["key"], &value["model"]),
            (&Value::from("tester"), &Value::from("openai/*"))
        );
        assert!(record["at_ms"].as_u64() > Some(1_600_000_000_000), "{record}");
    }
    until("nothing is left to send", 10, || {
        (gateway.metric("tollgate_kafka_lag_seconds", &[]) == 0.0).then_some(())
    });
    assert_eq!(gateway.metric("tollgate_kafka_records_total", &["sent"]), 6.0);
    assert_eq!(gateway.status()["controlplane"]["kafka"]["topic"], TOPIC);
}

#[test]
fn the_topic_has_each_call_of_the_ledger_whoever_is_away_or_killed() {
    let sandbox = Sandbox::start();
    let mut first = Kafka::start(TOPIC);
    let mut gateway = setup(&sandbox, &first).start();
    calls(&gateway, "sandbox-small", 6);
    await_records(&[&first], 6);
    // The broker is away: calls and the ledger go on, and the control plane that is killed knows what was not sent.
    first.kill();
    calls(&gateway, "sandbox-small", 4);
    let why = until("the status says so", 60, || {
        let kafka = gateway.status()["controlplane"]["kafka"].clone();
        (kafka["up"] == false).then_some(kafka)
    });
    assert!(
        why["error"].as_str().is_some_and(|why| why.contains(&first.address)),
        "{why}"
    );
    assert_eq!(gateway.metric("tollgate_kafka_up", &[]), 0.0);
    signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.process.wait(20);
    calls(&gateway, "sandbox-small", 2);
    gateway.start_again();

    let mut second = Kafka::start(TOPIC);
    let brokers = format!("[\"{}\"]", second.address);
    gateway
        .control("PUT", "/v1/config/usage/kafka/brokers", &[], brokers.as_bytes())
        .expect(200);
    await_records(&[&first, &second], 12);
    // Killed while calls are on their way, five times.
    for _ in 0..5 {
        calls(&gateway, "sandbox-small", 3);
        signal(gateway.controlplane_pid(), Signal::KILL);
        gateway.process.wait(20);
        gateway.start_again();
    }
    let records = await_records(&[&first, &second], 27);
    assert_eq!(records.into_keys().collect::<BTreeSet<_>>(), ids(&gateway));
    second.kill();
}

#[test]
fn what_others_lead_is_sent_once_while_a_partition_has_no_leader() {
    const CALLS: usize = 40;
    let (sandbox, kafka) = (Sandbox::start(), Kafka::start(TOPIC));
    let gateway = setup(&sandbox, &kafka).start();
    calls(&gateway, "sandbox-small", 1);
    await_records(&[&kafka], 1);
    kafka.take_leader();
    calls(&gateway, "sandbox-small", CALLS);
    until("the status says so", 60, || {
        let kafka = gateway.status()["controlplane"]["kafka"].clone();
        let says = |why: &str| why.contains("partition 0 has no leader");
        kafka["error"].as_str().is_some_and(says).then_some(())
    });
    until("calls of other partitions in the topic", 30, || {
        (kafka.records().len() > 1).then_some(())
    });
    kafka.give_leader();
    let records = await_records(&[&kafka], CALLS + 1);
    assert_eq!(records.into_keys().collect::<BTreeSet<_>>(), ids(&gateway));
    let led: Vec<Value> = kafka
        .records()
        .into_iter()
        .filter(|record| record["partition"] != 0)
        .collect();
    assert_eq!(led.len(), by_id(&led).len(), "none of them came twice");
    assert!(led.len() <= CALLS, "some were of partition 0");
}

#[test]
fn what_is_posted_later_is_in_the_topic_and_all_of_it_adds_up_to_the_ledger() {
    let (sandbox, kafka) = (Sandbox::start(), Kafka::start(TOPIC));
    let gateway = setup(&sandbox, &kafka).start();
    calls(&gateway, "sandbox-tokens-11", 5);
    await_records(&[&kafka], 5);
    let mut document = gateway.control("GET", "/v1/config", &[], b"").expect(200).json();
    document["providers"]["openai"]["prices"]["models"]["sandbox-*"] = json!({"input": "4.00", "output": "30.00"});
    let asked = json!({"from": "2d", "post": true, "document": document}).to_string();
    let content = [("content-type", "application/json")];
    gateway
        .control("POST", "/v1/usage/rerate", &content, asked.as_bytes())
        .expect(200);
    let records = until("a correction in the topic", 60, || {
        let records = by_id(&kafka.records());
        (records.len() > 5).then_some(records)
    });
    let corrections: Vec<&Value> = records.values().filter(|record| record["entry"] == "rerated").collect();
    assert_eq!(corrections.len() + 5, records.len());
    for correction in corrections {
        assert_eq!(
            (&correction["key"], &correction["model"], &correction["requests"]),
            (&json!("tester"), &json!("openai/*"), &json!(0)),
            "{correction}"
        );
        assert!(
            correction["posted_at"].as_str() >= correction["ended_at"].as_str(),
            "{correction}"
        );
    }
    let picos = |usd: &Value| {
        let digits = usd.as_str().expect("dollars").replace('.', "");
        digits.parse::<i64>().expect("digits")
    };
    let rows = gateway.control("GET", "/v1/usage?from=1d", &[], b"").expect(200).json()["rows"].clone();
    let told: i64 = rows
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| picos(&row["cost_usd"]))
        .sum();
    let sent: i64 = records.values().map(|record| picos(&record["cost_usd"])).sum();
    assert_eq!(sent, told * 1_000);
}

/// Posts what calls of the last day would have cost by this price; answers how many corrections that are.
#[track_caller]
fn rerate(gateway: &Gateway, output: &str) -> u64 {
    let mut document = gateway.control("GET", "/v1/config", &[], b"").expect(200).json();
    document["providers"]["openai"]["prices"]["models"]["sandbox-*"] = json!({"input": "4.00", "output": output});
    let asked = json!({"from": "2d", "post": true, "document": document}).to_string();
    let content = [("content-type", "application/json")];
    let done = gateway
        .control("POST", "/v1/usage/rerate", &content, asked.as_bytes())
        .expect(200);
    done.json()["posted"].as_u64().expect("a count")
}

/// What was posted is a year old from now on, and is forgotten when the control plane starts again.
#[track_caller]
fn forget_corrections(gateway: &mut Gateway) {
    signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.process.wait(20);
    let ledger = || Connection::open(gateway.state_dir.join("usage.db")).expect("the ledger");
    let age = "UPDATE adjustments SET at_ms = at_ms - 31536000000";
    ledger().execute(age, []).expect("they grow older");
    gateway.start_again();
    until("corrections to be forgotten", 60, || {
        let left = "SELECT COUNT(*) FROM adjustments";
        let ledger = Connection::open(gateway.state_dir.join("usage.db")).expect("the ledger");
        let count: i64 = ledger.query_row(left, [], |row| row.get(0)).ok()?;
        (count == 0).then_some(())
    });
}

#[test]
fn corrections_that_are_forgotten_take_no_later_ones_with_them() {
    let (sandbox, mut kafka) = (Sandbox::start(), Kafka::start(TOPIC));
    let mut setup = setup(&sandbox, &kafka);
    setup.top = setup
        .top
        .replace("usage: {", "usage: { retention: { calls: 30d, hours: 60d },");
    let mut gateway = setup.start();
    let corrections = |kafka: &Kafka, count: usize| {
        until(&format!("{count} corrections in the topic"), 60, || {
            let records = by_id(&kafka.records());
            let found = records.values().filter(|record| record["entry"] == "rerated").count();
            (found == count).then_some(())
        });
    };
    calls(&gateway, "sandbox-tokens-11", 2);
    await_records(&[&kafka], 2);
    assert_eq!(rerate(&gateway, "30.00"), 1);
    corrections(&kafka, 1);
    // SQLite gives its id to the next one.
    forget_corrections(&mut gateway);
    assert_eq!(rerate(&gateway, "31.00"), 1);
    corrections(&kafka, 2);
    // What is forgotten unsent is counted, and told.
    kafka.kill();
    assert_eq!(rerate(&gateway, "32.00"), 1);
    forget_corrections(&mut gateway);
    until("one to be skipped", 30, || {
        (gateway.metric("tollgate_kafka_records_total", &["skipped"]) == 1.0).then_some(())
    });
}

#[test]
fn gateways_that_share_a_ledger_send_what_is_their_own() {
    let (sandbox, postgres, kafka) = (Sandbox::start(), Postgres::start(), Kafka::start(TOPIC));
    let gateways = [(); 2].map(|()| {
        let mut setup = setup(&sandbox, &kafka);
        setup.top += &format!("database: {{ \"postgres\": {} }}\n", postgres.settings("gates"));
        setup.start()
    });
    for gateway in &gateways {
        until("the ledger is in PostgreSQL", 30, || {
            (gateway.status()["controlplane"]["ledger"]["kind"] == "postgres").then_some(())
        });
    }
    for _ in 0..3 {
        calls(&gateways[0], "sandbox-small", 2);
        calls(&gateways[1], "sandbox-status-500", 1);
    }
    let records = await_records(&[&kafka], 9);
    assert_eq!((sum(&records, "requests"), sum(&records, "failed")), (6, 3));
    for gateway in &gateways {
        assert_eq!(gateway.metric("tollgate_kafka_up", &[]), 1.0);
    }
}
