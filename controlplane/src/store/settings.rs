//! Single values the control plane remembers between starts.

use rusqlite::OptionalExtension;

use super::{Store, StoreError};

/// SHA-256 (hex) of the `--config` file's text last applied.
pub const CONFIG_FILE_SHA256: &str = "config_file_sha256";
/// How far shared keys were followed, and of which database.
pub const KEYS_FOLLOWED: &str = "keys_followed";
/// The quick start's sandbox provider: its address and pid as JSON; absent when the quick start is not in use.
pub const SANDBOX: &str = "sandbox";

impl Store {
    pub async fn setting(&self, name: &'static str) -> Result<Option<String>, StoreError> {
        self.call(move |c| {
            let found = c
                .query_row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0))
                .optional()?;
            Ok(found)
        })
        .await
    }

    /// `None` forgets it.
    pub async fn set_setting(&self, name: &'static str, value: Option<String>) -> Result<(), StoreError> {
        self.call(move |c| {
            match value {
                Some(value) => c.execute(
                    "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                    (name, value),
                )?,
                None => c.execute("DELETE FROM settings WHERE name = ?1", [name])?,
            };
            Ok(())
        })
        .await
    }
}
