//! A whole answer, gathered from events: what a writer of a buffered answer needs at once.

use super::{
    event::{Began, Citation, Event, Reason, TokenLogprob},
    fault::Fault,
};
use crate::{json::Text, usage::Usage};

/// Owns its bytes: events borrow from reads that are gone by the time it is written.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub id: Option<Text<'static>>,
    pub model: Option<Text<'static>>,
    pub created_unix_s: Option<u64>,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    pub fault: Option<Fault>,
    pub ended: bool,
    held_bytes: usize,
}

/// What they say counts, not in how many pieces it came.
impl PartialEq for Answer {
    fn eq(&self, other: &Answer) -> bool {
        let names = |answer: &Answer| (answer.id.clone(), answer.model.clone(), answer.created_unix_s);
        let outcome = |answer: &Answer| (answer.usage, answer.ended);
        names(self) == names(other)
            && outcome(self) == outcome(other)
            && self.choices == other.choices
            && self.fault == other.fault
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    pub parts: Vec<AnswerPart>,
    pub reason: Option<Reason<'static>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AnswerPart {
    pub what: Began<'static>,
    /// What came in pieces, as it stands between the quotes of a JSON string. See `text`.
    escaped: Vec<u8>,
    pub signature: Option<Text<'static>>,
    pub citations: Vec<Citation<'static>>,
    /// Raw JSON of OpenAI's shape (`[{"token","logprob","bytes","top_logprobs"}]` without the brackets).
    pub logprobs: Vec<u8>,
}

impl AnswerPart {
    pub fn text(&self) -> Text<'_> {
        Text::Escaped(&self.escaped)
    }
}

impl Answer {
    /// What it costs to hold, structs and all; the caller bounds it.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub fn take(&mut self, event: &Event<'_>) {
        self.held_bytes += event.weight_bytes();
        match event {
            Event::Started {
                id,
                model,
                created_unix_s,
            } => {
                self.id = id.clone().map(Text::into_owned);
                self.model = model.clone().map(Text::into_owned);
                self.created_unix_s = *created_unix_s;
            }
            Event::Began { choice, what, .. } => {
                let what = owned(what);
                self.choice(*choice).parts.push(AnswerPart {
                    what,
                    escaped: Vec::new(),
                    signature: None,
                    citations: Vec::new(),
                    logprobs: Vec::new(),
                });
            }
            Event::Piece { choice, part, text } => {
                if let Some(part) = self.part(*choice, *part) {
                    text.write_escaped(&mut part.escaped);
                }
            }
            Event::Signature { choice, part, text } => {
                if let Some(part) = self.part(*choice, *part) {
                    part.signature = Some(text.clone().into_owned());
                }
            }
            Event::Citation { choice, part, citation } => {
                if let Some(part) = self.part(*choice, *part) {
                    part.citations.push(citation.clone().into_owned());
                }
            }
            Event::Logprobs { choice, part, tokens } => {
                if let Some(part) = self.part(*choice, *part) {
                    write_logprobs(tokens, &mut part.logprobs);
                }
            }
            Event::Stopped { choice, reason } => self.choice(*choice).reason = Some(reason.clone().into_owned()),
            Event::Usage(usage) => self.usage.get_or_insert_default().merge(usage),
            Event::Failed(fault) => self.fault = Some(fault.clone()),
            Event::Closed { .. } => {}
            Event::Ended => self.ended = true,
        }
    }

    fn choice(&mut self, choice: u32) -> &mut Choice {
        let choice = (choice as usize).min(MAX_CHOICES - 1);
        if self.choices.len() <= choice {
            self.choices.resize_with(choice + 1, Choice::default);
        }
        &mut self.choices[choice]
    }

    fn part(&mut self, choice: u32, part: u32) -> Option<&mut AnswerPart> {
        self.choice(choice).parts.get_mut(part as usize)
    }
}

/// OpenAI's own bound on `n`.
pub const MAX_CHOICES: usize = 128;

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

impl Reason<'_> {
    pub fn into_owned(self) -> Reason<'static> {
        match self {
            Reason::Stop => Reason::Stop,
            Reason::StopSequence(text) => Reason::StopSequence(text.map(Text::into_owned)),
            Reason::Length => Reason::Length,
            Reason::ToolCalls => Reason::ToolCalls,
            Reason::Filtered => Reason::Filtered,
            Reason::Refused => Reason::Refused,
            Reason::Paused => Reason::Paused,
            Reason::Other(text) => Reason::Other(text.into_owned()),
        }
    }
}

impl Citation<'_> {
    pub fn into_owned(self) -> Citation<'static> {
        Citation {
            url: self.url.map(Text::into_owned),
            title: self.title.map(Text::into_owned),
            quoted: self.quoted.map(Text::into_owned),
            start: self.start,
            end: self.end,
            document: self.document,
            document_start: self.document_start,
            document_end: self.document_end,
            pages: self.pages,
        }
    }
}

/// Appends tokens in OpenAI's shape, commas between, to what stands there of the same.
pub fn write_logprobs(tokens: &[TokenLogprob<'_>], out: &mut Vec<u8>) {
    for token in tokens {
        if !out.is_empty() && out.last() != Some(&b'[') {
            out.push(b',');
        }
        let mut json = crate::json::Out::new(out);
        json.open()
            .key("token")
            .text(&token.token)
            .key("logprob")
            .number(token.logprob)
            .key("bytes");
        match token.bytes {
            Some(bytes) => json.raw(bytes),
            None => json.null(),
        };
        json.key("top_logprobs").open_list();
        write_logprobs(&token.top, json.bytes);
        json.close_list().close();
    }
}
