//! Usage of answers that pass untouched in dialects where it takes reading their events: the same readers that
//! translate, with nobody written to.

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    canonical::event::Event,
    speak::{ReadStream, Speaks},
    usage::Usage,
};

use crate::{exchange::Exchange, speaks};

/// Reads a stream beside its bytes.
#[derive(Debug)]
pub(super) struct Listener {
    reader: Box<dyn ReadStream>,
    unreadable: bool,
}

impl Listener {
    pub fn new(speaks: &dyn Speaks) -> Listener {
        Listener {
            reader: speaks.stream_reader(),
            unreadable: false,
        }
    }

    /// Takes what the next bytes say of usage. A stream that cannot be read passes all the same, unread from there on.
    pub fn take(&mut self, bytes: &[u8], usage: &mut Usage) {
        if self.unreadable {
            return;
        }
        let fed = self.reader.feed(bytes, &mut |event| {
            if let Event::Usage(said) = event {
                usage.merge(said);
            }
        });
        self.unreadable = fed.is_err();
    }
}

/// Reads bytes that pass as they are.
pub(super) fn read(exchange: &mut Exchange, bytes: &[u8]) {
    let relay = &mut exchange.relay;
    if let Some(listener) = &mut relay.listener {
        listener.take(bytes, &mut relay.usage);
        exchange.facts.usage = Some(relay.usage).filter(|usage| *usage != Usage::default());
    }
}

pub(super) fn usage_of_answer(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    let mut usage = None;
    let read = speaks::of(dialect).read_answer(body, &mut |event| {
        if let Event::Usage(said) = event {
            usage.get_or_insert_with(Usage::default).merge(said);
        }
    });
    read.ok().and(usage)
}
