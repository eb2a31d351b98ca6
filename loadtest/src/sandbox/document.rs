//! A scenario's document as it is written, YAML or JSON, with the place of everything in it. Knows no word's meaning.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub rules: Vec<Spanned<Entry>>,
    #[serde(default)]
    pub incidents: Vec<Spanned<Entry>>,
    #[serde(default)]
    pub limits: Vec<Spanned<Entry>>,
}

/// One rule, incident or limit.
pub struct Entry(Vec<Member>);

pub struct Member {
    pub word: String,
    pub value: String,
    at: Location,
}

impl Document {
    /// The error begins with `LINE:COLUMN: `.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|bad| {
            let line = 1 + memchr::memchr_iter(b'\n', &text[..bad.valid_up_to()]).count();
            format!("{line}:1: a byte that is no UTF-8")
        })?;
        serde_saphyr::from_str(text).map_err(|bad| {
            let at = bad.location().map_or("1:1".to_owned(), place);
            format!("{at}: {}", bad.without_snippet())
        })
    }

    /// Reads every entry of a list; an error says where in the document it is.
    pub fn each<T>(
        &self,
        list: &str,
        entries: &[Spanned<Entry>],
        read: impl Fn(&Entry) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, String> {
        let read_one = |(index, entry): (usize, &Spanned<Entry>)| {
            read(&entry.value).map_err(|wrong| {
                let (at, word) = match &wrong.member {
                    Some((at, word)) => (*at, format!("/{word}")),
                    None => (entry.referenced, String::new()),
                };
                format!("{}: /{list}/{index}{word}: {}", place(at), wrong.reason)
            })
        };
        entries.iter().enumerate().map(read_one).collect()
    }
}

/// What is wrong with an entry, and with which member of it.
pub struct Wrong {
    member: Option<(Location, String)>,
    reason: String,
}

impl Entry {
    /// Reads every member.
    pub fn each(&self, mut read: impl FnMut(&Member) -> Result<(), String>) -> Result<(), Wrong> {
        self.0.iter().try_for_each(|member| {
            read(member).map_err(|reason| Wrong {
                // The word stands in the pointer already.
                reason: reason
                    .strip_prefix(&format!("{}: ", member.word))
                    .unwrap_or(&reason)
                    .to_owned(),
                member: Some((member.at, member.word.clone())),
            })
        })
    }

    /// An error about the entry as a whole.
    pub fn wrong(&self, reason: &str) -> Wrong {
        Wrong {
            member: None,
            reason: reason.to_owned(),
        }
    }
}

fn place(at: Location) -> String {
    format!("{}:{}", at.line(), at.column())
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Entry;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("words and their values, as in '{ model: gpt-*, status: 529 }'")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut members = Vec::new();
        while let Some(word) = map.next_key::<String>()? {
            let value: Spanned<Scalar> = map.next_value()?;
            members.push(Member {
                word,
                at: value.referenced,
                value: value.value.0,
            });
        }
        Ok(Entry(members))
    }
}

/// A text, number or flag, as text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a text, a number, true or false")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar(u8::from(flag).to_string()))
    }
}
