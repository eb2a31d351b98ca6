//! Answers that come before anybody wanted the request's body.

use crate::harness::{
    Client, Sandbox, Setup,
    gateway::{chat, with_key},
    http::request,
};

#[test]
fn a_connection_stays_open_behind_a_refusal_whose_request_had_come_whole() {
    let provider = Sandbox::start();
    let gateway = Setup::to(provider.address).start();
    let body = chat("openai/sandbox-small", "");
    let wrong = [
        ("authorization", "Bearer tg-wrong"),
        ("content-type", "application/json"),
    ];
    let refused = request("POST", "/v1/chat/completions", &wrong, body.as_bytes());
    let right = request("POST", "/v1/chat/completions", &with_key(&[]), body.as_bytes());
    let mut client = Client::connect(gateway.address);
    for _ in 0..3 {
        // Both at once, too: what stands behind the body is the next request.
        client.send(&[&refused[..], &right].concat());
        let answer = client.read().expect("a refusal").expect(401);
        assert_eq!(answer.header("connection"), None, "{:?}", answer.headers);
        client.read().expect("an answer on the same connection").expect(200);
    }
    // Of one whose body is on its way nobody knows where it ends until it has come.
    let (head, rest) = refused.split_at(refused.len() - 5);
    client.send(head);
    let answer = client.read().expect("a refusal").expect(401);
    assert_eq!(answer.header("connection"), Some("close"));
    client.send(rest);
    assert!(client.read().is_none());
}
