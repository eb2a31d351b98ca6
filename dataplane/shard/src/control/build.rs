//! A document → all that a shard needs to run it, or every fault: the same compiler as the control plane's dry run,
//! plus what only this process can know (its environment, its files, its trusted roots).

use std::sync::Arc;

use serde_json::Value;
use tollgate_config::{Document, Problem, check, document::Reference, link::StoredKey, parse::Parsed};
use tollgate_engine::{
    identity::KeyTable,
    routing::{Slots, meaning},
    snapshot::{self, Secrets},
};

use crate::{
    cluster::way::Shared,
    files,
    messages::Prepared,
    second::Setup,
    tls::{TlsMaker, TlsSet},
    tokens::{self, Want},
};

/// A revision ready for the shards, with what it was made of.
pub struct Built {
    pub revision: u64,
    pub tree: Value,
    pub keys: Vec<StoredKey>,
    pub secrets: Secrets,
    pub prepared: Arc<Prepared>,
    /// Access tokens that it needs.
    pub wants: Vec<Want>,
    /// Why meaning cannot be judged: it runs all the same.
    pub meaning_faults: Vec<Problem>,
    /// How it shares its limits with other nodes.
    pub shared: Option<Shared>,
    /// What its caches share with them.
    pub seconds: Vec<Setup>,
}

impl Built {
    pub fn document(&self) -> &Document {
        &self.prepared.snapshot.document
    }
}

/// `before`: what runs now, whose targets keep what is known of them.
pub fn build(
    maker: &mut TlsMaker,
    before: &Slots,
    revision: u64,
    tree: Value,
    keys: Vec<StoredKey>,
) -> Result<Built, Vec<Problem>> {
    let parsed = Parsed::from_tree(tree);
    let document = check::check(&parsed)?;
    let (secrets, mut problems, mut meaning_faults) = read(&document);
    let table = KeyTable::build(&document, &secrets, &keys).map_err(|more| add(&mut problems, more));
    let compiled =
        snapshot::compile_after(before, revision, document, &secrets).map_err(|more| add(&mut problems, more));
    let tls = compiled.as_ref().ok().and_then(|compiled| {
        let built = maker.build(&compiled.document, &compiled.endpoints, &secrets);
        built.map_err(|more| add(&mut problems, more)).ok()
    });
    let wants = compiled.as_ref().ok().zip(tls.as_ref()).and_then(|(compiled, tls)| {
        let wanted = tokens::wants::wanted(compiled, &secrets, |provider| maker.for_authority(tls, provider));
        wanted.map_err(|more| add(&mut problems, more)).ok()
    });
    let shared = compiled.as_ref().ok().and_then(|compiled| {
        let cluster = compiled.document.cluster.as_ref()?;
        let made = Shared::new(cluster, &secrets, maker);
        made.map_err(|more| add(&mut problems, more)).ok()
    });
    let seconds = compiled.as_ref().ok().and_then(|compiled| {
        let made = Setup::all(&compiled.document, &secrets, maker);
        made.map_err(|more| add(&mut problems, more)).ok()
    });
    match (table, compiled, tls, wants) {
        (Ok(table), Ok(compiled), Some(tls), Some(wants)) if problems.is_empty() => {
            // What the reader said of a file tells more than that it is not there.
            add(&mut meaning_faults, compiled.meaning_faults.clone());
            let prepared = Prepared {
                snapshot: Arc::new(compiled),
                keys: Arc::new(table),
                tls: Arc::new(tls),
            };
            Ok(Built {
                revision,
                tree: parsed.tree,
                keys,
                secrets,
                prepared: Arc::new(prepared),
                wants,
                meaning_faults,
                shared,
                seconds: seconds.unwrap_or_default(),
            })
        }
        _ => Err(problems),
    }
}

/// All that a document refers to, and what is wrong with that; apart, what is wrong with the files that meaning is judged with.
fn read(document: &Document) -> (Secrets, Vec<Problem>, Vec<Problem>) {
    let (mut secrets, problems) = files::read(&snapshot::references(document));
    let (models, unread) = files::read_models(&meaning::files(&document.embedding));
    secrets.extend(models);
    let mut meaning_faults = Vec::new();
    add(&mut meaning_faults, unread);
    (secrets, problems, meaning_faults)
}

/// Adds problems, but none where one is known: what follows from a file that cannot be read is not worth a line.
fn add(problems: &mut Vec<Problem>, more: Vec<Problem>) {
    for problem in more {
        if !problems.iter().any(|known| known.pointer == problem.pointer) {
            problems.push(problem);
        }
    }
}

/// What of a running revision its files changed.
pub enum Reread {
    Nothing,
    /// Certificates and their keys only.
    Tls(Secrets, Arc<TlsSet>),
    /// Credentials or clients' keys too.
    All(Box<Built>),
}

/// Reads the references of a running revision again.
pub fn reread(maker: &mut TlsMaker, running: &Built) -> Result<Reread, Vec<Problem>> {
    let document = running.document();
    let (secrets, problems, unread) = read(document);
    if !problems.is_empty() {
        return Err(problems);
    }
    if !unread.is_empty() && running.meaning_faults.is_empty() {
        return Err(unread);
    }
    if secrets == running.secrets {
        return Ok(Reread::Nothing);
    }
    let of_tls = tls_references(document);
    let differs = |reference: &&Reference| running.secrets.get(*reference) != secrets.get(*reference);
    if secrets
        .keys()
        .filter(differs)
        .all(|reference| of_tls.contains(&reference))
    {
        let tls = maker.build(document, &running.prepared.snapshot.endpoints, &secrets)?;
        return Ok(Reread::Tls(secrets, Arc::new(tls)));
    }
    let before = &running.prepared.snapshot.slots;
    let built = build(
        maker,
        before,
        running.revision,
        running.tree.clone(),
        running.keys.clone(),
    )?;
    if !built.meaning_faults.is_empty() && running.meaning_faults.is_empty() {
        return Err(built.meaning_faults);
    }
    Ok(Reread::All(Box::new(built)))
}

fn tls_references(document: &Document) -> Vec<&Reference> {
    let mut references = Vec::new();
    for tls in document
        .listeners
        .iter()
        .filter_map(|(_, listener)| listener.tls.as_ref())
    {
        references.extend([&tls.certificate, &tls.key]);
        references.extend(tls.sni.iter().flat_map(|(_, certificate, key)| [certificate, key]));
    }
    for (_, provider) in &document.providers {
        references.extend(&provider.tls.ca);
        references.extend(
            provider
                .tls
                .client_certificate
                .iter()
                .flat_map(|(certificate, key)| [certificate, key]),
        );
    }
    references
}
