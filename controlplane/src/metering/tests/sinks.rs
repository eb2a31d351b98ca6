//! Calls that go elsewhere from the ledger: each is read once in order, and none is forgotten before it was sent, for a while.

use std::ops::ControlFlow;

use serde_json::Value;
use tollgate_config::usage_event::UsageEvent;

use super::{
    super::{
        adjust,
        database::Database,
        hours,
        kafka::{corrections, record},
        row::NUMBERS,
        sinks,
    },
    BEGINNING_MS, World, close, end_mark, frame, open, reader,
};

pub const ALL: [fn(); 4] = [
    corrections_that_are_forgotten_unsent_are_missed_where_anybody_sends,
    calls_are_read_in_order_and_once_noted_not_again,
    what_was_not_sent_is_kept_for_a_while_and_then_missed,
    a_day_that_agrees_with_its_bill_stays_when_prices_change,
];

const DAY_MS: u64 = 86_400_000;

fn ended(sequence: u64, at_ms: u64) -> Vec<u8> {
    let event = UsageEvent {
        ended_unix_ms: at_ms,
        ..close(sequence + 1, sequence)
    };
    [frame(&open(sequence)), frame(&event)].concat()
}

/// What there is to send, as `BOOT-SHARD-SEQUENCE` tells it.
fn unsent(ledger: &mut Database) -> Vec<u64> {
    let sent = sinks::begin(ledger, 2 * DAY_MS).unwrap();
    let calls = record::read(ledger, sent.last).unwrap();
    let sequence = |record: &super::super::kafka::records::Record| {
        let value: Value = serde_json::from_slice(&record.value).unwrap();
        assert_eq!(value["id"], record.id);
        record.id.rsplit('-').next().unwrap().parse().unwrap()
    };
    calls.records.iter().map(sequence).collect()
}

fn send(ledger: &mut Database) -> bool {
    let sent = sinks::begin(ledger, 2 * DAY_MS).unwrap();
    let last = record::read(ledger, sent.last).unwrap().last;
    sinks::advance(ledger, sent, last, 0).unwrap()
}

fn calls_left(ledger: &mut Database) -> i64 {
    let mut count = 0;
    let read = |row: &super::super::database::Row<'_>| {
        count = row.get(0)?;
        Ok(ControlFlow::Break(()))
    };
    ledger.each("SELECT COUNT(*) FROM calls", &[], read).unwrap();
    count
}

#[test]
fn calls_are_read_in_order_and_once_noted_not_again() {
    let world = World::new();
    let (metering, mut ingest) = world.open();
    world.write(0, 1, &[ended(1, BEGINNING_MS + 5), ended(3, BEGINNING_MS)].concat());
    ingest.pass().unwrap();
    let mut ledger = reader(&metering);
    assert_eq!(unsent(&mut ledger), [2, 4], "as they came");
    assert_eq!(unsent(&mut ledger), [2, 4], "nobody has noted them");
    let before = sinks::begin(&mut ledger, 2 * DAY_MS).unwrap();
    assert!(send(&mut ledger));
    assert_eq!(unsent(&mut ledger), Vec::<u64>::new());
    assert!(
        !sinks::advance(&mut ledger, before, before.last, 0).unwrap(),
        "who read before that is late"
    );
    let more = [
        ended(1, BEGINNING_MS + 5),
        ended(3, BEGINNING_MS),
        ended(5, BEGINNING_MS),
    ]
    .concat();
    world.write(0, 1, &more);
    ingest.pass().unwrap();
    assert_eq!(unsent(&mut ledger), [6]);
}

#[test]
fn what_was_not_sent_is_kept_for_a_while_and_then_missed() {
    let world = World::new();
    let (metering, mut ingest) = world.open();
    // Its day, and the day after it; both are long over.
    let (first, second) = (BEGINNING_MS / DAY_MS * DAY_MS, (BEGINNING_MS / DAY_MS + 1) * DAY_MS);
    let mut ledger = reader(&metering);
    for day in [first, second] {
        ledger.forget_calls(0, day).unwrap();
    }
    let written = [ended(1, first), ended(3, second), ended(5, second + 1)].concat();
    world.write(0, 1, &written);
    ingest.pass().unwrap();
    let sent = sinks::begin(&mut ledger, 2 * DAY_MS).unwrap();
    // Only the first is sent.
    let calls = record::read(&mut ledger, sent.last).unwrap();
    let id_of_first = {
        let mut id = 0;
        let read = |row: &super::super::database::Row<'_>| {
            id = row.get(0)?;
            Ok(ControlFlow::Break(()))
        };
        ledger.each("SELECT MIN(id) FROM calls", &[], read).unwrap();
        id
    };
    assert_eq!(calls.records.len(), 3);
    assert!(sinks::advance(&mut ledger, sent, id_of_first, 0).unwrap());

    // All are older than they are kept, and those that were not sent wait.
    let over = second + DAY_MS;
    ledger.forget_calls(over, over).unwrap();
    assert_eq!(calls_left(&mut ledger), 2);
    assert_eq!(unsent(&mut ledger), [4, 6]);
    // No longer than that.
    ledger.forget_calls(over + 3 * DAY_MS, over + 3 * DAY_MS).unwrap();
    assert_eq!(calls_left(&mut ledger), 0);
    let sent = sinks::begin(&mut ledger, 2 * DAY_MS).unwrap();
    assert_eq!(sent.skipped, 2);
    // What comes now is sent, though nothing is left that tells which numbers are taken.
    world.write(0, 1, &[written, ended(7, second + 2)].concat());
    ingest.pass().unwrap();
    assert_eq!(unsent(&mut ledger), [8]);
    // Who sends nothing any more keeps nothing longer.
    sinks::release(&mut ledger).unwrap();
    ledger.forget_calls(over, over).unwrap();
    assert_eq!(calls_left(&mut ledger), 0);
}

#[test]
fn corrections_that_are_forgotten_unsent_are_missed_where_anybody_sends() {
    let world = World::new();
    let (metering, _ingest) = world.open();
    let mut ledger = reader(&metering);
    let post = |ledger: &mut Database, name: &str, at_ms: u64| {
        let one = adjust::Adjustment {
            post: name.to_owned(),
            at_ms,
            reason: String::new(),
            texts: std::array::from_fn(|_| String::new()),
            numbers: [0; NUMBERS.len()],
        };
        assert_eq!(adjust::post(ledger, &[one], 1).unwrap(), 1);
    };
    let unsent = |ledger: &mut Database| {
        let sent = sinks::begin_corrections(ledger).unwrap();
        let found = corrections::read(ledger, sent.last).unwrap();
        (
            sent,
            found.last,
            found.records.into_iter().map(|record| record.id).collect::<Vec<_>>(),
        )
    };
    sinks::begin(&mut ledger, DAY_MS).unwrap();
    post(&mut ledger, "first", BEGINNING_MS);
    let (sent, last, ids) = unsent(&mut ledger);
    assert_eq!(ids, ["first"]);
    assert!(sinks::advance(&mut ledger, sent, last, 0).unwrap());
    hours::forget(&mut ledger, BEGINNING_MS + DAY_MS).unwrap();
    post(&mut ledger, "second", BEGINNING_MS + DAY_MS);
    let (sent, _, ids) = unsent(&mut ledger);
    assert_eq!((sent.skipped, ids), (0, vec!["second".to_owned()]));
    hours::forget(&mut ledger, BEGINNING_MS + 3 * DAY_MS).unwrap();
    assert!(
        !sinks::advance(&mut ledger, sent, sent.last, 0).unwrap(),
        "who read before that is late"
    );
    let (sent, _, ids) = unsent(&mut ledger);
    assert_eq!((sent.skipped, ids), (1, Vec::new()));
    // Where nobody sends nobody misses any.
    sinks::release(&mut ledger).unwrap();
    post(&mut ledger, "third", BEGINNING_MS);
    hours::forget(&mut ledger, BEGINNING_MS + 3 * DAY_MS).unwrap();
    assert_eq!(unsent(&mut ledger).0.skipped, 1);
}

#[test]
fn a_day_that_agrees_with_its_bill_stays_when_prices_change() {
    use super::{
        super::{adjust, money::Picos, reconcile, rerate::rerate},
        HOUR_MS, adjusted,
    };
    let world = World::new();
    let call = adjusted::Call {
        at_ms: BEGINNING_MS,
        status: 200,
        provider: 0,
        model: 0,
        team: true,
        tokens: (100, 10),
        cost: Some(5_000_000),
        beaten: None,
    };
    world.write(0, 1, &[adjusted::written(&[call]), end_mark()].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let tokens = [("requests", 1), ("input_tokens", 100), ("output_tokens", 10)];
    let compared = adjusted::compared(&metering, &[adjusted::line("m1", &tokens, "0.000005")]);
    assert_eq!((compared.agree, compared.billed.len()), (1, 1));
    let day_ms = BEGINNING_MS / DAY_MS * DAY_MS;
    let pins: Vec<_> = compared
        .billed
        .iter()
        .map(|key| reconcile::pin(key, "alpha", day_ms))
        .collect();
    let mut ledger = reader(&metering);
    let span = (BEGINNING_MS, BEGINNING_MS + 6 * HOUR_MS);
    let dearer = adjusted::document(&[9, 9, 9, 9]);
    let moved = rerate(&mut ledger, &dearer, span).unwrap();
    assert_eq!(
        (moved.agreed, moved.adjustments.len()),
        (Picos(0), 1),
        "without a word of the provider's it moves"
    );
    for posted in [1, 0] {
        assert_eq!(adjust::post(&mut ledger, &pins, 1).unwrap(), posted);
    }
    let held = rerate(&mut ledger, &dearer, span).unwrap();
    assert_ne!(held.agreed, Picos(0));
    adjust::post(&mut ledger, &held.adjustments, 2).unwrap();
    drop(ledger);
    assert_eq!(
        adjusted::sums(&metering, "team")[0],
        Picos(5_000_000),
        "the sum is the provider's"
    );
}
