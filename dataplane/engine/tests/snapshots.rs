//! Configurations compiled: names found, faults named, keys changed beside running requests, size.

mod rig;

use rig::{NOW_UNIX_MS, Rig, document, env, header, key, model, reply, secrets};
use tollgate_config::{
    document::{HttpProxy, KeySecret, Reference},
    link::StoredKey,
};
use tollgate_engine::{exchange::Pinned, identity::KeyTable, snapshot};

/// SHA-256 of `stored-secret`, `next-secret`.
const STORED: &str = "4117144f3e5063a8a887e58d55cb3a4a9ec5d2efd7113689b17ed776d9ae7982";
const NEXT: &str = "f00c64fc293ba30a2296e525e7f213d7a1a858e21c84e258fbef7aa0f2f1b013";

fn stored(name: &str, sha256: &str) -> StoredKey {
    StoredKey {
        name: name.into(),
        sha256: sha256.into(),
        previous: None,
        team: Some("ops".into()),
        user: None,
        models: Vec::new(),
        expires_unix_s: None,
        priority: None,
        limits: Default::default(),
    }
}

fn pin(rig: &mut Rig, keys: KeyTable) {
    let snapshot = rig.pinned.snapshot.clone();
    rig.pinned = std::rc::Rc::new(Pinned {
        snapshot,
        keys: keys.into(),
    });
}

fn status(rig: &mut Rig, secret: &str) -> u16 {
    reply(&rig.get("/v1/models", &format!("x-api-key: {secret}\n"))).0
}

#[test]
fn stored_keys_come_rotate_and_go_on_one_connection() {
    let mut rig = Rig::new(document());
    let base = KeyTable::build(
        &rig.pinned.snapshot.document,
        &secrets(&document()),
        &[stored("ops", STORED)],
    );
    let base = base.expect("keys");
    pin(&mut rig, base.with_changes(&[], &[]));
    assert_eq!(status(&mut rig, "stored-secret"), 200);
    assert_eq!(
        (rig.exchange.record().key, rig.exchange.record().team),
        (Some("ops"), Some("ops"))
    );

    let mut rotated = stored("ops", NEXT);
    rotated.previous = Some((STORED.into(), NOW_UNIX_MS / 1000 + 60));
    let table = base.with_changes(&[rotated.clone()], &[]);
    pin(&mut rig, table.with_changes(&[], &[]));
    assert_eq!(
        (status(&mut rig, "stored-secret"), status(&mut rig, "next-secret")),
        (200, 200)
    );
    rotated.previous = Some((STORED.into(), NOW_UNIX_MS / 1000));
    let table = table.with_changes(&[rotated], &[]);
    pin(&mut rig, table.with_changes(&[], &[]));
    assert_eq!(
        (status(&mut rig, "stored-secret"), status(&mut rig, "next-secret")),
        (401, 200)
    );

    let gone = table.with_changes(&[], &["ops".into()]);
    assert_eq!(gone.len(), 2);
    pin(&mut rig, gone);
    assert_eq!(
        (status(&mut rig, "next-secret"), status(&mut rig, "secret-all")),
        (401, 200)
    );
    pin(&mut rig, base);
    assert_eq!(
        status(&mut rig, "stored-secret"),
        200,
        "the old table still stands for those who hold it"
    );
}

#[test]
fn a_documents_key_is_changed_by_a_document_alone() {
    let mut rig = Rig::new(document());
    let table = KeyTable::build(&document(), &secrets(&document()), &[]).expect("keys");
    pin(&mut rig, table.with_changes(&[stored("all", STORED)], &["few".into()]));
    assert_eq!(status(&mut rig, "stored-secret"), 401);
    assert_eq!(
        (status(&mut rig, "secret-all"), status(&mut rig, "secret-few")),
        (200, 200)
    );
}

#[test]
fn many_changes_are_folded_and_nothing_is_lost() {
    let mut table = KeyTable::build(&document(), &secrets(&document()), &[stored("ops", STORED)]).expect("keys");
    for round in 0..3 {
        let batch: Vec<StoredKey> = (0..3_000)
            .map(|i| stored(&format!("key-{i}"), &format!("{:064x}", i * 10 + round)))
            .collect();
        table = table.with_changes(&batch, &[]);
    }
    assert_eq!(table.len(), 3 + 3_000);
    let mut rig = Rig::new(document());
    pin(&mut rig, table);
    assert_eq!(
        (status(&mut rig, "stored-secret"), status(&mut rig, "secret-all")),
        (200, 200)
    );
}

#[test]
fn names_and_secrets_that_occur_twice_are_problems() {
    let table = |keys: &[StoredKey]| KeyTable::build(&document(), &secrets(&document()), keys);
    let problems = table(&[stored("all", STORED)]).expect_err("the name is the document's");
    assert_eq!((problems.len(), &*problems[0].pointer), (1, "/keys/all"));
    let problems = table(&[stored("a", STORED), stored("b", STORED)]).expect_err("one secret for two");
    assert!(problems[0].wrong.contains("'a'"), "{problems:?}");
    let problems = table(&[stored("a", "no hash")]).expect_err("no hash");
    assert!(problems[0].wrong.contains("SHA-256"));
}

#[test]
fn what_is_missing_is_named_by_its_pointer() {
    let mut document = document();
    document.providers[0].1.credentials.push(env("OTHER"));
    document.providers[1].1.headers = vec![("host".into(), "x".into()), ("x-org".into(), "a\nb".into())];
    let mut secrets = secrets(&document);
    secrets.remove(&env("OTHER"));
    secrets.insert(env("KEY_two"), b"  \n".to_vec());
    secrets.remove(&env("SECRET_few"));
    let problems = snapshot::compile(1, document.clone(), &secrets).expect_err("much is wrong");
    let mut pointers: Vec<&str> = problems.iter().map(|problem| &*problem.pointer).collect();
    pointers.sort_unstable();
    let wrong = [
        "/providers/one/credential/1",
        "/providers/two/credential",
        "/providers/two/headers/host",
        "/providers/two/headers/x-org",
    ];
    assert_eq!(pointers, wrong);
    let problems = KeyTable::build(&document, &secrets, &[]).expect_err("a secret is missing");
    assert_eq!(problems[0].pointer, "/keys/few/secret");
}

#[test]
fn configured_headers_win_and_credentials_take_turns() {
    let mut document = document();
    let one = &mut document.providers[0].1;
    one.headers = vec![
        ("OpenAI-Organization".into(), "org-1".into()),
        ("user-agent".into(), "gate".into()),
    ];
    one.credentials = vec![env("KEY_first"), env("KEY_second")];
    let mut rig = Rig::new(document);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let head = "POST /v1/chat/completions HTTP/1.1\nhost: g\nx-api-key: secret-all\nUser-Agent: theirs\n\
                    openai-organization: theirs\ncookie: c=1\nx-forwarded-for: 1.2.3.4\ntraceparent: 00-1-2-3\n\
                    x-tollgate-tags: a=b\nte: trailers\n";
        rig.request(head, br#"{"model":"same"}"#);
        let (sent, _) = rig::sent(&rig.connected(1));
        assert_eq!(sent.matches("theirs").count(), 0, "{sent}");
        assert_eq!(
            (header(&sent, "OpenAI-Organization"), header(&sent, "user-agent")),
            (Some("org-1"), Some("gate"))
        );
        assert_eq!(header(&sent, "traceparent"), Some("00-1-2-3"));
        for gone in ["cookie", "x-forwarded-for", "x-tollgate-tags", "te", "x-api-key"] {
            assert_eq!(header(&sent, gone), None, "{sent}");
        }
        seen.push(header(&sent, "authorization").expect("a credential").to_owned());
    }
    assert_eq!((&seen[0], &seen[1]), (&seen[2], &seen[3]));
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn the_longest_wildcard_wins_and_exact_names_before_all() {
    let mut document = document();
    document.models = vec![
        model("*", &[("one", "any")]),
        model("a/*", &[("one", "x-*-y")]),
        model("a/b*", &[("two", "*")]),
        model("a/bc", &[("one", "exact")]),
    ];
    let mut rig = Rig::new(document);
    for (asked, sent_as) in [
        ("a/bc", "exact"),
        ("a/bd", "d"),
        ("a/q", "x-q-y"),
        ("a/", "any"),
        ("zz", "any"),
        ("é", "any"),
    ] {
        rig.chat(&format!(r#"{{"model":"{asked}"}}"#));
        assert_eq!(
            rig::sent(&rig.connected(1)).1,
            format!(r#"{{"model":"{sent_as}"}}"#),
            "{asked}"
        );
    }
}

#[test]
fn a_connection_is_reused_only_where_everything_that_decides_it_is_the_same() {
    let compile = |change: &dyn Fn(&mut tollgate_config::Document)| {
        let mut document = document();
        change(&mut document);
        let secrets = secrets(&document);
        let snapshot = snapshot::compile(1, document, &secrets).expect("valid");
        snapshot.endpoints[0].clone()
    };
    let plain = compile(&|_| {});
    assert_eq!(
        plain.fingerprint,
        compile(&|document| document.providers[0].1.timeouts.total_ms = 1).fingerprint
    );
    assert_ne!(
        plain.fingerprint,
        compile(&|document| document.providers[0].1.base_url.port = 1).fingerprint
    );
    let proxied = compile(&|document| {
        let (host, credential) = ("proxy".into(), Some(env("SECRET_proxy")));
        document.providers[0].1.proxy = Some(HttpProxy {
            host,
            port: 3128,
            credential,
            no_proxy: Vec::new(),
        });
    });
    assert_ne!(plain.fingerprint, proxied.fingerprint);
    // "secret-proxy" in Base64.
    assert_eq!(
        proxied.proxy_authorization.as_deref(),
        Some(&b"Basic c2VjcmV0LXByb3h5"[..])
    );
    assert!(!format!("{proxied:?}").contains("c2Vj"), "credentials stay out of logs");
}

#[test]
fn references_name_every_secret_once() {
    let named = snapshot::references(&document());
    let pointers: Vec<&str> = named.iter().map(|(_, pointer)| &**pointer).collect();
    let all = [
        "/providers/one/credential",
        "/providers/two/credential",
        "/providers/claude/credential",
        "/keys/all/secret",
        "/keys/few/secret",
    ];
    assert_eq!(pointers, all);
    assert!(
        named
            .iter()
            .all(|(reference, _)| matches!(reference, Reference::Env(_)))
    );
}

#[test]
fn a_hundred_thousand_keys_and_ten_thousand_models_are_looked_up_like_one() {
    let mut document = document();
    for i in 0..10_000 {
        document
            .models
            .push(model(&format!("model-{i}"), &[("one", "a"), ("two", "b")]));
    }
    for i in 0..100_000u32 {
        let (name, mut key) = key(&format!("key-{i}"), &["model-*"]);
        let mut digest = [7; 32];
        digest[..4].copy_from_slice(&i.to_le_bytes());
        key.secret = KeySecret::Sha256(digest);
        document.keys.push((name, key));
    }
    let mut rig = Rig::new(document);
    assert_eq!(rig.pinned.keys.len(), 100_002);
    rig.chat(r#"{"model":"model-9999"}"#);
    assert_eq!(rig::sent(&rig.connected(1)).1, r#"{"model":"a"}"#);
}

#[test]
fn a_secret_for_ids_is_read_and_long_enough() {
    let mut document = rig::document();
    document.id_secret = Some(rig::env("SECRET_short"));
    let secrets = rig::secrets(&document);
    let problems = tollgate_engine::snapshot::compile(1, document.clone(), &secrets).expect_err("too short");
    assert_eq!(problems[0].pointer, "/id_secret");
    document.id_secret = Some(rig::env("missing"));
    let problems = tollgate_engine::snapshot::compile(1, document, &secrets).expect_err("not there");
    assert_eq!(problems[0].pointer, "/id_secret");
}
