//! What caches need of their second tiers: names that mean the same on every node.

use tollgate_config::{Document, Problem};

use super::{
    Secrets,
    ids::LEAST_SECRET_BYTES,
    references::{second_pointer, secret_text},
};
use crate::exact::{Second, TierKeys};

/// Of each cache of the document, in its order.
pub(super) fn compile(document: &Document, secrets: &Secrets, problems: &mut Vec<Problem>) -> Vec<Option<Second>> {
    let caches = document.caches.iter();
    let each = caches.map(|(name, cache)| {
        let tier = cache.second.as_deref()?;
        let at = format!("{}/secret", second_pointer(name));
        let secret = secret_text(secrets, &tier.secret, &at).map_err(|problem| problems.push(problem));
        let secret = secret.ok()?;
        if secret.len() < LEAST_SECRET_BYTES {
            let right =
                format!("at least {LEAST_SECRET_BYTES} random characters, as 'openssl rand -hex 32' makes them");
            problems.push(Problem::new(at, "the secret is too short", right));
            return None;
        }
        Some(Second {
            seed: TierKeys::derive(secret, name)?.seed,
            timeout_ms: tier.timeout_ms,
        })
    });
    each.collect()
}
