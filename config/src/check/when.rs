//! Conditions that are more than a name or a size: features, hours and days of a zone, what a call may cost.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZoneDatabase};
use serde_json::Value;

use super::{
    node::{Fields, Node},
    routing::percent,
    spending, values,
};
use crate::{
    document::{Conditions, Days, Feature, Features, Hours, Zone},
    money::NanoUsd,
};

/// Clocks are known from the first to the last of these seconds: 2020 and 2100.
const ZONES_FROM_UNIX_S: i64 = 1_577_836_800;
const ZONES_TO_UNIX_S: i64 = 4_102_444_800;
const MAX_TOKENS: u64 = 1_000_000_000;

/// Reads what of a `when` is said here, and refuses what can never hold.
pub fn conditions(fields: &Fields, node: &Node, when: &mut Conditions) {
    when.features = fields.read("features", features).unwrap_or_default();
    when.without = fields.read("without", features).unwrap_or_default();
    if when.features.has_any(when.without) {
        node.fault(
            "`features` and `without` have one in common: no call fits",
            "each of them in one list",
        );
    }
    let tokens = |key| fields.read(key, |node| values::count(node, 1, MAX_TOKENS).map(u64::from));
    when.min_tokens = tokens("min_tokens");
    when.max_tokens = tokens("max_tokens");
    if let (Some(min), Some(max)) = (when.min_tokens, when.max_tokens)
        && min > max
    {
        let wrong = "`min_tokens` is larger than `max_tokens`: no call fits";
        node.fault(wrong, "min_tokens up to max_tokens");
    }
    when.max_cost = fields.read("max_cost", money);
    when.margin_percent = fields.read("margin", |node| percent(node, 0));
    when.spent_share = fields.read("spent_share", spending::spent_share);
    when.hours = hours_of_days(fields);
}

fn features(node: &Node) -> Option<Features> {
    let names = || Feature::ALL.iter().map(|feature| feature.name());
    let right = || format!("one of {}", names().collect::<Vec<_>>().join(", "));
    let read = node.list("a list of features", "[ vision, tools ]", |item| {
        let word = item.value.as_str().unwrap_or_default();
        let found = Feature::ALL.iter().find(|feature| feature.name() == word);
        found
            .copied()
            .or_else(|| item.expected("a feature", item.nearest_name(word, names(), right)))
    })?;
    Some(read.into_iter().collect())
}

pub fn money(node: &Node) -> Option<NanoUsd> {
    let amount = node.value.as_str().and_then(|text| NanoUsd::parse(text).ok());
    let amount = amount.filter(|amount| amount.0 > 0);
    amount.or_else(|| node.expected("an amount of money", "more than nothing, such as \"0.02 USD\""))
}

fn hours_of_days(fields: &Fields) -> Option<Hours> {
    let hours = fields.read("hours", hours);
    let days = fields.read("days", days);
    let zone = fields.read("zone", zone);
    if fields.get("hours").is_none() && fields.get("days").is_none() {
        if let Some(node) = fields.get("zone") {
            node.fault(
                "`zone` without `hours` or `days` says nothing",
                "`hours` or `days` beside it",
            );
        }
        return None;
    }
    let (from_minute, to_minute) = hours.unwrap_or(Hours::WHOLE_DAY);
    Some(Hours {
        days: days.unwrap_or(Days::ALL),
        from_minute,
        to_minute,
        zone: zone.unwrap_or_else(Zone::utc),
    })
}

/// `08:00-18:00`, `22:00-06:00`; `24:00` is the end of a day.
fn hours(node: &Node) -> Option<(u16, u16)> {
    const RIGHT: &str = "two times of the day, such as \"08:00-18:00\" or \"22:00-06:00\"";
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let (hour, minute) = Some((hour, minute)).filter(|(hour, minute)| two(hour) && two(minute))?;
        let minutes = hour.parse::<u16>().ok()? * 60 + minute.parse::<u16>().ok().filter(|&minute| minute < 60)?;
        (minutes <= Hours::WHOLE_DAY.1).then_some(minutes)
    };
    let both = node.value.as_str().and_then(|text| text.split_once('-'));
    let read = both.and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    match read {
        Some((from, to)) if from != to && from < Hours::WHOLE_DAY.1 => Some((from, to)),
        _ => node.expected("hours of a day", RIGHT),
    }
}

/// `mon-fri`, `sat`, or a list of such.
fn days(node: &Node) -> Option<Days> {
    if let Value::Array(items) = node.value {
        if items.is_empty() {
            return node.expected("days", "at least one, such as [ sat, sun ]");
        }
        let read = node.list("days", "[ mon, wed-fri ]", span)?;
        return Some(Days(read.iter().fold(0, |all, days| all | days.0)));
    }
    span(node)
}

/// A day, or from one to another, over the week's end where the second comes before the first.
fn span(node: &Node) -> Option<Days> {
    let day = |word: &str| Days::NAMES.iter().position(|name| *name == word.trim());
    let text = node.value.as_str().unwrap_or_default();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Some(first), Some(last)) = (day(first), day(last)) else {
        return node.expected("days", "mon to sun, or a span such as mon-fri, or a list of such");
    };
    let count = (last + 7 - first) % 7 + 1;
    Some(Days((0..count).fold(0, |all, step| all | 1 << ((first + step) % 7))))
}

/// Compiles a zone of the IANA's database to the times at which its clocks change.
fn zone(node: &Node) -> Option<Zone> {
    const RIGHT: &str = "a zone of the IANA's database, such as Europe/Berlin or UTC";
    let name = values::text(node)?;
    let database = TimeZoneDatabase::bundled();
    let Ok(zone) = database.get(&name) else {
        let known: Vec<String> = database.available().map(|known| known.as_str().to_owned()).collect();
        let right = node.nearest_name(&name, known.iter().map(String::as_str), || RIGHT.to_owned());
        return node.expected("a time zone", right);
    };
    let from = Timestamp::from_second(ZONES_FROM_UNIX_S).unwrap_or(Timestamp::UNIX_EPOCH);
    let first = (ZONES_FROM_UNIX_S, zone.to_offset(from).seconds());
    let later = zone
        .following(from)
        .map(|change| (change.timestamp().as_second(), change.offset().seconds()));
    let changes: Arc<[(i64, i32)]> = std::iter::once(first)
        .chain(later.take_while(|(at, _)| *at < ZONES_TO_UNIX_S))
        .collect();
    Some(Zone { name, changes })
}

/// The label of a region: `eu`, `us-east`.
pub fn region(node: &Node) -> Option<String> {
    const MAX_LABEL_BYTES: usize = 64;
    let label = values::text(node)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if label.len() <= MAX_LABEL_BYTES && label.bytes().all(fits) {
        return Some(label);
    }
    node.expected("the label of a region", "letters, digits, `-`, `.` and `_`, such as eu")
}

/// One label, or a list of them.
pub fn regions(node: &Node) -> Option<Vec<String>> {
    match node.value {
        Value::Array(items) if items.is_empty() => node.expected("a list of regions", "at least one, such as [ eu ]"),
        Value::Array(_) => node.list("a list of regions", "[ eu ]", region),
        _ => region(node).map(|label| vec![label]),
    }
}

/// Whoever must stay in a region that no target is in could call nobody.
pub fn refuse_empty_regions(root: &Fields, tree: &Value) {
    let known = regions_of_targets(tree);
    for section in ["teams", "keys"] {
        let Some(entries) = root.get(section) else { continue };
        let names = entries.value.as_object().into_iter().flatten();
        for (name, value) in names {
            entries.key(name, value).at("residency", |node| match node.value {
                Value::Array(_) => _ = node.list("", "", |item| refuse_empty(item, &known)),
                _ => _ = refuse_empty(node, &known),
            });
        }
    }
}

fn items<'v>(map: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    map.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// All that are said, also where something else is wrong: that must not look like two faults.
fn regions_of_targets(tree: &Value) -> Vec<&str> {
    let entries = |section| tree.get(section).and_then(Value::as_object).into_iter().flatten();
    let mut known = Vec::new();
    for (_, provider) in entries("providers") {
        known.extend(provider.get("residency").and_then(Value::as_str));
    }
    for (_, model) in entries("models") {
        let tiers = std::iter::once(model).chain(items(model, "tiers"));
        let targets = tiers.flat_map(|tier| items(tier, "targets"));
        known.extend(targets.filter_map(|target| target.get("region")?.as_str()));
    }
    known
}

fn refuse_empty(node: &Node, known: &[&str]) -> Option<()> {
    let label = node.value.as_str().filter(|label| !known.contains(label))?;
    let right = node.nearest_name(label, known.iter().copied(), || "the `region` of a target".to_owned());
    node.fault(format!("no target is in the region `{label}`"), right);
    None
}
