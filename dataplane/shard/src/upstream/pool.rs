//! Idle connections by destination. The one used last is used next: the others may time out and go.

use crate::shard::slab::Id;

#[derive(Default)]
pub struct Pools {
    pools: Vec<Pool>,
}

struct Pool {
    provider: String,
    fingerprint: u64,
    idle: Vec<Id>,
    max_idle: usize,
    /// No route of the running revision leads here: nothing is kept.
    retired: bool,
}

impl Pools {
    /// The pool of a destination; the same from one revision to the next while its fingerprint stays.
    pub fn of(&mut self, provider: &str, fingerprint: u64, max_idle: u32) -> usize {
        let max_idle = max_idle as usize;
        let known = |pool: &Pool| pool.provider == provider && pool.fingerprint == fingerprint;
        let index = self.pools.iter().position(known).unwrap_or_else(|| {
            let (provider, idle) = (provider.to_owned(), Vec::new());
            self.pools.push(Pool {
                provider,
                fingerprint,
                idle,
                max_idle,
                retired: false,
            });
            self.pools.len() - 1
        });
        self.pools[index].max_idle = max_idle;
        self.pools[index].retired = false;
        index
    }

    /// Retires the pools that are not in `used`; answers the connections to close.
    pub fn retire_unused(&mut self, used: &[usize]) -> Vec<Id> {
        let mut closing = Vec::new();
        for (index, pool) in self.pools.iter_mut().enumerate() {
            if !used.contains(&index) {
                pool.retired = true;
                closing.append(&mut pool.idle);
            }
        }
        closing
    }

    pub fn take(&mut self, pool: usize) -> Option<Id> {
        self.pools.get_mut(pool)?.idle.pop()
    }

    /// False when the pool is full or retired: close the connection.
    pub fn give(&mut self, pool: usize, id: Id) -> bool {
        match self.pools.get_mut(pool) {
            Some(pool) if !pool.retired && pool.idle.len() < pool.max_idle => {
                pool.idle.push(id);
                true
            }
            _ => false,
        }
    }

    pub fn forget(&mut self, pool: usize, id: Id) {
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.idle.retain(|idle| *idle != id);
        }
    }
}
