//! `webhooks`: who is told of what happens.

use super::{
    node::{Fields, Node},
    url, values,
};
use crate::{
    document::{NOTICES, USUAL_NOTICES, Webhook},
    keys,
};

/// Each has a queue and a task of its own.
const MAX_WEBHOOKS: usize = 16;

pub fn webhook(node: &Node) -> Option<Webhook> {
    let fields = Fields::open(node, &keys::WEBHOOK)?;
    let url = fields.required("url", "https://HOST/PATH", |node| url::base_url(node, "/"));
    let secret = fields.required("secret", "env:NAME or file:PATH", values::secret);
    let events = match fields.get("events") {
        Some(node) => events(&node),
        None => Some(NOTICES.into_iter().take(USUAL_NOTICES).collect()),
    };
    Some(Webhook {
        url: url?,
        secret: secret?,
        events: events?,
    })
}

fn events(node: &Node) -> Option<Vec<&'static str>> {
    let right = format!("of {}", NOTICES.join(", "));
    let events = node.list("a list of events", &right, |item| {
        let known = NOTICES.into_iter().find(|known| item.value.as_str() == Some(known));
        known.or_else(|| item.expected("an event that can be told", &right))
    })?;
    if node.value.as_array().is_some_and(Vec::is_empty) {
        node.fault("the list is empty", right);
        return None;
    }
    Some(events)
}

pub fn few(root: &Fields) {
    let Some(node) = root.get("webhooks") else { return };
    let count = node.value.as_object().map_or(0, |map| map.len());
    if count > MAX_WEBHOOKS {
        node.fault(format!("there are {count} webhooks"), format!("at most {MAX_WEBHOOKS}"));
    }
}
