//! Usage of calls whose provider did not say what they used: what was asked and what was said, counted here and marked as
//! estimated. Never where a provider said anything.

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    canonical::event::Event,
    embed,
    speak::{PathFacts, ReadStream},
    tokens::{self, AnswerCounter, DEFAULT_EXACT_BYTES},
    usage::Usage,
};

use super::Mode;
use crate::{
    exchange::{Exchange, Io},
    record::Outcome,
    routing::reckoning::BYTES_A_TOKEN,
    speaks,
    surface::Operation,
};

/// So much of a stream is read, which costs more than to let it pass; the rest of a longer one is taken to be alike.
const MAX_READ_BYTES: u64 = 256 * 1024;

/// The most that an event of a token takes.
const EVENT_BYTES: u64 = 350;

/// Counts what an answer says that passes untouched.
#[derive(Debug)]
pub(super) struct Said {
    counter: AnswerCounter,
    /// Of a stream; `None` once it is not read any more.
    reader: Option<Box<dyn ReadStream>>,
    read_bytes: u64,
    passed_bytes: u64,
}

impl Said {
    /// The tokens so far.
    fn tokens(&self) -> u64 {
        let tokens = u128::from(self.counter.estimate().tokens);
        let all = tokens * u128::from(self.passed_bytes) / u128::from(self.read_bytes.max(1));
        // A whole answer was read whole.
        let tokens = if self.read_bytes < self.passed_bytes {
            all
        } else {
            tokens
        };
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.passed_bytes += bytes.len() as u64;
        if self.read_bytes > MAX_READ_BYTES {
            self.reader = None;
        }
        let Said {
            counter,
            reader,
            read_bytes,
            ..
        } = self;
        if reader.is_some() {
            *read_bytes += bytes.len() as u64;
        }
        let read = reader
            .as_mut()
            .map(|reader| reader.feed(bytes, &mut |event| counter.take(event)));
        if read.is_some_and(|read| read.is_err()) {
            *reader = None;
        }
    }
}

/// For streams of OpenAI's chat that nobody asked for their usage: those alone leave it out by their dialect's rules.
pub(super) fn said(exchange: &Exchange) -> Option<Box<Said>> {
    let openai = exchange.answer_dialect() == Some(Dialect::OpenAi) && is_chat(exchange);
    let through = exchange.call.through.is_some_and(|through| through.asks_usage);
    let asked = exchange.call.added_usage || exchange.admitted.asked_stream_usage() || through;
    let counts = openai && exchange.relay.mode == Mode::Events && !asked;
    counts.then(|| {
        Box::new(Said {
            counter: counter(exchange),
            reader: Some(speaks::of(Dialect::OpenAi).stream_reader()),
            read_bytes: 0,
            passed_bytes: 0,
        })
    })
}

fn is_chat(exchange: &Exchange) -> bool {
    let is_model_call = match &exchange.call.through {
        Some(through) => through.is_chat,
        None => exchange.facts.direct.is_none(),
    };
    exchange.facts.surface.operation == Operation::Chat && is_model_call
}

fn counter(exchange: &Exchange) -> AnswerCounter {
    AnswerCounter::new(exchange.record().upstream_model.unwrap_or_default())
}

/// A whole answer came that says nothing of its usage: it is read for what it says.
pub(super) fn of_whole(exchange: &mut Exchange, body: &[u8]) {
    let Some(dialect) = exchange.answer_dialect() else {
        return;
    };
    if exchange.facts.usage.is_some() || !is_chat(exchange) || exchange.relay.outlives_call {
        return;
    }
    let mut counter = counter(exchange);
    let mut take = |event: &Event<'_>| counter.take(event);
    // What cannot be read said nothing.
    if speaks::of(dialect).read_answer(body, &mut take).is_ok() {
        exchange.relay.said = Some(Box::new(Said {
            counter,
            reader: None,
            read_bytes: 0,
            passed_bytes: 0,
        }));
    }
}

/// What a stream that nobody read has said before it broke, by its reads and its length: events come one by one, and
/// nearly each is a token. (Of OpenAI's and Anthropic's own, an event is 100 to 350 bytes long.)
fn passed_tokens(exchange: &Exchange) -> u64 {
    match exchange.relay.mode {
        Mode::Events | Mode::Heard if streams(exchange) => exchange
            .relay
            .reads
            .max(exchange.facts.response_body_bytes / EVENT_BYTES),
        _ => 0,
    }
}

fn streams(exchange: &Exchange) -> bool {
    exchange.facts.stream || exchange.call.through.is_some_and(|through| through.stream)
}

/// Counts what embeddings used, where the provider says nothing of it (Gemini mostly does not).
pub(super) fn of_embeddings(exchange: &mut Exchange, io: &Io<'_>) {
    let Operation::Embed(shape) = exchange.facts.surface.operation else {
        return;
    };
    if exchange.facts.usage.is_some() || !(200..300).contains(&exchange.relay.status) {
        return;
    }
    let model = exchange.record().upstream_model.unwrap_or_default();
    let estimate = embed::estimate(shape, exchange.admitted.body(io.body), model);
    exchange.facts.usage = estimate.map(|estimate| Usage {
        input: Some(estimate.tokens),
        ..Usage::default()
    });
    exchange.facts.estimated = exchange.facts.usage.is_some();
}

/// An answer is over: where nobody knows what it used, or the provider did not get so far as to say it all, that is
/// estimated.
pub(crate) fn estimate(exchange: &mut Exchange, io: &mut Io<'_>, outcome: Outcome) {
    if exchange.relay.outlives_call {
        return;
    }
    estimate_chat(exchange, io, outcome);
    let names_model = exchange.call.through.is_some_and(|through| through.names_model);
    if names_model && exchange.facts.usage.is_none() && (200..300).contains(&exchange.relay.status) {
        // Something was used, and nobody knows what.
        exchange.facts.estimated = true;
    }
}

fn estimate_chat(exchange: &mut Exchange, io: &mut Io<'_>, outcome: Outcome) {
    let is_known = outcome == Outcome::Complete && exchange.facts.usage.is_some();
    if !is_chat(exchange) || is_known || exchange.relay.is_counted || exchange.relay.is_broken() {
        return;
    }
    let relay = &exchange.relay;
    let answering = relay.reads();
    let output = match (answering, &relay.said) {
        // What failed before it said anything is not billed.
        (Some(answering), _) if answering.has_failed() && answering.content() == 0 => return,
        (Some(answering), _) => answering.said().tokens,
        (None, Some(said)) => said.tokens(),
        (None, None) if outcome == Outcome::Complete => return,
        (None, None) => match passed_tokens(exchange) {
            0 => return,
            tokens => tokens,
        },
    };
    if let Some(usage) = &mut exchange.facts.usage {
        // What a stream says of its output at its beginning is a beginning.
        let missing = output.saturating_sub(usage.all_output());
        if missing > 0 {
            usage.output = Some(usage.output.unwrap_or(0).saturating_add(missing));
            exchange.facts.estimated = true;
        }
        return;
    }
    if exchange.answer_dialect().is_none() {
        return;
    }
    let model = exchange.record().upstream_model.unwrap_or_default();
    let input = prompt_tokens(exchange, io, model);
    exchange.facts.usage = Some(Usage {
        input,
        output: Some(output),
        ..Usage::default()
    });
    exchange.facts.estimated = true;
}

/// The gateway's own code failed in the midst of a call: what is known of its use counts, and what is not is taken from
/// lengths alone. Whatever reads more may be what failed.
pub(crate) fn of_crash(exchange: &mut Exchange, io: &Io<'_>) {
    let answered = exchange.facts.status == 0 || (200..300).contains(&exchange.facts.status);
    if !answered || exchange.facts.model.is_none() || exchange.relay.is_counted || exchange.relay.is_broken() {
        return;
    }
    let said = exchange
        .relay
        .reads
        .max(exchange.facts.response_body_bytes / EVENT_BYTES);
    let output = if exchange.facts.stream { said } else { 0 };
    let usage = exchange.facts.usage.get_or_insert_with(|| Usage {
        input: Some(exchange.admitted.body(io.body).len().div_ceil(BYTES_A_TOKEN) as u64),
        ..Usage::default()
    });
    let missing = output.saturating_sub(usage.all_output());
    usage.output = Some(usage.output.unwrap_or(0).saturating_add(missing));
    exchange.facts.estimated = true;
}

/// The tokens of a chat's prompt, as a model of this name counts them.
pub(crate) fn prompt_tokens(exchange: &Exchange, io: &mut Io<'_>, model: &str) -> Option<u64> {
    let dialect = exchange
        .facts
        .surface
        .dialect
        .or(exchange.call.through.map(|through| through.dialect));
    let dialect = dialect.filter(|_| is_chat(exchange))?;
    let in_path = exchange.facts.model_in_path(io.request.path());
    let path = PathFacts {
        model: in_path.as_deref(),
        stream: streams(exchange),
    };
    let request = speaks::of(dialect)
        .read_request(exchange.admitted.body(io.body), path)
        .ok()?;
    Some(tokens::estimate_prompt(&request, model, DEFAULT_EXACT_BYTES, &mut io.local.memo).tokens)
}
