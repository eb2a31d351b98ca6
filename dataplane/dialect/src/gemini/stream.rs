//! A provider's streamed answer: server-sent events, or one array of responses where the provider was not asked for
//! events.

use tollgate_wire::sse::Splitter;

use super::{elements::Elements, responses::Responses};
use crate::{
    canonical::bad::BadAnswer,
    speak::{ReadStream, Sink},
};

const MAX_EVENT_BYTES: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Reader {
    framing: Framing,
    responses: Responses,
    /// The array ended, which events do not tell of themselves.
    is_over: bool,
}

#[derive(Debug, Default)]
enum Framing {
    /// Nothing but white space came yet.
    #[default]
    Unknown,
    Events(Splitter),
    Array(Elements),
}

impl ReadStream for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let responses = &mut self.responses;
        let mut bytes = bytes;
        if matches!(self.framing, Framing::Unknown) {
            // White space before all else says nothing, wherever it is cut.
            bytes = bytes.trim_ascii_start();
            self.framing = match bytes.first() {
                None => return Ok(()),
                Some(b'[' | b'{') => Framing::Array(Elements::new(MAX_EVENT_BYTES)),
                Some(_) => Framing::Events(Splitter::new(MAX_EVENT_BYTES)),
            };
        }
        match &mut self.framing {
            Framing::Unknown => Ok(()),
            Framing::Array(elements) => {
                elements.feed(bytes, |response| responses.take(response, sink))?;
                if elements.is_complete() && !std::mem::replace(&mut self.is_over, true) {
                    responses.finish(sink)?;
                }
                Ok(())
            }
            Framing::Events(splitter) => {
                let mut outcome = Ok(());
                let fed = splitter.feed(bytes, |event| {
                    if outcome.is_ok() {
                        outcome = responses.take(event.data, sink);
                    }
                });
                outcome.and(fed.map_err(|_| BadAnswer::new("an event of it is longer than the gateway reads")))
            }
        }
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let responses = &mut self.responses;
        match &mut self.framing {
            Framing::Unknown => {}
            Framing::Array(_) if self.is_over => return Ok(()),
            Framing::Array(_) => return Err(BadAnswer::new("it ended before it was complete")),
            Framing::Events(splitter) => {
                let mut outcome = Ok(());
                // An event that was too long has been an error of `feed` already.
                let _ = splitter.finish(|event| outcome = responses.take(event.data, sink));
                outcome?;
            }
        }
        responses.finish(sink)
    }
}
