//! One request's life: fed inputs, yields actions, never waits.

mod abandon;
pub(crate) mod detached;

use std::{net::IpAddr, rc::Rc, sync::Arc};

use tollgate_config::document::Dialect;
use tollgate_dialect::tokens::Memo;
use tollgate_vector::topics::TopicScratch;
use tollgate_wire::head::{RequestView, ResponseView};
use tollgate_wire::http1::read::BadHead;

use crate::{
    Snapshot, Tick,
    access::AccessTokens,
    attempt::{self, hedge, held, overload},
    call::Call,
    compress::{
        compare::{self, Compared},
        summary::{self, Summaries, Summing},
    },
    drain,
    exact::{self, Answers, Exact},
    facts::Facts,
    failure::{Failure, Kind},
    guard::{self, Guarding},
    identity::KeyTable,
    limits::{Held, LocalLimits},
    marks::Marks,
    outputs::{Action, AttemptId, Outputs, Rest},
    passing,
    pressure::Pressure,
    record::{AttemptOutcome, Outcome, Record},
    relay::{self, Relay},
    repeats::{self, Repeat, Repeats},
    reply,
    routing::{Routing, meaning},
    semantic,
    signers::Signers,
    stage::Verdict,
    stages::{admit::Admitted, identify::Login, matching, settle},
    upward::{self, Single},
};

/// What a shard pins for the life of an exchange. An `Rc` so that pinning writes no cache line another shard reads.
#[derive(Clone, Debug)]
pub struct Pinned {
    pub snapshot: Arc<Snapshot>,
    pub keys: Arc<KeyTable>,
}

/// Who is at the other end of the downstream connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client's address, PROXY protocol and trusted `X-Forwarded-For` already applied by the shell.
    pub address: IpAddr,
    /// The TCP peer itself is loopback.
    pub loopback: bool,
    /// Index into `document.listeners` of the pinned snapshot; `None` when that listener is no longer configured.
    pub listener: Option<usize>,
}

/// The shard's own mutable state that exchanges use.
#[derive(Debug, Default)]
pub struct Local {
    /// Request ids are (seed, sequence): seeded once per boot and shard.
    pub seed: u64,
    pub sequence: u64,
    pub signers: Signers,
    /// How targets are, and what may be tried again.
    pub routing: Routing,
    pub limits: LocalLimits,
    /// The node's: every shard has the same.
    pub marks: Arc<Marks>,
    /// The same; without it no `idempotency-key` is honoured.
    pub repeats: Option<Repeats>,
    /// And of answers that are kept; without it none is.
    pub answers: Option<Answers>,
    /// The way to the stores that caches share with other nodes; without it none is asked.
    pub second: Option<Box<dyn exact::Tier>>,
    /// And of what conversations were summed up to; without it none is.
    pub summaries: Option<Summaries>,
    /// What requests were known by lately that ask for these.
    pub names: exact::Names,
    pub tokens: AccessTokens,
    /// Is it past what it bears?
    pub pressure: Pressure,
    /// There is no room for the record of a further call: none may begin.
    pub usage_full: bool,
    /// What words were counted lately, for prompts whose provider does not say what it used.
    pub memo: Memo,
    /// Room to judge what prompts mean.
    pub meaning: meaning::Workspace,
    /// Room to look for answers by it.
    pub semantic: semantic::Workspace,
    /// Questions to the provider that makes vectors for that.
    pub asker: semantic::Asker,
    /// And what prompts and answers are about.
    pub guard: TopicScratch,
}

/// What every feed is given.
pub struct Io<'a> {
    pub now: Tick,
    /// Wall clock, for expiry and dates.
    pub unix_ms: u64,
    /// False while draining or before a snapshot is loaded: `/readyz` answers 503.
    pub ready: bool,
    /// The request's head; valid from `Input::Head` to the end of the exchange.
    pub request: RequestView<'a>,
    /// The request's body, freed of its transfer coding (a `content-encoding` stands: the engine decodes that). Empty at
    /// first; whole from `Input::Body` on. After `ReadPart`: what has come of it, and from `SendUp` on what it had then.
    pub body: &'a [u8],
    pub local: &'a mut Local,
    pub out: &'a mut Outputs,
}

/// What happened.
pub enum Input<'a> {
    /// The request's head is in `Io::request`.
    Head,
    /// Instead of `Head`: bytes that are no request. `Io::request` means nothing.
    BadHead(BadHead),
    /// The body asked for by `ReadBody` is whole, in `Io::body`.
    Body,
    /// More of the body asked for by `ReadPart` has come: all there is so far is in `Io::body`.
    BodyPart,
    /// The next bytes of a body whose beginning has been sent up.
    BodyPassing(&'a [u8]),
    /// There are no more.
    BodyPassed,
    /// The body asked for could not be read.
    ClientFault(ClientFault),
    /// The connection asked for by `Dial` stands.
    Connected(AttemptId),
    /// A final response's head (its body, if any, follows).
    UpstreamHead(AttemptId, ResponseView<'a>),
    /// Body bytes, freed of the transfer coding. Empty: reading goes on after a pause that a slow client caused.
    UpstreamBody(AttemptId, &'a [u8]),
    /// The response is complete by its framing.
    UpstreamEnd(AttemptId),
    /// The attempt failed; no further input for it.
    UpstreamFailed(AttemptId, UpstreamFault),
    /// `Exchange::deadline` has come.
    Timer,
    /// Another exchange's `Action::Turn` named this one, or the vector came that it waits for.
    Turn,
    /// What the second tier of its cache says is there.
    Found,
    /// The client closed or reset its connection.
    ClientGone,
    /// Instead of a connection: there is no room for the record of the call.
    UsageFull,
    /// The shell could not go on (a panic was caught, buffers ran out): end it.
    Internal(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    TooLarge,
    BadFraming(&'static str),
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    /// The name did not resolve.
    Resolve,
    /// Refused, unreachable, out of descriptors or ports.
    Connect,
    /// TLS to it failed; the reason is for the operator.
    Tls(&'static str),
    /// The HTTP proxy refused CONNECT with this status (0: no sensible answer).
    Proxy(u16),
    /// Closed or reset before the first byte of an answer. `reused`: the connection came from the pool.
    Closed { reused: bool },
    /// Closed, reset or cut after the first byte.
    Cut,
    /// Framing or a head that wire refuses.
    BadAnswer(&'static str),
}

/// One request's life. Kept with its connection and begun again for each request, so that its allocations are reused.
#[derive(Debug, Default)]
pub struct Exchange {
    pinned: Option<Rc<Pinned>>,
    phase: Phase,
    /// What the shell calls it.
    name: u64,
    /// Index into the surface's list.
    next_stage: usize,
    pub(crate) facts: Facts,
    pub(crate) login: Login,
    pub(crate) admitted: Admitted,
    pub(crate) held: Held,
    pub(crate) call: Call,
    pub(crate) relay: Relay,
    /// Of a call that may come again.
    pub(crate) repeat: Option<Box<Repeat>>,
    /// Its client is gone, and it goes on until then to be counted (`drain`).
    pub(crate) drains_until: Option<Tick>,
    /// Of one whose answer is kept, or will be.
    pub(crate) exact: Option<Box<Exact>>,
    /// Of one whose answer is read by guards.
    pub(crate) guard: Option<Box<Guarding>>,
    /// Of one whose conversation is summed up, or that sums one up.
    pub(crate) summing: Option<Box<Summing>>,
    /// Of one whose answer is compared with that to a shorter prompt.
    pub(crate) compared: Option<Box<Compared>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Begun; nothing came in yet.
    Fresh,
    /// In the stages, or waiting for the body that one of them asked for.
    Staged,
    /// An attempt is under way, nothing of an answer has gone out.
    Calling,
    /// An answer is coming in, and nothing of it has gone out: it is translated whole.
    Gathering,
    /// The answer's head went out.
    Relaying,
    /// `Settle` was yielded.
    #[default]
    Over,
}

impl Exchange {
    /// What an `Action::Turn` for this exchange is to say. Stays until it is given another.
    pub fn set_name(&mut self, name: u64) {
        self.name = name;
    }

    pub(crate) fn name(&self) -> u64 {
        self.name
    }

    /// Begins anew. `started` is when the request's first byte arrived.
    pub fn begin(&mut self, pinned: Rc<Pinned>, peer: Peer, started: Tick) {
        self.pinned = Some(pinned);
        self.phase = Phase::Fresh;
        self.next_stage = 0;
        self.facts.begin(peer, started);
        self.admitted.clear();
        self.held.clear();
        self.call.clear();
        self.relay.clear();
        self.repeat = None;
        self.drains_until = None;
        self.exact = None;
        self.guard = None;
        self.summing = None;
        self.compared = None;
    }

    /// Feeds one input; what is to be done is appended to `io.out` (the shell cleared it).
    /// After `End` or `Cut` the exchange takes no input but `begin`.
    pub fn feed(&mut self, input: Input<'_>, io: &mut Io<'_>) {
        if self.phase == Phase::Over {
            return;
        }
        if self.phase == Phase::Fresh {
            self.phase = Phase::Staged;
            self.facts.make_request_id(io.local);
        }
        if self.call.hedge.is_some() {
            hedge::turn_to(self, &input, io.now);
        }
        let kept = match &input {
            Input::UpstreamBody(_, bytes) => *bytes,
            _ => &[],
        };
        if let Some(guard) = &mut self.guard {
            guard.note_input(kept);
        }
        match input {
            Input::Head => self.enter_head(io),
            Input::BadHead(bad) => self.refuse(Failure::client(Kind::BadHead(bad)), io),
            Input::Body => self.enter_body(io, Rest::Nothing),
            Input::BodyPart => self.enter_body(io, Rest::Follows),
            Input::BodyPassing(bytes) => passing::more(self, io, bytes),
            Input::BodyPassed => passing::over(self, io),
            Input::ClientFault(fault) => {
                attempt::cancel(self, io);
                self.refuse(Failure::client(Kind::ClientFault(fault)), io);
            }
            Input::Connected(id) => attempt::connected(self, io, id),
            Input::UpstreamHead(id, answer) => attempt::answered(self, io, id, answer),
            Input::UpstreamBody(id, bytes) => {
                if !held::body(self, io, id, bytes) {
                    relay::body(self, io, id, bytes);
                }
            }
            Input::UpstreamEnd(id) => {
                if !held::end(self, io, id) {
                    relay::end(self, io, id);
                }
            }
            Input::UpstreamFailed(id, fault) => attempt::failed(self, io, id, fault),
            Input::Timer => self.timer(io),
            Input::Turn if semantic::is_told(self) || summary::deadline(self).is_some() => self.run_stages(io),
            Input::Turn => overload::turn(self, io),
            Input::Found => self.found(io),
            Input::ClientGone
                if exact::outlives_client(self, io.now)
                    | repeats::outlives_client(self, io.now)
                    | drain::outlives_client(self, io.now) => {}
            Input::ClientGone => {
                attempt::cancel(self, io);
                self.finish(io, Outcome::ClientGone, Action::Cut);
            }
            Input::UsageFull => {
                attempt::cancel(self, io);
                self.refuse(Failure::gateway(Kind::UsageSpoolFull), io);
            }
            Input::Internal(reason) => {
                attempt::cancel(self, io);
                self.refuse(Failure::gateway(Kind::Internal(reason)), io);
            }
        }
        self.note_answer(io, kept);
    }

    /// What is noted, kept or shared of an answer is what goes out. `input`: the bytes that were fed.
    fn note_answer(&mut self, io: &mut Io<'_>, input: &[u8]) {
        if self.guard.is_some() {
            guard::pass(self, io);
        }
        if self.summing.is_some() {
            summary::keep(self, io, input);
        }
        if self.compared.is_some() {
            compare::keep(self, io, input);
        }
        if self.exact.is_some() {
            exact::keep(self, io, input);
        }
        if self.repeat.is_some() {
            repeats::keep(self, io, input);
        }
    }

    fn timer(&mut self, io: &mut Io<'_>) {
        if summary::is_due(self, io.now) {
            return self.run_stages(io);
        }
        if self.exact.is_some() {
            match exact::due(self, io) {
                exact::Due::Look => return self.run_stages(io),
                exact::Due::Done => return,
                exact::Due::Nothing => {}
            }
        }
        if self.repeat.is_some() {
            let is_wanted = drain::runs(self, io.now) || exact::is_wanted(self, io.now);
            if repeats::is_forsaken(self, io.now) && !is_wanted {
                attempt::cancel(self, io);
                return self.finish(io, Outcome::ClientGone, Action::Cut);
            }
            if repeats::looks_again(self, io.now) {
                return self.run_stages(io);
            }
        }
        if !drain::ends(self, io) {
            attempt::timer(self, io);
        }
    }

    /// The question may have been of an earlier call on the same connection.
    fn found(&mut self, io: &mut Io<'_>) {
        if self.exact.is_some() && exact::due(self, io) == exact::Due::Look {
            self.run_stages(io);
        }
    }

    /// Others are sent its answer as it comes, or wait for it.
    pub fn is_awaited(&self, now: Tick) -> bool {
        exact::is_wanted(self, now)
    }

    /// When `Input::Timer` is due; the earliest of all that runs. Read after each feed.
    pub fn deadline(&self) -> Option<Tick> {
        match self.phase {
            Phase::Calling | Phase::Gathering | Phase::Relaying => {
                let repeat = self.repeat.as_ref().and_then(|_| repeats::deadline(self));
                let exact = self.exact.as_ref().and_then(|_| exact::deadline(self));
                [
                    self.call.deadline(),
                    relay::alive::due(self),
                    self.drains_until,
                    repeat,
                    exact,
                ]
                .into_iter()
                .flatten()
                .min()
            }
            Phase::Staged => summary::deadline(self)
                .or_else(|| repeats::deadline(self))
                .or_else(|| exact::deadline(self)),
            Phase::Fresh | Phase::Over => None,
        }
    }

    /// The same while the shell does not read the provider because the client is slow: a provider is not blamed for that.
    pub fn firm_deadline(&self) -> Option<Tick> {
        match self.phase {
            Phase::Calling | Phase::Gathering | Phase::Relaying => self.call.firm_deadline(),
            Phase::Fresh | Phase::Staged | Phase::Over => None,
        }
    }

    /// What is known; final once `Settle` was yielded.
    pub fn record(&self) -> Record<'_> {
        settle::record(self)
    }

    /// Records of batches that the call, a list, has shown the end of: of each what it used, at the caller's charge.
    pub fn listed(&self) -> impl Iterator<Item = Record<'_>> {
        self.facts.listed.iter().map(|listed| settle::record_of(self, listed))
    }

    /// Provider index and outcome of each attempt so far, in order.
    pub fn attempts(&self) -> impl Iterator<Item = (usize, AttemptOutcome)> + '_ {
        self.call.log.iter().map(|tried| (tried.provider, tried.outcome))
    }

    /// Bytes of bodies held here beside what the shell holds; never more than `max_held_bytes`.
    pub fn held_bytes(&self) -> usize {
        let translated = self
            .call
            .translated
            .as_ref()
            .map_or(0, |translated| translated.body.len());
        let answers = self.call.single().map_or(0, Single::held_bytes);
        let listed = self.call.listing.as_ref().map_or(0, |listing| listing.held_bytes());
        let held = self.call.held.as_ref().map_or(0, |held| held.held_bytes());
        let decoded = self.admitted.decoded.as_ref().map_or(0, Vec::len);
        let rival = self.call.hedge.as_ref().map_or(0, |hedge| hedge.held_bytes());
        let guarded = self.guard.as_ref().map_or(0, |guard| guard.held_bytes());
        let summed = summary::held_bytes(self) + compare::held_bytes(self);
        listed + answers + held + rival + decoded + translated + guarded + summed + self.relay.held_bytes()
    }

    /// The bound on `held_bytes` but for translated answers and lists, which have their own (`translate::MAX_ANSWER_BYTES`,
    /// `embed::MAX_ANSWER_BYTES`, `listing::MAX_HELD_BYTES` twice), given the configured `max_body` and `cost_header_buffer` and the largest piece of an answer the shell feeds.
    pub fn max_held_bytes(max_body_bytes: u64, cost_header_buffer_bytes: u64, max_piece_bytes: usize) -> usize {
        let body = max_body_bytes as usize;
        // Decoded, made shorter to be compared, and translated for one target or two.
        2 * body
            + 2 * upward::max_translated_bytes(body)
            + relay::MAX_HELD_BYTES
            + held::MAX_HELD_BYTES
            + guard::MAX_HELD_BYTES
            + summary::MAX_HELD_BYTES
            + compare::MAX_HELD_BYTES
            + cost_header_buffer_bytes as usize
            + max_piece_bytes
    }

    /// The stage the exchange is in, for the log line of a panic or a hang.
    pub fn stage(&self) -> &'static str {
        self.facts
            .surface
            .stages
            .get(self.next_stage)
            .map_or("match", |stage| stage.name)
    }

    /// The connection goes idle: lets go of the snapshot, which a newer one may have replaced, and of what an unusual
    /// request made grow. Call it after `End` when no further request is buffered.
    pub fn rest(&mut self) {
        self.pinned = None;
        self.repeat = None;
        self.exact = None;
        self.guard = None;
        self.summing = None;
        self.compared = None;
        self.admitted.shrink();
        self.call.shrink();
        self.relay.shrink();
    }

    /// The pinned snapshot and keys. An `Rc`, so that a stage can hold it while it changes the exchange.
    pub(crate) fn pin(&self) -> Rc<Pinned> {
        self.pinned.clone().expect("an exchange is begun before it is fed")
    }

    /// The revision it began with; none before `begin` and after `rest`.
    pub fn pinned(&self) -> Option<&Pinned> {
        self.pinned.as_deref()
    }

    /// The dialect that the answer to pass on is in: the client's, which the target speaks too, or the provider's.
    pub(crate) fn answer_dialect(&self) -> Option<Dialect> {
        let direct = || Some(self.pinned()?.snapshot.document.providers[self.facts.direct?].1.dialect);
        let through = self.call.through.map(|through| through.dialect);
        self.facts.surface.dialect.or(through).or_else(direct)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        debug_assert!(self.phase != Phase::Over, "an exchange that is over stays over");
        self.phase = phase;
    }

    fn enter_head(&mut self, io: &mut Io<'_>) {
        match matching::enter(self, io) {
            Verdict::Next => self.run_stages(io),
            Verdict::Refuse(failure) => self.refuse(failure, io),
            Verdict::Pause | Verdict::Taken => {}
        }
    }

    fn enter_body(&mut self, io: &mut Io<'_>, rest: Rest) {
        assert_eq!(self.phase, Phase::Staged, "a body that nobody asked for");
        self.admitted.rest = rest;
        self.run_stages(io);
    }

    fn run_stages(&mut self, io: &mut Io<'_>) {
        while let Some(stage) = self.facts.surface.stages.get(self.next_stage) {
            match (stage.enter)(self, io) {
                Verdict::Next => self.next_stage += 1,
                Verdict::Refuse(failure) => return self.refuse(failure, io),
                Verdict::Pause | Verdict::Taken => return,
            }
        }
        unreachable!("the last stage of every list takes over or refuses");
    }

    /// Ends the exchange with an error of ours: an answer of its own, or, when one has begun, its end.
    pub(crate) fn refuse(&mut self, failure: Failure, io: &mut Io<'_>) {
        if self.phase == Phase::Relaying || self.relay.is_opened() {
            return relay::broken(self, io, &failure);
        }
        reply::failure(self, io, &failure);
    }

    /// Settles and ends. `last` is `End` or `Cut`.
    pub(crate) fn finish(&mut self, io: &mut Io<'_>, outcome: Outcome, last: Action) {
        if self.guard.is_some() && guard::ends(self, io, outcome, &last) == guard::Went::Refused {
            return;
        }
        if self.call.queued.is_some() {
            overload::leave(self, io);
        }
        settle::settle(self, io, outcome);
        self.phase = Phase::Over;
        io.out.actions.push(last);
    }
}
