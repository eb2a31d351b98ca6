//! Keys by the SHA-256 of their secret: those of the document and those of the identity store, in one immutable table
//! that a change replaces. Sharing between table versions keeps a small change cheap beside 100,000 keys.

use tollgate_config::{Document, Problem, link::StoredKey};

use crate::snapshot::Secrets;

#[derive(Debug, Default)]
pub struct KeyTable {}

impl KeyTable {
    /// The document's keys and the store's; a name or a secret that occurs twice is a problem.
    pub fn build(document: &Document, secrets: &Secrets, stored: &[StoredKey]) -> Result<KeyTable, Vec<Problem>> {
        let _ = (document, secrets, stored);
        todo!()
    }

    /// A new table with the store's keys changed; the old one stays valid for those who hold it.
    pub fn with_changes(&self, upsert: &[StoredKey], remove: &[String]) -> KeyTable {
        let _ = (upsert, remove);
        todo!()
    }
}
