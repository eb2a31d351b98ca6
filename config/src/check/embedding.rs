//! `embedding`: what meaning is judged with. The shipped model, one of the operator's own, or for semantic caches one at a
//! provider.

use super::{
    names::{self, Names},
    node::{Fields, Node},
    values,
};
use crate::{
    Document,
    document::{Dialect, Embedding, Reference, RemoteEmbedding, Strategy, Tier},
    keys,
};

/// Numbers that a vector may have.
const DIMENSIONS: std::ops::RangeInclusive<u64> = 16..=4_096;
const DEFAULT_TIMEOUT_MS: u64 = 150;
/// A call that waits longer had better ask its own provider.
const MOST_TIMEOUT_MS: u64 = 5_000;

pub fn embedding(node: &Node, names: &Names) -> Option<Embedding> {
    let fields = Fields::open(node, &keys::EMBEDDING)?;
    let is_remote = fields.get("provider").is_some();
    let model = |node: &Node| {
        file(
            node,
            "a model's directory",
            "file:DIRECTORY with model.safetensors and tokenizer.json",
        )
    };
    Some(Embedding {
        model: match is_remote {
            true => None,
            false => fields.read("model", model),
        },
        complexity: fields.read("complexity", |node| {
            file(
                node,
                "a router's weights",
                "file:PATH of what `tollgate tune --out` wrote",
            )
        }),
        remote: match is_remote {
            true => remote(&fields, names),
            false => {
                refuse_unused(&fields);
                None
            }
        },
    })
}

fn file(node: &Node, what: &str, right: &str) -> Option<Reference> {
    let path = node.value.as_str().and_then(|text| text.strip_prefix("file:"));
    match path.filter(|path| !path.is_empty() && !path.contains('\0')) {
        Some(path) => Some(Reference::File(path.trim_end_matches('/').to_owned())),
        None => node.expected(what, right),
    }
}

fn remote(fields: &Fields, names: &Names) -> Option<RemoteEmbedding> {
    const MODEL: &str = "the provider's name of an embeddings model, such as text-embedding-3-small";
    let provider = fields.read("provider", |node| {
        names::reference(node, "provider", "providers", &names.providers)
    });
    let model = fields.required("model", MODEL, |node| {
        let model = values::text(node)?;
        if model.starts_with("file:") {
            node.fault(
                "beside `provider` the model is one of the provider's, and routing and topics go by the shipped one",
                format!("{MODEL}, or no `provider`"),
            );
            return None;
        }
        Some(model)
    });
    let dimensions = fields.read("dimensions", |node| {
        values::count(node, *DIMENSIONS.start(), *DIMENSIONS.end())
    });
    let timeout_ms = fields.read("timeout", |node| {
        let timeout_ms = values::timeout_ms(node)?;
        if timeout_ms <= MOST_TIMEOUT_MS {
            return Some(timeout_ms);
        }
        node.expected("a time that a call waits for its vector", "1ms to 5s, such as 150ms")
    });
    Some(RemoteEmbedding {
        provider: provider?,
        model: model?,
        dimensions,
        timeout_ms: timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
    })
}

/// What says something of a provider's model only.
fn refuse_unused(fields: &Fields) {
    for key in ["dimensions", "timeout"] {
        if let Some(node) = fields.get(key) {
            node.fault(
                format!("`{key}` is said of a model at a provider"),
                "`provider` with the name of a provider, or remove it",
            );
        }
    }
}

/// Anthropic has no embeddings.
pub fn refuse_without_embeddings(fields: &Fields, document: &Document) {
    let Some(remote) = &document.embedding.remote else {
        return;
    };
    let named = document.providers.iter().find(|(name, _)| *name == remote.provider);
    let Some((name, provider)) = named else { return };
    let has_none = |dialect: &Dialect| *dialect == Dialect::Anthropic;
    let also = provider.also.iter().map(|(dialect, _)| dialect);
    if std::iter::once(&provider.dialect).chain(also).all(has_none)
        && let Some(node) = fields.get("embedding")
    {
        node.at("provider", |node| {
            node.fault(
                format!("the provider `{name}` makes no embeddings"),
                "a provider that speaks openai, gemini, cohere or bedrock",
            );
        });
    }
}

/// Weights mean something to the vectors that they were made with, and to no others.
pub fn refuse_mismatched(fields: &Fields, document: &Document) {
    let Embedding { model, complexity, .. } = &document.embedding;
    let judges = |tier: &Tier| tier.strategy == Strategy::Complexity;
    let judged = document.models.iter().find(|(_, model)| model.tiers.iter().any(judges));
    if let (Some(_), None, Some((name, _))) = (model, complexity, judged)
        && let Some(node) = fields.get("embedding")
    {
        node.fault(
            format!(
                "the model `{name}` goes by complexity, and the shipped weights know the shipped `embedding.model` only"
            ),
            "complexity: file:PATH of weights that `tollgate tune --embedding DIRECTORY` made",
        );
    }
}
