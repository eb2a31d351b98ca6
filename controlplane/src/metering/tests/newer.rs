//! Records that came later than this program: they are left for a control plane that knows them, in their place, and nothing
//! behind them is taken for what it is not.

use std::{fs::File, os::unix::fs::FileExt};

use tollgate_config::usage_event::{HEADER_BYTES, UsageEvent};

use super::{World, calls, close, end_mark, frame, name, open, total};

/// The same record, said to be of the next version.
fn of_next_version(mut frame: Vec<u8>) -> Vec<u8> {
    const VERSION_AT: usize = 10;
    frame[VERSION_AT] += 1;
    let sum = crc32fast::hash(&frame[8..]);
    frame[4..8].copy_from_slice(&sum.to_le_bytes());
    frame
}

#[test]
pub fn records_of_a_later_version_wait_in_the_spool_for_who_knows_them() {
    let mut world = World::new();
    let known = calls(1, 2);
    let own = [known.clone(), of_next_version(frame(&open(5))), calls(6, 1), end_mark()].concat();
    world.write(0, 1, &own);
    world.write(0, 2, &calls(8, 2));
    let other = |event| frame(&UsageEvent { shard: 1, ..event });
    world.write(1, 1, &[other(open(1)), other(close(2, 1))].concat());
    let (metering, mut ingest) = world.open();
    for _ in 0..3 {
        ingest.pass().unwrap();
    }
    // What is before them, and other shards, come in; they are named once, and what is behind them is not passed over.
    assert_eq!(total(&metering, "requests"), 3);
    let kinds: Vec<&str> = ingest.news.iter().map(|news| news.kind).collect();
    assert_eq!(kinds, ["usage_records_newer"], "{:?}", ingest.news);
    assert!(
        ingest.news[0].text.contains(&name(0, 1).to_string()),
        "{:?}",
        ingest.news
    );
    assert_eq!(metering.counts.newer.load(std::sync::atomic::Ordering::Relaxed), 1);

    // Its data plane ends: its segments stay, and its open calls are not given up for crashed.
    world.alive = None;
    ingest.pass().unwrap();
    assert_eq!([total(&metering, "requests"), total(&metering, "crashed")], [3, 0]);
    let left = world.files();
    for segment in [name(0, 1), name(0, 2)] {
        assert!(left.contains(&segment.to_string()), "{left:?}");
    }

    // A newer control plane reads on where this one stopped: as if this one knew the record.
    drop((metering, ingest));
    let file = File::options().write(true).open(world.path(0, 1)).unwrap();
    file.write_all_at(&frame(&open(5)), (HEADER_BYTES + known.len()) as u64)
        .unwrap();
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!([total(&metering, "requests"), total(&metering, "crashed")], [6, 1]);
    assert_eq!((ingest.news.len(), ingest.counts_missing()), (0, 0));
    assert_eq!(world.files(), Vec::<String>::new());
}
