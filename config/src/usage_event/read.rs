//! Frames read back, from bytes that anything may have happened to.

use super::{
    ALIGN, AUDIO_BIT, AttemptLines, CacheMark, END_MARK, ESTIMATED, Ending, FREE, HIT, HedgeMark, IMAGES_BIT, Kind,
    LAYOUT, LAYOUT_1, LISTED, Layout, MAGIC, MAX_FRAME_BYTES, MORE_ATTEMPTS, NONE, PRICED, REPLAYED, SEGMENT_BYTES,
    SEMANTIC_HIT, SHADOW, STREAMED, TEXT_BYTES, TEXTS, TRACED, Tokens, UsageEvent, VERSION,
};
use crate::{
    money::PicoUsd,
    prices::{PriceVersion, ServiceTier},
};

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
    /// A whole frame of a version that came later than this program, and the frame's length: not lost, but for a newer reader.
    Newer(u8, usize),
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
    if !(BEGINNING_BYTES..=SEGMENT_BYTES).contains(&length) || !length.is_multiple_of(ALIGN) {
        return Next::Damaged;
    }
    let version = version(bytes);
    let is_known = version.is_none_or(|version| version <= VERSION);
    if !(LAYOUT_1.fixed..=MAX_FRAME_BYTES).contains(&length) && is_known && bytes.len() >= BEGINNING_BYTES {
        return Next::Damaged;
    }
    match (bytes.get(..length), version) {
        (None, _) => Next::Short,
        (Some(frame), Some(version)) if version > VERSION && is_whole(frame) => Next::Newer(version, length),
        (Some(frame), _) => record(frame).map_or(Next::Damaged, |event| Next::Record(event, length)),
    }
}

/// What frames of all versions begin with: their length, sum, magic number and version.
const BEGINNING_BYTES: usize = 16;

/// `None` where it is no frame, or the bytes end before they say.
fn version(bytes: &[u8]) -> Option<u8> {
    let magic = number(bytes, 8)? == MAGIC.to_le_bytes();
    number::<1>(bytes, 10).filter(|_| magic).map(|[version]| version)
}

fn is_whole(frame: &[u8]) -> bool {
    let sum = number(frame, 4).map(u32::from_le_bytes);
    frame.get(8..).is_some_and(|rest| Some(crc32fast::hash(rest)) == sum)
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
            Next::Newer(..) => true,
            _ => false,
        }
    };
    (ALIGN..bytes.len()).step_by(ALIGN).find(ours)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// `None` where anything in it is not as its version is written.
fn record(frame: &[u8]) -> Option<UsageEvent<'_>> {
    match version(frame).filter(|_| is_whole(frame))? {
        VERSION => newest(frame),
        1 => numbers(frame).and_then(|event| with_texts(event, frame, &LAYOUT_1).map(|(event, _)| event)),
        _ => None,
    }
}

/// What every version has at the same place.
fn numbers(frame: &[u8]) -> Option<UsageEvent<'_>> {
    let word = |at: usize| word(frame, at);
    let half = |at: usize| number(frame, at).map(u16::from_le_bytes);
    let [kind] = number(frame, 11)?;
    let [flags, ending, attempts] = number(frame, 194)?;
    let known = half(192)?;
    let mut tokens = Tokens::default();
    for (class, count) in tokens.iter_mut().enumerate() {
        let said = word(96 + 8 * class)?;
        *count = (known >> class & 1 == 1).then_some(said);
    }
    let cost = PicoUsd(u128::from_le_bytes(number(frame, 168)?));
    let prices = PriceVersion(word(184)?);
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
        ..UsageEvent::default()
    })
}

/// What came with version 2.
fn newest(frame: &[u8]) -> Option<UsageEvent<'_>> {
    let (event, behind) = with_texts(numbers(frame)?, frame, &LAYOUT)?;
    let [tier, hedge, resumed] = number(frame, 197)?;
    let [marks, count] = number(frame, 256)?;
    let known = u16::from_le_bytes(number(frame, 192)?);
    let lines_bytes = usize::from(u16::from_le_bytes(number(frame, 258)?));
    let lines = frame.get(behind..behind + lines_bytes)?;
    let of_bit = |bit: usize, at: usize| word(frame, at).filter(|_| known >> bit & 1 == 1);
    let list = PicoUsd(u128::from_le_bytes(number(frame, 200)?));
    Some(UsageEvent {
        tier: *ServiceTier::ALL.get(usize::from(tier))?,
        hedge: hedge_of(hedge)?,
        resumed,
        list: (marks & LISTED != 0).then_some(list),
        trace: number(frame, 216).filter(|_| marks & TRACED != 0),
        requests: word(frame, 232)?,
        images: of_bit(IMAGES_BIT, 240),
        audio_ms: of_bit(AUDIO_BIT, 248),
        shadow: marks & SHADOW != 0,
        replayed: marks & REPLAYED != 0,
        cache: match (marks & HIT != 0, marks & SEMANTIC_HIT != 0) {
            (_, true) => CacheMark::SemanticHit,
            (true, false) => CacheMark::Hit,
            (false, false) => CacheMark::None,
        },
        free: marks & FREE != 0,
        more_attempts: marks & MORE_ATTEMPTS != 0,
        lines: AttemptLines::parse(lines, count)?,
        ..event
    })
}

fn word(frame: &[u8], at: usize) -> Option<u64> {
    number(frame, at).map(u64::from_le_bytes)
}

/// And where the texts end.
fn with_texts<'f>(event: UsageEvent<'f>, frame: &'f [u8], layout: &Layout) -> Option<(UsageEvent<'f>, usize)> {
    let mut lengths = [0; TEXTS];
    for (index, (length, most)) in lengths.iter_mut().zip(TEXT_BYTES).take(layout.texts).enumerate() {
        *length = usize::from(u16::from_le_bytes(number(frame, layout.texts_at + 2 * index)?));
        if *length > most {
            return None;
        }
    }
    // All at once, which is quicker than one by one; none may end within a character.
    let at = layout.fixed + lengths.iter().sum::<usize>();
    let mut rest = str::from_utf8(frame.get(layout.fixed..at)?).ok()?;
    let mut texts = [""; TEXTS];
    for (text, length) in texts.iter_mut().zip(lengths) {
        (*text, rest) = rest.split_at_checked(length)?;
    }
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
        organization,
        cost_center,
        credential,
        arm,
    ] = texts;
    let event = UsageEvent {
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
        organization,
        cost_center,
        credential,
        arm,
        ..event
    };
    Some((event, at))
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

fn hedge_of(byte: u8) -> Option<HedgeMark> {
    use HedgeMark::{Failed, Lost, None as Unasked, OverBudget, Won};
    [Unasked, Won, Lost, Failed, OverBudget]
        .into_iter()
        .find(|mark| *mark as u8 == byte)
}
