//! Sentences of an earlier turn that have least to do with what is asked now, left out: by how near their vectors are to the
//! question's, and by where they stand. Never those with numbers, quotes, code, links or an instruction in them, and never in
//! blocks of code, lists, tables or headings. Where something is left out, `[…]` says so; a text that has that is left alone.

use tollgate_vector::{Embedder, Scratch, topics::sentence_end};

use super::fences::{self, Part};

const LEFT_OUT: &str = "[…]";
/// A shorter text stays whole.
const LEAST_TEXT_BYTES: usize = 400;
/// And a shorter sentence does.
const LEAST_SENTENCE_BYTES: usize = 24;
/// Of a longer text this much is looked at.
const MAX_SENTENCES: usize = 4 << 10;
/// What the first and the last sentence of a text are worth more.
const AT_ENDS: f32 = 0.15;
/// Of a sentence's worth, how near it is to what is asked; the rest is how near it is to its own text.
const BY_QUESTION: f32 = 0.75;
/// Sentences that begin with one of these, or have one of the others in them, tell somebody to do something.
const COMMANDS: [&str; 30] = [
    "always", "answer", "avoid", "be", "check", "do", "don't", "ensure", "explain", "follow", "give", "ignore",
    "include", "keep", "let", "list", "make", "never", "note", "only", "please", "remember", "reply", "return", "say",
    "see", "tell", "use", "write", "you",
];
const DEMANDS: [&str; 8] = [
    "must", "never", "always", "should", "shall", "please", "do not", "don't",
];

/// What is asked, as a vector.
pub(super) struct Question<'e> {
    embedder: &'e Embedder,
    vector: Vec<f32>,
    scratch: Scratch,
}

struct Sentence {
    start: usize,
    end: usize,
    worth: f32,
    /// It may be left out.
    is_loose: bool,
}

impl<'e> Question<'e> {
    /// None where it has no words to go by.
    pub fn new(embedder: &'e Embedder, text: &str) -> Option<Self> {
        let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; embedder.dims()]);
        let tokens = embedder.embed(text, &mut scratch, &mut vector);
        (tokens > 0).then_some(Self {
            embedder,
            vector,
            scratch,
        })
    }

    /// The text without what says least, `percent` of it at least; none where nothing may go.
    pub fn extract(&mut self, text: &str, percent: u8) -> Option<String> {
        if text.len() < LEAST_TEXT_BYTES || text.contains(LEFT_OUT) {
            return None;
        }
        let mut sentences = sentences(text);
        self.weigh(text, &mut sentences);
        let mut loose: Vec<usize> = (0..sentences.len())
            .filter(|at| sentences.get(*at).is_some_and(|one| one.is_loose))
            .collect();
        let worth = |at: &usize| sentences.get(*at).map_or(f32::MAX, |one| one.worth);
        loose.sort_by(|one, other| worth(one).total_cmp(&worth(other)).then(one.cmp(other)));
        let mut left = text.len();
        let least = text.len() * usize::from(percent) / 100;
        let mut gone = vec![false; sentences.len()];
        for at in loose {
            let bytes = sentences.get(at).map_or(0, |one| one.end - one.start);
            if left.saturating_sub(bytes) < least {
                continue;
            }
            left -= bytes;
            if let Some(gone) = gone.get_mut(at) {
                *gone = true;
            }
        }
        let out = without(text, &sentences, &gone);
        (out.len() < text.len()).then_some(out)
    }

    fn weigh(&mut self, text: &str, sentences: &mut [Sentence]) {
        let Self {
            embedder,
            vector: question,
            scratch,
        } = self;
        let (mut own, mut whole) = (vec![0.0; embedder.dims()], vec![0.0; embedder.dims()]);
        embedder.embed(text, scratch, &mut whole);
        let last = sentences.len().saturating_sub(1);
        for (at, sentence) in sentences.iter_mut().enumerate() {
            embedder.embed(
                text.get(sentence.start..sentence.end).unwrap_or_default(),
                scratch,
                &mut own,
            );
            sentence.worth = BY_QUESTION * dot(&own, question) + (1.0 - BY_QUESTION) * dot(&own, &whole);
            if at == 0 || at == last {
                sentence.worth += AT_ENDS;
            }
        }
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Those of prose, each within one line.
fn sentences(text: &str) -> Vec<Sentence> {
    let mut all = Vec::new();
    for part in fences::parts(text) {
        let Part::Prose(prose) = part else { continue };
        for line in fences::lines(text.get(prose.clone()).unwrap_or_default()) {
            let (start, end) = (prose.start + line.start, prose.start + line.end);
            let body = text.get(start..end).unwrap_or_default().trim_end_matches(['\n', '\r']);
            let is_plain = is_plain(body);
            let mut at = 0;
            while at < body.len() && all.len() < MAX_SENTENCES {
                let rest = body.get(at..).unwrap_or_default();
                let length = sentence_end(rest).unwrap_or(rest.len());
                let said = rest.get(..length).unwrap_or_default();
                all.push(Sentence {
                    start: start + at,
                    end: start + at + length,
                    worth: 0.0,
                    is_loose: is_plain && is_loose(said),
                });
                at += length;
            }
        }
    }
    all
}

/// Is it a line of prose, and no item of a list, row of a table, heading or indented code?
fn is_plain(line: &str) -> bool {
    let marked = |line: &str| line.starts_with(['-', '*', '+', '#', '>', '|', ' ', '\t', '{', '[', '<', '}', ']']);
    !marked(line) && !line.trim_end().ends_with(':') && !line.starts_with(|first: char| first.is_ascii_digit())
}

/// May it be left out? Not with anything in it that must survive, and not where somebody is told what to do.
fn is_loose(sentence: &str) -> bool {
    const KEPT: [char; 22] = [
        '"', '\'', '`', '“', '”', '‘', '’', '«', '»', '{', '}', '<', '>', '=', ';', '|', '@', '/', '\\', '_', '$', '…',
    ];
    let said = sentence.trim();
    let has_kept = said.chars().any(|mark| mark.is_numeric() || KEPT.contains(&mark));
    if said.len() < LEAST_SENTENCE_BYTES || has_kept || !said.ends_with(['.', '!']) {
        return false;
    }
    let lower = said.to_lowercase();
    let first = lower
        .split(|mark: char| !mark.is_alphanumeric() && mark != '\'')
        .next()
        .unwrap_or_default();
    let demands = |words: &str| {
        lower
            .split(|mark: char| !mark.is_alphabetic())
            .any(|word| word == words)
    };
    !COMMANDS.contains(&first)
        && !DEMANDS
            .iter()
            .any(|words| demands(words) || words.contains(' ') && lower.contains(words))
}

fn without(text: &str, sentences: &[Sentence], gone: &[bool]) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut is_gap) = (0, false);
    for (sentence, gone) in sentences.iter().zip(gone) {
        let between = text.get(at..sentence.start).unwrap_or_default();
        is_gap &= between.is_empty();
        out.push_str(between);
        if *gone {
            let said = text.get(sentence.start..sentence.end).unwrap_or_default();
            if !is_gap {
                out.push_str(LEFT_OUT);
                out.push_str(said.get(said.trim_end().len()..).unwrap_or_default());
            }
        } else {
            out.push_str(text.get(sentence.start..sentence.end).unwrap_or_default());
        }
        (at, is_gap) = (sentence.end, *gone);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}
