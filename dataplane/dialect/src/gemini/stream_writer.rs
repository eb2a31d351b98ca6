//! A streamed answer to a client: a response per piece, and one more that says how it ended.
//!
//! Calls are gathered, for they come whole in this dialect. What a client sees at its end (finish reasons, sources,
//! usage) is in the last response.

use super::{
    answer_writer::{Written, write_origin, write_part},
    citations::{self, Placed, Said},
    fault, finish, logprobs, usage,
};
use crate::{
    canonical::{
        answer::{MAX_CHOICES, write_logprobs},
        event::{Began, Citation, Event, Reason},
        fault::Fault,
    },
    json::{Out, Text},
    speak::{CallFacts, WriteStream},
    usage::Usage,
};

/// Bytes of a call's arguments; a longer one is no call that any client could take.
const MAX_CALL_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    call: CallFacts,
    /// The members that end every response.
    origin: Vec<u8>,
    has_written: bool,
    open: Vec<Open>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

/// A part under way.
#[derive(Debug)]
struct Open {
    at: (u32, u32),
    what: Began<'static>,
    /// What came of it, where it is written whole.
    gathered: Vec<u8>,
    is_too_long: bool,
    signature: Option<Text<'static>>,
    said: Said,
    citations: Vec<Citation<'static>>,
}

#[derive(Debug, Default)]
struct Choice {
    reason: Option<Reason<'static>>,
    is_malformed: bool,
    citations: Vec<Placed<'static>>,
}

impl Writer {
    pub fn new(call: &CallFacts) -> Writer {
        let mut writer = Writer {
            call: call.clone(),
            origin: Vec::new(),
            has_written: false,
            open: Vec::new(),
            choices: Vec::new(),
            usage: None,
        };
        writer.start(None, None);
        writer
    }

    fn start(&mut self, model: Option<&Text<'_>>, id: Option<&Text<'_>>) {
        self.origin.clear();
        write_origin(model, id, &self.call, &mut Out::new(&mut self.origin));
    }

    fn opened(&mut self, at: (u32, u32)) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.at == at)
    }

    fn choice(&mut self, choice: u32) -> &mut Choice {
        let choice = (choice as usize).min(MAX_CHOICES - 1);
        if self.choices.len() <= choice {
            self.choices.resize_with(choice + 1, Choice::default);
        }
        &mut self.choices[choice]
    }

    /// One response.
    fn response(&mut self, out: &mut Vec<u8>, members: impl FnOnce(&mut Out<'_>)) {
        let as_array = self.call.as_array;
        out.extend_from_slice(match (as_array, self.has_written) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\r\n",
        });
        self.has_written = true;
        let mut json = Out::new(out);
        json.open();
        members(&mut json);
        json.close();
        if !as_array {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    /// A response that holds one candidate's part.
    fn part(&mut self, choice: u32, out: &mut Vec<u8>, part: impl FnOnce(&mut Out<'_>)) {
        let origin = std::mem::take(&mut self.origin);
        self.response(out, |json| {
            json.key("candidates")
                .open_list()
                .open()
                .key("content")
                .open()
                .key("parts")
                .open_list();
            part(json);
            json.close_list().key("role").string("model").close();
            json.key("index")
                .unsigned(u64::from(choice))
                .close()
                .close_list()
                .raw(&origin);
        });
        self.origin = origin;
    }

    fn piece(&mut self, at: (u32, u32), text: &Text<'_>, out: &mut Vec<u8>) {
        let Some(open) = self.opened(at) else { return };
        match &open.what {
            Began::ToolCall { .. } | Began::Sealed { .. } => open.gather(text),
            _ if text.is_empty() => {}
            what => {
                let what = what.clone();
                open.said.take(text);
                self.part(at.0, out, |json| {
                    write_part(&what, text, None, json);
                });
            }
        }
    }

    /// What is left of a part: all of it where it was gathered, else its signature.
    fn close(&mut self, at: (u32, u32), out: &mut Vec<u8>) {
        let Some(index) = self.open.iter().position(|open| open.at == at) else {
            return;
        };
        let open = self.open.swap_remove(index);
        let mut part = Vec::new();
        let gathered = Text::Escaped(&open.gathered);
        let written = match open.is_too_long {
            true => Written::Malformed,
            false => write_part(&open.what, &gathered, open.signature.as_ref(), &mut Out::new(&mut part)),
        };
        match written {
            Written::Part => self.part(at.0, out, |json| {
                json.raw(&part);
            }),
            Written::Nothing => {}
            Written::Malformed => self.choice(at.0).is_malformed = true,
        }
        if !open.citations.is_empty() {
            let places = open.said.places();
            let placed = open
                .citations
                .into_iter()
                .map(|citation| places.place(u64::from(at.1), citation));
            self.choice(at.0).citations.extend(placed);
        }
    }

    fn logprobs(&mut self, choice: u32, tokens: &[u8], out: &mut Vec<u8>) {
        let origin = std::mem::take(&mut self.origin);
        self.response(out, |json| {
            json.key("candidates").open_list().open();
            json.key("content")
                .raw(NO_PARTS)
                .key("index")
                .unsigned(u64::from(choice));
            logprobs::write(tokens, json);
            json.close().close_list().raw(&origin);
        });
        self.origin = origin;
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let origin = std::mem::take(&mut self.origin);
        let (choices, said) = (std::mem::take(&mut self.choices), self.usage);
        self.response(out, |json| {
            json.key("candidates").open_list();
            for (index, choice) in (0..).zip(&choices) {
                choice.write_end(index, json);
            }
            json.close_list();
            if let Some(said) = &said {
                usage::write(said, json.key("usageMetadata"));
            }
            json.raw(&origin);
        });
        self.close_array(out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.response(out, |json| fault::write_error(fault, json));
        self.close_array(out);
    }

    fn close_array(&self, out: &mut Vec<u8>) {
        if self.call.as_array {
            out.push(b']');
        }
    }
}

/// A content that says nothing: the SDK's chats take one without parts for no answer.
const NO_PARTS: &[u8] = br#"{"parts":[{"text":""}],"role":"model"}"#;

fn owned(what: &Began<'_>) -> Began<'static> {
    let own = |text: &Option<Text<'_>>| text.clone().map(Text::into_owned);
    match what {
        Began::Text => Began::Text,
        Began::Thinking => Began::Thinking,
        Began::Refusal => Began::Refusal,
        Began::Sealed { id } => Began::Sealed { id: own(id) },
        Began::ToolCall { id, name } => Began::ToolCall {
            id: own(id),
            name: name.clone().into_owned(),
        },
    }
}

impl Open {
    fn gather(&mut self, text: &Text<'_>) {
        if !self.is_too_long {
            text.write_escaped(&mut self.gathered);
            self.is_too_long = self.gathered.len() > MAX_CALL_BYTES;
        }
        if self.is_too_long {
            self.gathered = Vec::new();
        }
    }
}

impl Choice {
    fn write_end(&self, index: u64, json: &mut Out<'_>) {
        json.open();
        if !matches!(self.reason, Some(Reason::Filtered | Reason::Refused)) {
            json.key("content").raw(NO_PARTS);
        }
        let word = match self.is_malformed {
            true => finish::MALFORMED_CALL,
            false => finish::word(self.reason.as_ref()),
        };
        json.key("finishReason").string(word).key("index").unsigned(index);
        citations::write(&self.citations, json);
        json.close();
    }
}

impl WriteStream for Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Started { id, model, .. } => self.start(model.as_ref(), id.as_ref()),
            Event::Began { choice, part, what } => {
                self.choice(*choice);
                self.open.push(Open {
                    at: (*choice, *part),
                    what: owned(what),
                    gathered: Vec::new(),
                    is_too_long: false,
                    signature: None,
                    said: Said::default(),
                    citations: Vec::new(),
                });
            }
            Event::Piece { choice, part, text } => self.piece((*choice, *part), text, out),
            Event::Signature { choice, part, text } => {
                if let Some(open) = self.opened((*choice, *part)) {
                    open.signature = Some(text.clone().into_owned());
                }
            }
            Event::Citation { choice, part, citation } => {
                if let Some(open) = self.opened((*choice, *part)) {
                    open.citations.push(citation.clone().into_owned());
                }
            }
            Event::Logprobs { choice, tokens, .. } => {
                let mut written = Vec::new();
                write_logprobs(tokens, &mut written);
                self.logprobs(*choice, &written, out);
            }
            Event::Closed { choice, part } => self.close((*choice, *part), out),
            Event::Stopped { choice, reason } => self.choice(*choice).reason = Some(reason.clone().into_owned()),
            Event::Usage(usage) => self.usage.get_or_insert_default().merge(usage),
            Event::Failed(fault) => self.fail(fault, out),
            Event::Ended => self.end(out),
        }
    }
}
