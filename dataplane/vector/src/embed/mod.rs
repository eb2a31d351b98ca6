//! Text to vector: the mean of its tokens' rows, brought to length 1. Knows no prompt and no cache: which text of a call
//! is embedded is its caller's to say.

mod characters;
mod classes;
mod model;
mod safetensors;
mod tokenizer_json;
pub(crate) mod vocabulary;
mod window;
mod wordpiece;

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use model::Model;
pub use window::Window;
pub use wordpiece::Scratch as TokenScratch;
use wordpiece::WordPiece;

use crate::{Kernel, Pick};

/// A vocabulary of a million tokens fits.
pub const MAX_TOKENIZER_BYTES: usize = 64 << 20;
pub const MAX_MODEL_BYTES: usize = 2 << 30;
pub const MAX_DIMS: usize = 4096;
/// Rows are summed by so many: enough that the kernel can ask for rows ahead.
const PICKS_AT_ONCE: usize = 256;

/// Why a model cannot be used; each says what would be right.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum LoadError {
    #[error("tokenizer.json has {found} bytes; at most {MAX_TOKENIZER_BYTES} are read")]
    TokenizerTooLong { found: usize },
    #[error("tokenizer.json: {0}")]
    Tokenizer(String),
    #[error("tokenizer.json: {part} is `{found}`; supported is {supported}")]
    Unsupported {
        part: &'static str,
        found: String,
        supported: &'static str,
    },
    #[error("model.safetensors: {0}")]
    Model(String),
    #[error(
        "model.safetensors has no tensor `{0}`; a model2vec model has `embeddings`, and maybe `weights` and `mapping`"
    )]
    NoTensor(&'static str),
    #[error("model.safetensors: tensor `{tensor}` is {found}; expected is {expected}")]
    Tensor {
        tensor: &'static str,
        found: String,
        expected: String,
    },
}

/// A model and its tokenizer, immutable and shared by all shards.
#[derive(Debug)]
pub struct Embedder {
    tokenizer: WordPiece,
    model: Model,
    kernel: Kernel,
}

/// What one call needs while it runs; kept by the caller, so that calls after the first do not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    tokens: TokenScratch,
    picks: Vec<Pick>,
}

impl Embedder {
    /// From the two files of a model2vec directory: `model.safetensors` and `tokenizer.json`.
    pub fn load(model: impl Into<Cow<'static, [u8]>>, tokenizer: &[u8]) -> Result<Self, LoadError> {
        let tokenizer = tokenizer_json::parse(tokenizer)?;
        let model = Model::parse(model.into(), tokenizer.ids())?;
        Ok(Self {
            tokenizer,
            model,
            kernel: Kernel::best(),
        })
    }

    /// The model shipped with the gateway, out of the binary itself: only the rows that are used become resident.
    pub fn builtin() -> Result<Self, LoadError> {
        const MODEL: &[u8] = include_bytes!("../../model/model.safetensors");
        const TOKENIZER: &[u8] = include_bytes!("../../model/tokenizer.json");
        Self::load(MODEL, TOKENIZER)
    }

    /// The same, loaded once for whoever asks.
    pub fn shipped() -> Result<Arc<Self>, LoadError> {
        static SHIPPED: OnceLock<Result<Arc<Embedder>, LoadError>> = OnceLock::new();
        SHIPPED.get_or_init(|| Self::builtin().map(Arc::new)).clone()
    }

    /// The same with the inner loops of another instruction set.
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Self { kernel, ..self }
    }

    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    pub fn dims(&self) -> usize {
        self.model.dims()
    }

    /// Writes the text's vector and returns how many tokens counted. A text without any is the zero vector, which is
    /// similar to nothing. `vector` has [`Self::dims`] lanes.
    pub fn embed(&self, text: &str, scratch: &mut Scratch, vector: &mut [f32]) -> usize {
        self.embed_parts([text], scratch, vector)
    }

    /// The vector of those parts of a text that a [`Window`] leaves.
    pub fn embed_window(&self, text: &str, window: Window, scratch: &mut Scratch, vector: &mut [f32]) -> usize {
        self.embed_parts(window.of(text), scratch, vector)
    }

    fn embed_parts<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a str>,
        scratch: &mut Scratch,
        vector: &mut [f32],
    ) -> usize {
        assert!(vector.len() == self.dims(), "a vector has the model's dimensions");
        vector.fill(0.0);
        let Scratch { tokens, picks } = scratch;
        picks.clear();
        let mut counted = 0;
        for part in parts {
            self.tokenizer.tokens(part, tokens, &mut |id| {
                if self.tokenizer.counts(id)
                    && let Some(pick) = self.model.pick(id)
                {
                    counted += 1;
                    picks.push(pick);
                    if picks.len() == PICKS_AT_ONCE {
                        self.model.accumulate(self.kernel, vector, picks);
                        picks.clear();
                    }
                }
            });
        }
        self.model.accumulate(self.kernel, vector, picks);
        normalise(vector);
        counted
    }

    /// Whether people write this word, in lower case: the vocabulary has it whole.
    pub fn knows(&self, word: &str) -> bool {
        self.tokenizer.knows(word)
    }

    /// The tokens of a text that count, for whoever compares tokenizers.
    pub fn token_ids(&self, text: &str, scratch: &mut Scratch) -> Vec<u32> {
        let mut ids = Vec::new();
        self.tokenizer.tokens(text, &mut scratch.tokens, &mut |id| {
            if self.tokenizer.counts(id) {
                ids.push(id);
            }
        });
        ids
    }
}

/// Brings a vector to length 1; zero stays zero. Eight lanes in a fixed order: the same bits on every processor.
pub(crate) fn normalise(vector: &mut [f32]) {
    let mut lanes = [0.0f32; 8];
    for chunk in vector.chunks(lanes.len()) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    let length = lanes.iter().sum::<f32>().sqrt();
    if length > 0.0 && length.is_finite() {
        for value in vector {
            *value /= length;
        }
    } else {
        vector.fill(0.0);
    }
}
