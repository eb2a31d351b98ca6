//! The official Python SDKs, unchanged, against the gateway. The assertions are in `tests/sdk/`, one file per SDK.

use std::{path::PathBuf, process::Command};

use crate::harness::{Sandbox, Setup, gateway::KEY, probe::Baseline, until};

/// The interpreter that has the SDKs: `$TOLLGATE_TEST_PYTHON`, else the virtual environment that `make test` makes.
fn python() -> PathBuf {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("TOLLGATE_TEST_PYTHON").map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace.join(".cache/venv/bin/python"));
    let has_sdks = Command::new(&path)
        .args(["-c", "import openai, anthropic"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        has_sdks,
        "{} cannot import openai and anthropic: run 'make test' once, or\n  python3 -m venv .cache/venv && \
         .cache/venv/bin/pip install -r controlplane/tests/sdk/requirements.txt",
        path.display()
    );
    path
}

fn run(script: &str) {
    let python = python();
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.keys += "  narrow: { secret: env:TOLLGATE_TEST_NARROW, models: [ \"nothing/*\" ] }\n";
    setup
        .environment
        .push(("TOLLGATE_TEST_NARROW".to_owned(), "tg-narrow".to_owned()));
    let gateway = setup.start();
    let baseline = Baseline::of(gateway.dataplane_pid());
    let output = Command::new(python)
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(script))
        .env("TOLLGATE_URL", format!("http://{}", gateway.address))
        .env("TOLLGATE_KEY", KEY)
        .env("SANDBOX_URL", format!("http://{}", sandbox.address))
        .env(
            "NOWHERE_URL",
            format!("http://127.0.0.1:{}", crate::harness::free_port()),
        )
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("python runs");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{script}:\n{said}\n{complained}");
    println!("{said}");
    until("the SDK's connections to be gone", 10, || {
        (gateway.connections() == 0).then_some(())
    });
    baseline.assert_restored(24 * 1024);
}

#[test]
fn the_openai_sdk_works_unchanged() {
    run("openai_sdk.py");
}

#[test]
fn the_anthropic_sdk_works_unchanged() {
    run("anthropic_sdk.py");
}
