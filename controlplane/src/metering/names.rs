//! What many calls of a ledger have in common, known by a number: the texts by which sums are kept apart, and the traits of
//! calls beside them. A row then holds the number, and what is its own. Nothing is looked up in a database for it: what is
//! not known here is written once more, under another number, and sums are the same.

use hashbrown::HashMap;
use rusqlite::{Transaction, params_from_iter};
use tollgate_config::usage_event::UsageEvent;

use super::{
    hours::HOUR_MS,
    ledger::{self, TRAITS, traits},
    row::{PRICE_VERSION, TEXTS},
};
use crate::{postgres::Cell, store::StoreError};

/// Sets of texts, and of traits, that are remembered between transactions: at a KiB each, 16 MiB.
const MAX_REMEMBERED: usize = 16_384;

/// Of a set of texts, as long as they are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(usize);

#[derive(Default)]
pub struct Names {
    places: HashMap<Box<[u8]>, Place>,
    all: Vec<Name>,
    traits: HashMap<(Place, [i64; TRAITS.len()]), Row>,
    /// Used again for each look.
    key: Vec<u8>,
    /// A transaction has begun, and what it wrote counts only once it is over.
    is_open: bool,
}

struct Name {
    texts: [Box<str>; TEXTS.len()],
    row: Option<Row>,
}

/// Of SQLite.
#[derive(Clone, Copy)]
struct Row {
    id: i64,
    /// The last hour that has use of it: it may be forgotten with that.
    seen_ms: u64,
}

impl Names {
    /// A transaction begins. What one wrote that never came to its end is not there.
    pub fn begin(&mut self) {
        let is_too_much = self.all.len().max(self.traits.len()) > MAX_REMEMBERED;
        if is_too_much || std::mem::replace(&mut self.is_open, true) {
            self.forget();
        }
        self.is_open = true;
    }

    pub fn committed(&mut self) {
        self.is_open = false;
    }

    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Texts by `TEXTS`, but for the version of prices.
    pub fn place(&mut self, texts: &[&str; PRICE_VERSION], prices: Option<u64>) -> Place {
        self.begin_key(texts.iter().copied());
        if let Some(version) = prices {
            self.key.extend_from_slice(&version.to_le_bytes());
        }
        self.at_key(|| {
            let version = prices.map_or_else(String::new, |version| format!("{version:016x}"));
            std::array::from_fn(|at| texts.get(at).copied().unwrap_or(&version).into())
        })
    }

    /// All texts, of what is posted later.
    pub fn place_posted(&mut self, texts: &[String; TEXTS.len()]) -> Place {
        self.begin_key(texts.iter().map(String::as_str));
        self.at_key(|| std::array::from_fn(|at| texts[at].as_str().into()))
    }

    fn begin_key<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        self.key.clear();
        for text in texts {
            self.key.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.key.extend_from_slice(text.as_bytes());
        }
    }

    fn at_key(&mut self, texts: impl FnOnce() -> [Box<str>; TEXTS.len()]) -> Place {
        if let Some(place) = self.places.get(&self.key[..]) {
            return *place;
        }
        let place = Place(self.all.len());
        self.all.push(Name {
            texts: texts(),
            row: None,
        });
        self.places.insert(self.key.as_slice().into(), place);
        place
    }

    /// By `TEXTS`.
    pub fn texts(&self, place: Place) -> &[Box<str>; TEXTS.len()] {
        &self.all[place.0].texts
    }

    /// The number of these texts in SQLite, where sums of this hour want it.
    pub fn id(&mut self, transaction: &Transaction<'_>, place: Place, hour_ms: u64) -> Result<i64, StoreError> {
        let name = &mut self.all[place.0];
        if let Some(row) = &mut name.row {
            see(transaction, "names", row, hour_ms)?;
            return Ok(row.id);
        }
        let seen = Cell::Whole(ledger::whole(hour_ms));
        let cells = [seen].into_iter().chain(name.texts.iter().map(|text| Cell::Text(text)));
        let mut insert = transaction.prepare_cached(&insert("names", "seen_ms", &TEXTS))?;
        let id = insert.insert(params_from_iter(cells))?;
        name.row = Some(Row { id, seen_ms: hour_ms });
        Ok(id)
    }

    /// The number of what a call of these texts shares with others, in SQLite.
    pub fn of_call(
        &mut self,
        transaction: &Transaction<'_>,
        place: Place,
        event: &UsageEvent<'_>,
    ) -> Result<i64, StoreError> {
        let hour_ms = event.ended_unix_ms / HOUR_MS * HOUR_MS;
        let traits = traits(event);
        // Only a version of prices may be absent, and that is in the texts as well.
        let key = traits.map(Option::unwrap_or_default);
        if let Some(row) = self.traits.get_mut(&(place, key)) {
            see(transaction, "call_traits", row, hour_ms)?;
            return Ok(row.id);
        }
        let head = [ledger::whole(hour_ms), self.id(transaction, place, hour_ms)?].map(Cell::Whole);
        let cells = head.into_iter().chain(traits.map(Cell::from));
        let mut insert = transaction.prepare_cached(&insert("call_traits", "seen_ms, names", &TRAITS))?;
        let id = insert.insert(params_from_iter(cells))?;
        self.traits.insert((place, key), Row { id, seen_ms: hour_ms });
        Ok(id)
    }
}

fn see(transaction: &Transaction<'_>, table: &str, row: &mut Row, hour_ms: u64) -> Result<(), StoreError> {
    if row.seen_ms < hour_ms {
        let sql = format!("UPDATE {table} SET seen_ms = ?1 WHERE id = ?2");
        let mut update = transaction.prepare_cached(&sql)?;
        update.execute([ledger::whole(hour_ms), row.id])?;
        row.seen_ms = hour_ms;
    }
    Ok(())
}

fn insert(table: &str, head: &str, columns: &[&str]) -> String {
    let count = head.split(',').count() + columns.len();
    ledger::insert(table, &format!("{head}, {}", columns.join(", ")), count)
}
