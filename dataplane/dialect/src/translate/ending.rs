//! A stream that passes as it is, followed so that it can be ended behind any of its events, in its own dialect's words for
//! an answer that a filter stopped.

use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Event, Reason},
    },
    speak::{CallFacts, ReadStream, Speaks, WriteStream},
    usage::Usage,
};

use super::gate::Gate;

#[derive(Debug)]
pub struct Ending {
    reader: Box<dyn ReadStream>,
    writer: Box<dyn WriteStream>,
    gate: Gate,
    started: bool,
    /// What the writer says of what has passed already.
    unread: Vec<u8>,
}

impl Ending {
    pub fn new(speaks: &dyn Speaks, call: &CallFacts) -> Self {
        Self {
            reader: speaks.stream_reader(),
            writer: speaks.stream_writer(call),
            gate: Gate::default(),
            started: false,
            unread: Vec::new(),
        }
    }

    /// These bytes have passed.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        let Self {
            reader,
            writer,
            gate,
            started,
            unread,
        } = self;
        let read = reader.feed(bytes, &mut |event| {
            *started |= matches!(event, Event::Started { .. });
            gate.note(event);
            writer.write(event, unread);
        });
        unread.clear();
        read
    }

    /// Appends what ends the stream here.
    pub fn stop(&mut self, used: Usage, out: &mut Vec<u8>) {
        if !self.started {
            let (id, model, created_unix_s) = (None, None, None);
            let started = Event::Started {
                id,
                model,
                created_unix_s,
            };
            self.writer.write(&started, out);
        }
        for event in self.gate.ending(Reason::Filtered) {
            self.writer.write(&event, out);
        }
        self.writer.write(&Event::Usage(used), out);
        self.writer.write(&Event::Ended, out);
    }
}
