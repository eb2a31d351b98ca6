//! `usage.kafka`: where records of calls go besides the ledger.

use std::net::IpAddr;

use serde_json::Value;

use super::{
    node::{Fields, Node},
    providers, url, values,
};
use crate::{
    document::{Acks, KAFKA_PORT, Kafka, KafkaTls, Mechanism, Sasl, UpstreamTls},
    keys,
};

const MAX_BROKERS: usize = 32;
/// Kafka takes no longer names of topics.
const MAX_TOPIC_BYTES: usize = 249;
const MAX_USER_BYTES: usize = 256;
const MAX_HOLD_MS: u64 = 90 * 86_400_000;
const BROKER: &str = "HOST:PORT, such as kafka-1.example.com:9093";

pub fn kafka(node: &Node) -> Option<Kafka> {
    let fields = Fields::open(node, &keys::KAFKA)?;
    let brokers = fields.required("brokers", "brokers: [ \"kafka-1.example.com:9093\" ]", brokers);
    let topic = fields.required("topic", "topic: tollgate-usage", topic);
    let sasl = fields.get("sasl").map(|node| sasl(&node));
    let acks = fields.read("acks", acks).unwrap_or_default();
    let hold_ms = fields.read("hold", hold_ms).unwrap_or(Kafka::DEFAULT_HOLD_MS);
    let stays = |brokers: &Vec<(String, u16)>| brokers.iter().all(|(host, _)| never_leaves(host));
    let tls = match (fields.get("tls"), &brokers) {
        (Some(node), _) => tls(&node)?,
        (None, Some(brokers)) if stays(brokers) => KafkaTls::Off,
        (None, _) => KafkaTls::Verified(UpstreamTls::default()),
    };
    let sasl = match sasl {
        Some(sasl) => Some(sasl?),
        None => None,
    };
    let brokers = brokers?;
    let is_plain = sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::Plain);
    if is_plain && tls == KafkaTls::Off && !stays(&brokers) {
        node.at("tls", |node| {
            node.fault(
                "with `mechanism: plain` and without TLS the password goes over the network as it is",
                "TLS, or `mechanism: scram-sha-512`",
            );
        });
    }
    Some(Kafka {
        brokers,
        topic: topic?,
        tls,
        sasl,
        acks,
        hold_ms,
    })
}

fn brokers(node: &Node) -> Option<Vec<(String, u16)>> {
    let read = node.list("a list of brokers", BROKER, broker)?;
    let said = node.value.as_array().map_or(0, Vec::len);
    if said == 0 || said > MAX_BROKERS {
        node.fault(
            format!("there are {said} brokers"),
            format!("1 to {MAX_BROKERS}, each {BROKER}"),
        );
        return None;
    }
    (read.len() == said).then_some(read)
}

fn broker(node: &Node) -> Option<(String, u16)> {
    let text = values::text(node)?;
    if text.contains("://") || text.contains('@') {
        // It may have a password in it.
        return node.expected_unseen("a broker", format!("{BROKER}; `tls` and `sasl` have keys of their own"));
    }
    match url::authority(&text) {
        Ok((host, port)) => Some((host, port.unwrap_or(KAFKA_PORT))),
        Err(why) => node.expected(&format!("a broker: {why}"), BROKER),
    }
}

/// What stays on this machine needs no TLS.
fn never_leaves(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn topic(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.len() <= MAX_TOPIC_BYTES && text.bytes().all(fits) && text != "." && text != ".." {
        return Some(text);
    }
    node.expected(
        "a topic's name",
        format!("up to {MAX_TOPIC_BYTES} letters, digits and `.`, `_`, `-`, such as tollgate-usage"),
    )
}

fn tls(node: &Node) -> Option<KafkaTls> {
    match node.value {
        Value::String(word) if word == "off" => Some(KafkaTls::Off),
        Value::Bool(false) => Some(KafkaTls::Off),
        Value::Object(_) | Value::Null => providers::tls(node).map(KafkaTls::Verified),
        _ => node.expected(
            "how TLS is done",
            "off, or a map of ca, client_certificate, client_key, server_name",
        ),
    }
}

fn sasl(node: &Node) -> Option<Sasl> {
    let fields = Fields::open(node, &keys::KAFKA_SASL)?;
    let names = Mechanism::ALL.map(Mechanism::name).join(", ");
    let mechanism = fields.required("mechanism", &names, |node| {
        let found = Mechanism::ALL
            .into_iter()
            .find(|one| node.value.as_str() == Some(one.name()));
        found.or_else(|| node.expected("a mechanism", names.clone()))
    });
    let user = fields.required("user", "who to log in as, such as tollgate", user);
    let password = fields.required("password", "env:NAME or file:PATH", values::secret);
    Some(Sasl {
        mechanism: mechanism?,
        user: user?,
        password: password?,
    })
}

fn user(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    if text.len() <= MAX_USER_BYTES && !text.chars().any(char::is_control) {
        return Some(text);
    }
    node.expected("a user's name", format!("at most {MAX_USER_BYTES} bytes"))
}

fn acks(node: &Node) -> Option<Acks> {
    match node.value {
        Value::String(word) if word == "all" => Some(Acks::All),
        Value::String(word) if word == "leader" => Some(Acks::Leader),
        _ => node.expected("who has a record before it counts as sent", "all or leader"),
    }
}

fn hold_ms(node: &Node) -> Option<u64> {
    let ms = values::duration_ms(node)?;
    if ms <= MAX_HOLD_MS {
        return Some(ms);
    }
    node.expected("a time that calls wait to be sent", "up to 90d, such as 7d")
}
