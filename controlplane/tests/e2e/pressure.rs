//! What the gateway itself bears, with real processes: a shard that has enough refuses by rank before it reads a body, copies
//! stay within their bytes, and as many shards serve as the file says, from the first start on.

use crate::{
    bytes::gzipped,
    harness::{
        Client, Gateway, Sandbox, Setup,
        gateway::{KEY, chat, provider_line},
        http::{self, request},
        process::{Signal, signal},
        until,
    },
};

const LOW: &str = "tg-low-secret";
const HIGH: &str = "tg-high-secret";
const PATH: &str = "/v1/chat/completions";

fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

/// One shard that takes four calls, a key for each rank.
fn narrow(sandbox: &Sandbox) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    setup.top = setup.top.replace("shards: 2", "shards: 1") + "overload: { max_calls: 4 }\n";
    setup.keys =
        "  normal: { secret: env:TOLLGATE_TEST_KEY }\n  low: { secret: env:TOLLGATE_TEST_LOW, priority: low }\n  \
                  high: { secret: env:TOLLGATE_TEST_HIGH, priority: high }\n"
            .to_owned();
    setup.environment = [("TOLLGATE_TEST_LOW", LOW), ("TOLLGATE_TEST_HIGH", HIGH)]
        .map(|(name, secret)| (name.to_owned(), secret.to_owned()))
        .to_vec();
    setup.start()
}

#[test]
fn a_shard_that_has_enough_refuses_by_rank_before_it_reads_and_takes_calls_again_behind_it() {
    let sandbox = Sandbox::start();
    let gateway = narrow(&sandbox);
    sandbox.plays(r#"{"rules":[{"latency":"4s"}]}"#);
    let body = chat("openai/sandbox-small", "");
    let ask = |secret: &str| {
        let mut client = Client::connect(gateway.address);
        let headers = [
            ("authorization", &*bearer(secret)),
            ("content-type", "application/json"),
        ];
        client.send(&request("POST", PATH, &headers, body.as_bytes()));
        client
    };
    let mut asked: Vec<Client> = (0..4).map(|_| ask(KEY)).collect();
    until("four are under way", 10, || {
        (sandbox.arrivals().len() == 4).then_some(())
    });
    for secret in [KEY, LOW] {
        // The answer is there before the body is.
        let mut client = Client::connect(gateway.address);
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: g\r\nauthorization: {}\r\ncontent-length: 1000000\r\n\r\n",
            bearer(secret)
        );
        let answer = client.send(head.as_bytes()).read().expect("an answer").expect(503);
        assert_eq!(answer.error_code(), "overloaded");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(
            answer.header("connection"),
            Some("close"),
            "what was not read cannot be skipped"
        );
    }
    let mut high = ask(HIGH);
    high.read().expect("an answer").expect(200);
    for client in &mut asked {
        client.read().expect("an answer").expect(200);
    }
    assert_eq!(
        sandbox.arrivals().len(),
        5,
        "who was refused was not asked for anywhere"
    );
    ask(LOW).read().expect("an answer").expect(200);
    let refused = gateway.metric("tollgate_rejected_requests_total", &["reason=\"overloaded\""]);
    assert_eq!(refused, 2.0);
    until("an event tells of it", 10, || {
        gateway
            .process
            .output()
            .contains("shards have more to do than they bear")
            .then_some(())
    });
    until("and that it is over", 20, || {
        // A turn of the loop.
        gateway.get("/v1/models").expect(200);
        gateway.process.output().contains("2 calls were refused").then_some(())
    });
}

#[test]
fn copies_hold_no_more_bytes_than_they_may_however_small_their_requests_came() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let mut setup = Setup::to(first.address);
    setup.top = setup.top.replace("shards: 2", "shards: 1");
    setup.providers = [
        provider_line("first", "openai", first.address),
        provider_line("second", "openai", second.address),
    ]
    .concat();
    setup.models = "  smart: { targets: [ { provider: first, model: sandbox-small } ], shadow: { model: other, share: 100% } }\n  \
                    other: { targets: [ { provider: second, model: sandbox-large } ] }\n"
        .to_owned();
    let gateway = setup.start();
    // The copies hang; each holds twenty megabytes that came as a few thousand bytes. There is room for three.
    second.plays(r#"{"rules":[{"latency":"60s"}]}"#);
    let long = format!(r#","user":"{}""#, "x".repeat(20_000_000));
    let packed = gzipped(chat("smart", &long).as_bytes());
    for _ in 0..5 {
        let headers = [
            ("authorization", &*bearer(KEY)),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ];
        http::call(gateway.address, "POST", PATH, &headers, &packed).expect(200);
    }
    let dropped = || {
        gateway.metric(
            "tollgate_shadow_requests_total",
            &["model=\"other\"", "outcome=\"dropped\""],
        )
    };
    until("what is too much is dropped", 10, || (dropped() == 2.0).then_some(()));
}

#[test]
fn as_many_shards_serve_as_the_file_says_from_the_first_start_on() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    // More than there are cores, so that it cannot be so by chance.
    let shards = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    setup.top = setup.top.replace("shards: 2", &format!("shards: {shards}"));
    let mut gateway = setup.start();
    let serving = |gateway: &Gateway| gateway.status()["shards"].as_array().map_or(0, Vec::len);
    assert_eq!(serving(&gateway), shards);
    gateway.kill_dataplane();
    assert_eq!(serving(&gateway), shards, "so it is after a crash");
    // A file that says otherwise by the next start.
    signal(gateway.process.pid(), Signal::TERM);
    assert_eq!(gateway.process.wait(20), 0);
    gateway.rewrite(|setup| setup.top = setup.top.replace(&format!("shards: {shards}"), "shards: 1"));
    gateway.start_again();
    assert_eq!(serving(&gateway), 1);
    gateway.post(PATH, &[], &chat("openai/sandbox-small", "")).expect(200);
}
