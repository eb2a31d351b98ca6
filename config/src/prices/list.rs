//! Which model costs what at a provider, and from when: the catalogue's prices, the operator's own over them, a discount;
//! one entry per date, the earlier ones kept so that what was used before is still told by what it cost then.

use std::{collections::BTreeMap, sync::Arc};

use super::{Counts, PriceVersion, Prices, ServiceTier};
use crate::{
    catalogue::{self, ModelFacts, glob},
    fnv::Fnv,
    money::{Discount, PicoUsd},
};

/// A provider's prices. Empty: nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceList {
    /// By when they begin.
    pub entries: Vec<Entry>,
}

/// Prices from a moment on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    pub from_unix_s: u64,
    /// A section of `config/prices/models.json`, for models that are not named below.
    pub section: Option<String>,
    pub discount: Discount,
    pub names: BTreeMap<String, Arc<Prices>>,
    /// Names with stars, the one that says most first.
    pub patterns: Vec<(String, Arc<Prices>)>,
}

impl PriceList {
    /// The catalogue's prices of a section, always.
    pub fn of_section(section: Option<&str>) -> Self {
        let entry = Entry {
            section: section.map(str::to_owned),
            ..Entry::default()
        };
        Self {
            entries: section.map(|_| entry).into_iter().collect(),
        }
    }

    /// A model's prices, looked up once for all calls. `known_as` is the catalogue's name for it.
    pub fn of(&self, model: &str, known_as: &str) -> Priced {
        let version = |entry: &Entry| Version {
            from_unix_s: entry.from_unix_s,
            known: entry.known(model, known_as),
            list: entry.of_catalogue(known_as),
            discount: entry.discount,
        };
        Priced {
            versions: self.entries.iter().map(version).collect(),
        }
    }

    /// The same for a model that only the call names.
    pub fn at(&self, model: &str, unix_s: u64) -> Option<Price<'_>> {
        let entry = in_force(&self.entries, unix_s, |entry| entry.from_unix_s)?;
        let (own, list) = (entry.own(model).map(Arc::as_ref), entry.of_catalogue(model));
        let prices = own.or(list)?;
        Some(Price {
            prices,
            list: list.unwrap_or(prices),
            discount: entry.discount,
        })
    }

    /// What the catalogue knows of a model beside its price, by the newest entry that borrows from it.
    pub fn facts(&self, known_as: &str) -> Option<&'static ModelFacts> {
        let mut sections = self.entries.iter().rev().filter_map(|entry| entry.section.as_deref());
        sections.next().and_then(|section| catalogue::facts(section, known_as))
    }
}

impl Entry {
    fn known(&self, model: &str, known_as: &str) -> Option<Known> {
        let own = self.own(model).or_else(|| self.own(known_as)).cloned().map(Known::Own);
        own.or_else(|| self.of_catalogue(known_as).map(Known::Catalogue))
    }

    fn own(&self, model: &str) -> Option<&Arc<Prices>> {
        let by_pattern = || {
            let mut patterns = self.patterns.iter();
            let found = patterns.find(|(pattern, _)| glob::matches(pattern, model));
            found.map(|(_, prices)| prices)
        };
        self.names.get(model).or_else(by_pattern)
    }

    fn of_catalogue(&self, model: &str) -> Option<&'static Prices> {
        catalogue::facts(self.section.as_deref()?, model)?.prices()
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Known {
    Catalogue(&'static Prices),
    Own(Arc<Prices>),
}

impl Known {
    fn price(&self, list: Option<&'static Prices>, discount: Discount) -> Price<'_> {
        let prices = match self {
            Known::Catalogue(prices) => prices,
            Known::Own(prices) => prices.as_ref(),
        };
        Price {
            prices,
            list: list.unwrap_or(prices),
            discount,
        }
    }
}

/// What holds of a model from a moment on.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    from_unix_s: u64,
    known: Option<Known>,
    list: Option<&'static Prices>,
    discount: Discount,
}

impl Version {
    fn price(&self) -> Option<Price<'_>> {
        Some(self.known.as_ref()?.price(self.list, self.discount))
    }
}

/// A model's prices by date. Empty: nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Priced {
    versions: Vec<Version>,
}

impl Priced {
    /// From when each holds, and what it says.
    pub fn versions(&self) -> impl Iterator<Item = (u64, Option<Price<'_>>)> {
        self.versions
            .iter()
            .map(|version| (version.from_unix_s, version.price()))
    }

    /// What holds at this moment.
    pub fn at(&self, unix_s: u64) -> Option<Price<'_>> {
        in_force(&self.versions, unix_s, |version| version.from_unix_s)?.price()
    }
}

/// The last that has begun.
fn in_force<T>(by_date: &[T], unix_s: u64, from: impl Fn(&T) -> u64) -> Option<&T> {
    by_date.iter().rev().find(|entry| from(entry) <= unix_s)
}

/// What a model costs at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price<'p> {
    pub prices: &'p Prices,
    /// The catalogue's, or the operator's own where it has none.
    pub list: &'p Prices,
    pub discount: Discount,
}

impl Price<'_> {
    pub fn cost(&self, counts: &Counts, tier: ServiceTier) -> PicoUsd {
        self.discount.of(self.prices.cost(counts, tier))
    }

    /// What it would cost without own prices and discount; `cost` is what `cost` said.
    pub fn list_cost(&self, counts: &Counts, tier: ServiceTier, cost: PicoUsd) -> PicoUsd {
        match self.discount == Discount::NONE && std::ptr::eq(self.prices, self.list) {
            true => cost,
            false => self.list.cost(counts, tier),
        }
    }

    /// Names prices and discount together.
    pub fn version(&self) -> PriceVersion {
        let version = self.prices.version();
        if self.discount == Discount::NONE {
            return version;
        }
        let mut hash = Fnv(version.0);
        hash.word(self.discount.basis_points().into());
        PriceVersion(hash.0)
    }
}
