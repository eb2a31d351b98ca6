//! The answer on its way down: head, body, end. Bytes pass untouched; usage is read beside them.

pub(crate) mod alive;
mod beside;
mod cut;
mod estimate;
mod events;
mod faults;
mod head;
mod hold;
mod listed;
mod refusal;
mod single;
pub(crate) mod stall;
mod tally;
mod translated;
mod unwrapped;

use tollgate_dialect::{anthropic::Unwrapper, canonical::fault::Fault, translate::Answering, usage::Usage};

use crate::{
    attempt::{self, resume::Broken},
    exchange::{Exchange, Io, Phase},
    failure::{self, Culprit, Failure, Waited},
    outputs::{Action, AttemptId, Outputs, Piece, ReplyFraming},
    record::{AttemptOutcome, Outcome},
    sealing::answer::{self, Sealer},
};

pub(crate) use estimate::{estimate, of_crash, prompt_tokens};
pub(crate) use head::{head, is_stream};
pub(crate) use refusal::{ids_of_request, places_of};
pub(crate) use tally::settle as settle_tally;
pub(crate) use translated::{asks_for_array, call_facts, provider_speaks, stream_content_type};

/// Bytes of an answer held at most: a whole answer that came in parts, or an event cut between two reads.
pub(crate) const MAX_HELD_BYTES: usize = 1024 * 1024;
/// What a resting connection may keep of that.
const MAX_KEPT_BYTES: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Relay {
    mode: Mode,
    framing: Option<ReplyFraming>,
    status: u16,
    /// Events: what has come of an event not yet complete, and is not yet sent. Otherwise: a copy kept for reading.
    held: Vec<u8>,
    /// The answer waits for its cost.
    hold: hold::Hold,
    /// Ranges of the current input that are not passed on.
    cuts: Vec<std::ops::Range<usize>>,
    usage: Usage,
    faults: faults::Faults,
    translating: translated::Translating,
    /// Reads what was used before.
    tally: Option<Box<tally::Tally>>,
    /// What the call asked for goes on at the provider when the call is gone: its usage is known later.
    outlives_call: bool,
    /// Events come in frames, and go on without them.
    unwrapper: Option<Box<Unwrapper>>,
    /// Hears an answer that is read neither whole nor by a look at its events.
    listener: Option<Box<beside::Listener>>,
    /// Counts what an answer says whose provider is not asked for its usage.
    said: Option<Box<estimate::Said>>,
    /// The event that passes is too long to be held: it passes as it comes.
    passes_long: bool,
    /// Counts a stream that passes, and ends it where a limit ends.
    cutter: Option<Box<Answering>>,
    cut: cut::Progress,
    /// Seals the ids of what passes.
    sealer: Option<Box<Sealer>>,
    /// Length of the provider's answer, where it is known beforehand.
    came_length: Option<u64>,
    /// Reads of a stream that passes untouched.
    reads: u64,
    alive: alive::Alive,
    stall: stall::Stall,
    /// It broke, and another target is asked to go on with it.
    broken: Option<Box<Broken>>,
    /// The answer that broke is in its place again, and what it used is counted.
    is_counted: bool,
}

/// How the body is read while it passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Not at all.
    #[default]
    Unread,
    /// One JSON document.
    Whole,
    /// Server-sent events.
    Events,
    /// As it passes: what is compressed, too long to gather, or in another framing than these.
    Heard,
    /// The target speaks another dialect.
    Translated,
    /// The same of what is no chat: gathered whole.
    Single,
    /// A page of objects, of which those that are another's go no further.
    Listed,
}

impl Relay {
    pub fn clear(&mut self) {
        let (mut held, mut cuts) = (std::mem::take(&mut self.held), std::mem::take(&mut self.cuts));
        let mut hold = std::mem::take(&mut self.hold);
        held.clear();
        cuts.clear();
        hold.clear();
        *self = Relay {
            held,
            cuts,
            hold,
            ..Relay::default()
        };
    }

    pub fn held_bytes(&self) -> usize {
        let translated = self
            .translating
            .answering
            .as_ref()
            .map_or(0, |answering| answering.held_bytes());
        let broken = self.broken.as_ref().map_or(0, |broken| broken.answering.held_bytes());
        let tally = self.tally.as_ref().map_or(0, |tally| tally.held_bytes());
        let cutter = self.cutter.as_ref().map_or(0, |cutter| cutter.held_bytes());
        cutter + self.held.len() + self.hold.held_bytes() + translated + broken + tally
    }

    /// The head of a stream is out, and whose answer it becomes may change.
    pub fn is_opened(&self) -> bool {
        self.alive.opened
    }

    /// Whoever reads the answer as what it says: to say it anew, or beside it.
    fn reads(&self) -> Option<&Answering> {
        self.translating.answering.as_deref().or(self.cutter.as_deref())
    }

    fn reads_mut(&mut self) -> Option<&mut Answering> {
        self.translating.answering.as_deref_mut().or(self.cutter.as_deref_mut())
    }

    /// Nobody goes on with the answer that broke: it ends as it is.
    fn put_back(&mut self, answering: Box<Answering>) {
        self.translating.answering = Some(answering);
        self.is_counted = true;
    }

    /// The stream is another's as well, and comes from there.
    pub fn share(&mut self) {
        (self.mode, self.framing) = (Mode::Events, Some(ReplyFraming::Stream));
    }

    /// A limit ended it.
    pub fn is_cut(&self) -> bool {
        self.reads().is_some_and(Answering::is_cut)
    }

    pub fn outlives_call(&self) -> bool {
        self.outlives_call
    }

    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_deref()
    }

    /// The translated answer under way.
    pub fn answering(&self) -> Option<&Answering> {
        self.translating.answering.as_deref()
    }

    /// The answer under way waits for somebody to go on with it.
    pub fn break_off(&mut self, cause: Fault) {
        let translating = std::mem::take(&mut self.translating);
        self.broken = translating
            .answering
            .map(|answering| Box::new(Broken { answering, cause }));
        self.alive.opened = true;
        self.stall = stall::Stall::default();
        self.mode = Mode::Unread;
        self.held.clear();
    }

    pub fn take_sealer(&mut self) -> Option<Box<Sealer>> {
        self.sealer.take()
    }

    pub fn put_sealer(&mut self, sealer: Box<Sealer>) {
        self.sealer = Some(sealer);
    }

    pub fn shrink(&mut self) {
        self.held.clear();
        self.held.shrink_to(MAX_KEPT_BYTES);
        self.cuts.shrink_to(16);
        self.hold.shrink();
    }
}

pub(crate) fn body(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId, bytes: &[u8]) {
    if !answers(exchange, id) {
        return;
    }
    wait_anew(exchange, io);
    if exchange.relay.stall.on {
        stall::hear(exchange, io, bytes);
    }
    if bytes.is_empty() {
        // The shell reads again after a slow client made it stop: only the wait begins anew.
        return;
    }
    let facts = &mut exchange.facts;
    if facts.stream && facts.first_token.is_none() {
        facts.first_token = Some(io.now);
    }
    if let Some(said) = &mut exchange.relay.said {
        said.feed(bytes);
    }
    if let Some(tally) = &mut exchange.relay.tally {
        tally.feed(bytes);
    }
    match exchange.relay.mode {
        Mode::Translated => return translated::body(exchange, io, bytes),
        Mode::Events if exchange.relay.cutter.is_some() => return cut::pass(exchange, io, bytes),
        Mode::Single => return single::body(exchange, io, bytes),
        Mode::Listed => return listed::body(exchange, io, bytes),
        Mode::Heard => {
            exchange.relay.reads += 1;
            beside::hear(exchange, bytes);
            faults::tell(exchange, io);
        }
        Mode::Events if exchange.relay.unwrapper.is_some() => return unwrapped::pass(exchange, io, bytes),
        Mode::Events => {
            exchange.relay.reads += 1;
            return events::pass(exchange, io, bytes);
        }
        Mode::Whole => {
            beside::whole(exchange, bytes);
            faults::tell(exchange, io);
        }
        Mode::Unread => {}
    }
    let first = io.out.pieces.len() as u32;
    match exchange.relay.sealer {
        Some(_) => answer::pass(exchange, io, bytes),
        None => io.out.pieces.push(Piece::Input(0..bytes.len() as u32)),
    }
    hold::send_or_keep(exchange, io, first, bytes);
}

/// The first bytes of an answer's body, which were held back with its head.
pub(crate) fn held_body(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let first = io.out.pieces.len();
    body(exchange, io, id, bytes);
    // They are no part of what the shell has just read.
    let Outputs { pieces, arena, .. } = &mut *io.out;
    for piece in pieces.iter_mut().skip(first) {
        if let Piece::Input(at) = piece {
            let start = arena.len() as u32;
            arena.extend_from_slice(&bytes[at.start as usize..at.end as usize]);
            *piece = Piece::Arena(start..arena.len() as u32);
        }
    }
}

/// Is this the attempt whose answer the client gets?
fn answers(exchange: &Exchange, id: AttemptId) -> bool {
    matches!(exchange.phase(), Phase::Relaying | Phase::Gathering) && exchange.call.is_live(id)
}

/// The provider has its `between_bytes` time again.
pub(crate) fn wait_anew(exchange: &mut Exchange, io: &Io<'_>) {
    let Some(provider) = exchange.call.provider else { return };
    let between_ms = exchange.pin().snapshot.upstreams[provider].timeouts.between_bytes_ms;
    exchange.call.until_step = Some((io.now.plus_ms(between_ms), Waited::NextByte));
}

/// Sends the pieces from `first` on.
fn send(exchange: &mut Exchange, io: &mut Io<'_>, first: u32) {
    let pieces = first..io.out.pieces.len() as u32;
    let sent = io.out.pieces[first as usize..].iter().map(|piece| match piece {
        Piece::Arena(range) | Piece::RequestBody(range) | Piece::Input(range) => u64::from(range.end - range.start),
    });
    exchange.facts.response_body_bytes += sent.sum::<u64>();
    exchange.relay.alive.sent = io.now;
    if !pieces.is_empty() {
        io.out.actions.push(Action::Body { pieces });
    }
}

pub(crate) fn end(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId) {
    if !answers(exchange, id) {
        return;
    }
    match exchange.relay.mode {
        Mode::Translated => return translated::end(exchange, io),
        Mode::Single => return single::end(exchange, io),
        Mode::Listed => return listed::end(exchange, io),
        Mode::Events if exchange.relay.unwrapper.is_some() => {
            if let Err(bad) = unwrapped::finish(exchange) {
                return translated::unreadable(exchange, io, bad.reason);
            }
        }
        Mode::Events => events::flush(exchange, io),
        Mode::Whole => {
            beside::finish(exchange);
            faults::tell(exchange, io);
        }
        Mode::Heard | Mode::Unread => {}
    }
    estimate::of_embeddings(exchange, io);
    tally::finish(exchange, io);
    hold::end(exchange, io);
    let first = io.out.pieces.len() as u32;
    answer::end(exchange, io);
    send(exchange, io, first);
    let outcome = if exchange.relay.status < 400 {
        AttemptOutcome::Ok
    } else {
        AttemptOutcome::Status
    };
    if exchange.relay.has_told_fault() {
        attempt::log_end(exchange, io, AttemptOutcome::Status);
        return exchange.finish(io, Outcome::Cut, Action::End);
    }
    attempt::log_end(exchange, io, outcome);
    exchange.finish(io, Outcome::Complete, Action::End);
}

/// The answer cannot be completed: a stream says so in the dialect's own way, anything else is cut.
pub(crate) fn broken(exchange: &mut Exchange, io: &mut Io<'_>, failure: &Failure) {
    if exchange.relay.has_told_fault() {
        // The provider has said so itself.
        return exchange.finish(io, Outcome::Cut, Action::End);
    }
    let relay = &exchange.relay;
    let in_words = match relay.mode {
        Mode::Events | Mode::Translated => true,
        // Only the head is out. Of anything else a part may be, and that is no place for words.
        Mode::Unread => relay.alive.opened,
        Mode::Whole | Mode::Heard | Mode::Single | Mode::Listed => false,
    };
    // Half of an event that was too long to be held has gone out: nothing can be said behind it.
    let tells = in_words && relay.framing == Some(ReplyFraming::Stream) && !relay.passes_long;
    if !tells {
        return exchange.finish(io, Outcome::Cut, Action::Cut);
    }
    let mut fault = failure::fault(exchange, failure);
    if let Some(broken) = exchange.relay.broken.take() {
        // That nobody can go on is nothing that the client asked for.
        if failure.culprit != Culprit::Upstream {
            fault = broken.cause;
        }
        exchange.relay.put_back(broken.answering);
    }
    // The event that is held is incomplete and was not sent: the client sees only whole ones, this last.
    let start = io.out.arena.len();
    match exchange.relay.answering() {
        None if !translated::asks_for_array(exchange, io) => {
            failure::write_event(&mut io.out.arena, exchange, failure);
        }
        _ => alive::write_fault(exchange, io, fault),
    }
    alive::push(exchange, io, start);
    exchange.finish(io, Outcome::Cut, Action::End);
}

/// The stream ends with the provider's error.
pub(crate) fn fail(exchange: &mut Exchange, io: &mut Io<'_>, fault: Fault) {
    let start = io.out.arena.len();
    alive::write_fault(exchange, io, fault);
    if let Some(words) = exchange.relay.answering().and_then(Answering::refused) {
        exchange.facts.note_refusal(words);
    }
    alive::push(exchange, io, start);
    exchange.finish(io, Outcome::Cut, Action::End);
}

/// The stream has said all, and says that it is over.
pub(crate) fn conclude(exchange: &mut Exchange, io: &mut Io<'_>, used: Usage) {
    let start = io.out.arena.len();
    if let Some(answering) = &mut exchange.relay.translating.answering {
        answering.conclude(used, &mut io.out.arena);
    }
    alive::push(exchange, io, start);
}
