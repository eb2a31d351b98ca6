//! The usage record as bytes: what a shard writes for each call that goes to a provider, and the control plane reads. One
//! for its beginning, one for its end. No content is in it. Knows no file and no mapping: bytes in, bytes out.
//!
//! A segment is a file of `SEGMENT_BYTES`: a header, then frames one behind the other, then zeros. A frame is written
//! behind its first four bytes first; those, its length, make it valid, so a writer that dies leaves no half of one. All
//! numbers are little-endian; what is damaged is found by the CRC-32 of each frame and told apart from what is not there.

mod lines;
mod read;
mod segment;

pub use lines::{AttemptBuffer, AttemptLine, AttemptLines, AttemptOutcome, MAX_ATTEMPT_LINES, MAX_ATTEMPTS_BYTES};
pub use read::{Next, next, resume};
pub use segment::{SegmentHeader, SegmentName, boot_file, boot_of};

use crate::{
    money::PicoUsd,
    prices::{PriceVersion, ServiceTier},
};

/// Of each segment file.
pub const SEGMENT_BYTES: usize = 1024 * 1024;
pub const HEADER_BYTES: usize = 64;
/// Where segments lie, within the state directory.
pub const SPOOL_FOLDER: &str = "spool";
/// In place of a frame's length: no frame follows in this segment.
pub const END_MARK: u32 = u32::MAX;
/// Kept free at the end of a segment for the mark.
pub const END_BYTES: usize = 8;
/// Frames begin at multiples of this.
pub const ALIGN: usize = 8;
/// Token classes, in the order of their numbers here.
pub const TOKEN_CLASSES: [&str; 9] = [
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "output_audio",
    "input_image",
];

/// By `TOKEN_CLASSES`; absent is not zero.
pub type Tokens = [Option<u64>; TOKEN_CLASSES.len()];

const MAGIC: u16 = 0x5554;
/// A reader leaves those that it does not know where they are, for one that does.
pub const VERSION: u8 = 2;
const TEXTS: usize = 17;
/// The most bytes of each text, in their order; longer ones are cut at a character.
const TEXT_BYTES: [usize; TEXTS] = [
    128, 256, 256, 256, 1024, 256, 256, 256, 256, 64, 32, 256, 64, 256, 256, 256, 64,
];
/// No frame is longer.
pub const MAX_FRAME_BYTES: usize = (LAYOUT.fixed + sum(&TEXT_BYTES) + MAX_ATTEMPTS_BYTES).next_multiple_of(ALIGN);
/// By how much a closing record may be longer than the opening one of its call: another model took over, another target
/// answered, a batch was read, the gateway refused, and each attempt has its line.
pub const MAX_GROWTH_BYTES: usize = (TEXT_BYTES[6]
    + TEXT_BYTES[7]
    + TEXT_BYTES[8]
    + TEXT_BYTES[11]
    + TEXT_BYTES[12]
    + TEXT_BYTES[15]
    + TEXT_BYTES[16]
    + MAX_ATTEMPTS_BYTES)
    .next_multiple_of(ALIGN);

/// Where a version has its texts.
struct Layout {
    /// Texts begin behind so many bytes,
    fixed: usize,
    /// their lengths here,
    texts_at: usize,
    /// and there are so many.
    texts: usize,
}

const LAYOUT: Layout = Layout {
    fixed: 296,
    texts_at: 260,
    texts: TEXTS,
};
/// Behind the texts' lengths; up to the texts there are zeros.
const TEXTS_END: usize = LAYOUT.texts_at + 2 * TEXTS;
/// Numbers up to `tier` stand where they stand now; there was nothing behind them.
const LAYOUT_1: Layout = Layout {
    fixed: 228,
    texts_at: 200,
    texts: 13,
};

const STREAMED: u8 = 1;
const ESTIMATED: u8 = 2;
const PRICED: u8 = 4;

const SHADOW: u8 = 1;
const REPLAYED: u8 = 2;
const FREE: u8 = 4;
const MORE_ATTEMPTS: u8 = 8;
const TRACED: u8 = 16;
const LISTED: u8 = 32;
const HIT: u8 = 64;
const SEMANTIC_HIT: u8 = 128;

/// Which counts beside tokens are known, behind the bits of `TOKEN_CLASSES`.
const IMAGES_BIT: usize = TOKEN_CLASSES.len();
const AUDIO_BIT: usize = IMAGES_BIT + 1;
/// In place of a time that is not known.
const NONE: u64 = u64::MAX;

const fn sum(all: &[usize]) -> usize {
    let (mut total, mut at) = (0, 0);
    while at < all.len() {
        total += all[at];
        at += 1;
    }
    total
}

/// What a record is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A call is about to go to a provider.
    #[default]
    Open,
    /// It has ended, and this is all of it.
    Close,
    /// It was dropped by a fault of ours: what is known of it is in its opening record.
    Dropped,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    #[default]
    Complete,
    ClientGone,
    /// The answer broke after its first byte.
    Cut,
    /// The data plane ended before the call did.
    Crashed,
}

/// What came of asking a second target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HedgeMark {
    /// None was asked.
    #[default]
    None,
    Won,
    Lost,
    Failed,
    OverBudget,
}

/// Which cache the answer came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMark {
    /// None; also of records that were written before any was told.
    #[default]
    None,
    /// The same call was answered before,
    Hit,
    /// or one that means the same.
    SemanticHit,
}

impl CacheMark {
    pub const ALL: [Self; 3] = [Self::None, Self::Hit, Self::SemanticHit];

    /// As `x-tollgate-cache` says it; empty where there is nothing to tell.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Hit => "hit",
            Self::SemanticHit => "semantic-hit",
        }
    }
}

/// A record. Empty texts are absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageEvent<'a> {
    pub kind: Kind,
    /// Of the data plane's process; with `shard` and `sequence` the record's identity.
    pub boot: u64,
    pub shard: u16,
    /// From 1, without gaps.
    pub sequence: u64,
    /// The sequence of the call's opening record.
    pub opened: u64,
    pub started_unix_ms: u64,
    /// Zero in opening records.
    pub ended_unix_ms: u64,
    pub total_ns: u64,
    pub gateway_ns: u64,
    pub first_token_ns: Option<u64>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub tokens: Tokens,
    /// What it counts for: one.
    pub requests: u64,
    pub images: Option<u64>,
    pub audio_ms: Option<u64>,
    /// Where prices are known.
    pub cost: Option<(PicoUsd, PriceVersion)>,
    /// The same at list prices.
    pub list: Option<PicoUsd>,
    pub tier: ServiceTier,
    pub status: u16,
    pub ending: Ending,
    pub attempts: u8,
    pub streamed: bool,
    pub estimated: bool,
    pub hedge: HedgeMark,
    /// So often another target went on with a stream that had broken.
    pub resumed: u8,
    /// The copy of a call.
    pub shadow: bool,
    /// The answer is one that was given before.
    pub replayed: bool,
    pub cache: CacheMark,
    /// Whatever it used, nothing is to be paid for it.
    pub free: bool,
    /// There were more attempts than `lines` has.
    pub more_attempts: bool,
    /// The W3C trace id that the client sent.
    pub trace: Option<[u8; 16]>,
    pub lines: AttemptLines<'a>,
    pub request_id: &'a str,
    pub key: &'a str,
    pub user: &'a str,
    pub team: &'a str,
    pub tags: &'a str,
    pub model_asked: &'a str,
    pub model: &'a str,
    pub provider: &'a str,
    pub upstream_model: &'a str,
    pub surface: &'a str,
    pub dialect: &'a str,
    /// Of work that was done before its call: 32 digits that it is known by, and of a batch behind a space its id as the client
    /// has it.
    pub batch: &'a str,
    pub rejected: &'a str,
    pub organization: &'a str,
    /// Of the team, as it was then.
    pub cost_center: &'a str,
    /// What the reference of the credential names that was used last.
    pub credential: &'a str,
    /// Of a comparison: the arm that the target was which was asked last.
    pub arm: &'a str,
}

impl Default for UsageEvent<'_> {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            boot: 0,
            shard: 0,
            sequence: 0,
            opened: 0,
            started_unix_ms: 0,
            ended_unix_ms: 0,
            total_ns: 0,
            gateway_ns: 0,
            first_token_ns: None,
            request_bytes: 0,
            response_bytes: 0,
            tokens: Tokens::default(),
            requests: 1,
            images: None,
            audio_ms: None,
            cost: None,
            list: None,
            tier: ServiceTier::default(),
            status: 0,
            ending: Ending::default(),
            attempts: 0,
            streamed: false,
            estimated: false,
            hedge: HedgeMark::default(),
            resumed: 0,
            shadow: false,
            replayed: false,
            cache: CacheMark::None,
            free: false,
            more_attempts: false,
            trace: None,
            lines: AttemptLines::default(),
            request_id: "",
            key: "",
            user: "",
            team: "",
            tags: "",
            model_asked: "",
            model: "",
            provider: "",
            upstream_model: "",
            surface: "",
            dialect: "",
            batch: "",
            rejected: "",
            organization: "",
            cost_center: "",
            credential: "",
            arm: "",
        }
    }
}

impl<'a> UsageEvent<'a> {
    fn texts(&self) -> [&'a str; TEXTS] {
        [
            self.request_id,
            self.key,
            self.user,
            self.team,
            self.tags,
            self.model_asked,
            self.model,
            self.provider,
            self.upstream_model,
            self.surface,
            self.dialect,
            self.batch,
            self.rejected,
            self.organization,
            self.cost_center,
            self.credential,
            self.arm,
        ]
    }

    /// Writes the frame and answers its length: a multiple of `ALIGN`.
    pub fn write(&self, frame: &mut [u8; MAX_FRAME_BYTES]) -> usize {
        let mut at = LAYOUT.fixed;
        for (index, (text, most)) in self.texts().into_iter().zip(TEXT_BYTES).enumerate() {
            let text = &text.as_bytes()[..text.floor_char_boundary(most)];
            frame[at..at + text.len()].copy_from_slice(text);
            at += text.len();
            put(frame, LAYOUT.texts_at + 2 * index, (text.len() as u16).to_le_bytes());
        }
        let lines = self.lines.bytes();
        frame[at..at + lines.len()].copy_from_slice(lines);
        put(frame, 258, (lines.len() as u16).to_le_bytes());
        at += lines.len();
        let end = at.next_multiple_of(ALIGN);
        frame[at..end].fill(0);
        self.write_numbers(frame);
        put(frame, 0, (end as u32).to_le_bytes());
        put(frame, 4, crc32fast::hash(&frame[8..end]).to_le_bytes());
        end
    }

    fn write_numbers(&self, frame: &mut [u8; MAX_FRAME_BYTES]) {
        let (cost, prices) = self.cost.unwrap_or((PicoUsd::ZERO, PriceVersion(0)));
        let mut known = 0u16;
        put(frame, 8, MAGIC.to_le_bytes());
        put(frame, 10, [VERSION, self.kind as u8]);
        put(frame, 12, self.shard.to_le_bytes());
        put(frame, 14, self.status.to_le_bytes());
        let words = [
            self.boot,
            self.sequence,
            self.opened,
            self.started_unix_ms,
            self.ended_unix_ms,
            self.total_ns,
            self.gateway_ns,
            self.first_token_ns.unwrap_or(NONE),
            self.request_bytes,
            self.response_bytes,
        ];
        for (index, word) in words.into_iter().enumerate() {
            put(frame, 16 + 8 * index, word.to_le_bytes());
        }
        for (class, tokens) in self.tokens.iter().enumerate() {
            known |= u16::from(tokens.is_some()) << class;
            put(frame, 96 + 8 * class, tokens.unwrap_or(0).to_le_bytes());
        }
        put(frame, 168, cost.0.to_le_bytes());
        put(frame, 184, prices.0.to_le_bytes());
        known |= u16::from(self.images.is_some()) << IMAGES_BIT | u16::from(self.audio_ms.is_some()) << AUDIO_BIT;
        put(frame, 192, known.to_le_bytes());
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let flags = flag(self.streamed, STREAMED) | flag(self.estimated, ESTIMATED) | flag(self.cost.is_some(), PRICED);
        let small = [self.attempts, self.tier as u8, self.hedge as u8, self.resumed];
        put(frame, 194, [flags, self.ending as u8]);
        put(frame, 196, small);
        put(frame, 200, self.list.unwrap_or_default().0.to_le_bytes());
        put(frame, 216, self.trace.unwrap_or_default());
        let counts = [self.requests, self.images.unwrap_or(0), self.audio_ms.unwrap_or(0)];
        for (index, count) in counts.into_iter().enumerate() {
            put(frame, 232 + 8 * index, count.to_le_bytes());
        }
        let marks = flag(self.shadow, SHADOW)
            | flag(self.replayed, REPLAYED)
            | flag(self.free, FREE)
            | flag(self.more_attempts, MORE_ATTEMPTS)
            | flag(self.trace.is_some(), TRACED)
            | flag(self.list.is_some(), LISTED)
            | match self.cache {
                CacheMark::None => 0,
                CacheMark::Hit => HIT,
                CacheMark::SemanticHit => SEMANTIC_HIT,
            };
        put(frame, 256, [marks, self.lines.len() as u8]);
        put(frame, TEXTS_END, [0; LAYOUT.fixed - TEXTS_END]);
    }
}

fn put<const N: usize>(frame: &mut [u8; MAX_FRAME_BYTES], at: usize, bytes: [u8; N]) {
    frame[at..at + N].copy_from_slice(&bytes);
}
