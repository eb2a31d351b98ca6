//! Names that Bedrock is strict about: of documents, and ids of tool calls.

use std::{borrow::Cow, collections::BTreeMap};

use crate::json::Text;

/// The service takes 200; the rest is room for a number.
const MAX_DOCUMENT_NAME: usize = 180;
const NAMELESS: &str = "document";
const MAX_CALL_ID: usize = 64;

/// Gives each document of a request a name of its own: letters, digits, single spaces, hyphens, parentheses, brackets.
#[derive(Debug, Default)]
pub(super) struct DocumentNames {
    /// Names given, and the next number to try for each that was wanted twice.
    given: BTreeMap<String, u32>,
}

impl DocumentNames {
    pub fn give(&mut self, wanted: Option<&Text<'_>>) -> String {
        let wanted = wanted.and_then(Text::plain);
        let name = allowed(wanted.as_deref().unwrap_or_default());
        let Some(mut number) = self.given.get(&name).copied() else {
            self.given.insert(name.clone(), 2);
            return name;
        };
        let numbered = loop {
            let numbered = format!("{name} {number}");
            number += 1;
            if !self.given.contains_key(&numbered) {
                break numbered;
            }
        };
        self.given.insert(name, number);
        self.given.insert(numbered.clone(), 2);
        numbered
    }
}

/// What of a name is allowed; anything else parts words.
fn allowed(wanted: &str) -> String {
    let mut name = String::new();
    for character in wanted.chars() {
        let fits = character.is_ascii_alphanumeric() || matches!(character, '-' | '(' | ')' | '[' | ']');
        if name.len() == MAX_DOCUMENT_NAME {
            break;
        }
        if fits {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with(' ') {
            name.push(' ');
        }
    }
    name.truncate(name.trim_end().len());
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

/// A call's id as the service takes it. One that it would refuse becomes another, the same for a call and its result.
pub(super) fn call_id<'t>(id: &'t Text<'_>) -> Cow<'t, str> {
    let id = id.plain().unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    if (1..=MAX_CALL_ID).contains(&id.len()) && id.bytes().all(fits) {
        return id;
    }
    let kept = id
        .bytes()
        .filter(|byte| fits(*byte))
        .take(MAX_CALL_ID - 17)
        .map(char::from);
    let kept: String = kept.collect();
    Cow::Owned(format!("{kept}_{:016x}", fnv1a(id.as_bytes())))
}

/// FNV-1a, 64 bits: tells apart what its letters no longer do.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_names_are_allowed_and_each_its_own() {
        let mut names = DocumentNames::default();
        let table = [
            ("report.pdf", "report pdf"),
            ("report_pdf", "report pdf 2"),
            ("report pdf 2", "report pdf 2 2"),
            ("report.pdf", "report pdf 3"),
            ("  Q3  [draft] (v1)--final ", "Q3 [draft] (v1)--final"),
            ("Übersicht", "bersicht"),
            ("文書", "document"),
            ("", "document 2"),
        ];
        for (wanted, given) in table {
            assert_eq!(names.give(Some(&Text::from(wanted))), given, "{wanted}");
        }
        assert_eq!(names.give(None), "document 3");
        let long = "x".repeat(500);
        assert_eq!(names.give(Some(&Text::from(long.as_str()))).len(), MAX_DOCUMENT_NAME);
    }

    #[test]
    fn call_ids_are_allowed_and_stay_apart() {
        for id in ["tooluse_abc-1", "call_1", "a.b:c", &"x".repeat(64)] {
            assert_eq!(call_id(&Text::from(id)), id);
        }
        let long = "y".repeat(65);
        let odd = ["", "a|b", "a/b", "ab ", "é", &long];
        let mut given: Vec<String> = odd.iter().map(|id| call_id(&Text::from(*id)).into_owned()).collect();
        for id in &given {
            assert!(id.len() <= MAX_CALL_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        }
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), odd.len());
    }
}
