//! The thread that writes: it may wait for a disk or a reader for ever without anybody else noticing.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, TryRecvError};
use rustix::event::{PollFd, PollFlags};

use super::{Batch, Shared, Sink};

/// Between two looks at the queue while lines keep coming. Nobody waits on the queue meanwhile, so putting a batch
/// into it costs a shard no system call.
const POLL: Duration = Duration::from_millis(20);
/// Looks in vain before the thread sleeps until it is woken.
const POLLS_IN_VAIN: u32 = 50;
/// A file that could not be opened is tried again after this.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

pub struct Writer {
    batches: Receiver<Batch>,
    shared: Arc<Shared>,
    files: BTreeMap<Arc<str>, Target>,
}

enum Target {
    Open {
        file: File,
        /// The last write ended within a line.
        torn: bool,
    },
    Failed {
        at: Instant,
    },
}

impl Writer {
    pub fn new(batches: Receiver<Batch>, shared: Arc<Shared>) -> Self {
        Self {
            batches,
            shared,
            files: BTreeMap::new(),
        }
    }

    /// Writes until every sender has gone.
    pub fn run(mut self) {
        let mut in_vain = 0;
        loop {
            match self.batches.try_recv() {
                Ok(batch) => {
                    in_vain = 0;
                    self.take(batch);
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) if in_vain < POLLS_IN_VAIN => {
                    in_vain += 1;
                    thread::sleep(POLL);
                }
                Err(TryRecvError::Empty) => match self.batches.recv() {
                    Ok(batch) => {
                        in_vain = 0;
                        self.take(batch);
                    }
                    Err(_) => return,
                },
            }
        }
    }

    fn take(&mut self, mut batch: Batch) {
        if self.shared.reopen.swap(false, Ordering::Relaxed) {
            self.files.clear();
        }
        let len = batch.bytes.len();
        if len > 0 && self.write(&batch).is_err() {
            self.shared.dropped_lines.fetch_add(batch.lines, Ordering::Relaxed);
        }
        self.shared.queued_bytes.fetch_sub(len, Ordering::Relaxed);
        if let Some(home) = &batch.home {
            batch.bytes.clear();
            let _ = home.try_send(batch.bytes);
        }
        if let Some(flushed) = &batch.flushed {
            let _ = flushed.try_send(());
        }
    }

    /// An error when not all of the batch was written.
    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let path = match &batch.sink {
            Sink::Stderr => return write_waiting(&io::stderr(), &batch.bytes),
            Sink::File(path) => path,
        };
        let target = self.files.entry(Arc::clone(path)).or_insert_with(|| open(path));
        if let Target::Failed { at } = target {
            if at.elapsed() < OPEN_AGAIN {
                return Err(io::ErrorKind::NotFound.into());
            }
            *target = open(path);
        }
        let Target::Open { file, torn } = target else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if *torn {
            // What there was of the torn line stays, as a line of its own.
            file.write_all(b"\n")?;
        }
        let written = file.write_all(&batch.bytes);
        *torn = written.is_err();
        written
    }
}

fn open(path: &str) -> Target {
    match OpenOptions::new().append(true).create(true).mode(0o640).open(path) {
        Ok(file) => Target::Open { file, torn: false },
        Err(error) => {
            // Through the queue this thread empties: it does not wait here.
            tracing::error!(path, %error, "cannot open the access log; its lines are dropped and counted");
            Target::Failed { at: Instant::now() }
        }
    }
}

/// Writes all. Somebody may have made stderr non-blocking: then waits for it here, as a blocking one would.
fn write_waiting(sink: &impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(sink, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                rustix::event::poll(&mut [PollFd::new(sink, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
