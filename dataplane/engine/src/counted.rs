//! Work that a provider does while no call waits for it: batches, and responses in the background. What it used is known
//! when somebody reads its end. Many may, again and again and in several ways; the first is charged with it, and no other.
//!
//! What was counted is known by the provider's own id, whichever credential or seal it was read with, in marks that have
//! room of their own. Knows nothing of how answers are read.

use tollgate_config::{
    marks::{COUNTED, Mark},
    prices::ServiceTier,
};
use tollgate_dialect::usage::Usage;

use crate::{
    call::SentModel,
    cost::{self, Cost},
    exchange::{Exchange, Io, Pinned},
    marks::{MarkNews, id_of},
    snapshot::TargetModel,
};

/// Batches that one list may be charged with; those beyond are counted by the next that shows them. No API's page has more.
pub(crate) const MAX_LISTED: usize = 100;

/// What a batch says of itself.
#[derive(Debug, Default)]
pub(crate) struct BatchTold {
    /// The provider's own.
    pub raw: String,
    pub is_over: bool,
    /// The file with its answers.
    pub output: Option<String>,
    pub work: Work,
}

/// What was used, and by which model, in the provider's words.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub usage: Option<Usage>,
    pub model: Model,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Model {
    #[default]
    Unknown,
    One(String),
    /// What was used cannot be told by model.
    Several,
}

impl Work {
    /// One more answer of a batch.
    pub fn add(&mut self, usage: Option<Usage>, model: Option<&str>) {
        let Some(usage) = usage else { return };
        self.usage.get_or_insert_default().add(&usage);
        let Some(name) = model else { return };
        match &self.model {
            Model::Unknown => self.model = Model::One(name.to_owned()),
            Model::One(known) if known == name => {}
            Model::One(_) | Model::Several => self.model = Model::Several,
        }
    }

    fn is_something(&self) -> bool {
        self.usage
            .is_some_and(|usage| usage.all_input().saturating_add(usage.all_output()) > 0)
    }

    pub fn model(&self) -> Option<&str> {
        match &self.model {
            Model::One(name) => Some(name),
            Model::Unknown | Model::Several => None,
        }
    }
}

/// Work that a call is charged with because it was the first to read its end.
#[derive(Debug)]
pub(crate) struct Late {
    /// The same wherever and however the work is read.
    pub id: u128,
    /// Of a batch: its id as the client has it.
    pub batch: Option<String>,
}

/// The same, where one call is charged with several.
#[derive(Debug)]
pub(crate) struct Listed {
    pub late: Late,
    pub usage: Usage,
    pub model: String,
    pub cost: Option<Cost>,
}

/// What is known of an object of this name at the provider that is called.
fn id(exchange: &Exchange, purpose: &[u8], raw: &str) -> Option<u128> {
    let provider = &exchange.pinned()?.snapshot.endpoints[exchange.call.provider?].provider;
    Some(id_of(purpose, &[provider.as_bytes(), raw.as_bytes()]) | COUNTED)
}

fn id_of_work(exchange: &Exchange, raw: &str) -> Option<u128> {
    id(exchange, b"tollgate counted 2", raw)
}

/// A file of which only this is known: a batch that is over, and did not say what it used, wrote it.
fn id_of_output(exchange: &Exchange, raw: &str) -> Option<u128> {
    id(exchange, b"tollgate batch output 1", raw)
}

/// True for the first that notes it.
fn note(io: &mut Io<'_>, id: u128) -> bool {
    let mark = Mark { id, tag: 0 };
    let first = io.local.marks.note(mark);
    if first {
        io.out.marks.push(MarkNews::Made(mark));
    }
    first
}

/// Is this a file whose answers are to be counted when it is read?
pub(crate) fn is_uncounted_output(exchange: &Exchange, io: &Io<'_>, raw: &str) -> bool {
    let known = |id: Option<u128>| id.is_some_and(|id| io.local.marks.tag(id).is_some());
    known(id_of_output(exchange, raw)) && !known(id_of_work(exchange, raw))
}

/// A batch was read: gives what it is to be counted by, once. The name that counts is its output's where it has one, so that
/// who reads that is not charged with it again.
pub(crate) fn batch(exchange: &Exchange, io: &mut Io<'_>, told: &BatchTold) -> Option<u128> {
    let own = id_of_work(exchange, &told.raw).filter(|_| told.is_over)?;
    let output = told.output.as_deref().filter(|raw| !raw.is_empty());
    if told.work.usage.is_none()
        && let Some(output) = output
        && io.local.marks.tag(own).is_none()
    {
        note(io, id_of_output(exchange, output)?);
    }
    if !told.work.is_something() || !note(io, own) {
        return None;
    }
    match output {
        Some(raw) => id_of_work(exchange, raw).filter(|&id| note(io, id)),
        None => Some(own),
    }
}

/// Work under this name was read, with what it used: gives what it is to be counted by, once.
pub(crate) fn work(exchange: &Exchange, io: &mut Io<'_>, raw: &str, work: &Work) -> Option<u128> {
    let id = id_of_work(exchange, raw).filter(|_| work.is_something())?;
    note(io, id).then_some(id)
}

/// The call is charged with the work: it is this call's usage.
pub(crate) fn charge(exchange: &mut Exchange, late: Late, work: Work) {
    exchange.facts.usage = work.usage;
    exchange.facts.late = Some(Box::new(late));
    if let (Some(provider), Some(name)) = (exchange.call.provider, work.model()) {
        exchange.call.sent_model = sent_model(exchange, provider, name);
        exchange.call.star_model = name.to_owned();
    }
}

/// A call is charged with one more batch.
pub(crate) fn charge_listed(exchange: &Exchange, late: Late, work: &Work, unix_ms: u64) -> Option<Listed> {
    let (pinned, provider) = (exchange.pinned()?, exchange.call.provider?);
    let (usage, model) = (work.usage?, work.model().unwrap_or_default());
    let sent = (sent_model(exchange, provider, model), model);
    let price = Some(()).filter(|()| !model.is_empty());
    let price = price.and_then(|()| cost::price_of(pinned, sent, Some(provider), unix_ms));
    Some(Listed {
        late,
        usage,
        model: model.to_owned(),
        cost: price.map(|price| cost::by(&price, &usage, ServiceTier::Batch)),
    })
}

/// A model that nobody was asked for by its name in the document: that of the first target which is called so, or whose
/// edition it is, else just its name.
pub(crate) fn sent_model(exchange: &Exchange, provider: usize, name: &str) -> SentModel {
    let by_name = SentModel::Star { target: None };
    let Some(pinned) = exchange.pinned() else {
        return by_name;
    };
    let place = |is: &dyn Fn(&str) -> bool| place_of(pinned, provider, is);
    let edition_of = |known: &str| {
        let rest = name.strip_prefix(known).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let is_priced = || {
        pinned.snapshot.document.providers[provider]
            .1
            .prices
            .at(name, 0)
            .is_some()
    };
    let exact = place(&|known| known == name);
    let found = exact.or_else(|| if is_priced() { None } else { place(&edition_of) });
    found.map_or(by_name, |(route, target)| SentModel::Target { route, target })
}

/// The first target of this provider whose model is one of these.
pub(crate) fn place_of(pinned: &Pinned, provider: usize, is: &dyn Fn(&str) -> bool) -> Option<(usize, usize)> {
    let models = pinned.snapshot.document.models.len();
    pinned
        .snapshot
        .routes
        .iter()
        .take(models)
        .enumerate()
        .find_map(|(route, known)| {
            let target = known.targets.iter().position(|target| {
                let named = match &target.model {
                    TargetModel::Fixed { name, .. } => is(name),
                    TargetModel::Star { .. } => false,
                };
                target.provider == provider && named
            })?;
            Some((route, target))
        })
}
