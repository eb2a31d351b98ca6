//! What is said to a request: which tools are called, which text, which JSON. Knows no dialect but by `Signs`.

use serde_json::Value;
use tollgate_dialect::{
    canonical::{
        event::{Began, Reason},
        request::{Amount, Format, Request, Tool, ToolChoice},
    },
    json::Text,
};

use super::{
    Performer, Signs,
    history::History,
    script::{Part, Script},
    signature, values,
};
use crate::{sandbox::reply::Reply, signed_text::check_words};

/// Of `n` answers.
const MAX_CHOICES: u64 = 8;
/// Calls of one answer.
const CALLS: usize = 2;

const THOUGHT: &str = "The user wants an answer. I weigh what I was told, and choose the words.";

/// `None`: the usual text is what was asked for.
pub fn script(request: &Request<'_>, performer: &Performer, reply: &Reply<'_>) -> Result<Option<Script>, String> {
    let signs = performer.signs;
    let history = History::of(request, signs)?;
    let thinks = request.thinking.is_some_and(|thinking| thinking.amount != Amount::Off);
    let calls = match history.is_asked {
        true => calls(request)?,
        false => Vec::new(),
    };
    let choices = request.sampling.n.unwrap_or(1).clamp(1, MAX_CHOICES);
    let is_usual = calls.is_empty()
        && !thinks
        && request.format == Format::Text
        && request.sampling.stop.is_empty()
        && history.sentences.is_empty()
        && !history.signatures_seen
        && choices == 1;
    if is_usual {
        return Ok(None);
    }
    let mut reason = if calls.is_empty() {
        Reason::Stop
    } else {
        Reason::ToolCalls
    };
    let mut said = match (calls.is_empty(), structured(&request.format)?) {
        // Who wants a text of some length, as a load test does, gets it before the calls.
        (false, _) if reply.is_wanted => {
            let mut parts = vec![Part::of(Began::Text, text(&history, reply))];
            parts.extend(calls);
            parts
        }
        (false, _) => calls,
        (true, Some(json)) => vec![Part::json(Began::Text, &json)],
        (true, None) => vec![Part::of(Began::Text, text(&history, reply))],
    };
    if let [Part { what: Began::Text, .. }] = &said[..]
        && let Some((kept, stop)) = stopped(&said[0].text(), request)
    {
        said = vec![Part::prose(Began::Text, &kept)];
        reason = Reason::StopSequence(Some(Text::from(stop)));
    }
    if thinks {
        said = with_thoughts(said, signs, request);
    } else if performer.always_signs {
        sign_first(&mut said);
    }
    let mut script = Script {
        choices: choices as u32,
        parts: said,
        reason,
        input_tokens: reply.prompt_tokens,
    };
    script.cut(request.sampling.max_tokens);
    Ok(Some(script))
}

/// Calls of the first tools, of one where only one may be called.
fn calls(request: &Request<'_>) -> Result<Vec<Part>, String> {
    let may_many = request.parallel_tools != Some(false);
    let tools: Vec<&Tool<'_>> = match &request.tool_choice {
        Some(ToolChoice::None) => Vec::new(),
        Some(ToolChoice::Named(name)) => {
            let named: Vec<_> = request.tools.iter().filter(|tool| tool.name == *name).take(1).collect();
            if named.is_empty() {
                let name = name.plain().unwrap_or_default();
                return Err(format!("tool_choice: there is no tool '{name}'"));
            }
            named
        }
        _ => request.tools.iter().take(if may_many { CALLS } else { 1 }).collect(),
    };
    tools.into_iter().map(call).collect()
}

fn call(tool: &Tool<'_>) -> Result<Part, String> {
    let arguments = match &tool.schema {
        None => "{}".to_owned(),
        Some(schema) => example(schema)?,
    };
    let name = tool.name.clone().into_owned();
    Ok(Part::json(Began::ToolCall { id: None, name }, &arguments))
}

fn structured(format: &Format<'_>) -> Result<Option<String>, String> {
    match format {
        Format::Text => Ok(None),
        Format::Json => Ok(Some(r#"{"answer":"amber"}"#.to_owned())),
        Format::Schema { schema, .. } => example(schema).map(Some),
    }
}

fn example(schema: &[u8]) -> Result<String, String> {
    let schema: Value = serde_json::from_slice(schema).map_err(|bad| format!("a schema is no JSON: {bad}"))?;
    Ok(values::of(&schema)?.to_string())
}

/// What there is to say, then the usual words, and a checksum of it all.
fn text(history: &History, reply: &Reply<'_>) -> Vec<String> {
    let mut sentences = history.sentences.clone();
    if history.signatures_seen {
        sentences.push("signature verified.".to_owned());
    }
    let mut pieces = Vec::new();
    for word in sentences.iter().flat_map(|sentence| sentence.split(' ')) {
        let space = if pieces.is_empty() { "" } else { " " };
        pieces.push(format!("{space}{word}"));
    }
    reply.each_unsigned_piece(|space, word| {
        let space = if space.is_empty() && !pieces.is_empty() && word != "." {
            " "
        } else {
            space
        };
        pieces.push(format!("{space}{word}"));
    });
    let checks = check_words(crc32fast::hash(pieces.concat().as_bytes()));
    pieces.extend(checks.iter().map(|word| format!(" {word}")));
    pieces
}

/// The text before the first stop sequence in it, and that.
fn stopped(text: &str, request: &Request<'_>) -> Option<(String, String)> {
    let stops = request.sampling.stop.iter().filter_map(|stop| stop.plain());
    let found = stops.filter_map(|stop| Some((text.find(&*stop)?, stop.into_owned())));
    let (at, stop) = found.min_by_key(|(at, _)| *at)?;
    Some((text[..at].to_owned(), stop))
}

/// Puts the thoughts before what is said, and signs as the dialect's provider does.
fn with_thoughts(mut said: Vec<Part>, signs: Signs, request: &Request<'_>) -> Vec<Part> {
    let is_shown = request.thinking.and_then(|thinking| thinking.shown) != Some(false);
    let thought = if is_shown { THOUGHT } else { "" };
    let mut thoughts = Part::prose(Began::Thinking, thought);
    let mut parts = Vec::new();
    match signs {
        Signs::Thoughts => thoughts.signature = Some(signature::of(thought)),
        Signs::WhatFollows => sign_first(&mut said),
        Signs::Sealed | Signs::Nothing => {}
    }
    // Hidden thoughts are worth a part only for their signature.
    if is_shown || signs == Signs::Thoughts {
        parts.push(thoughts);
    }
    if signs == Signs::Sealed {
        let what = Began::Sealed { id: None };
        parts.push(Part::of(what, vec![signature::of(THOUGHT)]));
    }
    parts.extend(said);
    parts
}

/// Signs the first call, else the text.
fn sign_first(said: &mut [Part]) {
    let call = said.iter().position(|part| matches!(part.what, Began::ToolCall { .. }));
    if let Some(first) = said.get_mut(call.unwrap_or(0)) {
        first.signature = Some(signature::of(&first.text()));
    }
}
