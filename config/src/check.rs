//! A JSON tree → a `Document`, or every fault in it (not only the first).

use crate::{Document, Problem, parse::Parsed};

/// Reads the typed document out of a tree. Unknown keys are faults that suggest the nearest known one; keys of
/// features that do not exist yet are faults saying `not supported yet`; references between parts (a model's
/// provider, a key's team and models) are followed. Positions come from `parsed` where it has them.
pub fn check(parsed: &Parsed) -> Result<Document, Vec<Problem>> {
    let _ = parsed;
    todo!()
}
