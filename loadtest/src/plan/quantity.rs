//! What people write with a unit: `30%`, `1.5s`, `16GiB`, `2000 tokens`, and spreads of these. Knows no demand.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A value that is written as one scalar.
pub trait Quantity: Copy {
    /// What would be right, for errors.
    const EXAMPLES: &'static str;
    /// From a number, finite and not negative, and its unit.
    fn of(number: f64, unit: &str) -> Option<Self>;
    fn number(self) -> f64;
    /// The same unit around another number.
    fn with(self, number: f64) -> Self;
    fn same_unit(self, _other: Self) -> bool {
        true
    }
}

/// A part of a whole, or a growth: `0.3` and `30%` are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio(pub f64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub f64);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bytes(pub f64);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count(pub f64);

/// The size of a prompt or an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    Tokens(f64),
    Bytes(f64),
}

impl Quantity for Ratio {
    const EXAMPLES: &'static str = "a share such as 30% or 0.3";

    fn of(number: f64, unit: &str) -> Option<Self> {
        match unit {
            "%" => Some(Self(number / 100.0)),
            "" => Some(Self(number)),
            _ => None,
        }
    }

    fn number(self) -> f64 {
        self.0
    }

    fn with(self, number: f64) -> Self {
        Self(number)
    }
}

impl Quantity for Seconds {
    const EXAMPLES: &'static str = "a time with its unit, such as 250ms, 2s, 5m or 1h";

    fn of(number: f64, unit: &str) -> Option<Self> {
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "" if number == 0.0 => 1.0,
            _ => return None,
        };
        Some(Self(number * seconds))
    }

    fn number(self) -> f64 {
        self.0
    }

    fn with(self, number: f64) -> Self {
        Self(number)
    }
}

impl Quantity for Bytes {
    const EXAMPLES: &'static str = "a size with its unit, such as 900B, 64KiB or 16GiB";

    fn of(number: f64, unit: &str) -> Option<Self> {
        if number == 0.0 && unit.is_empty() {
            return Some(Self(0.0));
        }
        bytes_of(unit).map(|unit| Self(number * unit))
    }

    fn number(self) -> f64 {
        self.0
    }

    fn with(self, number: f64) -> Self {
        Self(number)
    }
}

impl Quantity for Count {
    const EXAMPLES: &'static str = "a number such as 300";

    fn of(number: f64, unit: &str) -> Option<Self> {
        unit.is_empty().then_some(Self(number))
    }

    fn number(self) -> f64 {
        self.0
    }

    fn with(self, number: f64) -> Self {
        Self(number)
    }
}

impl Quantity for Amount {
    const EXAMPLES: &'static str = "tokens or bytes, such as '2000 tokens' or 8KiB";

    fn of(number: f64, unit: &str) -> Option<Self> {
        match unit {
            "tokens" | "token" => Some(Self::Tokens(number)),
            unit => bytes_of(unit).map(|unit| Self::Bytes(number * unit)),
        }
    }

    fn number(self) -> f64 {
        match self {
            Self::Tokens(number) | Self::Bytes(number) => number,
        }
    }

    fn with(self, number: f64) -> Self {
        match self {
            Self::Tokens(_) => Self::Tokens(number),
            Self::Bytes(_) => Self::Bytes(number),
        }
    }

    fn same_unit(self, other: Self) -> bool {
        matches!(self, Self::Tokens(_)) == matches!(other, Self::Tokens(_))
    }
}

fn bytes_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

pub fn parse<T: Quantity>(text: &str) -> Result<T, String> {
    split(text)
        .and_then(|(number, unit)| T::of(number, unit))
        .ok_or_else(|| format!("'{text}' is not {}", T::EXAMPLES))
}

/// A number that is finite and not negative, and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let is_exponent = |at: usize, sign: char| {
        matches!(sign, 'e' | 'E') && text[at + 1..].starts_with(|next: char| next.is_ascii_digit())
    };
    let end = text
        .char_indices()
        .find(|&(at, sign)| !(sign.is_ascii_digit() || matches!(sign, '.' | '_') || is_exponent(at, sign)))
        .map_or(text.len(), |(at, _)| at);
    let number: f64 = text[..end].replace('_', "").parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim()))
}

/// One value, or the shape of many, of which a plan needs the mean: `20s`, `{mean: 20s}`, `{min: 5s, max: 35s}`
/// (uniform), `{p50: 12s, p99: 60s}` (log-normal).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread<T>(pub T);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "T: Quantity")]
struct Shape<T> {
    mean: Option<Scalar<T>>,
    min: Option<Scalar<T>>,
    max: Option<Scalar<T>>,
    p50: Option<Scalar<T>>,
    p99: Option<Scalar<T>>,
}

impl<T: Quantity> Shape<T> {
    fn mean(self) -> Result<T, String> {
        match (self.mean, self.min, self.max, self.p50, self.p99) {
            (Some(mean), None, None, None, None) => Ok(mean.0),
            (None, Some(min), Some(max), None, None) => {
                let (low, high) = ordered("min", min.0, "max", max.0)?;
                Ok(min.0.with(f64::midpoint(low, high)))
            }
            (None, None, None, Some(p50), Some(p99)) => {
                let (median, tail) = ordered("p50", p50.0, "p99", p99.0)?;
                if median == 0.0 {
                    return Err("p50 must be above 0: the spread is log-normal".to_owned());
                }
                Ok(p50.0.with(log_normal_mean(median, tail)))
            }
            _ => Err("a spread is one of {mean}, {min, max} and {p50, p99}".to_owned()),
        }
    }
}

fn ordered<T: Quantity>(low_name: &str, low: T, high_name: &str, high: T) -> Result<(f64, f64), String> {
    if !low.same_unit(high) {
        return Err(format!(
            "{low_name} and {high_name} must have one unit, tokens or bytes"
        ));
    }
    if low.number() > high.number() {
        return Err(format!("{low_name} is above {high_name}"));
    }
    Ok((low.number(), high.number()))
}

/// The mean of the log-normal distribution with these percentiles.
fn log_normal_mean(p50: f64, p99: f64) -> f64 {
    /// The standard normal distribution's 99th percentile.
    const Z99: f64 = 2.326_347_874;
    let sigma = (p99 / p50).ln() / Z99;
    p50 * (sigma * sigma / 2.0).exp()
}

/// Reads a `Quantity` from a YAML scalar, number or text.
pub struct Scalar<T>(pub T);

impl<'de, T: Quantity> Deserialize<'de> for Scalar<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(QuantityVisitor::<T, false>(PhantomData))
            .map(Scalar)
    }
}

/// For `#[serde(deserialize_with)]`, where the field is the quantity itself.
pub fn scalar<'de, T: Quantity, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Scalar::deserialize(from).map(|scalar| scalar.0)
}

impl<'de, T: Quantity> Deserialize<'de> for Spread<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(QuantityVisitor::<T, true>(PhantomData))
            .map(Spread)
    }
}

/// Of a scalar, or with `SPREAD` of a map too, whose mean it is then.
struct QuantityVisitor<T, const SPREAD: bool>(PhantomData<T>);

impl<'de, T: Quantity, const SPREAD: bool> Visitor<'de> for QuantityVisitor<T, SPREAD> {
    type Value = T;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(T::EXAMPLES)?;
        if SPREAD {
            to.write_str(", or a spread: {mean}, {min, max} or {p50, p99}")?;
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        parse(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        if !SPREAD {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
        }
        Shape::<T>::deserialize(MapAccessDeserializer::new(map))?
            .mean()
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        scalar(from)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        scalar(from)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        scalar(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        assert_eq!(parse("30 %"), Ok(Ratio(0.3)));
        assert_eq!(parse("0.3"), Ok(Ratio(0.3)));
        assert_eq!(parse("250ms"), Ok(Seconds(0.25)));
        assert_eq!(parse("1.5 m"), Ok(Seconds(90.0)));
        assert_eq!(parse("16GiB"), Ok(Bytes(17_179_869_184.0)));
        assert_eq!(parse("1e3B"), Ok(Bytes(1000.0)));
        assert_eq!(parse("2_000 tokens"), Ok(Amount::Tokens(2000.0)));
        assert_eq!(parse("8KiB"), Ok(Amount::Bytes(8192.0)));
        assert_eq!(parse("1e9"), Ok(Count(1e9)));
    }

    #[test]
    fn what_has_the_wrong_unit_or_none_says_what_would_be_right() {
        for text in ["2", "2 parsecs", "-2s", "", "s", "1e999s", "2..5s", "NaN s"] {
            assert!(
                parse::<Seconds>(text).is_err_and(|told| told.contains("250ms")),
                "{text}"
            );
        }
        assert!(parse::<Amount>("2000").is_err_and(|told| told.contains("'2000 tokens'")));
        assert!(parse::<Bytes>("64K").is_err());
    }

    fn spread<T: Quantity>(yaml: &str) -> Result<T, String> {
        serde_saphyr::from_str::<Spread<T>>(yaml)
            .map(|spread| spread.0)
            .map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_spread_has_a_mean() {
        assert_eq!(spread("20s"), Ok(Seconds(20.0)));
        assert_eq!(spread("{mean: 20s}"), Ok(Seconds(20.0)));
        assert_eq!(spread("{min: 5s, max: 35s}"), Ok(Seconds(20.0)));
        assert_eq!(spread("300"), Ok(Count(300.0)));
        // exp(sigma^2 / 2) with sigma = ln 5 / 2.3263.
        let Ok(Seconds(mean)) = spread("{p50: 10s, p99: 50s}") else {
            panic!("a spread");
        };
        assert!((mean - 12.704).abs() < 0.001, "{mean}");
    }

    #[test]
    fn a_spread_that_cannot_be_is_refused() {
        for (yaml, said) in [
            ("{p50: 10s, p99: 5s}", "p50 is above p99"),
            ("{p50: 10s}", "{p50, p99}"),
            ("{p50: 10s, p95: 20s}", "p95"),
            ("{mean: 10s, max: 20s}", "a spread is one of"),
            ("{p50: 0s, p99: 5s}", "above 0"),
            ("[1s]", "a time with its unit"),
        ] {
            assert!(spread::<Seconds>(yaml).is_err_and(|told| told.contains(said)), "{yaml}");
        }
        let mixed = spread::<Amount>("{min: 1 tokens, max: 1KiB}");
        assert!(mixed.is_err_and(|told| told.contains("one unit")));
    }
}
