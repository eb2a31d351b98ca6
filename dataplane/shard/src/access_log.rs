//! The access log: one JSON line per request, made on the shard without allocating, written by one side thread that
//! alone may wait for a disk or for whoever reads stderr. What cannot be queued is dropped and counted.

#![allow(clippy::disallowed_methods)] // `writer` runs on its own thread.

mod line;
mod writer;

use std::{
    mem,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use tollgate_config::document::AccessLog;
use tollgate_engine::record::Record;
use tracing_subscriber::fmt::MakeWriter;

use line::Stamp;

/// A shard hands its lines over when it has this many bytes, or has nothing else to do.
const BATCH_BYTES: usize = 32 * 1024;
/// Batches and bytes that wait for the writer, over all shards.
const QUEUED_BATCHES: usize = 4096;
const QUEUED_BYTES: usize = 8 * 1024 * 1024;
/// Emptied buffers a shard gets back.
const SPARE_BUFFERS: usize = 64;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sink {
    Stderr,
    File(Arc<str>),
}

/// Whole lines for one sink.
struct Batch {
    sink: Sink,
    bytes: Vec<u8>,
    lines: u64,
    /// Where the buffer goes when it has been written.
    home: Option<Sender<Vec<u8>>>,
    /// Told when all before it has been written.
    flushed: Option<Sender<()>>,
}

#[derive(Default)]
struct Shared {
    dropped_lines: AtomicU64,
    queued_bytes: AtomicUsize,
    reopen: AtomicBool,
}

/// The way to the writer; one per process, cloned to who needs it.
#[derive(Clone)]
pub struct Handle {
    queue: Sender<Batch>,
    shared: Arc<Shared>,
}

/// Starts the writer thread. Fails when the system gives no thread.
pub fn start() -> Result<Handle, String> {
    let (queue, batches) = bounded(QUEUED_BATCHES);
    let shared = Arc::<Shared>::default();
    let writer = writer::Writer::new(batches, Arc::clone(&shared));
    std::thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || writer.run())
        .map_err(|error| format!("cannot start the log's thread: {error}"))?;
    Ok(Handle { queue, shared })
}

impl Handle {
    /// A shard's own end.
    pub fn log(&self) -> Log {
        let (home, spare) = bounded(SPARE_BUFFERS);
        let sink = Sink::Stderr;
        Log {
            handle: self.clone(),
            sink,
            buffer: Vec::new(),
            lines: 0,
            stamp: Stamp::default(),
            home,
            spare,
        }
    }

    /// Opens files anew: they were rotated away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Relaxed);
        self.flush_within(Duration::ZERO);
    }

    pub fn dropped_lines(&self) -> u64 {
        self.shared.dropped_lines.load(Ordering::Relaxed)
    }

    /// Waits until what was queued is written, for so long at most: the reader may have stopped.
    pub fn flush_within(&self, patience: Duration) {
        let (flushed, done) = bounded(1);
        let batch = Batch {
            sink: Sink::Stderr,
            bytes: Vec::new(),
            lines: 0,
            home: None,
            flushed: Some(flushed),
        };
        if self.queue.try_send(batch).is_ok() && !patience.is_zero() {
            let _ = done.recv_timeout(patience);
        }
    }

    /// Queues a batch or drops it.
    fn put(&self, batch: Batch) {
        let (len, lines) = (batch.bytes.len(), batch.lines);
        let queued = self.shared.queued_bytes.fetch_add(len, Ordering::Relaxed);
        if queued + len > QUEUED_BYTES || self.queue.try_send(batch).is_err() {
            self.shared.queued_bytes.fetch_sub(len, Ordering::Relaxed);
            self.shared.dropped_lines.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

/// A shard's access log.
pub struct Log {
    handle: Handle,
    sink: Sink,
    buffer: Vec<u8>,
    lines: u64,
    stamp: Stamp,
    home: Sender<Vec<u8>>,
    spare: Receiver<Vec<u8>>,
}

impl Log {
    /// Adds the line of a request that has ended, as `setting` says. `unix_ms`: now, by the wall clock.
    pub fn write(&mut self, setting: &AccessLog, unix_ms: u64, client: IpAddr, record: &Record<'_>) {
        match (setting, &self.sink) {
            (AccessLog::Off, _) => return,
            (AccessLog::Stderr, Sink::Stderr) => {}
            (AccessLog::File(path), Sink::File(known)) if path.as_str() == known.as_ref() => {}
            (AccessLog::Stderr, _) => self.switch(Sink::Stderr),
            (AccessLog::File(path), _) => self.switch(Sink::File(path.as_str().into())),
        }
        if self.buffer.capacity() == 0 {
            self.buffer = self.spare.try_recv().unwrap_or_default();
        }
        line::append(&mut self.buffer, self.stamp.at(unix_ms), client, record);
        self.lines += 1;
        if self.buffer.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// The shard has nothing else to do: hands over what there is. Cheap when that is nothing.
    pub fn idle(&mut self) {
        if self.lines > 0 {
            self.flush();
        }
    }

    fn switch(&mut self, sink: Sink) {
        self.idle();
        self.sink = sink;
    }

    fn flush(&mut self) {
        let bytes = mem::take(&mut self.buffer);
        let lines = mem::take(&mut self.lines);
        let home = Some(self.home.clone());
        self.handle.put(Batch {
            sink: self.sink.clone(),
            bytes,
            lines,
            home,
            flushed: None,
        });
    }
}

/// One line of the program's own log; queued when dropped, so that a stopped reader of stderr stops nobody.
pub struct EventLine {
    handle: Handle,
    bytes: Vec<u8>,
}

impl std::io::Write for EventLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for EventLine {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        if !bytes.is_empty() {
            self.handle.put(Batch {
                sink: Sink::Stderr,
                bytes,
                lines: 1,
                home: None,
                flushed: None,
            });
        }
    }
}

impl<'a> MakeWriter<'a> for Handle {
    type Writer = EventLine;

    fn make_writer(&'a self) -> EventLine {
        EventLine {
            handle: self.clone(),
            bytes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
