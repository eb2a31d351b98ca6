//! The formulas. All arithmetic is in integers, on sizes clamped to what providers accept.

use super::{Detail, Size};

/// No provider takes a longer side; what is longer is scaled by its gateway or refused.
const MAX_SIDE: u32 = 65_536;

/// How a model's provider counts a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// OpenAI's older models: scaled into 2,048 by 2,048 and to a short side of 768, then a price for every tile of
    /// 512 by 512 begun.
    Tiles { base: u32, per_tile: u32 },
    /// OpenAI's newer models: patches of 32 by 32, scaled down to at most so many, times a factor.
    Patches {
        most: u32,
        most_low: u32,
        longest_side: u32,
        per_thousand: u32,
    },
    /// Anthropic: patches of 28 by 28 (the 750 pixels a token that it published before), scaled down to a longest
    /// side and to at most so many tokens.
    Grid28 { longest_side: u32, most: u32 },
    /// Gemini up to 2.5: 258 for a small picture, else 258 a tile.
    GeminiTiles,
    /// Gemini 3: a budget by resolution, whatever the size.
    GeminiBudget,
    /// Nothing is published: Anthropic's, which is in the middle.
    Unknown,
}

/// Parts of model names and their rule. The first that a name contains decides.
const NAMES: &[(&str, Rule)] = &[
    ("gpt-4o-mini", tiles(2_833, 5_667)),
    ("gpt-4.1-mini", patches(1_536, 1_620)),
    ("gpt-4.1-nano", patches(1_536, 2_460)),
    ("gpt-4o", tiles(85, 170)),
    ("gpt-4.", tiles(85, 170)),
    ("gpt-4-", tiles(85, 170)),
    ("chatgpt-4o", tiles(85, 170)),
    ("computer-use-preview", tiles(65, 129)),
    ("o4-mini", patches(1_536, 1_720)),
    ("-nano", patches(1_536, 2_460)),
    ("-mini", patches(1_536, 1_620)),
    ("gpt-5.2", patches(1_536, 1_200)),
    ("gpt-5.3", patches(1_536, 1_200)),
    ("gpt-5.1", tiles(70, 140)),
    ("gpt-5.", patches(2_500, 1_200)),
    ("gpt-5", tiles(70, 140)),
    ("gpt-", patches(2_500, 1_200)),
    ("gemini-1", Rule::GeminiTiles),
    ("gemini-2", Rule::GeminiTiles),
    ("gemini", Rule::GeminiBudget),
];

const fn tiles(base: u32, per_tile: u32) -> Rule {
    Rule::Tiles { base, per_tile }
}

const fn patches(most: u32, per_thousand: u32) -> Rule {
    Rule::Patches {
        most,
        // A picture of low detail is scaled to 512 by 512.
        most_low: 256,
        longest_side: if most > 1_536 { 2_048 } else { MAX_SIDE },
        per_thousand,
    }
}

impl Rule {
    /// By the provider's name of a model.
    pub fn of_model(model: &str) -> Rule {
        let model = model.to_ascii_lowercase();
        if let Some(claude) = crate::tokens::family::claude_version(&model) {
            return match claude >= (4, 7) {
                true => Rule::Grid28 {
                    longest_side: 2_576,
                    most: 4_784,
                },
                false => Rule::Grid28 {
                    longest_side: 1_568,
                    most: 1_568,
                },
            };
        }
        if let Some((_, rule)) = NAMES.iter().find(|(part, _)| model.contains(part)) {
            return *rule;
        }
        let last = model.rsplit(['/', ':']).next().unwrap_or_default();
        match last.as_bytes() {
            [b'o', b'1' | b'3'] | [b'o', b'1' | b'3', b'-', ..] => tiles(75, 150),
            _ => Rule::Unknown,
        }
    }

    /// The most that any picture is counted as; `None`: nothing is published that bounds it.
    pub fn most(self) -> Option<u64> {
        /// Of 2,048 by 768 pixels, the largest that is left of any picture.
        const MOST_TILES: u64 = 8;
        match self {
            Rule::Tiles { base, per_tile } => Some(u64::from(base) + MOST_TILES * u64::from(per_tile)),
            Rule::Patches { most, per_thousand, .. } => {
                Some((u64::from(most) * u64::from(per_thousand)).div_ceil(1_000))
            }
            Rule::Grid28 { most, .. } => Some(u64::from(most)),
            Rule::GeminiBudget => Some(1_120),
            Rule::GeminiTiles | Rule::Unknown => None,
        }
    }

    pub fn tokens(self, size: Size, detail: Detail) -> u64 {
        let size = Size {
            width: size.width.clamp(1, MAX_SIDE),
            height: size.height.clamp(1, MAX_SIDE),
        };
        match self {
            Rule::Tiles { base, per_tile } => {
                let tiles = if detail == Detail::Low { 0 } else { tiles_of_512(size) };
                u64::from(base) + tiles * u64::from(per_tile)
            }
            Rule::Patches {
                most,
                most_low,
                longest_side,
                per_thousand,
            } => {
                let most = if detail == Detail::Low { most_low } else { most };
                let fitted = fit(size, longest_side);
                (openai_patches(fitted, u64::from(most)) * u64::from(per_thousand)).div_ceil(1_000)
            }
            Rule::Grid28 { longest_side, most } => claude_patches(fit(size, longest_side), u64::from(most)),
            Rule::GeminiTiles => gemini_tiles(size),
            Rule::GeminiBudget => match detail {
                Detail::Low => 280,
                Detail::Auto | Detail::High => 1_120,
            },
            Rule::Unknown => claude_patches(fit(size, 1_568), 1_568),
        }
    }
}

/// Scaled down to a longest side.
fn fit(size: Size, longest: u32) -> Size {
    let long = size.width.max(size.height);
    scale(size, longest.min(long), long)
}

/// Scaled by a fraction; no side becomes nothing.
fn scale(size: Size, numerator: u32, denominator: u32) -> Size {
    let side = |side: u32| (u64::from(side) * u64::from(numerator) / u64::from(denominator)).max(1) as u32;
    Size {
        width: side(size.width),
        height: side(size.height),
    }
}

fn tiles_of_512(size: Size) -> u64 {
    let fitted = fit(size, 2_048);
    let short = fitted.width.min(fitted.height);
    let fitted = scale(fitted, short.min(768), short);
    u64::from(fitted.width.div_ceil(512)) * u64::from(fitted.height.div_ceil(512))
}

/// How many squares of this side cover the picture.
fn squares(size: Size, side: u32) -> u64 {
    u64::from(size.width.div_ceil(side)) * u64::from(size.height.div_ceil(side))
}

/// OpenAI's: where there are more than `most`, the picture is scaled to their area, then on until one of its sides is a
/// whole number of them.
fn openai_patches(size: Size, most: u64) -> u64 {
    let all = squares(size, 32);
    if all <= most {
        return all;
    }
    let (width, height) = (u64::from(size.width), u64::from(size.height));
    let columns = (most * width / height).isqrt().max(1);
    let rows = (most * height / width).isqrt().max(1);
    let patches = match columns * height < rows * width {
        true => columns * (columns * height).div_ceil(width),
        false => rows * (rows * width).div_ceil(height),
    };
    patches.min(most)
}

/// Anthropic's: the largest size at these proportions that takes no more than `most`.
fn claude_patches(size: Size, most: u64) -> u64 {
    let all = squares(size, 28);
    if all <= most {
        return all;
    }
    let (width, height) = (u64::from(size.width), u64::from(size.height));
    // The most squares along one side for which they, with those along the other, are within bounds.
    let along = |one: u64, other: u64| {
        let squares = |count: u64| count * (count * other).div_ceil(one);
        let (mut fits, mut too_many) = (0, most + 1);
        while fits + 1 < too_many {
            let count = fits.midpoint(too_many);
            match squares(count) <= most {
                true => fits = count,
                false => too_many = count,
            }
        }
        squares(fits)
    };
    // Of a strip even one square across is too many along.
    match along(width, height).max(along(height, width)) {
        0 => most,
        squares => squares,
    }
}

/// Google's formula: 258 where both sides are at most 384; else tiles with a side of two thirds of the short one,
/// between 256 and 768 pixels.
fn gemini_tiles(size: Size) -> u64 {
    const PER_TILE: u64 = 258;
    if size.width.max(size.height) <= 384 {
        return PER_TILE;
    }
    let tile = (size.width.min(size.height) * 2 / 3).clamp(256, 768);
    PER_TILE * u64::from(size.width.div_ceil(tile)) * u64::from(size.height.div_ceil(tile))
}
