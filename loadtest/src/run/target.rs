//! Whom a run speaks to: the URL taken apart, its address found, and a first connection made to tell at once, in plain
//! words, when nobody is there.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};

use super::trust;

/// How long the first connection may take.
const FIRST_CONNECT: Duration = Duration::from_secs(5);

/// A URL's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub text: String,
    pub secure: bool,
    /// Without brackets.
    pub name: String,
    pub port: u16,
    /// As the `host` header says it: with the port when that is not the scheme's own.
    pub host: String,
    /// From the first slash on; `/` when there is none.
    pub path: String,
}

impl Url {
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("--url {text}: {why}; write it like http://127.0.0.1:8080");
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(wrong("it begins neither with http:// nor with https://")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains(['@', '?', '#']) || path.contains(['?', '#']) {
            return Err(wrong(
                "user names, queries and fragments have no place in it (a key goes into --key)",
            ));
        }
        if !text.is_ascii() || text.contains(|byte: char| byte.is_ascii_control() || byte == ' ') {
            return Err(wrong("it has other characters than a URL may have"));
        }
        let (name, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| wrong("']' is missing"))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let own_port = if secure { 443 } else { 80 };
        let port = match port.strip_prefix(':') {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| wrong("the port is no number from 1 to 65535"))?,
            None if port.is_empty() => own_port,
            None => return Err(wrong("after ']' belongs a port")),
        };
        if name.is_empty() {
            return Err(wrong("it names no host"));
        }
        let bracketed = match name.contains(':') {
            true => format!("[{name}]"),
            false => name.to_owned(),
        };
        Ok(Self {
            text: text.to_owned(),
            secure,
            name: name.to_owned(),
            port,
            host: if port == own_port {
                bracketed
            } else {
                format!("{bracketed}:{port}")
            },
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path.to_owned()
            },
        })
    }
}

/// A target that was reached.
#[derive(Clone)]
pub struct Target {
    pub url: Url,
    pub address: SocketAddr,
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// Finds the target and connects once; `tls` is the client of an https target.
pub fn reach(url: &Url, tls: Option<Arc<ClientConfig>>) -> Result<Target, String> {
    let resolved = (url.name.as_str(), url.port).to_socket_addrs();
    let addresses = resolved.map_err(|bad| format!("cannot find the host of {}: {bad}; check the name", url.text))?;
    let mut refused = None;
    let mut connected = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, FIRST_CONNECT) {
            Ok(socket) => {
                connected = Some((address, socket));
                break;
            }
            Err(bad) => refused = Some((address, bad)),
        }
    }
    let (address, socket) = match (connected, refused) {
        (Some(connected), _) => connected,
        (None, Some((address, bad))) => {
            return Err(format!(
                "cannot reach {} at {address}: {bad}; is the target running, and is that its port?",
                url.text
            ));
        }
        (None, None) => return Err(format!("{}: the host has no address", url.text)),
    };
    let tls = match tls {
        None => None,
        Some(config) => {
            let name = ServerName::try_from(url.name.clone())
                .map_err(|_| format!("{}: '{}' is no name that TLS can verify", url.text, url.name))?;
            trust::shake_hands(socket, config.clone(), name.clone(), FIRST_CONNECT)
                .map_err(|why| format!("no TLS with {} at {address}: {why}", url.text))?;
            Some((config, name))
        }
    };
    let url = url.clone();
    Ok(Target { url, address, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (bool, String, u16, String, String) {
        let url = Url::parse(text).expect(text);
        (url.secure, url.name, url.port, url.host, url.path)
    }

    #[test]
    fn urls_are_taken_apart() {
        let of = |secure, name: &str, port, host: &str, path: &str| {
            (secure, name.to_owned(), port, host.to_owned(), path.to_owned())
        };
        assert_eq!(parts("http://a"), of(false, "a", 80, "a", "/"));
        assert_eq!(parts("https://a/v1/x"), of(true, "a", 443, "a", "/v1/x"));
        assert_eq!(parts("https://a:8443/"), of(true, "a", 8443, "a:8443", "/"));
        assert_eq!(parts("http://[::1]:80"), of(false, "::1", 80, "[::1]", "/"));
        assert_eq!(parts("http://[::1]:81/b"), of(false, "::1", 81, "[::1]:81", "/b"));
    }

    #[test]
    fn what_is_no_url_of_a_target_is_told_with_a_remedy() {
        for text in [
            "127.0.0.1:80",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:x",
            "http://a:99999",
            "http://u@a",
            "http://a?b",
            "http://a/?b",
            "http://[::1",
            "http://[::1]x",
            "http://a b",
            "http://a\r\nb",
        ] {
            let why = Url::parse(text).expect_err(text);
            assert!(why.contains("http://127.0.0.1:8080"), "{why}");
        }
    }
}
