//! Room made of what nobody has read: the oldest segment that nobody writes to any more goes, and what was in it is
//! counted.

#![allow(clippy::disallowed_methods)] // Runs on the side thread: it opens files.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use tollgate_config::usage_event::{HEADER_BYTES, Next, SegmentName, boot_file, next};

/// Removes it, and answers how many records it had; `None` when there is none. `full` tells of this process's own.
pub fn drop_one(folder: &Path, boot: u64, full: &[u32]) -> io::Result<Option<u64>> {
    let mut oldest: Option<(std::time::SystemTime, PathBuf)> = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().and_then(SegmentName::parse) else {
            continue;
        };
        let is_done = match name.boot == boot {
            true => full
                .get(usize::from(name.shard))
                .is_some_and(|full| name.number <= *full),
            false => !lives(folder, name.boot),
        };
        let Some(written) = entry
            .metadata()
            .and_then(|about| about.modified())
            .ok()
            .filter(|_| is_done)
        else {
            continue;
        };
        if oldest.as_ref().is_none_or(|(before, _)| written < *before) {
            oldest = Some((written, entry.path()));
        }
    }
    let Some((_, path)) = oldest else { return Ok(None) };
    let records = records(&fs::read(&path)?);
    fs::remove_file(path)?;
    Ok(Some(records))
}

/// A data plane holds its file's lock as long as it lives.
fn lives(folder: &Path, boot: u64) -> bool {
    File::open(folder.join(boot_file(boot)))
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

fn records(segment: &[u8]) -> u64 {
    let (mut at, mut records) = (HEADER_BYTES, 0);
    while let Next::Record(_, length) | Next::Newer(_, length) = next(segment.get(at..).unwrap_or_default()) {
        at += length;
        records += 1;
    }
    records
}
