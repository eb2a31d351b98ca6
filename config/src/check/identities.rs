//! `teams`, `users`, `keys`: who may call, and what.

use std::collections::{HashMap, hash_map::Entry};

use serde_json::Value;

use super::{
    date, limits,
    names::{self, Names},
    node::{Fields, Node},
    overload, usage, values, when,
};
use crate::{
    document::{Key, KeySecret, Limit, Named, Team, User},
    keys,
};

const MAX_KEY_MODELS: usize = 10_000;

/// What holds for all calls together.
pub fn organization(node: &Node) -> Option<(Option<String>, Vec<Limit>)> {
    let fields = Fields::open(node, &keys::ORGANIZATION)?;
    let name = fields.read("name", usage::short_text);
    Some((name, fields.read("limits", limits::limits).unwrap_or_default()))
}

pub fn team(node: &Node) -> Option<Team> {
    let fields = Fields::open(node, &keys::TEAM)?;
    Some(Team {
        cost_center: fields.read("cost_center", usage::short_text),
        residency: fields.read("residency", when::regions).unwrap_or_default(),
        limits: fields.read("limits", limits::limits).unwrap_or_default(),
    })
}

pub fn user(node: &Node, names: &Names) -> Option<User> {
    let fields = Fields::open(node, &keys::USER)?;
    let team = fields.read("team", |node| names::reference(node, "team", "teams", &names.teams));
    let limits = fields.read("limits", limits::limits).unwrap_or_default();
    Some(User { team, limits })
}

pub fn key(node: &Node, names: &Names) -> Option<Key> {
    let fields = Fields::open(node, &keys::KEY)?;
    let secret = key_secret(node, &fields);
    let team = fields.read("team", |node| names::reference(node, "team", "teams", &names.teams));
    let user = fields.read("user", |node| names::reference(node, "user", "users", &names.users));
    let models = fields.read("models", |node| models(node, names)).unwrap_or_default();
    let expires_unix_s = fields.read("expires", date::unix_s);
    let loopback_only = fields.read("loopback_only", values::boolean).unwrap_or(false);
    let pass_through = fields.read("pass_through", values::boolean).unwrap_or(false);
    let batches = fields.read("batches", values::boolean).unwrap_or(false);
    let priority = fields.read("priority", overload::priority).unwrap_or_default();
    Some(Key {
        secret: secret?,
        team,
        user,
        models,
        expires_unix_s,
        loopback_only,
        pass_through,
        batches,
        residency: fields.read("residency", when::regions).unwrap_or_default(),
        explain: fields.read("explain", values::boolean).unwrap_or(false),
        limits: fields.read("limits", limits::limits).unwrap_or_default(),
        priority,
    })
}

fn key_secret(node: &Node, fields: &Fields) -> Option<KeySecret> {
    match (fields.get("secret"), fields.get("hash")) {
        (Some(secret), None) => values::secret(&secret).map(KeySecret::Reference),
        (None, Some(hash)) => sha256(&hash).map(KeySecret::Sha256),
        (Some(_), Some(hash)) => {
            hash.fault("`secret` and `hash` are both given", "one of them");
            None
        }
        (None, None) => {
            node.fault(
                "the key has no secret",
                "secret: env:NAME or file:PATH; or hash: \"sha256:HEX\"",
            );
            None
        }
    }
}

/// What is no hash may be the secret itself: it is not repeated.
fn sha256(node: &Node) -> Option<[u8; 32]> {
    let hex = node.value.as_str().and_then(|text| text.strip_prefix("sha256:"));
    let hash = hex.and_then(decode_hex);
    hash.or_else(|| node.expected_unseen("a hash", "\"sha256:\" and 64 hexadecimal digits"))
}

fn decode_hex(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| {
            char::from(pair[at])
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(bytes)
}

fn models(node: &Node, names: &Names) -> Option<Vec<String>> {
    const RIGHT: &str = "names of models, or patterns with one `*` at the end";
    if let Value::Array(items) = node.value
        && !(1..=MAX_KEY_MODELS).contains(&items.len())
    {
        let right = format!("1 to {MAX_KEY_MODELS}; without `models` the key may use every model");
        node.fault(format!("the list has {} models", items.len()), right);
        return None;
    }
    node.list("a list of models", RIGHT, |item| {
        let name = values::text(item)?;
        if !names::is_visible(&name) || !names::is_pattern(&name) {
            return item.expected("a model's name", RIGHT);
        }
        // A pattern may be there before the models it will match.
        if !name.ends_with('*') && !names.serves(&name) {
            let right = item.nearest_name(&name, names.models.iter().copied(), || {
                "a name from `models`".to_string()
            });
            item.fault(format!("there is no model `{name}`"), right);
            return None;
        }
        Some(name)
    })
}

/// Two keys of one secret could not be told apart.
pub fn distinct_secrets(root: &Fields, keys: &Named<Key>) {
    let Some(section) = root.get("keys") else { return };
    let mut owners: HashMap<&KeySecret, &str> = HashMap::with_capacity(keys.len());
    for (name, key) in keys {
        match owners.entry(&key.secret) {
            Entry::Vacant(entry) => {
                entry.insert(name);
            }
            Entry::Occupied(owner) => {
                let node = section.key(name, section.value);
                node.fault(
                    format!("the key has the same secret as `{}`", owner.get()),
                    "a secret of its own",
                );
            }
        }
    }
}
