//! A client and a server session joined in memory, their bytes cut everywhere.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

use super::{Fed, TlsSession};
use crate::tls::testing;

struct Pair {
    client: TlsSession,
    server: TlsSession,
    client_got: Vec<u8>,
    server_got: Vec<u8>,
}

impl Pair {
    fn new(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Self {
        let name = ServerName::try_from("gateway.test").expect("a name");
        Self {
            client: TlsSession::client(Arc::clone(client), name).expect("a client"),
            server: TlsSession::server(Arc::clone(server)).expect("a server"),
            client_got: Vec::new(),
            server_got: Vec::new(),
        }
    }

    /// Moves bytes both ways, in pieces of at most `step`, until neither side has more to say. True when somebody closed.
    fn settle(&mut self, step: usize) -> bool {
        let mut closed = false;
        loop {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            self.client.drain(&mut up);
            closed |= feed_in_steps(&mut self.server, &up, step, &mut self.server_got);
            self.server.drain(&mut down);
            closed |= feed_in_steps(&mut self.client, &down, step, &mut self.client_got);
            if up.is_empty() && down.is_empty() {
                return closed;
            }
        }
    }
}

fn feed_in_steps(session: &mut TlsSession, bytes: &[u8], step: usize, plain: &mut Vec<u8>) -> bool {
    bytes.chunks(step).fold(false, |closed, piece| {
        closed | session.feed(piece, plain).expect("good records").closed
    })
}

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = testing::Authority::new();
    let issued = authority.issue(&["gateway.test"]);
    (authority.client_config(), issued.server_config())
}

#[test]
fn every_step_size_gives_the_same_conversation() {
    let (client, server) = configs();
    for step in (1..64).chain([1000, 16 * 1024, 1 << 20]) {
        let mut pair = Pair::new(&client, &server);
        assert!(pair.client.handshaking() && pair.server.handshaking());
        pair.settle(step);
        assert!(!pair.client.handshaking() && !pair.server.handshaking(), "step {step}");

        let (request, answer) = (vec![b'q'; 3_000], vec![b'a'; 40_000]);
        let mut bytes = Vec::new();
        pair.client.write(&request, &mut bytes);
        feed_in_steps(&mut pair.server, &bytes, step, &mut pair.server_got);
        bytes.clear();
        pair.server.write(&answer, &mut bytes);
        feed_in_steps(&mut pair.client, &bytes, step, &mut pair.client_got);
        assert_eq!(pair.server_got, request, "step {step}");
        assert_eq!(pair.client_got, answer, "step {step}");

        bytes.clear();
        pair.server.close(&mut bytes);
        assert!(feed_in_steps(&mut pair.client, &bytes, step, &mut pair.client_got));
    }
}

#[test]
fn a_record_cut_at_every_byte_comes_whole() {
    let (client, server) = configs();
    let mut pair = Pair::new(&client, &server);
    pair.settle(usize::MAX);
    let mut cut = 0;
    loop {
        let (mut bytes, mut plain) = (Vec::new(), Vec::new());
        pair.client.write(b"hello, gateway", &mut bytes);
        if cut > bytes.len() {
            break;
        }
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(pair.server.feed(head, &mut plain), Ok(Fed::default()));
        if !tail.is_empty() {
            assert!(plain.is_empty(), "nothing before the record is whole");
        }
        pair.server.feed(tail, &mut plain).expect("a good record");
        assert_eq!(plain, b"hello, gateway", "cut at {cut}");
        cut += 1;
    }
}

#[test]
fn plaintext_written_during_the_handshake_comes_after_it() {
    let (client, server) = configs();
    let mut pair = Pair::new(&client, &server);
    let mut bytes = Vec::new();
    pair.client.write(b"early", &mut bytes);
    feed_in_steps(&mut pair.server, &bytes, 7, &mut pair.server_got);
    pair.settle(7);
    assert_eq!(pair.server_got, b"early");
}

#[test]
fn data_before_a_close_is_kept_and_after_it_thrown_away() {
    let (client, server) = configs();
    let mut pair = Pair::new(&client, &server);
    pair.settle(usize::MAX);
    let mut bytes = Vec::new();
    pair.client.write(b"last words", &mut bytes);
    pair.client.close(&mut bytes);
    bytes.extend_from_slice(b"junk after the end");
    let mut plain = Vec::new();
    assert_eq!(pair.server.feed(&bytes, &mut plain), Ok(Fed { closed: true }));
    assert_eq!(plain, b"last words");
}

#[test]
fn a_large_feed_needs_no_second_call() {
    let (client, server) = configs();
    let mut pair = Pair::new(&client, &server);
    pair.settle(usize::MAX);
    let sent: Vec<u8> = (0..1_000_000u32).map(|i| i as u8).collect();
    let (mut bytes, mut plain) = (Vec::new(), Vec::new());
    pair.server.write(&sent, &mut bytes);
    pair.client.feed(&bytes, &mut plain).expect("good records");
    assert_eq!(plain, sent);
}

#[test]
fn plain_http_is_a_fault_with_an_alert_to_send() {
    let (_, server) = configs();
    let mut session = TlsSession::server(server).expect("a server");
    let fault = session
        .feed(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", &mut Vec::new())
        .expect_err("no TLS");
    assert_eq!(fault.reason, "the peer does not speak TLS");
    let mut alert = Vec::new();
    session.drain(&mut alert);
    assert_eq!(alert.first(), Some(&21), "an alert record");
}

#[test]
fn a_stranger_s_certificate_is_refused_with_the_next_step() {
    let (_, server) = configs();
    let stranger = testing::Authority::new().client_config();
    let mut pair = Pair::new(&stranger, &server);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    pair.client.drain(&mut up);
    pair.server.feed(&up, &mut Vec::new()).expect("a client hello");
    pair.server.drain(&mut down);
    let fault = pair.client.feed(&down, &mut Vec::new()).expect_err("unknown issuer");
    assert!(fault.reason.contains("tls.ca"), "{fault}");
}

#[test]
fn a_second_connection_resumes() {
    let (client, server) = configs();
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let mut pair = Pair::new(&client, &server);
        pair.settle(usize::MAX);
        let TlsSession::Client(connection) = &pair.client else {
            unreachable!()
        };
        assert_eq!(connection.handshake_kind(), Some(expected));
        assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}
