//! Where the calls of keys may go: the regions of their teams and their own.

use hashbrown::HashMap;
use tollgate_config::Document;

/// Labels of regions.
pub(crate) type Labels = Box<[Box<str>]>;

/// Of the teams that may not send everywhere.
#[derive(Debug, Default)]
pub(super) struct Residency(HashMap<Box<str>, Labels>);

impl Residency {
    pub fn new(document: &Document) -> Self {
        let kept = document.teams.iter().filter(|(_, team)| !team.residency.is_empty());
        Self(
            kept.map(|(name, team)| (name.as_str().into(), labels(&team.residency)))
                .collect(),
        )
    }

    /// The lists that hold for a key of this team with these of its own.
    pub fn of(&self, team: Option<&str>, own: &[String]) -> Box<[Labels]> {
        let of_team = team.and_then(|team| self.0.get(team)).cloned();
        let own = (!own.is_empty()).then(|| labels(own));
        of_team.into_iter().chain(own).collect()
    }
}

fn labels(said: &[String]) -> Labels {
    said.iter().map(|label| label.as_str().into()).collect()
}
