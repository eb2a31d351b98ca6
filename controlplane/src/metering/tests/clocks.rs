//! Clocks that are set back and forward under a data plane: nothing is lost or doubled, and each call counts in the hour that
//! its record says.

use tollgate_config::{document::Retention, usage_event::UsageEvent};

use super::{BEGINNING_MS, HOUR_MS, Question, World, Zone, close, frame, open, rows, total};

const DAY_MS: u64 = 24 * HOUR_MS;

/// An hour back in the middle, a day forward, and right again.
const ENDS: [u64; 7] = [
    BEGINNING_MS + 30 * 60_000,
    BEGINNING_MS + 31 * 60_000,
    BEGINNING_MS - 29 * 60_000,
    BEGINNING_MS - 28 * 60_000,
    BEGINNING_MS + DAY_MS,
    BEGINNING_MS + DAY_MS + 1,
    BEGINNING_MS + 33 * 60_000,
];

#[test]
pub fn a_clock_set_back_an_hour_and_forward_a_day_loses_and_doubles_nothing() {
    let mut world = World::new();
    let frames: Vec<Vec<u8>> = ENDS
        .iter()
        .enumerate()
        .map(|(call, ended_unix_ms)| {
            let sequence = 2 * call as u64 + 1;
            let opened = UsageEvent {
                started_unix_ms: ended_unix_ms - 500,
                ..open(sequence)
            };
            let closed = UsageEvent {
                started_unix_ms: ended_unix_ms - 500,
                ended_unix_ms: *ended_unix_ms,
                ..close(sequence + 1, sequence)
            };
            [frame(&opened), frame(&closed)].concat()
        })
        .collect();
    // Read as it grows, by a control plane that begins anew each time.
    for whole in 1..=frames.len() {
        world.write(0, 1, &frames[..whole].concat());
        let (metering, mut ingest) = world.open();
        ingest.pass().unwrap();
        assert_eq!(total(&metering, "requests"), whole as i64);
        assert_eq!((ingest.counts_missing(), ingest.news.len()), (0, 0));
    }
    let (metering, mut ingest) = world.open();
    let within = |from_ms: u64, to_ms: u64| {
        let question = Question::new(Vec::new(), (from_ms, to_ms), Zone::utc(), 0);
        rows(&metering, &question)
            .first()
            .map_or(0, |row| row["requests"].as_i64().unwrap())
    };
    assert_eq!(within(BEGINNING_MS - HOUR_MS, BEGINNING_MS), 2);
    assert_eq!(within(BEGINNING_MS, BEGINNING_MS + HOUR_MS), 3);
    assert_eq!(within(BEGINNING_MS + DAY_MS, BEGINNING_MS + DAY_MS + HOUR_MS), 2);
    // A call that is open when its data plane ends crashes no earlier than anything before it.
    let left = UsageEvent {
        started_unix_ms: BEGINNING_MS,
        ..open(2 * ENDS.len() as u64 + 1)
    };
    world.write(0, 1, &[frames.concat(), frame(&left)].concat());
    world.alive = None;
    ingest.pass().unwrap();
    assert_eq!([total(&metering, "requests"), total(&metering, "crashed")], [7, 1]);
    // What is forgotten goes by the same clock: the sums stay.
    let retention = Retention {
        calls_ms: HOUR_MS,
        hours_ms: None,
    };
    ingest.forget(&retention, BEGINNING_MS + DAY_MS + 2 * HOUR_MS).unwrap();
    assert_eq!([total(&metering, "requests"), total(&metering, "crashed")], [7, 1]);
}
