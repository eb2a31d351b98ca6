//! Usage of an answer that passes untouched, read beside its bytes. Where a whole one arrives in one piece nothing is
//! copied; a short one in parts is gathered; any other is listened to as it passes, its content coding taken off.

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    anthropic::{self, Unwrapper},
    embed::{self, Shape},
    listen::{self, Form, Words},
    openai_chat,
    usage::Usage,
};

use super::{Mode, Relay, estimate, faults};
use crate::{
    decode::{Coding, Decoder},
    exchange::Exchange,
    speaks,
    surface::Operation,
};

/// Longer answers in parts are listened to: gathering is cheaper for those that fit into a few reads.
const MAX_GATHERED_BYTES: usize = 64 * 1024;

/// Hears an answer as it passes.
#[derive(Debug)]
pub(super) struct Listener {
    listener: listen::Listener,
    /// Of what comes compressed.
    decoder: Option<Decoder>,
    /// Of events in frames of AWS.
    unwrapper: Option<Unwrapper>,
    /// Of events that come compressed: looks for one that tells a failure.
    events: Option<faults::Gathered>,
    /// It is not what its coding says, or a bomb: what was heard before counts.
    is_deaf: bool,
}

impl Listener {
    pub fn new(words: Words, form: Form, coding: Option<Coding>) -> Box<Listener> {
        Box::new(Listener {
            listener: listen::Listener::new(words, form),
            events: coding
                .filter(|_| form == Form::Events)
                .map(|_| faults::Gathered::default()),
            decoder: coding.map(Decoder::new),
            unwrapper: None,
            is_deaf: false,
        })
    }

    /// Of Anthropic's events in frames of AWS.
    pub fn framed() -> Box<Listener> {
        let mut listener = Listener::new(Words::Chat(speaks::of(Dialect::Anthropic)), Form::Events, None);
        listener.unwrapper = Some(Unwrapper::default());
        listener
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let Listener {
            listener,
            decoder,
            unwrapper,
            events,
            is_deaf,
        } = self;
        if let Some(unwrapper) = unwrapper.as_mut().filter(|_| !*is_deaf) {
            let mut events = Vec::with_capacity(bytes.len());
            *is_deaf = unwrapper.feed(bytes, &mut events).is_err();
            return listener.feed(&events);
        }
        match decoder {
            None => listener.feed(bytes),
            Some(_) if *is_deaf => {}
            Some(decoder) => {
                let hear = |plain: &[u8]| {
                    listener.feed(plain);
                    if let Some(events) = events.as_mut() {
                        events.feed(plain);
                    }
                };
                *is_deaf = decoder.feed(bytes, hear).is_err();
            }
        }
    }

    /// Up to the end of an event of what is not compressed.
    pub fn feed_event(&mut self, bytes: &[u8]) -> Option<usize> {
        self.listener.feed_event(bytes)
    }

    pub fn usage(&self) -> Option<Usage> {
        self.listener.usage()
    }
}

/// Reads bytes that pass as they are.
pub(super) fn hear(exchange: &mut Exchange, bytes: &[u8]) {
    if let Some(listener) = &mut exchange.relay.listener {
        listener.feed(bytes);
        exchange.facts.usage = listener.usage().or(exchange.facts.usage);
        if let Some(fault) = listener.listener.take_failure() {
            exchange.relay.faults.hear(&fault);
        }
    }
    let dialect = exchange.answer_dialect();
    let Relay { listener, faults, .. } = &mut exchange.relay;
    if let Some(events) = listener.as_mut().and_then(|listener| listener.events.as_mut()) {
        events.take(|event| faults::look(faults, dialect, event));
    }
}

/// Reads the next bytes of a whole answer.
pub(super) fn whole(exchange: &mut Exchange, bytes: &[u8]) {
    let says = Says::of(exchange);
    let relay = &mut exchange.relay;
    if relay.came_length == Some(bytes.len() as u64) {
        relay.mode = Mode::Unread;
        hear_whole(exchange, bytes);
        return estimate::of_whole(exchange, bytes);
    }
    if relay.held.len() + bytes.len() <= MAX_GATHERED_BYTES {
        return relay.held.extend_from_slice(bytes);
    }
    relay.mode = Mode::Heard;
    relay.listener = says.words().map(|words| Listener::new(words, Form::Document, None));
    let held = std::mem::take(&mut relay.held);
    hear(exchange, &held);
    hear(exchange, bytes);
}

/// A whole answer that was gathered is complete.
pub(super) fn finish(exchange: &mut Exchange) {
    let held = std::mem::take(&mut exchange.relay.held);
    hear_whole(exchange, &held);
    estimate::of_whole(exchange, &held);
    exchange.relay.held = held;
    exchange.relay.held.clear();
}

fn hear_whole(exchange: &mut Exchange, body: &[u8]) {
    let says = Says::of(exchange);
    exchange.facts.usage = says.usage_of(body);
    // Google's streams are one list where nobody asked for events.
    if let (true, Says::Chat(dialect)) = (exchange.facts.stream, says)
        && let Some(fault) = listen::failure_of(speaks::of(dialect), body)
    {
        exchange.relay.faults.hear(&fault);
    }
}

/// Of the two dialects that most calls are in usage is found by a look, which is cheaper than to listen.
pub(super) fn is_found_by_a_look(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAi | Dialect::Anthropic)
}

/// Where an answer says what was used.
#[derive(Clone, Copy)]
enum Says {
    Chat(Dialect),
    Embed(Shape),
    /// Counts of what was not used, and calls that use no tokens.
    Nothing,
}

impl Says {
    fn of(exchange: &Exchange) -> Says {
        match exchange.facts.surface.operation {
            Operation::Embed(shape) => Says::Embed(shape),
            Operation::CountTokens(_) | Operation::Rerank => Says::Nothing,
            Operation::Chat | Operation::Other(_) => exchange.answer_dialect().map_or(Says::Nothing, Says::Chat),
        }
    }

    fn words(self) -> Option<Words> {
        match self {
            Says::Chat(dialect) => Some(Words::Chat(speaks::of(dialect))),
            Says::Embed(shape) => Some(Words::Embeddings(shape)),
            Says::Nothing => None,
        }
    }

    fn usage_of(self, body: &[u8]) -> Option<Usage> {
        match self {
            Says::Chat(Dialect::OpenAi) => openai_chat::usage_of_answer(body),
            Says::Chat(Dialect::Anthropic) => anthropic::usage_of_answer(body),
            Says::Chat(dialect) => listen::usage_of(speaks::of(dialect), body),
            Says::Embed(shape) => embed::usage_of_answer(shape, body),
            Says::Nothing => None,
        }
    }
}

impl Relay {
    /// An event grew too long to be held: it is heard as it passes.
    pub(super) fn hear_long_event(&mut self, dialect: Option<Dialect>) {
        if let (None, Some(dialect)) = (&self.listener, dialect) {
            self.listener = Some(Listener::new(Words::Chat(speaks::of(dialect)), Form::Events, None));
        }
    }
}
