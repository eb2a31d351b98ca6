//! A shard's signers: each keeps the key of the day for one credential, so that a request costs two hashes and an HMAC.

use hashbrown::HashMap;
use tollgate_dialect::sign::Signer;

use crate::snapshot::Signing;

/// Credentials that are not used any more are let go of with the others, once there are so many.
const MAX_SIGNERS: usize = 4_096;

/// By what they sign with: a credential that was exchanged has another.
#[derive(Debug, Default)]
pub struct Signers {
    by: HashMap<u64, Signer>,
}

impl Signers {
    pub(crate) fn get(&mut self, signing: &Signing) -> &mut Signer {
        if self.by.len() >= MAX_SIGNERS && !self.by.contains_key(&signing.id) {
            self.by.clear();
        }
        self.by
            .entry(signing.id)
            .or_insert_with(|| Signer::new(signing.keys.clone(), &signing.region, &signing.service))
    }
}
