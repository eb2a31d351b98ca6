//! A streamed answer, read: `message_start`, blocks that each start, grow and stop, `message_delta`, `message_stop`;
//! `ping` and `error` anywhere.

use tollgate_wire::sse::Splitter;

use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Began, Event},
    },
    json::{Node, Text},
    speak::{ReadStream, Sink},
    usage::Usage,
};

use super::{
    answer::{self, Stop},
    citation, fault, usage,
};

const MAX_EVENT_BYTES: usize = 1 << 20;
/// What is held of open blocks: arguments that came at once, and signatures.
const MAX_HELD_BYTES: usize = 4 << 20;
/// Blocks that have begun and not stopped. Anthropic opens one at a time.
const MAX_OPEN_BLOCKS: usize = 256;

#[derive(Debug)]
pub(super) struct Reader {
    splitter: Splitter,
    reading: Reading,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            reading: Reading::default(),
        }
    }
}

impl ReadStream for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let reading = &mut self.reading;
        let mut outcome = Ok(());
        let split = self.splitter.feed(bytes, |event| {
            if outcome.is_ok() {
                outcome = reading.event(event.data, sink);
            }
        });
        // What came before the event that is too long was read: its fault comes first.
        outcome.and(split.map_err(|_| BadAnswer::new("an event is longer than 1 MiB")))
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let reading = &mut self.reading;
        let mut outcome = Ok(());
        let split = self.splitter.finish(|event| {
            if outcome.is_ok() {
                outcome = reading.event(event.data, sink);
            }
        });
        outcome?;
        match split.is_ok() && self.reading.ended {
            true => Ok(()),
            false => Err(BadAnswer::new("it ended before it was complete")),
        }
    }
}

#[derive(Debug, Default)]
struct Reading {
    begun: bool,
    ended: bool,
    open: Vec<Open>,
    next_part: u32,
    /// The part whose block has stopped: its signature may still come in a block of its own (`carried`).
    closing: Option<u32>,
    stop: Option<Stop<'static>>,
    usage: Usage,
}

/// A block that has begun.
#[derive(Debug)]
struct Open {
    index: u64,
    /// `None` for one that is not carried.
    part: Option<u32>,
    kind: Kind,
    /// A tool call's arguments where they came with its beginning, and not in pieces.
    input: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Sealed,
    ToolCall,
    Other,
}

impl Reading {
    fn event(&mut self, data: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.ended {
            return Ok(());
        }
        let event = Node::document(data)?;
        let kind = event.get("type").and_then(Node::string);
        let kind = kind.ok_or(BadAnswer::new("an event has no type"))?;
        match kind.as_ref() {
            "error" => self.fail(event, sink),
            "message_start" => return self.start(event, sink),
            "content_block_start" | "content_block_delta" | "content_block_stop" | "message_delta" | "message_stop"
                if !self.begun =>
            {
                return Err(BadAnswer::new("an event comes before message_start"));
            }
            "content_block_start" => return self.block_start(event, sink),
            "content_block_delta" => return self.block_delta(event, sink),
            "content_block_stop" => return self.block_stop(event, sink),
            "message_delta" => return self.message_delta(event, sink),
            "message_stop" => return self.message_stop(sink),
            _ => {}
        }
        Ok(())
    }

    fn fail(&mut self, event: Node<'_>, sink: &mut Sink<'_>) {
        self.close(sink);
        if !self.begun {
            sink(&answer::NAMELESS);
        }
        self.ended = true;
        sink(&Event::Failed(fault::in_stream(event)));
    }

    fn start(&mut self, event: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.begun {
            return Err(BadAnswer::new("it begins twice"));
        }
        let message = event.get("message").filter(|message| message.is_object());
        let message = message.ok_or(BadAnswer::new("message_start has no message"))?;
        self.begun = true;
        sink(&answer::started(message));
        self.take_usage(message, sink);
        Ok(())
    }

    fn take_usage(&mut self, node: Node<'_>, sink: &mut Sink<'_>) {
        let usage = node.get("usage");
        if usage.is_some_and(|usage| usage::merge_object(usage.raw(), &mut self.usage)) {
            sink(&Event::Usage(self.usage));
        }
    }

    fn block_start(&mut self, event: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let index = index(event)?;
        let block = event.get("content_block").filter(|block| block.is_object());
        let block = block.ok_or(BadAnswer::new("content_block_start has no block"))?;
        if self.open.iter().any(|open| open.index == index) {
            return Err(BadAnswer::new("a block begins twice"));
        }
        if self.open.len() == MAX_OPEN_BLOCKS {
            return Err(BadAnswer::new("more than 256 blocks are open at once"));
        }
        let mut open = Open {
            index,
            part: None,
            kind: Kind::Other,
            input: Vec::new(),
            signature: Vec::new(),
        };
        match (self.closing, answer::carried_signature(block)) {
            (Some(part), Some(text)) => sink(&Event::Signature { choice: 0, part, text }),
            _ => {
                self.close(sink);
                self.begin(block, &mut open, sink)?;
            }
        }
        self.close(sink);
        self.open.push(open);
        self.check()
    }

    fn check(&self) -> Result<(), BadAnswer> {
        let held = self.open.iter().map(|open| open.input.len() + open.signature.len());
        match held.sum::<usize>() > MAX_HELD_BYTES {
            true => Err(BadAnswer::new("its open blocks hold more than 4 MiB")),
            false => Ok(()),
        }
    }

    fn begin(&mut self, block: Node<'_>, open: &mut Open, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Some(what) = answer::began(block)? else {
            return Ok(());
        };
        let (choice, part) = (0, self.next_part);
        self.next_part += 1;
        open.part = Some(part);
        let text = |key: &str| block.get(key).and_then(Node::text);
        let (kind, piece) = match what {
            Began::Text | Began::Refusal => (Kind::Text, text("text")),
            Began::Thinking => (Kind::Thinking, text("thinking")),
            Began::Sealed { .. } => (Kind::Sealed, text("data")),
            Began::ToolCall { .. } => (Kind::ToolCall, None),
        };
        open.kind = kind;
        sink(&Event::Began { choice, part, what });
        if let Some(text) = piece.filter(|piece| !piece.is_empty()) {
            sink(&Event::Piece { choice, part, text });
        }
        let input = block
            .get("input")
            .filter(|input| kind == Kind::ToolCall && input.is_object());
        if let Some(input) = input.filter(|input| input.members().next().is_some()) {
            open.input = input.raw().to_vec();
        }
        if let Some(signature) = text("signature").filter(|_| kind == Kind::Thinking) {
            signature.write_escaped(&mut open.signature);
        }
        for citation in block.get("citations").into_iter().flat_map(Node::elements) {
            if let Some(citation) = citation::read(citation) {
                sink(&Event::Citation { choice, part, citation });
            }
        }
        Ok(())
    }

    fn block_delta(&mut self, event: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let index = index(event)?;
        let open = self.open.iter_mut().find(|open| open.index == index);
        let open = open.ok_or(BadAnswer::new("a delta is of a block that is not open"))?;
        let (choice, Some(part)) = (0, open.part) else {
            return Ok(());
        };
        let delta = event.get("delta").filter(|delta| delta.is_object());
        let delta = delta.ok_or(BadAnswer::new("a delta says nothing"))?;
        let kind = delta.get("type").and_then(Node::string);
        let kind = kind.ok_or(BadAnswer::new("a delta has no type"))?;
        let (fits, key) = match kind.as_ref() {
            "text_delta" => (Kind::Text, "text"),
            "thinking_delta" => (Kind::Thinking, "thinking"),
            "signature_delta" => (Kind::Thinking, "signature"),
            "input_json_delta" => (Kind::ToolCall, "partial_json"),
            "citations_delta" => (Kind::Text, "citation"),
            // Newer than this reader.
            _ => return Ok(()),
        };
        if open.kind != fits {
            return Err(BadAnswer::new("a delta does not fit its block"));
        }
        let value = delta.get(key).ok_or(BadAnswer::new("a delta lacks its content"))?;
        if key == "citation" {
            if let Some(citation) = citation::read(value) {
                sink(&Event::Citation { choice, part, citation });
            }
            return Ok(());
        }
        let text = value.text().ok_or(BadAnswer::new("a delta's content is no string"))?;
        if text.is_empty() {
            return Ok(());
        }
        if key == "signature" {
            // It comes whole: a second replaces the first.
            open.signature.clear();
            text.write_escaped(&mut open.signature);
            return self.check();
        }
        open.input.clear();
        sink(&Event::Piece { choice, part, text });
        Ok(())
    }

    fn block_stop(&mut self, event: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let index = index(event)?;
        self.close(sink);
        let at = self.open.iter().position(|open| open.index == index);
        let at = at.ok_or(BadAnswer::new("a block stops that is not open"))?;
        let open = self.open.remove(at);
        let (choice, Some(part)) = (0, open.part) else {
            return Ok(());
        };
        if let (false, Ok(input)) = (open.input.is_empty(), str::from_utf8(&open.input)) {
            let text = Text::from(input);
            sink(&Event::Piece { choice, part, text });
        }
        if !open.signature.is_empty() {
            let text = Text::Escaped(&open.signature);
            sink(&Event::Signature { choice, part, text });
        }
        self.closing = Some(part);
        if !matches!(open.kind, Kind::Text | Kind::ToolCall) {
            self.close(sink);
        }
        Ok(())
    }

    fn message_delta(&mut self, event: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        self.close(sink);
        if let Some(delta) = event.get("delta")
            && let Some(stop) = Stop::read(delta)?
        {
            self.stop = Some(stop.into_owned());
        }
        self.take_usage(event, sink);
        Ok(())
    }

    fn message_stop(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        self.close(sink);
        if !self.open.is_empty() {
            return Err(BadAnswer::new("it ended within a block"));
        }
        let stop = self.stop.take();
        let stop = stop.ok_or(BadAnswer::new("it names no reason why it stopped"))?;
        stop.emit(self.next_part, sink);
        self.ended = true;
        sink(&Event::Ended);
        Ok(())
    }

    fn close(&mut self, sink: &mut Sink<'_>) {
        if let Some(part) = self.closing.take() {
            sink(&Event::Closed { choice: 0, part });
        }
    }
}

fn index(event: Node<'_>) -> Result<u64, BadAnswer> {
    let index = event.get("index").and_then(Node::unsigned);
    index.ok_or(BadAnswer::new("an event names no block"))
}
