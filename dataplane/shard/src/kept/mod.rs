//! Answers that outlive the process: a thread of its own writes what caches keep to the state directory, and reads it back at
//! the next start while shards answer already. No request ever waits for it. Knows no prompt and no answer by its content.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // All but `Handle` runs on that thread, and no shard has one.

mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use tollgate_config::{document::Document, fnv::Fnv};
use tollgate_engine::{
    Answers,
    exact::{Seed, shelf::Shelf},
};

use crate::shard::clock;
use file::Written;

/// Below the state directory.
const FOLDER: &str = "caches";
/// What names are made with.
const KEY: &str = "key";
const NEW: &str = "new";
const NEW_ENDING: &str = ".new";
const NEW_KEY: &str = "key.new";
const ENDING: &str = ".kept";
/// Reading one may take so long; the rest is left.
const LONGEST_LOAD: Duration = Duration::from_secs(60);
/// And writing it.
const LONGEST_WRITE: Duration = Duration::from_secs(300);
/// At the end of the process, of all together.
pub const LAST_SNAPSHOTS: Duration = Duration::from_secs(10);
/// A snapshot that failed or was overtaken by a purge is tried again after this, or `every` where that is less.
const AGAIN: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(3_600);
/// Of a cache's name, in its file's.
const NAMED_BYTES: usize = 40;

/// What operators are told.
#[derive(Clone, Debug)]
pub struct Told {
    pub event: &'static str,
    pub text: String,
}

/// Of one cache, since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub written: u64,
    pub failed: u64,
    /// Of the last that was written.
    pub bytes: u64,
}

/// What a document wants.
struct Wanted {
    shelf: Shelf,
    every: Duration,
    find_again: FindAgain,
}

/// Given a cache whose answers have been read: what they are found by is no part of them. And whether it goes on: the process
/// may end.
pub type FindAgain = Arc<dyn Fn(&str, &dyn Fn() -> bool) + Send + Sync>;

/// The way to the thread.
#[derive(Clone)]
pub struct Handle {
    wake: Sender<()>,
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    /// The last that was asked for and not taken yet.
    plan: Mutex<Option<Vec<Wanted>>>,
    counts: Mutex<BTreeMap<Arc<str>, Counts>>,
    /// Whoever holds it may put a file in its place, or take it away.
    files: Mutex<()>,
    /// Files are gone, and new ones wanted.
    again: AtomicBool,
    /// When the process ends; whoever reads or writes stops for it.
    ends: Mutex<Option<Sender<()>>>,
    is_ending: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What names were made with when a snapshot was written here.
pub fn seed(state_dir: &Path) -> Option<Seed> {
    let text = fs::read_to_string(state_dir.join(FOLDER).join(KEY)).ok()?;
    let (one, other) = text.trim().split_once('-')?;
    let word = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    Some(Seed([word(one)?, word(other)?]))
}

/// Starts the thread; `tell` runs on it. `seed`: what names are made with now.
pub fn start(state_dir: &Path, seed: Seed, tell: impl FnMut(Told) + Send + 'static) -> Result<Handle, String> {
    let (wake, woken) = bounded(1);
    let shared = Arc::new(Shared {
        folder: state_dir.join(FOLDER),
        plan: Mutex::default(),
        counts: Mutex::default(),
        files: Mutex::default(),
        again: AtomicBool::new(false),
        ends: Mutex::default(),
        is_ending: AtomicBool::new(false),
    });
    let side = Side {
        shared: Arc::clone(&shared),
        seed,
        work: BTreeMap::new(),
        tell: Box::new(tell),
    };
    thread::Builder::new()
        .name("snapshots".to_owned())
        .spawn(move || side.run(&woken))
        .map_err(|error| format!("cannot start the thread of snapshots: {error}"))?;
    Ok(Handle { wake, shared })
}

impl Handle {
    /// From now on these caches have snapshots. Those that are new are read; files of others are removed. Waits for nothing.
    pub fn plan(&self, answers: &Answers, document: &Document, find_again: &FindAgain) {
        let wanted = document.caches.iter().filter_map(|(name, cache)| {
            Some(Wanted {
                every: Duration::from_millis(cache.snapshot?.every_ms),
                shelf: answers.shelf(document, name)?,
                find_again: Arc::clone(find_again),
            })
        });
        *lock(&self.shared.plan) = Some(wanted.collect());
        self.wake();
    }

    /// Answers were purged: what lies on the disk has them still, and goes. The error says what could not be removed.
    pub fn forget(&self) -> Result<(), String> {
        let _files = lock(&self.shared.files);
        self.shared.again.store(true, Ordering::SeqCst);
        self.wake();
        // Of those being written as well: what has changed meanwhile is seen before they are put in place.
        let is_one = |name: &str| name.ends_with(ENDING) || (name.ends_with(NEW_ENDING) && name != NEW_KEY);
        remove(&self.shared.folder, is_one)
    }

    /// One answer is not found by meaning any more: what lies on the disk says so soon, and nothing is said till then.
    pub fn forget_found(&self) -> Result<(), String> {
        let _files = lock(&self.shared.files);
        self.shared.again.store(true, Ordering::SeqCst);
        self.wake();
        remove(&self.shared.folder, |name| name.ends_with(ENDING))
    }

    /// The process ends: writes all that changed, and waits for it.
    pub fn leave(&self) {
        let (done, ended) = bounded(0);
        *lock(&self.shared.ends) = Some(done);
        self.shared.is_ending.store(true, Ordering::SeqCst);
        self.wake();
        // Ends by itself: nothing is sent.
        let _ = ended.recv_timeout(LAST_SNAPSHOTS);
    }

    pub fn counts(&self) -> Vec<(Arc<str>, Counts)> {
        let counts = lock(&self.shared.counts);
        counts
            .iter()
            .map(|(name, counts)| (Arc::clone(name), *counts))
            .collect()
    }

    fn wake(&self) {
        let _ = self.wake.try_send(());
    }
}

struct Side {
    shared: Arc<Shared>,
    seed: Seed,
    work: BTreeMap<Arc<str>, Work>,
    tell: Box<dyn FnMut(Told) + Send>,
}

struct Work {
    shelf: Shelf,
    every: Duration,
    path: PathBuf,
    due: Instant,
    /// What was there when it was written; `None`: it is to be written whatever there is.
    changes: Option<u64>,
    /// What lies on the disk has been read, as far as it can be.
    is_read: bool,
    /// Until then.
    find_again: Option<FindAgain>,
    /// It was told that it cannot be written.
    is_ill: bool,
}

impl Side {
    fn run(mut self, woken: &Receiver<()>) {
        loop {
            let next = self.work.values().map(|work| work.due).min();
            let wait = next.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            let _ = woken.recv_timeout(wait.min(IDLE));
            let plan = lock(&self.shared.plan).take();
            if let Some(plan) = plan {
                self.take(plan);
            }
            if self.shared.again.swap(false, Ordering::SeqCst) {
                for work in self.work.values_mut() {
                    (work.changes, work.due) = (None, Instant::now());
                }
            }
            // Dropped when all is written: whoever waits goes on.
            let ends = lock(&self.shared.ends).take();
            let names: Vec<Arc<str>> = self.work.keys().cloned().collect();
            for name in names {
                self.turn(&name, ends.is_some());
            }
            if ends.is_some() {
                return;
            }
        }
    }

    fn take(&mut self, plan: Vec<Wanted>) {
        let names: Vec<Arc<str>> = plan.iter().map(|wanted| Arc::clone(wanted.shelf.name())).collect();
        self.work.retain(|name, _| names.contains(name));
        for wanted in plan {
            let (shelf, every) = (wanted.shelf, wanted.every);
            let path = self.shared.folder.join(file_name(shelf.name(), ENDING));
            let now = Instant::now();
            let name = Arc::clone(shelf.name());
            let work = self.work.entry(name).or_insert_with(|| Work {
                path,
                every,
                due: now,
                changes: None,
                is_read: false,
                is_ill: false,
                find_again: None,
                shelf: shelf.clone(),
            });
            work.find_again = (!work.is_read).then_some(wanted.find_again);
            (work.shelf, work.every) = (shelf, every);
            work.due = work.due.min(now + every);
        }
        let files: Vec<String> = names.iter().map(|name| file_name(name, ENDING)).collect();
        let is_left = |name: &str| !files.is_empty() && (name == KEY || files.iter().any(|file| file == name));
        let removed = {
            let _files = lock(&self.shared.files);
            remove(&self.shared.folder, |name| !is_left(name))
        };
        if let Err(text) = removed {
            self.tell("cache_snapshot_failed", text);
        }
    }

    /// Reads one that was not, and writes one that is due.
    fn turn(&mut self, name: &str, ends: bool) {
        let Some(work) = self.work.get_mut(name) else { return };
        if !work.is_read {
            // What is not read yet is better left as it is.
            if ends || self.shared.is_ending.load(Ordering::SeqCst) {
                return;
            }
            let told = read(work, &self.shared);
            if let Some(find_again) = work.find_again.take_if(|_| work.is_read) {
                find_again(name, &|| !self.shared.is_ending.load(Ordering::SeqCst));
            }
            if let Some(told) = told {
                (self.tell)(told);
            }
            return;
        }
        let now = Instant::now();
        if !ends && work.due > now {
            return;
        }
        work.due = now + work.every;
        let changes = work.shelf.changes();
        if work.changes == Some(changes) {
            return;
        }
        let longest = if ends { LAST_SNAPSHOTS } else { LONGEST_WRITE };
        let written = write(work, &self.shared, self.seed, now + longest, ends);
        self.wrote(name, changes, written);
    }

    fn wrote(&mut self, name: &str, changes: u64, written: Result<Option<Written>, String>) {
        let Some(work) = self.work.get_mut(name) else { return };
        let mut all = lock(&self.shared.counts);
        let counts = all.entry(Arc::clone(work.shelf.name())).or_default();
        let told = match written {
            Ok(Some(Written { bytes, answers })) => {
                work.changes = Some(changes);
                (counts.written, counts.bytes) = (counts.written + 1, bytes);
                tracing::debug!(cache = name, answers, bytes, "a snapshot was written");
                let was_ill = std::mem::take(&mut work.is_ill);
                was_ill.then(|| Told {
                    event: "cache_snapshot_well",
                    text: format!("snapshots of the cache '{name}' are written again"),
                })
            }
            // Something was purged meanwhile.
            Ok(None) => {
                work.due = Instant::now() + work.every.min(AGAIN);
                None
            }
            Err(why) => {
                counts.failed += 1;
                work.due = Instant::now() + work.every.min(AGAIN);
                let is_new = !std::mem::replace(&mut work.is_ill, true);
                is_new.then(|| Told {
                    event: "cache_snapshot_failed",
                    text: format!("the cache '{name}' cannot be written to the disk: {why}; the last snapshot stays"),
                })
            }
        };
        drop(all);
        if let Some(told) = told {
            (self.tell)(told);
        }
    }

    fn tell(&mut self, event: &'static str, text: String) {
        (self.tell)(Told { event, text });
    }
}

fn read(work: &mut Work, shared: &Shared) -> Option<Told> {
    let goes_on = || !shared.is_ending.load(Ordering::SeqCst);
    let loaded = file::load(
        &work.path,
        &work.shelf,
        clock::now(),
        Instant::now() + LONGEST_LOAD,
        goes_on,
    );
    // Cut off because the process ends, it stays unread, and the file as it is.
    work.is_read = goes_on();
    work.due = Instant::now() + work.every;
    if loaded.as_ref().is_none_or(|loaded| loaded.stopped.is_none()) {
        // What is there is what lies on the disk: the next is written when something has changed.
        work.changes = Some(work.shelf.changes());
    }
    let loaded = loaded?;
    let (name, shown, answers) = (work.shelf.name(), work.path.display(), loaded.answers);
    Some(match loaded.stopped {
        None => Told {
            event: "cache_loaded",
            text: format!("the cache '{name}' begins with {answers} answers of the last snapshot"),
        },
        Some(why) => Told {
            event: "cache_snapshot_unusable",
            text: format!(
                "{shown}: {why}; the cache '{name}' begins with the {answers} answers that stood before, and the next snapshot replaces it"
            ),
        },
    })
}

/// `None`: something was purged meanwhile, and nothing is written.
fn write(work: &Work, shared: &Shared, seed: Seed, until: Instant, ends: bool) -> Result<Option<Written>, String> {
    let fail = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let folder = &shared.folder;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| fail(folder, error))?;
    write_key(folder, seed).map_err(|error| fail(folder, error))?;
    let new = work.path.with_extension(NEW);
    let purges = work.shelf.purges();
    // At the end of the process whoever waits for it has a bound.
    let goes_on = || Instant::now() < until && (ends || !shared.is_ending.load(Ordering::SeqCst));
    let written = file::write(&new, &work.shelf, clock::now(), goes_on).and_then(|written| {
        let _files = lock(&shared.files);
        // Whoever purges removes it as well.
        if work.shelf.purges() != purges || !new.exists() {
            return Ok(None);
        }
        file::replace(&new, &work.path).map(|()| Some(written))
    });
    if !matches!(written, Ok(Some(_))) {
        // On a full disk the space is wanted back.
        let _ = fs::remove_file(&new);
    }
    written.map_err(|error| fail(&work.path, error))
}

/// The key is there before a file whose names it makes.
fn write_key(folder: &Path, Seed([one, other]): Seed) -> std::io::Result<()> {
    put_text(&folder.join(KEY), &format!("{one:016x}-{other:016x}\n"))
}

/// A short text, on the disk and in its place, or not at all.
pub fn put_text(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    let new = path.with_extension(NEW);
    file::write_text(&new, text)?;
    file::replace(&new, path)
}

/// Removes files by their names.
fn remove(folder: &Path, goes: impl Fn(&str) -> bool) -> Result<(), String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{} cannot be read: {error}", folder.display())),
    };
    let mut failed = Ok(());
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if goes(name)
            && let Err(error) = fs::remove_file(&path)
        {
            failed = Err(format!("{} cannot be removed: {error}", path.display()));
        }
    }
    failed
}

/// For people, and no two the same.
pub fn file_name(cache: &str, ending: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
    let named: String = cache.chars().take(NAMED_BYTES).map(plain).collect();
    format!("{named}-{:016x}{ending}", Fnv::of(cache.as_bytes()))
}
