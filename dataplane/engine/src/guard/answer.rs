//! The answer on its way down, in the client's own dialect, whoever made it: what guards would block does not go out. A whole
//! answer waits until it was read; of a stream whole events go out once the sentences that they are part of were. Guards that
//! only count read beside, and hold nothing back.

use std::{ops::Range, sync::Arc};

use tollgate_config::document::Dialect;
use tollgate_dialect::{canonical::event::Event, speak::Speaks};

use super::{Entity, Finding, Guards, Side, channels::Channels, stream::Stream, units::Units};
use crate::{
    attempt,
    exchange::{Exchange, Io, UpstreamFault},
    failure::{Failure, Kind, RetryWhere},
    names::code,
    outputs::{Action, ReplyFraming},
    record::Outcome,
    relay, reply, speaks,
};

/// A longer answer is not read, and where a guard enforces not told.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// What guards hold of an answer, whole or as a stream: as it came, what came of it just now, and its text.
pub(crate) const MAX_HELD_BYTES: usize = 3 * MAX_ANSWER_BYTES;
const _: () = assert!(super::stream::MAX_STREAM_BYTES < MAX_ANSWER_BYTES);

/// A call whose answer is read.
#[derive(Debug)]
pub(crate) struct Guarding {
    guards: Arc<Guards>,
    /// What is fed now: pieces of it may go out.
    input: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Its head has not come.
    Waits,
    /// It is no answer of a model: an error.
    Passes,
    Whole(Whole),
    Stream(Box<Stream>),
    /// A guard ended it.
    Over,
}

/// An answer that is read when it is whole.
#[derive(Debug)]
struct Whole {
    /// Status, lines and framing; none where it went out.
    head: Option<(u16, Vec<u8>, ReplyFraming)>,
    body: Vec<u8>,
    is_stream: bool,
    /// It cannot be read.
    is_unread: bool,
}

/// What became of the end of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// It ends as it would have.
    On,
    /// It was ended here.
    Refused,
}

/// What passed of an input.
enum Blocks {
    No,
    Yes,
}

impl Guarding {
    pub fn new(guards: &Arc<Guards>) -> Self {
        Self {
            guards: Arc::clone(guards),
            input: Vec::new(),
            state: State::Waits,
        }
    }

    /// These bytes are fed.
    pub fn note_input(&mut self, bytes: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(bytes);
    }

    pub fn held_bytes(&self) -> usize {
        let held = match &self.state {
            State::Waits | State::Passes | State::Over => 0,
            State::Whole(whole) => whole.body.len(),
            State::Stream(stream) => stream.held_bytes(),
        };
        held + self.input.len()
    }
}

/// After each feed: lets out what may go out of what the exchange would send.
pub(crate) fn pass(exchange: &mut Exchange, io: &mut Io<'_>) {
    let Some(mut guarding) = exchange.guard.take() else {
        return;
    };
    match run(exchange, io, &mut guarding) {
        Blocks::No => exchange.guard = Some(guarding),
        Blocks::Yes => {
            attempt::cancel(exchange, io);
            exchange.finish(io, Outcome::Complete, Action::End);
        }
    }
}

/// The exchange is to end: what waits is looked at and goes out, or the client is told that it does not.
pub(crate) fn ends(exchange: &mut Exchange, io: &mut Io<'_>, outcome: Outcome, last: &Action) -> Went {
    let Some(mut guarding) = exchange.guard.take() else {
        return Went::On;
    };
    let blocks = run(exchange, io, &mut guarding);
    if let (State::Whole(whole), Outcome::Cut, Action::Cut) = (&guarding.state, outcome, last)
        && whole.head.is_some()
    {
        // Nothing of it went out: there is something better to say than nothing.
        let failure = Failure::upstream(Kind::Upstream(UpstreamFault::Cut), RetryWhere::No);
        reply::failure(exchange, io, &failure);
        return Went::Refused;
    }
    if matches!(blocks, Blocks::Yes) || *last != Action::End {
        return Went::On;
    }
    match &mut guarding.state {
        State::Waits | State::Passes | State::Over => Went::On,
        State::Whole(whole) => end_whole(exchange, io, (&guarding.guards, whole)),
        State::Stream(stream) => {
            stream.end();
            exchange.facts.findings.extend(stream.look(&guarding.guards, io));
            match stream.blocks() {
                true => stop(exchange, io, stream),
                false => send(io, stream.release_all()),
            }
            Went::On
        }
    }
}

/// Takes what would go out, and puts back what may.
fn run(exchange: &mut Exchange, io: &mut Io<'_>, guarding: &mut Guarding) -> Blocks {
    let goes_out = |action: &Action| matches!(action, Action::Head { .. } | Action::Body { .. });
    if !io.out.actions.iter().any(goes_out) {
        return Blocks::No;
    }
    for action in std::mem::take(&mut io.out.actions) {
        match action {
            Action::Head { status, lines, framing } => head(exchange, io, guarding, (status, lines, framing)),
            Action::Body { pieces } => body(exchange, io, guarding, pieces),
            action => io.out.actions.push(action),
        }
    }
    match guarding.state {
        State::Over => Blocks::Yes,
        _ => Blocks::No,
    }
}

fn head(
    exchange: &Exchange,
    io: &mut Io<'_>,
    Guarding { guards, state, .. }: &mut Guarding,
    (status, lines, framing): (u16, Range<u32>, ReplyFraming),
) {
    if matches!(state, State::Waits) {
        *state = begin(exchange, io, guards, (status, &lines));
    }
    match state {
        State::Whole(whole) if guards.holds_answers().is_some() => {
            let lines = io.out.arena.get(lines.start as usize..lines.end as usize);
            whole.head = Some((status, lines.unwrap_or_default().to_vec(), framing));
        }
        _ => io.out.actions.push(Action::Head { status, lines, framing }),
    }
}

fn body(exchange: &mut Exchange, io: &mut Io<'_>, guarding: &mut Guarding, pieces: Range<u32>) {
    let Guarding { guards, input, state } = guarding;
    match state {
        State::Waits | State::Passes => io.out.actions.push(Action::Body { pieces }),
        State::Over => {}
        State::Whole(whole) => {
            io.out.answered(&pieces, input).for_each(|bytes| whole.push(bytes));
            if whole.head.is_none() {
                io.out.actions.push(Action::Body { pieces });
            }
        }
        State::Stream(stream) => {
            io.out.answered(&pieces, input).for_each(|bytes| stream.push(bytes));
            if !stream.holds_back() {
                while stream.read() {
                    exchange.facts.findings.extend(stream.look(guards, io));
                }
                stream.release_all();
                return io.out.actions.push(Action::Body { pieces });
            }
            // Event by event: how much goes out before a guard ends it is not for the network to decide.
            while stream.read() {
                exchange.facts.findings.extend(stream.look(guards, io));
                if stream.blocks() {
                    stop(exchange, io, stream);
                    *state = State::Over;
                    return;
                }
                send(io, stream.release());
            }
        }
    }
}

/// What the head says of how the answer is to be read.
fn begin(exchange: &Exchange, io: &Io<'_>, guards: &Guards, (status, lines): (u16, &Range<u32>)) -> State {
    let Some(dialect) = exchange.facts.surface.dialect else {
        return State::Passes;
    };
    // An answer that was kept was read when it was made: a cache is of one policy.
    if !(200..300).contains(&status) || exchange.facts.kept.is_some() {
        return State::Passes;
    }
    let lines = io
        .out
        .arena
        .get(lines.start as usize..lines.end as usize)
        .unwrap_or_default();
    let value = |name: &[u8]| value_of(lines, name);
    let is_plain = value(b"content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"));
    let is = |kind: &[u8]| value(b"content-type").is_some_and(|found| starts_with(found, kind));
    let units = match () {
        () if is(b"text/event-stream") => Units::Events,
        () if is(b"application/vnd.amazon.eventstream") => Units::Frames,
        () => {
            return State::Whole(Whole {
                head: None,
                body: Vec::new(),
                // A stream in one JSON array has no place where it could end early.
                is_stream: exchange.facts.stream && relay::asks_for_array(exchange, io),
                is_unread: !is_plain,
            });
        }
    };
    let call = relay::call_facts(exchange, false, io.unix_ms / 1000);
    State::Stream(Box::new(Stream::new(
        guards,
        units,
        (speaks::of(dialect), &call),
        is_plain,
    )))
}

fn value_of<'a>(lines: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    lines.split(|&byte| byte == b'\n').find_map(|line| {
        let (start, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":").filter(|_| start.eq_ignore_ascii_case(name))?;
        Some(value.trim_ascii())
    })
}

fn starts_with(value: &[u8], kind: &[u8]) -> bool {
    value
        .get(..kind.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(kind))
}

impl Whole {
    fn push(&mut self, bytes: &[u8]) {
        self.is_unread |= self.body.len() + bytes.len() > MAX_ANSWER_BYTES;
        if !self.is_unread {
            self.body.extend_from_slice(bytes);
        }
    }

    /// Looks at all that it says. None: it cannot be read.
    fn look(&self, speaks: &dyn Speaks, look: impl FnMut(&str)) -> Option<()> {
        let mut channels = Channels::default();
        let mut take = |event: &Event<'_>| channels.take(event);
        match self.is_stream {
            true => {
                let mut reader = speaks.stream_reader();
                reader.feed(&self.body, &mut take).ok()?;
                reader.end(&mut take).ok()?;
            }
            false => speaks.read_answer(&self.body, &mut take).ok()?,
        }
        channels.end();
        channels.look(true, look);
        Some(())
    }
}

/// A whole answer is read, and goes out or does not.
fn end_whole(exchange: &mut Exchange, io: &mut Io<'_>, (guards, whole): (&Guards, &mut Whole)) -> Went {
    let mut found = Vec::new();
    let read = exchange
        .facts
        .surface
        .dialect
        .filter(|_| !whole.is_unread)
        .and_then(|dialect| {
            whole.look(speaks::of(dialect), |text| {
                found.extend(guards.findings(Side::Response, text, &mut io.local.guard));
            })
        });
    let unread = guards.holds_answers().filter(|_| read.is_none());
    found.extend(unread.map(|guard| Finding {
        guard: Arc::clone(guard),
        what: Entity::Unread,
    }));
    let blocks = found
        .iter()
        .find(|finding| finding.guard.enforces)
        .map(Finding::failure);
    for finding in found {
        super::add(&mut exchange.facts.findings, finding);
    }
    if let Some(failure) = blocks {
        reply::failure(exchange, io, &failure);
        return Went::Refused;
    }
    if let Some((status, lines, framing)) = whole.head.take() {
        let start = io.out.arena.len();
        io.out.arena.extend_from_slice(&lines);
        let lines = io.out.written_since(start);
        io.out.actions.push(Action::Head { status, lines, framing });
        send(io, &whole.body);
    }
    Went::On
}

fn send(io: &mut Io<'_>, bytes: &[u8]) {
    if !bytes.is_empty() {
        let start = io.out.arena.len();
        io.out.arena.extend_from_slice(bytes);
        let range = io.out.written_since(start);
        io.out.body_from_arena(range);
    }
}

/// Ends a stream in front of what a guard found: what was sent stays sent.
fn stop(exchange: &mut Exchange, io: &mut Io<'_>, stream: &mut Stream) {
    relay::estimate(exchange, io, Outcome::Cut);
    exchange.facts.rejected = Some(code::BLOCKED_BY_GUARD);
    let mut tail = Vec::new();
    if takes_comments(exchange)
        && let Some(finding) = stream.blocked_by()
    {
        let (guard, entity) = (finding.guard(), finding.entity());
        let words = format!(": tollgate-guard: '{guard}' ended this answer: {entity}\n\n");
        tail.extend_from_slice(words.as_bytes());
    }
    stream.stop(exchange.facts.usage.unwrap_or_default(), &mut tail);
    send(io, &tail);
}

/// Google's libraries take a comment for half an event, and AWS's frames have nothing of the kind.
fn takes_comments(exchange: &Exchange) -> bool {
    !matches!(
        exchange.facts.surface.dialect,
        Some(Dialect::Gemini | Dialect::Bedrock) | None
    )
}
