//! A producer of Kafka's protocol, as small as one topic needs it: which broker leads which partition, and records to them.
//! Five kinds of requests in versions that every broker since 2.1 takes (Kafka protocol guide). Each wait has a bound; what
//! failed is told with its broker, and tried again by whoever asks again. Knows no ledger.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tollgate_config::document::{Acks, Kafka, KafkaTls, Mechanism, Sasl};

use super::{
    KafkaError,
    bytes::{Reader, Writer},
    errors::{Code, refused},
    records::{self, Record},
    sasl::{self, Scram},
};
use crate::{postgres::tls, truth};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A broker gives up on its replicas before we give up on it.
const REPLICAS_TIMEOUT_MS: i32 = 20_000;
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Less than Kafka's brokers take of one batch unless they are told otherwise (`message.max.bytes`, 1 MiB).
const BATCH_BYTES: usize = 768 << 10;
/// Partitions may be added, and leaders change without a word.
const METADATA_AGE: Duration = Duration::from_secs(300);
const CLIENT_ID: &str = "tollgate";
const NONCE_BYTES: usize = 18;

const PRODUCE: (i16, i16) = (0, 7);
const METADATA: (i16, i16) = (3, 4);
const SASL_HANDSHAKE: (i16, i16) = (17, 1);
const SASL_AUTHENTICATE: (i16, i16) = (36, 0);

type Address = (String, u16);

pub struct Client {
    pub settings: Kafka,
    connections: BTreeMap<Address, Connection>,
    /// Who leads each partition, and until when that is believed.
    leaders: Option<(Vec<Option<Address>>, Instant)>,
    /// Ids of records that the topic does not take, each by itself: they are no longer to be sent.
    pub too_large: Vec<String>,
}

impl Client {
    pub fn new(settings: Kafka) -> Self {
        Self {
            settings,
            connections: BTreeMap::new(),
            leaders: None,
            too_large: Vec::new(),
        }
    }

    /// Sends them all, or says why not: those that are in the topic by then, or too large for it, are no longer in `records`.
    pub async fn send(&mut self, records: &mut Vec<Record>, version: &str) -> Result<(), KafkaError> {
        let mut by_leader: BTreeMap<Address, BTreeMap<usize, Vec<Record>>> = BTreeMap::new();
        let leaders = self.leaders().await?;
        let mut outcome = Ok(());
        let mut left = Vec::new();
        for record in records.drain(..) {
            let partition = records::partition(record.id.as_bytes(), leaders.len());
            match leaders.get(partition).cloned().flatten() {
                Some(leader) => {
                    let of = by_leader.entry(leader).or_default();
                    of.entry(partition).or_default().push(record);
                }
                None => {
                    outcome = Err(KafkaError::Away(format!("partition {partition} has no leader now")));
                    left.push(record);
                }
            }
        }
        for (leader, mut parts) in by_leader {
            let sent = self.produce(&leader, &mut parts, version).await;
            if let Err(error) = sent {
                outcome = Err(match error {
                    KafkaError::Garbled => error.at(&leader),
                    told => told,
                });
            }
            left.extend(parts.into_values().flatten());
        }
        *records = left;
        if outcome.is_err() {
            // Whatever it was, another broker may lead by now.
            self.leaders = None;
        }
        outcome
    }

    /// Records that the leader has taken leave `parts`, batch by batch; a batch that is too large for it is halved.
    async fn produce(
        &mut self,
        leader: &Address,
        parts: &mut BTreeMap<usize, Vec<Record>>,
        version: &str,
    ) -> Result<(), KafkaError> {
        let mut most: BTreeMap<usize, usize> = BTreeMap::new();
        while !parts.is_empty() {
            let batches: BTreeMap<usize, usize> = parts
                .iter()
                .map(|(partition, records)| {
                    let most = most.get(partition).copied().unwrap_or(usize::MAX);
                    (*partition, fitting(records).min(most))
                })
                .collect();
            let request = self.produce_request(parts, &batches, version);
            let answer = self.ask(leader, PRODUCE, &request).await?;
            self.take_answer(&answer, parts, (batches, &mut most))?;
        }
        Ok(())
    }

    /// What became of these batches: so many records of each partition, the first ones.
    fn take_answer(
        &mut self,
        answer: &[u8],
        parts: &mut BTreeMap<usize, Vec<Record>>,
        (mut batches, most): (BTreeMap<usize, usize>, &mut BTreeMap<usize, usize>),
    ) -> Result<(), KafkaError> {
        let mut reader = Reader(answer);
        let mut outcome = Ok(());
        for _ in 0..reader.entries()? {
            reader.string()?;
            for _ in 0..reader.entries()? {
                let (partition, code) = (reader.i32()?, Code(reader.i16()?));
                // Offset, time and first offset of the log.
                let _ = (reader.i64()?, reader.i64()?, reader.i64()?);
                let partition = usize::try_from(partition).map_err(|_| KafkaError::Garbled)?;
                let Some(count) = batches.remove(&partition) else {
                    continue;
                };
                let Some(records) = parts.get_mut(&partition) else {
                    continue;
                };
                match code {
                    Code::NONE => drop(records.drain(..count.min(records.len()))),
                    code if Code::TOO_LARGE.contains(&code) && count > 1 => {
                        most.insert(partition, count / 2);
                    }
                    code if Code::TOO_LARGE.contains(&code) => {
                        self.too_large.extend(records.drain(..1).map(|record| record.id));
                        most.remove(&partition);
                    }
                    code => outcome = Err(refused(code, &self.settings.topic)),
                }
                if records.is_empty() {
                    parts.remove(&partition);
                }
            }
        }
        match batches.is_empty() {
            true => outcome,
            // What was not answered for was not taken.
            false => outcome.and(Err(KafkaError::Garbled)),
        }
    }

    fn produce_request(
        &self,
        parts: &BTreeMap<usize, Vec<Record>>,
        batches: &BTreeMap<usize, usize>,
        version: &str,
    ) -> Vec<u8> {
        let mut request = Writer::default();
        request.no_string(); // No transaction.
        request.i16(match self.settings.acks {
            Acks::All => -1,
            Acks::Leader => 1,
        });
        request.i32(REPLICAS_TIMEOUT_MS);
        request.length(1);
        request.string(&self.settings.topic);
        request.length(batches.len());
        for (partition, count) in batches {
            let records = parts.get(partition).map(Vec::as_slice).unwrap_or_default();
            request.length(*partition);
            request.bytes(&records::batch(records.iter().take(*count), version));
        }
        request.0
    }

    /// By partition.
    async fn leaders(&mut self) -> Result<Vec<Option<Address>>, KafkaError> {
        if let Some((leaders, until)) = &self.leaders
            && *until > Instant::now()
        {
            return Ok(leaders.clone());
        }
        let mut request = Writer::default();
        request.length(1);
        request.string(&self.settings.topic);
        request.i8(0); // A topic that is missing is not to be made.
        let mut outcome = Err(KafkaError::Garbled);
        for broker in self.settings.brokers.clone() {
            outcome = match self.ask(&broker, METADATA, &request.0).await {
                Ok(answer) => leaders_of(&answer, &self.settings.topic).map_err(|error| error.at(&broker)),
                Err(error) => Err(error),
            };
            // Another broker says the same of credentials and topics.
            if !matches!(outcome, Err(KafkaError::Away(_))) {
                break;
            }
        }
        let leaders = outcome?;
        self.leaders = Some((leaders.clone(), Instant::now() + METADATA_AGE));
        Ok(leaders)
    }

    /// A connection that failed is left.
    async fn ask(&mut self, broker: &Address, what: (i16, i16), body: &[u8]) -> Result<Vec<u8>, KafkaError> {
        let (mut connection, is_old) = match self.connections.remove(broker) {
            Some(connection) => (connection, true),
            None => (self.connect(broker).await?, false),
        };
        let mut answered = connection.ask(what, body).await;
        // Brokers close what was idle for minutes: that says nothing about them.
        if is_old && matches!(answered, Err(KafkaError::Away(_))) {
            connection = self.connect(broker).await?;
            answered = connection.ask(what, body).await;
        }
        let answer = answered.map_err(|error| error.at(broker))?;
        self.connections.insert(broker.clone(), connection);
        Ok(answer)
    }

    async fn connect(&self, broker: &Address) -> Result<Connection, KafkaError> {
        match timeout(CONNECT_TIMEOUT, connect(&self.settings, broker)).await {
            Ok(connected) => connected.map_err(|error| error.at(broker)),
            Err(_) => {
                let silent = format!("no connection in {} s", CONNECT_TIMEOUT.as_secs());
                Err(KafkaError::Away(silent).at(broker))
            }
        }
    }
}

/// How many of these, one at least, are one batch.
fn fitting(records: &[Record]) -> usize {
    let mut bytes = records::HEAD_BYTES;
    let fits = |record: &&Record| {
        bytes += records::bytes_of(record);
        bytes <= BATCH_BYTES
    };
    records.iter().take_while(fits).count().max(1)
}

fn leaders_of(answer: &[u8], topic: &str) -> Result<Vec<Option<Address>>, KafkaError> {
    let mut reader = Reader(answer);
    reader.i32()?; // Throttled for so long.
    let mut brokers: BTreeMap<i32, Address> = BTreeMap::new();
    for _ in 0..reader.entries()? {
        let (id, host, port) = (reader.i32()?, reader.string()?.to_owned(), reader.i32()?);
        reader.string()?; // Its rack.
        brokers.insert(id, (host, u16::try_from(port).map_err(|_| KafkaError::Garbled)?));
    }
    reader.string()?; // The cluster,
    reader.i32()?; // and its controller.
    let mut leaders: BTreeMap<usize, Option<Address>> = BTreeMap::new();
    for _ in 0..reader.entries()? {
        let code = Code(reader.i16()?);
        let is_ours = reader.string()? == topic;
        reader.i8()?;
        if is_ours && code != Code::NONE {
            return Err(refused(code, topic));
        }
        for _ in 0..reader.entries()? {
            reader.i16()?; // Without a leader there is none below.
            let (index, leader) = (reader.i32()?, reader.i32()?);
            reader.skip_i32s()?;
            reader.skip_i32s()?;
            if is_ours {
                let index = usize::try_from(index).map_err(|_| KafkaError::Garbled)?;
                leaders.insert(index, brokers.get(&leader).cloned());
            }
        }
    }
    // Partitions are numbered without gaps.
    match leaders.len() {
        0 => Err(refused(Code::UNKNOWN_TOPIC, topic)),
        count => Ok((0..count).map(|index| leaders.remove(&index).flatten()).collect()),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

struct Connection {
    stream: Box<dyn Stream>,
    correlation: i32,
}

async fn connect(settings: &Kafka, (host, port): &Address) -> Result<Connection, KafkaError> {
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match &settings.tls {
        KafkaTls::Off => Box::new(stream),
        KafkaTls::Verified(tls) => {
            let (config, name) = tls::verified(tls, host).map_err(KafkaError::Refused)?;
            Box::new(TlsConnector::from(config).connect(name, stream).await?)
        }
    };
    let mut connection = Connection { stream, correlation: 0 };
    if let Some(sasl) = &settings.sasl {
        connection.log_in(sasl).await?;
    }
    Ok(connection)
}

impl Connection {
    async fn log_in(&mut self, sasl: &Sasl) -> Result<(), KafkaError> {
        let unread = |error| KafkaError::Refused(format!("the password of `sasl` cannot be read: {error}"));
        let password = truth::read(&sasl.password).map_err(unread)?;
        let mut handshake = Writer::default();
        handshake.string(sasl.mechanism.registered());
        let answer = self.ask(SASL_HANDSHAKE, &handshake.0).await?;
        let mut reader = Reader(&answer);
        if Code(reader.i16()?) != Code::NONE {
            let known = (0..reader.entries()?).map(|_| reader.string().map(str::to_ascii_lowercase));
            let known = known.collect::<Result<Vec<_>, _>>()?.join(", ");
            return Err(KafkaError::Refused(format!(
                "the broker takes no `mechanism: {}`; it takes {known}",
                sasl.mechanism.name()
            )));
        }
        if sasl.mechanism == Mechanism::Plain {
            return self.say(&sasl::plain(&sasl.user, &password), sasl).await.map(drop);
        }
        let scram = Scram::new(sasl.mechanism, &sasl.user, &password, nonce()?);
        let first = self.say(&scram.first(), sasl).await?;
        let (last, expected) = scram.answer(&first)?;
        let last = self.say(&last, sasl).await?;
        expected.verify(&last)
    }

    async fn say(&mut self, word: &[u8], sasl: &Sasl) -> Result<Vec<u8>, KafkaError> {
        let mut request = Writer::default();
        request.bytes(word);
        let answer = self.ask(SASL_AUTHENTICATE, &request.0).await?;
        let mut reader = Reader(&answer);
        let (code, why) = (Code(reader.i16()?), reader.string()?);
        match code {
            Code::NONE => Ok(reader.bytes()?.to_vec()),
            _ => Err(KafkaError::Refused(format!(
                "the broker does not let user `{}` in: {why} (error {})",
                sasl.user, code.0
            ))),
        }
    }

    async fn ask(&mut self, (api, version): (i16, i16), body: &[u8]) -> Result<Vec<u8>, KafkaError> {
        self.correlation = self.correlation.wrapping_add(1);
        let mut request = Writer::default();
        request.length(2 + 2 + 4 + 2 + CLIENT_ID.len() + body.len());
        request.i16(api);
        request.i16(version);
        request.i32(self.correlation);
        request.string(CLIENT_ID);
        request.0.extend_from_slice(body);
        match timeout(ANSWER_TIMEOUT, self.exchange(&request.0)).await {
            Ok(answered) => answered,
            Err(_) => Err(KafkaError::Away(format!("no answer in {} s", ANSWER_TIMEOUT.as_secs()))),
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, KafkaError> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let length = usize::try_from(self.stream.read_i32().await?).unwrap_or(0);
        if !(4..=MAX_ANSWER_BYTES).contains(&length) {
            return Err(KafkaError::Garbled);
        }
        let correlation = self.stream.read_i32().await?;
        let mut answer = vec![0; length - 4];
        self.stream.read_exact(&mut answer).await?;
        match correlation == self.correlation {
            true => Ok(answer),
            false => Err(KafkaError::Garbled),
        }
    }
}

/// Letters and digits alone.
fn nonce() -> Result<String, KafkaError> {
    let mut bytes = [0; NONCE_BYTES];
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    match filled {
        Ok(NONCE_BYTES) => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Err(KafkaError::Refused("the kernel gave no random bytes".to_owned())),
    }
}
