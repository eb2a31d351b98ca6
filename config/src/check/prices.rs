//! `providers.*.prices`: borrowed from the catalogue, the operator's own, or both; one entry per date.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    date, names,
    node::{Fields, Node},
};
use crate::{
    catalogue,
    keys::{self, Section},
    money::{self, Discount, NoNumber},
    prices::{Builder, Class, Entry, MAX_PICOS, PriceList, Prices, Reprices, ServiceTier},
};

const RIGHT: &str =
    "the name of a kind or of a section of `tollgate prices list`, a map, or a list of maps with `from`";
const MAX_DATES: usize = 64;
const MAX_MODELS: usize = 10_000;
/// Those are tried one after the other.
const MAX_PATTERNS: usize = 200;
const MAX_BANDS: usize = 8;
const TIERS: [ServiceTier; 3] = [ServiceTier::Batch, ServiceTier::Flex, ServiceTier::Priority];

/// `of_kind` is the section of the provider's kind: what there is unless something else is said.
pub fn prices(node: &Node, of_kind: Option<&str>) -> Option<PriceList> {
    match node.value {
        Value::String(_) => section(node).map(|section| PriceList::of_section(Some(section))),
        Value::Object(_) => {
            let entries = vec![entry(node, &keys::PRICES, of_kind)?];
            Some(PriceList { entries })
        }
        Value::Array(items) if (1..=MAX_DATES).contains(&items.len()) => dated(node, of_kind),
        Value::Array(items) => {
            node.fault(
                format!("the list has {} entries", items.len()),
                format!("1 to {MAX_DATES} maps, each with `from`"),
            );
            None
        }
        _ => node.expected("prices", RIGHT),
    }
}

/// Earlier entries stay: what was used in their time is told by them.
fn dated(node: &Node, of_kind: Option<&str>) -> Option<PriceList> {
    let mut last: Option<u64> = None;
    let entries = node.list("a list", RIGHT, |item| {
        let entry = entry(item, &keys::PRICES_DATED, of_kind)?;
        let has_from = item.value.get("from").is_some();
        if last.is_some() && !has_from {
            item.fault(
                "`from` is missing",
                "from: 2027-01-01T00:00:00Z; only the first may be without",
            );
        } else if last.is_some_and(|last| last >= entry.from_unix_s) {
            item.fault("it begins before the entry above it", "entries in the order of `from`");
        }
        last = Some(entry.from_unix_s);
        Some(entry)
    });
    Some(PriceList { entries: entries? })
}

fn entry(node: &Node, section_of_keys: &Section, of_kind: Option<&str>) -> Option<Entry> {
    let fields = Fields::open(node, section_of_keys)?;
    let from_unix_s = fields.read("from", date::unix_s).unwrap_or_default();
    let borrowed = fields.read("row", section).or(of_kind);
    let discount = fields.read("discount", discount).unwrap_or_default();
    let models = fields.named("models", names::visible_name, model);
    let mut names = BTreeMap::new();
    let mut patterns = Vec::new();
    for (name, prices) in models {
        match name.contains('*') {
            true => patterns.push((name, prices)),
            false => drop(names.insert(name, prices)),
        }
    }
    if let Some(node) = fields
        .get("models")
        .filter(|_| names.len() > MAX_MODELS || patterns.len() > MAX_PATTERNS)
    {
        node.fault(
            "it has too many models",
            format!("at most {MAX_MODELS} names and {MAX_PATTERNS} names with a star"),
        );
    }
    // The one that says most comes first; among equals the first written.
    patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.bytes().filter(|byte| *byte != b'*').count()));
    if of_kind.is_none() && fields.get("row").is_none() && fields.get("models").is_none() {
        node.fault(
            "it says no price",
            "row: NAME, or models: { NAME: { input: \"2.50\", output: \"10.00\" } }",
        );
    }
    Some(Entry {
        from_unix_s,
        section: borrowed.map(str::to_owned),
        discount,
        names,
        patterns,
    })
}

/// The prices of a kind, by its name or its section's.
fn section(node: &Node) -> Option<&'static str> {
    let Value::String(name) = node.value else {
        return node.expected("the name of prices", "a kind, or a section of `tollgate prices list`");
    };
    let kinds = || catalogue::rows().iter().filter(|row| row.prices.is_some());
    if let Some(section) = catalogue::sections().find(|section| section == name) {
        return Some(section);
    }
    if let Some(row) = kinds().find(|row| row.kind == *name) {
        return row.prices.as_deref();
    }
    let known = catalogue::sections().chain(kinds().map(|row| row.kind.as_str()));
    let right = node.nearest_name(name, known, || {
        "a kind, or a section of `tollgate prices list`".to_owned()
    });
    node.fault(format!("there are no prices `{}`", name.escape_debug()), right);
    None
}

fn discount(node: &Node) -> Option<Discount> {
    const RIGHT: &str = "a share such as 15% or 7.5%, from 0% to 100%";
    let parsed = node.value.as_str().map(Discount::parse);
    parsed
        .and_then(Result::ok)
        .or_else(|| node.expected("a discount", RIGHT))
}

/// What calls cost by class, tier and length.
pub(super) fn model(node: &Node) -> Option<Arc<Prices>> {
    let fields = Fields::open(node, &keys::MODEL_PRICES)?;
    let mut builder = Builder::new(fields.read("reprices", reprices).unwrap_or_default());
    band(&fields, 0, &mut builder);
    if fields.get("request").is_none() {
        for class in [Class::Input, Class::Output] {
            if fields.get(class.name()).is_none() {
                node.fault(
                    format!("`{}` is missing", class.name()),
                    format!("{}: \"2.50\", USD for a million tokens", class.name()),
                );
            }
        }
    }
    fields.read("above", |node| above(node, &mut builder));
    builder.build().map(Arc::new)
}

fn above(node: &Node, builder: &mut Builder) -> Option<()> {
    const RIGHT: &str = "[ { tokens: 200000, input: \"5.00\", output: \"15.00\" } ]";
    let bands = node.list("a list", RIGHT, |item| {
        let fields = Fields::open(item, &keys::PRICES_ABOVE)?;
        let tokens = fields.required("tokens", "200000", |node| {
            let tokens = node.value.as_u64().filter(|tokens| *tokens > 0);
            tokens.or_else(|| node.expected("a number of tokens", "a whole number such as 200000"))
        })?;
        band(&fields, tokens, builder);
        Some(tokens)
    })?;
    if bands.len() > MAX_BANDS || bands.windows(2).any(|pair| pair[0] >= pair[1]) {
        node.fault(
            "these lengths are too many, or in no order",
            format!("at most {MAX_BANDS}, each longer than the one above it"),
        );
    }
    Some(())
}

/// Prices by class, of the standard tier and of those named.
fn band(fields: &Fields, above_tokens: u64, builder: &mut Builder) {
    classes(fields, above_tokens, ServiceTier::Standard, builder);
    for tier in TIERS {
        fields.read(tier.name(), |node| {
            let fields = Fields::open(node, &keys::PRICES_OF_TIER)?;
            classes(&fields, above_tokens, tier, builder);
            Some(())
        });
    }
}

fn classes(fields: &Fields, above_tokens: u64, tier: ServiceTier, builder: &mut Builder) {
    for class in Class::ALL {
        if let Some(picos) = fields.read(class.name(), |node| price(node, class)) {
            builder.set(above_tokens, tier, class, picos);
        }
    }
}

fn price(node: &Node, class: Class) -> Option<u64> {
    let unit = match class {
        Class::Request => "USD for one request, as text: \"0.005\"",
        _ => "USD for a million tokens, as text: \"2.50\"",
    };
    let text = match node.value {
        Value::String(text) => text,
        Value::Number(number) => return node.expected("text", format!("\"{number}\", in quotes: {unit}")),
        _ => return node.expected("a price", unit),
    };
    match money::per_token(text, class.unit_log10()) {
        Ok(picos) if picos <= MAX_PICOS => Some(picos),
        Ok(_) | Err(NoNumber::TooLarge) => node.expected("a price that anybody asks", unit),
        Err(NoNumber::Inexact) => node.expected(
            "a whole number of pico-dollars for one",
            "fewer digits behind the point",
        ),
        Err(NoNumber::Malformed) => node.expected("a price", unit),
    }
}

fn reprices(node: &Node) -> Option<Reprices> {
    match node.value.as_str() {
        Some("request") => Some(Reprices::Request),
        Some("beyond") => Some(Reprices::Beyond),
        _ => node.expected(
            "what a longer prompt reprices",
            "request (the whole of it) or beyond (the tokens above)",
        ),
    }
}
