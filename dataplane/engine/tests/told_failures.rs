//! Streams that pass untouched and fail after their first word: the client reads what the provider says, and the target is
//! left alone as if it had not answered.

mod rig;

use rig::{
    Did, Rig, dialled, model,
    streams::{ask, down, facts, feed, head, read, saying, speaks, two, written},
};
use tollgate_config::document::{Breaker, Dialect};
use tollgate_dialect::{
    canonical::{
        event::Event,
        fault::{Fault, FaultKind},
    },
    speak::CallFacts,
};
use tollgate_engine::{
    exchange::UpstreamFault,
    record::{AttemptOutcome, Outcome},
};

/// How the failure comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    Alone,
    WithTheLastWord,
    InPieces,
    BeforeTheConnectionBreaks,
}

const ALL: [Comes; 4] = [
    Comes::Alone,
    Comes::WithTheLastWord,
    Comes::InPieces,
    Comes::BeforeTheConnectionBreaks,
];

fn pieces(dialect: Dialect, kind: FaultKind) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut events = saying("a", &["Hello", " there"]);
    events.truncate(5);
    events.push(Event::Failed(Fault::in_stream(kind, "the engine died")));
    let mut parts = written(dialect, &events);
    let failure = parts.pop().expect("a failure");
    let word = parts.pop().expect("a word");
    (parts.concat(), word, failure)
}

/// A call to `m` whose stream begins, and then says that it fails; what the client got.
fn failing(rig: &mut Rig, dialect: Dialect, (comes, kind): (Comes, FaultKind)) -> Vec<u8> {
    let (begin, word, failure) = pieces(dialect, kind);
    rig.connected(1);
    rig.answer(1, &head(dialect));
    let mut got = feed(rig, 1, &begin).1;
    let mut pass = |rig: &mut Rig, bytes: &[u8]| got.extend(feed(rig, 1, bytes).1);
    match comes {
        Comes::WithTheLastWord => pass(rig, &[word, failure].concat()),
        Comes::InPieces => {
            pass(rig, &word);
            for piece in failure.chunks(7) {
                pass(rig, piece);
            }
        }
        Comes::Alone | Comes::BeforeTheConnectionBreaks => {
            pass(rig, &word);
            pass(rig, &failure);
        }
    }
    match comes {
        Comes::BeforeTheConnectionBreaks => rig.failed(1, UpstreamFault::Cut),
        _ => rig.end(1),
    };
    got.extend(down(rig, b""));
    got
}

fn asked(did: &[Did]) -> String {
    dialled(did).remove(0).0
}

#[test]
fn a_target_whose_streams_fail_after_they_began_is_left_alone() {
    for dialect in Dialect::ALL {
        for comes in ALL {
            let mut rig = Rig::new(two(dialect, |_| {}));
            for number in 0..Breaker::default().failures {
                assert_eq!(
                    asked(&ask(&mut rig, dialect, true)),
                    "one",
                    "{dialect:?} {comes:?} {number}"
                );
                let got = failing(&mut rig, dialect, (comes, FaultKind::Internal));
                let read = read(dialect, &got);
                assert!(
                    read.failed && read.text() == "Hello there",
                    "{dialect:?} {comes:?}: {read:?}"
                );
                assert_eq!(rig.exchange.record().outcome, Outcome::Cut, "{dialect:?} {comes:?}");
                if comes != Comes::BeforeTheConnectionBreaks {
                    let logged: Vec<_> = rig.exchange.attempts().map(|(_, outcome)| outcome).collect();
                    assert_eq!(logged, [AttemptOutcome::Status], "{dialect:?} {comes:?}");
                }
            }
            let next = asked(&ask(&mut rig, dialect, true));
            assert_eq!(next, "two", "{dialect:?} {comes:?}: five in a row");
        }
    }
}

/// Google's streams without `alt=sse`: one list, whose last answer is an error.
#[test]
fn a_list_of_answers_that_ends_with_an_error_is_a_failure() {
    let dialect = Dialect::Gemini;
    let mut events = saying("a", &["Hello", " there"]);
    events.truncate(5);
    events.push(Event::Failed(Fault::in_stream(FaultKind::Internal, "the engine died")));
    let mut writer = speaks(dialect).stream_writer(&CallFacts {
        as_array: true,
        ..facts()
    });
    let mut list = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut list));
    // In one piece whose length is known, and in many.
    for piece in [list.len(), 17] {
        let mut rig = Rig::new(two(dialect, |_| {}));
        for number in 0..Breaker::default().failures {
            assert_eq!(asked(&ask(&mut rig, dialect, true)), "one", "{piece} {number}");
            rig.connected(1);
            let mut head = head(dialect).replace("text/event-stream", "application/json");
            if piece == list.len() {
                head = head.replace("transfer-encoding: chunked", &format!("content-length: {piece}"));
            }
            rig.answer(1, &head);
            let mut got = Vec::new();
            for piece in list.chunks(piece) {
                got.extend(feed(&mut rig, 1, piece).1);
            }
            rig.end(1);
            got.extend(down(&rig, b""));
            assert_eq!(got, list, "it passes as it came");
            assert_eq!(rig.exchange.record().outcome, Outcome::Cut, "{piece}");
            let logged: Vec<_> = rig.exchange.attempts().map(|(_, outcome)| outcome).collect();
            assert_eq!(logged, [AttemptOutcome::Status], "{piece}");
        }
        assert_eq!(asked(&ask(&mut rig, dialect, true)), "two", "{piece}: five in a row");
    }
}

/// `identity` was asked for, and it comes compressed all the same.
#[test]
fn a_failure_within_a_compressed_stream_is_heard_too() {
    use std::io::Write as _;
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Bedrock) {
        let mut rig = Rig::new(two(dialect, |_| {}));
        for number in 0..Breaker::default().failures {
            assert_eq!(asked(&ask(&mut rig, dialect, true)), "one", "{dialect:?} {number}");
            let (begin, word, failure) = pieces(dialect, FaultKind::Internal);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&[begin, word, failure].concat()).expect("in memory");
            let compressed = encoder.finish().expect("in memory");
            rig.connected(1);
            rig.answer(1, &(head(dialect) + "content-encoding: gzip\n"));
            let mut got = Vec::new();
            for part in compressed.chunks(11) {
                got.extend(feed(&mut rig, 1, part).1);
            }
            rig.end(1);
            assert_eq!(got, compressed, "it passes as it came");
            assert_eq!(rig.exchange.record().outcome, Outcome::Cut, "{dialect:?}");
        }
        assert_eq!(
            asked(&ask(&mut rig, dialect, true)),
            "two",
            "{dialect:?}: five in a row"
        );
    }
}

#[test]
fn what_is_the_clients_fault_or_a_limit_leaves_nobody_alone() {
    // Cohere's streams say that they failed and not why.
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Cohere) {
        for kind in [FaultKind::RateLimited, FaultKind::InvalidRequest] {
            let mut rig = Rig::new(two(dialect, |_| {}));
            for _ in 0..2 * Breaker::default().failures {
                assert_eq!(asked(&ask(&mut rig, dialect, true)), "one", "{dialect:?} {kind:?}");
                failing(&mut rig, dialect, (Comes::Alone, kind));
            }
        }
    }
}

#[test]
fn one_that_begins_well_and_breaks_is_a_failure_and_no_success() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let mut rig = Rig::new(two(dialect, |_| {}));
        for _ in 0..Breaker::default().failures {
            assert_eq!(asked(&ask(&mut rig, dialect, true)), "one");
            rig.connected(1);
            rig.answer(1, &head(dialect));
            feed(&mut rig, 1, &pieces(dialect, FaultKind::Internal).0);
            feed(&mut rig, 1, &pieces(dialect, FaultKind::Internal).1);
            rig.failed(1, UpstreamFault::Cut);
        }
        assert_eq!(asked(&ask(&mut rig, dialect, true)), "two", "{dialect:?}");
    }
}

#[test]
fn a_probe_that_breaks_after_its_first_word_closes_nothing() {
    let dialect = Dialect::OpenAi;
    let mut rig = Rig::new(two(dialect, |_| {}));
    for _ in 0..Breaker::default().failures {
        ask(&mut rig, dialect, true);
        failing(&mut rig, dialect, (Comes::Alone, FaultKind::Internal));
    }
    rig.now = rig.now.plus_ms(Breaker::default().cooldown_ms);
    assert_eq!(asked(&ask(&mut rig, dialect, true)), "one", "one call finds out");
    failing(&mut rig, dialect, (Comes::Alone, FaultKind::Internal));
    assert_eq!(asked(&ask(&mut rig, dialect, true)), "two");
}

#[test]
fn text_that_looks_like_a_failure_is_none() {
    let mut document = two(Dialect::OpenAi, |_| {});
    document.models.push(model("n", &[("one", "real-model")]));
    let mut rig = Rig::new(document);
    for _ in 0..2 * Breaker::default().failures {
        assert_eq!(asked(&ask(&mut rig, Dialect::OpenAi, true)), "one");
        rig.connected(1);
        rig.answer(1, &head(Dialect::OpenAi));
        let words = ["{\"error\":{}}", "event: error", "data: {\"error\":1}"];
        for part in written(Dialect::OpenAi, &saying("a", &words)) {
            feed(&mut rig, 1, &part);
        }
        rig.end(1);
        assert_eq!(rig.exchange.record().outcome, Outcome::Complete);
    }
}
