//! What requests were known by lately, and what they say: one that comes again byte for byte, as most do that are answered
//! from a cache, costs one pass of a hash over its bytes instead of two readings. A shard's own; knows no policy and no answer.

use tollgate_config::document::Dialect;

use super::canon::{self, Canon, Seed};
use crate::stages::admit::Fields;

/// A request is looked for in one set, by its hash; what was not asked for longest gives way there.
const WAYS: usize = 4;
/// Together 4,096 requests of 160 bytes: 640 KiB a shard, from the first call of a model with a cache on.
const SETS: usize = 1024;
/// Requests are looked for before they are read as long as one in so many is found.
const LEAST_LUCK: u8 = 8;
/// And for so many more once none is any more.
const MOST_LUCK: u8 = 64;
/// While they are not, one in so many is remembered, and looked for when it has been read: the same one when it comes again.
const REMEMBERED: u128 = 8;
/// And two in a row of so many: one alone that comes again and again is noticed as well.
const ROUND: u8 = 16;
const IN_A_ROW: u8 = 2;

type Set = [Option<Entry>; WAYS];

/// Bounded: see `SETS`.
#[derive(Debug, Default)]
pub struct Names {
    /// None, or `SETS` of them.
    sets: Box<[Set]>,
    /// Above zero: what comes next may well be here.
    luck: u8,
    /// So many came since the last round began, while nothing was found.
    unlucky: u8,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Of the bytes as they came. It is keyed, as the one that answers are kept under.
    bytes: u128,
    dialect: Dialect,
    /// What `canon` was made with.
    seed: Seed,
    canon: Canon,
    /// None where they say more than these tell.
    fields: Option<Fields>,
}

/// A request's body: its bytes, and their hash where it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a> {
    pub dialect: Dialect,
    pub bytes: &'a [u8],
    pub hash: Option<u128>,
}

impl Names {
    /// What a request says that came before. Its hash as well, where it was looked for: it is, as long as some are found.
    pub(crate) fn look(&mut self, seed: Seed, body: Body<'_>) -> (Option<u128>, Option<Fields>) {
        if self.luck == 0 {
            return (None, None);
        }
        let hash = seed.hash(body.bytes);
        let found = self.find(hash, body.dialect);
        let fields = found.and_then(|entry| entry.fields);
        self.note(fields.is_some());
        (Some(hash), fields)
    }

    /// As `canon::request`, by the second of the seeds; bytes are known by the first. `fields`: what was read of it.
    pub(super) fn of(&mut self, (own, seed): (Seed, Seed), body: Body<'_>, fields: Option<Fields>) -> Option<Canon> {
        if let Some(hash) = body.hash {
            let found = self.find(hash, body.dialect).filter(|entry| entry.seed == seed);
            if let Some(entry) = found {
                return Some(entry.canon.clone());
            }
        }
        let canon = canon::request(seed, body.dialect, body.bytes)?;
        let hash = match body.hash {
            Some(hash) => hash,
            None if !self.is_sample(canon.hash) => return Some(canon),
            None => {
                let hash = own.hash(body.bytes);
                let is_known = self.find(hash, body.dialect).is_some_and(|entry| entry.seed == seed);
                self.note(is_known);
                if is_known {
                    return Some(canon);
                }
                hash
            }
        };
        if self.sets.is_empty() {
            self.sets = vec![Set::default(); SETS].into();
        }
        let set = self.sets.get_mut(hash as usize % SETS)?;
        set.rotate_right(1);
        set[0] = Some(Entry {
            bytes: hash,
            dialect: body.dialect,
            seed,
            canon: canon.clone(),
            fields,
        });
        Some(canon)
    }

    /// Is one that was not looked for to be remembered?
    fn is_sample(&mut self, hash: u128) -> bool {
        let at = self.unlucky;
        self.unlucky = (at + 1) % ROUND;
        at < IN_A_ROW || hash.is_multiple_of(REMEMBERED)
    }

    /// It is the first of its set then.
    fn find(&mut self, hash: u128, dialect: Dialect) -> Option<&Entry> {
        let set = self.sets.get_mut(hash as usize % SETS)?;
        let is_it = |entry: &Entry| entry.bytes == hash && entry.dialect == dialect;
        let at = set.iter().position(|entry| entry.as_ref().is_some_and(is_it))?;
        set[..=at].rotate_right(1);
        set[0].as_ref()
    }

    fn note(&mut self, found: bool) {
        self.luck = match found {
            true => self.luck.saturating_add(LEAST_LUCK).min(MOST_LUCK),
            false => self.luck.saturating_sub(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed([1, 2]);

    fn of(names: &mut Names, dialect: Dialect, body: &str) -> Option<Canon> {
        let body = Body {
            dialect,
            bytes: body.as_bytes(),
            hash: None,
        };
        names.of((SEED, SEED), body, Some(Fields::default()))
    }

    /// Where it was looked for before it was read.
    fn of_looked_for(names: &mut Names, dialect: Dialect, body: &str) -> Option<Canon> {
        let body = Body {
            dialect,
            bytes: body.as_bytes(),
            hash: Some(SEED.hash(body.as_bytes())),
        };
        names.of((SEED, SEED), body, Some(Fields::default()))
    }

    fn held(names: &Names) -> usize {
        names.sets.iter().flatten().flatten().count()
    }

    fn is_read(names: &mut Names, body: &str) -> (bool, bool) {
        let body = Body {
            dialect: Dialect::OpenAi,
            bytes: body.as_bytes(),
            hash: None,
        };
        let (hash, fields) = names.look(SEED, body);
        (hash.is_some(), fields.is_some())
    }

    #[test]
    fn what_comes_is_looked_for_as_long_as_some_of_it_is_found() {
        let mut names = Names::default();
        let (known, new) = (body(1), body(2));
        assert_eq!(is_read(&mut names, &known), (false, false), "nothing was found yet");
        of(&mut names, Dialect::OpenAi, &known);
        assert_eq!(is_read(&mut names, &known), (false, false));
        // What comes twice in a row is noticed, wherever in a round that is.
        names.unlucky = IN_A_ROW;
        for _ in IN_A_ROW..ROUND + 1 {
            of(&mut names, Dialect::OpenAi, &known);
        }
        for _ in 0..20 {
            assert_eq!(is_read(&mut names, &known), (true, true));
        }
        for _ in 0..MOST_LUCK {
            assert_eq!(is_read(&mut names, &new), (true, false));
        }
        assert_eq!(is_read(&mut names, &known), (false, false), "not worth its hash");
    }

    #[test]
    fn of_what_comes_once_little_is_remembered_and_what_comes_again_is_noticed() {
        const CALLS: usize = 400;
        let mut names = Names::default();
        let mut ask = |from: usize| {
            for number in from..from + CALLS {
                of(&mut names, Dialect::OpenAi, &body(number));
            }
            (held(&names), names.luck)
        };
        let (remembered, luck) = ask(0);
        assert!((CALLS / 8..CALLS / 3).contains(&remembered), "{remembered}");
        assert_eq!(luck, 0);
        // However long ago it came.
        assert_eq!(ask(CALLS).1, 0);
        assert!(ask(0).1 > 0);
    }

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
                let found = of_looked_for(&mut names, dialect, &body);
                assert!(found.is_some());
                assert_eq!(
                    found,
                    canon::request(SEED, dialect, body.as_bytes()),
                    "{dialect:?} {body}"
                );
            }
        }
        let held = held(&names);
        assert!(held <= SETS * WAYS && held > SETS * WAYS / 2, "{held}");
        assert!(size_of::<Set>() <= 160 * WAYS, "{}", size_of::<Set>());
    }

    #[test]
    fn a_dialect_has_its_own_though_the_bytes_are_the_same() {
        let mut names = Names::default();
        let body = body(1);
        let mut of = |dialect| of_looked_for(&mut names, dialect, &body).expect("it has one").hash;
        // Who it is for is repeated in the answers of one, and left out of the hash of the other.
        assert_ne!(of(Dialect::OpenAi), of(Dialect::OpenAiResponses));
    }

    #[test]
    fn what_is_asked_for_stays_while_others_come() {
        let mut names = Names::default();
        let kept = body(0);
        let hash = SEED.hash(kept.as_bytes());
        for number in 1..3 * SETS * WAYS {
            of_looked_for(&mut names, Dialect::OpenAi, &body(number));
            // As often as its set is filled anew by far.
            if number % (SETS / 4) == 0 {
                let set = &names.sets[hash as usize % SETS];
                let is_there = set.iter().flatten().any(|entry| entry.bytes == hash);
                assert!(is_there || number == SETS / 4, "{number}");
                of_looked_for(&mut names, Dialect::OpenAi, &kept);
            }
        }
    }

    #[test]
    fn what_has_no_name_is_not_remembered() {
        let mut names = Names::default();
        for _ in 0..2 {
            assert_eq!(of(&mut names, Dialect::OpenAi, r#"{"n":1,"n":2}"#), None);
        }
        assert!(names.sets.iter().flatten().all(Option::is_none));
    }
}
