//! What a node remembers of objects that live at providers, so that it outlives its processes: whose each is, and which
//! batches were counted. A mark is part of a digest: who sees one learns neither whose it is nor of what.

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Marks in one message between the planes, and in one transaction of the store.
pub const MARKS_AT_ONCE: usize = 16 * 1024;
/// Marks of either kind that are kept; beyond these the oldest of that kind give way.
pub const MAX_KEPT_MARKS: usize = 512 * 1024;

/// 128 bits of a digest, and a word beside them that is not part of what is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    pub id: u128,
    pub tag: u16,
}

/// Set in the id of a mark of what was counted, and clear in one of whose an object is: none of the first ever gives way to
/// one of the second.
pub const COUNTED: u128 = 1 << 127;

impl Mark {
    pub fn is_counted(&self) -> bool {
        self.id & COUNTED != 0
    }
}

const ID_DIGITS: usize = 32;
const TAG_DIGITS: usize = 4;

/// 36 hexadecimal digits.
impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = String::with_capacity(ID_DIGITS + TAG_DIGITS);
        let written = write!(digits, "{:032x}{:04x}", self.id, self.tag);
        written.map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let read = || {
            let all = digits.len() == ID_DIGITS + TAG_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let (id, tag) = digits.split_at_checked(ID_DIGITS).filter(|_| all)?;
            Some(Mark {
                id: u128::from_str_radix(id, 16).ok()?,
                tag: u16::from_str_radix(tag, 16).ok()?,
            })
        };
        read().ok_or_else(|| de::Error::custom("a mark is 36 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn a_mark_is_the_same_on_the_other_side() {
        for mark in [
            Mark { id: 0, tag: 0 },
            Mark {
                id: u128::MAX - 1,
                tag: 0xfe01,
            },
        ] {
            let text = serde_json::to_string(&mark).expect("written");
            assert_eq!(text.len(), 38);
            assert_eq!(serde_json::from_str::<Mark>(&text).expect("read"), mark);
        }
        for wrong in [
            "\"\"",
            "\"+0\"",
            "\"00000000000000000000000000000000000g\"",
            "7",
            "\"ä\"",
        ] {
            assert!(serde_json::from_str::<Mark>(wrong).is_err(), "{wrong}");
        }
    }
}
