//! `limits`, wherever they stand, and the time zone that their calendar windows are in.

use std::collections::HashSet;

use jiff::tz::TimeZoneDatabase;

use super::{
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Limit, LimitMode, MAX_THRESHOLDS, Per, Period, Thresholds, Unit, Window},
    keys,
    money::NanoUsd,
};

/// Of one scope: a call goes through all of them.
const MAX_LIMITS: usize = 16;
/// Balances are 64-bit numbers with a sign, and two of these are added.
const MAX_AMOUNT: u64 = 1 << 60;
const MAX_PER_MS: u64 = 366 * 86_400_000;
const EXAMPLE: &str =
    "[ { requests: 100, per: 1s }, { tokens: 1000000, per: day }, { budget: \"300 USD\", per: month } ]";

pub fn limits(node: &Node) -> Option<Vec<Limit>> {
    let limits = node.list("a list of limits", EXAMPLE, limit)?;
    distinct(node, limits)
}

/// Of calls that say the same of a tag.
pub fn tag(node: &Node) -> Option<Vec<Limit>> {
    let fields = Fields::open(node, &keys::TAG)?;
    fields.required("limits", EXAMPLE, limits)
}

/// No two of one unit and period, and not too many.
pub fn distinct(node: &Node, limits: Vec<Limit>) -> Option<Vec<Limit>> {
    if limits.len() > MAX_LIMITS {
        let right = format!("at most {MAX_LIMITS}: a call goes through all of them");
        node.fault(format!("the list has {} limits", limits.len()), right);
        return None;
    }
    let mut seen = HashSet::new();
    for limit in &limits {
        // A burst may change without a new balance: it tells no limits apart.
        let window = match limit.window {
            Window::Refill { per_ms, .. } => Window::Refill { per_ms, burst: 0 },
            window => window,
        };
        if !seen.insert((limit.unit, window)) {
            let wrong = format!("`{}` is limited twice in the same period", limit.unit.name());
            node.fault(wrong, "one limit for each unit and period");
        }
    }
    Some(limits)
}

fn limit(node: &Node) -> Option<Limit> {
    let fields = Fields::open(node, &keys::LIMIT)?;
    of_fields(node, &fields)
}

/// A limit whose keys are those of its section.
pub fn of_fields(node: &Node, fields: &Fields) -> Option<Limit> {
    let said: Vec<Unit> = Unit::ALL
        .into_iter()
        .filter(|unit| fields.get(unit.name()).is_some())
        .collect();
    let [unit] = said[..] else {
        let names = Unit::ALL.map(Unit::name).join(", ");
        node.fault(
            format!("the limit is of {} things", said.len()),
            format!("one of {names}, such as {{ requests: 100, per: 1s }}"),
        );
        return None;
    };
    let amount = fields.read(unit.name(), |node| amount(node, unit));
    let mode = fields.read("mode", mode).unwrap_or_default();
    let window = match unit {
        Unit::Concurrent => none(fields),
        _ => window(node, fields, amount.unwrap_or(1)),
    };
    let hard = flag(fields, "hard", unit, mode);
    let cut = flag(fields, "cut", unit, mode);
    let said = match (fields.get("thresholds"), unit) {
        (Some(node), Unit::Concurrent) => {
            node.fault("`thresholds` of calls under way", "without them: they come and go");
            None
        }
        (Some(node), _) => thresholds(&node),
        (None, _) => None,
    };
    let limit = Limit::new(unit, amount?, window?);
    Some(Limit {
        mode,
        hard,
        cut,
        thresholds: said.unwrap_or(limit.thresholds),
        ..limit
    })
}

/// `hard` or `cut`: of what a call's answer adds to.
fn flag(fields: &Fields, name: &'static str, unit: Unit, mode: LimitMode) -> bool {
    let Some(node) = fields.get(name) else { return false };
    let is = values::boolean(&node).unwrap_or(false);
    let fits = match unit {
        Unit::Tokens | Unit::OutputTokens | Unit::Budget => true,
        Unit::InputTokens => name == "hard",
        Unit::Requests | Unit::Concurrent => false,
    };
    if is && !fits {
        let units = if name == "hard" {
            "tokens or money"
        } else {
            "tokens of answers, or money"
        };
        node.fault(
            format!("`{name}` of a limit of `{}`", unit.name()),
            format!("a limit of {units}: no other needs it"),
        );
    } else if is && mode == LimitMode::Shadow {
        node.fault(
            format!("`{name}` beside `mode: shadow`"),
            "one of them: what only watches changes no call",
        );
    }
    is
}

/// `[ 50%, 80%, 95% ]`; empty: none.
fn thresholds(node: &Node) -> Option<Thresholds> {
    const RIGHT: &str = "percentages that rise, such as [ 50%, 80%, 95% ]";
    let percents = node.list("a list of percentages", RIGHT, |item| {
        let percent = item.value.as_str().and_then(|text| text.strip_suffix('%'));
        let percent = percent.and_then(|digits| digits.parse::<u8>().ok());
        percent.or_else(|| item.expected("a whole percentage", "1% to 100%, such as 80%"))
    })?;
    let all = node.value.as_array().map_or(0, Vec::len);
    if percents.len() < all {
        return None;
    }
    Thresholds::new(&percents).or_else(|| {
        node.fault("these are no thresholds", format!("at most {MAX_THRESHOLDS} {RIGHT}"));
        None
    })
}

fn amount(node: &Node, unit: Unit) -> Option<u64> {
    if unit == Unit::Budget {
        let nanos = node.value.as_str().and_then(|text| NanoUsd::parse(text).ok());
        return nanos
            .map(|nanos| nanos.0)
            .filter(|nanos| (1..=MAX_AMOUNT).contains(nanos))
            .or_else(|| {
                node.expected(
                    "an amount of money",
                    "\"500.00 USD\": dollars, at most nine digits behind the point",
                )
            });
    }
    let count = node.value.as_u64().filter(|count| (1..=MAX_AMOUNT).contains(count));
    count.or_else(|| node.expected("a number of them", "a whole number, at least 1"))
}

/// Calls under way have no period.
fn none(fields: &Fields) -> Option<Window> {
    for key in ["per", "burst"] {
        if let Some(beside) = fields.get(key) {
            beside.fault(
                format!("`{key}` beside `concurrent`"),
                "without it: what ends makes room at once",
            );
        }
    }
    Some(Window::None)
}

const PERIOD: &str = "a period such as 1s, 1m or 1h, or day, week, month, quarter or year of the calendar";

fn window(node: &Node, fields: &Fields, amount: u64) -> Option<Window> {
    let Some(per) = fields.get("per") else {
        node.fault("`per` is missing", format!("per: {PERIOD}"));
        return None;
    };
    match self::per(&per)? {
        Per::Calendar(period) => {
            if let Some(burst) = fields.get("burst") {
                burst.fault(
                    "`burst` beside a calendar's period",
                    "without it: all of the amount may be used at once",
                );
            }
            Some(Window::Calendar(period))
        }
        Per::Refilled { ms } => {
            let burst = fields
                .read("burst", |node| self::amount(node, Unit::Requests))
                .unwrap_or(amount);
            Some(Window::Refill { per_ms: ms, burst })
        }
    }
}

/// The period of a limit.
pub(super) fn per(node: &Node) -> Option<Per> {
    let word = node.value.as_str();
    if let Some(period) = Period::ALL.into_iter().find(|period| word == Some(period.name())) {
        return Some(Per::Calendar(period));
    }
    if word.is_some_and(|word| !word.starts_with(|first: char| first.is_ascii_digit())) {
        return node.expected("a period", PERIOD);
    }
    let ms = values::timeout_ms(node)?;
    if ms > MAX_PER_MS {
        return node.expected("a period within a year", PERIOD);
    }
    Some(Per::Refilled { ms })
}

fn mode(node: &Node) -> Option<LimitMode> {
    match node.value.as_str() {
        Some("enforce") => Some(LimitMode::Enforce),
        Some("shadow") => Some(LimitMode::Shadow),
        _ => node.expected("what a limit does", "enforce, or shadow to count without refusing"),
    }
}

/// A name of the IANA database that is built in: no machine's own can change what a month is.
pub fn timezone(node: &Node) -> Option<String> {
    let name = values::text(node)?;
    if name == "UTC" || TimeZoneDatabase::bundled().get(&name).is_ok() {
        return Some(name);
    }
    node.expected(
        "a time zone",
        "a name of the IANA database, such as UTC or Europe/Berlin",
    )
}
