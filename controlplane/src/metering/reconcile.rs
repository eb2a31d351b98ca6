//! A provider's own account of what was used, beside ours: by day, model and credential, to the token, and to the money the
//! provider rounds to. Each difference is told with what may have caused it; knows no provider's file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tollgate_config::fnv::Fnv;

use super::{
    adjust::Adjustment,
    money::Picos,
    question::{Answer, cost},
    row::{COST, NUMBERS, Numbers, TEXTS, TOKENS},
};

pub const ENTRY: &str = "reconciled";
/// What `post` of a record begins with that pins a day.
pub const PIN: &str = "reconciled:agrees:";
/// What a provider may tell.
pub const MEASURES: [&str; 10] = [
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "images",
    "audio_ms",
];

/// What a provider tells of a day, a model and a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// UTC, as providers count: `2026-11-01`.
    pub day: String,
    /// Empty where it is not told.
    #[serde(default)]
    pub model: String,
    /// Our name of it; empty where it is not told.
    #[serde(default)]
    pub credential: String,
    /// By `MEASURES`; what is not told is absent.
    #[serde(default)]
    pub counts: BTreeMap<String, i64>,
    /// Dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// By so much a sum may differ because it was rounded: dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounded_by: Option<String>,
}

/// By day, model and credential.
pub type Key = (String, String, String);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theirs {
    pub counts: BTreeMap<String, i64>,
    pub cost: Option<Picos>,
    pub rounded_by: Picos,
}

#[derive(Clone, Debug, Default)]
pub struct Ours {
    pub numbers: Numbers,
    pub versions: BTreeSet<String>,
}

/// What differs, and why it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub key: Key,
    /// Theirs less ours, of what differs.
    pub counts: BTreeMap<String, i64>,
    pub cost: Option<Picos>,
    pub ours_cost: Picos,
    pub causes: Vec<(&'static str, String)>,
    /// Records that were posted for it before.
    adjustments: i64,
}

/// How much of it agrees.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    pub agree: usize,
    pub differences: Vec<Difference>,
    /// Those whose money is what the provider bills.
    pub billed: Vec<Key>,
    /// Where the provider tells costs.
    pub theirs_cost: Option<Picos>,
    pub ours_cost: Picos,
}

/// Adds up what a provider told. A dimension that one line does not tell is left out of all.
pub fn theirs(lines: &[Line]) -> Result<BTreeMap<Key, Theirs>, String> {
    let by_model = lines.iter().all(|line| !line.model.is_empty());
    let by_credential = lines.iter().all(|line| !line.credential.is_empty());
    let mut all = BTreeMap::<Key, Theirs>::new();
    for line in lines {
        let part = |text: &String, is_told: bool| if is_told { text.clone() } else { String::new() };
        let key = (
            line.day.clone(),
            part(&line.model, by_model),
            part(&line.credential, by_credential),
        );
        let sums = all.entry(key).or_default();
        for (measure, count) in &line.counts {
            if !MEASURES.contains(&measure.as_str()) {
                return Err(format!(
                    "counts: '{measure}' is nothing that is compared; {}",
                    MEASURES.join(", ")
                ));
            }
            let sum = sums.counts.entry(measure.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        let money = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => Picos::parse(text, 0)
                .map(Some)
                .ok_or_else(|| format!("'{text}' is no amount of dollars")),
        };
        if let Some(cost) = money(&line.cost)? {
            sums.cost = Some(Picos(sums.cost.unwrap_or_default().0.saturating_add(cost.0)));
            let rounded_by = money(&line.rounded_by)?.unwrap_or_default();
            sums.rounded_by.0 = sums.rounded_by.0.saturating_add(rounded_by.0);
        }
    }
    Ok(all)
}

/// Ours of these providers, of an answer by day, provider, upstream model, credential and price version; by what theirs
/// are told by.
pub fn ours(answer: &Answer, providers: &[String], theirs: &BTreeMap<Key, Theirs>) -> BTreeMap<Key, Ours> {
    let by_model = theirs.keys().any(|(_, model, _)| !model.is_empty());
    let by_credential = theirs.keys().any(|(_, _, credential)| !credential.is_empty());
    let mut all = BTreeMap::<Key, Ours>::new();
    for (of, numbers) in &answer.sums {
        let [day, provider, model, credential, version] = &of[..] else {
            continue;
        };
        if !providers.contains(provider) {
            continue;
        }
        if model.is_empty() && numbers[TOKENS].iter().chain(&numbers[COST]).all(|number| *number == 0) {
            // Asks about objects, which no report has.
            continue;
        }
        let part = |text: &String, is_told: bool| if is_told { text.clone() } else { String::new() };
        let ours = all
            .entry((day.clone(), part(model, by_model), part(credential, by_credential)))
            .or_default();
        for (sum, number) in ours.numbers.iter_mut().zip(numbers) {
            *sum = sum.saturating_add(*number);
        }
        if !version.is_empty() {
            ours.versions.insert(version.clone());
        }
    }
    all
}

/// A provider tells a snapshot (`gpt-4o-2024-08-06`) where its alias was asked for: it is ours under the alias, where the
/// snapshot is not.
pub fn under_our_names(theirs: BTreeMap<Key, Theirs>, ours: &BTreeMap<Key, Ours>) -> BTreeMap<Key, Theirs> {
    let known: BTreeSet<&str> = ours.keys().map(|(_, model, _)| model.as_str()).collect();
    let mut all = BTreeMap::<Key, Theirs>::new();
    for ((day, model, credential), told) in theirs {
        let alias = undated(&model).filter(|alias| !known.contains(model.as_str()) && known.contains(alias));
        let name = alias.map_or_else(|| model.clone(), str::to_owned);
        let sums = all.entry((day, name, credential)).or_default();
        for (measure, count) in told.counts {
            let sum = sums.counts.entry(measure).or_default();
            *sum = sum.saturating_add(count);
        }
        if let Some(cost) = told.cost {
            sums.cost = Some(Picos(sums.cost.unwrap_or_default().0.saturating_add(cost.0)));
        }
        sums.rounded_by.0 = sums.rounded_by.0.saturating_add(told.rounded_by.0);
    }
    all
}

/// Without `-2024-08-06` or `-20240806` at its end.
fn undated(model: &str) -> Option<&str> {
    let at = model.len().checked_sub(11).filter(|at| model.is_char_boundary(*at));
    let long = at.map(|at| model.split_at(at)).filter(|(_, date)| {
        let mut parts = date.split('-');
        let digits = |part: Option<&str>, count: usize| {
            part.is_some_and(|part| part.len() == count && part.bytes().all(|b| b.is_ascii_digit()))
        };
        parts.next() == Some("") && digits(parts.next(), 4) && digits(parts.next(), 2) && digits(parts.next(), 2)
    });
    let short = || {
        let (alias, date) = model.rsplit_once('-')?;
        (date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit())).then_some(alias)
    };
    long.map(|(alias, _)| alias)
        .or_else(short)
        .filter(|alias| !alias.is_empty())
}

pub fn compare(theirs: &BTreeMap<Key, Theirs>, ours: &BTreeMap<Key, Ours>) -> Compared {
    let told: BTreeSet<&String> = theirs.values().flat_map(|told| told.counts.keys()).collect();
    let has_costs = theirs.values().any(|told| told.cost.is_some());
    let keys: BTreeSet<&Key> = theirs.keys().chain(ours.keys()).collect();
    let (nothing, none) = (Theirs::default(), Ours::default());
    let mut compared = Compared::default();
    for key in keys {
        let (their, our) = (theirs.get(key).unwrap_or(&nothing), ours.get(key).unwrap_or(&none));
        if let Some(cost) = their.cost {
            compared.theirs_cost = Some(Picos(compared.theirs_cost.unwrap_or_default().0 + cost.0));
        }
        compared.ours_cost.0 += cost(&our.numbers).0;
        let difference = difference(key, (their, our), &told, has_costs);
        if their.cost.is_some() && difference.as_ref().is_none_or(|difference| difference.cost.is_none()) {
            compared.billed.push(key.clone());
        }
        match difference {
            Some(difference) => compared.differences.push(difference),
            None => compared.agree += 1,
        }
    }
    compared
}

fn number(numbers: &Numbers, name: &str) -> i64 {
    NUMBERS
        .iter()
        .position(|known| *known == name)
        .map_or(0, |at| numbers[at])
}

fn difference(
    key: &Key,
    (their, our): (&Theirs, &Ours),
    told: &BTreeSet<&String>,
    has_costs: bool,
) -> Option<Difference> {
    let counts: BTreeMap<String, i64> = told
        .iter()
        .map(|measure| {
            let theirs = their.counts.get(*measure).copied().unwrap_or(0);
            ((*measure).clone(), theirs.saturating_sub(number(&our.numbers, measure)))
        })
        .filter(|(_, difference)| *difference != 0)
        .collect();
    let ours_cost = cost(&our.numbers);
    let off = Picos(their.cost.unwrap_or_default().0.saturating_sub(ours_cost.0));
    // Who tells what was used and no cost has not told the cost yet.
    let is_told = their.cost.is_some() || their.counts.is_empty();
    let cost = Some(off).filter(|off| has_costs && is_told && off.0.saturating_abs() > their.rounded_by.0);
    if counts.is_empty() && cost.is_none() {
        return None;
    }
    let mut difference = Difference {
        key: key.clone(),
        counts,
        cost,
        ours_cost,
        causes: Vec::new(),
        adjustments: number(&our.numbers, "adjustments"),
    };
    difference.causes = causes(&difference, (their, our));
    Some(difference)
}

fn causes(difference: &Difference, (their, our): (&Theirs, &Ours)) -> Vec<(&'static str, String)> {
    let mut causes = Vec::new();
    let (estimated, crashed) = (number(&our.numbers, "estimated"), number(&our.numbers, "crashed"));
    let passed = number(&our.numbers, "requests") + crashed;
    let more_calls = difference.counts.get("requests").copied().unwrap_or(0);
    let (more, less) = match difference.counts.is_empty() {
        true => (false, false),
        false => (
            difference.counts.values().any(|count| *count > 0),
            difference.counts.values().any(|count| *count < 0),
        ),
    };
    if crashed > 0 && more {
        let why = format!(
            "{} under way when a data plane ended: nobody here saw what that used",
            calls(crashed)
        );
        causes.push(("crashed", why));
    }
    if estimated > crashed && (more || less) {
        let why = format!(
            "the tokens of {} were counted by this gateway itself",
            calls(estimated - crashed)
        );
        causes.push(("estimated", why));
    }
    if more && (more_calls > crashed || causes.is_empty()) {
        let why = match (passed, more_calls) {
            (0, _) => {
                "no call of this day, model and key passed through this gateway: they went to the provider past it"
                    .to_owned()
            }
            (_, 1..) => format!(
                "{} went to the provider past this gateway",
                calls(more_calls - crashed.min(more_calls))
            ),
            _ => "the provider saw more than passed through this gateway".to_owned(),
        };
        causes.push(("bypassed", why));
    }
    if less && (more_calls < 0 || causes.is_empty()) {
        let why = match their == &Theirs::default() {
            true => "the provider tells nothing of this day, model and key: its report is not whole yet, or it knows the model or key by another name".to_owned(),
            false => "the provider bills less than passed through this gateway: its report is not whole yet, or it does not bill all that failed".to_owned(),
        };
        causes.push(("unbilled", why));
    }
    if let (Some(off), true) = (difference.cost, difference.counts.is_empty()) {
        let versions: Vec<&str> = our.versions.iter().map(String::as_str).collect();
        let why = match (versions.is_empty(), off.0 > 0) {
            (true, _) => "no price of it is known here".to_owned(),
            (false, is_dearer) => format!(
                "the same was used at another price: ours is price version {}, the provider's is {}",
                versions.join(", "),
                if is_dearer { "dearer" } else { "cheaper" }
            ),
        };
        causes.push(("price", why));
    }
    if causes.is_empty() {
        causes.push(("price", "what was used differs by more than its tokens tell".to_owned()));
    }
    causes
}

fn calls(count: i64) -> String {
    match count {
        1 => "1 call".to_owned(),
        many => format!("{many} calls"),
    }
}

fn texts((_, model, credential): &Key, provider: &str) -> [String; TEXTS.len()] {
    TEXTS.map(|name| match name {
        "provider" => provider.to_owned(),
        "upstream_model" => model.clone(),
        "credential" => credential.clone(),
        "entry" => ENTRY.to_owned(),
        _ => String::new(),
    })
}

/// Records by which ours become what the provider tells. `day_ms`: when the day began.
pub fn correction(difference: &Difference, provider: &str, day_ms: u64) -> Adjustment {
    let (day, model, credential) = &difference.key;
    let mut numbers = [0; NUMBERS.len()];
    for (measure, count) in &difference.counts {
        if let Some(at) = NUMBERS.iter().position(|known| known == measure) {
            numbers[at] = *count;
        }
    }
    let (units, rest) = difference.cost.unwrap_or_default().units();
    numbers[COST][..2].copy_from_slice(&[units, rest]);
    let causes: Vec<&str> = difference.causes.iter().map(|(cause, _)| *cause).collect();
    let said = format!("{:?}{:?}", difference.counts, difference.cost);
    Adjustment {
        post: format!(
            "{ENTRY}:{provider}:{day}:{model}:{credential}:{}:{:016x}",
            difference.adjustments,
            Fnv::of(said.as_bytes())
        ),
        at_ms: day_ms,
        reason: format!("reconciled with {provider}: {}", causes.join(", ")),
        texts: texts(&difference.key, provider),
        numbers,
    }
}

/// A record that says no more than that ours is what the provider bills: a later re-rating leaves that sum as it is.
pub fn pin(key: &Key, provider: &str, day_ms: u64) -> Adjustment {
    let (day, model, credential) = key;
    Adjustment {
        post: format!("{PIN}{provider}:{day}:{model}:{credential}"),
        at_ms: day_ms,
        reason: format!("reconciled with {provider}: agrees"),
        texts: texts(key, provider),
        numbers: [0; NUMBERS.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::undated;

    #[test]
    fn a_snapshot_has_its_alias() {
        for (name, alias) in [
            ("gpt-4o-2024-08-06", Some("gpt-4o")),
            ("claude-sonnet-4-20250514", Some("claude-sonnet-4")),
            ("gpt-4o", None),
            ("gpt-4o-mini", None),
            ("2024-08-06", None),
            ("-2024-08-06", None),
            ("ключ-2024-08-06", Some("ключ")),
        ] {
            assert_eq!(undated(name), alias, "{name}");
        }
    }
}
