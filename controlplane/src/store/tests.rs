//! The store keeps what it was told, across a reopen, and tells pending from applied.

use serde_json::json;
use tollgate_config::link::StoredKey;

use super::{KeyRow, NewRevision, Store, StoreError, revisions::RevisionHead};

fn revision(number: u64) -> NewRevision {
    NewRevision {
        number,
        at_ms: 1_000 * number,
        who: "ann".into(),
        uid: Some(1000),
        why: Some("because".into()),
        document: json!({"version": 1, "z": number, "a": []}),
        changes: vec![],
    }
}

fn key(name: &str, sha256: &str) -> KeyRow {
    KeyRow {
        key: StoredKey {
            name: name.into(),
            sha256: sha256.into(),
            previous: Some(("old".into(), 77)),
            team: Some("research".into()),
            user: None,
            models: vec!["gpt-*".into()],
            expires_unix_s: Some(99),
            priority: Some("high".into()),
            limits: Default::default(),
        },
        created_ms: 5,
        created_by: "ann".into(),
    }
}

#[tokio::test]
async fn a_revision_counts_only_once_applied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.db");
    let store = Store::open(&path).unwrap();
    assert!(store.latest().await.unwrap().is_none());
    store.insert_pending(revision(1)).await.unwrap();
    assert!(store.latest().await.unwrap().is_none());
    assert_eq!(store.pending().await.unwrap(), [1]);
    store.mark_applied(1).await.unwrap();
    store.insert_pending(revision(2)).await.unwrap();
    drop(store);

    let store = Store::open(&path).unwrap();
    let latest = store.latest().await.unwrap().unwrap();
    assert_eq!((latest.head.revision, latest.head.why.as_deref()), (1, Some("because")));
    // The document's order survives: pointers and diffs are shown in it.
    assert_eq!(latest.document.to_string(), r#"{"version":1,"z":1,"a":[]}"#);
    store.remove_pending(2).await.unwrap();
    store.remove_pending(1).await.unwrap();
    assert!(store.pending().await.unwrap().is_empty());
    assert!(
        store.revision(1).await.unwrap().is_some(),
        "an applied revision is not removed"
    );
}

#[tokio::test]
async fn revisions_are_listed_newest_first_and_page() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("tollgate.db")).unwrap();
    for number in 1..=5 {
        store.insert_applied(revision(number)).await.unwrap();
    }
    let numbers = |heads: Vec<RevisionHead>| heads.iter().map(|h| h.revision).collect::<Vec<_>>();
    assert_eq!(numbers(store.revisions(u64::MAX, 2).await.unwrap()), [5, 4]);
    assert_eq!(numbers(store.revisions(4, 10).await.unwrap()), [3, 2, 1]);
    assert_eq!(store.revision_before(3).await.unwrap().unwrap().head.revision, 2);
    assert!(store.revision_before(1).await.unwrap().is_none());
}

#[tokio::test]
async fn keys_survive_with_all_their_parts() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("tollgate.db")).unwrap();
    store.insert_key(key("ci", "aa")).await.unwrap();
    assert!(matches!(
        store.insert_key(key("ci", "bb")).await,
        Err(StoreError::Exists(_))
    ));
    assert_eq!(store.keys().await.unwrap(), [key("ci", "aa")]);
    store.replace_key(key("ci", "aa"), key("ci", "cc")).await.unwrap();
    assert_eq!(store.key("ci".into()).await.unwrap().unwrap().key.sha256, "cc");
    store.remove_key("ci".into()).await.unwrap();
    assert!(store.key("ci".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_later_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tollgate.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Later { found: 99, .. })));
}
