//! A streamed answer, written to a client.
//!
//! The service has one block open at a time, and clients rely on it: what comes of a later part while an earlier one is
//! open is held until that one closes. A block's index is its part's number.

use std::collections::VecDeque;

use tollgate_wire::eventstream::{write_event, write_exception};

use super::{answer, citation, fault, stop, usage};
use crate::{
    canonical::{
        event::{Began, Event, Reason},
        fault::Fault,
    },
    json::{Out, Text},
    speak::{CallFacts, WriteStream},
    usage::Usage,
};

/// The most that is held of later parts. Beyond it they are written between each other, which their indexes allow.
const MAX_HELD_BYTES: usize = 1024 * 1024;
const MAX_SEALED_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    call: CallFacts,
    /// In order of their numbers; only the first is written as it comes, unless `between`.
    open: VecDeque<Open>,
    held_bytes: usize,
    between: bool,
    usage: Usage,
    stopped: bool,
}

#[derive(Debug)]
struct Open {
    part: u32,
    kind: Kind,
    /// A message of it was written, or is held.
    said: bool,
    /// A tool call's arguments have begun.
    filled: bool,
    closed: bool,
    /// Messages that wait for an earlier part to close.
    held: Vec<u8>,
    /// Sealed data, whole: clients decode the base64 of each delta by itself.
    sealed: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Sealed,
    Call,
    /// Sealed data that outgrew its bound: a part of it is worth nothing.
    Lost,
}

/// Appends the exception that ends a stream.
pub(crate) fn write_failed(failed: &Fault, out: &mut Vec<u8>) {
    write_exception(out, fault::exception_in_stream(failed), |out| {
        fault::write_in_stream(failed, out);
    });
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Started { .. } => write_event(out, "messageStart", |out| {
                Out::new(out).open().key("role").string("assistant").close();
            }),
            Event::Began { choice: 0, part, what } => self.begin(*part, what, out),
            Event::Piece { choice: 0, part, text } => self.piece(*part, text, out),
            Event::Signature { choice: 0, part, text } => self.with(*part, out, |open, out| {
                if open.kind == Kind::Thinking {
                    open.delta(out, |json| {
                        json.key("reasoningContent").open();
                        json.key("signature").text(text).close();
                    });
                }
            }),
            Event::Citation {
                choice: 0,
                part,
                citation,
            } => self.with(*part, out, |open, out| {
                if open.kind == Kind::Text {
                    open.delta(out, |json| {
                        json.key("citation");
                        citation::write(citation, json);
                    });
                }
            }),
            Event::Closed { choice: 0, part } => self.close(*part, out),
            Event::Stopped { choice: 0, reason } => self.stop(reason, out),
            Event::Usage(usage) => self.usage.merge(usage),
            Event::Failed(failed) => {
                write_failed(failed, out);
            }
            Event::Ended => self.end(out),
            // Of other choices, which the dialect cannot tell apart, and of tokens.
            _ => {}
        }
    }
}

impl Writer {
    pub fn new(call: CallFacts) -> Writer {
        Writer {
            call,
            open: VecDeque::new(),
            held_bytes: 0,
            between: false,
            usage: Usage::default(),
            stopped: false,
        }
    }

    fn begin(&mut self, part: u32, what: &Began<'_>, out: &mut Vec<u8>) {
        let kind = match what {
            Began::Text | Began::Refusal => Kind::Text,
            Began::Thinking => Kind::Thinking,
            Began::Sealed { .. } => Kind::Sealed,
            Began::ToolCall { .. } => Kind::Call,
        };
        self.open.push_back(Open {
            part,
            kind,
            said: false,
            filled: false,
            closed: false,
            held: Vec::new(),
            sealed: Vec::new(),
        });
        let Began::ToolCall { id, name } = what else {
            return;
        };
        let id = id.clone().unwrap_or_else(|| Text::from(self.call.call_id(0, part)));
        self.with(part, out, |open, out| {
            open.said = true;
            write_event(out, "contentBlockStart", |out| {
                let mut json = Out::new(out);
                json.open().key("contentBlockIndex").unsigned(u64::from(part));
                json.key("start").open().key("toolUse").open();
                json.key("toolUseId").text(&id).key("name").text(name);
                json.close().close().close();
            });
        });
    }

    /// Lets `write` write of an open part, to where it belongs.
    fn with(&mut self, part: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Open, &mut Vec<u8>)) {
        let Ok(at) = self.open.binary_search_by_key(&part, |open| open.part) else {
            return;
        };
        let open = &mut self.open[at];
        if at == 0 || self.between {
            return write(open, out);
        }
        let mut held = std::mem::take(&mut open.held);
        let before = held.len();
        write(open, &mut held);
        self.held_bytes += held.len() - before;
        open.held = held;
        if self.held_bytes > MAX_HELD_BYTES {
            self.let_go(out);
        }
    }

    /// Writes all that is held.
    fn let_go(&mut self, out: &mut Vec<u8>) {
        self.between = true;
        self.held_bytes = 0;
        for open in &mut self.open {
            out.append(&mut open.held);
        }
        self.open.retain(|open| !open.closed);
    }

    fn piece(&mut self, part: u32, text: &Text<'_>, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.with(part, out, |open, out| {
            open.filled = true;
            match open.kind {
                Kind::Text => open.delta(out, |json| {
                    json.key("text").text(text);
                }),
                Kind::Thinking => open.delta(out, |json| {
                    json.key("reasoningContent").open().key("text").text(text).close();
                }),
                Kind::Call => open.delta(out, |json| {
                    json.key("toolUse").open().key("input").text(text).close();
                }),
                Kind::Sealed => {
                    text.write_escaped(&mut open.sealed);
                    if open.sealed.len() > MAX_SEALED_BYTES {
                        (open.kind, open.sealed) = (Kind::Lost, Vec::new());
                    }
                }
                Kind::Lost => {}
            }
        });
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        self.with(part, out, |open, out| {
            open.closed = true;
            let data = std::mem::take(&mut open.sealed);
            if !data.is_empty() {
                open.delta(out, |json| {
                    json.key("reasoningContent").open();
                    json.key("redactedContent").text(&Text::Escaped(&data)).close();
                });
            }
            if open.kind == Kind::Call && !open.filled {
                // Clients parse what they gathered.
                open.delta(out, |json| {
                    json.key("toolUse").open().key("input").string("{}").close();
                });
            }
            if open.said {
                write_event(out, "contentBlockStop", |out| {
                    let mut json = Out::new(out);
                    json.open().key("contentBlockIndex").unsigned(u64::from(part)).close();
                });
            }
        });
        if self.between {
            self.open.retain(|open| !open.closed);
            return;
        }
        while self.open.front().is_some_and(|open| open.closed) {
            self.open.pop_front();
            if let Some(next) = self.open.front_mut() {
                self.held_bytes -= next.held.len();
                out.append(&mut next.held);
            }
        }
    }

    fn stop(&mut self, reason: &Reason<'_>, out: &mut Vec<u8>) {
        self.stopped = true;
        // Nothing is held once all parts have closed; what is, comes before the stop.
        self.let_go(out);
        write_event(out, "messageStop", |out| {
            let mut json = Out::new(out);
            json.open().key("stopReason").text(&stop::word(reason));
            if let Some(sequence) = stop::sequence(Some(reason)) {
                answer::write_stop_sequence(sequence, &mut json);
            }
            json.close();
        });
    }

    /// Usage may come behind the stop; the last event tells it.
    fn end(&mut self, out: &mut Vec<u8>) {
        if !self.stopped {
            self.stop(&Reason::Stop, out);
        }
        let usage = self.usage;
        write_event(out, "metadata", |out| {
            let mut json = Out::new(out);
            json.open().key("usage");
            usage::write(Some(&usage), &mut json);
            answer::write_metrics(&mut json);
            json.close();
        });
    }
}

impl Open {
    fn delta(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Out<'_>)) {
        self.said = true;
        write_event(out, "contentBlockDelta", |out| {
            let mut json = Out::new(out);
            json.open().key("contentBlockIndex").unsigned(u64::from(self.part));
            json.key("delta").open();
            write(&mut json);
            json.close().close();
        });
    }
}
