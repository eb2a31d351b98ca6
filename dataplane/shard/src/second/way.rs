//! A cache's `second` of a document → how its store is reached, with its secrets.

use std::{sync::Arc, time::Duration};

use tollgate_config::{
    Document, Problem,
    document::{Cluster, Reference, SecondTier, Valkey},
};
use tollgate_engine::{
    exact::TierKeys,
    snapshot::{Secrets, pointer},
};

use crate::{
    cluster::way::{self, Way},
    tls::TlsMaker,
};

/// What is the same goes on as it is.
#[derive(Clone)]
pub struct Setup {
    pub cache: Arc<str>,
    pub way: Way,
    tier: SecondTier,
    valkey: Valkey,
    secrets: Vec<(Reference, Vec<u8>)>,
    secret: Vec<u8>,
}

impl PartialEq for Setup {
    fn eq(&self, other: &Self) -> bool {
        (&self.cache, &self.tier, &self.valkey, &self.secrets)
            == (&other.cache, &other.tier, &other.valkey, &other.secrets)
    }
}

impl Setup {
    /// Of all caches that have one.
    pub fn all(document: &Document, secrets: &Secrets, maker: &mut TlsMaker) -> Result<Vec<Self>, Vec<Problem>> {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for (name, cache) in &document.caches {
            let Some(tier) = cache.second.as_deref() else { continue };
            match Self::of(name, tier, document.cluster.as_ref(), secrets, maker) {
                Ok(setup) => all.push(setup),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }

    fn of(
        cache: &str,
        tier: &SecondTier,
        cluster: Option<&Cluster>,
        secrets: &Secrets,
        maker: &mut TlsMaker,
    ) -> Result<Self, Problem> {
        let at = pointer(&["caches", cache, "exact", "second"]);
        let (valkey, place) = match (&tier.valkey, cluster) {
            (Some(own), _) => (own, format!("{at}/valkey")),
            (None, Some(cluster)) => (&cluster.valkey, "/cluster/valkey".to_owned()),
            (None, None) => {
                return Err(Problem::new(
                    format!("{at}/valkey"),
                    "there is no `cluster`",
                    "its own store",
                ));
            }
        };
        let way = way::of(valkey, &place, secrets, maker)?;
        let secret = secrets.get(&tier.secret).map(|secret| secret.trim_ascii().to_vec());
        let used = valkey.references().into_iter().map(|(reference, _)| reference);
        let used = used.chain([&tier.secret]);
        let used = used.filter_map(|reference| Some((reference.clone(), secrets.get(reference)?.clone())));
        Ok(Self {
            cache: cache.into(),
            way,
            tier: tier.clone(),
            valkey: valkey.clone(),
            secrets: used.collect(),
            secret: secret.unwrap_or_default(),
        })
    }

    /// How long a call waits.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.tier.timeout_ms)
    }

    pub fn keys(&self) -> Option<TierKeys> {
        TierKeys::derive(&self.secret, &self.cache)
    }
}
