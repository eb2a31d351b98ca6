//! How many pictures an answer has, and how long the sound was that it tells of: what records count beside tokens. Read as the
//! answer passes, however long its pictures are; a follower of brackets and strings, and no validator.
//!
//! Sources: OpenAI API reference, "The image generation response" (`data`, one object each; streams tell each with an event
//! `image_generation.completed` or `image_edit.completed`), "The transcription object" (`usage.seconds` where it is billed by
//! time, `duration` of the verbose form).

use crate::record::Media;

/// Names and numbers that are looked at are shorter.
const MAX_WORD_BYTES: usize = 48;
/// Longer sounds are not believed: a year.
const MAX_SECONDS: u64 = 366 * 24 * 3_600;
const MS_PER_S: u64 = 1_000;

#[derive(Debug, Default)]
pub(super) struct Reader {
    told: Media,
    /// Containers that are open.
    depth: usize,
    text: Text,
    /// Whatever comes next belongs to the text.
    escaped: bool,
    wants_key: bool,
    /// The member whose value it is.
    field: Field,
    /// Of the document: the member that is open.
    within: Field,
    /// Of a key or value that is looked at.
    word: Vec<u8>,
    /// The event says that a picture is complete.
    is_completed: bool,
    /// `usage` has told the time: what is billed comes before what was measured.
    is_billed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    No,
    Passed,
    Kept,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Other,
    Data,
    Usage,
    Duration,
    Seconds,
    Type,
}

impl Reader {
    pub fn told(&self) -> Media {
        self.told
    }

    pub fn held_bytes(&self) -> usize {
        self.word.len()
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.text == Text::No || std::mem::take(&mut self.escaped) {
                at += 1;
                if self.text == Text::No {
                    self.between(byte);
                }
                continue;
            }
            // Pictures are long texts: nearly all of the bytes.
            let rest = bytes.get(at..).unwrap_or_default();
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            self.keep(rest.get(..plain).unwrap_or_default());
            at += plain + 1;
            match rest.get(plain) {
                Some(b'"') => self.text_ends(),
                // Nothing that is looked for has any.
                Some(_) => (self.text, self.escaped) = (Text::Passed, true),
                None => {}
            }
        }
    }

    /// An event of a stream, or the document, is over.
    pub fn ends(&mut self) {
        if std::mem::take(&mut self.is_completed) {
            self.told.images = Some(self.told.images.unwrap_or(0).saturating_add(1));
        }
        let (told, is_billed) = (self.told, self.is_billed);
        let word = std::mem::take(&mut self.word);
        *self = Self {
            told,
            is_billed,
            word,
            ..Self::default()
        };
        self.word.clear();
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => {
                let is_value = matches!(self.field, Field::Duration | Field::Seconds | Field::Type);
                self.text = if self.wants_key || is_value {
                    Text::Kept
                } else {
                    Text::Passed
                };
                self.word.clear();
            }
            b'{' | b'[' => self.opens(byte == b'{'),
            b'}' | b']' => {
                self.number_ends();
                self.depth = self.depth.saturating_sub(1);
                (self.wants_key, self.field) = (false, Field::Other);
            }
            b',' => {
                self.number_ends();
                self.field = Field::Other;
                self.wants_key = self.is_looked_at();
            }
            b':' => self.wants_key = false,
            _ if matches!(self.field, Field::Duration | Field::Seconds) && !byte.is_ascii_whitespace() => {
                self.keep(&[byte]);
            }
            _ => {}
        }
    }

    fn opens(&mut self, is_object: bool) {
        match (self.depth, is_object) {
            (1, _) => {
                let is_its_kind = matches!((self.field, is_object), (Field::Data, false) | (Field::Usage, true));
                self.within = if is_its_kind { self.field } else { Field::Other };
                if self.within == Field::Data {
                    self.told.images = Some(self.told.images.unwrap_or(0));
                }
            }
            (2, true) if self.within == Field::Data => {
                self.told.images = Some(self.told.images.unwrap_or(0).saturating_add(1));
            }
            _ => {}
        }
        self.depth += 1;
        self.field = Field::Other;
        self.wants_key = is_object && self.is_looked_at();
    }

    /// The document's own members, and those of `usage`.
    fn is_looked_at(&self) -> bool {
        self.depth == 1 || self.depth == 2 && self.within == Field::Usage
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.text != Text::Passed && self.word.len() + bytes.len() <= MAX_WORD_BYTES {
            self.word.extend_from_slice(bytes);
        } else {
            // Too long for anything that is looked for.
            self.text = if self.text == Text::No { Text::No } else { Text::Passed };
            self.word.clear();
        }
    }

    fn text_ends(&mut self) {
        let is_kept = self.text == Text::Kept;
        self.text = Text::No;
        if std::mem::take(&mut self.wants_key) {
            self.field = match (self.depth, &self.word[..]) {
                _ if !is_kept => Field::Other,
                (1, b"data") => Field::Data,
                (1, b"usage") => Field::Usage,
                (1, b"duration") => Field::Duration,
                (1, b"type") => Field::Type,
                (2, b"seconds") => Field::Seconds,
                _ => Field::Other,
            };
            self.word.clear();
        } else if self.field == Field::Type && is_kept {
            self.is_completed = self.word.ends_with(b".completed");
            self.word.clear();
        }
    }

    /// What stood behind a colon is complete. Durations are numbers, and were texts once.
    fn number_ends(&mut self) {
        let is_seconds = self.field == Field::Seconds;
        if !is_seconds && (self.field != Field::Duration || self.is_billed) {
            return;
        }
        if let Some(ms) = ms(&self.word) {
            self.told.audio_ms = Some(ms);
            self.is_billed |= is_seconds;
        }
        self.word.clear();
    }
}

/// Seconds with digits behind the point, as milliseconds, rounded up.
fn ms(decimal: &[u8]) -> Option<u64> {
    let text = str::from_utf8(decimal).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let seconds = whole.parse::<u64>().ok().filter(|seconds| *seconds <= MAX_SECONDS)?;
    let digit = |place: usize| {
        fraction
            .as_bytes()
            .get(place)
            .map_or(0, |digit| u64::from(digit - b'0'))
    };
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
    let rest = fraction.bytes().skip(3).any(|digit| digit != b'0');
    Some(seconds * MS_PER_S + thousandths + u64::from(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fed whole, and byte by byte.
    fn told(document: &[u8]) -> Media {
        let mut whole = Reader::default();
        whole.feed(document);
        whole.ends();
        let mut parts = Reader::default();
        document.chunks(1).for_each(|byte| parts.feed(byte));
        parts.ends();
        assert_eq!(whole.told(), parts.told());
        whole.told()
    }

    #[test]
    fn pictures_are_counted_and_sounds_measured() {
        for (document, images, audio_ms) in [
            (
                r#"{"created":1,"data":[{"url":"a"},{"b64_json":"q\"{[","x":{"y":[{}]}}],"usage":{"input_tokens":3}}"#,
                Some(2),
                None,
            ),
            (r#"{"data":[]}"#, Some(0), None),
            (
                r#"{"text":"\"data\":[{}","usage":{"type":"duration","seconds":9}}"#,
                None,
                Some(9_000),
            ),
            (
                r#"{"task":"transcribe","duration":8.4700000591,"segments":[{"duration":3}]}"#,
                None,
                Some(8_471),
            ),
            (
                r#"{"duration":"12.5","usage":{"seconds": 13 },"text":"x"}"#,
                None,
                Some(13_000),
            ),
            (r#"{"usage":{"seconds":13},"duration":12.5}"#, None, Some(13_000)),
            (r#"{"duration":1e9}"#, None, None),
            (r#"{"duration":99999999999}"#, None, None),
            (r#"{"type":"image_generation.completed","b64_json":"…"}"#, Some(1), None),
            (
                r#"{"type":"image_generation.partial_image","b64_json":"…"}"#,
                None,
                None,
            ),
            (r#"[{"data":[{}]}]"#, None, None),
            (r#"{"object":{"data":[{}]}}"#, None, None),
        ] {
            assert_eq!(told(document.as_bytes()), Media { images, audio_ms }, "{document}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in r#"[\[\]{}":,\\0-9.adtus]{0,80}"#) {
            told(text.as_bytes());
        }
    }
}
