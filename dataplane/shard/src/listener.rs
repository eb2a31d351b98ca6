//! Accepting: one socket per shard and listener; connections go to the shard that has fewest.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
    sync::atomic::Ordering,
};

use crate::{
    downstream::{Down, Phase},
    messages::ToShard,
    shard::{LISTENER, Shard, Timer},
    sys::{Token, UnderWay, socket},
    tls::session::TlsSession,
};

/// How long accepting pauses when descriptors or memory have run out.
const ACCEPT_PAUSE_MS: u64 = 50;

/// Listening sockets; an index is a listener's name in ring tokens.
#[derive(Default)]
pub struct Listeners {
    sockets: Vec<Option<(Rc<str>, OwnedFd)>>,
    paused: Vec<u32>,
}

impl Listeners {
    pub fn get(&self, index: u32) -> Option<&OwnedFd> {
        self.sockets.get(index as usize)?.as_ref().map(|(_, socket)| socket)
    }

    fn name(&self, index: u32) -> Option<Rc<str>> {
        self.sockets
            .get(index as usize)?
            .as_ref()
            .map(|(name, _)| Rc::clone(name))
    }
}

impl Shard {
    pub fn listen(&mut self, name: String, socket: OwnedFd) {
        self.unlisten(&name);
        let index = self.listeners.sockets.len() as u32;
        self.ring.accept(socket.as_raw_fd(), Token::new(LISTENER, 0, index));
        self.listeners.sockets.push(Some((name.into(), socket)));
    }

    pub fn unlisten(&mut self, name: &str) {
        self.close_listeners(|listener| listener == name);
    }

    pub fn stop_listening(&mut self) {
        self.close_listeners(|_| true);
    }

    fn close_listeners(&mut self, which: impl Fn(&str) -> bool) {
        for (index, slot) in self.listeners.sockets.iter_mut().enumerate() {
            if let Some((_, socket)) = slot.take_if(|(listener, _)| which(listener)) {
                let under_way = UnderWay {
                    accept: true,
                    ..UnderWay::default()
                };
                self.ring
                    .close(socket, Token::new(LISTENER, 0, index as u32), under_way);
            }
        }
    }

    pub fn accepted(&mut self, token: Token, result: io::Result<OwnedFd>, armed: bool) {
        let index = token.index();
        let Some(name) = self.listeners.name(index) else { return };
        let failed = result.is_err();
        if let Ok(socket) = result {
            match socket::accepted(&socket) {
                Ok(peer) => self.place(socket, peer, name),
                // The client has gone already.
                Err(_) => drop(socket),
            }
        }
        if armed {
            return;
        }
        if failed {
            self.metrics.accept_failed();
            self.listeners.paused.push(index);
            self.wheel.arm(self.clock.now().plus_ms(ACCEPT_PAUSE_MS), Timer::Accept);
        } else if let Some(fd) = self.listener_fd(index) {
            self.ring.accept(fd, token);
        }
    }

    pub fn resume_accepting(&mut self) {
        for index in std::mem::take(&mut self.listeners.paused) {
            if let Some(fd) = self.listener_fd(index) {
                self.ring.accept(fd, Token::new(LISTENER, 0, index));
            }
        }
    }

    /// Keeps the connection, or hands it to the shard with fewest: the kernel's hash knows nothing of how long
    /// connections live.
    fn place(&mut self, socket: OwnedFd, peer: SocketAddr, listener: Rc<str>) {
        let load = &self.setup.load;
        let mine = load[self.id as usize].load(Ordering::Relaxed);
        let (mut total, mut least, mut least_at) = (0u64, mine, self.id as usize);
        for (index, count) in load.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            total += u64::from(count);
            if count < least {
                (least, least_at) = (count, index);
            }
        }
        let bound = self
            .running
            .as_ref()
            .map_or(u32::MAX, |running| running.client.max_connections);
        if total >= u64::from(bound.min(self.setup.max_connections)) {
            self.metrics.connection_refused();
            return;
        }
        // Counted before it is there, or a burst of accepts would all go to the same shard.
        load[least_at].fetch_add(1, Ordering::Relaxed);
        if least_at == self.id as usize {
            self.welcome(socket, peer, listener);
            return;
        }
        let message = ToShard::Connection {
            socket,
            peer,
            listener: listener.to_string(),
        };
        if !self.setup.peers[least_at].send(message) {
            self.setup.load[least_at].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Begins serving a connection that is counted already.
    pub fn welcome(&mut self, socket: OwnedFd, peer: SocketAddr, listener: Rc<str>) {
        if self.begin_connection(socket, peer, listener).is_none() {
            self.uncount_connection();
        }
    }

    pub fn uncount_connection(&self) {
        self.setup.load[self.id as usize].fetch_sub(1, Ordering::Relaxed);
    }

    fn begin_connection(&mut self, socket: OwnedFd, peer: SocketAddr, listener: Rc<str>) -> Option<()> {
        // Without a configuration nothing can be answered; the control plane sends one before any socket.
        let running = self.running.clone()?;
        let index = running.listeners.get(listener.as_ref()).copied()?;
        let pinned = running.pin();
        let preamble = pinned.snapshot.document.listeners[index].1.proxy_protocol;
        let mut down = Down::new(socket, peer, listener);
        down.phase = if preamble { Phase::Preamble } else { Phase::Idle };
        if let Some(config) = running.tls.borrow().listeners.get(index).cloned().flatten() {
            down.tls = Some(Box::new(TlsSession::server(config).ok()?));
        }
        down.receiving = true;
        // A preamble or a handshake is owed at once; a plain connection may be opened ahead of its first request.
        let owed = preamble || down.tls.is_some();
        let wait_ms = if owed {
            running.client.header_timeout_ms
        } else {
            running.client.idle_timeout_ms
        };
        down.deadline = Some(self.clock.now().plus_ms(wait_ms));
        let fd = down.socket.as_raw_fd();
        let id = self.downs.insert(down);
        self.ring.receive(fd, Self::down_token(id));
        self.arm_down(id);
        Some(())
    }
}
