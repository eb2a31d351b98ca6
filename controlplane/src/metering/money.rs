//! Sums of money in the two columns of the ledger. Corrections can be less than nothing, so these have a sign; sums are
//! exact, and rounded where they are shown.

use std::fmt;

use super::ledger::COST_UNIT_PICOS;

const PICOS_PER_NANO: i128 = 1_000;
const PICOS_PER_DOLLAR: i128 = 1_000_000_000_000;

/// Pico-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Picos(pub i128);

impl Picos {
    pub fn of_units(units: i64, rest: i64) -> Self {
        Self(i128::from(units) * COST_UNIT_PICOS as i128 + i128::from(rest))
    }

    /// Both of its sign.
    pub fn units(self) -> (i64, i64) {
        let unit = COST_UNIT_PICOS as i128;
        let units = i64::try_from(self.0 / unit).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX });
        (units, (self.0 % unit) as i64)
    }

    /// Dollars with nine digits behind the point, rounded up.
    pub fn nanos_text(self) -> String {
        let nanos = self.0.div_euclid(PICOS_PER_NANO) + i128::from(self.0.rem_euclid(PICOS_PER_NANO) > 0);
        let unit = PICOS_PER_DOLLAR / PICOS_PER_NANO;
        let sign = if nanos < 0 { "-" } else { "" };
        let nanos = nanos.unsigned_abs();
        format!("{sign}{}.{:09}", nanos / unit as u128, nanos % unit as u128)
    }

    /// A decimal number, exactly: `12.34`, `-1e-7`. `None` where it is none, or has more digits than a pico-dollar.
    pub fn parse(text: &str, power: i32) -> Option<Self> {
        let (sign, digits) = match text.trim().strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.trim().trim_start_matches('+')),
        };
        let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (digits, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let shift = 12i32.checked_add(power)?.checked_add(exponent)?;
        let kept = usize::try_from((shift).max(0)).ok()?.min(fraction.len());
        // What is finer than a pico-dollar is no money that anybody is asked for.
        let (fraction, finer) = fraction.split_at(if shift < 0 { 0 } else { kept });
        let _ = finer;
        let number = format!("{whole}{fraction}");
        let number: i128 = if number.is_empty() { 0 } else { number.parse().ok()? };
        let places = shift.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let scaled = match places {
            0.. => number.checked_mul(10i128.checked_pow(places.unsigned_abs())?)?,
            _ => number / 10i128.checked_pow(places.unsigned_abs())?,
        };
        Some(Self(sign * scaled))
    }
}

/// Dollars with all twelve digits behind the point.
impl fmt::Display for Picos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let picos = self.0.unsigned_abs();
        write!(
            f,
            "{sign}{}.{:012}",
            picos / PICOS_PER_DOLLAR as u128,
            picos % PICOS_PER_DOLLAR as u128
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_and_shown_exactly() {
        for (text, power, picos) in [
            ("0.06", 0, 60_000_000_000),
            ("123.78912", -2, 1_237_891_200_000),
            ("1e-7", 0, 100_000),
            ("-2.5", 0, -2_500_000_000_000),
            ("0.003835980000000000000000000000", 0, 3_835_980_000),
            ("7", 0, 7_000_000_000_000),
            (".5", 0, 500_000_000_000),
            ("0.0000000000009", 0, 0),
        ] {
            assert_eq!(Picos::parse(text, power), Some(Picos(picos)), "{text}");
        }
        for wrong in ["", "a", "1.2.3", "1e", "--1", "1,000"] {
            assert_eq!(Picos::parse(wrong, 0), None, "{wrong}");
        }
        assert_eq!(Picos(-1).nanos_text(), "0.000000000");
        assert_eq!(Picos(-1_500).nanos_text(), "-0.000000001");
        assert_eq!(Picos(1).nanos_text(), "0.000000001");
        assert_eq!(Picos(-1_000_000_000_001).to_string(), "-1.000000000001");
        for picos in [0, 1, -1, 1_000_000_001, -123_456_789_012] {
            let (units, rest) = Picos(picos).units();
            assert_eq!(Picos::of_units(units, rest), Picos(picos));
        }
    }
}
