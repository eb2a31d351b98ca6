//! One question to an authority: connect, perhaps through a proxy, perhaps with TLS, one request, one answer. Blocks, and
//! is bounded in time and bytes.

#![allow(clippy::disallowed_methods)] // Runs on threads of its own, off the shards.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use ring::rand::SecureRandom;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use tollgate_dialect::sign::{
    source::{HttpAsk, TokenSource},
    token::{AccessToken, MAX_ANSWER_BYTES, NoToken},
};
use tollgate_wire::{
    head::{Framing, Method, ResponseHead},
    http1::{
        chunked,
        read::{self, Limits, Progress},
    },
};

use super::{Proxy, Way};

/// From the first look-up to the last byte.
const TIME: Duration = Duration::from_secs(10);
/// Head and body, chunk framing included.
const MAX_BYTES: usize = 2 * MAX_ANSWER_BYTES;
const MAX_PROXY_HEAD_BYTES: usize = 16 * 1024;

pub fn ask(source: &TokenSource, way: &Way, random: &dyn SecureRandom) -> Result<AccessToken, NoToken> {
    let refused = |why: &str| NoToken {
        why: why.to_owned(),
        again: false,
    };
    let question = source.ask(super::now_unix_s(), random).map_err(|bad| refused(bad.0))?;
    let http = question
        .http()
        .ok_or_else(|| refused("its address for tokens is no URL"))?;
    let (status, body) = exchange(&http, way, Deadline::new()).map_err(|error| NoToken {
        why: format!("{}: {error}", http.host),
        again: true,
    })?;
    AccessToken::read(status, &body, super::now_unix_s())
}

#[derive(Clone, Copy)]
struct Deadline(Instant);

impl Deadline {
    fn new() -> Self {
        Self(Instant::now() + TIME)
    }

    fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        Ok(left)
    }
}

fn exchange(http: &HttpAsk, way: &Way, deadline: Deadline) -> io::Result<(u16, Vec<u8>)> {
    let socket = match &way.proxy {
        None => connect(&http.host, http.port, deadline)?,
        Some(proxy) => through(proxy, http, deadline)?,
    };
    socket.set_write_timeout(Some(deadline.left()?))?;
    if !http.tls {
        let mut plain = Timed { socket, deadline };
        plain.write_all(&http.bytes)?;
        return answer(&mut plain);
    }
    let name = ServerName::try_from(http.host.clone()).map_err(io::Error::other)?;
    let tls = way
        .tls
        .as_ref()
        .ok_or_else(|| io::Error::other("nothing is trusted for TLS to it"))?;
    let tls = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
    let mut secured = StreamOwned::new(tls, Timed { socket, deadline });
    secured.write_all(&http.bytes)?;
    answer(&mut secured)
}

/// A socket whose every read ends with the exchange.
struct Timed {
    socket: TcpStream,
    deadline: Deadline,
}

impl Read for Timed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.deadline.left()?))?;
        self.socket.read(buf)
    }
}

impl Write for Timed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn connect(host: &str, port: u16, deadline: Deadline) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name does not resolve");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, deadline.left()?) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn through(proxy: &Proxy, http: &HttpAsk, deadline: Deadline) -> io::Result<TcpStream> {
    let socket = connect(&proxy.host, proxy.port, deadline)?;
    let host = match http.host.contains(':') {
        true => format!("[{}]:{}", http.host, http.port),
        false => format!("{}:{}", http.host, http.port),
    };
    let mut request = format!("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        for part in [b"proxy-authorization: ", &authorization[..], b"\r\n"] {
            request.extend_from_slice(part);
        }
    }
    request.extend_from_slice(b"\r\n");
    let mut timed = Timed { socket, deadline };
    timed.write_all(&request)?;
    // Byte by byte: what follows the head belongs to the authority.
    let (mut buf, mut head) = (Vec::new(), ResponseHead::default());
    while buf.len() < MAX_PROXY_HEAD_BYTES {
        let mut byte = [0];
        timed.read_exact(&mut byte)?;
        buf.push(byte[0]);
        if !buf.ends_with(b"\n") {
            continue;
        }
        match read::response(&buf, Method::Other, &Limits::default(), &mut head).map_err(io::Error::other)? {
            Progress::Incomplete => {}
            Progress::Complete if (200..300).contains(&head.status) => return Ok(timed.socket),
            Progress::Complete => {
                return Err(io::Error::other(format!(
                    "the proxy refused with status {}",
                    head.status
                )));
            }
        }
    }
    Err(io::Error::other("the proxy's answer has no end"))
}

/// Reads the answer as its framing says; whether the connection is closed politely behind it does not matter.
fn answer(stream: &mut impl Read) -> io::Result<(u16, Vec<u8>)> {
    let (mut buf, mut head) = (Vec::new(), ResponseHead::default());
    while read::response(&buf, Method::Post, &Limits::default(), &mut head).map_err(io::Error::other)?
        == Progress::Incomplete
    {
        if !more(stream, &mut buf)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut body = buf.split_off(head.len);
    match head.framing {
        Framing::None => body.clear(),
        Framing::UntilClose => while more(stream, &mut body)? {},
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            while body.len() < length {
                if !more(stream, &mut body)? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            body.truncate(length);
        }
        Framing::Chunked => body = unchunked(stream, body)?,
    }
    Ok((head.status, body))
}

fn unchunked(stream: &mut impl Read, mut coded: Vec<u8>) -> io::Result<Vec<u8>> {
    let (mut decoder, mut body, mut at) = (chunked::Decoder::default(), Vec::new(), 0);
    loop {
        match decoder.step(&coded[at..]).map_err(io::Error::other)? {
            chunked::Step::Data { data, consumed } => {
                body.extend_from_slice(data.of(&coded[at..]));
                at += consumed;
            }
            chunked::Step::End { .. } => return Ok(body),
            chunked::Step::More => {
                at = coded.len();
                if !more(stream, &mut coded)? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// False at the end.
fn more(stream: &mut impl Read, buf: &mut Vec<u8>) -> io::Result<bool> {
    if buf.len() >= MAX_BYTES {
        return Err(io::Error::other("the answer is too long"));
    }
    let mut some = [0; 4_096];
    let count = stream.read(&mut some)?;
    buf.extend_from_slice(&some[..count]);
    Ok(count > 0)
}
