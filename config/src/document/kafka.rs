//! Where records of calls go besides the ledger, as an operator says it.

use super::{Reference, UpstreamTls};

const DAY_MS: u64 = 86_400_000;
/// Without a port it is this one.
pub const KAFKA_PORT: u16 = 9092;

/// `usage.kafka`: a topic that gets each call of this gateway's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// Hosts and ports; any of them tells of all others.
    pub brokers: Vec<(String, u16)>,
    pub topic: String,
    pub tls: KafkaTls,
    pub sasl: Option<Sasl>,
    pub acks: Acks,
    /// Calls that have not been sent are kept so much longer than others.
    pub hold_ms: u64,
}

impl Kafka {
    pub const DEFAULT_HOLD_MS: u64 = 7 * DAY_MS;

    /// All references in it, each with its place below `usage.kafka`.
    pub fn references(&self) -> Vec<(&Reference, &'static str)> {
        let mut found: Vec<(&Reference, &'static str)> =
            self.sasl.iter().map(|sasl| (&sasl.password, "sasl/password")).collect();
        if let KafkaTls::Verified(tls) = &self.tls {
            found.extend(tls.ca.iter().map(|one| (one, "tls/ca")));
            if let Some((certificate, key)) = &tls.client_certificate {
                found.push((certificate, "tls/client_certificate"));
                found.push((key, "tls/client_key"));
            }
        }
        found
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaTls {
    Off,
    /// The brokers' certificates are verified, always.
    Verified(UpstreamTls),
}

/// Who has a record before it counts as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// All replicas that are in sync.
    #[default]
    All,
    /// The partition's leader alone.
    Leader,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    pub mechanism: Mechanism,
    pub user: String,
    pub password: Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// As the document has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::ScramSha256 => "scram-sha-256",
            Self::ScramSha512 => "scram-sha-512",
        }
    }

    /// As brokers know it.
    pub const fn registered(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
