//! Bodies too large to be held: they pass as they come, in both directions, and cost the gateway next to nothing.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use crate::harness::{
    Client, Ended, Gateway, Sandbox, Setup,
    certificates::{Authority, Validity, handshake, trusting},
    free_port,
    gateway::{KEY, model_line, provider_line},
    probe::{forget_peak_rss, peak_rss_kib, rss_kib},
    sandbox::header,
    until,
};

const MIB: usize = 1024 * 1024;
/// What an upload of any length may cost: a few hundred as a rule. Where the client is faster than the gateway when it begins,
/// what the receive buffers took before the provider was reached is held: at most the two megabytes that a shard has, and as
/// much while it grows.
const ALLOWED_KIB: u64 = 6 * 1024;

/// A form in two halves around a file: what stands before it, and behind it.
struct Form {
    before: String,
    after: String,
}

impl Form {
    fn of(fields_before: &[(&str, &str)], fields_after: &[(&str, &str)]) -> Self {
        let part = |(name, value): &(&str, &str)| {
            format!("--xYz\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let before: String = fields_before.iter().map(part).collect();
        let after: String = fields_after.iter().map(part).collect();
        let file = "--xYz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\ncontent-type: audio/mpeg\r\n\r\n";
        Self {
            before: before + file,
            after: format!("\r\n{after}--xYz--\r\n"),
        }
    }

    /// As Python's SDK sends it: the fields, then the file.
    fn transcription() -> Self {
        Self::of(&[("model", "openai/sandbox-small")], &[])
    }

    fn length(&self, file_bytes: usize) -> usize {
        self.before.len() + file_bytes + self.after.len()
    }
}

fn head(path: &str, framing: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ncontent-type: multipart/form-data; \
         boundary=xYz\r\n{framing}\r\n\r\n"
    )
}

/// Sends a form with a file of so many bytes, a piece at a time.
fn send(client: &mut Client, path: &str, form: &Form, file_bytes: usize) {
    let framing = format!("content-length: {}", form.length(file_bytes));
    client
        .send(head(path, &framing).as_bytes())
        .send(form.before.as_bytes());
    let piece = vec![b'\r'; 256 * 1024];
    let mut left = file_bytes;
    while left > 0 {
        let now = left.min(piece.len());
        client.send(&piece[..now]);
        left -= now;
    }
    client.send(form.after.as_bytes());
}

fn pair() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    (sandbox, gateway)
}

/// A provider of the test's own: takes one connection, reads a request's head, and does as it is told.
struct Provider {
    address: SocketAddr,
    thread: thread::JoinHandle<()>,
}

impl Provider {
    fn new(serve: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let thread = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("the gateway connects");
            let mut read = Vec::new();
            let mut byte = [0];
            while !read.ends_with(b"\r\n\r\n") {
                socket.read_exact(&mut byte).expect("a head");
                read.push(byte[0]);
            }
            serve(socket);
        });
        Self { address, thread }
    }

    fn gateway(&self) -> Gateway {
        Setup::to(self.address).start()
    }

    fn done(self) {
        self.thread.join().expect("the provider saw what it should");
    }
}

/// A hundred megabytes of sound, and how much larger the data plane ever was than before.
fn transcribe_much(form: &Form) -> (serde_json::Value, serde_json::Value) {
    const FILE_BYTES: usize = 100 * MIB;
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    // The first upload is the first to use all of the shard's receive buffers, which are there once.
    setup.top = setup.top.replace("shards: 2", "shards: 1");
    let gateway = setup.start();
    let transcribe = |file_bytes: usize| {
        let mut client = Client::connect(gateway.address);
        send(&mut client, "/v1/audio/transcriptions", form, file_bytes);
        client.read().expect("an answer").expect(200).json()
    };
    transcribe(3 * MIB);
    let before_kib = rss_kib(gateway.dataplane_pid());
    forget_peak_rss(gateway.dataplane_pid());
    let answer = transcribe(FILE_BYTES);
    let peak_kib = peak_rss_kib(gateway.dataplane_pid());
    println!("resident before: {before_kib} KiB, at most: {peak_kib} KiB");
    assert!(peak_kib <= before_kib + ALLOWED_KIB, "{before_kib} → {peak_kib} KiB");
    // The name is seven characters shorter at the provider.
    let length = form.length(FILE_BYTES) - "openai/".len();
    assert_eq!(answer["text"], format!("The sandbox heard {length} bytes."));
    (answer, sandbox.last_arrival())
}

#[test]
fn a_hundred_megabytes_pass_through_a_few() {
    let form = Form::transcription();
    let (_, arrival) = transcribe_much(&form);
    let length = form.length(100 * MIB) - "openai/".len();
    assert_eq!(header(&arrival, "content-length"), Some(length.to_string()));
    assert!(
        arrival["body"]
            .as_str()
            .expect("text")
            .contains("\r\n\r\nsandbox-small\r\n")
    );
}

/// As the npm SDK and `curl` send it: the provider reads the right model, or it would not answer.
#[test]
fn a_hundred_megabytes_pass_with_the_model_behind_them() {
    let form = Form::of(&[], &[("model", "openai/sandbox-status-200"), ("prompt", "x")]);
    let (_, arrival) = transcribe_much(&form);
    assert_eq!(header(&arrival, "transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(header(&arrival, "content-length"), None);
}

#[test]
fn a_body_in_chunks_passes_in_chunks() {
    let (sandbox, gateway) = pair();
    let form = Form::transcription();
    let mut client = Client::connect(gateway.address);
    client.send(head("/v1/audio/transcriptions", "transfer-encoding: chunked").as_bytes());
    let piece = vec![b'-'; 100_000];
    let mut pieces = vec![form.before.as_bytes()];
    pieces.extend(std::iter::repeat_n(&piece[..], 200));
    pieces.push(form.after.as_bytes());
    for piece in pieces {
        client
            .send(format!("{:x}\r\n", piece.len()).as_bytes())
            .send(piece)
            .send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    let answer = client.read().expect("an answer").expect(200).json();
    let length = form.length(200 * 100_000) - "openai/".len();
    assert_eq!(answer["text"], format!("The sandbox heard {length} bytes."));
    let arrival = sandbox.last_arrival();
    assert_eq!(header(&arrival, "transfer-encoding").as_deref(), Some("chunked"));
    // The connection is whole, and takes the next call.
    send(&mut client, "/v1/audio/translations", &form, 2 * MIB);
    client.read().expect("an answer").expect(200);
}

/// Two providers may have what the form names.
fn two_providers() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top += "max_body: 8MiB\n";
    setup.providers += &provider_line("other", "openai", sandbox.address);
    setup.models += &model_line("other/*", &["other"]);
    let gateway = setup.start();
    (sandbox, gateway)
}

#[test]
fn where_two_providers_may_be_meant_the_model_stands_before_a_long_file() {
    let (sandbox, gateway) = two_providers();
    let form = Form::of(&[], &[("model", "other/sandbox-small")]);
    let mut client = Client::connect(gateway.address);
    send(&mut client, "/v1/images/edits", &form, 5 * MIB);
    let answer = client.read().expect("an answer").expect(200);
    assert_eq!(answer.header("x-tollgate-provider"), Some("other"));
    assert!(answer.json()["data"][0]["b64_json"].is_string());
    let arrival = sandbox.last_arrival();
    assert_eq!(arrival["body_bytes"], form.length(5 * MIB) - "other/".len());
    thread::scope(|scope| {
        // It is refused while it is sent: not all of it may be taken.
        let mut writer = TcpStream::connect(gateway.address).expect("a connection");
        let mut reader = writer.try_clone().expect("another handle");
        let form = &form;
        scope.spawn(move || {
            let length = format!("content-length: {}", form.length(100 * MIB));
            let _ = writer.write_all(head("/v1/images/edits", &length).as_bytes());
            let _ = writer.write_all(form.before.as_bytes());
            let piece = vec![0; MIB];
            for _ in 0..100 {
                if writer.write_all(&piece).is_err() {
                    return;
                }
            }
        });
        let mut said = Vec::new();
        let mut piece = [0; 4096];
        while !said.windows(16).any(|window| window == b"before the file ") {
            let read = reader.read(&mut piece).expect("an answer");
            assert!(read > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&piece[..read]);
        }
        assert!(said.starts_with(b"HTTP/1.1 400 "));
    });
    send(&mut client, "/v1/images/edits", &form, 100);
    client.read().expect("an answer").expect(200);
}

#[test]
fn uploads_pass_from_tls_to_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let files = authority.issue("server", &["localhost"], Validity::Current);
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let sandbox = Sandbox::with(&["--tls-cert", &certificate.to_string(), "--tls-key", &key.to_string()]);
    let mut setup = Setup::to(sandbox.address);
    setup.providers = format!(
        "  openai: {{ dialect: openai, base_url: \"https://localhost:{}\", credential: env:TOLLGATE_TEST_UPSTREAM, \
         tls: {{ ca: \"file:{}\" }} }}\n",
        sandbox.address.port(),
        authority.root("root").display()
    );
    setup.models = "  \"openai/*\": { targets: [ { provider: openai, model: \"*\" } ] }\n".to_owned();
    let secure = SocketAddr::from(([127, 0, 0, 1], free_port()));
    setup.listeners = format!(
        "  secure: {{ address: \"{secure}\", tls: {{ certificate: \"file:{certificate}\", key: \"file:{key}\" }} }}\n"
    );
    let _gateway = setup.start();
    let stream = handshake(secure, "localhost", &trusting(&authority.root("root"))).expect("shaken hands");
    let mut client = Client::over(stream);
    let form = Form::transcription();
    for file_bytes in [20 * MIB, 100, 2 * MIB] {
        send(&mut client, "/v1/audio/transcriptions", &form, file_bytes);
        let answer = client.read().expect("an answer").expect(200).json();
        let length = form.length(file_bytes) - "openai/".len();
        assert_eq!(answer["text"], format!("The sandbox heard {length} bytes."));
    }
}

#[test]
fn files_and_direct_calls_pass_beyond_what_is_held() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, pass_through: true }\n".to_owned();
    setup.top += "max_body: 1MiB\nmax_upload: 64MiB\nid_secret: env:TOLLGATE_TEST_ID_SECRET\n";
    let secret = "0123456789abcdef0123456789abcdef";
    setup.environment = vec![("TOLLGATE_TEST_ID_SECRET".to_owned(), secret.to_owned())];
    let gateway = setup.start();
    let form = Form::of(&[("purpose", "batch")], &[]);
    for path in ["/v1/files", "/providers/openai/v1/files"] {
        let mut client = Client::connect(gateway.address);
        send(&mut client, path, &form, 40 * MIB);
        let answer = client.read().expect("an answer").expect(200).json();
        assert_eq!(answer["bytes"], form.length(40 * MIB));
        let too_long = format!("content-length: {}", 65 * MIB);
        client.send(head(path, &too_long).as_bytes());
        let refused = client.read().expect("an answer").expect(413);
        assert!(refused.text().contains("67108864 bytes"), "{}", refused.text());
    }
}

#[test]
fn a_client_that_leaves_takes_its_upload_with_it() {
    let (tell, told) = mpsc::channel();
    let provider = Provider::new(move |mut socket| {
        let mut piece = vec![0; 64 * 1024];
        let mut got = 0;
        loop {
            match socket.read(&mut piece) {
                Ok(0) | Err(_) => return assert!(got < 50 * MIB, "the whole body"),
                Ok(bytes) => got += bytes,
            }
            if got > 10 * MIB {
                let _ = tell.send(());
            }
        }
    });
    let gateway = provider.gateway();
    let form = Form::transcription();
    let mut client = Client::connect(gateway.address);
    let framing = format!("content-length: {}", form.length(50 * MIB));
    client.send(head("/v1/audio/transcriptions", &framing).as_bytes());
    client.send(form.before.as_bytes()).send(&vec![0; 11 * MIB]);
    told.recv().expect("the provider gets what was sent");
    drop(client);
    provider.done();
    until("the client to be forgotten", 10, || {
        (gateway.connections() == 0).then_some(())
    });
}

#[test]
fn a_provider_that_refuses_early_and_reads_nothing_is_heard_at_once() {
    let (release, released) = mpsc::channel::<()>();
    let provider = Provider::new(move |mut socket| {
        let answer =
            "HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"error\":413}";
        socket.write_all(answer.as_bytes()).expect("the gateway reads");
        // It stays, and reads nothing, until the client has its answer.
        let _ = released.recv();
    });
    let gateway = provider.gateway();
    let before_kib = rss_kib(gateway.dataplane_pid());
    forget_peak_rss(gateway.dataplane_pid());
    let form = Form::transcription();
    let mut writer = TcpStream::connect(gateway.address).expect("a connection");
    let reader = writer.try_clone().expect("another handle");
    let sender = thread::spawn(move || {
        let length = format!("content-length: {}", form.length(100 * MIB));
        let _ = writer.write_all(head("/v1/audio/transcriptions", &length).as_bytes());
        let _ = writer.write_all(form.before.as_bytes());
        let piece = vec![0; MIB];
        (0..100).all(|_| writer.write_all(&piece).is_ok())
    });
    let answer = Client::over(reader).read().expect("an answer");
    assert_eq!((answer.status, answer.ended), (413, Ended::Whole));
    assert_eq!(answer.text(), "{\"error\":413}");
    assert_eq!(answer.header("connection"), Some("close"));
    drop(release);
    provider.done();
    let _ = sender.join();
    let peak_kib = peak_rss_kib(gateway.dataplane_pid());
    println!("resident before: {before_kib} KiB, at most: {peak_kib} KiB");
    assert!(peak_kib <= before_kib + ALLOWED_KIB, "{before_kib} → {peak_kib} KiB");
}

#[test]
fn speech_comes_as_the_provider_makes_it() {
    let (release, released) = mpsc::channel::<()>();
    let provider = Provider::new(move |mut socket| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).expect("the gateway reads");
        for word in ["first", "second"] {
            let chunk = format!("{:x}\r\n{word}\r\n", word.len());
            socket.write_all(chunk.as_bytes()).expect("the gateway reads");
            // The next word is made only when the client has heard this one.
            released.recv().expect("the client heard it");
        }
        socket.write_all(b"0\r\n\r\n").expect("the gateway reads");
    });
    let gateway = provider.gateway();
    let mut client = Client::connect(gateway.address);
    let body = r#"{"model":"openai/tts","voice":"alloy","input":"two words"}"#;
    let head = format!(
        "POST /v1/audio/speech HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(head.as_bytes());
    for word in ["first", "second"] {
        client.read_until(word.as_bytes()).expect("the word");
        release.send(()).expect("the provider waits");
    }
    client.read_until(b"0\r\n\r\n").expect("the end");
    provider.done();
}
