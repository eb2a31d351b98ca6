//! Credentials that are more than a header: exchanged for access tokens at an authority, or lent for a while. Provider
//! and authority are one server here, told apart by their paths.

use std::{
    cell::RefCell,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, bounded};
use serde_json::{Value, json};
use tollgate_config::link::{AnswerBody, AskBody};

use crate::plane::{Control, PATIENCE, Plane, key};

/// Of the secret `tg-one`.
const ONE_SHA256: &str = "c5296f57527970abad3553ba278b7382efcdb5353ecdf819af452ac902abf9b5";
/// More than a test sends.
const MOST_REQUESTS: usize = 256;
const APPLICATION_SECRET: &str = "application-secret";

/// Answers one request for each connection: status and body for a request as text.
type Answers = Box<dyn Fn(&str) -> (u16, String) + Send + Sync>;

struct Cloud {
    address: SocketAddr,
    requests: Receiver<String>,
    heard: RefCell<Vec<String>>,
}

impl Cloud {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (noted, requests) = bounded(MOST_REQUESTS);
        let answers = Arc::new(answers);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, noted) = (Arc::clone(&answers), noted.clone());
                thread::spawn(move || {
                    let mut stream = stream.expect("a connection");
                    let request = read_request(&mut stream);
                    noted.send(request.clone()).expect("the test goes on");
                    let (status, body) = answers(&request);
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
                         content-length: {length}\r\n\r\n"
                    );
                    stream.write_all((head + &body).as_bytes()).expect("written");
                });
            }
        });
        Self {
            address,
            requests,
            heard: RefCell::default(),
        }
    }

    /// The requests that hold this text.
    fn heard(&self, text: &str) -> Vec<String> {
        let mut heard = self.heard.borrow_mut();
        heard.extend(self.requests.try_iter());
        heard.iter().filter(|request| request.contains(text)).cloned().collect()
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                return text;
            }
        }
        let mut some = [0; 4_096];
        let count = stream.read(&mut some).expect("readable");
        assert!(count > 0, "a request has no end: {text}");
        bytes.extend_from_slice(&some[..count]);
    }
}

const GEMINI: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4}}"#;
const CLAUDE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text",
    "text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}"#;
const CHAT: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{
    "role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,
    "total_tokens":4}}"#;
const CONVERSE: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn",
    "usage":{"inputTokens":3,"outputTokens":1,"totalTokens":4}}"#;

/// What the authorities, and the providers behind them, answer.
fn cloud_answer(request: &str) -> (u16, String) {
    let line = request.lines().next().unwrap_or_default();
    let token = |name: &str| (200, json!({ "access_token": name, "expires_in": 3600 }).to_string());
    let shown = |name: &str| request.contains(&format!("authorization: Bearer {name}\r\n"));
    if line.contains("/google/token") {
        token("of-google")
    } else if line.contains("/oauth2/v2.0/token") {
        token("of-entra")
    } else if line.contains("/publishers/google/") && shown("of-google") {
        (200, GEMINI.to_owned())
    } else if line.contains("/publishers/anthropic/") && shown("of-google") {
        (200, CLAUDE.to_owned())
    } else if line.contains("/chat/completions") && shown("of-entra") {
        (200, CHAT.to_owned())
    } else if line.contains("/converse") {
        (200, CONVERSE.to_owned())
    } else {
        (401, "{}".to_owned())
    }
}

fn service_account(folder: &Path, cloud: SocketAddr) -> String {
    let sample: Value = serde_json::from_str(include_str!("../../../dialect/tests/sign/google.json")).expect("JSON");
    let mut account = sample["account"].clone();
    account["token_uri"] = json!(format!("http://{cloud}/google/token"));
    write(folder, "account.json", &account.to_string())
}

/// A reference to a file with this content.
fn write(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    format!("file:{}", path.display())
}

fn document(listen: SocketAddr, providers: Value, models: Value) -> Value {
    json!({
        "version": 1,
        "drain_delay": "0s",
        "access_log": "off",
        "listeners": { "public": { "address": listen.to_string() } },
        "providers": providers,
        "models": models,
    })
}

fn entra(folder: &Path, authority: SocketAddr, provider: SocketAddr) -> Value {
    json!({
        "kind": "azure-openai", "resource": "r", "base_url": format!("http://{provider}"),
        "credential": write(folder, "application", APPLICATION_SECRET),
        "auth": { "azure_ad": { "tenant": "t", "client_id": "c", "authority": format!("http://{authority}") } },
    })
}

fn to(provider: &str, model: &str) -> Value {
    json!({ "targets": [ { "provider": provider, "model": model } ] })
}

/// A data plane on a socket of its own, told to run a document.
struct Served {
    _plane: Plane,
    control: Control,
    address: SocketAddr,
}

fn serve(state: &Path, providers: Value, models: Value) -> Served {
    let plane = Plane::start(state, &["--supervised"]);
    let mut control = plane.control();
    // Events are told to those that said hello.
    control.ask(AskBody::Hello);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let document = document(address, providers, models);
    let applied = control.apply(8, &document, vec![key("one", ONE_SHA256)]);
    assert!(matches!(applied, AnswerBody::Committed { .. }), "{applied:?}");
    let sockets: [OwnedFd; 2] = [listener.try_clone().expect("a copy").into(), listener.into()];
    let handed = AskBody::Listeners {
        name: "public".to_owned(),
        address,
        count: 2,
    };
    assert!(matches!(control.ask_with(handed, &sockets), AnswerBody::Done));
    Served {
        _plane: plane,
        control,
        address,
    }
}

fn chat(address: SocketAddr, model: &str) -> (u16, Value) {
    let body = json!({ "model": model, "messages": [ { "role": "user", "content": "hi" } ] }).to_string();
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let length = body.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: Bearer tg-one\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all((head + &body).as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = serde_json::from_str(body).unwrap_or_else(|bad| panic!("{bad}: {answer}"));
    (status.expect("a status"), body)
}

#[test]
fn vertex_and_azure_are_called_with_tokens_from_their_authorities() {
    let state = tempfile::tempdir().expect("a folder");
    let cloud = Cloud::start(Box::new(cloud_answer));
    let account = service_account(state.path(), cloud.address);
    let vertex = |kind: &str| {
        json!({
            "kind": kind, "project": "p", "region": "eu", "base_url": format!("http://{}", cloud.address),
            "credential": account,
        })
    };
    let providers = json!({
        "vertex": vertex("vertex"), "claude": vertex("vertex-anthropic"),
        "azure": entra(state.path(), cloud.address, cloud.address),
    });
    let models = json!({ "g": to("vertex", "gemini"), "c": to("claude", "claude"), "a": to("azure", "gpt") });
    let mut served = serve(state.path(), providers, models);
    let at = "/v1/projects/p/locations/eu/publishers";
    for (model, path, token) in [
        ("g", format!("{at}/google/models/gemini:generateContent"), "of-google"),
        ("c", format!("{at}/anthropic/models/claude:rawPredict"), "of-google"),
        (
            "a",
            "/openai/deployments/gpt/chat/completions?api-version=".to_owned(),
            "of-entra",
        ),
    ] {
        // The commit waited for them: the first call has its token.
        let (status, body) = chat(served.address, model);
        let text = body["choices"][0]["message"]["content"].as_str();
        assert_eq!((status, text), (200, Some("hi")), "{body}");
        let heard = cloud.heard(&format!("POST {path}"));
        assert_eq!(heard.len(), 1, "{path}");
        assert!(
            heard[0].contains(&format!("authorization: Bearer {token}\r\n")),
            "{}",
            heard[0]
        );
    }
    let claude = cloud.heard(":rawPredict");
    assert!(
        claude[0].contains(r#""anthropic_version":"vertex-2023-10-16""#),
        "{}",
        claude[0]
    );
    // Both providers of one account share its token.
    assert_eq!(cloud.heard("/google/token").len(), 1);
    let asked = cloud.heard("/oauth2/v2.0/token");
    assert!(asked[0].starts_with("POST /t/oauth2/v2.0/token ") && asked[0].contains(APPLICATION_SECRET));
    let told = served.control.event("access_token").text;
    assert!(told.contains("has an access token, good for 3"), "{told}");
}

#[test]
fn a_token_that_was_revoked_is_renewed_before_the_client_hears_of_it() {
    let state = tempfile::tempdir().expect("a folder");
    // The authority gives one token after the other; the provider takes the newest from when it is revoked.
    let (given, revoked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (gives, takes_from) = (Arc::clone(&given), Arc::clone(&revoked));
    let cloud = Cloud::start(Box::new(move |request| {
        if request.contains("/oauth2/v2.0/token") {
            let number = gives.fetch_add(1, Ordering::SeqCst) + 1;
            let token = json!({ "access_token": format!("token-{number}-"), "expires_in": 3600 });
            return (200, token.to_string());
        }
        let least = takes_from.load(Ordering::SeqCst) + 1;
        let is_good = (least..10).any(|number| request.contains(&format!("Bearer token-{number}-\r\n")));
        match is_good {
            true => (200, CHAT.to_owned()),
            false => (401, "{}".to_owned()),
        }
    }));
    let providers = json!({ "azure": entra(state.path(), cloud.address, cloud.address) });
    let served = serve(state.path(), providers, json!({ "a": to("azure", "gpt") }));
    assert_eq!(chat(served.address, "a").0, 200);
    revoked.store(1, Ordering::SeqCst);
    let (status, body) = chat(served.address, "a");
    assert_eq!((status, given.load(Ordering::SeqCst)), (200, 2), "{body}");
    assert_eq!(cloud.heard("Bearer token-1-").len(), 2);
    assert_eq!(cloud.heard("Bearer token-2-").len(), 1);
    // On every shard: no call is refused any more.
    for _ in 0..8 {
        assert_eq!(chat(served.address, "a").0, 200);
    }
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

#[test]
fn while_there_is_no_token_another_target_answers_or_the_reason_is_told() {
    let state = tempfile::tempdir().expect("a folder");
    let works = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&works);
    let cloud = Cloud::start(Box::new(move |request| {
        let asked = request.contains("/oauth2/v2.0/token");
        if asked && !up.load(Ordering::SeqCst) {
            return (503, r#"{"error":"temporarily_unavailable"}"#.to_owned());
        }
        cloud_answer(request)
    }));
    let spare = Cloud::start(Box::new(|_| (200, CHAT.to_owned())));
    let providers = json!({
        "azure": entra(state.path(), cloud.address, cloud.address),
        "spare": { "dialect": "openai", "base_url": format!("http://{}", spare.address) },
    });
    let both = json!([ { "provider": "azure", "model": "gpt" }, { "provider": "spare", "model": "m" } ]);
    let models = json!({ "alone": to("azure", "gpt"), "both": { "targets": both } });
    let mut served = serve(state.path(), providers, models);
    let (status, body) = chat(served.address, "alone");
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (503, Some("no_healthy_target")),
        "{body}"
    );
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(
        message,
        "The provider 'azure' cannot be called: no access token for it has come yet."
    );
    assert_eq!(chat(served.address, "both").0, 200);
    assert_eq!(spare.heard("POST ").len(), 1);
    let told = served.control.event("access_token_failed").text;
    assert!(
        told.contains("'azure'") && told.contains("status 503: temporarily_unavailable"),
        "{told}"
    );
    assert!(!told.contains(APPLICATION_SECRET), "{told}");
    // It is asked again by itself.
    works.store(true, Ordering::SeqCst);
    served.control.event("access_token");
    assert_eq!(chat(served.address, "alone").0, 200);
    assert_eq!(chat(served.address, "both").0, 200);
    assert_eq!(spare.heard("POST ").len(), 1);
}

#[test]
fn a_file_of_aws_keys_is_followed_and_keys_that_are_over_sign_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    let cloud = Cloud::start(Box::new(cloud_answer));
    let keys = |access: &str, expiration: &str| {
        json!({
            "Version": 1, "AccessKeyId": access, "SecretAccessKey": "s3cret", "SessionToken": "session",
            "Expiration": expiration,
        })
        .to_string()
    };
    let credential = write(state.path(), "keys.json", &keys("AKIAFIRST", "2999-01-01T00:00:00Z"));
    let providers = json!({ "aws": {
        "kind": "bedrock", "region": "us-east-1", "base_url": format!("http://{}", cloud.address),
        "credential": credential,
    } });
    let mut served = serve(state.path(), providers, json!({ "b": to("aws", "claude") }));
    let called_with = |served: &mut Served, access: &str, expiration: &str| {
        write(state.path(), "keys.json", &keys(access, expiration));
        served.control.ask(AskBody::ReloadFiles);
        chat(served.address, "b")
    };
    for access in ["AKIAFIRST", "AKIASECOND"] {
        assert_eq!(called_with(&mut served, access, "2999-01-01T00:00:00Z").0, 200);
        let signed = cloud.heard(&format!("Credential={access}/"));
        assert_eq!(signed.len(), 1);
        assert!(signed[0].contains("x-amz-security-token: session\r\n"), "{}", signed[0]);
    }
    let (status, body) = called_with(&mut served, "AKIATHIRD", "2001-01-01T00:00:00Z");
    assert_eq!(status, 503, "{body}");
    assert!(cloud.heard("AKIATHIRD").is_empty());
    let told = served.control.event("credential_expired").text;
    assert!(told.contains("'aws'") && !told.contains("s3cret"), "{told}");
    assert_eq!(called_with(&mut served, "AKIAFOURTH", "2999-01-01T00:00:00Z").0, 200);
}
