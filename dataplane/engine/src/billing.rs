//! What a ledger wants to know of a call beside its record: who bears the cost, by which credential, at which list price,
//! and each attempt by itself. Knows no file and no bytes.

use tollgate_config::{document::Reference, prices::ServiceTier};
use tollgate_dialect::usage::Usage;

use crate::{
    Tick,
    attempt::hedge,
    call::SentModel,
    cost::{self, Cost},
    exchange::{Exchange, Pinned},
    facts::Spent,
    record::AttemptOutcome,
    stages::settle,
};

/// A view into the exchange, as `Record` is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Billed<'a> {
    pub organization: Option<&'a str>,
    pub cost_center: Option<&'a str>,
    /// What the reference of the credential names that was used last.
    pub credential: Option<&'a str>,
    /// W3C Trace Context.
    pub trace: Option<[u8; 16]>,
    pub tier: ServiceTier,
    /// Nothing is to be paid, whatever was used: it was paid for before, or never is.
    pub free: bool,
    /// Of the attempt that another was quicker than: what its provider may bill, which is no part of the record's `usage`
    /// and `cost`.
    pub beaten: Option<(u64, Option<Cost>)>,
}

/// An attempt that is over.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    pub credential: &'a str,
    pub status: u16,
    pub outcome: AttemptOutcome,
    /// From the call's beginning.
    pub started_ns: u64,
    pub took_ns: u64,
    pub usage: Option<Usage>,
    pub cost: Option<Cost>,
    pub estimated: bool,
}

/// The same, as it is noted while the call goes on.
#[derive(Debug)]
pub(crate) struct Tried {
    /// Index into the document's.
    pub provider: usize,
    pub outcome: AttemptOutcome,
    pub sent_model: SentModel,
    /// The model's name where `Call::star_model` was given another since.
    pub star_model: Option<Box<str>>,
    /// Index into the provider's.
    pub credential: usize,
    pub status: u16,
    pub dialled: Tick,
    pub ended: Tick,
    /// Of one whose usage is not the call's alone.
    pub spent: Option<Box<Spent>>,
}

impl Exchange {
    pub fn billed(&self) -> Billed<'_> {
        let (facts, call) = (&self.facts, &self.call);
        let pinned = self.pinned();
        let key = facts.key.filter(|_| !facts.is_nobodys());
        let key = key.and_then(|id| Some(pinned?.keys.entry(id)));
        let document = pinned.map(|pinned| &pinned.snapshot.document);
        let lost = hedge::record(self).and_then(|hedged| hedged.lost);
        Billed {
            organization: document.and_then(|document| document.organization_name.as_deref()),
            cost_center: key.and_then(|key| key.cost_center.as_deref()),
            credential: pinned
                .zip(call.provider)
                .and_then(|(pinned, provider)| credential(pinned, provider, call.credential)),
            trace: facts.trace,
            tier: cost::tier(self),
            free: facts.replayed || cost::is_free(self),
            beaten: lost.map(|lost| (lost.input_tokens.unwrap_or(0), lost.cost)),
        }
    }

    /// The same of what the call, a list, has shown the end of.
    pub fn billed_late(&self) -> Billed<'_> {
        Billed {
            tier: ServiceTier::Batch,
            free: false,
            beaten: None,
            ..self.billed()
        }
    }

    /// Those that are over, in the order of their ends: the first ones, and the last, `most` in all.
    pub fn tries(&self, most: usize) -> impl Iterator<Item = Attempt<'_>> {
        let log = &self.call.log;
        let last = log.len().saturating_sub(1);
        let kept = move |at: usize| at + 1 < most || at == last;
        let answering = answering(self);
        let pinned = self.pinned();
        log.iter()
            .enumerate()
            .filter(move |(at, _)| kept(*at))
            .filter_map(move |(at, tried)| Some(self.attempt(pinned?, tried, answering == Some(at))))
    }

    /// How many are over.
    pub fn tries_count(&self) -> usize {
        self.call.log.len()
    }

    fn attempt<'a>(&'a self, pinned: &'a Pinned, tried: &'a Tried, answers: bool) -> Attempt<'a> {
        let facts = &self.facts;
        let star_model = tried.star_model.as_deref().unwrap_or(&self.call.star_model);
        let own = |spent: &Spent| (Some(spent.usage), spent.cost, spent.estimated);
        let beaten = || {
            let lost = hedge::record(self).and_then(|hedged| hedged.lost)?;
            let input = lost.input_tokens.map(|input| Usage {
                input: Some(input),
                ..Usage::default()
            });
            Some((input, lost.cost, true))
        };
        let (usage, cost, estimated) = match &tried.spent {
            Some(spent) => own(spent),
            None if answers => (facts.usage, facts.cost, facts.estimated),
            None if tried.outcome == AttemptOutcome::HedgeLost => beaten().unwrap_or_default(),
            None => (None, None, false),
        };
        Attempt {
            provider: pinned
                .snapshot
                .document
                .providers
                .get(tried.provider)
                .map_or("", |(name, _)| name),
            model: settle::name_of(pinned, tried.sent_model, star_model).unwrap_or_default(),
            credential: credential(pinned, tried.provider, tried.credential).unwrap_or_default(),
            status: tried.status,
            outcome: tried.outcome,
            started_ns: tried.dialled.ns_since(facts.started),
            took_ns: tried.ended.ns_since(tried.dialled),
            usage,
            cost,
            estimated,
        }
    }
}

/// Whose the call's usage is, what others spent taken off: the last that was answered with success, or else the last.
fn answering(exchange: &Exchange) -> Option<usize> {
    let log = &exchange.call.log;
    let unbeaten = |tried: &Tried| tried.outcome != AttemptOutcome::HedgeLost;
    log.iter()
        .rposition(|tried| (200..300).contains(&tried.status) && unbeaten(tried))
        .or_else(|| log.iter().rposition(unbeaten))
}

/// Usage and cost of the attempt that answered, before those of others are added.
pub(crate) fn keep_own(exchange: &mut Exchange) {
    let own = Spent {
        usage: exchange.facts.usage.unwrap_or_default(),
        cost: exchange.facts.cost,
        estimated: exchange.facts.estimated,
    };
    if let Some(at) = answering(exchange)
        && let Some(tried) = exchange.call.log.get_mut(at)
        && tried.spent.is_none()
    {
        tried.spent = Some(Box::new(own));
    }
}

/// What the attempt used that has just been noted, though nobody got the end of its answer.
pub(crate) fn note_spent(exchange: &mut Exchange, spent: Spent) {
    if let Some(tried) = exchange.call.log.last_mut() {
        tried.spent = Some(Box::new(spent));
    }
}

fn credential(pinned: &Pinned, provider: usize, index: usize) -> Option<&str> {
    let (_, provider) = pinned.snapshot.document.providers.get(provider)?;
    match provider.credentials.get(index)? {
        Reference::Env(name) | Reference::File(name) => Some(name),
    }
}

/// The trace id of `traceparent`. Source: W3C Trace Context, "traceparent Header Field Values".
pub(crate) fn trace_of(value: &[u8]) -> Option<[u8; 16]> {
    let [_, _, b'-', digits @ .., b'-', _, _] = value.get(..55)? else {
        return None;
    };
    let digits = digits.get(..32).filter(|_| digits.get(32) == Some(&b'-'))?;
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| {
            char::from(pair[at])
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        *byte = digit(0)? << 4 | digit(1)?;
    }
    (id != [0; 16]).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::trace_of;

    #[test]
    fn a_trace_id_is_read_where_it_is_one() {
        let right = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_of(right).map(|id| (id[0], id[15])), Some((0x4b, 0x36)));
        // A later version may say more.
        assert!(trace_of(b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for wrong in [
            &b""[..],
            b"00-4bf92f3577b34da6a3ce929d0e0e4736",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
            b"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_of(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
