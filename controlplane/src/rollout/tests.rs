//! Changes take effect on all shards or on none, and every way to be cut off in the middle is settled.

use std::{net::TcpStream, sync::Arc};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_config::parse::Parsed;

use super::{Edit, Mode, Outcome, Refusal, Terms, change, recover, resume, sync};
use crate::{
    plane::{Actor, Plane},
    testing::{self, Fake, Mishap, SHARDS, document},
};

struct Bench {
    folder: TempDir,
    fake: Fake,
    plane: Arc<Plane>,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        fake.start(folder.path());
        let plane = testing::plane(folder.path());
        testing::connect(&plane).await;
        Bench { folder, fake, plane }
    }

    async fn put(&self, tree: Value) -> Result<Outcome, Refusal> {
        self.change(Edit::Whole(Parsed::from_tree(tree)), Terms::default())
            .await
    }

    async fn change(&self, edit: Edit, terms: Terms) -> Result<Outcome, Refusal> {
        change(&self.plane, edit, Actor::named("ann"), terms).await
    }

    /// What a new control plane on this state directory takes to be in force.
    async fn recovered(&self, running: Option<u64>) -> Option<(u64, Value)> {
        let current = recover(&self.plane.store, self.folder.path(), running).await.unwrap();
        current.map(|current| (current.revision, current.tree))
    }
}

#[tokio::test]
async fn a_change_is_in_force_on_every_shard_and_in_the_store() {
    let bench = Bench::new().await;
    let outcome = bench.put(document(1)).await.unwrap();
    assert_eq!((outcome.revision, outcome.shards.len()), (1, usize::from(SHARDS)));
    assert_eq!(bench.fake.world.lock().unwrap().document, document(1));
    assert_eq!(bench.plane.store.latest().await.unwrap().unwrap().head.revision, 1);
    assert!(bench.plane.store.pending().await.unwrap().is_empty());
    // One socket per shard was handed over, on a port that answers.
    let address = {
        let world = bench.fake.world.lock().unwrap();
        assert_eq!(world.listeners[0].2.len(), usize::from(SHARDS));
        world.listeners[0].1
    };
    TcpStream::connect(address).unwrap();

    let outcome = bench.put(document(1)).await.unwrap();
    assert_eq!(
        (outcome.revision, outcome.changes.len()),
        (1, 0),
        "the same again changes nothing"
    );
}

#[tokio::test]
async fn parts_are_set_deleted_and_rolled_back() {
    let bench = Bench::new().await;
    bench.put(document(2)).await.unwrap();
    let edit = Edit::Set {
        pointer: "/models/model-0/retry".into(),
        value: json!({"attempts": 2}),
    };
    assert_eq!(bench.change(edit, Terms::default()).await.unwrap().revision, 2);
    let edit = Edit::Delete {
        pointer: "/models/model-1".into(),
    };
    assert_eq!(bench.change(edit, Terms::default()).await.unwrap().revision, 3);
    assert!(bench.plane.current().tree.pointer("/models/model-1").is_none());
    assert_eq!(
        bench
            .change(Edit::Rollback(1), Terms::default())
            .await
            .unwrap()
            .revision,
        4
    );
    assert_eq!(bench.plane.current().tree, document(2));
    let gone = bench.change(Edit::Rollback(9), Terms::default()).await;
    assert!(matches!(gone, Err(Refusal::NoSuchRevision(9))));
    let nothing = bench
        .change(
            Edit::Delete {
                pointer: "/models/none".into(),
            },
            Terms::default(),
        )
        .await;
    assert!(matches!(nothing, Err(Refusal::Pointer(_))));
}

#[tokio::test]
async fn a_race_and_a_dry_run_change_nothing() {
    let bench = Bench::new().await;
    bench.put(document(1)).await.unwrap();
    let edit = || Edit::Whole(Parsed::from_tree(document(2)));
    let terms = Terms {
        if_revision: Some(7),
        ..Terms::default()
    };
    assert!(matches!(
        bench.change(edit(), terms).await,
        Err(Refusal::Race { current: 1 })
    ));
    let terms = Terms {
        mode: Mode::DryRun,
        ..Terms::default()
    };
    let outcome = bench.change(edit(), terms).await.unwrap();
    assert!(outcome.dry_run && !outcome.changes.is_empty());
    assert_eq!(bench.plane.current().revision, 1);
    assert_eq!(bench.fake.world.lock().unwrap().revision, 1);
}

#[tokio::test]
async fn faults_are_found_before_the_data_plane_hears_of_them() {
    let bench = Bench::new().await;
    let mut unreadable = document(1);
    unreadable["providers"]["p"]["credential"] = json!("env:TOLLGATE_TEST_THIS_IS_NOT_SET");
    let Err(Refusal::Faults(problems)) = bench.put(unreadable).await else {
        panic!("it has a fault")
    };
    assert!(
        problems[0].pointer.starts_with("/providers/p/credential"),
        "{}",
        problems[0].pointer
    );
    assert!(matches!(
        bench.put(json!({"version": 1, "nonsense": 1})).await,
        Err(Refusal::Faults(_))
    ));
    assert!(bench.fake.world.lock().unwrap().prepared.is_none());
}

#[tokio::test]
async fn a_port_in_use_refuses_the_change() {
    let bench = Bench::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut tree = document(1);
    tree["listeners"]["public"]["address"] = json!(taken.local_addr().unwrap().to_string());
    let Err(Refusal::Faults(problems)) = bench.put(tree).await else {
        panic!("the port is taken")
    };
    assert_eq!(problems[0].pointer, "/listeners/public/address");
    assert!(problems[0].wrong.contains("port in use"));
}

#[tokio::test]
async fn what_a_shard_refuses_takes_effect_nowhere() {
    let bench = Bench::new().await;
    bench.put(document(1)).await.unwrap();
    bench.fake.mishap(Mishap::RefusePrepare);
    assert!(matches!(bench.put(document(2)).await, Err(Refusal::Faults(_))));
    assert_eq!(bench.plane.current().revision, 1);
    assert!(bench.plane.store.pending().await.unwrap().is_empty());
    bench.fake.mishap(Mishap::None);
    assert_eq!(bench.put(document(2)).await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_data_plane_that_dies_before_the_commit_leaves_the_old_revision() {
    for mishap in [Mishap::DieAtPrepare, Mishap::DieBeforeCommit] {
        let bench = Bench::new().await;
        bench.put(document(1)).await.unwrap();
        bench.fake.mishap(mishap);
        let (made, ()) = tokio::join!(bench.put(document(2)), bench.restarted());
        assert!(made.is_err(), "{mishap:?}");
        assert_eq!(bench.plane.current().revision, 1);
        assert!(bench.plane.store.pending().await.unwrap().is_empty());
        assert_eq!(bench.recovered(None).await, Some((1, document(1))));
    }
}

#[tokio::test]
async fn a_data_plane_that_dies_after_the_commit_has_made_the_change() {
    let bench = Bench::new().await;
    bench.put(document(1)).await.unwrap();
    bench.fake.mishap(Mishap::DieAfterCommit);
    let (made, ()) = tokio::join!(bench.put(document(2)), bench.restarted());
    assert_eq!(made.unwrap().revision, 2);
    assert_eq!(bench.plane.store.latest().await.unwrap().unwrap().head.revision, 2);
}

impl Bench {
    /// Waits for the link's end, then brings the data plane back as a supervisor would.
    async fn restarted(&self) {
        let link = self.plane.link.now().unwrap();
        link.closed().await;
        self.plane.link.clear();
        self.fake.mishap(Mishap::None);
        self.fake.start(self.folder.path());
        testing::connect(&self.plane).await;
    }
}

#[tokio::test]
async fn a_control_plane_that_died_in_the_middle_finds_out_what_runs() {
    let bench = Bench::new().await;
    bench.put(document(1)).await.unwrap();
    let pending = || crate::store::NewRevision {
        number: 2,
        at_ms: 0,
        who: "ann".into(),
        uid: None,
        why: None,
        document: document(2),
        changes: Vec::new(),
    };
    // Killed before the data plane committed.
    bench.plane.store.insert_pending(pending()).await.unwrap();
    assert_eq!(bench.recovered(Some(1)).await, Some((1, document(1))));
    // Killed after: the data plane runs it.
    bench.plane.store.insert_pending(pending()).await.unwrap();
    assert_eq!(bench.recovered(Some(2)).await, Some((2, document(2))));
    // The store was lost: the last good file has it.
    std::fs::write(
        bench.folder.path().join("last-good.json"),
        json!({"revision": 5, "document": document(3)}).to_string(),
    )
    .unwrap();
    assert_eq!(bench.recovered(None).await, Some((5, document(3))));
    assert_eq!(bench.plane.store.latest().await.unwrap().unwrap().head.who, "recovered");
}

#[tokio::test]
async fn a_new_data_plane_is_given_everything() {
    let bench = Bench::new().await;
    bench.put(document(1)).await.unwrap();
    bench.fake.world.lock().unwrap().listeners.clear();
    let link = testing::connect(&bench.plane).await;
    sync(&bench.plane, &link).await.unwrap();
    let world = bench.fake.world.lock().unwrap();
    assert_eq!((world.revision, world.listeners.len()), (1, 1));
}

#[tokio::test]
async fn an_adopted_data_plane_keeps_its_sockets() {
    let bench = Bench::new().await;
    bench.put(document(1)).await.unwrap();
    let address = bench.fake.world.lock().unwrap().listeners[0].1;
    // A second control plane on the same state directory.
    let plane = testing::plane(bench.folder.path());
    let link = testing::connect(&plane).await;
    let handed_back = link.take_listeners().await.unwrap();
    plane.rollout.lock().await.adopt(&link, handed_back);
    let current = recover(&plane.store, bench.folder.path(), Some(link.hello().revision))
        .await
        .unwrap()
        .unwrap();
    resume(&plane, current).await;
    super::bind(&plane, &plane.current().document).await.unwrap();
    sync(&plane, &link).await.unwrap();
    assert_eq!(
        plane.rollout.lock().await.listeners.get("public").unwrap().actual,
        address
    );
    TcpStream::connect(address).unwrap();
}

#[tokio::test]
async fn a_data_plane_that_knows_no_marks_serves_all_else() {
    let bench = Bench::new().await;
    bench.fake.mishap(Mishap::KnowsNoMarks);
    let outcome = bench.put(document(1)).await.unwrap();
    assert_eq!(outcome.revision, 1);
    let address = bench.fake.world.lock().unwrap().listeners[0].1;
    TcpStream::connect(address).unwrap();
}
