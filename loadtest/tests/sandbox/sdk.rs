//! The official Python SDKs, unchanged, against the sandbox. The assertions are in `tests/sdk/`, one file per SDK.

use std::{path::PathBuf, process::Command};

use crate::harness::Sandbox;

/// The interpreter that has the SDKs: `$TOLLGATE_TEST_PYTHON`, else the virtual environment that `make test` makes.
fn python() -> PathBuf {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("TOLLGATE_TEST_PYTHON").map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace.join(".cache/venv/bin/python"));
    let has_sdks = Command::new(&path)
        .args(["-c", "import openai, anthropic, google.genai, cohere, boto3"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        has_sdks,
        "{} cannot import openai, anthropic, google.genai, cohere and boto3: run 'make test' once, or\n  \
         python3 -m venv .cache/venv && .cache/venv/bin/pip install -r controlplane/tests/sdk/requirements.txt",
        path.display()
    );
    path
}

fn run(script: &str) {
    let python = python();
    let sandbox = Sandbox::start(&[]);
    let output = Command::new(python)
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(script))
        .env("SANDBOX_URL", format!("http://{}", sandbox.address))
        .env("NO_PROXY", "127.0.0.1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .expect("python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}:\n{said}\n{complained}");
    println!("{said}");
}

#[test]
fn the_openai_sdk_works_unchanged() {
    run("openai_sdk.py");
}

#[test]
fn the_anthropic_sdk_works_unchanged() {
    run("anthropic_sdk.py");
}

#[test]
fn the_gemini_sdk_works_unchanged() {
    run("gemini_sdk.py");
}

#[test]
fn the_cohere_sdk_works_unchanged() {
    run("cohere_sdk.py");
}

#[test]
fn the_bedrock_sdk_works_unchanged() {
    run("bedrock_sdk.py");
}

#[test]
fn every_sdk_sees_it_perform() {
    run("performance.py");
}
