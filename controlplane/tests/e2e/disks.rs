//! Disks that take nothing, and disks that are full: what a record's durability and the policy of the document make of calls.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::{
    harness::{
        Client, Gateway, Sandbox, Setup,
        gateway::{chat, with_key},
        http::request,
        process::{self, Signal},
        until,
    },
    sdk,
    state::with_a_disk_of,
};

/// A gateway whose shared files never reach a disk.
fn without_a_disk(sandbox: &Sandbox, durability: &str) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!("usage: {{ durability: {durability} }}\n");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/disk/refuse_sync.py");
    setup.wrapper = vec![sdk::python_with("ctypes").display().to_string(), script.to_owned()];
    setup.start()
}

#[test]
fn a_strict_answer_waits_for_a_disk_and_another_does_not() {
    let sandbox = Sandbox::start();
    for stream in ["", r#","stream":true"#] {
        let body = chat("openai/sandbox-tokens-11", stream);
        let ask = request("POST", "/v1/chat/completions", &with_key(&[]), body.as_bytes());
        let group = without_a_disk(&sandbox, "group");
        let mut client = Client::connect(group.address);
        assert_eq!(client.send(&ask).read().expect("an answer").status, 200);
        let told = |gateway: &Gateway| {
            until("the disk's refusal to be told", 20, || {
                gateway.process.output().contains("usage_sync_failed").then_some(())
            });
        };
        told(&group);

        let strict = without_a_disk(&sandbox, "strict");
        let mut socket = TcpStream::connect(strict.address).expect("a connection");
        socket.write_all(&ask).expect("written");
        // The record was written, and the disk refused it: the answer's end is not out, and does not come.
        told(&strict);
        let patience = Duration::from_millis(700);
        socket.set_read_timeout(Some(patience)).expect("a timeout");
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        let why = loop {
            match socket.read(&mut piece) {
                Ok(0) => panic!("the connection ended: {}", String::from_utf8_lossy(&all)),
                Ok(bytes) => all.extend_from_slice(&piece[..bytes]),
                Err(why) => break why.kind(),
            }
        };
        assert_eq!(why, ErrorKind::WouldBlock);
        let sofar = String::from_utf8_lossy(&all);
        assert!(!sofar.contains("[DONE]") && !sofar.contains("\"usage\""), "{sofar}");
    }
}

/// So many that their records are more than the disk has room for.
const CALLS: usize = 6_000;

#[test]
fn the_oldest_records_make_room_where_the_document_says_so_and_are_counted() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    // Of so small a disk one shard could make files ahead where another has none left.
    setup.top = setup.top.replace("shards: 2", "shards: 1");
    let (gateway, inside, _disk) = with_a_disk_of(setup, 16);
    let filler = inside.join("filler");
    std::fs::write(&filler, vec![0; 9 * 1024 * 1024]).expect("there is room");
    gateway
        .control("PUT", "/v1/config/usage", &[], br#"{"on_full":"drop_oldest"}"#)
        .expect(200);
    // Nobody reads the spool.
    process::signal(gateway.controlplane_pid(), Signal::STOP);
    thread::scope(|scope| {
        for client in 0..4 {
            let address = gateway.address;
            scope.spawn(move || {
                let mut kept = Client::connect(address);
                for call in 0..CALLS / 4 {
                    let tags = format!("call={client}-{call},filler={}", "x".repeat(980));
                    let headers = with_key(&[("x-tollgate-tags", tags.as_str())]);
                    let body = chat("openai/sandbox-tokens-1", "");
                    let ask = request("POST", "/v1/chat/completions", &headers, body.as_bytes());
                    let answer = kept.send(&ask).read().expect("an answer");
                    assert_eq!(answer.status, 200, "no call is refused: {}", answer.text());
                }
            });
        }
    });
    // What is read wants room in the ledger.
    std::fs::remove_file(&filler).expect("removed");
    process::signal(gateway.controlplane_pid(), Signal::CONT);
    let records = |state: &str| gateway.metric("tollgate_usage_records_total", &[&format!("state=\"{state}\"")]);
    let tags = with_key(&[("x-tollgate-tags", "call=last")]);
    let last = request(
        "POST",
        "/v1/chat/completions",
        &tags,
        chat("openai/sandbox-tokens-1", "").as_bytes(),
    );
    let answer = Client::connect(gateway.address).send(&last).read().expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kept = until("the last call in the ledger", 60, || {
        let answer = gateway
            .control("GET", "/v1/usage?by=tag:call&from=1h", &[], b"")
            .expect(200)
            .json();
        let rows = answer["rows"].as_array()?;
        let is_there = rows.iter().any(|row| row["tag:call"] == "last");
        is_there.then_some(rows.len())
    });
    // Those of the last file that went are told with the next that is made.
    let overwritten = until("each that is gone to be missed by its number", 20, || {
        let overwritten = records("overwritten");
        (overwritten > 0.0 && records("missing") == overwritten).then_some(overwritten)
    });
    assert_eq!([records("lost"), records("damaged")], [0.0; 2]);
    // Two of each call, of which the closing one tells all.
    let left = 2.0 * (CALLS as f64 + 1.0) - overwritten;
    assert!(
        (left / 2.0..=left).contains(&(kept as f64)),
        "{kept} calls of {left} records"
    );
    assert!(gateway.process.output().contains("usage_spool_overwritten"));
}
