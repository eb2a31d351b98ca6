//! A segment's bytes, read from where the last look ended.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use tollgate_config::usage_event::{HEADER_BYTES, SEGMENT_BYTES, SegmentHeader, SegmentName};

/// What is read at once.
const READ_BYTES: usize = 256 * 1024;

pub struct SegmentFile {
    file: File,
}

impl SegmentFile {
    /// `None` when there is none of this name.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { file })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does its header say what its name says?
    pub fn is_named(&self, name: SegmentName) -> io::Result<bool> {
        let mut header = [0; HEADER_BYTES];
        let read = read_at(&self.file, &mut header, 0)?;
        Ok(header[..read] == SegmentHeader(name).write())
    }

    /// Is there anything at `at`? The cheap question of each look.
    pub fn has_more(&self, at: usize) -> io::Result<bool> {
        let mut word = [0; 4];
        let read = read_at(&self.file, &mut word, at)?;
        Ok(word[..read].iter().any(|byte| *byte != 0))
    }

    /// Fills `bytes` from `at` on, up to `READ_BYTES`. True when the segment's end is in them.
    pub fn read(&self, at: usize, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let wanted = READ_BYTES.min(SEGMENT_BYTES.saturating_sub(at));
        bytes.resize(wanted, 0);
        let read = read_at(&self.file, bytes, at)?;
        bytes.truncate(read);
        Ok(read < wanted || at + read >= SEGMENT_BYTES)
    }

    /// All from `at` on.
    pub fn read_rest(&self, at: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; SEGMENT_BYTES.saturating_sub(at)];
        let read = read_at(&self.file, &mut bytes, at)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn read_at(file: &File, bytes: &mut [u8], at: usize) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], (at + read) as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
