//! What goes wrong with Kafka, in words of who runs it. Codes are those of the Kafka protocol guide, "Error Codes".

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// It passes by itself.
    #[error("{0}")]
    Away(String),
    /// Somebody has to change something.
    #[error("{0}")]
    Refused(String),
    #[error("its answer is none of Kafka's protocol")]
    Garbled,
}

impl KafkaError {
    /// Whose answer it was.
    pub fn at(self, (host, port): &(String, u16)) -> Self {
        match self {
            Self::Away(why) => Self::Away(format!("broker {host}:{port}: {why}")),
            Self::Refused(why) => Self::Refused(format!("broker {host}:{port}: {why}")),
            Self::Garbled => Self::Away(format!("broker {host}:{port}: {}", Self::Garbled)),
        }
    }
}

impl From<io::Error> for KafkaError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // It says so of a request that it does not know, and of TLS where it has none.
            io::ErrorKind::UnexpectedEof => Self::Away("it closed the connection".to_owned()),
            _ => Self::Away(error.to_string()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i16);

impl Code {
    pub const NONE: Self = Self(0);
    pub const UNKNOWN_TOPIC: Self = Self(3);
    /// A batch, or a record in it, is larger than the topic takes.
    pub const TOO_LARGE: [Self; 2] = [Self(10), Self(18)];
}

/// Why a broker did not take records of this topic.
pub fn refused(code: Code, topic: &str) -> KafkaError {
    let passes = |why: &str| KafkaError::Away(format!("topic {topic}: {why}"));
    let stays = |why: &str| KafkaError::Refused(format!("topic {topic}: {why}"));
    match code.0 {
        3 => stays("there is none of that name, or this user may not see it; make it, or set `usage.kafka.topic`"),
        5 | 6 | 9 => passes("another broker leads it by now"),
        7 | 13 => passes("its replicas took too long"),
        17 => stays("Kafka takes no such name; set `usage.kafka.topic`"),
        19 | 20 => passes("fewer replicas are in sync than its `min.insync.replicas`"),
        29 | 31 => stays("this user may not write to it; grant it WRITE and DESCRIBE"),
        35 | 76 => stays("the broker is older than Kafka 2.1, or takes no such records"),
        87 => stays("the broker found a record invalid"),
        code => passes(&format!("the broker said error {code}")),
    }
}
