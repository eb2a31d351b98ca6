//! Where the ledger of a state directory is: what the document in force says, and what it was when the control plane last
//! ran, so that it can move from there.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use serde_json::{Value, json};
use tollgate_config::{Document, check::check, document::Postgres, parse::Parsed};

use super::database::Place;
use crate::store::StoreError;

const SQLITE_FILE: &str = "usage.db";
/// Who this control plane is among those that share a ledger.
const NODE_FILE: &str = "node";
/// Where the ledger was last: the document's `database`, with its references and without their secrets.
const LAST_FILE: &str = "ledger.json";

pub fn sqlite(state_dir: &Path) -> Place {
    Place::Sqlite(state_dir.join(SQLITE_FILE))
}

pub fn of(state_dir: &Path, document: &Document) -> Result<Place, StoreError> {
    match &document.database {
        None => Ok(sqlite(state_dir)),
        Some(settings) => postgres(state_dir, settings.clone()),
    }
}

pub fn postgres(state_dir: &Path, settings: Postgres) -> Result<Place, StoreError> {
    let node = node(state_dir).map_err(|error| StoreError::Content(format!("{NODE_FILE}: {error}")))?;
    Ok(Place::Postgres {
        settings: Box::new(settings),
        node,
    })
}

/// Where it was; SQLite where nothing was remembered.
pub fn last(state_dir: &Path) -> Result<Place, StoreError> {
    let wrong = |error: String| StoreError::Content(format!("{}: {error}", state_dir.join(LAST_FILE).display()));
    let text = match fs::read(state_dir.join(LAST_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(sqlite(state_dir)),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let database: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let tree = json!({"version": 1, "database": database});
    let document = check(&Parsed::from_tree(tree)).map_err(|problems| {
        let first = problems
            .first()
            .map_or_else(String::new, |problem| problem.wrong.clone());
        wrong(first)
    })?;
    of(state_dir, &document)
}

/// `database`: of the document that says it.
pub fn remember(state_dir: &Path, database: Option<&Value>) -> io::Result<()> {
    let path = state_dir.join(LAST_FILE);
    match database {
        Some(database) => write(&path, database.to_string().as_bytes()),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

fn node(state_dir: &Path) -> io::Result<i64> {
    let path = state_dir.join(NODE_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => u64::from_str_radix(text.trim(), 16)
            .map(u64::cast_signed)
            .map_err(|_| io::Error::other("it is no number of 16 hex digits")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut bytes = [0; 8];
            let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
            if filled != bytes.len() {
                return Err(io::Error::other("the kernel gave no random bytes"));
            }
            let node = u64::from_le_bytes(bytes);
            write(&path, format!("{node:016x}\n").as_bytes())?;
            Ok(node.cast_signed())
        }
        Err(error) => Err(error),
    }
}

/// Whole or not at all, also when the power is cut.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent()
        .map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}
