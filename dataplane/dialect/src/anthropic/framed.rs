//! Anthropic's messages as Bedrock's InvokeModel answers them: each event of a stream in base64 in a frame of AWS, and
//! errors in Bedrock's words. Unwrapped they are the server-sent events that Anthropic itself sends. Source: Bedrock API
//! reference, "InvokeModelWithResponseStream"; `lib/bedrock/_stream_decoder.py` of the Python SDK `anthropic` 2.13.0.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memmem;
use tollgate_wire::{
    eventstream::{self, Decoder, Message},
    json::tap::Place,
};

use super::{Anthropic, stream};
use crate::{
    bedrock,
    canonical::{
        answer::Answer,
        bad::{BadAnswer, BadRequest},
        event::Event,
        fault::Fault,
        feature::{Drops, Feature},
        request::Request,
    },
    json::{Node, Out},
    speak::{CallFacts, PathFacts, ReadStream, Sink, Speaks, TargetFacts, WriteStream},
    usage::Usage,
};

/// Of an event of 1 MiB, which is the most that is read.
const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;

/// How the provider speaks; a client never does.
#[derive(Clone, Copy, Debug)]
pub struct Framed;

pub static FRAMED: Framed = Framed;

/// Takes frames, gives server-sent events: whole ones, at once.
#[derive(Debug)]
pub struct Unwrapper {
    decoder: Decoder,
    failed: bool,
}

impl Default for Unwrapper {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(MAX_PAYLOAD_BYTES),
            failed: false,
        }
    }
}

impl Unwrapper {
    /// Appends the events that the next bytes complete.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let mut outcome = Ok(());
        let failed = &mut self.failed;
        let framing = self.decoder.feed(bytes, |message| {
            if outcome.is_ok() && !*failed {
                outcome = unwrap(&message, failed, out);
            }
        });
        outcome?;
        match framing {
            Err(bad) if !self.failed => Err(bedrock::broken(bad)),
            _ => Ok(()),
        }
    }

    /// The provider ended the stream with an error, which was the last event.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// The stream has ended; an error where that was within a frame.
    pub fn finish(&self) -> Result<(), BadAnswer> {
        match self.failed {
            true => Ok(()),
            false => self.decoder.finish().map_err(bedrock::broken),
        }
    }
}

fn unwrap(message: &Message<'_>, failed: &mut bool, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
    if let Some(fault) = bedrock::fault_of(message)? {
        *failed = true;
        write_fault(&fault, out);
        return Ok(());
    }
    // Beside chunks nothing is known, and what is not known says nothing.
    let payload = Node::document(message.payload)?;
    let Some(coded) = payload.get("bytes").and_then(Node::string) else {
        return Ok(());
    };
    let event = STANDARD
        .decode(coded.as_bytes())
        .map_err(|_| BadAnswer::new("an event of the stream is no base64"))?;
    let kind = Node::document(&event)?.get("type").and_then(Node::string);
    if let Some(kind) = kind.filter(|kind| !kind.contains(['\r', '\n'])) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    // A line's end can stand between members only: a space does as well there.
    out.extend(event.iter().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => *other,
    }));
    out.extend_from_slice(b"\n\n");
    Ok(())
}

/// As the stream's last event.
fn write_fault(fault: &Fault, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: ");
    let mut json = Out::new(out);
    json.open().key("type").string("error").key("error").open();
    json.key("type").string(super::fault::word(fault.kind));
    json.key("message").string(&fault.message).close().close();
    out.extend_from_slice(b"\n\n");
}

/// Appends server-sent events, whole ones, in their frames.
pub fn frame(mut events: &[u8], out: &mut Vec<u8>) {
    const DATA: &[u8] = b"\ndata: ";
    while let Some(end) = memmem::find(events, b"\n\n") {
        let event = &events[..end];
        events = &events[end + 2..];
        let Some(at) = memmem::find(event, DATA) else { continue };
        let coded = STANDARD.encode(&event[at + DATA.len()..]);
        eventstream::write_event(out, "chunk", |out| {
            Out::new(out).open().key("bytes").string(&coded).close();
        });
    }
}

#[derive(Debug)]
struct Writer {
    inner: Box<dyn WriteStream>,
    events: Vec<u8>,
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if let Event::Failed(fault) = event {
            return bedrock::write_failed(fault, out);
        }
        self.events.clear();
        self.inner.write(event, &mut self.events);
        frame(&self.events, out);
    }
}

#[derive(Debug)]
struct Reader {
    unwrapper: Unwrapper,
    events: Vec<u8>,
    inner: stream::Reader,
}

impl ReadStream for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        self.events.clear();
        let unwrapped = self.unwrapper.feed(bytes, &mut self.events);
        // What came before a fault of the framing was said.
        self.inner.feed(&self.events, sink)?;
        unwrapped
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        self.unwrapper.finish()?;
        self.inner.end(sink)
    }
}

impl Speaks for Framed {
    fn read_request<'a>(&self, body: &'a [u8], path: PathFacts<'a>) -> Result<Request<'a>, BadRequest> {
        Anthropic.read_request(body, path)
    }

    fn write_request(
        &self,
        request: &Request<'_>,
        to: &TargetFacts<'_>,
        drops: &mut Drops,
        out: &mut Vec<u8>,
    ) -> Result<(), BadRequest> {
        Anthropic.write_request(request, to, drops, out)
    }

    fn read_answer(&self, body: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        Anthropic.read_answer(body, sink)
    }

    fn goes_beyond(&self, said: Node<'_>) -> bool {
        Anthropic.goes_beyond(said)
    }

    fn write_answer(&self, answer: &Answer, call: &CallFacts, out: &mut Vec<u8>) {
        Anthropic.write_answer(answer, call, out);
    }

    fn stream_reader(&self) -> Box<dyn ReadStream> {
        Box::new(Reader {
            unwrapper: Unwrapper::default(),
            events: Vec::new(),
            inner: stream::Reader::new(),
        })
    }

    fn stream_writer(&self, call: &CallFacts) -> Box<dyn WriteStream> {
        Box::new(Writer {
            inner: Anthropic.stream_writer(call),
            events: Vec::new(),
        })
    }

    fn usage_places(&self) -> &'static [Place] {
        Anthropic.usage_places()
    }

    fn hear_usage(&self, object: &[u8], total: &mut Usage) -> bool {
        Anthropic.hear_usage(object, total)
    }

    fn read_fault(&self, status: u16, body: &[u8]) -> Fault {
        bedrock::Bedrock.read_fault(status, body)
    }

    fn write_fault(&self, fault: &Fault, call: &CallFacts, out: &mut Vec<u8>) -> u16 {
        bedrock::Bedrock.write_fault(fault, call, out)
    }

    fn field(&self, feature: Feature) -> &'static str {
        Anthropic.field(feature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: &[u8] =
        b"event: ping\ndata: {\"type\":\"ping\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    #[test]
    fn what_is_framed_unwraps_to_itself_wherever_it_is_cut() {
        let mut frames = Vec::new();
        frame(EVENTS, &mut frames);
        for cut in 0..=frames.len() {
            let (mut unwrapper, mut out) = (Unwrapper::default(), Vec::new());
            for piece in [&frames[..cut], &frames[cut..]] {
                unwrapper.feed(piece, &mut out).unwrap();
            }
            assert_eq!(out, EVENTS, "cut at {cut}");
            assert_eq!(unwrapper.finish(), Ok(()));
        }
        let mut unwrapper = Unwrapper::default();
        unwrapper.feed(&frames[..frames.len() - 1], &mut Vec::new()).unwrap();
        assert!(unwrapper.finish().is_err());
    }

    #[test]
    fn an_event_stays_one_and_cannot_bring_others() {
        let tricky = "{\n \"type\" : \"a\\nb\",\r\n\"x\":1 }";
        let mut frames = Vec::new();
        let coded = STANDARD.encode(tricky);
        eventstream::write_event(&mut frames, "chunk", |out| {
            Out::new(out).open().key("bytes").string(&coded).close();
        });
        let mut out = Vec::new();
        Unwrapper::default().feed(&frames, &mut out).unwrap();
        assert_eq!(out, b"data: {  \"type\" : \"a\\nb\",  \"x\":1 }\n\n");
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in any::<Vec<u8>>(), coded in any::<Vec<u8>>(), tail in any::<Vec<u8>>()) {
            for payload in [payload, format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(coded)).into_bytes()] {
                let mut frames = Vec::new();
                eventstream::write_event(&mut frames, "chunk", |out| out.extend_from_slice(&payload));
                frames.extend_from_slice(&tail);
                let mut reader = Framed.stream_reader();
                let _ = reader.feed(&frames, &mut |_| {});
                let _ = Unwrapper::default().feed(&frames, &mut Vec::new());
            }
        }
    }
}
