//! Segments by name and by their first bytes.

use std::fmt;

use super::HEADER_BYTES;

const MAGIC: [u8; 8] = *b"TGUSAGE1";
const SUFFIX: &str = ".seg";
const BOOT_SUFFIX: &str = ".boot";

/// `BOOT-SHARD-NUMBER.seg`. Numbers of a shard begin at 1 and rise by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    pub boot: u64,
    pub shard: u16,
    pub number: u32,
}

impl SegmentName {
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('-');
        let (boot, shard, number) = (parts.next()?, parts.next()?, parts.next()?);
        let parsed = Self {
            boot: u64::from_str_radix(boot, 16).ok()?,
            shard: shard.parse().ok()?,
            number: number.parse().ok()?,
        };
        // One name for each: others are not ours.
        (parts.next().is_none() && parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{}{SUFFIX}", self.boot, self.shard, self.number)
    }
}

/// The file that a data plane holds locked (flock(2)) as long as it lives.
pub fn boot_file(boot: u64) -> String {
    format!("{boot:016x}{BOOT_SUFFIX}")
}

/// Whose such a file is.
pub fn boot_of(name: &str) -> Option<u64> {
    let boot = u64::from_str_radix(name.strip_suffix(BOOT_SUFFIX)?, 16).ok()?;
    (boot_file(boot) == name).then_some(boot)
}

/// A segment's first bytes: what its name says, so that a file that was renamed is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader(pub SegmentName);

impl SegmentHeader {
    pub fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.0.boot.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.0.shard.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.0.number.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}
