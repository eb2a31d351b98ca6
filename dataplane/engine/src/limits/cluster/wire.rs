//! What a node says to the store and is answered: as numbers, and as the words of the script that answers.

use std::fmt::Write as _;

/// What the store runs: it is the only one that knows who holds what.
pub const SCRIPT: &str = include_str!("store.lua");

/// Numbers beyond are no longer exact in the script (Lua 5.1 has doubles). Source: IEEE 754, binary64.
pub const MOST_UNITS: u64 = (1 << 53) - 1;
/// A period of a bucket is looked at in at most so many ticks, so that a product of two is exact.
const MOST_TICKS: u64 = 1 << 26;
/// Of each limit, in the script's arguments.
const ANSWER_WORDS: usize = 6;
/// Before the name of a node.
const NODE: u8 = b'@';
/// So many nodes' use of one limit is known by their names; what more used is one sum.
pub const MOST_NAMED: usize = 256;

/// How the store counts a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is used stays used until the period ends.
    Calendar,
    Refill {
        amount: u64,
        per_ms: u64,
    },
    /// Calls under way.
    Concurrent,
}

/// What a node tells of one limit, and asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: u64,
    /// Of a calendar the period's number.
    pub period: u64,
    pub kind: Kind,
    /// What a node that is gone may have used counts as used.
    pub exact: bool,
    pub most: u64,
    pub ttl_ms: u64,
    /// All that the node used: of calls under way, how many are.
    pub used: u64,
    /// What of it the store had been told when it answered last.
    pub told: u64,
    /// What the cluster had used by then, where the store may have forgotten; of a calendar, where nobody knows who had.
    pub claim: u64,
    /// Of a calendar: who had used what by then, where the store may have forgotten.
    pub heard: Option<Heard>,
    /// Granted and not used.
    pub rest: u64,
    pub want: u64,
    /// Of that, what is of no use unless it is whole.
    pub need: u64,
    /// Of a calendar: who used what is to be answered.
    pub asks: bool,
}

/// What a node heard of a calendar's limit when all had told: what others than itself had used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Of two the one of the later epoch is the later, and in an epoch that of the larger number: what the other knew was in it.
    pub epoch: u64,
    pub number: u64,
    /// By whom, and how much.
    pub named: Vec<(u64, u64)>,
    /// By nodes that nobody can name.
    pub apart: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub group: usize,
    pub node: u64,
    /// Grows with each: what was overtaken counts no more.
    pub seq: u64,
    /// The last that was answered in this epoch.
    pub acked: u64,
    pub epoch: u64,
    pub reclaim_after_ms: u64,
    pub grace_ms: u64,
    /// The store's time of the last answer: who wants what since then.
    pub cursor: u64,
    /// With this the node has told all that it holds in this epoch.
    pub is_whole: bool,
    /// The node ends, or shares no more: nobody is to wait for it.
    pub leaves: bool,
    /// Until it has told all: who was heard lately when something was last granted. Nothing is granted before they tell as well.
    pub peers: Vec<u64>,
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub granted: u64,
    /// By all nodes.
    pub used: u64,
    /// What nobody has leased.
    pub pool: u64,
    /// What was needed is not there.
    pub starved: bool,
    /// Grows with each answer.
    pub number: u64,
    /// Of a calendar, where something may be granted and it was asked for: what of it others used, by whom.
    pub named: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Done {
        unix_ms: u64,
        /// That were heard lately, this one too.
        nodes: u64,
        /// Some of them, where they are very many.
        peers: Vec<u64>,
        /// Until something is granted again.
        closed_ms: u64,
        /// One for each entry.
        answers: Vec<Answer>,
        /// Limits, with their periods, that others lack.
        wanted: Vec<(u64, u64)>,
    },
    /// Another epoch is in force: everything is to be told anew.
    Epoch(u64),
    /// A later request came first: its number.
    Stale(u64),
}

/// A word of a reply, as the store's protocol has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'r> {
    Number(i64),
    Text(&'r [u8]),
}

impl Request {
    /// The script's keys: all of them in the slot of the group.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let slot = format!("{{{prefix}:{}}}", self.group);
        let mut keys = vec![format!("{slot}:group"), format!("{slot}:wants")];
        keys.extend(
            self.entries
                .iter()
                .map(|entry| format!("{slot}:{}", name(entry.id, entry.period))),
        );
        keys
    }

    /// Its other arguments. `server`: which process is asked, where that is known; another than the last may lack what that
    /// one was told.
    pub fn arguments(&self, server: &str) -> Vec<String> {
        let head = [
            self.seq,
            self.acked,
            self.epoch,
            self.reclaim_after_ms,
            self.grace_ms,
            self.cursor,
        ];
        let mut all = vec![format!("{:016x}", self.node)];
        all.extend(head.map(|number| number.to_string()));
        all.extend([self.is_whole, self.leaves].map(|is| u64::from(is).to_string()));
        all.extend([server.to_owned(), self.peers.len().to_string()]);
        all.extend(self.peers.iter().map(|peer| format!("{peer:016x}")));
        for entry in &self.entries {
            let (kind, amount, ticks, tick_ms) = match entry.kind {
                Kind::Calendar => ("c", 0, 1, 1),
                Kind::Concurrent => ("k", 0, 1, 1),
                Kind::Refill { amount, per_ms } => {
                    let tick_ms = per_ms.div_ceil(MOST_TICKS).max(1);
                    ("r", amount, per_ms.div_ceil(tick_ms).max(1), tick_ms)
                }
            };
            all.push(name(entry.id, entry.period));
            all.push(kind.to_owned());
            let numbers = [
                u64::from(entry.exact),
                entry.most,
                amount,
                ticks,
                tick_ms,
                entry.ttl_ms,
                entry.used,
                entry.told,
                entry.claim,
                entry.rest,
                entry.want,
                entry.need,
            ];
            all.extend(numbers.map(|number| number.to_string()));
            let nothing = Heard::default();
            let heard = entry.heard.as_ref().unwrap_or(&nothing);
            all.extend([heard.epoch, heard.number, heard.apart].map(|number| number.to_string()));
            all.push(written(&heard.named));
            all.push(u64::from(entry.asks).to_string());
        }
        all
    }
}

impl Reply {
    /// `None`: the store says what no version of the script does.
    pub fn read(words: &[Word<'_>], entries: usize) -> Option<Self> {
        let number = |at: usize| match words.get(at)? {
            Word::Number(number) => u64::try_from(*number).ok(),
            Word::Text(_) => None,
        };
        match number(0)? {
            0 => {}
            1 => return Some(Self::Stale(number(1)?)),
            2 => return Some(Self::Epoch(number(1)?)),
            _ => return None,
        }
        const HEAD: usize = 5;
        let answer = |entry: usize| {
            let at = HEAD + entry * ANSWER_WORDS;
            Some(Answer {
                granted: number(at)?,
                used: number(at + 1)?,
                pool: number(at + 2)?,
                starved: number(at + 3)? != 0,
                number: number(at + 4)?,
                named: match words.get(at + 5)? {
                    Word::Text(text) => read_named(text)?,
                    Word::Number(_) => return None,
                },
            })
        };
        let answers: Option<Vec<Answer>> = (0..entries).map(answer).collect();
        let (mut peers, mut wanted) = (Vec::new(), Vec::new());
        for word in words.iter().skip(HEAD + entries * ANSWER_WORDS) {
            let Word::Text(text) = word else { continue };
            match text.split_first() {
                Some((&NODE, node)) => peers.extend(std::str::from_utf8(node).ok().and_then(number_of)),
                _ => wanted.extend(named(text)),
            }
        }
        Some(Self::Done {
            unix_ms: number(2)?,
            nodes: number(3)?,
            peers,
            closed_ms: number(4)?,
            answers: answers?,
            wanted,
        })
    }
}

fn name(id: u64, period: u64) -> String {
    let mut name = String::with_capacity(24);
    // Writing to a string does not fail.
    let _ = write!(name, "{id:016x}:{period}");
    name
}

fn named(text: &[u8]) -> Option<(u64, u64)> {
    let (id, period) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some((number_of(id)?, period.parse().ok()?))
}

/// Nodes, and how much each used: `000000000000000a=5 000000000000000b=7`.
fn written(named: &[(u64, u64)]) -> String {
    let mut text = String::new();
    for (node, used) in named {
        let gap = if text.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(text, "{gap}{node:016x}={used}");
    }
    text
}

fn read_named(text: &[u8]) -> Option<Vec<(u64, u64)>> {
    let parts = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let named = parts.take(MOST_NAMED).map(|part| {
        let (node, used) = part.split_once('=')?;
        Some((number_of(node)?, used.parse().ok()?))
    });
    named.collect()
}

fn number_of(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_and_what_is_none_is_not() {
        let words = [
            Word::Number(0),
            Word::Number(3),
            Word::Number(1_000),
            Word::Number(2),
            Word::Number(0),
            Word::Number(5),
            Word::Number(7),
            Word::Number(9),
            Word::Number(1),
            Word::Number(4),
            Word::Text(b"000000000000000b=3 000000000000000c=2"),
            Word::Text(b"@000000000000000a"),
            Word::Text(b"00000000000000ff:12"),
            Word::Text(b"what"),
        ];
        let read = Reply::read(&words, 1).expect("whole");
        let Reply::Done {
            unix_ms,
            nodes,
            peers,
            answers,
            wanted,
            ..
        } = &read
        else {
            panic!("{read:?}")
        };
        assert_eq!((*unix_ms, *nodes), (1_000, 2));
        let answer = Answer {
            granted: 5,
            used: 7,
            pool: 9,
            starved: true,
            number: 4,
            named: vec![(11, 3), (12, 2)],
        };
        assert_eq!(answers[..], [answer]);
        assert_eq!(peers[..], [10]);
        assert_eq!(wanted[..], [(255, 12)]);
        assert_eq!(Reply::read(&words, 2), None, "an answer is missing");
        assert_eq!(
            Reply::read(&[Word::Number(1), Word::Number(4)], 0),
            Some(Reply::Stale(4))
        );
        assert_eq!(
            Reply::read(&[Word::Number(2), Word::Number(8)], 0),
            Some(Reply::Epoch(8))
        );
        assert_eq!(Reply::read(&[Word::Text(b"0")], 0), None);
    }

    #[test]
    fn a_group_is_one_slot_and_long_periods_have_coarse_ticks() {
        let entry = Entry {
            id: 10,
            period: 1,
            kind: Kind::Refill {
                amount: 5,
                per_ms: 86_400_000 * 30,
            },
            exact: true,
            most: 5,
            ttl_ms: 1,
            used: 0,
            told: 0,
            claim: 0,
            rest: 0,
            want: 0,
            need: 0,
            asks: false,
            heard: None,
        };
        let request = Request {
            group: 3,
            node: 1,
            seq: 1,
            acked: 0,
            epoch: 1,
            reclaim_after_ms: 1,
            grace_ms: 1,
            cursor: 0,
            is_whole: false,
            leaves: false,
            peers: vec![5, 6],
            entries: vec![entry],
        };
        let keys = request.keys("edge");
        assert!(keys.iter().all(|key| key.starts_with("{edge:3}:")), "{keys:?}");
        let arguments = request.arguments("here");
        assert_eq!(arguments.len(), 11 + 2 + 19);
        let (ticks, tick_ms): (u64, u64) = (
            arguments[18].parse().expect("ticks"),
            arguments[19].parse().expect("ms"),
        );
        assert!(
            ticks <= MOST_TICKS && ticks * tick_ms >= 86_400_000 * 30,
            "{ticks} {tick_ms}"
        );
    }
}
