//! What the ids of a provider's objects are sealed with: the configured `id_secret`, else the provider's own credential.
//!
//! Both survive restarts and are the same on every node that runs the same configuration. A credential is random where a
//! provider hands it out; one that somebody thought up could be guessed from a sealed id, and so seals nothing.

use sha2::{Digest as _, Sha256};
use tollgate_config::{
    Document, Problem,
    document::{Provider, Reference},
};
use tollgate_dialect::canonical::sealed_id::{CredentialTag, IdKey};

use super::{Secrets, secret_text};

/// Fewer characters are no secret of 128 bits, however they were made.
pub(super) const LEAST_SECRET_BYTES: usize = 32;

/// A provider's.
pub(crate) struct Ids {
    /// `None`: there is no secret, and so nothing is sealed and nothing opens.
    pub key: Option<IdKey>,
    /// By credential, in the document's order.
    tags: Vec<CredentialTag>,
}

impl Ids {
    pub fn of_provider(configured: Option<&IdKey>, provider: &Provider, secrets: &Secrets) -> Ids {
        let content = |reference: &Reference| secrets.get(reference).map_or(&[][..], |content| content.trim_ascii());
        let first = provider.credentials.first().map(content);
        let derived = first
            .filter(|secret| secret.len() >= LEAST_SECRET_BYTES)
            .map(IdKey::new);
        let tags = match provider.credentials.as_slice() {
            // There is nothing to tell apart: the ids stay the same when the only one is exchanged.
            [_] => vec![CredentialTag::default()],
            several => several.iter().map(content).map(tag).collect(),
        };
        Ids {
            key: configured.cloned().or(derived),
            tags,
        }
    }

    /// That of the credential at `turn`.
    pub fn tag(&self, turn: usize) -> CredentialTag {
        self.tags.get(turn).copied().unwrap_or_default()
    }

    /// The credential that had this tag; `None` where it is gone or never was.
    pub fn turn(&self, tag: CredentialTag) -> Option<usize> {
        self.tags.iter().position(|known| *known == tag)
    }
}

fn tag(credential: &[u8]) -> CredentialTag {
    let digest = Sha256::new()
        .chain_update(b"tollgate credential\0")
        .chain_update(credential)
        .finalize();
    [digest[0], digest[1]]
}

/// That of the document's `id_secret`, where it has one.
pub(super) fn configured(document: &Document, secrets: &Secrets, problems: &mut Vec<Problem>) -> Option<IdKey> {
    let reference = document.id_secret.as_ref()?;
    match secret_text(secrets, reference, "/id_secret") {
        Ok(secret) if secret.len() >= LEAST_SECRET_BYTES => return Some(IdKey::new(secret)),
        Ok(_) => {
            let right =
                format!("at least {LEAST_SECRET_BYTES} random characters, as 'openssl rand -hex 32' makes them");
            problems.push(Problem::new("/id_secret", "the secret is too short", right));
        }
        Err(problem) => problems.push(problem),
    }
    None
}
