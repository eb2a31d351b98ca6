//! Prices as they are said (some classes, some tiers, some bands) → prices with every class filled.

use std::collections::BTreeMap;

use crate::fnv::Fnv;

use super::{Band, Class, PriceVersion, Prices, Rates, Reprices, ServiceTier};

/// A thousand dollars for one token: ten products of this and a count of 64 bits fit into 128.
pub const MAX_PICOS: u64 = 1_000_000_000_000_000;

type Given = [Option<u64>; Class::ALL.len()];

/// Gathers what is said of a model.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// By where the band begins and by tier.
    given: BTreeMap<(u64, ServiceTier), Given>,
    reprices: Reprices,
}

impl Builder {
    pub fn new(reprices: Reprices) -> Self {
        Self {
            reprices,
            ..Self::default()
        }
    }

    /// Notes a price; one above `MAX_PICOS` is `MAX_PICOS`.
    pub fn set(&mut self, above_tokens: u64, tier: ServiceTier, class: Class, picos: u64) {
        let given = self.given.entry((above_tokens, tier)).or_default();
        given[class as usize] = Some(picos.min(MAX_PICOS));
    }

    /// `None` where neither input nor the request has a price: then nothing is known.
    pub fn build(&self) -> Option<Prices> {
        let has = |class| self.said(0, ServiceTier::Standard, class).is_some();
        if !has(Class::Input) && !has(Class::Request) {
            return None;
        }
        let mut starts: Vec<u64> = [0]
            .into_iter()
            .chain(self.given.keys().map(|(above, _)| *above))
            .collect();
        starts.dedup();
        let bands: Box<[Band]> = starts.iter().map(|above| self.band(*above)).collect();
        let version = version(&bands, self.reprices);
        Some(Prices {
            bands,
            reprices: self.reprices,
            version,
        })
    }

    fn band(&self, above_tokens: u64) -> Band {
        let has_own = |tier: &ServiceTier| {
            *tier != ServiceTier::Standard
                && (self.given.contains_key(&(above_tokens, *tier)) || self.given.contains_key(&(0, *tier)))
        };
        let own = ServiceTier::ALL.into_iter().filter(has_own);
        Band {
            above_tokens,
            standard: self.rates(above_tokens, ServiceTier::Standard),
            tiers: own.map(|tier| (tier, self.rates(above_tokens, tier))).collect(),
        }
    }

    /// A class that is said to cost what it is a part of costs goes along with that everywhere.
    fn goes_along(&self, class: Class) -> bool {
        let said = |class| self.said(0, ServiceTier::Standard, class);
        class
            .part_of()
            .is_some_and(|whole| said(whole).is_some() && said(class) == said(whole))
    }

    fn rates(&self, above_tokens: u64, tier: ServiceTier) -> Rates {
        Class::ALL.map(|class| self.resolved(above_tokens, tier, class))
    }

    /// What is said of the class: in this band for this tier; else the dearer of what is said in this band and for this
    /// tier, for it is both; else at all; else what the class is a part of costs.
    fn resolved(&self, above_tokens: u64, tier: ServiceTier, class: Class) -> u64 {
        let usual = (0, ServiceTier::Standard);
        let goes_along = self.goes_along(class);
        let said = |above, tier| {
            let said = self.said(above, tier, class);
            said.filter(|_| !goes_along || (above, tier) != usual)
        };
        let of_either = || said(above_tokens, ServiceTier::Standard).max(said(0, tier));
        let said = said(above_tokens, tier)
            .or_else(of_either)
            .or_else(|| said(usual.0, usual.1));
        match (said, class.part_of()) {
            (Some(picos), _) => picos,
            (None, Some(whole)) => self.resolved(above_tokens, tier, whole),
            (None, None) => 0,
        }
    }

    fn said(&self, above_tokens: u64, tier: ServiceTier, class: Class) -> Option<u64> {
        self.given.get(&(above_tokens, tier))?[class as usize]
    }
}

fn version(bands: &[Band], reprices: Reprices) -> PriceVersion {
    let mut hash = Fnv::default();
    hash.word(match reprices {
        Reprices::Request => 0,
        Reprices::Beyond => 1,
    });
    for band in bands {
        hash.word(band.above_tokens);
        band.standard.iter().for_each(|picos| hash.word(*picos));
        for (tier, rates) in &band.tiers {
            hash.word(*tier as u64);
            rates.iter().for_each(|picos| hash.word(*picos));
        }
    }
    PriceVersion(hash.0)
}
