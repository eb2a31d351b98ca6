//! What FOCUS 1.2 asks of each row and each of its columns (https://focus.finops.org, "Columns").

use serde_json::Value;

use super::super::focus::COLUMNS;

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
