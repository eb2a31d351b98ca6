//! Frames read back, from bytes that anything may have happened to.

use super::{
    ALIGN, END_MARK, ESTIMATED, Ending, FIXED_BYTES, Kind, MAGIC, MAX_FRAME_BYTES, NONE, PRICED, STREAMED, TEXT_BYTES,
    TEXTS, TEXTS_AT, UsageEvent, VERSION,
};
use crate::{money::PicoUsd, prices::PriceVersion};

/// What stands at the beginning of some bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant)] // Nearly all are records, taken apart where they are read.
pub enum Next<'a> {
    /// A record, and the length of its frame.
    Record(UsageEvent<'a>, usize),
    /// Nothing yet.
    Nothing,
    /// The segment's last frame was before this.
    End,
    /// The bytes end within a frame: more of them are wanted.
    Short,
    Damaged,
}

/// Reads the frame that `bytes` begin with.
pub fn next(bytes: &[u8]) -> Next<'_> {
    let Some(length) = number::<4>(bytes, 0).map(u32::from_le_bytes) else {
        return Next::Short;
    };
    match length {
        0 => return Next::Nothing,
        END_MARK => return Next::End,
        _ => {}
    }
    let length = length as usize;
    if !(FIXED_BYTES..=MAX_FRAME_BYTES).contains(&length) || !length.is_multiple_of(ALIGN) {
        return Next::Damaged;
    }
    match bytes.get(..length) {
        None => Next::Short,
        Some(frame) => record(frame).map_or(Next::Damaged, |event| Next::Record(event, length)),
    }
}

/// Where behind the beginning of `bytes`, which is damaged, the next whole record of this boot and shard stands that is no
/// older than `sequence`.
pub fn resume(bytes: &[u8], boot: u64, shard: u16, sequence: u64) -> Option<usize> {
    let ours = |at: &usize| {
        let bytes = bytes.get(*at..).unwrap_or_default();
        // Before the sum is made of it: most places are no frame.
        if number(bytes, 8) != Some(MAGIC.to_le_bytes()) {
            return false;
        }
        match next(bytes) {
            Next::Record(event, _) => event.boot == boot && event.shard == shard && event.sequence >= sequence,
            _ => false,
        }
    };
    (ALIGN..bytes.len()).step_by(ALIGN).find(ours)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// `None` where anything in it is not as this version writes it.
fn record(frame: &[u8]) -> Option<UsageEvent<'_>> {
    let sum = u32::from_le_bytes(number(frame, 4)?);
    if crc32fast::hash(frame.get(8..)?) != sum || number(frame, 8)? != MAGIC.to_le_bytes() {
        return None;
    }
    let [version, kind] = number(frame, 10)?;
    if version != VERSION {
        return None;
    }
    let word = |at: usize| number(frame, at).map(u64::from_le_bytes);
    let half = |at: usize| number(frame, at).map(u16::from_le_bytes);
    let [flags, ending, attempts] = number(frame, 194)?;
    let known = half(192)?;
    let mut tokens = [None; super::TOKEN_CLASSES.len()];
    for (class, count) in tokens.iter_mut().enumerate() {
        let said = word(96 + 8 * class)?;
        *count = (known >> class & 1 == 1).then_some(said);
    }
    let cost = PicoUsd(u128::from_le_bytes(number(frame, 168)?));
    let prices = PriceVersion(word(184)?);
    let [
        request_id,
        key,
        user,
        team,
        tags,
        model_asked,
        model,
        provider,
        upstream_model,
        surface,
        dialect,
        batch,
        rejected,
    ] = texts(frame)?;
    Some(UsageEvent {
        kind: kind_of(kind)?,
        boot: word(16)?,
        shard: half(12)?,
        sequence: word(24)?,
        opened: word(32)?,
        started_unix_ms: word(40)?,
        ended_unix_ms: word(48)?,
        total_ns: word(56)?,
        gateway_ns: word(64)?,
        first_token_ns: word(72).filter(|ns| *ns != NONE),
        request_bytes: word(80)?,
        response_bytes: word(88)?,
        tokens,
        cost: (flags & PRICED != 0).then_some((cost, prices)),
        status: half(14)?,
        ending: ending_of(ending)?,
        attempts,
        streamed: flags & STREAMED != 0,
        estimated: flags & ESTIMATED != 0,
        request_id,
        key,
        user,
        team,
        tags,
        model_asked,
        model,
        provider,
        upstream_model,
        surface,
        dialect,
        batch,
        rejected,
    })
}

fn texts(frame: &[u8]) -> Option<[&str; TEXTS]> {
    let mut texts = [""; TEXTS];
    let mut at = FIXED_BYTES;
    for (index, (text, most)) in texts.iter_mut().zip(TEXT_BYTES).enumerate() {
        let length = usize::from(u16::from_le_bytes(number(frame, TEXTS_AT + 2 * index)?));
        if length > most {
            return None;
        }
        *text = str::from_utf8(frame.get(at..at + length)?).ok()?;
        at += length;
    }
    Some(texts)
}

fn kind_of(byte: u8) -> Option<Kind> {
    [Kind::Open, Kind::Close, Kind::Dropped]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
}

fn ending_of(byte: u8) -> Option<Ending> {
    [Ending::Complete, Ending::ClientGone, Ending::Cut, Ending::Crashed]
        .into_iter()
        .find(|ending| *ending as u8 == byte)
}
