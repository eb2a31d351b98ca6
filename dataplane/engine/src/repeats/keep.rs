//! The answer of a call that may come again, kept as its client is sent it.

use super::{Claim, Repeat, Runs, table::Answer};
use crate::{
    exchange::{Exchange, Io},
    lines::{self, Line},
    names::header,
    outputs::{Action, Piece, ReplyFraming},
    record::Outcome,
};

/// Header lines that each answer has of its own; what a repeat costs is nothing.
const OWN: [&[u8]; 5] = [
    header::X_REQUEST_ID,
    header::REQUEST_ID,
    header::AMZN_REQUEST_ID,
    header::SERVER_TIMING,
    header::COST_USD,
];
/// And those that begin like this.
const OWN_FAMILIES: [&[u8]; 2] = [b"access-control-", b"x-ratelimit-"];

#[derive(Debug, Default)]
pub(super) struct Kept {
    head: Option<(u16, ReplyFraming)>,
    lines: Vec<u8>,
    body: Vec<u8>,
    /// It is longer than what is remembered.
    too_long: bool,
}

/// After each feed of a call that may come again: keeps what goes out; at its end it is remembered, or the call may be run
/// anew. Where the client is gone nothing goes out. `input`: the bytes that were fed.
pub(crate) fn keep(exchange: &mut Exchange, io: &mut Io<'_>, input: &[u8]) {
    let mut runs = match exchange.repeat.take().map(|repeat| *repeat) {
        Some(Repeat::Runs(runs)) => runs,
        other => {
            exchange.repeat = other.map(Box::new);
            return;
        }
    };
    let Runs { claim, kept, left } = &mut runs;
    let mut settled = false;
    for action in &io.out.actions {
        match action {
            Action::Head { status, lines, framing } => {
                kept.head = Some((*status, *framing));
                kept.lines = shared_lines(&io.out.arena[lines.start as usize..lines.end as usize]);
            }
            Action::Body { pieces } => {
                for piece in &io.out.pieces[pieces.start as usize..pieces.end as usize] {
                    let (from, range) = match piece {
                        Piece::Arena(range) => (&io.out.arena[..], range),
                        Piece::RequestBody(range) => (io.body, range),
                        Piece::Input(range) => (input, range),
                    };
                    kept.push(claim, &from[range.start as usize..range.end as usize]);
                }
            }
            Action::Settle => settled = true,
            _ => {}
        }
    }
    if left.is_some() {
        let goes_out = |action: &Action| matches!(action, Action::Head { .. } | Action::Body { .. });
        io.out.actions.retain(|action| !goes_out(action));
    }
    if settled {
        if exchange.facts.outcome == Outcome::Complete
            && let Some(answer) = runs.kept.whole()
        {
            runs.claim.store(io.now, answer);
        }
        return;
    }
    // Let go of where it will not be remembered: who waits for it runs it anew now. Whose client is gone is told apart by it.
    if !runs.kept.too_long || runs.left.is_some() {
        exchange.repeat = Some(Box::new(Repeat::Runs(runs)));
    }
}

/// Is it of one answer alone?
pub(crate) fn is_own(line: &Line<'_>) -> bool {
    line.is_one_of(&OWN) || OWN_FAMILIES.iter().any(|family| line.is_of(family))
}

/// Of header lines those that a repeat is sent too.
fn shared_lines(all: &[u8]) -> Vec<u8> {
    let mut shared = Vec::with_capacity(all.len());
    for line in lines::each(all).filter(|line| !is_own(line)) {
        shared.extend_from_slice(line.whole);
    }
    shared
}

impl Kept {
    fn push(&mut self, claim: &mut Claim, bytes: &[u8]) {
        const LEAST_BYTES: usize = 4 * 1024;
        if self.too_long {
            return;
        }
        let len = self.body.len() + bytes.len();
        let fits = len as u64 <= claim.bounds.max_answer_bytes;
        // In steps, so that few writes reach what all shards share.
        let room = len.next_power_of_two().max(LEAST_BYTES) as u64;
        if !fits || !claim.reserve(room) {
            self.too_long = true;
            self.body = Vec::new();
            return;
        }
        self.body.extend_from_slice(bytes);
    }

    /// All of an answer that is the same however often it is asked for.
    fn whole(self) -> Option<Answer> {
        let (status, framing) = self.head.filter(|_| !self.too_long)?;
        is_final(status).then(|| Answer {
            status,
            framing,
            lines: self.lines.into(),
            body: self.body.into(),
        })
    }
}

/// Not those that ask to be tried again, and not those that speak of a credential, which may be another the next time.
fn is_final(status: u16) -> bool {
    matches!(status, 200..=299 | 400..=499) && !matches!(status, 401 | 403 | 408 | 409 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_answer_alone_are_left_out() {
        let lines =
            b"content-type: application/json\r\nX-Request-Id: 1\r\nserver-timing: gw;dur=0.1\r\nx-ratelimit-limit-requests: 9\r\nx-tollgate-attempts: \
                      1\r\naccess-control-allow-origin: *\r\nrequest-id: 2\r\nrequest-ids: 3\r\n";
        let shared = String::from_utf8(shared_lines(lines)).expect("text");
        assert_eq!(
            shared,
            "content-type: application/json\r\nx-tollgate-attempts: 1\r\nrequest-ids: 3\r\n"
        );
    }

    #[test]
    fn answers_that_may_be_others_the_next_time_are_not_remembered() {
        for status in [200, 201, 204, 400, 404, 413, 422] {
            assert!(is_final(status), "{status}");
        }
        for status in [301, 401, 403, 408, 409, 425, 429, 500, 503, 529] {
            assert!(!is_final(status), "{status}");
        }
    }
}
