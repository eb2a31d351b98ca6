//! A streamed answer, written. Each event is named, as the SDK drops those that are not. `message_start` waits for the
//! first event that is not usage, so that it can say what the prompt cost; the end is written at the end, for only then
//! is all of it known.

use crate::{
    canonical::event::{Began, Citation, Event, Reason},
    json::{Out, Text},
    speak::{CallFacts, WriteStream},
    usage::Usage,
};

use super::{answer, carried, citation, fault, usage};

/// What a part holds back until it is whole: sealed thinking and refusals. More is left out.
const MAX_HELD_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Writer {
    call: CallFacts,
    start: Start,
    usage: Usage,
    /// By number of the part.
    parts: Vec<Part>,
    next_index: u64,
    refusal: Option<Vec<u8>>,
    reason: Option<Reason<'static>>,
}

#[derive(Debug)]
enum Start {
    Held {
        id: Option<Text<'static>>,
        model: Option<Text<'static>>,
    },
    Written,
}

#[derive(Debug)]
struct Part {
    kind: Kind,
    /// Of its block, once that was begun.
    index: u64,
    /// What is held back, escaped.
    held: Vec<u8>,
    signature: Option<Text<'static>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    ToolCall,
    Sealed,
    Refusal,
}

impl Writer {
    pub(super) fn new(call: &CallFacts) -> Writer {
        Writer {
            call: call.clone(),
            start: Start::Held { id: None, model: None },
            usage: Usage::default(),
            parts: Vec::new(),
            next_index: 0,
            refusal: None,
            reason: None,
        }
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Started { id, model, .. } => {
                self.start = Start::Held {
                    id: id.clone().map(Text::into_owned),
                    model: model.clone().map(Text::into_owned),
                };
            }
            Event::Usage(usage) => self.usage.merge(usage),
            Event::Failed(fault) => named("error", out, |json| fault::write_object(fault, &self.call, json)),
            Event::Ended => self.end(out),
            Event::Stopped { choice: 0, reason } => self.reason = Some(reason.clone().into_owned()),
            Event::Began { choice: 0, what, .. } => self.begin(what, out),
            Event::Piece { choice: 0, part, text } => self.piece(*part, text, out),
            Event::Signature { choice: 0, part, text } => {
                if let Some(part) = self.part(*part) {
                    part.signature = Some(text.clone().into_owned());
                }
            }
            Event::Citation {
                choice: 0,
                part,
                citation,
            } => self.cite(*part, citation, out),
            Event::Closed { choice: 0, part } => self.close(*part, out),
            // Log probabilities, and choices beyond the first, which this dialect does not have.
            _ => {}
        }
    }
}

impl Writer {
    fn part(&mut self, number: u32) -> Option<&mut Part> {
        self.parts.get_mut(number as usize)
    }

    fn write_start(&mut self, out: &mut Vec<u8>) {
        let Start::Held { id, model } = std::mem::replace(&mut self.start, Start::Written) else {
            return;
        };
        named("message_start", out, |json| {
            json.key("message").open();
            answer::write_head(id.as_ref(), model.as_ref(), &self.call, json);
            json.key("content").open_list().close_list();
            json.key("stop_reason").null().key("stop_sequence").null();
            json.key("usage");
            usage::write(&self.usage, json);
            json.close();
        });
    }

    fn begin(&mut self, what: &Began<'_>, out: &mut Vec<u8>) {
        self.write_start(out);
        let number = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        let kind = match what {
            Began::Text => Kind::Text,
            Began::Thinking => Kind::Thinking,
            Began::ToolCall { .. } => Kind::ToolCall,
            Began::Sealed { .. } => Kind::Sealed,
            Began::Refusal => Kind::Refusal,
        };
        self.parts.push(Part {
            kind,
            index: self.next_index,
            held: Vec::new(),
            signature: None,
        });
        match what {
            Began::Text => self.block(out, |json| {
                json.string("text").key("text").string("");
            }),
            Began::Thinking => self.block(out, |json| {
                json.string("thinking").key("thinking").string("");
                json.key("signature").string("");
            }),
            Began::ToolCall { id, name } => {
                let call = self.call.clone();
                self.block(out, |json| {
                    json.string("tool_use");
                    answer::write_call_name(id.as_ref(), name, number, &call, json);
                    json.key("input").open().close();
                });
            }
            Began::Sealed { .. } => {}
            Began::Refusal => self.refusal = Some(Vec::new()),
        }
    }

    /// Begins a block; `what` writes its type and what follows.
    fn block(&mut self, out: &mut Vec<u8>, what: impl FnOnce(&mut Out<'_>)) {
        named("content_block_start", out, |json| {
            json.key("index").unsigned(self.next_index).key("content_block").open();
            json.key("type");
            what(json);
            json.close();
        });
        self.next_index += 1;
    }

    fn piece(&mut self, number: u32, text: &Text<'_>, out: &mut Vec<u8>) {
        let Some(part) = self.parts.get_mut(number as usize) else {
            return;
        };
        let (kind, key) = match part.kind {
            Kind::Text => ("text_delta", "text"),
            Kind::Thinking => ("thinking_delta", "thinking"),
            Kind::ToolCall => ("input_json_delta", "partial_json"),
            Kind::Sealed => {
                hold(text, &mut part.held);
                return;
            }
            Kind::Refusal => {
                hold(text, self.refusal.get_or_insert_default());
                return;
            }
        };
        delta(part.index, kind, out, |json| {
            json.key(key).text(text);
        });
    }

    fn cite(&mut self, number: u32, citation: &Citation<'_>, out: &mut Vec<u8>) {
        if let Some(part) = self.part(number).filter(|part| part.kind == Kind::Text) {
            delta(part.index, "citations_delta", out, |json| {
                json.key("citation");
                citation::write(citation, json);
            });
        }
    }

    fn close(&mut self, number: u32, out: &mut Vec<u8>) {
        let Some(part) = self.part(number) else { return };
        let (kind, index) = (part.kind, part.index);
        let (held, signature) = (std::mem::take(&mut part.held), part.signature.take());
        match kind {
            Kind::Refusal => return,
            Kind::Sealed if held.len() > MAX_HELD_BYTES => return,
            Kind::Sealed => {
                self.whole(out, |json| {
                    json.string("redacted_thinking").key("data").text(&Text::Escaped(&held));
                });
                return;
            }
            Kind::Thinking => {
                if let Some(signature) = &signature {
                    delta(index, "signature_delta", out, |json| {
                        json.key("signature").text(signature);
                    });
                }
            }
            Kind::Text | Kind::ToolCall => {}
        }
        stop(index, out);
        if let (Some(signature), Kind::Text | Kind::ToolCall) = (signature, kind) {
            self.whole(out, |json| carried::write_members(json, &signature));
        }
    }

    /// A block that begins, says all and stops.
    fn whole(&mut self, out: &mut Vec<u8>, what: impl FnOnce(&mut Out<'_>)) {
        let index = self.next_index;
        self.block(out, what);
        stop(index, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.write_start(out);
        named("message_delta", out, |json| {
            json.key("delta").open();
            let refusal = self
                .refusal
                .as_deref()
                .filter(|refusal| refusal.len() <= MAX_HELD_BYTES);
            answer::write_stop(self.reason.as_ref(), refusal.map(Text::Escaped), json);
            json.close().key("usage");
            usage::write(&self.usage, json);
        });
        named("message_stop", out, |_| {});
    }
}

/// One more than `MAX_HELD_BYTES` says that there was more.
fn hold(text: &Text<'_>, held: &mut Vec<u8>) {
    if held.len() <= MAX_HELD_BYTES {
        text.write_escaped(held);
    }
}

fn delta(index: u64, kind: &str, out: &mut Vec<u8>, what: impl FnOnce(&mut Out<'_>)) {
    named("content_block_delta", out, |json| {
        json.key("index").unsigned(index).key("delta").open();
        json.key("type").string(kind);
        what(json);
        json.close();
    });
}

fn stop(index: u64, out: &mut Vec<u8>) {
    named("content_block_stop", out, |json| {
        json.key("index").unsigned(index);
    });
}

/// An event; `what` writes the members behind its type.
fn named(name: &str, out: &mut Vec<u8>, what: impl FnOnce(&mut Out<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut json = Out::new(out);
    json.open().key("type").string(name);
    what(&mut json);
    json.close();
    out.extend_from_slice(b"\n\n");
}
