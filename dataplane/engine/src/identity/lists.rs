//! Limits of stored keys, by their text: most keys of a store say what many others say, and that is read once.

use std::sync::Arc;

use hashbrown::HashMap;
use tollgate_config::{Problem, check, document::Limit, stored_limits::StoredLimits};

/// Others are read each time.
const MAX_LISTS: usize = 1_024;

#[derive(Default)]
pub(super) struct Lists<'k>(HashMap<&'k StoredLimits, Arc<[Limit]>>);

impl<'k> Lists<'k> {
    pub fn of(&mut self, said: &'k StoredLimits) -> Result<Arc<[Limit]>, Vec<Problem>> {
        if let Some(read) = self.0.get(said) {
            return Ok(Arc::clone(read));
        }
        let read: Arc<[Limit]> = check::limits(&said.value())?.into();
        if self.0.len() < MAX_LISTS {
            self.0.insert(said, Arc::clone(&read));
        }
        Ok(read)
    }
}
