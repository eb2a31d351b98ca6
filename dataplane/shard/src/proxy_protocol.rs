//! Who the client is behind proxies: the PROXY protocol (versions 1 and 2, as haproxy's `proxy-protocol.txt` says) in
//! front of a connection, and `X-Forwarded-For` from proxies we trust. Bytes in, addresses out.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str,
};

use tollgate_config::document::Cidr;

/// The longest version 1 line with its CRLF, from the specification.
const V1_MAX_BYTES: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEADER_BYTES: usize = 16;
/// Addresses and TLVs of a version 2 header we are willing to wait for; real ones carry at most certificate names.
const V2_MAX_BODY_BYTES: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    Incomplete,
    /// The first `len` bytes are the header. `client` is `None` when it speaks for nobody else (LOCAL, UNKNOWN, Unix).
    Complete {
        client: Option<SocketAddr>,
        len: usize,
    },
}

/// No PROXY header: the connection must be closed, for its bytes could be a client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad PROXY protocol header: {0}")]
pub struct BadPreamble(pub &'static str);

/// Reads the header at the start of `bytes`; the sender is taken at its word.
pub fn parse(bytes: &[u8]) -> Result<Preamble, BadPreamble> {
    match bytes.first() {
        None => Ok(Preamble::Incomplete),
        Some(b'P') => v1(bytes),
        Some(b'\r') => v2(bytes),
        Some(_) => Err(BadPreamble("neither version 1 nor 2")),
    }
}

fn v1(bytes: &[u8]) -> Result<Preamble, BadPreamble> {
    const PREFIX: &[u8] = b"PROXY ";
    let seen = bytes.len().min(PREFIX.len());
    if bytes[..seen] != PREFIX[..seen] {
        return Err(BadPreamble("neither version 1 nor 2"));
    }
    let window = &bytes[..bytes.len().min(V1_MAX_BYTES)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return match window.len() {
            V1_MAX_BYTES => Err(BadPreamble("a version 1 line of over 107 bytes")),
            _ => Ok(Preamble::Incomplete),
        };
    };
    let line = window[..end]
        .strip_suffix(b"\r")
        .ok_or(BadPreamble("a line without CR LF"))?;
    let line = str::from_utf8(line).map_err(|_| BadPreamble("not ASCII"))?;
    Ok(Preamble::Complete {
        client: v1_line(line)?,
        len: end + 1,
    })
}

/// `PROXY TCP4 SOURCE DESTINATION SPORT DPORT` or `PROXY UNKNOWN …`
fn v1_line(line: &str) -> Result<Option<SocketAddr>, BadPreamble> {
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let mut next = || words.next().ok_or(BadPreamble("a version 1 line with too few fields"));
    let (source, destination, source_port, destination_port) = (next()?, next()?, next()?, next()?);
    if words.next().is_some() {
        return Err(BadPreamble("a version 1 line with too many fields"));
    }
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    let source = address(source).ok_or(BadPreamble("a version 1 line with a bad source address"))?;
    address(destination).ok_or(BadPreamble("a version 1 line with a bad destination address"))?;
    port(destination_port)?;
    Ok(Some(SocketAddr::new(source, port(source_port)?)))
}

fn port(text: &str) -> Result<u16, BadPreamble> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| canonical && digits)
        .ok_or(BadPreamble("a version 1 line with a bad port"))
}

fn v2(bytes: &[u8]) -> Result<Preamble, BadPreamble> {
    let seen = bytes.len().min(V2_SIGNATURE.len());
    if bytes[..seen] != V2_SIGNATURE[..seen] {
        return Err(BadPreamble("neither version 1 nor 2"));
    }
    let Some(&[version_command, family, high, low]) = bytes.get(V2_SIGNATURE.len()..V2_HEADER_BYTES) else {
        return Ok(Preamble::Incomplete);
    };
    let body_len = usize::from(u16::from_be_bytes([high, low]));
    if body_len > V2_MAX_BODY_BYTES {
        return Err(BadPreamble("a version 2 header of over 4 KiB"));
    }
    let proxied = match version_command {
        0x20 => false,
        0x21 => true,
        _ => return Err(BadPreamble("an unknown version or command")),
    };
    let len = V2_HEADER_BYTES + body_len;
    let Some(body) = bytes.get(V2_HEADER_BYTES..len) else {
        return Ok(Preamble::Incomplete);
    };
    let client = if proxied { v2_source(family, body)? } else { None };
    Ok(Preamble::Complete { client, len })
}

/// Source address of a version 2 body: source, destination, source port, destination port, then TLVs.
fn v2_source(family: u8, body: &[u8]) -> Result<Option<SocketAddr>, BadPreamble> {
    const SHORT: BadPreamble = BadPreamble("a version 2 header too short for its addresses");
    match family >> 4 {
        1 => {
            let (address, rest) = body.split_first_chunk::<4>().ok_or(SHORT)?;
            let port = rest.get(4..8).ok_or(SHORT)?;
            Ok(Some(SocketAddr::new(
                IpAddr::from(*address),
                u16::from_be_bytes([port[0], port[1]]),
            )))
        }
        2 => {
            let (address, rest) = body.split_first_chunk::<16>().ok_or(SHORT)?;
            let port = rest.get(16..20).ok_or(SHORT)?;
            Ok(Some(SocketAddr::new(
                IpAddr::from(*address),
                u16::from_be_bytes([port[0], port[1]]),
            )))
        }
        // Unspecified, or Unix sockets: no address to tell.
        0 | 3 => Ok(None),
        _ => Err(BadPreamble("an unknown address family")),
    }
}

/// The client's address: `peer` itself unless it is a trusted proxy; then the last address of `X-Forwarded-For` that is
/// not one. An entry that is no address ends the search, for what stands left of it proves nothing.
pub fn client_address(peer: IpAddr, forwarded: Option<&[u8]>, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer.to_canonical();
    for entry in forwarded.unwrap_or_default().rsplit(|&byte| byte == b',') {
        if !is_trusted(client) {
            return client;
        }
        match forwarded_entry(entry.trim_ascii()) {
            Some(address) => client = address.to_canonical(),
            None => return client,
        }
    }
    client
}

/// An address, with or without port, IPv6 with or without brackets: all are seen in the wild.
fn forwarded_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<Ipv6Addr>().ok().map(IpAddr::from)
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
