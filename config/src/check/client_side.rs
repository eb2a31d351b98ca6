//! The side clients see: `client`, `listeners`, `admin`.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

use super::{
    node::{Fields, Node},
    url, values,
};
use crate::{
    document::{Admin, ClientLimits, Cors, Listener, ListenerTls, Reference},
    keys,
};

const MAX_CONNECTIONS: u64 = 10_000_000;
const MAX_LISTENERS: usize = 64;
const MAX_LIST_ITEMS: usize = 1_024;
const CERTIFICATE: &str = "file:PATH of a certificate chain in PEM";
const PRIVATE_KEY: &str = "file:PATH of a private key in PEM";

pub fn client(node: &Node) -> Option<ClientLimits> {
    let fields = Fields::open(node, &keys::CLIENT)?;
    let default = ClientLimits::default();
    let timeout = |key, default| fields.read(key, values::timeout_ms).unwrap_or(default);
    let connections = |node: &Node| values::count(node, 1, MAX_CONNECTIONS);
    Some(ClientLimits {
        header_timeout_ms: timeout("header_timeout", default.header_timeout_ms),
        body_timeout_ms: timeout("body_timeout", default.body_timeout_ms),
        idle_timeout_ms: timeout("idle_timeout", default.idle_timeout_ms),
        max_connections: fields
            .read("max_connections", connections)
            .unwrap_or(default.max_connections),
    })
}

/// Each listener costs every shard a socket.
pub fn few_listeners(root: &Fields) {
    let Some(listeners) = root.get("listeners") else { return };
    let count = listeners.value.as_object().map_or(0, |map| map.len());
    if count > MAX_LISTENERS {
        listeners.fault(
            format!("there are {count} listeners"),
            format!("at most {MAX_LISTENERS}"),
        );
    }
}

pub fn listener(node: &Node) -> Option<Listener> {
    let fields = Fields::open(node, &keys::LISTENER)?;
    let address = fields.required(
        "address",
        "an IP address and a port, such as 127.0.0.1:8080",
        values::address,
    );
    let tls = fields.read("tls", listener_tls);
    let proxy_protocol = fields.read("proxy_protocol", values::boolean).unwrap_or(false);
    let networks = |node: &Node| {
        bounded(
            node,
            "a list of networks",
            "a list such as [ 10.0.0.0/8 ]",
            values::cidr,
        )
    };
    let trusted_proxies = fields.read("trusted_proxies", networks).unwrap_or_default();
    let cors = fields.read("cors", cors);
    Some(Listener {
        address: address?,
        tls,
        proxy_protocol,
        trusted_proxies,
        cors,
    })
}

fn listener_tls(node: &Node) -> Option<ListenerTls> {
    let fields = Fields::open(node, &keys::LISTENER_TLS)?;
    let certificate = fields.required("certificate", CERTIFICATE, values::secret);
    let key = fields.required("key", PRIVATE_KEY, values::secret);
    let sni = fields.named("sni", server_name, sni_entry);
    let sni = sni
        .into_iter()
        .map(|(name, (certificate, key))| (name.to_ascii_lowercase(), certificate, key))
        .collect();
    Some(ListenerTls {
        certificate: certificate?,
        key: key?,
        sni,
    })
}

fn sni_entry(node: &Node) -> Option<(Reference, Reference)> {
    let fields = Fields::open(node, &keys::LISTENER_SNI)?;
    let certificate = fields.required("certificate", CERTIFICATE, values::secret);
    let key = fields.required("key", PRIVATE_KEY, values::secret);
    Some((certificate?, key?))
}

/// SNI carries DNS names only (RFC 6066, section 3).
fn server_name(node: &Node) {
    let name = node.name();
    if !url::is_host_name(name) || name.parse::<IpAddr>().is_ok() {
        node.fault(
            format!("`{}` is not a server name", name.escape_debug()),
            "a DNS name such as ai.example.com",
        );
    }
}

fn cors(node: &Node) -> Option<Cors> {
    let fields = Fields::open(node, &keys::CORS)?;
    const RIGHT: &str = "[ \"https://app.example.com\" ], or [ \"*\" ]";
    let list = |node: &Node| {
        let origins = bounded(node, "a list of origins", RIGHT, origin)?;
        if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
            node.fault("`*` stands beside other origins", "[ \"*\" ] alone, or the origins");
        }
        if node.value.as_array().is_some_and(Vec::is_empty) {
            node.fault("the list of origins is empty", RIGHT);
        }
        Some(origins)
    };
    let origins = fields.required("origins", RIGHT, list);
    let max_age_ms = fields.read("max_age", values::duration_ms).unwrap_or(600_000);
    Some(Cors {
        origins: origins?,
        max_age_s: u32::try_from(max_age_ms / 1_000).unwrap_or(u32::MAX),
    })
}

/// Scheme and authority, nothing more (RFC 6454, section 6.2).
fn origin(node: &Node) -> Option<String> {
    const RIGHT: &str = "an origin such as https://app.example.com, without a path";
    let Value::String(text) = node.value else {
        return node.expected("an origin", RIGHT);
    };
    let rest = text.split_once("://").map(|(scheme, rest)| (!scheme.is_empty(), rest));
    let good = rest.is_some_and(|(scheme, host)| scheme && !host.is_empty() && !host.contains(['/', '?', '#', '@']));
    if text == "*" || good && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.to_ascii_lowercase());
    }
    node.expected("an origin", RIGHT)
}

pub fn admin(node: &Node) -> Option<Admin> {
    let fields = Fields::open(node, &keys::ADMIN)?;
    let address = fields.required(
        "address",
        "an IP address and a port, such as 127.0.0.1:9080",
        values::address,
    );
    let token = fields.read("token", values::secret);
    Some(Admin {
        address: address?,
        token,
    })
}

/// SO_REUSEPORT would let two listeners share an address, and each would get a part of the other's connections.
pub fn distinct_addresses(root: &Fields) {
    let mut by_port: HashMap<u16, Vec<(String, SocketAddr)>> = HashMap::new();
    let mut check = |owner: String, node: Option<&Value>, place: &Node| {
        let address = node
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<SocketAddr>().ok());
        let Some(address) = address.filter(|address| address.port() != 0) else {
            return;
        };
        let same_port = by_port.entry(address.port()).or_default();
        if let Some((other, taken)) = same_port.iter().find(|(_, taken)| overlap(taken.ip(), address.ip())) {
            place.fault(
                format!("{address} overlaps with {taken} of {other}"),
                "an address of its own",
            );
        }
        same_port.push((owner, address));
    };
    if let Some(listeners) = root.get("listeners")
        && let Value::Object(map) = listeners.value
    {
        for (name, value) in map {
            let entry = listeners.key(name, value);
            if let Some(address) = value.get("address") {
                check(
                    format!("listener `{name}`"),
                    Some(address),
                    &entry.key("address", address),
                );
            }
        }
    }
    if let Some(admin) = root.get("admin")
        && let Some(address) = admin.value.get("address")
    {
        check("admin".to_string(), Some(address), &admin.key("address", address));
    }
}

/// Equal, or one of them takes every address (`::` takes those of IPv4 as well).
fn overlap(a: IpAddr, b: IpAddr) -> bool {
    let (a, b) = (a.to_canonical(), b.to_canonical());
    let takes = |a: IpAddr, b: IpAddr| a.is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a == b || takes(a, b) || takes(b, a)
}

fn bounded<T>(node: &Node, what: &str, right: &str, read: impl FnMut(&Node) -> Option<T>) -> Option<Vec<T>> {
    if node.value.as_array().is_some_and(|items| items.len() > MAX_LIST_ITEMS) {
        node.fault("the list is too long", format!("at most {MAX_LIST_ITEMS} items"));
        return None;
    }
    node.list(what, right, read)
}
