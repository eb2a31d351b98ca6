//! Whose objects at providers are outlives both planes: lists have an owner's all and no other's, and what was counted is
//! not counted again.

use std::path::Path;

use serde_json::Value;

use crate::{
    harness::{
        Gateway, Sandbox, Setup,
        http::{self, Response},
        process::{self, Signal, is_running},
        until,
    },
    sdk,
};

const RIVAL: &str = "tg-rival-secret";
const ID_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Two teams on one account, and an access log.
fn setup(sandbox: &Sandbox, log: &Path) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    let log = format!("access_log: \"file:{}\"", log.display());
    setup.top = setup.top.replace("access_log: off", &log);
    setup.top += "id_secret: env:TOLLGATE_TEST_ID_SECRET\nteams: { research: {}, sales: {} }\n";
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, team: research, batches: true }\n  \
                  rival: { secret: env:TOLLGATE_TEST_RIVAL, team: sales, batches: true }\n"
        .to_owned();
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    setup.environment = vec![
        variable("TOLLGATE_TEST_ID_SECRET", ID_SECRET),
        variable("TOLLGATE_TEST_RIVAL", RIVAL),
    ];
    setup
}

/// Waits until so much is remembered: what was made last outlives the data plane.
fn await_kept(gateway: &Gateway, marks: usize) {
    let mut last = 0;
    until(&format!("{marks} marks to be kept"), 10, || {
        let kept = gateway.status()["controlplane"]["marks_kept"].as_u64()?;
        if kept != last {
            last = kept;
            eprintln!("{kept} marks are kept");
        }
        (kept == marks as u64).then_some(())
    });
}

fn kill_both(gateway: &mut Gateway) {
    let dataplane = gateway.dataplane_pid();
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    process::signal(dataplane, Signal::KILL);
    gateway.process.wait(10);
    until("the data plane to be dead", 10, || {
        (!is_running(dataplane)).then_some(())
    });
    gateway.start_again();
}

#[test]
fn sdks_list_what_is_their_teams_also_after_every_kill() {
    let sandbox = Sandbox::start();
    let folder = tempfile::tempdir().expect("a folder");
    let mut gateway = sdk::start(setup(&sandbox, &folder.path().join("access.log")));
    let made = folder.path().join("made.json").display().to_string();
    let run = |phase: &str, gateway: &Gateway| {
        let environment = [
            ("TOLLGATE_RIVAL_KEY", RIVAL),
            ("TOLLGATE_MADE", &made),
            ("TOLLGATE_PHASE", phase),
        ];
        sdk::run_script("lists_sdk.py", &sandbox, gateway, &environment);
    };
    run("make", &gateway);
    let text = std::fs::read_to_string(&made).expect("what was made");
    let by_family: Value = serde_json::from_str(&text).expect("JSON");
    let lists = by_family
        .as_object()
        .expect("families")
        .values()
        .flat_map(|teams| teams.as_object().expect("teams").values());
    let objects: usize = lists.map(|ids| ids.as_array().map_or(0, Vec::len)).sum();
    // The outputs of batches are files, and each batch that a list has shown is counted, by both; a file was deleted.
    let batches = by_family["batches"]
        .as_object()
        .expect("teams")
        .values()
        .map(|ids| ids.as_array().map_or(0, Vec::len))
        .sum::<usize>();
    await_kept(&gateway, objects + batches + 2 * batches);

    gateway.kill_dataplane();
    run("look", &gateway);
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.process.wait(10);
    gateway.start_again();
    run("look", &gateway);
    kill_both(&mut gateway);
    run("look", &gateway);
}

fn call(gateway: &Gateway, key: &str, method: &str, path: &str, body: &str) -> Response {
    let key = format!("Bearer {key}");
    let headers = [
        ("authorization", &*key),
        ("anthropic-version", "2023-06-01"),
        ("content-type", "application/json"),
    ];
    http::call(gateway.address, method, path, &headers, body.as_bytes()).expect(200)
}

fn make(gateway: &Gateway, name: &str) -> String {
    let body = format!(r#"{{"requests":[{{"custom_id":"{name}","params":{{}}}}]}}"#);
    let made = call(
        gateway,
        crate::harness::gateway::KEY,
        "POST",
        "/v1/messages/batches",
        &body,
    )
    .json();
    made["id"].as_str().expect("an id").to_owned()
}

/// Reads a batch's results, which counts it where it was not counted before.
fn read(gateway: &Gateway, batch: &str) {
    let path = format!("/v1/messages/batches/{batch}/results");
    call(gateway, crate::harness::gateway::KEY, "GET", &path, "");
}

#[test]
fn a_batch_is_counted_once_whatever_is_started_again() {
    let sandbox = Sandbox::start();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let mut gateway = setup(&sandbox, &log).start();
    let times_counted = |batch: &str| {
        // Its first line makes it.
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines()
            .filter(|line| line.contains(&format!("\"batch\":\"{batch}\"")))
            .count()
    };
    let await_counted = |batch: &str| until("a batch to be counted", 10, || (times_counted(batch) > 0).then_some(()));
    let batch = make(&gateway, "the first");
    read(&gateway, &batch);
    await_counted(&batch);
    await_kept(&gateway, 2);
    for round in 1..4 {
        match round {
            1 => gateway.kill_dataplane(),
            _ => kill_both(&mut gateway),
        }
        read(&gateway, &batch);
        // One that was never read is counted, behind the one that was: its line is the last.
        let other = make(&gateway, &format!("another {round}"));
        read(&gateway, &other);
        await_counted(&other);
        assert_eq!(times_counted(&batch), 1, "after start {round}");
        await_kept(&gateway, 2 + 2 * round);
    }
}

/// While the control plane is away, the data plane remembers; what it noted then is kept when there is one again.
#[test]
fn what_is_made_without_a_control_plane_is_kept_by_the_next() {
    let sandbox = Sandbox::start();
    let folder = tempfile::tempdir().expect("a folder");
    let mut gateway = setup(&sandbox, &folder.path().join("access.log")).start();
    let before = make(&gateway, "before");
    await_kept(&gateway, 1);
    process::signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.process.wait(10);
    let deleted = call(
        &gateway,
        crate::harness::gateway::KEY,
        "DELETE",
        &format!("/v1/messages/batches/{before}"),
        "",
    );
    assert_eq!(deleted.json()["type"], "message_batch_deleted");
    let meanwhile: Vec<String> = (0..3).map(|n| make(&gateway, &format!("meanwhile {n}"))).collect();
    gateway.start_again();
    await_kept(&gateway, 3);
    kill_both(&mut gateway);
    let list = |key: &str| {
        let page = call(&gateway, key, "GET", "/v1/messages/batches", "").json();
        let data = page["data"].as_array().expect("data").clone();
        data.iter()
            .rev()
            .map(|batch| batch["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(crate::harness::gateway::KEY), meanwhile);
    assert_eq!(list(RIVAL), [""; 0]);
}
