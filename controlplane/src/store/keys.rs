//! Keys made through the API. Only the SHA-256 of a secret is ever written.

use rusqlite::{ErrorCode, OptionalExtension, Row};
use serde::Deserialize;
use tollgate_config::{link::StoredKey, stored_limits::StoredLimits};

use super::{Made, Store, StoreError, shared_change::Wanted};

/// A key with what the shards need not know.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRow {
    pub key: StoredKey,
    /// Unix milliseconds.
    pub created_ms: u64,
    pub created_by: String,
}

const COLUMNS: &str =
    "name, sha256, previous_sha256, previous_until_unix_s, team, user, models, expires_unix_s, created_ms, created_by";

/// What more is known of a key, in a table of its own: a column that comes later would change what is there.
const SETTINGS: &str = "(SELECT settings FROM key_settings WHERE key_settings.name = keys.name)";

#[derive(Default, Deserialize)]
struct Settings {
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    limits: StoredLimits,
}

impl Store {
    /// In order of name.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        self.call(|c| {
            let mut statement = c.prepare(&format!("SELECT {COLUMNS}, {SETTINGS} FROM keys ORDER BY name"))?;
            let mut rows = statement.query([])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(read(row)?);
            }
            Ok(keys)
        })
        .await
    }

    pub async fn key(&self, name: String) -> Result<Option<KeyRow>, StoreError> {
        self.call(move |c| one(c, &name)).await
    }

    /// Adds a key; a name that is taken is an error.
    pub async fn insert_key(&self, row: KeyRow) -> Result<Made, StoreError> {
        let made = self.made(Wanted::Made(row.clone())).await?;
        if let Err(error) = self.insert_own_key(row).await {
            self.take_back_there(&made).await;
            return Err(error);
        }
        Ok(made)
    }

    async fn insert_own_key(&self, row: KeyRow) -> Result<(), StoreError> {
        self.call(move |c| match write(c, "INSERT INTO", &row) {
            Err(rusqlite::Error::SqliteFailure(e, _)) if e.code == ErrorCode::ConstraintViolation => Err(
                StoreError::Exists(format!("a key named {} exists already", row.key.name)),
            ),
            written => Ok(written?),
        })
        .await
    }

    /// Replaces a key; where keys are shared, only one that is still what it was.
    pub async fn replace_key(&self, former: KeyRow, row: KeyRow) -> Result<Made, StoreError> {
        let wanted = Wanted::Changed {
            former: Box::new(former),
            row: row.clone(),
        };
        let made = self.made(wanted).await?;
        if let Err(error) = self.replace_own_key(row).await {
            self.take_back_there(&made).await;
            return Err(error);
        }
        Ok(made)
    }

    async fn made(&self, wanted: Wanted) -> Result<Made, StoreError> {
        let number = self.change_shared(wanted.clone()).await?;
        if number.is_none() {
            self.note_apart(wanted.name().to_owned()).await?;
        }
        Ok(Made { wanted, number })
    }

    /// The key is again what it was, unless somebody else has changed it since.
    pub async fn take_back(&self, made: Made) -> Result<(), StoreError> {
        self.take_back_there(&made).await;
        match made.wanted {
            Wanted::Made(row) => self.remove_own_key(row.key.name).await,
            Wanted::Changed { former, .. } => self.replace_own_key(*former).await,
            Wanted::Removed(_) => Ok(()),
        }
    }

    async fn take_back_there(&self, made: &Made) {
        if let Some(number) = made.number {
            self.take_back_shared(made.wanted.clone(), number).await;
        }
    }

    /// In this store alone.
    pub async fn replace_own_key(&self, row: KeyRow) -> Result<(), StoreError> {
        self.call(move |c| Ok(write(c, "INSERT OR REPLACE INTO", &row)?)).await
    }

    pub async fn remove_key(&self, name: String) -> Result<(), StoreError> {
        self.made(Wanted::Removed(name.clone())).await?;
        self.remove_own_key(name).await
    }

    /// From this store alone.
    pub async fn remove_own_key(&self, name: String) -> Result<(), StoreError> {
        self.call(move |c| {
            let change = c.transaction()?;
            change.execute("DELETE FROM keys WHERE name = ?1", [&name])?;
            change.execute("DELETE FROM key_settings WHERE name = ?1", [&name])?;
            Ok(change.commit()?)
        })
        .await
    }
}

pub fn one(c: &rusqlite::Connection, name: &str) -> Result<Option<KeyRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS}, {SETTINGS} FROM keys WHERE name = ?1");
    c.query_row(&sql, [name], |row| Ok(read(row))).optional()?.transpose()
}

fn write(c: &mut rusqlite::Connection, verb: &str, row: &KeyRow) -> rusqlite::Result<()> {
    let key = &row.key;
    let change = c.transaction()?;
    let (previous, until) = key.previous.clone().unzip();
    let models = serde_json::Value::from(key.models.clone()).to_string();
    change.execute(
        &format!("{verb} keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
        (
            &key.name,
            &key.sha256,
            previous,
            until.map(|s| s as i64),
            &key.team,
            &key.user,
            models,
            key.expires_unix_s.map(|s| s as i64),
            row.created_ms as i64,
            &row.created_by,
        ),
    )?;
    let settings = serde_json::json!({ "priority": key.priority, "limits": key.limits }).to_string();
    change.execute(
        "INSERT OR REPLACE INTO key_settings (name, settings) VALUES (?1, ?2)",
        (&key.name, settings),
    )?;
    change.commit()
}

fn read(row: &Row<'_>) -> Result<KeyRow, StoreError> {
    let previous: Option<String> = row.get(2)?;
    let until: Option<i64> = row.get(3)?;
    let models: String = row.get(6)?;
    let settings: Option<String> = row.get(10)?;
    let Settings { priority, limits } =
        settings.map_or_else(|| Ok(Settings::default()), |text| serde_json::from_str(&text))?;
    Ok(KeyRow {
        key: StoredKey {
            name: row.get(0)?,
            sha256: row.get(1)?,
            previous: previous.zip(until.map(|s| s as u64)),
            team: row.get(4)?,
            user: row.get(5)?,
            models: serde_json::from_str(&models)?,
            expires_unix_s: row.get::<_, Option<i64>>(7)?.map(|s| s as u64),
            priority,
            limits,
        },
        created_ms: row.get::<_, i64>(8)? as u64,
        created_by: row.get(9)?,
    })
}
