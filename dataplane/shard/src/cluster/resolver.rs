//! Names of servers → their addresses, within the time of a command: the system's look-up has none of its own, and runs on a
//! thread of its own. One that is late is waited for by whoever asks for that name next, so that there is one for each at most.

#![allow(clippy::disallowed_methods)] // Runs on the cluster's own thread, and starts others.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    thread,
    time::Instant,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::connection::Address;

type Found = io::Result<Vec<SocketAddr>>;
type LookUp = fn(&Address) -> Found;

pub struct Resolver {
    look_up: LookUp,
    under_way: BTreeMap<Address, Receiver<Found>>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::by(|(host, port)| Ok((host.as_str(), *port).to_socket_addrs()?.collect()))
    }
}

impl Resolver {
    fn by(look_up: LookUp) -> Self {
        Self {
            look_up,
            under_way: BTreeMap::new(),
        }
    }

    pub fn resolve(&mut self, server: &Address, until: Instant) -> Found {
        if let Ok(ip) = server.0.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, server.1)]);
        }
        let found = match self.under_way.remove(server) {
            Some(found) => found,
            None => self.begin(server)?,
        };
        match found.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout) => {
                self.under_way.insert(server.clone(), found);
                let late = "its name does not resolve in time";
                Err(io::Error::new(io::ErrorKind::TimedOut, late))
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("its name is not looked up")),
        }
    }

    fn begin(&self, server: &Address) -> io::Result<Receiver<Found>> {
        let (tell, found) = bounded(1);
        let (server, look_up) = (server.clone(), self.look_up);
        thread::Builder::new().name("cluster-names".to_owned()).spawn(move || {
            // Nobody may wait any more.
            let _ = tell.send(look_up(&server));
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_name_that_takes_long_is_not_waited_for_and_asked_for_once() {
        fn hangs(_: &Address) -> Found {
            loop {
                thread::park_timeout(NEVER);
            }
        }
        let mut resolver = Resolver::by(hangs);
        let server = ("store.internal".to_owned(), 6379);
        for _ in 0..2 {
            let why = resolver.resolve(&server, Instant::now()).expect_err("nobody answers");
            assert_eq!(why.kind(), io::ErrorKind::TimedOut);
            assert_eq!(why.to_string(), "its name does not resolve in time");
            assert_eq!(resolver.under_way.len(), 1);
        }
    }

    #[test]
    fn a_name_is_found_and_an_address_is_one() {
        let (mut resolver, until) = (Resolver::default(), Instant::now() + NEVER);
        let of = |resolver: &mut Resolver, host: &str| resolver.resolve(&(host.to_owned(), 7), until);
        let found = of(&mut resolver, "localhost").expect("every machine has it");
        assert!(found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
        assert_eq!(
            of(&mut resolver, "::1").expect("an address"),
            ["[::1]:7".parse().expect("one")]
        );
    }
}
