//! Files, rotation, drops.

use std::{fs, path::Path, time::Duration};

use tollgate_engine::record::{Outcome, Record};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn record(request_id: &str) -> Record<'_> {
    Record {
        request_id,
        status: 200,
        outcome: Outcome::Complete,
        surface: "health",
        dialect: "",
        key: None,
        user: None,
        team: None,
        model_asked: None,
        model: None,
        provider: None,
        upstream_model: None,
        tags: None,
        arm: None,
        shadow: false,
        embeds: false,
        hedge: None,
        attempts: 0,
        streamed: false,
        resumed: 0,
        rejected: None,
        refusal: None,
        usage: None,
        cost: None,
        late: None,
        replayed: false,
        cache: None,
        findings: &[],
        compressed: None,
        summary: None,
        agreed: None,
        estimated: false,
        request_body_bytes: 0,
        response_body_bytes: 0,
        total_ns: 0,
        gateway_ns: 0,
        first_token_ns: None,
        media: Default::default(),
    }
}

fn write(log: &mut Log, setting: &AccessLog, id: &str) {
    log.write(setting, 0, IpAddr::from([127, 0, 0, 1]), &record(id));
    log.idle();
}

fn to(path: &Path) -> AccessLog {
    AccessLog::File(path.to_string_lossy().into_owned())
}

fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["request_id"].to_string();
    text.lines().map(id).collect()
}

#[test]
fn follows_the_setting_and_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two, rotated) = (
        folder.path().join("one"),
        folder.path().join("two"),
        folder.path().join("one.1"),
    );
    let handle = start().expect("a thread");
    let mut log = handle.log();
    write(&mut log, &to(&one), "a");
    write(&mut log, &to(&one), "b");
    write(&mut log, &AccessLog::Off, "never");
    write(&mut log, &to(&two), "c");
    handle.flush_within(PATIENCE);
    assert_eq!(ids(&one), [r#""a""#, r#""b""#]);
    assert_eq!(ids(&two), [r#""c""#]);

    fs::rename(&one, &rotated).expect("renamed");
    write(&mut log, &to(&one), "d");
    handle.flush_within(PATIENCE);
    handle.reopen();
    write(&mut log, &to(&one), "e");
    handle.flush_within(PATIENCE);
    assert_eq!(ids(&rotated), [r#""a""#, r#""b""#, r#""d""#]);
    assert_eq!(ids(&one), [r#""e""#]);
    assert_eq!(handle.dropped_lines(), 0);
}

#[test]
fn a_full_disk_is_counted() {
    let handle = start().expect("a thread");
    let mut log = handle.log();
    // Every write to it fails with ENOSPC.
    for id in ["a", "b", "c"] {
        write(&mut log, &AccessLog::File("/dev/full".to_owned()), id);
    }
    handle.flush_within(PATIENCE);
    assert_eq!(handle.dropped_lines(), 3);
}

#[test]
fn a_stopped_reader_stops_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a pipe");
    // Both ends are held here, and nobody ever reads.
    let _reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .expect("opened");
    let handle = start().expect("a thread");
    let mut log = handle.log();
    for _ in 0..60_000 {
        write(
            &mut log,
            &to(&pipe),
            "a request id of some length, so that the queue's bytes run out",
        );
    }
    assert!(handle.dropped_lines() > 0);
    assert!(handle.shared.queued_bytes.load(Ordering::Relaxed) <= QUEUED_BYTES);
}

#[test]
fn lines_of_the_program_s_own_log_go_the_same_way() {
    use std::io::Write;
    let handle = start().expect("a thread");
    writeln!(handle.make_writer(), "{{}}").expect("queued");
    handle.flush_within(PATIENCE);
    assert_eq!(handle.shared.queued_bytes.load(Ordering::Relaxed), 0);
}
