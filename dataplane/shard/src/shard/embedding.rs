//! Calls for the vectors that semantic caches go by, where a provider makes them. All that was asked in a turn goes up together,
//! in an exchange without a client; whoever waits is fed its turn when the answer is here.

use std::rc::Rc;

use tollgate_engine::{
    Exchange,
    outputs::ReplyFraming,
    semantic::{Ended, Why},
};
use tollgate_wire::http1::read::{self, Limits, Progress};

use super::{
    Shard,
    detached::{Detached, Purpose},
    slab::Id,
};
use crate::control::Command;

/// Of an answer: of 32 vectors of 4,096 numbers, written at length, and some.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What has come of the vectors that were asked for.
#[derive(Debug, Default)]
pub struct Heard {
    status: u16,
    body: Vec<u8>,
    is_whole: bool,
    is_too_long: bool,
    /// Of the provider's answer; zero without one.
    provider_status: u16,
    /// Why the gateway itself answered with an error.
    rejected: Option<&'static str>,
}

impl Heard {
    pub fn head(&mut self, status: u16, framing: ReplyFraming) {
        self.status = status;
        if let ReplyFraming::Length(length) = framing {
            self.body.reserve_exact((length as usize).min(MAX_ANSWER_BYTES));
        }
    }

    pub fn body<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) {
        for bytes in pieces {
            match self.body.len() + bytes.len() <= MAX_ANSWER_BYTES {
                true => self.body.extend_from_slice(bytes),
                false => self.is_too_long = true,
            }
        }
    }

    /// How the call went.
    pub fn went(&mut self, exchange: &Exchange) {
        let last = exchange.tries(usize::MAX).last();
        self.provider_status = last.map_or(0, |attempt| attempt.status);
        self.rejected = exchange.record().rejected;
    }

    pub fn end(&mut self) {
        self.is_whole = true;
    }

    fn answer(&self) -> Result<&[u8], Why> {
        match (self.provider_status, self.rejected) {
            (status, _) if status != 0 && status != 200 => Err(Why::Status(status)),
            (_, Some(code)) => Err(Why::Refused(code)),
            _ if !self.is_whole || self.status != 200 => Err(Why::Unanswered),
            _ if self.is_too_long => Err(Why::Answer("it is longer than the gateway reads")),
            _ => Ok(&self.body),
        }
    }
}

impl Shard {
    /// Sends the questions that wait, in as few calls as they fit in. False where nothing runs that could.
    pub(super) fn ask_for_vectors(&mut self) -> bool {
        let Some(running) = self.running.clone() else {
            return false;
        };
        let pinned = running.pin();
        let mut woken = Vec::new();
        while let Some(batch) = self.local.asker.next(self.clock.now(), &pinned.snapshot, &mut woken) {
            let (number, length) = (batch.number, batch.request.len());
            let mut active = self.spare_actives.pop().unwrap_or_default();
            let begun = active
                .exchange
                .begin_embedding(Rc::clone(&pinned), &batch, &mut self.local, self.clock.now());
            active.input = Rc::new(batch.request);
            let head = read::request(&active.input, &Limits::default(), &mut active.head);
            if head != Ok(Progress::Complete) || !begun {
                self.deactivate(active);
                self.vectors_ended(number, Heard::default());
                continue;
            }
            (active.request_len, active.body_whole) = (length, true);
            active.started = self.clock.now();
            self.begin_call(active, Purpose::Vectors { number }, length);
        }
        self.turns.extend(woken.into_iter().map(Id::numbered));
        true
    }

    /// A call for vectors is over, well or not.
    pub(super) fn vectors_ended(&mut self, number: u64, heard: Heard) {
        let now = self.clock.now();
        let answers = self.local.answers.clone();
        let neighbours = answers.as_ref().and_then(|answers| answers.neighbours());
        let Ended { woken, change } = self.local.asker.ended(now, number, heard.answer(), neighbours);
        self.turns.extend(woken.into_iter().map(Id::numbered));
        if let Some((name, change)) = change {
            // Never waits: a control thread that is behind misses a line.
            let _ = self.setup.control.try_send(Command::Embedder {
                name: name.to_string(),
                change,
            });
        }
    }

    /// After the exchange of a `Detached` has come to its end, however it did.
    pub(super) fn tell_of_vectors(&mut self, ended: Option<Detached>) {
        if let Some(Detached {
            purpose: Purpose::Vectors { number },
            heard,
            ..
        }) = ended
        {
            self.vectors_ended(number, heard);
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_engine::{Outputs, Piece};

    use super::*;

    #[test]
    fn half_an_answer_is_none() {
        let out = Outputs {
            arena: b"{}".to_vec(),
            pieces: vec![Piece::Arena(0..2), Piece::Input(1..3), Piece::RequestBody(0..9)],
            ..Outputs::default()
        };
        let mut heard = Heard::default();
        heard.head(200, ReplyFraming::Stream);
        heard.body(out.answered(&(0..3), b"abcd"));
        assert_eq!(heard.answer(), Err(Why::Unanswered));
        heard.end();
        assert_eq!(heard.answer(), Ok(&b"{}bc"[..]));
        heard.body([&[0; MAX_ANSWER_BYTES][..]].into_iter());
        assert!(matches!(heard.answer(), Err(Why::Answer(_))));
        heard.rejected = Some("upstream_timeout");
        assert_eq!(heard.answer(), Err(Why::Refused("upstream_timeout")));
        heard.provider_status = 401;
        assert_eq!(
            heard.answer(),
            Err(Why::Status(401)),
            "what the provider says comes first"
        );
    }
}
