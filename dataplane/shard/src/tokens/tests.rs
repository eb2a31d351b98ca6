//! Tokens asked of authorities that answer well, badly, in pieces and not at all.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use tollgate_dialect::sign::credential::Secret;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers one connection after the other with these bytes, and gives what it was sent.
fn authority(answers: Vec<Vec<u8>>) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (heard, questions) = bounded(64);
    thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().expect("a connection");
            let _ = heard.send(question(&mut socket));
            socket.write_all(&answer).expect("written");
        }
    });
    (address, questions)
}

/// A request whose body ends with the scope.
fn question(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut some = [0; 1_024];
    while !text.ends_with(b"scope=s") {
        let count = socket.read(&mut some).expect("read");
        assert!(count > 0, "the question has no end");
        text.extend_from_slice(&some[..count]);
    }
    String::from_utf8(text).expect("text")
}

/// It trusts nobody: what is asked here is asked in the clear.
pub fn client_config() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Arc::new(tls)
}

fn want(id: u64, authority: SocketAddr, proxy: Option<SocketAddr>) -> Want {
    let proxy = proxy.map(|address| Proxy {
        host: address.ip().to_string(),
        port: address.port(),
        authorization: Some(b"Basic eA==".to_vec()),
    });
    Want {
        id,
        provider: "p".to_owned(),
        source: Arc::new(TokenSource::AzureAd {
            authority: format!("http://{authority}").into(),
            tenant: "t".into(),
            client_id: "c".into(),
            scope: "s".into(),
            secret: Secret("hunter2".into()),
        }),
        way: Way {
            tls: Some(client_config()),
            proxy,
        },
    }
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn started() -> (Handle, Receiver<Told>) {
    let (tell, told) = bounded(64);
    let handle = start(move |said| tell.send(said).expect("heard")).expect("a thread");
    (handle, told)
}

fn token_of(told: &Receiver<Told>) -> (u64, Result<String, String>) {
    let Told { id, outcome, .. } = told.recv_timeout(PATIENCE).expect("something is told");
    (id, outcome.map(|token| token.token.0.into_string()))
}

#[test]
fn a_token_is_got_told_again_and_renewed() {
    let good = |token: &str, life: u64| {
        whole(
            "200 OK",
            &format!(r#"{{"access_token":"{token}","expires_in":{life}}}"#),
        )
    };
    let (address, questions) = authority(vec![good("one", 1), good("two", 3_600)]);
    let (handle, told) = started();
    handle.want(vec![want(7, address, None)]);
    assert_eq!(token_of(&told), (7, Ok("one".to_owned())));
    let asked = questions.recv_timeout(PATIENCE).expect("asked");
    assert!(asked.starts_with("POST /t/oauth2/v2.0/token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("client_secret=hunter2&scope=s"), "{asked}");
    // Its life is one second: the next is asked for without anybody's asking.
    assert_eq!(token_of(&told), (7, Ok("two".to_owned())));
    // A revision that wants the same is told the same, and the authority is not asked: it would not answer.
    handle.want(vec![want(7, address, None)]);
    assert_eq!(token_of(&told), (7, Ok("two".to_owned())));
}

#[test]
fn a_failure_is_told_and_tried_again() {
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{\"access_token\":\r\n4\r\n\"a\"}\r\n0\r\n\r\n";
    let (address, _questions) = authority(vec![
        whole("503 Busy", ""),
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec(),
        chunked.to_vec(),
    ]);
    let (handle, told) = started();
    handle.want(vec![want(1, address, None)]);
    assert_eq!(token_of(&told), (1, Err("status 503".to_owned())));
    assert!(token_of(&told).1.expect_err("it was cut").starts_with("127.0.0.1: "));
    assert_eq!(token_of(&told), (1, Ok("a".to_owned())));
}

#[test]
fn one_that_refuses_does_not_hold_up_others() {
    let refused = whole("401 Unauthorized", r#"{"error":"invalid_client"}"#);
    let until_close = b"HTTP/1.0 200 OK\r\n\r\n{\"access_token\":\"b\"}".to_vec();
    let (first, _first) = authority(vec![refused]);
    let (second, _second) = authority(vec![until_close]);
    let (handle, told) = started();
    handle.want(vec![want(1, first, None), want(2, second, None)]);
    assert_eq!(token_of(&told), (1, Err("status 401: invalid_client".to_owned())));
    assert_eq!(token_of(&told), (2, Ok("b".to_owned())));
}

#[test]
fn an_authority_is_reached_through_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = listener.local_addr().expect("an address");
    let (address, _questions) = authority(vec![whole("200 OK", r#"{"access_token":"p"}"#)]);
    let (heard, connects) = bounded(1);
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("read");
            head.push(byte[0]);
        }
        heard.send(String::from_utf8(head).expect("text")).expect("heard");
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").expect("written");
        let mut upstream = TcpStream::connect(address).expect("connected");
        let (mut from, mut to) = (
            client.try_clone().expect("a copy"),
            upstream.try_clone().expect("a copy"),
        );
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut upstream, &mut client);
    });
    let (handle, told) = started();
    handle.want(vec![want(3, address, Some(proxy))]);
    assert_eq!(token_of(&told), (3, Ok("p".to_owned())));
    let connect = connects.recv_timeout(PATIENCE).expect("connected");
    assert_eq!(
        connect,
        format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\nproxy-authorization: Basic eA==\r\n\r\n")
    );
}

#[test]
fn a_token_that_a_provider_refuses_is_renewed_but_not_as_often_as_it_is_refused() {
    let good = |token: &str| whole("200 OK", &format!(r#"{{"access_token":"{token}"}}"#));
    let (address, questions) = authority(vec![good("one"), good("two"), good("three")]);
    let mut kept = take_over(Vec::new(), vec![want(7, address, None)]);
    let random = SystemRandom::new();
    let mut told = Vec::new();
    let turn = |kept: &mut Vec<Kept>, told: &mut Vec<(bool, String)>| {
        ask_due(kept, &random, &mut |said| {
            told.push((said.news, said.outcome.expect("a token").token.0.into_string()));
        });
    };
    turn(&mut kept, &mut told);
    renew(&mut kept, Some(8));
    turn(&mut kept, &mut told);
    assert_eq!(told, [(true, "one".to_owned())]);
    // The second is refused too: that has another reason.
    for _ in 0..3 {
        renew(&mut kept, Some(7));
        turn(&mut kept, &mut told);
    }
    assert_eq!(told, [(true, "one".to_owned()), (false, "two".to_owned())]);
    kept[0].refused_unix_s -= LEAST_BETWEEN_S;
    renew(&mut kept, Some(7));
    turn(&mut kept, &mut told);
    assert_eq!(told.last(), Some(&(false, "three".to_owned())));
    assert_eq!(questions.try_iter().count(), 3);
}

#[test]
fn whoever_wants_is_told_when_all_were_asked() {
    let (address, _questions) = authority(vec![whole("200 OK", r#"{"access_token":"a"}"#)]);
    let (handle, told) = started();
    let done = handle.want(vec![want(1, address, None)]);
    assert_eq!(
        done.recv_timeout(PATIENCE),
        Err(crossbeam_channel::RecvTimeoutError::Disconnected)
    );
    assert_eq!(told.try_recv().expect("it came before").id, 1);
}
