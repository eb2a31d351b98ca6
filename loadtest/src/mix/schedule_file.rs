//! Schedules in YAML, in a mix or a file of their own: the short text, or its steps one by one.
//!
//! ```yaml
//! arrivals: poisson
//! steps:
//!   - { rate: 100, for: 30s }
//!   - { from: 100, to: 2000, for: 2m }
//!   - { rate: 2000 }
//! ```

use std::path::Path;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    schedule::{Arrivals, Schedule},
    units,
};

#[derive(Clone, Debug, PartialEq)]
pub enum WrittenSchedule {
    Text(String),
    Steps(Steps),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    #[serde(default)]
    arrivals: ArrivalsName,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ArrivalsName {
    #[default]
    Even,
    Poisson,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    rate: Option<f64>,
    from: Option<f64>,
    to: Option<f64>,
    r#for: Option<String>,
}

impl WrittenSchedule {
    pub fn read(&self) -> Result<Schedule, String> {
        let steps = match self {
            Self::Text(text) => return Schedule::parse(text),
            Self::Steps(steps) => steps,
        };
        let arrivals = match steps.arrivals {
            ArrivalsName::Even => Arrivals::Even,
            ArrivalsName::Poisson => Arrivals::Poisson,
        };
        let rates = |step: &Step| {
            let seconds = match &step.r#for {
                Some(duration) => Some(units::duration_ns(duration)? as f64 / 1e9),
                None => None,
            };
            match (step.rate, step.from, step.to) {
                (Some(rate), None, None) => Ok((rate, rate, seconds)),
                (None, Some(from), Some(to)) => Ok((from, to, seconds)),
                _ => Err("a step has either a rate, or from and to".to_owned()),
            }
        };
        let steps: Vec<_> = steps.steps.iter().map(rates).collect::<Result<_, String>>()?;
        Schedule::of_steps(arrivals, &steps)
    }
}

impl Schedule {
    /// A file of its own; the error names it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let written: WrittenSchedule = crate::yaml::read(path)?;
        written.read().map_err(|why| format!("{}: {why}", path.display()))
    }

    /// What the command line gives: the name of a schedule's file, or the short text.
    pub fn named(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        match path.is_file() {
            true => Self::read(path),
            false => Self::parse(text),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenSchedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrSteps;

        impl<'de> Visitor<'de> for TextOrSteps {
            type Value = WrittenSchedule;

            fn expecting(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
                out.write_str("a schedule as text, like poisson:1000, or { arrivals, steps }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenSchedule, E> {
                Ok(WrittenSchedule::Text(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, rate: u64) -> Result<WrittenSchedule, E> {
                Ok(WrittenSchedule::Text(rate.to_string()))
            }

            fn visit_i64<E: Error>(self, rate: i64) -> Result<WrittenSchedule, E> {
                Ok(WrittenSchedule::Text(rate.to_string()))
            }

            fn visit_f64<E: Error>(self, rate: f64) -> Result<WrittenSchedule, E> {
                Ok(WrittenSchedule::Text(rate.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenSchedule, A::Error> {
                Steps::deserialize(MapAccessDeserializer::new(map)).map(WrittenSchedule::Steps)
            }
        }

        deserializer.deserialize_any(TextOrSteps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Schedule, String> {
        let written: WrittenSchedule = serde_saphyr::from_str(text).map_err(|bad| bad.to_string())?;
        written.read()
    }

    #[test]
    fn yaml_says_what_the_short_text_says() {
        let cases = [
            ("1000", "1000"),
            ("\"poisson:1000\"", "poisson:1000"),
            (
                "{ steps: [ { rate: 100, for: 10s }, { from: 100, to: 0, for: 1m } ] }",
                "steps:100/10s,100-0/1m",
            ),
            ("{ arrivals: poisson, steps: [ { rate: 5 } ] }", "poisson:5"),
        ];
        for (yaml, text) in cases {
            assert_eq!(read(yaml), Schedule::parse(text), "{yaml}");
        }
    }

    #[test]
    fn wrong_ones_say_what_is_right() {
        let cases = [
            ("{ steps: [] }", "no request is ever due"),
            ("{ steps: [ { rate: 1, to: 3 } ] }", "either a rate"),
            ("{ steps: [ { rate: 1, for: soon } ] }", "no duration"),
            ("{ steps: [ { speed: 1 } ] }", "speed"),
            ("{ arrivals: random, steps: [ { rate: 1 } ] }", "poisson"),
        ];
        for (yaml, why) in cases {
            let said = read(yaml).unwrap_err();
            assert!(said.contains(why), "{yaml}: {said}");
        }
    }

    #[test]
    fn a_file_is_read_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.yaml");
        std::fs::write(&path, "steps: [ { rate: 7, for: 1s } ]\n").unwrap();
        assert_eq!(Schedule::named(path.to_str().unwrap()), Schedule::parse("steps:7/1s"));
        std::fs::write(&path, "steps: [ { rate: 7, for: never } ]\n").unwrap();
        let said = Schedule::named(path.to_str().unwrap()).unwrap_err();
        assert!(said.contains("day.yaml") && said.contains("250ms"), "{said}");
        assert_eq!(Schedule::named("9"), Schedule::parse("9"));
    }
}
