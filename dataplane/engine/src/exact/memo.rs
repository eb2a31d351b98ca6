//! What requests were known by lately: one that comes again byte for byte, as most do that are answered from a cache, costs
//! one pass of a hash over its bytes instead of a reading of what they say. A shard's own; knows no policy and no answer.

use tollgate_config::document::Dialect;

use super::canon::{self, Canon, Seed};

/// A request is looked for in one set, by its hash; what was not asked for longest gives way there.
const WAYS: usize = 4;
/// Together 4,096 requests of 80 bytes: 320 KiB a shard, from the first call of a model with a cache on.
const SETS: usize = 1024;

type Set = [Option<Entry>; WAYS];

/// Bounded: see `SETS`.
#[derive(Debug, Default)]
pub struct Names {
    /// None, or `SETS` of them.
    sets: Box<[Set]>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Of the bytes as they came. It is keyed, as the one that answers are kept under.
    bytes: u128,
    dialect: Dialect,
    canon: Canon,
}

impl Names {
    /// As `canon::request`.
    pub(super) fn of(&mut self, seed: Seed, dialect: Dialect, body: &[u8]) -> Option<Canon> {
        let bytes = seed.hash(body);
        if self.sets.is_empty() {
            self.sets = vec![Set::default(); SETS].into();
        }
        let set = self.sets.get_mut(bytes as usize % SETS)?;
        let is_it = |entry: &Entry| entry.bytes == bytes && entry.dialect == dialect;
        if let Some(at) = set.iter().position(|entry| entry.as_ref().is_some_and(is_it)) {
            set[..=at].rotate_right(1);
            return set[0].as_ref().map(|entry| entry.canon.clone());
        }
        let canon = canon::request(seed, dialect, body)?;
        set.rotate_right(1);
        set[0] = Some(Entry {
            bytes,
            dialect,
            canon: canon.clone(),
        });
        Some(canon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed([1, 2]);

    fn body(number: usize) -> String {
        format!(r#"{{"messages":[{{"role":"user","content":"{number}"}}],"user":"{number}","temperature":{number}}}"#)
    }

    /// Each is asked for twice at once, so that the second time it is remembered; and all of them again, when most are not.
    #[test]
    fn what_is_remembered_is_what_would_be_found() {
        let mut names = Names::default();
        for number in (0..SETS * WAYS + SETS).chain(0..SETS) {
            let body = body(number);
            for dialect in [Dialect::OpenAi, Dialect::OpenAiResponses, Dialect::OpenAi] {
                let found = names.of(SEED, dialect, body.as_bytes());
                assert!(found.is_some());
                assert_eq!(
                    found,
                    canon::request(SEED, dialect, body.as_bytes()),
                    "{dialect:?} {body}"
                );
            }
        }
        let held = names.sets.iter().flatten().filter(|entry| entry.is_some()).count();
        assert!(held <= SETS * WAYS && held > SETS * WAYS / 2, "{held}");
        assert!(size_of::<Set>() <= 80 * WAYS);
    }

    #[test]
    fn a_dialect_has_its_own_though_the_bytes_are_the_same() {
        let mut names = Names::default();
        let body = body(1);
        let mut of = |dialect| names.of(SEED, dialect, body.as_bytes()).expect("it has one").hash;
        // Who it is for is repeated in the answers of one, and left out of the hash of the other.
        assert_ne!(of(Dialect::OpenAi), of(Dialect::OpenAiResponses));
    }

    #[test]
    fn what_is_asked_for_stays_while_others_come() {
        let mut names = Names::default();
        let kept = body(0);
        let hash = SEED.hash(kept.as_bytes());
        for number in 1..3 * SETS * WAYS {
            names.of(SEED, Dialect::OpenAi, body(number).as_bytes());
            // As often as its set is filled anew by far.
            if number % (SETS / 4) == 0 {
                let set = &names.sets[hash as usize % SETS];
                let is_there = set.iter().flatten().any(|entry| entry.bytes == hash);
                assert!(is_there || number == SETS / 4, "{number}");
                names.of(SEED, Dialect::OpenAi, kept.as_bytes());
            }
        }
    }

    #[test]
    fn what_has_no_name_is_not_remembered() {
        let mut names = Names::default();
        for _ in 0..2 {
            assert_eq!(names.of(SEED, Dialect::OpenAi, br#"{"n":1,"n":2}"#), None);
        }
        assert!(names.sets.iter().flatten().all(Option::is_none));
    }
}
