//! Values by name, as many as fit into a bound of bytes: what was used last goes last. Knows no words.

use std::collections::BTreeMap;

use hashbrown::HashMap;

/// At most `MOST_BYTES` of them, as whoever puts one there says.
#[derive(Debug)]
pub(crate) struct Lru<V, const MOST_BYTES: usize> {
    all: HashMap<u128, Entry<V>>,
    /// When each was used last.
    order: BTreeMap<u64, u128>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: u64,
    bytes: usize,
}

impl<V, const MOST_BYTES: usize> Default for Lru<V, MOST_BYTES> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            bytes: 0,
        }
    }
}

impl<V, const MOST_BYTES: usize> Lru<V, MOST_BYTES> {
    /// Looked at only: that is no use.
    pub fn look(&self, name: u128) -> Option<&V> {
        self.all.get(&name).map(|entry| &entry.value)
    }

    pub fn get(&mut self, name: u128) -> Option<&V> {
        let entry = self.all.get_mut(&name)?;
        self.order.remove(&entry.used);
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(self.uses, name);
        Some(&entry.value)
    }

    /// `bytes`: what it takes, with its place.
    pub fn put(&mut self, name: u128, value: V, bytes: usize) {
        self.remove(name);
        self.uses += 1;
        self.bytes += bytes;
        let used = self.uses;
        self.all.insert(name, Entry { value, used, bytes });
        self.order.insert(used, name);
        while self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.order.pop_first() else {
                return;
            };
            self.remove(oldest);
        }
    }

    pub fn remove(&mut self, name: u128) {
        if let Some(entry) = self.all.remove(&name) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_BYTES: usize = 1_000;
    const BYTES: usize = 30;

    #[test]
    fn what_was_used_last_goes_last() {
        let mut lru = Lru::<&str, MOST_BYTES>::default();
        let most = MOST_BYTES / BYTES;
        for name in 0..most {
            lru.put(name as u128, "it", BYTES);
        }
        assert_eq!(lru.look(1), Some(&"it"));
        assert_eq!(lru.get(0), Some(&"it"));
        lru.put(most as u128, "new", BYTES);
        assert!(lru.get(1).is_none(), "the oldest made room");
        assert!(lru.get(0).is_some() && lru.get(2).is_some());
        for _ in 0..3 {
            lru.put(0, "again", BYTES);
        }
        assert_eq!(lru.all.len(), most);
        assert_eq!((lru.order.len(), lru.bytes), (most, most * BYTES));
        lru.remove(2);
        assert_eq!((lru.order.len(), lru.bytes), (most - 1, (most - 1) * BYTES));
        lru.put(7, "too long", MOST_BYTES + 1);
        assert_eq!(
            (lru.all.len(), lru.order.len(), lru.bytes),
            (0, 0, 0),
            "there is no room for that one"
        );
    }
}
