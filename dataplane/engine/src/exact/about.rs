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
    pub tenant: Arc<str>,
    pub key: Box<str>,
    pub team: Option<Box<str>>,
    /// As it was asked for.
    pub model: Box<str>,
    pub tags: Box<str>,
    /// How the first text of the request begins.
    pub begins: Box<str>,
}

impl About {
    pub fn bytes(&self) -> u64 {
        let texts = [&*self.tenant, &*self.key, &*self.model, &*self.tags, &*self.begins];
        let team = self.team.as_ref().map_or(0, |team| team.len());
        (texts.iter().map(|text| text.len()).sum::<usize>() + team) as u64
    }
}

/// As long as fits, and no half a character.
pub(super) fn beginning(text: &str) -> Box<str> {
    let mut end = text.len().min(MAX_PURGE_PREFIX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
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

    fn mark(self) -> char {
        match self.scope {
            CacheScope::Key => 'k',
            CacheScope::Team => 't',
            CacheScope::Organization => 'o',
        }
    }

    pub fn is(self, text: &str) -> bool {
        text.strip_prefix(self.mark()) == Some(self.name)
    }

    pub fn text(self) -> Arc<str> {
        format!("{}{}", self.mark(), self.name).into()
    }

    pub fn write(self, hasher: &mut impl std::hash::Hasher) {
        hasher.write_u8(self.mark() as u8);
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
        let tagged = |wanted: &String| about.tags.split(',').any(|tag| tag.trim() == wanted);
        is(cache, Some(&*about.cache))
            && is(key, Some(&*about.key))
            && is(team, about.team.as_deref())
            && is(model, Some(&*about.model))
            && tag.as_ref().is_none_or(tagged)
            && prefix.as_ref().is_none_or(|prefix| about.begins.starts_with(&**prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_asked_for_must_be_so() {
        let about = About {
            cache: "c".into(),
            tenant: "tresearch".into(),
            key: "ci".into(),
            team: Some("research".into()),
            model: "smart".into(),
            tags: "app=a, run=1".into(),
            begins: "You are a clerk".into(),
        };
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
        assert_eq!(&*beginning("short"), "short");
    }
}
