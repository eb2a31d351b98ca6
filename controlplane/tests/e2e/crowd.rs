//! Many at once: idle connections, streams, more connections than descriptors, shares of the shards.

use std::net::TcpStream;

use crate::harness::{
    Client, Sandbox, Setup,
    gateway::{chat, messages, with_key},
    http::{call, request},
    probe::{self, Baseline},
    until,
};

/// The design's bound on an idle connection, and what may come on top for tables that grow by doubling.
const IDLE_KIB: f64 = 4.0;
const IDLE_SLACK_KIB: f64 = 0.5;
const IDLE_CONNECTIONS: usize = 10_000;
/// Descriptors the gateway keeps for its files and sockets of its own.
const KEPT_DESCRIPTORS: usize = 200;

/// Raises the soft limit to the hard one, which the gateway inherits, and answers how many connections that allows:
/// the gateway keeps one descriptor towards a provider for each towards a client.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    let hard = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        hard >= 8_192,
        "the hard limit of open files is {hard}; this test needs 8,192, and 20,400 for all of it"
    );
    IDLE_CONNECTIONS.min((hard as usize / 2).saturating_sub(KEPT_DESCRIPTORS))
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_leave_nothing() {
    let wanted = raise_descriptor_limit();
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    // However long it takes to make them all.
    setup.top += "client: { idle_timeout: 1h }\n";
    let gateway = setup.start();
    let pid = gateway.dataplane_pid();
    for _ in 0..50 {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
    }
    until("the warm-up to be over", 10, || {
        (sandbox.open_connections() == 0).then_some(())
    });
    let baseline = Baseline::of(pid);
    let before_kib = probe::rss_kib(pid);
    let ask = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-small", "").as_bytes(),
    );
    let mut idle: Vec<TcpStream> = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let socket = TcpStream::connect(gateway.address).expect("a connection");
        let mut client = Client::over(socket.try_clone().expect("a second handle"));
        client.send(&ask);
        client.read().expect("an answer").expect(200);
        idle.push(socket);
    }
    until("all to be counted", 10, || {
        (gateway.connections() == wanted as u64).then_some(())
    });
    let each_kib = (probe::rss_kib(pid) - before_kib.min(probe::rss_kib(pid))) as f64 / wanted as f64;
    println!("{each_kib:.2} KiB of resident memory per idle connection at {wanted}");
    assert!(
        each_kib <= IDLE_KIB + IDLE_SLACK_KIB,
        "{each_kib:.2} KiB per idle connection"
    );
    // One of them, and a new one, are still served.
    let mut client = Client::over(idle[wanted / 2].try_clone().expect("a second handle"));
    client.send(&ask).read().expect("an answer").expect(200);
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    drop(client);
    drop(idle);
    until("all to be gone", 20, || (gateway.connections() == 0).then_some(()));
    // The allocator may keep what ten thousand connections needed; a second crowd must not need more.
    baseline.assert_restored((IDLE_KIB * wanted as f64) as u64);
}

#[test]
fn two_hundred_streams_at_once_are_all_whole() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let version = [("anthropic-version", "2023-06-01")];
    let asks_usage = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let cases = [
        (
            "/v1/chat/completions",
            chat("openai/sandbox-tokens-50-rate-50", asks_usage),
            chat("sandbox-tokens-50-rate-50", asks_usage),
        ),
        (
            "/v1/messages",
            messages("anthropic/sandbox-tokens-50-rate-50", r#","stream":true"#),
            messages("sandbox-tokens-50-rate-50", r#","stream":true"#),
        ),
    ];
    let expected: Vec<String> = cases
        .iter()
        .map(|(path, _, direct)| {
            call(sandbox.address, "POST", path, &version, direct.as_bytes())
                .expect(200)
                .text()
        })
        .collect();
    let baseline = Baseline::of(gateway.dataplane_pid());
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(gateway.address)).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        let (path, body, _) = &cases[index % 2];
        client.send(&request("POST", path, &with_key(&[]), body.as_bytes()));
    }
    for (index, client) in clients.iter_mut().enumerate() {
        let answer = client.read().expect("an answer").expect(200);
        assert_eq!(answer.text(), expected[index % 2], "stream {index}");
    }
    drop(clients);
    baseline.assert_restored(16 * 1024);
}

#[test]
fn more_connections_than_descriptors_are_bounded_and_survived() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.wrapper = ["prlimit", "--nofile=256:256"].map(str::to_owned).to_vec();
    let gateway = setup.start();
    let pid = gateway.dataplane_pid();
    let baseline = Baseline::of(pid);
    let crowd: Vec<TcpStream> = (0..600)
        .map(|_| TcpStream::connect(gateway.address).expect("queued at least"))
        .collect();
    // Those that were let in are served even now. Which they are is the shards' race, not the order of connecting.
    let ask = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-small", "").as_bytes(),
    );
    let mut crowd: Vec<Client> = crowd.into_iter().map(Client::over).collect();
    let served = crowd.iter_mut().find_map(|client| {
        client.socket.write_all(&ask).ok()?;
        client.read()
    });
    served.expect("somebody was let in").expect(200);
    assert!(
        probe::descriptors(pid) < 256,
        "the data plane keeps some descriptors for itself"
    );
    drop(crowd);
    until("new clients to be served again", 20, || {
        let mut client = Client::try_connect(gateway.address).ok()?;
        client.send(&ask);
        client.read().filter(|answer| answer.status == 200).map(|_| ())
    });
    assert_eq!(gateway.dataplane_pid(), pid, "the data plane was restarted");
    baseline.assert_restored(4 * 1024);
}

#[test]
fn shards_carry_equal_shares_of_sixty_four_connections() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let ask = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-small", "").as_bytes(),
    );
    let mut clients: Vec<Client> = (0..64).map(|_| Client::connect(gateway.address)).collect();
    for _ in 0..20 {
        for client in &mut clients {
            client.send(&ask);
        }
        for client in &mut clients {
            client.read().expect("an answer").expect(200);
        }
    }
    let shares = until("all requests to be counted", 20, || {
        let status = gateway.status();
        let shards = status["shards"].as_array().expect("shards");
        let shares: Vec<u64> = shards.iter().filter_map(|shard| shard["requests"].as_u64()).collect();
        (shares.iter().sum::<u64>() >= 64 * 20).then_some(shares)
    });
    assert_eq!(shares.len(), 2);
    let total: u64 = shares.iter().sum();
    for share in &shares {
        let percent = share * 100 / total;
        assert!((40..=60).contains(&percent), "{shares:?}");
    }
}

#[test]
fn an_idle_gateway_uses_no_processor_time() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    until("the provider's connection to be given up", 10, || {
        (sandbox.open_connections() == 0).then_some(())
    });
    let pid = gateway.dataplane_pid();
    let before_ms = probe::cpu_ms(pid);
    // Not a wait for something to happen: the two seconds are what is measured.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let used_ms = probe::cpu_ms(pid) - before_ms;
    println!("{used_ms} ms of processor time in 2 idle seconds");
    assert!(used_ms <= 20, "{used_ms} ms of processor time in 2 idle seconds");
}
