//! Sockets before they are on a ring.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// A TCP socket to connect from, with Nagle's algorithm off: every write is a whole message.
pub fn stream(to: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

/// Sets up an accepted connection; answers who is at its other end.
pub fn accepted(socket: &OwnedFd) -> io::Result<SocketAddr> {
    sockopt::set_tcp_nodelay(socket, true)?;
    let peer = rustix::net::getpeername(socket)?.ok_or(io::ErrorKind::NotConnected)?;
    let peer = SocketAddr::try_from(peer).map_err(|_| io::ErrorKind::InvalidInput)?;
    // A dual-stack listener shows IPv4 clients as mapped addresses; operators write CIDRs in IPv4.
    Ok(match peer.ip() {
        IpAddr::V6(v6) => SocketAddr::new(v6.to_canonical(), peer.port()),
        IpAddr::V4(_) => peer,
    })
}

/// Half-closes: the peer reads the end, we may still receive. A plain system call on purpose: the ring hands its
/// shutdowns to a worker that looks the descriptor up later, when it may already be another connection's.
pub fn shutdown_write(socket: &OwnedFd) {
    // It fails when the peer is gone already, which is what was wanted.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
}

/// A socket address in the kernel's shape.
pub(super) enum RawAddress {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

impl RawAddress {
    pub fn new(address: &SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::V4(libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*v4.ip()).to_be(),
                },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(v6) => Self::V6(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            }),
        }
    }

    pub fn raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        match self {
            Self::V4(v4) => ((&raw const *v4).cast(), size_of_val(v4) as libc::socklen_t),
            Self::V6(v6) => ((&raw const *v6).cast(), size_of_val(v6) as libc::socklen_t),
        }
    }
}
