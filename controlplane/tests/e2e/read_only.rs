//! A file system that turns read-only beneath the usage spool: what has its place goes on, what has none is refused.

use std::process::Command;

use crate::{
    harness::{
        Client, Gateway, Sandbox,
        gateway::{chat, with_key},
        http::request,
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
    inside(&gateway, &format!("umount {spool}"));
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
