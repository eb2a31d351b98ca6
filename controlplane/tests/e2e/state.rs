//! Ports that are taken, a state directory that is taken, a disk that is full.

use std::{fs, path::PathBuf};

use crate::harness::{Gateway, Sandbox, Setup, gateway::chat, process::Process, until};

#[test]
fn a_port_in_use_is_named_and_nothing_is_started() {
    let sandbox = Sandbox::start();
    // SO_REUSEPORT would let a second gateway bind beside the first, so the address is probed.
    let first = Setup::to(sandbox.address).start();
    let other = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new(crate::harness::process::program("tollgate"));
    command
        .arg("up")
        .arg("--config")
        .arg(&first.config)
        .arg("--state-dir")
        .arg(other.path().join("state"));
    command.arg("--control-socket").arg(other.path().join("control.sock"));
    command
        .env("TOLLGATE_TEST_KEY", "tg-x")
        .env("TOLLGATE_TEST_UPSTREAM", "x");
    let mut second = Process::start(&mut command);
    assert_eq!(second.wait(20), 1, "{}", second.output());
    let said = second.output();
    assert!(
        said.contains(&first.address.to_string()) || said.contains(&first.admin.to_string()),
        "which address: {said}"
    );
    assert!(
        crate::harness::process::naming(&other.path().display().to_string()).is_empty(),
        "something was left running"
    );
    first
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
}

#[test]
fn a_port_held_by_another_program_is_named() {
    let sandbox = Sandbox::start();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let held = holder.local_addr().expect("its address");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tollgate.yaml");
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], crate::harness::free_port()));
    fs::write(&config, Setup::to(sandbox.address).document(held, admin)).expect("written");
    let mut command = std::process::Command::new(crate::harness::process::program("tollgate"));
    command
        .arg("up")
        .arg("--config")
        .arg(&config)
        .arg("--state-dir")
        .arg(folder.path().join("state"));
    command.arg("--control-socket").arg(folder.path().join("control.sock"));
    command
        .env("TOLLGATE_TEST_KEY", "tg-x")
        .env("TOLLGATE_TEST_UPSTREAM", "x");
    let mut process = Process::start(&mut command);
    assert_eq!(process.wait(20), 1, "{}", process.output());
    assert!(process.output().contains(&held.to_string()), "{}", process.output());
}

#[test]
fn a_second_gateway_on_the_same_state_is_refused() {
    let sandbox = Sandbox::start();
    let first = Setup::to(sandbox.address).start();
    let mut second = Process::start(&mut first.up_command());
    assert_eq!(second.wait(20), 1, "{}", second.output());
    assert!(
        second.output().contains(&*first.state_dir.display().to_string()),
        "{}",
        second.output()
    );
    first
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
}

/// A gateway whose state lies on a file system of 8 MiB, in a mount namespace of its own; its files are reached
/// through `/proc/PID/root`.
pub fn on_a_small_disk(sandbox: &Sandbox) -> (Gateway, PathBuf, tempfile::TempDir) {
    with_a_small_disk(Setup::to(sandbox.address))
}

/// The same of any gateway.
pub fn with_a_small_disk(setup: Setup) -> (Gateway, PathBuf, tempfile::TempDir) {
    with_a_disk_of(setup, 8)
}

/// And of so many MiB.
pub fn with_a_disk_of(mut setup: Setup, mib: u32) -> (Gateway, PathBuf, tempfile::TempDir) {
    let disk = tempfile::Builder::new()
        .prefix("tollgate-disk-")
        .tempdir()
        .expect("a folder");
    let mount = format!(
        "mount -t tmpfs -o size={mib}m,mode=700 tmpfs {} && exec \"$@\"",
        disk.path().display()
    );
    let namespaces = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-Urm"
    };
    setup.wrapper = ["unshare", namespaces, "sh", "-c", &mount, "sh"]
        .map(str::to_owned)
        .to_vec();
    setup.state_dir = Some(disk.path().join("state"));
    let gateway = setup.start();
    let inside = PathBuf::from(format!(
        "/proc/{}/root{}",
        gateway.controlplane_pid(),
        disk.path().display()
    ));
    assert!(inside.join("state").exists(), "the state lies on the small disk");
    (gateway, inside, disk)
}

#[test]
fn a_full_disk_refuses_changes_and_stops_no_request() {
    let sandbox = Sandbox::start();
    let (gateway, inside, _disk) = on_a_small_disk(&sandbox);
    let revision = gateway.revision();
    let filler = inside.join("filler");
    fs::write(&filler, vec![0; 16 * 1024 * 1024]).expect_err("the disk is full now");
    // A large change, so that no page already allocated can hold it.
    let model = |index| format!(r#""extra-{index}":{{"targets":[{{"provider":"openai","model":"sandbox-small"}}]}}"#);
    let models: Vec<String> = (0..2_000).map(model).collect();
    let models = format!(
        r#"{{"openai/*":{{"targets":[{{"provider":"openai","model":"*"}}]}},{}}}"#,
        models.join(",")
    );
    let refused = gateway.control("PUT", "/v1/config/models", &[], models.as_bytes());
    assert!(refused.status >= 500, "{} {}", refused.status, refused.text());
    assert!(
        refused
            .header("content-type")
            .is_some_and(|kind| kind.contains("problem+json")),
        "{refused:?}"
    );
    assert_eq!(gateway.revision(), revision);
    for _ in 0..200 {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
    }
    assert_eq!(
        gateway.post("/v1/chat/completions", &[], &chat("extra", "")).status,
        404,
        "the change took effect nowhere"
    );

    fs::remove_file(&filler).expect("removed");
    let model = br#"{"targets":[{"provider":"openai","model":"sandbox-small"}]}"#;
    gateway
        .control("PUT", "/v1/config/models/extra", &[], model)
        .expect(200);
    until("the change to be in force", 20, || {
        (gateway.post("/v1/chat/completions", &[], &chat("extra", "")).status == 200).then_some(())
    });
}
