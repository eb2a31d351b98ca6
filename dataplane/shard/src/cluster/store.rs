//! The store: which of its servers to ask for a group, and what they say. Follows a Redis Cluster's redirections, and asks
//! sentinels who the master is.

#![allow(clippy::disallowed_methods)] // Runs on the cluster's own thread.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::ClientConfig;
use tollgate_config::document::Topology;
use tollgate_engine::limits::cluster::{Reply, Request, SCRIPT, Word};

use super::{
    connection::{Address, Connection, Credential},
    resolver::Resolver,
    resp::Value,
};

/// From one server of a Redis Cluster to the next that has a slot.
pub(super) const MAX_REDIRECTIONS: usize = 5;
/// A server of many that did not answer is not asked again for so long: those that do would wait for it.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// Forty digits, in all versions.
const MAX_PROCESS_NAME: usize = 64;

/// How the store is reached.
#[derive(Clone, Debug)]
pub struct Way {
    pub topology: Topology,
    pub servers: Vec<Address>,
    pub tls: Option<Arc<ClientConfig>>,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
    pub sentinel_password: Option<Vec<u8>>,
    pub prefix: String,
    pub timeout: Duration,
}

pub struct Store {
    way: Way,
    /// Of `way.servers`: which is tried next.
    next: usize,
    /// By group: who has its slot, as far as it is known.
    owners: BTreeMap<usize, Address>,
    connections: BTreeMap<Address, Connection>,
    resolver: Resolver,
    /// Of a Redis Cluster: servers that did not answer, and when.
    silent: BTreeMap<Address, Instant>,
    sha: String,
}

/// What to do with a command that a server did not take.
pub(super) enum Refused {
    /// Another has the slot, for good or for this command.
    Moved(Address),
    Ask(Address),
    NoScript,
    Other(String),
}

impl Store {
    pub fn new(way: Way) -> Self {
        let sha = digest(&SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
        let sha = sha.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            way,
            next: 0,
            owners: BTreeMap::new(),
            connections: BTreeMap::new(),
            resolver: Resolver::default(),
            silent: BTreeMap::new(),
            sha,
        }
    }

    /// Asks, and waits no longer than `timeout`. Not answered is not the same as not done: numbers of requests tell.
    pub fn call(&mut self, request: &Request) -> Result<Reply, String> {
        let until = Instant::now() + self.way.timeout;
        let owner = self.owner(request.group, until);
        let result = owner.and_then(|owner| self.call_at(owner, request, until));
        if result.is_err() {
            // Somebody else may know better.
            self.leave(request.group);
        }
        result
    }

    /// It was not answered there.
    pub(super) fn leave(&mut self, group: usize) {
        self.owners.remove(&group);
        self.next = self.next.wrapping_add(1);
    }

    pub(super) fn is_connected(&self, group: usize) -> bool {
        let owner = self.owners.get(&group);
        owner.is_some_and(|owner| self.connections.contains_key(owner))
    }

    pub(super) fn moved(&mut self, group: usize, owner: Address) {
        self.owners.insert(group, owner);
    }

    pub(super) fn owner(&mut self, group: usize, until: Instant) -> Result<Address, String> {
        if let Some(owner) = self.owners.get(&group) {
            return Ok(owner.clone());
        }
        let count = self.way.servers.len().max(1);
        let server = self.way.servers.get(self.next % count).cloned();
        let server = server.ok_or("no server is named")?;
        let owner = match &self.way.topology {
            Topology::Single | Topology::Cluster => server,
            Topology::Sentinel { master, .. } => self.master(&server, &master.clone(), until)?,
        };
        self.owners.insert(group, owner.clone());
        Ok(owner)
    }

    /// Who a sentinel says is the master.
    fn master(&mut self, sentinel: &Address, name: &str, until: Instant) -> Result<Address, String> {
        let told = |error: std::io::Error| format!("sentinel {}:{}: {error}", sentinel.0, sentinel.1);
        let credential = self.way.sentinel_password.as_deref();
        let credential = credential.map(|password| Credential { user: None, password });
        let mut connection =
            Connection::open(&mut self.resolver, sentinel, self.way.tls.as_ref(), credential, until).map_err(told)?;
        let parts: [&[u8]; 3] = [b"SENTINEL", b"get-master-addr-by-name", name.as_bytes()];
        let unknown = || format!("sentinel {}:{} knows no master '{name}'", sentinel.0, sentinel.1);
        match connection.ask(&parts, until).map_err(told)? {
            Value::List(items) => match &items[..] {
                [Value::Text(host), Value::Text(port)] => {
                    let host = String::from_utf8(host.clone()).map_err(|_| unknown())?;
                    let port = std::str::from_utf8(port).ok().and_then(|port| port.parse().ok());
                    Ok((host, port.ok_or_else(unknown)?))
                }
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }

    fn call_at(&mut self, mut server: Address, request: &Request, until: Instant) -> Result<Reply, String> {
        let keys = request.keys(&self.way.prefix);
        let count = keys.len().to_string();
        let (mut asking, mut whole) = (false, false);
        for _ in 0..=MAX_REDIRECTIONS {
            let sha = self.sha.clone();
            let verb: [&[u8]; 2] = match whole {
                true => [b"EVAL", SCRIPT.as_bytes()],
                false => [b"EVALSHA", sha.as_bytes()],
            };
            let process = self.process(&server, until)?;
            let arguments = request.arguments(&process);
            let mut parts: Vec<&[u8]> = verb.to_vec();
            parts.push(count.as_bytes());
            parts.extend(keys.iter().chain(&arguments).map(String::as_bytes));
            if std::mem::take(&mut asking) {
                self.ask(&server, &[b"ASKING"], until)?;
            }
            let value = self.ask(&server, &parts, until)?;
            match refused(value, &server) {
                Ok(value) => {
                    return read(&value, request).ok_or_else(|| told(&server, "its answer is not of our script"));
                }
                Err(Refused::NoScript) => whole = true,
                Err(Refused::Moved(owner)) => {
                    self.moved(request.group, owner.clone());
                    server = owner;
                }
                Err(Refused::Ask(other)) => {
                    server = other;
                    asking = true;
                }
                Err(Refused::Other(said)) => {
                    self.connections.remove(&server);
                    return Err(told(&server, &said));
                }
            }
        }
        Err(told(&server, "it sends us from one server to the next"))
    }

    /// Which process answers there: one that was begun anew, or was a replica, may lack what its predecessor was told.
    fn process(&mut self, server: &Address, until: Instant) -> Result<String, String> {
        if let Some(connection) = self.connections.get(server) {
            return Ok(connection.process.clone());
        }
        let info = self.ask(server, &[b"INFO", b"server"], until)?;
        let process = process_in(&info).unwrap_or_default();
        if let Some(connection) = self.connections.get_mut(server) {
            connection.process.clone_from(&process);
        }
        Ok(process)
    }

    fn ask(&mut self, server: &Address, parts: &[&[u8]], until: Instant) -> Result<Value, String> {
        let mut values = self.ask_all(server, &[parts], until)?;
        values.pop().ok_or_else(|| told(server, "it says nothing"))
    }

    /// A reply for each command.
    pub(super) fn ask_all(
        &mut self,
        server: &Address,
        commands: &[&[&[u8]]],
        until: Instant,
    ) -> Result<Vec<Value>, String> {
        if self.silent.get(server).is_some_and(|at| at.elapsed() < LEFT_ALONE) {
            return Err(told(server, "it did not answer a moment ago"));
        }
        let result = self.ask_now(server, commands, until);
        if result.is_ok() {
            self.silent.remove(server);
        } else if self.way.topology == Topology::Cluster {
            self.silent.insert(server.clone(), Instant::now());
        }
        result
    }

    fn ask_now(&mut self, server: &Address, commands: &[&[&[u8]]], until: Instant) -> Result<Vec<Value>, String> {
        let mut connection = match self.connections.remove(server) {
            Some(connection) => connection,
            None => {
                let way = &self.way;
                let credential = way.password.as_deref().map(|password| Credential {
                    user: way.user.as_deref(),
                    password,
                });
                Connection::open(&mut self.resolver, server, way.tls.as_ref(), credential, until)
                    .map_err(|error| told(server, &error.to_string()))?
            }
        };
        let values = connection
            .ask_all(commands, until)
            .map_err(|error| told(server, &error.to_string()))?;
        // One that failed is closed.
        self.connections.insert(server.clone(), connection);
        Ok(values)
    }
}

pub(super) fn told((host, port): &Address, what: &str) -> String {
    format!("{host}:{port}: {what}")
}

/// `None`: it does not say, or not to this user.
fn process_in(info: &Value) -> Option<String> {
    let Value::Text(text) = info else { return None };
    let text = std::str::from_utf8(text).ok()?;
    let process = text.lines().find_map(|line| line.strip_prefix("run_id:"))?.trim();
    let is_plain =
        (1..=MAX_PROCESS_NAME).contains(&process.len()) && process.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| process.to_owned())
}

/// A reply, or what an error means.
fn refused(value: Value, server: &Address) -> Result<Value, Refused> {
    match redirection(&value, server) {
        None => Ok(value),
        Some(refused) => Err(refused),
    }
}

/// The same, looked at.
pub(super) fn redirection(value: &Value, (host, _): &Address) -> Option<Refused> {
    let Value::Error(said) = value else { return None };
    let mut words = said.split(' ');
    let address = |text: &str| {
        let (to, port) = text.rsplit_once(':')?;
        // An empty host is the one that says so.
        let to = if to.is_empty() { host.clone() } else { to.to_owned() };
        Some((to, port.parse().ok()?))
    };
    let kind = words.next();
    let other = words.nth(1).and_then(address);
    Some(match (kind, other) {
        (Some("NOSCRIPT"), _) => Refused::NoScript,
        (Some("MOVED"), Some(to)) => Refused::Moved(to),
        (Some("ASK"), Some(to)) => Refused::Ask(to),
        _ => Refused::Other(said.clone()),
    })
}

pub(super) fn read(value: &Value, request: &Request) -> Option<Reply> {
    let Value::List(items) = value else { return None };
    let words = items.iter().map(|item| match item {
        Value::Number(number) => Some(Word::Number(*number)),
        Value::Text(text) => Some(Word::Text(text)),
        _ => None,
    });
    let words: Option<Vec<Word<'_>>> = words.collect();
    Reply::read(&words?, request.entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_understood() {
        let here = ("10.0.0.1".to_owned(), 7000);
        let of = |said: &str| refused(Value::Error(said.to_owned()), &here);
        assert!(
            matches!(of("MOVED 3999 10.0.0.2:6381"), Err(Refused::Moved(to)) if to == ("10.0.0.2".to_owned(), 6381))
        );
        assert!(matches!(of("MOVED 3999 :6381"), Err(Refused::Moved(to)) if to == ("10.0.0.1".to_owned(), 6381)));
        assert!(matches!(of("ASK 3999 ::1:6381"), Err(Refused::Ask(to)) if to == ("::1".to_owned(), 6381)));
        assert!(matches!(of("NOSCRIPT No matching script."), Err(Refused::NoScript)));
        assert!(matches!(of("READONLY You can't write"), Err(Refused::Other(_))));
        assert!(matches!(of("MOVED 3999"), Err(Refused::Other(_))));
        assert!(refused(Value::Nothing, &here).is_ok());
    }
}
