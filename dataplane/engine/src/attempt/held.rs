//! An answer that is held back, head and body, until it is known what it is: an error that may make another model take
//! over, an answer that may be a refusal, a stream that has not said anything. Nothing of it has reached the client, and
//! nothing of the relay has begun: the call can go elsewhere as though there had been no answer.

use tollgate_dialect::{
    canonical::{event::Event, fault::Fault},
    usage::Usage,
};
use tollgate_wire::head::{Known, ResponseHead, ResponseView};

use super::{
    Ended, again, give_up, go, go_on, grants, log_end, outcome, route_index,
    scout::{Scout, is_refusal},
    takeover,
};
use crate::{
    billing, cost,
    decode::{Coding, Decoder},
    exchange::{Exchange, Io, Phase, UpstreamFault},
    facts::Spent,
    failure::{Failure, Kind, RetryWhere},
    limits::provider,
    outputs::AttemptId,
    record::AttemptOutcome,
    relay,
    snapshot::Route,
    surface::Operation,
};

/// An error longer than this is passed on unread.
const MAX_ERROR_BYTES: usize = 16 * 1024;
/// An answer longer than this is no refusal.
const MAX_WHOLE_BYTES: usize = 256 * 1024;
/// A stream that has been silent for so long goes down as it is.
const MAX_SILENT_BYTES: usize = 64 * 1024;
/// Of all of these.
pub(crate) const MAX_HELD_BYTES: usize = MAX_WHOLE_BYTES;

#[derive(Debug)]
pub(crate) struct Held {
    head: ResponseHead,
    head_bytes: Vec<u8>,
    body: Vec<u8>,
    /// What a whole answer says that it used.
    used: Option<Usage>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// An error that may make another model take over.
    Error,
    /// A whole answer that may be a refusal.
    Whole,
    /// A stream that has not said anything.
    Silent(Box<Scout>),
}

impl Held {
    pub fn held_bytes(&self) -> usize {
        self.body.len()
    }

    pub fn is_silent(&self) -> bool {
        matches!(self.what, What::Silent(_))
    }
}

/// Holds back a stream until it says something, where the call could still go elsewhere; true when it does. What the
/// target is worth is not known before.
pub(super) fn silent(exchange: &mut Exchange, io: &mut Io<'_>, answer: ResponseView<'_>) -> bool {
    let may = exchange.facts.stream && (200..300).contains(&answer.head.status) && may_go_elsewhere(exchange);
    if !may || !relay::is_stream(exchange, answer) {
        return false;
    }
    let Some(scout) = scout(exchange, answer) else {
        return false;
    };
    hold(exchange, answer, What::Silent(scout));
    exchange.facts.wait_begins(io.now);
    relay::wait_anew(exchange, io);
    relay::alive::awaits(exchange);
    true
}

fn is_chat(exchange: &Exchange) -> bool {
    exchange.facts.surface.operation == Operation::Chat && exchange.facts.direct.is_none()
}

/// Is there anybody else to ask, should this stream fail before it says anything?
fn may_go_elsewhere(exchange: &Exchange) -> bool {
    let Some(route) = route_of(exchange).filter(|route| route.targets.len() > 1 || route.on_refusal.is_some()) else {
        return false;
    };
    let call = &exchange.call;
    let others = call.order.as_slice().len() > 1 && u32::from(call.tried_here()) < route.retry.attempts;
    let successor = route.on_refusal.is_some() && takeover::is_possible(exchange);
    (others || successor) && !call.committed && is_chat(exchange) && !exchange.facts.is_detached()
}

fn route_of(exchange: &Exchange) -> Option<&Route> {
    exchange.pinned()?.snapshot.routes.get(route_index(exchange))
}

/// Who reads a stream beside. `None`: it comes in a coding that nobody can read.
pub(crate) fn scout(exchange: &Exchange, answer: ResponseView<'_>) -> Option<Box<Scout>> {
    let coding = Coding::of(answer.get(Known::ContentEncoding).unwrap_or_default()).ok()?;
    let scout = Scout::new(relay::provider_speaks(exchange)?, coding.map(Decoder::new));
    Some(Box::new(scout))
}

/// Holds the answer back if it may be one that another model takes over; true when it does.
pub(super) fn suspects(exchange: &mut Exchange, answer: ResponseView<'_>) -> bool {
    let Some(route) =
        route_of(exchange).filter(|route| route.on_refusal.is_some() || route.on_context_overflow.is_some())
    else {
        return false;
    };
    let refuses = route.on_refusal.is_some();
    let what = match answer.head.status {
        400 | 413 | 422 => What::Error,
        200..300 if refuses && is_chat(exchange) && is_plain_document(exchange, answer) => What::Whole,
        _ => return false,
    };
    let may = takeover::is_possible(exchange) && !exchange.call.committed;
    if may {
        hold(exchange, answer, what);
    }
    may
}

fn is_plain_document(exchange: &Exchange, answer: ResponseView<'_>) -> bool {
    let coding = Coding::of(answer.get(Known::ContentEncoding).unwrap_or_default());
    matches!(coding, Ok(None)) && !relay::is_stream(exchange, answer)
}

fn hold(exchange: &mut Exchange, answer: ResponseView<'_>, what: What) {
    exchange.call.held = Some(Box::new(Held {
        head: answer.head.clone(),
        head_bytes: answer.buf.to_vec(),
        body: Vec::new(),
        used: None,
        what,
    }));
}

/// A piece of an answer's body that may belong to one that is held; true when it does.
pub(crate) fn body(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId, bytes: &[u8]) -> bool {
    let live = exchange.call.is_live(id);
    let Some(held) = exchange.call.held.as_mut().filter(|_| live) else {
        return false;
    };
    held.body.extend_from_slice(bytes);
    let length = held.body.len();
    match &mut held.what {
        What::Error if length > MAX_ERROR_BYTES => release(exchange, io, id),
        What::Whole if length > MAX_WHOLE_BYTES => release(exchange, io, id),
        What::Error => {}
        What::Whole => relay::wait_anew(exchange, io),
        What::Silent(scout) => {
            scout.feed(bytes);
            let silent = scout.is_silent() && length <= MAX_SILENT_BYTES;
            match (scout.seen.fault.take(), scout.seen.refused) {
                (Some(fault), _) => failed(exchange, io, id, &fault),
                (None, true) if refused(exchange, io) => {}
                (None, false) if silent => relay::wait_anew(exchange, io),
                (None, _) => release(exchange, io, id),
            }
        }
    }
    true
}

/// The answer of an attempt is whole; true when that is no longer the client's affair.
pub(crate) fn end(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId) -> bool {
    let live = exchange.call.is_live(id);
    let Some(held) = exchange.call.held.as_mut().filter(|_| live) else {
        return false;
    };
    let gone = match &mut held.what {
        What::Error => successor_of_error(exchange, io),
        What::Whole => says_refusal(exchange) && refused(exchange, io),
        What::Silent(scout) => match (scout.end(), scout.seen.refused) {
            (true, refuses) => refuses && refused(exchange, io),
            (false, _) => {
                ended_early(exchange, io);
                true
            }
        },
    };
    if !gone {
        release(exchange, io, id);
    }
    gone
}

fn successor_of_error(exchange: &mut Exchange, io: &mut Io<'_>) -> bool {
    let said = exchange.call.held.as_ref().map_or(&[][..], |held| &held.body);
    let model = route_of(exchange).and_then(|route| takeover::after_error(route, said));
    let Some(model) = takeover::admitted(exchange, io, model) else {
        return false;
    };
    give_up(exchange, io, AttemptOutcome::Status);
    takeover::take_over(exchange, io, model);
    true
}

/// Does a whole answer end as one that refuses? Notes what it used.
fn says_refusal(exchange: &mut Exchange) -> bool {
    let Some(speaks) = relay::provider_speaks(exchange) else {
        return false;
    };
    let Some(held) = &mut exchange.call.held else {
        return false;
    };
    let (mut refuses, mut used) = (false, None);
    let read = speaks.read_answer(&held.body, &mut |event| match event {
        Event::Stopped { reason, .. } => refuses |= is_refusal(reason),
        Event::Usage(usage) => used.get_or_insert_with(Usage::default).merge(usage),
        _ => {}
    });
    held.used = used;
    read.is_ok() && refuses
}

/// The target will not answer: the model that is named for that does, if there is one. Not the target's failure.
fn refused(exchange: &mut Exchange, io: &mut Io<'_>) -> bool {
    let model = route_of(exchange).and_then(|route| route.on_refusal);
    let Some(model) = takeover::admitted(exchange, io, model) else {
        return false;
    };
    exchange.facts.wait_ends(io.now);
    note_well(exchange, io);
    let spent = note_use(exchange, io);
    give_up(exchange, io, AttemptOutcome::Ok);
    billing::note_spent(exchange, spent);
    takeover::take_over(exchange, io, model);
    true
}

/// What it used that refused is paid like anything else: as it says itself, or else for the prompt that it read.
fn note_use(exchange: &mut Exchange, io: &mut Io<'_>) -> Spent {
    let told = exchange.call.held.as_ref().and_then(|held| match &held.what {
        What::Silent(scout) => scout.seen.used,
        _ => held.used,
    });
    let used = told.unwrap_or_else(|| {
        exchange.facts.estimated = true;
        let model = exchange.record().upstream_model.unwrap_or_default().to_owned();
        Usage {
            input: relay::prompt_tokens(exchange, io, &model),
            ..Usage::default()
        }
    });
    exchange.facts.usage = Some(used);
    exchange.facts.cost = cost::of(exchange, io.unix_ms);
    grants::settle(exchange, io);
    provider::settle(exchange, io);
    exchange.facts.usage = None;
    let cost = exchange.facts.cost.take();
    let declined = exchange.facts.declined.get_or_insert_default();
    declined.usage.add(&used);
    declined.cost = cost::sum(declined.cost, cost);
    Spent {
        usage: used,
        cost,
        estimated: told.is_none(),
    }
}

/// A stream that was held has shown that its target is well.
fn note_well(exchange: &mut Exchange, io: &mut Io<'_>) {
    let Some(held) = exchange.call.held.take() else { return };
    if held.is_silent() {
        let answer = ResponseView {
            head: &held.head,
            buf: &held.head_bytes,
        };
        outcome::answered(exchange, io, answer);
    }
    exchange.call.held = Some(held);
}

/// The stream is an error: elsewhere, if the call may go there, or else the client's after all.
fn failed(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId, fault: &Fault) {
    exchange.facts.wait_ends(io.now);
    outcome::told(exchange, io, fault.status, fault.retry_after_ms);
    let ended = Ended::told(exchange, fault);
    if ended.may_be_tried_again(exchange)
        && let Some(plan) = again::plan(exchange, io, &ended)
    {
        give_up(exchange, io, AttemptOutcome::Status);
        return go(exchange, io, plan);
    }
    let model = route_of(exchange).and_then(|route| takeover::after_fault(route, fault));
    if let Some(model) = takeover::admitted(exchange, io, model) {
        give_up(exchange, io, AttemptOutcome::Status);
        return takeover::take_over(exchange, io, model);
    }
    pass_on(exchange, io, id);
}

/// The stream's framing is complete, and it has said nothing, not even that it is over.
fn ended_early(exchange: &mut Exchange, io: &mut Io<'_>) {
    const CUT: UpstreamFault = UpstreamFault::Cut;
    exchange.facts.wait_ends(io.now);
    outcome::failed(exchange, io);
    log_end(exchange, io, AttemptOutcome::Disconnect);
    let failure = Failure::upstream(Kind::Upstream(CUT), RetryWhere::OtherTarget);
    go_on(exchange, io, AttemptOutcome::Disconnect, failure);
}

/// It is an answer like any other.
fn release(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId) {
    note_well(exchange, io);
    pass_on(exchange, io, id);
}

fn pass_on(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId) {
    let Some(held) = exchange.call.held.take() else { return };
    let Held {
        head, head_bytes, body, ..
    } = *held;
    let answer = ResponseView {
        head: &head,
        buf: &head_bytes,
    };
    relay::head(exchange, io, answer);
    if exchange.phase() != Phase::Over {
        relay::held_body(exchange, io, id, &body);
    }
}
