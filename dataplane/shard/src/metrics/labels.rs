//! Label values as small integers: a series is found by a number, and told by its names.

use std::sync::Arc;

use hashbrown::HashMap;

/// Values kept apart per label; what comes after is counted together.
const MAX_VALUES: usize = 20_000;
/// What the values over the limit are called. No configured name can be: parentheses are not allowed in one.
const OTHER: &str = "(other)";

/// Index into a `Labels`. 0 is the empty value: "of none".
pub type LabelId = u16;
pub const NONE: LabelId = 0;

#[derive(Clone, Debug)]
pub struct Labels {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, LabelId>,
}

impl Default for Labels {
    fn default() -> Self {
        let mut labels = Self {
            names: Vec::new(),
            ids: HashMap::new(),
        };
        labels.insert("");
        labels
    }
}

impl Labels {
    /// The value's number, for as long as the shard lives.
    pub fn id(&mut self, name: &str) -> LabelId {
        match self.ids.get(name) {
            Some(id) => *id,
            None if self.names.len() < MAX_VALUES => self.insert(name),
            None => self.ids.get(OTHER).copied().unwrap_or_else(|| self.insert(OTHER)),
        }
    }

    pub fn name(&self, id: LabelId) -> &Arc<str> {
        &self.names[usize::from(id)]
    }

    fn insert(&mut self, name: &str) -> LabelId {
        let id = self.names.len() as LabelId;
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.ids.insert(name, id);
        id
    }
}

/// The few texts the engine names itself (reasons, dialects): found by comparing, which for a handful beats hashing.
#[derive(Clone, Debug, Default)]
pub struct Words(Vec<&'static str>);

impl Words {
    pub fn id(&mut self, word: &'static str) -> u8 {
        let at = self.0.iter().position(|known| *known == word);
        at.unwrap_or_else(|| {
            assert!(self.0.len() < 256, "the engine names a few dozen words");
            self.0.push(word);
            self.0.len() - 1
        }) as u8
    }

    pub fn word(&self, id: u8) -> &'static str {
        self.0[usize::from(id)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_bounded() {
        let mut labels = Labels::default();
        assert_eq!(labels.id(""), NONE);
        let smart = labels.id("smart");
        for i in 0..MAX_VALUES + 10 {
            labels.id(&format!("model-{i}"));
        }
        assert_eq!(labels.id("smart"), smart);
        assert_eq!(labels.name(smart).as_ref(), "smart");
        let late = labels.id("one too many");
        assert_eq!(labels.name(late).as_ref(), OTHER);
        assert_eq!(labels.id("and another"), late);
    }
}
