//! Puts answers into the store, and sees to it that the store knows of every purge: it looks once a second, and whatever is
//! wrong there is mended or waited for. Until it knows that all is well, nothing is read from the store.

#![allow(clippy::disallowed_methods)] // A thread of its own.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, never, select};
use tollgate_engine::exact::{Offer, codec};

use super::{
    Told,
    generation::{Generation, RAISE},
    past::{Owed, Settled},
    reader::MAX_VALUE_BYTES,
    shared::{Shared, count},
};
use crate::{
    cluster::{Store, Value},
    shard::clock,
};

/// Stored in one go.
const MOST_TOGETHER: usize = 16;
/// Between two looks at the store.
const EVERY: Duration = Duration::from_secs(1);
/// A minute or so between two times that a store is tried whose answers are late.
const MOST_DOUBLED: u32 = 6;
/// Others may purge meanwhile, so often.
const MOST_RAISES: usize = 8;

pub struct Writer {
    pub shared: Arc<Shared>,
    pub store: Store,
    pub timeout: Duration,
    pub prefix: String,
    pub tell: Box<dyn FnMut(Told) + Send>,
    /// It was told that the store is away.
    pub is_ill: bool,
    /// So many generations that nobody signed were told of.
    pub forged: u64,
    pub rest: Rest,
}

/// A store that is late is left alone for longer each time, until it is heard in time.
#[derive(Default)]
pub struct Rest {
    /// The last look.
    took: Duration,
    rests: u32,
    until: Option<Instant>,
}

impl Rest {
    fn is_over(&mut self, rests: u32, now: Instant) -> bool {
        if rests > self.rests {
            let times = 1 << (rests - 1).min(MOST_DOUBLED);
            self.until = Some(now + EVERY * times);
        }
        self.rests = rests;
        rests == 0 || self.until.is_none_or(|until| until <= now)
    }
}

/// A purge: what came of telling the store.
pub type Wish = Sender<Result<(), String>>;

impl Writer {
    pub fn run(mut self, offers: &Receiver<Offer>, mut wishes: Receiver<Wish>, mut woken: Receiver<()>) {
        let mut due = Instant::now();
        loop {
            select! {
                recv(offers) -> offer => {
                    let Ok(first) = offer else { return };
                    let batch: Vec<Offer> = std::iter::once(first).chain(offers.try_iter().take(MOST_TOGETHER - 1)).collect();
                    self.store(&batch);
                }
                recv(wishes) -> wish => match wish {
                    Ok(wish) => {
                        // Who waits may have gone.
                        let _ = wish.try_send(self.look());
                        due = Instant::now() + EVERY;
                    }
                    Err(_) => wishes = never(),
                },
                recv(woken) -> woke => match woke {
                    Ok(()) => due = Instant::now(),
                    Err(_) => woken = never(),
                },
                default(due.saturating_duration_since(Instant::now())) => {}
            }
            if due <= Instant::now() {
                let _ = self.look();
                due = Instant::now() + EVERY;
            }
        }
    }

    /// Tells the store which generation this node knows, and hears which there is.
    fn look(&mut self) -> Result<(), String> {
        let looked = self.raise_all();
        let rests = self.shared.rests();
        let is_rested = self.rest.is_over(rests, Instant::now());
        // One that is up and slow shows by the calls that wait for it.
        let is_fast = self.shared.is_up() || self.rest.took <= self.shared.patience;
        self.shared.set_up(looked.is_ok() && is_rested && is_fast);
        self.tell_forged();
        let why = match &looked {
            Err(why) => Some(why.as_str()),
            Ok(()) if !is_rested || !is_fast => Some("its answers take longer than `timeout`"),
            Ok(()) => None,
        };
        match why {
            // Whether one that was late is in time now is seen by the next calls.
            None if rests > 0 => {}
            None if std::mem::take(&mut self.is_ill) => {
                let text = format!(
                    "the store of the second tier of the cache '{}' answers again",
                    self.shared.cache
                );
                self.say("cache_second_back", text);
            }
            Some(why) if !std::mem::replace(&mut self.is_ill, true) => {
                let text = format!(
                    "the store of the second tier of the cache '{}' is not used ({why}): calls go on without it",
                    self.shared.cache
                );
                self.say("cache_second_away", text);
            }
            _ => {}
        }
        looked
    }

    fn tell_forged(&mut self) {
        let forged = self.shared.counts.forged.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.forged, forged) < forged {
            let text = format!(
                "the store of the second tier of the cache '{}' had a generation that nobody signed who has the secret: \
                 somebody else writes there",
                self.shared.cache
            );
            self.say("cache_second_forged", text);
        }
    }

    fn raise_all(&mut self) -> Result<(), String> {
        for _ in 0..MOST_RAISES {
            let past = Arc::clone(&self.shared.past);
            let wanted = past.wanted()?;
            let there = self.raise(wanted)?;
            match past.settle(wanted, there)? {
                Settled::Yes => return Ok(()),
                Settled::Not => {}
                Settled::Forgets(generation, owed) => {
                    if owed == Owed::All {
                        let answers = self.shared.forget_memory();
                        past.owes(generation, Owed::Snapshots);
                        let text = format!(
                            "the cache '{}' was purged through another node: {answers} answers are forgotten here",
                            self.shared.cache
                        );
                        self.say("cache_second_purged", text);
                    }
                    self.shared.forget_snapshots()?;
                    past.owes(generation, Owed::Nothing);
                }
            }
        }
        Err("it is purged all the time".to_owned())
    }

    fn raise(&mut self, wanted: Generation) -> Result<Generation, String> {
        let shared = Arc::clone(&self.shared);
        let (key, text) = (
            super::generation_key(&self.prefix, &shared.signer),
            shared.signer.text(wanted),
        );
        let mut forged = Vec::new();
        for _ in 0..MOST_RAISES {
            let command: Vec<&[u8]> = vec![
                b"EVAL",
                RAISE.as_bytes(),
                b"1",
                key.as_bytes(),
                text.as_bytes(),
                &forged,
            ];
            let began = Instant::now();
            let said = self.store.commands(&[command], began + self.timeout)?.pop();
            self.rest.took = began.elapsed();
            let said = match said {
                Some(Value::Text(said)) => said,
                Some(Value::Error(said)) => return Err(said),
                _ => return Err("it says what is none of ours".to_owned()),
            };
            if let Some(there) = shared.signer.read(&said) {
                return Ok(there);
            }
            count(&shared.counts.forged);
            forged = said;
        }
        Err("somebody who has not the secret writes its generation all the time".to_owned())
    }

    fn store(&mut self, batch: &[Offer]) {
        let counts = Arc::clone(&self.shared.counts);
        let ready: Vec<(String, Vec<u8>, String)> = batch.iter().filter_map(|offer| self.sealed(offer)).collect();
        (ready.len()..batch.len()).for_each(|_| count(&counts.dropped));
        if ready.is_empty() {
            return;
        }
        let commands: Vec<Vec<&[u8]>> = ready
            .iter()
            .map(|(name, sealed, left_ms)| vec![&b"SET"[..], name.as_bytes(), sealed, b"PX", left_ms.as_bytes()])
            .collect();
        let until = Instant::now() + self.timeout;
        match self.store.commands(&commands, until) {
            Ok(replies) => {
                for reply in &replies {
                    match reply {
                        Value::Text(_) => count(&counts.stored),
                        other => {
                            tracing::debug!(?other, "the store of a second tier takes no answer");
                            count(&counts.failed);
                        }
                    }
                }
            }
            Err(why) => {
                tracing::debug!(why, "the store of a second tier does not answer");
                ready.iter().for_each(|_| count(&counts.failed));
                let _ = self.look();
            }
        }
    }

    /// Its name, it, and how long it is good. `None`: it is too long, or no longer of use.
    fn sealed(&self, offer: &Offer) -> Option<(String, Vec<u8>, String)> {
        // Whose call began before a purge is labelled as of then, and good for nobody.
        let (generation, _) = self.shared.past.known().filter(|known| known.1 == offer.forgotten)?;
        let now = clock::now();
        let mut plain = now.unix_ms.to_le_bytes().to_vec();
        if offer.left_ms == 0 || !codec::write(&offer.kept, now.tick, &mut plain) {
            return None;
        }
        let key = offer.kept.key;
        let sealed = self
            .shared
            .sealer
            .seal(&self.shared.random, (key, generation), &plain)?;
        if sealed.len() > MAX_VALUE_BYTES {
            return None;
        }
        let name = super::answer_key(&self.prefix, &self.shared.sealer.name(key));
        Some((name, sealed, offer.left_ms.to_string()))
    }

    fn say(&mut self, event: &'static str, text: String) {
        (self.tell)(Told { event, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_late_again_is_left_alone_for_longer() {
        let (mut rest, began) = (Rest::default(), Instant::now());
        assert!(rest.is_over(0, began));
        for (rests, lasts_s) in [(1, 1), (2, 2), (3, 4), (7, 64), (100, 64)] {
            assert!(!rest.is_over(rests, began));
            assert!(!rest.is_over(rests, began + Duration::from_secs(lasts_s) - Duration::from_millis(1)));
            assert!(rest.is_over(rests, began + Duration::from_secs(lasts_s)));
        }
        assert!(rest.is_over(0, began), "it was heard in time");
    }
}
