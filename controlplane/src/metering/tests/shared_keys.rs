//! Keys in PostgreSQL: what a control plane that was away long learns, and how long a database that hangs holds one up.

use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tollgate_config::{check::check, link::StoredKey, parse::Parsed};

use super::on_postgres::{of, server::Postgres};
use crate::{
    postgres::Session,
    store::{KeyRow, Store, StoreError},
};

fn key(name: &str) -> KeyRow {
    KeyRow {
        key: StoredKey {
            name: name.to_owned(),
            sha256: format!("sha of {name}"),
            models: Vec::new(),
            previous: None,
            team: None,
            user: None,
            expires_unix_s: None,
            priority: None,
            limits: json!([{ "requests": 5, "per": "1m" }]).into(),
        },
        created_ms: 7,
        created_by: "ann".to_owned(),
    }
}

/// A store that shares its keys in a schema of this name, and a session of somebody else's there.
fn shared(server: &Postgres, name: &str) -> (TempDir, Store, Session, Runtime) {
    let document = json!({"version": 1, "database": {"postgres": of(server, name)}});
    let document = check(&Parsed::from_tree(document)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.db")).unwrap();
    store.share(document.database.as_ref());
    let other = Session::connect(document.database.as_ref().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    (folder, store, other, runtime)
}

pub fn names_of_keys_that_are_gone_are_bounded(server: &Postgres) {
    let (_folder, store, mut other, runtime) = shared(server, "gone");
    runtime.block_on(async {
        for name in ["stays", "goes", "goes later"] {
            store.insert_key(key(name)).await.unwrap();
        }
        store.remove_key("goes".to_owned()).await.unwrap();
        let table = store.shared_table().await.unwrap().unwrap();
        assert_eq!((table.last, table.forgotten), (4, 0));
    });
    // As if so many changes had been made since.
    other.run("UPDATE key_changes SET last = last + 10000").unwrap();
    runtime.block_on(async {
        store.remove_key("goes later".to_owned()).await.unwrap();
        let table = store.shared_table().await.unwrap().unwrap();
        assert_eq!(
            (table.last, table.forgotten),
            (10_005, 5),
            "who knows of less has to look at all"
        );
        let told: Vec<String> = store
            .changes(0)
            .await
            .unwrap()
            .into_iter()
            .map(|change| change.name)
            .collect();
        assert_eq!(told, ["stays", "goes later"]);
        let names: Vec<String> = store.shared_names().await.unwrap().into_iter().collect();
        assert_eq!(names, ["stays"]);
    });
}

pub fn a_change_that_waits_for_another_is_given_up(server: &Postgres) {
    let (_folder, store, mut other, runtime) = shared(server, "hangs");
    runtime.block_on(store.insert_key(key("a"))).unwrap();
    // Whoever holds the row, and says nothing for as long as nobody cuts it off.
    other.run("BEGIN; UPDATE key_changes SET last = last").unwrap();
    let changed = || {
        let mut row = key("a");
        row.created_by = "bob".to_owned();
        row
    };
    let refused = runtime.block_on(store.replace_key(key("a"), changed())).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Away(why) if why.contains("PostgreSQL")),
        "{refused}"
    );
    other.run("ROLLBACK").unwrap();
    runtime.block_on(store.replace_key(key("a"), changed())).unwrap();
}
