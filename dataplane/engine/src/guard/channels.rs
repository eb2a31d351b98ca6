//! What an answer says, part by part, as far as it was not looked at: whole sentences at a time, so that what is told was
//! looked at in its sentence. Thoughts and refusals are said as well; what a tool is called with is not. Knows no guard.

use tollgate_dialect::canonical::event::{Began, Event};

/// A sentence that is longer is looked at before it ends.
const MAX_SENTENCE_BYTES: usize = 1 << 10;
/// And so much of it is looked at again with what follows.
const OVERLAP_BYTES: usize = 128;
/// Parts that are told apart while they go on; what comes in further ones is taken for more of the last.
const MAX_PARTS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Channels {
    all: Vec<Channel>,
    /// There was no room for a part.
    is_over_full: bool,
}

#[derive(Debug)]
struct Channel {
    choice: u32,
    part: u32,
    /// What was not looked at, and before it what was looked at as the beginning of a sentence.
    text: String,
    seen_bytes: usize,
    /// Bytes of all it said, and of those that were looked at.
    said: u64,
    looked_at: u64,
    /// Nothing more is said.
    over: bool,
}

/// How much all parts had said, as far as one is not looked at: what may be told once it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark(Vec<(usize, u64)>);

impl Channels {
    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Began {
                choice,
                part,
                what: Began::Text | Began::Thinking | Began::Refusal,
            } => self.open(*choice, *part),
            Event::Piece { choice, part, text } => {
                let Some(channel) = self.at(*choice, *part) else { return };
                channel.over = false;
                let before = channel.text.len();
                match text.plain() {
                    Some(text) => channel.text.push_str(&text),
                    // Half a character: it reads as one that nobody knows.
                    None => channel.text.push(char::REPLACEMENT_CHARACTER),
                }
                channel.said += (channel.text.len() - before) as u64;
            }
            Event::Closed { choice, part } => {
                if let Some(channel) = self.at(*choice, *part) {
                    channel.over = true;
                }
            }
            Event::Stopped { choice, .. } => {
                let of_choice = self.all.iter_mut().filter(|channel| channel.choice == *choice);
                of_choice.for_each(|channel| channel.over = true);
            }
            Event::Failed(_) | Event::Ended => self.end(),
            _ => {}
        }
    }

    /// Nothing more comes of any of them.
    pub fn end(&mut self) {
        self.all.iter_mut().for_each(|channel| channel.over = true);
    }

    fn open(&mut self, choice: u32, part: u32) {
        if self.known(choice, part).is_some() {
            return;
        }
        if self.all.len() < MAX_PARTS {
            return self.all.push(Channel {
                choice,
                part,
                text: String::new(),
                seen_bytes: 0,
                said: 0,
                looked_at: 0,
                over: false,
            });
        }
        // In the place of one that is over, whose counts go on: marks know it by its place.
        let is_free = |channel: &&mut Channel| channel.over && channel.said == channel.looked_at;
        match self.all.iter_mut().find(is_free) {
            Some(channel) => {
                (channel.choice, channel.part, channel.over) = (choice, part, false);
                channel.text.clear();
                channel.seen_bytes = 0;
            }
            None => self.is_over_full = true,
        }
    }

    fn known(&self, choice: u32, part: u32) -> Option<usize> {
        let is = |known: &Channel| (known.choice, known.part) == (choice, part);
        self.all.iter().position(is)
    }

    fn at(&mut self, choice: u32, part: u32) -> Option<&mut Channel> {
        match self.known(choice, part) {
            Some(at) => self.all.get_mut(at),
            // A part that is no text was never opened; those beyond the bound are not known apart from such.
            None if self.is_over_full => self.all.last_mut(),
            None => None,
        }
    }

    /// What is to be looked at before that which stands here now is told.
    pub fn mark(&self) -> Mark {
        let open = self
            .all
            .iter()
            .enumerate()
            .filter(|(_, channel)| channel.said > channel.looked_at);
        Mark(open.map(|(index, channel)| (index, channel.said)).collect())
    }

    pub fn is_looked_at(&self, mark: &Mark) -> bool {
        let looked_at =
            |(index, said): &(usize, u64)| self.all.get(*index).is_none_or(|channel| channel.looked_at >= *said);
        mark.0.iter().all(looked_at)
    }

    /// Gives `look` all whole sentences that it did not have, and the rest of what is over. `hurry`: whatever there is.
    pub fn look(&mut self, hurry: bool, mut look: impl FnMut(&str)) {
        for channel in &mut self.all {
            channel.look(hurry, &mut look);
        }
    }

    pub fn held_bytes(&self) -> usize {
        self.all.iter().map(|channel| channel.text.len()).sum()
    }
}

impl Channel {
    fn look(&mut self, hurry: bool, look: &mut impl FnMut(&str)) {
        let new = self.text.get(self.seen_bytes..).unwrap_or_default();
        if new.is_empty() {
            return;
        }
        let whole = tollgate_vector::topics::whole_sentences(new);
        let (to, goes_on) = match whole {
            _ if self.over || hurry => (new.len(), !self.over),
            0 if new.len() > MAX_SENTENCE_BYTES => {
                let space = new.rfind(char::is_whitespace);
                (space.filter(|&at| at > 0).unwrap_or(new.len()), true)
            }
            whole => (whole, false),
        };
        if to == 0 {
            return;
        }
        let end = self.seen_bytes + to;
        look(self.text.get(..end).unwrap_or_default());
        self.looked_at += to as u64;
        // What goes on is looked at once more with what comes.
        let kept = if goes_on { OVERLAP_BYTES.min(end) } else { 0 };
        let from = self.text.floor_char_boundary(end - kept);
        self.text.drain(..from);
        self.seen_bytes = end - from;
    }
}

#[cfg(test)]
mod tests {
    use tollgate_dialect::json::Text;

    use super::*;

    fn piece(channels: &mut Channels, text: &str) {
        let text = Text::from(text.to_owned());
        channels.take(&Event::Piece {
            choice: 0,
            part: 0,
            text,
        });
    }

    fn looked(channels: &mut Channels) -> Vec<String> {
        let mut all = Vec::new();
        channels.look(false, |text| all.push(text.to_owned()));
        all
    }

    fn opened() -> Channels {
        let mut channels = Channels::default();
        channels.take(&Event::Began {
            choice: 0,
            part: 0,
            what: Began::Text,
        });
        channels
    }

    #[test]
    fn a_sentence_is_looked_at_once_it_is_whole_and_what_is_told_waits_for_it() {
        let mut channels = opened();
        piece(&mut channels, "It is");
        let first = channels.mark();
        assert!(looked(&mut channels).is_empty() && !channels.is_looked_at(&first));
        piece(&mut channels, " so. And");
        let second = channels.mark();
        assert_eq!(looked(&mut channels), ["It is so. "]);
        assert!(channels.is_looked_at(&first) && !channels.is_looked_at(&second));
        channels.take(&Event::Closed { choice: 0, part: 0 });
        assert_eq!(looked(&mut channels), ["And"]);
        assert!(channels.is_looked_at(&second) && channels.held_bytes() == 0);
    }

    #[test]
    fn what_has_no_end_is_looked_at_in_stretches_that_overlap() {
        let mut channels = opened();
        let long = "word ".repeat(MAX_SENTENCE_BYTES / 5 + 10);
        piece(&mut channels, &long);
        let first = looked(&mut channels).concat();
        assert!(first.len() > MAX_SENTENCE_BYTES - 10 && long.starts_with(&first));
        piece(&mut channels, "behind. ");
        let second = looked(&mut channels).concat();
        assert!(
            second.len() >= OVERLAP_BYTES && second.ends_with("word behind. "),
            "{second}"
        );
    }

    #[test]
    fn of_many_parts_each_is_looked_at_by_its_sentences() {
        let mut channels = Channels::default();
        for part in 0..MAX_PARTS as u32 + 10 {
            channels.take(&Event::Began {
                choice: 0,
                part,
                what: Began::Text,
            });
            let mark = channels.mark();
            for text in ["One ", "sentence"] {
                channels.take(&Event::Piece {
                    choice: 0,
                    part,
                    text: Text::from(text.to_owned()),
                });
                assert!(
                    looked(&mut channels).is_empty() && channels.is_looked_at(&mark),
                    "{part}"
                );
            }
            channels.take(&Event::Closed { choice: 0, part });
            assert_eq!(looked(&mut channels), ["One sentence"], "{part}");
        }
    }

    #[test]
    fn what_a_tool_is_called_with_is_not_said() {
        let mut channels = Channels::default();
        channels.take(&Event::Began {
            choice: 0,
            part: 0,
            what: Began::ToolCall {
                id: None,
                name: Text::from("f".to_owned()),
            },
        });
        piece(&mut channels, "{\"a\":1}");
        channels.end();
        assert!(looked(&mut channels).is_empty());
    }
}
