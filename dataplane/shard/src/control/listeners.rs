//! Listening sockets: handed to us, found in the environment, or bound here. A copy of each is kept, to hand back when
//! a new control plane adopts us and so that none is lost when a shard replaces its own.

use std::{
    collections::BTreeMap,
    env, io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tollgate_config::Document;

use super::shards::Shards;
use crate::messages::ToShard;

/// Connections that wait to be accepted, per socket; the kernel lowers it to net.core.somaxconn.
const BACKLOG: i32 = 1024;

struct Held {
    address: SocketAddr,
    /// The i-th for shard i.
    sockets: Vec<OwnedFd>,
    /// Shards accept on them.
    accepting: bool,
}

#[derive(Default)]
pub struct Listeners {
    held: BTreeMap<String, Held>,
}

impl Listeners {
    /// Takes a listener's sockets, one per shard, in place of those it had.
    pub fn hold(&mut self, name: String, address: SocketAddr, sockets: Vec<OwnedFd>) {
        self.held.insert(
            name,
            Held {
                address,
                sockets,
                accepting: false,
            },
        );
    }

    /// Lets the shards accept for every listener of the document in force, and no other.
    pub fn accept(&mut self, document: &Document, shards: &Shards) -> io::Result<()> {
        let is_wanted = |name: &str| document.listeners.iter().any(|(wanted, _)| wanted == name);
        self.held.retain(|name, held| {
            let wanted = is_wanted(name);
            if !wanted && held.accepting {
                shards.tell_all(|| ToShard::Unlisten { name: name.clone() });
            }
            wanted
        });
        for (name, held) in self.held.iter_mut().filter(|(_, held)| !held.accepting) {
            for (shard, socket) in held.sockets.iter().enumerate().take(shards.len()) {
                let socket = socket.try_clone()?;
                shards.tell(
                    shard,
                    ToShard::Listen {
                        name: name.clone(),
                        socket,
                    },
                );
            }
            held.accepting = true;
        }
        Ok(())
    }

    /// Drops all: with the shards' own gone too, the kernel refuses connections.
    pub fn close(&mut self) {
        self.held.clear();
    }

    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.held
            .iter()
            .map(|(name, held)| (name.clone(), held.address))
            .collect()
    }

    /// Copies of all, with their names, addresses and counts in the same order.
    #[expect(clippy::type_complexity)]
    pub fn copies(&self) -> io::Result<(Vec<(String, SocketAddr, u16)>, Vec<OwnedFd>)> {
        let mut listed = Vec::new();
        let mut copies = Vec::new();
        for (name, held) in &self.held {
            listed.push((name.clone(), held.address, held.sockets.len() as u16));
            for socket in &held.sockets {
                copies.push(socket.try_clone()?);
            }
        }
        Ok((listed, copies))
    }

    /// Opens what the document wants and is not held: sockets handed to the process (`LISTEN_FDS`) by listener name,
    /// else by address, else bound here. The error names the listener.
    pub fn open(&mut self, document: &Document, inherited: &mut Inherited, shards: usize) -> Result<(), String> {
        for (name, listener) in &document.listeners {
            if self.held.contains_key(name) {
                continue;
            }
            let taken = inherited.take(name, listener.address);
            let opened = if taken.is_empty() {
                bind_all(listener.address, shards)
            } else {
                share(taken, shards)
            };
            let opened = opened.and_then(|sockets| Ok((local_address(&sockets[0])?, sockets)));
            let (address, sockets) =
                opened.map_err(|error| format!("listener '{name}': cannot listen on {}: {error}", listener.address))?;
            tracing::info!(listener = name, %address, "listening");
            self.hold(name.clone(), address, sockets);
        }
        Ok(())
    }
}

/// One socket per shard, all bound to the same address.
fn bind_all(address: SocketAddr, shards: usize) -> io::Result<Vec<OwnedFd>> {
    if address.port() != 0 {
        // SO_REUSEPORT would hide another program that has it too; without, the kernel says so.
        drop(bind_when_free(address)?);
    }
    let first = bind(address, true)?;
    let address = local_address(&first)?;
    let mut sockets = vec![first];
    while sockets.len() < shards {
        sockets.push(bind(address, true)?);
    }
    Ok(sockets)
}

/// The kernel tears down a killed process's rings, and with them the sockets they accept on, a moment after the process
/// is gone: what is in use then is free soon.
#[allow(clippy::disallowed_methods)] // Before anything is served; no shard waits.
fn bind_when_free(address: SocketAddr) -> io::Result<OwnedFd> {
    const PATIENCE: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        match bind(address, false) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && waited < PATIENCE => {
                std::thread::sleep(PAUSE);
                waited += PAUSE;
            }
            outcome => return outcome,
        }
    }
}

fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    // Blocking: an accept on a ring waits only on such a one.
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, reuse_port)?;
    rustix::net::bind(&socket, &address)?;
    if reuse_port {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Sockets handed to us, one per shard: those that are too few are shared, those too many closed, for what is queued
/// on a socket that nobody accepts from is lost.
fn share(mut sockets: Vec<OwnedFd>, shards: usize) -> io::Result<Vec<OwnedFd>> {
    let came = sockets.len();
    sockets.truncate(shards);
    for shard in came..shards {
        let copy = sockets[shard % came].try_clone()?;
        sockets.push(copy);
    }
    Ok(sockets)
}

pub fn local_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    let address = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(address).map_err(|_| io::Error::other("not a TCP socket"))
}

/// Listening sockets the process was started with, each with the name it was given (`LISTEN_FDNAMES`).
#[derive(Default)]
pub struct Inherited {
    sockets: Vec<(String, SocketAddr, OwnedFd)>,
}

impl Inherited {
    /// Those meant for this process (`LISTEN_PID`), by sd_listen_fds(3). What is no TCP listener is left alone.
    pub fn from_environment() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..handed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let Ok(Some(listener)) = handed.take_tcp_listener(index) else {
                continue;
            };
            // Whoever made it may have made it non-blocking; an accept on a ring must wait.
            let usable = listener.set_nonblocking(false).and_then(|()| listener.local_addr());
            match usable {
                Ok(address) => sockets.push((name, address, listener.into())),
                Err(error) => tracing::warn!(name, %error, "a socket handed to this process cannot be used"),
            }
        }
        Self { sockets }
    }

    fn take(&mut self, name: &str, address: SocketAddr) -> Vec<OwnedFd> {
        let by_name = self.sockets.iter().any(|(known, ..)| known == name);
        let is_its = |known: &(String, SocketAddr, OwnedFd)| if by_name { known.0 == name } else { known.1 == address };
        let (its, others) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition::<Vec<_>, _>(is_its);
        self.sockets = others;
        its.into_iter().map(|(.., socket)| socket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn every_shard_has_a_socket_and_a_port_in_use_is_told() {
        let sockets = bind_all(loopback(), 3).expect("bound");
        let address = local_address(&sockets[0]).expect("an address");
        assert_ne!(address.port(), 0);
        assert!(
            sockets
                .iter()
                .all(|socket| local_address(socket).is_ok_and(|its| its == address))
        );
        // Another program's, though it too says SO_REUSEPORT.
        let refused = bind_all(address, 1).expect_err("in use");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn inherited_sockets_go_by_name_then_by_address() {
        let sockets = bind_all(loopback(), 2).expect("bound");
        let address = local_address(&sockets[0]).expect("an address");
        let named = |name: &str| {
            let socket = |socket: &OwnedFd| (name.to_owned(), address, socket.try_clone().expect("a copy"));
            Inherited {
                sockets: sockets.iter().map(socket).collect(),
            }
        };
        assert_eq!(named("public").take("public", loopback()).len(), 2);
        assert_eq!(named("unit.socket").take("public", address).len(), 2);
        assert!(named("unit.socket").take("public", loopback()).is_empty());
        assert_eq!(
            share(bind_all(loopback(), 2).expect("bound"), 5).expect("shared").len(),
            5
        );
        assert_eq!(
            share(bind_all(loopback(), 2).expect("bound"), 1).expect("shared").len(),
            1
        );
    }
}
