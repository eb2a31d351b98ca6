//! The official Python SDKs, unchanged, against the gateway. The assertions are in `tests/sdk/`, one file per SDK.

use std::{path::PathBuf, process::Command};

use crate::harness::{
    Sandbox, Setup,
    certificates::{Authority, Validity},
    free_port,
    gateway::{KEY, provider_line},
    probe::Baseline,
    until,
};

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
        "{} cannot import openai, anthropic, google.genai, cohere and boto3: run 'make test' once, or\n  python3 -m venv .cache/venv && \
         .cache/venv/bin/pip install -r controlplane/tests/sdk/requirements.txt",
        path.display()
    );
    path
}

fn run(script: &str) {
    let sandbox = Sandbox::start();
    run_against(script, &sandbox, Setup::to(sandbox.address), &[]);
}

fn run_against(script: &str, sandbox: &Sandbox, mut setup: Setup, environment: &[(&str, &str)]) {
    let python = python();
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
        .env("NOWHERE_URL", format!("http://127.0.0.1:{}", free_port()))
        .env("NO_PROXY", "127.0.0.1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
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

/// Dialects and the name of a model that speaks each; Bedrock's tells whose model it is.
const UPSTREAMS: [(&str, &str); 6] = [
    ("openai", "gpt-5.4-mini"),
    ("openai-responses", "gpt-5.4-mini"),
    ("anthropic", "claude-sonnet-5"),
    ("gemini", "gemini-3-flash"),
    ("cohere", "command-a-03-2025"),
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
];

/// `via-NAME` for each dialect, and `via-NAME.MODEL` for what the sandbox does by its model's name.
#[test]
fn every_sdk_reaches_every_dialect() {
    let sandbox = Sandbox::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new(folder.path(), "root");
    let files = authority.issue("server", &["localhost"], Validity::Current);
    let mut setup = Setup::to(sandbox.address);
    // The AWS SDK sends its key over TLS alone.
    let port = free_port();
    setup.listeners = format!(
        "  secure: {{ address: \"127.0.0.1:{port}\", tls: {{ certificate: \"file:{}\", key: \"file:{}\" }} }}\n",
        files.certificate.display(),
        files.key.display()
    );
    (setup.providers, setup.models) = Default::default();
    for (dialect, model) in UPSTREAMS {
        // Of OpenAI itself it is known that usage may be asked for in streams.
        let what = if dialect == "openai" { "kind" } else { "dialect" };
        setup.providers += &provider_line(dialect, dialect, sandbox.address).replace("dialect:", &format!("{what}:"));
        for (name, model) in [(format!("via-{dialect}"), model), (format!("via-{dialect}.*"), "*")] {
            setup.models += &format!(
                "  \"{name}\": {{ targets: [ {{ provider: {dialect}, model: \"{model}\" }} ], retry: {{ attempts: 1 }} }}\n"
            );
        }
    }
    let secure = format!("https://localhost:{port}");
    let root = authority.root("root").display().to_string();
    run_against(
        "matrix.py",
        &sandbox,
        setup,
        &[("TOLLGATE_SECURE_URL", &secure), ("AWS_CA_BUNDLE", &root)],
    );
}

#[test]
fn claude_at_bedrock_is_called_by_anthropics_sdk_and_by_others() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.providers = format!(
        "  invoke: {{ kind: bedrock-anthropic, region: us-east-1, base_url: \"http://{}\", credential: env:TOLLGATE_TEST_AWS, \
         connections: {{ idle_timeout: 1s }} }}\n",
        sandbox.address
    );
    setup
        .environment
        .push(("TOLLGATE_TEST_AWS".to_owned(), "AKIDEXAMPLE:secret".to_owned()));
    let model = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    setup.models = [("via-invoke", model), ("via-invoke.*", "*")]
        .map(|(name, model)| {
            format!("  \"{name}\": {{ targets: [ {{ provider: invoke, model: \"{model}\" }} ], retry: {{ attempts: 1 }} }}\n")
        })
        .concat();
    run_against("bedrock_invoke.py", &sandbox, setup, &[]);
}
