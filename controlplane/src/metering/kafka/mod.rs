//! Calls of the ledger on their way into a topic of Kafka: behind the ledger, never in its way. What is committed is read,
//! sent in its order, and noted as sent in the ledger itself; killed between, it sends again. So each call is in the topic at
//! least once, under an id by which whoever reads drops doubles.

mod bytes;
mod client;
pub mod corrections;
mod errors;
pub mod record;
pub mod records;
mod sasl;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tollgate_config::document::Kafka;

use super::sinks::{self, Sent};
use crate::{plane::Plane, store::StoreError, time};
use client::Client;
use errors::KafkaError;
use record::VERSION;
use records::Record;

/// Between two looks at the ledger.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks whether the index is there.
const INDEX_INTERVAL: Duration = Duration::from_secs(600);
/// After each failure twice the pause before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(8);
/// A topic so far behind the ledger is told of.
const BEHIND_MS: u64 = 300_000;
/// Of calls that are too large so many are named.
const NAMED: usize = 3;

/// How things stand with the topic.
#[derive(Debug, Default)]
pub struct Standing {
    /// Calls, since this control plane started.
    pub sent: AtomicU64,
    /// Calls and corrections that were forgotten before they were sent, or that the topic does not take, ever.
    pub skipped: AtomicU64,
    /// Age of the oldest call that is not there.
    pub lag_ms: AtomicU64,
    told: Mutex<Told>,
}

/// What operators know.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Where calls go.
    topic: Option<String>,
    /// Why none goes there, and since when.
    failing: Option<(u64, String)>,
    is_behind: bool,
    /// Of `skipped`, how many were told, by what they are.
    skipped: [Option<i64>; 2],
}

impl Told {
    /// How many more than were told; all of the others are known when the first look at them is over.
    fn skip(&mut self, what: What, skipped: i64) -> i64 {
        let before = self.skipped[what as usize].replace(skipped);
        skipped.saturating_sub(before.unwrap_or(skipped))
    }

    fn all_skipped(&self) -> u64 {
        let all = self.skipped.iter().flatten();
        all.map(|skipped| u64::try_from(*skipped).unwrap_or(0)).sum()
    }
}

impl Standing {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_up(&self) -> bool {
        self.told().failing.is_none()
    }

    pub fn status(&self) -> Value {
        let told = self.told().clone();
        let Some(topic) = told.topic else { return Value::Null };
        let (since_ms, error) = told.failing.unzip();
        json!({
            "topic": topic,
            "up": error.is_none(),
            "error": error,
            "failing_since_ms": since_ms,
            "lag_ms": self.lag_ms.load(Ordering::Relaxed),
            "skipped": self.skipped.load(Ordering::Relaxed),
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum SinkError {
    #[error("the ledger: {0}")]
    Ledger(#[from] StoreError),
    #[error("{0}")]
    Kafka(#[from] KafkaError),
}

#[derive(Debug, PartialEq, Eq)]
enum Went {
    /// There may be more.
    On,
    Nothing,
}

/// Sends as long as the runtime lives.
pub fn follow(plane: &Arc<Plane>) {
    let plane = plane.clone();
    tokio::spawn(async move {
        let mut sink = Sink {
            plane,
            client: None,
            readings: Default::default(),
            released_at: 0,
            index_at: Instant::now(),
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let current = sink.plane.current();
            let went = match &current.document.kafka {
                // Before a document is in force nobody knows.
                _ if current.revision == 0 => Ok(Went::Nothing),
                Some(settings) => sink.pass(settings).await,
                None => sink.rest(current.revision).await,
            };
            sink.tell(went.as_ref().err());
            match went {
                Ok(Went::On) => {}
                Ok(Went::Nothing) => tokio::time::sleep(INTERVAL).await,
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                    continue;
                }
            }
            pause = FIRST_PAUSE;
        }
    });
}

struct Sink {
    plane: Arc<Plane>,
    client: Option<Client>,
    /// By what they are of.
    readings: [Option<Reading>; 2],
    /// The revision under which nothing is sent, as the ledger knows.
    released_at: u64,
    /// When it is looked whether what a node's calls are read by is there, which nodes that share a ledger need. Without it
    /// they are read as well, only slower.
    index_at: Instant,
}

/// What is sent. Corrections come behind the calls that were there.
#[derive(Clone, Copy)]
enum What {
    Calls,
    Corrections,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Corrections => "corrections",
        }
    }
}

/// Calls that were read, until all are in the topic and that is noted: what is there is not sent again while others wait.
struct Reading {
    sent: Sent,
    /// Those that are not there.
    records: Vec<Record>,
    count: u64,
    last: i64,
    oldest_ms: Option<u64>,
    more: bool,
    /// Ids of those that the topic does not take.
    too_large: Vec<String>,
}

impl Sink {
    async fn pass(&mut self, settings: &Kafka) -> Result<Went, SinkError> {
        self.released_at = 0;
        let same = self.client.take().filter(|client| client.settings == *settings);
        if same.is_none() {
            self.readings = Default::default();
            self.index_at = Instant::now();
        }
        self.client = same.or_else(|| Some(Client::new(settings.clone())));
        self.plane.kafka.told().topic = Some(settings.topic.clone());
        self.make_index().await;
        match self.pass_of(What::Calls, settings.hold_ms).await? {
            Went::On => Ok(Went::On),
            Went::Nothing => self.pass_of(What::Corrections, settings.hold_ms).await,
        }
    }

    /// Whoever writes calls does not wait for it.
    async fn make_index(&mut self) {
        if self.index_at > Instant::now() {
            return;
        }
        let events = &self.plane.events;
        let built = self.plane.metering.with(super::database::Database::index_by_node).await;
        self.index_at = Instant::now() + INDEX_INTERVAL;
        match built {
            Ok(Some(built)) if !built.remade.is_empty() => events.tell(
                "usage_kafka_index",
                format!(
                    "indexes that had been broken off are made again: of {}",
                    built.remade.join(", ")
                ),
            ),
            // A ledger that is away is told of elsewhere.
            Ok(_) | Err(StoreError::Away(_)) => {}
            Err(error) => events.tell(
                "usage_kafka_index",
                format!("the index `calls_by_node` is not made, and is tried again in ten minutes: {error}"),
            ),
        }
    }

    async fn pass_of(&mut self, what: What, hold_ms: u64) -> Result<Went, SinkError> {
        let Some(client) = &mut self.client else {
            return Ok(Went::Nothing);
        };
        let slot = &mut self.readings[what as usize];
        let known = slot.take();
        let reading = slot.insert(read(&self.plane, (what, hold_ms), known).await?);
        note(&self.plane, what, reading);
        if reading.count == 0 {
            *slot = None;
            return Ok(Went::Nothing);
        }
        let outcome = client.send(&mut reading.records, VERSION).await;
        reading.too_large.append(&mut client.too_large);
        outcome?;
        let (sent, last, skipped) = (reading.sent, reading.last, reading.too_large.len() as i64);
        let advance = move |ledger: &mut super::database::Database| sinks::advance(ledger, sent, last, skipped);
        let is_noted = self.plane.metering.with(advance).await?;
        let Some(reading) = slot.take().filter(|_| is_noted) else {
            // Calls were forgotten meanwhile: they are read again.
            return Ok(Went::On);
        };
        tell_of_too_large(&self.plane, what, &reading);
        let sent = reading.count.saturating_sub(reading.too_large.len() as u64);
        self.plane.kafka.sent.fetch_add(sent, Ordering::Relaxed);
        if !reading.more {
            self.plane.kafka.lag_ms.store(0, Ordering::Relaxed);
        }
        Ok(if reading.more { Went::On } else { Went::Nothing })
    }

    /// Nothing goes anywhere: the ledger forgets calls when their time is over.
    async fn rest(&mut self, revision: u64) -> Result<Went, SinkError> {
        if self.released_at == revision {
            return Ok(Went::Nothing);
        }
        self.client = None;
        self.readings = Default::default();
        *self.plane.kafka.told() = Told::default();
        // Whoever has no topic is not told of a ledger that is away: that is told elsewhere, and tried again.
        if self.plane.metering.with(sinks::release).await.is_ok() {
            self.released_at = revision;
        }
        Ok(Went::Nothing)
    }

    fn tell(&self, error: Option<&SinkError>) {
        let (kafka, events) = (&self.plane.kafka, &self.plane.events);
        let mut told = kafka.told();
        let Some(topic) = told.topic.clone() else { return };
        match (error, &told.failing) {
            (Some(error), None) => events.tell(
                "usage_kafka_failed",
                format!("calls stay in the ledger and do not reach topic {topic} for now: {error}"),
            ),
            (None, Some(_)) => events.tell("usage_kafka_resumed", format!("calls go into topic {topic} again")),
            _ => {}
        }
        told.failing = error.map(|error| {
            let since_ms = told
                .failing
                .as_ref()
                .map_or_else(time::unix_ms, |(since_ms, _)| *since_ms);
            (since_ms, error.to_string())
        });
        let lag_ms = kafka.lag_ms.load(Ordering::Relaxed);
        let is_behind = lag_ms > BEHIND_MS;
        if is_behind && !told.is_behind {
            let text = format!("topic {topic} is {} s behind the ledger", lag_ms / 1000);
            events.tell("usage_kafka_behind", text);
        }
        told.is_behind = is_behind;
    }
}

/// What is to be sent: what was read before, as long as the ledger says that it begins where it did.
async fn read(plane: &Plane, (what, hold_ms): (What, u64), known: Option<Reading>) -> Result<Reading, StoreError> {
    let read = move |ledger: &mut super::database::Database| {
        let sent = match what {
            What::Calls => sinks::begin(ledger, hold_ms)?,
            What::Corrections => sinks::begin_corrections(ledger)?,
        };
        if let Some(known) = known.filter(|known| known.sent == sent) {
            return Ok(known);
        }
        let calls = match what {
            What::Calls => record::read(ledger, sent.last)?,
            What::Corrections => corrections::read(ledger, sent.last)?,
        };
        Ok(Reading {
            sent,
            count: calls.records.len() as u64,
            records: calls.records,
            last: calls.last,
            oldest_ms: calls.oldest_ms,
            more: calls.more,
            too_large: Vec::new(),
        })
    };
    plane.metering.with(read).await
}

/// They are counted in the ledger by now.
fn tell_of_too_large(plane: &Plane, what: What, reading: &Reading) {
    if reading.too_large.is_empty() {
        return;
    }
    let count = reading.too_large.len();
    let skipped = reading.sent.skipped.saturating_add(count as i64);
    note_skipped(plane, what, skipped);
    let what = what.name();
    let named: Vec<&str> = reading.too_large.iter().take(NAMED).map(String::as_str).collect();
    let text = format!(
        "{count} {what} are larger than the topic's `max.message.bytes` lets them be and are not sent: {}{}",
        named.join(", "),
        if count > named.len() { " and others" } else { "" }
    );
    plane.events.tell("usage_kafka_skipped", text);
}

/// How far behind the topic is, and what it will never have.
fn note(plane: &Plane, what: What, reading: &Reading) {
    let (kafka, sent) = (&plane.kafka, reading.sent);
    let lag_ms = reading
        .oldest_ms
        .map_or(0, |oldest_ms| time::unix_ms().saturating_sub(oldest_ms));
    kafka.lag_ms.store(lag_ms, Ordering::Relaxed);
    let more = note_skipped(plane, what, sent.skipped);
    if more == 0 {
        return;
    }
    let text = match what {
        What::Calls => format!(
            "{more} calls were forgotten before they were sent: the topic could not be reached for longer than \
             `usage.retention.calls` and `usage.kafka.hold` together"
        ),
        What::Corrections => format!(
            "{more} corrections were forgotten before they were sent: what they correct is older than \
             `usage.retention.hours`"
        ),
    };
    plane.events.tell("usage_kafka_skipped", text);
}

/// So many are skipped by now; answers how many more than were told.
fn note_skipped(plane: &Plane, what: What, skipped: i64) -> i64 {
    let mut told = plane.kafka.told();
    let more = told.skip(what, skipped);
    plane.kafka.skipped.store(told.all_skipped(), Ordering::Relaxed);
    more.max(0)
}
