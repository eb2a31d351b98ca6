//! One line for each attempt of a call: whom it asked, with which credential, what came of it, what it used. A bounded
//! part of a record. Knows no content.

use super::{TOKEN_CLASSES, Tokens};
use crate::{money::PicoUsd, prices::PriceVersion};

/// Lines of a record. Of a call that tried more often the first ones are kept, and the last.
pub const MAX_ATTEMPT_LINES: usize = 8;
/// All lines of a record together: eight with names of usual length, two with the longest.
pub const MAX_ATTEMPTS_BYTES: usize = 2048;
/// Of a provider's, a model's and a credential's name.
const MAX_NAME_BYTES: usize = 256;
/// Length, status, end, flags, which classes are known, and two times.
const FIXED_BYTES: usize = 24;
const NAMES: usize = 3;

const ESTIMATED: u8 = 1;
const PRICED: u8 = 2;
const LISTED: u8 = 4;

/// How an attempt ended; also of `tollgate_upstream_attempts_total{provider,outcome}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttemptOutcome {
    #[default]
    Ok,
    Status,
    Connect,
    Timeout,
    Disconnect,
    BadAnswer,
    Cancelled,
    /// Another attempt of the same call answered first.
    HedgeLost,
}

impl AttemptOutcome {
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Status,
        Self::Connect,
        Self::Timeout,
        Self::Disconnect,
        Self::BadAnswer,
        Self::Cancelled,
        Self::HedgeLost,
    ];

    /// As metrics and explanations have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Status => "status",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Disconnect => "disconnect",
            Self::BadAnswer => "bad_answer",
            Self::Cancelled => "cancelled",
            Self::HedgeLost => "hedge_lost",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptLine<'a> {
    pub provider: &'a str,
    /// The provider's name of the model.
    pub model: &'a str,
    /// What the credential's reference names: a variable, or a file.
    pub credential: &'a str,
    /// Of its answer; zero without one.
    pub status: u16,
    pub end: AttemptOutcome,
    /// From the call's beginning.
    pub started_ns: u64,
    pub took_ns: u64,
    pub tokens: Tokens,
    pub cost: Option<(PicoUsd, PriceVersion)>,
    pub list: Option<PicoUsd>,
    pub estimated: bool,
}

impl AttemptLine<'_> {
    /// Did it cost or use anything?
    pub fn is_billed(&self) -> bool {
        self.cost.is_some() || self.tokens.iter().any(Option::is_some)
    }
}

/// The lines of a record, as they lie in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptLines<'a> {
    bytes: &'a [u8],
    count: u8,
}

impl<'a> AttemptLines<'a> {
    pub fn len(&self) -> usize {
        self.count.into()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = AttemptLine<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (line, behind) = read(rest)?;
            rest = behind;
            Some(line)
        })
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// `None` where the bytes are not so many lines and nothing else.
    pub(super) fn parse(bytes: &'a [u8], count: u8) -> Option<Self> {
        let mut rest = bytes;
        for _ in 0..count {
            (_, rest) = read(rest)?;
        }
        rest.is_empty().then_some(Self { bytes, count })
    }
}

/// Room for the lines of one record, used again for the next.
#[derive(Debug)]
pub struct AttemptBuffer {
    bytes: Box<[u8; MAX_ATTEMPTS_BYTES]>,
    at: usize,
    count: u8,
    /// A line had no room.
    pub is_cut: bool,
}

impl Default for AttemptBuffer {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; MAX_ATTEMPTS_BYTES]),
            at: 0,
            count: 0,
            is_cut: false,
        }
    }
}

impl AttemptBuffer {
    pub fn clear(&mut self) {
        (self.at, self.count, self.is_cut) = (0, 0, false);
    }

    pub fn lines(&self) -> AttemptLines<'_> {
        AttemptLines {
            bytes: &self.bytes[..self.at],
            count: self.count,
        }
    }

    pub fn push(&mut self, line: &AttemptLine<'_>) {
        let names =
            [line.provider, line.model, line.credential].map(|name| &name[..name.floor_char_boundary(MAX_NAME_BYTES)]);
        let known = line.tokens.iter().flatten().count();
        let money = 24 * usize::from(line.cost.is_some()) + 16 * usize::from(line.list.is_some());
        let texts: usize = names.iter().map(|name| 2 + name.len()).sum();
        let length = FIXED_BYTES + 8 * known + money + texts;
        if usize::from(self.count) == MAX_ATTEMPT_LINES || self.at + length > MAX_ATTEMPTS_BYTES {
            self.is_cut = true;
            return;
        }
        let mut out = Out {
            to: &mut self.bytes[..],
            at: self.at,
        };
        out.write(line, length as u16, names);
        self.at += length;
        self.count += 1;
    }
}

struct Out<'b> {
    to: &'b mut [u8],
    at: usize,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.to[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn write(&mut self, line: &AttemptLine<'_>, length: u16, names: [&str; NAMES]) {
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let flags =
            flag(line.estimated, ESTIMATED) | flag(line.cost.is_some(), PRICED) | flag(line.list.is_some(), LISTED);
        let mut known = 0u16;
        for (class, tokens) in line.tokens.iter().enumerate() {
            known |= u16::from(tokens.is_some()) << class;
        }
        self.put(&length.to_le_bytes());
        self.put(&line.status.to_le_bytes());
        self.put(&[line.end as u8, flags]);
        self.put(&known.to_le_bytes());
        self.put(&line.started_ns.to_le_bytes());
        self.put(&line.took_ns.to_le_bytes());
        for tokens in line.tokens.iter().flatten() {
            self.put(&tokens.to_le_bytes());
        }
        if let Some((usd, version)) = line.cost {
            self.put(&usd.0.to_le_bytes());
            self.put(&version.0.to_le_bytes());
        }
        if let Some(list) = line.list {
            self.put(&list.0.to_le_bytes());
        }
        for name in names {
            self.put(&(name.len() as u16).to_le_bytes());
            self.put(name.as_bytes());
        }
    }
}

/// Takes from the front of some bytes.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn half(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn name(&mut self) -> Option<&'a str> {
        let length = usize::from(self.half()?);
        if length > MAX_NAME_BYTES || length > self.0.len() {
            return None;
        }
        let (name, rest) = self.0.split_at(length);
        self.0 = rest;
        str::from_utf8(name).ok()
    }
}

fn read(bytes: &[u8]) -> Option<(AttemptLine<'_>, &[u8])> {
    let length = usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
    let (line, behind) = bytes.split_at_checked(length)?;
    let mut from = In(line.get(2..)?);
    let status = from.half()?;
    let [end, flags] = from.take()?;
    let known = from.half()?;
    let (started_ns, took_ns) = (from.word()?, from.word()?);
    if known >> TOKEN_CLASSES.len() != 0 {
        return None;
    }
    let mut tokens = Tokens::default();
    for (class, count) in tokens.iter_mut().enumerate() {
        if known >> class & 1 == 1 {
            *count = Some(from.word()?);
        }
    }
    let cost = match flags & PRICED {
        0 => None,
        _ => Some((PicoUsd(u128::from_le_bytes(from.take()?)), PriceVersion(from.word()?))),
    };
    let list = match flags & LISTED {
        0 => None,
        _ => Some(PicoUsd(u128::from_le_bytes(from.take()?))),
    };
    let (provider, model, credential) = (from.name()?, from.name()?, from.name()?);
    let line = AttemptLine {
        provider,
        model,
        credential,
        status,
        end: *AttemptOutcome::ALL.get(usize::from(end))?,
        started_ns,
        took_ns,
        tokens,
        cost,
        list,
        estimated: flags & ESTIMATED != 0,
    };
    from.0.is_empty().then_some((line, behind))
}
