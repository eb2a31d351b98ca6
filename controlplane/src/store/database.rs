//! How a SQLite database of the control plane is opened, whatever its tables are for.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

use super::StoreError;

/// Opens or creates it. WAL, so that readers never wait for a writer, and `synchronous = FULL`, so that what was answered
/// survives a power cut. `version` is written to `PRAGMA user_version`; a later one is refused rather than misread.
pub fn open(path: &Path, version: i64, schema: &[&str]) -> Result<Connection, StoreError> {
    open_with(path, version, |connection, _| {
        for tables in schema {
            connection.execute_batch(tables)?;
        }
        connection.pragma_update(None, "user_version", version)?;
        Ok(())
    })
}

/// The same where an earlier version's tables are made into this one's: `migrate` is told which version there is.
pub fn open_with(
    path: &Path,
    version: i64,
    migrate: impl FnOnce(&mut Connection, i64) -> Result<(), StoreError>,
) -> Result<Connection, StoreError> {
    make_private(path).map_err(|e| StoreError::Sqlite(format!("{}: {e}", path.display())))?;
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > version {
        return Err(StoreError::Later { found, known: version });
    }
    // Only where it is new: opening must also work on a full disk.
    if found < version {
        migrate(&mut connection, found)?;
    }
    Ok(connection)
}

/// Its owner's alone, and so are the files SQLite puts beside it. One that is there is not opened: to close any handle of a file
/// gives up all locks that this process has on it (fcntl(2)), those of other connections too. Whoever read the database beside
/// us would then be the last who has it open, and take its journal away from under us.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::{fs::OpenOptions, io::ErrorKind, os::unix::fs::OpenOptionsExt};
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}
