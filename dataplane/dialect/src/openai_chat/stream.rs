//! A streamed answer, read.

use tollgate_wire::sse::Splitter;

use crate::{
    canonical::bad::BadAnswer,
    json::Node,
    speak::{ReadStream, Sink},
};

use super::{fault, telling::Telling};

/// Bytes of one event.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

const TOO_LONG: BadAnswer = BadAnswer::new("it has an event longer than the gateway holds");
const CUT_SHORT: BadAnswer = BadAnswer::new("it ended before it was complete");

#[derive(Debug)]
pub(super) struct Reader {
    splitter: Splitter,
    telling: Telling,
}

impl Reader {
    pub fn new() -> Reader {
        Reader {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            telling: Telling::default(),
        }
    }
}

impl ReadStream for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Reader { splitter, telling } = self;
        let mut outcome = Ok(());
        let split = splitter.feed(bytes, |event| {
            if outcome.is_ok() {
                outcome = take(telling, event.name, event.data, sink);
            }
        });
        outcome.and(split.map_err(|_| TOO_LONG))
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        // Some servers leave out the blank line behind the last event; half an event is none in any case.
        let ended = self.telling.is_over() || self.feed(b"\n\n", sink).is_ok() && self.telling.is_over();
        if ended { Ok(()) } else { Err(CUT_SHORT) }
    }
}

fn take(telling: &mut Telling, name: &[u8], data: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    let data = data.trim_ascii();
    if telling.is_over() || data.is_empty() {
        return Ok(());
    }
    if data.starts_with(b"[DONE]") {
        return telling.end(sink);
    }
    let document = Node::document(data)?;
    match name {
        b"error" => {
            telling.fail(fault::of_document(document, None), sink);
            Ok(())
        }
        _ => telling.take(document, sink),
    }
}
