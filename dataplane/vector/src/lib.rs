//! Embedding, similarity search, and the decision whether an answer to one prompt may serve another: pure compute. Bytes
//! come in; no clock, file, thread or socket. The semantic cache and routing by meaning stand on it.

pub mod complexity;
mod embed;
mod exemplars;
mod index;
mod kernels;
mod run;
pub mod topics;
mod verify;

pub use complexity::{Complexity, Traits, WeightsError};
pub use embed::{Embedder, LoadError, MAX_DIMS, MAX_MODEL_BYTES, MAX_TOKENIZER_BYTES, Scratch, Window};
pub use exemplars::{ExemplarScratch, Exemplars, Nearness};
pub use index::{
    FLAT_MOST, Generation, Hit, IndexScratch, MAX_ENTRIES, MAX_TENANTS, Rebuild, Rebuilt, Room, Shares, Writer,
    WriterError, to_bytes,
};
pub use kernels::{Kernel, Pick};
pub use topics::Topics;
pub use verify::{Asked, DEFAULT_THRESHOLD, Difference, MAX_COMPARED_BYTES, Prepared, Verifier};
