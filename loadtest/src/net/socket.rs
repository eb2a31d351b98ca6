//! A non-blocking stream socket, plain or inside TLS. Never blocks, never allocates for a plain read.

use std::{
    io::{self, BufRead as _, Write as _},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    buffer::spare_capacity,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt},
};
use rustls::pki_types::ServerName;

/// What a read came to. An error is the connection's end, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Something was added, and there may be more.
    More,
    /// All that is there has been added, perhaps nothing.
    Drained,
    /// The peer will send no more; what came before has been added.
    Closed,
}

pub struct Socket {
    descriptor: OwnedFd,
    tls: Option<Box<rustls::Connection>>,
}

impl Socket {
    /// Begins to connect; the first writable event tells that it is done, [`Socket::connect_error`] how.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_tcp_nodelay(&descriptor, true)?;
        match rustix::net::connect(&descriptor, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(Self { descriptor, tls: None }),
            Err(bad) => Err(bad.into()),
        }
    }

    /// Takes one waiting connection; `None` when there is none.
    pub fn accept(listener: impl AsFd) -> io::Result<Option<Self>> {
        match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(descriptor) => {
                // Unset, the last small write of a stream waits for an acknowledgement; failing that it is only slower.
                let _ = sockopt::set_tcp_nodelay(&descriptor, true);
                Ok(Some(Self { descriptor, tls: None }))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => Ok(None),
            Err(bad) => Err(bad.into()),
        }
    }

    /// Speaks TLS from here on, as a client.
    pub fn with_tls_client(mut self, config: Arc<rustls::ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let client = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        self.tls = Some(Box::new(client.into()));
        Ok(self)
    }

    /// Speaks TLS from here on, as a server.
    pub fn with_tls_server(mut self, config: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        let server = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
        self.tls = Some(Box::new(server.into()));
        Ok(self)
    }

    /// The error that connecting ended with, if it did.
    pub fn connect_error(&self) -> Option<io::Error> {
        match sockopt::socket_error(&self.descriptor) {
            Ok(Ok(())) => None,
            Ok(Err(bad)) | Err(bad) => Some(bad.into()),
        }
    }

    /// Appends up to `room` bytes (of plain text) to `buf`.
    pub fn read(&mut self, buf: &mut Vec<u8>, room: usize) -> io::Result<Read> {
        if self.tls.is_some() {
            return self.read_tls(buf, room);
        }
        buf.reserve(room);
        let spare = buf.capacity() - buf.len();
        match rustix::net::recv(&self.descriptor, spare_capacity(buf), RecvFlags::empty()) {
            Ok((0, _)) => Ok(Read::Closed),
            Ok((read, _)) if read < spare => Ok(Read::Drained),
            Ok(_) => Ok(Read::More),
            Err(rustix::io::Errno::AGAIN) => Ok(Read::Drained),
            Err(rustix::io::Errno::INTR) => Ok(Read::More),
            Err(bad) => Err(bad.into()),
        }
    }

    fn read_tls(&mut self, buf: &mut Vec<u8>, room: usize) -> io::Result<Read> {
        let Some(tls) = self.tls.as_mut() else {
            return Ok(Read::Drained);
        };
        let mut wire = Wire(&self.descriptor);
        let had = buf.len();
        loop {
            while buf.len() - had < room {
                let mut reader = tls.reader();
                match reader.fill_buf() {
                    Ok([]) => return Ok(Read::Closed),
                    Ok(plain) => {
                        let taken = plain.len().min(room);
                        buf.extend_from_slice(&plain[..taken]);
                        reader.consume(taken);
                    }
                    Err(bad) if bad.kind() == io::ErrorKind::WouldBlock => break,
                    Err(bad) => return Err(bad),
                }
            }
            if buf.len() - had >= room {
                return Ok(Read::More);
            }
            match tls.read_tls(&mut wire) {
                Ok(0) => return Ok(Read::Closed),
                Ok(_) => {
                    let processed = tls.process_new_packets().map_err(io::Error::other);
                    // Handshake messages and alerts go out as they come up.
                    while tls.wants_write() && tls.write_tls(&mut wire).is_ok_and(|wrote| wrote > 0) {}
                    processed?;
                }
                Err(bad) if bad.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Drained),
                Err(bad) => return Err(bad),
            }
        }
    }

    /// Sends as much of `bytes` as the socket takes now; less than all means: wait until it is writable.
    /// Inside TLS what was taken may still wait here, see [`Socket::flush`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = self.tls.as_mut() else {
            return send(&self.descriptor, bytes);
        };
        let mut taken = 0;
        loop {
            // TLS takes no more than its own bound at once, however much the socket would.
            match tls.writer().write(&bytes[taken..]) {
                // While hands are shaken it keeps so much and no more, and there is nothing to flush that would help.
                Ok(0) => {
                    flush(&self.descriptor, tls)?;
                    return Ok(taken);
                }
                Ok(more) => taken += more,
                Err(bad) if bad.kind() == io::ErrorKind::WouldBlock => {}
                Err(bad) => return Err(bad),
            }
            if !flush(&self.descriptor, tls)? || taken == bytes.len() {
                return Ok(taken);
            }
        }
    }

    /// Sends what TLS holds back; true when nothing is left of it.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self.tls.as_mut() {
            Some(tls) => flush(&self.descriptor, tls),
            None => Ok(true),
        }
    }

    /// Says goodbye in TLS, as far as the socket takes it now; a peer that is gone does not mind. False: something is
    /// left to [`Socket::flush`] before it is closed.
    pub fn say_goodbye(&mut self) -> bool {
        if let Some(tls) = self.tls.as_mut() {
            tls.send_close_notify();
        }
        self.flush().unwrap_or(true)
    }

    /// Closing it from here on resets the connection.
    pub fn reset_on_close(&self) {
        // Refused only for a socket that is gone already.
        let _ = sockopt::set_socket_linger(&self.descriptor, Some(std::time::Duration::ZERO));
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn send(descriptor: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    match rustix::io::retry_on_intr(|| rustix::net::send(descriptor.as_fd(), bytes, SendFlags::NOSIGNAL)) {
        Ok(sent) => Ok(sent),
        Err(rustix::io::Errno::AGAIN) => Ok(0),
        Err(bad) => Err(bad.into()),
    }
}

fn flush(descriptor: &OwnedFd, tls: &mut rustls::Connection) -> io::Result<bool> {
    let mut wire = Wire(descriptor);
    while tls.wants_write() {
        match tls.write_tls(&mut wire) {
            Ok(_) => {}
            Err(bad) if bad.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(bad) if bad.kind() == io::ErrorKind::Interrupted => {}
            Err(bad) => return Err(bad),
        }
    }
    Ok(true)
}

/// The socket below TLS.
struct Wire<'a>(&'a OwnedFd);

impl io::Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buf)?)
    }
}

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
