//! The data plane's corner of the state directory: the lock, and the last good document with its keys. Everything is
//! on disk before it is in force. Knows nothing of what the documents mean.

#![allow(clippy::disallowed_methods)] // Runs on the control thread.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use hashbrown::HashMap;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_config::{link::StoredKey, stored_limits::StoredLimits};
use tollgate_engine::limits::{Balances, Cell, UnknownLayout};

use crate::sys::shared;

const LOCK: &str = "dataplane.lock";
const SOCKET: &str = "dataplane.sock";
/// What is used of limits.
const BALANCES: &str = "balances";
/// 18 MiB. Twice as many as there may well be: a table that is full finds nothing. With `cluster` a limit takes three places.
const LEAST_LIMITS: usize = 1 << 18;
/// 288 MiB: two million limits of the document and its keys.
const MOST_LIMITS: usize = 1 << 22;
const BALANCES_NEW: &str = "balances.new";
/// Which node this is to others that share its limits.
const NODE: &str = "cluster-node";
const LAST_GOOD: &str = "last-good.json";
const LAST_GOOD_NEW: &str = "last-good.json.new";
/// Key changes since the last good document was written, one JSON line each: 100,000 keys are not written again for
/// one that changed.
const KEY_CHANGES: &str = "last-good-keys.jsonl";

/// A state directory that no other data plane uses.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Of the document on disk: key changes of an older one are not taken for its own.
    generation: u64,
    /// Held for its lock.
    _lock: File,
}

/// What ran last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastGood {
    pub revision: u64,
    pub document: Value,
    pub keys: Vec<StoredKey>,
    #[serde(default)]
    generation: u64,
}

/// A change of keys, as `AskBody::Keys`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeyChange {
    generation: u64,
    upsert: Vec<StoredKey>,
    remove: Vec<String>,
}

impl StateDir {
    /// Makes the directory when it is missing, and takes its lock.
    pub fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| format!("cannot make the state directory {shown}: {error}"))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(|error| format!("cannot open {shown}/{LOCK}: {error}"))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            return Err(format!(
                "another data plane (pid {}) runs on {shown}; stop it first",
                pid.trim()
            ));
        }
        // Only for whoever finds the lock taken: a full disk is no reason not to start.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self {
            path: path.to_owned(),
            generation: 0,
            _lock: lock,
        })
    }

    /// What was used of limits, kept from one process to the next, with room for twice so many. The error says why it cannot
    /// be.
    pub fn balances(&self, limits: usize) -> Result<Balances, String> {
        let file = self.path.join(BALANCES);
        let shown = file.display();
        let fail = |error: io::Error| format!("cannot keep what is used of limits in {shown}: {error}");
        let unknown = |UnknownLayout| format!("{shown} is not what this version keeps there; move it away");
        let wanted = limits
            .saturating_mul(2)
            .next_power_of_two()
            .clamp(LEAST_LIMITS, MOST_LIMITS);
        if !file.exists() {
            // What was used is known to the store alone. It goes by what a node says: this is another one from here on.
            let _ = fs::remove_file(self.path.join(NODE));
        }
        let opened = open_shared(&file).map_err(fail)?;
        let bytes = opened.metadata().map_err(fail)?.len();
        // One that was made larger stays so.
        let found = (LEAST_LIMITS.ilog2()..=MOST_LIMITS.ilog2())
            .map(|power| 1 << power)
            .rfind(|limits| bytes >= (Balances::cells_for(*limits) * size_of::<Cell>()) as u64)
            .unwrap_or(LEAST_LIMITS);
        let cells = shared::cells(&opened, Balances::cells_for(found)).map_err(fail)?;
        if wanted <= found {
            return Balances::lent(cells).map_err(unknown);
        }
        // It is whole before it takes the other's place: a process that dies in between leaves that one as it was.
        let new = self.path.join(BALANCES_NEW);
        let _ = fs::remove_file(&new);
        let opened = open_shared(&new).map_err(fail)?;
        let larger = shared::cells(&opened, Balances::cells_for(wanted)).map_err(fail)?;
        let balances = Balances::lent_after(larger, cells).map_err(unknown)?;
        fs::rename(&new, &file).map_err(fail)?;
        Ok(balances)
    }

    /// Which node this is: `fresh` where it is a new one. Whoever copies the directory copies the node.
    pub fn node(&self, fresh: u64) -> u64 {
        let file = self.path.join(NODE);
        let kept = fs::read_to_string(&file).ok();
        if let Some(node) = kept.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()) {
            return node;
        }
        // One that cannot be kept serves this process.
        let kept = fs::write(&file, format!("{fresh:016x}\n"));
        if let Err(error) = kept {
            tracing::warn!(%error, "which node this is cannot be kept: what it leases is lost with the process");
        }
        fresh
    }

    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// What ran last, with the key changes since; `None` when nothing ever did.
    pub fn load(&mut self) -> Result<Option<LastGood>, String> {
        let file = self.path.join(LAST_GOOD);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
        };
        let mut last_good: LastGood = serde_json::from_slice(&text)
            .map_err(|error| format!("{} is damaged: {error}; move it away to start without", file.display()))?;
        self.generation = last_good.generation;
        if self.replay(&mut last_good.keys) {
            // Written anew, so that changes to come do not follow a line that was cut.
            let LastGood {
                revision,
                document,
                keys,
                ..
            } = &last_good;
            self.save(*revision, document, keys)
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        Ok(Some(last_good))
    }

    /// Applies the changes that belong to the document on disk; false when there are none.
    fn replay(&self, keys: &mut Vec<StoredKey>) -> bool {
        let Ok(changes) = File::open(self.path.join(KEY_CHANGES)) else {
            return false;
        };
        let mut replayed = false;
        for line in BufReader::new(changes).lines() {
            // A crash cuts the last line at most, and that one was never answered.
            let change = line.ok().and_then(|line| serde_json::from_str::<KeyChange>(&line).ok());
            let Some(change) = change else { break };
            if change.generation == self.generation {
                apply(keys, &change.upsert, &change.remove);
                replayed = true;
            }
        }
        replayed
    }

    /// Puts a document on disk, whole or not at all, and only returns once it is there.
    pub fn save(&mut self, revision: u64, document: &Value, keys: &[StoredKey]) -> io::Result<()> {
        #[derive(Serialize)]
        struct Borrowed<'a> {
            revision: u64,
            document: &'a Value,
            keys: &'a [StoredKey],
            generation: u64,
        }
        // Time alone would do but for clocks that are set back.
        let now_ns = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64);
        let generation = now_ns.max(self.generation + 1);
        let text = serde_json::to_vec(&Borrowed {
            revision,
            document,
            keys,
            generation,
        })?;
        let new = self.path.join(LAST_GOOD_NEW);
        let written = self.write_new(&new, &text);
        if let Err(error) = written {
            // On a full disk the space is wanted back.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        self.generation = generation;
        // They are of an older generation now; when this fails they are only in the way.
        let _ = fs::remove_file(self.path.join(KEY_CHANGES));
        Ok(())
    }

    fn write_new(&self, new: &Path, text: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(new, self.path.join(LAST_GOOD))?;
        File::open(&self.path)?.sync_all()
    }

    /// Puts a change of keys on disk, and only returns once it is there. A change that fails is taken back.
    pub fn save_keys(&mut self, upsert: &[StoredKey], remove: &[String]) -> io::Result<()> {
        let change = KeyChange {
            generation: self.generation,
            upsert: upsert.to_vec(),
            remove: remove.to_vec(),
        };
        let mut line = serde_json::to_vec(&change)?;
        line.push(b'\n');
        let path = self.path.join(KEY_CHANGES);
        let is_new = !path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let len = file.metadata()?.len();
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if written.is_err() {
            let _ = file.set_len(len);
        }
        written?;
        if is_new {
            File::open(&self.path)?.sync_all()
        } else {
            Ok(())
        }
    }
}

/// Grown where it is too short.
fn open_shared(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(file)
}

/// Lists of limits that are counted once.
const MAX_KNOWN_LISTS: usize = 1_024;

/// Limits of a document and its keys, at most.
pub fn count_limits(last_good: &LastGood) -> usize {
    fn within(value: &Value) -> usize {
        match value {
            Value::Object(members) => {
                let of = |(name, value): (&String, &Value)| match (name.as_str(), value) {
                    ("limits", Value::Array(limits)) => limits.len(),
                    _ => within(value),
                };
                members.iter().map(of).sum()
            }
            Value::Array(values) => values.iter().map(within).sum(),
            _ => 0,
        }
    }
    // Most keys of a store say what many others say.
    let mut known: HashMap<&StoredLimits, usize> = HashMap::new();
    let of_keys = last_good.keys.iter().map(|key| {
        let count = || key.limits.value().as_array().map_or(0, Vec::len);
        match known.get(&key.limits) {
            Some(count) => *count,
            None if known.len() < MAX_KNOWN_LISTS => *known.entry(&key.limits).or_insert_with(count),
            None => count(),
        }
    });
    let limits = of_keys.fold(within(&last_good.document), usize::saturating_add);
    // Where nodes share them, each has its leases beside its balance.
    let is_shared = last_good
        .document
        .get("cluster")
        .is_some_and(|cluster| !cluster.is_null());
    limits.saturating_mul(if is_shared { 3 } else { 1 })
}

/// Applies a change to a list of keys.
pub fn apply(keys: &mut Vec<StoredKey>, upsert: &[StoredKey], remove: &[String]) {
    let replaced = |key: &StoredKey| remove.contains(&key.name) || upsert.iter().any(|new| new.name == key.name);
    keys.retain(|key| !replaced(key));
    keys.extend_from_slice(upsert);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(name: &str, sha256: &str) -> StoredKey {
        StoredKey {
            name: name.to_owned(),
            sha256: sha256.to_owned(),
            previous: None,
            team: None,
            user: None,
            models: Vec::new(),
            expires_unix_s: None,
            priority: None,
            limits: Default::default(),
        }
    }

    fn names(last_good: &LastGood) -> Vec<(&str, &str)> {
        last_good
            .keys
            .iter()
            .map(|key| (key.name.as_str(), key.sha256.as_str()))
            .collect()
    }

    #[test]
    fn a_second_data_plane_is_refused_and_told_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made/for/us");
        let first = StateDir::open(&path).expect("the lock");
        let refused = StateDir::open(&path).expect_err("taken");
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        StateDir::open(&path).expect("free again");
    }

    #[test]
    fn who_has_lost_what_was_used_is_another_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateDir::open(folder.path()).expect("the lock");
        let node = |fresh| {
            state.balances(1).expect("room");
            state.node(fresh)
        };
        assert_eq!([node(7), node(8)], [7, 7]);
        fs::remove_file(folder.path().join(BALANCES)).expect("there");
        assert_eq!(node(9), 9);
    }

    #[test]
    fn the_table_of_balances_grows_with_the_limits_and_stays_as_large() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateDir::open(folder.path()).expect("the lock");
        let bytes = || fs::metadata(folder.path().join(BALANCES)).expect("there").len();
        let mut sizes = Vec::new();
        for limits in [0, 100_000, LEAST_LIMITS / 2 + 1, 0] {
            let cells = state.balances(limits).expect("room").fill().cells;
            // As docs/src/limits.md has it.
            assert_eq!(bytes(), 64 + 72 * cells);
            sizes.push(cells as usize / LEAST_LIMITS);
        }
        assert_eq!(sizes, [1, 1, 2, 2]);
        let key = StoredKey {
            limits: json!([{"requests": 1, "per": "1m"}, {"concurrent": 2}]).into(),
            ..key("a", "1")
        };
        let last_good = LastGood {
            revision: 1,
            document: json!({"teams": {"red": {"limits": [{"budget": "1 USD", "per": "day"}]}}, "limits": 7}),
            keys: vec![key.clone(), key],
            generation: 1,
        };
        assert_eq!(count_limits(&last_good), 5);
    }

    #[test]
    fn documents_and_key_changes_survive() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut state = StateDir::open(folder.path()).expect("the lock");
        assert_eq!(state.load(), Ok(None));
        state
            .save(3, &json!({"version": 1}), &[key("a", "1"), key("b", "1")])
            .expect("saved");
        state.save_keys(&[key("c", "1"), key("a", "2")], &[]).expect("saved");
        state.save_keys(&[], &["b".to_owned()]).expect("saved");
        drop(state);
        let mut state = StateDir::open(folder.path()).expect("the lock");
        for _ in 0..2 {
            let loaded = state.load().expect("readable").expect("there");
            assert_eq!((loaded.revision, &loaded.document), (3, &json!({"version": 1})));
            assert_eq!(names(&loaded), [("c", "1"), ("a", "2")]);
        }
    }

    #[test]
    fn key_changes_of_an_older_document_and_cut_lines_do_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let changes = folder.path().join(KEY_CHANGES);
        let mut state = StateDir::open(folder.path()).expect("the lock");
        state.save(3, &json!({}), &[key("a", "1")]).expect("saved");
        state.save_keys(&[key("b", "1")], &[]).expect("saved");
        let old = fs::read(&changes).expect("there");
        state.save(3, &json!({}), &[key("a", "1")]).expect("saved");
        // As if the data plane had died before it removed them.
        fs::write(&changes, &old).expect("written");
        assert_eq!(names(&state.load().expect("readable").expect("there")), [("a", "1")]);

        state.save_keys(&[key("c", "1")], &[]).expect("saved");
        let mut cut = fs::read(&changes).expect("there");
        cut.extend_from_slice(b"{\"generation\":");
        fs::write(&changes, &cut).expect("written");
        assert_eq!(
            names(&state.load().expect("readable").expect("there")),
            [("a", "1"), ("c", "1")]
        );
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_document() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut state = StateDir::open(folder.path()).expect("the lock");
        state.save(1, &json!({}), &[]).expect("saved");
        // A directory in the way of the new file: as good as a full disk.
        fs::create_dir(folder.path().join(LAST_GOOD_NEW)).expect("made");
        state.save(2, &json!({}), &[]).expect_err("refused");
        assert_eq!(state.load().expect("readable").expect("there").revision, 1);
    }

    #[test]
    fn a_damaged_document_is_told_not_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(LAST_GOOD), "{").expect("written");
        let mut state = StateDir::open(folder.path()).expect("the lock");
        assert!(state.load().expect_err("damaged").contains("move it away"));
    }
}
