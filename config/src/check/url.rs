//! Addresses of providers and proxies: `http://` and `https://` URLs, taken apart.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::node::Node;
use crate::document::BaseUrl;

/// What a fault says after "is not".
const URL: &str = "a URL";
const MAX_HOST_BYTES: usize = 253;

/// A provider's base: a path is used as given, `default_prefix` stands in for none.
pub fn base_url(node: &Node, default_prefix: &str) -> Option<BaseUrl> {
    const RIGHT: &str = "https://HOST, https://HOST:PORT or https://HOST/PATH";
    let Value::String(text) = node.value else {
        return node.expected(URL, RIGHT);
    };
    match parse(text) {
        Ok(mut url) => {
            if url.prefix.is_empty() {
                url.prefix = default_prefix.to_string();
            }
            Some(url)
        }
        Err(wrong) => refuse(node, wrong, RIGHT),
    }
}

/// A proxy's host and port.
pub fn proxy_url(node: &Node) -> Option<(String, u16)> {
    const RIGHT: &str = "http://HOST:PORT";
    let Value::String(text) = node.value else {
        return node.expected(URL, RIGHT);
    };
    match parse(text) {
        Ok(url) if url.tls => node.not_yet("https", "an http:// proxy; TLS to the provider goes through it unread"),
        Ok(url) if !url.prefix.is_empty() => node.expected("the URL of a proxy: it has a path", RIGHT),
        Ok(url) => Some((url.host, url.port)),
        Err(wrong) => refuse(node, wrong, RIGHT),
    }
}

/// URLs that carry credentials are not repeated.
fn refuse<T>(node: &Node, wrong: Wrong, right: &str) -> Option<T> {
    match wrong {
        Wrong::Credentials => {
            node.fault(
                "this URL carries a user or password",
                "credential: env:NAME or file:PATH, and a URL without",
            );
            None
        }
        Wrong::Other(why) => node.expected(&format!("{URL} that works here: {why}"), right),
    }
}

enum Wrong {
    Credentials,
    Other(&'static str),
}

/// A catalogue row's own address.
pub fn known(text: &str, default_prefix: &str) -> Option<BaseUrl> {
    let mut url = parse(text).ok()?;
    if url.prefix.is_empty() {
        url.prefix = default_prefix.to_string();
    }
    Some(url)
}

fn parse(text: &str) -> Result<BaseUrl, Wrong> {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let (tls, rest) = match () {
        () if lower.starts_with("https://") => (true, &text[8..]),
        () if lower.starts_with("http://") => (false, &text[7..]),
        () => return Err(Wrong::Other("it does not begin with http:// or https://")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(Wrong::Credentials);
    }
    let (host, port) = split_port(authority)?;
    let port = match port {
        None => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(digits) => port_number(digits)?,
    };
    Ok(BaseUrl {
        tls,
        host: check_host(host)?,
        port,
        prefix: check_path(path)?,
    })
}

/// `HOST` or `HOST:PORT`, or why not.
pub fn authority(text: &str) -> Result<(String, Option<u16>), &'static str> {
    let told = |wrong: Wrong| match wrong {
        Wrong::Credentials => "it carries a user",
        Wrong::Other(why) => why,
    };
    let (host, port) = split_port(text).map_err(told)?;
    let port = port.map(port_number).transpose().map_err(told)?;
    Ok((check_host(host).map_err(told)?, port))
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), Wrong> {
    if authority.starts_with('[') {
        let close = authority.find(']').ok_or(Wrong::Other("its `[` is never closed"))?;
        let (host, rest) = authority.split_at(close + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(Wrong::Other("something other than a port follows its `]`")),
        };
    }
    match authority.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Err(Wrong::Other("an IPv6 address goes in brackets, [::1]")),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn port_number(digits: &str) -> Result<u16, Wrong> {
    let number = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten();
    number
        .filter(|port| *port != 0)
        .ok_or(Wrong::Other("its port is not a number from 1 to 65535"))
}

fn check_host(host: &str) -> Result<String, Wrong> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let ip: Ipv6Addr = inner
            .parse()
            .map_err(|_| Wrong::Other("what is in its brackets is no IPv6 address"))?;
        return Ok(ip.to_string());
    }
    if !is_host_name(host) {
        return Err(Wrong::Other("its host is neither a name nor an IP address"));
    }
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(Wrong::Other("its host is neither a name nor an IP address"));
    }
    Ok(host.to_ascii_lowercase())
}

/// Labels of letters, digits, `-` and `_` (internal names have those), none empty but for one final dot.
pub fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let bare = host.strip_suffix('.').unwrap_or(host);
    host.len() <= MAX_HOST_BYTES && bare.split('.').all(label)
}

/// Without the slash at its end.
fn check_path(path: &str) -> Result<String, Wrong> {
    if path.contains(['?', '#']) {
        return Err(Wrong::Other("it has a query or a fragment"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Wrong::Other("its path has characters that must be percent-encoded"));
    }
    Ok(path.trim_end_matches('/').to_string())
}
