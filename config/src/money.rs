//! Money as whole numbers: pico-dollars (10⁻¹²) for prices and the cost of a call, nano-dollars (10⁻⁹) for what is
//! charged and shown. Knows no price, and no float.

use std::fmt;

/// Digits behind the point of a dollar.
const PICO_DIGITS: u32 = 12;
const NANO_DIGITS: u32 = 9;
const PICOS_PER_NANO: u128 = 1_000;

/// An exact sum. Adding saturates: what is beyond 3·10²⁶ dollars is as good as endless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(pub u128);

/// What a balance is charged and people are shown; up to 18 billion dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

impl PicoUsd {
    pub const ZERO: Self = Self(0);

    pub const fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// Rounded up, so that no call is cheaper than it was.
    pub fn to_nanos(self) -> NanoUsd {
        // Nearly every cost fits into a word, whose division is many times quicker.
        match u64::try_from(self.0) {
            Ok(small) => NanoUsd(small.div_ceil(PICOS_PER_NANO as u64)),
            Err(_) => NanoUsd(u64::try_from(self.0.div_ceil(PICOS_PER_NANO)).unwrap_or(u64::MAX)),
        }
    }
}

/// Dollars with all twelve digits behind the point.
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u128.pow(PICO_DIGITS);
        write!(f, "{}.{:012}", self.0 / unit, self.0 % unit)
    }
}

/// Bytes that any amount fits into as text.
pub const NANO_TEXT_BYTES: usize = 21;

impl NanoUsd {
    pub const fn to_picos(self) -> PicoUsd {
        PicoUsd(self.0 as u128 * PICOS_PER_NANO)
    }

    /// Dollars with nine digits behind the point, without touching the allocator: `0.001234000`.
    pub fn text(self, buffer: &mut [u8; NANO_TEXT_BYTES]) -> &[u8] {
        let (mut rest, mut at, mut digits) = (self.0, NANO_TEXT_BYTES, 0);
        while digits <= NANO_DIGITS || rest > 0 {
            if digits == NANO_DIGITS {
                at -= 1;
                buffer[at] = b'.';
            }
            at -= 1;
            buffer[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            digits += 1;
        }
        &buffer[at..]
    }

    /// `500.00 USD`, as the configuration writes money: what a limit is.
    pub fn parse(text: &str) -> Result<Self, NoNumber> {
        let dollars = text.strip_suffix("USD").ok_or(NoNumber::Malformed)?;
        let dollars = dollars.strip_suffix(' ').ok_or(NoNumber::Malformed)?;
        let nanos = scaled(dollars, NANO_DIGITS as i32)?;
        u64::try_from(nanos).map(Self).map_err(|_| NoNumber::TooLarge)
    }
}

/// Nine digits behind the point.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; NANO_TEXT_BYTES];
        f.write_str(&String::from_utf8_lossy(self.text(&mut buffer)))
    }
}

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoNumber {
    Malformed,
    /// More digits behind the point than the unit has: it would have to be rounded.
    Inexact,
    TooLarge,
}

/// The price of one token, in pico-dollars, of a price in dollars for `tokens` of them: `per_token("2.50", 6)` is for a
/// million.
pub fn per_token(dollars: &str, tokens_log10: u32) -> Result<u64, NoNumber> {
    let picos = scaled(dollars, PICO_DIGITS as i32 - tokens_log10 as i32)?;
    u64::try_from(picos).map_err(|_| NoNumber::TooLarge)
}

/// The other way round, without zeros at the end: `dollars(2_500_000, 6)` is `2.5`.
pub fn dollars(picos: u64, tokens_log10: u32) -> String {
    let unit = 10u64.pow(PICO_DIGITS.saturating_sub(tokens_log10));
    let (whole, part) = (picos / unit, picos % unit);
    let digits = PICO_DIGITS.saturating_sub(tokens_log10) as usize;
    let text = format!("{whole}.{part:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A decimal number (`0.25`, `2.5e-06`) times 10^`places`, exactly.
fn scaled(text: &str, places: i32) -> Result<u128, NoNumber> {
    /// Longer texts are no amounts, and their exponents would overflow.
    const MAX_BYTES: usize = 40;
    const MAX_EXPONENT: i32 = 100;
    if text.len() > MAX_BYTES {
        return Err(NoNumber::Malformed);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, signed(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || exponent.abs() > MAX_EXPONENT {
        return Err(NoNumber::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = whole.bytes().chain(fraction.bytes());
    let mut digits = digits.map(|digit| u128::from(digit - b'0'));
    let number = digits.try_fold(0u128, |sum, digit| sum.checked_mul(10)?.checked_add(digit));
    let mut number = number.ok_or(NoNumber::TooLarge)?;
    let mut shift = places + exponent - fraction.len() as i32;
    while shift < 0 && number != 0 {
        if number % 10 != 0 {
            return Err(NoNumber::Inexact);
        }
        number /= 10;
        shift += 1;
    }
    let power = 10u128.checked_pow(shift.max(0) as u32);
    match number {
        0 => Ok(0),
        _ => power
            .and_then(|power| number.checked_mul(power))
            .ok_or(NoNumber::TooLarge),
    }
}

fn signed(text: &str) -> Result<i32, NoNumber> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoNumber::Malformed);
    }
    text.parse().map_err(|_| NoNumber::Malformed)
}

/// Less than a list price: hundredths of a percent that are taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Discount(u16);

impl Discount {
    pub const NONE: Self = Self(0);
    const WHOLE: u64 = 10_000;

    /// `15%`, `7.5%`: from 0 to 100, with at most two digits behind the point.
    pub fn parse(text: &str) -> Result<Self, NoNumber> {
        let percent = text.strip_suffix('%').ok_or(NoNumber::Malformed)?;
        let basis_points = scaled(percent, 2)?;
        match u16::try_from(basis_points) {
            Ok(points) if u64::from(points) <= Self::WHOLE => Ok(Self(points)),
            _ => Err(NoNumber::TooLarge),
        }
    }

    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// What is left to pay, rounded up to the pico-dollar.
    pub fn of(self, cost: PicoUsd) -> PicoUsd {
        if self == Self::NONE {
            return cost;
        }
        let left = Self::WHOLE - u64::from(self.0);
        if let Some(product) = u64::try_from(cost.0).ok().and_then(|cost| cost.checked_mul(left)) {
            return PicoUsd(product.div_ceil(Self::WHOLE).into());
        }
        // In two parts, for the product may not fit.
        let (whole, left) = (u128::from(Self::WHOLE), u128::from(left));
        PicoUsd(cost.0 / whole * left + (cost.0 % whole * left).div_ceil(whole))
    }
}

impl fmt::Display for Discount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 100 {
            0 => write!(f, "{}%", self.0 / 100),
            part if part % 10 == 0 => write!(f, "{}.{}%", self.0 / 100, part / 10),
            part => write!(f, "{}.{part:02}%", self.0 / 100),
        }
    }
}
