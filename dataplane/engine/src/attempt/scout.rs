//! Reads what a provider streams beside whoever passes it on: has it said anything, has it failed, has it refused?
//! Writes nothing and decides nothing.

use tollgate_dialect::{
    canonical::{
        event::{Began, Event, Reason},
        fault::Fault,
    },
    speak::{ReadStream, Speaks},
    usage::Usage,
};

use crate::decode::Decoder;

#[derive(Debug)]
pub(crate) struct Scout {
    reader: Box<dyn ReadStream>,
    /// Of what comes compressed.
    decoder: Option<Decoder>,
    /// It is not what its dialect promises: nothing more is known of it.
    is_lost: bool,
    pub seen: Seen,
}

/// What the events so far were.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// So many carried part of the answer.
    pub content: u64,
    /// The provider will not answer, and said so before anything else.
    pub refused: bool,
    /// It failed before it said anything.
    pub fault: Option<Fault>,
    pub ended: bool,
    /// So far.
    pub used: Option<Usage>,
}

impl Scout {
    pub fn new(speaks: &'static dyn Speaks, decoder: Option<Decoder>) -> Scout {
        Scout {
            reader: speaks.stream_reader(),
            decoder,
            is_lost: false,
            seen: Seen::default(),
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if self.is_lost {
            return;
        }
        let Scout {
            reader,
            decoder,
            seen,
            is_lost,
        } = self;
        let mut take = |plain: &[u8]| {
            *is_lost = *is_lost || reader.feed(plain, &mut |event| seen.take(event)).is_err();
        };
        match decoder {
            None => take(bytes),
            Some(decoder) => {
                let decoded = decoder.feed(bytes, take);
                self.is_lost |= decoded.is_err();
            }
        }
    }

    /// The answer is complete by its framing; is it so by its dialect?
    pub fn end(&mut self) -> bool {
        let Scout { reader, seen, .. } = self;
        self.is_lost || reader.end(&mut |event| seen.take(event)).is_ok()
    }

    /// Nothing has been said that a client could want to see.
    pub fn is_silent(&self) -> bool {
        self.seen.content == 0 && !self.seen.ended && !self.is_lost
    }
}

impl Seen {
    pub fn take(&mut self, event: &Event<'_>) {
        self.content += u64::from(event.is_content());
        match event {
            Event::Began {
                what: Began::Refusal, ..
            } => self.refused |= self.content == 0,
            Event::Stopped { reason, .. } => self.refused |= self.content == 0 && is_refusal(reason),
            Event::Failed(fault) if self.content == 0 => self.fault = Some(fault.clone()),
            Event::Failed(_) | Event::Ended => self.ended = true,
            Event::Usage(usage) => self.used.get_or_insert_with(Usage::default).merge(usage),
            _ => {}
        }
    }
}

/// Is that why an answer ends that refuses?
pub(super) fn is_refusal(reason: &Reason<'_>) -> bool {
    matches!(reason, Reason::Filtered | Reason::Refused)
}
