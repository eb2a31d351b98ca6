//! Names and patterns with one trailing `*`: which models a key may use.

/// A set of patterns. Empty: every name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns(Box<[Pattern]>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(Box<str>),
    Prefix(Box<str>),
}

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        match text.strip_suffix('*') {
            Some(prefix) => Pattern::Prefix(prefix.into()),
            None => Pattern::Exact(text.into()),
        }
    }

    fn admits(&self, name: &str) -> bool {
        match self {
            Pattern::Exact(exact) => **exact == *name,
            Pattern::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

impl Patterns {
    pub fn new(texts: &[String]) -> Patterns {
        Patterns(texts.iter().map(|text| Pattern::new(text)).collect())
    }

    pub fn admit(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.admits(name))
    }

    /// What of the configured name `model` (`gpt-x`, or a wildcard such as `openai/*`) a key with these patterns may
    /// use, as names and patterns to show.
    pub fn visible<'a>(&'a self, model: &'a str, mut show: impl FnMut(Shown<'a>)) {
        let Some(stem) = model.strip_suffix('*') else {
            if self.admit(model) {
                show(Shown {
                    text: model,
                    wildcard: false,
                });
            }
            return;
        };
        if self.0.is_empty() {
            return show(Shown {
                text: stem,
                wildcard: true,
            });
        }
        for pattern in &self.0 {
            match pattern {
                Pattern::Exact(name) if name.starts_with(stem) => show(Shown {
                    text: name,
                    wildcard: false,
                }),
                Pattern::Prefix(prefix) if prefix.starts_with(stem) => show(Shown {
                    text: prefix,
                    wildcard: true,
                }),
                Pattern::Prefix(prefix) if stem.starts_with(&**prefix) => show(Shown {
                    text: stem,
                    wildcard: true,
                }),
                _ => {}
            }
        }
    }
}

/// A name to show; a wildcard's star is left off `text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shown<'a> {
    pub text: &'a str,
    pub wildcard: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(patterns: &[&str], model: &str) -> Vec<String> {
        let patterns = Patterns::new(&patterns.iter().map(|p| p.to_string()).collect::<Vec<_>>());
        let mut names = Vec::new();
        patterns.visible(model, |s| {
            names.push(format!("{}{}", s.text, if s.wildcard { "*" } else { "" }))
        });
        names
    }

    #[test]
    fn a_key_sees_what_its_patterns_leave_of_a_wildcard() {
        assert_eq!(seen(&[], "openai/*"), ["openai/*"]);
        assert_eq!(seen(&["*"], "openai/*"), ["openai/*"]);
        assert_eq!(seen(&["openai/gpt-*"], "openai/*"), ["openai/gpt-*"]);
        assert_eq!(seen(&["openai/gpt-x", "other"], "openai/*"), ["openai/gpt-x"]);
        assert_eq!(seen(&["other*"], "openai/*"), Vec::<String>::new());
        assert_eq!(seen(&["gpt-*"], "gpt-5"), ["gpt-5"]);
        assert_eq!(seen(&["gpt-4"], "gpt-5"), Vec::<String>::new());
    }
}
