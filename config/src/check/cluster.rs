//! `cluster`: the store that nodes share their limits through, and what limits it can count.

use super::{
    node::{Fields, Node},
    url, values,
};
use crate::{
    Document, Problem,
    document::{Cluster, Limit, MAX_SHARED_AMOUNT, OnPartition, Server, Topology, Unit, Valkey, ValkeyTls, Window},
    keys,
    money::NanoUsd,
};

const MAX_SERVERS: usize = 32;
const MAX_PREFIX_BYTES: usize = 64;
const MAX_TIMEOUT_MS: u64 = 10_000;
const RECLAIM_MS: std::ops::RangeInclusive<u64> = 10_000..=86_400_000;
const USUAL_RECLAIM_MS: u64 = 60_000;
const USUAL_TIMEOUT_MS: u64 = 500;
/// The store is away when it has not answered for `timeout` and so much more: as the data plane has it.
const AWAY_AFTER_MS: u64 = 500;
const URLS: &str = "redis://HOST:PORT, or rediss://HOST:PORT with TLS";

pub fn cluster(node: &Node) -> Option<Cluster> {
    let fields = Fields::open(node, &keys::CLUSTER)?;
    let valkey = fields.required("valkey", "valkey: { urls: [ \"redis://HOST:6379\" ] }", valkey);
    let on_partition = fields.read("on_partition", on_partition).unwrap_or_default();
    let reclaim_after_ms = fields.read("reclaim_after", reclaim_after_ms);
    let (valkey, reclaim_after_ms) = (valkey?, reclaim_after_ms.unwrap_or(USUAL_RECLAIM_MS));
    // A node knows that the store is away after that time and `AWAY_AFTER_MS`. It has to stop long before others have its leases.
    let least_ms = 2 * (valkey.timeout_ms + AWAY_AFTER_MS) + valkey.timeout_ms;
    if reclaim_after_ms <= least_ms {
        node.at("reclaim_after", |node| {
            node.fault(
                format!(
                    "{reclaim_after_ms} ms are too short beside a `timeout` of {} ms",
                    valkey.timeout_ms
                ),
                format!("more than {least_ms} ms: twice `timeout` and {AWAY_AFTER_MS} ms, and `timeout` once more"),
            );
        });
    }
    Some(Cluster {
        valkey,
        on_partition,
        reclaim_after_ms,
    })
}

fn on_partition(node: &Node) -> Option<OnPartition> {
    let known = OnPartition::ALL.into_iter();
    let found = known.clone().find(|one| node.value.as_str() == Some(one.name()));
    found.or_else(|| {
        let names: Vec<&str> = known.map(OnPartition::name).collect();
        node.expected("what a node does while the store is away", names.join(", "))
    })
}

fn reclaim_after_ms(node: &Node) -> Option<u64> {
    let ms = values::timeout_ms(node)?;
    if RECLAIM_MS.contains(&ms) {
        return Some(ms);
    }
    node.expected("a time after which a silent node is gone", "10s to 24h, such as 60s")
}

pub(super) fn valkey(node: &Node) -> Option<Valkey> {
    let fields = Fields::open(node, &keys::VALKEY)?;
    let servers = fields.required("urls", URLS, servers);
    let mode = fields.read("mode", mode).unwrap_or("single");
    let topology = match (mode, fields.get("sentinel")) {
        ("sentinel", _) => fields.required("sentinel", "sentinel: { master: NAME }", sentinel),
        (mode, Some(beside)) => {
            beside.fault(
                format!("`sentinel` beside `mode: {mode}`"),
                "mode: sentinel, or without it",
            );
            None
        }
        ("cluster", None) => Some(Topology::Cluster),
        (_, None) => Some(Topology::Single),
    };
    let user = fields.read("user", values::text);
    let password = fields.read("password", values::secret);
    if let (Some(node), None) = (fields.get("user"), fields.get("password")) {
        node.fault(
            "`user` without a password",
            "password: env:NAME or file:PATH, beside it",
        );
    }
    let prefix = fields.read("prefix", prefix);
    let timeout_ms = fields.read("timeout", timeout_ms);
    let tls = fields.read("tls", tls).unwrap_or_default();
    let servers = servers?;
    if let (Some(node), false) = (fields.get("tls"), servers.iter().any(|server| server.tls)) {
        node.fault(
            "`tls` without a server that is reached by it",
            "rediss://HOST:PORT in `urls`",
        );
    }
    if let (Some(node), Some(Topology::Single), 2..) = (fields.get("urls"), &topology, servers.len()) {
        node.fault(
            format!(
                "{} servers beside `mode: single`: each would keep its own",
                servers.len()
            ),
            "one URL, or `mode: cluster` or `mode: sentinel`",
        );
    }
    Some(Valkey {
        topology: topology?,
        servers,
        user,
        password,
        prefix: prefix.unwrap_or_else(|| "tollgate".to_owned()),
        timeout_ms: timeout_ms.unwrap_or(USUAL_TIMEOUT_MS),
        tls,
    })
}

fn servers(node: &Node) -> Option<Vec<Server>> {
    let servers = node.list("a list of servers", URLS, server)?;
    let said = node.value.as_array().map_or(0, Vec::len);
    if said == 0 || said > MAX_SERVERS {
        node.fault(
            format!("there are {said} servers"),
            format!("1 to {MAX_SERVERS}, each {URLS}"),
        );
        return None;
    }
    if servers.iter().any(|server| server.tls) && servers.iter().any(|server| !server.tls) {
        node.fault(
            "some are reached by TLS and some are not",
            "all of them redis://, or all rediss://",
        );
    }
    (servers.len() == said).then_some(servers)
}

fn server(node: &Node) -> Option<Server> {
    const PORT: u16 = 6379;
    let text = node.value.as_str().unwrap_or_default();
    let (tls, rest) = match (text.strip_prefix("redis://"), text.strip_prefix("rediss://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return node.expected_unseen("the URL of a Valkey or Redis server", URLS),
    };
    if rest.contains('@') {
        return node.expected_unseen("a URL without user and password", "`user` and `password` beside `urls`");
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    match url::authority(rest) {
        Ok((host, port)) => Some(Server {
            tls,
            host,
            port: port.unwrap_or(PORT),
        }),
        Err(why) => node.expected(&format!("the URL of a server: {why}"), URLS),
    }
}

fn mode(node: &Node) -> Option<&'static str> {
    let known = ["single", "cluster", "sentinel"];
    let found = known.into_iter().find(|one| node.value.as_str() == Some(one));
    found.or_else(|| node.expected("how the store is laid out", "single, cluster or sentinel"))
}

fn sentinel(node: &Node) -> Option<Topology> {
    let fields = Fields::open(node, &keys::SENTINEL)?;
    let master = fields.required(
        "master",
        "the name by which sentinels know it, such as mymaster",
        values::text,
    );
    let password = fields.read("password", values::secret);
    Some(Topology::Sentinel {
        master: master?,
        password,
    })
}

/// Keys are `{prefix:group}:…`: what is in the braces chooses the slot.
fn prefix(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if text.len() <= MAX_PREFIX_BYTES && text.bytes().all(word) {
        return Some(text);
    }
    node.expected("a prefix of keys", "up to 64 letters, digits, `-`, `_`, `.` and `:`")
}

fn timeout_ms(node: &Node) -> Option<u64> {
    let ms = values::timeout_ms(node)?;
    if ms <= MAX_TIMEOUT_MS {
        return Some(ms);
    }
    node.expected("a time that the store may take", "up to 10s, such as 500ms")
}

fn tls(node: &Node) -> Option<ValkeyTls> {
    let fields = Fields::open(node, &keys::VALKEY_TLS)?;
    let certificate = fields.read("client_certificate", values::secret);
    let key = fields.read("client_key", values::secret);
    match (fields.get("client_certificate"), fields.get("client_key")) {
        (Some(node), None) => node.fault(
            "`client_key` is missing",
            "client_key: file:PATH, beside client_certificate",
        ),
        (None, Some(node)) => node.fault(
            "`client_certificate` is missing",
            "client_certificate: file:PATH, beside client_key",
        ),
        _ => {}
    }
    Some(ValkeyTls {
        ca: fields.read("ca", values::secret),
        client_certificate: certificate.zip(key),
    })
}

/// The same of limits that stand in no document: of keys made through the API.
pub fn too_large_alone(limits: &[Limit]) -> Vec<Problem> {
    let found = limits.iter().enumerate().filter(|(_, limit)| is_too_large(limit));
    let told = found.map(|(at, limit)| {
        let (wrong, right) = too_large(limit);
        Problem::new(format!("/{at}"), wrong, right)
    });
    told.collect()
}

/// Limits whose numbers the store cannot hold exactly.
pub fn refuse_what_is_too_large(root: &Fields, document: &Document) {
    if document.cluster.is_none() {
        return;
    }
    let named = |section: &'static str, all: Vec<(&str, &[Limit])>| {
        let Some(node) = root.get(section) else { return };
        for (name, limits) in all.into_iter().filter(|(_, limits)| limits.iter().any(is_too_large)) {
            node.at(name, |node| refuse(node, limits));
        }
    };
    fn each<'d, T>(all: &'d [(String, T)], limits: impl Fn(&'d T) -> &'d [Limit]) -> Vec<(&'d str, &'d [Limit])> {
        all.iter().map(|(name, one)| (name.as_str(), limits(one))).collect()
    }
    if let Some(node) = root
        .get("organization")
        .filter(|_| document.organization.iter().any(is_too_large))
    {
        refuse(&node, &document.organization);
    }
    named("tags", each(&document.tags, |limits| limits.as_slice()));
    named("teams", each(&document.teams, |team| team.limits.as_slice()));
    named("users", each(&document.users, |user| user.limits.as_slice()));
    named("keys", each(&document.keys, |key| key.limits.as_slice()));
    named("models", each(&document.models, |model| model.limits.as_slice()));
    named(
        "providers",
        each(&document.providers, |provider| provider.limits.as_slice()),
    );
}

fn is_too_large(limit: &Limit) -> bool {
    let burst = match limit.window {
        Window::Refill { burst, .. } => burst,
        Window::Calendar(_) | Window::None => 0,
    };
    limit.amount.max(burst) > MAX_SHARED_AMOUNT
}

fn refuse(owner: &Node, limits: &[Limit]) {
    owner.at("limits", |node| {
        for limit in limits.iter().filter(|limit| is_too_large(limit)) {
            let (wrong, right) = too_large(limit);
            node.fault(wrong, right);
        }
    });
}

/// What is wrong with it, and what would be right.
fn too_large(limit: &Limit) -> (String, String) {
    let name = limit.unit.name();
    let wrong = format!("a limit of `{name}` is larger than the store of `cluster` counts exactly");
    let right = match limit.unit {
        Unit::Budget => format!("at most {} USD with `cluster`", NanoUsd(MAX_SHARED_AMOUNT)),
        _ => format!("at most {MAX_SHARED_AMOUNT} with `cluster`"),
    };
    (wrong, right)
}
