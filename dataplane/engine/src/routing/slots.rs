//! Where the state of targets, models and providers is kept: by name, so that a new snapshot finds it again.

use std::sync::{Arc, atomic::AtomicU64};

use hashbrown::HashMap;

use super::health::TargetHealth;

/// Of a snapshot; the next one is compiled after it. Places are never given to another name, so that calls which still run
/// under an older snapshot cannot disturb anybody.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    targets: HashMap<Box<str>, (u32, Arc<TargetHealth>)>,
    models: HashMap<Box<str>, u32>,
    grants: HashMap<Box<str>, Arc<AtomicU64>>,
    next_target: u32,
    next_model: u32,
}

impl Slots {
    /// With the numbers of `self`, and no names yet.
    pub(crate) fn successor(&self) -> Self {
        Self {
            next_target: self.next_target,
            next_model: self.next_model,
            ..Self::default()
        }
    }

    /// The place of a target of a model; its old one where `before` has it.
    pub(crate) fn target(&mut self, before: &Self, name: String) -> (u32, Arc<TargetHealth>) {
        let name = name.into_boxed_str();
        if let Some(known) = self.targets.get(&name).or_else(|| before.targets.get(&name)) {
            let known = known.clone();
            self.targets.insert(name, known.clone());
            return known;
        }
        let new = (self.next_target, Arc::default());
        self.next_target += 1;
        self.targets.insert(name, new.clone());
        new
    }

    /// The level of a bucket; its old one where `before` has it.
    pub(crate) fn grant(&mut self, before: &Self, name: String) -> Arc<AtomicU64> {
        let level = before.grants.get(&*name).cloned().unwrap_or_default();
        self.grants.insert(name.into_boxed_str(), level.clone());
        level
    }

    pub(crate) fn model(&mut self, before: &Self, name: &str) -> u32 {
        let slot = before.models.get(name).copied().unwrap_or_else(|| {
            self.next_model += 1;
            self.next_model - 1
        });
        self.models.insert(name.into(), slot);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_places() {
        let none = Slots::default();
        let mut first = none.successor();
        let (a, health) = first.target(&none, "a".into());
        let (b, _) = first.target(&none, "b".into());
        assert_ne!(a, b);
        assert_eq!(first.target(&none, "a".into()).0, a, "listed twice");
        let mut second = first.successor();
        let (c, _) = second.target(&first, "c".into());
        let (again, same) = second.target(&first, "a".into());
        assert_eq!(again, a);
        assert!(Arc::ptr_eq(&health, &same));
        assert!(c != a && c != b, "a name that is gone leaves its place empty");
        assert_eq!(second.model(&first, "m"), 0);
        assert_eq!(second.successor().model(&second, "m"), 0);
    }
}
