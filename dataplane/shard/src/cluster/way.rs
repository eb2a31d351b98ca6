//! `cluster` of a document → how the store is reached, with its secrets and its TLS.

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;
use tollgate_config::{
    Problem,
    document::{Cluster, Reference, Topology, Valkey},
};
use tollgate_engine::{
    limits::cluster::{MAX_GROUPS, Settings},
    snapshot::Secrets,
};

pub use super::store::Way;
use crate::tls::TlsMaker;

/// Beyond the time of one answer: what is a hiccup is no partition.
const AWAY_AFTER_MS: u64 = 500;

/// How limits are shared: what is the same goes on as it is.
#[derive(Clone, Debug)]
pub struct Shared {
    pub settings: Settings,
    pub way: Way,
    cluster: Cluster,
    secrets: Vec<(Reference, Vec<u8>)>,
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        (&self.cluster, &self.secrets) == (&other.cluster, &other.secrets)
    }
}

impl Shared {
    pub fn new(cluster: &Cluster, secrets: &Secrets, maker: &mut TlsMaker) -> Result<Self, Vec<Problem>> {
        let valkey = &cluster.valkey;
        let way = of(valkey, "/cluster/valkey", secrets, maker).map_err(|problem| vec![problem])?;
        let used = valkey.references().into_iter();
        let used = used.filter_map(|(reference, _)| Some((reference.clone(), secrets.get(reference)?.clone())));
        Ok(Self {
            settings: Settings {
                // Of one server all is one slot's.
                groups: match valkey.topology {
                    Topology::Cluster => MAX_GROUPS,
                    Topology::Single | Topology::Sentinel { .. } => 1,
                },
                on_partition: cluster.on_partition,
                away_after_ms: AWAY_AFTER_MS + valkey.timeout_ms,
                reclaim_after_ms: cluster.reclaim_after_ms,
            },
            way,
            cluster: cluster.clone(),
            secrets: used.collect(),
        })
    }
}

/// How a store is reached; `at`: where it stands in the document.
pub fn of(valkey: &Valkey, at: &str, secrets: &Secrets, maker: &mut TlsMaker) -> Result<Way, Problem> {
    let tls = match valkey.servers.iter().any(|server| server.tls) {
        true => Some(tls(valkey, at, secrets, maker)?),
        false => None,
    };
    let content = |reference: &Reference| secrets.get(reference).map(|content| trimmed(content));
    let sentinel_password = match &valkey.topology {
        Topology::Sentinel { password, .. } => password.as_ref().and_then(content),
        Topology::Single | Topology::Cluster => None,
    };
    let servers = valkey.servers.iter().map(|server| (server.host.clone(), server.port));
    Ok(Way {
        topology: valkey.topology.clone(),
        servers: servers.collect(),
        tls,
        user: valkey.user.clone(),
        password: valkey.password.as_ref().and_then(content),
        sentinel_password,
        prefix: valkey.prefix.clone(),
        timeout: Duration::from_millis(valkey.timeout_ms),
    })
}

fn tls(valkey: &Valkey, at: &str, secrets: &Secrets, maker: &mut TlsMaker) -> Result<Arc<ClientConfig>, Problem> {
    let identity = valkey.tls.client_certificate.as_ref();
    maker.for_store(
        valkey.tls.ca.as_ref(),
        identity.map(|(certificate, key)| (certificate, key)),
        &format!("{at}/tls"),
        secrets,
    )
}

/// A file's last line has an end.
fn trimmed(content: &[u8]) -> Vec<u8> {
    content.trim_ascii_end().to_vec()
}
