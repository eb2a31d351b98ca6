//! Routing by meaning, as an operator says it: which model makes vectors, which prompts a target is for, and how sure the
//! choice must be. Knows no vectors.

use super::Reference;

/// As many examples as a target may have, and as long as each may be.
pub const MAX_EXAMPLES: usize = 256;
pub const MAX_EXAMPLE_BYTES: usize = 4 << 10;

/// What meaning is judged with; nothing where the shipped parts do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embedding {
    /// A directory in the format of model2vec.
    pub model: Option<Reference>,
    /// Weights of the complexity router, as `tollgate tune` writes them.
    pub complexity: Option<Reference>,
    /// Semantic caches go by vectors of a provider's, all else by the shipped model's.
    pub remote: Option<RemoteEmbedding>,
}

/// A model at a provider that makes vectors: `embedding.provider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteEmbedding {
    /// One of the document's.
    pub provider: String,
    /// The provider's name of it.
    pub model: String,
    /// As many as are asked for; none: it is not asked, and any length is taken.
    pub dimensions: Option<u32>,
    /// How long a call waits for its vector.
    pub timeout_ms: u64,
}

/// How a tier of `strategy: semantic` or `complexity` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judging {
    /// `semantic`: below this similarity the default target is asked. In thousandths.
    pub threshold_thousandths: u16,
    /// `complexity`: the share of ordinary calls that go to the hard tier, in percent.
    pub hard_percent: u32,
}

impl Default for Judging {
    fn default() -> Self {
        Self {
            threshold_thousandths: 350,
            hard_percent: 50,
        }
    }
}

/// What a target is for, where its model goes by meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purpose {
    /// Prompts that it is for.
    pub examples: Vec<String>,
    /// It takes what resembles no example enough.
    pub is_default: bool,
    pub difficulty: Option<Difficulty>,
}

/// Which calls of `strategy: complexity` a target is for: `tier` in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difficulty {
    Simple,
    Hard,
}

impl Difficulty {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Hard => "hard",
        }
    }
}
