//! Writes a stream: each event numbered, each part and item begun and done, and the whole response at the end.

use super::{
    annotations,
    answer::{self, Stage},
    fault, layout,
    layout::{Item, Kind, Layout, Place},
    logprobs,
};
use crate::{
    canonical::{
        answer::{Answer, AnswerPart},
        event::{Began, Citation, Event, TokenLogprob},
        fault::{Fault, FaultKind},
    },
    json::{Out, Text},
    speak::{CallFacts, WriteStream},
};

/// What is kept of an answer to be repeated at its end.
const MAX_HELD_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Writer {
    call: CallFacts,
    answer: Answer,
    layout: Layout,
    /// Per part of the answer.
    parts: Vec<Part>,
    sequence: u64,
    begun: bool,
    over: bool,
}

#[derive(Debug)]
struct Part {
    place: Place,
    open: bool,
    /// Characters so far, counted where a citation asks for them, and the bytes they are in.
    chars: u64,
    counted_bytes: usize,
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.over || choice(event) != 0 {
            return;
        }
        if !matches!(event, Event::Failed(_)) {
            self.answer.take(event);
        }
        match event {
            Event::Started { .. } => self.begin(out),
            Event::Began { part, what, .. } => self.began(*part as usize, what, out),
            Event::Piece { part, text, .. } => self.piece(*part as usize, text, out),
            Event::Signature { part, .. } => self.signed(*part as usize),
            Event::Citation { part, citation, .. } => self.citation(*part as usize, citation, out),
            Event::Logprobs { part, tokens, .. } => self.logprobs(*part as usize, tokens, out),
            Event::Closed { part, .. } => self.closed(*part as usize, out),
            // Written at the end, when the usage is known as well.
            Event::Stopped { .. } | Event::Usage(_) => {}
            Event::Failed(fault) => self.fail(fault, out),
            Event::Ended => self.end(out),
        }
        if self.answer.held_bytes() > MAX_HELD_BYTES && !self.over {
            let fault = Fault::in_stream(
                FaultKind::Internal,
                "the answer is longer than the 16 MiB that the gateway can repeat at its end",
            );
            self.fail(&fault, out);
        }
    }
}

fn choice(event: &Event<'_>) -> u32 {
    match event {
        Event::Began { choice, .. }
        | Event::Piece { choice, .. }
        | Event::Signature { choice, .. }
        | Event::Citation { choice, .. }
        | Event::Logprobs { choice, .. }
        | Event::Closed { choice, .. }
        | Event::Stopped { choice, .. } => *choice,
        Event::Started { .. } | Event::Usage(_) | Event::Failed(_) | Event::Ended => 0,
    }
}

impl Writer {
    pub(super) fn new(call: &CallFacts) -> Writer {
        Writer {
            call: call.clone(),
            answer: Answer::default(),
            layout: Layout::default(),
            parts: Vec::new(),
            sequence: 0,
            begun: false,
            over: false,
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        for name in ["response.created", "response.in_progress"] {
            self.response(name, Stage::Begun, out);
        }
    }

    fn response(&mut self, name: &str, stage: Stage<'_>, out: &mut Vec<u8>) {
        let Writer {
            answer, layout, call, ..
        } = &*self;
        event(name, self.sequence, out, |json| {
            json.key("response");
            answer::response(answer, layout, stage, call, json);
        });
        self.sequence += 1;
    }

    fn began(&mut self, part: usize, what: &Began<'_>, out: &mut Vec<u8>) {
        if part != self.parts.len() {
            return;
        }
        self.begin(out);
        let items = self.layout.items.len();
        let place = self.layout.place(part, what, &self.call);
        self.parts.push(Part {
            place,
            open: true,
            chars: 0,
            counted_bytes: 0,
        });
        if self.layout.items.len() > items {
            self.item_begun(items, out);
        }
        match what {
            Began::Text | Began::Refusal => self.of_content("response.content_part.added", part, out, |part, json| {
                json.key("part");
                layout::write_content(part, json);
            }),
            Began::Thinking => self.of_summary("response.reasoning_summary_part.added", part, out, |_, json| {
                write_summary(&Text::EMPTY, json);
            }),
            Began::ToolCall { .. } | Began::Sealed { .. } => {}
        }
    }

    /// The item before may be done: nothing joins it any more.
    fn item_begun(&mut self, number: usize, out: &mut Vec<u8>) {
        if let Some(before) = number.checked_sub(1) {
            self.layout.items[before].full = true;
            self.item_done(before, "completed", out);
        }
        let Writer {
            answer, layout, call, ..
        } = &*self;
        event("response.output_item.added", self.sequence, out, |json| {
            json.key("output_index").unsigned(number as u64).key("item");
            layout::write_begun(&layout.items[number], answer::parts(answer), call, json);
        });
        self.sequence += 1;
    }

    /// Writes a whole item, once, if it takes no more parts and its parts are closed.
    fn item_done(&mut self, number: usize, status: &'static str, out: &mut Vec<u8>) {
        let item = &mut self.layout.items[number];
        let is_open = || item.parts.iter().any(|part| self.parts[*part].open);
        if !item.full || item.status.is_some() || is_open() {
            return;
        }
        item.status = Some(status);
        let item = &self.layout.items[number];
        event("response.output_item.done", self.sequence, out, |json| {
            json.key("output_index").unsigned(number as u64).key("item");
            layout::write(item, status, answer::parts(&self.answer), &self.call, json);
        });
        self.sequence += 1;
    }

    fn piece(&mut self, part: usize, text: &Text<'_>, out: &mut Vec<u8>) {
        let Some(what) = self.what(part).filter(|_| !text.is_empty()) else {
            return;
        };
        let delta = |_: &AnswerPart, json: &mut Out<'_>| {
            json.key("delta").text(text);
        };
        match what {
            Began::Text => self.of_content("response.output_text.delta", part, out, |_, json| {
                json.key("delta").text(text).key("logprobs").open_list().close_list();
            }),
            Began::Refusal => self.of_content("response.refusal.delta", part, out, delta),
            Began::Thinking => self.of_summary("response.reasoning_summary_text.delta", part, out, delta),
            Began::ToolCall { .. } => self.of_item("response.function_call_arguments.delta", part, out, delta),
            // Comes with its item.
            Began::Sealed { .. } => {}
        }
    }

    fn signed(&mut self, part: usize) {
        // A thought's signature takes the place of what seals an item.
        if self.what(part) == Some(&Began::Thinking) {
            self.layout.items[self.parts[part].place.item].full = true;
        }
    }

    fn citation(&mut self, part: usize, citation: &Citation<'_>, out: &mut Vec<u8>) {
        if self.what(part) != Some(&Began::Text) {
            return;
        }
        let chars = match citation.end {
            Some(_) => 0,
            None => self.chars(part),
        };
        self.of_content("response.output_text.annotation.added", part, out, |part, json| {
            let index = part.citations.len().saturating_sub(1);
            json.key("annotation_index").unsigned(index as u64).key("annotation");
            annotations::write(citation, chars, json);
        });
    }

    /// Counts only what came since it last did.
    fn chars(&mut self, part: usize) -> u64 {
        let counted = &mut self.parts[part];
        if let Some(Text::Escaped(raw)) = answer::parts(&self.answer).get(part).map(AnswerPart::text) {
            let new = raw.get(counted.counted_bytes..).unwrap_or_default();
            counted.chars += annotations::chars(&Text::Escaped(new));
            counted.counted_bytes = raw.len();
        }
        counted.chars
    }

    fn logprobs(&mut self, part: usize, tokens: &[TokenLogprob<'_>], out: &mut Vec<u8>) {
        if self.what(part) != Some(&Began::Text) {
            return;
        }
        // They have no event of their own: a delta that adds no text.
        self.of_content("response.output_text.delta", part, out, |_, json| {
            json.key("delta").string("").key("logprobs");
            logprobs::write(tokens, json);
        });
    }

    fn closed(&mut self, part: usize, out: &mut Vec<u8>) {
        let Some(what) = self.what(part) else { return };
        match what {
            Began::Text => self.of_content("response.output_text.done", part, out, |part, json| {
                json.key("text").text(&part.text()).key("logprobs");
                logprobs::write_gathered(&part.logprobs, json);
            }),
            Began::Refusal => self.of_content("response.refusal.done", part, out, |part, json| {
                json.key("refusal").text(&part.text());
            }),
            Began::Thinking => self.of_summary("response.reasoning_summary_text.done", part, out, |part, json| {
                json.key("text").text(&part.text());
            }),
            Began::ToolCall { .. } => self.of_item("response.function_call_arguments.done", part, out, |part, json| {
                if let Began::ToolCall { name, .. } = &part.what {
                    json.key("name").text(name);
                }
                json.key("arguments");
                layout::write_arguments(part, json);
            }),
            Began::Sealed { .. } => {}
        }
        self.part_done(part, out);
        self.parts[part].open = false;
        self.item_done(self.parts[part].place.item, "completed", out);
    }

    fn part_done(&mut self, part: usize, out: &mut Vec<u8>) {
        match self.what(part) {
            Some(Began::Text | Began::Refusal) => {
                self.of_content("response.content_part.done", part, out, |part, json| {
                    json.key("part");
                    layout::write_content(part, json);
                });
            }
            Some(Began::Thinking) => {
                self.of_summary("response.reasoning_summary_part.done", part, out, |part, json| {
                    write_summary(&part.text(), json);
                });
            }
            _ => {}
        }
    }

    /// What an open part is.
    fn what(&self, part: usize) -> Option<&Began<'static>> {
        self.parts.get(part).filter(|part| part.open)?;
        answer::parts(&self.answer).get(part).map(|part| &part.what)
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        let (status, _) = answer::outcome(&self.answer);
        // Only the last item still takes parts, and only it was cut short.
        if let Some(last) = self.layout.items.len().checked_sub(1) {
            self.layout.items[last].full = true;
            self.item_done(last, status, out);
        }
        let name = match status {
            "completed" => "response.completed",
            _ => "response.incomplete",
        };
        self.response(name, Stage::Over, out);
        self.over = true;
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        match self.begun {
            true => self.response("response.failed", Stage::Failed(fault), out),
            // There is no response that could have failed.
            false => event("error", self.sequence, out, |json| fault::write_event(fault, json)),
        }
        self.over = true;
    }

    fn of_content(
        &mut self,
        name: &str,
        part: usize,
        out: &mut Vec<u8>,
        write: impl FnOnce(&AnswerPart, &mut Out<'_>),
    ) {
        let index = self.parts[part].place.index as u64;
        self.of_item(name, part, out, |part, json| {
            json.key("content_index").unsigned(index);
            write(part, json);
        });
    }

    fn of_summary(
        &mut self,
        name: &str,
        part: usize,
        out: &mut Vec<u8>,
        write: impl FnOnce(&AnswerPart, &mut Out<'_>),
    ) {
        let index = self.parts[part].place.index as u64;
        self.of_item(name, part, out, |part, json| {
            json.key("summary_index").unsigned(index);
            write(part, json);
        });
    }

    /// An event about a part of an item.
    fn of_item(&mut self, name: &str, part: usize, out: &mut Vec<u8>, write: impl FnOnce(&AnswerPart, &mut Out<'_>)) {
        let Some(gathered) = answer::parts(&self.answer).get(part) else {
            return;
        };
        let number = self.parts[part].place.item;
        let Item { id, kind, .. } = &self.layout.items[number];
        debug_assert!(*kind == Kind::Call || !name.contains("function_call"));
        event(name, self.sequence, out, |json| {
            json.key("item_id")
                .string(id)
                .key("output_index")
                .unsigned(number as u64);
            write(gathered, json);
        });
        self.sequence += 1;
    }
}

fn write_summary(text: &Text<'_>, json: &mut Out<'_>) {
    json.key("part").open().key("type").string("summary_text");
    json.key("text").text(text).close();
}

fn event(name: &str, sequence: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Out<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let start = out.len();
    let mut json = Out::new(out);
    json.open()
        .key("type")
        .string(name)
        .key("sequence_number")
        .unsigned(sequence);
    write(&mut json);
    json.close();
    // Values that are copied as they came (a token's bytes) may be spread over lines, which would end the data.
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}
