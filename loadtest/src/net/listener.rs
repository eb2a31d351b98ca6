//! A listening socket that shares its port with those of other threads (SO_REUSEPORT). Never blocks.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::socket::Socket;

pub struct Listener(OwnedFd);

impl Listener {
    /// Listens; `backlog` connections may wait to be accepted.
    pub fn bind(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_socket_reuseaddr(&descriptor, true)?;
        sockopt::set_socket_reuseport(&descriptor, true)?;
        rustix::net::bind(&descriptor, &address)?;
        rustix::net::listen(&descriptor, backlog)?;
        Ok(Self(descriptor))
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        let address = rustix::net::getsockname(&self.0)?;
        Ok(SocketAddr::try_from(address)?)
    }

    /// Takes one waiting connection; `None` when there is none.
    pub fn accept(&self) -> io::Result<Option<Socket>> {
        Socket::accept(&self.0)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
