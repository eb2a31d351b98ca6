//! A thread's connections on its own epoll loop: sockets are read, written and timed as their exchanges want it.
//! Knows nothing of what is asked and answered.

use std::{io, sync::Arc, time::Duration};

use crate::net::{
    clock,
    listener::Listener,
    poll::{Poller, Ready},
    slots::{self, Slots},
    socket::{Read, Socket},
    timers::Timers,
};

use super::{
    arrivals::Ending,
    exchange::{Exchange, Want},
    server::Server,
};

/// Epoll's and the timers' word for the listening socket.
const LISTENER: u64 = slots::RESERVED;
/// Connections accepted before others have their turn.
const ACCEPTS: usize = 64;
/// When the process has no descriptor left and none of this thread's own connections ends.
const ACCEPT_PAUSE_NS: u64 = 100_000_000;
/// Bytes one connection may move before others have their turn.
const TURN_BYTES: usize = 1024 * 1024;
/// Exchanges kept for connections to come.
const SPARE_EXCHANGES: usize = 64;

/// What a connection waits for besides its socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Until(u64),
    ForEver,
    /// TLS holds its last bytes; it ends when they are sent.
    Farewell,
}

struct Connection {
    socket: Socket,
    number: u64,
    /// None between requests: an idle connection costs little more than its socket.
    exchange: Option<Box<Exchange>>,
    wait: Wait,
    /// There may be something to read.
    readable: bool,
    /// The peer has sent its last byte, which may not have been read yet, and: it has been.
    hung_up: bool,
    closed: bool,
}

/// Why a connection's turn is over.
enum Pause {
    Idle,
    /// Until its socket has news.
    Socket,
    Wait(Wait),
    /// It had enough for now.
    Others,
    /// The peer left, or we do.
    Over(Want, Option<Ending>),
}

pub struct Loop {
    poller: Poller,
    listener: Listener,
    tls: Option<Arc<rustls::ServerConfig>>,
    server: Server,
    connections: Slots<Connection>,
    timers: Timers,
    #[expect(clippy::vec_box, reason = "they move between here and the connections as pointers")]
    spare: Vec<Box<Exchange>>,
    /// Those that had enough before they were done.
    again: Vec<u64>,
    is_accepting: bool,
    now_ns: u64,
}

impl Loop {
    pub fn new(listener: Listener, tls: Option<Arc<rustls::ServerConfig>>, server: Server) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add_listener(&listener, LISTENER)?;
        Ok(Self {
            poller,
            listener,
            tls,
            server,
            connections: Slots::default(),
            timers: Timers::default(),
            spare: Vec::new(),
            again: Vec::new(),
            is_accepting: true,
            now_ns: clock::now_ns(),
        })
    }

    /// Serves for as long as the process lives.
    pub fn run(mut self) -> io::Result<()> {
        let (mut news, mut turns): (Vec<Ready>, Vec<u64>) = Default::default();
        loop {
            let timeout = self.timeout();
            news.extend(self.poller.wait(timeout)?);
            self.now_ns = clock::now_ns();
            std::mem::swap(&mut turns, &mut self.again);
            for ready in news.drain(..) {
                match ready.token {
                    LISTENER => self.accept(),
                    _ => self.socket_has_news(ready),
                }
            }
            while let Some(token) = self.timers.expired(self.now_ns) {
                match token {
                    LISTENER => self.resume_accepting(),
                    _ => self.time_has_come(token),
                }
            }
            for token in turns.drain(..) {
                self.go_on(token);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let next_ns = self.timers.next_ns()?;
        Some(Duration::from_nanos(next_ns.saturating_sub(clock::now_ns())))
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok(Some(socket)) => self.admit(socket),
                Ok(None) => return,
                // Out of descriptors, most likely: one has to close first.
                Err(_) => return self.pause_accepting(),
            }
        }
    }

    fn admit(&mut self, socket: Socket) {
        let number = self.server.arrivals.connection_opened();
        let socket = match &self.tls {
            Some(config) => socket.with_tls_server(config.clone()),
            None => Ok(socket),
        };
        let Ok(socket) = socket else {
            return self.server.arrivals.connection_closed();
        };
        let token = self.connections.insert(Connection {
            socket,
            number,
            exchange: None,
            wait: Wait::Nothing,
            readable: false,
            hung_up: false,
            closed: false,
        });
        let connection = self.connections.get_mut(token);
        if connection.is_some_and(|connection| self.poller.add(&connection.socket, token).is_err()) {
            self.forget(token);
        }
    }

    /// Level-triggered, a listener that cannot be served would wake the loop for ever.
    fn pause_accepting(&mut self) {
        if self.is_accepting && self.poller.remove(&self.listener).is_ok() {
            self.is_accepting = false;
            self.timers.arm(self.now_ns + ACCEPT_PAUSE_NS, LISTENER);
        }
    }

    fn resume_accepting(&mut self) {
        if self.is_accepting {
            return;
        }
        match self.poller.add_listener(&self.listener, LISTENER) {
            Ok(()) => self.is_accepting = true,
            Err(_) => self.timers.arm(self.now_ns + ACCEPT_PAUSE_NS, LISTENER),
        }
    }

    fn socket_has_news(&mut self, ready: Ready) {
        let Some(connection) = self.connections.get_mut(ready.token) else {
            return;
        };
        connection.readable |= ready.readable;
        connection.hung_up |= ready.hung_up;
        // An error shows again when the socket is used.
        let is_flushed = ready.writable && connection.socket.flush().unwrap_or(true);
        match connection.wait {
            Wait::Nothing => self.go_on(ready.token),
            Wait::Farewell if is_flushed => self.forget(ready.token),
            Wait::Farewell => {}
            // What it sends meanwhile is read later; that it leaves is known without reading.
            Wait::Until(_) | Wait::ForEver if connection.hung_up => {
                self.end(ready.token, Want::Close, Some(Ending::ClientGone));
            }
            Wait::Until(_) | Wait::ForEver => {}
        }
    }

    fn time_has_come(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if matches!(connection.wait, Wait::Until(due_ns) if due_ns <= self.now_ns) {
            connection.wait = Wait::Nothing;
            self.go_on(token);
        }
    }

    fn go_on(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if connection.exchange.is_none() && !connection.readable {
            return;
        }
        let mut exchange = match connection.exchange.take() {
            Some(exchange) => exchange,
            None => self.spare.pop().unwrap_or_default(),
        };
        match drive(connection, &mut exchange, &mut self.server, self.now_ns) {
            Pause::Idle => {
                if self.spare.len() < SPARE_EXCHANGES {
                    exchange.rest();
                    self.spare.push(exchange);
                }
            }
            Pause::Socket => connection.exchange = Some(exchange),
            Pause::Wait(wait) => {
                exchange.slim_down();
                connection.exchange = Some(exchange);
                connection.wait = wait;
                if let Wait::Until(due_ns) = wait {
                    self.timers.arm(due_ns, token);
                }
            }
            Pause::Others => {
                connection.exchange = Some(exchange);
                self.again.push(token);
            }
            Pause::Over(how, ending) => {
                connection.exchange = Some(exchange);
                self.end(token, how, ending);
            }
        }
    }

    /// Ends a connection, its call with it.
    fn end(&mut self, token: u64, how: Want, ending: Option<Ending>) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if let (Some(exchange), Some(ending)) = (connection.exchange.as_mut(), ending) {
            exchange.note(&self.server, ending, self.now_ns);
        }
        connection.exchange = None;
        if how == Want::Reset {
            connection.socket.reset_on_close();
        } else if !connection.socket.say_goodbye() {
            connection.wait = Wait::Farewell;
            return;
        }
        self.forget(token);
    }

    fn forget(&mut self, token: u64) {
        if self.connections.remove(token).is_some() {
            self.server.arrivals.connection_closed();
            self.resume_accepting();
        }
    }
}

/// Does what the exchange wants for as long as the socket and the turn allow.
fn drive(connection: &mut Connection, exchange: &mut Exchange, server: &mut Server, now_ns: u64) -> Pause {
    let mut left = TURN_BYTES;
    loop {
        if left == 0 {
            return Pause::Others;
        }
        match exchange.advance(server, connection.number, now_ns) {
            Want::Read if connection.closed => return Pause::Over(Want::Close, None),
            Want::Read if !connection.readable && exchange.is_idle() => return Pause::Idle,
            Want::Read if !connection.readable => return Pause::Socket,
            Want::Read => match read(connection, exchange) {
                Ok(read) => left = left.saturating_sub(read),
                Err(_) => return Pause::Over(Want::Close, None),
            },
            Want::Send => {
                let unsent = exchange.unsent();
                let now = &unsent[..unsent.len().min(left)];
                let Ok(sent) = connection.socket.write(now) else {
                    return Pause::Over(Want::Close, Some(Ending::ClientGone));
                };
                let is_blocked = sent < now.len();
                left -= sent;
                exchange.sent(sent);
                if is_blocked {
                    exchange.note(server, Ending::InFlight, now_ns);
                    return Pause::Socket;
                }
            }
            Want::Wait(_) | Want::Stall if connection.hung_up => {
                return Pause::Over(Want::Close, Some(Ending::ClientGone));
            }
            Want::Wait(due_ns) => return Pause::Wait(Wait::Until(due_ns)),
            Want::Stall => return Pause::Wait(Wait::ForEver),
            end @ (Want::Close | Want::Reset) => return Pause::Over(end, None),
        }
    }
}

/// Reads once; the bytes read.
fn read(connection: &mut Connection, exchange: &mut Exchange) -> io::Result<usize> {
    let (input, room) = exchange.room();
    let had = input.len();
    let read = connection.socket.read(input, room)?;
    let read_bytes = input.len() - had;
    match read {
        Read::More => {}
        // The end that was told with these bytes is not told again.
        Read::Drained => connection.readable = connection.hung_up && read_bytes > 0,
        Read::Closed => (connection.readable, connection.hung_up, connection.closed) = (false, true, true),
    }
    Ok(read_bytes)
}
