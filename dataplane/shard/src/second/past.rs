//! Which generation of a cache this node knows, and what it still has to do because of that: to tell the store, to forget what
//! it keeps itself, to write it down. It outlives the threads of a tier in memory, and the process in a file. Knows no store.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // Shards never take the lock.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ring::rand::{SecureRandom, SystemRandom};

use super::generation::Generation;
use crate::kept;

/// Behind a generation in the file: a purge's, and the store has not been told.
const WISH: &str = " wish";
const USED_UP: &str = "its generations are used up: rename the cache, or change its `prefix`";

pub struct Past {
    path: PathBuf,
    known: Mutex<Known>,
    /// How often `known` was another: whoever began before is told by it.
    forgotten: AtomicU64,
    random: SystemRandom,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    generation: Option<Generation>,
    /// It is a purge's, and the store has not been told.
    is_wish: bool,
    /// It was drawn here, and means nothing yet.
    is_drawn: bool,
    /// A purge that has no generation yet.
    is_due: bool,
    /// Another node purged, and what lies here is of before.
    owes: Owed,
    /// The file says otherwise.
    owes_writing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owed {
    #[default]
    Nothing,
    Snapshots,
    /// Those, and all that memory has.
    All,
}

/// What came of telling the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Yes,
    /// There is a later one to tell.
    Not,
    /// Another node purged: this is to be forgotten here as well.
    Forgets(Generation, Owed),
}

impl Past {
    pub fn read(path: PathBuf, count_from: u64) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let text = text.trim_end();
        let (text, is_wish) = text.strip_suffix(WISH).map_or((text, false), |text| (text, true));
        let generation = Generation::read(text.as_bytes());
        let known = Known {
            generation,
            is_wish: is_wish && generation.is_some(),
            ..Known::default()
        };
        Self {
            path,
            known: Mutex::new(known),
            forgotten: AtomicU64::new(count_from),
            random: SystemRandom::new(),
        }
    }

    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// The generation that the store has been told of, and how often there was another before.
    pub fn known(&self) -> Option<(Generation, u64)> {
        let known = self.lock();
        let is_open = known.is_wish || known.is_drawn || known.is_due || known.owes != Owed::Nothing;
        let generation = known.generation.filter(|_| !is_open)?;
        Some((generation, self.forgotten()))
    }

    /// A purge: from now on nothing that was stored before is good here, whether or not the store can be told and whatever fails.
    pub fn forget(&self) -> Result<(), String> {
        let mut known = self.lock();
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        known.is_due = true;
        self.begin_another(&mut known)?;
        self.write(&mut known)
    }

    /// What the store is to be told.
    pub fn wanted(&self) -> Result<Generation, String> {
        let mut known = self.lock();
        if known.is_due {
            self.begin_another(&mut known)?;
        }
        match known.generation {
            Some(generation) => Ok(generation),
            None => {
                let first = Generation::first(self.draw()?);
                (known.generation, known.is_drawn) = (Some(first), true);
                Ok(first)
            }
        }
    }

    /// The store was told `wanted`, and has this now.
    pub fn settle(&self, wanted: Generation, there: Generation) -> Result<Settled, String> {
        let mut known = self.lock();
        if known.generation != Some(wanted) || known.is_due {
            return Ok(Settled::Not);
        }
        if there.is_before(wanted) {
            return Err("it has an earlier generation than it was told".to_owned());
        }
        // Two that no purge began are two nodes' of a store that lost what it had.
        let is_purged = wanted.is_before(there) || (there != wanted && !there.is_first());
        if is_purged && !known.is_drawn {
            // What was stored since may be older than our own purge.
            let next = match known.is_wish {
                true => there.next(self.draw()?).ok_or(USED_UP)?,
                false => there,
            };
            known.generation = Some(next);
            known.owes = Owed::All;
            known.owes_writing = true;
            self.forgotten.fetch_add(1, Ordering::SeqCst);
        } else {
            known.owes_writing |= there != wanted || known.is_drawn || known.is_wish;
            known.generation = Some(there);
            (known.is_drawn, known.is_wish) = (false, false);
        }
        match (known.owes, known.generation) {
            // The file is written last: until all is forgotten, the next process shall find that another node purged.
            (owed @ (Owed::All | Owed::Snapshots), Some(generation)) => Ok(Settled::Forgets(generation, owed)),
            _ => self.write(&mut known).map(|()| Settled::Yes),
        }
    }

    /// What was owed for a generation was done, but for this.
    pub fn owes(&self, generation: Generation, left: Owed) {
        let mut known = self.lock();
        if known.generation == Some(generation) {
            known.owes = left;
        }
    }

    fn begin_another(&self, known: &mut Known) -> Result<(), String> {
        let before = known.generation.unwrap_or(Generation::first(0));
        let next = before.next(self.draw()?).ok_or(USED_UP)?;
        *known = Known {
            generation: Some(next),
            is_wish: true,
            owes: known.owes,
            owes_writing: true,
            ..Known::default()
        };
        Ok(())
    }

    fn draw(&self) -> Result<u64, String> {
        let mut bytes = [0; 8];
        let drawn = self.random.fill(&mut bytes);
        drawn.map_err(|_| "the system gives no randomness".to_owned())?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// So that the next process knows as well, whatever the store says then.
    fn write(&self, known: &mut Known) -> Result<(), String> {
        let Some(generation) = known.generation.filter(|_| known.owes_writing) else {
            return Ok(());
        };
        let fail = |error| format!("{} cannot be written: {error}", self.path.display());
        if let Some(folder) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(fail)?;
        }
        let wish = if known.is_wish { WISH } else { "" };
        kept::put_text(&self.path, &format!("{generation}{wish}\n")).map_err(fail)?;
        known.owes_writing = false;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(folder: &tempfile::TempDir) -> Past {
        Past::read(folder.path().join("second").join("one.generation"), 0)
    }

    fn known(past: &Past) -> Option<Generation> {
        past.known().map(|(generation, _)| generation)
    }

    /// It knows what the store has.
    fn settled(folder: &tempfile::TempDir) -> (Past, Generation) {
        let past = past(folder);
        let there = past.wanted().expect("random");
        assert_eq!(past.settle(there, there), Ok(Settled::Yes));
        assert_eq!(known(&past), Some(there));
        (past, there)
    }

    #[test]
    fn a_purge_of_another_node_is_written_down_when_all_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, before) = settled(&folder);
        let later = before.next(3).expect("room");
        let owed = |past: &Past, owed| {
            let wanted = past.wanted().expect("known");
            assert_eq!(past.settle(wanted, later), Ok(Settled::Forgets(later, owed)));
            assert_eq!(known(past), None);
        };
        owed(&one, Owed::All);
        // Killed now, the next one finds it anew.
        owed(&past(&folder), Owed::All);
        one.owes(later, Owed::Snapshots);
        owed(&one, Owed::Snapshots);
        owed(&past(&folder), Owed::All);
        one.owes(later, Owed::Nothing);
        // Where it cannot be written it stays owed.
        let file = folder.path().join("second");
        fs::rename(&file, folder.path().join("away")).expect("moved");
        fs::write(&file, "no folder").expect("written");
        let told = one.settle(later, later).expect_err("no folder");
        assert!(told.contains("cannot be written"), "{told}");
        fs::remove_file(&file).expect("removed");
        assert_eq!(one.settle(later, later), Ok(Settled::Yes));
        assert_eq!(past(&folder).wanted(), Ok(later));
    }

    #[test]
    fn a_wish_outlives_the_process_until_the_store_was_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, before) = settled(&folder);
        one.forget().expect("written");
        let wish = one.wanted().expect("known");
        assert!(before.is_before(wish));
        let again = past(&folder);
        assert_eq!((known(&again), again.wanted()), (None, Ok(wish)));
        // Another purged meanwhile: the wish is of after that, and what was kept since goes.
        let there = wish.next(1).expect("room");
        let Ok(Settled::Forgets(next, Owed::All)) = again.settle(wish, there) else {
            panic!("nothing is forgotten");
        };
        assert!(there.is_before(next));
        again.owes(next, Owed::Nothing);
        assert_eq!(again.settle(next, next), Ok(Settled::Yes));
        let last = past(&folder);
        assert_eq!(known(&last), Some(next), "the wish is fulfilled");
    }

    #[test]
    fn what_cannot_be_purged_any_more_is_not_given_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, before) = settled(&folder);
        let last = Generation::read(format!("0{}", "f".repeat(31)).as_bytes()).expect("the last");
        assert_eq!(one.settle(before, last), Ok(Settled::Forgets(last, Owed::All)));
        one.owes(last, Owed::Nothing);
        assert_eq!(one.settle(last, last), Ok(Settled::Yes));
        let forgotten = one.forgotten();
        assert!(one.forget().is_err());
        assert_eq!((known(&one), one.forgotten()), (None, forgotten + 1));
        assert!(one.wanted().is_err());
    }

    #[test]
    fn a_store_that_lost_what_it_had_is_no_purge() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, mine) = settled(&folder);
        let forgotten = one.forgotten();
        for drawn in [0, u64::MAX] {
            let (wanted, another) = (one.wanted().expect("known"), Generation::first(drawn));
            assert_ne!(mine, another);
            assert_eq!(one.settle(wanted, another), Ok(Settled::Yes));
            assert_eq!((known(&one), one.forgotten()), (Some(another), forgotten));
        }
        // Who never heard the store and purges has purged.
        let nothing = tempfile::tempdir().expect("a folder");
        let nobody = past(&nothing);
        nobody.forget().expect("written");
        assert!(!nobody.wanted().expect("known").is_first());
    }
}
