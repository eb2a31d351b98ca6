//! From the spool into the ledger, exactly once: the place up to which a shard's records are in the ledger is committed
//! with them, and a segment is removed only after that.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use rustix::fs::{FlockOperation, flock};
use tollgate_config::{
    document::Retention,
    usage_event::{HEADER_BYTES, SegmentName, boot_file, boot_of},
};

use super::{
    Counts,
    batch::Batch,
    database::{Database, Place},
    hours, kept_from_ms,
    ledger::Mark,
    moving,
    segment::SegmentFile,
    stream::{Stop, Stream},
};
use crate::store::StoreError;

/// Records of one transaction.
pub const BATCH_RECORDS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the usage spool cannot be read: {0}")]
    Spool(#[from] io::Error),
}

/// Something an operator may want to see happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub kind: &'static str,
    pub text: String,
}

pub struct Ingest {
    folder: PathBuf,
    ledger: Database,
    counts: Arc<Counts>,
    streams: BTreeMap<(u64, u16), Stream>,
    /// The marks as they are in the ledger are to be read before anything is.
    is_stale: bool,
    pub news: Vec<News>,
}

/// What one data plane left or is writing.
#[derive(Debug, Default)]
struct Boot {
    alive: bool,
    /// Numbers of segments by shard, rising.
    segments: BTreeMap<u16, Vec<u32>>,
}

impl Ingest {
    pub fn new(folder: PathBuf, ledger: Database, counts: Arc<Counts>) -> Self {
        Self {
            folder,
            ledger,
            counts,
            streams: BTreeMap::new(),
            is_stale: true,
            news: Vec::new(),
        }
    }

    pub fn place(&self) -> &Place {
        &self.ledger.place
    }

    /// The ledger is elsewhere from now on: what is read of the spool, and calls that are open, go there with it.
    pub fn turn_to(&mut self, place: &Place) -> Result<(), StoreError> {
        if self.ledger.place == *place {
            return Ok(());
        }
        let mut other = Database::of(place.clone());
        moving::carry(&mut self.ledger, &mut other)?;
        self.ledger = other;
        self.is_stale = true;
        Ok(())
    }

    /// Takes in all there is. A shard whose spool cannot be read does not hold up the others.
    pub fn pass(&mut self) -> Result<(), IngestError> {
        let passed = self.refresh().map_err(IngestError::from).and_then(|()| self.pass_on());
        // What failed may have been committed all the same.
        self.is_stale |= matches!(passed, Err(IngestError::Store(_))) && self.ledger.is_shared();
        passed
    }

    /// Reads the marks as they are in the ledger.
    fn refresh(&mut self) -> Result<(), StoreError> {
        if self.is_stale {
            let streams = self
                .ledger
                .marks()?
                .into_iter()
                .map(|((boot, shard), mark)| ((boot, shard), Stream::at(boot, shard, mark)));
            self.streams = streams.collect();
            self.is_stale = false;
        }
        Ok(())
    }

    fn pass_on(&mut self) -> Result<(), IngestError> {
        let boots = self.list()?;
        let mut outcome = Ok(());
        let mut newer = 0;
        for (boot, found) in &boots {
            let mut whole = true;
            for (shard, numbers) in &found.segments {
                match self.follow((*boot, *shard), numbers, found.alive) {
                    Ok(Stop::Newer) => (whole, newer) = (false, newer + 1),
                    Ok(Stop::Goes | Stop::Waits) => {}
                    // A ledger that is away is so for all.
                    Err(error @ IngestError::Store(_)) if self.ledger.is_shared() => return Err(error),
                    Err(error) => (whole, outcome) = (false, Err(error)),
                }
            }
            if whole
                && !found.alive
                && let Err(error) = self.end(*boot, found)
            {
                outcome = Err(error);
            }
        }
        self.counts.newer.store(newer, Ordering::Relaxed);
        self.forget_boots(&boots)?;
        outcome
    }

    /// Whether a data plane lives is asked before its segments are listed: what ended one wrote is then all there.
    fn list(&self) -> io::Result<BTreeMap<u64, Boot>> {
        let mut boots = BTreeMap::<u64, Boot>::new();
        for name in self.names()? {
            if let Some(boot) = boot_of(&name) {
                boots.entry(boot).or_default().alive = self.lives(boot)?;
            }
        }
        for name in self.names()? {
            let Some(SegmentName { boot, shard, number }) = SegmentName::parse(&name) else {
                continue;
            };
            // One that began meanwhile is for the next look.
            if let Some(known) = boots.get_mut(&boot) {
                known.segments.entry(shard).or_default().push(number);
            } else if !self.folder.join(boot_file(boot)).exists() {
                boots
                    .entry(boot)
                    .or_default()
                    .segments
                    .entry(shard)
                    .or_default()
                    .push(number);
            }
        }
        let lists = boots.values_mut().flat_map(|boot| boot.segments.values_mut());
        lists.for_each(|numbers| numbers.sort_unstable());
        Ok(boots)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            // No data plane has made it yet.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        names.collect()
    }

    /// It holds its file's lock as long as it does.
    fn lives(&self, boot: u64) -> io::Result<bool> {
        match File::open(self.folder.join(boot_file(boot))) {
            Ok(file) => Ok(flock(&file, FlockOperation::NonBlockingLockShared).is_err()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a shard's segments as far as they go.
    fn follow(&mut self, of: (u64, u16), numbers: &[u32], alive: bool) -> Result<Stop, IngestError> {
        let first = numbers.first().copied().unwrap_or(1);
        let mut stream = self.streams.remove(&of).unwrap_or_else(|| {
            let mark = Mark {
                segment: first,
                at: HEADER_BYTES,
                next_sequence: 1,
                last_ms: 0,
            };
            Stream::at(of.0, of.1, mark)
        });
        let followed = self.follow_stream(&mut stream, numbers, alive);
        self.streams.insert(of, stream);
        followed
    }

    fn follow_stream(&mut self, stream: &mut Stream, numbers: &[u32], alive: bool) -> Result<Stop, IngestError> {
        self.remove(stream, numbers, 0)?;
        loop {
            let before = stream.mark.segment;
            let folder = &self.folder;
            let Some(first) = turn(folder, stream, numbers, alive)? else {
                return Ok(Stop::Waits);
            };
            let mut batch = Batch::begin(&mut self.ledger, BATCH_RECORDS)?;
            let mut ahead = stream.clone();
            let mut stop = ahead.read(&first.file, first.over, &mut batch)?;
            // A transaction costs the same whatever is in it, so it goes on as long as it has room. What cannot be read is met
            // again as the first of the next one.
            while stop == Stop::Goes
                && !batch.is_full()
                && let Ok(Some(next)) = turn(folder, &mut ahead, numbers, alive)
            {
                stop = match ahead.read(&next.file, next.over, &mut batch) {
                    Err(IngestError::Spool(_)) => break,
                    read => read?,
                };
            }
            let done = batch.commit(ahead.boot, ahead.shard, (ahead.committed, ahead.mark))?;
            ahead.committed = ahead.mark;
            *stream = ahead;
            let counts = &self.counts;
            counts.ingested.fetch_add(done.ingested, Ordering::Relaxed);
            counts.crashed.fetch_add(done.crashed, Ordering::Relaxed);
            counts.damaged.fetch_add(done.damaged, Ordering::Relaxed);
            counts.missing.fetch_add(done.missing, Ordering::Relaxed);
            self.news.extend(done.news);
            self.remove(stream, numbers, before)?;
            if stop != Stop::Goes {
                return Ok(stop);
            }
        }
    }

    fn path(&self, name: SegmentName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    /// Removes segments from `first` on that are in the ledger.
    fn remove(&self, stream: &Stream, numbers: &[u32], first: u32) -> io::Result<()> {
        for number in numbers
            .iter()
            .filter(|number| (first..stream.mark.segment).contains(number))
        {
            let name = SegmentName {
                number: *number,
                ..stream.name()
            };
            remove(&self.path(name))?;
        }
        Ok(())
    }

    /// A data plane has ended and its records are all in: calls it left open have crashed.
    fn end(&mut self, boot: u64, found: &Boot) -> Result<(), IngestError> {
        self.close_orphans(boot)?;
        for (shard, numbers) in &found.segments {
            for number in numbers {
                let (shard, number) = (*shard, *number);
                remove(&self.path(SegmentName { boot, shard, number }))?;
            }
        }
        remove(&self.folder.join(boot_file(boot)))?;
        Ok(())
    }

    fn close_orphans(&mut self, boot: u64) -> Result<(), IngestError> {
        for ((_, shard), stream) in self.streams.range_mut((boot, 0)..=(boot, u16::MAX)) {
            loop {
                let mut batch = Batch::begin(&mut self.ledger, BATCH_RECORDS)?;
                let more = batch.close_orphans(boot, *shard, stream.mark.last_ms)?;
                let done = batch.commit(boot, *shard, (stream.committed, stream.mark))?;
                stream.committed = stream.mark;
                self.counts.crashed.fetch_add(done.crashed, Ordering::Relaxed);
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Forgets what is older than it is kept.
    pub fn forget(&mut self, retention: &Retention, now_ms: u64) -> Result<(), IngestError> {
        let calls_from_ms = kept_from_ms(retention, now_ms);
        self.ledger.forget_calls(calls_from_ms, now_ms)?;
        if let Some(hours_ms) = retention.hours_ms {
            hours::forget(&mut self.ledger, now_ms.saturating_sub(hours_ms))?;
        }
        self.ledger.forget_names()?;
        Ok(())
    }

    /// Boots of which no file is left.
    fn forget_boots(&mut self, boots: &BTreeMap<u64, Boot>) -> Result<(), IngestError> {
        let gone = self.streams.keys().map(|(boot, _)| *boot);
        let mut gone: Vec<u64> = gone.filter(|boot| !boots.contains_key(boot)).collect();
        gone.dedup();
        for boot in gone {
            self.close_orphans(boot)?;
            self.ledger.forget_boot(boot)?;
            self.streams.retain(|(known, _), _| *known != boot);
        }
        Ok(())
    }
}

/// A segment that has something to read.
struct Turn {
    file: SegmentFile,
    /// Nobody writes to it any more.
    over: bool,
}

/// The segment whose turn it is.
fn turn(folder: &Path, stream: &mut Stream, numbers: &[u32], alive: bool) -> io::Result<Option<Turn>> {
    stream.skip_missing(numbers);
    let open = |name: SegmentName| SegmentFile::open(&folder.join(name.to_string()));
    let Some(file) = open(stream.name())? else {
        return Ok(None);
    };
    // A segment that has records was begun after the one before it was full.
    let next_has_records = || match open(stream.next_name())? {
        Some(next) => next.has_more(HEADER_BYTES),
        None => Ok(false),
    };
    let over = !alive || next_has_records()?;
    Ok((over || file.has_more(stream.mark.at)?).then_some(Turn { file, over }))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
impl Ingest {
    pub fn counts_missing(&self) -> u64 {
        self.counts.missing.load(Ordering::Relaxed)
    }
}
