//! Keys that were changed here while they were not shared, after they had been: what each was before, so that the change is made
//! where all are once they are shared again, if it is still that there.

use super::{
    KeyRow, Store, StoreError, keys, settings,
    shared_change::{self, Wanted},
};

/// A key by name, and what it was; `None`: it was not there.
pub type Apart = (String, Option<KeyRow>);

/// Settings of these names, from the first to before the second: what the key was, or nothing.
const ALL: [&str; 2] = ["keys_apart:", "keys_apart;"];

impl Store {
    /// This key is about to be changed in this store alone. Where keys were never shared all of them are brought along.
    pub(super) async fn note_apart(&self, name: String) -> Result<(), StoreError> {
        self.call(move |c| {
            let was_shared = "SELECT 1 FROM settings WHERE name = ?1";
            if !c.prepare_cached(was_shared)?.exists([settings::KEYS_FOLLOWED])? {
                return Ok(());
            }
            let former = keys::one(c, &name)?.as_ref().map(shared_change::text).transpose()?;
            let note = "INSERT OR IGNORE INTO settings (name, value) VALUES (?1, ?2)";
            c.execute(note, (setting(&name), former.unwrap_or_default()))?;
            Ok(())
        })
        .await
    }

    pub async fn apart(&self) -> Result<Vec<Apart>, StoreError> {
        self.call(|c| {
            let all = "SELECT name, value FROM settings WHERE name >= ?1 AND name < ?2 ORDER BY name";
            let mut statement = c.prepare_cached(all)?;
            let mut rows = statement.query(ALL)?;
            let mut apart = Vec::new();
            while let Some(row) = rows.next()? {
                let (setting, former): (String, String) = (row.get(0)?, row.get(1)?);
                let former = (!former.is_empty())
                    .then(|| shared_change::parse(&former))
                    .transpose()?;
                if let Some(name) = setting.strip_prefix(ALL[0]) {
                    apart.push((name.to_owned(), former));
                }
            }
            Ok(apart)
        })
        .await
    }

    /// What was done to it here is done there; refused where it is no longer what it was.
    pub async fn bring_apart(&self, (name, former): Apart) -> Result<(), StoreError> {
        let wanted = match (former, self.key(name.clone()).await?) {
            (None, Some(row)) => Wanted::Made(row),
            (Some(former), Some(row)) if former != row => Wanted::Changed {
                former: Box::new(former),
                row,
            },
            (Some(former), None) => {
                let there = self.shared_key(name.clone()).await?.and_then(|change| change.row);
                // A rotation elsewhere does not make another key of it; a revocation must not be lost.
                let is_same = |row: KeyRow| (row.created_ms, row.created_by) == (former.created_ms, former.created_by);
                match there.is_some_and(is_same) {
                    true => Wanted::Removed(name),
                    false => return Ok(()),
                }
            }
            _ => return Ok(()),
        };
        self.change_shared(wanted).await.map(drop)
    }

    /// `None`: all of them.
    pub async fn forget_apart(&self, name: Option<String>) -> Result<(), StoreError> {
        self.call(move |c| {
            match name {
                Some(name) => c.execute("DELETE FROM settings WHERE name = ?1", [setting(&name)])?,
                None => c.execute("DELETE FROM settings WHERE name >= ?1 AND name < ?2", ALL)?,
            };
            Ok(())
        })
        .await
    }
}

fn setting(name: &str) -> String {
    format!("{}{name}", ALL[0])
}
