//! Whose tokenizer a model has.

use super::{
    fast::{Weights, automaton::TRANSITIONS},
    ranks::{self, Ranks},
    split::{self, Split},
};

/// A family of models that share a tokenizer, or nearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenizer {
    /// OpenAI since GPT-4o: `o200k_base`.
    O200k,
    /// GPT-4, GPT-3.5 and OpenAI's embeddings: `cl100k_base`.
    Cl100k,
    /// Claude 3 to 4.6.
    Claude3,
    /// Claude 4.7 and later.
    Claude4_7,
    /// Gemini and Gemma.
    Gemini,
    /// Llama 3 and later.
    Llama,
    /// Qwen 2 and later.
    Qwen,
    /// DeepSeek V3 and later.
    DeepSeek,
    /// Mistral's Tekken.
    Mistral,
    /// Nothing is known: between the public ones of today.
    Unknown,
}

/// What counting by a published vocabulary needs.
#[derive(Clone, Copy)]
pub(super) struct Vocabulary {
    pub(super) whose: Tokenizer,
    pub(super) ranks: &'static Ranks,
    pub(super) split: Split,
}

static O200K: Vocabulary = Vocabulary {
    whose: Tokenizer::O200k,
    ranks: &ranks::O200K,
    split: split::o200k,
};
static CL100K: Vocabulary = Vocabulary {
    whose: Tokenizer::Cl100k,
    ranks: &ranks::CL100K,
    split: split::cl100k,
};

/// `tables/fast.bin`: for each tokenizer, in the order above, the weight of each transition. Made by
/// bench/tokens/calibrate.py.
static WEIGHTS: &[Weights] = include_bytes!("tables/fast.bin")
    .as_chunks::<2>()
    .0
    .as_chunks::<TRANSITIONS>()
    .0;

/// Parts of model names and whose they are. The first that a name contains decides.
const NAMES: &[(&str, Tokenizer)] = &[
    ("gemini", Tokenizer::Gemini),
    ("gemma", Tokenizer::Gemini),
    // Before DeepSeek: what it distilled into others kept their tokenizers.
    ("llama", Tokenizer::Llama),
    ("qwen", Tokenizer::Qwen),
    ("qwq", Tokenizer::Qwen),
    ("deepseek", Tokenizer::DeepSeek),
    ("mistral", Tokenizer::Mistral),
    ("ministral", Tokenizer::Mistral),
    ("magistral", Tokenizer::Mistral),
    ("codestral", Tokenizer::Mistral),
    ("devstral", Tokenizer::Mistral),
    ("pixtral", Tokenizer::Mistral),
    ("gpt-4o", Tokenizer::O200k),
    ("gpt-4.", Tokenizer::O200k),
    ("gpt-4", Tokenizer::Cl100k),
    ("gpt-3.5", Tokenizer::Cl100k),
    ("gpt-35", Tokenizer::Cl100k),
    ("text-embedding", Tokenizer::Cl100k),
    ("gpt-", Tokenizer::O200k),
    ("chatgpt", Tokenizer::O200k),
    ("codex", Tokenizer::O200k),
];

impl Tokenizer {
    pub const ALL: [Tokenizer; 10] = [
        Tokenizer::O200k,
        Tokenizer::Cl100k,
        Tokenizer::Claude3,
        Tokenizer::Claude4_7,
        Tokenizer::Gemini,
        Tokenizer::Llama,
        Tokenizer::Qwen,
        Tokenizer::DeepSeek,
        Tokenizer::Mistral,
        Tokenizer::Unknown,
    ];

    /// By the provider's name of a model, which may have a path or a region before it.
    pub fn of_model(model: &str) -> Tokenizer {
        let model = model.to_ascii_lowercase();
        if let Some(version) = claude_version(&model) {
            return match version >= (4, 7) {
                true => Tokenizer::Claude4_7,
                false => Tokenizer::Claude3,
            };
        }
        if let Some((_, tokenizer)) = NAMES.iter().find(|(part, _)| model.contains(part)) {
            return *tokenizer;
        }
        // o1, o3-mini, o4-mini-2025-04-16.
        let last = model.rsplit(['/', ':', '.']).next().unwrap_or_default().as_bytes();
        match last {
            [b'o', b'1'..=b'9'] | [b'o', b'1'..=b'9', b'-', ..] => Tokenizer::O200k,
            _ => Tokenizer::Unknown,
        }
    }

    /// The name that calibration and documents use.
    pub fn name(self) -> &'static str {
        match self {
            Tokenizer::O200k => "o200k",
            Tokenizer::Cl100k => "cl100k",
            Tokenizer::Claude3 => "claude-3",
            Tokenizer::Claude4_7 => "claude-4.7",
            Tokenizer::Gemini => "gemini",
            Tokenizer::Llama => "llama",
            Tokenizer::Qwen => "qwen",
            Tokenizer::DeepSeek => "deepseek",
            Tokenizer::Mistral => "mistral",
            Tokenizer::Unknown => "unknown",
        }
    }

    /// The mean error of a text that is estimated, not counted: measured on the test half of the corpus and rounded up.
    /// For `Unknown`, how far it is from each of the others, the two of Claude among them.
    pub fn mean_error_basis_points(self) -> u16 {
        match self {
            Tokenizer::Claude3 | Tokenizer::Claude4_7 => 450,
            Tokenizer::Gemini => 350,
            Tokenizer::Unknown => 1_300,
            _ => 400,
        }
    }

    pub(super) fn weights(self) -> &'static Weights {
        &WEIGHTS[self as usize]
    }

    /// The vocabulary that texts are counted by: its own, or that of the sibling which its counts follow closest (on
    /// the calibration half of the corpus), to be converted by `Counter`.
    pub(super) fn vocabulary(self) -> Option<&'static Vocabulary> {
        match self {
            Tokenizer::O200k | Tokenizer::Gemini | Tokenizer::DeepSeek | Tokenizer::Mistral => Some(&O200K),
            Tokenizer::Cl100k | Tokenizer::Llama | Tokenizer::Qwen => Some(&CL100K),
            Tokenizer::Claude3 | Tokenizer::Claude4_7 | Tokenizer::Unknown => None,
        }
    }

    /// The mean error of a text that is counted by `vocabulary`, measured like the one above.
    pub(super) fn counted_error_basis_points(self) -> u16 {
        match self {
            Tokenizer::O200k | Tokenizer::Cl100k => 0,
            Tokenizer::Llama | Tokenizer::Qwen => 150,
            Tokenizer::Gemini | Tokenizer::DeepSeek | Tokenizer::Mistral => 250,
            other => other.mean_error_basis_points(),
        }
    }
}

/// The version in the name of a Claude model, in lower case: `claude-opus-4-7`, `claude-3-5-sonnet-20241022`. Names
/// without one are aliases of the newest.
pub(super) fn claude_version(model: &str) -> Option<(u32, u32)> {
    let (_, behind) = model.split_once("claude")?;
    // Longer numbers are dates.
    let mut numbers = behind
        .split(|character: char| !character.is_ascii_alphanumeric())
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .skip_while(|word| word.parse::<u32>().is_err())
        .map_while(|word| word.parse().ok().filter(|&number| number < 100));
    let Some(major) = numbers.next() else {
        return Some((u32::MAX, 0));
    };
    Some((major, numbers.next().unwrap_or(0)))
}
