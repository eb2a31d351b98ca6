//! `database`: where several control planes keep what they share.

use std::net::IpAddr;

use serde_json::Value;

use super::{
    node::{Fields, Node},
    providers, url, values,
};
use crate::{
    document::{Postgres, PostgresTls, UpstreamTls},
    keys,
};

/// One writes the ledger, one follows the keys, the others answer questions.
const CONNECTIONS: std::ops::RangeInclusive<u64> = 3..=64;
const DEFAULT_CONNECTIONS: u16 = 5;
const DEFAULT_PORT: u16 = 5432;
/// PostgreSQL cuts longer names off.
const MAX_NAME_BYTES: usize = 63;

pub fn database(node: &Node) -> Option<Postgres> {
    let fields = Fields::open(node, &keys::DATABASE)?;
    fields.required("postgres", "a map of host, user, name", postgres)
}

fn postgres(node: &Node) -> Option<Postgres> {
    let fields = Fields::open(node, &keys::POSTGRES)?;
    let host = fields.required("host", "a name, an IP address, or the folder of a socket", host);
    let port = fields.read("port", |node| values::count(node, 1, 65_535));
    let user = fields.required("user", "who to log in as, such as tollgate", name);
    let database = fields.required("name", "the database, such as tollgate", name);
    let schema = match fields.get("schema") {
        Some(node) => schema(&node),
        None => Some("tollgate".to_owned()),
    };
    let password = fields.read("password", values::secret);
    let connections = fields.read("connections", |node| {
        values::count(node, *CONNECTIONS.start(), *CONNECTIONS.end())
    });
    let said = fields.get("tls");
    let tls = match (&said, &host) {
        (Some(node), _) => tls(node)?,
        (None, Some(host)) if never_leaves(host) => PostgresTls::Off,
        (None, _) => PostgresTls::Verified(UpstreamTls::default()),
    };
    let postgres = Postgres {
        host: host?,
        port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT),
        user: user?,
        name: database?,
        schema: schema?,
        password,
        tls,
        connections: connections
            .and_then(|count| u16::try_from(count).ok())
            .unwrap_or(DEFAULT_CONNECTIONS),
    };
    if let (Some(node), true, PostgresTls::Verified(_)) = (&said, postgres.is_local(), &postgres.tls) {
        node.fault(
            "a Unix socket has no TLS",
            "no `tls`, or a host's name instead of a folder",
        );
    }
    Some(postgres)
}

fn host(node: &Node) -> Option<String> {
    const RIGHT: &str = "a name such as db.example.com, an IP address, or a folder such as /run/postgresql";
    let text = values::text(node)?;
    let is_folder = text.starts_with('/') && !text.contains('\0');
    if is_folder || text.parse::<IpAddr>().is_ok() || url::is_host_name(&text) {
        return Some(text);
    }
    let right = match (text.contains("://"), text.rsplit_once(':')) {
        (true, _) => "the host alone; port, user, name and password have keys of their own".to_owned(),
        (false, Some((host, port))) if url::is_host_name(host) && port.parse::<u16>().is_ok() => {
            format!("host: {host}, port: {port}")
        }
        _ => RIGHT.to_owned(),
    };
    // A URL may have a password in it.
    node.expected_unseen("a host", right)
}

/// What stays on this machine needs no TLS.
fn never_leaves(host: &str) -> bool {
    host.starts_with('/') || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn tls(node: &Node) -> Option<PostgresTls> {
    match node.value {
        Value::String(word) if word == "off" => Some(PostgresTls::Off),
        Value::Bool(false) => Some(PostgresTls::Off),
        Value::Object(_) | Value::Null => providers::tls(node).map(PostgresTls::Verified),
        _ => node.expected(
            "how TLS is done",
            "off, or a map of ca, client_certificate, client_key, server_name",
        ),
    }
}

fn name(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    if text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control) {
        return Some(text);
    }
    node.expected(
        "a name that PostgreSQL takes",
        format!("at most {MAX_NAME_BYTES} bytes"),
    )
}

fn schema(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    let begins = text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if begins && text.len() <= MAX_NAME_BYTES && text.bytes().all(fits) && !text.starts_with("pg_") {
        return Some(text);
    }
    node.expected(
        "a schema's name",
        format!("up to {MAX_NAME_BYTES} small letters, digits and `_`, not beginning with pg_"),
    )
}
