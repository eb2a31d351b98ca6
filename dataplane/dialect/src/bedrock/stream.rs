//! A streamed answer, read from a provider: JSON events in AWS's event stream.
//!
//! Only a tool call's block is announced; any other begins with its first delta. `messageStop` ends the answer, and
//! `metadata` with the usage comes behind it.

use tollgate_wire::eventstream::{BadMessage, Decoder, Message};

use super::{citation, fault, stop, usage};
use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Began, Event},
        fault::Fault,
    },
    json::{Node, Text},
    speak::{ReadStream, Sink},
};

/// The most an event may hold.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Blocks open at once: the service has one, and who speaks like it has few.
const MAX_OPEN_BLOCKS: usize = 64;
/// Of the signatures of all blocks that are open.
const MAX_SIGNATURE_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Reader {
    decoder: Decoder,
    state: State,
}

impl Default for Reader {
    fn default() -> Self {
        Reader {
            decoder: Decoder::new(MAX_EVENT_BYTES),
            state: State::default(),
        }
    }
}

impl ReadStream for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Reader { decoder, state } = self;
        let mut outcome = Ok(());
        let framing = decoder.feed(bytes, |message| {
            if outcome.is_ok() && !state.over {
                outcome = state.message(&message, sink);
            }
        });
        outcome?;
        match framing {
            Err(bad) if !state.over => Err(broken(bad)),
            _ => Ok(()),
        }
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if self.state.over {
            return Ok(());
        }
        self.decoder.finish().map_err(broken)?;
        if !self.state.stopped {
            return Err(BadAnswer::new("it ended before it was complete"));
        }
        // Who speaks like the service may leave out the usage.
        self.state.end(sink);
        Ok(())
    }
}

pub(crate) fn broken(bad: BadMessage) -> BadAnswer {
    BadAnswer::new(match bad {
        BadMessage::PreludeChecksum => "it is no AWS event stream, or damaged",
        BadMessage::Checksum => "a message of the event stream is damaged",
        BadMessage::Lengths | BadMessage::Header => "a message of the event stream is malformed",
        BadMessage::HeadersTooLong | BadMessage::PayloadTooLong { .. } => "a message of the event stream is too long",
        BadMessage::Cut => "it ended before it was complete",
    })
}

/// The exception or error that a message is; none where it is an event.
pub(crate) fn fault_of(message: &Message<'_>) -> Result<Option<Fault>, BadAnswer> {
    match message.text(":message-type") {
        Some("event") => Ok(None),
        Some("exception") => {
            let name = message.text(":exception-type").unwrap_or("exception");
            Ok(Some(fault::read_in_stream(name, message.payload, None)))
        }
        Some("error") => {
            let (name, said) = (message.text(":error-code"), message.text(":error-message"));
            Ok(Some(fault::read_in_stream(
                name.unwrap_or("error"),
                message.payload,
                said,
            )))
        }
        _ => Err(BadAnswer::new("a message of the stream is neither event nor exception")),
    }
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    stopped: bool,
    /// `Ended` or `Failed` was said: what still comes says nothing.
    over: bool,
    next_part: u32,
    open: Vec<Open>,
}

/// A block that has begun.
#[derive(Debug)]
struct Open {
    index: u64,
    part: u32,
    kind: Kind,
    /// Something was said of it.
    filled: bool,
    /// As it stands between the quotes of a JSON string.
    signature: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Sealed,
    Call,
    /// No part of the answer to a client of any dialect (a tool of the provider's own, a picture).
    Passed,
}

impl State {
    fn message(&mut self, message: &Message<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Some(failed) = fault_of(message)? else {
            let Some(name) = message.text(":event-type") else {
                return Err(BadAnswer::new("an event of the stream has no type"));
            };
            return self.event(name, message.payload, sink);
        };
        self.over = true;
        self.start(sink);
        sink(&Event::Failed(failed));
        Ok(())
    }

    fn event(&mut self, name: &str, payload: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        match name {
            "messageStart" => self.start(sink),
            "contentBlockStart" => self.block_start(self.content(payload)?, sink)?,
            "contentBlockDelta" => self.block_delta(self.content(payload)?, sink)?,
            "contentBlockStop" => {
                let index = index_of(self.content(payload)?)?;
                if let Some(at) = self.find(index) {
                    self.close(at, sink);
                }
            }
            "messageStop" => self.stop(Node::document(payload)?, sink)?,
            "metadata" => {
                self.start(sink);
                if let Some(usage) = Node::document(payload)?.get("usage").and_then(usage::read) {
                    sink(&Event::Usage(usage));
                }
                if self.stopped {
                    self.end(sink);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn content<'a>(&self, payload: &'a [u8]) -> Result<Node<'a>, BadAnswer> {
        match self.stopped {
            false => Ok(Node::document(payload)?),
            true => Err(BadAnswer::new("its content goes on behind its end")),
        }
    }

    fn start(&mut self, sink: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            sink(&Event::Started {
                id: None,
                model: None,
                created_unix_s: None,
            });
        }
    }

    fn block_start(&mut self, payload: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let index = index_of(payload)?;
        let mut start = payload.get("start").into_iter().flat_map(Node::members);
        let Some((name, value)) = start.find(|(_, value)| !value.is_null()) else {
            // A block of text, announced for once.
            return Ok(());
        };
        if let Some(at) = self.find(index) {
            self.close(at, sink);
        }
        let at_provider = value.get("type").is_some_and(|kind| kind.is("server_tool_use"));
        if name != "toolUse" || at_provider {
            return self.begin(index, Kind::Passed, None, sink).map(|_| ());
        }
        let text = |name: &str| value.get(name).and_then(Node::text);
        let name = text("name").ok_or(BadAnswer::new("a toolUse block has no name"))?;
        let what = Began::ToolCall {
            id: text("toolUseId"),
            name,
        };
        self.begin(index, Kind::Call, Some(what), sink).map(|_| ())
    }

    fn block_delta(&mut self, payload: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let index = index_of(payload)?;
        let mut delta = payload.get("delta").into_iter().flat_map(Node::members);
        let Some((name, value)) = delta.find(|(_, value)| !value.is_null()) else {
            return Ok(());
        };
        match &*name {
            "text" => {
                let text = value.text().ok_or(BadAnswer::new("a text delta is no string"))?;
                self.piece(index, Kind::Text, text, sink)
            }
            "toolUse" => {
                let input = value.get("input").and_then(Node::text).unwrap_or(Text::EMPTY);
                match self.find(index).map(|at| self.open[at].kind) {
                    Some(Kind::Call) => self.piece(index, Kind::Call, input, sink),
                    Some(Kind::Passed) => Ok(()),
                    _ => Err(BadAnswer::new("a toolUse delta belongs to no toolUse block")),
                }
            }
            "reasoningContent" => self.reasoning(index, value, sink),
            "citation" => {
                if let Some(at) = self.open_as(index, Kind::Text, sink)? {
                    let (choice, part) = (0, self.open[at].part);
                    let citation = citation::read(value);
                    sink(&Event::Citation { choice, part, citation });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn reasoning(&mut self, index: u64, delta: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        for (name, value) in delta.members() {
            let Some(text) = value.text() else { continue };
            match &*name {
                "text" => self.piece(index, Kind::Thinking, text, sink)?,
                "redactedContent" => self.piece(index, Kind::Sealed, text, sink)?,
                "signature" => {
                    let Some(at) = self.open_as(index, Kind::Thinking, sink)? else {
                        continue;
                    };
                    text.write_escaped(&mut self.open[at].signature);
                    let signatures = self.open.iter().map(|open| open.signature.len());
                    if signatures.sum::<usize>() > MAX_SIGNATURE_BYTES {
                        return Err(BadAnswer::new("its signatures are longer than 1 MiB"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn piece(&mut self, index: u64, kind: Kind, text: Text<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        if let Some(at) = self.open_as(index, kind, sink)?
            && !text.is_empty()
        {
            self.open[at].filled = true;
            let (choice, part) = (0, self.open[at].part);
            sink(&Event::Piece { choice, part, text });
        }
        Ok(())
    }

    fn find(&self, index: u64) -> Option<usize> {
        self.open.iter().position(|open| open.index == index)
    }

    /// The block of this index, begun where it is not, or is of another kind; `None` where it is passed over.
    fn open_as(&mut self, index: u64, kind: Kind, sink: &mut Sink<'_>) -> Result<Option<usize>, BadAnswer> {
        if let Some(at) = self.find(index) {
            match self.open[at].kind {
                Kind::Passed => return Ok(None),
                known if known == kind => return Ok(Some(at)),
                _ => self.close(at, sink),
            }
        }
        let what = match kind {
            Kind::Thinking => Began::Thinking,
            Kind::Sealed => Began::Sealed { id: None },
            Kind::Text | Kind::Call | Kind::Passed => Began::Text,
        };
        self.begin(index, kind, Some(what), sink).map(Some)
    }

    fn begin(
        &mut self,
        index: u64,
        kind: Kind,
        what: Option<Began<'_>>,
        sink: &mut Sink<'_>,
    ) -> Result<usize, BadAnswer> {
        if self.open.len() == MAX_OPEN_BLOCKS {
            return Err(BadAnswer::new("too many of its blocks are open at once"));
        }
        self.start(sink);
        let (choice, part) = (0, self.next_part);
        if let Some(what) = what {
            self.next_part += 1;
            sink(&Event::Began { choice, part, what });
        }
        self.open.push(Open {
            index,
            part,
            kind,
            filled: false,
            signature: Vec::new(),
        });
        Ok(self.open.len() - 1)
    }

    fn close(&mut self, at: usize, sink: &mut Sink<'_>) {
        let open = self.open.remove(at);
        let (choice, part) = (0, open.part);
        if open.kind == Kind::Passed {
            return;
        }
        if open.kind == Kind::Call && !open.filled {
            // A buffered answer says it of a call without arguments.
            let text = Text::from("{}");
            sink(&Event::Piece { choice, part, text });
        }
        if !open.signature.is_empty() {
            let text = Text::Escaped(&open.signature);
            sink(&Event::Signature { choice, part, text });
        }
        sink(&Event::Closed { choice, part });
    }

    fn stop(&mut self, payload: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let word = payload.get("stopReason").and_then(Node::text);
        let word = word.ok_or(BadAnswer::new("it has no stopReason"))?;
        if std::mem::replace(&mut self.stopped, true) {
            return Err(BadAnswer::new("it stops twice"));
        }
        self.start(sink);
        while !self.open.is_empty() {
            self.close(0, sink);
        }
        let reason = stop::read(word, payload.get("additionalModelResponseFields"));
        sink(&Event::Stopped { choice: 0, reason });
        Ok(())
    }

    fn end(&mut self, sink: &mut Sink<'_>) {
        self.over = true;
        sink(&Event::Ended);
    }
}

fn index_of(payload: Node<'_>) -> Result<u64, BadAnswer> {
    let index = payload.get("contentBlockIndex").and_then(Node::unsigned);
    index.ok_or(BadAnswer::new("an event of a block has no contentBlockIndex"))
}
