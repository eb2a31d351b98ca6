//! Days of which the ledger says what the provider bills: reconciliation has posted the difference in money, or that there is none. A re-rating says
//! whose that money is, and takes as much of the correction back, so that the sum stays the provider's.

use std::{collections::BTreeMap, ops::ControlFlow};

use tollgate_config::fnv::Fnv;

use super::{
    adjust::Adjustment,
    database::Database,
    ledger,
    money::Picos,
    reconcile::{ENTRY, PIN},
    rerate,
    row::{COST, NUMBERS, TEXTS},
};
use crate::store::StoreError;

/// Providers' days are those of UTC.
const DAY_MS: u64 = 24 * 3_600_000;
/// Places in `TEXTS`.
const PROVIDER: usize = 7;
const UPSTREAM_MODEL: usize = 8;
const CREDENTIAL: usize = 9;

/// A day, provider, its model, and credential; the last two are empty where the provider does not tell them apart.
type Of = (u64, String, String, String);

#[derive(Debug, Default)]
struct Bill {
    /// Corrections that were posted for it.
    posted: i64,
    /// What a re-rating adds to the calls beneath it.
    added: i128,
}

#[derive(Debug, Default)]
pub struct Agreed(BTreeMap<Of, Bill>);

impl Agreed {
    /// Of the days that begin or go on in this span.
    pub fn read(ledger: &mut Database, (from_ms, to_ms): (u64, u64)) -> Result<Self, StoreError> {
        let sql = format!(
            "SELECT at_ms, provider, upstream_model, credential, COUNT(*) FROM adjustments WHERE at_ms >= ?1 AND at_ms < ?2 \
             AND entry = '{ENTRY}' GROUP BY 1, 2, 3, 4 HAVING \
             SUM(CASE WHEN cost_units <> 0 OR cost_rest <> 0 OR post LIKE '{PIN}%' THEN 1 ELSE 0 END) > 0"
        );
        let from_ms = from_ms / DAY_MS * DAY_MS;
        let mut bills = BTreeMap::new();
        ledger.each(&sql, &[ledger::whole(from_ms), ledger::whole(to_ms)], |row| {
            let day_ms = row.get::<i64>(0)?.cast_unsigned();
            let of = (day_ms, row.get(1)?, row.get(2)?, row.get(3)?);
            let posted = row.get(4)?;
            bills.insert(of, Bill { posted, added: 0 });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Self(bills))
    }

    /// The calls of this hour and these dimensions are billed at so much more now.
    pub fn take(&mut self, (at_ms, texts): &rerate::Key, more: i128) {
        let day_ms = at_ms / DAY_MS * DAY_MS;
        let text = |place: usize| texts.get(place).cloned().unwrap_or_default();
        let (provider, model, credential) = (text(PROVIDER), text(UPSTREAM_MODEL), text(CREDENTIAL));
        let none = String::new;
        // What tells most first.
        let bills = [
            (day_ms, provider.clone(), model.clone(), credential.clone()),
            (day_ms, provider.clone(), model, none()),
            (day_ms, provider.clone(), none(), credential),
            (day_ms, provider, none(), none()),
        ];
        let bill = bills.into_iter().find(|of| self.0.contains_key(of));
        if let Some(bill) = bill.and_then(|of| self.0.get_mut(&of)) {
            bill.added += more;
        }
    }

    /// The same taken back from the corrections, and how much that is.
    pub fn adjustments(self) -> (Vec<Adjustment>, Picos) {
        let taken = self.0.values().map(|bill| bill.added).sum();
        let changed = self.0.into_iter().filter(|(_, bill)| bill.added != 0);
        (changed.map(|(of, bill)| adjustment(of, &bill)).collect(), Picos(taken))
    }
}

fn adjustment((day_ms, provider, model, credential): Of, bill: &Bill) -> Adjustment {
    let mut numbers = [0; NUMBERS.len()];
    let (units, rest) = Picos(-bill.added).units();
    numbers[COST][..2].copy_from_slice(&[units, rest]);
    let named = Fnv::of([&provider[..], &model, &credential].join("\u{1f}").as_bytes());
    let mut texts: [String; TEXTS.len()] = Default::default();
    (texts[PROVIDER], texts[UPSTREAM_MODEL], texts[CREDENTIAL]) = (provider, model, credential);
    if let Some(entry) = TEXTS.iter().position(|name| *name == "entry") {
        ENTRY.clone_into(&mut texts[entry]);
    }
    Adjustment {
        // How many corrections came before tells one re-rating from the next.
        post: format!(
            "{ENTRY}:{}:{day_ms}:{named:016x}:{}:{}",
            rerate::ENTRY,
            bill.posted,
            bill.added
        ),
        at_ms: day_ms,
        reason: "re-rated: the calls themselves are billed so now".to_owned(),
        texts,
        numbers,
    }
}
