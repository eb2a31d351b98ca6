//! A number that says where it comes from. Knows no plan.

use serde::Serialize;

use super::defaults::Assumed;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "from", content = "what", rename_all = "lowercase")]
pub enum Source {
    /// A key of the demand file.
    Demand(String),
    /// A run of a measurements file.
    Measured(String),
    /// A value that nobody gave, with its origin.
    Default(String),
}

/// Where a figure's ingredients come from, each once: demand, measured, default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// `keys`: divided by commas.
    pub fn demand(keys: &str) -> Self {
        Self(keys.split(", ").map(|key| Source::Demand(key.to_owned())).collect())
    }

    pub fn measured<T: Into<String>>(runs: impl IntoIterator<Item = T>) -> Self {
        Self(runs.into_iter().map(|run| Source::Measured(run.into())).collect())
    }

    pub fn assumed(default: Assumed) -> Self {
        Self(vec![Source::Default(default.what.to_owned())])
    }

    pub fn add(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
        self.0.sort();
        self.0.dedup();
    }

    pub fn and(mut self, others: &Self) -> Self {
        self.add(others);
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }
}

/// One line of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub sources: Sources,
}

impl Figure {
    pub fn new(name: &'static str, value: f64, unit: &'static str, sources: Sources) -> Self {
        Self {
            name,
            value,
            unit,
            sources,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_kept_once_and_in_order() {
        let second = Assumed {
            value: 1.0,
            what: "1 s (assumed)",
        };
        let all = Sources::assumed(second)
            .and(&Sources::measured(["a run 1"]))
            .and(&Sources::demand("keys, classes"))
            .and(&Sources::measured(["a run 1"]));
        let wanted = [
            Source::Demand("classes".to_owned()),
            Source::Demand("keys".to_owned()),
            Source::Measured("a run 1".to_owned()),
            Source::Default("1 s (assumed)".to_owned()),
        ];
        assert!(all.iter().eq(&wanted), "{all:?}");
    }
}
