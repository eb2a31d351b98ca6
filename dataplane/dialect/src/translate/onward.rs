//! A request to go on with an answer that another target could not end: what was said is the beginning of the assistant's
//! turn where the model takes one, and is told together with an instruction where it does not.

use crate::{
    canonical::{
        bad::BadRequest,
        request::{Format, Part, Request, Role, Turn},
    },
    json::Text,
    speak::{PathFacts, Speaks, TargetFacts},
};

use super::upward::{Sent, write_changed};

/// To a model that does not go on with a turn of its own.
const INSTRUCTION: &str = "Your answer was cut off on its way: the message above is all of it that arrived. Continue it \
    exactly where it stops, beginning with the very next character. Repeat nothing of it, comment on nothing, and keep \
    its language, its style and its form.";

/// What was said before the break.
#[derive(Clone, Copy, Debug)]
pub struct SoFar<'t> {
    pub text: &'t str,
    /// An estimate; so many of the caller's `max_tokens` are used up.
    pub tokens: u64,
}

/// Appends the body for the target that goes on. See `write_request`.
pub fn write_continuation<'a>(
    (client, target): (&dyn Speaks, &dyn Speaks),
    (body, path): (&'a [u8], PathFacts<'a>),
    (provider, to): (&str, &TargetFacts<'_>),
    out: &mut Vec<u8>,
    so_far: SoFar<'a>,
) -> Result<Sent, BadRequest> {
    let prefill = to.quirks.prefill && target.goes_on_with_turns();
    write_changed((client, target), (body, path), (provider, to), out, |request| {
        go_on(request, prefill, so_far)
    })
}

fn go_on<'a>(request: &mut Request<'a>, prefill: bool, so_far: SoFar<'a>) -> Result<(), BadRequest> {
    if request.format != Format::Text {
        return Err(BadRequest::missing(
            "response_format",
            "asks for one whole, which nobody can end for another",
        ));
    }
    if request.sampling.n.is_some_and(|n| n > 1) {
        return Err(BadRequest::missing(
            "n",
            "asks for several answers, which nobody can end for another",
        ));
    }
    if let Some(most) = &mut request.sampling.max_tokens {
        *most = most.saturating_sub(so_far.tokens).max(1);
    }
    // Anthropic refuses a turn to go on with that ends with white space.
    let said = so_far.text.trim_end();
    if said.is_empty() {
        return Ok(());
    }
    let turn = |role, text: Text<'a>| Turn {
        role,
        name: None,
        parts: vec![Part::text(text)],
    };
    request.turns.push(turn(Role::Assistant, Text::from(said)));
    if !prefill {
        request.turns.push(turn(Role::User, Text::from(INSTRUCTION)));
    }
    Ok(())
}
