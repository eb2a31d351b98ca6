//! Clients with bad manners, runs that are interrupted, input that is wrong, and TLS.

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::server::{Server, chat, counts, put, report, run, said, signed, spawn, whole};

#[test]
fn a_byte_at_a_time_is_a_byte_at_a_time() {
    let right = whole(200, &chat(&signed("early mist, quiet rain.")));
    let length = Arc::new(AtomicUsize::new(0));
    let longest = Arc::clone(&length);
    let server = Server::start(move |asked, socket| {
        longest.fetch_max(asked.text.len(), Ordering::Relaxed);
        // Some come together where this thread is woken late, as many as the machine is busy.
        assert!(asked.reads > 10, "{} reads", asked.reads);
        put(socket, &right)
    });
    let report = report(&[
        "--url",
        &server.url(),
        "--rate",
        "10",
        "--duration",
        "1s",
        "--byte-at-a-time",
        "--body-bytes",
        "200",
    ]);
    assert_eq!(counts(&report), ([10, 10, 10], [0; 5]));
    // A millisecond lies between two of them, and the histogram is good to a hundredth.
    let (p50, length) = (
        report["latency_ms"]["p50"].as_f64().expect("p50"),
        length.load(Ordering::Relaxed),
    );
    assert!(
        length > 200 && p50 > 0.99 * (length as f64 - 1.0),
        "{length} bytes in {p50} ms"
    );
}

#[test]
fn slow_readers_take_their_time() {
    const LENGTH: usize = 40_000;
    let right = whole(200, &chat(&signed(&"quiet rain, ".repeat(LENGTH / 12))));
    let server = Server::start(move |_, socket| put(socket, &right));
    let report = report(&[
        "--url",
        &server.url(),
        "--rate",
        "10",
        "--duration",
        "1s",
        "--slow-read",
        "80000",
    ]);
    assert_eq!(counts(&report), ([10, 10, 10], [0; 5]));
    let p50 = report["latency_ms"]["p50"].as_f64().expect("p50");
    assert!(p50 > 450.0, "40 kB at 80 kB/s take half a second, not {p50} ms");
    let first_byte = report["first_byte_ms"]["p50"].as_f64().expect("p50");
    assert!(first_byte < p50 / 2.0, "{first_byte}");
}

#[test]
fn who_leaves_is_neither_answered_nor_failed() {
    let (told, gone) = mpsc::channel();
    let server = Server::start(move |_, socket| {
        put(socket, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        let part = " ".repeat(1000);
        // Until writing fails, which the client's reset brings about.
        while socket.write_all(part.as_bytes()).is_ok() {}
        told.send(()).expect("somebody listens");
        false
    });
    let report = report(&[
        "--url",
        &server.url(),
        "--rate",
        "20",
        "--duration",
        "1s",
        "--leave-after",
        "5000",
    ]);
    assert_eq!(counts(&report), ([20, 0, 0], [0; 5]));
    assert_eq!(report["left"], 20);
    assert_eq!(gone.iter().take(20).count(), 20);
}

#[test]
fn sigint_ends_with_the_results_so_far() {
    let right = whole(200, &chat(&signed("early mist, quiet rain.")));
    let (told, heard) = mpsc::channel();
    let server = Server::start(move |asked, socket| {
        if asked.index == 150 {
            told.send(()).expect("somebody listens");
        }
        put(socket, &right)
    });
    for load in [&["--rate", "100"][..], &["--connections", "2"]] {
        let url = server.url();
        let arguments = [&["--url", &url, "--duration", "10m", "--output", "json"], load].concat();
        server.requests.store(0, Ordering::Relaxed);
        let child = spawn(&arguments);
        heard.recv_timeout(Duration::from_secs(60)).expect("150 requests");
        kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
        let (code, out, err) = said(child.wait_with_output().expect("it ends"));
        let report: Value = serde_json::from_str(&out).expect("JSON");
        assert!(code == 0 || report["valid"] == false, "{err}");
        assert_eq!(report["interrupted"], true);
        assert!(report["answered"].as_u64() >= Some(140), "{out}");
        assert!(report["seconds"].as_f64() < Some(60.0));
    }
}

#[test]
fn files_are_written_and_text_is_for_people() {
    let right = whole(200, &chat(&signed("early mist, quiet rain.")));
    let server = Server::start(move |_, socket| put(socket, &right));
    let folder = tempfile::tempdir().expect("a folder");
    let [html, hgrm] = ["r.html", "r.hgrm"].map(|name| folder.path().join(name).display().to_string());
    let pid = std::process::id().to_string();
    let (code, out, err) = run(&[
        "--url",
        &server.url(),
        "--rate",
        "poisson:50",
        "--duration",
        "1s",
        "--warm-up",
        "200ms",
        "--threads",
        "2",
        "--html",
        &html,
        "--hgrm",
        &hgrm,
        "--watch-pid",
        &pid,
    ]);
    assert!((code, err.as_str()) == (0, "") || code == 4, "{code} {err}: {out}");
    assert!(out.contains("open loop") && out.contains("p99.9"), "{out}");
    let read = |path: &str| std::fs::read_to_string(path).expect("written");
    assert!(read(&html).starts_with("<!"), "a page");
    assert!(read(&hgrm).contains("Percentile"), "a table");
}

#[test]
fn bad_input_is_told_with_its_remedy() {
    let url = ["--url", "http://127.0.0.1:9"];
    let cases: [(&[&str], &str); 15] = [
        (&["--url", "127.0.0.1:9"], "http://127.0.0.1:8080"),
        (&[url[0], url[1], "--rate", "fast"], "--rate"),
        (&[url[0], url[1], "--rate", "ramp:0-100"], "ramp"),
        (&[url[0], url[1], "--mix", "no-such-mix"], "no-such-mix"),
        (&[url[0], url[1], "--duration", "5"], "250ms"),
        (&[url[0], url[1], "--duration", "0s"], "10s"),
        (&[url[0], url[1], "--timeout", "0s"], "60s"),
        (&[url[0], url[1], "--connections", "0"], "1 or more"),
        (&[url[0], url[1], "--connections", "8001"], "at most 8000"),
        (&[url[0], url[1], "--threads", "0"], "1 to 256"),
        (&[url[0], "https://127.0.0.1:9", "--ca", "/no/such.pem"], "PEM file"),
        (&[url[0], url[1], "--watch-pid", "4294967295"], "pidof"),
        (&[url[0], url[1], "--key", "a\r\nx: b"], "line breaks"),
        (&[url[0], url[1], "--timeout", "5124095h"], "at most 600s"),
        (&[url[0], url[1], "--html", "/no/such/folder/r.html"], "/no/such/folder"),
    ];
    for (arguments, remedy) in cases {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(remedy), "{arguments:?}: {err}");
    }
}

#[test]
fn an_unreachable_target_is_named_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let (code, out, err) = run(&["--url", &format!("http://{address}")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains(&address.to_string()) && err.contains("is the target running"),
        "{err}"
    );
}

/// The sandbox, with a certificate of its own.
struct Sandbox {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Sandbox {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("made");
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate-loadtest"))
            .args(["sandbox", "--threads", "1", "--tls-cert"])
            .arg(&certificate)
            .arg("--tls-key")
            .arg(&key)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
        std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
        let address = line
            .strip_prefix("ready ")
            .expect("'ready HOST:PORT'")
            .trim()
            .to_owned();
        Self { child, address, folder }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn https_is_spoken_and_certificates_are_believed_only_when_told_so() {
    let sandbox = Sandbox::start();
    let url = format!("https://{}", sandbox.address);
    let ca = sandbox.folder.path().join("certificate.pem").display().to_string();
    let hundred = ["--rate", "100", "--duration", "1s"];
    let believers: [&[&str]; 4] = [
        &["--ca", &ca],
        &["--insecure"],
        &["--insecure", "--no-keep-alive"],
        &["--ca", &ca, "--stream"],
    ];
    for trust in believers {
        let report = report(&[&["--url", &url], &hundred[..], trust].concat());
        assert_eq!(counts(&report), ([100, 100, 100], [0; 5]), "{trust:?}");
    }
    let long = report(&[
        "--url",
        &url,
        "--ca",
        &ca,
        "--rate",
        "10",
        "--duration",
        "1s",
        "--body-bytes",
        "300KiB",
    ]);
    assert_eq!(
        counts(&long),
        ([10, 10, 10], [0; 5]),
        "more than TLS keeps while hands are shaken"
    );
    let (code, _, err) = run(&["--url", &url]);
    assert_eq!(code, 1);
    assert!(err.contains("--ca") && err.contains("--insecure"), "{err}");
    let (code, _, err) = run(&["--url", &url, "--ca", "/no/such/file"]);
    assert_eq!(code, 2);
    assert!(err.contains("/no/such/file"), "{err}");
}
