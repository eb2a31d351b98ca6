//! Addresses of upstream hosts as the resolver told them. A stale answer is used while a fresh one is asked for.

use std::net::IpAddr;

use hashbrown::HashMap;
use tollgate_engine::Tick;

use crate::shard::{Shard, slab::Id};

/// A stale answer serves this much longer than its TTL while the resolver does not answer.
const STALE_MS: u64 = 10 * 60 * 1000;

#[derive(Default)]
pub struct Names {
    known: HashMap<String, Name>,
}

#[derive(Default)]
struct Name {
    addresses: Vec<IpAddr>,
    fresh_until: Tick,
    usable_until: Tick,
    asked: bool,
    waiting: Vec<Id>,
}

impl Shard {
    /// Addresses to try for `host`; `None`: `waiting` will be told.
    pub fn addresses(&mut self, host: &str, waiting: Id) -> Option<Vec<IpAddr>> {
        let literal = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(ip) = literal.parse() {
            return Some(vec![ip]);
        }
        let now = self.clock.now();
        if !self.names.known.contains_key(host) {
            self.names.known.insert(host.to_owned(), Name::default());
        }
        let name = self.names.known.get_mut(host)?;
        if now >= name.fresh_until && !name.asked {
            name.asked = true;
            self.setup.resolver.resolve(host, self.id);
        }
        if now < name.usable_until && !name.addresses.is_empty() {
            // The next connection begins with the next address.
            name.addresses.rotate_left(1);
            return Some(name.addresses.clone());
        }
        name.waiting.push(waiting);
        None
    }

    pub fn resolved(&mut self, host: String, addresses: Vec<IpAddr>, ttl_ms: u64) {
        let now = self.clock.now();
        let name = self.names.known.entry(host).or_default();
        name.asked = false;
        let waiting = std::mem::take(&mut name.waiting);
        if !addresses.is_empty() {
            name.addresses = addresses;
            name.fresh_until = now.plus_ms(ttl_ms);
            name.usable_until = now.plus_ms(ttl_ms + STALE_MS);
        }
        let addresses = if now < name.usable_until {
            name.addresses.clone()
        } else {
            Vec::new()
        };
        for id in waiting {
            self.connect_up(id, addresses.clone());
        }
    }
}
