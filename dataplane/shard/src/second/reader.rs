//! Asks the store for answers, some at once, and tells whoever waits.

#![allow(clippy::disallowed_methods)] // A thread of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use tollgate_engine::exact::{Found, Question, codec};

use super::{
    generation::Generation,
    sealer::Unreadable,
    shared::{Shared, count},
};
use crate::{
    cluster::{Store, Value},
    messages::{ShardHandle, ToShard},
    shard::clock,
};

/// Asked in one go.
const MOST_TOGETHER: usize = 16;
/// What is longer in the store is not fetched, and nothing longer is put there.
pub const MAX_VALUE_BYTES: usize = 3 << 20;

/// A call of a shard that waits.
pub struct Ask {
    pub shard: u16,
    pub question: Question,
    since: Instant,
}

impl Ask {
    pub fn new(shard: u16, question: Question) -> Self {
        let since = Instant::now();
        Self { shard, question, since }
    }
}

pub struct Reader {
    pub shared: Arc<Shared>,
    pub store: Store,
    pub timeout: Duration,
    pub shards: Arc<[ShardHandle]>,
    /// What answers are called in the store, and where their generation is.
    pub prefix: String,
    /// The writer looks at the store, and says how it is.
    pub wake: Sender<()>,
}

/// What the store said of an answer.
enum Said {
    Found(Box<Found>),
    Nothing,
    Unreadable(Unreadable),
    Error,
}

impl Reader {
    pub fn run(mut self, asks: &Receiver<Ask>) {
        while let Ok(first) = asks.recv() {
            let more = asks.try_iter().take(MOST_TOGETHER - 1);
            let mut batch: Vec<Ask> = std::iter::once(first).chain(more).collect();
            // Those who wait no longer.
            batch.retain(|ask| ask.question.slot.get().is_none());
            if !batch.is_empty() {
                self.answer(&batch);
            }
        }
    }

    fn answer(&mut self, batch: &[Ask]) {
        let known = self.shared.past.known();
        let read = known.ok_or_else(|| "its generation is not known yet".to_owned());
        let read = read.and_then(|known| Ok((known, self.read(batch)?)));
        match read {
            Err(why) => {
                tracing::debug!(why, "the store of a second tier does not answer");
                self.shared.set_up(false);
                let _ = self.wake.try_send(());
                batch.iter().for_each(|ask| self.tell(ask, Said::Error));
            }
            Ok((known, values)) => {
                let (values, generation) = values;
                // Another was begun, it was lost, or somebody put in what is none: the writer knows what to do.
                let is_known = generation == Some(known.0);
                if !is_known {
                    let _ = self.wake.try_send(());
                }
                for (ask, value) in batch.iter().zip(&values) {
                    let said = match is_known {
                        true => self.judge(ask, known, value),
                        false => Said::Nothing,
                    };
                    self.tell(ask, said);
                }
            }
        }
    }

    /// What lies there for each, and behind them their generation: a purge between the two is seen.
    fn read(&mut self, batch: &[Ask]) -> Result<(Vec<Value>, Option<Generation>), String> {
        let most = (MAX_VALUE_BYTES).to_string();
        let names: Vec<String> = batch
            .iter()
            .map(|ask| super::answer_key(&self.prefix, &self.shared.sealer.name(ask.question.key)))
            .collect();
        let generation = super::generation_key(&self.prefix, &self.shared.signer);
        let mut commands: Vec<Vec<&[u8]>> = names
            .iter()
            .map(|name| vec![&b"GETRANGE"[..], name.as_bytes(), b"0", most.as_bytes()])
            .collect();
        commands.push(vec![b"GET", generation.as_bytes()]);
        let mut values = self.store.commands(&commands, Instant::now() + self.timeout)?;
        let generation = match values.pop() {
            Some(Value::Text(text)) => {
                let read = self.shared.signer.read(&text);
                if read.is_none() {
                    count(&self.shared.counts.forged);
                    self.shared.set_up(false);
                }
                read
            }
            _ => None,
        };
        Ok((values, generation))
    }

    fn judge(&self, ask: &Ask, (generation, forgotten): (Generation, u64), value: &Value) -> Said {
        let sealed = match value {
            Value::Text(sealed) if sealed.is_empty() => return Said::Nothing,
            Value::Text(sealed) if sealed.len() > MAX_VALUE_BYTES => return Said::Unreadable(Unreadable::Length),
            Value::Text(sealed) => sealed,
            // What lies there is no text.
            Value::Error(said) if said.starts_with("WRONGTYPE") => return Said::Unreadable(Unreadable::Content),
            _ => return Said::Error,
        };
        let key = ask.question.key;
        let plain = match self.shared.sealer.open((key, generation), sealed) {
            Ok(Some(plain)) => plain,
            Ok(None) => return Said::Nothing,
            Err(unreadable) => return Said::Unreadable(unreadable),
        };
        let now = clock::now();
        let read = plain.split_first_chunk::<8>().and_then(|(written, kept)| {
            let since_ms = now.unix_ms.saturating_sub(u64::from_le_bytes(*written));
            let since_ns = since_ms.saturating_mul(1_000_000);
            codec::read(kept, &self.shared.cache, now.tick, since_ns).ok()
        });
        match read.filter(|kept| kept.key == key) {
            Some(kept) => Said::Found(Box::new(Found { kept, forgotten })),
            None => Said::Unreadable(Unreadable::Content),
        }
    }

    fn tell(&self, ask: &Ask, said: Said) {
        let counts = &self.shared.counts;
        let (counter, found) = match said {
            Said::Found(found) => (&counts.hits, Some(*found)),
            Said::Nothing => (&counts.misses, None),
            Said::Error => (&counts.errors, None),
            Said::Unreadable(why) => (&counts.unreadable[why as usize], None),
        };
        // Who waits no longer has counted it.
        if ask.question.slot.set(found).is_ok() {
            count(counter);
            // What comes when nobody waits any more is as good as nothing.
            if ask.since.elapsed() <= self.shared.patience {
                self.shared.heard();
            }
            if let Some(shard) = self.shards.get(usize::from(ask.shard)) {
                // One whose inbox is full looks by itself when its time is over.
                shard.send(ToShard::Found(ask.question.asker));
            }
        }
    }
}
