//! A stream, written for a client.
//!
//! Content parts and tool calls are counted apart, as they are told apart by their events. Parts may overlap: each
//! event has its index. What the client must see last, the reason and the usage, waits for the end.

use super::{
    answer_writer::content_key,
    citation::{self, Cited, Place, Where},
    finish, logprobs, usage,
};
use crate::{
    canonical::{
        event::{Began, Citation, Event, Reason, TokenLogprob},
        fault::Fault,
    },
    json::{Out, Text},
    speak::{CallFacts, WriteStream},
    usage::Usage,
};

#[derive(Debug)]
pub(super) struct Writer {
    call: CallFacts,
    id: Text<'static>,
    parts: Vec<Part>,
    contents: u64,
    calls: u64,
    citations: u64,
    reason: Option<Reason<'static>>,
    usage: Option<Usage>,
}

/// What became of a part; its place in the list is its number.
#[derive(Debug)]
enum Part {
    Content {
        index: u64,
        key: &'static str,
        text: Cited,
        /// Those of the whole part, whose end is not known before it ends.
        waiting: Vec<Citation<'static>>,
    },
    Call {
        index: u64,
        has_arguments: bool,
    },
    /// What this dialect has no place for, and what is closed.
    None,
}

/// Citations that wait for the end of their part; more are given the part as it stands.
const MAX_WAITING: usize = 4_096;

impl Writer {
    pub fn new(call: &CallFacts) -> Writer {
        Writer {
            id: Text::from(call.request_id.clone()),
            call: call.clone(),
            parts: Vec::new(),
            contents: 0,
            calls: 0,
            citations: 0,
            reason: None,
            usage: None,
        }
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Started { id, .. } => self.start(id.as_ref(), out),
            Event::Began { choice: 0, part, what } => self.begin(*part, what, out),
            Event::Piece { choice: 0, part, text } => self.piece(*part, text, out),
            Event::Citation {
                choice: 0,
                part,
                citation,
            } => self.citation(*part, citation, out),
            Event::Logprobs {
                choice: 0,
                part,
                tokens,
            } => self.logprobs(*part, tokens, out),
            Event::Closed { choice: 0, part } => self.close(*part, out),
            Event::Stopped { choice: 0, reason } => self.reason = Some(reason.clone().into_owned()),
            Event::Usage(usage) => self.usage.get_or_insert_default().merge(usage),
            Event::Failed(fault) => self.end(Some(fault), out),
            Event::Ended => {
                self.end(None, out);
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            // A signature has no place, nor has a second choice.
            _ => {}
        }
    }
}

/// Writes one event: its type, and what `body` adds behind it.
fn event(kind: &str, out: &mut Vec<u8>, body: impl FnOnce(&mut Out<'_>)) {
    for text in ["event: ", kind, "\ndata: "] {
        out.extend_from_slice(text.as_bytes());
    }
    let mut json = Out::new(out);
    json.open().key("type").string(kind);
    body(&mut json);
    json.close();
    out.extend_from_slice(b"\n\n");
}

/// `"index":…,"delta":{"message":{…}}`
fn delta(index: u64, json: &mut Out<'_>, message: impl FnOnce(&mut Out<'_>)) {
    json.key("index").unsigned(index);
    json.key("delta").open().key("message").open();
    message(json);
    json.close().close();
}

fn index_of(index: u64, json: &mut Out<'_>) {
    json.key("index").unsigned(index);
}

fn content_delta(index: u64, key: &str, text: &Text<'_>, json: &mut Out<'_>) {
    delta(index, json, |json| {
        json.key("content").open().key(key).text(text).close();
    });
}

impl Writer {
    fn start(&mut self, id: Option<&Text<'_>>, out: &mut Vec<u8>) {
        if let Some(id) = id {
            self.id = id.clone().into_owned();
        }
        event("message-start", out, |json| {
            json.key("id").text(&self.id);
            json.key("delta").open().key("message").open();
            json.key("role").string("assistant");
            json.key("content").open_list().close_list();
            json.key("tool_plan").string("");
            json.key("tool_calls").open_list().close_list();
            json.key("citations").open_list().close_list();
            json.close().close();
        });
    }

    fn begin(&mut self, part: u32, what: &Began<'_>, out: &mut Vec<u8>) {
        let written = match what {
            Began::ToolCall { id, name } => self.begin_call(part, id.as_ref(), name, out),
            what => match content_key(what) {
                Some(key) => self.begin_content(key, out),
                None => Part::None,
            },
        };
        self.parts.push(written);
    }

    fn begin_content(&mut self, key: &'static str, out: &mut Vec<u8>) -> Part {
        let index = self.contents;
        self.contents += 1;
        event("content-start", out, |json| {
            delta(index, json, |json| {
                json.key("content").open().key("type").string(key);
                json.key(key).string("").close();
            });
        });
        Part::Content {
            index,
            key,
            text: Cited::default(),
            waiting: Vec::new(),
        }
    }

    fn begin_call(&mut self, part: u32, id: Option<&Text<'_>>, name: &Text<'_>, out: &mut Vec<u8>) -> Part {
        let index = self.calls;
        self.calls += 1;
        event("tool-call-start", out, |json| {
            delta(index, json, |json| {
                json.key("tool_calls").open().key("id");
                match id {
                    Some(id) => json.text(id),
                    None => json.string(&self.call.call_id(0, part)),
                };
                json.key("type").string("function");
                json.key("function").open().key("name").text(name);
                json.key("arguments").string("").close().close();
            });
        });
        Part::Call {
            index,
            has_arguments: false,
        }
    }

    fn part(&mut self, part: u32) -> Option<&mut Part> {
        self.parts.get_mut(part as usize)
    }

    fn piece(&mut self, part: u32, piece: &Text<'_>, out: &mut Vec<u8>) {
        match self.part(part) {
            Some(Part::Content { index, key, text, .. }) => {
                text.push(piece);
                event("content-delta", out, |json| content_delta(*index, key, piece, json));
            }
            Some(Part::Call { index, has_arguments }) => {
                *has_arguments = true;
                arguments_delta(*index, piece, out);
            }
            Some(Part::None) | None => {}
        }
    }

    fn citation(&mut self, part: u32, citation: &Citation<'_>, out: &mut Vec<u8>) {
        let number = self.citations;
        let Some(Part::Content {
            index,
            key,
            text,
            waiting,
            ..
        }) = self.part(part)
        else {
            return;
        };
        if citation.end.is_none() && waiting.len() < MAX_WAITING {
            waiting.push(citation.clone().into_owned());
            return;
        }
        cite(number, std::slice::from_ref(citation), &place(*index, key, text), out);
        self.citations += 1;
    }

    /// Each token's beside an empty delta: their texts are out already.
    fn logprobs(&mut self, part: u32, tokens: &[TokenLogprob<'_>], out: &mut Vec<u8>) {
        let Some(Part::Content { index, key: "text", .. }) = self.part(part) else {
            return;
        };
        for token in tokens {
            event("content-delta", out, |json| {
                content_delta(*index, "text", &Text::EMPTY, json);
                json.key("logprobs");
                logprobs::write(token, json);
            });
        }
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(closing) = self.part(part) else { return };
        match std::mem::replace(closing, Part::None) {
            Part::Content {
                index,
                key,
                text,
                waiting,
            } => {
                for citations in citation::of_one_place(&waiting) {
                    cite(self.citations, citations, &place(index, key, &text), out);
                    self.citations += 1;
                }
                event("content-end", out, |json| index_of(index, json));
            }
            Part::Call { index, has_arguments } => {
                if !has_arguments {
                    arguments_delta(index, &Text::from("{}"), out);
                }
                event("tool-call-end", out, |json| index_of(index, json));
            }
            Part::None => {}
        }
    }

    fn end(&mut self, fault: Option<&Fault>, out: &mut Vec<u8>) {
        let reason = finish::word(self.reason.as_ref(), fault);
        event("message-end", out, |json| {
            json.key("id").text(&self.id);
            json.key("delta").open();
            if let Some(fault) = fault {
                json.key("error").string(&fault.message);
            }
            json.key("finish_reason").text(&reason);
            if let Some(used) = &self.usage {
                usage::write(used, json);
            }
            json.close();
        });
    }
}

fn arguments_delta(index: u64, arguments: &Text<'_>, out: &mut Vec<u8>) {
    event("tool-call-delta", out, |json| {
        delta(index, json, |json| {
            json.key("tool_calls").open().key("function").open();
            json.key("arguments").text(arguments).close().close();
        });
    });
}

fn place<'p>(index: u64, key: &str, text: &'p Cited) -> Place<'p> {
    Place {
        what: if key == "thinking" {
            Where::Thinking
        } else {
            Where::Text
        },
        content_index: Some(index),
        text,
    }
}

fn cite(number: u64, citations: &[Citation<'_>], place: &Place<'_>, out: &mut Vec<u8>) {
    event("citation-start", out, |json| {
        delta(number, json, |json| {
            json.key("citations");
            citation::write(citations, place, json);
        });
    });
    event("citation-end", out, |json| index_of(number, json));
}
