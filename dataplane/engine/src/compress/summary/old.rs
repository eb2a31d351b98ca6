//! The older part of a conversation: where it may be cut, and what each beginning of it is known by. A conversation that goes
//! on has the beginnings it had, so that what was summed up of it is found again.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};
use tollgate_config::document::Dialect;
use tollgate_wire::json::edit;

use super::turns::{self, Told, Turn, Who};

/// A longer request goes as it came: it is read on a shard's own time.
const MAX_BODY_BYTES: usize = 1 << 20;
/// What a model is told to make a summary of, at most: of more, the beginning first.
pub(super) const MAX_RECORD_BYTES: usize = 256 << 10;
/// How a summary is labelled where it stands in a conversation.
const LABEL: &str =
    "[What was said so far, summed up by the gateway to save room. The conversation goes on behind it.]\n\n";
/// Models and templates of theirs want turns to alternate.
const NODDED: &str = "Noted.";

/// The conversation up to a turn of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Where in the body the turn behind it begins.
    pub end: usize,
    /// What it is known by.
    pub name: u128,
    /// So much of the record is of it.
    pub bytes: usize,
}

#[derive(Debug)]
pub(super) struct Old {
    /// Where in the body its first turn begins.
    start: usize,
    /// What was said, as a model can read it.
    record: String,
    /// The shortest first; never none.
    pub beginnings: Vec<Beginning>,
}

impl Old {
    /// All but the last `keep_turns` of the user's turns. `known_by`: a hasher that was told whose the conversation is.
    /// None where nothing of it is old, or nothing can be told.
    pub fn of(body: &[u8], keep_turns: usize, mut known_by: SipHasher13) -> Option<Self> {
        if body.len() > MAX_BODY_BYTES {
            return None;
        }
        let turns = turns::of(body)?;
        let first = turns.iter().position(|turn| turn.who != Who::Told)?;
        let is_users = |turn: &Turn<'_>| turn.who == Who::User;
        let (end, _) = turns
            .iter()
            .enumerate()
            .filter(|(_, turn)| is_users(turn))
            .rev()
            .nth(keep_turns.checked_sub(1)?)?;
        let (mut told, mut beginnings) = (Told::default(), Vec::new());
        for (at, turn) in turns.iter().enumerate().take(end + 1).skip(first) {
            // What a tool gives may come behind the user's next turn.
            if is_users(turn) && at > first && !told.text.is_empty() && !told.has_open_calls() {
                beginnings.push(Beginning {
                    end: turn.start(),
                    name: known_by.finish128().as_u128(),
                    bytes: told.text.len(),
                });
            }
            let before = told.text.len();
            if at == end || !turn.tell(&mut told) {
                told.text.truncate(before);
                break;
            }
            known_by.write(&told.text.as_bytes()[before..]);
        }
        (!beginnings.is_empty()).then_some(Self {
            start: turns.get(first)?.start(),
            record: told.text,
            beginnings,
        })
    }

    pub fn all_bytes(&self) -> usize {
        self.beginnings.last().map_or(0, |last| last.bytes)
    }

    /// The longest beginning that can be summed up at once, where a summary of the first `from` bytes is there.
    pub fn next(&self, from: usize) -> Option<Beginning> {
        let fits = |one: &&Beginning| one.bytes > from && one.bytes - from <= MAX_RECORD_BYTES;
        self.beginnings.iter().rev().find(fits).copied()
    }

    pub fn record(&self, from: usize, to: usize) -> &str {
        self.record.get(from..to).unwrap_or_default()
    }

    /// The request with the summary in the place of a beginning. None where it would be no shorter.
    pub fn replaced(&self, body: &[u8], beginning: Beginning, (dialect, summary): (Dialect, &str)) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(body.len());
        out.extend_from_slice(body.get(..self.start)?);
        write_turn(dialect, "user", &[LABEL, summary].concat(), &mut out);
        let answers = if dialect == Dialect::Gemini {
            "model"
        } else {
            "assistant"
        };
        write_turn(dialect, answers, NODDED, &mut out);
        out.extend_from_slice(body.get(beginning.end..)?);
        (out.len() < body.len()).then_some(out)
    }
}

/// A turn and the comma behind it.
fn write_turn(dialect: Dialect, role: &str, text: &str, out: &mut Vec<u8>) {
    let (before, behind) = match dialect {
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Cohere => ("\"content\":", "},"),
        Dialect::Gemini => ("\"parts\":[{\"text\":", "}]},"),
        Dialect::Bedrock => ("\"content\":[{\"text\":", "}]},"),
    };
    out.extend_from_slice(b"{\"role\":");
    edit::write_string(out, role);
    out.push(b',');
    out.extend_from_slice(before.as_bytes());
    edit::write_string(out, text);
    out.extend_from_slice(behind.as_bytes());
}

#[cfg(test)]
#[path = "old_tests.rs"]
mod tests;
