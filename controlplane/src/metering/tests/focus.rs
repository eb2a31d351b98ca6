//! What FOCUS 1.2 asks of each row and each of its columns (https://focus.finops.org, "Columns").

use serde_json::Value;

use tollgate_config::usage_event::{CacheMark, UsageEvent};

use super::{
    super::focus::{self, COLUMNS},
    BEGINNING_MS, HOUR_MS, World, Zone, calls, close, frame, reader,
};

const NEVER_NULL: [&str; 27] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuPriceId",
    "Tags",
];
/// Null together or not at all.
const TOGETHER: [(&str, &str); 4] = [
    ("ConsumedQuantity", "ConsumedUnit"),
    ("ResourceId", "ResourceType"),
    ("SubAccountId", "SubAccountName"),
    ("SubAccountId", "SubAccountType"),
];
const NUMBERS: [&str; 6] = [
    "BilledCost",
    "ConsumedQuantity",
    "ContractedCost",
    "EffectiveCost",
    "ListCost",
    "PricingQuantity",
];

#[track_caller]
pub fn assert_valid(row: &Value) {
    let members = row.as_object().unwrap();
    assert_eq!(members.len(), COLUMNS.len(), "{row}");
    assert!(COLUMNS.iter().all(|column| members.contains_key(*column)), "{row}");
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    for name in NEVER_NULL {
        assert!(!text(name).is_empty(), "{name} is null: {row}");
    }
    for (one, other) in TOGETHER {
        assert_eq!(row[one].is_null(), row[other].is_null(), "{one}, {other}: {row}");
    }
    for name in NUMBERS {
        let digits = text(name).trim_start_matches('-');
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        assert!(
            is_number && (row[name].is_null() || !digits.is_empty()),
            "{name}: {row}"
        );
    }
    let is_usage = match text("ChargeCategory") {
        "Usage" => true,
        "Adjustment" => false,
        other => panic!("ChargeCategory {other}: {row}"),
    };
    assert_eq!(
        row["ConsumedQuantity"].is_null(),
        !is_usage,
        "only usage consumes: {row}"
    );
    assert_eq!(
        text("ChargeFrequency"),
        if is_usage { "Usage-Based" } else { "One-Time" }
    );
    let class = row["ChargeClass"].as_str();
    assert!(class.is_none() || (class == Some("Correction") && !is_usage), "{row}");
    // As the specification writes times, they are in the order of their texts.
    let times = [
        "BillingPeriodStart",
        "ChargePeriodStart",
        "ChargePeriodEnd",
        "BillingPeriodEnd",
    ]
    .map(text);
    assert!(times.is_sorted() && times[1] < times[2], "{row}");
    let is_utc = |time: &str| time.len() == "2026-11-01T00:00:00Z".len() && time.ends_with('Z');
    assert!(times.into_iter().all(is_utc), "{row}");
    let tags: Value = serde_json::from_str(text("Tags")).unwrap();
    assert!(tags.is_object(), "{row}");
}

/// A hit as it is recorded: no provider, and with `charge_hits` what its answer cost.
fn hit(sequence: u64, cache: CacheMark, tags: &'static str) -> Vec<u8> {
    frame(&UsageEvent {
        cache,
        tags,
        user: "ann",
        model_asked: "smart-now",
        attempts: 0,
        ended_unix_ms: BEGINNING_MS,
        ..close(sequence, sequence)
    })
}

#[test]
fn answers_of_a_cache_are_rows_of_the_gateways_own() {
    let world = World::new();
    let hits = [
        hit(1, CacheMark::Hit, ""),
        hit(2, CacheMark::SemanticHit, ""),
        hit(3, CacheMark::None, ""),
        calls(4, 1),
    ];
    world.write(0, 1, &hits.concat());
    let rows = exported(&world);
    rows.iter().for_each(assert_valid);
    let told =
        |row: &Value| ["ProviderName", "SkuId", "ChargeDescription"].map(|name| row[name].as_str().unwrap().to_owned());
    let mut told: Vec<_> = rows.iter().map(told).collect();
    told.sort();
    assert_eq!(
        told,
        [
            ["Tollgate", "Tollgate", "Tollgate: 1 calls"],
            ["Tollgate", "smart-now", "smart-now at Tollgate: 1 calls"],
            ["Tollgate", "smart-now hit", "smart-now hit at Tollgate: 1 calls"],
            [
                "Tollgate",
                "smart-now semantic-hit",
                "smart-now semantic-hit at Tollgate: 1 calls"
            ],
        ]
        .map(|row| row.map(str::to_owned))
    );
}

#[test]
fn no_tag_of_a_callers_is_taken_for_one_of_ours() {
    let world = World::new();
    const FORGED: &str = "tollgate/user=ceo, Tollgate/cost_center=x,tollgate/credential=y,project=tollgate/z";
    world.write(0, 1, &hit(1, CacheMark::Hit, FORGED));
    let rows = exported(&world);
    let tags: Value = serde_json::from_str(rows[0]["Tags"].as_str().unwrap()).unwrap();
    let ours = serde_json::json!({
        "project": "tollgate/z",
        "tollgate/user": "ann",
        "tollgate/price_version": "ffffffffffffffff",
        "tollgate/cache": "hit",
    });
    assert_eq!(tags, ours);
}

fn exported(world: &World) -> Vec<Value> {
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let span = (BEGINNING_MS, BEGINNING_MS + HOUR_MS);
    let answer = focus::question(span, Zone::utc(), 0)
        .ask(&mut reader(&metering))
        .unwrap();
    focus::rows(&answer, &Zone::utc(), 0)
}
