//! The dry run: a document compiled here exactly as the data plane will, with its secrets read, so that what is
//! refused is refused before any shard hears of it. Nothing of the result is kept but the admin token's hash.

use std::{io, path::Path};

use sha2::{Digest, Sha256};
use tollgate_config::{
    Document, Problem,
    document::{Embedding, PostgresTls, Reference},
    link::StoredKey,
};
use tollgate_engine::{
    Snapshot,
    identity::KeyTable,
    routing::meaning,
    snapshot::{self, Secrets},
};

/// A file named as a secret or certificate may hold no more.
const MAX_SECRET_BYTES: u64 = 1024 * 1024;

/// What the control plane itself needs of a document's secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub admin_token_sha256: Option<[u8; 32]>,
}

/// Compiles `document` and its keys. Faults: a reference that cannot be read, and all that the compiler finds.
pub fn dry_run(revision: u64, document: &Document, keys: &[StoredKey]) -> Result<Truth, Vec<Problem>> {
    let (secrets, mut problems) = read_secrets(document);
    let admin_token_sha256 = admin_token(document).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    problems.extend(database(document));
    problems.extend(kafka(document));
    let (models, unread) = read_models(&document.embedding);
    let (mut secrets, mut problems) = (secrets, problems);
    secrets.extend(models);
    problems.extend(unread);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (snapshot, _) = compile(revision, document, &secrets, keys)?;
    // What runs already goes on without judging meaning; what is to run must be able to.
    match snapshot.meaning_faults.is_empty() {
        true => Ok(Truth { admin_token_sha256 }),
        false => Err(snapshot.meaning_faults),
    }
}

/// The document in force and its keys, compiled to be asked about.
pub fn compiled(revision: u64, document: &Document, keys: &[StoredKey]) -> Result<(Snapshot, KeyTable), Vec<Problem>> {
    let (mut secrets, problems) = read_secrets(document);
    secrets.extend(read_models(&document.embedding).0);
    match problems.is_empty() {
        true => compile(revision, document, &secrets, keys),
        false => Err(problems),
    }
}

fn compile(
    revision: u64,
    document: &Document,
    secrets: &Secrets,
    keys: &[StoredKey],
) -> Result<(Snapshot, KeyTable), Vec<Problem>> {
    let snapshot = snapshot::compile(revision, document.clone(), secrets);
    let table = KeyTable::build(document, secrets, keys);
    match (snapshot, table) {
        (Ok(snapshot), Ok(table)) => Ok((snapshot, table)),
        (snapshot, table) => {
            let faults = snapshot.err().into_iter().chain(table.err());
            Err(faults.flatten().collect())
        }
    }
}

/// The SHA-256 of the admin token, if the document names one.
pub fn admin_token(document: &Document) -> Result<Option<[u8; 32]>, Problem> {
    const POINTER: &str = "/admin/token";
    let Some(reference) = document.admin.as_ref().and_then(|admin| admin.token.as_ref()) else {
        return Ok(None);
    };
    match read(reference) {
        Ok(token) if token.is_empty() => Err(Problem::new(POINTER, "the token is empty", "give it a value")),
        Ok(token) => Ok(Some(Sha256::digest(token).into())),
        Err(error) => Err(unreadable(reference, POINTER, &error)),
    }
}

/// What PostgreSQL is reached with: the control plane's alone.
fn database(document: &Document) -> Vec<Problem> {
    let Some(postgres) = &document.database else {
        return Vec::new();
    };
    let tls = match &postgres.tls {
        PostgresTls::Off => None,
        PostgresTls::Verified(tls) => Some(tls),
    };
    let client = tls.and_then(|tls| tls.client_certificate.as_ref());
    let named = [
        ("password", postgres.password.as_ref()),
        ("tls/ca", tls.and_then(|tls| tls.ca.as_ref())),
        ("tls/client_certificate", client.map(|(certificate, _)| certificate)),
        ("tls/client_key", client.map(|(_, key)| key)),
    ];
    named
        .into_iter()
        .filter_map(|(name, reference)| {
            let reference = reference?;
            let error = read(reference).err()?;
            Some(unreadable(reference, &format!("/database/postgres/{name}"), &error))
        })
        .collect()
}

/// What brokers are reached with: the control plane's alone.
fn kafka(document: &Document) -> Vec<Problem> {
    let named = document.kafka.iter().flat_map(|kafka| kafka.references());
    let problem = |(reference, name): (&Reference, &str)| {
        let error = read(reference).err()?;
        Some(unreadable(reference, &format!("/usage/kafka/{name}"), &error))
    };
    named.filter_map(problem).collect()
}

/// Reads all that compiling needs; what cannot be read is a problem at the pointer that names it.
fn read_secrets(document: &Document) -> (Secrets, Vec<Problem>) {
    let mut secrets = Secrets::new();
    let mut problems = Vec::new();
    for (reference, pointer) in snapshot::references(document) {
        if secrets.contains_key(&reference) {
            continue;
        }
        match read(&reference) {
            Ok(secret) => {
                secrets.insert(reference, secret);
            }
            Err(error) => problems.push(unreadable(&reference, &pointer, &error)),
        }
    }
    (secrets, problems)
}

/// Reads the files that meaning is judged with, as they are; one problem where several of a directory are not there.
pub fn read_models(embedding: &Embedding) -> (Secrets, Vec<Problem>) {
    let (mut read, mut problems) = (Secrets::new(), Vec::<Problem>::new());
    for (reference, pointer) in meaning::files(embedding) {
        let Reference::File(path) = &reference else { continue };
        match file(path, meaning::MAX_FILE_BYTES as u64) {
            Ok(content) => {
                read.insert(reference, content);
            }
            Err(_) if problems.iter().any(|known| known.pointer == pointer) => {}
            Err(error) => problems.push(unreadable(&reference, &pointer, &error)),
        }
    }
    (read, problems)
}

fn file(path: &str, most_bytes: u64) -> io::Result<Vec<u8>> {
    let length = std::fs::metadata(Path::new(path))?.len();
    if length > most_bytes {
        return Err(io::Error::other(format!(
            "it has {length} bytes; at most {most_bytes} are read"
        )));
    }
    std::fs::read(path)
}

/// The content of a reference, without the white space around it (files end in a newline).
pub fn read(reference: &Reference) -> io::Result<Vec<u8>> {
    let raw = match reference {
        Reference::Env(name) => {
            use std::os::unix::ffi::OsStringExt;
            let value = std::env::var_os(name).ok_or_else(|| io::Error::other("it is not set"))?;
            value.into_vec()
        }
        Reference::File(path) => file(path, MAX_SECRET_BYTES)?,
    };
    Ok(raw.trim_ascii().to_vec())
}

fn unreadable(reference: &Reference, pointer: &str, error: &io::Error) -> Problem {
    match reference {
        Reference::Env(name) => Problem::new(
            pointer,
            format!("the environment variable {name} cannot be read: {error}"),
            format!("set {name} where tollgate is started"),
        ),
        Reference::File(path) => Problem::new(
            pointer,
            format!("the file {path} cannot be read: {error}"),
            "name a file that the user of tollgate may read",
        ),
    }
}
