//! How hard a prompt is: how much more often a strong model answers such prompts right than a weak one. Two logistic
//! regressions over the prompt's vector and what shows in its text; what counts is the difference of what they say. Weights are
//! data, and made by `train`. Knows no targets.

pub mod counts;
mod matrix;
mod shape;
pub mod train;

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::{Embedder, Scratch};
use counts::COUNTS;

/// A file of weights larger than this is none.
pub const MAX_WEIGHTS_BYTES: usize = 4 << 20;
const FORMAT: &str = "tollgate-complexity-2";
/// What is embedded to tell one model from another: words of several kinds, whole ones and pieces.
const SAMPLE: &str = "Prove that 12 apples cost 7.50 EUR; otherwise translate: 東京 überqueren, f(x) == y?";
/// Shares of ordinary prompts, in percent, from none to all.
const SHARES: usize = 101;
/// The vector's lanes are of the size of a sixteenth where there are 256 of them; the counts are brought to about one. What is
/// this much larger is penalised less.
pub(crate) const VECTOR_SCALE: f32 = 8.0;

/// What is known of a prompt beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Of the whole turn; its text may be its two ends alone.
    pub bytes: usize,
    /// Of its text, as the embedder counted them.
    pub tokens: usize,
    /// Of the conversation that it ends.
    pub turns: u32,
    pub tools: u32,
}

/// Why weights cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum WeightsError {
    #[error("the file has {0} bytes; at most {MAX_WEIGHTS_BYTES} are read")]
    TooLong(usize),
    #[error("it is no file of weights: {0}")]
    Malformed(String),
    #[error("its format is `{0}`; known is {FORMAT}")]
    Format(String),
    #[error("`{part}` has {found} numbers; {wanted} are right")]
    Length {
        part: &'static str,
        found: usize,
        wanted: usize,
    },
    #[error("`{0}` has what is no finite number, or a deviation that is not above zero")]
    Value(&'static str),
    #[error("`gains` do not fall from the first to the last")]
    Order,
    #[error("the embedding model it was made with is not named: {0}")]
    Embedding(String),
}

/// A router's weights, immutable and shared by all shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Complexity {
    format: String,
    /// Which embedding model the weights mean something to, in hexadecimal.
    embedding: String,
    /// How they were made, for people.
    made: String,
    /// Of the counts, by `counts::NAMES`: what is usual, and how far from it they usually are.
    means: Vec<f32>,
    deviations: Vec<f32>,
    strong: Head,
    weak: Head,
    /// What the share of ordinary prompts gains at least, from 0 % of them to 100 %.
    gains: Vec<f32>,
}

/// Whether a model answers right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub bias: f32,
    pub counts: Vec<f32>,
    pub vector: Vec<f32>,
}

impl Complexity {
    /// The weights shipped with the gateway, for its own embedding model; read once for whoever asks.
    pub fn shipped() -> Result<Arc<Self>, WeightsError> {
        const WEIGHTS: &[u8] = include_bytes!("../../model/complexity.json");
        static SHIPPED: OnceLock<Result<Arc<Complexity>, WeightsError>> = OnceLock::new();
        SHIPPED.get_or_init(|| Self::load(WEIGHTS).map(Arc::new)).clone()
    }

    pub fn load(file: &[u8]) -> Result<Self, WeightsError> {
        if file.len() > MAX_WEIGHTS_BYTES {
            return Err(WeightsError::TooLong(file.len()));
        }
        let read: Self = serde_json::from_slice(file).map_err(|error| WeightsError::Malformed(error.to_string()))?;
        read.check()?;
        Ok(read)
    }

    /// As `load` reads it.
    pub fn to_json(&self) -> String {
        // Numbers and strings alone: there is nothing that cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), WeightsError> {
        if self.format != FORMAT {
            return Err(WeightsError::Format(self.format.clone()));
        }
        if u64::from_str_radix(&self.embedding, 16).is_err() {
            return Err(WeightsError::Embedding(self.embedding.clone()));
        }
        let dims = self.strong.vector.len();
        for (part, values, wanted) in [
            ("means", &self.means, COUNTS),
            ("deviations", &self.deviations, COUNTS),
            ("strong.counts", &self.strong.counts, COUNTS),
            ("weak.counts", &self.weak.counts, COUNTS),
            ("strong.vector", &self.strong.vector, dims),
            ("weak.vector", &self.weak.vector, dims),
            ("gains", &self.gains, SHARES),
        ] {
            let found = values.len();
            if found != wanted {
                return Err(WeightsError::Length { part, found, wanted });
            }
            let is_right = |value: &f32| value.is_finite() && (part != "deviations" || *value > 0.0);
            if !values.iter().all(is_right) {
                return Err(WeightsError::Value(part));
            }
        }
        if !(self.strong.bias.is_finite() && self.weak.bias.is_finite()) {
            return Err(WeightsError::Value("bias"));
        }
        match self.gains.is_sorted_by(|a, b| a >= b) {
            true => Ok(()),
            false => Err(WeightsError::Order),
        }
    }

    /// Were the weights made with this model?
    pub fn fits(&self, embedder: &Embedder) -> bool {
        self.strong.vector.len() == embedder.dims() && self.embedding == fingerprint(embedder)
    }

    /// How many more of a hundred such prompts, over a hundred, the strong model is expected to answer right.
    pub fn gain(&self, vector: &[f32], text: &str, traits: Traits) -> f32 {
        self.gain_of(vector, &self.usual(&counts::of(text, traits)))
    }

    fn gain_of(&self, vector: &[f32], counts: &[f32; COUNTS]) -> f32 {
        self.strong.right(vector, counts) - self.weak.right(vector, counts)
    }

    fn usual(&self, counts: &[f32; COUNTS]) -> [f32; COUNTS] {
        let mut usual = *counts;
        for ((value, mean), deviation) in usual.iter_mut().zip(&self.means).zip(&self.deviations) {
            *value = ((*value - mean) / deviation).clamp(-MOST_UNUSUAL, MOST_UNUSUAL);
        }
        usual
    }

    /// The gain above which this share of ordinary prompts is.
    pub fn threshold(&self, hard_percent: u32) -> f32 {
        match hard_percent {
            0 => f32::INFINITY,
            100.. => f32::NEG_INFINITY,
            percent => self.gains.get(percent as usize).copied().unwrap_or_default(),
        }
    }

    /// How the weights were made.
    pub fn made(&self) -> &str {
        &self.made
    }
}

/// A count that is further from what is usual says no more than one that is so far.
const MOST_UNUSUAL: f32 = 4.0;

impl Head {
    /// The probability of a right answer.
    fn right(&self, vector: &[f32], counts: &[f32; COUNTS]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| {
            // Eight lanes in a fixed order: the same bits on every processor.
            let mut lanes = [0.0f32; 8];
            for (a, b) in a.chunks(lanes.len()).zip(b.chunks(lanes.len())) {
                for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                    *lane += a * b;
                }
            }
            lanes.iter().sum::<f32>()
        };
        let sum = self.bias + dot(&self.counts, counts) + VECTOR_SCALE * dot(&self.vector, vector);
        1.0 / (1.0 + (-sum).exp())
    }
}

/// What a model makes of the sample, as a number: the same on every machine, for its vectors are.
pub fn fingerprint(embedder: &Embedder) -> String {
    let mut vector = vec![0.0; embedder.dims()];
    embedder.embed(SAMPLE, &mut Scratch::default(), &mut vector);
    let bytes = vector.iter().flat_map(|value| value.to_bits().to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}
