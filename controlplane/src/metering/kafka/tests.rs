//! What a broker may say of who we are and of the topic, and what operators are told of it. Whole answers come from real
//! brokers in `tests/e2e/kafka.rs`.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread::JoinHandle,
};

use tollgate_config::{check::check, parse::Parsed};

use super::{bytes::Writer, client::Client, records::Record};

/// A broker that answers one connection with these, one after the other, whatever it is asked.
fn broker(answers: Vec<Vec<u8>>) -> (u16, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        answers.iter().map(|answer| serve(&mut stream, answer)).collect()
    });
    (port, served)
}

fn serve(stream: &mut TcpStream, answer: &[u8]) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request).unwrap();
    let mut out = Writer::default();
    out.length(4 + answer.len());
    // The correlation id comes back.
    out.0.extend_from_slice(&request[4..8]);
    out.0.extend_from_slice(answer);
    stream.write_all(&out.0).unwrap();
    request
}

fn said(port: u16, more: &str) -> String {
    let text = format!("version: 1\nusage: {{ kafka: {{ brokers: [ \"127.0.0.1:{port}\" ], topic: usage{more} }} }}\n");
    let parsed: Parsed = tollgate_config::parse::parse(&text).unwrap();
    let mut client = Client::new(check(&parsed).unwrap().kafka.unwrap());
    let mut records = vec![Record {
        id: "a".to_owned(),
        at_ms: 1,
        value: b"{}".to_vec(),
    }];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(client.send(&mut records, "1")).unwrap_err();
    assert_eq!(records.len(), 1, "what was not taken is still there");
    error.to_string()
}

fn handshake(code: i16) -> Vec<u8> {
    let mut answer = Writer::default();
    answer.i16(code);
    answer.length(2);
    answer.string("PLAIN");
    answer.string("SCRAM-SHA-512");
    answer.0
}

fn word(code: i16, why: &str, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Writer::default();
    answer.i16(code);
    answer.string(why);
    answer.bytes(bytes);
    answer.0
}

/// Metadata of a topic of one partition, led by this port.
fn metadata(code: i16, port: u16) -> Vec<u8> {
    let mut answer = Writer::default();
    answer.i32(0);
    answer.length(1);
    answer.i32(7);
    answer.string("127.0.0.1");
    answer.i32(i32::from(port));
    answer.no_string();
    answer.no_string();
    answer.i32(7);
    answer.length(1);
    answer.i16(code);
    answer.string("usage");
    answer.i8(0);
    answer.length(usize::from(code == 0));
    if code == 0 {
        answer.i16(0);
        answer.i32(0);
        answer.i32(7);
        answer.length(0);
        answer.length(0);
    }
    answer.0
}

fn produced(code: i16) -> Vec<u8> {
    let mut answer = Writer::default();
    answer.length(1);
    answer.string("usage");
    answer.length(1);
    answer.i32(0);
    answer.i16(code);
    answer.i64(0);
    answer.i64(0);
    answer.i64(0);
    answer.i32(0);
    answer.0
}

#[test]
fn wrong_credentials_are_told_with_what_is_right_and_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let sasl = |mechanism: &str| {
        format!(
            ", sasl: {{ mechanism: {mechanism}, user: gate, password: \"file:{}\" }}",
            file.display()
        )
    };
    let (port, _) = broker(vec![handshake(33)]);
    let text = said(port, &sasl("scram-sha-256"));
    assert!(
        text.contains("takes no `mechanism: scram-sha-256`; it takes plain, scram-sha-512"),
        "{text}"
    );
    let (port, served) = broker(vec![handshake(0), word(58, "Authentication failed", b"")]);
    let text = said(port, &sasl("plain"));
    assert!(
        text.contains("does not let user `gate` in: Authentication failed") && !text.contains("hunter2"),
        "{text}"
    );
    let asked = served.join().unwrap();
    assert!(asked[1].ends_with(b"\0gate\0hunter2"), "the password is the file's");
    // A server that only claims to know the password.
    let (port, _) = broker(vec![handshake(0), word(0, "", b"r=guess,s=AAAA,i=4096")]);
    assert!(said(port, &sasl("scram-sha-512")).contains("none of Kafka's protocol"));
}

#[test]
fn a_wrong_topic_and_what_a_broker_refuses_are_told() {
    for (code, words) in [
        (3, "there is none of that name"),
        (29, "grant it WRITE and DESCRIBE"),
        (17, "set `usage.kafka.topic`"),
    ] {
        let (port, _) = broker(vec![metadata(code, 1)]);
        let text = said(port, "");
        assert!(text.contains("topic usage") && text.contains(words), "{text}");
    }
    for (code, words) in [(19, "min.insync.replicas"), (6, "another broker leads")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            serve(&mut stream, &metadata(0, port));
            serve(&mut stream, &produced(code));
        });
        let text = said(port, "");
        assert!(text.contains(words), "{text}");
        served.join().unwrap();
    }
}

/// As `produced`, of one that takes so many bytes of a batch at most: the answer to this request, and how many records of it
/// it took.
fn bounded(request: &[u8], most_bytes: usize) -> (Vec<u8>, usize) {
    // Behind the head: no transaction, acks, time, one topic, `usage`, one partition and its number.
    let at = 8 + 2 + 8 + 2 + 2 + 4 + 4 + 7 + 4 + 4;
    let batch = &request[at + 4..];
    let count = i32::from_be_bytes(batch[57..61].try_into().unwrap());
    match batch.len() <= most_bytes {
        true => (produced(0), count as usize),
        false => (produced(10), 0),
    }
}

#[test]
fn a_batch_that_is_too_large_is_halved_and_a_record_that_is_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        serve(&mut stream, &metadata(0, port));
        let (mut taken, mut largest) = (0, 0);
        while taken < 299 {
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            largest = largest.max(request.len());
            let (answer, more) = bounded(&request, 100_000);
            taken += more;
            let mut out = Writer::default();
            out.length(4 + answer.len());
            out.0.extend_from_slice(&request[4..8]);
            out.0.extend_from_slice(&answer);
            stream.write_all(&out.0).unwrap();
        }
        largest
    });
    let text = format!("version: 1\nusage: {{ kafka: {{ brokers: [ \"127.0.0.1:{port}\" ], topic: usage }} }}\n");
    let parsed: Parsed = tollgate_config::parse::parse(&text).unwrap();
    let mut client = Client::new(check(&parsed).unwrap().kafka.unwrap());
    let record = |number: usize| Record {
        id: format!("call-{number}"),
        at_ms: 1,
        value: vec![b'x'; if number == 7 { 200_000 } else { 5_000 }],
    };
    let mut records: Vec<Record> = (0..300).map(record).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(client.send(&mut records, "1")).unwrap();
    assert!(records.is_empty());
    assert_eq!(client.too_large, ["call-7"]);
    assert!(served.join().unwrap() < 1 << 20, "no batch is larger than brokers take");
}

#[test]
fn what_is_no_broker_is_told_with_its_address() {
    let (port, _) = broker(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]);
    let text = said(port, "");
    assert!(
        text.contains(&format!("127.0.0.1:{port}")) && text.contains("none of Kafka's"),
        "{text}"
    );
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = said(closed, "");
    assert!(text.contains(&format!("broker 127.0.0.1:{closed}")), "{text}");
}
