//! Usage of an answer that passes untouched: read beside its bytes, in memory that grows neither with the answer nor
//! with an event of it.

use tollgate_wire::{
    eventstream::Decoder,
    json::tap::{Place, Tap},
    sse::Pieces,
};

use crate::{
    bedrock,
    canonical::fault::Fault,
    embed::{self, Shape},
    speak::Speaks,
    usage::Usage,
};

/// A usage object beyond this is none.
pub const MAX_USAGE_BYTES: usize = 16 * 1024;
/// Bytes of a message of a binary stream that came in parts.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// How an answer's documents stand in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One, which may be a list of answers.
    Document,
    /// Server-sent events.
    Events,
    /// AWS's event stream.
    Messages,
}

/// Whose words tell what was used.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    /// Of chats.
    Chat(&'static dyn Speaks),
    Embeddings(Shape),
}

impl Words {
    fn places(self) -> &'static [Place] {
        match self {
            Self::Chat(speaks) => speaks.usage_places(),
            Self::Embeddings(shape) => embed::usage_places(shape),
        }
    }

    fn failure(self, object: &[u8]) -> Option<Fault> {
        match self {
            Self::Chat(speaks) => speaks.hear_failure(object),
            Self::Embeddings(_) => None,
        }
    }

    /// Takes what an object at one of the places says; true when it said something.
    fn hear(self, object: &[u8], total: &mut Usage) -> bool {
        match self {
            Self::Chat(speaks) => speaks.hear_usage(object, total),
            Self::Embeddings(shape) => embed::usage_of_member(shape, object)
                .inspect(|usage| total.merge(usage))
                .is_some(),
        }
    }
}

impl From<&'static dyn Speaks> for Words {
    fn from(speaks: &'static dyn Speaks) -> Self {
        Self::Chat(speaks)
    }
}

/// Takes an answer's bytes cut anywhere, and tells what they said of usage so far.
#[derive(Debug)]
pub struct Listener {
    words: Words,
    framing: Framing,
    heard: Heard,
}

#[derive(Debug)]
enum Framing {
    Document,
    Events(Pieces),
    Messages(Decoder),
}

/// What one document after the other says.
#[derive(Debug)]
struct Heard {
    tap: Tap,
    usage: Option<Usage>,
    /// Of frames: the exception that one was. Of a list of answers: the error in place of one.
    failed: Option<Fault>,
}

impl Heard {
    fn take(&mut self, words: Words, bytes: &[u8]) {
        let Heard { tap, usage, failed } = self;
        tap.feed(bytes, |object| {
            let mut total = usage.unwrap_or_default();
            if words.hear(object, &mut total) {
                *usage = Some(total);
            } else if let Some(fault) = words.failure(object) {
                failed.get_or_insert(fault);
            }
        });
    }
}

impl Listener {
    pub fn new(words: impl Into<Words>, form: Form) -> Listener {
        let words = words.into();
        Listener {
            words,
            framing: match form {
                Form::Document => Framing::Document,
                Form::Events => Framing::Events(Pieces::default()),
                Form::Messages => Framing::Messages(Decoder::new(MAX_MESSAGE_BYTES)),
            },
            heard: Heard {
                tap: Tap::new(words.places(), MAX_USAGE_BYTES),
                usage: None,
                failed: None,
            },
        }
    }

    /// The next bytes. What cannot be read is passed over.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        match &mut self.framing {
            Framing::Document => self.heard.take(self.words, bytes),
            Framing::Events(_) => {
                while let Some(end) = self.feed_event(bytes) {
                    bytes = bytes.get(end..).unwrap_or_default();
                }
            }
            Framing::Messages(decoder) => {
                let (heard, words) = (&mut self.heard, self.words);
                // One that is damaged or too long is the last that is heard of.
                let _ = decoder.feed(bytes, |message| {
                    if let Ok(Some(fault)) = bedrock::fault_of(&message) {
                        heard.failed.get_or_insert(fault);
                    }
                    heard.tap.reset();
                    heard.take(words, message.payload);
                });
            }
        }
    }

    /// Of server-sent events: takes bytes up to the end of one, and gives where that is; `None` where it goes on behind
    /// them, or there are no events here.
    pub fn feed_event(&mut self, bytes: &[u8]) -> Option<usize> {
        let Framing::Events(pieces) = &mut self.framing else {
            self.feed(bytes);
            return None;
        };
        let (heard, words) = (&mut self.heard, self.words);
        let end = pieces.feed(bytes, |data| heard.take(words, data));
        if end.is_some() {
            heard.tap.reset();
        }
        end
    }

    /// The failure that frames, or a list of answers, told of, once.
    pub fn take_failure(&mut self) -> Option<Fault> {
        self.heard.failed.take()
    }

    /// What was said so far.
    pub fn usage(&self) -> Option<Usage> {
        self.heard.usage
    }
}

/// The failure that a list of answers tells of.
pub fn failure_of(speaks: &'static dyn Speaks, document: &[u8]) -> Option<Fault> {
    let mut listener = Listener::new(speaks, Form::Document);
    listener.feed(document);
    listener.take_failure()
}

/// The usage of a whole answer, or of a list of them.
pub fn usage_of(speaks: &'static dyn Speaks, document: &[u8]) -> Option<Usage> {
    let mut listener = Listener::new(speaks, Form::Document);
    listener.feed(document);
    listener.usage()
}
