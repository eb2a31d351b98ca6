//! Streams that end where a limit ends (`cut: true`): at the token that is too many, with the dialect's own word for an answer
//! that came to its bound. What passes untouched passes so up to there; it is read beside for its tokens.

use tollgate_config::document::Dialect;

use super::{estimate::prompt_tokens, events, send};
use crate::{
    attempt,
    exchange::{Exchange, Io},
    limits,
    names::code,
    outputs::Action,
    record::{AttemptOutcome, Outcome},
    sealing::answer,
};

/// How far a stream under such a limit is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Of the prompt, as a record has them where nobody tells: counted when it is first asked for.
    prompt_tokens: Option<u64>,
    said_tokens: u64,
    /// Bytes that came since it has said more.
    unsaid_bytes: u64,
}

impl Progress {
    fn so_far(&self, said: u64) -> limits::cut::Progress {
        limits::cut::Progress {
            prompt: self.prompt_tokens,
            said,
        }
    }
}

/// More of the answer has come: says how much of it may be told.
pub(super) fn before(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let Some(said) = exchange.relay.reads().map(|answering| answering.said().tokens) else {
        return;
    };
    // No event has more tokens than bytes, and what is not whole yet has come since one was.
    let coming = exchange.relay.cut.unsaid_bytes.saturating_add(bytes.len() as u64);
    exchange.relay.cut.unsaid_bytes = coming;
    if exchange.relay.cut.prompt_tokens.is_none() {
        let model = exchange.record().upstream_model.unwrap_or_default();
        exchange.relay.cut.prompt_tokens = prompt_tokens(exchange, io, model);
    }
    let progress = exchange.relay.cut.so_far(said);
    let allowed = limits::cut::allow(exchange, io, progress, coming);
    if let Some(answering) = exchange.relay.reads_mut() {
        answering.may_say(allowed);
    }
}

/// It was read: ends the answer where it came to its end, and says so.
pub(super) fn ends(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) -> bool {
    let Some(answering) = exchange.relay.reads() else {
        return false;
    };
    if answering.is_cut() {
        end(exchange, io);
        return true;
    }
    let said = answering.said().tokens;
    let progress = &mut exchange.relay.cut;
    if progress.said_tokens != said {
        // Whatever is not whole yet is of these bytes.
        progress.said_tokens = said;
        progress.unsaid_bytes = bytes.len() as u64;
    }
    let progress = progress.so_far(said);
    limits::cut::trim(exchange, io, progress);
    false
}

/// A stream that passes untouched: line by line it is read, and event by event it passes.
pub(super) fn pass(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    before(exchange, io, bytes);
    let Some(cutter) = &mut exchange.relay.cutter else {
        return;
    };
    let (mut at, mut event_at, mut unread) = (0, 0, Vec::new());
    let mut is_readable = true;
    while at < bytes.len() && is_readable && !cutter.is_cut() {
        let rest = bytes.get(at..).unwrap_or_default();
        let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..line).unwrap_or_default();
        is_readable = cutter.feed(line, &mut unread).is_ok();
        unread.clear();
        at += line.len();
        if !cutter.is_cut() && line.trim_ascii_end().is_empty() {
            event_at = at;
        }
    }
    if !cutter.is_cut() {
        events::pass(exchange, io, bytes);
        if !is_readable {
            // It passes as it is, and what it uses beyond becomes debt.
            exchange.relay.cutter = None;
            return;
        }
        ends(exchange, io, bytes);
        return;
    }
    events::pass(exchange, io, bytes.get(..event_at).unwrap_or_default());
    if exchange.relay.passes_long {
        // Half of an event that was too long to be held has gone out: nothing can be said behind it.
        attempt::give_up(exchange, io, AttemptOutcome::Cancelled);
        exchange.facts.rejected = Some(code::CUT_BY_LIMIT);
        return exchange.finish(io, Outcome::Cut, Action::Cut);
    }
    exchange.relay.held.clear();
    end(exchange, io);
}

/// Ends the answer as if it had come to a cap of tokens.
fn end(exchange: &mut Exchange, io: &mut Io<'_>) {
    super::estimate(exchange, io, Outcome::Cut);
    let used = exchange.facts.usage.unwrap_or_default();
    let mut tail = note(exchange).to_vec();
    if let Some(answering) = exchange.relay.reads_mut() {
        answering.cut_short(used, &mut tail);
    }
    let first = io.out.pieces.len() as u32;
    let sealed = match exchange.relay.sealer.is_some() {
        true => answer::in_events(exchange, io, &tail),
        false => Vec::new(),
    };
    let arena = &mut io.out.arena;
    let (start, mut at) = (arena.len(), 0);
    for (instead_of, text) in sealed {
        arena.extend_from_slice(tail.get(at..instead_of.start).unwrap_or_default());
        arena.extend_from_within(text.start as usize..text.end as usize);
        at = instead_of.end;
    }
    arena.extend_from_slice(tail.get(at..).unwrap_or_default());
    io.out.push_written(start);
    send(exchange, io, first);
    attempt::give_up(exchange, io, AttemptOutcome::Cancelled);
    exchange.facts.rejected = Some(code::CUT_BY_LIMIT);
    exchange.finish(io, Outcome::Complete, Action::End);
}

/// What tells a reader of the stream why it ends. Google's libraries take a comment for half an event, and AWS's frames have
/// nothing of the kind.
fn note(exchange: &Exchange) -> &'static [u8] {
    match exchange.facts.surface.dialect {
        Some(Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Cohere) => {
            b": tollgate-cut: what a limit had left for this answer is used up\n\n"
        }
        Some(Dialect::Gemini | Dialect::Bedrock) | None => b"",
    }
}
