//! Reads what a document refers to: environment variables and files. Contents stay in memory and are never told.

#![allow(clippy::disallowed_methods)] // Runs on the control thread.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
};

use tollgate_config::{Problem, document::Reference};
use tollgate_engine::{routing::meaning, snapshot::Secrets};

/// A file larger than this is no secret and no certificate.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Reads every reference, each with the pointer that names it; and a problem for each that cannot be read.
pub fn read(references: &[(Reference, String)]) -> (Secrets, Vec<Problem>) {
    read_bounded(references, MAX_FILE_BYTES)
}

/// The files of embedding models, which are larger.
pub fn read_models(files: &[(Reference, String)]) -> (Secrets, Vec<Problem>) {
    read_bounded(files, meaning::MAX_FILE_BYTES as u64)
}

fn read_bounded(references: &[(Reference, String)], most_bytes: u64) -> (Secrets, Vec<Problem>) {
    let mut secrets = Secrets::new();
    let mut problems = Vec::new();
    for (reference, pointer) in references {
        if secrets.contains_key(reference) {
            continue;
        }
        match content(reference, most_bytes) {
            Ok(content) => {
                secrets.insert(reference.clone(), content);
            }
            Err((wrong, right)) => problems.push(Problem::new(pointer, wrong, right)),
        }
    }
    (secrets, problems)
}

fn content(reference: &Reference, most_bytes: u64) -> Result<Vec<u8>, (String, String)> {
    match reference {
        Reference::Env(name) => {
            let unset = || (format!("environment variable {name} is not set"), set_it(name));
            env::var_os(name).map(OsStringExt::into_vec).ok_or_else(unset)
        }
        Reference::File(path) => bounded(path, most_bytes).map_err(|error| {
            let folder = env::current_dir().unwrap_or_default();
            let right = if path.starts_with('/') {
                "a file the data plane's user can read".to_owned()
            } else {
                format!(
                    "a file the data plane's user can read (relative paths begin at {})",
                    folder.display()
                )
            };
            (format!("file {path} cannot be read: {error}"), right)
        }),
    }
}

fn set_it(name: &str) -> String {
    format!("set {name} where the data plane is started, or refer to file:PATH")
}

fn bounded(path: &str, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most_bytes {
        return Err(io::Error::other(format!("larger than {} MiB", most_bytes >> 20)));
    }
    Ok(content)
}

/// Tells when one of the files was written or replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Watch {
    stamps: BTreeMap<String, Option<Stamp>>,
}

/// Modification time (s, ns), length and inode: a certificate swapped by rename within one clock tick differs too.
type Stamp = (i64, i64, u64, u64);

impl Watch {
    pub fn new(secrets: &Secrets) -> Self {
        let paths = secrets.keys().filter_map(|reference| match reference {
            Reference::File(path) => Some(path.clone()),
            Reference::Env(_) => None,
        });
        Self {
            stamps: paths.map(|path| (path.clone(), stamp(&path))).collect(),
        }
    }

    /// Watches these as well, which may not be there.
    pub fn and(mut self, files: &[(Reference, String)]) -> Self {
        for (reference, _) in files {
            if let Reference::File(path) = reference {
                self.stamps.entry(path.clone()).or_insert_with(|| stamp(path));
            }
        }
        self
    }

    pub fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// True once per change.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, known) in &mut self.stamps {
            let now = stamp(path);
            changed |= now != *known;
            *known = now;
        }
        changed
    }
}

fn stamp(path: &str) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.mtime(), file.mtime_nsec(), file.len(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &std::path::Path) -> Reference {
        Reference::File(path.to_string_lossy().into_owned())
    }

    #[test]
    fn reads_what_there_is_and_names_what_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (there, large) = (folder.path().join("there"), folder.path().join("large"));
        fs::write(&there, "secret\n").expect("written");
        File::create(&large)
            .and_then(|file| file.set_len(MAX_FILE_BYTES + 1))
            .expect("written");
        let absent = Reference::Env("TOLLGATE_TEST_NOT_SET".to_owned());
        let references = [
            (file(&there), "/a".to_owned()),
            (file(&large), "/b".to_owned()),
            (absent, "/c".to_owned()),
        ];
        let (secrets, problems) = read(&references);
        assert_eq!(secrets[&file(&there)], b"secret\n");
        assert_eq!(
            problems
                .iter()
                .map(|problem| problem.pointer.as_str())
                .collect::<Vec<_>>(),
            ["/b", "/c"]
        );
        assert!(problems[1].wrong.contains("TOLLGATE_TEST_NOT_SET"));
    }

    #[test]
    fn a_change_is_told_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pem");
        fs::write(&path, "one").expect("written");
        let (secrets, _) = read(&[(file(&path), String::new())]);
        let mut watch = Watch::new(&secrets);
        assert!(!watch.changed());
        let new = folder.path().join("new");
        fs::write(&new, "two").expect("written");
        fs::rename(&new, &path).expect("renamed");
        assert!(watch.changed());
        assert!(!watch.changed());
        fs::remove_file(&path).expect("removed");
        assert!(watch.changed());
    }
}
