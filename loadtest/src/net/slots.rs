//! Things found by a token that never means another thing later: what epoll and timers tell may be of one that is gone.

/// Tokens from here on are free for other meanings.
pub const RESERVED: u64 = (u32::MAX as u64) << 32;

struct Slot<T> {
    generation: u32,
    held: Option<T>,
}

pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    /// Holds it until [`Slots::remove`], and names it.
    pub fn insert(&mut self, held: T) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                held: None,
            });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.held = Some(held);
        u64::from(slot.generation) << 32 | u64::from(index)
    }

    pub fn get_mut(&mut self, token: u64) -> Option<&mut T> {
        let slot = self.slots.get_mut(token as u32 as usize)?;
        (u64::from(slot.generation) == token >> 32).then_some(slot.held.as_mut())?
    }

    pub fn remove(&mut self, token: u64) -> Option<T> {
        self.get_mut(token)?;
        let index = token as u32;
        let slot = &mut self.slots[index as usize];
        // The last generation is kept for reserved tokens; a token four thousand million uses old is nobody's any more.
        slot.generation = (slot.generation + 1) % u32::MAX;
        self.free.push(index);
        slot.held.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_one_that_is_gone_finds_nothing() {
        let mut slots = Slots::default();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second).copied(), Some("second"));
        assert_eq!(slots.get_mut(RESERVED), None);
    }
}
