//! Who may hold how many of a cache's entries. While there is room anyone may take it; when there is none, a tenant within
//! its share takes from whoever holds the most beyond theirs, and one that has its share only from itself: nobody's share
//! is ever evicted by another. Knows no entries.

use std::collections::BTreeMap;

/// Tenants that are counted; more are not admitted.
pub const MAX_TENANTS: usize = 65_536;

#[derive(Debug)]
pub struct Shares {
    max_entries: usize,
    held: BTreeMap<u64, usize>,
    total: usize,
}

/// What one more entry costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Free,
    /// This tenant must give up an entry first: its oldest, or what its cache values least.
    Displaces(u64),
    /// There is none, and none to be had.
    None,
}

impl Shares {
    pub fn new(max_entries: usize) -> Self {
        Self {
            max_entries,
            held: BTreeMap::new(),
            total: 0,
        }
    }

    /// Another bound. What is held beyond it goes as others come.
    pub fn set_max(&mut self, max_entries: usize) {
        self.max_entries = max_entries;
    }

    /// Of all tenants.
    pub fn total(&self) -> usize {
        self.total
    }

    pub fn held(&self, tenant: u64) -> usize {
        self.held.get(&tenant).copied().unwrap_or(0)
    }

    /// What each tenant is sure of when so many hold entries as do now.
    pub fn share(&self) -> usize {
        self.max_entries / self.held.len().max(1)
    }

    /// What it takes for `tenant` to hold one more.
    pub fn room(&self, tenant: u64) -> Room {
        let is_new = !self.held.contains_key(&tenant);
        if self.max_entries == 0 || (is_new && self.held.len() >= MAX_TENANTS) {
            return Room::None;
        }
        if self.total < self.max_entries {
            return Room::Free;
        }
        let share = self.max_entries / (self.held.len() + usize::from(is_new));
        if self.held(tenant) >= share {
            return if is_new { Room::None } else { Room::Displaces(tenant) };
        }
        let most = self.held.iter().max_by_key(|(_, held)| **held);
        most.filter(|(_, held)| **held > share)
            .map_or(Room::None, |(tenant, _)| Room::Displaces(*tenant))
    }

    /// An entry of the tenant was inserted.
    pub fn take(&mut self, tenant: u64) {
        *self.held.entry(tenant).or_default() += 1;
        self.total += 1;
    }

    /// An entry of the tenant is gone: evicted, expired or purged.
    pub fn release(&mut self, tenant: u64) {
        if let Some(held) = self.held.get_mut(&tenant) {
            *held -= 1;
            self.total -= 1;
            if *held == 0 {
                self.held.remove(&tenant);
            }
        }
    }
}
