//! Reads a stream: server-sent events whose data name their own type.

use tollgate_wire::sse::Splitter;

use super::progress::{Progress, Slot};
use crate::{
    canonical::{bad::BadAnswer, event::Began},
    json::Node,
    speak::{ReadStream, Sink},
};

/// The event that ends a stream repeats the whole answer, the instructions and the tools: it is the one that sets this
/// limit, not the pieces.
const MAX_EVENT_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Reader {
    splitter: Splitter,
    progress: Progress,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader {
            splitter: Splitter::new(MAX_EVENT_BYTES),
            progress: Progress::default(),
        }
    }
}

const TOO_LONG: BadAnswer = BadAnswer::new("an event is longer than 4 MiB");

impl ReadStream for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Reader { splitter, progress } = self;
        let mut outcome = Ok(());
        let split = splitter.feed(bytes, |event| {
            if outcome.is_ok() && !progress.is_over() {
                outcome = read(event.name, event.data, progress, sink);
            }
        });
        outcome?;
        // What comes after the end is none of the answer's.
        match progress.is_over() {
            true => Ok(()),
            false => split.map_err(|_| TOO_LONG),
        }
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
        let Reader { splitter, progress } = self;
        let mut outcome = Ok(());
        let split = splitter.finish(|event| {
            if outcome.is_ok() && !progress.is_over() {
                outcome = read(event.name, event.data, progress, sink);
            }
        });
        outcome?;
        match progress.is_over() {
            true => Ok(()),
            false => {
                split.map_err(|_| TOO_LONG)?;
                Err(BadAnswer::new("it ended before it was complete"))
            }
        }
    }
}

fn read(name: &[u8], data: &[u8], progress: &mut Progress, sink: &mut Sink<'_>) -> Result<(), BadAnswer> {
    if data.trim_ascii() == b"[DONE]" {
        return Ok(());
    }
    let event = Node::document(data)?;
    let kind = event.get("type").and_then(Node::string);
    let kind = kind.as_deref().or(str::from_utf8(name).ok()).unwrap_or_default();
    match kind.strip_prefix("response.") {
        Some(kind) => Step { event, progress, sink }.read(kind),
        None if kind == "error" || event.get("error").is_some_and(Node::is_object) => {
            progress.fail(event, sink);
            Ok(())
        }
        None => Ok(()),
    }
}

/// One event on its way to what it tells.
struct Step<'s, 'e, 'k> {
    event: Node<'e>,
    progress: &'s mut Progress,
    sink: &'s mut Sink<'k>,
}

impl<'e> Step<'_, 'e, '_> {
    fn read(self, kind: &str) -> Result<(), BadAnswer> {
        let response = self.event.get("response");
        match kind {
            "created" | "in_progress" | "queued" => {
                self.progress.start(response, self.sink);
                Ok(())
            }
            "completed" | "incomplete" => match response {
                Some(response) => self.progress.complete(response, self.sink),
                None => Err(BadAnswer::new("its last event has no response")),
            },
            "failed" => {
                self.progress.fail(response.unwrap_or(self.event), self.sink);
                Ok(())
            }
            "output_item.added" => match self.event.get("item").filter(|item| item.is_object()) {
                Some(item) => self.progress.item_added(self.item(), item, self.sink),
                None => Ok(()),
            },
            "output_item.done" => match self.event.get("item").filter(|item| item.is_object()) {
                Some(item) => self.progress.item_done(self.item(), item, self.sink),
                None => Ok(()),
            },
            kind => self.part(kind),
        }
    }

    fn part(self, kind: &str) -> Result<(), BadAnswer> {
        let text = |name| self.event.get(name).and_then(Node::text);
        let item = self.item();
        let content = Slot::Content(self.number("content_index"));
        let thought = Slot::Thought(self.number("content_index"));
        let summary = Slot::Summary(self.number("summary_index"));
        let delta = text("delta");
        match kind {
            "content_part.added" => self.content(false),
            "content_part.done" => self.content(true),
            "output_text.delta" => {
                let logprobs = self.event.get("logprobs");
                self.progress
                    .delta(item, content, Began::Text, delta, logprobs, self.sink)
            }
            "refusal.delta" => self
                .progress
                .delta(item, content, Began::Refusal, delta, None, self.sink),
            "reasoning_text.delta" => self
                .progress
                .delta(item, thought, Began::Thinking, delta, None, self.sink),
            "reasoning_summary_text.delta" => {
                self.progress
                    .delta(item, summary, Began::Thinking, delta, None, self.sink)
            }
            "reasoning_summary_part.added" => {
                let text = self.event.at(&["part", "text"]).and_then(Node::text);
                self.progress
                    .delta(item, summary, Began::Thinking, text, None, self.sink)
            }
            "function_call_arguments.delta" => {
                self.progress.arguments(item, delta, self.sink);
                Ok(())
            }
            "output_text.annotation.added" => match self.event.get("annotation") {
                Some(node) => {
                    let index = self.number("content_index");
                    self.progress.annotation(item, index, node, self.sink)
                }
                None => Ok(()),
            },
            _ => {
                let (slot, text) = match kind {
                    "output_text.done" => (content, text("text")),
                    "refusal.done" => (content, text("refusal")),
                    "reasoning_text.done" => (thought, text("text")),
                    "reasoning_summary_text.done" => (summary, text("text")),
                    "function_call_arguments.done" => (Slot::Call, text("arguments")),
                    // Tools that run at OpenAI, and whatever is new.
                    _ => return Ok(()),
                };
                self.progress.text_done(item, slot, text, self.sink);
                Ok(())
            }
        }
    }

    fn content(self, done: bool) -> Result<(), BadAnswer> {
        let (item, index) = (self.item(), self.number("content_index"));
        match self.event.get("part") {
            Some(part) => self.progress.content(item, index, part, done, self.sink),
            None => Ok(()),
        }
    }

    fn item(&self) -> u64 {
        self.number("output_index")
    }

    fn number(&self, name: &str) -> u64 {
        self.event.get(name).and_then(Node::unsigned).unwrap_or(0)
    }
}
