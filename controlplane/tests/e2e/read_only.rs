//! A file system that turns read-only beneath the usage spool or the whole state: what has its place goes on, what has none is
//! refused, and says why.

use std::{fs, process::Command};

use crate::{
    harness::{
        Client, Gateway, Sandbox, Setup,
        gateway::{chat, with_key},
        http::request,
        process::{Process, Signal, naming, signal},
        until,
    },
    state::on_a_small_disk,
};

/// Runs in the mount namespace of a gateway, whoever made it.
#[track_caller]
fn inside(gateway: &Gateway, command: &str) {
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["-t", &gateway.controlplane_pid().to_string(), "-m"]);
    if !rustix::process::geteuid().is_root() {
        nsenter.args(["-U", "--preserve-credentials"]);
    }
    let ran = nsenter.args(["sh", "-c", command]).output().expect("nsenter runs");
    assert!(
        ran.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn a_spool_that_turns_read_only_refuses_calls_and_loses_none() {
    let sandbox = Sandbox::start();
    let (gateway, _, disk) = on_a_small_disk(&sandbox);
    // Long records fill what there is sooner.
    let tags = format!("call={}", "x".repeat(1000));
    let headers = with_key(&[("x-tollgate-tags", tags.as_str())]);
    let body = chat("openai/sandbox-small", "");
    let ask = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
    let mut client = Client::connect(gateway.address);
    let mut status = || client.send(&ask).read().expect("an answer").status;
    assert_eq!(status(), 200);
    let spool = disk.path().join("state/spool");
    let spool = spool.display();
    inside(
        &gateway,
        &format!("mount --bind {spool} {spool} && mount -o remount,bind,ro {spool}"),
    );
    // Files that were made ahead take records as before; then there are no more.
    let mut answered = 1;
    while status() == 200 {
        answered += 1;
        assert!(answered < 20_000, "no end of room on a disk that takes no file");
    }
    assert_eq!(status(), 503);
    let arrived = sandbox.report()["requests"].as_u64().expect("a number");
    assert_eq!(arrived, answered, "what was refused went to nobody");
    until("the event tells why", 20, || {
        let said = gateway.process.output();
        let line = said.lines().find(|line| line.contains("usage_spool_full"))?.to_owned();
        line.contains("ead-only").then_some(())
    });
    inside(&gateway, &format!("umount -l {spool}"));
    until("calls are taken again", 30, || (status() == 200).then_some(()));
    let arrived = sandbox.report()["requests"].as_u64().expect("a number");
    until("the ledger has them all", 30, || {
        let answer = gateway.control("GET", "/v1/usage?from=1h", &[], b"").expect(200).json();
        (answer["rows"][0]["requests"] == arrived).then_some(())
    });
    for state in ["lost", "missing", "damaged"] {
        assert_eq!(gateway.metric("tollgate_usage_records_total", &[state]), 0.0, "{state}");
    }
}

/// The command of this gateway where the state's folder can only be read.
fn on_read_only(gateway: &Gateway) -> Command {
    let up = gateway.up_command();
    let state = gateway.state_dir.display();
    let mount = format!("mount --bind {state} {state} && mount -o remount,bind,ro {state} && exec \"$@\"");
    let namespaces = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-Urm"
    };
    let mut command = Command::new("unshare");
    command.args([namespaces, "sh", "-c", &mount, "sh"]);
    command.arg(up.get_program()).args(up.get_args());
    command.envs(up.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// Of a state that is there, and of one that was never made.
#[test]
fn a_state_that_cannot_be_written_is_named_and_nothing_is_started() {
    let sandbox = Sandbox::start();
    let mut gateway = Setup::to(sandbox.address).start();
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    signal(gateway.controlplane_pid(), Signal::TERM);
    assert_eq!(gateway.process.wait(20), 0);
    for is_empty in [false, true] {
        if is_empty {
            fs::remove_dir_all(&gateway.state_dir).expect("removed");
            fs::create_dir(&gateway.state_dir).expect("made");
        }
        let mut refused = Process::start(&mut on_read_only(&gateway));
        assert_eq!(refused.wait(20), 1, "{}", refused.output());
        let said = refused.output();
        let folder = gateway.state_dir.display().to_string();
        let line = said.lines().find(|line| line.contains("ead-only file system"));
        let line = line.unwrap_or_else(|| panic!("why: {said}"));
        assert!(line.contains(&folder), "where: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert!(naming(&folder).is_empty(), "something was left running");
    }
    gateway.start_again();
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
}

/// The whole state, under a gateway that runs: calls go on, changes say why not, and all is well once it can be written.
#[test]
fn a_state_that_turns_read_only_stops_changes_and_neither_calls_nor_planes() {
    let sandbox = Sandbox::start();
    let (gateway, _, disk) = on_a_small_disk(&sandbox);
    let dataplane = gateway.dataplane_pid();
    let state = disk.path().join("state");
    let state = state.display();
    inside(
        &gateway,
        &format!("mount --bind {state} {state} && mount -o remount,bind,ro {state}"),
    );
    let revision = gateway.revision();
    let model = br#"{"targets":[{"provider":"openai","model":"sandbox-small"}]}"#;
    let refused = gateway.control("PUT", "/v1/config/models/extra", &[], model);
    assert!(refused.status >= 500, "{} {}", refused.status, refused.text());
    assert!(refused.text().contains("ead-only"), "{}", refused.text());
    assert_eq!(gateway.revision(), revision);
    for _ in 0..20 {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
    }
    let unknown = gateway.post("/v1/chat/completions", &[], &chat("extra", ""));
    assert_eq!(unknown.status, 404, "the change took effect nowhere");
    assert_eq!(gateway.dataplane_pid(), dataplane, "it runs on");
    inside(&gateway, &format!("umount -l {state}"));
    gateway
        .control("PUT", "/v1/config/models/extra", &[], model)
        .expect(200);
    gateway
        .post("/v1/chat/completions", &[], &chat("extra", ""))
        .expect(200);
    until("the ledger has them all", 30, || {
        let answer = gateway.control("GET", "/v1/usage?from=1h", &[], b"").expect(200).json();
        (answer["rows"][0]["requests"] == 21).then_some(())
    });
}
