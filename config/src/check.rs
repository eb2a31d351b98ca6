//! A JSON tree → a `Document`, or every fault in it (not only the first).

mod auth;
mod beside;
mod caches;
mod client_side;
mod cluster;
mod database;
mod date;
mod embedding;
mod grants;
mod idempotency;
mod identities;
mod kafka;
mod less;
mod limits;
mod meaning;
mod models;
mod names;
mod node;
mod overload;
mod prices;
mod providers;
mod routing;
mod semantic_cache;
mod spending;
mod streams;
mod tiers;
mod url;
mod usage;
mod values;
mod webhooks;
mod when;

use serde_json::Value;

use crate::{
    Document, Problem,
    document::{AccessLog, Limit, Shards},
    keys,
    parse::Parsed,
};
use names::Names;
use node::{Faults, Fields, Node};

/// Reads the typed document out of a tree. Unknown keys are faults that suggest the nearest known one; keys of
/// features that do not exist yet are faults saying `not supported yet`; references between parts (a model's
/// provider, a key's team and models) are followed. Positions come from `parsed` where it has them.
pub fn check(parsed: &Parsed) -> Result<Document, Vec<Problem>> {
    let faults = Faults::default();
    let root = Node::root(&parsed.tree, &faults);
    let document = document(&root);
    let mut problems = faults.into_problems();
    if problems.is_empty() {
        return Ok(document);
    }
    for problem in &mut problems {
        problem.position = parsed.position(&problem.pointer);
    }
    // The order of the text, where there is one; otherwise the order of this file, which sorting keeps.
    problems.sort_by_key(|problem| problem.position);
    Err(problems)
}

/// The limits of a key that is made through the API: the same list as of one of the document.
pub fn limits(tree: &Value) -> Result<Vec<Limit>, Vec<Problem>> {
    let faults = Faults::default();
    let limits = match tree {
        Value::Null => None,
        tree => limits::limits(&Node::root(tree, &faults)),
    };
    let problems = faults.into_problems();
    match problems.is_empty() {
        true => Ok(limits.unwrap_or_default()),
        false => Err(problems),
    }
}

/// Those of them that `cluster` cannot count.
pub fn too_large_for_cluster(limits: &[Limit]) -> Vec<Problem> {
    cluster::too_large_alone(limits)
}

fn document(root: &Node) -> Document {
    let mut document = Document::default();
    if root.value.is_null() {
        root.fault(
            "the document is empty",
            "version: 1, and then listeners, providers, models and keys",
        );
        return document;
    }
    let Some(fields) = Fields::open(root, &keys::ROOT) else {
        return document;
    };
    version(root, &fields);
    let names = Names::collect(root.value);

    document.shards = fields.read("shards", shards).unwrap_or(document.shards);
    document.shutdown_grace_ms = fields
        .read("shutdown_grace", values::duration_ms)
        .unwrap_or(document.shutdown_grace_ms);
    document.drain_delay_ms = fields.read("drain_delay", values::duration_ms);
    document.access_log = fields.read("access_log", access_log).unwrap_or_default();
    document.max_body_bytes = fields.read("max_body", max_body).unwrap_or(document.max_body_bytes);
    document.max_upload_bytes = fields
        .read("max_upload", max_upload)
        .unwrap_or(document.max_upload_bytes);
    document.id_secret = fields.read("id_secret", values::secret);
    document.idempotency = fields
        .read("idempotency", idempotency::idempotency)
        .unwrap_or(document.idempotency);
    (document.usage, document.kafka) = fields.read("usage", usage::usage).unwrap_or_default();
    document.database = fields.read("database", database::database);
    document.overload = fields.read("overload", overload::of_shard);
    document.cluster = fields.read("cluster", cluster::cluster);
    document.cost_header_buffer_bytes = fields
        .read("cost_header_buffer", cost_header_buffer)
        .unwrap_or(document.cost_header_buffer_bytes);
    document.client = fields.read("client", client_side::client).unwrap_or_default();
    document.embedding = fields
        .read("embedding", |node| embedding::embedding(node, &names))
        .unwrap_or_default();
    client_side::few_listeners(&fields);
    document.listeners = fields.named("listeners", names::visible_name, client_side::listener);
    document.admin = fields.read("admin", client_side::admin);
    client_side::distinct_addresses(&fields);
    document.timezone = fields.read("timezone", limits::timezone).unwrap_or(document.timezone);
    (document.organization_name, document.organization) = fields
        .read("organization", identities::organization)
        .unwrap_or_default();
    document.tags = fields.named("tags", names::name, limits::tag);
    document.webhooks = fields.named("webhooks", names::name, webhooks::webhook);
    webhooks::few(&fields);
    document.charge_hits = fields.read("charge_hits", values::boolean).unwrap_or_default();
    document.caches = fields.named("caches", names::name, caches::cache);
    document.guards = fields.named("guards", names::name, less::guard);
    document.providers = fields.named("providers", names::visible_name, providers::provider);
    embedding::refuse_without_embeddings(&fields, &document);
    document.models = fields.named("models", names::model_name, |node| models::model(node, &names));
    if let Some(node) = fields.get("models") {
        models::refuse_cycles(&node, &document.models);
        beside::refuse_shadow_cycles(&node, &document.models, |model| {
            model.shadow.as_ref().map(|shadow| shadow.model.as_str())
        });
        tiers::refuse_unreachable(&node, &document.models);
        embedding::refuse_mismatched(&fields, &document);
    }
    document.teams = fields.named("teams", names::name, identities::team);
    document.users = fields.named("users", names::name, |node| identities::user(node, &names));
    document.keys = fields.named("keys", names::name, |node| identities::key(node, &names));
    identities::distinct_secrets(&fields, &document.keys);
    when::refuse_empty_regions(&fields, root.value);
    spending::refuse_what_nobody_spends(&fields, &document);
    cluster::refuse_what_is_too_large(&fields, &document);
    caches::refuse_a_store_of_no_cluster(&fields, &document);
    document
}

fn version(root: &Node, fields: &Fields) {
    let right = "version: 1";
    match fields.get("version") {
        None => root.fault("`version` is missing", right),
        Some(node) if node.value.as_u64() == Some(1) => {}
        Some(node) => node.fault(format!("{} is not a version this program reads", node.shown()), right),
    }
}

fn shards(node: &Node) -> Option<Shards> {
    const MAX_SHARDS: u64 = 1024;
    match node.value {
        Value::String(word) if word == "auto" => Some(Shards::Auto),
        Value::Number(count) => {
            let count = count.as_u64().filter(|count| (1..=MAX_SHARDS).contains(count));
            let count = count.and_then(|count| u16::try_from(count).ok());
            count
                .map(Shards::Count)
                .or_else(|| node.expected("a number of shards", "auto, or 1 to 1024"))
        }
        _ => node.expected("a number of shards", "auto, or 1 to 1024"),
    }
}

fn access_log(node: &Node) -> Option<AccessLog> {
    const RIGHT: &str = "off, stderr or file:PATH";
    match node.value {
        Value::String(word) if word == "off" => Some(AccessLog::Off),
        // `off` was false in YAML 1.1, and is when another program writes the document.
        Value::Bool(false) => Some(AccessLog::Off),
        Value::String(word) if word == "stderr" => Some(AccessLog::Stderr),
        Value::String(word) => match word.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Some(AccessLog::File(path.to_string())),
            _ => node.expected("a place for the access log", RIGHT),
        },
        _ => node.expected("a place for the access log", RIGHT),
    }
}

/// What an answer is held back for until its cost is known, per call.
fn cost_header_buffer(node: &Node) -> Option<u64> {
    const MAX_BUFFER_BYTES: u64 = 4 << 20;
    let bytes = values::size_bytes(node)?;
    if bytes <= MAX_BUFFER_BYTES {
        return Some(bytes);
    }
    node.expected("a size for answers held back", "0B to 4MiB, such as 256KiB")
}

fn max_body(node: &Node) -> Option<u64> {
    const MAX_BODY_BYTES: u64 = 1 << 30;
    let bytes = values::size_bytes(node)?;
    if (1..=MAX_BODY_BYTES).contains(&bytes) {
        return Some(bytes);
    }
    node.expected("a size for request bodies", "1B to 1GiB, such as 32MiB")
}

fn max_upload(node: &Node) -> Option<u64> {
    const MAX_UPLOAD_BYTES: u64 = 64 << 30;
    let bytes = values::size_bytes(node)?;
    if (1..=MAX_UPLOAD_BYTES).contains(&bytes) {
        return Some(bytes);
    }
    node.expected("a size for uploads", "1B to 64GiB, such as 512MiB")
}
