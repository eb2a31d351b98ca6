//! The side thread that makes segments ahead of the shards: it alone waits for the disk. What it cannot make is tried
//! again until it can.

#![allow(clippy::disallowed_methods)] // A thread of its own: it opens files.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, fstatvfs};
use tollgate_config::{
    document::{OnFull, UsageKeeping},
    usage_event::{SEGMENT_BYTES, SPOOL_FOLDER, SegmentHeader, SegmentName, boot_file},
};

use super::{Segment, oldest, sync};
use crate::{
    messages::{ShardHandle, ToShard},
    sys::segment::{self, Pages, Writer},
};

/// What waits for the thread, over all shards.
const ASKS: usize = 1024;
/// Between two tries to make a segment that the disk refused.
const RETRY: Duration = Duration::from_millis(500);
/// How long a shard may take to have room for a segment.
const SHARD_PATIENCE: Duration = Duration::from_secs(5);
/// Segments that make room for one.
const DROPPED_AT_ONCE: usize = 64;
/// So much of the disk is left to others, or on a small one this part of it.
const FREE_BYTES: u64 = 64 * 1024 * 1024;
const FREE_SHARE: u64 = 20;

/// What a shard asks.
#[derive(Debug)]
pub enum Ask {
    /// A segment more.
    Segment(u16),
    /// These are written soon.
    Populate(Pages),
    /// This one of a shard is full.
    Unmap(u16, u32, Writer),
}

/// News for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// No segment can be made; calls are refused once those that are there are full.
    Full(String),
    /// The disk refuses to take records for good.
    Unsynced(String),
    /// It takes them again, and those that it had refused.
    Synced,
    /// Records that nobody has read made room.
    Overwritten(u64),
    /// Segments can be made again.
    Well,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Handle {
    boot: u64,
    asks: Sender<Ask>,
    syncs: Sender<sync::Ask>,
    bounds: Arc<Bounds>,
}

/// What the document says, for the thread.
#[derive(Debug)]
struct Bounds {
    max_segments: AtomicUsize,
    drops_oldest: AtomicBool,
}

impl Default for Bounds {
    fn default() -> Self {
        let bounds = Self {
            max_segments: AtomicUsize::new(0),
            drops_oldest: AtomicBool::new(false),
        };
        bounds.keep(&UsageKeeping::default());
        bounds
    }
}

impl Bounds {
    fn keep(&self, keeping: &UsageKeeping) {
        let segments = keeping.max_spool_bytes / SEGMENT_BYTES as u64;
        let segments = usize::try_from(segments).unwrap_or(usize::MAX);
        self.max_segments.store(segments, Ordering::Relaxed);
        self.drops_oldest
            .store(keeping.on_full == OnFull::DropOldest, Ordering::Relaxed);
    }
}

impl Handle {
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Never waits. False when the thread is too far behind.
    pub fn ask(&self, ask: Ask) -> bool {
        self.asks.try_send(ask).is_ok()
    }

    /// Never waits either; gives the pages back when the thread is too far behind.
    pub fn sync(&self, ask: sync::Ask) -> Result<(), Vec<Pages>> {
        self.syncs.try_send(ask).map_err(|error| error.into_inner().pages)
    }

    pub fn keep(&self, keeping: &UsageKeeping) {
        self.bounds.keep(keeping);
    }

    #[cfg(test)]
    pub fn detached(boot: u64) -> (Self, Receiver<Ask>, Receiver<sync::Ask>) {
        let ((asks, asked), (syncs, synced)) = (bounded(ASKS), bounded(ASKS));
        let bounds = Arc::default();
        let handle = Self {
            boot,
            asks,
            syncs,
            bounds,
        };
        (handle, asked, synced)
    }
}

/// Starts the thread, and makes the first segment of each shard. A disk that refuses them stops no start: calls are then
/// refused until it takes them. `boot` names this process.
pub fn start(
    state_dir: &Path,
    boot: u64,
    shards: Arc<[ShardHandle]>,
    tell: impl Fn(Told) + Clone + Send + 'static,
) -> Result<(Handle, Vec<Vec<Segment>>), String> {
    let (asks, asked) = bounded(ASKS);
    let bounds = Arc::<Bounds>::default();
    let syncs = sync::start(Arc::clone(&shards), tell.clone())?;
    let mut maker = Maker::new(state_dir.join(SPOOL_FOLDER), boot, shards.len());
    maker.bounds = Arc::clone(&bounds);
    let mut first = Vec::new();
    let mut refused = None;
    for shard in 0..shards.len() {
        let made = maker.make(shard as u16);
        first.push(made.map_err(|error| refused = Some(error)).into_iter().collect());
    }
    let run = move || {
        if let Some(error) = &refused {
            tell(maker.full(error));
        }
        maker.run(&asked, &shards, refused.is_some(), &tell);
    };
    std::thread::Builder::new()
        .name("spool".to_owned())
        .spawn(run)
        .map_err(|error| format!("cannot start the usage spool's thread: {error}"))?;
    let handle = Handle {
        boot,
        asks,
        syncs,
        bounds,
    };
    Ok((handle, first))
}

pub(super) struct Maker {
    folder: PathBuf,
    boot: u64,
    /// The number of each shard's next segment.
    numbers: Vec<u32>,
    /// Locked as long as the process lives: so others know that it does.
    alive: Option<File>,
    /// Segments in the folder when they were last counted, and those made since.
    counted: usize,
    bounds: Arc<Bounds>,
    /// Up to which number each shard's are full.
    full: Vec<u32>,
    /// Records that were removed, and that no segment has told of yet: room comes later than they go, where somebody still
    /// reads or writes what was removed.
    overwritten: u64,
}

impl Maker {
    pub(super) fn new(folder: PathBuf, boot: u64, shards: usize) -> Self {
        Self {
            folder,
            boot,
            numbers: vec![1; shards],
            alive: None,
            counted: usize::MAX,
            bounds: Arc::default(),
            full: vec![0; shards],
            overwritten: 0,
        }
    }

    fn run(&mut self, asked: &Receiver<Ask>, shards: &[ShardHandle], mut refused: bool, tell: &dyn Fn(Told)) {
        let mut wanted = VecDeque::new();
        loop {
            let ask = match wanted.is_empty() {
                true => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => asked.recv_timeout(RETRY),
            };
            match ask {
                Ok(Ask::Segment(shard)) => wanted.push_back(shard),
                Ok(Ask::Populate(pages)) => pages.populate(),
                Ok(Ask::Unmap(shard, number, writer)) => {
                    drop(writer);
                    self.note_full(shard, number);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Some(&shard) = wanted.front() {
                match self.make_or_overwrite(shard) {
                    Ok(segment) => {
                        wanted.pop_front();
                        if segment.overwritten > 0 {
                            tell(Told::Overwritten(segment.overwritten));
                        }
                        if let Some(handle) = shards.get(usize::from(shard)) {
                            handle.send_within(ToShard::Segment(segment), SHARD_PATIENCE);
                        }
                        if std::mem::take(&mut refused) {
                            tell(Told::Well);
                        }
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut refused, true) {
                            tell(self.full(&error));
                        }
                        break;
                    }
                }
            }
        }
    }

    fn full(&self, error: &io::Error) -> Told {
        Told::Full(format!(
            "{} takes no further records: {error}; model calls are refused (503) once the room that is left is used. \
             Make room on the disk, or start the control plane that reads them",
            self.folder.display()
        ))
    }

    pub(super) fn note_full(&mut self, shard: u16, number: u32) {
        if let Some(full) = self.full.get_mut(usize::from(shard)) {
            *full = number.max(*full);
        }
    }

    #[cfg(test)]
    pub(super) fn keep(&self, keeping: &UsageKeeping) {
        self.bounds.keep(keeping);
    }

    /// Where the document says so, the oldest records make room.
    pub(super) fn make_or_overwrite(&mut self, shard: u16) -> io::Result<Segment> {
        let mut made = self.make(shard);
        for _ in 0..DROPPED_AT_ONCE {
            if made.is_ok() || !self.bounds.drops_oldest.load(Ordering::Relaxed) {
                break;
            }
            let Some(records) = oldest::drop_one(&self.folder, self.boot, &self.full)? else {
                break;
            };
            self.overwritten += records;
            self.counted = usize::MAX;
            made = self.make(shard);
        }
        made.map(|segment| Segment {
            overwritten: std::mem::take(&mut self.overwritten),
            ..segment
        })
    }

    pub(super) fn make(&mut self, shard: u16) -> io::Result<Segment> {
        self.prepare_folder()?;
        self.check_bounds()?;
        let number = self.numbers[usize::from(shard)];
        let name = SegmentName {
            boot: self.boot,
            shard,
            number,
        };
        let path = self.folder.join(name.to_string());
        let made = make_file(&path, &SegmentHeader(name).write());
        if made.is_err() {
            // On a full disk the space is wanted back.
            let _ = fs::remove_file(&path);
        }
        let (writer, pages) = made?;
        // Or a power cut could take the file, though not what is in it.
        File::open(&self.folder)?.sync_all()?;
        self.numbers[usize::from(shard)] += 1;
        self.counted += 1;
        Ok(Segment {
            writer,
            number,
            overwritten: 0,
            pages: Some(pages),
        })
    }

    /// The folder, and in it the file that says that this process lives, before there is any segment of it.
    fn prepare_folder(&mut self) -> io::Result<()> {
        if self.alive.is_some() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut new = OpenOptions::new();
        let path = self.folder.join(boot_file(self.boot));
        // Under another name until it is locked: an unlocked one is that of a process that has ended.
        let unlocked = path.with_extension("new");
        let file = new
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&unlocked)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(unlocked, path)?;
        self.alive = Some(file);
        Ok(())
    }

    fn check_bounds(&mut self) -> io::Result<()> {
        let most = self.bounds.max_segments.load(Ordering::Relaxed);
        if self.counted >= most {
            self.counted = fs::read_dir(&self.folder)?.count();
        }
        if self.counted >= most {
            let text = format!("{most} segments of 1 MiB wait to be read, as many as `usage.max_spool` allows");
            return Err(io::Error::new(ErrorKind::StorageFull, text));
        }
        if let Some(alive) = &self.alive {
            let disk = fstatvfs(alive)?;
            let share_bytes = disk.f_blocks.saturating_mul(disk.f_frsize) / FREE_SHARE;
            let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free_bytes < share_bytes.min(FREE_BYTES) {
                let text = format!("only {free_bytes} bytes of its disk are free");
                return Err(io::Error::new(ErrorKind::StorageFull, text));
            }
        }
        Ok(())
    }
}

fn make_file(path: &Path, header: &[u8]) -> io::Result<(Writer, Pages)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, SEGMENT_BYTES as u64) {
        Ok(()) => {}
        // A file system without it gets zeros: a page that finds no room when it is written would kill the process.
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = vec![0; SEGMENT_BYTES];
            file.write_all(&zeros)?;
        }
        Err(error) => return Err(error.into()),
    }
    std::os::unix::fs::FileExt::write_all_at(&file, header, 0)?;
    segment::map(&file, SEGMENT_BYTES)
}
