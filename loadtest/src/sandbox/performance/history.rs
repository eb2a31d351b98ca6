//! What a conversation so far tells: whose signatures it brings back, which calls were answered and with what. Refuses
//! what a provider refuses. Knows no dialect.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tollgate_dialect::{
    canonical::request::{Content, Media, MediaKind, Part, Request, Role, Source, Turn},
    json::Text,
};

use super::{Signs, signature};

/// Characters of a result that are repeated.
const REPEATED_CHARACTERS: usize = 200;

/// What Google takes for the signature of another model's call.
const UNSIGNED: &str = "skip_thought_signature_validator";

pub struct History {
    pub signatures_seen: bool,
    /// The last turn asks; else it brings results, or is the assistant's own beginning.
    pub is_asked: bool,
    /// What is worth saying of the last turns, a sentence each.
    pub sentences: Vec<String>,
}

impl History {
    pub fn of(request: &Request<'_>, signs: Signs) -> Result<Self, String> {
        let turns = &request.turns;
        let signatures_seen = check_signatures(turns, signs)?;
        check_calls(turns)?;
        let last_said = turns.iter().rposition(|turn| turn.role == Role::Assistant);
        let round = &turns[last_said.map_or(0, |at| at + 1)..];
        let mut sentences = Vec::new();
        for part in round
            .iter()
            .filter(|turn| turn.role == Role::User)
            .flat_map(|turn| &turn.parts)
        {
            match &part.content {
                Content::ToolResult { .. } => sentences.push(result_sentence(&part.content)),
                Content::Media(media) => sentences.push(format!("I see {}.", described(media))),
                _ => {}
            }
        }
        let brings = |part: &Part<'_>| matches!(part.content, Content::ToolResult { .. });
        Ok(Self {
            signatures_seen,
            is_asked: !round.is_empty() && !round.iter().any(|turn| turn.parts.iter().any(brings)),
            sentences,
        })
    }
}

/// True when a signature came back and is right.
fn check_signatures(turns: &[Turn<'_>], signs: Signs) -> Result<bool, String> {
    let mut seen = false;
    for (index, turn) in turns.iter().enumerate() {
        for part in &turn.parts {
            let (signed, text) = match (&part.content, &part.signature) {
                (Content::Sealed { data, .. }, _) => (plain(data), None),
                (Content::Thinking(thought), Some(signature)) if signs == Signs::Thoughts => {
                    (plain(signature), Some(plain(thought)))
                }
                (_, Some(signature)) => (plain(signature), None),
                _ => continue,
            };
            if signed == UNSIGNED && signs == Signs::WhatFollows {
                continue;
            }
            if !signature::is_ours(&signed, text.as_deref()) {
                return Err(format!("messages.{index}: Invalid `signature` in `thinking` block"));
            }
            seen = true;
        }
    }
    Ok(seen)
}

/// Every result answers a call, and every call but those of the last turn is answered, once.
fn check_calls(turns: &[Turn<'_>]) -> Result<(), String> {
    let mut open: HashSet<String> = HashSet::new();
    for (index, turn) in turns.iter().enumerate() {
        let mut called = HashSet::new();
        for part in &turn.parts {
            match &part.content {
                Content::ToolCall { id, .. } => {
                    called.insert(id.as_ref().map(plain).unwrap_or_default());
                }
                Content::ToolResult { call_id, .. } => {
                    let id = call_id.as_ref().map(plain).unwrap_or_default();
                    if !open.remove(&id) {
                        return Err(format!(
                            "messages.{index}: no call with the id '{id}' waits for this result"
                        ));
                    }
                }
                _ => {}
            }
        }
        if turn.role == Role::Assistant {
            // Responses say calls in items of their own, one turn each.
            open.extend(called);
        } else if turn.role == Role::User
            && let Some(id) = open.iter().next()
            && !turns[index + 1..].first().is_some_and(brings_results)
        {
            return Err(format!("messages.{index}: the call with the id '{id}' has no result"));
        }
    }
    Ok(())
}

fn brings_results(turn: &Turn<'_>) -> bool {
    turn.parts
        .iter()
        .any(|part| matches!(part.content, Content::ToolResult { .. }))
}

fn result_sentence(result: &Content<'_>) -> String {
    let Content::ToolResult {
        name, parts, is_error, ..
    } = result
    else {
        return String::new();
    };
    let name = name.as_ref().map(plain).unwrap_or_default();
    let said: Vec<String> = parts
        .iter()
        .map(|part| match &part.content {
            Content::Text(text) => shortened(&plain(text)),
            Content::Json(json) => shortened(&String::from_utf8_lossy(json)),
            Content::Media(media) => described(media),
            _ => String::new(),
        })
        .collect();
    let verb = if *is_error { "failed" } else { "said" };
    format!("{name} {verb}: {}.", said.join(" "))
}

/// `an image/png of 68 bytes`.
fn described(media: &Media<'_>) -> String {
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    let name = media.media_type.as_ref().map_or(kind.to_owned(), plain);
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    match &media.source {
        Source::Base64(data) => match STANDARD.decode(plain(data)) {
            Ok(bytes) => format!("{article} {name} of {} bytes", bytes.len()),
            Err(_) => format!("{article} {name} that is no base64"),
        },
        Source::Text(text) => format!("{article} {name} of {} bytes", plain(text).len()),
        Source::Url(url) => format!("{article} {kind} at {}", plain(url)),
        Source::File(id) => format!("{article} {kind} in the file {}", plain(id)),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(REPEATED_CHARACTERS).collect()
}

fn plain(text: &Text<'_>) -> String {
    text.plain().unwrap_or_default().into_owned()
}
