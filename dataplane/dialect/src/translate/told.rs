//! What an answer has told its client so far, so that another target can go on with it, and how that one's events become
//! events of the same answer. Knows no dialect's words.

use crate::{
    canonical::{
        event::{Began, Citation, Event},
        fault::Fault,
    },
    json::Text,
    usage::Usage,
};

/// Of text that can be gone on with. A longer answer that breaks stays broken.
pub const MAX_TOLD_BYTES: usize = 256 * 1024;

/// Of one answer, which has at most one choice.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub text: String,
    parts: u32,
    /// The text part under way, and how long it is.
    open: Option<u32>,
    open_characters: u64,
    /// A part under way that nobody else can end: a thought.
    busy: Option<u32>,
    /// It has said more than text.
    is_spoilt: bool,
    stopped: bool,
    /// The provider's error, which the client is not told yet.
    pub fault: Option<Fault>,
    /// Used by targets that did not get to the end.
    pub spent: Option<Usage>,
    /// It is being gone on with.
    pub onward: Option<Onward>,
}

impl Told {
    pub fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Began { choice: 0, part, what } => {
                self.parts = self.parts.max(part.saturating_add(1));
                match what {
                    Began::Text => (self.open, self.open_characters) = (Some(*part), 0),
                    Began::Thinking | Began::Sealed { .. } => self.busy = Some(*part),
                    Began::Refusal | Began::ToolCall { .. } => self.is_spoilt = true,
                }
            }
            Event::Began { .. } => self.is_spoilt = true,
            Event::Piece { choice: 0, part, text } if self.open == Some(*part) => self.say(text),
            Event::Closed { choice: 0, part } => {
                self.open.take_if(|open| open == part);
                self.busy.take_if(|busy| busy == part);
            }
            Event::Stopped { .. } => self.stopped = true,
            _ => {}
        }
    }

    fn say(&mut self, text: &Text<'_>) {
        match text.plain() {
            Some(text) if self.text.len() + text.len() <= MAX_TOLD_BYTES => {
                self.open_characters += text.chars().count() as u64;
                self.text.push_str(&text);
            }
            _ => {
                self.is_spoilt = true;
                self.text = String::new();
            }
        }
    }

    /// Can another target go on from here?
    pub fn can_be_gone_on_with(&self) -> bool {
        !self.is_spoilt && !self.stopped && self.busy.is_none()
    }

    /// All is said but the end.
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    pub fn go_on(&mut self) {
        self.fault = None;
        self.onward = Some(Onward {
            open: self.open,
            joined: false,
            later: None,
            next: self.parts,
            parts: Vec::new(),
            owed: self.text[self.text.trim_end().len()..].to_owned(),
            characters: self.open_characters,
        });
    }
}

/// Makes another target's answer the rest of this one.
#[derive(Debug)]
pub(super) struct Onward {
    /// The text part that was under way: the first text is more of it.
    open: Option<u32>,
    joined: bool,
    /// Theirs that is a text of its own, once it says something.
    later: Option<u32>,
    next: u32,
    /// Theirs, and ours; `None`: not told.
    parts: Vec<(u32, Option<u32>)>,
    /// White space that the text ended with. No turn can end with it, so it may come again.
    owed: String,
    /// Of the part that was under way.
    characters: u64,
}

impl Onward {
    pub fn map(&mut self, event: &Event<'_>, put: &mut dyn FnMut(&Event<'_>)) {
        match event {
            // The client knows whose answer it is.
            Event::Started { .. } => {}
            Event::Began { choice: 0, part, what } => self.begin(*part, what, put),
            Event::Piece { choice: 0, part, text } => {
                if self.later == Some(*part) && !text.is_empty() {
                    self.later = None;
                    self.begin_ours(*part, &Began::Text, put);
                }
                if let Some(part) = self.ours(*part) {
                    self.say(part, text, put);
                }
            }
            Event::Signature { choice: 0, part, .. }
            | Event::Citation { choice: 0, part, .. }
            | Event::Logprobs { choice: 0, part, .. }
            | Event::Closed { choice: 0, part } => {
                if let Some(part) = self.ours(*part) {
                    put(&self.renumbered(event, part));
                    self.open
                        .take_if(|open| *open == part && matches!(event, Event::Closed { .. }));
                }
            }
            Event::Stopped { choice: 0, .. } => {
                self.close(put);
                put(event);
            }
            Event::Usage(_) | Event::Failed(_) | Event::Ended => put(event),
            // Of further choices, which were not asked for.
            _ => {}
        }
    }

    /// The event, of a part of ours.
    fn renumbered<'e>(&self, event: &Event<'e>, ours: u32) -> Event<'e> {
        let mut event = event.clone();
        match &mut event {
            Event::Citation { part, citation, .. } => {
                *part = ours;
                self.move_citation(ours, citation);
            }
            Event::Signature { part, .. } | Event::Logprobs { part, .. } | Event::Closed { part, .. } => *part = ours,
            _ => {}
        }
        event
    }

    fn ours(&self, theirs: u32) -> Option<u32> {
        self.parts
            .iter()
            .find(|(part, _)| *part == theirs)
            .and_then(|(_, ours)| *ours)
    }

    fn begin(&mut self, theirs: u32, what: &Began<'_>, put: &mut dyn FnMut(&Event<'_>)) {
        match (what, self.open) {
            (Began::Text, Some(open)) if !self.joined => {
                self.joined = true;
                self.parts.push((theirs, Some(open)));
            }
            (Began::Text, _) => self.later = Some(theirs),
            // How it came to go on as it does is not part of the answer.
            (Began::Thinking | Began::Sealed { .. }, _) => self.parts.push((theirs, None)),
            _ => {
                self.close(put);
                self.begin_ours(theirs, what, put);
            }
        }
    }

    fn begin_ours(&mut self, theirs: u32, what: &Began<'_>, put: &mut dyn FnMut(&Event<'_>)) {
        let part = self.next;
        self.next += 1;
        self.parts.push((theirs, Some(part)));
        let what = what.clone();
        put(&Event::Began { choice: 0, part, what });
    }

    /// The part that was under way is over, where nothing more of it came.
    fn close(&mut self, put: &mut dyn FnMut(&Event<'_>)) {
        if let Some(part) = self.open.take_if(|_| !self.joined) {
            put(&Event::Closed { choice: 0, part });
        }
    }

    fn say(&mut self, part: u32, text: &Text<'_>, put: &mut dyn FnMut(&Event<'_>)) {
        let rest = self.without_owed(text);
        let text = rest.as_ref().unwrap_or(text);
        if !text.is_empty() {
            let text = text.clone();
            put(&Event::Piece { choice: 0, part, text });
        }
    }

    /// What is left of a text that begins with white space which was said before.
    fn without_owed(&mut self, text: &Text<'_>) -> Option<Text<'static>> {
        if self.owed.is_empty() {
            return None;
        }
        let plain = text.plain()?;
        let same = plain.chars().zip(self.owed.chars()).take_while(|(one, two)| one == two);
        let (again, bytes) = same.fold((0, 0), |(count, bytes), (one, _)| (count + 1, bytes + one.len_utf8()));
        self.characters = self.characters.saturating_sub(again);
        let rest = plain.get(bytes..).unwrap_or_default().to_owned();
        match rest.is_empty() {
            true => drop(self.owed.drain(..bytes)),
            false => self.owed.clear(),
        }
        Some(Text::from(rest))
    }

    /// It speaks of places in its own text, which is the end of ours.
    fn move_citation(&self, part: u32, citation: &mut Citation<'_>) {
        let by = if self.open == Some(part) { self.characters } else { 0 };
        for place in [&mut citation.start, &mut citation.end].into_iter().flatten() {
            *place = place.saturating_add(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_says_of_its_own_text_is_said_of_the_whole() {
        let (choice, part) = (0, 0);
        let piece = |text: &'static str| Event::Piece {
            choice,
            part,
            text: Text::from(text),
        };
        let begun = Event::Began {
            choice,
            part,
            what: Began::Text,
        };
        let mut told = Told::default();
        told.note(&begun);
        told.note(&piece("\u{e9}t\u{e9} "));
        told.go_on();
        let cited = |start, end| Event::Citation {
            choice,
            part,
            citation: Citation {
                start: Some(start),
                end: Some(end),
                ..Citation::default()
            },
        };
        let mut heard = Vec::new();
        let mut onward = told.onward.expect("it goes on");
        for event in [
            begun,
            piece(" "),
            piece("sun"),
            cited(1, 4),
            Event::Closed { choice, part },
        ] {
            onward.map(&event, &mut |event| heard.push(format!("{event:?}")));
        }
        let wanted = [piece("sun"), cited(4, 7), Event::Closed { choice, part }];
        assert_eq!(heard, wanted.map(|event| format!("{event:?}")));
    }
}
