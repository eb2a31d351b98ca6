//! An answer as it will be said: its parts in pieces, why it ends, what it counts. Knows no dialect and no request.

use tollgate_dialect::{
    canonical::event::{Began, Event, Reason},
    json::Text,
    speak::CallFacts,
    usage::Usage,
};

use crate::sandbox::text::PromptCount;

/// Characters of a call's arguments that one event carries: names and strings are cut in their middle.
const ARGUMENT_CHARACTERS: usize = 7;

#[derive(Debug)]
pub struct Script {
    /// How often the same is said.
    pub choices: u32,
    pub parts: Vec<Part>,
    pub reason: Reason<'static>,
    pub input_tokens: u64,
}

#[derive(Debug)]
pub struct Part {
    pub what: Began<'static>,
    pub pieces: Vec<String>,
    pub signature: Option<String>,
}

impl Part {
    /// Of prose: a piece is a word with the space before it.
    pub fn prose(what: Began<'static>, text: &str) -> Self {
        let mut pieces: Vec<String> = Vec::new();
        for word in text.split(' ') {
            let space = if pieces.is_empty() { "" } else { " " };
            pieces.push(format!("{space}{word}"));
        }
        Self::of(what, pieces)
    }

    /// Of a call's arguments, or of an answer that is JSON.
    pub fn json(what: Began<'static>, json: &str) -> Self {
        let characters: Vec<char> = json.chars().collect();
        let pieces = characters.chunks(ARGUMENT_CHARACTERS);
        Self::of(what, pieces.map(|piece| piece.iter().collect()).collect())
    }

    pub fn of(what: Began<'static>, pieces: Vec<String>) -> Self {
        Self {
            what,
            pieces,
            signature: None,
        }
    }

    pub fn text(&self) -> String {
        self.pieces.concat()
    }

    fn tokens(&self) -> u64 {
        match self.what {
            // What seals thoughts is none of the answer's.
            Began::Sealed { .. } => 0,
            _ => PromptCount::of(&self.text()).tokens,
        }
    }
}

impl Script {
    /// Ends it after so many tokens, as a provider does: wherever that is.
    pub fn cut(&mut self, max_tokens: Option<u64>) {
        let Some(mut left) = max_tokens else { return };
        for index in 0..self.parts.len() {
            let part = &mut self.parts[index];
            let tokens = part.tokens();
            if tokens <= left {
                left -= tokens;
                continue;
            }
            while !part.pieces.is_empty() && part.tokens() > left {
                part.pieces.pop();
            }
            self.parts.truncate(index + 1);
            self.reason = Reason::Length;
            return;
        }
    }

    pub fn usage(&self) -> Usage {
        let counted = |is_thought: bool| {
            let parts = self
                .parts
                .iter()
                .filter(|part| matches!(part.what, Began::Thinking) == is_thought);
            parts.map(Part::tokens).sum::<u64>() * u64::from(self.choices)
        };
        Usage {
            input: Some(self.input_tokens),
            cache_read: Some(0),
            output: Some(counted(false)),
            reasoning: Some(counted(true)),
            ..Usage::default()
        }
    }

    /// Says it all; `true` beside an event after which a streamed answer takes its time.
    pub fn play(&self, call: &CallFacts, mut say: impl FnMut(&Event<'_>, bool)) {
        let started = Event::Started {
            id: None,
            model: Some(Text::from(call.model.as_str())),
            created_unix_s: Some(call.now_unix_s),
        };
        say(&started, true);
        for choice in 0..self.choices {
            for (part, said) in (0..).zip(&self.parts) {
                said.play(choice, part, call, &mut say);
            }
            let reason = self.reason.clone();
            say(&Event::Stopped { choice, reason }, false);
        }
        say(&Event::Usage(self.usage()), false);
        say(&Event::Ended, false);
    }
}

impl Part {
    fn play(&self, choice: u32, part: u32, call: &CallFacts, say: &mut impl FnMut(&Event<'_>, bool)) {
        let what = match &self.what {
            Began::ToolCall { id: None, name } => Began::ToolCall {
                id: Some(Text::from(call.call_id(choice, part))),
                name: name.clone(),
            },
            what => what.clone(),
        };
        say(&Event::Began { choice, part, what }, false);
        for piece in &self.pieces {
            let text = Text::from(piece.as_str());
            say(&Event::Piece { choice, part, text }, true);
        }
        if let Some(signature) = &self.signature {
            let text = Text::from(signature.as_str());
            say(&Event::Signature { choice, part, text }, false);
        }
        say(&Event::Closed { choice, part }, false);
    }
}
