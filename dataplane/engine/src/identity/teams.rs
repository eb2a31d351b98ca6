//! What keys have of the document's teams and users, whether the document or the identity store has the key.

use hashbrown::HashMap;
use tollgate_config::Document;

/// Labels of regions.
pub(super) type Labels = Box<[Box<str>]>;

#[derive(Debug, Default)]
pub(super) struct Teams {
    of_users: HashMap<Box<str>, Box<str>>,
    /// Of those that may not send everywhere.
    residency: HashMap<Box<str>, Labels>,
}

impl Teams {
    pub fn new(document: &Document) -> Self {
        let of_user = |(name, user): &(String, tollgate_config::document::User)| {
            Some((name.as_str().into(), user.team.as_deref()?.into()))
        };
        let kept = document.teams.iter().filter(|(_, team)| !team.residency.is_empty());
        Self {
            of_users: document.users.iter().filter_map(of_user).collect(),
            residency: kept
                .map(|(name, team)| (name.as_str().into(), labels(&team.residency)))
                .collect(),
        }
    }

    pub fn team_of(&self, team: Option<&str>, user: Option<&str>) -> Option<Box<str>> {
        team.map(Into::into).or_else(|| self.of_users.get(user?).cloned())
    }

    /// The lists that hold for a key of this team with these of its own.
    pub fn residency(&self, team: Option<&str>, own: &[String]) -> Box<[Labels]> {
        let of_team = team.and_then(|team| self.residency.get(team)).cloned();
        let own = (!own.is_empty()).then(|| labels(own));
        of_team.into_iter().chain(own).collect()
    }
}

fn labels(said: &[String]) -> Labels {
    said.iter().map(|label| label.as_str().into()).collect()
}
