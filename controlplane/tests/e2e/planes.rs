//! Each plane survives the sudden death of the other, and of itself.

use std::process::Command;

use crate::harness::{
    Client, Gateway, Load, Sandbox, Setup,
    gateway::{KEY, UPSTREAM_SECRET, chat, with_key},
    http::request,
    probe::Baseline,
    process::{self, Process, Signal, is_running, program},
    until,
};

fn pair() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    (sandbox, gateway)
}

fn ask(gateway: &Gateway) {
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
}

#[test]
fn the_data_plane_killed_under_load_is_back_at_once_and_refuses_no_connection() {
    let (sandbox, gateway) = pair();
    let revision = gateway.revision();
    // The reader's connection to the ledger, made when it is first wanted, is no leak.
    gateway.control("GET", "/v1/usage", &[], b"").expect(200);
    let load = Load::start(gateway.address, 8);
    load.await_answers(200);
    let mut controlplane = None;
    for _ in 0..5 {
        gateway.kill_dataplane();
        load.await_answers(200);
        // Watching a child that was restarted may cost more than watching the first; further ones may not.
        controlplane.get_or_insert_with(|| Baseline::of(gateway.controlplane_pid()));
    }
    let outcome = load.stop();
    assert!(outcome.answered >= 1_200, "{outcome:?}");
    assert_eq!(
        outcome.refused, 0,
        "the listening sockets outlive the data plane: {outcome:?}"
    );
    // Each kill may cost what was in flight on eight connections, queued ones included.
    assert!(outcome.failures.len() <= 5 * 8 * 2, "{outcome:?}");
    assert_eq!(gateway.revision(), revision);
    until("the dead data planes' connections to be gone", 10, || {
        (sandbox.open_connections() == 0).then_some(())
    });
    controlplane
        .expect("taken in the first round")
        .assert_restored(8 * 1024);
}

#[test]
fn the_control_plane_killed_under_load_costs_no_request_and_the_next_one_adopts_the_data_plane() {
    let (_sandbox, mut gateway) = pair();
    let dataplane = gateway.dataplane_pid();
    let baseline = Baseline::of(dataplane);
    let load = Load::start(gateway.address, 8);
    load.await_answers(200);
    for _ in 0..3 {
        process::signal(gateway.controlplane_pid(), Signal::KILL);
        gateway.process.wait(10);
        load.await_answers(200);
        gateway.start_again();
        assert_eq!(gateway.dataplane_pid(), dataplane, "adopted, not replaced");
        load.await_answers(200);
    }
    let outcome = load.stop();
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    assert!(is_running(dataplane));
    // The adopted data plane takes changes.
    let changed = gateway.control(
        "PUT",
        "/v1/config/models/extra",
        &[],
        br#"{"targets":[{"provider":"openai","model":"sandbox-small"}]}"#,
    );
    changed.expect(200);
    gateway
        .post("/v1/chat/completions", &[], &chat("extra", ""))
        .expect(200);
    baseline.assert_restored(8 * 1024);
}

#[test]
fn a_data_plane_without_control_plane_goes_on_after_minutes_of_silence_and_a_key_still_counts() {
    let (_sandbox, mut gateway) = pair();
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.process.wait(10);
    for _ in 0..100 {
        ask(&gateway);
    }
    let refused = crate::harness::http::call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &[("x-api-key", "wrong")],
        chat("m", "").as_bytes(),
    );
    assert_eq!(refused.status, 401);
}

#[test]
fn a_data_plane_started_alone_serves_the_last_good_snapshot() {
    let (_sandbox, mut gateway) = pair();
    let created = gateway.control("POST", "/v1/keys", &[], br#"{"name":"from-the-api"}"#);
    assert!(matches!(created.status, 200 | 201), "{}", created.text());
    let secret = created.json()["secret"].as_str().expect("the secret, once").to_owned();
    let dataplane = gateway.dataplane_pid();
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.process.wait(10);
    process::signal(dataplane, Signal::KILL);
    until("the data plane to be dead", 10, || {
        (!is_running(dataplane)).then_some(())
    });
    until("nobody to listen", 10, || {
        Client::try_connect(gateway.address).err().map(|_| ())
    });

    let mut command = Command::new(program("tollgate"));
    command.args(["dataplane", "--state-dir"]).arg(&gateway.state_dir);
    command
        .env("TOLLGATE_TEST_KEY", KEY)
        .env("TOLLGATE_TEST_UPSTREAM", UPSTREAM_SECRET);
    let _alone = Process::start(&mut command);
    gateway.await_ready();
    ask(&gateway);
    let headers = [("authorization", format!("Bearer {secret}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = crate::harness::http::call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &headers,
        chat("openai/sandbox-small", "").as_bytes(),
    );
    assert_eq!(answer.status, 200, "a key of the identity store: {}", answer.text());
}

#[test]
fn both_planes_killed_come_back_with_revision_and_keys() {
    let (_sandbox, mut gateway) = pair();
    gateway
        .control(
            "PUT",
            "/v1/config/models/extra",
            &[],
            br#"{"targets":[{"provider":"openai","model":"sandbox-small"}]}"#,
        )
        .expect(200);
    let revision = gateway.revision();
    let dataplane = gateway.dataplane_pid();
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    process::signal(dataplane, Signal::KILL);
    gateway.process.wait(10);
    gateway.start_again();
    assert_ne!(gateway.dataplane_pid(), dataplane);
    assert_eq!(
        gateway.revision(),
        revision,
        "what was set through the socket stands while the file has not changed"
    );
    gateway
        .post("/v1/chat/completions", &[], &chat("extra", ""))
        .expect(200);
}

#[test]
fn connections_made_while_there_is_no_data_plane_are_served_by_the_next() {
    let (_sandbox, gateway) = pair();
    let body = chat("openai/sandbox-small", "");
    let ask = request("POST", "/v1/chat/completions", &with_key(&[]), body.as_bytes());
    for _ in 0..5 {
        let old = gateway.dataplane_pid();
        process::signal(old, Signal::KILL);
        until("the data plane to be dead", 10, || (!is_running(old)).then_some(()));
        let mut waiting: Vec<Client> = (0..20).map(|_| Client::connect(gateway.address)).collect();
        for client in &mut waiting {
            client.send(&ask);
        }
        for (index, client) in waiting.iter_mut().enumerate() {
            let answer = client
                .read_or_cut()
                .unwrap_or_else(|reason| panic!("connection {index}: {reason}"));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}
