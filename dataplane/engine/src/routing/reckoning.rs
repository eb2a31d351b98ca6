//! What a call will use and cost, as far as that can be known before: its bytes as tokens, how long answers to such calls were
//! lately, and what of its beginning a target has kept.

use tollgate_config::{
    money::PicoUsd,
    prices::{Counts, ServiceTier},
};
use tollgate_wire::json::{
    cursor::{self, Value},
    watch::Watch,
};

use super::{Routing, prefixes::Prefixes, state::ModelState};
use crate::{
    Tick,
    exchange::{Exchange, Io},
    snapshot::{Route, Target},
};

/// Bytes of a prompt's token, about: the same for all targets, so that it decides nothing by itself.
pub(crate) const BYTES_A_TOKEN: usize = 4;
/// An answer's tokens where none was seen yet and the call sets no bound.
pub(crate) const USUAL_OUTPUT_TOKENS: u64 = 300;
/// Most providers keep no beginning shorter than 1,024 tokens.
const LEAST_KEPT_BYTES: usize = 1_024 * BYTES_A_TOKEN;

/// What is known beforehand of what a call will use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reckoning {
    prefixes: Prefixes,
    body_bytes: usize,
    pub like: Like,
    output_tokens: u64,
    /// Some target was asked with its beginning lately; none where it is too short to be kept.
    pub seen_before: Option<bool>,
    /// How many calls are expected to come that begin like this one and go on.
    follow_ups: u64,
}

impl Reckoning {
    /// Of a call that bounds its answer to so many tokens.
    pub fn new(exchange: &Exchange, io: &Io<'_>, route: &Route, bound: Option<u64>) -> Self {
        let body = exchange.admitted.body(io.body);
        let like = Like::of(body.len(), bound);
        let model = io.local.routing.look_at_model(route.slot);
        let learned = model.and_then(|model: &ModelState| model.lengths.as_deref());
        let may_be_kept = body.len() >= LEAST_KEPT_BYTES;
        let prefixes = if may_be_kept {
            Prefixes::of(body)
        } else {
            Prefixes::default()
        };
        let is_kept = |target: &Target| {
            let seen = io.local.routing.look(target).and_then(|state| state.seen.as_ref());
            seen.is_some_and(|seen| seen.longest(io.now, &prefixes) >= LEAST_KEPT_BYTES)
        };
        let seen_before = may_be_kept.then(|| route.targets.iter().any(is_kept));
        let follow_ups = seen_before.and(learned).map_or(0, Lengths::follow_ups);
        let learned = learned.and_then(|lengths| lengths.expected(like));
        Self {
            prefixes,
            seen_before,
            follow_ups,
            body_bytes: body.len(),
            like,
            output_tokens: learned.unwrap_or(USUAL_OUTPUT_TOKENS).min(bound.unwrap_or(u64::MAX)),
        }
    }

    /// What the call is expected to use of a limit of tokens.
    pub fn tokens(&self) -> u64 {
        ((self.body_bytes / BYTES_A_TOKEN) as u64).saturating_add(self.output_tokens)
    }

    /// What the call is expected to cost at a target; `None` where no price is known.
    pub fn cost(&self, target: &Target, routing: &Routing, (now, unix_ms): (Tick, u64)) -> Option<PicoUsd> {
        let counts = self.counts(target, routing, now);
        let price = target.priced.at(unix_ms / 1_000)?;
        Some(price.cost(&counts, ServiceTier::Standard))
    }

    /// What it is expected to use there, by what has a price.
    pub fn counts(&self, target: &Target, routing: &Routing, now: Tick) -> Counts {
        let kept = match self.prefixes.is_empty() {
            true => 0,
            false => {
                let seen = routing.look(target).and_then(|state| state.seen.as_ref());
                seen.map_or(0, |seen| seen.longest(now, &self.prefixes))
            }
        };
        let cached = if kept < LEAST_KEPT_BYTES { 0 } else { kept };
        Counts {
            input: ((self.body_bytes - cached) / BYTES_A_TOKEN) as u64,
            cache_read: (cached / BYTES_A_TOKEN) as u64,
            output: self.output_tokens,
            requests: 1,
            ..Counts::default()
        }
    }

    /// The same with the calls that are expected to follow there: who keeps a conversation's beginning for less may be
    /// cheaper in the end. Each tells again what was told and answered.
    pub fn cost_in_the_end(&self, target: &Target, routing: &Routing, now: (Tick, u64)) -> Option<PicoUsd> {
        let cost = self.cost(target, routing, now)?;
        if self.follow_ups == 0 {
            return Some(cost);
        }
        let following = Counts {
            input: self.output_tokens,
            cache_read: (self.body_bytes / BYTES_A_TOKEN) as u64,
            output: self.output_tokens,
            requests: 1,
            ..Counts::default()
        };
        let following = target.priced.at(now.1 / 1_000)?.cost(&following, ServiceTier::Standard);
        let following = PicoUsd(following.0.saturating_mul(self.follow_ups.into()));
        Some(cost.saturating_add(following))
    }
}

/// The tokens that a call bounds its answer to, in the words of any dialect.
pub(crate) fn bound_of(body: &[u8]) -> Option<u64> {
    const BOUNDS: Watch<'static, 5> = Watch::new(&[
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "generationConfig.maxOutputTokens",
        "inferenceConfig.maxTokens",
    ]);
    first_number(body, &cursor::find_watched(body, &BOUNDS).unwrap_or([None; 5]))
}

/// The first of these values of a body that is a number of tokens.
pub(crate) fn first_number(body: &[u8], said: &[Option<Value>]) -> Option<u64> {
    said.iter().flatten().find_map(|&value| cursor::unsigned(body, value))
}

/// Upper ends of the classes of prompts, in bytes, and of bounds that calls set to their answers, in tokens.
const PROMPT_BYTES: [usize; 3] = [1 << 10, 8 << 10, 64 << 10];
const BOUND_TOKENS: [u64; 4] = [8, 64, 512, 4_096];
const PROMPTS: usize = PROMPT_BYTES.len() + 1;
const BOUNDS: usize = BOUND_TOKENS.len() + 2;

/// Calls whose answers are of one length, more or less: who asks for a letter says so, and who tells much hears more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Like(usize);

impl Like {
    pub fn of(body_bytes: usize, bound: Option<u64>) -> Self {
        let prompt = PROMPT_BYTES.iter().filter(|&&most| body_bytes > most).count();
        let bound = bound.map_or(0, |bound| 1 + BOUND_TOKENS.iter().filter(|&&most| bound > most).count());
        Self(bound * PROMPTS + prompt)
    }
}

/// The share of long prompts that were seen before is that of so many of the last.
const SHARE_OF: u32 = 256;
const WHOLE: u32 = 1 << 16;
const MAX_FOLLOW_UPS: u64 = 16;

/// How many tokens a model's answers had lately, and how often prompts went on where others had ended.
#[derive(Debug, Default)]
pub(crate) struct Lengths {
    /// By class; sixteen times the mean of the last answers, each a sixteenth of it. Zero: none is known.
    means_x16: [u64; BOUNDS * PROMPTS],
    /// Long prompts, `SHARE_OF` at most, and how many in 65,536 of them were seen before.
    long: u32,
    seen_before: u32,
}

impl Lengths {
    pub fn note_beginning(&mut self, seen_before: bool) {
        self.long = (self.long + 1).min(SHARE_OF);
        let now = if seen_before { WHOLE / self.long } else { 0 };
        self.seen_before = (self.seen_before - self.seen_before / self.long + now).min(WHOLE);
    }

    /// When of `n + 1` calls `n` were seen before, each is followed by `n` others.
    fn follow_ups(&self) -> u64 {
        let new = WHOLE.saturating_sub(self.seen_before).max(1);
        u64::from((self.seen_before + new / 2) / new).min(MAX_FOLLOW_UPS)
    }

    pub fn note(&mut self, like: Like, tokens: u64) {
        let tokens = tokens.min(1 << 32);
        let mean = &mut self.means_x16[like.0];
        *mean = match *mean {
            0 => tokens * 16,
            before => before - before / 16 + tokens,
        };
    }

    pub fn expected(&self, like: Like) -> Option<u64> {
        let mean = self.means_x16[like.0];
        (mean > 0).then(|| mean.div_ceil(16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_one_kind_are_expected_to_be_answered_alike() {
        let mut lengths = Lengths::default();
        let (letter, letters_too, open) = (Like::of(300, Some(4)), Like::of(900, Some(8)), Like::of(300, None));
        assert_eq!(lengths.expected(letter), None);
        for _ in 0..200 {
            lengths.note(letter, 2);
            lengths.note(open, 180);
        }
        assert_eq!(lengths.expected(letters_too), Some(2));
        assert_eq!(lengths.expected(open), Some(180));
        assert_eq!(
            lengths.expected(Like::of(2_000, None)),
            None,
            "longer prompts are another matter"
        );
    }

    #[test]
    fn every_call_is_like_some() {
        for bytes in [0, 1 << 10, 1 << 20, usize::MAX] {
            for bound in [None, Some(0), Some(9), Some(u64::MAX)] {
                assert!(Like::of(bytes, bound).0 < BOUNDS * PROMPTS);
            }
        }
    }
}
