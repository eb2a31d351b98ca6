//! The side thread that has records written to the disk: it alone waits for that. A shard asks, goes on, and is told.
//! What was asked together is written together, so a slow disk makes groups larger and not the queue.

use std::{io, sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::maker::Told;
use crate::{
    messages::{ShardHandle, ToShard},
    sys::segment::Pages,
};

/// Each shard has at most one ask under way, and a few more as its segments fill.
const ASKS: usize = 1024;
/// Records of so much time are written together, and are what a power cut may take.
pub const GROUP_COMMIT: Duration = Duration::from_millis(50);
/// Between two tries at a disk that refuses.
const RETRY: Duration = Duration::from_millis(500);
/// How long a shard may take to have room for an answer.
const SHARD_PATIENCE: Duration = Duration::from_secs(5);
const SHARD_TRIES: usize = 100;

/// Pages that were written to.
#[derive(Debug)]
pub struct Ask {
    pub shard: u16,
    pub pages: Vec<Pages>,
    /// All records up to this one are in them, or in pages of an earlier ask.
    pub sequence: u64,
    /// Somebody waits.
    pub at_once: bool,
}

/// A disk, or what stands for one.
trait Disk {
    /// Whether all that was written before is on it: what it could not take is told once, and not kept for another time.
    fn sync(&self, pages: &Pages) -> io::Result<()>;
    /// So it has to be written again.
    fn dirty(&self, pages: &Pages) -> io::Result<()>;
}

struct Kernel;

impl Disk for Kernel {
    fn sync(&self, pages: &Pages) -> io::Result<()> {
        pages.sync()
    }

    fn dirty(&self, pages: &Pages) -> io::Result<()> {
        pages.dirty()
    }
}

/// Starts the thread.
pub fn start(shards: Arc<[ShardHandle]>, tell: impl Fn(Told) + Send + 'static) -> Result<Sender<Ask>, String> {
    let (asks, asked) = bounded(ASKS);
    std::thread::Builder::new()
        .name("spool-sync".to_owned())
        .spawn(move || run(&asked, &shards, &Kernel, &tell))
        .map_err(|error| format!("cannot start the thread that syncs usage records: {error}"))?;
    Ok(asks)
}

#[allow(clippy::disallowed_methods)] // A thread of its own: it waits.
fn run(asked: &Receiver<Ask>, shards: &[ShardHandle], disk: &dyn Disk, tell: &dyn Fn(Told)) {
    while let Ok(first) = asked.recv() {
        if !first.at_once {
            std::thread::sleep(GROUP_COMMIT);
        }
        let asks: Vec<Ask> = [first].into_iter().chain(asked.try_iter()).collect();
        let pages: Vec<&Pages> = asks.iter().flat_map(|ask| &ask.pages).collect();
        bring(&pages, disk, tell, &mut || std::thread::sleep(RETRY));
        for ask in asks {
            if let Some(shard) = shards.get(usize::from(ask.shard)) {
                // A shard that never hears of it would wait for ever; one that has ended refuses at once.
                (0..SHARD_TRIES).any(|_| shard.send_within(ToShard::Synced(ask.sequence), SHARD_PATIENCE));
            }
        }
    }
}

/// Goes on until all of it is on the disk. After a refusal nothing is taken for written that the kernel does not write once
/// more: a second msync(2) finds pages clean that never arrived, and answers that all is well.
fn bring(pages: &[&Pages], disk: &dyn Disk, tell: &dyn Fn(Told), pause: &mut dyn FnMut()) {
    let sync = || pages.iter().try_for_each(|pages| disk.sync(pages));
    let Err(error) = sync() else { return };
    tell(Told::Unsynced(format!(
        "usage records cannot be written to the disk: {error}"
    )));
    loop {
        pause();
        let dirtied = pages.iter().try_for_each(|pages| disk.dirty(pages));
        if dirtied.and_then(|()| sync()).is_ok() {
            return tell(Told::Synced);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::sys::segment;

    /// As Linux is: what could not be written is told once, and is clean then.
    struct Failing {
        refuses: Cell<u32>,
        cannot_dirty: Cell<u32>,
        dirty: Cell<bool>,
        on_disk: Cell<bool>,
    }

    impl Disk for Failing {
        fn sync(&self, _: &Pages) -> io::Result<()> {
            if !self.dirty.replace(false) {
                return Ok(());
            }
            if self.refuses.get() > 0 {
                self.refuses.set(self.refuses.get() - 1);
                return Err(io::Error::from_raw_os_error(5));
            }
            self.on_disk.set(true);
            Ok(())
        }

        fn dirty(&self, _: &Pages) -> io::Result<()> {
            if self.cannot_dirty.get() > 0 {
                self.cannot_dirty.set(self.cannot_dirty.get() - 1);
                return Err(io::Error::from_raw_os_error(14));
            }
            self.dirty.set(true);
            Ok(())
        }
    }

    #[test]
    fn what_a_disk_refused_is_durable_only_once_it_was_written_again() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(8192).expect("long enough");
        let (_writer, pages) = segment::map(&file, 8192).expect("mapped");
        for (refuses, cannot_dirty) in [(0, 0), (1, 0), (3, 0), (1, 2)] {
            let disk = Failing {
                refuses: Cell::new(refuses),
                cannot_dirty: Cell::new(cannot_dirty),
                dirty: Cell::new(true),
                on_disk: Cell::new(false),
            };
            let told = RefCell::new(Vec::new());
            bring(&[&pages], &disk, &|news| told.borrow_mut().push(news), &mut || {});
            assert!(disk.on_disk.get(), "{refuses} refusals");
            let told = told.into_inner();
            match refuses {
                0 => assert_eq!(told, []),
                _ => assert!(matches!(told[..], [Told::Unsynced(_), Told::Synced]), "{told:?}"),
            }
        }
    }

    /// The kernel's own: pages that are clean are written again when they are made dirty.
    #[test]
    fn pages_can_be_made_dirty_without_a_change() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(8192).expect("long enough");
        let (mut writer, pages) = segment::map(&file, 8192).expect("mapped");
        writer.publish(64, b"1234567890ab");
        for _ in 0..2 {
            pages.sync().expect("a disk");
            pages.dirty().expect("as a write does");
        }
        let mut read = [0; 12];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, 64).expect("read");
        assert_eq!(&read, b"1234567890ab");
    }
}
