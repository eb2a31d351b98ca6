//! The words of a mix file. What they mean, and which go together, is `check`'s.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::{Kind, distribution::Written, schedule_file::WrittenSchedule};
use crate::dialect::Dialect;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixFile {
    pub name: Option<String>,
    pub seed: Option<u64>,
    pub schedule: Option<Spanned<WrittenSchedule>>,
    pub keys: Option<Spanned<KeysFile>>,
    pub classes: Spanned<Ordered<Spanned<ClassFile>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysFile {
    /// `env:NAME`, `file:PATH` (a key a line), or a key itself.
    pub secrets: Spanned<Vec<Spanned<String>>>,
    pub zipf: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassFile {
    pub weight: Spanned<f64>,
    #[serde(default, deserialize_with = "kind")]
    pub kind: Option<Kind>,
    #[serde(default, deserialize_with = "dialect")]
    pub dialect: Option<Dialect>,
    pub model: Option<String>,
    pub method: Option<Spanned<String>>,
    pub path: Option<Spanned<String>>,
    pub headers: Option<Spanned<Ordered<String>>>,
    pub system: Option<Spanned<SizeFile>>,
    pub prompt: Option<Spanned<SizeFile>>,
    pub turns: Option<Spanned<TurnsFile>>,
    pub texts: Option<Spanned<u64>>,
    pub body: Option<Spanned<String>>,
    pub bodies: Option<Spanned<String>>,
    pub stream: Option<Spanned<f64>>,
    pub max_tokens: Option<Spanned<Written>>,
    pub think: Option<Spanned<Written>>,
    pub repeat: Option<Spanned<RepeatFile>>,
    pub keys: Option<Spanned<KeysFile>>,
    pub expect: Option<Spanned<OneOrMore>>,
    pub manners: Option<Spanned<MannersFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeFile {
    pub tokens: Option<Written>,
    pub bytes: Option<Written>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnsFile {
    pub length: Spanned<Written>,
    #[serde(default)]
    pub tools: bool,
    pub answer: Option<Spanned<SizeFile>>,
    pub reply: Option<Spanned<SizeFile>>,
    pub at_once: Option<Spanned<u64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatFile {
    pub share: f64,
    pub of: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MannersFile {
    pub read_bytes_per_second: Option<Written>,
    pub leave: Option<LeaveFile>,
    #[serde(default)]
    pub send_byte_at_a_time: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveFile {
    pub share: f64,
    pub after_bytes: Written,
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Kind>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match Kind::ALL.into_iter().find(|kind| kind.name() == name) {
        Some(kind) => Ok(Some(kind)),
        None => Err(unknown("kind", &name, Kind::ALL.map(Kind::name).as_slice())),
    }
}

fn dialect<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Dialect>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match Dialect::ALL.into_iter().find(|dialect| dialect.name() == name) {
        Some(dialect) => Ok(Some(dialect)),
        None => Err(unknown("dialect", &name, Dialect::ALL.map(Dialect::name).as_slice())),
    }
}

fn unknown<E: Error>(what: &str, name: &str, known: &[&str]) -> E {
    E::custom(format!("unknown {what} '{name}'; write one of {}", known.join(", ")))
}

/// A map in the order it was written.
#[derive(Debug)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
                out.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<T>, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    entries.push((name, value));
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// `401` or `[401, 403]`.
#[derive(Debug)]
pub struct OneOrMore(pub Vec<u16>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Statuses;

        impl<'de> Visitor<'de> for Statuses {
            type Value = OneOrMore;

            fn expecting(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
                out.write_str("a status, or a list of them: 401, [401, 403]")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<OneOrMore, E> {
                let status = u16::try_from(number).map_err(|_| E::custom(format!("{number} is no status")))?;
                Ok(OneOrMore(vec![status]))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<OneOrMore, E> {
                self.visit_u64(number.unsigned_abs())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
                let mut statuses = Vec::new();
                while let Some(status) = list.next_element()? {
                    statuses.push(status);
                }
                Ok(OneOrMore(statuses))
            }
        }

        deserializer.deserialize_any(Statuses)
    }
}
