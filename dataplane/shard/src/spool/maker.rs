//! The side thread that makes segments ahead of the shards: it alone waits for the disk. What it cannot make is tried
//! again until it can.

#![allow(clippy::disallowed_methods)] // A thread of its own: it opens files.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, fstatvfs};
use tollgate_config::usage_event::{SEGMENT_BYTES, SPOOL_FOLDER, SegmentHeader, SegmentName, boot_file};

use super::Segment;
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
/// Segments of the whole spool: 16 GiB, some ten million calls that no control plane has read.
const MAX_SEGMENTS: usize = 16 * 1024;
/// This part of the disk is left to others.
const FREE_SHARE: u64 = 20;

/// What a shard asks.
#[derive(Debug)]
pub enum Ask {
    /// A segment more.
    Segment(u16),
    /// These are written soon.
    Populate(Pages),
    /// This one is full.
    Unmap(Writer),
}

/// News for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// No segment can be made; calls are refused once those that are there are full.
    Full(String),
    /// They can again.
    Well,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Handle {
    boot: u64,
    asks: Sender<Ask>,
}

impl Handle {
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Never waits. False when the thread is too far behind.
    pub fn ask(&self, ask: Ask) -> bool {
        self.asks.try_send(ask).is_ok()
    }

    #[cfg(test)]
    pub fn detached(boot: u64) -> (Self, Receiver<Ask>) {
        let (asks, asked) = bounded(ASKS);
        (Self { boot, asks }, asked)
    }
}

/// Starts the thread, and makes the first segment of each shard. A disk that refuses them stops no start: calls are then
/// refused until it takes them. `boot` names this process.
pub fn start(
    state_dir: &Path,
    boot: u64,
    shards: Arc<[ShardHandle]>,
    tell: impl Fn(Told) + Send + 'static,
) -> Result<(Handle, Vec<Vec<Segment>>), String> {
    let (asks, asked) = bounded(ASKS);
    let mut maker = Maker::new(state_dir.join(SPOOL_FOLDER), boot, shards.len());
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
    Ok((Handle { boot, asks }, first))
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
}

impl Maker {
    pub(super) fn new(folder: PathBuf, boot: u64, shards: usize) -> Self {
        Self {
            folder,
            boot,
            numbers: vec![1; shards],
            alive: None,
            counted: MAX_SEGMENTS,
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
                Ok(Ask::Unmap(writer)) => drop(writer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Some(&shard) = wanted.front() {
                match self.make(shard) {
                    Ok(segment) => {
                        wanted.pop_front();
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
        self.numbers[usize::from(shard)] += 1;
        self.counted += 1;
        Ok(Segment {
            writer,
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
        if self.counted >= MAX_SEGMENTS {
            self.counted = fs::read_dir(&self.folder)?.count();
        }
        if self.counted >= MAX_SEGMENTS {
            let text = format!("{MAX_SEGMENTS} segments wait to be read, the most there may be");
            return Err(io::Error::new(ErrorKind::StorageFull, text));
        }
        if let Some(alive) = &self.alive {
            let disk = fstatvfs(alive)?;
            if disk.f_bavail * disk.f_frsize < disk.f_blocks * disk.f_frsize / FREE_SHARE {
                let text = format!("less than one part in {FREE_SHARE} of its disk is free");
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
