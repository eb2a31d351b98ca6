//! A streamed answer, written: chunks as the SDK joins them.
//!
//! Lists within a delta have an `index` each, by which the SDK joins what belongs together; strings of the same place
//! are appended to one another, so an id or a name is said once.

use crate::{
    canonical::{
        answer::write_logprobs,
        event::{Began, Citation, Event, Reason},
    },
    json::{Out, Text},
    speak::{CallFacts, WriteStream},
    usage::Usage,
};

use super::{
    annotation, answer, extra, fault,
    finish::{self, Seen},
    usage,
};

/// Citations held of one part until it closes.
const MAX_CITATIONS: usize = 1_024;

#[derive(Debug)]
pub(super) struct Writer {
    call: CallFacts,
    /// What every chunk begins with, up to the inside of `choices`.
    opening: Vec<u8>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct Choice {
    parts: Vec<Part>,
    calls: u32,
    details: u32,
    annotations: u32,
    /// Of the content so far.
    characters: u64,
    seen: Seen,
}

#[derive(Debug)]
enum Part {
    Text {
        begin: u64,
        citations: Vec<Citation<'static>>,
    },
    Refusal,
    Thinking {
        detail: u32,
    },
    Sealed {
        detail: u32,
    },
    Call {
        index: u32,
        empty: bool,
    },
}

/// What stands beside a choice's delta.
enum Beside<'b> {
    Nothing,
    Logprobs { refusal: bool, tokens: &'b [u8] },
    Finish(&'static str),
}

impl Writer {
    pub fn new(call: &CallFacts) -> Writer {
        let mut writer = Writer {
            call: call.clone(),
            opening: Vec::new(),
            choices: Vec::new(),
            usage: None,
        };
        writer.start((None, None), None);
        writer
    }

    fn start(&mut self, names: (Option<&Text<'_>>, Option<&Text<'_>>), created_unix_s: Option<u64>) {
        self.opening.clear();
        self.opening.extend_from_slice(b"data: ");
        let mut json = Out::new(&mut self.opening);
        json.open();
        answer::write_head(&mut json, "chat.completion.chunk", names, created_unix_s, &self.call);
        json.key("choices").open_list();
    }

    /// Appends a chunk of one choice; `delta` writes the members of its delta.
    fn chunk(&self, choice: u32, out: &mut Vec<u8>, beside: Beside<'_>, delta: impl FnOnce(&mut Out<'_>)) {
        out.extend_from_slice(&self.opening);
        let mut json = Out::new(out);
        json.open().key("index").unsigned(choice.into());
        json.key("delta").open();
        delta(&mut json);
        json.close().key("logprobs");
        match beside {
            Beside::Logprobs { refusal, tokens } => {
                let (content, refused) = if refusal {
                    ("refusal", "content")
                } else {
                    ("content", "refusal")
                };
                json.open().key(content).open_list().raw(tokens).close_list();
                json.key(refused).null().close();
            }
            _ => {
                json.null();
            }
        }
        json.key("finish_reason");
        match beside {
            Beside::Finish(word) => json.string(word),
            _ => json.null(),
        };
        json.close();
        let closing: &[u8] = if self.call.stream_usage {
            b"],\"usage\":null}\n\n"
        } else {
            b"]}\n\n"
        };
        out.extend_from_slice(closing);
    }

    /// The state of a choice. Its first chunk names the role, and so do those of the choices before it: the SDK takes
    /// choices in the order of their numbers.
    fn choice(&mut self, choice: u32, silent: bool, out: &mut Vec<u8>) -> &mut Choice {
        while self.choices.len() <= choice as usize {
            let number = self.choices.len() as u32;
            self.choices.push(Choice::default());
            self.chunk(number, out, Beside::Nothing, |json| {
                json.key("role").string("assistant").key("content");
                match silent && number == choice {
                    true => json.null(),
                    false => json.string(""),
                };
                json.key("refusal").null();
            });
        }
        &mut self.choices[choice as usize]
    }

    fn part(&mut self, choice: u32, part: u32) -> Option<&mut Part> {
        self.choices.get_mut(choice as usize)?.parts.get_mut(part as usize)
    }

    fn begin(&mut self, choice: u32, part: u32, what: &Began<'_>, out: &mut Vec<u8>) {
        let is_call = matches!(what, Began::ToolCall { .. });
        let state = self.choice(choice, is_call, out);
        state.seen.calls |= is_call;
        state.seen.refusal |= matches!(what, Began::Refusal);
        let next = |count: &mut u32| std::mem::replace(count, *count + 1);
        let begun = match what {
            Began::Text => Part::Text {
                begin: state.characters,
                citations: Vec::new(),
            },
            Began::Refusal => Part::Refusal,
            Began::Thinking => Part::Thinking {
                detail: next(&mut state.details),
            },
            Began::Sealed { .. } => Part::Sealed {
                detail: next(&mut state.details),
            },
            Began::ToolCall { .. } => Part::Call {
                index: next(&mut state.calls),
                empty: true,
            },
        };
        match (what, &begun) {
            (Began::ToolCall { id, name }, Part::Call { index, .. }) => {
                self.chunk(choice, out, Beside::Nothing, |json| {
                    begin_call(json, *index);
                    match id {
                        Some(id) => json.key("id").text(id),
                        None => json.key("id").string(&self.call.call_id(choice, part)),
                    };
                    json.key("type").string("function");
                    json.key("function").open().key("name").text(name);
                    json.key("arguments").string("").close().close().close_list();
                });
            }
            (Began::Sealed { id }, Part::Sealed { detail }) => {
                self.chunk(choice, out, Beside::Nothing, |json| {
                    begin_detail(json, "reasoning.encrypted", *detail);
                    if let Some(id) = id {
                        json.key("id").text(id);
                    }
                    json.key("data").string("").close().close_list();
                });
            }
            _ => {}
        }
        self.choices[choice as usize].parts.push(begun);
    }

    fn piece(&mut self, choice: u32, part: u32, text: &Text<'_>, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        match self.part(choice, part) {
            None => {}
            Some(Part::Text { .. }) => {
                self.choices[choice as usize].characters += annotation::characters(text);
                self.chunk(choice, out, Beside::Nothing, |json| {
                    json.key("content").text(text);
                });
            }
            Some(Part::Refusal) => self.chunk(choice, out, Beside::Nothing, |json| {
                json.key("refusal").text(text);
            }),
            Some(&mut Part::Thinking { detail }) => self.chunk(choice, out, Beside::Nothing, |json| {
                json.key("reasoning_content").text(text);
                begin_detail(json, "reasoning.text", detail);
                json.key("text").text(text).close().close_list();
            }),
            Some(&mut Part::Sealed { detail }) => self.chunk(choice, out, Beside::Nothing, |json| {
                begin_detail(json, "reasoning.encrypted", detail);
                json.key("data").text(text).close().close_list();
            }),
            Some(Part::Call { index, empty }) => {
                *empty = false;
                let index = *index;
                self.arguments(choice, index, text, out);
            }
        }
    }

    fn arguments(&self, choice: u32, index: u32, text: &Text<'_>, out: &mut Vec<u8>) {
        self.chunk(choice, out, Beside::Nothing, |json| {
            begin_call(json, index);
            json.key("function").open().key("arguments").text(text);
            json.close().close().close_list();
        });
    }

    fn signature(&mut self, choice: u32, part: u32, text: &Text<'_>, out: &mut Vec<u8>) {
        match self.part(choice, part) {
            Some(&mut Part::Thinking { detail }) => self.chunk(choice, out, Beside::Nothing, |json| {
                begin_detail(json, "reasoning.text", detail);
                json.key("signature").text(text).close().close_list();
            }),
            // The SDK's helper wants a function in every delta of a call.
            Some(&mut Part::Call { index, .. }) => self.chunk(choice, out, Beside::Nothing, |json| {
                begin_call(json, index);
                json.key("function").open().key("arguments").string("").close();
                extra::write_signature(json, text);
                json.close().close_list();
            }),
            Some(Part::Text { .. }) => self.chunk(choice, out, Beside::Nothing, |json| {
                extra::write_signature(json, text);
            }),
            _ => {}
        }
    }

    fn logprobs(&mut self, choice: u32, part: u32, tokens: &[u8], out: &mut Vec<u8>) {
        let refusal = match self.part(choice, part) {
            Some(Part::Text { .. }) => false,
            Some(Part::Refusal) => true,
            _ => return,
        };
        self.chunk(choice, out, Beside::Logprobs { refusal, tokens }, |_| {});
    }

    fn close(&mut self, choice: u32, part: u32, out: &mut Vec<u8>) {
        match self.part(choice, part) {
            Some(&mut Part::Call { index, empty: true }) => self.arguments(choice, index, &Text::from("{}"), out),
            Some(Part::Text { begin, citations }) => {
                let (begin, citations) = (*begin, std::mem::take(citations));
                self.annotations(choice, begin, &citations, out);
            }
            _ => {}
        }
    }

    fn annotations(&mut self, choice: u32, begin: u64, citations: &[Citation<'_>], out: &mut Vec<u8>) {
        if citations.is_empty() {
            return;
        }
        let state = &mut self.choices[choice as usize];
        let (first, range) = (state.annotations, (begin, state.characters));
        state.annotations += citations.len() as u32;
        self.chunk(choice, out, Beside::Nothing, |json| {
            json.key("annotations").open_list();
            for (index, citation) in (first..).zip(citations) {
                annotation::write(citation, range, Some(index), json);
            }
            json.close_list();
        });
    }

    fn stop(&mut self, choice: u32, reason: &Reason<'_>, out: &mut Vec<u8>) {
        let seen = self.choice(choice, false, out).seen;
        self.chunk(choice, out, Beside::Finish(finish::word(reason, seen)), |_| {});
    }

    /// Usage comes last: the SDK's helper keeps what the last chunk says.
    fn end(&self, out: &mut Vec<u8>) {
        if let (Some(used), true) = (&self.usage, self.call.stream_usage) {
            out.extend_from_slice(&self.opening);
            out.extend_from_slice(b"],\"usage\":");
            usage::write(used, &mut Out::new(out));
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// Begins the list of calls with an object of this index; the caller closes both.
fn begin_call(json: &mut Out<'_>, index: u32) {
    json.key("tool_calls").open_list();
    json.open().key("index").unsigned(index.into());
}

fn begin_detail(json: &mut Out<'_>, kind: &str, detail: u32) {
    json.key("reasoning_details").open_list();
    json.open().key("type").string(kind);
    json.key("index").unsigned(detail.into());
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Started {
                id,
                model,
                created_unix_s,
            } => self.start((id.as_ref(), model.as_ref()), *created_unix_s),
            Event::Began { choice, part, what } => self.begin(*choice, *part, what, out),
            Event::Piece { choice, part, text } => self.piece(*choice, *part, text, out),
            Event::Signature { choice, part, text } => self.signature(*choice, *part, text, out),
            Event::Citation { choice, part, citation } => {
                if let Some(Part::Text { citations, .. }) = self.part(*choice, *part)
                    && citations.len() < MAX_CITATIONS
                    && annotation::is_told(citation)
                {
                    citations.push(citation.clone().into_owned());
                }
            }
            Event::Logprobs { choice, part, tokens } => {
                let mut written = Vec::new();
                write_logprobs(tokens, &mut written);
                self.logprobs(*choice, *part, &written, out);
            }
            Event::Closed { choice, part } => self.close(*choice, *part, out),
            Event::Stopped { choice, reason } => self.stop(*choice, reason, out),
            Event::Usage(used) => self.usage.get_or_insert_default().merge(used),
            Event::Failed(fault) => {
                out.extend_from_slice(b"data: ");
                fault::write(fault, out);
                out.extend_from_slice(b"\n\n");
            }
            Event::Ended => self.end(out),
        }
    }
}
