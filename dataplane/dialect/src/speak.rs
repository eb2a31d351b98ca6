//! What a dialect must be able to do, on both sides. A dialect is one folder that implements `Speaks` once.

use std::fmt;

use tollgate_wire::json::tap::Place;

use crate::{
    canonical::{
        answer::Answer,
        bad::{BadAnswer, BadRequest},
        event::Event,
        fault::Fault,
        feature::{Drops, Feature},
        request::Request,
    },
    json::Node,
    quirks::Quirks,
    usage::Usage,
};

/// Takes the events of an answer, in order.
pub type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

/// One wire dialect. The client's side reads requests and writes answers; the provider's side writes requests and
/// reads answers.
pub trait Speaks: Sync + fmt::Debug {
    /// Reads a client's request. The body is proved to be JSON here. Model and stream flag of dialects that have them in
    /// the path come with `path`.
    fn read_request<'a>(&self, body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest>;

    /// Appends the body of a request to a provider. What it cannot say goes into `drops`; what the request cannot do
    /// without there (no turn left, a tool result whose call nobody made) is an error.
    fn write_request(
        &self,
        request: &Request<'_>,
        to: &TargetFacts<'_>,
        drops: &mut Drops,
        out: &mut Vec<u8>,
    ) -> Result<(), BadRequest>;

    /// Reads a provider's buffered answer (status 200).
    fn read_answer(&self, body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer>;

    /// Can be told at a glance that a buffered answer says all that it has to say, refuses nothing and calls no tools? Where it
    /// is true `read_answer` finds so; where it is not nothing is known.
    fn is_plain(&self, _body: &[u8]) -> bool {
        false
    }

    /// Does an answer, or what one event of its stream says, hold what `read_answer` and `stream_reader` pass over: pictures,
    /// what a provider's own tools did? Then it cannot be said anew.
    fn goes_beyond(&self, said: Node<'_>) -> bool;

    /// Appends the body of a buffered answer to a client.
    fn write_answer(&self, answer: &Answer, call: &CallFacts, out: &mut Vec<u8>);

    /// Reads a provider's streamed answer.
    fn stream_reader(&self) -> Box<dyn ReadStream>;

    /// Writes a streamed answer to a client.
    fn stream_writer(&self, call: &CallFacts) -> Box<dyn WriteStream>;

    /// Where usage stands in a provider's answers and in the events of its streams.
    fn usage_places(&self) -> &'static [Place];

    /// Takes what the object at such a place says into `total`; false where it says nothing.
    fn hear_usage(&self, object: &[u8], total: &mut Usage) -> bool;

    /// The failure that the object at such a place is, in an answer that had begun well and is one document: a list of answers.
    fn hear_failure(&self, _object: &[u8]) -> Option<Fault> {
        None
    }

    /// What a provider's error answer says. Never fails: a body that is none of the dialect's gives `Fault::of_status`.
    fn read_fault(&self, status: u16, body: &[u8]) -> Fault;

    /// Appends the body of an error answer to a client, and gives its HTTP status where the dialect has rules of its own.
    fn write_fault(&self, fault: &Fault, call: &CallFacts, out: &mut Vec<u8>) -> u16;

    /// A header that belongs to an error answer to a client: name and value.
    fn fault_header(&self, _fault: &Fault) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Does a model go on with an assistant's turn that comes last, where its quirks do not say otherwise?
    fn goes_on_with_turns(&self) -> bool {
        true
    }

    /// The name that a client of this dialect knows a feature by, as a path into its request.
    fn field(&self, feature: Feature) -> &'static str;
}

/// Reads a stream as it comes, cut anywhere.
pub trait ReadStream: fmt::Debug {
    /// The next bytes. After an error the reader is not fed again.
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer>;

    /// The connection's framing says that the answer is complete. An error where the dialect's own end did not come.
    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer>;
}

/// Writes a stream event by event. After `Failed` or `Ended` nothing more is given.
pub trait WriteStream: fmt::Debug {
    /// Appends the bytes that an event makes; often none.
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>);
}

/// What the path of a request says where its dialect has it there (Gemini, Bedrock, Azure's deployments).
#[derive(Clone, Copy, Debug, Default)]
pub struct PathFacts<'a> {
    /// Percent-decoded.
    pub model: Option<&'a str>,
    pub stream: bool,
}

/// Whom a request is written for.
#[derive(Clone, Copy, Debug)]
pub struct TargetFacts<'a> {
    /// The provider's name of the model.
    pub model: &'a str,
    pub quirks: &'a Quirks,
}

/// What is known of a call when its answer is written.
#[derive(Clone, Debug)]
pub struct CallFacts {
    /// The gateway's request id, hexadecimal: ids that a provider did not give are made from it.
    pub request_id: String,
    /// As the client named it; written where the provider's answer names no model.
    pub model: String,
    pub now_unix_s: u64,
    /// The client asked for usage in the stream.
    pub stream_usage: bool,
    /// Gemini's stream without `alt=sse` is one JSON array.
    pub as_array: bool,
}

impl CallFacts {
    /// An id for the tool call that is part `part` of `choice`, where the provider gave none: the same each time it is
    /// asked for, and no other call's.
    pub fn call_id(&self, choice: u32, part: u32) -> String {
        let request_id = &self.request_id;
        match choice {
            0 => format!("call_{request_id}_{part}"),
            _ => format!("call_{request_id}_{choice}_{part}"),
        }
    }
}
