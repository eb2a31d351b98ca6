//! Counts the tokens of texts that come in pieces, cut anywhere, in memory that does not grow.

use super::{Estimate, Memo, Tokenizer, class::Window, family::Vocabulary, fast::Fast, split::WINDOW_BYTES};

/// Counted by a vocabulary; what comes behind is estimated. Some 4,000 tokens of prose, and the limit on what
/// counting may cost a shard (docs/src/tokens.md).
pub const DEFAULT_EXACT_BYTES: usize = 16 * 1024;
/// So many of them are also estimated, to learn how far the estimate is off in this text.
const SAMPLE_BYTES: usize = 4 * 1024;

/// The mean error of an estimate that was corrected by such a sample: documents with a quarter counted err by 2.6 %.
const CORRECTED_ERROR_BASIS_POINTS: u16 = 350;
/// The same where a sibling's vocabulary counted: such documents err by 2.5 to 3.3 %.
const CORRECTED_BY_SIBLING_ERROR_BASIS_POINTS: u16 = 400;
/// No tokenizer has more than so many times the tokens of its sibling, or fewer than this part: three where one takes
/// digits alone and the other by threes.
const MOST_OF_SIBLING: u64 = 4;

/// The count does not depend on how the bytes were cut; but texts are apart: no token reaches from one into the next.
#[derive(Clone, Debug)]
pub struct Counter {
    tokenizer: Tokenizer,
    /// How many bytes may still be counted by the vocabulary, at their `price`.
    exact_bytes_left: usize,
    /// What the vocabulary said of them.
    exact_tokens: u64,
    /// By this tokenizer's weights: over what comes behind the exact bytes, and over the sample before.
    fast: Fast,
    /// The exact bytes that are counted both ways: the last of them where the vocabulary is the tokenizer's own, all
    /// where it is a sibling's. What the vocabulary said of them, what its weights say, and what `fast` did.
    sample_tokens: u64,
    sample: Fast,
    sample_millitokens: u64,
    /// Bytes that may not be a whole piece yet.
    held: [u8; 2 * WINDOW_BYTES],
    held_bytes: usize,
}

impl Counter {
    /// `exact_bytes` of text are counted by the vocabulary, fewer where pieces are long: merging takes the square of
    /// their length, and the budget is one of time. It is without effect where no vocabulary is at hand,
    /// the tokenizer's or a sibling's.
    pub fn new(tokenizer: Tokenizer, exact_bytes: usize) -> Counter {
        let exact_bytes_left = tokenizer.vocabulary().map_or(0, |_| exact_bytes);
        Counter {
            tokenizer,
            exact_bytes_left,
            exact_tokens: 0,
            fast: Fast::default(),
            sample_tokens: 0,
            sample: Fast::default(),
            sample_millitokens: 0,
            held: [0; 2 * WINDOW_BYTES],
            held_bytes: 0,
        }
    }

    /// The next bytes of the text.
    pub fn feed(&mut self, memo: &mut Memo, bytes: &[u8]) {
        let rest = match self.tokenizer.vocabulary() {
            Some(vocabulary) if self.exact_bytes_left > 0 => self.feed_exact(vocabulary, memo, bytes),
            _ => bytes,
        };
        self.fast.feed(self.tokenizer.weights(), rest);
    }

    /// The text is whole. What is fed next is another text.
    pub fn end_text(&mut self, memo: &mut Memo) {
        if let Some(vocabulary) = self.tokenizer.vocabulary() {
            let held = self.held;
            let held = &held[..self.held_bytes];
            let taken = self.take(
                vocabulary,
                memo,
                Window {
                    bytes: held,
                    last: true,
                },
                held.len(),
            );
            self.fast.feed(self.tokenizer.weights(), &held[taken..]);
            self.held_bytes = 0;
        }
        self.fast.end_text();
        self.sample.end_text();
    }

    /// A whole text at once.
    pub fn text(&mut self, memo: &mut Memo, text: &[u8]) {
        self.feed(memo, text);
        self.end_text(memo);
    }

    /// Of the texts that have ended.
    pub fn estimate(&self) -> Estimate {
        let counted = Estimate {
            tokens: self.counted(),
            mean_error_basis_points: self.tokenizer.counted_error_basis_points(),
        };
        let beyond = self.fast.millitokens() - self.sample_millitokens;
        if beyond == 0 {
            return counted;
        }
        counted.plus(Estimate {
            tokens: self.corrected(beyond).div_ceil(1_000).max(1),
            mean_error_basis_points: match self.sample_tokens {
                0 => self.tokenizer.mean_error_basis_points(),
                _ if self.counts_by_sibling() => CORRECTED_BY_SIBLING_ERROR_BASIS_POINTS,
                _ => CORRECTED_ERROR_BASIS_POINTS,
            },
        })
    }

    /// The exact bytes. What a sibling's vocabulary said of them is worth as much more or less as the tokenizer's weights
    /// say more or less of the same bytes than the sibling's: both err alike.
    fn counted(&self) -> u64 {
        let siblings = self.sample.millitokens();
        if !self.counts_by_sibling() || siblings == 0 {
            return self.exact_tokens;
        }
        let own = self
            .sample_millitokens
            .clamp(siblings / MOST_OF_SIBLING, siblings.saturating_mul(MOST_OF_SIBLING));
        let tokens = u128::from(self.exact_tokens) * u128::from(own) + u128::from(siblings / 2);
        ((tokens / u128::from(siblings)) as u64).max(1)
    }

    fn counts_by_sibling(&self) -> bool {
        let vocabulary = self.tokenizer.vocabulary();
        vocabulary.is_some_and(|vocabulary| vocabulary.whose != self.tokenizer)
    }

    /// A text is like what stands before it: what the fast way got wrong there, it gets wrong behind.
    fn corrected(&self, millitokens: u64) -> u64 {
        let (said, was) = (self.sample.millitokens(), self.sample_tokens.saturating_mul(1_000));
        if said == 0 {
            return millitokens;
        }
        // Within bounds, for it may be unlike all the same.
        let was = was.clamp(said / 2, said.saturating_mul(2));
        (u128::from(millitokens) * u128::from(was) / u128::from(said)) as u64
    }

    /// Counts whole pieces and holds what may not be one yet. What remains is for the fast way.
    fn feed_exact<'b>(&mut self, vocabulary: &Vocabulary, memo: &mut Memo, bytes: &'b [u8]) -> &'b [u8] {
        let mut bytes = bytes;
        if self.held_bytes > 0 {
            let more = bytes.len().min(self.held.len() - self.held_bytes);
            let (before, filled) = (self.held_bytes, self.held_bytes + more);
            self.held[before..filled].copy_from_slice(&bytes[..more]);
            let held = self.held;
            let window = Window {
                bytes: &held[..filled],
                last: false,
            };
            let taken = self.take(vocabulary, memo, window, before);
            if taken < before {
                if self.exact_bytes_left == 0 {
                    self.held_bytes = 0;
                    self.fast.feed(self.tokenizer.weights(), &held[taken..before]);
                    return bytes;
                }
                // Of a full buffer the first piece would have ended.
                assert_eq!(more, bytes.len());
                self.hold(&held[taken..filled]);
                return &[];
            }
            self.held_bytes = 0;
            bytes = &bytes[taken - before..];
        }
        let taken = self.take(vocabulary, memo, Window { bytes, last: false }, bytes.len());
        let rest = &bytes[taken..];
        if self.exact_bytes_left == 0 {
            return rest;
        }
        self.hold(rest);
        &[]
    }

    fn hold(&mut self, bytes: &[u8]) {
        assert!(bytes.len() < WINDOW_BYTES);
        self.held[..bytes.len()].copy_from_slice(bytes);
        self.held_bytes = bytes.len();
    }

    /// Counts the pieces that begin before `stop`, as long as they are whole and may be counted exactly.
    fn take(&mut self, vocabulary: &Vocabulary, memo: &mut Memo, window: Window<'_>, stop: usize) -> usize {
        let own = vocabulary.whose == self.tokenizer;
        let mut at = 0;
        let mut sampled_from = None;
        while at < stop && self.exact_bytes_left > 0 {
            let rest = &window.bytes[at..];
            let Some(length) = (vocabulary.split)(Window { bytes: rest, ..window }) else {
                break;
            };
            let tokens = memo.tokens(vocabulary.ranks, &rest[..length]);
            self.exact_tokens += tokens;
            if !own || self.exact_bytes_left <= SAMPLE_BYTES {
                sampled_from.get_or_insert(at);
                self.sample_tokens += tokens;
            }
            self.exact_bytes_left = self.exact_bytes_left.saturating_sub(price(length));
            at += length;
        }
        if let Some(from) = sampled_from {
            let sampled = &window.bytes[from..at];
            self.sample.feed(vocabulary.whose.weights(), sampled);
            if own {
                self.fast = self.sample;
            } else {
                self.fast.feed(self.tokenizer.weights(), sampled);
            }
            self.sample_millitokens = self.fast.millitokens();
        }
        at
    }
}

/// What a piece takes from the budget: its bytes, and more for long ones, whether they need merging or not, so that it
/// does not depend on what a memo holds. A word has few bytes and costs as many; 256 that are no word cost 1,280.
fn price(length: usize) -> usize {
    length + length * length / 64
}
