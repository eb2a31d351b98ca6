//! `mode: shadow` with `compare`: does a model answer the shorter prompt as it did the one that came? A share of the calls is
//! made a second time when it was answered, by an exchange that nobody waits for, and the two answers are compared.

use tollgate_config::document::Dialect;
use tollgate_vector::Scratch;

use super::{
    Plan,
    heard::{Heard, MAX_HEARD_BYTES},
};
use crate::{
    exact::Form,
    exchange::{Exchange, Io, detached},
    outputs::Action,
    record::Outcome,
    routing::Luck,
    semantic::{self, Agreed, Agreement},
};

/// So that the lots are others than those of copies and of targets.
const COMPARE_LOTS: u64 = 0x3c8f_51d2_6eb0_94a7;
/// Beside the shorter prompt, which is no longer than the one that came.
pub(crate) const MAX_HELD_BYTES: usize = 2 * MAX_HEARD_BYTES;

const UNREAD: Option<Agreed> = Some(Agreed {
    agreement: Agreement::Unread,
    similarity: 0.0,
});

#[derive(Debug)]
pub(crate) enum Compared {
    /// A call: what would have been sent, and what is answered.
    Call { body: Vec<u8>, heard: Heard },
    /// It is made again: what was answered first, and is now.
    Again { first: Heard, heard: Heard },
}

/// Decides by lot whether the call is made a second time, with this body.
pub(super) fn draw(exchange: &mut Exchange, io: &Io<'_>, plan: &Plan, body: Vec<u8>) {
    let Some(percent) = plan.compare_percent else { return };
    let pinned = exchange.pin();
    let may_be = detached::may_be_copied(exchange) && !exchange.admitted.in_background;
    if exchange.facts.is_detached() || !may_be || pinned.snapshot.embedder().is_none() {
        return;
    }
    let mut luck = Luck::new(io.local.seed ^ COMPARE_LOTS ^ io.local.sequence.wrapping_mul(0x9e6c_63d0_876a_68ee));
    if luck.below(100) < u64::from(percent) {
        exchange.compared = Some(Box::new(Compared::Call {
            body,
            heard: Heard::default(),
        }));
    }
}

pub(crate) fn held_bytes(exchange: &Exchange) -> usize {
    match exchange.compared.as_deref() {
        None => 0,
        Some(Compared::Call { body, heard }) => body.len() + heard.answer.len(),
        Some(Compared::Again { first, heard }) => first.answer.len() + heard.answer.len(),
    }
}

/// After each feed: notes what goes out, or would. `input`: the bytes that were fed.
pub(crate) fn keep(exchange: &mut Exchange, io: &mut Io<'_>, input: &[u8]) {
    let settled = io.out.actions.iter().position(|action| *action == Action::Settle);
    let Some(compared) = exchange.compared.as_deref_mut() else {
        return;
    };
    let (Compared::Call { heard, .. } | Compared::Again { heard, .. }) = compared;
    heard.note(io, input);
    let Some(settled) = settled else { return };
    let is_well = heard.is_well() && exchange.facts.outcome == Outcome::Complete && exchange.facts.rejected.is_none();
    match compared {
        // The shell takes it with the action.
        Compared::Call { .. } if is_well => io.out.actions.insert(settled, Action::Compare),
        Compared::Again { first, heard } if is_well => {
            let (first, heard) = (std::mem::take(first), std::mem::take(heard));
            exchange.compared = None;
            exchange.facts.agreed = agreed(exchange, &first, &heard).or(UNREAD);
        }
        Compared::Call { .. } => exchange.compared = None,
        Compared::Again { .. } => {
            exchange.compared = None;
            exchange.facts.agreed = UNREAD;
        }
    }
}

/// None where one of the two cannot be read.
fn agreed(exchange: &Exchange, first: &Heard, heard: &Heard) -> Option<Agreed> {
    let pinned = exchange.pinned()?;
    let (embedder, _) = pinned.snapshot.embedder()?;
    let dialect = exchange.facts.surface.dialect?;
    // Who asks for a stream may be answered whole; one of Gemini's may be an array. How it is framed says nothing.
    let is_stream = |heard: &Heard| exchange.facts.stream && (!heard.is_json || dialect == Dialect::Gemini);
    let form = |heard: &Heard| match is_stream(heard) {
        true => Form::Stream {
            usage: false,
            array: false,
        },
        false => Form::Whole,
    };
    semantic::compare_answers(
        (embedder, &mut Scratch::default()),
        dialect,
        (form(first), &first.answer),
        (form(heard), &heard.answer),
    )
}
