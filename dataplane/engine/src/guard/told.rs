//! What guards make of a prompt, for people: how near it is to what, and what would be near enough. Never a word of it.

use tollgate_vector::topics::Verdict as Judged;

use super::{Guard, Guards, Side, of, prompt};
use crate::exchange::{Exchange, Io};

/// What was decided, and why; none where the model has no guards.
pub(crate) fn told(exchange: &Exchange, io: &mut Io<'_>) -> Option<(String, String)> {
    let guards = of(exchange)?.clone();
    if guards.judges.is_none() {
        let why = "there is no embedding model that could be used: see what /embedding says";
        return Some(("passed without a look".to_owned(), why.to_owned()));
    }
    let prompt = prompt(exchange, io).text;
    let judged = guards.judge(Side::Request, &prompt, &mut io.local.guard);
    let found = judged.iter().any(|(_, judged)| !matches!(judged, Judged::Passes(_)));
    let decision = match found {
        true => "passed, as the guards that found something only count (`mode: shadow`)",
        false => "passed",
    };
    let mut why: Vec<String> = judged.iter().map(|(guard, judged)| of_prompt(guard, *judged)).collect();
    why.extend(of_answers(&guards));
    Some((decision.to_owned(), why.join("; ")))
}

fn of_prompt(guard: &Guard, judged: Judged) -> String {
    let (name, threshold) = (&guard.name, guard.threshold);
    match judged {
        Judged::Denied(near) => format!(
            "'{name}' finds the denied topic '{}' in the prompt: {:.2} near, and `threshold` is {threshold:.2}",
            guard.topic(near),
            near.score
        ),
        Judged::NotAllowed(None) => {
            format!("'{name}' finds no allowed topic in the prompt: it has no words to judge by")
        }
        Judged::NotAllowed(Some(near)) => format!(
            "'{name}' finds no allowed topic in the prompt: the nearest is '{}', {:.2} near, and `threshold` is {threshold:.2}",
            guard.topic(near),
            near.score
        ),
        Judged::Passes(None) => format!("'{name}' finds nothing in the prompt: it has no words to judge by"),
        Judged::Passes(Some(near)) => format!(
            "'{name}' lets the prompt pass: the nearest topic is '{}', {:.2} near, and `threshold` is {threshold:.2}",
            guard.topic(near),
            near.score
        ),
    }
}

fn of_answers(guards: &Guards) -> Option<String> {
    let names: Vec<String> = guards
        .on(Side::Response)
        .map(|guard| format!("'{}'", guard.name))
        .collect();
    match names.is_empty() {
        true => None,
        false => Some(format!("the answer will be read by {}", names.join(", "))),
    }
}
