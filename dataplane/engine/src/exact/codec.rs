//! A kept answer as bytes that outlive its process: a version, a checksum, and numbered sections with their lengths, of which
//! those that are not known are passed over. Whatever is read is an answer or a reason; knows no file and no clock.

use std::sync::Arc;

use tollgate_config::{document::Dialect, money::PicoUsd, prices::PriceVersion};
use tollgate_dialect::usage::Usage;

use super::{About, Form, Head, Spent, Stored, about::Said};
use crate::{Tick, cost::Cost, semantic::Asked};

/// Of what stands before the sections, and of them all.
const VERSION: u8 = 1;
/// A section of another number is passed over: a later version adds its own.
const PLACE: u16 = 1;
const ABOUT: u16 = 2;
const HEAD: u16 = 3;
const BODY: u16 = 4;
const SPENT: u16 = 5;
/// What it is found by, where its cache looks by meaning.
const ASKED: u16 = 6;
/// And its vector, where a provider made it.
const VECTOR: u16 = 7;
const SECTIONS: usize = 8;
/// Whether there is a value.
const NONE: u8 = 0;
const SOME: u8 = 1;

/// An answer with the name it is kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub key: u128,
    /// How often it was asked for lately.
    pub asked: u8,
    pub(crate) stored: Arc<Stored>,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    #[error("it is of version {0}, and this gateway knows version 1")]
    Version(u8),
    #[error("its checksum is another")]
    Checksum,
    #[error("it ends too early")]
    Short,
    #[error("section {0} is missing")]
    Missing(u16),
    #[error("section {0} does not say what belongs there")]
    Wrong(u16),
}

/// What stands before the sections, of all of them.
pub fn checksum(sections: &[u8]) -> u32 {
    crc32fast::hash(sections)
}

/// Appends it. False, and nothing is appended, where a length does not fit.
pub fn write(kept: &Kept, now: Tick, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.push(VERSION);
    out.extend_from_slice(&[0; 4]);
    let written = write_sections(kept, now, out);
    let sum = out.get(start + 5..).map(checksum);
    match (written, sum, out.get_mut(start + 1..start + 5)) {
        (Some(()), Some(sum), Some(place)) => {
            place.copy_from_slice(&sum.to_le_bytes());
            true
        }
        _ => {
            out.truncate(start);
            false
        }
    }
}

fn write_sections(kept: &Kept, now: Tick, out: &mut Vec<u8>) -> Option<()> {
    let stored = &*kept.stored;
    section(out, PLACE, |out| {
        out.extend_from_slice(&kept.key.to_le_bytes());
        out.extend_from_slice(&stored.age_ns(now).to_le_bytes());
        out.push(kept.asked);
        Some(())
    })?;
    section(out, ABOUT, |out| {
        let about = &*stored.about;
        let said = about.said();
        for said in [about.tenant(), said.key, said.model, said.tags, said.begins] {
            text(out, said.as_bytes())?;
        }
        option(out, said.team, |out, team| text(out, team.as_bytes()))
    })?;
    section(out, HEAD, |out| {
        let (form, usage, array) = match stored.head.form {
            Form::Whole => (0, false, false),
            Form::Stream { usage, array } => (1, usage, array),
        };
        out.extend_from_slice(&[form, u8::from(usage), u8::from(array)]);
        text(out, stored.dialect.name().as_bytes())?;
        text(out, stored.head.content_type())?;
        text(out, stored.head.lines())
    })?;
    section(out, BODY, |out| {
        out.extend_from_slice(&stored.body);
        Some(())
    })?;
    section(out, SPENT, |out| {
        out.extend_from_slice(&stored.spent.took_ns.to_le_bytes());
        option(out, stored.spent.usage, |out, usage| {
            for class in classes(&usage) {
                option(out, class, |out, count| {
                    out.extend_from_slice(&count.to_le_bytes());
                    Some(())
                })?;
            }
            Some(())
        })?;
        option(out, stored.spent.cost, |out, cost| {
            out.extend_from_slice(&cost.usd.0.to_le_bytes());
            out.extend_from_slice(&cost.list.0.to_le_bytes());
            out.extend_from_slice(&cost.prices.0.to_le_bytes());
            Some(())
        })
    })?;
    stored.asked.as_deref().map_or(Some(()), |asked| found_by(out, asked))
}

fn found_by(out: &mut Vec<u8>, asked: &Asked) -> Option<()> {
    section(out, ASKED, |out| {
        out.extend_from_slice(&asked.partition.to_le_bytes());
        text(out, asked.text.as_bytes())?;
        out.extend_from_slice(&asked.model.to_le_bytes());
        asked.earlier.iter().try_for_each(|said| text(out, said.as_bytes()))
    })?;
    if asked.kept_vector.is_empty() {
        return Some(());
    }
    section(out, VECTOR, |out| {
        out.extend(asked.kept_vector.iter().map(|value| value.cast_unsigned()));
        Some(())
    })
}

fn section(out: &mut Vec<u8>, number: u16, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    out.extend_from_slice(&number.to_le_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = u32::try_from(out.len() - at - 4).ok()?;
    out.get_mut(at..at + 4)?.copy_from_slice(&length.to_le_bytes());
    Some(())
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

fn option<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T) -> Option<()>) -> Option<()> {
    match value {
        None => out.push(NONE),
        Some(value) => {
            out.push(SOME);
            write(out, value)?;
        }
    }
    Some(())
}

fn classes(usage: &Usage) -> [Option<u64>; 9] {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.input_audio,
        usage.output_audio,
        usage.input_image,
    ]
}

/// An answer of this cache, which was written `since_ns` ago. All of `bytes` are its.
pub fn read(bytes: &[u8], cache: &Arc<str>, now: Tick, since_ns: u64) -> Result<Kept, Damaged> {
    let mut rest = Bytes(bytes);
    let version = rest.byte().ok_or(Damaged::Short)?;
    if version != VERSION {
        return Err(Damaged::Version(version));
    }
    let sum = rest.u32().ok_or(Damaged::Short)?;
    if checksum(rest.0) != sum {
        return Err(Damaged::Checksum);
    }
    let mut sections = [None; SECTIONS];
    while !rest.0.is_empty() {
        let number = rest.array().map(u16::from_le_bytes).ok_or(Damaged::Short)?;
        let content = rest.text().ok_or(Damaged::Short)?;
        if let Some(place) = sections.get_mut(usize::from(number)) {
            *place = Some(Bytes(content));
        }
    }
    let of = |number: u16| {
        let found = sections.get(usize::from(number)).copied().flatten();
        found.ok_or(Damaged::Missing(number))
    };
    let wrong = |number: u16| move || Damaged::Wrong(number);
    let (key, aged_ns, often) = place(of(PLACE)?).ok_or_else(wrong(PLACE))?;
    let about = about(of(ABOUT)?, cache).ok_or_else(wrong(ABOUT))?;
    let (head, dialect) = head(of(HEAD)?).ok_or_else(wrong(HEAD))?;
    let spent = spent(of(SPENT)?).ok_or_else(wrong(SPENT))?;
    let vector = of(VECTOR).map_or_else(
        |_| Box::default(),
        |bytes| bytes.0.iter().map(|byte| byte.cast_signed()).collect(),
    );
    let asked = of(ASKED)
        .ok()
        .map(|bytes| asked(bytes, vector).ok_or_else(wrong(ASKED)));
    let stored = Stored {
        asked: asked.transpose()?.map(Box::new),
        head: Arc::new(head),
        dialect,
        body: of(BODY)?.0.into(),
        at: now,
        aged_ns: aged_ns.saturating_add(since_ns),
        spent,
        about: Arc::new(about),
    };
    Ok(Kept {
        key,
        asked: often,
        stored: Arc::new(stored),
    })
}

fn place(mut bytes: Bytes<'_>) -> Option<(u128, u64, u8)> {
    let key = bytes.u128()?;
    let aged_ns = bytes.u64()?;
    Some((key, aged_ns, bytes.byte()?))
}

fn asked(mut bytes: Bytes<'_>, vector: Box<[i8]>) -> Option<Asked> {
    let (partition, text) = (bytes.u128()?, bytes.word()?.into());
    // A former version did not say it: then it is no model's.
    let model = bytes.u64().unwrap_or_default();
    let mut earlier = Vec::new();
    while !bytes.0.is_empty() {
        earlier.push(bytes.word()?.into());
    }
    Some(Asked::new(partition, model, (text, earlier.into())).with_vector(vector))
}

fn about(mut bytes: Bytes<'_>, cache: &Arc<str>) -> Option<About> {
    let (tenant, key, model, tags, begins) = (
        bytes.word()?,
        bytes.word()?,
        bytes.word()?,
        bytes.word()?,
        bytes.word()?,
    );
    let said = Said {
        key,
        team: bytes.option(|bytes| bytes.word())?,
        model,
        tags,
        begins,
    };
    Some(About::new(Arc::clone(cache), [tenant, ""], &said))
}

fn head(mut bytes: Bytes<'_>) -> Option<(Head, Dialect)> {
    let [form, usage, array] = bytes.array()?;
    let flag = |byte: u8| (byte < 2).then_some(byte == 1);
    let form = match form {
        0 => Form::Whole,
        1 => Form::Stream {
            usage: flag(usage)?,
            array: flag(array)?,
        },
        _ => return None,
    };
    let dialect = bytes.word()?;
    let dialect = Dialect::ALL.into_iter().find(|known| known.name() == dialect)?;
    let (content_type, lines) = (bytes.text()?, bytes.text()?);
    // They go out as they are.
    let is_line = |line: &[u8]| !line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    let mut all = lines
        .strip_suffix(b"\r\n")
        .unwrap_or(lines)
        .split(|&byte| byte == b'\n');
    let are_lines = lines.is_empty()
        || lines.ends_with(b"\r\n") && all.all(|line| is_line(line.strip_suffix(b"\r").unwrap_or(line)));
    let head = Head::new(form, content_type, lines.to_vec());
    (are_lines && is_line(content_type)).then_some((head, dialect))
}

fn spent(mut bytes: Bytes<'_>) -> Option<Spent> {
    let took_ns = bytes.u64()?;
    let usage = bytes.option(|bytes| {
        let mut count = || bytes.option(Bytes::u64);
        Some(Usage {
            input: count()?,
            cache_read: count()?,
            cache_write_5m: count()?,
            cache_write_1h: count()?,
            output: count()?,
            reasoning: count()?,
            input_audio: count()?,
            output_audio: count()?,
            input_image: count()?,
        })
    })?;
    let cost = bytes.option(|bytes| {
        Some(Cost {
            usd: PicoUsd(bytes.u128()?),
            list: PicoUsd(bytes.u128()?),
            prices: PriceVersion(bytes.u64()?),
        })
    })?;
    Some(Spent { usage, cost, took_ns })
}

/// What is left to read.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn word(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text()?).ok()
    }

    /// The outer: could it be read?
    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            NONE => Some(None),
            SOME => read(self).map(Some),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
