//! More calls than a provider bears: those that matter most are served, the others are told when to come back.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::Value;

use crate::harness::{
    Client, Gateway, Response, Sandbox, Setup,
    gateway::{chat, provider_line},
    http::{self, request},
    until,
};

/// A model whose provider takes a while, with four calls at a time and room for four that wait, on each shard; a key for each
/// class.
fn gateway(sandbox: &Sandbox) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    setup.providers = provider_line("slow", "openai", sandbox.address);
    setup.models = "  m: { targets: [ { provider: slow, model: sandbox-small } ], \
                    overload: { min: 4, max: 4, queue: 4, max_queue_wait: 5s } }\n"
        .to_owned();
    setup.keys = "  high: { secret: env:TOLLGATE_TEST_KEY, priority: high }\n".to_owned();
    setup.start()
}

/// A key of the identity store, and its secret.
fn low(gateway: &Gateway) -> String {
    let output = gateway.cli(&["keys", "create", "low", "--priority", "low", "--output", "json"]);
    let created: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(created["priority"], "low", "{created}");
    created["secret"].as_str().expect("a secret").to_owned()
}

fn call(address: SocketAddr, secret: &str) -> Response {
    let headers = [("authorization", &*format!("Bearer {secret}"))];
    http::call(
        address,
        "POST",
        "/v1/chat/completions",
        &headers,
        chat("m", "").as_bytes(),
    )
}

/// Says that it is enough when it goes out of scope.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn calls_of_high_priority_all_succeed_while_low_ones_are_told_to_come_back() {
    let sandbox = Sandbox::start();
    let gateway = gateway(&sandbox);
    let secret = low(&gateway);
    sandbox.plays(r#"{"rules":[{"latency":"60ms"}]}"#);
    let socket = std::os::unix::net::UnixStream::connect(&gateway.socket).expect("the control socket");
    let mut events = Client::over(socket);
    events.send(&request("GET", "/v1/events", &[], b""));
    events.read_until(b"\r\n\r\n").expect("a head");
    let enough = AtomicBool::new(false);
    let low = thread::scope(|scope| {
        let crowd: Vec<_> = (0..40)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while !enough.load(Ordering::Relaxed) {
                        answers.push(call(gateway.address, &secret));
                    }
                    answers
                })
            })
            .collect();
        // Also when this thread panics: the crowd goes on until it is told.
        let ends = Ends(&enough);
        until("low calls are refused", 20, || {
            let refused = gateway.metric("tollgate_rejected_requests_total", &["reason=\"overloaded\""]);
            (refused >= 20.0).then_some(())
        });
        for _ in 0..20 {
            call(gateway.address, crate::harness::gateway::KEY).expect(200);
        }
        drop(ends);
        let all = crowd.into_iter().map(|client| client.join().expect("a client"));
        all.flatten().collect::<Vec<_>>()
    });
    let served = low.iter().filter(|answer| answer.status == 200).count();
    assert!(served > 0, "what high ones leave is for the low ones");
    for answer in low.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status, &*answer.error_code()), (503, "overloaded"));
        let seconds = answer.header("retry-after").and_then(|text| text.parse::<u64>().ok());
        assert!(
            seconds.is_some_and(|seconds| (1..=30).contains(&seconds)),
            "{seconds:?}"
        );
    }
    let shards = gateway.metric("tollgate_config_revision", &["shard="]);
    let limit = gateway.metric("tollgate_target_limit", &["model=\"m\"", "provider=\"slow\""]);
    assert_eq!(limit, 4.0 * shards, "of revision 1, on each shard");
    let waiting = gateway.metric("tollgate_queue_length", &["model=\"m\""]);
    assert_eq!(waiting, 0.0, "nobody waits any more");
    events.read_until(b"shed").expect("an event");
    let told = String::from_utf8_lossy(&events.read_until(b"\n\n").expect("its end")).into_owned();
    assert!(told.contains("model 'm'"), "{told}");
}

#[test]
fn who_leaves_while_it_waits_costs_the_provider_nothing() {
    let sandbox = Sandbox::start();
    let gateway = gateway(&sandbox);
    sandbox.plays(r#"{"rules":[{"latency":"4s"}]}"#);
    let key = format!("Bearer {}", crate::harness::gateway::KEY);
    let ask = || {
        let mut client = Client::connect(gateway.address);
        let headers = [("authorization", &*key), ("content-type", "application/json")];
        client.send(&request(
            "POST",
            "/v1/chat/completions",
            &headers,
            chat("m", "").as_bytes(),
        ));
        client
    };
    let queued = || gateway.metric("tollgate_queue_length", &["model=\"m\""]);
    let mut asked = Vec::new();
    while queued() == 0.0 {
        asked.push(ask());
        until("it is served, or waits", 10, || {
            (sandbox.arrivals().len() + queued() as usize == asked.len()).then_some(())
        });
    }
    let served = asked.len() - 1;
    asked.pop();
    until("nobody waits", 10, || (queued() == 0.0).then_some(()));
    for client in &mut asked {
        client.read().expect("an answer").expect(200);
    }
    assert_eq!(sandbox.arrivals().len(), served);
}
