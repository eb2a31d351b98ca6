//! What calls of one node are read by in a shared ledger: made beside whoever writes, and made again where it was broken off.

use std::{
    thread,
    time::{Duration, Instant},
};

use tollgate_config::{check::check, document::Retention, parse::Parsed};

use super::{
    World, close, frame,
    on_postgres::{of, server::Postgres, turn_to},
    open,
};
use crate::{
    metering::{database::Database, pg::index::Built, place},
    postgres::Session,
};

const DAY_MS: u64 = 86_400_000;
const TODAY: u64 = 20_000;

/// A call of that day.
fn call(sequence: u64, day: u64) -> Vec<u8> {
    let event = tollgate_config::usage_event::UsageEvent {
        ended_unix_ms: day * DAY_MS + 7,
        ..close(sequence + 1, sequence)
    };
    [frame(&open(sequence)), frame(&event)].concat()
}

pub fn it_is_made_beside_whoever_writes_and_again_where_it_was_broken_off(server: &Postgres) {
    let settings = of(server, "indexed");
    turn_to(Some(settings.clone()));
    let document = serde_json::json!({"version": 1, "database": {"postgres": settings}});
    let document = check(&Parsed::from_tree(document)).unwrap();
    let session = || Session::connect(document.database.as_ref().unwrap()).unwrap();
    let world = World::new();
    let (_metering, mut ingest) = world.open();
    let retention = Retention {
        calls_ms: 90 * DAY_MS,
        hours_ms: None,
    };
    ingest.forget(&retention, TODAY * DAY_MS).unwrap();
    // Of two days, and of none.
    let before = [call(1, TODAY), call(3, TODAY + 1), call(5, 3), call(7, 3)].concat();
    world.write(0, 1, &before);
    ingest.pass().unwrap();
    let (mut other, mut third) = (session(), session());
    let broken = "CREATE UNIQUE INDEX CONCURRENTLY calls_rest_by_node ON calls_rest (node)";
    other.run(broken).expect_err("two calls are of one node");
    // Whoever has begun to read is waited for.
    other
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM marks")
        .unwrap();
    let there = place::last(world.folder.path()).unwrap();
    let building = thread::spawn({
        let there = there.clone();
        move || Database::of(there).index_by_node()
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    while third
        .first("SELECT 1 FROM pg_stat_progress_create_index", &[])
        .unwrap()
        .is_none()
    {
        assert!(Instant::now() < deadline && !building.is_finished(), "it is being made");
        thread::yield_now();
    }
    let mut second = Database::of(there.clone());
    assert_eq!(second.index_by_node().unwrap(), None, "another is at it");
    world.write(0, 1, &[before, call(9, TODAY), call(11, 3)].concat());
    ingest.pass().unwrap();
    assert!(!building.is_finished(), "calls came in meanwhile");
    other.run("COMMIT").unwrap();
    let built = building.join().unwrap().unwrap();
    let wanted = Built {
        made: 4,
        remade: vec!["calls_rest".to_owned()],
    };
    assert_eq!(built, Some(wanted), "three days, and what is of none");
    // A day that is made later has its own.
    ingest.forget(&retention, (TODAY + 1) * DAY_MS).unwrap();
    assert_eq!(second.index_by_node().unwrap(), Some(Built::default()));
    let lacking = "SELECT 1 FROM pg_inherits i WHERE i.inhparent = 'calls'::regclass AND NOT EXISTS (SELECT 1 FROM pg_index x \
         JOIN pg_inherits h ON h.inhrelid = x.indexrelid WHERE x.indrelid = i.inhrelid AND x.indisvalid \
         AND h.inhparent = 'calls_by_node'::regclass)";
    assert!(third.first(lacking, &[]).unwrap().is_none());
    turn_to(None);
}
