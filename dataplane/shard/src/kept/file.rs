//! One snapshot of one cache as a file: a head that says whose it is, answers each with its length and checksum, and an end
//! that says how many they were. Written beside the one that is there and put in its place when it is whole and on the disk.

#![allow(clippy::disallowed_methods)] // Runs on the snapshots' own thread.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Instant,
};

use tollgate_engine::exact::{
    codec,
    shelf::{Place, Put, Shelf},
};

use crate::shard::clock::Now;

const MAGIC: [u8; 8] = *b"TGKEPT1\n";
/// Where an answer's length would be.
const END: u32 = u32::MAX;
const MAX_HEAD_BYTES: u32 = 4 << 10;
const BUFFER_BYTES: usize = 256 << 10;
/// Names are made otherwise by another, as far as anybody knows.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub answers: u64,
    pub bytes: u64,
}

/// What came of reading one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub answers: u64,
    /// Whose time is over, or that have no room.
    pub left_out: u64,
    /// Why not all of it was read.
    pub stopped: Option<String>,
}

/// Writes it to `new`, which is on the disk then. The error says why it could not be.
pub fn write(new: &Path, shelf: &Shelf, now: Now, goes_on: impl Fn() -> bool) -> io::Result<Written> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(new)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    out.write_all(&MAGIC)?;
    let mut written = Written::default();
    let head = head(shelf, now);
    out.write_all(&(head.len() as u32).to_le_bytes())?;
    out.write_all(&head)?;
    let (mut place, mut some, mut entry) = (Place::default(), Vec::new(), Vec::new());
    let mut more = true;
    while std::mem::take(&mut more) {
        more = shelf.some(&mut place, &mut some);
        if !goes_on() {
            return Err(io::Error::other("it took too long"));
        }
        for kept in some.drain(..) {
            entry.clear();
            if !codec::write(&kept, now.tick, &mut entry) || entry.len() >= END as usize {
                continue;
            }
            out.write_all(&(entry.len() as u32).to_le_bytes())?;
            out.write_all(&entry)?;
            written.answers += 1;
            written.bytes += entry.len() as u64;
        }
        // What one long answer made grow.
        entry.shrink_to(BUFFER_BYTES);
    }
    out.write_all(&END.to_le_bytes())?;
    out.write_all(&written.answers.to_le_bytes())?;
    out.into_inner()?.sync_all()?;
    Ok(written)
}

/// The same for a short text.
pub fn write_text(new: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Puts a whole one in its place.
pub fn replace(new: &Path, old: &Path) -> io::Result<()> {
    fs::rename(new, old)?;
    match old.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn head(shelf: &Shelf, now: Now) -> Vec<u8> {
    let mut head = Vec::new();
    for text in [VERSION, shelf.name()] {
        head.extend_from_slice(&(text.len() as u32).to_le_bytes());
        head.extend_from_slice(text.as_bytes());
    }
    head.extend_from_slice(&shelf.mark().to_le_bytes());
    head.extend_from_slice(&now.unix_ms.to_le_bytes());
    let sum = crc32fast::hash(&head);
    head.extend_from_slice(&sum.to_le_bytes());
    head
}

/// Reads what is there into the cache; `None` where there is no file. What stands before damage is kept.
pub fn load(path: &Path, shelf: &Shelf, now: Now, until: Instant, goes_on: impl Fn() -> bool) -> Option<Loaded> {
    let mut loaded = Loaded::default();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            loaded.stopped = Some(format!("it cannot be read: {error}"));
            return Some(loaded);
        }
    };
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    let purges = shelf.purges();
    let ended = read_head(&mut input, shelf, now).and_then(|since_ns| {
        while let Some(entry) = read_entry(&mut input, shelf, loaded.answers + loaded.left_out)? {
            let kept = codec::read(&entry, shelf.name(), now.tick, since_ns)
                .map_err(|damaged| format!("an answer is damaged: {damaged}"))?;
            match shelf.put(kept, purges) {
                Put::Kept => loaded.answers += 1,
                Put::Over | Put::NoRoom => loaded.left_out += 1,
                Put::Purged => return Err("answers were purged meanwhile".to_owned()),
            }
            if !goes_on() || Instant::now() >= until {
                return Err("it took too long".to_owned());
            }
        }
        Ok(())
    });
    loaded.stopped = ended.err();
    Some(loaded)
}

/// How long ago it was written.
fn read_head(input: &mut impl Read, shelf: &Shelf, now: Now) -> Result<u64, String> {
    let foreign = || "it is no snapshot of a cache".to_owned();
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).map_err(|_| foreign())?;
    let length = u32::from_le_bytes(read_array(input)?);
    if magic != MAGIC || length > MAX_HEAD_BYTES {
        return Err(foreign());
    }
    let head = read_bytes(input, length)?;
    let (said, sum) = head.split_last_chunk::<4>().ok_or_else(foreign)?;
    if crc32fast::hash(said).to_le_bytes() != *sum {
        return Err("its head is damaged".to_owned());
    }
    let mut said = said;
    let version = read_text(&mut said)?;
    let cache = read_text(&mut said)?;
    let mark = u64::from_le_bytes(read_array(&mut said)?);
    let unix_ms = u64::from_le_bytes(read_array(&mut said)?);
    if version != VERSION {
        return Err(format!(
            "version {version} wrote it, and this is {VERSION}, which may name calls otherwise"
        ));
    }
    if cache != **shelf.name() {
        return Err(format!("it is of the cache '{cache}'"));
    }
    if mark != shelf.mark() {
        return Err("its names were made with another key, or by another version".to_owned());
    }
    // A clock that was set back makes nothing younger than it was.
    Ok(now.unix_ms.saturating_sub(unix_ms).saturating_mul(1_000_000))
}

fn read_entry(input: &mut impl Read, shelf: &Shelf, read: u64) -> Result<Option<Vec<u8>>, String> {
    let length = u32::from_le_bytes(read_array(input)?);
    if length == END {
        let count = u64::from_le_bytes(read_array(input)?);
        return match count == read {
            true => Ok(None),
            false => Err(format!("{count} answers were written, and {read} are there")),
        };
    }
    // A cache may have had more room then.
    if u64::from(length) > shelf.max_entry_bytes().max(MOST_ENTRY_BYTES) {
        return Err("an answer's length is damaged".to_owned());
    }
    read_bytes(input, length).map(Some)
}

/// Of a cache that had more room when it was written.
const MOST_ENTRY_BYTES: u64 = 64 << 20;

fn read_text(input: &mut &[u8]) -> Result<String, String> {
    let length = u32::from_le_bytes(read_array(input)?);
    let text = read_bytes(input, length)?;
    String::from_utf8(text).map_err(|_| "its head is damaged".to_owned())
}

fn read_array<const N: usize>(input: &mut impl Read) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(|error| cut(&error))?;
    Ok(bytes)
}

/// Memory is taken as it comes: a length that is damaged takes none.
fn read_bytes(input: &mut impl Read, length: u32) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = input.take(u64::from(length)).read_to_end(&mut bytes);
    match read {
        Ok(read) if read == length as usize => Ok(bytes),
        Ok(_) => Err(cut(&ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(cut(&error)),
    }
}

fn cut(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => format!("it cannot be read: {error}"),
    }
}
