//! What caches share with other nodes: a store (Valkey, Redis) that each cache's two threads speak with, one that asks it for
//! answers and one that puts them there. Shards reach them by bounded queues and never wait; a call waits on its timer.

#![allow(clippy::disallowed_methods)] // All but `Asker` runs on the control thread or on those.

mod generation;
mod past;
mod reader;
mod sealer;
mod shared;
mod way;
mod writer;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tollgate_engine::exact::{Offer, Patience, Question, Tier};

use crate::{cluster::Store, kept, messages::ShardHandle};
use generation::Signer;
use past::Past;
use reader::{Ask, Reader};
use sealer::{Sealer, Unreadable};
pub use shared::Here;
use shared::{Counts, Shared, count};
pub use way::Setup;
use writer::{Rest, Wish, Writer};

/// Calls that wait to be asked for; more are misses.
const ASKS: usize = 1_024;
/// Answers that wait to be stored; more are not.
const OFFERS: usize = 256;
/// Purges that wait: there is one control thread.
const WISHES: usize = 4;
/// Below the state directory: which generation each cache is known to be of.
const FOLDER: &str = "second";
const ENDING: &str = ".generation";
/// How long a purge waits for the store to be told.
const PURGE_PATIENCE: Duration = Duration::from_secs(3);

/// What operators are told.
#[derive(Clone, Debug)]
pub struct Told {
    pub event: &'static str,
    pub text: String,
}

/// The second tiers of a revision, by cache.
#[derive(Debug, Default)]
pub struct Tiers(BTreeMap<Arc<str>, Handle>);

/// The way to one cache's threads. They end with the last of these.
#[derive(Clone)]
struct Handle {
    asks: Sender<Ask>,
    offers: Sender<Offer>,
    wishes: Sender<Wish>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({})", self.shared.cache)
    }
}

/// As a shard has them.
#[derive(Debug)]
pub struct Asker {
    pub shard: u16,
    pub tiers: Arc<Tiers>,
}

impl Asker {
    fn of(&self, cache: &str) -> Option<&Handle> {
        self.tiers.0.get(cache)
    }
}

impl Tier for Asker {
    fn forgotten(&self, cache: &str) -> u64 {
        self.of(cache).map_or(0, |handle| handle.shared.past.forgotten())
    }

    fn ask(&self, question: Question) -> bool {
        let Some(handle) = self.of(&question.cache) else {
            return false;
        };
        let shard = self.shard;
        let asks = handle.shared.is_up() && handle.asks.try_send(Ask::new(shard, question)).is_ok();
        if !asks {
            count(&handle.shared.counts.skipped);
        }
        asks
    }

    fn late(&self, cache: &str, waited: Patience) {
        if let Some(handle) = self.of(cache) {
            handle.shared.late(waited);
        }
    }

    fn offer(&self, offer: Offer) {
        let Some(handle) = self.of(&offer.cache) else { return };
        let is_taken = handle.shared.is_up() && handle.offers.try_send(offer).is_ok();
        if !is_taken {
            count(&handle.shared.counts.dropped);
        }
    }
}

/// All that second tiers are made with.
pub struct Room {
    state_dir: PathBuf,
    here: Here,
    shards: Arc<[ShardHandle]>,
    tell: Arc<dyn Fn(Told) + Send + Sync>,
    running: BTreeMap<Arc<str>, (Setup, Handle)>,
    /// Of all that ever ran.
    counts: BTreeMap<Arc<str>, Arc<Counts>>,
    /// And what is known of them, by where it is written: a tier that is set up otherwise goes on with it.
    pasts: BTreeMap<PathBuf, Arc<Past>>,
}

/// A purge on its way to the store.
pub struct Purging(Vec<(Arc<str>, Written, Result<Done, String>)>);

/// What came of writing one down.
type Written = Result<(), String>;

/// What came of telling one.
type Done = Receiver<Result<(), String>>;

impl Room {
    pub fn new(
        state_dir: PathBuf,
        here: Here,
        shards: Arc<[ShardHandle]>,
        tell: impl Fn(Told) + Send + Sync + 'static,
    ) -> Self {
        Self {
            state_dir,
            here,
            shards,
            tell: Arc::new(tell),
            running: BTreeMap::new(),
            counts: BTreeMap::new(),
            pasts: BTreeMap::new(),
        }
    }

    /// From now on these caches have a second tier. What is as it was goes on; the error says what could not be begun.
    pub fn plan(&mut self, setups: &[Setup]) -> Result<Arc<Tiers>, String> {
        self.running
            .retain(|_, (running, _)| setups.iter().any(|setup| setup == running));
        let mut failed = Ok(());
        for setup in setups {
            if !self.running.contains_key(&setup.cache) {
                match self.start(setup) {
                    Ok(handle) => _ = self.running.insert(Arc::clone(&setup.cache), (setup.clone(), handle)),
                    Err(why) => failed = Err(format!("the second tier of the cache '{}': {why}", setup.cache)),
                }
            }
        }
        let handles = self.running.iter();
        let tiers = handles.map(|(cache, (_, handle))| (Arc::clone(cache), handle.clone()));
        failed.map(|()| Arc::new(Tiers(tiers.collect())))
    }

    fn start(&mut self, setup: &Setup) -> Result<Handle, String> {
        let counts = Arc::clone(self.counts.entry(Arc::clone(&setup.cache)).or_default());
        let prefix = format!("{}:{}", setup.way.prefix, kept::file_name(&setup.cache, ""));
        let keys = setup.keys().ok_or("its secret is too long")?;
        let signer = Signer::new(&keys.signing, prefix.clone());
        let past = self.past(setup, &signer.fingerprint());
        let made = (Sealer::new(&keys), signer);
        let shared = Shared::new(&setup.cache, made, counts, (self.here.clone(), past), setup.patience());
        let shared = Arc::new(shared);
        let (asks, asked) = bounded(ASKS);
        let (offers, offered) = bounded(OFFERS);
        let (wishes, wished) = bounded(WISHES);
        let (wake, woken) = bounded(1);
        let tell = Arc::clone(&self.tell);
        let writer = Writer {
            shared: Arc::clone(&shared),
            store: Store::new(setup.way.clone()),
            timeout: setup.way.timeout,
            prefix: prefix.clone(),
            tell: Box::new(move |told| tell(told)),
            is_ill: false,
            forged: shared.counts.forged.load(Ordering::Relaxed),
            rest: Rest::default(),
        };
        let reader = Reader {
            shared: Arc::clone(&shared),
            store: Store::new(setup.way.clone()),
            timeout: setup.way.timeout,
            shards: Arc::clone(&self.shards),
            prefix,
            wake,
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
            spawned.map_err(|error| format!("cannot start its thread: {error}"))
        };
        spawn("second-write", Box::new(move || writer.run(&offered, wished, woken)))?;
        spawn("second-read", Box::new(move || reader.run(&asked)))?;
        Ok(Handle {
            asks,
            offers,
            wishes,
            shared,
        })
    }

    /// Generations of another place or of another secret are others.
    fn past(&mut self, setup: &Setup, fingerprint: &str) -> Arc<Past> {
        let of = kept::file_name(&format!("{} {}", setup.cache, setup.way.prefix), "");
        let path = self.state_dir.join(FOLDER).join(format!("{of}-{fingerprint}{ENDING}"));
        // What is counted of one means nothing to another.
        let count_from = (self.pasts.len() as u64 + 1) << 32;
        let past = self.pasts.entry(path.clone());
        Arc::clone(past.or_insert_with(|| Arc::new(Past::read(path, count_from))))
    }

    /// Answers are about to be purged, of this cache or of all: from now on nothing that was stored before is taken from a store.
    pub fn begin_purge(&self, cache: Option<&str>) -> Purging {
        let named = self
            .running
            .values()
            .filter(|(setup, _)| cache.is_none_or(|cache| cache == &*setup.cache));
        let begun = named.map(|(setup, handle)| {
            // Where it cannot be written down the store is told all the same.
            let kept = handle.shared.forget();
            let (done, told) = bounded(1);
            let begun = match handle.wishes.try_send(done) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(told),
                Err(TrySendError::Full(_)) => Err("too many purges wait".to_owned()),
            };
            (Arc::clone(&setup.cache), kept, begun)
        });
        Purging(begun.collect())
    }

    /// What every store did: of each cache by name.
    pub fn counts(&self) -> Vec<(Arc<str>, Numbers)> {
        let all = self.counts.iter();
        all.map(|(cache, counts)| (Arc::clone(cache), Numbers::of(counts, self.running.contains_key(cache))))
            .collect()
    }
}

impl Purging {
    /// Waits until stores were told. The error names those that were not, which are told as soon as they answer.
    pub fn end(self) -> Result<(), String> {
        let until = std::time::Instant::now() + PURGE_PATIENCE;
        let mut failed = Vec::new();
        for (cache, kept, begun) in self.0 {
            let told = begun.and_then(|told| {
                let left = until.saturating_duration_since(std::time::Instant::now());
                told.recv_timeout(left)
                    .unwrap_or_else(|_| Err("it does not answer".to_owned()))
            });
            if let Err(why) = told {
                let also = kept.err().map_or_else(String::new, |why| format!("; {why}"));
                failed.push(format!("'{cache}' ({why}{also})"));
            }
        }
        match failed.as_slice() {
            [] => Ok(()),
            all => Err(format!(
                "the store of the second tier of {} was not told: this node takes nothing from there until it was, others may",
                all.join(", ")
            )),
        }
    }
}

/// What was counted of one cache's second tier.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    pub hits: u64,
    pub misses: u64,
    pub timeouts: u64,
    pub errors: u64,
    pub skipped: u64,
    /// By why.
    pub unreadable: [(&'static str, u64); Unreadable::ALL.len()],
    /// Generations that nobody signed.
    pub forged: u64,
    pub stored: u64,
    pub failed: u64,
    pub dropped: u64,
    /// `None`: it has none now.
    pub is_up: Option<bool>,
}

impl Numbers {
    fn of(counts: &Counts, runs: bool) -> Self {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            hits: read(&counts.hits),
            misses: read(&counts.misses),
            timeouts: read(&counts.timeouts),
            errors: read(&counts.errors),
            skipped: read(&counts.skipped),
            unreadable: Unreadable::ALL.map(|why| (why.name(), read(&counts.unreadable[why as usize]))),
            forged: read(&counts.forged),
            stored: read(&counts.stored),
            failed: read(&counts.failed),
            dropped: read(&counts.dropped),
            is_up: runs.then(|| counts.is_up.load(Ordering::Relaxed)),
        }
    }
}

/// In braces is what chooses the slot of a Redis Cluster: all of one cache are in one. Each secret has its own.
fn generation_key(prefix: &str, signer: &Signer) -> String {
    format!("{{{prefix}}}:{}:generation", signer.fingerprint())
}

fn answer_key(prefix: &str, name: &str) -> String {
    format!("{{{prefix}}}:a:{name}")
}
