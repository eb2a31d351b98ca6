//! Distributions of sizes, counts and waits, as a mix writes them down. Pure.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{dice::Dice, units};

/// The 99th percentile of the standard normal.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

/// What single numbers are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    Constant(f64),
    Uniform {
        min: f64,
        max: f64,
    },
    /// Most are near the median, a few are far above: the shape of prompts, answers and waits.
    LogNormal {
        ln_median: f64,
        sigma: f64,
        max: f64,
    },
    /// Waits between independent events.
    Exponential {
        mean: f64,
        max: f64,
    },
}

impl Distribution {
    pub fn draw(&self, dice: &mut Dice) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::Uniform { min, max } => min + (max - min) * dice.unit(),
            Self::LogNormal { ln_median, sigma, max } => (ln_median + sigma * dice.normal()).exp().min(max),
            Self::Exponential { mean, max } => (mean * dice.exponential()).min(max),
        }
    }

    /// A whole number, drawn evenly from those between `min` and `max`, both included, when it is uniform.
    pub fn draw_whole(&self, dice: &mut Dice) -> u64 {
        match *self {
            Self::Uniform { min, max } => min as u64 + dice.below((max - min) as u64 + 1),
            _ => self.draw(dice).round() as u64,
        }
    }

    /// The mean, bounds left out of account.
    #[cfg(test)]
    pub fn mean(&self) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::Uniform { min, max } => (min + max) / 2.0,
            Self::LogNormal { ln_median, sigma, .. } => (ln_median + sigma * sigma / 2.0).exp(),
            Self::Exponential { mean, .. } => mean,
        }
    }

    /// The same in another unit.
    pub fn scaled(self, by: f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value * by),
            Self::Uniform { min, max } => Self::Uniform {
                min: (min * by).round(),
                max: (max * by).round(),
            },
            Self::LogNormal { ln_median, sigma, max } => Self::LogNormal {
                ln_median: ln_median + by.ln(),
                sigma,
                max: max * by,
            },
            Self::Exponential { mean, max } => Self::Exponential {
                mean: mean * by,
                max: max * by,
            },
        }
    }
}

/// A distribution as written: `1200`, `{ min: 100, max: 2000 }`, `{ median: 400, p99: 8KiB, max: 64KiB }`,
/// `{ mean: 2s, max: 30s }`.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    One(Scalar),
    Shape(Shape),
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    min: Option<Scalar>,
    max: Option<Scalar>,
    median: Option<Scalar>,
    p99: Option<Scalar>,
    mean: Option<Scalar>,
}

/// A scalar of any type, as text; its unit is read by who knows which it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar(pub String);

/// How a scalar is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    Nanoseconds,
}

impl Unit {
    fn read(self, scalar: &Scalar) -> Result<f64, String> {
        let Scalar(text) = scalar;
        match self {
            Self::Bytes => units::size_bytes(text).map(|bytes| bytes as f64),
            Self::Nanoseconds => units::duration_ns(text).map(|ns| ns as f64),
            Self::Count => match text.parse::<f64>() {
                Ok(count) if count >= 0.0 && count.is_finite() => Ok(count),
                _ => Err(format!("'{text}' is no count; write a number that is not negative")),
            },
        }
    }
}

impl Written {
    /// `most` bounds what has no bound of its own.
    pub fn read(&self, unit: Unit, most: f64) -> Result<Distribution, String> {
        let read = |scalar: &Scalar| match unit.read(scalar)? {
            value if value > most => Err(format!("'{}' is over the bound of {most}; write less", scalar.0)),
            value => Ok(value),
        };
        let shape = match self {
            Self::One(scalar) => return read(scalar).map(Distribution::Constant),
            Self::Shape(shape) => shape,
        };
        let max = shape.max.as_ref().map(read).transpose()?;
        match (&shape.min, &shape.median, &shape.p99, &shape.mean) {
            (Some(min), None, None, None) if max.is_some() => uniform(read(min)?, max.unwrap_or(most)),
            (None, Some(median), Some(p99), None) => log_normal(read(median)?, read(p99)?, max.unwrap_or(most)),
            (None, None, None, Some(mean)) => Ok(Distribution::Exponential {
                mean: read(mean)?,
                max: max.unwrap_or(most),
            }),
            _ => Err(
                "no distribution; write one value, { min, max }, { median, p99 } or { mean }, \
                      the last two with a max if you like"
                    .to_owned(),
            ),
        }
    }
}

fn uniform(min: f64, max: f64) -> Result<Distribution, String> {
    match min <= max {
        true => Ok(Distribution::Uniform { min, max }),
        false => Err("min is over max; exchange them".to_owned()),
    }
}

fn log_normal(median: f64, p99: f64, max: f64) -> Result<Distribution, String> {
    match median > 0.0 && median <= p99 {
        true => Ok(Distribution::LogNormal {
            ln_median: median.ln(),
            sigma: (p99 / median).ln() / NORMAL_P99,
            max,
        }),
        false => Err("the median must be over 0 and the p99 not under it".to_owned()),
    }
}

struct AnyScalar;

impl Visitor<'_> for AnyScalar {
    type Value = Scalar;

    fn expecting(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str("a number, a size or a duration")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct ScalarOrShape;

impl<'de> Visitor<'de> for ScalarOrShape {
    type Value = Written;

    fn expecting(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str("one value, or { min, max }, { median, p99 } or { mean }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        AnyScalar.visit_str(text).map(Written::One)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Written, E> {
        AnyScalar.visit_u64(number).map(Written::One)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Written, E> {
        AnyScalar.visit_i64(number).map(Written::One)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Written, E> {
        AnyScalar.visit_f64(number).map(Written::One)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
        Shape::deserialize(MapAccessDeserializer::new(map)).map(Written::Shape)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarOrShape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, unit: Unit) -> Result<Distribution, String> {
        let written: Written = serde_saphyr::from_str(text).map_err(|bad| bad.to_string())?;
        written.read(unit, 1e12)
    }

    #[test]
    fn each_form_is_read_in_its_unit() {
        let cases = [
            ("1200", Unit::Bytes, Distribution::Constant(1200.0)),
            ("0.5", Unit::Count, Distribution::Constant(0.5)),
            ("4KiB", Unit::Bytes, Distribution::Constant(4096.0)),
            ("2s", Unit::Nanoseconds, Distribution::Constant(2e9)),
            (
                "{ min: 1, max: 9 }",
                Unit::Count,
                Distribution::Uniform { min: 1.0, max: 9.0 },
            ),
            (
                "{ mean: 1ms, max: 1s }",
                Unit::Nanoseconds,
                Distribution::Exponential { mean: 1e6, max: 1e9 },
            ),
        ];
        for (text, unit, right) in cases {
            assert_eq!(read(text, unit), Ok(right), "{text}");
        }
    }

    #[test]
    fn wrong_forms_say_what_is_right() {
        let cases = [
            ("fast", Unit::Nanoseconds, "250ms"),
            ("-3", Unit::Count, "not negative"),
            ("{ min: 3 }", Unit::Count, "{ min, max }"),
            ("{ min: 3, max: 2 }", Unit::Count, "exchange"),
            ("{ median: 0, p99: 2 }", Unit::Count, "over 0"),
            ("{ median: 3, p99: 2 }", Unit::Count, "not under"),
            ("{ mean: 3, p99: 2 }", Unit::Count, "one value"),
            ("{ meen: 3 }", Unit::Count, "meen"),
            ("9000GiB", Unit::Bytes, "over the bound"),
        ];
        for (text, unit, why) in cases {
            let said = read(text, unit).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn draws_have_the_quantiles_that_were_written() {
        const DRAWS: usize = 100_000;
        let drawn = |text| {
            let distribution = read(text, Unit::Count).unwrap();
            let mut dice = Dice::new(9);
            let mut draws: Vec<f64> = (0..DRAWS).map(|_| distribution.draw(&mut dice)).collect();
            let mean = draws.iter().sum::<f64>() / DRAWS as f64;
            assert!((mean / distribution.mean() - 1.0).abs() < 0.03, "{text}: mean {mean}");
            draws.sort_by(f64::total_cmp);
            draws
        };
        let near = |found: f64, right: f64| assert!((found / right - 1.0).abs() < 0.05, "{found} for {right}");
        let log_normal = drawn("{ median: 400, p99: 4000 }");
        near(log_normal[DRAWS / 2], 400.0);
        near(log_normal[DRAWS * 99 / 100], 4000.0);
        let exponential = drawn("{ mean: 50 }");
        near(exponential[DRAWS / 2], 50.0 * 2f64.ln());
        let uniform = drawn("{ min: 10, max: 30 }");
        near(uniform[DRAWS / 4], 15.0);
        assert!(uniform[0] >= 10.0 && uniform[DRAWS - 1] < 30.0);
    }

    #[test]
    fn whole_draws_reach_both_ends_and_bounds_hold() {
        let mut dice = Dice::new(1);
        let three = Distribution::Uniform { min: 1.0, max: 3.0 };
        let mut seen = [0; 4];
        for _ in 0..3000 {
            seen[three.draw_whole(&mut dice) as usize] += 1;
        }
        assert!(seen[0] == 0 && seen[1..].iter().all(|count| *count > 900), "{seen:?}");
        let bounded = read("{ median: 10, p99: 100, max: 20 }", Unit::Count).unwrap();
        assert!((0..1000).all(|_| bounded.draw(&mut dice) <= 20.0));
    }
}
