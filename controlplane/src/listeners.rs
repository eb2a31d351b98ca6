//! The listening sockets. The control plane binds them, one per shard, hands them to the data plane and keeps its own
//! copies, so that a data plane that is replaced loses no queued connection. Knows sockets, not revisions.
//!
//! Sockets are left blocking: io_uring answers EAGAIN at once on a non-blocking listener instead of waiting.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use tollgate_config::{Problem, pointer};

use crate::link::HandedBack;

/// Connections that wait to be accepted, per socket; the kernel lowers it to `net.core.somaxconn`.
const ACCEPT_QUEUE: i32 = 4096;

/// One listener's sockets.
#[derive(Debug)]
pub struct Bound {
    /// As the document says.
    configured: SocketAddr,
    /// As the kernel says: differs where the document says port 0.
    pub actual: SocketAddr,
    pub sockets: Vec<OwnedFd>,
}

/// The listening sockets of the document in force, by the listener's name.
#[derive(Debug, Default)]
pub struct Listeners {
    bound: HashMap<String, Bound>,
    /// Sockets handed to this process at its start (`LISTEN_FDS`), used by address.
    inherited: Vec<TcpListener>,
}

/// Sockets opened for a document that is not in force yet; dropping it closes them again.
#[derive(Debug, Default)]
pub struct Opening {
    fresh: Vec<(String, Bound)>,
    /// Held already under another name: (former name, new name).
    renamed: Vec<(String, String)>,
}

impl Listeners {
    pub fn new(inherited: Vec<TcpListener>) -> Listeners {
        Listeners {
            bound: HashMap::new(),
            inherited,
        }
    }

    /// Takes the sockets a running data plane handed back.
    pub fn restore(&mut self, handed_back: HandedBack) {
        for (name, address, sockets) in handed_back {
            if !sockets.is_empty() {
                self.bound.insert(
                    name,
                    Bound {
                        configured: address,
                        actual: address,
                        sockets,
                    },
                );
            }
        }
    }

    /// Binds what `wanted` needs and is not held yet. Changes nothing here, so that a change refused later leaves no
    /// trace. Each address that cannot be bound is a problem.
    pub fn open(&self, wanted: &[(String, SocketAddr)]) -> Result<Opening, Vec<Problem>> {
        let mut opening = Opening::default();
        let mut problems = Vec::new();
        for (name, address) in wanted {
            if self.bound.get(name).is_some_and(|bound| bound.serves(*address)) {
                continue;
            }
            let is_wanted = |name: &String| wanted.iter().any(|(wanted, _)| wanted == name);
            let former = self
                .bound
                .iter()
                .find(|(former, bound)| !is_wanted(former) && bound.serves(*address));
            if let Some((former, _)) = former {
                opening.renamed.push((former.clone(), name.clone()));
                continue;
            }
            match self.first_socket(*address) {
                Ok(bound) => opening.fresh.push((name.clone(), bound)),
                Err(error) => {
                    let mut at = "/listeners".to_owned();
                    pointer::push(&mut at, name);
                    pointer::push(&mut at, "address");
                    problems.push(bind_problem(&at, *address, &error));
                }
            }
        }
        if problems.is_empty() {
            Ok(opening)
        } else {
            Err(problems)
        }
    }

    /// Takes over what was opened and closes what `wanted` no longer names. Returns the names of the listeners that
    /// a data plane must be handed.
    pub fn put_in_force(&mut self, opening: Opening, wanted: &[(String, SocketAddr)]) -> Vec<String> {
        let mut changed = Vec::new();
        for (former, name) in opening.renamed {
            if let Some(bound) = self.bound.remove(&former) {
                self.bound.insert(name.clone(), bound);
                changed.push(name);
            }
        }
        for (name, bound) in opening.fresh {
            self.bound.insert(name.clone(), bound);
            changed.push(name);
        }
        self.bound
            .retain(|name, _| wanted.iter().any(|(wanted, _)| wanted == name));
        // Our second copies: kept, they would queue connections to an address that is given up later.
        let bound = &self.bound;
        self.inherited.retain(|socket| {
            !bound
                .values()
                .any(|b| socket.local_addr().is_ok_and(|local| local == b.actual))
        });
        changed
    }

    /// Gives each listener exactly `shards` sockets. One too many would queue connections that nobody accepts.
    pub fn fit(&mut self, shards: usize) -> io::Result<()> {
        for bound in self.bound.values_mut() {
            bound.sockets.truncate(shards.max(1));
            while bound.sockets.len() < shards {
                let further = match listen(bound.actual) {
                    Ok(socket) => socket,
                    // A socket handed to us may lack SO_REUSEPORT: then the shards share it.
                    Err(_) => bound.sockets[0].as_fd().try_clone_to_owned()?,
                };
                bound.sockets.push(further);
            }
        }
        Ok(())
    }

    /// Closes them all.
    pub fn close(&mut self) {
        self.bound.clear();
        self.inherited.clear();
    }

    pub fn get(&self, name: &str) -> Option<&Bound> {
        self.bound.get(name)
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.bound.keys().cloned().collect();
        names.sort();
        names
    }

    fn first_socket(&self, address: SocketAddr) -> io::Result<Bound> {
        let inherited = self
            .inherited
            .iter()
            .find(|s| s.local_addr().is_ok_and(|local| local == address));
        let socket = match inherited {
            Some(socket) => {
                socket.set_nonblocking(false)?;
                OwnedFd::from(socket.try_clone()?)
            }
            None => {
                // SO_REUSEPORT would let us join the sockets of another instance: a plain bind would not.
                drop(bind(address, Sharing::Alone)?);
                listen(address)?
            }
        };
        let actual = local_address(&socket)?;
        Ok(Bound {
            configured: address,
            actual,
            sockets: vec![socket],
        })
    }
}

impl Bound {
    fn serves(&self, address: SocketAddr) -> bool {
        // Port 0 is any port, also the one that an adopted data plane had been given.
        let is_any_port = address.port() == 0 && address.ip() == self.actual.ip();
        self.configured == address || self.actual == address || is_any_port
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    ReusePort,
}

/// A blocking listening socket that may have brothers.
fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = bind(address, Sharing::ReusePort)?;
    net::listen(&socket, ACCEPT_QUEUE)?;
    Ok(socket)
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if sharing == Sharing::ReusePort {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    Ok(socket)
}

fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = net::getsockname(socket)?;
    SocketAddr::try_from(address).map_err(|_| io::Error::other("not an internet socket"))
}

/// What an operator is told when an address cannot be listened on.
pub fn bind_problem(pointer: &str, address: SocketAddr, error: &io::Error) -> Problem {
    let (wrong, right) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            format!("port in use: another program listens on {address}"),
            format!(
                "stop it (`ss -ltnp 'sport = :{}'` names it) or choose another port",
                address.port()
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            format!("not permitted to listen on {address}"),
            "choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE".to_owned(),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("this machine has no address {}", address.ip()),
            "name one of `ip address`, or 0.0.0.0".to_owned(),
        ),
        _ => (
            format!("cannot listen on {address}: {error}"),
            "choose an address that can be bound".to_owned(),
        ),
    };
    Problem::new(pointer, wrong, right)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::Listeners;

    fn wanted(name: &str, address: SocketAddr) -> Vec<(String, SocketAddr)> {
        vec![(name.to_owned(), address)]
    }

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn every_shard_gets_a_socket_of_its_own_on_one_port() {
        let mut listeners = Listeners::default();
        let opening = listeners.open(&wanted("public", any_port())).unwrap();
        assert_eq!(
            listeners.put_in_force(opening, &wanted("public", any_port())),
            ["public"]
        );
        listeners.fit(3).unwrap();
        let bound = listeners.get("public").unwrap();
        assert_eq!(bound.sockets.len(), 3);
        TcpStream::connect(bound.actual).unwrap();
        // The same address again needs nothing, even where the document says port 0.
        let again = listeners.open(&wanted("public", any_port())).unwrap();
        assert!(listeners.put_in_force(again, &wanted("public", any_port())).is_empty());
        listeners.fit(1).unwrap();
        assert_eq!(listeners.get("public").unwrap().sockets.len(), 1);
    }

    #[test]
    fn an_address_in_use_is_a_problem_even_with_reuse_port() {
        let mut first = Listeners::default();
        let opening = first.open(&wanted("public", any_port())).unwrap();
        first.put_in_force(opening, &wanted("public", any_port()));
        let taken = first.get("public").unwrap().actual;
        let problems = Listeners::default().open(&wanted("a/b", taken)).unwrap_err();
        assert_eq!(problems[0].pointer, "/listeners/a~1b/address");
        assert!(problems[0].wrong.contains("port in use"), "{}", problems[0].wrong);
    }

    #[test]
    fn a_renamed_listener_keeps_its_sockets_and_a_dropped_one_closes_them() {
        let mut listeners = Listeners::default();
        let opening = listeners.open(&wanted("old", any_port())).unwrap();
        listeners.put_in_force(opening, &wanted("old", any_port()));
        let address = listeners.get("old").unwrap().actual;
        let opening = listeners.open(&wanted("new", address)).unwrap();
        assert_eq!(listeners.put_in_force(opening, &wanted("new", address)), ["new"]);
        assert_eq!(listeners.names(), ["new"]);
        let opening = listeners.open(&[]).unwrap();
        listeners.put_in_force(opening, &[]);
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn inherited_sockets_are_used_by_address() {
        let inherited = TcpListener::bind(any_port()).unwrap();
        let address = inherited.local_addr().unwrap();
        let mut listeners = Listeners::new(vec![inherited]);
        let opening = listeners.open(&wanted("public", address)).unwrap();
        listeners.put_in_force(opening, &wanted("public", address));
        listeners.fit(2).unwrap();
        assert_eq!(listeners.get("public").unwrap().sockets.len(), 2);
        TcpStream::connect(address).unwrap();
    }
}
