//! May the answer to one prompt serve another? What the cache asks of each candidate, and `tollgate cache judge` of each pair.
//! Knows no cache.

use std::sync::LazyLock;

use tollgate_vector::{Asked, Difference, Embedder, MAX_COMPARED_BYTES, Prepared, Verifier};

/// Its tables are made once for the process.
static VERIFIER: LazyLock<Verifier> = LazyLock::new(Verifier::default);

/// Why one may not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rejected {
    /// Not near enough.
    Far,
    Differs(Difference),
    /// The turns before the last words are not: how near they are, or which of their texts, counted from one, differs in what.
    HistoryFar(f32),
    HistoryDiffers(usize, Difference),
    /// They are not as many.
    HistoryLength,
}

impl Rejected {
    /// For explain and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Far => "similarity",
            Self::Differs(difference) => difference.name(),
            Self::HistoryFar(_) | Self::HistoryDiffers(..) | Self::HistoryLength => "history",
        }
    }

    /// In full, for whoever asks about a candidate of this similarity, where so much was needed.
    pub(super) fn words(self, (similarity, needs): (f32, f32)) -> String {
        match self {
            Self::Far => format!("{similarity:.3} is under {needs:.3}"),
            Self::Differs(difference) => format!("{similarity:.3} differs in {}", difference.name()),
            Self::HistoryFar(near) => format!("{similarity:.3} has a history that is too far, at {near:.3}"),
            Self::HistoryDiffers(number, difference) => {
                format!(
                    "{similarity:.3} has a history that differs in {}, in text {number} of it",
                    difference.name()
                )
            }
            Self::HistoryLength => format!("{similarity:.3} has a history of another length"),
        }
    }
}

/// Makes the verifier's tables now: a shard would take a millisecond for them.
pub(super) fn make_ready() {
    LazyLock::force(&VERIFIER);
}

/// What comparing needs of a question.
pub(super) fn prepare(embedder: &Embedder, text: &str) -> Prepared {
    VERIFIER.prepare(text, |word| embedder.knows(word))
}

pub(super) fn is_near((similarity, needs): (f32, f32)) -> bool {
    // What is no number is not near.
    similarity >= needs
}

/// Of two that are near and were prepared.
pub(super) fn may_serve_prepared(embedder: &Embedder, before: Asked<'_>, now: Asked<'_>) -> Result<(), Rejected> {
    VERIFIER
        .compare(before, now, |word| embedder.knows(word))
        .map_err(Rejected::Differs)
}

/// Of two texts of what was said before.
pub(super) fn states_the_same(embedder: &Embedder, before: &str, now: &str) -> Result<(), Difference> {
    VERIFIER.states_the_same(before, now, |word| embedder.knows(word))
}

/// `needs`: the similarity below which nothing is looked at.
pub fn may_serve(embedder: &Embedder, nearness: (f32, f32), before: &str, now: &str) -> Result<(), Rejected> {
    if !is_near(nearness) {
        return Err(Rejected::Far);
    }
    if before.len().max(now.len()) > MAX_COMPARED_BYTES {
        return Err(Rejected::Differs(Difference::Length));
    }
    VERIFIER
        .verify(before, now, |word| embedder.knows(word))
        .map_err(Rejected::Differs)
}
