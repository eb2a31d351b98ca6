//! The official Python SDKs, unchanged, against the gateway. The assertions are in `tests/sdk/`, one file per SDK.

use std::{path::PathBuf, process::Command};

use crate::harness::{
    Gateway, Sandbox, Setup,
    certificates::{Authority, Validity},
    free_port,
    gateway::{KEY, provider_line, provider_with},
    probe::Baseline,
    until,
};

/// The interpreter that has the SDKs.
fn python() -> PathBuf {
    python_with("openai, anthropic, google.genai, cohere, boto3")
}

/// The interpreter that can import these: `$TOLLGATE_TEST_PYTHON`, else the virtual environment that `make test` makes.
pub fn python_with(modules: &str) -> PathBuf {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("TOLLGATE_TEST_PYTHON").map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace.join(".cache/venv/bin/python"));
    let has_them = Command::new(&path)
        .args(["-c", &format!("import {modules}")])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        has_them,
        "{} cannot import {modules}: run 'make test' once, or\n  python3 -m venv .cache/venv && \
         .cache/venv/bin/pip install -r controlplane/tests/sdk/requirements.txt",
        path.display()
    );
    path
}

fn run(script: &str) {
    let sandbox = Sandbox::start();
    run_against(script, &sandbox, Setup::to(sandbox.address), &[]);
}

fn run_against(script: &str, sandbox: &Sandbox, setup: Setup, environment: &[(&str, &str)]) {
    let gateway = start(setup);
    let baseline = Baseline::of(gateway.dataplane_pid());
    run_script(script, sandbox, &gateway, environment);
    until("the SDK's connections to be gone", 10, || {
        (gateway.connections() == 0).then_some(())
    });
    baseline.assert_restored(24 * 1024);
}

/// With a key besides that may use no model.
pub fn start(mut setup: Setup) -> Gateway {
    setup.keys += "  narrow: { secret: env:TOLLGATE_TEST_NARROW, models: [ \"nothing/*\" ] }\n";
    setup
        .environment
        .push(("TOLLGATE_TEST_NARROW".to_owned(), "tg-narrow".to_owned()));
    setup.start()
}

pub fn run_script(script: &str, sandbox: &Sandbox, gateway: &Gateway, environment: &[(&str, &str)]) {
    let output = Command::new(python())
        .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(script))
        .env("TOLLGATE_URL", format!("http://{}", gateway.address))
        .env("TOLLGATE_KEY", KEY)
        .env("TOLLGATE_METRICS_URL", format!("http://{}/metrics", gateway.admin))
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
fn the_openai_sdk_comes_back_when_asked_to_and_repeats_no_call() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.models = "  narrow: { targets: [ { provider: openai, model: sandbox-small } ], \
                    overload: { min: 1, max: 1, queue: 0 } }\n  \
                    wide: { targets: [ { provider: openai, model: sandbox-small } ] }\n"
        .to_owned();
    run_against("overload_sdk.py", &sandbox, setup, &[]);
}

/// Keys whose limit admits one call: in six seconds, in a year, or for a year's money (an answer may cost 0.00064 USD and costs 0.0004); and one that none of its calls fits.
#[test]
fn sdks_come_back_to_a_spent_limit_when_they_are_told_to_and_to_a_spent_budget_not_at_all() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    (setup.providers, setup.models, setup.keys) = Default::default();
    let prices = ", prices: { models: { \"sandbox-*\": { input: \"2.00\", output: \"10.00\" } } }";
    for dialect in ["openai", "openai-responses", "anthropic", "gemini"] {
        setup.providers += &provider_with(dialect, dialect, sandbox.address, prices);
        setup.models += &format!(
            "  {dialect}: {{ targets: [ {{ provider: {dialect}, model: sandbox-small }} ], retry: {{ attempts: 1 }} }}\n"
        );
    }
    for (kind, limit) in [
        ("paced", "requests: 1, per: 6s"),
        ("calls", "requests: 1, per: year"),
        ("money", "budget: \"0.001 USD\", per: year"),
        ("large", "tokens: 3, per: 1s"),
    ] {
        for way in ["chat", "streamed", "response", "message", "google"] {
            let (key, variable) = (format!("{kind}-{way}"), format!("TEST_{kind}_{way}").to_uppercase());
            setup.keys += &format!("  {key}: {{ secret: env:{variable}, limits: [ {{ {limit} }} ] }}\n");
            setup.environment.push((variable, format!("tg-{key}-0123456789abcdef")));
        }
    }
    run_against("refused_sdk.py", &sandbox, setup, &[]);
}

/// Models that embed, rerank or count, and who has them.
const EMBEDDERS: [(&str, &str, &str); 8] = [
    ("openai", "openai", "text-embedding-3-small"),
    ("openai-responses", "openai-responses", "text-embedding-3-small"),
    ("anthropic", "anthropic", "claude-sonnet-5"),
    ("google", "gemini", "gemini-embedding-001"),
    ("cohere", "cohere", "embed-v4.0"),
    ("titan", "bedrock", "amazon.titan-embed-text-v2:0"),
    ("bedrock-cohere", "bedrock", "cohere.embed-v4:0"),
    ("bedrock-rerank", "bedrock", "cohere.rerank-v3-5:0"),
];

#[test]
fn every_sdk_embeds_with_every_provider() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    (setup.providers, setup.models) = Default::default();
    for (dialect, _) in UPSTREAMS {
        setup.providers += &provider_line(dialect, dialect, sandbox.address);
    }
    for (name, provider, model) in EMBEDDERS {
        setup.models += &format!(
            "  {name}: {{ targets: [ {{ provider: {provider}, model: \"{model}\" }} ], retry: {{ attempts: 1 }} }}\n"
        );
    }
    run_against("embeddings_sdk.py", &sandbox, setup, &[]);
}

#[test]
fn forms_uploads_files_and_batches_work_and_are_their_owners() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    let log = tempfile::NamedTempFile::new().expect("a file");
    setup.top = setup.top.replace(
        "access_log: off",
        &format!("access_log: \"file:{}\"", log.path().display()),
    );
    setup.top += "id_secret: env:TOLLGATE_TEST_ID_SECRET\nteams: { research: {}, sales: {} }\n";
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, team: research, batches: true }\n  \
                  rival: { secret: env:TOLLGATE_TEST_RIVAL, team: sales, batches: true }\n"
        .to_owned();
    setup.environment = vec![
        (
            "TOLLGATE_TEST_ID_SECRET".to_owned(),
            "0123456789abcdef0123456789abcdef".to_owned(),
        ),
        ("TOLLGATE_TEST_RIVAL".to_owned(), "tg-rival-secret".to_owned()),
    ];
    let gateway = start(setup);
    run_script(
        "objects_sdk.py",
        &sandbox,
        &gateway,
        &[("TOLLGATE_RIVAL_KEY", "tg-rival-secret")],
    );
    let counted = until("the batches' lines in the log", 10, || {
        let lines = std::fs::read_to_string(log.path()).expect("the access log");
        let counted = lines.lines().filter(|line| line.contains("\"batch\":\""));
        let counted: Vec<String> = counted.map(str::to_owned).collect();
        (counted.len() >= 2).then_some(counted)
    });
    assert_eq!(counted.len(), 2, "each batch is counted once: {counted:?}");
    assert!(
        counted
            .iter()
            .all(|line| line.contains("\"upstream_model\":\"sandbox-small\"")),
        "{counted:?}"
    );
    assert!(
        counted[0].contains("\"output\":10,\"reasoning\":2") && counted[1].contains("\"output\":9"),
        "{counted:?}"
    );
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
