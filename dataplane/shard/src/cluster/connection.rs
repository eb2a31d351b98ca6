//! One connection to a server of the store: plain or by TLS, every command bounded in time and bytes. Blocks: it runs on the
//! cluster's own thread.

#![allow(clippy::disallowed_methods)] // As above.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    resolver::Resolver,
    resp::{self, Value},
};

/// Host and port.
pub type Address = (String, u16);

pub struct Connection {
    /// Of the server, by a name that it has until it ends; empty: not known.
    pub process: String,
    stream: Stream,
    buf: Vec<u8>,
}

enum Stream {
    Plain(Timed),
    // Large, and there are few.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A socket whose every step ends with the command.
struct Timed {
    socket: TcpStream,
    until: Instant,
}

/// What a server wants to hear first.
#[derive(Clone, Copy)]
pub struct Credential<'c> {
    pub user: Option<&'c str>,
    pub password: &'c [u8],
}

impl Connection {
    pub fn open(
        resolver: &mut Resolver,
        server: &Address,
        tls: Option<&Arc<ClientConfig>>,
        credential: Option<Credential<'_>>,
        until: Instant,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name does not resolve");
        let mut socket = None;
        for address in resolver.resolve(server, until)? {
            match TcpStream::connect_timeout(&address, left(until)?) {
                Ok(open) => {
                    socket = Some(open);
                    break;
                }
                Err(error) => last = error,
            }
        }
        let socket = socket.ok_or(last)?;
        socket.set_nodelay(true)?;
        let timed = Timed { socket, until };
        let stream = match tls {
            None => Stream::Plain(timed),
            Some(config) => {
                let name = ServerName::try_from(server.0.clone()).map_err(io::Error::other)?;
                let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, timed)))
            }
        };
        let mut connection = Self {
            process: String::new(),
            stream,
            buf: Vec::new(),
        };
        if let Some(credential) = credential {
            connection.introduce(credential, until)?;
        }
        Ok(connection)
    }

    fn introduce(&mut self, credential: Credential<'_>, until: Instant) -> io::Result<()> {
        let mut parts: Vec<&[u8]> = vec![b"AUTH"];
        parts.extend(credential.user.map(str::as_bytes));
        parts.push(credential.password);
        match self.ask(&parts, until)? {
            Value::Error(said) => Err(io::Error::other(format!("it refuses the password: {said}"))),
            _ => Ok(()),
        }
    }

    /// One command and its reply.
    pub fn ask(&mut self, parts: &[&[u8]], until: Instant) -> io::Result<Value> {
        let mut values = self.ask_all(&[parts], until)?;
        values.pop().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Commands and their replies. After an error the connection is of no use: a late reply would be taken for the next one's.
    pub fn ask_all(&mut self, commands: &[&[&[u8]]], until: Instant) -> io::Result<Vec<Value>> {
        let timed = match &mut self.stream {
            Stream::Plain(timed) => timed,
            Stream::Tls(tls) => &mut tls.sock,
        };
        timed.until = until;
        let mut sent = Vec::new();
        for parts in commands {
            resp::command(parts.iter().copied(), &mut sent);
        }
        self.buf.clear();
        let stream: &mut dyn ReadWrite = match &mut self.stream {
            Stream::Plain(timed) => timed,
            Stream::Tls(tls) => &mut **tls,
        };
        stream.write_all(&sent)?;
        stream.flush()?;
        let mut some = vec![0; 16 << 10];
        let mut values = Vec::with_capacity(commands.len());
        while values.len() < commands.len() {
            let count = stream.read(&mut some)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buf.extend_from_slice(some.get(..count).unwrap_or_default());
            let mut read = 0;
            while values.len() < commands.len() {
                match resp::reply(self.buf.get(read..).unwrap_or_default()) {
                    Ok(None) => break,
                    Ok(Some((value, len))) => {
                        values.push(value);
                        read += len;
                    }
                    Err(resp::Malformed) => return Err(io::Error::other("what it says is no reply")),
                }
            }
            self.buf.drain(..read);
        }
        match self.buf.is_empty() {
            true => Ok(values),
            false => Err(io::Error::other("it says more than it was asked")),
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(late());
    }
    Ok(left)
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// A socket says of its own time that it would have to wait.
fn in_time<T>(done: io::Result<T>) -> io::Result<T> {
    done.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => late(),
        _ => error,
    })
}

impl Read for Timed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(left(self.until)?))?;
        in_time(self.socket.read(buf))
    }
}

impl Write for Timed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(left(self.until)?))?;
        in_time(self.socket.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
