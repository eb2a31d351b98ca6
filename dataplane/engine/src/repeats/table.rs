//! What is remembered of calls that may come again: who runs them, or what came of them. Plain memory with a bound; knows
//! no lock and no exchange.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use tollgate_config::document::{IDEMPOTENCY_PARTS, Idempotency};

use crate::{Tick, outputs::ReplyFraming};

/// What a remembered call takes beside its key and its answer, about.
const ENTRY_BYTES: u64 = 200;
const NS_PER_MS: u64 = 1_000_000;

/// One part of the node's table. Calls are told apart by whole keys, so that no hash can give one client another's answer.
#[derive(Debug, Default)]
pub struct Part {
    calls: HashMap<Arc<[u8]>, Remembered>,
    /// Those that are answered, the oldest first.
    by_age: BTreeMap<u64, Arc<[u8]>>,
    bytes: u64,
    numbers: u64,
}

#[derive(Debug)]
struct Remembered {
    /// Of the request: path, query, body.
    fingerprint: u64,
    /// Of the claim, and then of the answer; never given twice.
    number: u64,
    since: Tick,
    /// When somebody last asked for it.
    asked: Tick,
    answer: Option<Arc<Answer>>,
}

/// An answer as it is sent again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    /// Header lines, but for those that each answer has of its own.
    pub lines: Box<[u8]>,
    pub framing: ReplyFraming,
    pub body: Box<[u8]>,
}

/// What is known of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: whoever asked runs it, under this number.
    Claimed(u64),
    /// Nothing, and there is no room to remember it.
    Full,
    Running,
    Answered(Arc<Answer>),
    /// It was another request.
    Differs,
}

impl Part {
    pub(crate) fn ask(&mut self, now: Tick, key: &[u8], fingerprint: u64, bounds: &Idempotency) -> Known {
        self.forget_old(now, bounds);
        if let Some(known) = self.calls.get_mut(key) {
            if known.fingerprint != fingerprint {
                return Known::Differs;
            }
            known.asked = now;
            return known.answer.clone().map_or(Known::Running, Known::Answered);
        }
        let size = ENTRY_BYTES + key.len() as u64;
        if !self.make_room(size, bounds) {
            return Known::Full;
        }
        self.bytes += size;
        self.numbers += 1;
        let remembered = Remembered {
            fingerprint,
            number: self.numbers,
            since: now,
            asked: Tick(0),
            answer: None,
        };
        self.calls.insert(key.into(), remembered);
        Known::Claimed(self.numbers)
    }

    /// A call that was claimed is answered.
    pub(crate) fn store(&mut self, now: Tick, (key, number): (&[u8], u64), answer: Answer, bounds: &Idempotency) {
        let size = (answer.lines.len() + answer.body.len()) as u64;
        if !self.make_room(size, bounds) {
            return self.release(key, number);
        }
        let Some((name, known)) = self.calls.get_key_value(key) else {
            return;
        };
        if known.number != number || known.answer.is_some() {
            return;
        }
        let name = name.clone();
        self.numbers += 1;
        self.bytes += size;
        self.by_age.insert(self.numbers, name);
        if let Some(known) = self.calls.get_mut(key) {
            known.number = self.numbers;
            known.since = now;
            known.answer = Some(Arc::new(answer));
        }
    }

    /// A call that was claimed came to nothing: whoever asks next runs it.
    pub(crate) fn release(&mut self, key: &[u8], number: u64) {
        let claimed = self
            .calls
            .get(key)
            .is_some_and(|known| known.number == number && known.answer.is_none());
        if claimed && self.calls.remove(key).is_some() {
            self.bytes -= ENTRY_BYTES + key.len() as u64;
        }
    }

    /// Has somebody asked since then for the call that was claimed?
    pub(crate) fn asked_since(&self, key: &[u8], then: Tick) -> bool {
        self.calls.get(key).is_some_and(|known| known.asked >= then)
    }

    fn forget_old(&mut self, now: Tick, bounds: &Idempotency) {
        let window_ns = bounds.window_ms.saturating_mul(NS_PER_MS);
        while let Some((&number, key)) = self.by_age.first_key_value() {
            let young = |known: &Remembered| now.ns_since(known.since) < window_ns;
            if self.calls.get(key).is_some_and(young) {
                return;
            }
            self.forget(number);
        }
    }

    /// Forgets the oldest answers until there is room; false when there is none even so.
    fn make_room(&mut self, size: u64, bounds: &Idempotency) -> bool {
        let most = bounds.max_bytes / IDEMPOTENCY_PARTS;
        while self.bytes + size > most {
            let Some((&oldest, _)) = self.by_age.first_key_value() else {
                return false;
            };
            self.forget(oldest);
        }
        true
    }

    fn forget(&mut self, number: u64) {
        let Some(key) = self.by_age.remove(&number) else { return };
        let Some(known) = self.calls.remove(&key) else { return };
        let answer = known.answer.map_or(0, |answer| answer.lines.len() + answer.body.len());
        self.bytes -= ENTRY_BYTES + (key.len() + answer) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick(NS_PER_MS);

    /// Room for about four answers of a hundred bytes.
    fn bounds() -> Idempotency {
        Idempotency {
            window_ms: 1_000,
            max_bytes: 16 * 4 * (ENTRY_BYTES + 1 + 100),
            max_answer_bytes: 100,
        }
    }

    fn answer() -> Answer {
        Answer {
            status: 200,
            lines: Box::default(),
            framing: ReplyFraming::Length(100),
            body: vec![b'x'; 100].into(),
        }
    }

    #[track_caller]
    fn claim(part: &mut Part, now: Tick, key: &[u8]) -> u64 {
        match part.ask(now, key, 7, &bounds()) {
            Known::Claimed(number) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_runs_once_and_is_answered_as_often_as_asked() {
        let mut part = Part::default();
        let number = claim(&mut part, NOW, b"a");
        assert_eq!(part.ask(NOW, b"a", 7, &bounds()), Known::Running);
        assert_eq!(part.ask(NOW, b"a", 8, &bounds()), Known::Differs);
        part.store(NOW, (b"a", number), answer(), &bounds());
        for _ in 0..2 {
            assert_eq!(part.ask(NOW, b"a", 7, &bounds()), Known::Answered(Arc::new(answer())));
        }
        assert_eq!(part.ask(NOW, b"a", 8, &bounds()), Known::Differs);
        part.release(b"a", number);
        assert!(
            matches!(part.ask(NOW, b"a", 7, &bounds()), Known::Answered(_)),
            "it is not the claim's any more"
        );
    }

    #[test]
    fn a_call_that_failed_is_run_by_who_asks_next() {
        let mut part = Part::default();
        let first = claim(&mut part, NOW, b"a");
        part.release(b"a", first);
        let second = claim(&mut part, NOW, b"a");
        part.release(b"a", first);
        part.store(NOW, (b"a", first), answer(), &bounds());
        assert_eq!(
            part.ask(NOW, b"a", 7, &bounds()),
            Known::Running,
            "the first has no say any more"
        );
        part.release(b"a", second);
        assert_eq!(part.bytes, 0);
    }

    #[test]
    fn an_answer_is_forgotten_when_its_window_is_over() {
        let mut part = Part::default();
        let number = claim(&mut part, NOW, b"a");
        part.store(NOW.plus_ms(500), (b"a", number), answer(), &bounds());
        assert!(matches!(
            part.ask(NOW.plus_ms(1_499), b"a", 7, &bounds()),
            Known::Answered(_)
        ));
        claim(&mut part, NOW.plus_ms(1_500), b"a");
        assert_eq!(part.by_age.len(), 0);
        assert_eq!(part.bytes, ENTRY_BYTES + 1);
    }

    #[test]
    fn the_oldest_answers_make_room_and_running_calls_do_not() {
        let mut part = Part::default();
        for key in [b"a", b"b", b"c", b"d"] {
            let number = claim(&mut part, NOW, key);
            part.store(NOW, (key, number), answer(), &bounds());
        }
        let fifth = claim(&mut part, NOW, b"e");
        part.store(NOW, (b"e", fifth), answer(), &bounds());
        let known = |part: &mut Part, key: &[u8]| matches!(part.ask(NOW, key, 7, &bounds()), Known::Answered(_));
        assert!(known(&mut part, b"e") && known(&mut part, b"d") && known(&mut part, b"c"));
        assert!(!part.calls.contains_key(&b"a"[..]));
        let mut running = 0u8;
        while matches!(part.ask(NOW, &[b'A', running], 7, &bounds()), Known::Claimed(_)) {
            running += 1;
        }
        assert_eq!(part.ask(NOW, b"zz", 7, &bounds()), Known::Full);
        assert!(running >= 5 && part.by_age.is_empty(), "{running}");
        assert_eq!(part.ask(NOW, &[b'A', 0], 7, &bounds()), Known::Running);
    }

    #[test]
    fn who_asked_is_known_to_the_one_that_runs_it() {
        let mut part = Part::default();
        claim(&mut part, NOW, b"a");
        assert!(!part.asked_since(b"a", NOW));
        part.ask(NOW.plus_ms(10), b"a", 7, &bounds());
        assert!(part.asked_since(b"a", NOW.plus_ms(10)) && !part.asked_since(b"a", NOW.plus_ms(11)));
    }
}
