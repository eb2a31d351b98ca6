//! Records as Kafka's log has them: batches of version 2 (Kafka documentation, "Record Batch"), and which partition a key
//! belongs to. Knows no broker.

use super::bytes::Writer;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What tells it from all others: its key, and a header.
    pub id: String,
    /// When its call ended (Unix milliseconds).
    pub at_ms: i64,
    pub value: Vec<u8>,
}

pub const HEADER_ID: &str = "tollgate-id";
pub const HEADER_VERSION: &str = "tollgate-version";

const MAGIC: i8 = 2;
/// Nobody's: neither of an idempotent producer nor of a transaction.
const NONE: i64 = -1;

/// `records` are some.
pub fn batch<'r>(records: impl Iterator<Item = &'r Record> + Clone, version: &str) -> Vec<u8> {
    let times = records.clone().map(|record| record.at_ms);
    let first_ms = times.clone().next().unwrap_or(0);
    let count = i32::try_from(times.clone().count()).unwrap_or(i32::MAX);
    let mut body = Writer::default();
    body.i16(0); // No compression, times of the producer.
    body.i32(count - 1);
    body.i64(first_ms);
    body.i64(times.max().unwrap_or(first_ms));
    body.i64(NONE);
    body.i16(NONE as i16);
    body.i32(NONE as i32);
    body.i32(count);
    for (at, record) in records.enumerate() {
        let mut one = Writer::default();
        one.i8(0);
        one.varint(record.at_ms.saturating_sub(first_ms));
        one.varint(at as i64);
        one.var_bytes(record.id.as_bytes());
        one.var_bytes(&record.value);
        one.varint(2);
        for (name, value) in [(HEADER_ID, record.id.as_str()), (HEADER_VERSION, version)] {
            one.var_bytes(name.as_bytes());
            one.var_bytes(value.as_bytes());
        }
        body.var_bytes(&one.0);
    }
    let mut head = Writer::default();
    head.i64(0);
    // What follows: the leader's epoch, the magic, the checksum and the body.
    head.length(4 + 1 + 4 + body.0.len());
    head.i32(NONE as i32);
    head.i8(MAGIC);
    head.0.extend_from_slice(&crc32c(&body.0).to_be_bytes());
    head.0.extend_from_slice(&body.0);
    head.0
}

/// What the head of a batch takes.
pub const HEAD_BYTES: usize = 61;
/// Lengths, numbers and the version of a record.
const AROUND_BYTES: usize = 64;

/// No more than this is what a record takes of a batch.
pub fn bytes_of(record: &Record) -> usize {
    // Its id is its key and a header.
    2 * record.id.len() + record.value.len() + HEADER_ID.len() + HEADER_VERSION.len() + AROUND_BYTES
}

/// As Kafka's own producers choose it, so that a key is where others would put it: murmur2 of the key's bytes.
pub fn partition(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions.max(1)
}

/// MurmurHash2 (Austin Appleby, public domain), with the seed of Kafka's producers.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(M);
        (word ^ (word >> 24)).wrapping_mul(M)
    };
    let (words, rest) = bytes.as_chunks::<4>();
    let mut hash = SEED ^ bytes.len() as u32;
    for word in words {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// CRC-32C (Castagnoli), reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut word, mut bit) = (at as u32, 0);
            while bit < 8 {
                word = if word & 1 == 1 {
                    0x82f6_3b78 ^ (word >> 1)
                } else {
                    word >> 1
                };
                bit += 1;
            }
            table[at] = word;
            at += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::{HEAD_BYTES, Record, batch, bytes_of, crc32c, murmur2, partition};

    #[test]
    fn sums_are_those_that_others_make() {
        // RFC 3720, B.4, and the check value of the CRC catalogue.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        // Apache Kafka, `UtilsTest.testMurmur2`.
        for (key, hash) in [
            ("21", -973_932_308i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash.cast_unsigned(), "{key}");
        }
        assert!((0..1000).all(|key: u32| partition(&key.to_be_bytes(), 7) < 7));
        assert_eq!(partition(b"abc", 0), 0);
    }

    #[test]
    fn a_batch_is_as_long_as_it_says() {
        let record = |id: &str, at_ms| Record {
            id: id.to_owned(),
            at_ms,
            value: b"{}".to_vec(),
        };
        let records = [record("a", 20), record("b", 10)];
        let bytes = batch(records.iter(), "1");
        let length = i32::from_be_bytes(bytes[8..12].try_into().expect("a length"));
        assert_eq!(length as usize, bytes.len() - 12);
        assert!(bytes.len() <= HEAD_BYTES + records.iter().map(bytes_of).sum::<usize>());
        assert_eq!(batch([].iter(), "1").len(), HEAD_BYTES);
        let said = |what: &[u8]| bytes.windows(what.len()).filter(|window| *window == what).count();
        assert_eq!([said(b"tollgate-id"), said(b"{}")], [2, 2]);
    }
}
