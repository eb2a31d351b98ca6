//! Single values: durations, sizes, addresses, networks, references. Each reader notes its own fault.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::node::Node;
use crate::document::{Cidr, Reference};

const DURATION: &str = "a duration such as 250ms, 2s, 5m, 1h or 30d";
const SIZE: &str = "a size such as 512B, 64KiB, 32MiB or 1GiB";
const MAX_DURATION_MS: u64 = 3_660 * 86_400_000;

pub fn text(node: &Node) -> Option<String> {
    match node.value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => node.expected("text", format!("\"{number}\", in quotes")),
        _ => node.expected("text", "some text"),
    }
}

/// What names a part of an account (`region`, `project`, …): fit for a host and for a path.
pub fn account_word(node: &Node) -> Option<String> {
    const MAX_WORD_BYTES: usize = 128;
    let word = text(node)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    // Projects that belong to a domain are `example.com:project`.
    let fits = |byte: u8| fits(byte) || byte == b':' && node.name() == "project";
    if word.len() <= MAX_WORD_BYTES && word.bytes().all(fits) {
        return Some(word);
    }
    node.expected("a name that fits into an address", "letters, digits, `-`, `.` and `_`")
}

pub fn boolean(node: &Node) -> Option<bool> {
    match node.value {
        Value::Bool(value) => Some(*value),
        _ => node.expected("true or false", "true or false"),
    }
}

/// A whole number within bounds.
pub fn count(node: &Node, least: u64, most: u64) -> Option<u32> {
    let count = node.value.as_u64().filter(|count| (least..=most).contains(count));
    let count = count.and_then(|count| u32::try_from(count).ok());
    count.or_else(|| {
        node.expected(
            "a number that fits here",
            format!("a whole number from {least} to {most}"),
        )
    })
}

/// `250ms 2s 5m 1h 30d`, zero included, ten years at most.
pub fn duration_ms(node: &Node) -> Option<u64> {
    let Value::String(text) = node.value else {
        return match node.value {
            Value::Number(number) if number.is_u64() => {
                node.expected("a duration: it has no unit", format!("{number}s or {number}ms"))
            }
            _ => node.expected("a duration", DURATION),
        };
    };
    let Some((number, unit)) = split_unit(text) else {
        return node.expected("a duration", DURATION);
    };
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return node.expected("a duration", DURATION),
    };
    match number.checked_mul(unit_ms) {
        Some(duration_ms) if duration_ms <= MAX_DURATION_MS => Some(duration_ms),
        _ => node.expected("a duration within ten years", DURATION),
    }
}

/// A duration that must not be zero.
pub fn timeout_ms(node: &Node) -> Option<u64> {
    match duration_ms(node)? {
        0 => node.expected("a time to wait", "more than zero, such as 10s"),
        timeout_ms => Some(timeout_ms),
    }
}

/// `512B 64KiB 32MiB 1GiB`
pub fn size_bytes(node: &Node) -> Option<u64> {
    let Value::String(text) = node.value else {
        return match node.value {
            Value::Number(number) if number.is_u64() => {
                node.expected("a size: it has no unit", format!("{number}B or {number}KiB"))
            }
            _ => node.expected("a size", SIZE),
        };
    };
    let Some((number, unit)) = split_unit(text) else {
        return node.expected("a size", SIZE);
    };
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        "KB" | "kB" | "K" | "k" => return node.expected("a size", format!("{number}KiB")),
        "MB" | "M" => return node.expected("a size", format!("{number}MiB")),
        "GB" | "G" => return node.expected("a size", format!("{number}GiB")),
        _ => return node.expected("a size", SIZE),
    };
    let bytes = number.checked_mul(1 << shift);
    bytes.or_else(|| node.expected("a size that any machine has", SIZE))
}

/// Digits, then a unit.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit))
}

/// `127.0.0.1:8080`, `[::1]:8080`; port 0 lets the kernel choose.
pub fn address(node: &Node) -> Option<SocketAddr> {
    const RIGHT: &str = "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    let Value::String(text) = node.value else {
        return node.expected("an address", RIGHT);
    };
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port_of = |text: &str| text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let right = match (text.parse::<IpAddr>(), port_of(text)) {
        (Ok(IpAddr::V4(ip)), _) => format!("{ip}:8080, with a port"),
        (Ok(IpAddr::V6(ip)), _) => format!("[{ip}]:8080, with a port"),
        (_, Some(port)) if text.starts_with(':') || text.starts_with('*') => format!("0.0.0.0:{port} or [::]:{port}"),
        (_, Some(port)) if text.starts_with("localhost:") => format!("127.0.0.1:{port}"),
        _ => RIGHT.to_string(),
    };
    node.expected("an address", right)
}

/// `10.0.0.0/8`, `fd00::/8`; a bare address is a network of one.
pub fn cidr(node: &Node) -> Option<Cidr> {
    const RIGHT: &str = "a network such as 10.0.0.0/8 or fd00::/8, or an IP address";
    let parsed = node.value.as_str().and_then(parse_cidr);
    let Some(cidr) = parsed else {
        return node.expected("a network", RIGHT);
    };
    match first_address(cidr) {
        first if first == cidr.address => Some(cidr),
        first => node.expected(
            "a network: it has bits beyond its prefix",
            format!("{first}/{}", cidr.prefix),
        ),
    }
}

pub fn parse_cidr(text: &str) -> Option<Cidr> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => whole,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|p| *p <= whole)?
        }
        Some(_) => return None,
    };
    Some(Cidr { address, prefix })
}

fn first_address(cidr: Cidr) -> IpAddr {
    match cidr.address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(cidr.prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(cidr.prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// `env:NAME` or `file:PATH`. What else stands there may be the secret itself: it is never repeated.
pub fn secret(node: &Node) -> Option<Reference> {
    const RIGHT: &str = "env:NAME or file:PATH; secrets are never written in the document";
    let Value::String(text) = node.value else {
        return node.expected_unseen("a reference to a secret", RIGHT);
    };
    match parse_reference(text) {
        Some(reference) => Some(reference),
        None if text.starts_with("env:") => node.expected_unseen(
            "the name of an environment variable",
            "env:NAME, of letters, digits and `_`",
        ),
        None => node.expected_unseen("a reference to a secret", RIGHT),
    }
}

fn parse_reference(text: &str) -> Option<Reference> {
    if let Some(name) = text.strip_prefix("env:") {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        return (word && begins).then(|| Reference::Env(name.to_string()));
    }
    let path = text.strip_prefix("file:")?;
    let clean = !path.is_empty() && !path.contains('\0');
    clean.then(|| Reference::File(path.to_string()))
}
