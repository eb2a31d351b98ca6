//! Exchanges that no client waits for: a copy of a call that goes to another model or with a shorter prompt, a summary of
//! what was said in it, a look at a provider, and a call for the vectors that semantic caches go by. They run as any other
//! does; nothing of theirs is tried again, and what they would say to a client goes nowhere, but for vectors, which the shell
//! takes.

use std::{
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
};

use tollgate_wire::{
    Span,
    json::cursor::{Kind, Value},
};

use super::{Exchange, Io, Local, Peer, Phase, Pinned};
use crate::{
    Tick,
    compress::{
        compare::Compared,
        heard::Heard,
        summary::{self, Summing},
    },
    facts::Detached,
    outputs::{Action, Rest},
    routing::Luck,
    semantic::Batch,
    snapshot::{ModelId, Resolved, Route},
    stages::admit,
    surface,
};

/// So that the lots of copies are others than those of targets.
const SHADOW_LOTS: u64 = 0x5ad0_3a1e_77c9_d1b5;

/// However long those who asked wait: what comes later is remembered.
const MOST_EMBEDDING_MS: u64 = 5_000;
/// Nobody but the gateway.
const HERE: Peer = Peer {
    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    loopback: true,
    listener: None,
};

impl Exchange {
    /// Bytes that a copy of this call holds for itself: a body is shared as it came, and not as it was decoded.
    pub fn copied_bytes(&self) -> usize {
        self.admitted.decoded.as_ref().map_or(0, Vec::len)
    }

    /// Begins a copy of a call for the model that `Action::Shadow` named, past all that decided about its caller. The shell
    /// feeds `Input::Body` next, with the head and the body of the call. False where `of` is over by now.
    pub fn begin_shadow(&mut self, of: &Exchange, model: u32, now: Tick) -> bool {
        let model = Resolved {
            model: ModelId(model),
            star: 0..0,
        };
        if !self.begin_copy(of, model, now) {
            return false;
        }
        let (admitted, from) = (&mut self.admitted, &of.admitted);
        admitted.decoded.clone_from(&from.decoded);
        (admitted.model, admitted.stream) = (from.model, from.stream);
        (admitted.stream_options, admitted.include_usage) = (from.stream_options, from.include_usage);
        // The model that gets the copy may make prompts shorter, too.
        self.enter_at("compress")
    }

    fn begin_copy(&mut self, of: &Exchange, model: Resolved, now: Tick) -> bool {
        if !self.begin_beside(of, Detached::Shadow, now) {
            return false;
        }
        let (facts, from) = (&mut self.facts, &of.facts);
        facts.model_asked.push_str(&from.model_asked);
        facts.surface = from.surface;
        (facts.stream, facts.tier) = (from.stream, from.tier);
        facts.request_body_bytes = from.request_body_bytes;
        facts.model = Some(model);
        true
    }

    /// Begins what is done in the name of another call's caller.
    fn begin_beside(&mut self, of: &Exchange, detached: Detached, now: Tick) -> bool {
        let (Some(pinned), Some(peer)) = (&of.pinned, of.facts.peer) else {
            return false;
        };
        self.begin(Rc::clone(pinned), peer, now);
        let (facts, from) = (&mut self.facts, &of.facts);
        facts.detached = detached;
        facts.request_id.clear();
        facts.request_id.push_str(&from.request_id);
        facts.tags.push_str(&from.tags);
        (facts.has_head, facts.key) = (true, from.key);
        self.admitted.asked_for_body = true;
        true
    }

    /// Makes the call of `Action::Compare` again, with the shorter prompt, past all that decided about its caller. The shell
    /// feeds `Input::Body` next, with the head and the body of the call. False where nothing is to be compared.
    pub fn begin_again(&mut self, of: &mut Exchange, now: Tick) -> bool {
        let Some(Compared::Call { body, heard }) = of.compared.take().map(|compared| *compared) else {
            return false;
        };
        let Some(model) = of.facts.model.clone() else {
            return false;
        };
        if !self.begin_copy(of, model, now) {
            return false;
        }
        self.admitted.decoded = Some(body);
        self.compared = Some(Box::new(Compared::Again {
            first: heard,
            heard: Heard::default(),
        }));
        admit::find_fields(self, &[]).is_ok() && self.enter_at("route")
    }

    /// Begins the summary that `Action::Summarize` wants, in the name of the call's own caller: what it used is theirs, and
    /// so are the limits that it comes under. The shell made a request of a chat without a body, and feeds `Input::Body`
    /// next. False where nothing is wanted.
    pub fn begin_summary(&mut self, of: &mut Exchange, now: Tick) -> bool {
        let Some(ask) = summary::take_ask(of) else { return false };
        if !self.begin_beside(of, Detached::Summary, now) {
            return false;
        }
        let facts = &mut self.facts;
        facts.model_asked.push_str(&ask.name);
        facts.surface = &surface::SUMMARY;
        (facts.trace, facts.timeout_ms) = (of.facts.trace, Some(ask.timeout_ms));
        facts.request_body_bytes = ask.body.len() as u64;
        facts.model = Some(Resolved {
            model: ask.model,
            star: 0..0,
        });
        let (body, makes) = ask.into_parts();
        self.admitted.decoded = Some(body);
        self.summing = Some(Box::new(Summing::Makes(makes)));
        admit::find_fields(self, &[]).is_ok() && self.enter_at("limit")
    }

    /// Begins a look at a provider: a request that the shell made for its path under `/providers/`. It feeds `Input::Body`
    /// next.
    pub fn begin_check(&mut self, pinned: Rc<Pinned>, provider: usize, timeout_ms: u64, now: Tick) -> bool {
        self.begin(pinned, HERE, now);
        let facts = &mut self.facts;
        facts.detached = Detached::Check;
        (facts.surface, facts.has_head) = (&surface::DIRECT, true);
        (facts.direct, facts.timeout_ms) = (Some(provider), Some(timeout_ms));
        self.enter_at("direct")
    }

    /// Begins a call for vectors, to the provider that makes them. The shell feeds `Input::Body` next, with the request of the
    /// batch, and hands what comes of it to `Asker::ended`.
    pub fn begin_embedding(&mut self, pinned: Rc<Pinned>, batch: &Batch, local: &mut Local, now: Tick) -> bool {
        let Some(remote) = pinned.snapshot.remote.clone() else {
            return false;
        };
        self.begin(pinned, HERE, now);
        self.facts.make_request_id(local);
        let facts = &mut self.facts;
        facts.detached = Detached::Embeds;
        (facts.surface, facts.has_head) = (&surface::EMBEDDINGS, true);
        facts.model_asked.push_str(&remote.model);
        facts.timeout_ms = Some(MOST_EMBEDDING_MS);
        facts.model = Some(Resolved {
            model: ModelId(remote.route as u32),
            star: 0..0,
        });
        self.admitted.asked_for_body = true;
        self.admitted.model = Some(Value {
            span: Span::new(batch.model.start, batch.model.end),
            kind: Kind::String,
        });
        // Where it goes is known, and who asks has been let in.
        self.enter_at("model")
    }

    fn enter_at(&mut self, stage: &str) -> bool {
        let mut stages = self.facts.surface.stages.iter();
        let Some(at) = stages.position(|known| known.name == stage) else {
            return false;
        };
        (self.phase, self.next_stage) = (Phase::Staged, at);
        true
    }
}

/// Decides by lot whether a copy of the call goes to another model once it was sent.
pub(crate) fn draw(exchange: &mut Exchange, io: &Io<'_>, route: &Route) {
    let Some((model, percent)) = route.shadow else { return };
    let is_first = exchange.call.tried == 1 && !exchange.facts.is_detached();
    if !is_first || !may_be_copied(exchange) {
        return;
    }
    let mut luck = Luck::new(io.local.seed ^ SHADOW_LOTS ^ io.local.sequence.wrapping_mul(0x9e6c_63d0_876a_68ee));
    if luck.below(100) < u64::from(percent) {
        exchange.call.shadow = Some(model);
    }
}

/// What a provider keeps or signed is none of another's; and what passes is gone.
pub(crate) fn may_be_copied(exchange: &Exchange) -> bool {
    let is_bound = exchange.call.only_provider.is_some() || exchange.admitted.looks_sealed;
    let is_kept = exchange.admitted.rest == Rest::Nothing && exchange.admitted.form.is_none();
    !is_bound && is_kept
}

/// The call was sent: now its copy may be.
pub(crate) fn sent(exchange: &mut Exchange, io: &mut Io<'_>) {
    if let Some(ModelId(model)) = exchange.call.shadow.take() {
        io.out.actions.push(Action::Shadow { model });
    }
}
