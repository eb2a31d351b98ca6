//! May the answer to one prompt serve another? What the cache asks of each candidate, and `tollgate cache judge` of each pair.
//! Knows no cache.

use std::sync::LazyLock;

use tollgate_vector::{Difference, Embedder, MAX_COMPARED_BYTES, Verifier};

/// Its tables are made once for the process.
static VERIFIER: LazyLock<Verifier> = LazyLock::new(Verifier::default);

/// Why one may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Not near enough.
    Far,
    Differs(Difference),
}

impl Rejected {
    /// For explain and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Far => "similarity",
            Self::Differs(difference) => difference.name(),
        }
    }
}

/// `needs`: the similarity below which nothing is looked at.
pub fn may_serve(
    embedder: &Embedder,
    (similarity, needs): (f32, f32),
    before: &str,
    now: &str,
) -> Result<(), Rejected> {
    // What is no number is not near.
    if similarity < needs || similarity.is_nan() {
        return Err(Rejected::Far);
    }
    if before.len().max(now.len()) > MAX_COMPARED_BYTES {
        return Err(Rejected::Differs(Difference::Length));
    }
    VERIFIER
        .verify(before, now, |word| embedder.knows(word))
        .map_err(Rejected::Differs)
}
