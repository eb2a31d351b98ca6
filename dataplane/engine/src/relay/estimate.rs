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
    speaks,
    surface::Operation,
};

/// So much of a stream is read, which costs more than to let it pass; the rest of a longer one is taken to be alike.
const MAX_READ_BYTES: u64 = 256 * 1024;

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
    let openai = exchange.facts.surface.dialect == Some(Dialect::OpenAi) && is_chat(exchange);
    let asked = exchange.call.added_usage || exchange.admitted.asked_stream_usage();
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
    exchange.facts.surface.operation == Operation::Chat && exchange.facts.direct.is_none()
}

fn counter(exchange: &Exchange) -> AnswerCounter {
    AnswerCounter::new(exchange.record().upstream_model.unwrap_or_default())
}

/// A whole answer came that says nothing of its usage: it is read for what it says.
pub(super) fn of_whole(exchange: &mut Exchange, body: &[u8]) {
    let Some(dialect) = exchange.facts.surface.dialect else {
        return;
    };
    if exchange.facts.usage.is_some() || !is_chat(exchange) {
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
    const EVENT_BYTES: u64 = 350;
    match exchange.relay.mode {
        Mode::Events | Mode::Heard if exchange.facts.stream => exchange
            .relay
            .reads
            .max(exchange.facts.response_body_bytes / EVENT_BYTES),
        _ => 0,
    }
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
    let is_known = outcome == Outcome::Complete && exchange.facts.usage.is_some();
    if !is_chat(exchange) || is_known || exchange.relay.is_counted || exchange.relay.is_broken() {
        return;
    }
    let relay = &exchange.relay;
    let answering = relay.translating.answering.as_ref().or(relay.cutter.as_ref());
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
    if exchange.facts.surface.dialect.is_none() {
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

/// The tokens of a chat's prompt, as a model of this name counts them.
pub(crate) fn prompt_tokens(exchange: &Exchange, io: &mut Io<'_>, model: &str) -> Option<u64> {
    let dialect = exchange.facts.surface.dialect.filter(|_| is_chat(exchange))?;
    let in_path = exchange.facts.model_in_path(io.request.path());
    let path = PathFacts {
        model: in_path.as_deref(),
        stream: exchange.facts.stream,
    };
    let request = speaks::of(dialect)
        .read_request(exchange.admitted.body(io.body), path)
        .ok()?;
    Some(tokens::estimate_prompt(&request, model, DEFAULT_EXACT_BYTES, &mut io.local.memo).tokens)
}
