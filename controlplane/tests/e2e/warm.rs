//! Caches that outlive the process: a start that is warm, whatever ended the process before, and cold where the disk has nothing
//! good, with every call answered.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::{
    harness::{
        Gateway, Sandbox, Setup,
        gateway::chat,
        process::{self, Signal},
        until,
    },
    state::with_a_small_disk,
};

const PATH: &str = "/v1/chat/completions";
const MODEL: &str = "kept/sandbox-small-tokens-8";

fn setup(sandbox: &Sandbox, cache: &str) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!("caches: {{ answers: {{ exact: {{ ttl: 1h }}{cache} }} }}\n");
    setup.models +=
        "  \"kept/*\": { cache: answers, targets: [ { provider: openai, model: \"*\" } ], retry: { attempts: 1 } }\n";
    setup
}

const OFTEN: &str = ", snapshot: { every: 1s }";

/// What became of the call at the cache; it is answered whatever that was.
fn mark(gateway: &Gateway, which: u64) -> String {
    let answer = gateway
        .post(PATH, &[], &chat(MODEL, &format!(r#","seed":{which}"#)))
        .expect(200);
    assert!(answer.json()["choices"][0]["message"]["content"].is_string());
    answer.header("x-tollgate-cache").unwrap_or_default().to_owned()
}

fn snapshots(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric("tollgate_cache_snapshots_total", &[&format!("result=\"{result}\"")])
}

/// One more than were written before: none is where nothing came since.
fn await_snapshot(gateway: &Gateway, before: f64) {
    until("a snapshot", 20, || {
        (snapshots(gateway, "written") > before).then_some(())
    });
}

fn loaded(gateway: &Gateway) -> f64 {
    gateway.metric("tollgate_cache_changes_total", &["change=\"loaded\""])
}

fn await_loaded(gateway: &Gateway, answers: f64) {
    until("the snapshot is read", 20, || {
        (loaded(gateway) == answers).then_some(())
    });
}

fn files(gateway: &Gateway) -> Vec<PathBuf> {
    let entries = fs::read_dir(gateway.state_dir.join("caches")).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

fn kept_file(gateway: &Gateway) -> PathBuf {
    let kept = files(gateway)
        .into_iter()
        .find(|file| file.extension().is_some_and(|it| it == "kept"));
    kept.expect("a snapshot lies there")
}

fn end(gateway: &mut Gateway) {
    process::signal(gateway.controlplane_pid(), Signal::TERM);
    gateway.process.wait(30);
}

#[test]
fn a_hit_outlives_a_kill_and_an_orderly_end() {
    let sandbox = Sandbox::start();
    let mut gateway = setup(&sandbox, OFTEN).start();
    assert_eq!(mark(&gateway, 1), "miss");
    await_snapshot(&gateway, 0.0);
    for file in files(&gateway) {
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
    }
    gateway.kill_dataplane();
    gateway.await_ready();
    await_loaded(&gateway, 1.0);
    assert_eq!(mark(&gateway, 1), "hit");
    // What came since is written at the end, in order.
    assert_eq!(mark(&gateway, 2), "miss");
    end(&mut gateway);
    gateway.start_again();
    await_loaded(&gateway, 2.0);
    assert_eq!([mark(&gateway, 1), mark(&gateway, 2)], ["hit", "hit"]);
    assert_eq!(sandbox.arrivals().len(), 2);
}

#[test]
fn a_start_is_cold_where_the_file_is_no_good_and_a_half_written_one_is_nothing() {
    let sandbox = Sandbox::start();
    let mut gateway = setup(&sandbox, OFTEN).start();
    assert_eq!(mark(&gateway, 1), "miss");
    await_snapshot(&gateway, 0.0);
    let file = kept_file(&gateway);
    let whole = fs::read(&file).expect("there");
    // What a kill in the midst of a snapshot leaves: the last one, and a part of the next beside it.
    end(&mut gateway);
    fs::write(&file, &whole).expect("written");
    fs::write(file.with_extension("new"), &whole[..whole.len() / 2]).expect("written");
    gateway.start_again();
    await_loaded(&gateway, 1.0);
    assert_eq!(mark(&gateway, 1), "hit");
    assert!(!file.with_extension("new").exists());
    for damaged in [&whole[..whole.len() / 2], b"#!/bin/sh\necho this is something else\n"] {
        end(&mut gateway);
        fs::write(&file, damaged).expect("written");
        gateway.start_again();
        until("it says that the snapshot is no good", 20, || {
            gateway
                .process
                .output()
                .contains("cache_snapshot_unusable")
                .then_some(())
        });
        assert_eq!(mark(&gateway, 1), "miss");
        assert_eq!(mark(&gateway, 1), "hit");
        await_snapshot(&gateway, 0.0);
        assert_ne!(fs::read(&file).expect("there"), damaged, "the next one replaces it");
    }
}

#[test]
fn a_kill_in_the_midst_of_a_snapshot_costs_nothing_that_was_written_before() {
    // Long answers: some megabytes take a while to be on the disk.
    const LONG: u64 = 60;
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, OFTEN).start();
    let long = |which: u64| {
        let body = chat("kept/sandbox-tokens-20000", &format!(r#","seed":{which}"#));
        let answer = gateway.post(PATH, &[], &body).expect(200);
        answer.header("x-tollgate-cache").unwrap_or_default().to_owned()
    };
    for which in 0..LONG {
        assert_eq!(long(which), "miss");
    }
    let mut newest = LONG;
    // Counted before: a snapshot that has the new one, and is written before anybody looks, is no later one's lack.
    let mut add = || {
        newest += 1;
        let before = snapshots(&gateway, "written");
        assert_eq!(mark(&gateway, newest), "miss");
        (newest, before)
    };
    // Of two that end from now on, the second has all that is kept by now.
    for _ in 0..2 {
        let (_, before) = add();
        await_snapshot(&gateway, before);
    }
    let new = kept_file(&gateway).with_extension("new");
    until("a kill that meets a snapshot", 60, || {
        let (newest, before) = add();
        let is_begun = until("a snapshot is begun", 20, || match new.exists() {
            true => Some(true),
            false => (snapshots(&gateway, "written") > before).then_some(false),
        });
        gateway.kill_dataplane();
        gateway.await_ready();
        until("the snapshot is read", 20, || {
            (loaded(&gateway) >= LONG as f64).then_some(())
        });
        (is_begun && mark(&gateway, newest) == "miss").then_some(())
    });
    assert!((0..LONG).all(|which| long(which) == "hit"));
    assert!(!gateway.process.output().contains("cache_snapshot_unusable"));
    let (_, before) = add();
    await_snapshot(&gateway, before);
    assert!(!new.exists(), "nothing is left of it");
}

#[test]
fn what_is_purged_or_no_longer_to_be_written_is_gone_from_the_disk() {
    let sandbox = Sandbox::start();
    let mut gateway = setup(&sandbox, OFTEN).start();
    assert_eq!(mark(&gateway, 1), "miss");
    await_snapshot(&gateway, 0.0);
    let file = kept_file(&gateway);
    let said = gateway
        .control("POST", "/v1/cache/purge", &[], b"{}")
        .expect(200)
        .json();
    assert_eq!(said["answers"], 1, "{said}");
    gateway.kill_dataplane();
    gateway.await_ready();
    assert_eq!(mark(&gateway, 1), "miss", "a purge outlives a kill");
    until("a snapshot", 20, || file.exists().then_some(()));
    gateway.rewrite(|setup| setup.top = setup.top.replace(OFTEN, ""));
    let config = gateway.config.display().to_string();
    let applied = gateway.cli(&["apply", &config]);
    assert!(applied.status.success(), "{applied:?}");
    until("nothing is left on the disk", 20, || {
        files(&gateway).is_empty().then_some(())
    });
    assert_eq!(mark(&gateway, 1), "hit", "memory keeps what it has");
    // And nothing is written any more.
    end(&mut gateway);
    assert_eq!(files(&gateway), Vec::<PathBuf>::new());
}

#[test]
fn a_full_disk_costs_a_snapshot_and_nothing_else() {
    let sandbox = Sandbox::start();
    let (gateway, inside, _disk) = with_a_small_disk(setup(&sandbox, OFTEN));
    assert_eq!(mark(&gateway, 1), "miss");
    await_snapshot(&gateway, 0.0);
    let filler = inside.join("filler");
    fs::write(&filler, vec![0; 16 << 20]).expect_err("the disk is full now");
    // More than what pages at hand can hold.
    let long = chat("kept/sandbox-tokens-4000", "");
    assert_eq!(
        gateway.post(PATH, &[], &long).expect(200).header("x-tollgate-cache"),
        Some("miss")
    );
    until("a snapshot fails", 20, || {
        (snapshots(&gateway, "failed") >= 1.0).then_some(())
    });
    assert!(gateway.process.output().contains("the last snapshot stays"));
    let caches = fs::read_dir(inside.join("state/caches")).expect("there");
    let kept = caches.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    assert_eq!(kept.filter(|name| name.ends_with(".kept")).count(), 1);
    assert_eq!(
        gateway.post(PATH, &[], &long).expect(200).header("x-tollgate-cache"),
        Some("hit")
    );
    let before = snapshots(&gateway, "written");
    fs::remove_file(&filler).expect("removed");
    await_snapshot(&gateway, before);
    gateway.kill_dataplane();
    gateway.await_ready();
    await_loaded(&gateway, 2.0);
}
