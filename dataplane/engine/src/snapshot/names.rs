//! The names clients ask for → the configured model: by hash for exact names, longest prefix first for wildcards.

use std::{cmp::Reverse, ops::Range};

use hashbrown::HashMap;
use tollgate_config::document::{Model, Named};

/// Index into `document.models`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelId(pub u32);

#[derive(Debug, Default)]
pub(crate) struct ModelNames {
    exact: HashMap<Box<str>, ModelId>,
    /// By what stands before the star.
    wildcards: HashMap<Box<str>, ModelId>,
    /// The lengths that occur there, longest first: a lookup probes each once, however many wildcards there are.
    prefix_lengths: Vec<usize>,
}

/// A name found, and what of it a wildcard's star matched (empty for exact names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub model: ModelId,
    pub star: Range<usize>,
}

impl ModelNames {
    pub fn new(models: &Named<Model>) -> ModelNames {
        let mut names = ModelNames {
            exact: HashMap::with_capacity(models.len()),
            ..ModelNames::default()
        };
        for (index, (name, _)) in models.iter().enumerate() {
            let id = ModelId(index as u32);
            match name.strip_suffix('*') {
                Some(prefix) => names.wildcards.insert(prefix.into(), id),
                None => names.exact.insert(name.as_str().into(), id),
            };
        }
        names.prefix_lengths = names.wildcards.keys().map(|prefix| prefix.len()).collect();
        names.prefix_lengths.sort_unstable_by_key(|&length| Reverse(length));
        names.prefix_lengths.dedup();
        names
    }

    pub fn find(&self, asked: &str) -> Option<Resolved> {
        if let Some(&model) = self.exact.get(asked) {
            return Some(Resolved { model, star: 0..0 });
        }
        self.prefix_lengths.iter().find_map(|&length| {
            // A star stands for at least one character.
            let prefix = asked.get(..length).filter(|_| asked.len() > length)?;
            let &model = self.wildcards.get(prefix)?;
            Some(Resolved {
                model,
                star: length..asked.len(),
            })
        })
    }
}
