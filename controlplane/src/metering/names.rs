//! What many calls of a ledger have in common, known by a number: the texts by which sums are kept apart, and the traits of
//! calls beside them. A row then holds the number, and what is its own. The numbers used lately are remembered; another is
//! found in the database by a digest, so that a set has one number as long as anything has use of it, and its sums one row
//! for each hour.

use std::{hash::BuildHasher, sync::LazyLock};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use rusqlite::{CachedStatement, Transaction, params_from_iter};
use sha2::{Digest, Sha256};
use tollgate_config::usage_event::UsageEvent;

use super::{
    hours::HOUR_MS,
    ledger::{self, TRAITS, traits},
    row::{PRICE_VERSION, TEXTS},
};
use crate::{postgres::Cell, store::StoreError};

/// Of texts that are remembered between transactions, with what comes with each set.
const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;
/// Traits that are remembered: 5 MiB.
const MAX_TRAITS: usize = 32_768;
/// Of SHA-256: nobody makes two sets of texts with the same one, whatever tags callers send. An index of texts themselves is
/// large, and refuses long ones in PostgreSQL.
const DIGEST_BYTES: usize = 16;

/// Where a set of texts is, as long as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameAt(usize);

#[derive(Default)]
pub struct Names {
    places: HashTable<NameAt>,
    hasher: DefaultHashBuilder,
    all: Vec<Name>,
    /// What `all` takes.
    bytes: usize,
    traits: HashMap<(NameAt, [i64; TRAITS.len()]), Row>,
    /// Used again for each look.
    looked_for: Texts<String>,
    /// A transaction has begun, and what it wrote counts only once it is over.
    is_open: bool,
}

struct Name {
    texts: Texts<Box<str>>,
    row: Option<Row>,
}

/// By `TEXTS`, one behind the other.
#[derive(Clone, Default)]
struct Texts<T> {
    all: T,
    ends: [u32; TEXTS.len()],
}

/// Of SQLite.
#[derive(Clone, Copy)]
struct Row {
    id: i64,
    /// The last hour that has use of it: it may be forgotten with that.
    seen_ms: i64,
}

impl Names {
    /// A transaction begins. What one wrote that never came to its end is not there.
    pub fn begin(&mut self) {
        if self.bytes > MAX_TEXT_BYTES || self.is_open {
            self.forget();
        } else if self.traits.len() > MAX_TRAITS {
            self.traits.clear();
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
    pub fn place(&mut self, texts: &[&str; PRICE_VERSION], prices: Option<u64>) -> NameAt {
        self.look_for(texts.iter().copied());
        if let Some(version) = prices {
            push_hex(&mut self.looked_for.all, version);
        }
        self.looked_for.ends[PRICE_VERSION] = self.looked_for.all.len() as u32;
        self.found()
    }

    /// All texts, of what is posted later.
    pub fn place_posted(&mut self, texts: &[String; TEXTS.len()]) -> NameAt {
        self.look_for(texts.iter().map(String::as_str));
        self.found()
    }

    fn look_for<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        let Texts { all, ends } = &mut self.looked_for;
        all.clear();
        for (text, end) in texts.zip(ends) {
            all.push_str(text);
            *end = all.len() as u32;
        }
    }

    fn found(&mut self) -> NameAt {
        let Self {
            all,
            places,
            hasher,
            looked_for,
            ..
        } = self;
        let hash = |texts: &str, ends: &[u32; TEXTS.len()]| hasher.hash_one((texts, ends));
        let wanted = hash(&looked_for.all, &looked_for.ends);
        let is_same = |at: &NameAt| {
            let known = &all[at.0].texts;
            known.ends == looked_for.ends && *known.all == *looked_for.all
        };
        if let Some(at) = places.find(wanted, is_same) {
            return *at;
        }
        let at = NameAt(all.len());
        let texts = Texts::<Box<str>> {
            all: looked_for.all.as_str().into(),
            ends: looked_for.ends,
        };
        self.bytes += texts.all.len() + size_of::<Name>() + 2 * size_of::<NameAt>();
        all.push(Name { texts, row: None });
        places.insert_unique(wanted, at, |at| hash(&all[at.0].texts.all, &all[at.0].texts.ends));
        at
    }

    /// By `TEXTS`.
    pub fn texts(&self, at: NameAt) -> [&str; TEXTS.len()] {
        self.all[at.0].texts.each()
    }

    /// The number of these texts in SQLite, where sums of this hour want it.
    pub fn id(&mut self, transaction: &Transaction<'_>, at: NameAt, hour_ms: u64) -> Result<i64, StoreError> {
        let (name, hour_ms) = (&mut self.all[at.0], ledger::whole(hour_ms));
        if let Some(row) = &mut name.row {
            see(transaction, "names", row, hour_ms)?;
            return Ok(row.id);
        }
        let texts = name.texts.each();
        let digest = digest_of_texts(&texts);
        let head = [Cell::Bytes(&digest), Cell::Whole(hour_ms)];
        let cells = head.into_iter().chain(texts.map(Cell::Text));
        let row = find_or_insert(transaction.prepare_cached(&INSERT_NAMES)?, cells)?;
        name.row = Some(row);
        Ok(row.id)
    }

    /// The number of what a call of these texts shares with others, in SQLite.
    pub fn of_call(
        &mut self,
        transaction: &Transaction<'_>,
        at: NameAt,
        event: &UsageEvent<'_>,
    ) -> Result<i64, StoreError> {
        let hour_ms = event.ended_unix_ms / HOUR_MS * HOUR_MS;
        let traits = traits(event);
        // Only a version of prices may be absent, and that is in the texts as well.
        let key = traits.map(Option::unwrap_or_default);
        if let Some(row) = self.traits.get_mut(&(at, key)) {
            see(transaction, "call_traits", row, ledger::whole(hour_ms))?;
            return Ok(row.id);
        }
        let names = self.id(transaction, at, hour_ms)?;
        let digest = digest_of_traits(names, &traits);
        let head = [
            Cell::Bytes(&digest),
            Cell::Whole(ledger::whole(hour_ms)),
            Cell::Whole(names),
        ];
        let cells = head.into_iter().chain(traits.map(Cell::from));
        let row = find_or_insert(transaction.prepare_cached(&INSERT_TRAITS)?, cells)?;
        self.traits.insert((at, key), row);
        Ok(row.id)
    }
}

impl<T: AsRef<str>> Texts<T> {
    fn each(&self) -> [&str; TEXTS.len()] {
        let mut begin = 0;
        self.ends.map(|end| {
            let text = self.all.as_ref().get(begin..end as usize).unwrap_or_default();
            begin = end as usize;
            text
        })
    }
}

/// As `{number:016x}` does, in a fraction of its time: each call has a version of prices.
fn push_hex(text: &mut String, number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits: [u8; 16] = std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at)) as usize & 0xf]);
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

/// By `TEXTS`.
pub fn digest_of_texts(texts: &[&str; TEXTS.len()]) -> [u8; DIGEST_BYTES] {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    }
    cut(&digest.finalize().into())
}

/// `names`: their number. By `TRAITS`.
pub fn digest_of_traits(names: i64, traits: &[Option<i64>; TRAITS.len()]) -> [u8; DIGEST_BYTES] {
    let mut digest = Sha256::new();
    for number in [Some(names)].iter().chain(traits) {
        digest.update(number.unwrap_or_default().to_le_bytes());
    }
    cut(&digest.finalize().into())
}

fn cut(digest: &[u8; 32]) -> [u8; DIGEST_BYTES] {
    std::array::from_fn(|at| digest[at])
}

fn see(transaction: &Transaction<'_>, table: &str, row: &mut Row, hour_ms: i64) -> Result<(), StoreError> {
    if row.seen_ms < hour_ms {
        let sql = format!("UPDATE {table} SET seen_ms = ?1 WHERE id = ?2");
        let mut update = transaction.prepare_cached(&sql)?;
        update.execute([hour_ms, row.id])?;
        row.seen_ms = hour_ms;
    }
    Ok(())
}

static INSERT_NAMES: LazyLock<String> = LazyLock::new(|| insert("names", "digest, seen_ms", &TEXTS));
static INSERT_TRAITS: LazyLock<String> = LazyLock::new(|| insert("call_traits", "digest, seen_ms, names", &TRAITS));

fn insert(table: &str, head: &str, columns: &[&str]) -> String {
    let count = head.split(',').count() + columns.len();
    let insert = ledger::insert(table, &format!("{head}, {}", columns.join(", ")), count);
    format!(
        "{insert} ON CONFLICT (digest) DO UPDATE SET seen_ms = MAX(seen_ms, excluded.seen_ms) RETURNING id, seen_ms"
    )
}

fn find_or_insert<'c>(
    mut insert: CachedStatement<'_>,
    cells: impl Iterator<Item = Cell<'c>>,
) -> Result<Row, StoreError> {
    let row = insert.query_row(params_from_iter(cells), |row| {
        Ok(Row {
            id: row.get(0)?,
            seen_ms: row.get(1)?,
        })
    })?;
    Ok(row)
}
