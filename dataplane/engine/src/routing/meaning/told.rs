//! Why meaning chose as it did, for people: scores, the example that was nearest, and what would have been enough.

use tollgate_config::document::{Difficulty, Model};

use super::{Read, Verdict};

/// So much of an example is shown.
const SHOWN_CHARS: usize = 60;

/// Of a model's tiers, what was decided for those that go by meaning; `model` is the document's.
pub(crate) fn decision(read: &Read) -> Option<String> {
    let said: Vec<String> = read.verdicts.iter().filter_map(|verdict| said(*verdict)).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn said(verdict: Verdict) -> Option<String> {
    Some(match verdict {
        Verdict::None => return None,
        Verdict::Resembles { score } => format!("the prompt resembles a target's examples by {score:.2}"),
        Verdict::Unsure {
            best,
            threshold,
            has_default,
        } => {
            let who = if has_default {
                "the default"
            } else {
                "the nearest, for there is no default"
            };
            format!(
                "the prompt resembles no target's examples enough: {best:.2}, and `threshold` is {threshold:.2}; it goes to {who}"
            )
        }
        Verdict::NoWords => "the prompt has no words to judge by".to_owned(),
        Verdict::NoModel => {
            "there is no embedding model or weights that could be used: see what /embedding says".to_owned()
        }
        Verdict::Needs {
            difficulty,
            gain,
            threshold,
        } => {
            let word = match difficulty {
                Difficulty::Simple => "at most",
                Difficulty::Hard => "more than",
            };
            format!(
                "the prompt is taken for {}: the hard tier is expected to answer {gain:.3} more of such prompts right, {word} the \
                 {threshold:.3} that `hard_share` stands for",
                difficulty.name()
            )
        }
    })
}

/// Why a target of a tier that goes by meaning has its place.
pub(crate) fn why(read: &Read, tier: usize, target: usize, model: &Model) -> Option<String> {
    let purpose = &model.targets.get(target)?.purpose;
    match read.verdicts.get(tier)? {
        Verdict::None => None,
        Verdict::Needs { difficulty, .. } => {
            let own = purpose.difficulty?.name();
            Some(format!(
                "it is for {own} prompts, and this one is taken for {}",
                difficulty.name()
            ))
        }
        Verdict::NoModel | Verdict::NoWords => Some(match (purpose.is_default, purpose.difficulty) {
            (true, _) => "it is the default, and nothing can be judged".to_owned(),
            (false, Some(Difficulty::Hard)) => {
                "it is for hard prompts, and what cannot be judged is taken for hard".to_owned()
            }
            (false, _) => "its place in the list, for nothing can be judged".to_owned(),
        }),
        Verdict::Resembles { .. } => resemblance(read, target, &purpose.examples),
        Verdict::Unsure { .. } if purpose.is_default => {
            Some("it is the default, and no example is near enough".to_owned())
        }
        Verdict::Unsure { .. } => resemblance(read, target, &purpose.examples),
    }
}

fn resemblance(read: &Read, target: usize, examples: &[String]) -> Option<String> {
    let near = read.near.get(target)?;
    let Some(example) = examples.get(near.nearest) else {
        return Some("it has no examples".to_owned());
    };
    let shown: String = example.chars().take(SHOWN_CHARS).collect();
    let cut = if shown.len() < example.len() { "…" } else { "" };
    Some(format!(
        "resemblance {:.2}: {:.2} to `{shown}{cut}`, {:.2} to the middle of its examples",
        near.score, near.example, near.centroid
    ))
}
