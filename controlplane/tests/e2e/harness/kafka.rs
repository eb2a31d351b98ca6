//! A Kafka broker: `tests/kafka/broker.py`, and what it was given.

use std::process::Command;

use serde_json::Value;

use super::{
    process::{Process, Signal, signal},
    until,
};
use crate::sdk;

pub struct Kafka {
    /// `HOST:PORT`
    pub address: String,
    process: Process,
}

impl Kafka {
    pub fn start(topic: &str) -> Self {
        let mut command = Command::new(sdk::python_with("confluent_kafka"));
        let broker = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/broker.py");
        command.arg(broker).arg(topic);
        let mut process = Process::start(&mut command);
        let line = process.ready_line();
        let address = line.strip_prefix("ready ").expect("an address").to_owned();
        Self { address, process }
    }

    /// As a document's `usage` has it.
    pub fn settings(&self, topic: &str) -> String {
        format!("{{ kafka: {{ brokers: [ \"{}\" ], topic: {topic} }} }}", self.address)
    }

    /// In the order in which its consumer saw them.
    pub fn records(&self) -> Vec<Value> {
        let lines = self.process.stdout.all();
        let objects = lines.iter().filter(|line| line.starts_with('{'));
        objects
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect()
    }

    /// Nobody leads partition 0.
    pub fn take_leader(&self) {
        self.change(Signal::USR1, "leaderless");
    }

    pub fn give_leader(&self) {
        self.change(Signal::USR2, "led");
    }

    fn change(&self, how: Signal, said: &str) {
        signal(self.process.pid(), how);
        until("the broker to say so", 10, || {
            self.process.stdout.find(|line| line == said)
        });
    }

    /// Gone without a word; what its consumer saw stays known.
    pub fn kill(&mut self) {
        signal(self.process.pid(), Signal::KILL);
        self.process.wait(10);
    }
}
