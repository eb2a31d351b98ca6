//! Keys by the SHA-256 of their secret: those of the document and those of the identity store, in one immutable table
//! that a change replaces. Sharing between table versions keeps a small change cheap beside 100,000 keys.

mod lists;
mod residency;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hashbrown::{HashMap, HashSet};
use sha2::{Digest as _, Sha256};
use tollgate_config::{
    Document, Problem,
    document::{Key, KeySecret, Priority, Team, User},
    link::StoredKey,
};

use tollgate_dialect::canonical::sealed_id::Owner;

use crate::{
    limits::{Rules, Scope},
    patterns::Patterns,
    snapshot::{Secrets, pointer, secret_text},
};
use lists::Lists;
pub(crate) use residency::Labels;
use residency::Residency;

type Digest = [u8; 32];

/// Changes beyond this many are folded into a new base: looking a key up must stay two probes of small maps.
const MAX_CHANGED_KEYS: usize = 4096;

/// A key, as the request path needs it.
#[derive(Clone, Debug)]
pub(crate) struct KeyEntry {
    pub name: Box<str>,
    pub team: Option<Box<str>>,
    pub user: Option<Box<str>>,
    pub models: Patterns,
    pub loopback_only: bool,
    /// It may use `/providers/…`.
    pub pass_through: bool,
    /// It may use `/v1/batches`.
    pub batches: bool,
    /// Labels of regions; its calls may go where each list has the target's. Mostly there is no list.
    pub residency: Box<[Labels]>,
    /// It may ask why its calls went where they did.
    pub explain: bool,
    pub limits: KeyLimits,
    pub priority: Priority,
    /// Of its team.
    pub cost_center: Option<Box<str>>,
    /// Of the configuration document: the identity store cannot change it.
    of_document: bool,
}

/// What a call with a key must not exceed.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyLimits {
    pub own: Option<Arc<Rules>>,
    pub user: Option<Arc<Rules>>,
    pub team: Option<Arc<Rules>>,
}

/// What the document says of those whose keys there are.
#[derive(Debug, Default)]
struct Owners {
    /// The teams of its users.
    teams: HashMap<Box<str>, Box<str>>,
    limits_of_teams: HashMap<Box<str>, Arc<Rules>>,
    limits_of_users: HashMap<Box<str>, Arc<Rules>>,
    residency: Residency,
    cost_centers: HashMap<Box<str>, Box<str>>,
}

impl Owners {
    fn of(document: &Document) -> Self {
        let team_of = |(name, user): &(String, User)| Some((name.as_str().into(), user.team.as_deref()?.into()));
        let team =
            |(name, team): &(String, Team)| Some((name.as_str().into(), Rules::new(Scope::Team, name, &team.limits)?));
        let user =
            |(name, user): &(String, User)| Some((name.as_str().into(), Rules::new(Scope::User, name, &user.limits)?));
        let cost_center =
            |(name, team): &(String, Team)| Some((name.as_str().into(), team.cost_center.as_deref()?.into()));
        Self {
            cost_centers: document.teams.iter().filter_map(cost_center).collect(),
            teams: document.users.iter().filter_map(team_of).collect(),
            limits_of_teams: document.teams.iter().filter_map(team).collect(),
            limits_of_users: document.users.iter().filter_map(user).collect(),
            residency: Residency::new(document),
        }
    }

    fn team(&self, team: Option<&str>, user: Option<&str>) -> Option<Box<str>> {
        team.map(Into::into).or_else(|| self.teams.get(user?).cloned())
    }

    fn cost_center(&self, team: Option<&str>) -> Option<Box<str>> {
        self.cost_centers.get(team?).cloned()
    }

    fn limits(&self, own: Option<Arc<Rules>>, team: Option<&str>, user: Option<&str>) -> KeyLimits {
        KeyLimits {
            own,
            user: user.and_then(|user| self.limits_of_users.get(user)).cloned(),
            team: team.and_then(|team| self.limits_of_teams.get(team)).cloned(),
        }
    }
}

impl KeyEntry {
    /// Who shares the objects that calls with this key make: its team, else its user, else nobody else.
    pub fn owner(&self) -> Owner<'_> {
        match (&self.team, &self.user) {
            (Some(team), _) => Owner::Team(team),
            (None, Some(user)) => Owner::User(user),
            (None, None) => Owner::Key(&self.name),
        }
    }
}

/// Index into a table's keys; means nothing in another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(u32);

/// What a secret opens, and until when (Unix milliseconds).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub key: KeyId,
    pub until_unix_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Keys {
    entries: Vec<KeyEntry>,
    by_digest: HashMap<Digest, Slot>,
    by_name: HashMap<Box<str>, u32>,
}

#[derive(Debug, Default)]
pub struct KeyTable {
    /// Tells tables apart, also when one is built where another lay in memory. Zero: the empty table.
    version: u64,
    base: Arc<Keys>,
    owners: Arc<Owners>,
    /// Keys that came or changed since `base` was built; their ids follow those of `base`.
    changed: Keys,
    /// Keys of `base` that were changed or removed since.
    hidden: HashSet<u32>,
}

impl KeyTable {
    /// The document's keys and the store's; a name or a secret that occurs twice is a problem.
    pub fn build(document: &Document, secrets: &Secrets, stored: &[StoredKey]) -> Result<KeyTable, Vec<Problem>> {
        let owners = Owners::of(document);
        let mut keys = Keys::default();
        let mut problems = Vec::new();
        let count = document.keys.len() + stored.len();
        keys.entries.reserve(count);
        keys.by_digest.reserve(count);
        keys.by_name.reserve(count);
        for (name, key) in &document.keys {
            add_of_document(&mut keys, &owners, (name, key), secrets, &mut problems);
        }
        let mut lists = Lists::default();
        for key in stored {
            add_stored(&mut keys, &owners, (key, &mut lists), &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(KeyTable {
            version: next_version(),
            base: Arc::new(keys),
            owners: Arc::new(owners),
            ..KeyTable::default()
        })
    }

    /// A new table with the store's keys changed; the old one stays valid for those who hold it.
    ///
    /// Keys of the document keep their names: a stored key of the same name is left out.
    pub fn with_changes(&self, upsert: &[StoredKey], remove: &[String]) -> KeyTable {
        let mut table = KeyTable {
            version: next_version(),
            base: self.base.clone(),
            owners: self.owners.clone(),
            changed: self.changed.clone(),
            hidden: self.hidden.clone(),
        };
        for name in remove {
            table.take_out(name);
        }
        let mut lists = Lists::default();
        for key in upsert {
            if table.take_out(&key.name) {
                let mut entry_problems = Vec::new();
                add_stored(&mut table.changed, &self.owners, (key, &mut lists), &mut entry_problems);
            }
        }
        if table.changed.entries.len() + table.hidden.len() > MAX_CHANGED_KEYS {
            table.fold();
        }
        table
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.base.by_name.len() - self.hidden.len() + self.changed.by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What a secret opens. A lookup by digest takes the same time whatever the secret shares with a real one.
    pub(crate) fn find(&self, secret: &[u8]) -> Option<Slot> {
        let digest: Digest = Sha256::digest(secret).into();
        if let Some(slot) = self.changed.by_digest.get(&digest) {
            let key = KeyId(slot.key.0 + self.base.entries.len() as u32);
            return Some(Slot { key, ..*slot });
        }
        self.base
            .by_digest
            .get(&digest)
            .copied()
            .filter(|slot| !self.hidden.contains(&slot.key.0))
    }

    /// The key of this name.
    pub(crate) fn named(&self, name: &str) -> Option<KeyId> {
        let changed = self
            .changed
            .by_name
            .get(name)
            .map(|index| index + self.base.entries.len() as u32);
        let base = || {
            self.base
                .by_name
                .get(name)
                .copied()
                .filter(|index| !self.hidden.contains(index))
        };
        changed.or_else(base).map(KeyId)
    }

    pub(crate) fn entry(&self, id: KeyId) -> &KeyEntry {
        let index = id.0 as usize;
        match self.base.entries.get(index) {
            Some(entry) => entry,
            None => &self.changed.entries[index - self.base.entries.len()],
        }
    }

    /// The limits of teams, users and keys, each once.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rules> {
        let owners = self
            .owners
            .limits_of_teams
            .values()
            .chain(self.owners.limits_of_users.values());
        let base = self.base.entries.iter().enumerate();
        let base = base.filter(|(index, _)| !self.hidden.contains(&(*index as u32)));
        let changed = self.changed.by_name.values();
        let changed = changed.filter_map(|index| self.changed.entries.get(*index as usize));
        let keys = base.map(|(_, entry)| entry).chain(changed);
        let keys = keys.filter_map(|entry| entry.limits.own.as_ref());
        owners.chain(keys).map(|rules| &**rules)
    }

    /// False when the name belongs to the document, whose keys only a new document changes.
    fn take_out(&mut self, name: &str) -> bool {
        if let Some(&index) = self.base.by_name.get(name) {
            if self.base.entries[index as usize].of_document {
                return false;
            }
            self.hidden.insert(index);
        }
        if let Some(index) = self.changed.by_name.remove(name) {
            self.changed.by_digest.retain(|_, slot| slot.key.0 != index);
        }
        true
    }

    /// Makes one base of the old one and the changes.
    fn fold(&mut self) {
        let mut keys = Keys::default();
        for (part, hidden) in [(&*self.base, Some(&self.hidden)), (&self.changed, None)] {
            let mut renamed: HashMap<u32, u32> = HashMap::with_capacity(part.by_name.len());
            for (name, &index) in &part.by_name {
                if hidden.is_some_and(|hidden| hidden.contains(&index)) {
                    continue;
                }
                let new = keys.entries.len() as u32;
                keys.entries.push(part.entries[index as usize].clone());
                keys.by_name.insert(name.clone(), new);
                renamed.insert(index, new);
            }
            for (digest, slot) in &part.by_digest {
                if let Some(&new) = renamed.get(&slot.key.0) {
                    keys.by_digest.insert(
                        *digest,
                        Slot {
                            key: KeyId(new),
                            ..*slot
                        },
                    );
                }
            }
        }
        self.base = Arc::new(keys);
        self.changed = Keys::default();
        self.hidden = HashSet::default();
    }
}

/// No clock and no randomness: a count is enough to tell versions apart.
fn next_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

fn add_of_document(
    keys: &mut Keys,
    owners: &Owners,
    (name, key): (&str, &Key),
    secrets: &Secrets,
    problems: &mut Vec<Problem>,
) {
    let at = pointer(&["keys", name]);
    let digest = match &key.secret {
        KeySecret::Sha256(digest) => *digest,
        KeySecret::Reference(reference) => match secret_text(secrets, reference, &format!("{at}/secret")) {
            Ok(secret) => Sha256::digest(secret).into(),
            Err(problem) => return problems.push(problem),
        },
    };
    let team = owners.team(key.team.as_deref(), key.user.as_deref());
    let own = Rules::new(Scope::Key, name, &key.limits);
    let entry = KeyEntry {
        name: name.into(),
        limits: owners.limits(own, team.as_deref(), key.user.as_deref()),
        residency: owners.residency.of(team.as_deref(), &key.residency),
        cost_center: owners.cost_center(team.as_deref()),
        team,
        user: key.user.as_deref().map(Into::into),
        models: Patterns::new(&key.models),
        loopback_only: key.loopback_only,
        pass_through: key.pass_through,
        batches: key.batches,
        priority: key.priority,
        explain: key.explain,
        of_document: true,
    };
    let until_unix_ms = key.expires_unix_s.map_or(u64::MAX, |s| s.saturating_mul(1000));
    insert(keys, entry, &[(digest, until_unix_ms)], problems);
}

fn add_stored<'k>(
    keys: &mut Keys,
    owners: &Owners,
    (key, lists): (&'k StoredKey, &mut Lists<'k>),
    problems: &mut Vec<Problem>,
) {
    let at = || pointer(&["keys", &key.name]);
    let expires_unix_ms = key.expires_unix_s.map_or(u64::MAX, |s| s.saturating_mul(1000));
    let said = [
        Some((&key.sha256, u64::MAX)),
        key.previous.as_ref().map(|(hex, until_s)| (hex, *until_s)),
    ];
    let mut digests = Vec::with_capacity(2);
    for (hex, until_unix_s) in said.into_iter().flatten() {
        match parse_hex(hex) {
            Some(digest) => digests.push((digest, expires_unix_ms.min(until_unix_s.saturating_mul(1000)))),
            None => {
                let right = "64 hexadecimal digits, as 'tollgate keys create' stores them";
                return problems.push(Problem::new(at(), "the stored hash is no SHA-256", right));
            }
        }
    }
    // Who stored them had them checked.
    let limits = match lists.of(&key.limits) {
        Ok(limits) => limits,
        Err(wrong) => {
            let within = |problem: Problem| {
                Problem::new(
                    format!("{}/limits{}", at(), problem.pointer),
                    problem.wrong,
                    problem.right,
                )
            };
            return problems.extend(wrong.into_iter().map(within));
        }
    };
    let own = Rules::new(Scope::Key, &key.name, &limits);
    let team = owners.team(key.team.as_deref(), key.user.as_deref());
    let entry = KeyEntry {
        name: key.name.as_str().into(),
        limits: owners.limits(own, team.as_deref(), key.user.as_deref()),
        residency: owners.residency.of(team.as_deref(), &[]),
        cost_center: owners.cost_center(team.as_deref()),
        team,
        user: key.user.as_deref().map(Into::into),
        models: Patterns::new(&key.models),
        loopback_only: false,
        pass_through: false,
        batches: false,
        priority: key.priority.as_deref().and_then(Priority::named).unwrap_or_default(),
        explain: false,
        of_document: false,
    };
    insert(keys, entry, &digests, problems);
}

fn insert(keys: &mut Keys, entry: KeyEntry, digests: &[(Digest, u64)], problems: &mut Vec<Problem>) {
    let at = |name: &str| pointer(&["keys", name]);
    let index = keys.entries.len() as u32;
    if keys.by_name.contains_key(&entry.name) {
        let right = "another name, or revoke the key of the identity store with 'tollgate keys revoke'";
        return problems.push(Problem::new(
            at(&entry.name),
            "a key of this name exists already",
            right,
        ));
    }
    for &(digest, until_unix_ms) in digests {
        let slot = Slot {
            key: KeyId(index),
            until_unix_ms,
        };
        if let Some(other) = keys.by_digest.insert(digest, slot) {
            let holder = keys
                .entries
                .get(other.key.0 as usize)
                .map_or(&*entry.name, |entry| &*entry.name)
                .to_owned();
            keys.by_digest.insert(digest, other);
            let wrong = format!("its secret is also that of key '{holder}'");
            return problems.push(Problem::new(at(&entry.name), wrong, "a secret of its own for each key"));
        }
    }
    keys.by_name.insert(entry.name.clone(), index);
    keys.entries.push(entry);
}

fn parse_hex(hex: &str) -> Option<Digest> {
    let hex = hex.strip_prefix("sha256:").unwrap_or(hex).as_bytes();
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |c: u8| (c as char).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(digest)
}
