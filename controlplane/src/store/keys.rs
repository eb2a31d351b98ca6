//! Keys made through the API. Only the SHA-256 of a secret is ever written.

use rusqlite::{ErrorCode, OptionalExtension, Row};
use tollgate_config::link::StoredKey;

use super::{Store, StoreError};

/// A key with what the shards need not know.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRow {
    pub key: StoredKey,
    /// Unix milliseconds.
    pub created_ms: u64,
    pub created_by: String,
}

const COLUMNS: &str = "name, sha256, previous_sha256, previous_until_unix_s, team, user, models, expires_unix_s, created_ms, created_by, limits";

/// Stores of before had keys without limits. Only where it is missing: opening must also work on a full disk.
pub(super) fn add_limits(c: &rusqlite::Connection) -> Result<(), StoreError> {
    let sql = "SELECT COUNT(*) FROM pragma_table_info('keys') WHERE name = 'limits'";
    let has: i64 = c.query_row(sql, [], |row| row.get(0))?;
    if has == 0 {
        c.execute("ALTER TABLE keys ADD COLUMN limits TEXT", [])?;
    }
    Ok(())
}

impl Store {
    /// In order of name.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        self.call(|c| {
            let mut statement = c.prepare(&format!("SELECT {COLUMNS} FROM keys ORDER BY name"))?;
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
        self.call(move |c| {
            let sql = format!("SELECT {COLUMNS} FROM keys WHERE name = ?1");
            c.query_row(&sql, [name], |row| Ok(read(row))).optional()?.transpose()
        })
        .await
    }

    /// Adds a key; a name that is taken is an error.
    pub async fn insert_key(&self, row: KeyRow) -> Result<(), StoreError> {
        self.call(move |c| match write(c, "INSERT INTO", &row) {
            Err(rusqlite::Error::SqliteFailure(e, _)) if e.code == ErrorCode::ConstraintViolation => Err(
                StoreError::Exists(format!("a key named {} exists already", row.key.name)),
            ),
            written => Ok(written?),
        })
        .await
    }

    /// Replaces the key of that name.
    pub async fn replace_key(&self, row: KeyRow) -> Result<(), StoreError> {
        self.call(move |c| Ok(write(c, "INSERT OR REPLACE INTO", &row)?)).await
    }

    pub async fn remove_key(&self, name: String) -> Result<(), StoreError> {
        self.call(move |c| {
            c.execute("DELETE FROM keys WHERE name = ?1", [name])?;
            Ok(())
        })
        .await
    }
}

fn write(c: &rusqlite::Connection, verb: &str, row: &KeyRow) -> rusqlite::Result<()> {
    let key = &row.key;
    let (previous, until) = key.previous.clone().unzip();
    let models = serde_json::Value::from(key.models.clone()).to_string();
    c.execute(
        &format!("{verb} keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"),
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
            Some(&key.limits)
                .filter(|limits| !limits.is_null())
                .map(ToString::to_string),
        ),
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<KeyRow, StoreError> {
    let previous: Option<String> = row.get(2)?;
    let until: Option<i64> = row.get(3)?;
    let models: String = row.get(6)?;
    let limits: Option<String> = row.get(10)?;
    Ok(KeyRow {
        key: StoredKey {
            name: row.get(0)?,
            sha256: row.get(1)?,
            previous: previous.zip(until.map(|s| s as u64)),
            team: row.get(4)?,
            user: row.get(5)?,
            models: serde_json::from_str(&models)?,
            expires_unix_s: row.get::<_, Option<i64>>(7)?.map(|s| s as u64),
            limits: limits
                .map(|text| serde_json::from_str(&text))
                .transpose()?
                .unwrap_or_default(),
        },
        created_ms: row.get::<_, i64>(8)? as u64,
        created_by: row.get(9)?,
    })
}
