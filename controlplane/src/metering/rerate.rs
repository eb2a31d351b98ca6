//! What a period would have cost at other prices, and the difference to what it is billed at as records of their own: one
//! for each hour and set of dimensions. Done again with the same prices there is no difference left.

use std::{collections::BTreeMap, ops::ControlFlow};

use tollgate_config::{
    Document,
    fnv::Fnv,
    money::PicoUsd,
    prices::{Counts, Priced, ServiceTier},
};

use super::{
    adjust::Adjustment,
    agreed::Agreed,
    database::{Database, Row},
    hours::HOUR_MS,
    ledger,
    money::Picos,
    row::{COST, NUMBERS, TEXTS},
};
use crate::store::StoreError;

/// Sets of dimensions over all hours; more are refused.
const MAX_GROUPS: usize = 200_000;
/// `TEXTS` but for what it is an entry of, and its prices.
const SHARED: usize = TEXTS.len() - 2;
pub const ENTRY: &str = "rerated";

#[derive(Debug, Default)]
pub struct Rerated {
    pub adjustments: Vec<Adjustment>,
    /// Calls and attempts that have a price now.
    pub priced: u64,
    /// Those that have none, and stay as they are.
    pub unpriced: u64,
    /// What calls and attempts are billed at.
    pub before: Picos,
    pub after: Picos,
    /// Of the difference, what corrections by a provider's bill had in them already.
    pub agreed: Picos,
    /// There were more groups than may be.
    pub is_cut: bool,
}

/// Of an hour and its dimensions.
#[derive(Debug, Default)]
struct Group {
    /// Cost and list cost as they were recorded, and as they would be.
    old: [i128; 2],
    new: [i128; 2],
    version: u64,
}

/// An hour, and the texts by `TEXTS` up to `SHARED`.
pub type Key = (u64, Vec<String>);

pub struct Rerating<'d> {
    document: &'d Document,
    prices: BTreeMap<(String, String), Option<Priced>>,
    groups: BTreeMap<Key, Group>,
    done: Rerated,
}

/// Of all that ended in `[from_ms, to_ms)`, both at whole hours.
pub fn rerate(ledger: &mut Database, document: &Document, (from_ms, to_ms): (u64, u64)) -> Result<Rerated, StoreError> {
    let mut rerating = Rerating {
        document,
        prices: BTreeMap::new(),
        groups: BTreeMap::new(),
        done: Rerated::default(),
    };
    let span = [ledger::whole(from_ms), ledger::whole(to_ms)];
    ledger.each(&units_of_billing(), &span, |row| {
        rerating.take(row)?;
        rerating.done.is_cut = rerating.groups.len() > MAX_GROUPS;
        Ok(match rerating.done.is_cut {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    if rerating.done.is_cut {
        return Ok(rerating.done);
    }
    let agreed = Agreed::read(ledger, (from_ms, to_ms))?;
    rerating.adjust(&before(ledger, from_ms, to_ms)?, agreed);
    Ok(rerating.done)
}

const CLASSES: [&str; 9] = [
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "output_audio",
    "input_image",
];

/// Calls, less what their other attempts used; and those attempts. Nothing that was free. Of a call that nobody answered only
/// what it was billed for all the same: its client left when the prompt was up, or an attempt before the last was billed.
fn units_of_billing() -> String {
    let texts = |attempt: bool| {
        let column = |name: &&str| match (*name, attempt) {
            ("provider" | "upstream_model" | "credential", true) => format!("a.{name}"),
            _ => format!("c.{name}"),
        };
        TEXTS.iter().take(SHARED).map(column).collect::<Vec<_>>().join(", ")
    };
    let less = |name: &str| {
        format!(
            "IFNULL(c.{name}, 0) - IFNULL((SELECT CAST(SUM(a.{name}) AS BIGINT) FROM attempts a WHERE a.call = c.id AND a.moved = 1), 0)"
        )
    };
    let own = CLASSES.map(less).join(", ");
    let money = ["cost_units", "cost_rest", "list_units", "list_rest"];
    let (own_money, of_attempt) = (
        money.map(less).join(", "),
        money.map(|name| format!("IFNULL(a.{name}, 0)")).join(", "),
    );
    let known = CLASSES.map(|name| format!("c.{name} IS NOT NULL")).join(" OR ");
    // What is left of a call that nobody answered, or whose answering attempt was billed apart, may be nothing: then no
    // request of its own is to be paid.
    let used = CLASSES.into_iter().chain(money).map(less);
    let has_rest = used.map(|left| format!("{left} <> 0")).collect::<Vec<_>>().join(" OR ");
    let is_answered = "c.ending <> 3 AND c.status BETWEEN 200 AND 299 AND NOT EXISTS (SELECT 1 FROM attempts a \
                       WHERE a.call = c.id AND a.moved = 1 AND a.status BETWEEN 200 AND 299 AND a.outcome <> 'hedge_lost')";
    let classes_of_attempt = CLASSES.map(|name| format!("IFNULL(a.{name}, 0)")).join(", ");
    format!(
        "SELECT c.ended_ms, {}, {own}, {own_money}, CASE WHEN c.batch <> '' THEN 1 ELSE c.tier END, \
         CASE WHEN {known} THEN 1 ELSE 0 END \
         FROM calls c WHERE c.ended_ms >= ?1 AND c.ended_ms < ?2 AND c.free = 0 AND c.replayed = 0 \
         AND ({is_answered} OR {has_rest}) \
         UNION ALL SELECT c.ended_ms, {}, {classes_of_attempt}, {of_attempt}, \
         CASE WHEN a.outcome = 'hedge_lost' THEN 0 ELSE c.tier END, 1 \
         FROM attempts a JOIN calls c ON c.id = a.call \
         WHERE c.ended_ms >= ?1 AND c.ended_ms < ?2 AND a.moved = 1 AND c.free = 0",
        texts(false),
        texts(true),
    )
}
const _: () = assert!(
    ServiceTier::Batch as u8 == 1 && ServiceTier::Standard as u8 == 0,
    "as above"
);

/// What earlier re-ratings posted: how many records, and their costs.
fn before(ledger: &mut Database, from_ms: u64, to_ms: u64) -> Result<BTreeMap<Key, (i64, [i128; 2])>, StoreError> {
    let texts = TEXTS.iter().take(SHARED).copied().collect::<Vec<_>>().join(", ");
    let sums = NUMBERS[COST]
        .iter()
        .map(|name| format!("CAST(SUM({name}) AS BIGINT)"))
        .collect::<Vec<_>>()
        .join(", ");
    let groups: Vec<String> = (1..=SHARED + 1).map(|place| place.to_string()).collect();
    let sql = format!(
        "SELECT at_ms, {texts}, COUNT(*), {sums} FROM adjustments WHERE at_ms >= ?1 AND at_ms < ?2 AND entry = '{ENTRY}' \
         GROUP BY {}",
        groups.join(", ")
    );
    let mut before = BTreeMap::new();
    ledger.each(&sql, &[ledger::whole(from_ms), ledger::whole(to_ms)], |row| {
        before.insert(key(row)?, (row.get(1 + SHARED)?, costs(row, 2 + SHARED)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(before)
}

fn key(row: &Row<'_>) -> Result<Key, StoreError> {
    let at_ms = row.get::<i64>(0)?.cast_unsigned();
    let texts = (1..=SHARED).map(|place| row.get(place)).collect::<Result<_, _>>()?;
    Ok((at_ms / HOUR_MS * HOUR_MS, texts))
}

fn costs(row: &Row<'_>, at: usize) -> Result<[i128; 2], StoreError> {
    let sum = |at: usize| -> Result<i128, StoreError> { Ok(Picos::of_units(row.get(at)?, row.get(at + 1)?).0) };
    Ok([sum(at)?, sum(at + 2)?])
}

impl Rerating<'_> {
    fn take(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let at_s = row.get::<i64>(0)?.cast_unsigned() / 1000;
        let key = key(row)?;
        let class = |place: usize| -> Result<u64, StoreError> {
            Ok(u64::try_from(row.get::<i64>(1 + SHARED + place)?).unwrap_or(0))
        };
        let counts = Counts {
            input: class(0)?,
            cache_read: class(1)?,
            cache_write_5m: class(2)?,
            cache_write_1h: class(3)?,
            output: class(4)?,
            reasoning: class(5)?,
            input_audio: class(6)?,
            output_audio: class(7)?,
            input_image: class(8)?,
            requests: 1,
        };
        let old = costs(row, 1 + SHARED + CLASSES.len())?;
        let tier: usize = row.get(5 + SHARED + CLASSES.len())?;
        let is_known = row.get::<i64>(6 + SHARED + CLASSES.len())? != 0;
        let tier = ServiceTier::ALL.get(tier).copied().unwrap_or_default();
        let priced = self.priced((&key.1[7], &key.1[8]));
        let price = priced.and_then(|priced| priced.at(at_s));
        let price = price.filter(|price| is_known || price.prices.by_request());
        let new = price.map(|price| {
            let usd = price.cost(&counts, tier);
            let list = price.list_cost(&counts, tier, usd);
            (
                [usd, list].map(|PicoUsd(picos)| i128::try_from(picos).unwrap_or(i128::MAX)),
                price.version().0,
            )
        });
        match new {
            Some(_) => self.done.priced += 1,
            None => self.done.unpriced += 1,
        }
        let group = self.groups.entry(key).or_default();
        let (new, version) = new.unwrap_or((old, group.version));
        group.version = version;
        for at in 0..2 {
            group.old[at] += old[at];
            group.new[at] = group.new[at].saturating_add(new[at]);
        }
        Ok(())
    }

    fn priced(&mut self, (provider, model): (&str, &str)) -> Option<&Priced> {
        let name = (provider.to_owned(), model.to_owned());
        let document = self.document;
        let look_up = || {
            let (_, configured) = document.providers.iter().find(|(name, _)| name == provider)?;
            let targets = document.models.iter().flat_map(|(_, model)| &model.targets);
            let mut same = targets.filter(|target| target.provider == provider && target.model == model);
            let known_as = same.next().map_or(model, |target| target.known_as());
            Some(configured.prices.of(model, known_as))
        };
        self.prices.entry(name).or_insert_with(look_up).as_ref()
    }

    fn adjust(&mut self, before: &BTreeMap<Key, (i64, [i128; 2])>, mut agreed: Agreed) {
        for (key, group) in &self.groups {
            let (count, posted) = before.get(key).copied().unwrap_or_default();
            let now = [group.old[0] + posted[0], group.old[1] + posted[1]];
            let difference = [group.new[0] - now[0], group.new[1] - now[1]];
            self.done.before.0 += now[0];
            self.done.after.0 += group.new[0];
            if difference != [0, 0] {
                self.done.adjustments.push(adjustment(key, group, count, difference));
                agreed.take(key, difference[0]);
            }
        }
        let (corrections, taken) = agreed.adjustments();
        self.done.adjustments.extend(corrections);
        self.done.agreed = taken;
    }
}

fn adjustment((at_ms, shared): &Key, group: &Group, count: i64, difference: [i128; 2]) -> Adjustment {
    let mut numbers = [0; NUMBERS.len()];
    let [(units, rest), (list_units, list_rest)] = difference.map(|picos| Picos(picos).units());
    numbers[COST].copy_from_slice(&[units, rest, list_units, list_rest]);
    let version = format!("{:016x}", group.version);
    let mut texts = shared.clone();
    texts.extend([ENTRY.to_owned(), version.clone()]);
    let named = Fnv::of(texts.join("\u{1f}").as_bytes());
    Adjustment {
        // Prices may go there and back: how many came before tells one time from the next.
        post: format!(
            "{ENTRY}:{at_ms}:{named:016x}:{count}:{}:{}",
            difference[0], difference[1]
        ),
        at_ms: *at_ms,
        reason: format!("re-rated by price version {version}"),
        texts: std::array::from_fn(|at| texts.get(at).cloned().unwrap_or_default()),
        numbers,
    }
}
