//! Whose an answer is and what was asked: what tenants are told apart by, and what answers are purged by.

use std::sync::Arc;

use tollgate_config::{
    document::CacheScope,
    link::{MAX_PURGE_PREFIX_BYTES, Purge},
};

use crate::identity::KeyEntry;

/// What is known of a call whose answer is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub cache: Arc<str>,
    /// What it says, one behind the other: there are many of these, and each piece of memory costs.
    text: Box<str>,
    /// Of the tenant, the key, the model, the tags, the beginning and the team.
    ends: [usize; 6],
    has_team: bool,
}

/// The same, each by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said<'a> {
    pub key: &'a str,
    pub team: Option<&'a str>,
    /// As it was asked for.
    pub model: &'a str,
    pub tags: &'a str,
    /// How the first text of the request begins.
    pub begins: &'a str,
}

impl About {
    /// `tenant`: in two parts, as `Tenant::text` gives it.
    pub fn new(cache: Arc<str>, tenant: [&str; 2], said: &Said<'_>) -> Self {
        let [mark, name] = tenant;
        let all = [
            name,
            said.key,
            said.model,
            said.tags,
            said.begins,
            said.team.unwrap_or_default(),
        ];
        let bytes = mark.len() + all.iter().map(|text| text.len()).sum::<usize>();
        let mut text = String::with_capacity(bytes);
        text.push_str(mark);
        let ends = all.map(|one| {
            text.push_str(one);
            text.len()
        });
        Self {
            cache,
            text: text.into(),
            ends,
            has_team: said.team.is_some(),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// Who may have the answer, by `Tenant::text`.
    pub fn tenant(&self) -> &str {
        self.part(0)
    }

    pub fn said(&self) -> Said<'_> {
        Said {
            key: self.part(1),
            model: self.part(2),
            tags: self.part(3),
            begins: self.part(4),
            team: self.has_team.then(|| self.part(5)),
        }
    }

    fn part(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..self.ends[at]).unwrap_or_default()
    }
}

/// As long as fits, and no half a character.
pub(super) fn beginning(text: &str) -> &str {
    let mut end = text.len().min(MAX_PURGE_PREFIX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Who may have an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant<'a> {
    scope: CacheScope,
    name: &'a str,
}

impl<'a> Tenant<'a> {
    /// Never wider than the cache's scope: a key without a team shares with nobody.
    pub fn of(scope: CacheScope, key: &'a KeyEntry) -> Self {
        let own = Self {
            scope: CacheScope::Key,
            name: &key.name,
        };
        match (scope, &key.team) {
            (CacheScope::Organization, _) => Self { scope, name: "" },
            (CacheScope::Team, Some(team)) => Self { scope, name: team },
            (CacheScope::Team, None) | (CacheScope::Key, _) => own,
        }
    }

    /// By what `text` gives.
    #[cfg(test)]
    pub fn named(text: &'a str) -> Self {
        let scope = match text.chars().next() {
            Some('k') => CacheScope::Key,
            Some('t') => CacheScope::Team,
            _ => CacheScope::Organization,
        };
        Self {
            scope,
            name: text.get(1..).unwrap_or_default(),
        }
    }

    fn mark(self) -> &'static str {
        match self.scope {
            CacheScope::Key => "k",
            CacheScope::Team => "t",
            CacheScope::Organization => "o",
        }
    }

    pub fn is(self, text: &str) -> bool {
        text.strip_prefix(self.mark()) == Some(self.name)
    }

    /// In two parts: no two tenants have the same.
    pub fn text(self) -> [&'a str; 2] {
        [self.mark(), self.name]
    }

    pub fn write(self, hasher: &mut impl std::hash::Hasher) {
        self.mark().bytes().for_each(|byte| hasher.write_u8(byte));
        hasher.write(self.name.as_bytes());
        hasher.write_u8(0xff);
    }
}

/// Which answers are to be forgotten: those that all of this is true of.
#[derive(Clone, Debug)]
pub struct Filter(pub Purge);

impl Filter {
    pub(crate) fn is_of(&self, about: &About) -> bool {
        let Purge {
            cache,
            key,
            team,
            model,
            tag,
            prefix,
        } = &self.0;
        let is =
            |wanted: &Option<String>, has: Option<&str>| wanted.as_deref().is_none_or(|wanted| Some(wanted) == has);
        let said = about.said();
        let tagged = |wanted: &String| said.tags.split(',').any(|tag| tag.trim() == wanted);
        is(cache, Some(&*about.cache))
            && is(key, Some(said.key))
            && is(team, said.team)
            && is(model, Some(said.model))
            && tag.as_ref().is_none_or(tagged)
            && prefix.as_ref().is_none_or(|prefix| said.begins.starts_with(&**prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_asked_for_must_be_so() {
        let said = Said {
            key: "ci",
            team: Some("research"),
            model: "smart",
            tags: "app=a, run=1",
            begins: "You are a clerk",
        };
        let about = About::new("c".into(), ["t", "research"], &said);
        assert_eq!(about.tenant(), "tresearch");
        let is_of = |purge: Purge| Filter(purge).is_of(&about);
        let some = |text: &str| Some(text.to_owned());
        assert!(is_of(Purge::default()));
        for (purge, other) in [
            (
                Purge {
                    cache: some("c"),
                    ..Purge::default()
                },
                Purge {
                    cache: some("d"),
                    ..Purge::default()
                },
            ),
            (
                Purge {
                    key: some("ci"),
                    ..Purge::default()
                },
                Purge {
                    key: some("c"),
                    ..Purge::default()
                },
            ),
            (
                Purge {
                    team: some("research"),
                    ..Purge::default()
                },
                Purge {
                    team: some("r"),
                    ..Purge::default()
                },
            ),
            (
                Purge {
                    model: some("smart"),
                    ..Purge::default()
                },
                Purge {
                    model: some("smarter"),
                    ..Purge::default()
                },
            ),
            (
                Purge {
                    tag: some("run=1"),
                    ..Purge::default()
                },
                Purge {
                    tag: some("run=12"),
                    ..Purge::default()
                },
            ),
            (
                Purge {
                    prefix: some("You are"),
                    ..Purge::default()
                },
                Purge {
                    prefix: some("you"),
                    ..Purge::default()
                },
            ),
        ] {
            assert!(is_of(purge.clone()), "{purge:?}");
            assert!(!is_of(other.clone()), "{other:?}");
            let both = Purge {
                key: some("another"),
                ..purge
            };
            assert!(!is_of(both));
        }
    }

    #[test]
    fn a_beginning_is_whole_characters() {
        let text = "é".repeat(300);
        let kept = beginning(&text);
        assert_eq!(kept.len(), MAX_PURGE_PREFIX_BYTES);
        assert_eq!(beginning("short"), "short");
    }
}
