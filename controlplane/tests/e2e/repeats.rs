//! The same call again under the same `idempotency-key`: on several connections, over several shards.

use crate::harness::{
    Client, Sandbox, Setup,
    gateway::{KEY, chat},
    http::request,
    until,
};

const KEYED: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("idempotency-key", "order-4711"),
    ("x-sandbox-latency", "700ms"),
];

fn ask(client: &mut Client, body: &str) {
    let key = format!("Bearer {KEY}");
    let mut headers = KEYED.to_vec();
    headers.push(("authorization", &key));
    client.send(&request("POST", "/v1/chat/completions", &headers, body.as_bytes()));
}

#[test]
fn a_call_that_comes_on_several_connections_reaches_the_provider_once() {
    for more in ["", r#","stream":true"#] {
        let sandbox = Sandbox::start();
        let gateway = Setup::to(sandbox.address).start();
        let body = chat("openai/sandbox-small-tokens-8", more);
        // More than there are shards.
        let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(gateway.address)).collect();
        for client in &mut clients {
            ask(client, &body);
        }
        let answers: Vec<_> = clients
            .iter_mut()
            .map(|client| client.read().expect("an answer").expect(200))
            .collect();
        assert_eq!(sandbox.arrivals().len(), 1, "{more}");
        let replayed = |marked: bool| {
            let marks = answers
                .iter()
                .map(|answer| answer.header("x-tollgate-idempotent").is_some());
            marks.filter(|&mark| mark == marked).count()
        };
        assert_eq!((replayed(false), replayed(true)), (1, 7));
        let first = answers[0].text();
        assert!(first.len() > 100 && answers.iter().all(|answer| answer.text() == first));
        let mut ids: Vec<_> = answers.iter().map(|answer| answer.header("x-request-id")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 8, "each has its own request id");
        assert_eq!(gateway.metric("tollgate_replayed_requests_total", &[]), 7.0);
        // And later.
        ask(&mut clients[3], &body);
        let later = clients[3].read().expect("an answer").expect(200);
        assert_eq!(later.text(), first);
        ask(&mut clients[3], &chat("openai/sandbox-small", more));
        let other = clients[3].read().expect("an answer").expect(422);
        assert_eq!(other.error_code(), "idempotency_key_reused");
        assert_eq!(sandbox.arrivals().len(), 1);
    }
}

#[test]
fn a_client_that_comes_back_finds_its_call_and_one_that_does_not_is_cancelled() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let body = chat("openai/sandbox-small-tokens-8", "");
    let mut first = Client::connect(gateway.address);
    ask(&mut first, &body);
    until("the call is under way", 10, || {
        (sandbox.arrivals().len() == 1).then_some(())
    });
    drop(first);
    until("its connection is gone", 10, || {
        (gateway.connections() <= 1).then_some(())
    });
    let mut second = Client::connect(gateway.address);
    ask(&mut second, &body);
    let answer = second.read().expect("an answer").expect(200);
    assert_eq!(answer.header("x-tollgate-idempotent"), Some("replayed"));
    assert_eq!(sandbox.arrivals().len(), 1);
    drop(second);
    until("no connection is left", 10, || {
        (gateway.connections() == 0).then_some(())
    });

    let mut third = Client::connect(gateway.address);
    let key = format!("Bearer {KEY}");
    let headers = [
        ("authorization", &*key),
        ("idempotency-key", "forsaken"),
        ("x-sandbox-latency", "60s"),
    ];
    third.send(&request("POST", "/v1/chat/completions", &headers, body.as_bytes()));
    until("the call is under way", 10, || {
        (sandbox.arrivals().len() == 2).then_some(())
    });
    drop(third);
    sandbox.await_client_gone(1);
    until("no connection is left", 10, || {
        (gateway.connections() == 0).then_some(())
    });
}

/// A form with a file, as a library sends it: with a boundary of its own each time.
fn upload(client: &mut Client, key: &str, boundary: &str, file: &str) {
    let bearer = format!("Bearer {KEY}");
    let kind = format!("multipart/form-data; boundary={boundary}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", &*kind),
        ("idempotency-key", key),
        ("x-sandbox-latency", "500ms"),
    ];
    let form = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{boundary}\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{file}\r\n--{boundary}--\r\n"
    );
    client.send(&request("POST", "/v1/files", &headers, form.as_bytes()));
}

#[test]
fn a_file_is_made_once_however_long_it_is() {
    // Held, and passed on as it comes.
    for length in [20_000, 3_000_000] {
        let sandbox = Sandbox::start();
        let mut setup = Setup::to(sandbox.address);
        setup.top += "id_secret: env:TOLLGATE_TEST_ID_SECRET\n";
        let secret = "0123456789abcdef0123456789abcdef".to_owned();
        setup.environment.push(("TOLLGATE_TEST_ID_SECRET".to_owned(), secret));
        let gateway = setup.start();
        let file = "x".repeat(length);
        let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(gateway.address)).collect();
        for (client, boundary) in clients.iter_mut().zip(["aaaa", "bbbb", "cccc", "dddd"]) {
            upload(client, "file-1", boundary, &file);
        }
        let answers: Vec<_> = clients
            .iter_mut()
            .map(|client| client.read().expect("an answer").expect(200))
            .collect();
        assert_eq!(sandbox.arrivals().len(), 1, "{length}");
        let id = answers[0].json()["id"].clone();
        assert!(id.as_str().is_some_and(|id| id.starts_with("file")), "{id}");
        assert!(answers.iter().all(|answer| answer.json()["id"] == id), "{length}");
        let mut later = Client::connect(gateway.address);
        upload(&mut later, "file-1", "eeee", &"y".repeat(length));
        let other = later.read().expect("an answer").expect(422);
        assert_eq!(other.error_code(), "idempotency_key_reused");
        assert_eq!(sandbox.arrivals().len(), 1);
    }
}
