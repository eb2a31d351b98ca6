//! Snapshots as files: what one process wrote another reads, whatever the clocks did; damage costs what stands behind it and
//! nothing else; and nothing that was purged comes back.

use std::os::unix::fs::PermissionsExt;

use tollgate_config::{check::check, parse::parse};
use tollgate_engine::{
    Tick,
    exact::{Filter, codec, shelf::Put},
};

use super::{file::Loaded, *};
use crate::{repeats, shard::clock::Now};

const SEED: Seed = Seed([1, 2]);
const HOUR_MS: u64 = 3_600_000;
/// The cache's time to live.
const DAY_MS: u64 = 24 * HOUR_MS;
const THEN: Now = Now {
    tick: Tick(50_000_000_000),
    unix_ms: 1_800_000_000_000,
};

fn document() -> Document {
    let text = "version: 1\nproviders: { p: { dialect: openai, base_url: 'http://a' } }\n\
                models: { m: { cache: c, targets: [ { provider: p, model: x } ] } }\n\
                caches: { c: { exact: { max_bytes: 64MiB, ttl: 24h }, snapshot: { every: 1s } } }\n";
    check(&parse(text).expect("it parses")).expect("it is well")
}

fn process(seed: Seed) -> (Answers, Shelf) {
    let (answers, _) = repeats::answers(seed).expect("its thread starts");
    let shelf = answers.shelf(&document(), "c").expect("there is one");
    (answers, shelf)
}

/// An answer in version 1, byte for byte.
fn entry(key: u128, age_ms: u64, body: &[u8]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let texts = |texts: &[&str]| texts.iter().flat_map(|one| text(one)).collect::<Vec<u8>>();
    let place = [&key.to_le_bytes()[..], &(age_ms * 1_000_000).to_le_bytes(), &[2]].concat();
    let about = [texts(&["tred", "k", "m", "", "hi"]), vec![1], text("red")].concat();
    let head = [vec![0, 0, 0], texts(&["openai", "application/json", "a: b\r\n"])].concat();
    let spent = [&7u64.to_le_bytes()[..], &[0, 0]].concat();
    let mut sections = Vec::new();
    for (number, content) in (1u16..).zip([&place[..], &about, &head, body, &spent]) {
        sections.extend_from_slice(&number.to_le_bytes());
        sections.extend_from_slice(&(content.len() as u32).to_le_bytes());
        sections.extend_from_slice(content);
    }
    [&[1][..], &crc32fast::hash(&sections).to_le_bytes(), &sections].concat()
}

fn fill(shelf: &Shelf, count: u128, age_ms: u64) {
    for key in 0..count {
        let bytes = entry(key, age_ms, format!("answer {key}").as_bytes());
        let kept = codec::read(&bytes, shelf.name(), THEN.tick, 0).expect("it is version 1");
        let mut again = Vec::new();
        assert!(codec::write(&kept, THEN.tick, &mut again) && again == bytes);
        assert_eq!(shelf.put(kept, shelf.purges()), Put::Kept);
    }
}

fn load_at(path: &Path, shelf: &Shelf, now: Now) -> Loaded {
    let until = Instant::now() + Duration::from_secs(60);
    file::load(path, shelf, now, until, || true).expect("there is a file")
}

/// A snapshot of so many, and where it lies.
fn written(folder: &Path, count: u128, age_ms: u64) -> PathBuf {
    let path = folder.join("one.kept");
    let (_, shelf) = process(SEED);
    fill(&shelf, count, age_ms);
    let said = file::write(&path, &shelf, THEN, || true).expect("written");
    assert_eq!(u128::from(said.answers), count);
    path
}

#[test]
fn what_one_process_kept_another_has_and_it_is_no_younger() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), 1_000, 0);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let (answers, shelf) = process(SEED);
    let later = Now {
        tick: Tick(1_000_000_000),
        unix_ms: THEN.unix_ms + 23 * HOUR_MS,
    };
    let loaded = load_at(&path, &shelf, later);
    assert_eq!((loaded.answers, loaded.stopped), (1_000, None));
    let (_, stats) = answers.stats()[0];
    assert_eq!((stats.entries, stats.loaded, stats.stored), (1_000, 1_000, 0));
    // In an hour their time is over.
    answers.sweep(later.tick.plus_ms(HOUR_MS - 1));
    assert_eq!(answers.stats()[0].1.entries, 1_000);
    answers.sweep(later.tick.plus_ms(HOUR_MS));
    assert_eq!(answers.stats()[0].1.entries, 0);
}

#[test]
fn clocks_that_are_set_make_nothing_younger_and_harm_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), 10, HOUR_MS);
    let at = |unix_ms: u64| Now { unix_ms, ..THEN };
    // Back an hour: as old as they were.
    let (answers, shelf) = process(SEED);
    assert_eq!(load_at(&path, &shelf, at(THEN.unix_ms - HOUR_MS)).answers, 10);
    answers.sweep(THEN.tick.plus_ms(DAY_MS - HOUR_MS - 1));
    assert_eq!(answers.stats()[0].1.entries, 10);
    answers.sweep(THEN.tick.plus_ms(DAY_MS - HOUR_MS));
    assert_eq!(answers.stats()[0].1.entries, 0);
    // Forward a day, and to the end of time: over.
    for unix_ms in [THEN.unix_ms + DAY_MS, u64::MAX] {
        let (_, shelf) = process(SEED);
        let loaded = load_at(&path, &shelf, at(unix_ms));
        assert_eq!((loaded.answers, loaded.left_out, loaded.stopped), (0, 10, None));
    }
}

#[test]
fn damage_anywhere_is_said_and_what_stands_before_it_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), 20, 0);
    let whole = fs::read(&path).expect("there");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        let (_, shelf) = process(SEED);
        load_at(&path, &shelf, THEN)
    };
    for at in (0..whole.len()).step_by(7) {
        let cut = read(&whole[..at]);
        assert!(cut.stopped.is_some() && cut.answers < 21, "{at}: {cut:?}");
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let changed = read(&changed);
        assert!(changed.stopped.is_some() && changed.answers < 21, "{at}: {changed:?}");
    }
    assert_eq!(read(&whole[..whole.len() - 1]).answers, 20);
    for foreign in [&b""[..], b"PK\x03\x04 and so on, and so on", &[0; 4_096]] {
        let said = read(foreign).stopped.unwrap_or_default();
        assert!(said.contains("no snapshot of a cache"), "{said}");
    }
}

#[test]
fn what_another_key_or_another_version_named_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), 3, 0);
    let (_, shelf) = process(Seed([1, 3]));
    let said = load_at(&path, &shelf, THEN);
    assert_eq!(
        (said.answers, said.stopped.as_deref()),
        (0, Some("its names were made with another key, or by another version"))
    );
    let mut newer = fs::read(&path).expect("there");
    let head = 12..12 + usize::from(newer[8]) - 4;
    newer[head.start + 4] += 1;
    let sum = crc32fast::hash(&newer[head.clone()]).to_le_bytes();
    newer[head.end..head.end + 4].copy_from_slice(&sum);
    fs::write(&path, newer).expect("written");
    let (_, shelf) = process(SEED);
    let said = load_at(&path, &shelf, THEN).stopped.unwrap_or_default();
    assert!(said.contains("which may name calls otherwise"), "{said}");
}

#[test]
fn a_purge_while_one_is_read_or_written_leaves_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), 10, 0);
    let (answers, shelf) = process(SEED);
    let asked = std::cell::Cell::new(0);
    let goes_on = || {
        asked.set(asked.get() + 1);
        if asked.get() == 4 {
            answers.purge(&Filter(Default::default()));
        }
        true
    };
    let until = Instant::now() + Duration::from_secs(60);
    let loaded = file::load(&path, &shelf, THEN, until, goes_on).expect("there is a file");
    assert_eq!((loaded.answers, loaded.stopped.is_some()), (4, true));
    assert_eq!(answers.stats()[0].1.entries, 0);
    // One that is written meanwhile does not take the other's place.
    fill(&shelf, 10, 0);
    let shared = shared(folder.path());
    let work = work(&shelf, folder.path().join("two.kept"));
    let until = Instant::now() + Duration::from_secs(60);
    let wrote = super::write(&work, &shared, SEED, until, false).expect("it can be written");
    assert!(wrote.is_some() && work.path.exists());
    let before = shelf.purges();
    answers.purge(&Filter(Default::default()));
    assert_ne!(shelf.purges(), before);
}

fn shared(folder: &Path) -> Shared {
    Shared {
        folder: folder.to_owned(),
        plan: Mutex::default(),
        counts: Mutex::default(),
        files: Mutex::default(),
        again: AtomicBool::new(false),
        ends: Mutex::default(),
        is_ending: AtomicBool::new(false),
    }
}

fn work(shelf: &Shelf, path: PathBuf) -> Work {
    Work {
        shelf: shelf.clone(),
        every: Duration::from_secs(1),
        path,
        due: Instant::now(),
        changes: None,
        is_read: true,
        find_again: None,
        is_ill: false,
    }
}

#[test]
fn a_snapshot_that_fails_leaves_the_last_one_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = shared(folder.path());
    let (_, shelf) = process(SEED);
    fill(&shelf, 5, 0);
    let work = work(&shelf, folder.path().join("one.kept"));
    let soon = || Instant::now() + Duration::from_secs(60);
    super::write(&work, &shared, SEED, soon(), false)
        .expect("written")
        .expect("nothing was purged");
    let first = fs::read(&work.path).expect("there");
    // There is no time for it.
    let failed = super::write(&work, &shared, SEED, Instant::now(), false).expect_err("too late");
    assert!(failed.contains("it took too long"), "{failed}");
    assert_eq!(fs::read(&work.path).expect("there"), first);
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("there")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["key", "one.kept"]);
    // Names are made with the same by the next process.
    fs::create_dir(folder.path().join(FOLDER)).expect("made");
    fs::rename(folder.path().join(KEY), folder.path().join(FOLDER).join(KEY)).expect("moved");
    assert_eq!(seed(folder.path()).map(|Seed(words)| words), Some([1, 2]));
}

#[test]
fn names_of_files_are_plain_and_no_two_the_same() {
    let long = "é/../".repeat(50);
    for name in ["answers", "a/b", "..", &long] {
        let file = file_name(name, ENDING);
        assert!(
            file.len() < 80
                && file
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || "-.".contains(char))
        );
        assert!(!file.starts_with('.'));
    }
    assert_ne!(file_name("a/b", ENDING), file_name("a-b", ENDING));
}

#[test]
fn a_purge_takes_what_is_being_written_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = Arc::new(shared(folder.path()));
    let all = ["one.kept", "one.new", "key.new", "key"];
    let left = || all.map(|name| shared.folder.join(name).exists());
    for name in all {
        fs::create_dir_all(&shared.folder).expect("a folder");
        fs::write(shared.folder.join(name), "x").expect("written");
    }
    let (wake, _woken) = bounded(1);
    let handle = Handle {
        wake,
        shared: Arc::clone(&shared),
    };
    handle.forget_found().expect("removed");
    assert_eq!(left(), [false, true, true, true]);
    handle.forget().expect("removed");
    assert_eq!(left(), [false, false, true, true]);
}
