//! A provider's stream, read into events.
//!
//! An event's type stands in its data; the `event:` line says the same and is not everywhere sent. Cohere's own end is
//! `message-end`: `[DONE]` comes behind it, or does not.

use tollgate_wire::sse::Splitter;

use super::{
    MAX_EVENT_BYTES,
    answer::{self, MAX_PARTS},
    citation::{self, Where},
    fault,
    finish::{self, Finish},
    logprobs, usage,
};
use crate::{
    canonical::{
        bad::BadAnswer,
        event::{Began, Event},
        fault::Fault,
    },
    json::{Node, Text},
    speak::{ReadStream, Sink},
};

#[derive(Debug)]
pub(super) struct Reader {
    splitter: Splitter,
    answer: State,
}

/// What is known of the answer so far.
#[derive(Debug, Default)]
struct State {
    started: bool,
    /// Nothing more is said: it ended, or failed.
    over: bool,
    parts: u32,
    called: bool,
    open: Vec<Open>,
}

/// A part that is not closed.
#[derive(Clone, Copy, Debug)]
struct Open {
    part: u32,
    kind: Kind,
    /// Cohere's index: content parts and calls are counted apart. The plan has none.
    index: u64,
    /// Its end came. Citations may still follow, so it is closed when something else happens.
    ending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Plan,
    Call,
}

/// Parts open at once.
const MAX_OPEN: usize = 128;

impl Reader {
    pub fn new() -> Reader {
        Reader {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            answer: State::default(),
        }
    }
}

impl ReadStream for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let answer = &mut self.answer;
        let mut outcome = Ok(());
        let split = self.splitter.feed(bytes, |event| {
            if outcome.is_ok() {
                outcome = answer.event(event.data, sink);
            }
        });
        outcome?;
        split.map_err(|_| BadAnswer::new("an event of its stream is too long"))
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let answer = &mut self.answer;
        let mut outcome = Ok(());
        let split = self.splitter.finish(|event| {
            if outcome.is_ok() {
                outcome = answer.event(event.data, sink);
            }
        });
        outcome?;
        split.map_err(|_| BadAnswer::new("an event of its stream is too long"))?;
        match self.answer.over {
            true => Ok(()),
            false => Err(BadAnswer::new("it ended before it was complete")),
        }
    }
}

impl State {
    fn event(&mut self, data: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let data = data.trim_ascii();
        if self.over || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let event = Node::document(data)?;
        let kind = event.get("type").and_then(Node::string);
        // What fails at once has not started.
        if !matches!(kind.as_deref(), Some("message-start" | "error") | None) {
            self.start(None, sink);
        }
        let index = event.get("index").and_then(Node::unsigned).unwrap_or(0);
        let message = event.at(&["delta", "message"]);
        let inner = |key| message.and_then(|message| message.get(key));
        match kind.as_deref() {
            Some("message-start") => self.start(event.get("id").and_then(Node::text), sink),
            Some("content-start") => self.content_start(index, inner("content"), sink)?,
            Some("content-delta") => {
                self.content_delta(index, inner("content"), event.get("logprobs"), sink)?;
            }
            Some("content-end") => self.content_end(index),
            Some("tool-plan-delta") => self.plan_delta(inner("tool_plan"), sink)?,
            Some("tool-call-start") => self.call_start(index, inner("tool_calls"), sink)?,
            Some("tool-call-delta") => self.call_delta(index, inner("tool_calls"), sink)?,
            Some("tool-call-end") => self.close(|open| open.kind == Kind::Call && open.index == index, sink),
            Some("citation-start") => self.citations(inner("citations"), sink),
            Some("message-end") => self.message_end(event.get("delta"), sink),
            // An error object has no type, or says that it is one.
            Some("error") | None => self.fail(event, sink)?,
            Some(_) => {}
        }
        Ok(())
    }

    fn start(&mut self, id: Option<Text<'_>>, sink: &mut Sink<'_>) {
        if !self.started {
            self.started = true;
            sink(&Event::Started {
                id,
                model: None,
                created_unix_s: None,
            });
        }
    }

    fn begin(&mut self, kind: Kind, index: u64, what: Began<'_>, sink: &mut Sink<'_>) -> Result<u32, BadAnswer> {
        self.close(|open| open.ending, sink);
        if self.parts as usize == MAX_PARTS || self.open.len() == MAX_OPEN {
            return Err(BadAnswer::new("it has too many parts"));
        }
        let part = self.parts;
        self.parts += 1;
        self.open.push(Open {
            part,
            kind,
            index,
            ending: false,
        });
        sink(&Event::Began { choice: 0, part, what });
        Ok(part)
    }

    fn find(&self, is_it: impl Fn(&Open) -> bool) -> Option<u32> {
        self.open.iter().find(|open| is_it(open)).map(|open| open.part)
    }

    fn close(&mut self, is_it: impl Fn(&Open) -> bool, sink: &mut Sink<'_>) {
        self.open.retain(|open| {
            let closes = is_it(open);
            if closes {
                let part = open.part;
                sink(&Event::Closed { choice: 0, part });
            }
            !closes
        });
    }

    /// Text or thinking, by the member that stands there; `type` where there is none.
    fn content_kind(content: Node<'_>) -> (Kind, Began<'static>, Option<Text<'_>>) {
        let text = |key| content.get(key).and_then(Node::text);
        match (text("text"), text("thinking")) {
            (Some(text), None) => (Kind::Text, Began::Text, Some(text)),
            (_, Some(thought)) => (Kind::Thinking, Began::Thinking, Some(thought)),
            (None, None) if content.get("type").is_some_and(|kind| kind.is("thinking")) => {
                (Kind::Thinking, Began::Thinking, None)
            }
            (None, None) => (Kind::Text, Began::Text, None),
        }
    }

    fn content_start(&mut self, index: u64, content: Option<Node<'_>>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Some(content) = content else { return Ok(()) };
        self.close(|open| open.kind == Kind::Plan, sink);
        let (kind, what, text) = State::content_kind(content);
        let part = self.begin(kind, index, what, sink)?;
        piece(part, text, sink);
        Ok(())
    }

    fn content_delta(
        &mut self,
        index: u64,
        content: Option<Node<'_>>,
        logprobs: Option<Node<'_>>,
        sink: &mut Sink<'_>,
    ) -> Result<(), BadAnswer> {
        let Some(content) = content else { return Ok(()) };
        let (kind, what, text) = State::content_kind(content);
        let open = self.find(|open| open.kind == kind && open.index == index && !open.ending);
        let part = match open {
            Some(part) => part,
            // Some hosts send no `content-start`.
            None if text.as_ref().is_some_and(|text| !text.is_empty()) => self.begin(kind, index, what, sink)?,
            None => return Ok(()),
        };
        piece(part, text, sink);
        if let Some(items) = logprobs.filter(|_| kind == Kind::Text) {
            logprobs::read(items, |tokens| {
                sink(&Event::Logprobs {
                    choice: 0,
                    part,
                    tokens,
                })
            });
        }
        Ok(())
    }

    fn content_end(&mut self, index: u64) {
        let ends = |open: &&mut Open| matches!(open.kind, Kind::Text | Kind::Thinking) && open.index == index;
        self.open.iter_mut().filter(ends).for_each(|open| open.ending = true);
    }

    fn plan_delta(&mut self, plan: Option<Node<'_>>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Some(text) = plan.and_then(Node::text).filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let part = match self.find(|open| open.kind == Kind::Plan) {
            Some(part) => part,
            None => self.begin(Kind::Plan, 0, Began::Text, sink)?,
        };
        piece(part, Some(text), sink);
        Ok(())
    }

    fn call_start(&mut self, index: u64, call: Option<Node<'_>>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let call = call.ok_or(BadAnswer::new("a tool call of its stream is empty"))?;
        // The documentation calls it a list; it is one object.
        let call = call.elements().next().unwrap_or(call);
        self.close(|open| open.kind == Kind::Plan, sink);
        if self
            .find(|open| open.kind == Kind::Call && open.index == index)
            .is_some()
        {
            return Err(BadAnswer::new("a tool call of its stream began twice"));
        }
        let part = self.begin(Kind::Call, index, answer::read_call(call)?, sink)?;
        self.called = true;
        piece(part, call.at(&["function", "arguments"]).and_then(Node::text), sink);
        Ok(())
    }

    fn call_delta(&mut self, index: u64, call: Option<Node<'_>>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let part = self
            .find(|open| open.kind == Kind::Call && open.index == index)
            .ok_or(BadAnswer::new("it goes on with a tool call that is not open"))?;
        let call = call.map(|call| call.elements().next().unwrap_or(call));
        let arguments = call.and_then(|call| call.at(&["function", "arguments"]));
        piece(part, arguments.and_then(Node::text), sink);
        Ok(())
    }

    /// A citation whose part is not open any more is nobody's, and left out.
    fn citations(&mut self, citations: Option<Node<'_>>, sink: &mut Sink<'_>) {
        let Some(citations) = citations else { return };
        let one = Some(citations).filter(|node| node.is_object());
        for cited in one.into_iter().chain(citations.elements()) {
            let kind = match Where::of(cited) {
                Where::Text => Kind::Text,
                Where::Thinking => Kind::Thinking,
                Where::Plan => Kind::Plan,
            };
            let named = cited.get("content_index").and_then(Node::unsigned);
            let named = named.and_then(|index| self.find(|open| open.kind == kind && open.index == index));
            let latest = || {
                self.open
                    .iter()
                    .rev()
                    .find(|open| open.kind == kind)
                    .map(|open| open.part)
            };
            let Some(part) = named.or_else(latest) else { continue };
            citation::read(cited, |citation| {
                sink(&Event::Citation {
                    choice: 0,
                    part,
                    citation,
                });
            });
        }
    }

    fn message_end(&mut self, delta: Option<Node<'_>>, sink: &mut Sink<'_>) {
        self.close(|_| true, sink);
        let inner = |key| delta.and_then(|delta| delta.get(key));
        let usage = inner("usage").and_then(usage::read);
        let finish = finish::read(inner("finish_reason"), inner("error"), self.called);
        if let Finish::Stopped(reason) = &finish {
            let reason = reason.clone();
            sink(&Event::Stopped { choice: 0, reason });
        }
        if let Some(usage) = usage {
            sink(&Event::Usage(usage));
        }
        self.over = true;
        match finish {
            Finish::Stopped(_) => sink(&Event::Ended),
            Finish::Failed(fault) => sink(&Event::Failed(fault)),
        }
    }

    fn fail(&mut self, event: Node<'_>, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let status = event.get("status_code").and_then(Node::unsigned);
        let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
        let fault = fault::said(status, event)
            .ok_or(BadAnswer::new("an event of its stream has neither a type nor an error"))?;
        self.over = true;
        sink(&Event::Failed(Fault {
            status: fault.kind.status(),
            ..fault
        }));
        Ok(())
    }
}

fn piece(part: u32, text: Option<Text<'_>>, sink: &mut Sink<'_>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        sink(&Event::Piece { choice: 0, part, text });
    }
}
