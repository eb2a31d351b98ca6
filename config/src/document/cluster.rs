//! `cluster`: the store through which several nodes share their limits.

use super::Reference;

/// `cluster: { valkey: { urls: [ "rediss://HOST:6379" ], … }, on_partition: local_share, reclaim_after: 60s }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub valkey: Valkey,
    pub on_partition: OnPartition,
    /// What has not been heard of for so long is gone, and its leases go to others.
    pub reclaim_after_ms: u64,
}

/// What a node does for itself while the store is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPartition {
    /// It grants its share of what nobody had leased.
    #[default]
    LocalShare,
    /// It grants what it holds, and then nothing.
    Refuse,
    /// It grants as if it were alone.
    Allow,
}

impl OnPartition {
    pub const ALL: [Self; 3] = [Self::LocalShare, Self::Refuse, Self::Allow];

    /// As the document has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LocalShare => "local_share",
            Self::Refuse => "refuse",
            Self::Allow => "allow",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valkey {
    pub topology: Topology,
    pub servers: Vec<Server>,
    pub user: Option<String>,
    pub password: Option<Reference>,
    /// Of the store's keys: gateways with the same share their limits.
    pub prefix: String,
    /// A store that takes longer to answer is away.
    pub timeout_ms: u64,
    pub tls: ValkeyTls,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single,
    /// Some of a Redis Cluster's servers.
    Cluster,
    /// Sentinels, and the name by which they know the master.
    Sentinel {
        master: String,
        password: Option<Reference>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub tls: bool,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValkeyTls {
    /// Certificates in PEM; `None`: the system's.
    pub ca: Option<Reference>,
    /// A certificate and its key.
    pub client_certificate: Option<(Reference, Reference)>,
}

/// Beyond it the store's numbers are not exact: its scripts count in doubles. Source: IEEE 754, binary64.
pub const MAX_SHARED_AMOUNT: u64 = (1 << 53) - 1;

impl Valkey {
    /// All references in it, each with its place below.
    pub fn references(&self) -> Vec<(&Reference, &'static [&'static str])> {
        let mut found: Vec<(&Reference, &'static [&'static str])> = Vec::new();
        found.extend(self.password.iter().map(|one| (one, &["password"] as &[_])));
        if let Topology::Sentinel { password, .. } = &self.topology {
            found.extend(password.iter().map(|one| (one, &["sentinel", "password"] as &[_])));
        }
        found.extend(self.tls.ca.iter().map(|one| (one, &["tls", "ca"] as &[_])));
        if let Some((certificate, key)) = &self.tls.client_certificate {
            found.push((certificate, &["tls", "client_certificate"]));
            found.push((key, &["tls", "client_key"]));
        }
        found
    }
}
