//! An answer on its way down in another dialect than it came: read into events, written anew. A stream goes on event by
//! event; an answer that the client wants whole has its head held back until the body is known.

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    canonical::fault::Fault,
    embed,
    speak::{CallFacts, Speaks},
    translate::{Answering, Delivery},
};
use tollgate_wire::{
    head::{Known, ResponseView},
    http1::write,
};

use super::{Mode, Relay, alive, cut, hold, refusal, send, stall};
use crate::{
    attempt::{self, resume},
    cost,
    decode::{BadCoding, Coding, Decoder},
    exchange::{Exchange, Io, Phase},
    failure::{Failure, Kind, RetryWhere},
    names::header,
    outputs::{Action, Piece, ReplyFraming},
    percent,
    record::{AttemptOutcome, Outcome},
    reply, sealing, speaks, visible,
};

/// Bytes of an error answer that are read; what is behind them says nothing that a client needs.
const MAX_FAULT_BYTES: usize = 64 * 1024;
const MAX_UPSTREAM_ID_BYTES: usize = 128;

/// What is held of a translated answer.
#[derive(Debug, Default)]
pub(super) struct Translating {
    /// `None`: an error answer, gathered in `Relay::held`.
    pub answering: Option<Box<Answering>>,
    /// The provider's own id of the request, for a header that is written later.
    upstream_id: Vec<u8>,
    retry_after: Vec<u8>,
    /// What an error answer says.
    fault: Option<Fault>,
    /// Of an answer that came compressed.
    decoder: Option<Box<Decoder>>,
    /// The answer's last event came before its framing said that it was complete.
    is_early: bool,
}

/// The head of an answer to a request that was translated.
pub(super) fn head(exchange: &mut Exchange, io: &mut Io<'_>, answer: ResponseView<'_>) {
    let status = answer.head.status;
    if (300..400).contains(&status) {
        attempt::give_up(exchange, io, AttemptOutcome::BadAnswer);
        return exchange.refuse(Failure::upstream(Kind::BadStatus(status), RetryWhere::No), io);
    }
    let mut translating = Translating::default();
    let bounded = |value: &[u8]| value[..value.len().min(MAX_UPSTREAM_ID_BYTES)].to_vec();
    if let Some(id) = upstream_id(answer) {
        translating.upstream_id = bounded(id);
    }
    if let Some(value) = answer.get(Known::RetryAfter) {
        translating.retry_after = bounded(value);
    }
    let is_success = (200..300).contains(&status);
    match Coding::of(answer.get(Known::ContentEncoding).unwrap_or_default()) {
        Ok(coding) => translating.decoder = coding.map(|coding| Box::new(Decoder::new(coding))),
        Err(bad) if is_success => return unreadable(exchange, io, bad.reason()),
        // What cannot be read says nothing but its status.
        Err(_) => {}
    }
    let lists = exchange.call.listing.is_some() && is_success;
    let single = exchange.call.single().is_some() && is_success;
    let streams = exchange.facts.stream && is_success && !single && !lists;
    if single {
        super::single::note_head(exchange, answer);
    } else if is_success && !lists {
        translating.answering = Some(answering(exchange, io, answer));
    }
    exchange.relay.mode = match (lists, single) {
        (true, _) => Mode::Listed,
        (false, true) => Mode::Single,
        (false, false) => Mode::Translated,
    };
    exchange.relay.status = status;
    exchange.relay.translating = translating;
    super::wait_anew(exchange, io);
    if streams {
        exchange.relay.framing = Some(ReplyFraming::Stream);
        exchange.facts.answer_begins(200, io.now);
        stall::answer_begins(exchange, io, answer);
        alive::answer_begins(exchange, io);
        if exchange.relay.is_opened() {
            tell_resumed(exchange, io);
        } else {
            send_stream_head(exchange, io);
        }
        exchange.set_phase(Phase::Relaying);
    } else {
        exchange.call.until_token = None;
        // Nothing has gone out; a failure may still answer with its own status.
        exchange.set_phase(Phase::Gathering);
    }
}

/// The head of a stream that is written anew.
pub(super) fn send_stream_head(exchange: &mut Exchange, io: &mut Io<'_>) {
    let content_type = stream_content_type(exchange, io);
    send_head(exchange, io, 200, content_type, ReplyFraming::Stream);
}

/// The client may know that its answer is another target's from here on.
fn tell_resumed(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.facts.spent.is_some() {
        exchange.facts.resumed = exchange.facts.resumed.saturating_add(1);
        let start = io.out.arena.len();
        alive::write_resumed(exchange, &mut io.out.arena);
        alive::push(exchange, io, start);
    }
}

/// A new answer, or one that broke and goes on.
pub(super) fn answering(exchange: &mut Exchange, io: &Io<'_>, answer: ResponseView<'_>) -> Box<Answering> {
    let pinned = exchange.pin();
    let provider = exchange.call.provider.expect("an answer comes from a provider");
    let name = &pinned.snapshot.document.providers[provider].0;
    let spoken = spoken(exchange);
    let speaks = speaks::at(&pinned.snapshot.upstreams[provider], spoken);
    let client = exchange.facts.surface.dialect.unwrap_or(spoken);
    let streamed = super::is_stream(exchange, answer);
    let delivery = match exchange.facts.stream {
        true => Delivery::Streamed,
        false => Delivery::Buffered,
    };
    let sent = exchange.call.translated.as_ref().map(|translated| &translated.sent);
    let forced_tool = sent.is_some_and(|sent| sent.forced_tool);
    let signer = sealing::signer(exchange, provider);
    if let Some(broken) = exchange.relay.broken.take() {
        let mut answering = broken.answering;
        let model = exchange.record().upstream_model.unwrap_or_default();
        let spent = exchange
            .facts
            .spent
            .as_ref()
            .map(|spent| spent.usage)
            .unwrap_or_default();
        answering.go_on((speaks, name, signer), model, streamed, forced_tool, spent);
        return answering;
    }
    let answering = Answering::new(
        (speaks, name, signer),
        (
            speaks::of(client),
            call_facts(exchange, asks_for_array(exchange, io), io.unix_ms / 1000),
        ),
        exchange.record().upstream_model.unwrap_or_default(),
        streamed,
        delivery,
        forced_tool,
    );
    Box::new(match resume::is_wanted(exchange) {
        true => answering.keeps_what_is_told(),
        false => answering,
    })
}

/// The words of the provider that was asked last.
pub(crate) fn provider_speaks(exchange: &Exchange) -> Option<&'static dyn Speaks> {
    let upstream = &exchange.pinned()?.snapshot.upstreams[exchange.call.provider?];
    Some(speaks::at(upstream, spoken(exchange)))
}

/// What the provider speaks.
pub(super) fn spoken(exchange: &Exchange) -> Dialect {
    let translated = exchange.call.translated.as_ref().map(|translated| translated.spoken);
    translated.or(exchange.answer_dialect()).unwrap_or(Dialect::OpenAi)
}

/// What the client's dialect needs to know of the call.
pub(crate) fn call_facts(exchange: &Exchange, as_array: bool, now_unix_s: u64) -> CallFacts {
    let anew = exchange.call.translated.as_ref().filter(|translated| !translated.own);
    let stream_usage = match anew {
        Some(translated) => translated.sent.stream_usage,
        None => exchange.admitted.asked_stream_usage() || exchange.facts.surface.dialect != Some(Dialect::OpenAi),
    };
    CallFacts {
        request_id: exchange.facts.request_id.clone(),
        model: exchange.facts.model_asked.clone(),
        now_unix_s,
        stream_usage,
        as_array,
    }
}

pub(crate) fn asks_for_array(exchange: &Exchange, io: &Io<'_>) -> bool {
    exchange.facts.surface.dialect == Some(Dialect::Gemini)
        && exchange.facts.stream
        && percent::query_value(io.request.query(), b"alt") != Some(b"sse")
}

pub(crate) fn stream_content_type(exchange: &Exchange, io: &Io<'_>) -> &'static [u8] {
    match exchange.facts.surface.dialect {
        Some(Dialect::Bedrock) => b"application/vnd.amazon.eventstream",
        Some(Dialect::Gemini) if asks_for_array(exchange, io) => b"application/json",
        _ => b"text/event-stream",
    }
}

fn upstream_id<'a>(answer: ResponseView<'a>) -> Option<&'a [u8]> {
    answer.get(Known::XRequestId).or_else(|| answer.get(Known::RequestId))
}

fn send_head(exchange: &mut Exchange, io: &mut Io<'_>, status: u16, content_type: &[u8], framing: ReplyFraming) {
    let start = io.out.arena.len();
    let out = &mut io.out.arena;
    write::header(out, header::CONTENT_TYPE, content_type);
    if framing == ReplyFraming::Stream {
        // A proxy that gathers a stream defeats it (nginx's word for that).
        write::header(out, b"cache-control", b"no-cache");
    }
    super::head::write_target(exchange, out);
    if matches!(framing, ReplyFraming::Length(length) if hold::fits(exchange, length)) {
        cost::write_line(out, cost::with_declined(&exchange.facts));
    }
    let translating = &exchange.relay.translating;
    if !translating.upstream_id.is_empty() {
        visible::header(out, header::UPSTREAM_REQUEST_ID, &translating.upstream_id);
    }
    if status >= 400 && !translating.retry_after.is_empty() {
        visible::header(out, header::RETRY_AFTER, &translating.retry_after);
    }
    if let Some(fault) = &translating.fault {
        reply::write_fault_header(out, exchange, fault);
    }
    if exchange.facts.estimated {
        write::header(out, header::ESTIMATED, b"true");
    }
    reply::write_common_lines(exchange, io);
    let lines = io.out.written_since(start);
    io.out.actions.push(Action::Head { status, lines, framing });
}

pub(super) fn body(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let start = io.out.arena.len();
    if exchange.held.cuts() {
        cut::before(exchange, io, bytes);
    }
    let fed = feed(&mut exchange.relay, bytes, &mut io.out.arena);
    let Some(answering) = &mut exchange.relay.translating.answering else {
        return;
    };
    let (failed, ended) = (answering.failed_status(), answering.has_ended());
    let (content, fault) = (answering.content(), answering.take_fault());
    exchange.facts.usage = answering.usage().or(exchange.facts.usage);
    if let Some(words) = answering.refused() {
        exchange.facts.note_refusal(words);
    }
    push_written(exchange, io, start);
    if exchange.held.cuts() && cut::ends(exchange, io, bytes) {
        return;
    }
    if exchange.relay.stall.on {
        stall::count(exchange, io, content);
    }
    if let Some(fault) = fault {
        return resume::failed(exchange, io, fault);
    }
    match fed {
        Err(reason) => unreadable(exchange, io, reason),
        // The provider's own error event is the stream's last.
        Ok(()) if failed.is_some() && exchange.phase() == Phase::Relaying => {
            attempt::outcome::told(exchange, io, failed.unwrap_or_default(), None);
            attempt::give_up(exchange, io, AttemptOutcome::Status);
            exchange.finish(io, Outcome::Cut, Action::End);
        }
        // Nobody waits for a connection to end that has said all.
        Ok(()) if failed.is_some() || ended => {
            exchange.relay.translating.is_early = true;
            end(exchange, io);
        }
        Ok(()) => {}
    }
}

/// What its content coding makes of the bytes goes to the reader, or into what is held of an error answer.
fn feed(relay: &mut Relay, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let Relay { translating, held, .. } = relay;
    let Translating { answering, decoder, .. } = translating;
    let mut read = Ok(());
    let mut take = |plain: &[u8]| match answering {
        Some(answering) if read.is_ok() => read = answering.feed(plain, out).map_err(|bad| bad.reason),
        Some(_) => {}
        None => held.extend_from_slice(&plain[..plain.len().min(MAX_FAULT_BYTES - held.len().min(MAX_FAULT_BYTES))]),
    };
    let decoded = match decoder {
        None => {
            take(bytes);
            Ok(())
        }
        Some(decoder) => decoder.feed(bytes, take).map_err(BadCoding::reason),
    };
    let over = answering
        .as_ref()
        .is_some_and(|answering| answering.has_ended() || answering.has_failed());
    read.and(if over { Ok(()) } else { decoded })
}

/// Gathers an answer that is read whole, its content coding taken off.
pub(super) fn gather(relay: &mut Relay, bytes: &[u8], most_bytes: usize) -> Result<(), &'static str> {
    let Relay { translating, held, .. } = relay;
    let mut fits = true;
    let mut take = |plain: &[u8]| {
        fits &= held.len() + plain.len() <= most_bytes;
        if fits {
            held.extend_from_slice(plain);
        }
    };
    match &mut translating.decoder {
        None => take(bytes),
        Some(decoder) => decoder.feed(bytes, take).map_err(BadCoding::reason)?,
    }
    if fits { Ok(()) } else { Err(embed::TOO_LONG.reason) }
}

fn push_written(exchange: &mut Exchange, io: &mut Io<'_>, start: usize) {
    let written = io.out.written_since(start);
    // Of an answer that goes out whole nothing is written before its end.
    if exchange.phase() == Phase::Relaying && !written.is_empty() {
        let first = io.out.pieces.len() as u32;
        io.out.pieces.push(Piece::Arena(written));
        send(exchange, io, first);
    }
}

/// The provider's answer is complete, or has failed.
pub(super) fn end(exchange: &mut Exchange, io: &mut Io<'_>) {
    let start = io.out.arena.len();
    let Some(mut answering) = exchange.relay.translating.answering.take() else {
        return end_fault(exchange, io);
    };
    let ended = answering.end(&mut io.out.arena);
    exchange.facts.usage = answering.usage().or(exchange.facts.usage);
    exchange.relay.translating.answering = Some(answering);
    match (ended, exchange.phase()) {
        (Err(bad), Phase::Relaying) if resume::is_wanted(exchange) => {
            push_written(exchange, io, start);
            attempt::outcome::failed(exchange, io);
            attempt::log_end(exchange, io, AttemptOutcome::Disconnect);
            let failure = Failure::upstream(Kind::Unreadable(bad.reason), RetryWhere::OtherTarget);
            attempt::go_on(exchange, io, AttemptOutcome::Disconnect, failure);
        }
        (Err(bad), _) => unreadable(exchange, io, bad.reason),
        (Ok(Some(fault)), _) => answer_fault(exchange, io, &fault),
        (Ok(None), Phase::Relaying) => {
            push_written(exchange, io, start);
            complete(exchange, io, AttemptOutcome::Ok);
        }
        (Ok(None), _) => {
            exchange.facts.cost = cost::of(exchange, io.unix_ms);
            whole(exchange, io, 200, start);
            complete(exchange, io, AttemptOutcome::Ok);
        }
    }
}

/// The client has all of it.
fn complete(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome) {
    match exchange.relay.translating.is_early {
        true => attempt::leave(exchange, io, outcome),
        false => attempt::log_end(exchange, io, outcome),
    }
    exchange.finish(io, Outcome::Complete, Action::End);
}

/// Sends what stands in the arena from `start` on as the whole body.
pub(super) fn whole(exchange: &mut Exchange, io: &mut Io<'_>, status: u16, start: usize) {
    let body = io.out.written_since(start);
    let length = u64::from(body.end - body.start);
    exchange.facts.answer_begins(status, io.now);
    send_head(exchange, io, status, b"application/json", ReplyFraming::Length(length));
    exchange.facts.response_body_bytes += length;
    if length > 0 {
        io.out.body_from_arena(body);
    }
}

/// An error answer is complete: it is said in the client's words.
fn end_fault(exchange: &mut Exchange, io: &mut Io<'_>) {
    let held = std::mem::take(&mut exchange.relay.held);
    let pinned = exchange.pin();
    let provider = exchange.call.provider.expect("an answer comes from a provider");
    let speaks = speaks::at(&pinned.snapshot.upstreams[provider], spoken(exchange));
    let fault = speaks.read_fault(exchange.relay.status, &held);
    let fault = refusal::told(exchange, io, fault);
    answer_fault(exchange, io, &fault);
}

fn answer_fault(exchange: &mut Exchange, io: &mut Io<'_>, fault: &Fault) {
    if exchange.relay.is_opened() {
        if let Some(broken) = exchange.relay.broken.take() {
            exchange.relay.put_back(broken.answering);
        }
        attempt::log_end(exchange, io, AttemptOutcome::Status);
        return super::fail(exchange, io, fault.clone());
    }
    let start = io.out.arena.len();
    let client = exchange.facts.surface.dialect.unwrap_or(Dialect::OpenAi);
    let facts = call_facts(exchange, asks_for_array(exchange, io), io.unix_ms / 1000);
    let written = speaks::of(client).write_fault(fault, &facts, &mut io.out.arena);
    // What the client's own dialect said with a status is said anew with the same.
    let status = match exchange.call.translated.is_some() {
        true => written,
        false => exchange.relay.status,
    };
    if let Some(ms) = fault
        .retry_after_ms
        .filter(|_| exchange.relay.translating.retry_after.is_empty())
    {
        exchange.relay.translating.retry_after = ms.div_ceil(1000).to_string().into_bytes();
    }
    exchange.relay.translating.fault = Some(fault.clone());
    whole(exchange, io, status, start);
    complete(exchange, io, AttemptOutcome::Status);
}

/// What came is not what the provider's dialect promises.
pub(super) fn unreadable(exchange: &mut Exchange, io: &mut Io<'_>, reason: &'static str) {
    attempt::give_up(exchange, io, AttemptOutcome::BadAnswer);
    let failure = Failure::upstream(Kind::Unreadable(reason), RetryWhere::No);
    exchange.refuse(failure, io);
}
