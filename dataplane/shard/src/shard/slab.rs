//! Slots with generations: an event that names a slot's former tenant finds nobody.

pub struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    len: usize,
}

/// A slot and the generation that filled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    pub index: u32,
    pub generation: u32,
}

impl Id {
    /// As one number, for who keeps it without knowing what it is.
    pub fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub fn numbered(number: u64) -> Self {
        Self {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }
}

/// Generations are compared in the 20 bits that a ring token carries.
const GENERATION_MASK: u32 = 0xf_ffff;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> Id {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.1 = Some(value);
            return Id {
                index,
                generation: slot.0,
            };
        }
        self.slots.push((0, Some(value)));
        Id {
            index: (self.slots.len() - 1) as u32,
            generation: 0,
        }
    }

    pub fn get(&self, id: Id) -> Option<&T> {
        match self.slots.get(id.index as usize) {
            Some((generation, value)) if *generation == id.generation => value.as_ref(),
            _ => None,
        }
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.slots.get_mut(id.index as usize) {
            Some((generation, value)) if *generation == id.generation => value.as_mut(),
            _ => None,
        }
    }

    pub fn remove(&mut self, id: Id) -> Option<T> {
        let (generation, value) = self.slots.get_mut(id.index as usize)?;
        if *generation != id.generation {
            return None;
        }
        let value = value.take()?;
        *generation = (*generation + 1) & GENERATION_MASK;
        self.free.push(id.index);
        self.len -= 1;
        Some(value)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|(_, value)| value.as_ref())
    }

    /// Every filled slot's id; a copy, so that the caller may change the slab.
    pub fn ids(&self) -> Vec<Id> {
        let filled = |(index, (generation, value)): (usize, &(u32, Option<T>))| {
            value.as_ref().map(|_| Id {
                index: index as u32,
                generation: *generation,
            })
        };
        self.slots.iter().enumerate().filter_map(filled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_tenants_id_finds_nobody() {
        let mut slab = Slab::default();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert("b");
        assert_eq!(
            (first.index, slab.get(first), slab.get(second)),
            (second.index, None, Some(&"b"))
        );
        assert_eq!((slab.remove(first), slab.len()), (None, 1));
    }
}
