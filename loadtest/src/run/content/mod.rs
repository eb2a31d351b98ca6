//! What an answer says: its text, found by dialect and held against the checksum it carries; the events of a stream.
//!
//! Sans-IO: it is given the body's bytes, framing taken off, in whatever parts they arrive.

mod json;
mod messages;
mod places;

use tollgate_wire::sse::Splitter;

use crate::{
    dialect::Dialect,
    signed_text::{Verdict, judge},
};

/// Longest text that is verified, and longest event of a stream: what is longer is wrong, not kept.
pub const TEXT_BYTES_MOST: usize = 16 << 20;

/// What is known of the answer before it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any bytes are right.
    Anything,
    /// One JSON document with a text in it.
    Buffered(Dialect),
    /// Events, with the dialect's end.
    Stream(Dialect),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Verified,
    /// Too short for a checksum, or of no kind that carries one.
    Unverified,
    /// It does not end as the sandbox's texts do.
    Foreign,
    Wrong,
}

/// The reader of one answer after another; keeps its allocations.
pub struct Content {
    expect: Expect,
    text: Vec<u8>,
    events: Splitter,
    messages: messages::Messages,
    ended: bool,
    wrong: bool,
}

impl Content {
    pub fn new() -> Self {
        Self {
            expect: Expect::Anything,
            text: Vec::new(),
            events: Splitter::new(TEXT_BYTES_MOST),
            messages: messages::Messages::default(),
            ended: false,
            wrong: false,
        }
    }

    pub fn begin(&mut self, expect: Expect) {
        if let (Expect::Stream(_), true) = (expect, self.events.offset() > 0) {
            self.events = Splitter::new(TEXT_BYTES_MOST);
        }
        self.expect = expect;
        self.text.clear();
        self.messages.clear();
        (self.ended, self.wrong) = (false, false);
    }

    pub fn expects(&self) -> Expect {
        self.expect
    }

    /// The next part of a stream's body. How many events in it carry text.
    pub fn feed(&mut self, body: &[u8]) -> u64 {
        let Expect::Stream(dialect) = self.expect else { return 0 };
        let mut reading = Reading {
            dialect,
            text: &mut self.text,
            ended: &mut self.ended,
            wrong: &mut self.wrong,
            texts: 0,
        };
        let whole = match dialect {
            Dialect::Bedrock => self
                .messages
                .feed(body, |event, payload| reading.event(Some(event), payload))
                .is_ok(),
            _ => self.events.feed(body, |event| reading.event(None, event.data)).is_ok(),
        };
        let texts = reading.texts;
        self.wrong |= !whole;
        texts
    }

    /// A stream's body is over.
    pub fn end(&mut self, verify: bool) -> Judgement {
        if let Expect::Stream(dialect) = self.expect {
            let mut reading = Reading {
                dialect,
                text: &mut self.text,
                ended: &mut self.ended,
                wrong: &mut self.wrong,
                texts: 0,
            };
            let finished = self.events.finish(|event| reading.event(None, event.data));
            self.wrong |= finished.is_err() || !self.messages.is_between() || !self.ended;
        }
        match self.wrong {
            true => Judgement::Wrong,
            false => judgement(&self.text, verify),
        }
    }

    /// The whole body of an answer that is no stream.
    pub fn whole(&mut self, body: &[u8], verify: bool) -> Judgement {
        let Expect::Buffered(dialect) = self.expect else {
            return Judgement::Unverified;
        };
        // Plain text, an empty body: an answer of somebody who is no provider.
        if !matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return if verify {
                Judgement::Foreign
            } else {
                Judgement::Unverified
            };
        }
        let mut only: &[u8] = b"";
        let mut texts = 0;
        let text = &mut self.text;
        let walked = json::walk(body, &places::buffered(dialect), |_, raw| {
            if texts == 1 {
                self.wrong |= !append(text, only);
            }
            if texts >= 1 {
                self.wrong |= !append(text, raw);
            }
            only = raw;
            texts += 1;
        });
        if walked.is_err() || self.wrong {
            return Judgement::Wrong;
        }
        // The one text that there mostly is is judged where it lies.
        match (texts, json::unescaped(only)) {
            (0 | 1, Some(text)) => judgement(&text, verify),
            (0 | 1, None) => Judgement::Wrong,
            _ => judgement(&self.text, verify),
        }
    }
}

fn judgement(text: &[u8], verify: bool) -> Judgement {
    if !verify {
        return Judgement::Unverified;
    }
    match judge(text) {
        // Where nothing is said, something was lost.
        _ if text.is_empty() => Judgement::Foreign,
        Verdict::Right => Judgement::Verified,
        Verdict::Wrong => Judgement::Wrong,
        Verdict::Unsigned => Judgement::Unverified,
        Verdict::Foreign => Judgement::Foreign,
    }
}

/// False when the text is longer than is kept, or its escapes stand for nothing.
fn append(text: &mut Vec<u8>, raw: &[u8]) -> bool {
    let Some(plain) = json::unescaped(raw) else {
        return false;
    };
    if text.len() + plain.len() > TEXT_BYTES_MOST {
        return false;
    }
    text.extend_from_slice(&plain);
    true
}

/// A stream while a part of it is read.
struct Reading<'a> {
    dialect: Dialect,
    text: &'a mut Vec<u8>,
    ended: &'a mut bool,
    wrong: &'a mut bool,
    texts: u64,
}

impl Reading<'_> {
    /// One event; `word` says what it is where the payload does not.
    fn event(&mut self, word: Option<&[u8]>, data: &[u8]) {
        if self.dialect == Dialect::OpenAi && data.trim_ascii() == b"[DONE]" {
            *self.ended = true;
            return;
        }
        let mut said: &[u8] = word.unwrap_or_default();
        let had = self.text.len();
        let mut whole = true;
        let text = &mut *self.text;
        let walked = json::walk(data, &places::event(self.dialect), |place, raw| match place {
            0 => whole &= append(text, raw),
            _ if word.is_none() => said = raw,
            _ => {}
        });
        if !places::carries_text(self.dialect, said) {
            self.text.truncate(had);
        }
        self.texts += u64::from(self.text.len() > had);
        *self.ended |= places::ends_stream(self.dialect, said);
        *self.wrong |= walked.is_err() || !whole;
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
