//! What a caller may ask the sandbox to do, well or badly: read from `x-sandbox-*` headers, from the model's name, or
//! from a scenario's rule, all three in the same words. Pure: knows no socket and no clock.
//!
//! | word | value | meaning |
//! |---|---|---|
//! | `status` | 529 | answer with this status and the dialect's error |
//! | `retry-after` | 2 | seconds, sent with an error status |
//! | `latency` | `250ms` (bare: ms), or a [`Spread`] | wait before the first byte |
//! | `gap` | the same | wait between two tokens; streams send each token by itself, buffered answers wait for the last |
//! | `stall-after` / `stall` | N | send N bytes of the answer, its head included, then nothing more |
//! | `cut-after` / `cut` | `N` or `N rst` | send N bytes, then close; `rst` (`rst-N` in a name) resets instead |
//! | `garbage` | 1 | answer with bytes that are no HTTP |
//! | `framing` | see [`Framing`] | answer with framing that a strict reader refuses |
//! | `answer-bytes` / `bytes` | N | an answer whose text has about N bytes |
//! | `tokens` | N | an answer of N tokens |
//! | `tokens-per-second` / `rate` | N | a `gap` of 1/N s |
//! | `continue` | 1 | where the conversation holds the beginning of the answer, say the rest of it |
//! | `gzip` | 1 | a compressed answer, asked for or not |
//! | `provider-headers` | 1 | add the headers a provider sends that a gateway must keep to itself |
//! | `fail-first` | N | faults hold only for the first N requests of the same `id` |
//! | `id` | text | what `fail-first` counts by |
//!
//! Every number has an upper limit, the `MAX_…` below; a duration's is a day.
//!
//! In a model's name the words follow `sandbox-`, each with its value: `sandbox-status-529`, `sandbox-small-cut-120`.

use super::spread::{Folder, Spread};

/// An answer is composed whole in memory before it is sent, and these two decide how large it is.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// A streamed token takes some hundred bytes.
const MAX_TOKENS: u64 = 100_000;
/// More would leave less than a nanosecond between two.
const MAX_TOKENS_PER_SECOND: u64 = 1_000_000_000;
/// A year.
const MAX_RETRY_AFTER_S: u64 = 365 * 86_400;
/// Where an answer is cut: beyond the end of any.
const MAX_STOP_BYTES: u64 = 1 << 30;
const MAX_FAIL_FIRST: u64 = 1_000_000;
/// Ids are kept to count by.
const MAX_ID_BYTES: u64 = 256;

/// How an answer is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Stall,
    Close,
    Reset,
}

/// Ways to frame an answer that RFC 9112 forbids, or that no reader should trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `content-length: 12abc`
    BadLength,
    /// A chunk size that is no number.
    BadChunk,
    /// Content-length and transfer-encoding together.
    Both,
    /// Two content-lengths that differ.
    TwoLengths,
    /// A length larger than the body, then a close.
    LongLength,
    /// A length smaller than the body: the rest would be read as the next answer.
    ShortLength,
    /// `transfer-encoding: gzip, chunked`
    CodingList,
    /// White space before a colon.
    SpaceColon,
    /// A header line continued on the next.
    ObsFold,
    /// Lines ended by a bare LF.
    BareLf,
    /// A NUL in a header's value.
    Nul,
    /// A head that never ends.
    HugeHead,
}

const FRAMINGS: [(&str, Framing); 12] = [
    ("bad-length", Framing::BadLength),
    ("bad-chunk", Framing::BadChunk),
    ("both", Framing::Both),
    ("two-lengths", Framing::TwoLengths),
    ("long-length", Framing::LongLength),
    ("short-length", Framing::ShortLength),
    ("coding-list", Framing::CodingList),
    ("space-colon", Framing::SpaceColon),
    ("obs-fold", Framing::ObsFold),
    ("bare-lf", Framing::BareLf),
    ("nul", Framing::Nul),
    ("huge-head", Framing::HugeHead),
];

/// Everything asked of one answer. The default is a quick, right one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    pub status: Option<u16>,
    pub retry_after_s: Option<u64>,
    pub latency: Option<Spread>,
    /// Between two tokens.
    pub gap: Option<Spread>,
    /// After how many bytes of the answer, its head included, and how it stops.
    pub stop: Option<(u64, Stop)>,
    pub garbage: bool,
    pub framing: Option<Framing>,
    pub answer_bytes: Option<u64>,
    pub tokens: Option<u64>,
    pub goes_on: bool,
    pub gzip: bool,
    pub provider_headers: bool,
    pub fail_first: Option<u64>,
    pub id: Option<String>,
}

impl Wishes {
    /// Takes one word with its value; an unknown word or a value out of shape is told back, so that a test that
    /// misspells its fault fails instead of passing.
    pub fn set(&mut self, word: &str, value: &str) -> Result<(), String> {
        self.set_in(None, word, value)
    }

    /// `set`, where files may be named relative to a folder.
    pub fn set_in(&mut self, folder: Folder, word: &str, value: &str) -> Result<(), String> {
        let value = value.trim();
        let number = |most: u64| bounded(word, value, most);
        let spread = || Spread::parse(value, folder).map_err(|bad| format!("{word}: {bad}"));
        match word {
            "status" => {
                let status = number(599)?;
                if !(200..=599).contains(&status) {
                    return Err(format!("status: '{value}' is not between 200 and 599"));
                }
                self.status = Some(status as u16);
            }
            "retry-after" | "retry" => self.retry_after_s = Some(number(MAX_RETRY_AFTER_S)?),
            "latency" => self.latency = Some(spread()?),
            "gap" => self.gap = Some(spread()?),
            "stall-after" | "stall" => self.stop = Some((number(MAX_STOP_BYTES)?, Stop::Stall)),
            "rst" => self.stop = Some((number(MAX_STOP_BYTES)?, Stop::Reset)),
            "cut-after" | "cut" => self.stop = Some(cut(word, value)?),
            "garbage" => self.garbage = value != "0",
            "framing" => {
                let known = FRAMINGS.iter().find(|(name, _)| *name == value);
                self.framing = Some(known.ok_or(format!("framing: '{value}' is not known"))?.1);
            }
            "answer-bytes" | "bytes" => self.answer_bytes = Some(number(MAX_ANSWER_BYTES)?),
            "tokens" => self.tokens = Some(number(MAX_TOKENS)?),
            // Zero is no pace at all.
            "tokens-per-second" | "rate" => {
                let each_ns = 1_000_000_000u64.checked_div(number(MAX_TOKENS_PER_SECOND)?);
                self.gap = each_ns.map(Spread::Constant);
            }
            "continue" => self.goes_on = value != "0",
            "gzip" => self.gzip = value != "0",
            "provider-headers" => self.provider_headers = value != "0",
            "fail-first" => self.fail_first = Some(number(MAX_FAIL_FIRST)?),
            "id" if value.len() as u64 > MAX_ID_BYTES => {
                return Err(format!(
                    "id: {} bytes are over the limit of {MAX_ID_BYTES}",
                    value.len()
                ));
            }
            "id" => self.id = Some(value.to_owned()),
            _ => return Err(format!("'{word}' is not a word the sandbox knows")),
        }
        Ok(())
    }

    /// Reads what a model's name says after `sandbox-`. Any other name asks for nothing.
    pub fn set_from_model(&mut self, model: &str) -> Result<(), String> {
        let Some(rest) = model.strip_prefix("sandbox-") else {
            return Ok(());
        };
        let mut words = rest.split('-');
        while let Some(word) = words.next() {
            match word {
                "small" => {}
                "large" => self.be_large(),
                "garbage" | "gzip" | "continue" => self.set(word, "1")?,
                "framing" => return self.set(word, &words.by_ref().collect::<Vec<_>>().join("-")),
                _ => self.set(word, words.next().unwrap_or_default())?,
            }
        }
        Ok(())
    }

    /// `sandbox-large` thinks before it speaks, and speaks at a pace people know; headers may say otherwise.
    fn be_large(&mut self) {
        self.latency.get_or_insert(Spread::Constant(150_000_000));
        self.tokens.get_or_insert(200);
        self.gap.get_or_insert(Spread::Constant(5_000_000));
    }

    /// Takes back every fault and keeps size and pace: what `fail-first` does once its count is used up.
    pub fn forgive(&mut self) {
        self.status = None;
        self.stop = None;
        self.garbage = false;
        self.framing = None;
        self.latency = None;
    }

    /// Adds what another wishes; where both wish, the other's holds.
    pub fn overlay(&mut self, over: &Wishes) {
        fn take<T: Clone>(mine: &mut Option<T>, over: &Option<T>) {
            if over.is_some() {
                mine.clone_from(over);
            }
        }
        take(&mut self.status, &over.status);
        take(&mut self.retry_after_s, &over.retry_after_s);
        take(&mut self.latency, &over.latency);
        take(&mut self.gap, &over.gap);
        take(&mut self.stop, &over.stop);
        take(&mut self.framing, &over.framing);
        take(&mut self.answer_bytes, &over.answer_bytes);
        take(&mut self.tokens, &over.tokens);
        take(&mut self.fail_first, &over.fail_first);
        take(&mut self.id, &over.id);
        self.garbage |= over.garbage;
        self.goes_on |= over.goes_on;
        self.gzip |= over.gzip;
        self.provider_headers |= over.provider_headers;
    }
}

fn cut(word: &str, value: &str) -> Result<(u64, Stop), String> {
    let (bytes, stop) = match value.split_once(' ') {
        None => (value, Stop::Close),
        Some((bytes, "rst")) => (bytes, Stop::Reset),
        Some(_) => return Err(format!("{word}: '{value}' is not 'N' or 'N rst'")),
    };
    Ok((bounded(word, bytes, MAX_STOP_BYTES)?, stop))
}

/// A whole number of at most `most`.
fn bounded(word: &str, value: &str, most: u64) -> Result<u64, String> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{word}: '{value}' is not a number"));
    }
    // Too many digits for 64 bits are over every limit.
    let number = value.parse::<u64>().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("{word}: '{value}' is over the limit of {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_model(model: &str) -> Result<Wishes, String> {
        let mut wishes = Wishes::default();
        wishes.set_from_model(model).map(|()| wishes)
    }

    #[test]
    fn a_models_name_carries_faults() {
        assert_eq!(from_model("gpt-5.4-mini").unwrap(), Wishes::default());
        assert_eq!(from_model("sandbox-small").unwrap(), Wishes::default());
        assert_eq!(from_model("sandbox-cut-120").unwrap().stop, Some((120, Stop::Close)));
        assert_eq!(from_model("sandbox-small-rst-7").unwrap().stop, Some((7, Stop::Reset)));
        assert_eq!(from_model("sandbox-status-529-latency-20").unwrap().status, Some(529));
        assert_eq!(
            from_model("sandbox-status-529-latency-20").unwrap().latency,
            Some(Spread::Constant(20_000_000))
        );
        assert_eq!(
            from_model("sandbox-framing-bad-length").unwrap().framing,
            Some(Framing::BadLength)
        );
        assert_eq!(from_model("sandbox-large").unwrap().tokens, Some(200));
    }

    #[test]
    fn headers_carry_faults() {
        let mut wishes = Wishes::default();
        for (word, value) in [
            ("status", "503"),
            ("latency", "2s"),
            ("cut-after", "10 rst"),
            ("garbage", "1"),
        ] {
            wishes.set(word, value).unwrap();
        }
        assert_eq!(wishes.latency, Some(Spread::Constant(2_000_000_000)));
        assert_eq!(wishes.stop, Some((10, Stop::Reset)));
        wishes.forgive();
        assert_eq!(wishes, Wishes::default());
    }

    #[test]
    fn a_misspelt_wish_is_told_back() {
        for (word, value) in [
            ("statsu", "500"),
            ("status", "99"),
            ("status", "x"),
            ("cut-after", "1 fin"),
            ("framing", "odd"),
            ("status", "66000"),
            ("latency", "soon"),
            ("gap", "histogram:file-of-the-server"),
        ] {
            assert!(Wishes::default().set(word, value).is_err(), "{word} {value}");
        }
        assert!(from_model("sandbox-unknown").is_err());
    }
}
