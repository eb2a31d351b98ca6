//! A sandbox provider in a process of its own.

use std::{net::SocketAddr, process::Command};

use serde_json::Value;

use super::{
    http,
    process::{Process, program},
    until,
};

pub struct Sandbox {
    pub address: SocketAddr,
    /// Held for its end.
    process: Process,
}

impl Sandbox {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts it with further arguments. One thread: the tests' machine has few cores.
    pub fn with(arguments: &[&str]) -> Self {
        Self::at("127.0.0.1:0", arguments)
    }

    pub fn at(address: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program("tollgate-loadtest"));
        command
            .args(["sandbox", "--threads", "1", "--address", address])
            .args(arguments);
        let mut process = Process::start(&mut command);
        let line = process.ready_line();
        let address = line.strip_prefix("ready ").and_then(|address| address.parse().ok());
        Self {
            address: address.unwrap_or_else(|| panic!("no address in {line:?}")),
            process,
        }
    }

    /// From now on it behaves as this scenario says.
    pub fn plays(&self, scenario: &str) {
        http::call(self.address, "PUT", "/_sandbox/scenario", &[], scenario.as_bytes()).expect(200);
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// `{"requests","connections","arrivals"}`; a TLS sandbox cannot be asked this way.
    pub fn report(&self) -> Value {
        http::call(self.address, "GET", "/_sandbox/arrivals", &[], b"")
            .expect(200)
            .json()
    }

    /// Requests that arrived, oldest first.
    pub fn arrivals(&self) -> Vec<Value> {
        self.report()["arrivals"].as_array().expect("a list").clone()
    }

    #[track_caller]
    pub fn last_arrival(&self) -> Value {
        self.arrivals().pop().expect("a request arrived")
    }

    pub fn reset(&self) {
        http::call(self.address, "POST", "/_sandbox/reset", &[], b"").expect(200);
    }

    /// Connections to it that are open, this question's own not counted.
    pub fn open_connections(&self) -> u64 {
        self.report()["connections"]["open"].as_u64().expect("a number") - 1
    }

    /// Waits until the provider has seen the gateway leave a call.
    #[track_caller]
    pub fn await_client_gone(&self, calls: usize) {
        until("the provider to see its client leave", 10, || {
            let gone = self
                .arrivals()
                .iter()
                .filter(|arrival| arrival["ending"] == "client_gone")
                .count();
            (gone >= calls).then_some(())
        });
    }
}

/// The header of that name in an arrival; names are in lower case.
pub fn header(arrival: &Value, name: &str) -> Option<String> {
    let headers = arrival["headers"].as_array()?;
    headers
        .iter()
        .find(|pair| pair[0] == name)
        .and_then(|pair| pair[1].as_str())
        .map(str::to_owned)
}
