//! Sums as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification (https://focus.finops.org): a day, a team, a key
//! and a provider's model in each; what a cache answered is the gateway's own. Costs have all their digits, so that the rows
//! add up to the ledger. A row sums classes of tokens that have prices of their own: it has no unit price, and columns of
//! those are left out, which must not be null.

use serde_json::{Map, Value, json};

use super::{
    question::{Answer, Dimension, Question, cost, list_cost},
    row::{NUMBERS, Numbers},
    zone::Zone,
};

/// What rows are kept apart by, in this order; what was asked of no provider by the model asked for as well.
pub const BY: &str =
    "day,organization,team,cost_center,user,key,provider,upstream_model,credential,price_version,tags,cache,entry";
/// Whose an answer is that no provider was asked for.
const GATEWAY: &str = "Tollgate";
/// Of our own tags.
const PREFIX: &str = "tollgate/";

/// The columns, as the specification orders them.
pub const COLUMNS: [&str; 35] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
];

pub fn question(span: (u64, u64), zone: Zone, kept_from_ms: u64) -> Question {
    let mut by = Dimension::parse_list(BY).unwrap_or_default();
    by.push(Dimension::KeptModel);
    Question::new(by, span, zone, kept_from_ms)
}

/// `now_ms` tells which billing period goes on: a correction of an earlier one is marked.
pub fn rows(answer: &Answer, zone: &Zone, now_ms: u64) -> Vec<Value> {
    let now = zone.month(now_ms);
    answer
        .sums
        .iter()
        .filter_map(|(key, sums)| row(key, sums, zone, &now))
        .collect()
}

/// What is charged for, by names that are never empty.
struct Offer {
    /// Who provides, publishes and bills it.
    by: String,
    sku: String,
    named: String,
}

impl Offer {
    fn of((provider, upstream_model): (&str, &str), (kept_model, cache): (&str, &str)) -> Self {
        if !provider.is_empty() {
            let (sku, named) = match upstream_model {
                "" => (provider, provider.to_owned()),
                model => (model, format!("{model} at {provider}")),
            };
            return Self {
                by: provider.to_owned(),
                sku: sku.to_owned(),
                named,
            };
        }
        let parts = [kept_model, cache].into_iter().filter(|part| !part.is_empty());
        let sku = parts.collect::<Vec<_>>().join(" ");
        let (sku, named) = match sku.is_empty() {
            true => (GATEWAY.to_owned(), GATEWAY.to_owned()),
            false => (sku.clone(), format!("{sku} at {GATEWAY}")),
        };
        Self {
            by: GATEWAY.to_owned(),
            sku,
            named,
        }
    }
}

fn row(key: &[String], sums: &Numbers, zone: &Zone, now: &str) -> Option<Value> {
    let [
        day,
        organization,
        team,
        cost_center,
        user,
        api_key,
        provider,
        upstream_model,
        credential,
        version,
        tags,
        cache,
        entry,
        kept_model,
    ] = key
    else {
        return None;
    };
    let month = day.get(..7)?;
    let (from, to) = zone.month_span(month)?;
    let (day_from, day_to) = (zone.day_begins(day)?, next_day(zone, day)?);
    let number = |name: &str| NUMBERS.iter().position(|known| *known == name).map_or(0, |at| sums[at]);
    let tokens = number("input_tokens").saturating_add(number("output_tokens"));
    let is_usage = entry.is_empty();
    // An adjustment consumes nothing.
    let consumed = |text: Value| if is_usage { text } else { Value::Null };
    let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let billed = cost(sums).to_string();
    let time = |ms: u64| crate::time::rfc3339(ms / 1000);
    let account = if organization.is_empty() {
        "tollgate"
    } else {
        organization
    };
    let offer = Offer::of((provider, upstream_model), (kept_model, cache));
    let description = match is_usage {
        true => format!("{}: {} calls", offer.named, number("requests")),
        false => format!("{}: {entry}", offer.named),
    };
    let (sub_account, sub_account_type) = match (cost_center.as_str(), team.as_str()) {
        ("", "") => ("", ""),
        ("", team) => (team, "Team"),
        (cost_center, _) => (cost_center, "Cost Center"),
    };
    let values = [
        json!(billed),
        json!(account),
        json!(account),
        json!("Organization"),
        json!("USD"),
        json!(time(to)),
        json!(time(from)),
        json!(if is_usage { "Usage" } else { "Adjustment" }),
        if is_usage || month == now {
            Value::Null
        } else {
            json!("Correction")
        },
        json!(description),
        json!(if is_usage { "Usage-Based" } else { "One-Time" }),
        json!(time(day_to)),
        json!(time(day_from)),
        consumed(json!(tokens.to_string())),
        consumed(json!("Tokens")),
        json!(billed),
        json!(billed),
        json!(offer.by),
        json!(list_cost(sums).to_string()),
        json!("Standard"),
        json!(tokens.to_string()),
        json!("Tokens"),
        json!(offer.by),
        json!(offer.by),
        text(api_key),
        if api_key.is_empty() {
            Value::Null
        } else {
            json!("API Key")
        },
        json!("AI and Machine Learning"),
        json!(offer.sku),
        json!("Generative AI"),
        json!(offer.sku),
        // The same at whatever amount: which prices they were is a tag.
        json!(offer.sku),
        text(sub_account),
        text(if team.is_empty() { sub_account } else { team }),
        text(sub_account_type),
        json!(tagged(
            tags,
            &[
                ("user", user),
                ("cost_center", cost_center),
                ("credential", credential),
                ("price_version", version),
                ("cache", cache)
            ]
        )),
    ];
    let row: Map<String, Value> = COLUMNS.iter().map(|name| (*name).to_owned()).zip(values).collect();
    Some(Value::Object(row))
}

fn next_day(zone: &Zone, day: &str) -> Option<u64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    zone.day_begins(&day.tomorrow().ok()?.to_string())
}

/// As a JSON text: the caller's own tags, and ours under a prefix, which none of a caller's has.
fn tagged(tags: &str, ours: &[(&str, &String)]) -> String {
    let is_ours = |name: &str| {
        name.get(..PREFIX.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX))
    };
    let pairs = tags.split(',').filter_map(|pair| pair.trim().split_once('='));
    let pairs = pairs.filter(|(name, _)| !is_ours(name));
    let mut all: Map<String, Value> = pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    for (name, value) in ours.iter().filter(|(_, value)| !value.is_empty()) {
        all.insert(format!("{PREFIX}{name}"), json!(value));
    }
    Value::Object(all).to_string()
}
