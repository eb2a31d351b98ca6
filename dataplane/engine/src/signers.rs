//! A shard's signers: each keeps the key of the day for one credential, so that a request costs two hashes and an HMAC.

use hashbrown::HashMap;
use tollgate_dialect::sign::Signer;

use crate::snapshot::Signing;

/// Of the snapshot in force; an older one still pinned by a call has its signers made anew.
#[derive(Debug, Default)]
pub struct Signers {
    revision: u64,
    /// By provider and credential.
    by: HashMap<(usize, usize), Signer>,
}

impl Signers {
    pub(crate) fn get(&mut self, revision: u64, at: (usize, usize), signing: &Signing) -> &mut Signer {
        if self.revision != revision {
            self.by.clear();
            self.revision = revision;
        }
        self.by
            .entry(at)
            .or_insert_with(|| Signer::new(signing.keys.clone(), &signing.region, &signing.service))
    }
}
