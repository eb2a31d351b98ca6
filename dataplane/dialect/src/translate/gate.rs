//! An answer that is ended before its provider ends it: what it may say is counted in tokens, and once that is said the rest
//! is not told. Knows no dialect's words and no money.

use crate::canonical::event::{Event, Reason};

#[derive(Debug, Default)]
pub(super) struct Gate {
    most_tokens: u64,
    /// Said, and told to the client.
    told_tokens: u64,
    closed: bool,
    /// Parts that have begun and not ended, and choices.
    open: Vec<(u32, u32)>,
    going: Vec<u32>,
}

impl Gate {
    /// So many tokens may be said in all.
    pub fn open_up_to(&mut self, most_tokens: u64) {
        self.most_tokens = most_tokens;
    }

    /// May this be told? With it, so many tokens are said.
    pub fn admits(&mut self, event: &Event<'_>, tokens: u64) -> bool {
        self.closed |= event.is_content() && tokens > self.most_tokens;
        if !self.closed {
            self.told_tokens = tokens;
        }
        !self.closed
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn told_tokens(&self) -> u64 {
        self.told_tokens
    }

    /// The client is told this.
    pub fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Began { choice, part, .. } => {
                self.open.push((*choice, *part));
                if !self.going.contains(choice) {
                    self.going.push(*choice);
                }
            }
            Event::Closed { choice, part } => self.open.retain(|open| *open != (*choice, *part)),
            Event::Stopped { choice, .. } => self.going.retain(|going| going != choice),
            _ => {}
        }
    }

    /// What ends all that is under way, for this reason.
    pub fn ending(&mut self, reason: Reason<'static>) -> impl Iterator<Item = Event<'static>> + use<> {
        let (open, mut going) = (std::mem::take(&mut self.open), std::mem::take(&mut self.going));
        let closed = open.into_iter().map(|(choice, part)| Event::Closed { choice, part });
        if going.is_empty() {
            going.push(0);
        }
        let stopped = going.into_iter().map(move |choice| Event::Stopped {
            choice,
            reason: reason.clone(),
        });
        closed.chain(stopped)
    }
}
