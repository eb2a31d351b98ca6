//! The running configuration changes under traffic: from the socket, from the file, and never by half.

use crate::harness::{
    Client, Gateway, Load, Sandbox, Setup,
    gateway::{chat, messages, model_line, provider_line, with_key},
    http::request,
    probe::Baseline,
    process::{self, Signal},
    until,
};

fn pair() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    (sandbox, gateway)
}

const SMALL: &[u8] = br#"{"targets":[{"provider":"openai","model":"sandbox-small"}]}"#;

#[test]
fn a_change_during_two_hundred_streams_breaks_none_and_new_requests_run_on_the_new_revision() {
    let (old, new) = (Sandbox::start(), Sandbox::start());
    let gateway = Setup::to(old.address).start();
    gateway
        .post("/v1/messages", &[], &messages("anthropic/sandbox-small", ""))
        .expect(200);
    let baseline = Baseline::of(gateway.dataplane_pid());
    let mut streams: Vec<Client> = (0..200).map(|_| Client::connect(gateway.address)).collect();
    for (index, stream) in streams.iter_mut().enumerate() {
        let (path, body) = match index % 2 {
            0 => (
                "/v1/chat/completions",
                chat("openai/sandbox-tokens-60-rate-20", r#","stream":true"#),
            ),
            _ => (
                "/v1/messages",
                messages("anthropic/sandbox-tokens-60-rate-20", r#","stream":true"#),
            ),
        };
        stream.send(&request("POST", path, &with_key(&[]), body.as_bytes()));
    }
    for stream in &mut streams {
        while !stream.buf.windows(5).any(|window| window == b"delta") {
            assert!(stream.read_more(), "a stream ended before it began");
        }
    }
    let before = gateway.revision();
    let moved = format!(
        r#"{{"dialect":"openai","base_url":"http://{}","credential":"env:TOLLGATE_TEST_UPSTREAM","connections":{{"idle_timeout":"1s"}}}}"#,
        new.address
    );
    let changed = gateway
        .control("PUT", "/v1/config/providers/openai", &[], moved.as_bytes())
        .expect(200)
        .json();
    assert!(
        changed["revision"].as_u64().is_some_and(|revision| revision > before),
        "{changed}"
    );
    assert_eq!(
        changed["shards"].as_array().map(Vec::len),
        Some(2),
        "acknowledged by every shard: {changed}"
    );

    old.reset();
    for _ in 0..20 {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
    }
    assert_eq!(
        (new.arrivals().len(), old.arrivals().len()),
        (20, 0),
        "new requests run on the new revision"
    );
    for (index, mut stream) in streams.into_iter().enumerate() {
        let answer = stream.read().expect("an answer").expect(200);
        let last = if index % 2 == 0 {
            "data: [DONE]"
        } else {
            r#"data: {"type":"message_stop"}"#
        };
        assert!(
            answer.text().trim_end().ends_with(last),
            "stream {index} was broken: {}",
            answer.text()
        );
        assert!(answer.text().matches("delta").count() >= 60);
    }
    baseline.assert_restored(16 * 1024);
}

#[test]
fn a_hundred_changes_under_load_fail_no_request() {
    let (_sandbox, gateway) = pair();
    let load = Load::start(gateway.address, 4);
    load.await_answers(100);
    let baseline = Baseline::of(gateway.dataplane_pid());
    for index in 0..100 {
        let target = format!("/v1/config/models/extra-{}", index % 3);
        let answer = if index % 6 < 3 {
            gateway.control("PUT", &target, &[], SMALL)
        } else {
            gateway.control("DELETE", &target, &[], b"")
        };
        answer.expect(200);
    }
    let outcome = load.stop();
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    baseline.assert_restored(16 * 1024);
}

#[test]
fn of_two_writers_with_the_same_etag_one_is_told_that_it_lost() {
    let (_sandbox, gateway) = pair();
    let etag = gateway
        .control("GET", "/v1/config", &[], b"")
        .expect(200)
        .header("etag")
        .expect("an etag")
        .to_owned();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|index| {
                let (gateway, etag) = (&gateway, &etag);
                scope.spawn(move || {
                    let target = format!("/v1/config/models/writer-{index}");
                    gateway.control("PUT", &target, &[("if-match", etag)], SMALL).status
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"))
            .collect()
    });
    assert_eq!(
        statuses.iter().filter(|&&status| status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|&&status| status == 412).count(),
        7,
        "{statuses:?}"
    );
    let models = gateway.control("GET", "/v1/config/models", &[], b"").expect(200).text();
    assert_eq!(models.matches("writer-").count(), 1, "{models}");
}

#[test]
fn a_wrong_change_takes_effect_nowhere_and_names_what_is_wrong() {
    let (_sandbox, gateway) = pair();
    let before = gateway.revision();
    for (target, body, named) in [
        (
            "/v1/config/models/m",
            r#"{"targets":[{"provider":"opnai","model":"x"}]}"#,
            "/models/m/targets/0/provider",
        ),
        (
            "/v1/config/models/m",
            r#"{"targets":[{"provider":"openai","model":"x"}],"log_content":true}"#,
            "not supported yet",
        ),
        ("/v1/config/listeners/public/adress", r#""127.0.0.1:1""#, "address"),
        ("/v1/config/version", "2", "/version"),
    ] {
        let refused = gateway.control("PUT", target, &[], body.as_bytes());
        assert!(matches!(refused.status, 400 | 422), "{target}: {refused:?}");
        assert!(
            refused
                .header("content-type")
                .is_some_and(|kind| kind.contains("problem+json"))
        );
        assert!(refused.text().contains(named), "{target}: {}", refused.text());
    }
    assert_eq!(gateway.revision(), before);
    let tried = gateway
        .control("PUT", "/v1/config/models/m?dry_run=1", &[], SMALL)
        .expect(200);
    assert!(tried.text().contains('m'), "{}", tried.text());
    assert_eq!(gateway.revision(), before, "a dry run changes nothing");
    assert_eq!(gateway.post("/v1/chat/completions", &[], &chat("m", "")).status, 404);
}

#[test]
fn a_changed_file_becomes_a_revision_on_sighup_and_an_unchanged_one_does_not() {
    let (_sandbox, mut gateway) = pair();
    gateway
        .control("PUT", "/v1/config/models/by-socket", &[], SMALL)
        .expect(200);
    let stored = gateway.revision();
    process::signal(gateway.controlplane_pid(), Signal::HUP);
    gateway.rewrite(|setup| setup.models += "  by-file: { targets: [ { provider: openai, model: sandbox-small } ] }\n");
    process::signal(gateway.controlplane_pid(), Signal::HUP);
    until("the file's revision", 10, || {
        (gateway.revision() == stored + 1).then_some(())
    });
    gateway
        .post("/v1/chat/completions", &[], &chat("by-file", ""))
        .expect(200);
    assert_eq!(
        gateway.post("/v1/chat/completions", &[], &chat("by-socket", "")).status,
        404,
        "the file is the whole document"
    );

    gateway.rewrite(|setup| setup.models += "  broken: { targets: [ { provider: nobody, model: x } ] }\n");
    process::signal(gateway.controlplane_pid(), Signal::HUP);
    until("the fault to be said", 10, || {
        gateway.process.stderr.find(|line| line.contains("nobody"))
    });
    assert_eq!(gateway.revision(), stored + 1);
    gateway
        .post("/v1/chat/completions", &[], &chat("by-file", ""))
        .expect(200);
}

#[test]
fn a_listener_added_is_served_and_one_taken_away_is_closed() {
    let (_sandbox, gateway) = pair();
    let second = std::net::SocketAddr::from(([127, 0, 0, 1], crate::harness::free_port()));
    let listener = format!(r#"{{"address":"{second}"}}"#);
    gateway
        .control("PUT", "/v1/config/listeners/second", &[], listener.as_bytes())
        .expect(200);
    let body = chat("openai/sandbox-small", "");
    crate::harness::http::call(second, "POST", "/v1/chat/completions", &with_key(&[]), body.as_bytes()).expect(200);
    gateway
        .control("DELETE", "/v1/config/listeners/second", &[], b"")
        .expect(200);
    until("the listener to be closed", 20, || {
        Client::try_connect(second).err().map(|_| ())
    });
    gateway.post("/v1/chat/completions", &[], &body).expect(200);
}

#[test]
fn revisions_are_kept_with_who_and_why_and_can_be_rolled_back_to() {
    let (_sandbox, gateway) = pair();
    let first = gateway.revision();
    gateway
        .control("PUT", "/v1/config/models/m", &[("x-reason", "ticket 77")], SMALL)
        .expect(200);
    let history = gateway.control("GET", "/v1/revisions", &[], b"").expect(200).text();
    assert!(history.contains("ticket 77"), "{history}");
    let changes = gateway
        .control("GET", &format!("/v1/revisions/{}/diff", first + 1), &[], b"")
        .expect(200)
        .text();
    assert!(changes.contains("models"), "{changes}");
    gateway
        .control("POST", &format!("/v1/revisions/{first}/rollback"), &[], b"")
        .expect(200);
    assert_eq!(gateway.revision(), first + 2, "a rollback is a revision too");
    assert_eq!(gateway.post("/v1/chat/completions", &[], &chat("m", "")).status, 404);
}

#[test]
fn the_command_line_does_what_the_socket_does() {
    let (sandbox, gateway) = pair();
    let run = |arguments: &[&str], code: i32| {
        let output = gateway.cli(arguments);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "tollgate {arguments:?}: {text}");
        text
    };
    run(&["set", "/models/by-hand", &String::from_utf8_lossy(SMALL)], 0);
    gateway
        .post("/v1/chat/completions", &[], &chat("by-hand", ""))
        .expect(200);
    assert!(run(&["get", "/models/by-hand"], 0).contains("sandbox-small"));
    assert!(run(&["status"], 0).contains("revision"));
    let status: serde_json::Value = serde_json::from_str(&run(&["status", "--output", "json"], 0)).expect("JSON");
    assert_eq!(status["revision"], gateway.revision());

    let file = gateway.folder().join("next.yaml");
    let mut next = Setup::to(sandbox.address);
    next.models += "  applied: { targets: [ { provider: openai, model: sandbox-small } ] }\n";
    std::fs::write(&file, next.document(gateway.address, gateway.admin)).expect("written");
    let file = file.display().to_string();
    let checked = run(&["check", &file], 0);
    assert!(
        checked.contains("/v1/chat/completions") && !checked.contains("/providers/"),
        "{checked}"
    );
    let through = gateway.folder().join("through.yaml");
    next.keys += "  through: { secret: env:TOLLGATE_TEST_THROUGH, pass_through: true }\n";
    std::fs::write(&through, next.document(gateway.address, gateway.admin)).expect("written");
    let checked = run(&["check", &through.display().to_string()], 0);
    let line = format!("/providers/openai/…: http://{}/…", sandbox.address);
    assert!(checked.lines().any(|said| said == line), "{line} in {checked}");
    assert!(run(&["providers"], 0).contains("https://bedrock-runtime.{region}.amazonaws.com/model/{model}/converse"));
    assert!(run(&["diff", &file], 0).contains("applied"));
    run(&["apply", &file, "--dry-run"], 0);
    assert_eq!(
        gateway.post("/v1/chat/completions", &[], &chat("applied", "")).status,
        404
    );
    run(&["apply", &file, "--if-revision", "1000"], 1);
    run(&["apply", &file], 0);
    gateway
        .post("/v1/chat/completions", &[], &chat("applied", ""))
        .expect(200);
    assert!(run(&["history"], 0).lines().count() >= 3);
    run(&["rollback", "1"], 0);
    assert_eq!(
        gateway.post("/v1/chat/completions", &[], &chat("applied", "")).status,
        404
    );
}

#[test]
fn the_command_line_says_what_is_wrong_by_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.yaml");
    let mut setup = Setup::to(std::net::SocketAddr::from(([127, 0, 0, 1], 9)));
    setup.providers = provider_line("openai", "openai", std::net::SocketAddr::from(([127, 0, 0, 1], 9)))
        .replace("base_url", "base_ulr");
    setup.models = model_line("m", &["nobody"]);
    let loopback = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    std::fs::write(&file, setup.document(loopback(1), loopback(2))).expect("written");
    let check = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::harness::process::program("tollgate"));
        command
            .args(arguments)
            .env("TOLLGATE_CONTROL_SOCKET", folder.path().join("nobody.sock"));
        command
            .env("TOLLGATE_TEST_KEY", "k")
            .env("TOLLGATE_TEST_UPSTREAM", "u")
            .output()
            .expect("runs")
    };
    let path = file.display().to_string();
    let output = check(&["check", &path]);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(2), "{said}");
    // All faults, each as FILE:LINE:COL: /json/pointer: …
    for named in ["/providers/openai/base_ulr", "base_url", "nobody"] {
        assert!(said.contains(named), "{named} in {said}");
    }
    assert!(said.lines().any(|line| line.starts_with(&format!("{path}:"))), "{said}");
    assert_eq!(check(&["status"]).status.code(), Some(3), "nobody at the socket");
    assert_eq!(check(&["no-such-command"]).status.code(), Some(2));
}

#[test]
fn events_tell_of_changes_as_they_happen() {
    let (_sandbox, gateway) = pair();
    let socket = std::os::unix::net::UnixStream::connect(&gateway.socket).expect("connected");
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .expect("set");
    let mut events = Client::over(socket);
    events.send(&request("GET", "/v1/events", &[], b""));
    events.read_until(b"\r\n\r\n").expect("a head");
    gateway.control("PUT", "/v1/config/models/m", &[], SMALL).expect(200);
    let revision = gateway.revision().to_string();
    events
        .read_until(revision.as_bytes())
        .expect("an event that names the revision");
}
