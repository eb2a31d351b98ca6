//! `tollgate up` with a state directory and ports of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use super::{
    free_port,
    http::{self, Response},
    process::{self, Process, Signal, program},
    until,
};

/// The secret of the key `tester`, which may use every model.
pub const KEY: &str = "tg-test-secret-0123456789abcdef";

/// What is written to the configuration file, section by section; a test changes the sections it is about.
pub struct Setup {
    pub top: String,
    /// Further members of the listener `public`, written as `, name: value`.
    pub listener: String,
    /// Further listeners, a line each.
    pub listeners: String,
    pub providers: String,
    pub models: String,
    pub keys: String,
    pub environment: Vec<(String, String)>,
    /// Put before the program, for instance `prlimit`.
    pub wrapper: Vec<String>,
    /// Where the state goes; a fresh temporary folder where none is given.
    pub state_dir: Option<PathBuf>,
}

impl Setup {
    /// One OpenAI and one Anthropic provider at the same address, reached by `openai/NAME` and `anthropic/NAME`
    /// with one attempt; idle connections to them are closed after a second, so that leaks show.
    pub fn to(provider: SocketAddr) -> Self {
        Self {
            top: "shards: 2\nshutdown_grace: 10s\ndrain_delay: 0s\naccess_log: off\n".to_owned(),
            listener: String::new(),
            listeners: String::new(),
            providers: [
                provider_line("openai", "openai", provider),
                provider_line("anthropic", "anthropic", provider),
            ]
            .concat(),
            models: [
                model_line("openai/*", &["openai"]),
                model_line("anthropic/*", &["anthropic"]),
            ]
            .concat(),
            keys: "  tester: { secret: env:TOLLGATE_TEST_KEY }\n".to_owned(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            state_dir: None,
        }
    }

    /// The whole document.
    pub fn document(&self, listen: SocketAddr, admin: SocketAddr) -> String {
        format!(
            "version: 1\n{}listeners:\n  public: {{ address: \"{listen}\"{} }}\n{}admin: {{ address: \"{admin}\" }}\n\
             providers:\n{}models:\n{}keys:\n{}",
            self.top, self.listener, self.listeners, self.providers, self.models, self.keys
        )
    }

    pub fn start(self) -> Gateway {
        Gateway::start(self)
    }
}

/// A provider of a dialect at an address.
pub fn provider_line(name: &str, dialect: &str, address: SocketAddr) -> String {
    provider_with(name, dialect, address, "")
}

/// The same with further members, written as `, name: value`.
pub fn provider_with(name: &str, dialect: &str, address: SocketAddr, more: &str) -> String {
    format!(
        "  {name}: {{ dialect: {dialect}, base_url: \"http://{address}\", credential: env:TOLLGATE_TEST_UPSTREAM, \
         connections: {{ max_idle: 64, idle_timeout: 1s }}{more} }}\n"
    )
}

/// A wildcard model with these providers in order of priority, each tried once.
pub fn model_line(pattern: &str, providers: &[&str]) -> String {
    let targets: Vec<String> = providers
        .iter()
        .map(|name| format!("{{ provider: {name}, model: \"*\" }}"))
        .collect();
    let attempts = providers.len();
    format!(
        "  \"{pattern}\": {{ targets: [ {} ], retry: {{ attempts: {attempts} }} }}\n",
        targets.join(", ")
    )
}

pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub config: PathBuf,
    pub state_dir: PathBuf,
    pub socket: PathBuf,
    pub process: Process,
    setup: Setup,
    folder: tempfile::TempDir,
}

/// The provider's credential, which clients must never see.
pub const UPSTREAM_SECRET: &str = "sk-upstream-secret";

impl Gateway {
    pub fn start(setup: Setup) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-e2e-")
            .tempdir()
            .expect("a temporary folder");
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (address, admin) = (loopback(free_port()), loopback(free_port()));
        let config = folder.path().join("tollgate.yaml");
        std::fs::write(&config, setup.document(address, admin)).expect("the configuration is written");
        let state_dir = setup.state_dir.clone().unwrap_or_else(|| folder.path().join("state"));
        let socket = folder.path().join("control.sock");
        let process = Process::start(&mut up_command(&setup, &config, &state_dir, &socket));
        let mut gateway = Self {
            address,
            admin,
            config,
            state_dir,
            socket,
            process,
            setup,
            folder,
        };
        gateway.process.ready_line();
        gateway
    }

    /// A folder that lives as long as the gateway.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command that started it.
    pub fn up_command(&self) -> Command {
        up_command(&self.setup, &self.config, &self.state_dir, &self.socket)
    }

    /// Starts `tollgate up` again on the same state once the last has ended, and waits until it is ready.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.process.wait(20);
        self.process = Process::start(&mut self.up_command());
        self.process.ready_line();
    }

    /// Rewrites the configuration file.
    pub fn rewrite(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        std::fs::write(&self.config, self.setup.document(self.address, self.admin)).expect("written");
    }

    /// One call of the control socket; fails the test when nobody answers.
    #[track_caller]
    pub fn control(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::call_unix(&self.socket, method, target, headers, body).expect("the control socket answers")
    }

    /// What the ledger answers: its rows.
    #[track_caller]
    pub fn usage(&self, query: &str) -> Vec<Value> {
        let answer = self.control("GET", &format!("/v1/usage?{query}"), &[], b"");
        answer.expect(200).json()["rows"].as_array().expect("rows").clone()
    }

    /// Posts what the calls of two days would have cost by this document.
    #[track_caller]
    pub fn rerate(&self, document: &Value) -> Value {
        let asked = serde_json::json!({"from": "2d", "post": true, "document": document}).to_string();
        let content = [("content-type", "application/json")];
        let done = self.control("POST", "/v1/usage/rerate", &content, asked.as_bytes());
        done.expect(200).json()
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.control("GET", "/v1/status", &[], b"").expect(200).json()
    }

    pub fn controlplane_pid(&self) -> u32 {
        self.process.pid()
    }

    #[track_caller]
    pub fn dataplane_pid(&self) -> u32 {
        let status = self.status();
        let pid = status["dataplane"]["pid"].as_u64();
        pid.unwrap_or_else(|| panic!("no data plane in {status}")) as u32
    }

    /// Ends the data plane with SIGKILL, and waits until another one runs.
    #[track_caller]
    pub fn kill_dataplane(&self) {
        let old = self.dataplane_pid();
        process::signal(old, Signal::KILL);
        until("another data plane", 20, || {
            let status = self.status();
            let pid = status["dataplane"]["pid"].as_u64()?;
            (pid != u64::from(old)).then_some(())
        });
    }

    #[track_caller]
    pub fn revision(&self) -> u64 {
        let status = self.status();
        status["revision"]
            .as_u64()
            .unwrap_or_else(|| panic!("no revision in {status}"))
    }

    /// Client connections over all shards.
    pub fn connections(&self) -> u64 {
        let status = self.status();
        let shards = status["shards"].as_array().expect("shards");
        shards.iter().filter_map(|shard| shard["connections"].as_u64()).sum()
    }

    /// Runs a command of `tollgate` against this gateway.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program("tollgate"));
        command
            .args(arguments)
            .env("TOLLGATE_CONTROL_SOCKET", &self.socket)
            .env("TOLLGATE_TEST_KEY", KEY);
        command.env("TOLLGATE_TEST_UPSTREAM", UPSTREAM_SECRET);
        command.output().expect("tollgate runs")
    }

    /// Posts a body with the test's key, under both dialects' header for it.
    #[track_caller]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        http::call(self.address, "POST", path, &with_key(headers), body.as_bytes())
    }

    /// The status of a chat with another key, on a connection of its own.
    #[track_caller]
    pub fn chat_status(&self, secret: &str) -> u16 {
        let bearer = format!("Bearer {secret}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = chat("openai/sandbox-small", "");
        http::call(self.address, "POST", "/v1/chat/completions", &headers, body.as_bytes()).status
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        http::call(self.address, "GET", path, &with_key(&[]), b"")
    }

    /// The value of a metric line that begins with `name` and has all `labels`; 0 where there is none.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.control("GET", "/v1/metrics", &[], b"").expect(200).text();
        let lines = text
            .lines()
            .filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
        lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    #[track_caller]
    pub fn await_ready(&self) {
        until("/readyz answers 200", 20, || {
            let mut client = http::Client::try_connect(self.address).ok()?;
            client.send(&http::request("GET", "/readyz", &[], b""));
            client
                .read_answer("GET")
                .filter(|answer| answer.status == 200)
                .map(|_| ())
        });
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway said:\n{}", self.process.output());
        }
        // The data plane outlives its parent by design, so it is looked for by what it was started with.
        process::signal(self.process.pid(), Signal::KILL);
        let marker = self.folder.path().display().to_string();
        for pid in process::naming(&marker)
            .into_iter()
            .chain(process::naming(&self.state_dir.display().to_string()))
        {
            process::signal(pid, Signal::KILL);
        }
    }
}

/// `headers` with the test's key.
pub fn with_key<'a>(headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("x-api-key", KEY),
        ("anthropic-version", "2023-06-01"),
        ("content-type", "application/json"),
    ];
    all.extend_from_slice(headers);
    all
}

/// An OpenAI chat body.
pub fn chat(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello there, gate."}}]{more}}}"#)
}

/// An Anthropic messages body.
pub fn messages(model: &str, more: &str) -> String {
    chat(model, &format!(r#","max_tokens":64{more}"#))
}

fn up_command(setup: &Setup, config: &Path, state_dir: &Path, socket: &Path) -> Command {
    let tollgate = program("tollgate");
    let mut command = match setup.wrapper.split_first() {
        None => Command::new(tollgate),
        Some((wrapper, arguments)) => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(tollgate);
            command
        }
    };
    command
        .arg("up")
        .arg("--config")
        .arg(config)
        .arg("--state-dir")
        .arg(state_dir)
        .arg("--control-socket")
        .arg(socket);
    command
        .env("TOLLGATE_TEST_KEY", KEY)
        .env("TOLLGATE_TEST_UPSTREAM", UPSTREAM_SECRET);
    command.envs(setup.environment.iter().cloned());
    command
}
