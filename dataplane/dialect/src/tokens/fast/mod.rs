//! The fast estimate: one step of an automaton and one addition a byte, whatever the bytes are.

pub(crate) mod automaton;

use automaton::{CLASS_OF, NEXT, TRANSITIONS};

/// Fractions of a token that weights count in.
const FRACTIONS: u64 = 4_096;

/// What each transition is worth to one tokenizer, in fractions of a token.
pub(super) type Weights = [[u8; 2]; TRANSITIONS];

/// An estimate under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fast {
    state: u16,
    /// Saturates no sooner than at 2^48 bytes: a weight is below 2^16.
    fractions: u64,
}

impl Fast {
    #[inline]
    pub(super) fn feed(&mut self, weights: &Weights, bytes: &[u8]) {
        let mut state = usize::from(self.state);
        let mut fractions = 0u64;
        for &byte in bytes {
            let transition = state + usize::from(CLASS_OF[usize::from(byte)]);
            state = usize::from(NEXT[transition]);
            fractions += u64::from(u16::from_le_bytes(weights[transition]));
        }
        self.state = state as u16;
        self.fractions = self.fractions.saturating_add(fractions);
    }

    /// The text ends; the next begins anew.
    pub(super) fn end_text(&mut self) {
        self.state = u16::from(automaton::START);
    }

    pub(super) fn millitokens(&self) -> u64 {
        (u128::from(self.fractions) * 1_000 / u128::from(FRACTIONS)) as u64
    }
}

/// Calls `on` with each transition that a text makes: for calibration.
pub fn transitions(text: &[u8], mut on: impl FnMut(u16)) {
    let mut state = usize::from(automaton::START);
    for &byte in text {
        let transition = state + usize::from(CLASS_OF[usize::from(byte)]);
        on(transition as u16);
        state = usize::from(NEXT[transition]);
    }
}
