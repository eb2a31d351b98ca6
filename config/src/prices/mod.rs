//! What calls cost: prices by class of usage, by service tier and by length of the prompt, and the lists that say which
//! model costs what from when. Whole numbers only; counts come in, a sum comes out.

mod build;
mod list;
pub mod litellm;
mod text;

pub use build::{Builder, MAX_PICOS};
pub use list::{Entry, Price, PriceList, Priced};
pub(crate) use text::read;

use std::fmt;

use crate::money::PicoUsd;

/// What is counted and has a price of its own. The first six are the prompt, in the order in which they stand in it: what
/// was cached is its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
    Input,
    InputImage,
    InputAudio,
    Output,
    Reasoning,
    OutputAudio,
    /// The call itself.
    Request,
}

impl Class {
    pub const ALL: [Self; 10] = [
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::Input,
        Self::InputImage,
        Self::InputAudio,
        Self::Output,
        Self::Reasoning,
        Self::OutputAudio,
        Self::Request,
    ];
    const OF_PROMPT: usize = 6;

    /// As usage records, metrics and the configuration have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::InputAudio => "input_audio",
            Self::OutputAudio => "output_audio",
            Self::InputImage => "input_image",
            Self::Request => "request",
        }
    }

    /// The class whose price a class has where none of its own is said.
    pub const fn part_of(self) -> Option<Self> {
        match self {
            Self::CacheRead | Self::CacheWrite5m | Self::InputImage | Self::InputAudio => Some(Self::Input),
            Self::CacheWrite1h => Some(Self::CacheWrite5m),
            Self::Reasoning | Self::OutputAudio => Some(Self::Output),
            Self::Input | Self::Output | Self::Request => None,
        }
    }

    /// A price is for so many of it, as a power of ten: a million tokens, one request.
    pub const fn unit_log10(self) -> u32 {
        match self {
            Self::Request => 0,
            _ => 6,
        }
    }
}

/// What a call used. Tokens are in disjoint classes; what a provider did not say is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub output: u64,
    pub reasoning: u64,
    pub input_audio: u64,
    pub output_audio: u64,
    pub input_image: u64,
    pub requests: u64,
}

impl Counts {
    /// In the order of `Class::ALL`.
    const fn by_class(&self) -> [u64; Class::ALL.len()] {
        [
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.input,
            self.input_image,
            self.input_audio,
            self.output,
            self.reasoning,
            self.output_audio,
            self.requests,
        ]
    }
}

/// How a provider was asked to serve a call, which decides its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceTier {
    #[default]
    Standard,
    Batch,
    Flex,
    Priority,
}

impl ServiceTier {
    pub const ALL: [Self; 4] = [Self::Standard, Self::Batch, Self::Flex, Self::Priority];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}

/// What a prompt longer than a band begins at costs by that band's prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reprices {
    /// The whole request, its answer included.
    #[default]
    Request,
    /// Only the prompt's tokens that lie beyond.
    Beyond,
}

/// Pico-dollars for one of each class.
type Rates = [u64; Class::ALL.len()];

/// What one model costs at one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// By where they begin; the first at zero.
    bands: Box<[Band]>,
    reprices: Reprices,
    version: PriceVersion,
}

/// Prices of prompts longer than this many tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Band {
    above_tokens: u64,
    standard: Rates,
    /// Of the tiers that have prices of their own.
    tiers: Box<[(ServiceTier, Rates)]>,
}

impl Band {
    fn rates(&self, tier: ServiceTier) -> &Rates {
        let own = self.tiers.iter().find(|(own, _)| *own == tier);
        own.map_or(&self.standard, |(_, rates)| rates)
    }
}

/// Names the prices a sum was made with: the same prices have the same name wherever and whenever they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PriceVersion(pub u64);

impl fmt::Display for PriceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Prices {
    /// The exact sum. A tier without prices of its own is billed as standard.
    pub fn cost(&self, counts: &Counts, tier: ServiceTier) -> PicoUsd {
        let counts = counts.by_class();
        match self.reprices {
            Reprices::Request => sum(&counts, self.band(&counts).rates(tier)),
            Reprices::Beyond => self.cost_by_bands(&counts, tier),
        }
    }

    /// The one whose prices a prompt of this length has.
    fn band(&self, counts: &Rates) -> &Band {
        let [first, longer @ ..] = &*self.bands else {
            unreachable!("prices have a first band: `Builder` makes it")
        };
        if longer.is_empty() {
            return first;
        }
        let prompt = counts[..Class::OF_PROMPT]
            .iter()
            .fold(0u64, |sum, count| sum.saturating_add(*count));
        let reached = longer.iter().rev().find(|band| prompt > band.above_tokens);
        reached.unwrap_or(first)
    }

    /// The prompt's tokens by the bands they lie in, the rest by the first.
    fn cost_by_bands(&self, counts: &Rates, tier: ServiceTier) -> PicoUsd {
        let mut rest = *counts;
        rest[..Class::OF_PROMPT].fill(0);
        let mut cost = sum(&rest, self.bands[0].rates(tier));
        let ends = self
            .bands
            .iter()
            .skip(1)
            .map(|band| band.above_tokens)
            .chain([u64::MAX]);
        for (band, end) in self.bands.iter().zip(ends) {
            let (mut inside, mut at) = ([0; Class::ALL.len()], 0u64);
            for (inside, count) in inside.iter_mut().zip(&counts[..Class::OF_PROMPT]) {
                let after = at.saturating_add(*count);
                *inside = after.min(end).saturating_sub(at.max(band.above_tokens));
                at = after;
            }
            cost = cost.saturating_add(sum(&inside, band.rates(tier)));
        }
        cost
    }

    /// Is the call itself priced, whatever it used?
    pub fn by_request(&self) -> bool {
        self.bands[0].standard[Class::Request as usize] > 0
    }

    pub fn version(&self) -> PriceVersion {
        self.version
    }

    pub fn reprices(&self) -> Reprices {
        self.reprices
    }

    /// Where its bands begin; the first at zero.
    pub fn bands(&self) -> impl Iterator<Item = u64> {
        self.bands.iter().map(|band| band.above_tokens)
    }

    /// The tiers that have prices of their own in a band, the standard one first.
    pub fn tiers(&self, above_tokens: u64) -> Vec<ServiceTier> {
        let band = self.bands.iter().find(|band| band.above_tokens == above_tokens);
        let own = band
            .into_iter()
            .flat_map(|band| band.tiers.iter().map(|(tier, _)| *tier));
        [ServiceTier::Standard].into_iter().chain(own).collect()
    }

    /// Pico-dollars for one of a class, where a prompt is longer than `above_tokens`, one of `bands`.
    pub fn picos(&self, above_tokens: u64, tier: ServiceTier, class: Class) -> u64 {
        let mut reached = self.bands.iter().rev();
        let band = reached.find(|band| band.above_tokens <= above_tokens);
        band.unwrap_or(&self.bands[0]).rates(tier)[class as usize]
    }
}

/// No price is above `MAX_PICOS`, so ten products of it and a count fit.
fn sum(counts: &Rates, rates: &Rates) -> PicoUsd {
    let each = counts.iter().zip(rates);
    PicoUsd(each.map(|(count, picos)| u128::from(*count) * u128::from(*picos)).sum())
}
